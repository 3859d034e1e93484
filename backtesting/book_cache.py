"""Keep a recording's parsed books as arrays on disk, so that a backtest parses each recording once."""

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
_LEVEL_BYTES = 16
"""A level in a file: its price and its size, float64 each."""
_BATCH_BOOKS = 256
"""Books held while a recording is parsed: few enough to stay in the processor's cache."""


OnRead = Callable[[int], None]
"""Called now and then with the number of bytes of the recording's file read so far. What it raises ends the reading."""


class CacheError(ValueError):
    """A market that cannot be read from a recording; the message says why."""


class RecordingSource(NamedTuple):
    """A recording, and the market whose books are read from it.

    venue: a key of feeds.VENUES. symbol: as the venue writes it. max_bytes: the most that the file may unpack to;
    None is no limit.
    """

    path: Path
    venue: str
    symbol: str
    max_bytes: int | None = None

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], venue: str, symbol: str, max_bytes: int | None = None) -> Self:
        """Check the market and make the source. Raises CacheError for an unknown venue or symbol."""
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

    def read_books(self, on_read: OnRead = lambda _bytes: None) -> Iterator[OrderBook]:
        """Parse the recording and yield every book of the market, as replay.books does."""
        return books(self.path, lambda: VENUES[self.venue].make_feed(self.symbol), self.max_bytes, on_read)


class BookArrays:
    """The books of one recording in their order, read from files and never all held in memory.

    clock (n, 2): market_ns and exchange_ns of each book. To be used as a context manager, which closes the files.
    Raises OSError; ValueError if the files are not whole.
    """

    def __init__(self, folder: Path) -> None:
        self.clock: Ints = np.load(folder / "clock.npy", mmap_mode="r")
        self._starts: Ints = np.load(folder / "starts.npy", mmap_mode="r")
        with ExitStack() as stack:
            self._levels = [_LevelsFile(stack.enter_context((folder / f"{name}.npy").open("rb"))) for name in _SIDES]
            n_levels = [levels.n_levels for levels in self._levels]
            if self.clock.shape != (len(self), 2) or self._starts.shape != (len(self) + 1, 2):
                raise ValueError(f"clock and books do not fit: {self.clock.shape}, {self._starts.shape}")
            if self._starts[-1].tolist() != n_levels:
                raise ValueError(f"the levels are not all there: {n_levels}")
            # Only a whole set of files stays open after the checks.
            self._files = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def __len__(self) -> int:
        return len(self.clock)

    def read_side(self, side: Side, first: int, stop: int) -> SideBatch:
        """Return the side that an aggressor of this side takes from, of books first to stop (excluded).

        The levels are mapped from the file for as long as the batch is held.
        """
        column = 1 if side is Side.BUY else 0
        starts = np.array(self._starts[first : stop + 1, column])
        levels = self._levels[column].map_levels(*starts[[0, -1]].tolist())
        starts -= starts[0]
        return SideBatch(levels, starts[:-1], starts[1:])


class _LevelsFile:
    """One side's levels of all books, in an open .npy file. Raises ValueError if the file is not whole."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        npy.read_magic(file)
        shape, _, dtype = npy.read_array_header_1_0(file)
        self._begin = file.tell()
        self.n_levels = int(shape[0])
        size = os.fstat(file.fileno()).st_size
        if dtype != np.float64 or size != self._begin + _LEVEL_BYTES * self.n_levels:
            raise ValueError(f"{self.n_levels} levels of {dtype} in {size} bytes")

    def map_levels(self, first: int, stop: int) -> Levels:
        """Map levels first to stop (excluded) alone, so that their memory is freed as soon as they are dropped."""
        begin = self._begin + _LEVEL_BYTES * first
        # A mapping can only begin at the start of a page.
        page = begin // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
        length = self._begin + _LEVEL_BYTES * stop - page
        mapped = mmap.mmap(self._file.fileno(), length, access=mmap.ACCESS_READ, offset=page)
        return np.frombuffer(mapped, np.float64, 2 * (stop - first), begin - page).reshape(-1, 2)


def open_books(
    source: RecordingSource, folder: Path | None = None, on_read: OnRead = lambda _bytes: None
) -> Generator[int | BookArrays, None, None]:
    """Yield the recording's books, parsed now unless an earlier parse is still valid.

    While the recording is parsed, the number of books parsed so far comes now and then. The last item is the books
    themselves, to be used until the generator is closed.

    folder: where the parsed books are kept; None is beside the recording. They are deleted afterwards where the folder
    cannot be written to, and where the recording grew meanwhile. Raises OSError, RecordingError.
    """
    cache_folder = (source.path.parent if folder is None else folder) / _cache_name(source)
    stamp = _file_stamp(source.path)
    market = {
        "format": FORMAT,
        "path": source.path.name,
        "venue": source.venue,
        "symbol": source.symbol,
        "contract_size": source.contract_size,
    }
    cached = _cached_metadata(cache_folder, market)
    if cached is not None and cached.get("size") == stamp["size"]:
        is_untouched = {name: cached.get(name) for name in stamp} == stamp
        # A file that was touched or copied still has its content; only reading all of it tells.
        if is_untouched or cached.get("digest") == _digest(source.path):
            if not is_untouched:
                with suppress(OSError):
                    _write_metadata(cache_folder, {**cached, **stamp})
            with BookArrays(cache_folder) as arrays:
                yield arrays
            return
    with _temporary_folder(cache_folder) as draft:
        # The digest comes first: what is appended while the books are parsed must not pass as parsed.
        digest = _digest(source.path)
        yield from _parse(source, draft, on_read)
        _write_metadata(draft, {**market, **stamp, "digest": digest})
        is_unchanged = _file_stamp(source.path) == stamp
        with BookArrays(_publish(draft, cache_folder) if is_unchanged else draft) as arrays:
            yield arrays


def _cache_name(source: RecordingSource) -> str:
    """Return the name of the folder for this market's books: one recording may hold several markets."""
    market = f"{source.venue} {source.symbol}".encode()
    return f"{source.path.name}.{hashlib.sha256(market).hexdigest()[:8]}.books"


