"""Keep the last of a long series of numbers, and compute statistics of them."""

from __future__ import annotations

import numpy as np

from numerics.arrays import Floats
from numerics.jit import jit


class RollingWindow:
    """The last `size` columns of a series (..., n), the newest last."""

    def __init__(self, size: int, *height: int) -> None:
        self._size = size
        # Twice the size, so that the columns move to the front at most once per `size` columns added.
        self._buffer: Floats = np.empty((*height, 2 * size))
        self._begin = self._end = 0

    @property
    def values(self) -> Floats:
        """(..., n), to be read before more are added."""
        return self._buffer[..., self._begin : self._end]

    def add(self, columns: Floats) -> None:
        """Append columns (..., m) and forget all but the last `size`."""
        columns = columns[..., -self._size :]
        if self._end + columns.shape[-1] > self._buffer.shape[-1]:
            kept = self.values.copy()
            self._begin = 0
            self._end = kept.shape[-1]
            self._buffer[..., : self._end] = kept
        begin = self._end
        self._end += columns.shape[-1]
        self._buffer[..., begin : self._end] = columns
        self._begin = max(self._begin, self._end - self._size)


class SortedRollingWindow(RollingWindow):
    """The last `size` columns of a series (..., n), each series also in the order of its values."""

    def __init__(self, size: int, *height: int) -> None:
        super().__init__(size, *height)
        # Two buffers written from one into the other in turn: fresh memory costs as much as the work done in it.
        self._sorted, self._next_sorted = np.empty((2, *height, size))

    @property
    def sorted_values(self) -> Floats:
        """(..., n), to be read before more are added."""
        values: Floats = self._sorted[..., : self._end - self._begin]
        return values

    def add(self, columns: Floats) -> None:
        """Append columns (..., m), forget all but the last `size`, and keep each series sorted."""
        columns = columns[..., -self._size :]
        held = self.values
        n_held = held.shape[-1]
        gone = held[..., : max(0, n_held + columns.shape[-1] - self._size)]
        _merge(
            np.atleast_2d(self._sorted),
            n_held,
            _sort_series(gone),
            _sort_series(columns),
            np.atleast_2d(self._next_sorted),
        )
        self._sorted, self._next_sorted = self._next_sorted, self._sorted
        super().add(columns)


def _sort_series(columns: Floats) -> Floats:
    """Sort each series, shape (series, n)."""
    series = np.array(columns, ndmin=2, order="C")
    series.sort()
    return series


@jit
def _merge(old: Floats, n_old: int, gone: Floats, new: Floats, merged: Floats) -> None:
    """Merge: drop `gone` from each sorted series and insert `new`, keeping the order.

    Three times faster than sorting again.

    Args:
        old: (series, size), the first n_old of each sorted.
        n_old: how many values of each series are held.
        gone: (series, g), sorted; each value is one of `old`.
        new: (series, m), sorted.
        merged: (series, size), written to.
    """
    size = merged.shape[1]
    for series in range(len(old)):
        # Before gone[series, next_gone] all are dropped, before new[series, next_new] all are inserted, and
        # merged[series, :n_merged] is sorted.
        next_gone = 0
        next_new = 0
        n_merged = 0
        for value in old[series, :n_old]:
            # Both are sorted, so the next value to drop is the first of `old` that equals it.
            if next_gone < gone.shape[1] and gone[series, next_gone] == value:
                next_gone += 1
                continue
            # Every new value below this old one goes before it. NaN never compares equal, so it is never dropped
            # and the series may have more values than fit: every write is bounded by `size`.
            while n_merged < size and next_new < new.shape[1] and new[series, next_new] < value:
                merged[series, n_merged] = new[series, next_new]
                next_new += 1
                n_merged += 1
            if n_merged < size:
                merged[series, n_merged] = value
                n_merged += 1
        # What is left of `new` is at least as large as all that is merged.
        n_rest = min(new.shape[1] - next_new, size - n_merged)
        merged[series, n_merged : n_merged + n_rest] = new[series, next_new : next_new + n_rest]


def symmetric_quantiles(sorted_values: Floats, level: float) -> tuple[float, float]:
    """Return the quantiles 1 - level and level of sorted values (n,), interpolated between neighbours.

    >>> symmetric_quantiles(np.array([0.0, 1.0, 2.0, 3.0, 4.0]), 0.875)
    (0.5, 3.5)
    """
    last = len(sorted_values) - 1
    position = level * last
    below = min(int(position), last - 1)
    fraction = position - below
    # The lower quantile lies as far from the first value as the upper from the last.
    low = sorted_values.item(last - below - 1)
    above_low = sorted_values.item(last - below)
    below_high = sorted_values.item(below)
    high = sorted_values.item(below + 1)
    return above_low + fraction * (low - above_low), below_high + fraction * (high - below_high)


@jit
def crossing_curves(offered: Floats, moved: Floats, sizes: Floats) -> Floats:
    """Return three averages for each size (s,), (3, s), over quotes to which these amounts (n,) were offered.

    The share that is filled; how often it is filled whole; the share that is not filled x what happened then (n,).
    """
    curves = np.zeros((3, len(sizes)))
    for row in range(len(offered)):
        for size in range(len(sizes)):
            share = min(1.0, offered[row] / sizes[size])
            curves[0, size] += share
            if share == 1:
                curves[1, size] += 1
            curves[2, size] += (1 - share) * moved[row]
    return curves / len(offered)
