"""Keep the last rows of estimates, in memory that grows as they come."""

from __future__ import annotations

import math

import numpy as np

from estimation.estimate import ROW
from numerics.arrays import Record, Records

BLOCK_ROWS = 4096
"""Memory is taken for so many rows at once; appending never copies the rows that are held."""

_ROW_BYTES = ROW.itemsize


class _Block:
    """Rows side by side, written as bytes: numpy would copy a row field by field, in twice the time."""

    def __init__(self, count: int) -> None:
        self.bytes = bytearray(count * ROW.itemsize)
        self.rows: Records = np.frombuffer(self.bytes, ROW)
        # Views of columns: writing through them takes a fifth of the time of a field of a record.
        self.contexts = self.rows["context"]
        self.processing_ns = self.rows["processing_ns"]
        self.market_ns = self.rows["market_ns"]
        self.realised_slippage_bps = self.rows["realised_slippage_bps"]
        self.realised_maker = self.rows["realised_maker"]


class RowRing:
    """The newest `limit` rows; a row that is added to a full ring replaces the oldest. Raises ValueError below 1."""

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"the history must keep a row at least: {limit}")
        self.limit = limit
        self._blocks: list[_Block] = []
        self._next = 0  # the place that the next row takes
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, row: Record, context: int, processing_ns: float) -> bool:
        """Add a row, a record of ROW, with what only its owner knows. Return whether the oldest was dropped for it."""
        index, place = divmod(self._next, BLOCK_ROWS)
        if index == len(self._blocks):
            self._blocks.append(_Block(min(BLOCK_ROWS, self.limit - self._next)))
        block = self._blocks[index]
        start = place * _ROW_BYTES
        block.bytes[start : start + _ROW_BYTES] = row.tobytes()
        block.contexts[place] = context
        block.processing_ns[place] = processing_ns
        self._next = self._next + 1 if self._next + 1 < self.limit else 0
        if self._count == self.limit:
            return True
        self._count += 1
        return False

    def resized(self, limit: int) -> RowRing:
        """Return a ring of this limit with the newest rows. Raises ValueError below 1."""
        ring = RowRing(limit)
        for row in self.newest(limit):
            ring.append(row, row["context"].item(), row["processing_ns"].item())
        return ring

    def market_ns(self, n: int) -> int:
        """Return the market_ns of the row that is n-th from the end, 1 for the newest."""
        block, place = self._find(n)
        return int(block.market_ns[place])

    def realise(self, n: int, slippage_bps: float | None, maker: float) -> None:
        """Fill in the outcome of the row that is n-th from the end."""
        block, place = self._find(n)
        block.realised_slippage_bps[place] = math.nan if slippage_bps is None else slippage_bps
        block.realised_maker[place] = maker

    def _find(self, n: int) -> tuple[_Block, int]:
        index, place = divmod((self._next - n) % self.limit, BLOCK_ROWS)
        return self._blocks[index], place

    def newest(self, n: int) -> Records:
        """Return copies of the newest n rows, oldest first; fewer where fewer are held."""
        held = np.concatenate([*(block.rows for block in self._blocks), np.zeros(0, ROW)])[: self._count]
        oldest = self._next if self._count == self.limit else 0
        ordered = np.concatenate((held[oldest:], held[:oldest]))
        return ordered[max(0, self._count - n) :]
