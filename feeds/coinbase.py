"""Read Coinbase's own feed, Advanced Trade `level2`: the whole book once, then its changes, in base units.

{"channel":"l2_data","timestamp":"2026-08-09T21:05:48.505350477Z","sequence_num":14,"events":[{
  "type":"update","product_id":"BTC-USD","updates":[
    {"side":"bid","event_time":"2026-08-09T21:05:48.210883Z","price_level":"65062.5","new_quantity":"0.00583"},
    {"side":"offer","event_time":"2026-08-09T21:05:48.210883Z","price_level":"65090","new_quantity":"0"}]}]}
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from feeds.base import DeltaFeed, FeedError, SpotVenue, TardisName, decode, timestamp_ns
from feeds.daily_volume import checked_volume, decode_ticker
from feeds.fast_parser import to_levels
from orderbook import BookBuilder, Levels


class _Message(msgspec.Struct, gc=False):
    """A message of any channel, or a refusal; its events are read later."""

    channel: str = ""
    timestamp: str = ""
    sequence_num: int | None = None
    events: msgspec.Raw = msgspec.Raw()
    type: str = ""
    message: str = ""
    reason: str = ""


class _Update(msgspec.Struct, gc=False):
    """One level: its price and its new size, 0 to delete it."""

    side: Literal["bid", "offer"]
    price: float = msgspec.field(name="price_level")
    size: float = msgspec.field(name="new_quantity")


class _Event(msgspec.Struct, gc=False):
    """A whole book of one product, or changes of it."""

    type: Literal["snapshot", "update"]
    product_id: str
    updates: list[_Update]


class _Product(msgspec.Struct, gc=False):
    """A product with its volume of 24 h in base units."""

    product_id: str
    volume_24h: str


_MESSAGE = msgspec.json.Decoder(_Message)
_PRODUCT = msgspec.json.Decoder(_Product)
_EVENTS = msgspec.json.Decoder(list[_Event], strict=False)


class CoinbaseFeed(DeltaFeed):
    """A feed guarded by one sequence over all channels of its connection: every message counts, heartbeats too."""

    def __init__(self, symbol: str, depth: int | None = None) -> None:
        super().__init__("coinbase", symbol, BookBuilder(depth or 400))
        self._products = {symbol, _name_in_messages(symbol)}
        self._sequence: int | None = None
        self._has_snapshot = False

    def subscribe(self) -> list[str]:
        book_request = {"type": "subscribe", "product_ids": [self._symbol], "channel": "level2"}
        heartbeat_request = {"type": "subscribe", "channel": "heartbeats"}
        return [msgspec.json.encode(request).decode() for request in (book_request, heartbeat_request)]

    def _apply_message(self, message: str | bytes) -> int | None:
        frame = decode(_MESSAGE, message)
        if frame.type == "error":
            raise FeedError(f"Coinbase refused: {frame.message} {frame.reason}".rstrip())
        if frame.sequence_num is None and frame.channel != "l2_data":
            return None
        if frame.sequence_num is None or (self._sequence is not None and frame.sequence_num != self._sequence + 1):
            raise FeedError(f"gap: sequence_num {frame.sequence_num} after {self._sequence}")
        self._sequence = frame.sequence_num
        if frame.channel != "l2_data":
            return None
        is_changed = False
        for event in decode(_EVENTS, frame.events):
            if event.product_id in self._products and (self._has_snapshot or event.type == "snapshot"):
                is_changed = True
                bids, asks = _to_sides(event.updates)
                if event.type == "snapshot":
                    self._builder.load(bids, asks)
                else:
                    self._builder.apply(bids, asks)
                self._has_snapshot = True
        return timestamp_ns(frame.timestamp) if is_changed else None


def _name_in_messages(symbol: str) -> str:
    """Return the product that messages name: the USDC book is the USD book, and is sent under that name."""
    return symbol.removesuffix("C") if symbol.endswith("-USDC") else symbol


def _to_sides(updates: list[_Update]) -> tuple[Levels, Levels]:
    """Return the bids and the asks among the updates, (n, 2) each."""
    bids: list[float] = []
    asks: list[float] = []
    for update in updates:
        side = bids if update.side == "bid" else asks
        side += (update.price, update.size)
    return to_levels(bids), to_levels(asks)


class Coinbase(SpotVenue):
    """Coinbase spot. Sizes are in base units."""

    name = "coinbase"
    title = "Coinbase"
    symbols = ("BTC-USD", "ETH-USD", "BTC-USDT", "ETH-USDT")
    fees = "coinbase"
    tardis = (TardisName("coinbase"),)
    form = re.compile(r"([A-Z0-9]+)-([A-Z0-9]+)")

    def url(self, symbol: str) -> str:  # noqa: ARG002 - the subscription names the symbol
        return "wss://advanced-trade-ws.coinbase.com"

    def volume_url(self, symbol: str) -> str | None:
        self.split_symbol(symbol)
        return f"https://api.coinbase.com/api/v3/brokerage/market/products/{symbol}"

    def read_daily_volume(self, body: str | bytes, symbol: str) -> float:  # noqa: ARG002 - the reply is of one product
        product = decode_ticker(_PRODUCT, body)
        return checked_volume(product.volume_24h, product.product_id)

    def find_symbol(self, message: dict[str, Any]) -> str | None:
        events = message.get("events")
        if message.get("channel") != "l2_data" or not isinstance(events, list) or not events:
            return None
        symbol = events[0].get("product_id") if isinstance(events[0], dict) else None
        return symbol if isinstance(symbol, str) and self.form.fullmatch(symbol) else None

    def symbol_in_messages(self, symbol: str) -> str:
        return _name_in_messages(symbol)

    def make_feed(self, symbol: str, depth: int | None = None) -> CoinbaseFeed:
        self.split_symbol(symbol)
        return CoinbaseFeed(symbol, depth)


VENUES = (Coinbase(),)
