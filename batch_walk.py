"""One side of many books, walked by an order each: orderbook.walk, for all of them at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orderbook import Levels

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

FIRST_LEVELS = 8
MOST_LEVELS = 256
"""How many levels of the books that still need them are looked at together: few at first, at most so many."""


class Fills(NamedTuple):
    """orderbook.Fill as (n,) columns."""

    quantity: Floats
    vwap: Floats
    worst_price: Floats
    levels: Rows
    unfilled: Floats


class SideBlock:
    """n books' levels of one side, best first, one book after another: book r's are levels[starts[r]:starts[r + 1]]."""

    def __init__(self, levels: Levels, starts: Rows) -> None:
        self._levels, self._starts = levels, starts
        self.depths: Rows = np.diff(starts)
        self._even: Levels | None = None
        if len(self.depths) and (self.depths == self.depths[0]).all():
            self._even = levels.reshape(len(self.depths), self.depths[0], 2)

    def __len__(self) -> int:
        return len(self.depths)

    def some(self, rows: slice | Rows, first: int, last: int) -> tuple[Floats, Floats]:
        """Prices and sizes of levels first to last (excluded) of these books, (m, k) each; beyond a book's
        last level its price, with size 0."""
        if self._even is not None and first < self._even.shape[1]:
            both = self._even[rows, first:last]
            return both[:, :, 0], both[:, :, 1]
        depths, starts = self.depths[rows], self._starts[:-1][rows]
        level = np.arange(first, last)
        both = self._levels[starts[:, None] + np.minimum(level, depths[:, None] - 1)]
        return both[:, :, 0], np.where(level < depths[:, None], both[:, :, 1], 0.0)

    def top(self, rows: slice | Rows, depth: int) -> Levels:
        """As ladder.Books gives levels: (k, d, 2), the first `depth` of these books, or all that any of them has."""
        if self._even is not None:
            return self._even[rows, :depth]
        return np.stack(self.some(rows, 0, min(depth, int(self.depths[rows].max()))), axis=2)

    def best(self) -> Levels:
        """The first level of each book, (n, 2)."""
        best: Levels = self._levels[self._starts[:-1]]
        return best


def walk(side: SideBlock, rows: slice | Rows, quantity: Floats) -> Fills:
    """What these books fill of orders of quantity (m,), a book each."""
    count = len(quantity)
    filled, excess, worst = np.zeros((3, count))
    best = np.ascontiguousarray(side.some(rows, 0, 1)[0][:, 0])
    levels = np.array(side.depths[rows])
    # Those that need more levels than were looked at so far.
    left: slice | Rows = slice(None)
    first, last = 0, FIRST_LEVELS
    while True:
        price, size = side.some(rows, first, last)
        k = size.shape[1]
        wanted, start = quantity[left], best[left]
        distance = price - start[:, None]
        before, paid = np.empty((2, len(wanted), k + 1))
        before[:, 0], paid[:, 0] = filled[left], excess[left]
        before[:, 1:], paid[:, 1:] = size, distance * size
        np.cumsum(before, axis=1, out=before)
        np.cumsum(paid, axis=1, out=paid)
        remaining = wanted[:, None] - before[:, :-1]
        enough = before[:, 1:] >= wanted[:, None]
        at = enough.argmax(axis=1)
        each = np.arange(len(wanted))
        ends = enough[each, at]
        filled[left] = np.where(ends, wanted, before[:, -1])
        excess[left] = np.where(ends, paid[each, at] + distance[each, at] * remaining[each, at], paid[:, -1])
        worst[left] = np.where(ends, price[each, at], price[:, -1])
        levels[left] = np.where(ends, np.minimum(first + at + 1, levels[left]), levels[left])
        if ends.all():
            break
        more = ~ends & (side.depths[rows] > last) & (filled[left] < wanted)
        if not more.any():
            break
        rows = (np.arange(len(side))[rows] if isinstance(rows, slice) else rows)[more]
        left = (np.arange(count) if isinstance(left, slice) else left)[more]
        first, last = last, last + min(4 * (last - first), MOST_LEVELS)
    return Fills(filled, best + excess / filled, worst, levels, quantity - filled)
