"""A recording's books as arrays on disk, parsed once: what a backtest reads instead of frames."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from batch_walk import SideBlock
from feeds import VENUES
from orderbook import Levels, OrderBook, Side
from replay import books

FORMAT = "trade-simulator books 1"

_WRITTEN = 1024
"""Books held while a recording is parsed."""

Report = Callable[[int], None]


class CacheError(ValueError):
    """A market that cannot be read from a recording; the message says why."""


class Source(NamedTuple):
    """A recording, and the market whose books are read from it."""

    path: Path
    venue: str
    symbol: str

    @classmethod
    def of(cls, path: str | os.PathLike[str], venue: str, symbol: str) -> Self:
        """Checked. Raises CacheError for an unknown venue, or a symbol that it cannot price."""
        if venue not in VENUES:
            raise CacheError(f"unknown venue {venue!r}; known are {', '.join(VENUES)}")
        try:
            VENUES[venue].make_feed(symbol)
        except ValueError as error:
            raise CacheError(str(error)) from None
        return cls(Path(path), venue, symbol)

    @property
    def contract_size(self) -> float | None:
        """Base units a contract; None where a contract has no fixed size."""
        try:
            return VENUES[self.venue].contract_size(self.symbol)
        except ValueError:
            return None

    def books(self) -> Iterator[OrderBook]:
        """Every book of the recording, as replay.books gives them."""
        return books(self.path, lambda: VENUES[self.venue].make_feed(self.symbol))


class BookArrays:
    """The books of one recording in their order, read from files and never all held in memory.

    clock (n, 2): market_ns and exchange_ns. starts (n + 1, 2): where each book's bids and asks begin
    among all levels of their side.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock: NDArray[np.int64] = np.load(folder / "clock.npy", mmap_mode="r")
        self.starts: NDArray[np.int64] = np.load(folder / "starts.npy", mmap_mode="r")

    def __len__(self) -> int:
        return len(self.clock)

    def side(self, side: Side, first: int, last: int) -> SideBlock:
        """What an aggressor of this side takes from books first to last (excluded), mapped for as long as it is held."""
        column, name = (1, "asks") if side is Side.BUY else (0, "bids")
        starts = np.array(self.starts[first : last + 1, column])
        # Mapped anew for each block: pages of one that is done with are not held against the process.
        levels = np.load(self.folder / f"{name}.npy", mmap_mode="r")[starts[0] : starts[-1]]
        return SideBlock(levels, starts - starts[0])


@contextmanager
def open_books(source: Source, folder: Path | None = None, report: Report | None = None) -> Iterator[BookArrays]:
    """The recording's books, parsed now unless that was done before and the recording is unchanged.

    They are kept in `folder`, or None: beside the recording; where nothing can be written, or the recording
    grows meanwhile, only until the context ends. report is told the books parsed so far, now and then.
    Raises OSError, RecordingError.
    """
    home = (source.path.parent if folder is None else folder) / _name(source)
    stamp = _stamp(source.path)
    about: dict[str, Any] = {
        "format": FORMAT,
        "venue": source.venue,
        "symbol": source.symbol,
        "contract_size": source.contract_size,
    }
    kept = _kept(home, about)
    if kept is not None and kept.get("size") == stamp["size"]:
        if {name: kept.get(name) for name in stamp} == stamp:
            yield BookArrays(home)
            return
        if kept.get("digest") == _digest(source.path):
            with suppress(OSError):
                _write_about(home, {**kept, **stamp})
            yield BookArrays(home)
            return
    with _room(home) as part:
        # The digest comes first: what is appended while the books are parsed must not pass as parsed.
        digest = _digest(source.path)
        _parse(source, part, report)
        _write_about(part, {**about, **stamp, "digest": digest})
        unchanged = _stamp(source.path) == stamp
        yield BookArrays(_move(part, home) if unchanged else part)


