"""Replay recorded frames through a venue's own feed."""

from __future__ import annotations

import copy
import logging
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from os import PathLike
from time import perf_counter_ns
from urllib.parse import parse_qs, urlsplit

import msgspec

from feeds import Feed, FeedError
from feeds.base import BaseFeed
from feeds.daily_volume import LARGEST, LEAST
from orderbook import BookError, OrderBook
from recording.foreign_feeds import foreign_feed
from recording.format import RecordedFrame, RecordingError, decode
from recording.opening import NOTHING_SAID, Opening
from recording.reader import read

logger = logging.getLogger(__name__)

FEED_KINDS = frozenset({"recv", "http", "book", "change"})
"""The kinds of frames that a feed parses."""
FACTS = ("contract", "daily_volume")
"""What the meta line of a recording may say of its market, beside its names."""
_CHANGE_LINES = ('{"t":"change"', '{"t":"again"')
"""What the lines begin with that a feed of changes needs, even if the venue's own feed needs no earlier message."""
MAX_BODIES = 16
"""REST bodies that are kept until the feed asks for one."""


class ReplayFeed(BaseFeed):
    """A feed that takes recorded frames out of their envelope and hands them to a venue's own feed.

    The models' clock is the recorder's. A line without a time has the time of the line before; in a recording without
    any time, the venue's own clock counts. The network is asked for nothing: REST bodies come from the recording, and
    a body that the feed does not wait for yet is kept until it does.

    A "connect" line begins a new connection, and an "again" line the whole recording, so both reset the inner feed. A
    gap resets it, too: a recording cannot be requested again, and whatever resynchronised the recorder comes later in
    it. A gap is raised as BookError, not FeedError, so that the client keeps reading instead of reconnecting and
    losing what is on its way.

    Args:
        inner: The venue's feed. It is copied at every reset, and never fed itself.
        on_read: Called for every message with frames: with whether a single frame gave a book, None for several.
    """

    def __init__(self, inner: Feed, on_read: Callable[[bool | None], None] = lambda _gave_book: None) -> None:
        self._template = inner
        self.quiet_s = math.inf  # a recording may pause
        self._on_read = on_read
        self._last_ns: int | None = None
        self.ended = False
        """Whether the server has said that the last line was sent."""
        self._reset()

    def _reset(self) -> None:
        """Begin as after a new connection."""
        self._inner = copy.deepcopy(self._template)
        self._inner.subscribe()
        self._csv_feed: Feed | None = None
        self._bodies: deque[RecordedFrame] = deque(maxlen=MAX_BODIES)

    def parse(
        self,
        message: str | bytes,
        received_ns: int,
        market_ns: int | None = None,  # noqa: ARG002 - the line has its own
    ) -> OrderBook | None:
        """Return the book after one envelope line, None if it brings none. Raises BookError and nothing else.

        A message of several lines is on the way to a place that was jumped to: they are applied and give no book.
        """
        text = message if isinstance(message, str) else message.decode(errors="replace")
        if not text.endswith("\n"):
            frame = _decode(text)
            book = None
            try:
                book = self.apply(frame, received_ns)
            finally:
                if frame.kind in FEED_KINDS:
                    self._on_read(book is not None)
            return book
        self.ended = False
        for line in text.rstrip("\n").split("\n"):
            if not self._template.has_whole_books or line.startswith(_CHANGE_LINES):
                with suppress(BookError):
                    self.apply(_decode(line), received_ns)
        self._on_read(None)
        return None

    def apply(self, frame: RecordedFrame, received_ns: int) -> OrderBook | None:
        """Return the book after one frame of a recording, None if it brings none. Raises BookError and nothing else."""
        if frame.market_ns is not None:
            self._last_ns = frame.market_ns
        try:
            match frame.kind:
                case "recv":
                    book = self._inner.parse(frame.message, received_ns, self._last_ns)
                    return self._apply_kept_body(received_ns) or book
                case "http":
                    self._bodies.append(frame)
                    return self._apply_kept_body(received_ns)
                case "book" | "change":
                    self._csv_feed = self._csv_feed or foreign_feed(frame.kind, frame.message)
                    return self._csv_feed.parse(frame.message, received_ns, self._last_ns)
                case "connect" | "again":
                    self._reset()
                case "end":
                    self.ended = True
                    if frame.message:
                        raise BookError(frame.message)
        except FeedError as error:
            logger.debug("a gap in the recording at %s ns: reading on to its next snapshot", self._last_ns)
            self._reset()
            raise BookError(f"resynchronising: {error}") from error
        return None

    def _apply_kept_body(self, received_ns: int) -> OrderBook | None:
        """Give the feed the newest kept REST body that it waits for, if there is one; return the book after it."""
        wanted = self._inner.snapshot_url
        if wanted is None:
            return None
        for frame in reversed(self._bodies):
            if _has_same_symbol(frame.url, wanted):
                self._bodies.remove(frame)
                return self._inner.apply_snapshot(frame.message, received_ns, self._last_ns)
        return None


def _decode(line: str) -> RecordedFrame:
    """Return the frame of a line that a server sent. Raises BookError."""
    try:
        return decode(line)
    except RecordingError as error:
        raise BookError(str(error)) from None


def _has_same_symbol(recorded: str | None, wanted: str) -> bool:
    """Return whether a recorded REST body can be what a feed waits for: hosts and limits may differ, symbols not.

    >>> _has_same_symbol("https://fapi.example/depth?symbol=BTCUSDT&limit=1000", "https://example/depth?symbol=ETHUSDT")
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
    opening: Opening = NOTHING_SAID,
) -> Iterator[OrderBook]:
    """Yield every book of a recording, through the venue's own feed, resynchronising as ReplayFeed does.

    Refused books are left out. max_bytes, on_read and opening are the arguments of `read`. Raises OSError,
    RecordingError.
    """
    feed = ReplayFeed(make_feed())
    for frame in read(path, max_bytes, on_read, opening):
        try:
            book = feed.apply(frame, perf_counter_ns())
        except BookError:
            continue
        if book is not None:
            yield book


def meta(path: str | PathLike[str], opening: Opening = NOTHING_SAID) -> dict[str, object]:
    """Return what the recording says of itself ("venue", "symbol" and more); empty if it says nothing.

    Raises OSError, RecordingError; also where the file contradicts what the user says of it.
    """
    first = next(read(path, opening=opening))
    fields: dict[str, object] = msgspec.json.decode(first.message, type=dict) if first.kind == "meta" else {}
    return fields


def has_own_books(path: str | PathLike[str], opening: Opening = NOTHING_SAID) -> bool:
    """Return whether a file holds books or changes of its own, so that no venue's feed is needed to read it.

    Raises OSError, RecordingError.
    """
    kinds = (frame.kind for frame in read(path, opening=opening))
    return next((kind for kind in kinds if kind in FEED_KINDS), "") in ("book", "change")


def facts_of(metadata: Mapping[str, object]) -> dict[str, object]:
    """Return the facts for `Venue.with_facts` out of what a recording says of itself."""
    return {name: metadata[name] for name in FACTS if name in metadata}


def daily_volume_of(facts: Mapping[str, object]) -> float | None:
    """Return the base units that the market of a recording traded in 24 h; None if it does not say.

    Raises RecordingError for a volume that cannot be.
    """
    if "daily_volume" not in facts:
        return None
    volume = facts["daily_volume"]
    if isinstance(volume, bool) or not isinstance(volume, (int, float)) or not LEAST <= volume <= LARGEST:
        raise RecordingError(f"the recording's daily volume cannot be {str(volume)[:40]}")
    return float(volume)