def _file_stamp(path: Path) -> dict[str, int]:
    """Return the facts that change when a file changes; the change time of its inode cannot be set back."""
    stat = path.stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "ctime_ns": stat.st_ctime_ns}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cached_metadata(folder: Path, market: dict[str, Any]) -> dict[str, Any] | None:
    """Return the metadata of the books in the folder; None unless they are whole and of this market."""
    try:
        metadata = json.loads((folder / "about.json").read_bytes())
        if not isinstance(metadata, dict) or {name: metadata.get(name) for name in market} != market:
            return None
        with BookArrays(folder):
            return metadata
    except (OSError, ValueError):
        return None


def _write_metadata(folder: Path, metadata: dict[str, Any]) -> None:
    """Write the metadata file; a reader sees the old one or the new one, never half of it."""
    draft = folder / f".about.{os.getpid()}"
    draft.write_text(json.dumps(metadata, indent=2) + "\n")
    draft.replace(folder / "about.json")


@contextmanager
def _temporary_folder(cache_folder: Path) -> Iterator[Path]:
    """Make a new folder to write in, beside `cache_folder` if possible; delete it at the end unless it was moved."""
    try:
        cache_folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{cache_folder.name}.", dir=cache_folder.parent))
    except OSError:
        draft = Path(tempfile.mkdtemp(prefix="books."))
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _publish(draft: Path, cache_folder: Path) -> Path:
    """Move the finished draft to the cache folder if possible; return where the books are now."""
    if draft.parent != cache_folder.parent:
        return draft
    with tempfile.TemporaryDirectory(prefix=f".{cache_folder.name}.", dir=cache_folder.parent) as replaced:
        with suppress(OSError):
            cache_folder.replace(Path(replaced) / "books")  # a folder can only take the place of an empty one
        try:
            return draft.replace(cache_folder)
        except OSError:  # another process was quicker
            return draft


def _parse(source: RecordingSource, folder: Path, on_read: OnRead) -> Iterator[int]:
    """Write the arrays of the recording's books; yield the number of books written so far, now and then."""
    parsed = source.read_books(on_read)
    with (
        _GrowingArray(folder / "clock.npy", np.int64, 2) as clock,
        _GrowingArray(folder / "starts.npy", np.int64, 2) as starts,
        _GrowingArray(folder / "bids.npy", np.float64, 2) as bids,
        _GrowingArray(folder / "asks.npy", np.float64, 2) as asks,
    ):
        # Book r's levels are rows starts[r] to starts[r + 1] of each side's file.
        end = np.zeros((1, 2), dtype=np.int64)
        starts.append(end)
        while batch := list(islice(parsed, _BATCH_BOOKS)):
            clock.append(np.array([(book.market_ns, book.exchange_ns) for book in batch]))
            depths = np.array([(len(book.bids), len(book.asks)) for book in batch])
            ends = end + np.cumsum(depths, axis=0)
            starts.append(ends)
            end = ends[-1:]
            bids.append(np.concatenate([book.bids for book in batch]))
            asks.append(np.concatenate([book.asks for book in batch]))
            yield clock.n_rows


class _GrowingArray:
    """A new .npy file to which rows are appended; its header is correct once it is closed."""

    def __init__(self, path: Path, dtype: type[np.generic], n_columns: int) -> None:
        self.n_rows = 0
        self._dtype = np.dtype(dtype)
        self._n_columns = n_columns
        self._file = path.open("xb")

    def __enter__(self) -> Self:
        self._write_header()
        return self

    def append(self, rows: NDArray[Any] | Levels) -> None:
        """Append rows (n, n_columns)."""
        self._file.write(np.ascontiguousarray(rows, self._dtype).data)
        self.n_rows += len(rows)

    def __exit__(self, *_: object) -> None:
        with self._file:
            self._file.seek(0)
            self._write_header()

    def _write_header(self) -> None:
        """Write the header; numpy leaves room in it for the number of rows to grow."""
        shape = (self.n_rows, self._n_columns)
        header = {"descr": npy.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(self._file, header)
