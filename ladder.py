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

WALKED = 16
OFFERED = 4
"""How many levels are looked at first; twice as many until they are enough."""


class Books(NamedTuple):
    """m books in the order of their time.

    market_ns: (m,) int64. touch: (2, m, 2), price and size of the best ask and the best bid.
    levels(rows, depth): (2, k, d, 2), the first `depth` asks and bids of k of the books, or all there are; a side
    that ends before goes on at its last price with sizes of zero.
    """

    market_ns: Rows
    touch: Floats
    levels: Callable[[Rows, int], Floats]

    @classmethod
    def of(cls, market_ns: Rows, levels: Floats) -> Self:
        """From one array (2, m, depth, 2), as `levels` would give it."""
        return cls(market_ns, levels[:, :, 0], lambda rows, depth: levels[:, rows, :depth])

    @classmethod
    def stacked(cls, books: Sequence[OrderBook]) -> Self:
        """From books of any depths; only what is asked for is copied."""

        def levels(rows: Rows, depth: int) -> Floats:
            chosen = [books[row] for row in rows.tolist()]
            sides = [book.asks[:depth] for book in chosen] + [book.bids[:depth] for book in chosen]
            lengths = np.fromiter(map(len, sides), np.int64, len(sides))
            deepest, all_levels = int(lengths.max()), np.concatenate(sides)
            if len(all_levels) < len(sides) * deepest:
                level = np.arange(deepest)
                starts, last = np.cumsum(lengths) - lengths, lengths[:, None] - 1
                all_levels = all_levels[starts[:, None] + np.minimum(level, last)]
                all_levels[level > last, 1] = 0.0
            return all_levels.reshape(2, len(chosen), deepest, 2)

        clock = np.fromiter((book.market_ns for book in books), np.int64, len(books))
        return cls(clock, levels(np.arange(len(books)), 1)[:, :, 0], levels)

    def some(self, rows: Rows) -> Books:
        """These of the books."""
        return Books(self.market_ns[rows], self.touch[:, rows], lambda some, depth: self.levels(rows[some], depth))

    def offered(self, side: Rows, rows: Rows, price: Floats) -> Floats:
        """What these books offer to quotes at these prices, or better, (k,) base units. side: 0 buying, 1 selling."""
        volume, depth, reached = np.zeros(len(rows)), OFFERED // 2, np.ones((len(rows), OFFERED // 2), dtype=bool)
        while reached.shape[1] == depth and reached[:, -1].any():
            depth *= 2
            levels = self.levels(rows, depth)[side, np.arange(len(rows))]
            reached = SIGNS[side, None] * (levels[:, :, 0] - price[:, None]) <= 0
            volume = np.vecdot(levels[:, :, 1], reached)
        return volume


class Ladder:
    """k of the books, ready to be walked by up to `largest` base units: `best` (2, k) is the first price a buyer and
    a seller takes, and `visible` (2, k) what the levels hold, all of them or those that `largest` reaches."""

    def __init__(self, books: Books, rows: Rows, largest: float) -> None:
        depth = WALKED
        while True:
            levels = books.levels(rows, depth)
            prices, sizes = levels[..., 0], levels[..., 1]
            # Before any level there is nothing: the sums start with a zero.
            self._depth, self._cost = sums = np.zeros((2, 2, len(rows), levels.shape[2] + 1))
            np.cumsum(sizes, axis=2, out=sums[0, :, :, 1:])
            self.visible = self._depth[:, :, -1]
            if levels.shape[2] < depth or self.visible.min() >= largest:
                break
            depth *= 2
        self.best = prices[:, :, 0]
        self._distance = SIGNS[:, None, None] * (prices - prices[:, :, :1])
        np.cumsum(sizes * self._distance, axis=2, out=self._cost[:, :, 1:])
        # One sorted array of all books' depths: book r's are shares of its own, between r and r + 1/2.
        shares = self._depth[:, :, 1:] / self.visible[:, :, None] / 2
        self._sorted = (shares + np.arange(2 * len(rows)).reshape(2, -1, 1)).ravel()

    def excess(self, rows: Rows, quantity: Floats, slope: Floats) -> Floats:
        """The average price paid beyond the best, (2, m, s) for these m of the k books and quantities (2, m, s).

        The book's price goes on at slope (m, 1), price per base unit, beyond its last visible level.
        """
        deepest = self._distance.shape[2]
        visible = self.visible[:, rows, None]
        place = (np.array([[0], [len(self.best[0])]]) + rows)[:, :, None]
        whole = np.searchsorted(self._sorted, place + np.minimum(quantity / visible, 1.5) / 2) - place * deepest
        below = place * (deepest + 1) + whole
        rest = quantity - self._depth.ravel()[below]
        last = place * deepest + np.minimum(whole, deepest - 1)
        paid = self._cost.ravel()[below] + rest * self._distance.ravel()[last]
        average: Floats = (paid + slope * np.maximum(quantity - visible, 0.0) ** 2 / 2) / quantity
        return average
