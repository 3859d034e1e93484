"""Read Kraken's futures, `book`: the whole book once, then one level a message, in coins or in US dollars.

{"feed":"book","product_id":"PI_XBTUSD","side":"sell","seq":326094134,"price":34981,"qty":0,
 "timestamp":1612269953629}
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from feeds.base import DeltaFeed, FeedError, Millis, Product, TardisName, Venue, decode
from feeds.contracts import INVERSE_USD, SPOT, Contract
from feeds.daily_volume import checked_volume, decode_ticker
from feeds.fast_parser import to_levels
from feeds.kraken import OLD_NAMES
from orderbook import BookBuilder, Levels

_LINEAR = r"PF_([A-Z0-9]+)USD"
"""Perpetual contracts that are counted in coins."""
_INVERSE = r"PI_([A-Z0-9]+)USD"
"""Perpetual contracts that are counted in dollars and paid in the coin. Dated contracts are not known here."""


class _Level(msgspec.Struct, gc=False):
    """A level of a snapshot."""

    price: float
    qty: float


class _Snapshot(msgspec.Struct, gc=False):
    """The whole book, and its number."""

    product_id: str
    timestamp: Millis
    seq: int
    bids: list[_Level]
    asks: list[_Level]


class _Change(msgspec.Struct, gc=False):
    """The new size of one level, 0 to delete it, and the number of the change."""

    product_id: str
    timestamp: Millis
    seq: int
    side: Literal["buy", "sell"]
    price: float
    qty: float


class _Head(msgspec.Struct, gc=False):
    """The fields of every message, whatever its feed is."""

    feed: str = ""
    product_id: str = ""
    event: str = ""
    message: str = ""


class _Ticker(msgspec.Struct, gc=False):
    """The volume of 24 h, in coins or in US dollars as sizes are, and a price."""

    symbol: str
    vol24h: float
    markPrice: float = 0.0  # noqa: N815 - the venue's spelling


class _TickerReply(msgspec.Struct, gc=False):
    """The ticker of one product, or a refusal."""

    ticker: _Ticker


_HEAD = msgspec.json.Decoder(_Head)
_TICKER = msgspec.json.Decoder(_TickerReply)
_SNAPSHOT = msgspec.json.Decoder(_Snapshot)
_CHANGE = msgspec.json.Decoder(_Change)

_REFUSALS = frozenset({"error", "alert", "subscribed_failed"})


class KrakenFuturesFeed(DeltaFeed):
    """A feed in which each change of a product has the last number plus one. Heartbeats are a feed of their own."""

    def __init__(self, symbol: str, contract: Contract, depth: int | None = None) -> None:
        super().__init__("kraken-futures", symbol, BookBuilder(depth or 400))
        self._contract = contract
        self._last_seq: int | None = None
        """The number of the last message; None before the snapshot."""

    def subscribe(self) -> list[str]:
        book_request = {"event": "subscribe", "feed": "book", "product_ids": [self._symbol]}
        heartbeat_request = {"event": "subscribe", "feed": "heartbeat"}
        return [msgspec.json.encode(request).decode() for request in (book_request, heartbeat_request)]

    def _apply_message(self, message: str | bytes) -> int | None:
        head = decode(_HEAD, message)
        if head.event in _REFUSALS:
            raise FeedError(f"Kraken refused: {head.message or head.event}")
        if head.event or head.product_id != self._symbol:
            return None
        if head.feed == "book_snapshot":
            snapshot = decode(_SNAPSHOT, message)
            self._builder.load(self._to_levels(snapshot.bids), self._to_levels(snapshot.asks))
            self._last_seq = snapshot.seq
            return snapshot.timestamp * 1_000_000
        if head.feed != "book" or self._last_seq is None:
            return None
        change = decode(_CHANGE, message)
        if change.seq != self._last_seq + 1:
            raise FeedError(f"gap: seq {change.seq} after {self._last_seq}")
        level = self._to_levels([_Level(change.price, change.qty)])
        if change.side == "buy":
            self._builder.apply(level, [])
        else:
            self._builder.apply([], level)
        self._last_seq = change.seq
        return change.timestamp * 1_000_000

    def _to_levels(self, levels: list[_Level]) -> Levels:
        """Return the levels in base units, (n, 2)."""
        numbers: list[float] = []
        for level in levels:
            numbers += (level.price, level.qty)
        array = to_levels(numbers)
        if self._contract.is_inverse and len(array):
            self._contract.divide_by_price(array)
        return array


class KrakenFutures(Venue):
    """Kraken's perpetual contracts, linear ones (PF_) and inverse ones (PI_)."""

    name = "kraken-futures"
    title = "Kraken futures"
    symbols = ("PF_XBTUSD", "PF_ETHUSD", "PI_XBTUSD", "PI_ETHUSD")
    fees = "kraken"
    tardis = (TardisName("cryptofacilities", "base", _LINEAR), TardisName("cryptofacilities", "quote", _INVERSE))
    min_reconnect_s = 5.0

    def url(self, symbol: str) -> str:  # noqa: ARG002 - the subscription names the symbol
        return "wss://futures.kraken.com/ws/v1"

    def make_feed(self, symbol: str, depth: int | None = None) -> KrakenFuturesFeed:
        return KrakenFuturesFeed(symbol, _split_symbol(symbol)[1], depth)

    def product(self, symbol: str) -> Product:
        _split_symbol(symbol)
        return "swap"

    def contract_size(self, symbol: str) -> float:
        return _split_symbol(symbol)[1].base_units(symbol)

    def instrument(self, symbol: str) -> str:
        base, contract = _split_symbol(symbol)
        return f"{OLD_NAMES.get(base, base)}/USD {'inverse ' if contract.is_inverse else ''}swap"

    def volume_url(self, symbol: str) -> str | None:
        _split_symbol(symbol)
        return f"https://futures.kraken.com/derivatives/api/v3/tickers/{symbol}"

    def read_daily_volume(self, body: str | bytes, symbol: str) -> float:
        """Return the base units traded in 24 h; those of an inverse contract at the price of now. Raises FeedError."""
        ticker = decode_ticker(_TICKER, body).ticker
        volume = checked_volume(ticker.vol24h, symbol)
        if not _split_symbol(symbol)[1].is_inverse:
            return volume
        if not 0 < ticker.markPrice < float("inf"):
            raise FeedError(f"no price in {ticker.markPrice!r} of {symbol}")
        return checked_volume(volume / ticker.markPrice, symbol)

    def find_symbol(self, message: dict[str, Any]) -> str | None:
        symbol = message.get("product_id")
        if message.get("feed") not in ("book", "book_snapshot") or not isinstance(symbol, str):
            return None
        try:
            _split_symbol(symbol)
        except ValueError:
            return None
        return symbol


VENUES = (KrakenFutures(),)


def _split_symbol(symbol: str) -> tuple[str, Contract]:
    """Return the base, as the venue names it, and what sizes count. Raises ValueError for a text that is no symbol."""
    for form, contract in ((_LINEAR, SPOT), (_INVERSE, INVERSE_USD)):
        match = re.fullmatch(form, symbol)
        if match is not None:
            return match[1], contract
    raise ValueError(f"not a Kraken contract: {symbol!r}; they look like PF_XBTUSD or PI_XBTUSD")
