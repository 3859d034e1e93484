"""Hold many books as arrays, and walk many sizes through them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

import numpy as np

from numerics.arrays import Floats, Ints
from numerics.jit import jit
from orderbook.book import Levels, OrderBook

AGGRESSOR_SIGNS: Floats = np.array([1.0, -1.0])
"""The sign of an aggressor on side 0 (buying, takes the asks) and on side 1 (selling, takes the bids).

All arrays over both sides of a book have this order.
"""


class SideBatch(NamedTuple):
    """One side of k books, read-only: the levels of book r are levels[begins[r]:ends[r]], best first."""

    levels: Levels
    begins: Ints
    ends: Ints

    @classmethod
    def from_sides(cls, sides: Sequence[Levels]) -> Self:
        """Build a batch from a copy of one side of each book."""
        levels = np.concatenate([np.empty((0, 2)), *sides])
        levels.flags.writeable = False
        starts = np.cumsum([0, *map(len, sides)])
        return cls(levels, starts[:-1], starts[1:])

    def take(self, rows: slice | Ints) -> SideBatch:
        """Return the books of these rows, in the order of the rows."""
        return SideBatch(self.levels, self.begins[rows], self.ends[rows])

    def best_levels(self) -> Levels:
        """Return the best level of each book, (k, 2)."""
        best: Levels = self.levels[self.begins]
        return best


class BookBatch(NamedTuple):
    """The books of one market, m of them, in the order of their time.

    market_ns: (m,) int64.
    touch: (2, m, 2), price and size of the best ask and the best bid.
    sides: called as sides(side, rows), returns the asks (side 0) or the bids (side 1) of the books of these k rows.
    """

    market_ns: Ints
    touch: Floats
    sides: Callable[[int, Ints], SideBatch]

    @classmethod
    def from_books(cls, books: Sequence[OrderBook]) -> Self:
        """Build a batch from books of any depths; levels are copied only when `sides` is called."""
        sides = [book.asks for book in books], [book.bids for book in books]
        market_ns = np.fromiter((book.market_ns for book in books), np.int64, len(books))
        # A level's first number is its price and its second the size, so this is (side, number, book).
        touch = np.array([[[side.item(number) for side in all_books] for number in (0, 1)] for all_books in sides])
        return cls(
            market_ns,
            np.ascontiguousarray(touch.transpose(0, 2, 1)),
            lambda side, rows: SideBatch.from_sides([sides[side][row] for row in rows.tolist()]),
        )

    def take(self, rows: Ints) -> BookBatch:
        """Return the books of these rows, in the order of the rows."""
        return BookBatch(
            self.market_ns[rows], self.touch.take(rows, axis=1), lambda side, chosen: self.sides(side, rows[chosen])
        )

    def quantity_within(self, side: int, rows: Ints, price: Floats) -> Floats:
        """Return what the books of these rows offer at their price or better, (k,) base units.

        side: 0 for asks, 1 for bids.
        price: (k,), one price a row.
        """
        return _quantity_within(*self.sides(side, rows), AGGRESSOR_SIGNS.item(side), price)


@jit
def _quantity_within(levels: Levels, begins: Ints, ends: Ints, sign: float, price: Floats) -> Floats:
    """Return the size of each book's levels that are not worse than its price, (k,).

    Args:
        levels: (n, 2), the levels of k books.
        begins: (k,), the place of each book's best level.
        ends: (k,), the place after its worst.
        sign: 1.0 for asks, -1.0 for bids.
        price: (k,).
    """
    volume = np.zeros(len(begins))
    for row in range(len(begins)):
        # Levels are sorted, so none after the first worse one counts.
        for level in range(begins[row], ends[row]):
            if sign * (levels[level, 0] - price[row]) > 0:
                break
            volume[row] += levels[level, 1]
    return volume


@jit
def walk_sizes(
    levels: Levels, begins: Ints, ends: Ints, rows: Ints, quantity: Floats, slope: Floats
) -> tuple[Floats, Floats]:
    """Walk s growing sizes through one side of each of m books.

    Return two arrays (m, s): the average price paid beyond the best, and 1.0 where the visible levels hold the whole
    size, else 0.0.

    Args:
        levels: (n, 2), the levels of all books of one side.
        begins: the place of each book's best level.
        ends: the place after its worst.
        rows: (m,), which books to walk.
        quantity: (m, s), base units, rising along each row.
        slope: (m,), price per base unit at which the book's price goes on beyond its last visible level.
    """
    average = np.empty(quantity.shape)
    inside = np.empty(quantity.shape)
    for place in range(len(rows)):
        # Each size is larger than the one before, so the walk of a book goes on where the last size stopped: all
        # levels before `level` are taken whole, `depth` is their size, and `cost` is their size times distance.
        level = begins[rows[place]]
        end = ends[rows[place]]
        best = levels[level, 0]
        distance = 0.0  # from the best price to that of `level`, or of the last level where none is left
        depth = 0.0
        cost = 0.0
        for size in range(quantity.shape[1]):
            wanted = quantity[place, size]
            # 1. Take whole levels while the next one fits; a level taken in part stays for the next size.
            while level < end:
                distance = abs(levels[level, 0] - best)
                if depth + levels[level, 1] > wanted:
                    break
                depth += levels[level, 1]
                cost += levels[level, 1] * distance
                level += 1
            # 2. The rest costs the distance of `level`. Where no level is left, it lies beyond the visible book, and
            #    its price rises from the last distance on: by slope / 2 times the rest on average.
            beyond = wanted - depth if level == end else 0.0
            average[place, size] = ((wanted - depth) * distance + cost + slope[place] / 2 * beyond**2) / wanted
            inside[place, size] = beyond <= 0
    return average, inside


class FillBatch(NamedTuple):
    """The columns (n,) of n `orderbook.Fill`."""

    quantity: Floats
    vwap: Floats
    worst_price: Floats
    levels: Ints
    unfilled: Floats


def walk_batch(side: SideBatch, quantity: Floats) -> FillBatch:
    """Execute an order of quantity (m,), base units, against each of m books."""
    return FillBatch(*_walk_batch(*side, quantity))


@jit
def _walk_batch(
    levels: Levels, begins: Ints, ends: Ints, quantity: Floats
) -> tuple[Floats, Floats, Floats, Ints, Floats]:
    """Walk one size through each book, with the additions of `orderbook.walk` in its order: equal to the last digit."""
    n_books = len(quantity)
    filled = np.empty(n_books)
    vwap = np.empty(n_books)
    worst = np.empty(n_books)
    n_levels = np.empty(n_books, dtype=np.int64)
    unfilled = np.empty(n_books)
    for row in range(n_books):
        level = begins[row]
        end = ends[row]
        wanted = quantity[row]
        best = price = levels[level, 0]
        # All levels before `level` are taken: `depth` was filled there, `excess` was paid beyond the best price.
        depth = 0.0
        excess = 0.0
        while level < end and depth < wanted:
            price, size = levels[level]
            total = depth + size
            # The last level is taken in part. Setting the sum to the size itself ends the walk also where rounding
            # would leave the sum just below.
            if total >= wanted:
                size = wanted - depth
                total = wanted
            excess += (price - best) * size
            depth = total
            level += 1
        filled[row] = depth
        vwap[row] = best + excess / depth
        worst[row] = price
        n_levels[row] = level - begins[row]
        unfilled[row] = wanted - depth
    return filled, vwap, worst, n_levels, unfilled
