"""Many books as arrays, to walk many sizes through all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from orderbook import OrderBook

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

SIGNS: Floats = np.array([1.0, -1.0])
"""The first axis of what is asked of books and ladders: buying (the asks), selling (the bids)."""

WALKED = 64
OFFERED = 4
"""How many levels are looked at first, and four times as many until they are enough."""


class Books(NamedTuple):
    """m books in the order of their time.

    market_ns: (m,) int64. touch: (2, m, 2), price and size of the best ask and the best bid.
    levels(side, rows, depth): (k, d, 2), of k of the books the first `depth` levels, or all there are, of the asks
    (side 0) or the bids (1); a side that ends before goes on at its last price with sizes of zero.
    """

    market_ns: Rows
    touch: Floats
    levels: Callable[[int, Rows, int], Floats]

    @classmethod
    def of(cls, market_ns: Rows, levels: Floats) -> Self:
        """From one array (2, m, depth, 2) of asks and bids, padded as above."""
        return cls(market_ns, levels[:, :, 0], lambda side, rows, depth: levels[side, rows, :depth])

    @classmethod
    def stacked(cls, books: Sequence[OrderBook]) -> Self:
        """From books of any depths; only what is asked for is copied."""
        sides = [book.asks for book in books], [book.bids for book in books]
        clock = np.fromiter((book.market_ns for book in books), np.int64, len(books))
        touch = np.array([[[side.item(place) for side in both] for place in (0, 1)] for both in sides])

        def levels(side: int, rows: Rows, depth: int) -> Floats:
            chosen = [sides[side][row] for row in rows.tolist()]
            return _even([each if len(each) <= depth else each[:depth] for each in chosen])

        return cls(clock, touch.transpose(0, 2, 1), levels)

    def some(self, rows: Rows) -> Books:
        """These of the books."""
        return Books(
            self.market_ns[rows],
            self.touch[:, rows],
            lambda side, some, depth: self.levels(side, rows[some], depth),
        )

    def offered(self, side: int, rows: Rows, price: Floats) -> Floats:
        """What these books offer at these prices or better, (k,) base units, on side 0 (asks) or 1 (bids)."""
        volume, depth, left = np.zeros(len(rows)), OFFERED, np.arange(len(rows))
        while len(left):
            levels = self.levels(side, rows[left], depth)
            reached = SIGNS[side] * (levels[:, :, 0] - price[left, None]) <= 0
            volume[left] = np.vecdot(levels[:, :, 1], reached)
            left = left[reached[:, -1] & (levels.shape[1] == depth)]
            depth *= 4
        return volume


def _even(sides: Sequence[Floats]) -> Floats:
    """Sides (d, 2) as one array, the shorter ones padded: prices stay, sizes are zero."""
    levels = np.concatenate(sides)
    lengths = np.fromiter(map(len, sides), np.int64, len(sides))
    deepest = int(lengths.max())
    if len(levels) < len(sides) * deepest:
        level, last = np.arange(deepest), lengths[:, None] - 1
        levels = levels[(np.cumsum(lengths) - lengths)[:, None] + np.minimum(level, last)]
        levels[level > last, 1] = 0.0
    return levels.reshape(len(sides), deepest, 2)


def span(rows: Rows) -> slice | Rows:
    """Rows that follow each other as a slice, which copies nothing; others as they are.

    >>> span(np.array([4, 5, 6]))
    slice(4, 7, None)
    >>> span(np.array([4, 6, 5])).tolist()
    [4, 6, 5]
    """
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


class Ladder:
    """k of the books, ready to be walked by up to `largest` base units: `best` (2, k) is the first price a buyer and
    a seller takes, and `visible` (2, k) what the levels hold: all of them, or as many as `largest` needs."""

    def __init__(self, books: Books, rows: Rows, largest: float) -> None:
        depth, enough = WALKED, False
        while not enough:
            both = books.levels(0, rows, depth), books.levels(1, rows, depth)
            found = max(side.shape[1] for side in both)
            # Level by level, so that every step below is one over many books. Before any level there is nothing:
            # the sums start with a zero.
            prices, sums = np.empty((found, 2, len(rows))), np.zeros((2, found + 1, 2, len(rows)))
            for side, levels in enumerate(both):
                own = levels.shape[1]
                prices[:own, side], sums[0, 1 : own + 1, side] = levels.transpose(2, 1, 0)
                prices[own:, side] = prices[own - 1, side]
            enough = found < depth or sums[0].sum(axis=0).min() >= largest
            depth *= 4
        self.best = prices[0].copy()
        self._distance = np.subtract(prices, self.best, out=prices)
        np.abs(prices, out=prices)
        np.multiply(sums[0, 1:], prices, out=sums[1, 1:])
        for level in range(1, found):
            sums[:, level + 1] += sums[:, level]
        self._depth, self._cost = sums
        self.visible = self._depth[-1]
        self._least = self._depth.min(axis=(1, 2))

    def excess(self, rows: Rows, quantity: Floats, slope: Floats) -> Floats:
        """The average price paid beyond the best, (s, 2, m) for s quantities (s, 2, m) from these m of the k books.

        The book's price goes on at slope (m,), price per base unit, beyond its last visible level.
        """
        depth = self._depth[1:, :, span(rows)]
        whole = np.empty(quantity.shape, dtype=np.int64)
        for size, count in zip(quantity, whole, strict=True):
            # No book is walked deeper than where the thinnest holds as much.
            needed = np.searchsorted(self._least[1:], size.max()) + 1
            passed = (depth[:needed] <= size).view(np.uint8)
            count[...] = np.add.reduce(passed, axis=0, dtype=np.uint8 if needed < 256 else np.uint32)
        books, column = self.best.size, rows + np.array([[0], [len(self.best[0])]])
        below, last = whole * books + column, np.minimum(whole, len(depth) - 1) * books + column
        paid = (quantity - self._depth.ravel()[below]) * self._distance.ravel()[last] + self._cost.ravel()[below]
        beyond = np.maximum(quantity - depth[-1], 0.0)
        average: Floats = (paid + slope / 2 * beyond**2) / quantity
        return average
