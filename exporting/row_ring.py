"""Keep the last rows of estimates, in memory that grows as they come."""

from __future__ import annotations

import numpy as np

from estimation.estimate import ROW
from numerics.arrays import Record, Records

BLOCK_ROWS = 4096
"""Memory is taken for so many rows at once; appending never copies the rows that are held."""

_ROW_BYTES = ROW.itemsize


class Block:
    """Rows side by side, and views of some columns.

    A row is written as bytes: numpy would copy it field by field, in twice the time.
    """

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
        self._blocks: list[Block] = []
        self._next = 0  # the place that the next row takes
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, row: Record, context: int, processing_ns: float) -> bool:
        """Add a row, a record of ROW, with what only its owner knows. Return whether the oldest was dropped for it."""
        following = self._next
        place = following % BLOCK_ROWS
        try:
            block = self._blocks[following // BLOCK_ROWS]
        except IndexError:
            block = Block(min(BLOCK_ROWS, self.limit - following))
            self._blocks.append(block)
        start = place * _ROW_BYTES
        block.bytes[start : start + _ROW_BYTES] = row.tobytes()
        block.contexts[place] = context
        block.processing_ns[place] = processing_ns
        following += 1
        self._next = following if following < self.limit else 0
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

    def find(self, n: int) -> tuple[Block, int]:
        """Return the block of the row that is n-th from the end, 1 for the newest, and its place there."""
        index = (self._next - n) % self.limit
        return self._blocks[index // BLOCK_ROWS], index % BLOCK_ROWS

    def newest(self, n: int) -> Records:
        """Return copies of the newest n rows, oldest first; fewer where fewer are held."""
        held = np.concatenate([*(block.rows for block in self._blocks), np.zeros(0, ROW)])[: self._count]
        oldest = self._next if self._count == self.limit else 0
        ordered = np.concatenate((held[oldest:], held[:oldest]))
        return ordered[max(0, self._count - n) :]
