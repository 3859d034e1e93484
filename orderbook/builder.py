"""Build order books from a venue's snapshot and the changes after it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from orderbook.book import LARGEST, BookError, Levels, OrderBook, SortedBook
from orderbook.packed_sides import BookSides

Changes = Levels | Sequence[Sequence[float]]
"""Prices and sizes in the order of the changes; a size of 0 deletes."""


class BookBuilder:
    """Builds books from a snapshot and the changes after it, prices and sizes as (n, 2) or as rows: sizes are
    absolute, zero deletes, and a delete of an unknown level is nothing.

    `publish` levels of each side are published at most. `keep` is the depth the venue keeps the book
    to: after every call the levels beyond it are forgotten. None keeps all.

    >>> builder = BookBuilder(publish=2)
    >>> builder.load(bids=[(99.0, 1.0), (98.0, 5.0), (97.0, 2.0)], asks=[(101.0, 3.0)])
    >>> builder.apply(bids=[(99.0, 0.0), (96.5, 0.0)], asks=[(100.5, 4.0)])
    >>> builder.bids.tolist(), builder.asks.tolist()
    ([[98.0, 5.0], [97.0, 2.0]], [[100.5, 4.0], [101.0, 3.0]])
    """

    __slots__ = ("_sides",)

    def __init__(self, publish: int = 400, keep: int | None = None) -> None:
        if publish < 1 or (keep is not None and keep < 1):
            raise ValueError(f"a book needs a level: publish {publish}, keep {keep}")
        self._sides = BookSides(publish, keep, LARGEST)

    def __len__(self) -> int:
        """All levels held, published or not."""
        return len(self._sides)

    @property
    def bids(self) -> Levels:
        """The published bids, read-only; later changes do not touch them."""
        return self._sides.levels()[0]

    @property
    def asks(self) -> Levels:
        """The published asks, read-only; later changes do not touch them."""
        return self._sides.levels()[1]

    def best(self, count: int) -> tuple[list[float], list[float]]:
        """The best `count` prices of bids and of asks, published or not."""
        return self._sides.best(count)

    def load(self, bids: Changes, asks: Changes) -> None:
        """Forgets everything, then applies a snapshot, its rows in any order. Raises as apply does."""
        self._sides.clear()
        self.apply(bids, asks)

    def apply(self, bids: Changes, asks: Changes) -> None:
        """Applies changes in the order given. Raises BookError on a new level whose price is not positive
        and below LARGEST, or a size that is not at least 0 and below it: load anew after that."""
        bids, asks = _packed(bids), _packed(asks)
        wrong = self._sides.apply(bids, asks)
        if wrong >= 0:
            raise _no_level(*np.concatenate((bids, asks))[wrong].tolist())

    def book(self, venue: str, symbol: str, exchange_ns: int, market_ns: int, received_ns: int) -> OrderBook:
        """The published levels as a book. Raises BookError if a side is empty or the sides touch or cross."""
        bids, asks = self._sides.levels()
        return SortedBook(venue, symbol, bids, asks, exchange_ns, market_ns, received_ns)


def _packed(changes: Changes) -> Levels:
    return changes if isinstance(changes, np.ndarray) else np.array(changes, dtype=np.float64).reshape(-1, 2)


def _no_level(price: float, size: float) -> BookError:
    what = f"change to size {size} at price {price}"
    return BookError(f"{what}: the size must be at least 0, the price positive, both below {LARGEST:g}")
