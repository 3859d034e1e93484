"""Build order books from a venue's snapshot and the changes after it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from orderbook.book import LARGEST, BookError, Levels, OrderBook, SortedBook
from orderbook.packed_sides import BookSides

Changes = Levels | Sequence[Sequence[float]]
"""(price, size) of each change, in the order of the changes; a size of 0 deletes."""


class BookBuilder:
    """A builder of books from a snapshot and the changes after it.

    Changes are prices and sizes, as an array (n, 2) or as rows. A size is the level's new size, not a difference;
    zero deletes the level, and a delete of an unknown level does nothing.

    publish: the most levels of each side in a book.
    keep: the depth the venue keeps the book to; after every call the levels beyond it are forgotten. None keeps all.

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
        """Count all levels held, published or not."""
        return len(self._sides)

    @property
    def bids(self) -> Levels:
        """The published bids, read-only; later changes do not touch them."""
        return self._sides.levels()[0]

    @property
    def asks(self) -> Levels:
        """The published asks, read-only; later changes do not touch them."""
        return self._sides.levels()[1]

    def best_prices(self, count: int) -> tuple[list[float], list[float]]:
        """Return the best `count` prices of bids and of asks, published or not."""
        return self._sides.best_prices(count)

    def load(self, bids: Changes, asks: Changes) -> None:
        """Forget everything, then apply a snapshot, whose rows may have any order. Raise as `apply` does."""
        self._sides.clear()
        self.apply(bids, asks)

    def apply(self, bids: Changes, asks: Changes) -> None:
        """Apply changes in their order.

        Raise BookError on a new level whose price is not positive and below LARGEST, or on a size that is not at
        least 0 and below LARGEST. Load a snapshot after that.
        """
        bids = _as_array(bids)
        asks = _as_array(asks)
        invalid_row = self._sides.apply(bids, asks)
        if invalid_row >= 0:
            price, size = np.concatenate((bids, asks))[invalid_row].tolist()
            raise _invalid_change(price, size)

    def book(self, venue: str, symbol: str, exchange_ns: int, market_ns: int, received_ns: int) -> OrderBook:
        """Return the published levels as a book. Raise BookError if a side is empty or the sides touch or cross.

        Args:
            venue: the venue's key.
            symbol: the market's symbol on that venue.
            exchange_ns: the venue's clock, ns since epoch.
            market_ns: the clock the models live on, ns since epoch.
            received_ns: a monotonic stamp, ns.
        """
        bids, asks = self._sides.levels()
        return SortedBook(venue, symbol, bids, asks, exchange_ns, market_ns, received_ns)


def _as_array(changes: Changes) -> Levels:
    """Return the changes as an array (n, 2)."""
    return changes if isinstance(changes, np.ndarray) else np.array(changes, dtype=np.float64).reshape(-1, 2)


def _invalid_change(price: float, size: float) -> BookError:
    """Return the error for a change that is neither a level nor a delete."""
    change = f"change to size {size} at price {price}"
    return BookError(f"{change}: the size must be at least 0, the price positive, both below {LARGEST:g}")
