"""Write the books of a recording as plain arrays, and read them back without holding them all in memory."""

from __future__ import annotations

import mmap
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from numerics.arrays import Ints
from orderbook import Levels, OrderBook, Side
from orderbook.batch import SideBatch

SIDES = ("bids", "asks")
_LEVEL_BYTES = 16
"""A level in a file: its price and its size, float64 each."""
_BATCH_BOOKS = 256
"""Books held while a recording is parsed: few enough to stay in the processor's cache."""


class BookArrays:
    """The books of one recording in their order, read from files and never all held in memory.

    clock (n, 2): market_ns and exchange_ns of each book. To be used as a context manager, which closes the files.
    digests: what `write_books` returned, which the files are checked against; None leaves that out. Raises OSError;
    ValueError if the files are not whole, or not as they were written.
    """

    def __init__(self, folder: Path, digests: Mapping[str, str] | None = None) -> None:
        self.clock: Ints = np.load(folder / "clock.npy", mmap_mode="r", allow_pickle=False)
        self._starts: Ints = np.load(folder / "starts.npy", mmap_mode="r", allow_pickle=False)
        with ExitStack() as stack:
            self._levels = [_LevelsFile(stack.enter_context((folder / f"{name}.npy").open("rb"))) for name in SIDES]
            n_levels = [levels.n_levels for levels in self._levels]
            if self.clock.shape != (len(self), 2) or self._starts.shape != (len(self) + 1, 2):
                raise ValueError(f"clock and books do not fit: {self.clock.shape}, {self._starts.shape}")
            if self._starts[-1].tolist() != n_levels:
                raise ValueError(f"the levels are not all there: {n_levels}")
            for name, digest in (digests or {}).items():
                if _digest_rows(folder / f"{name}.npy") != digest:
                    raise ValueError(f"{name} are not as they were written")
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


def write_books(parsed: Iterator[OrderBook], folder: Path, digests: dict[str, str]) -> Iterator[int]:
    """Write the arrays of these books; yield the number of books written so far, now and then.

    digests: gets the CRC-32 of every array's rows once all are on the disk.
    """
    with ExitStack() as stack:
        clock, starts, bids, asks = (
            stack.enter_context(_GrowingArray(folder / f"{name}.npy", dtype, digests))
            for name, dtype in (("clock", np.int64), ("starts", np.int64), ("bids", np.float64), ("asks", np.float64))
        )
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
    """A new .npy file of two columns to which rows are appended; once closed, its header is right and it is flushed."""

    def __init__(self, path: Path, dtype: type[np.generic], digests: dict[str, str]) -> None:
        self.n_rows = 0
        self._name = path.stem
        self._dtype = np.dtype(dtype)
        self._digests = digests
        self._digest = 0
        self._file = path.open("xb")

    def __enter__(self) -> Self:
        self._write_header()
        return self

    def append(self, rows: NDArray[Any] | Levels) -> None:
        """Append rows (n, 2)."""
        data = np.ascontiguousarray(rows, self._dtype).data
        self._file.write(data)
        self._digest = zlib.crc32(data, self._digest)
        self.n_rows += len(rows)

    def __exit__(self, *_: object) -> None:
        with self._file:
            self._file.seek(0)
            self._write_header()
            self._file.flush()
            os.fsync(self._file.fileno())
        self._digests[self._name] = f"{self._digest:08x}"

    def _write_header(self) -> None:
        """Write the header; numpy leaves room in it for the number of rows to grow."""
        header = {"descr": npy.dtype_to_descr(self._dtype), "fortran_order": False, "shape": (self.n_rows, 2)}
        npy.write_array_header_1_0(self._file, header)


def _digest_rows(path: Path) -> str:
    """Return the CRC-32 of all that follows the header of an .npy file.

    It is for disks that fail, not against people who forge; it takes two fifths of SHA-256's time.
    """
    with path.open("rb") as file:
        npy.read_magic(file)
        npy.read_array_header_1_0(file)
        digest = 0
        while block := file.read(2**20):
            digest = zlib.crc32(block, digest)
        return f"{digest:08x}"
