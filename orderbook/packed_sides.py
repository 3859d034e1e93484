"""Hold both sides of a book as packed levels, the best first, and change them level by level in machine code."""

from __future__ import annotations

import numpy as np

from numerics.arrays import Ints
from numerics.jit import jit, jit_holding_gil, live
from orderbook.book import Levels

SPARE_LEVELS = 1000
"""How many new levels fit before those of a side. More changes at once are sorted in, not searched for one by one."""

_ALL_LEVELS = 2**62


class BookSides:
    """Bids and asks as (n, 2) prices and sizes, no price twice.

    The levels lie at the far end of their array, so that a change moves only those that are better than it: almost
    every change is near the best price, and almost every level of a deep book is not.

    publish: the most levels of each side that `levels` returns.
    keep: levels of each side beyond this many are forgotten; None keeps all.
    largest: every price and size must be below it.
    """

    __slots__ = ("_asks", "_bids", "_bounds", "_keep", "_largest", "_publish", "_spare", "_top_asks", "_top_bids")

    def __init__(self, publish: int, keep: int | None, largest: float) -> None:
        self._publish = publish
        # Copies of the published levels; None once they have changed.
        self._top_bids: Levels | None = None
        self._top_asks: Levels | None = None
        self._keep = _ALL_LEVELS if keep is None else keep
        self._largest = largest
        self._bounds = np.zeros(4, dtype=np.int64)
        """Where the bids begin and end in their array, and the asks in theirs."""
        self.clear()

    def __len__(self) -> int:
        bid_begin, bid_end, ask_begin, ask_end = self._bounds.tolist()
        length: int = bid_end - bid_begin + ask_end - ask_begin
        return length

    def clear(self) -> None:
        """Forget all levels."""
        self._allocate(np.empty((0, 2)), np.empty((0, 2)))

    def best_prices(self, count: int) -> tuple[list[float], list[float]]:
        """Return the best `count` prices of each side, or all there are."""
        bid_begin, bid_end, ask_begin, ask_end = self._bounds.tolist()
        return (
            self._bids[bid_begin:bid_end, 0][:count].tolist(),
            self._asks[ask_begin:ask_end, 0][:count].tolist(),
        )

    def levels(self) -> tuple[Levels, Levels]:
        """Return the best `publish` bids and asks, read-only; later changes do not touch them."""
        bids, asks = self._top_bids, self._top_asks
        if bids is None or asks is None:
            bid_begin, bid_end, ask_begin, ask_end = self._bounds.tolist()
            if bids is None:
                bids = self._top_bids = self._bids[bid_begin:bid_end][: self._publish].copy()
                bids.setflags(write=False)
            if asks is None:
                asks = self._top_asks = self._asks[ask_begin:ask_end][: self._publish].copy()
                asks.setflags(write=False)
        return bids, asks

    def apply(self, bids: Levels, asks: Levels) -> int:
        """Apply changes in their order, then forget the levels beyond `keep`.

        Return -1, or the first row that is neither a level nor a delete, counted over all bids and then the asks. In
        that case nothing has changed.
        """
        n_changes = max(len(bids), len(asks))
        if n_changes > self._spare:
            bid_begin, bid_end, ask_begin, ask_end = self._bounds.tolist()
            held_bids = self._bids[bid_begin:bid_end]
            held_asks = self._asks[ask_begin:ask_end]
            if n_changes > SPARE_LEVELS:
                invalid_row = _LIVE_FIND_INVALID_ROW.call(np.concatenate((bids, asks)), self._largest)
                if invalid_row < 0:
                    self._allocate(self._sort_in(held_bids, bids, -1), self._sort_in(held_asks, asks, 1))
                return invalid_row
            self._allocate(held_bids, held_asks)
        # Each change adds one level at most, so counting changes is enough to know that the next ones fit.
        self._spare -= n_changes
        invalid_row, has_new_bids, has_new_asks = _LIVE_CHANGE_BOOK.call(
            self._bids, self._asks, self._bounds, bids, asks, self._keep, self._publish, self._largest
        )
        if has_new_bids:
            self._top_bids = None
        if has_new_asks:
            self._top_asks = None
        return invalid_row

    def _sort_in(self, levels: Levels, changes: Levels, sign: int) -> Levels:
        """Apply all changes of one side at once by sorting; sign is 1 for asks and -1 for bids."""
        # The sort is stable: of the rows at one price the held level comes first and the last change last.
        rows = np.concatenate((levels, changes))
        rows = rows[np.argsort(rows[:, 0] * sign, kind="stable")]
        is_last = np.append(rows[1:, 0] != rows[:-1, 0], True)
        return rows[is_last & (rows[:, 1] > 0)][: self._keep]

    def _allocate(self, bids: Levels, asks: Levels) -> None:
        """Copy the levels into new arrays with `SPARE_LEVELS` rows before them."""
        self._bids = np.concatenate((np.empty((SPARE_LEVELS, 2)), bids))
        self._asks = np.concatenate((np.empty((SPARE_LEVELS, 2)), asks))
        self._bounds[:] = SPARE_LEVELS, len(self._bids), SPARE_LEVELS, len(self._asks)
        self._spare = SPARE_LEVELS
        self._top_bids = self._top_asks = None


