"""Replay recorded lines through a venue's own feed."""

from __future__ import annotations

import copy
import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from os import PathLike
from time import perf_counter_ns
from urllib.parse import parse_qs, urlsplit

import msgspec

from feeds import Feed, FeedError
from feeds.base import BaseFeed
from feeds.gomarket import GomarketFeed
from orderbook import BookError, OrderBook
from recording.format import RecordedFrame, RecordingError, decode
from recording.reader import read
from recording.tardis_csv import feed_for

logger = logging.getLogger(__name__)

FEED_KINDS = frozenset({"recv", "http", "book"})
"""The lines that a feed is given."""


class ReplayFeed(BaseFeed):
    """A feed that takes recorded lines out of their envelope and hands them to a venue's own feed.

    The models' clock is the recorder's. A line without a time has that of the line before; in a recording
    without any, the venue's own clock counts. Nothing is asked of the network: REST bodies come from the
    recording, and one that the feed does not wait for yet is kept until it does.

    A "connect" line begins a new connection, and "again" the run itself, so the inner feed is made anew (as
    a copy of `inner`, which itself is never fed). So it is when it finds a gap: a recording cannot be asked
    again, and whatever resynchronised the recorder comes later in it. The gap is told as a BookError, on which the
    client goes on reading, and not as a FeedError, on which it would hang up and lose what is on its way.

    on_read is told of every message with frames: whether a single one gave a book, None for several at once.
    """

    def __init__(self, inner: Feed, on_read: Callable[[bool | None], None] = lambda _gave_book: None) -> None:
        self._pristine = inner
        self._on_read = on_read
        self._last_ns: int | None = None
        self._whole: GomarketFeed | None = None
        self.ended = False
        """Whether the player has said that the last line was sent."""
        self._begin()

    def _begin(self) -> None:
        self._inner = copy.deepcopy(self._pristine)
        self._inner.subscribe()
        self._bodies: deque[RecordedFrame] = deque(maxlen=16)

    def parse(
        self,
        message: str | bytes,
        received_ns: int,
        market_ns: int | None = None,  # noqa: ARG002 - the line has its own
    ) -> OrderBook | None:
        """The book after an envelope line. A message of several lines leads to a place that was jumped
        to: they are applied, and give no book."""
        text = message if isinstance(message, str) else message.decode(errors="replace")
        if not text.endswith("\n"):
            tick = _decode(text)
            book = None
            try:
                book = self.apply(tick, received_ns)
            finally:
                if tick.kind in FEED_KINDS:
                    self._on_read(book is not None)
            return book
        self.ended = False
        if not self._pristine.has_whole_books:
            for line in text.rstrip("\n").split("\n"):
                with suppress(BookError):
                    self.apply(_decode(line), received_ns)
        self._on_read(None)
        return None

    def apply(self, tick: RecordedFrame, received_ns: int) -> OrderBook | None:
        """The book after one line of a recording, if it brings one. Raises BookError and nothing else."""
        if tick.market_ns is not None:
            self._last_ns = tick.market_ns
        try:
            match tick.kind:
                case "recv":
                    book = self._inner.parse(tick.message, received_ns, self._last_ns)
                    return self._splice(received_ns) or book
                case "http":
                    self._bodies.append(tick)
                    return self._splice(received_ns)
                case "book":
                    self._whole = self._whole or feed_for(tick.message)
                    return self._whole.parse(tick.message, received_ns, self._last_ns)
                case "connect" | "again":
                    self._begin()
                case "end":
                    self.ended = True
                    if tick.message:
                        raise BookError(tick.message)
        except FeedError as error:
            logger.debug("a gap in the recording at %s ns: reading on to its next snapshot", self._last_ns)
            self._begin()
            raise BookError(f"resynchronising: {error}") from error
        return None

    def _splice(self, received_ns: int) -> OrderBook | None:
        """Gives the feed the kept REST body it waits for, if there is one."""
        wanted = self._inner.snapshot_url
        if wanted is None:
            return None
        for tick in reversed(self._bodies):
            if _same_symbol(tick.url, wanted):
                self._bodies.remove(tick)
                return self._inner.apply_snapshot(tick.message, received_ns, self._last_ns)
        return None


def _decode(line: str) -> RecordedFrame:
    """The tick of a line that a server sent. Raises BookError."""
    try:
        return decode(line)
    except RecordingError as error:
        raise BookError(str(error)) from None


def _same_symbol(recorded: str | None, wanted: str) -> bool:
    """Whether a recorded REST body can be what a feed waits for: hosts and limits differ, symbols must not.

    >>> _same_symbol("https://fapi.example/depth?symbol=BTCUSDT&limit=1000", "https://example/depth?symbol=ETHUSDT")
    False
    """
    if recorded is None:
        return True
    try:
        symbols = {parse_qs(urlsplit(url).query).get("symbol", [""])[0].upper() for url in (recorded, wanted)}
    except ValueError:  # no address, or thousands of fields
        return False
    return len(symbols) == 1


def books(
    path: str | PathLike[str],
    make_feed: Callable[[], Feed],
    max_bytes: int | None = None,
    on_read: Callable[[int], None] = lambda _bytes: None,
) -> Iterator[OrderBook]:
    """Every book the recording yields, through the venue's own feed, resynchronising as ReplayFeed does.

    Refused books are left out. max_bytes and on_read are those of `read`. Raises OSError, RecordingError.
    """
    feed = ReplayFeed(make_feed())
    for tick in read(path, max_bytes, on_read):
        try:
            book = feed.apply(tick, perf_counter_ns())
        except BookError:
            continue
        if book is not None:
            yield book


def meta(path: str | PathLike[str]) -> dict[str, object]:
    """What the recording says of itself ("venue", "symbol" and more); empty if it says nothing."""
    first = next(read(path))
    about: dict[str, object] = msgspec.json.decode(first.message, type=dict) if first.kind == "meta" else {}
    return about
