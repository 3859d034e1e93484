"""Many books as arrays, and what it costs to walk many sizes through them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

import numpy as np

from numerics.arrays import Floats, Ints
from numerics.jit import jit
from orderbook.book import Levels, OrderBook

AGGRESSOR_SIGNS: Floats = np.array([1.0, -1.0])
"""What is asked of both sides of a book comes as buying (the asks), then selling (the bids)."""


class SideBatch(NamedTuple):
    """One side of k books, best level first: book r's are levels[begins[r]:ends[r]]; not to be written to."""

    levels: Levels
    begins: Ints
    ends: Ints

    @classmethod
    def from_sides(cls, sides: Sequence[Levels]) -> Self:
        """From a side of each book, which are copied."""
        levels = np.concatenate([np.empty((0, 2)), *sides])
        levels.flags.writeable = False
        starts = np.cumsum([0, *map(len, sides)])
        return cls(levels, starts[:-1], starts[1:])

    def take(self, rows: slice | Ints) -> SideBatch:
        """Those of these books, in this order."""
        return SideBatch(self.levels, self.begins[rows], self.ends[rows])

    def best(self) -> Levels:
        """The first level of each, (k, 2)."""
        best: Levels = self.levels[self.begins]
        return best


class BookBatch(NamedTuple):
    """m books in the order of their time.

    market_ns: (m,) int64. touch: (2, m, 2), price and size of the best ask and the best bid.
    ladders(side, rows): of k of the books the asks (side 0) or the bids (1).
    """

    market_ns: Ints
    touch: Floats
    sides: Callable[[int, Ints], SideBatch]

    @classmethod
    def from_books(cls, books: Sequence[OrderBook]) -> Self:
        """From books of any depths; only what is asked for is copied."""
        sides = [book.asks for book in books], [book.bids for book in books]
        clock = np.fromiter((book.market_ns for book in books), np.int64, len(books))
        touch = np.array([[[side.item(place) for side in both] for place in (0, 1)] for both in sides])
        return cls(
            clock,
            np.ascontiguousarray(touch.transpose(0, 2, 1)),
            lambda side, rows: SideBatch.from_sides([sides[side][row] for row in rows.tolist()]),
        )

    def take(self, rows: Ints) -> BookBatch:
        """These of the books."""
        return BookBatch(
            self.market_ns[rows], self.touch.take(rows, axis=1), lambda side, some: self.sides(side, rows[some])
        )

    def quantity_within(self, side: int, rows: Ints, price: Floats) -> Floats:
        """What these books offer at these prices or better, (k,) base units, on side 0 (asks) or 1 (bids)."""
        return _quantity_within(*self.sides(side, rows), AGGRESSOR_SIGNS.item(side), price)


@jit
def _quantity_within(levels: Levels, begins: Ints, ends: Ints, sign: float, price: Floats) -> Floats:
    volume = np.zeros(len(begins))
    for row in range(len(begins)):
        for level in range(begins[row], ends[row]):
            if sign * (levels[level, 0] - price[row]) > 0:
                break
            volume[row] += levels[level, 1]
    return volume


@jit
def walk_sizes(
    levels: Levels, begins: Ints, ends: Ints, rows: Ints, quantity: Floats, slope: Floats
) -> tuple[Floats, Floats]:
    """The average price paid beyond the best, and 1 where the visible levels hold as much, else 0: both (m, s), for
    sizes (m, s) that grow in each of m of a side's books.

    The book's price goes on at slope (m,), price per base unit, beyond its last visible level.
    """
    average, inside = np.empty(quantity.shape), np.empty(quantity.shape)
    for place in range(len(rows)):
        level, end = begins[rows[place]], ends[rows[place]]
        best, distance, depth, cost = levels[level, 0], 0.0, 0.0, 0.0
        for size in range(quantity.shape[1]):
            wanted = quantity[place, size]
            while level < end:
                distance = abs(levels[level, 0] - best)
                if depth + levels[level, 1] > wanted:
                    break
                depth += levels[level, 1]
                cost += levels[level, 1] * distance
                level += 1
            beyond = wanted - depth if level == end else 0.0
            average[place, size] = ((wanted - depth) * distance + cost + slope[place] / 2 * beyond**2) / wanted
            inside[place, size] = beyond <= 0
    return average, inside


class FillBatch(NamedTuple):
    """orderbook.Fill as (n,) columns."""

    quantity: Floats
    vwap: Floats
    worst_price: Floats
    levels: Ints
    unfilled: Floats


def walk_batch(side: SideBatch, quantity: Floats) -> FillBatch:
    """What these books fill of orders of quantity (m,), a book each."""
    return FillBatch(*_walk_batch(*side, quantity))


@jit
def _walk_batch(
    levels: Levels, begins: Ints, ends: Ints, quantity: Floats
) -> tuple[Floats, Floats, Floats, Ints, Floats]:
    filled, vwap, worst = np.empty(len(quantity)), np.empty(len(quantity)), np.empty(len(quantity))
    used, unfilled = np.empty(len(quantity), dtype=np.int64), np.empty(len(quantity))
    for row in range(len(quantity)):
        level, end, wanted = begins[row], ends[row], quantity[row]
        best = price = levels[level, 0]
        depth, excess = 0.0, 0.0
        while level < end and depth < wanted:
            price, size = levels[level]
            total = depth + size
            if total >= wanted:
                size, total = wanted - depth, wanted
            excess += (price - best) * size
            depth = total
            level += 1
        filled[row], vwap[row], worst[row] = depth, best + excess / depth, price
        used[row], unfilled[row] = level - begins[row], wanted - depth
    return filled, vwap, worst, used, unfilled
