"""Feeds of the messages that foreign files become: whole books, and changes, both in base units."""

from __future__ import annotations

import msgspec

from feeds.base import DeltaFeed, Feed, decode, timestamp_ns
from feeds.fast_parser import read_sides
from feeds.gomarket import GomarketFeed
from orderbook import BookBuilder, BookError
from recording.opening import Amounts
from recording.tardis_market import known_amounts


class _Names(msgspec.Struct):
    """The market of a message. amounts is empty in recordings of earlier versions."""

    exchange: str
    symbol: str
    amounts: str = ""


class _Change(msgspec.Struct, gc=False):
    """Changes of a book. is_snapshot: a new book begins with them."""

    timestamp: str
    is_snapshot: bool
    asks: msgspec.Raw
    bids: msgspec.Raw


_CHANGE = msgspec.json.Decoder(_Change)


class ChangeFeed(DeltaFeed):
    """A feed of changes. It gives no book before the first snapshot."""

    def __init__(self, venue: str, symbol: str) -> None:
        super().__init__(venue, symbol, BookBuilder(400))
        self._has_snapshot = False

    def _apply_message(self, message: str | bytes) -> int | None:
        change = decode(_CHANGE, message)
        bids, asks = read_sides(change.bids, change.asks)
        if change.is_snapshot:
            self._builder.load(bids, asks)
            self._has_snapshot = True
        elif not self._has_snapshot:
            return None
        else:
            self._builder.apply(bids, asks)
        return timestamp_ns(change.timestamp)


def foreign_feed(kind: str, message: str) -> Feed:
    """Return the feed that parses this message and those after it; kind is "book" or "change". Raises BookError.

    A message that does not say that its amounts are base units was recorded by an earlier version: there they are in
    the exchange's own unit, and an exchange that is not known is refused.
    """
    try:
        names = msgspec.json.decode(message, type=_Names)
        amounts = Amounts("base") if names.amounts == "base" else known_amounts(names.exchange, names.symbol)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BookError(f"unreadable book: {error}") from None
    if kind == "change":
        return ChangeFeed(names.exchange, names.symbol)
    return GomarketFeed(names.exchange, names.symbol, amounts.size)
