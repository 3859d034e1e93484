"""The GoQuant gateway's OKX feed: a full top-50 book in every message, sizes in contracts.

{"timestamp":"2025-05-04T10:39:13Z","exchange":"OKX","symbol":"BTC-USDT-SWAP",
 "asks":[["95445.5","9.06"],["95448","2.05"]],"bids":[["95445.4","1104.23"],["95445.3","0.02"]]}
"""

from __future__ import annotations

import msgspec

from feeds.okx import Okx
from feeds.protocol import Product, QuietFeed, Venue, compact_sides, decode_sides, timestamp_ns
from orderbook import BookError, Levels, OrderBook


class _Frame(msgspec.Struct, gc=False):
    timestamp: str
    symbol: str
    asks: msgspec.Raw = msgspec.Raw(b"[]")
    bids: msgspec.Raw = msgspec.Raw(b"[]")


_FRAME = msgspec.json.Decoder(_Frame)
_ASKS, _BIDS, _END = b',"asks":[["', b'"]],"bids":[["', b'"]]}'


class GomarketFeed(QuietFeed):
    """Whole books; a broken one is refused by BookError and the feed goes on."""

    def __init__(self, venue: str, symbol: str, contract_size: float, depth: int | None = None) -> None:
        self._venue = venue
        self._symbol = symbol
        self._contract_size = contract_size
        self._depth = depth

    def parse(self, message: str | bytes, received_ns: int, market_ns: int | None = None) -> OrderBook | None:
        try:
            head, sides = self._read(message.encode() if isinstance(message, str) else message)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise BookError(f"unreadable message: {error}") from None
        if head.symbol != self._symbol:
            return None
        exchange_ns = timestamp_ns(head.timestamp)
        asks, bids = sides or decode_sides(head.asks, head.bids, self._contract_size)
        if self._depth is not None:
            asks, bids = asks[: self._depth], bids[: self._depth]
        market_ns = exchange_ns if market_ns is None else market_ns
        return OrderBook(self._venue, self._symbol, bids, asks, exchange_ns, market_ns, received_ns)

    def _read(self, message: bytes) -> tuple[_Frame, tuple[Levels, Levels] | None]:
        """The frame, and its asks and bids; in the usual form these are cut out, to be gone through only once."""
        asks = message.find(_ASKS)
        bids = message.find(_BIDS, asks)
        if 0 <= asks < bids and message.endswith(_END):
            one, other = message[asks + len(_ASKS) : bids], message[bids + len(_BIDS) : -len(_END)]
            sides = compact_sides(one, other, self._contract_size)
            if sides is not None:
                # An object that is whole without the sides has them as members, not in something else.
                return _FRAME.decode(message[:asks] + b"}"), sides
        return _FRAME.decode(message), None


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
