"""Read Kraken's own feed, v2 `book`: a snapshot and changes cut to the subscribed depth, each with a checksum.

{"channel":"book","type":"update","data":[{"symbol":"MINA/GBP",
  "bids":[{"price":0.0279,"qty":0.00000000},{"price":0.0277,"qty":1486.59884909}],"asks":[],
  "checksum":222201382,"timestamp":"2026-08-16T23:37:05.723653Z"}]}
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from typing import Any

import msgspec

from feeds.base import DeltaFeed, FeedError, SpotVenue, TardisName, decode, timestamp_ns
from feeds.daily_volume import checked_volume, decode_ticker, only_row
from feeds.fast_parser import to_levels
from orderbook import BookBuilder, Levels

DEPTHS = (10, 25, 100, 500, 1000)
"""The depths that Kraken offers, in levels a side."""

_CURRENT_COINS = {"XBT": "BTC", "XDG": "DOGE"}
"""The names of v1, which files from before 10 July 2026 have: docs.tardis.dev/historical-data-details/kraken."""

CHECKSUM_LEVELS = 10
"""The best levels of each side that a checksum covers."""

OLD_NAMES = {"XBT": "BTC"}
"""Names of coins in Kraken's first API, and those that its second, which is read here, has instead."""


class _Acknowledgement(msgspec.Struct, gc=False):
    """The subscription as the venue granted it."""

    channel: str = ""
    symbol: str = ""
    depth: int = 0


class _Message(msgspec.Struct, gc=False):
    """A message of any channel, or the answer to a request; its data are read later."""

    channel: str = ""
    type: str = ""
    data: msgspec.Raw = msgspec.Raw()
    method: str = ""
    success: bool = True
    result: _Acknowledgement | None = None
    error: str = ""


class _TextLevel(msgspec.Struct, gc=False):
    """A level whose numbers stay as the venue wrote them, because the checksum is made of their digits."""

    price: msgspec.Raw
    qty: msgspec.Raw


class _Change(msgspec.Struct, gc=False):
    """A snapshot or a change of one symbol's book, and the checksum of the book after it."""

    symbol: str
    bids: list[_TextLevel]
    asks: list[_TextLevel]
    checksum: int
    timestamp: str = ""


class _Ticker(msgspec.Struct, gc=False):
    """The volumes of today and of the last 24 h, in base units."""

    v: tuple[str, str]


class _Tickers(msgspec.Struct, gc=False):
    """The tickers by a name of the market that no other place has, such as XXBTZUSD, or a refusal."""

    error: list[str] = []
    result: dict[str, _Ticker] = {}


_MESSAGE = msgspec.json.Decoder(_Message)
_TICKERS = msgspec.json.Decoder(_Tickers)
_CHANGES = msgspec.json.Decoder(list[_Change])


def checksum(asks: Iterable[bytes], bids: Iterable[bytes]) -> int:
    """Return the unsigned CRC32 of the best ten asks, then the best ten bids, each as `checksum_digits` writes it."""
    return zlib.crc32(b"".join((*asks, *bids)))


def checksum_digits(price: bytes, qty: bytes) -> bytes:
    """Return a level in the form that the checksum covers: without points and leading zeros.

    >>> checksum_digits(b"45285.2", b"0.00100000")
    b'452852100000'
    """
    return price.replace(b".", b"").lstrip(b"0") + qty.replace(b".", b"").lstrip(b"0")


