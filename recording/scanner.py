"""Read a recording through in the background: its length, its mid price over time, and where it breaks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from feeds import Feed
from orderbook import BookError
from recording.format import RecordedFrame, RecordingError
from recording.opening import NOTHING_SAID, Opening
from recording.reader import read
from recording.replay_feed import ReplayFeed

MAX_POINTS = 400
"""The most buckets of time that the mid price is kept for."""
TIME_SLICE_S = 0.01
"""Background work and rest alternate in slices of this length, so that playback and the page are not held up."""
_REPORT_EVERY_S = 1.0


class PriceCurve:
    """The lowest and the highest mid price of each bucket of time, in bounded memory.

    Buckets are made twice as long whenever there are too many. So no low and no high is lost, however long the
    recording.
    """

    def __init__(self, points: int = MAX_POINTS) -> None:
        self._max_buckets = points
        self._bucket_ns = 1_000_000
        self._buckets: dict[int, tuple[float, float]] = {}  # number of the bucket since 1970 -> lowest, highest

    def add(self, market_ns: int, mid: float) -> None:
        """Count a mid price, at any time."""
        _widen(self._buckets, market_ns // self._bucket_ns, mid, mid)
        while len(self._buckets) > self._max_buckets:
            self._bucket_ns *= 2
            merged: dict[int, tuple[float, float]] = {}
            for bucket, (low, high) in self._buckets.items():
                _widen(merged, bucket // 2, low, high)
            self._buckets = merged

    def points(self) -> tuple[tuple[int, float, float], ...]:
        """Return (market_ns of the bucket's middle, lowest mid, highest mid) of each bucket, in the order of time.

        >>> curve = PriceCurve(points=2)
        >>> for second, mid in enumerate([10.0, 12.0, 11.0, 9.0]):
        ...     curve.add(second * 10**9, mid)
        >>> curve.points()
        ((1024000000, 10.0, 12.0), (3072000000, 9.0, 9.0))
        """
        half_ns = self._bucket_ns // 2
        return tuple(
            (bucket * self._bucket_ns + half_ns, low, high) for bucket, (low, high) in sorted(self._buckets.items())
        )


def _widen(buckets: dict[int, tuple[float, float]], bucket: int, low: float, high: float) -> None:
    """Have this bucket contain this low and this high."""
    bucket_low, bucket_high = buckets.get(bucket, (low, high))
    buckets[bucket] = (min(low, bucket_low), max(high, bucket_high))


@dataclass(frozen=True, slots=True)
class Overview:
    """What has been found of a recording so far; all of it once `done`."""

    share: float = 0.0  # of the file's bytes that have been read, 0 to 1
    done: bool = False
    frames: int = 0
    books: int = 0
    span: tuple[int, int] | None = None  # market_ns of the earliest and the latest line; None where none has a time
    curve: tuple[tuple[int, float, float], ...] = field(default=(), repr=False)
    note: str = ""  # where the file was cut off; empty if it is whole
    error: str = ""  # where and how it is broken, so that no more can be read; empty if it is not


class RecordingScanner:
    """Reads a recording through once, on a thread of its own; `overview` is what it has found so far.

    Memory stays bounded whatever the file's size. max_bytes bounds what the file may unpack to; opening is what the
    user says of it.
    """

    def __init__(
        self,
        path: Path,
        make_feed: Callable[[], Feed],
        max_bytes: int | None = None,
        opening: Opening = NOTHING_SAID,
    ) -> None:
        self._path = path
        self._opening = opening
        self._make_feed = make_feed
        self._max_bytes = max_bytes
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.overview = Overview()

    def start(self) -> None:
        """Read on a thread; from the start again after a stop. Do nothing while it reads, or once all is read."""
        if self.overview.done or not (self._thread is None or self._stopped.is_set()):
            return
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(self._stopped,), name="replay survey", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to give up reading; return at once."""
        self._stopped.set()

    def _run(self, stopped: threading.Event) -> None:
        scan = _Scan(ReplayFeed(self._make_feed()))
        try:
            scan.n_file_bytes = self._path.stat().st_size
            rested_s = perf_counter()
            reported_s = rested_s
            for frame in read(self._path, self._max_bytes, scan.record_progress, self._opening):
                scan.add(frame)
                if perf_counter() - rested_s > TIME_SLICE_S:
                    if stopped.wait(TIME_SLICE_S):
                        return
                    rested_s = perf_counter()
                    if rested_s - reported_s > _REPORT_EVERY_S:
                        self.overview = scan.overview(done=False)
                        reported_s = rested_s
        except (RecordingError, OSError) as error:
            scan.error = str(error)
        self.overview = scan.overview(done=True)


class _Scan:
    """The running totals of one reading."""

    def __init__(self, feed: ReplayFeed) -> None:
        self.n_file_bytes = 0
        self.error = ""
        self._feed = feed
        self._curve = PriceCurve()
        self._n_read_bytes = 0
        self._n_frames = 0
        self._n_books = 0
        self._span: tuple[int, int] | None = None
        self._note = ""

    def record_progress(self, n_read_bytes: int) -> None:
        """Note how much of the file has been read."""
        self._n_read_bytes = n_read_bytes

    def add(self, frame: RecordedFrame) -> None:
        """Count a frame, and its book if it brings one."""
        if frame.kind == "torn":
            self._note = frame.message
            return
        if frame.kind != "meta":
            self._n_frames += 1
        if frame.market_ns is not None:
            first_ns, last_ns = self._span or (frame.market_ns, frame.market_ns)
            self._span = (min(first_ns, frame.market_ns), max(last_ns, frame.market_ns))
        try:
            book = self._feed.apply(frame, 0)
        except BookError:
            return
        if book is not None:
            self._n_books += 1
            self._curve.add(book.market_ns, book.mid)

    def overview(self, done: bool) -> Overview:
        """Return what has been found so far."""
        share = 1.0 if done else self._n_read_bytes / max(self.n_file_bytes, self._n_read_bytes, 1)
        return Overview(
            share, done, self._n_frames, self._n_books, self._span, self._curve.points(), self._note, self.error
        )
