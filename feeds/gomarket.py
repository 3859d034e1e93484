"""The GoQuant gateway's OKX feed: a full top-50 book in every message, sizes in contracts.

{"timestamp":"2025-05-04T10:39:13Z","exchange":"OKX","symbol":"BTC-USDT-SWAP",
 "asks":[["95445.5","9.06"],["95448","2.05"]],"bids":[["95445.4","1104.23"],["95445.3","0.02"]]}
"""

from __future__ import annotations

import msgspec

from feeds.frame_text import read_sides
from feeds.okx import Okx
from feeds.protocol import Product, QuietFeed, Venue, decode_sides, timestamp_ns
from orderbook import BookError, Levels, OrderBook, SortedBook

_ABSENT = msgspec.Raw(b"[]")


class _Frame(msgspec.Struct, gc=False):
    timestamp: str
    symbol: str
    asks: msgspec.Raw = _ABSENT
    bids: msgspec.Raw = _ABSENT


_FRAME = msgspec.json.Decoder(_Frame)
_COMMA = ord(",")
_UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)


class GomarketFeed(QuietFeed):
    """Whole books; a broken one is refused by BookError and the feed goes on."""

    def __init__(self, venue: str, symbol: str, contract_size: float, depth: int | None = None) -> None:
        self._venue = venue
        self._symbol = symbol
        self._contract_size = contract_size
        self._depth = depth

    def parse(self, message: str | bytes, received_ns: int, market_ns: int | None = None) -> OrderBook | None:
        try:
            text = message.encode() if isinstance(message, str) else message
            usual = self._usual(text)
            frame = _FRAME.decode(text) if usual is None else usual[0]
        except _UNREADABLE as error:
            raise BookError(f"unreadable message: {error}") from None
        if frame.symbol != self._symbol:
            return None
        exchange_ns = timestamp_ns(frame.timestamp)
        market_ns = exchange_ns if market_ns is None else market_ns
        book: type[OrderBook]
        if usual is None:
            book, (asks, bids) = OrderBook, decode_sides(frame.asks, frame.bids, self._contract_size)
        else:
            book, (_, asks, bids) = SortedBook, usual
        if self._depth is not None:
            asks, bids = asks[: self._depth], bids[: self._depth]
        return book(self._venue, self._symbol, bids, asks, exchange_ns, market_ns, received_ns)

    def _usual(self, text: bytes) -> tuple[_Frame, Levels, Levels] | None:
        """The frame without its sides, its asks and its bids, where these stand first or last in the usual form."""
        start = text.find(b'"asks":[["')
        if start < 1:
            return None
        levels, asks, end = read_sides(text, start, self._contract_size)
        if not asks:
            return None
        # An object that is whole without the sides has them as members, not in something else.
        if end == len(text) - 1 and text[start - 1] == _COMMA:
            rest = text[: start - 1] + text[end:]
        elif start == 1 and text[end] == _COMMA:
            rest = text[:1] + text[end + 1 :]
        else:
            return None
        try:
            frame = _FRAME.decode(rest)
        except _UNREADABLE:
            return None
        if frame.asks is not _ABSENT or frame.bids is not _ABSENT:
            return None
        levels.flags.writeable = False
        return frame, levels[:asks], levels[asks:]


class GomarketOkx(Venue):
    """OKX instruments as the gateway relays them."""

    name = "gomarket-okx"
    symbols = ("BTC-USDT-SWAP", "ETH-USDT-SWAP")

    def __init__(self, okx: Okx) -> None:
        self._okx = okx

    def url(self, symbol: str) -> str:
        self._okx.product(symbol)  # refuses what is no instrument
        return f"wss://ws.gomarket-cpp.goquant.io/ws/l2-orderbook/okx/{symbol}"

    def make_feed(self, symbol: str, depth: int | None = None) -> GomarketFeed:
        return GomarketFeed(self.name, symbol, self.contract_size(symbol), depth)

    def product(self, symbol: str) -> Product:
        return self._okx.product(symbol)

    def contract_size(self, symbol: str) -> float:
        return self._okx.contract_size(symbol)

    def instrument(self, symbol: str) -> str:
        return self._okx.instrument(symbol)