class KrakenFeed(DeltaFeed):
    """A feed guarded by the checksum alone, because Kraken's messages carry no sequence number."""

    keepalive = ('{"method":"ping"}', 30.0)

    def __init__(self, symbol: str, depth: int | None = None) -> None:
        self._published_levels = depth or 400
        self._depth = next((offered for offered in DEPTHS if offered >= self._published_levels), DEPTHS[-1])
        super().__init__("kraken", symbol, BookBuilder(self._published_levels, keep=self._depth))
        self._has_snapshot = False
        # The digits of every level, by its price, because its number has lost the trailing zeros that count.
        self._bid_digits: dict[float, bytes] = {}
        self._ask_digits: dict[float, bytes] = {}

    def subscribe(self) -> list[str]:
        params = {"channel": "book", "symbol": [self._symbol], "depth": self._depth, "snapshot": True}
        return [msgspec.json.encode({"method": "subscribe", "params": params}).decode()]

    def _apply_message(self, message: str | bytes) -> int | None:
        frame = decode(_MESSAGE, message)
        if not frame.success:
            raise FeedError(f"Kraken refused: {frame.error}")
        if frame.method == "subscribe":
            self._adopt_depth(frame.result)
        if frame.channel != "book":
            return None
        timestamp = ""
        for change in decode(_CHANGES, frame.data):
            if change.symbol == self._symbol and (self._has_snapshot or frame.type == "snapshot"):
                self._apply(change, frame.type == "snapshot")
                timestamp = change.timestamp
        return timestamp_ns(timestamp) if timestamp else None

    def _adopt_depth(self, acknowledgement: _Acknowledgement | None) -> None:
        """Keep the book to the depth that the venue granted, even if another was asked for.

        Raises FeedError if the depth changes under a book, or is no depth.
        """
        if acknowledgement is None or acknowledgement.channel != "book" or acknowledgement.symbol != self._symbol:
            return
        depth = acknowledgement.depth
        if depth == self._depth:
            return
        if self._has_snapshot or depth < 1:
            raise FeedError(f"subscribed to depth {depth}, the book is kept to {self._depth}")
        self._depth = depth
        self._builder = BookBuilder(self._published_levels, keep=depth)

    def _apply(self, change: _Change, is_snapshot: bool) -> None:
        """Apply a snapshot or a change to the book. Raises FeedError if the checksum is not the venue's."""
        if is_snapshot:
            self._bid_digits.clear()
            self._ask_digits.clear()
        bids = _read_levels(change.bids, self._bid_digits)
        asks = _read_levels(change.asks, self._ask_digits)
        if is_snapshot:
            self._builder.load(bids, asks)
            self._has_snapshot = True
        else:
            self._builder.apply(bids, asks)
        best_bids, best_asks = self._builder.best_prices(CHECKSUM_LEVELS)
        book_checksum = checksum(
            [self._ask_digits[price] for price in best_asks], [self._bid_digits[price] for price in best_bids]
        )
        if book_checksum != change.checksum:
            raise FeedError(f"checksum {book_checksum}, the venue's is {change.checksum}")
        # Not after every change, because it goes through the whole book.
        if len(self._bid_digits) + len(self._ask_digits) > 8 * self._depth:
            self._drop_old_digits()

    def _drop_old_digits(self) -> None:
        """Drop the digits of levels that are no longer in the book."""
        best_bids, best_asks = self._builder.best_prices(self._depth)
        for digits, prices in ((self._bid_digits, best_bids), (self._ask_digits, best_asks)):
            for price in digits.keys() - set(prices):
                del digits[price]


def _read_levels(levels: list[_TextLevel], digits: dict[float, bytes]) -> Levels:
    """Return the levels as numbers, (n, 2), and add what the checksum covers to `digits`. Raises FeedError."""
    numbers: list[float] = []
    for level in levels:
        price_text, qty_text = bytes(level.price), bytes(level.qty)
        try:
            price, qty = float(price_text), float(qty_text)
        except ValueError:
            raise FeedError(f"a level of {price_text[:40]!r}, {qty_text[:40]!r}") from None
        numbers += (price, qty)
        digits[price] = checksum_digits(price_text, qty_text)
    return to_levels(numbers)


class Kraken(SpotVenue):
    """Kraken spot. Sizes are in base units."""

    name = "kraken"
    title = "Kraken"
    symbols = ("BTC/USD", "ETH/USD", "BTC/USDT", "ETH/USDT")
    fees = "kraken"
    tardis = (TardisName("kraken"),)
    min_reconnect_s = 5.0
    form = re.compile(r"([A-Z0-9][A-Z0-9.]*x?)/([A-Z0-9][A-Z0-9.]*)")
    """A tokenised stock ends in a small x: AAPLx/USD."""

    def split_symbol(self, symbol: str) -> tuple[str, str]:
        base, quote = super().split_symbol(symbol)
        renamed = "/".join(OLD_NAMES.get(name, name) for name in (base, quote))
        if renamed != symbol:
            raise ValueError(f"not a Kraken symbol: {symbol!r}; the name of this market is {renamed}")
        return base, quote

    def url(self, symbol: str) -> str:  # noqa: ARG002 - the subscription names the symbol
        return "wss://ws.kraken.com/v2"

    def volume_url(self, symbol: str) -> str | None:
        """Return the address of the ticker, where the market has the names of the first API: XBTUSD."""
        old_names = {name: old for old, name in _CURRENT_COINS.items()}
        pair = "".join(old_names.get(coin, coin) for coin in self.split_symbol(symbol))
        return f"https://api.kraken.com/0/public/Ticker?pair={pair}"

    def read_daily_volume(self, body: str | bytes, symbol: str) -> float:
        reply = decode_ticker(_TICKERS, body)
        ticker = only_row(list(reply.result.values()), symbol, " ".join(reply.error)[:80])
        return checked_volume(ticker.v[1], symbol)

    def find_symbol(self, message: dict[str, Any]) -> str | None:
        rows = [message.get("result")] if message.get("method") == "subscribe" else message.get("data")
        named = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}
        symbol = named.get("symbol")
        is_book = "book" in (message.get("channel"), named.get("channel"))
        return symbol if is_book and isinstance(symbol, str) and self.form.fullmatch(symbol) else None

    def current_symbol(self, symbol: str) -> str:
        return "/".join(_CURRENT_COINS.get(coin, coin) for coin in symbol.split("/"))

    def make_feed(self, symbol: str, depth: int | None = None) -> KrakenFeed:
        self.split_symbol(symbol)
        return KrakenFeed(symbol, depth)


VENUES = (Kraken(),)
