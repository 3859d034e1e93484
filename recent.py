"""The last of a long series of numbers, and what those say once they are put in order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Recent:
    """The last `most` of a series of columns (..., n), the newest last."""

    def __init__(self, most: int, *height: int) -> None:
        self._most = most
        self._held: Floats = np.empty((*height, 2 * most))
        self._begin = self._end = 0

    @property
    def all(self) -> Floats:
        """(..., n), to be read before more are added."""
        return self._held[..., self._begin : self._end]

    def add(self, columns: Floats) -> None:
        columns = columns[..., -self._most :]
        if self._end + columns.shape[-1] > self._held.shape[-1]:
            kept = self.all.copy()
            self._begin, self._end = 0, kept.shape[-1]
            self._held[..., : self._end] = kept
        begin, self._end = self._end, self._end + columns.shape[-1]
        self._held[..., begin : self._end] = columns
        self._begin = max(self._begin, self._end - self._most)


def ends(ordered: Floats, level: float) -> tuple[float, float]:
    """The quantiles 1 - level and level of sorted values (n,), interpolated.

    >>> ends(np.array([0.0, 1.0, 2.0, 3.0, 4.0]), 0.875)
    (0.5, 3.5)
    """
    last = len(ordered) - 1
    place = level * last
    below = min(int(place), last - 1)
    low, lower, upper, high = (ordered.item(at) for at in (last - below - 1, last - below, below, below + 1))
    part = place - below
    return lower + part * (low - lower), upper + part * (high - upper)


def shares_offered(ordered: Floats, sizes: Floats) -> tuple[float, ...]:
    """The average share of each size that is filled where sorted amounts (n,) are on offer.

    >>> shares_offered(np.array([1.0, 2.0, 8.0]), np.array([1.0, 4.0]))
    (1.0, 0.5833333333333334)
    """
    less = np.searchsorted(ordered, sizes)
    total = np.cumsum(ordered)[less - 1]
    shares = (np.where(less > 0, total, 0.0) / sizes + (len(ordered) - less)) / len(ordered)
    return tuple(shares.tolist())
