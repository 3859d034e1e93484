"""Extract features of many books at once: estimation.features.FeatureExtractor for a block of books."""

from __future__ import annotations

from typing import Any

import numpy as np

from estimation.features import SECOND_NS, TOP_LEVELS, BookState
from numerics.arrays import Flags, Floats, Ints
from numerics.jit import jit
from orderbook import Levels
from orderbook.batch import SideBatch


class BatchFeatureExtractor:
    """Turns blocks of consecutive books into book states; remembers the last second of the previous block."""

    def __init__(self) -> None:
        self._touch: Floats = np.zeros((0, 4))
        # Rows of the last second: market_ns; mid and total flow; whether a gap comes before.
        self._market_ns: Ints = np.zeros(0, dtype=np.int64)
        self._past: Floats = np.zeros((0, 2))
        self._fresh: Flags = np.zeros(0, dtype=bool)

    def extract(self, market_ns: Ints, fresh: Flags, bids: SideBatch, asks: SideBatch) -> Any:
        """Return a BookState of (n,) columns. market_ns must not step back.

        fresh: whether a book is the first after a gap; nothing before it is remembered.
        """
        count = len(market_ns)
        bid, bid_size, bid_depth, bid_reached = _tops(*bids, TOP_LEVELS)
        ask, ask_size, ask_depth, ask_reached = _tops(*asks, TOP_LEVELS)
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
            (ask_reached - ask + bid - bid_reached) / 2,
            (bid_size - ask_size) / (bid_size + ask_size),
            (bid_depth - ask_depth) / (bid_depth + ask_depth),
            flow - flow_then,
            (mid / mid_then - 1) * 1e4,
        ]
        return BookState(*columns)


def flow_increments(touch: Floats) -> Floats:
    """Return features.flow_increment of each touch (bid, bid size, ask, ask size) after the first, (n - 1,).

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


@jit
def _tops(levels: Levels, begins: Ints, ends: Ints, most: int) -> Floats:
    """Return best price, its size, sum of sizes and last price of the first `most` levels of each book, (4, n)."""
    tops = np.empty((4, len(begins)))
    for row in range(len(begins)):
        end = min(begins[row] + most, ends[row])
        depth = 0.0
        for level in range(begins[row], end):
            depth += levels[level, 1]
        tops[0, row], tops[1, row] = levels[begins[row]]
        tops[2, row], tops[3, row] = depth, levels[end - 1, 0]
    return tops
