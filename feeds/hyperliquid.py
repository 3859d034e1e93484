"""Read Hyperliquid's `l2Book`: the best 20 levels of each side in every message, about every 5.4 s.

{"channel":"l2Book","data":{"coin":"BTC","time":1790232236546,"levels":[
  [{"px":"84143.0","sz":"10.25923","n":36}],[{"px":"84144.0","sz":"50.66449","n":18}]]}}
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import numpy as np

from feeds.base import BaseFeed, FeedError, Millis, Product, TardisName, Venue
from orderbook import BookError, Levels, OrderBook

FAST_LEVELS = 5
"""The levels a side of the fast kind of book, which comes about every 0.54 s."""

_COIN = re.compile(r"k?[A-Z0-9]+")
"""A perpetual contract of the venue's own; one of a thousand coins begins with a small k."""


class _Level(msgspec.Struct, gc=False):
    """A level: its price, its size and the number of its orders, which is not read."""

    px: float
    sz: float


class _Book(msgspec.Struct, gc=False):
    """The book of one coin, bids first."""

    coin: str
    time: Millis
    levels: tuple[list[_Level], list[_Level]]


class _Message(msgspec.Struct, gc=False):
    """A message of any channel; its data are read later."""

    channel: str = ""
    data: msgspec.Raw = msgspec.Raw()


class _Coin(msgspec.Struct, gc=False):
    """The coin that a book is of."""

    coin: str = ""


_MESSAGE = msgspec.json.Decoder(_Message)
_BOOK = msgspec.json.Decoder(_Book, strict=False)
_ANY_COIN = msgspec.json.Decoder(_Coin)


class HyperliquidFeed(BaseFeed):
    """A feed of whole books: it refuses a broken one by BookError and goes on.

    The venue sends 20 levels slowly and 5 levels ten times as often. The fast kind is taken where 5 levels are enough.
    """

    keepalive = ('{"method":"ping"}', 30.0)
    is_keepalive_periodic = True
    has_whole_books = True

    def __init__(self, symbol: str, depth: int | None = None) -> None:
        self._symbol = symbol
        self._depth = depth
        self._is_fast = depth is not None and depth <= FAST_LEVELS
        self.book_interval_s = 0.54 if self._is_fast else 5.4

    def subscribe(self) -> list[str]:
        subscription: dict[str, object] = {"type": "l2Book", "coin": self._symbol}
        if self._is_fast:
            subscription["fast"] = True
        return [msgspec.json.encode({"method": "subscribe", "subscription": subscription}).decode()]

    def parse(self, message: str | bytes, received_ns: int, market_ns: int | None = None) -> OrderBook | None:
        try:
            frame = _MESSAGE.decode(message)
            if frame.channel == "error":
                raise FeedError(f"Hyperliquid refused: {bytes(frame.data).decode()[:200]}")
            if frame.channel != "l2Book" or _ANY_COIN.decode(frame.data).coin != self._symbol:
                return None
            book = _BOOK.decode(frame.data)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise BookError(f"unreadable message: {error}") from None
        bids, asks = (_to_levels(side[: self._depth]) for side in book.levels)
        exchange_ns = book.time * 1_000_000
        market_ns = exchange_ns if market_ns is None else market_ns
        return OrderBook("hyperliquid", self._symbol, bids, asks, exchange_ns, market_ns, received_ns)


def _to_levels(side: list[_Level]) -> Levels:
    """Return the levels as numbers, (n, 2), read-only."""
    levels = np.array([(level.px, level.sz) for level in side]).reshape(-1, 2)
    levels.flags.writeable = False
    return levels


class Hyperliquid(Venue):
    """Hyperliquid's own perpetual contracts, whose sizes are coins; kPEPE counts thousands of PEPE, as its price does.

    Left out are its spot markets, whose names such as @107 do not say what they trade, and contracts of other
    deployers, such as xyz:SP500, whose collateral and fees are the deployer's choice.
    """

    name = "hyperliquid"
    title = "Hyperliquid"
    symbols = ("BTC", "ETH")
    fees = "hyperliquid"
    tardis = (TardisName("hyperliquid", form=_COIN.pattern),)
    min_reconnect_s = 2.0

    def url(self, symbol: str) -> str:  # noqa: ARG002 - the subscription names the coin
        return "wss://api.hyperliquid.xyz/ws"

    def make_feed(self, symbol: str, depth: int | None = None) -> HyperliquidFeed:
        self._check_symbol(symbol)
        return HyperliquidFeed(symbol, depth)

    def product(self, symbol: str) -> Product:
        self._check_symbol(symbol)
        return "swap"

    def contract_size(self, symbol: str) -> float:
        self._check_symbol(symbol)
        return 1.0

    def instrument(self, symbol: str) -> str:
        """Return its name. The collateral, in which gains and costs are paid without conversion, is USDC."""
        self._check_symbol(symbol)
        return f"{symbol}/USDC swap"

    def find_symbol(self, message: dict[str, Any]) -> str | None:
        book = message.get("data")
        if message.get("channel") != "l2Book" or not isinstance(book, dict) or "levels" not in book:
            return None
        symbol = book.get("coin")
        return symbol if isinstance(symbol, str) and _COIN.fullmatch(symbol) else None

    def _check_symbol(self, symbol: str) -> None:
        """Raise ValueError for a text that is no symbol."""
        if _COIN.fullmatch(symbol) is None:
            raise ValueError(f"not a Hyperliquid contract: {symbol!r}; they look like BTC or kPEPE")


VENUES = (Hyperliquid(),)