def _name(source: Source) -> str:
    market = f"{source.venue} {source.symbol}".encode()
    return f"{source.path.name}.{hashlib.sha256(market).hexdigest()[:8]}.books"


def _stamp(path: Path) -> dict[str, int]:
    """What changes when a file does; the time of its inode's change cannot be set back."""
    stat = path.stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "ctime_ns": stat.st_ctime_ns}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _kept(home: Path, about: dict[str, Any]) -> dict[str, Any] | None:
    """What the folder says of the books in it, if they are whole and of this market."""
    try:
        kept = json.loads((home / "about.json").read_bytes())
        if not isinstance(kept, dict) or {name: kept.get(name) for name in about} != about:
            return None
        found = BookArrays(home)
        whole = found.clock.shape == (len(found), 2) and found.starts.shape == (len(found) + 1, 2)
        levels = [np.load(home / f"{side}.npy", mmap_mode="r").shape for side in ("bids", "asks")]
        whole = whole and levels == [(int(count), 2) for count in found.starts[-1]]
    except (OSError, ValueError, IndexError):
        return None
    return kept if whole else None


def _write_about(folder: Path, about: dict[str, Any]) -> None:
    part = folder / f".about.{os.getpid()}"
    part.write_text(json.dumps(about, indent=2) + "\n")
    part.replace(folder / "about.json")


@contextmanager
def _room(home: Path) -> Iterator[Path]:
    """A new folder to write in, beside `home` if possible; gone afterwards, unless it was moved."""
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{home.name}.", dir=home.parent))
    except OSError:
        part = Path(tempfile.mkdtemp(prefix="books."))
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _move(part: Path, home: Path) -> Path:
    """Where the books are now: at home, if they can go there."""
    if part.parent != home.parent:
        return part
    with tempfile.TemporaryDirectory(prefix=f".{home.name}.", dir=home.parent) as old:
        with suppress(OSError):
            home.replace(Path(old) / "books")  # a folder can only take the place of an empty one
        try:
            return part.replace(home)
        except OSError:  # another process was quicker
            return part


def _parse(source: Source, folder: Path, report: Report | None) -> None:
    found = source.books()
    with (
        _Growing(folder / "clock.npy", np.int64, 2) as clock,
        _Growing(folder / "starts.npy", np.int64, 2) as starts,
        _Growing(folder / "bids.npy", np.float64, 2) as bids,
        _Growing(folder / "asks.npy", np.float64, 2) as asks,
    ):
        end = np.zeros((1, 2), dtype=np.int64)
        starts.append(end)
        while some := list(islice(found, _WRITTEN)):
            clock.append(np.array([(book.market_ns, book.exchange_ns) for book in some]))
            depths = np.array([(len(book.bids), len(book.asks)) for book in some])
            ends = end + np.cumsum(depths, axis=0)
            starts.append(ends)
            end = ends[-1:]
            bids.append(np.concatenate([book.bids for book in some]))
            asks.append(np.concatenate([book.asks for book in some]))
            if report is not None:
                report(clock.rows)


class _Growing:
    """A .npy file of so many columns, to which rows are appended; its header is right once it is closed."""

    def __init__(self, path: Path, kind: type[np.generic], columns: int) -> None:
        self.rows = 0
        self._kind, self._columns = np.dtype(kind), columns
        self._file = path.open("xb")

    def __enter__(self) -> Self:
        self._header()
        return self

    def append(self, rows: NDArray[Any] | Levels) -> None:
        self._file.write(np.ascontiguousarray(rows, self._kind).data)
        self.rows += len(rows)

    def __exit__(self, *_: object) -> None:
        with self._file:
            self._file.seek(0)
            self._header()

    def _header(self) -> None:
        """numpy leaves room in a header for the number of rows to grow."""
        about = {"descr": npy.dtype_to_descr(self._kind), "fortran_order": False, "shape": (self.rows, self._columns)}
        npy.write_array_header_1_0(self._file, about)
