"""Both sides of many books as arrays, to walk many sizes through all of them at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from orderbook import OrderBook

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

SIGNS: Floats = np.array([1.0, -1.0])
"""The first axis of what is asked of a ladder: buying, selling."""


class Ladder:
    """n books, ready to be walked: `best` (2, n) is the first price a buyer and a seller takes, and
    `visible` (2, n) what all the levels hold."""

    def __init__(self, books: Sequence[OrderBook]) -> None:
        sides = [book.asks for book in books] + [book.bids for book in books]
        depths = [len(side) for side in sides]
        deepest = max(depths)
        if min(depths) == deepest:
            levels = np.concatenate(sides).reshape(2, len(books), deepest, 2)
        else:
            padded = np.zeros((len(sides), deepest, 2))
            for row, side in enumerate(sides):
                padded[row, : len(side)] = side
                padded[row, len(side) :, 0] = side[-1, 0]
            levels = padded.reshape(2, len(books), deepest, 2)
        prices, sizes = levels[..., 0], levels[..., 1]
        self.best = prices[:, :, 0]
        self._distance = SIGNS[:, None, None] * (prices - prices[:, :, :1])
        # Before any level there is nothing: the sums start with a zero.
        self._depth, self._cost = np.zeros((2, 2, len(books), deepest + 1))
        np.cumsum(sizes, axis=2, out=self._depth[:, :, 1:])
        np.cumsum(sizes * self._distance, axis=2, out=self._cost[:, :, 1:])
        self.visible = self._depth[:, :, -1]
        # One sorted array of all books' depths: book r's are shares of its own, between r and r + 1/2.
        shares = self._depth[:, :, 1:] / self.visible[:, :, None] / 2
        self._sorted = (shares + np.arange(2 * len(books)).reshape(2, -1, 1)).ravel()

    def excess(self, rows: Rows, quantity: Floats, slope: Floats) -> Floats:
        """The average price paid beyond the best, (2, m, s) for these m books and quantities (2, m, s).

        The book's price goes on at slope (m, 1), price per base unit, beyond its last visible level.
        """
        side, book = np.arange(2)[:, None, None], rows[:, None]
        deepest, books = self._distance.shape[2], self._distance.shape[1]
        visible = self.visible[:, rows, None]
        place = side * books + book
        whole = np.searchsorted(self._sorted, place + np.minimum(quantity / visible, 1.5) / 2) - place * deepest
        rest = quantity - self._depth[side, book, whole]
        last = np.minimum(whole, deepest - 1)
        paid = self._cost[side, book, whole] + rest * self._distance[side, book, last]
        average: Floats = (paid + slope * np.maximum(quantity - visible, 0.0) ** 2 / 2) / quantity
        return average

    def offered(self, side: Rows, rows: Rows, price: Floats) -> Floats:
        """What these books offer to quotes at these prices, or better, (m,) base units. side: 0 buying, 1 selling."""
        distance = SIGNS[side] * (price - self.best[side, rows])
        reached = np.count_nonzero(self._distance[side, rows] <= distance[:, None], axis=1)
        volume: Floats = self._depth[side, rows, reached]
        return volume
