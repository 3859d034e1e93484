"""Both sides of a book as packed levels, the best first, changed level by level in machine code."""

from __future__ import annotations

import numpy as np

from numerics.arrays import Ints
from numerics.jit import jit, jit_holding_gil
from orderbook.book import Levels

SPARE_LEVELS = 1000
"""Changes that fit before the levels of a side; more at once are sorted in, and not searched for one by one."""

_EVERY = 2**62


class BookSides:
    """Bids and asks as (n, 2) prices and sizes, no price twice.

    The levels lie at the far end of their array, so that a change moves only those that are better than it: almost
    every change is near the best price, and almost every level of a deep book is not.
    """

    __slots__ = ("_asks", "_bids", "_keep", "_largest", "_publish", "_room", "_top_asks", "_top_bids", "_where")

    def __init__(self, publish: int, keep: int | None, largest: float) -> None:
        self._publish = publish
        self._top_bids: Levels | None = None
        self._top_asks: Levels | None = None
        self._keep = _EVERY if keep is None else keep
        self._largest = largest
        self._where = np.zeros(4, dtype=np.int64)
        """Where the bids begin and end in their array, and the asks in theirs."""
        self.clear()

    def __len__(self) -> int:
        first_bid, last_bid, first_ask, last_ask = self._where.tolist()
        length: int = last_bid - first_bid + last_ask - first_ask
        return length

    def clear(self) -> None:
        self._place(np.empty((0, 2)), np.empty((0, 2)))

    def best(self, count: int) -> tuple[list[float], list[float]]:
        """The best `count` prices of each side, or all there are."""
        first_bid, last_bid, first_ask, last_ask = self._where.tolist()
        return (
            self._bids[first_bid:last_bid, 0][:count].tolist(),
            self._asks[first_ask:last_ask, 0][:count].tolist(),
        )

    def levels(self) -> tuple[Levels, Levels]:
        """The best `publish` bids and asks, read-only; later changes do not touch them."""
        bids, asks = self._top_bids, self._top_asks
        if bids is None or asks is None:
            first_bid, last_bid, first_ask, last_ask = self._where.tolist()
            if bids is None:
                bids = self._top_bids = self._bids[first_bid:last_bid][: self._publish].copy()
                bids.setflags(write=False)
            if asks is None:
                asks = self._top_asks = self._asks[first_ask:last_ask][: self._publish].copy()
                asks.setflags(write=False)
        return bids, asks

    def apply(self, bids: Levels, asks: Levels) -> int:
        """Takes changes in their order and forgets what is beyond `keep`. -1, or the first row (of the asks: after all
        bids) that is no level and no delete, and then nothing has changed."""
        most = max(len(bids), len(asks))
        if most > self._room:
            first_bid, last_bid, first_ask, last_ask = self._where.tolist()
            held_bids, held_asks = self._bids[first_bid:last_bid], self._asks[first_ask:last_ask]
            if most > SPARE_LEVELS:
                wrong = _first_wrong(np.concatenate((bids, asks)), self._largest)
                if wrong < 0:
                    self._place(self._sorted_in(held_bids, bids, -1), self._sorted_in(held_asks, asks, 1))
                return wrong
            self._place(held_bids, held_asks)
        self._room -= most
        wrong, bids_show, asks_show = _apply(
            self._bids, self._asks, self._where, bids, asks, self._keep, self._publish, self._largest
        )
        if bids_show:
            self._top_bids = None
        if asks_show:
            self._top_asks = None
        return wrong

    def _sorted_in(self, levels: Levels, changes: Levels, sign: int) -> Levels:
        rows = np.concatenate((levels, changes))
        rows = rows[np.argsort(rows[:, 0] * sign, kind="stable")]
        is_last = np.append(rows[1:, 0] != rows[:-1, 0], True)
        return rows[is_last & (rows[:, 1] > 0)][: self._keep]

    def _place(self, bids: Levels, asks: Levels) -> None:
        """Puts the levels into new arrays, with room before them."""
        self._bids, self._asks = (np.concatenate((np.empty((SPARE_LEVELS, 2)), side)) for side in (bids, asks))
        self._where[:] = SPARE_LEVELS, len(self._bids), SPARE_LEVELS, len(self._asks)
        self._room = SPARE_LEVELS
        self._top_bids = self._top_asks = None


@jit_holding_gil
def _first_wrong(changes: Levels, largest: float) -> int:
    """The first row that is no level and no delete, or -1."""
    for row in range(len(changes)):
        price, size = changes[row, 0], changes[row, 1]
        if not (size == 0 or (0 < size < largest and 0 < price < largest)):
            return row
    return -1


@jit
def _change(held: Levels, start: int, end: int, sign: float, changes: Levels) -> tuple[int, int]:
    """Where the levels start now, and the best level that changed, counted from the best. Before `start` is room for
    all changes."""
    flat = held.reshape(-1)
    best = len(held)
    for row in range(len(changes)):
        price, size = changes[row, 0], changes[row, 1]
        at, after = start, end
        while at < after:
            middle = (at + after) >> 1
            if held[middle, 0] * sign < price * sign:
                at = middle + 1
            else:
                after = middle
        is_held = at < end and held[at, 0] == price
        if is_held or size > 0:
            best = min(best, at - start)
        # Only with views does the compiler see that many numbers can be moved at once.
        if is_held and size > 0:
            held[at, 1] = size
        elif is_held:
            to, moved = flat[2 * start + 2 : 2 * at + 2], flat[2 * start : 2 * at]
            for number in range(len(to) - 1, -1, -1):
                to[number] = moved[number]
            start += 1
        elif size > 0:
            to, moved = flat[2 * start - 2 : 2 * at - 2], flat[2 * start : 2 * at]
            for number in range(len(to)):
                to[number] = moved[number]
            start -= 1
            held[at - 1, 0], held[at - 1, 1] = price, size
    return start, best


@jit_holding_gil
def _apply(
    held_bids: Levels,
    held_asks: Levels,
    where: Ints,
    bids: Levels,
    asks: Levels,
    keep: int,
    publish: int,
    largest: float,
) -> tuple[int, bool, bool]:
    """The first wrong row or -1, and whether the published bids and asks have changed."""
    wrong = _first_wrong(bids, largest)
    if wrong >= 0:
        return wrong, False, False
    wrong = _first_wrong(asks, largest)
    if wrong >= 0:
        return len(bids) + wrong, False, False
    where[0], best_bid = _change(held_bids, where[0], where[1], -1.0, bids)
    where[2], best_ask = _change(held_asks, where[2], where[3], 1.0, asks)
    where[1] = min(where[1], where[0] + keep)
    where[3] = min(where[3], where[2] + keep)
    return -1, best_bid < publish, best_ask < publish
