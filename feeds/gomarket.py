"""Read the GoQuant gateway's OKX feed: a full top-50 book in every message, sizes in contracts.

{"timestamp":"2025-05-04T10:39:13Z","exchange":"OKX","symbol":"BTC-USDT-SWAP",
 "asks":[["95445.5","9.06"],["95448","2.05"]],"bids":[["95445.4","1104.23"],["95445.3","0.02"]]}
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self

import msgspec
import numpy as np

from feeds.base import BaseFeed, Product, Venue, timestamp_ns
from feeds.fast_parser import FRAME_READER
from feeds.okx import OKX, Okx
from orderbook import BookError, Levels, OrderBook
from orderbook.book import SortedBook


class _Frame(msgspec.Struct, gc=False):
    """A message of the gateway; its sides are decoded later."""

    timestamp: str
    symbol: str
    asks: msgspec.Raw = msgspec.Raw(b"[]")
    bids: msgspec.Raw = msgspec.Raw(b"[]")


_FRAME = msgspec.json.Decoder(_Frame)
_PAIRS = msgspec.json.Decoder(list[tuple[float, float]], strict=False)


def decode_sides(asks: msgspec.Raw, bids: msgspec.Raw, size_unit: float) -> tuple[Levels, Levels]:
    """Decode the texts of both sides into read-only levels (n, 2), their sizes multiplied by size_unit.

    A text looks like `[["95445.5","9.06"],...]`, its numbers quoted or bare. Raises BookError.
    """
    try:
        ask_pairs = _PAIRS.decode(asks)
        bid_pairs = _PAIRS.decode(bids)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BookError(f"levels unreadable: {error}") from None
    levels = np.array([*ask_pairs, *bid_pairs]).reshape(-1, 2) * (1.0, size_unit)
    levels.flags.writeable = False
    return levels[: len(ask_pairs)], levels[len(ask_pairs) :]


class GomarketFeed(BaseFeed):
    """A feed of whole books: it refuses a broken one by BookError and goes on."""

    has_whole_books = True

    def __init__(self, venue: str, symbol: str, contract_size: float, depth: int | None = None) -> None:
        self._venue = venue
        self._symbol = symbol
        self._symbol_bytes = symbol.encode()
        self._contract_size = contract_size
        self._depth = depth

    def parse(self, message: str | bytes, received_ns: int, market_ns: int | None = None) -> OrderBook | None:
        make_book: type[OrderBook] = SortedBook
        try:
            text = message.encode() if isinstance(message, str) else message
            levels, n_asks, exchange_ns = FRAME_READER.call(text, self._symbol_bytes, self._contract_size)
            # The compiled reader reads frames of the usual form only; the typed decoder reads all others.
            frame = None if n_asks else _FRAME.decode(text)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise BookError(f"unreadable message: {error}") from None
        if frame is None:
            levels.flags.writeable = False
            asks, bids = levels[:n_asks], levels[n_asks:]
        elif frame.symbol == self._symbol:
            make_book = OrderBook  # which checks every level
            exchange_ns = timestamp_ns(frame.timestamp)
            asks, bids = decode_sides(frame.asks, frame.bids, self._contract_size)
        else:
            return None
        if self._depth is not None:
            asks, bids = asks[: self._depth], bids[: self._depth]
        market_ns = exchange_ns if market_ns is None else market_ns
        return make_book(self._venue, self._symbol, bids, asks, exchange_ns, market_ns, received_ns)


class GomarketOkx(Venue):
    """The gateway as a venue, which relays books of OKX."""

    name = "gomarket-okx"
    title = "OKX through the GoMarket gateway"
    rank = 1
    symbols = ("BTC-USDT-SWAP", "ETH-USDT-SWAP")
    fees = "okx"
    exchange = "OKX"
    """What its messages call the exchange."""

    def __init__(self, okx: Okx) -> None:
        self._okx = okx

    def url(self, symbol: str) -> str:
        self._okx.product(symbol)  # raises ValueError if this is no instrument
        return f"wss://ws.gomarket-cpp.goquant.io/ws/l2-orderbook/okx/{symbol}"

    def make_feed(self, symbol: str, depth: int | None = None) -> GomarketFeed:
        return GomarketFeed(self.name, symbol, self.contract_size(symbol), depth)

    def product(self, symbol: str) -> Product:
        return self._okx.product(symbol)

    def contract_size(self, symbol: str) -> float:
        return self._okx.contract_size(symbol)

    def instrument(self, symbol: str) -> str:
        return self._okx.instrument(symbol)

    def recorded_facts(self, symbol: str) -> dict[str, object]:
        return self._okx.recorded_facts(symbol)

    def with_facts(self, symbol: str, facts: Mapping[str, object]) -> Self:
        venue = copy.copy(self)
        venue._okx = self._okx.with_facts(symbol, facts)
        return venue

    def find_symbol(self, message: dict[str, Any]) -> str | None:
        symbol = message.get("symbol")
        if message.get("exchange") != self.exchange or "asks" not in message or not isinstance(symbol, str):
            return None
        try:
            self.product(symbol)
        except ValueError:
            return None
        return symbol


VENUES = (GomarketOkx(OKX),)
