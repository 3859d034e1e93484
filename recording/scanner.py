"""A recording read through in the background: how long it is, how the mid price went, and where it breaks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from feeds import Feed
from orderbook import BookError
from recording.format import RecordingError
from recording.reader import read
from recording.replay_feed import ReplayFeed

POINTS = 400
"""Stretches of time that the mid price is kept for, at most."""
TIME_SLICE_S = 0.01
"""Background work and rest alternate in slices of this length, so that playback and the page are not held up."""


class PriceCurve:
    """The mid price over time in bounded memory: stretches are made twice as long whenever they are too many.

    No low and no high is ever lost, however long the recording.
    """

    def __init__(self, points: int = POINTS) -> None:
        self._points = points
        self._length_ns = 1_000_000
        self._stretches: dict[int, tuple[float, float]] = {}

    def add(self, market_ns: int, mid: float) -> None:
        _widen(self._stretches, market_ns // self._length_ns, mid, mid)
        while len(self._stretches) > self._points:
            self._length_ns *= 2
            merged: dict[int, tuple[float, float]] = {}
            for place, (low, high) in self._stretches.items():
                _widen(merged, place // 2, low, high)
            self._stretches = merged

    def points(self) -> tuple[tuple[int, float, float], ...]:
        """(market_ns of a stretch's middle, lowest mid, highest mid), in the order of time.

        >>> curve = PriceCurve(points=2)
        >>> for second, mid in enumerate([10.0, 12.0, 11.0, 9.0]):
        ...     curve.add(second * 10**9, mid)
        >>> curve.points()
        ((1024000000, 10.0, 12.0), (3072000000, 9.0, 9.0))
        """
        half = self._length_ns // 2
        return tuple(
            (place * self._length_ns + half, low, high) for place, (low, high) in sorted(self._stretches.items())
        )


def _widen(stretches: dict[int, tuple[float, float]], place: int, low: float, high: float) -> None:
    known_low, known_high = stretches.get(place, (low, high))
    stretches[place] = (min(low, known_low), max(high, known_high))


@dataclass(frozen=True, slots=True)
class Overview:
    """What is known of a recording so far; all of it once `done`."""

    share: float = 0.0  # of the file that has been read
    done: bool = False
    frames: int = 0
    books: int = 0
    span: tuple[int, int] | None = None  # market_ns of the earliest and the latest line; None where none has a time
    curve: tuple[tuple[int, float, float], ...] = field(default=(), repr=False)
    note: str = ""  # where the file was cut off
    error: str = ""  # where and how it is broken, so that no more can be read


class RecordingScanner:
    """Reads a recording through once, on a thread of its own; `overview` is what it has found.

    Memory stays bounded whatever the file's size. max_bytes bounds what it may unpack to.
    """

    def __init__(self, path: Path, make_feed: Callable[[], Feed], max_bytes: int | None = None) -> None:
        self._path = path
        self._make_feed = make_feed
        self._max_bytes = max_bytes
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.overview = Overview()

    def start(self) -> None:
        """Read on a thread; from the start again after a stop, and nothing once all is known."""
        if self.overview.done or not (self._thread is None or self._stopped.is_set()):
            return
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(self._stopped,), name="replay survey", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Give up reading; only signals."""
        self._stopped.set()

    def _run(self, stopped: threading.Event) -> None:
        read_bytes = size = 0

        def told(count: int) -> None:
            nonlocal read_bytes
            read_bytes = count

        feed, curve = ReplayFeed(self._make_feed()), PriceCurve()
        frames = books = 0
        first, last, note, error = 2**63, -1, "", ""

        def found(done: bool) -> Overview:
            span = (first, last) if last >= 0 else None
            share = 1.0 if done else read_bytes / max(size, read_bytes, 1)
            return Overview(share, done, frames, books, span, curve.points(), note, error)

        began = said = perf_counter()
        try:
            size = self._path.stat().st_size
            for tick in read(self._path, self._max_bytes, told):
                if tick.kind == "torn":
                    note = tick.message
                    continue
                frames += tick.kind != "meta"
                if tick.market_ns is not None:
                    first, last = min(first, tick.market_ns), max(last, tick.market_ns)
                try:
                    book = feed.apply(tick, 0)
                except BookError:
                    book = None
                if book is not None:
                    books += 1
                    curve.add(book.market_ns, book.mid)
                if perf_counter() - began > TIME_SLICE_S:
                    if stopped.wait(TIME_SLICE_S):
                        return
                    began = perf_counter()
                    if began - said > 1.0:
                        self.overview, said = found(done=False), began
        except (RecordingError, OSError) as problem:
            error = str(problem)
        self.overview = found(done=True)
