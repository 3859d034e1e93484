"""A recording's books as arrays on disk, parsed once: what a backtest reads instead of frames."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from feeds import VENUES
from numerics.arrays import Ints
from orderbook import Levels, OrderBook, Side
from orderbook.batch import SideBatch
from recording.replay_feed import books

FORMAT = "trade-simulator books 1"

_SIDES = ("bids", "asks")
_WRITTEN = 256
"""Books held while a recording is parsed: few enough to stay in the processor's cache."""


OnRead = Callable[[int], None]
"""Told now and then how much of a recording's file has been read, bytes; what it raises ends the reading."""


class CacheError(ValueError):
    """A market that cannot be read from a recording; the message says why."""


class RecordingSource(NamedTuple):
    """A recording, and the market whose books are read from it; max_bytes bounds what it may unpack to."""

    path: Path
    venue: str
    symbol: str
    max_bytes: int | None = None

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], venue: str, symbol: str, max_bytes: int | None = None) -> Self:
        """Checked. Raises CacheError for an unknown venue, or a symbol that it cannot price."""
        if venue not in VENUES:
            raise CacheError(f"unknown venue {venue!r}; known are {', '.join(VENUES)}")
        try:
            VENUES[venue].make_feed(symbol)
        except ValueError as error:
            raise CacheError(str(error)) from None
        return cls(Path(path), venue, symbol, max_bytes)

    @property
    def contract_size(self) -> float | None:
        """Base units a contract; None where nothing is counted in contracts of a fixed size."""
        return VENUES[self.venue].fixed_contract_size(self.symbol)

    def books(self, on_read: OnRead = lambda _bytes: None) -> Iterator[OrderBook]:
        """Every book of the recording, as replay.books gives them."""
        return books(self.path, lambda: VENUES[self.venue].make_feed(self.symbol), self.max_bytes, on_read)


class BookArrays:
    """The books of one recording in their order, read from files and never all held in memory.

    clock (n, 2): market_ns and exchange_ns. Raises OSError, ValueError if the files are not whole.
    """

    def __init__(self, folder: Path) -> None:
        self.clock: Ints = np.load(folder / "clock.npy", mmap_mode="r")
        self._starts: Ints = np.load(folder / "starts.npy", mmap_mode="r")
        with ExitStack() as stack:
            self._levels = [_Levels(stack.enter_context((folder / f"{name}.npy").open("rb"))) for name in _SIDES]
            held = [levels.rows for levels in self._levels]
            if self.clock.shape != (len(self), 2) or self._starts.shape != (len(self) + 1, 2):
                raise ValueError(f"clock and books do not fit: {self.clock.shape}, {self._starts.shape}")
            if self._starts[-1].tolist() != held:
                raise ValueError(f"the levels are not all there: {held}")
            self._files = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def __len__(self) -> int:
        return len(self.clock)

    def side(self, side: Side, first: int, last: int) -> SideBatch:
        """What an aggressor of this side takes from books first to last (excluded), mapped while it is held."""
        column = 1 if side is Side.BUY else 0
        starts = np.array(self._starts[first : last + 1, column])
        levels = self._levels[column].mapped(*starts[[0, -1]].tolist())
        starts -= starts[0]
        return SideBatch(levels, starts[:-1], starts[1:])


class _Levels:
    """A side's levels of all books, in an open file. Raises ValueError if it is not whole."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        npy.read_magic(file)
        shape, _, kind = npy.read_array_header_1_0(file)
        self._begin, self.rows = file.tell(), int(shape[0])
        size = os.fstat(file.fileno()).st_size
        if kind != np.float64 or size != self._begin + 16 * self.rows:
            raise ValueError(f"{self.rows} levels of {kind} in {size} bytes")

    def mapped(self, first: int, last: int) -> Levels:
        """Levels first to last (excluded), mapped by themselves: pages of what is done with are let go."""
        begin = self._begin + 16 * first
        page = begin // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
        length = self._begin + 16 * last - page
        mapped = mmap.mmap(self._file.fileno(), length, access=mmap.ACCESS_READ, offset=page)
        return np.frombuffer(mapped, np.float64, 2 * (last - first), begin - page).reshape(-1, 2)


def open_books(
    source: RecordingSource, folder: Path | None = None, on_read: OnRead = lambda _bytes: None
) -> Generator[int | BookArrays, None, None]:
    """The recording's books, parsed now unless that was done before and the recording is unchanged: how many were
    parsed so far, now and then, and at last the books themselves, to be used until the iterator is closed.

    They are kept in `folder`, or None: beside the recording; where nothing can be written, or the recording
    grows meanwhile, they are gone afterwards. Raises OSError, RecordingError.
    """
    home = (source.path.parent if folder is None else folder) / _name(source)
    stamp = _file_stamp(source.path)
    about = {
        "format": FORMAT,
        "path": source.path.name,
        "venue": source.venue,
        "symbol": source.symbol,
        "contract_size": source.contract_size,
    }
    kept = _cached_metadata(home, about)
    if kept is not None and kept.get("size") == stamp["size"]:
        same = {name: kept.get(name) for name in stamp} == stamp
        if same or kept.get("digest") == _digest(source.path):
            if not same:
                with suppress(OSError):
                    _write_metadata(home, {**kept, **stamp})
            with BookArrays(home) as books:
                yield books
            return
    with _temporary_folder(home) as part:
        # The digest comes first: what is appended while the books are parsed must not pass as parsed.
        digest = _digest(source.path)
        yield from _parse(source, part, on_read)
        _write_metadata(part, {**about, **stamp, "digest": digest})
        unchanged = _file_stamp(source.path) == stamp
        with BookArrays(_move(part, home) if unchanged else part) as books:
            yield books


def _name(source: RecordingSource) -> str:
    market = f"{source.venue} {source.symbol}".encode()
    return f"{source.path.name}.{hashlib.sha256(market).hexdigest()[:8]}.books"


def _file_stamp(path: Path) -> dict[str, int]:
    """What changes when a file does; the time of its inode's change cannot be set back."""
    stat = path.stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "ctime_ns": stat.st_ctime_ns}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cached_metadata(home: Path, about: dict[str, Any]) -> dict[str, Any] | None:
    """What the folder says of the books in it, if they are whole and of this market."""
    try:
        kept = json.loads((home / "about.json").read_bytes())
        if not isinstance(kept, dict) or {name: kept.get(name) for name in about} != about:
            return None
        with BookArrays(home):
            return kept
    except (OSError, ValueError):
        return None


def _write_metadata(folder: Path, about: dict[str, Any]) -> None:
    part = folder / f".about.{os.getpid()}"
    part.write_text(json.dumps(about, indent=2) + "\n")
    part.replace(folder / "about.json")


@contextmanager
def _temporary_folder(home: Path) -> Iterator[Path]:
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


def _parse(source: RecordingSource, folder: Path, on_read: OnRead) -> Iterator[int]:
    """Write the books' arrays; how many books so far, now and then."""
    found = source.books(on_read)
    with (
        _GrowingArray(folder / "clock.npy", np.int64, 2) as clock,
        _GrowingArray(folder / "starts.npy", np.int64, 2) as starts,
        _GrowingArray(folder / "bids.npy", np.float64, 2) as bids,
        _GrowingArray(folder / "asks.npy", np.float64, 2) as asks,
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
            yield clock.rows


class _GrowingArray:
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
