"""List the recordings of a folder: market, time, books, gaps and size of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from orderbook import BookError
from recording.format import RECEIVED_KINDS
from recording.info import feed_of, time_span
from recording.opening import NOTHING_SAID
from recording.reader import read
from recording.replay_feed import ReplayFeed, meta

HEADER = f"{'market':28} {'time':38} {'books':>10} {'gaps':>5} {'missed s':>9} {'MB':>9}  file"


class Listed(NamedTuple):
    """What one file holds. books: None if its market is not known here. missed_ns: what all gaps took together.

    A gap is the time from the last frame before a new connection to its first one. problem: why it cannot be read, or
    where it ends early; empty if it is whole.
    """

    path: Path
    market: str
    first_ns: int | None
    last_ns: int | None
    books: int | None
    gaps: int
    missed_ns: int
    n_bytes: int
    problem: str

    def __str__(self) -> str:
        span = "" if self.first_ns is None or self.last_ns is None else time_span(self.first_ns, self.last_ns)
        books = "?" if self.books is None else str(self.books)
        counts = f"{books:>10} {self.gaps:5} {self.missed_ns / 1e9:9.1f} {self.n_bytes / 1e6:9.2f}"
        line = f"{self.market or '?':28} {span:38} {counts}  {self.path.name}"
        return f"{line} ({self.problem})" if self.problem else line


def list_recordings(folder: Path) -> Iterator[Listed]:
    """Yield what the files of a folder hold, by name; hidden files and folders are left out. Raises OSError."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            yield examine(path)


def examine(path: Path) -> Listed:
    """Read a file through, in bounded memory. A file that is no recording is described as one with a problem."""
    n_bytes = path.stat().st_size
    try:
        about = meta(path, NOTHING_SAID)
    except (OSError, ValueError, RecursionError) as error:
        return Listed(path, "", None, None, None, 0, 0, n_bytes, str(error)[:120])
    venue, symbol = (str(about.get(key) or "") for key in ("venue", "symbol"))
    books = gaps = missed_ns = 0
    first_ns: int | None = None
    last_ns: int | None = None
    has_new_connection = False
    problem = ""
    feed = None
    try:
        inner = feed_of(venue, symbol, about)
        feed = None if inner is None else ReplayFeed(inner)
        for frame in read(path):
            if frame.kind == "torn":
                problem = frame.message
            if frame.kind == "connect":
                has_new_connection = last_ns is not None
            if frame.kind in RECEIVED_KINDS and frame.market_ns is not None:
                if has_new_connection and last_ns is not None:
                    gaps += 1
                    missed_ns += max(frame.market_ns - last_ns, 0)
                has_new_connection = False
                first_ns = frame.market_ns if first_ns is None else first_ns
                last_ns = frame.market_ns
            if feed is not None:
                try:
                    books += feed.apply(frame, 0) is not None
                except BookError:
                    continue
    except (OSError, ValueError, RecursionError) as error:
        problem = str(error)[:120]
    market = f"{venue} {symbol}".strip()
    return Listed(path, market, first_ns, last_ns, None if feed is None else books, gaps, missed_ns, n_bytes, problem)
