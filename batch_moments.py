"""What the models see of many books at once: features.Observer, for a block of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from batch_walk import SideBlock
from features import SECOND_NS, TOP, Moment

Floats = NDArray[np.float64]


class BatchObserver:
    """Turns blocks of consecutive books into moments; remembers the last second of the block before."""

    def __init__(self) -> None:
        self._touch: Floats = np.zeros((0, 4))
        # The rows of the last second: market_ns, mid, all flow so far, and whether a gap is before it.
        self._market_ns: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._past: Floats = np.zeros((0, 2))
        self._fresh: NDArray[np.bool_] = np.zeros(0, dtype=bool)

    def observe(
        self, market_ns: NDArray[np.int64], fresh: NDArray[np.bool_], bids: SideBlock, asks: SideBlock, rows: slice
    ) -> Any:
        """A Moment of (n,) columns, of these rows of the blocks. market_ns must not step back; fresh: whether a
        book is the first after a gap, so that nothing before says anything of it."""
        count = len(market_ns)
        (bid_prices, bid_sizes), (ask_prices, ask_sizes) = bids.some(rows, 0, TOP), asks.some(rows, 0, TOP)
        bid, ask = np.ascontiguousarray(bid_prices[:, 0]), np.ascontiguousarray(ask_prices[:, 0])
        bid_size, ask_size = np.ascontiguousarray(bid_sizes[:, 0]), np.ascontiguousarray(ask_sizes[:, 0])
        mid = (bid + ask) / 2
        touch = np.concatenate((self._touch, np.column_stack((bid, bid_size, ask, ask_size))))
        flows = np.zeros(count)
        flows[count + 1 - len(touch) :] = flow_increments(touch)
        flows[fresh] = 0.0
        before = len(self._past)
        flow = np.cumsum(np.concatenate((self._past[-1:, 1], flows)))[-count:]
        clock = np.concatenate((self._market_ns, market_ns))
        past = np.concatenate((self._past, np.column_stack((mid, flow))))
        begins = np.concatenate((self._fresh, fresh))
        since = np.maximum.accumulate(np.where(begins, np.arange(len(clock)), 0))[before:]
        then = np.maximum(np.searchsorted(clock, market_ns - SECOND_NS, side="right") - 1, since)
        bid_depth, ask_depth = _sum(bid_sizes), _sum(ask_sizes)
        mid_then, flow_then = past[then].T
        # A book that comes next looks back from its own time: one row at least a second before is enough.
        keep = max(int(np.searchsorted(clock, clock[-1] - SECOND_NS, side="right")) - 1, 0)
        self._touch, self._market_ns, self._past, self._fresh = touch[-1:], clock[keep:], past[keep:], begins[keep:]
        columns: list[Any] = [
            market_ns,
            mid,
            (ask - bid) / (2 * mid) * 1e4,
            bid,
            ask,
            bid_size,
            ask_size,
            bid_depth,
            ask_depth,
            (ask_prices[:, -1] - ask + bid - bid_prices[:, -1]) / 2,
            (bid_size - ask_size) / (bid_size + ask_size),
            (bid_depth - ask_depth) / (bid_depth + ask_depth),
            flow - flow_then,
            (mid / mid_then - 1) * 1e4,
        ]
        return Moment(*columns)


def flow_increments(touch: Floats) -> Floats:
    """features.flow_increment of each touch (bid, bid size, ask, ask size) after the one before, (n - 1,).

    >>> flow_increments(np.array([(100, 5, 100.2, 4), (100, 8, 100.2, 4), (100.1, 3, 100.2, 2)])).tolist()
    [3.0, 5.0]
    """
    bid_then, bid_size_then, ask_then, ask_size_then = touch[:-1].T
    bid, bid_size, ask, ask_size = touch[1:].T
    flow = np.where(bid >= bid_then, bid_size, 0.0)
    flow = flow - np.where(bid <= bid_then, bid_size_then, 0.0)
    flow = flow - np.where(ask <= ask_then, ask_size, 0.0)
    added: Floats = flow + np.where(ask >= ask_then, ask_size_then, 0.0)
    return added


def _sum(sizes: Floats) -> Floats:
    """By row, best level first, as one book's are added up."""
    total = sizes[:, 0].copy()
    for level in range(1, sizes.shape[1]):
        total += sizes[:, level]
    return total
