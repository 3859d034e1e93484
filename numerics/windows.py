"""The last of a long series of numbers, and what those say of what may come."""

from __future__ import annotations

import numpy as np

from numerics.arrays import Floats
from numerics.jit import jit


class RollingWindow:
    """The last `most` of a series of columns (..., n), the newest last."""

    def __init__(self, most: int, *height: int) -> None:
        self._most = most
        self._held: Floats = np.empty((*height, 2 * most))
        self._begin = self._end = 0

    @property
    def values(self) -> Floats:
        """(..., n), to be read before more are added."""
        return self._held[..., self._begin : self._end]

    def add(self, columns: Floats) -> None:
        columns = columns[..., -self._most :]
        if self._end + columns.shape[-1] > self._held.shape[-1]:
            kept = self.values.copy()
            self._begin, self._end = 0, kept.shape[-1]
            self._held[..., : self._end] = kept
        begin, self._end = self._end, self._end + columns.shape[-1]
        self._held[..., begin : self._end] = columns
        self._begin = max(self._begin, self._end - self._most)


class SortedRollingWindow(RollingWindow):
    """The same, each series also in the order of its values."""

    def __init__(self, most: int, *height: int) -> None:
        super().__init__(most, *height)
        # Written from one into the other in turn: fresh memory costs as much as the work done in it.
        self._now, self._next = np.empty((2, *height, most))

    @property
    def sorted_values(self) -> Floats:
        """(..., n), to be read before more are added."""
        ordered: Floats = self._now[..., : self._end - self._begin]
        return ordered

    def add(self, columns: Floats) -> None:
        columns = columns[..., -self._most :]
        held, new = self.values, columns.shape[-1]
        gone = held[..., : max(0, held.shape[-1] + new - self._most)]
        _merge(np.atleast_2d(self._now), held.shape[-1], _in_order(gone), _in_order(columns), np.atleast_2d(self._next))
        self._now, self._next = self._next, self._now
        super().add(columns)


def _in_order(columns: Floats) -> Floats:
    """Each series sorted, (series, n)."""
    ordered = np.array(columns, ndmin=2, order="C")
    ordered.sort()
    return ordered


@jit
def _merge(ordered: Floats, held: int, gone: Floats, new: Floats, made: Floats) -> None:
    """Make of each ordered series one without what is gone and with what is new, in a third of the time of sorting."""
    most = made.shape[1]
    for series in range(len(ordered)):
        left, come, place = 0, 0, 0
        for value in ordered[series, :held]:
            if left < gone.shape[1] and gone[series, left] == value:
                left += 1
                continue
            # What is no number equals nothing: it is never found again, and would be one too many.
            while place < most and come < new.shape[1] and new[series, come] < value:
                made[series, place] = new[series, come]
                come, place = come + 1, place + 1
            if place < most:
                made[series, place] = value
                place += 1
        rest = min(new.shape[1] - come, most - place)
        made[series, place : place + rest] = new[series, come : come + rest]


def symmetric_quantiles(ordered: Floats, level: float) -> tuple[float, float]:
    """The quantiles 1 - level and level of sorted values (n,), interpolated.

    >>> symmetric_quantiles(np.array([0.0, 1.0, 2.0, 3.0, 4.0]), 0.875)
    (0.5, 3.5)
    """
    last = len(ordered) - 1
    place = level * last
    below = min(int(place), last - 1)
    low, lower, upper, high = (ordered.item(at) for at in (last - below - 1, last - below, below, below + 1))
    part = place - below
    return lower + part * (low - lower), upper + part * (high - upper)


@jit
def mean_filled_shares(offered: Floats, sizes: Floats) -> Floats:
    """The average share of each size that is filled where these amounts (n,) are on offer."""
    filled = np.zeros(len(sizes))
    for amount in offered:
        for size in range(len(sizes)):
            filled[size] += min(amount, sizes[size])
    return filled / sizes / len(offered)
