"""Coinbase's own feed, Advanced Trade `level2`: the whole book once, then its changes, in base units.

{"channel":"l2_data","timestamp":"2026-08-09T21:05:48.505350477Z","sequence_num":14,"events":[{
  "type":"update","product_id":"BTC-USD","updates":[
    {"side":"bid","event_time":"2026-08-09T21:05:48.210883Z","price_level":"65062.5","new_quantity":"0.00583"},
    {"side":"offer","event_time":"2026-08-09T21:05:48.210883Z","price_level":"65090","new_quantity":"0"}]}]}
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from feeds.base import DeltaFeed, FeedError, SpotVenue, TardisName, decode, timestamp_ns
from feeds.fast_parser import to_levels
from orderbook import BookBuilder, Levels


class _Message(msgspec.Struct, gc=False):
    channel: str = ""
    timestamp: str = ""
    sequence_num: int | None = None
    events: msgspec.Raw = msgspec.Raw()
    type: str = ""
    message: str = ""
    reason: str = ""


class _Update(msgspec.Struct, gc=False):
    side: Literal["bid", "offer"]
    price: float = msgspec.field(name="price_level")
    size: float = msgspec.field(name="new_quantity")


class _Event(msgspec.Struct, gc=False):
    type: Literal["snapshot", "update"]
    product_id: str
    updates: list[_Update]


_MESSAGE = msgspec.json.Decoder(_Message)
_EVENTS = msgspec.json.Decoder(list[_Event], strict=False)


class CoinbaseFeed(DeltaFeed):
    """One sequence runs over all channels of a connection, so every message counts, heartbeats too."""

    def __init__(self, symbol: str, depth: int | None = None) -> None:
        super().__init__("coinbase", symbol, BookBuilder(depth or 400))
        # The USDC book is the USD book, and is answered under that name.
        self._products = {symbol, symbol.removesuffix("C")} if symbol.endswith("-USDC") else {symbol}
        self._sequence: int | None = None
        self._loaded = False

    def subscribe(self) -> list[str]:
        book = {"type": "subscribe", "product_ids": [self._symbol], "channel": "level2"}
        alive = {"type": "subscribe", "channel": "heartbeats"}
        return [msgspec.json.encode(request).decode() for request in (book, alive)]

    def _read(self, message: str | bytes) -> int | None:
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
        changed = False
        for event in decode(_EVENTS, frame.events):
            if event.product_id in self._products and (self._loaded or event.type == "snapshot"):
                changed = True
                change = self._builder.load if event.type == "snapshot" else self._builder.apply
                change(*_sides(event.updates))
                self._loaded = True
        return timestamp_ns(frame.timestamp) if changed else None


def _sides(updates: list[_Update]) -> tuple[Levels, Levels]:
    bids: list[float] = []
    offers: list[float] = []
    for update in updates:
        side = bids if update.side == "bid" else offers
        side += (update.price, update.size)
    return to_levels(bids), to_levels(offers)


class Coinbase(SpotVenue):
    """Spot, in base units."""

    name = "coinbase"
    title = "Coinbase"
    symbols = ("BTC-USD", "ETH-USD", "BTC-USDT", "ETH-USDT")
    fees = "coinbase"
    tardis = (TardisName("coinbase"),)
    form = re.compile(r"([A-Z0-9]+)-([A-Z0-9]+)")

    def url(self, symbol: str) -> str:  # noqa: ARG002 - the symbol is subscribed to
        return "wss://advanced-trade-ws.coinbase.com"

    def make_feed(self, symbol: str, depth: int | None = None) -> CoinbaseFeed:
        self.parts(symbol)
        return CoinbaseFeed(symbol, depth)


VENUES = (Coinbase(),)