@jit_holding_gil
def _find_invalid_row(changes: Levels, largest: float) -> int:
    """Return the first row that is neither a level nor a delete, or -1."""
    for row in range(len(changes)):
        price, size = changes[row, 0], changes[row, 1]
        if not (size == 0 or (0 < size < largest and 0 < price < largest)):
            return row
    return -1


@jit
def _change_side(levels: Levels, begin: int, end: int, sign: float, changes: Levels) -> tuple[int, int]:
    """Apply changes in their order to the side that is levels[begin:end].

    Return where the side begins now, and the place of the best level that changed, counted from the best level; it
    is len(levels) if none changed.

    Args:
        levels: the whole array; before `begin` there is room for all changes.
        begin: the place of the best level.
        end: the place after the worst level; it does not move.
        sign: 1.0 for asks, -1.0 for bids: price * sign rises from the best level to the worst.
        changes: (n, 2), all valid; a size of 0 deletes.
    """
    # The same memory as a row: level i is numbers[2 * i] (price) and numbers[2 * i + 1] (size).
    numbers = levels.reshape(-1)
    best_changed = len(levels)
    for row in range(len(changes)):
        price, size = changes[row, 0], changes[row, 1]
        # 1. Search by halves. All levels before `at` are better than the price, none from `after` on is.
        at = begin
        after = end
        while at < after:
            middle = (at + after) >> 1
            if levels[middle, 0] * sign < price * sign:
                at = middle + 1
            else:
                after = middle
        # 2. `at` is the place of the level if it is held, or of the level that would follow it.
        is_held = at < end and levels[at, 0] == price
        # 3. Keep the best place that changed. Only a change that is better still can move a level afterwards, and it
        #    has a better place itself.
        if is_held or size > 0:
            best_changed = min(best_changed, at - begin)
        # 4. Replace, delete or insert. levels[begin:end] stays sorted without a gap, and levels from `at` on stay where
        #    they are: only the better ones move. The copies are written as loops over two views, because only then
        #    does the compiler see that many numbers can be moved at once.
        if is_held and size > 0:
            levels[at, 1] = size
        elif is_held:
            # Better levels move one place towards the worst, the last of them first: none is overwritten unread.
            target = numbers[2 * begin + 2 : 2 * at + 2]
            source = numbers[2 * begin : 2 * at]
            for number in range(len(target) - 1, -1, -1):
                target[number] = source[number]
            begin += 1
        elif size > 0:
            # Better levels move one place into the room before them, the first of them first.
            target = numbers[2 * begin - 2 : 2 * at - 2]
            source = numbers[2 * begin : 2 * at]
            for number in range(len(target)):
                target[number] = source[number]
            begin -= 1
            levels[at - 1, 0] = price
            levels[at - 1, 1] = size
    return begin, best_changed


@jit_holding_gil
def _change_book(
    held_bids: Levels,
    held_asks: Levels,
    bounds: Ints,
    bids: Levels,
    asks: Levels,
    keep: int,
    publish: int,
    largest: float,
) -> tuple[int, bool, bool]:
    """Apply changes to both sides, or to none if a row is invalid.

    Return the first invalid row or -1 (all bids are counted before the asks), and whether the published bids and the
    published asks have changed.

    Args:
        held_bids: the array of the bids, with room for the changes before them.
        held_asks: the array of the asks, likewise.
        bounds: (4,), where the bids begin and end and where the asks do; written to.
        bids: (n, 2), changes of bids in their order.
        asks: (m, 2), changes of asks.
        keep: levels of each side beyond this many are forgotten.
        publish: how many levels of each side are published.
        largest: every price and size must be below it.
    """
    # 1. Check all rows first, so that an invalid one leaves both sides as they were.
    invalid_row = _find_invalid_row(bids, largest)
    if invalid_row >= 0:
        return invalid_row, False, False
    invalid_row = _find_invalid_row(asks, largest)
    if invalid_row >= 0:
        return len(bids) + invalid_row, False, False
    # 2. Change the sides: only where they begin can move.
    bounds[0], best_bid = _change_side(held_bids, bounds[0], bounds[1], -1.0, bids)
    bounds[2], best_ask = _change_side(held_asks, bounds[2], bounds[3], 1.0, asks)
    # 3. Forget the worst levels by moving the ends.
    bounds[1] = min(bounds[1], bounds[0] + keep)
    bounds[3] = min(bounds[3], bounds[2] + keep)
    # 4. A change below the last published place leaves what is published as it was.
    return -1, best_bid < publish, best_ask < publish


_LIVE_FIND_INVALID_ROW = live(_find_invalid_row)
_LIVE_CHANGE_BOOK = live(_change_book)
