"""Kraken's own feed, v2 `book`: a snapshot and changes cut to the subscribed depth, each with a checksum.

{"channel":"book","type":"update","data":[{"symbol":"MINA/GBP",
  "bids":[{"price":0.0279,"qty":0.00000000},{"price":0.0277,"qty":1486.59884909}],"asks":[],
  "checksum":222201382,"timestamp":"2026-08-16T23:37:05.723653Z"}]}
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable

import msgspec

from feeds.base import DeltaFeed, FeedError, SpotVenue, TardisName, decode, timestamp_ns
from feeds.fast_parser import to_levels
from orderbook import BookBuilder, Levels

DEPTHS = (10, 25, 100, 500, 1000)
"""The depths Kraken offers."""


class _Ack(msgspec.Struct, gc=False):
    channel: str = ""
    symbol: str = ""
    depth: int = 0


class _Message(msgspec.Struct, gc=False):
    channel: str = ""
    type: str = ""
    data: msgspec.Raw = msgspec.Raw()
    method: str = ""
    success: bool = True
    result: _Ack | None = None
    error: str = ""


class _TextLevel(msgspec.Struct, gc=False):
    """Numbers as they were written: the checksum is of their digits."""

    price: msgspec.Raw
    qty: msgspec.Raw


class _Change(msgspec.Struct, gc=False):
    symbol: str
    bids: list[_TextLevel]
    asks: list[_TextLevel]
    checksum: int
    timestamp: str = ""


_MESSAGE = msgspec.json.Decoder(_Message)
_CHANGES = msgspec.json.Decoder(list[_Change])


def checksum(asks: Iterable[bytes], bids: Iterable[bytes]) -> int:
    """The unsigned CRC32 of the best ten asks, then the best ten bids, each as `digits` writes it."""
    return zlib.crc32(b"".join((*asks, *bids)))


def digits(price: bytes, qty: bytes) -> bytes:
    """One level in the checksum's form: no points, no leading zeros.

    >>> digits(b"45285.2", b"0.00100000")
    b'452852100000'
    """
    return price.replace(b".", b"").lstrip(b"0") + qty.replace(b".", b"").lstrip(b"0")


class KrakenFeed(DeltaFeed):
    """The checksum is the only guard there is: no message carries a number of its own."""

    keepalive = ('{"method":"ping"}', 30.0)

    def __init__(self, symbol: str, depth: int | None = None) -> None:
        self._publish = depth or 400
        self._depth = next((offered for offered in DEPTHS if offered >= self._publish), DEPTHS[-1])
        super().__init__("kraken", symbol, BookBuilder(self._publish, keep=self._depth))
        self._loaded = False
        self._bid_digits: dict[float, bytes] = {}
        self._ask_digits: dict[float, bytes] = {}

    def subscribe(self) -> list[str]:
        params = {"channel": "book", "symbol": [self._symbol], "depth": self._depth, "snapshot": True}
        return [msgspec.json.encode({"method": "subscribe", "params": params}).decode()]

    def _read(self, message: str | bytes) -> int | None:
        frame = decode(_MESSAGE, message)
        if not frame.success:
            raise FeedError(f"Kraken refused: {frame.error}")
        if frame.method == "subscribe":
            self._take_depth(frame.result)
        if frame.channel != "book":
            return None
        time = ""
        for change in decode(_CHANGES, frame.data):
            if change.symbol == self._symbol and (self._loaded or frame.type == "snapshot"):
                self._apply(change, frame.type == "snapshot")
                time = change.timestamp
        return timestamp_ns(time) if time else None

    def _take_depth(self, ack: _Ack | None) -> None:
        """The depth the venue will keep to is the one it names, whatever was asked."""
        if ack is None or ack.channel != "book" or ack.symbol != self._symbol or ack.depth == self._depth:
            return
        if self._loaded or ack.depth < 1:
            raise FeedError(f"subscribed to depth {ack.depth}, the book is kept to {self._depth}")
        self._depth = ack.depth
        self._builder = BookBuilder(self._publish, keep=ack.depth)

    def _apply(self, change: _Change, snapshot: bool) -> None:
        if snapshot:
            self._bid_digits.clear()
            self._ask_digits.clear()
        bids, asks = _rows(change.bids, self._bid_digits), _rows(change.asks, self._ask_digits)
        if snapshot:
            self._builder.load(bids, asks)
            self._loaded = True
        else:
            self._builder.apply(bids, asks)
        best_bids, best_asks = self._builder.best_prices(10)
        ask_digits, bid_digits = self._ask_digits, self._bid_digits
        found = checksum([ask_digits[price] for price in best_asks], [bid_digits[price] for price in best_bids])
        if found != change.checksum:
            raise FeedError(f"checksum {found}, the venue's is {change.checksum}")
        if len(bid_digits) + len(ask_digits) > 8 * self._depth:
            self._forget()

    def _forget(self) -> None:
        """Drops the digits of levels that fell out of the depth."""
        held = zip((self._bid_digits, self._ask_digits), self._builder.best_prices(self._depth), strict=True)
        for written, prices in held:
            for price in written.keys() - set(prices):
                del written[price]


def _rows(levels: list[_TextLevel], written: dict[float, bytes]) -> Levels:
    """Levels as numbers; their digits go to `written`. Raises FeedError."""
    numbers: list[float] = []
    for level in levels:
        price_text, qty_text = bytes(level.price), bytes(level.qty)
        try:
            price, qty = float(price_text), float(qty_text)
        except ValueError:
            raise FeedError(f"a level of {price_text[:40]!r}, {qty_text[:40]!r}") from None
        numbers += (price, qty)
        written[price] = digits(price_text, qty_text)
    return to_levels(numbers)


class Kraken(SpotVenue):
    """Spot, in base units."""

    name = "kraken"
    title = "Kraken"
    symbols = ("BTC/USD", "ETH/USD", "BTC/USDT", "ETH/USDT")
    fees = "kraken"
    tardis = (TardisName("kraken"),)
    min_reconnect_s = 5.0
    form = re.compile(r"([A-Z0-9][A-Z0-9.]*)/([A-Z0-9][A-Z0-9.]*)")

    def url(self, symbol: str) -> str:  # noqa: ARG002 - the symbol is subscribed to
        return "wss://ws.kraken.com/v2"

    def make_feed(self, symbol: str, depth: int | None = None) -> KrakenFeed:
        self.parts(symbol)
        return KrakenFeed(symbol, depth)


VENUES = (Kraken(),)
