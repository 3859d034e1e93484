"""What became of orders and quotes decided on at each of many books, as the books after them show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ladder import SIGNS, Ladder
from orderbook import OrderBook

Floats = NDArray[np.float64]


class Labels:
    """What became of orders and quotes decided on at each of n samples, buying and selling: (2, n).

    An order arrives on the first book at least latency_s later. A quote at the own touch that can be
    executed there is late: it takes. It is crossed if the opposite best price reaches it up to passive_s
    after that, and touched if at its price, then the best, the queue shrinks or goes. mid_after is the
    mid at which what was not crossed crosses itself: on arrival, or when the time is up.
    """

    def __init__(self, now: Any, books: Sequence[OrderBook], latency_s: float, passive_s: float) -> None:
        clock = np.array([book.market_ns for book in books])
        levels = [(book.asks.item(0), book.bids.item(0), book.asks.item(1), book.bids.item(1)) for book in books]
        touch, sizes = np.array(levels).T.reshape(2, 2, -1)
        arrives = now.market_ns + round(latency_s * 1e9)
        seen, arrival = np.searchsorted(clock, now.market_ns), np.searchsorted(clock, arrives)
        first = np.searchsorted(clock, arrives, side="right")
        end = np.searchsorted(clock, arrives + round(passive_s * 1e9), side="right")
        window = first[:, None] + np.arange(max(int((end - first).max()), 1))
        inside = window < end[:, None]
        window = np.minimum(window, len(clock) - 1)
        sign, self._quote = SIGNS[:, None], np.stack((now.bid, now.ask))
        reached = (sign[:, :, None] * (touch[:, window] - self._quote[:, :, None]) <= 0) & inside
        own = sign * touch[::-1]
        shrunk = np.zeros(own.shape, dtype=bool)
        shrunk[:, 1:] = (own[:, 1:] < own[:, :-1]) | (np.diff(sizes[::-1]) < 0)
        beside = own[:, window] - (sign * self._quote)[:, :, None]
        touched = ((beside < 0) | (beside == 0) & shrunk[:, window]) & inside
        self.late = sign * (touch[:, arrival] - self._quote) <= 0
        self.crossed = reached.any(axis=2) & ~self.late
        self.touched = touched.any(axis=2)
        mid = touch.mean(axis=0)
        self.mid_after = np.where(self.late, mid[arrival], mid[np.maximum(end - 1, 0)])
        # Only the books that are walked need to be stacked.
        self._crossed_at = window[np.arange(len(window)), reached.argmax(axis=2)][self.crossed]
        needed, places = np.unique(np.concatenate((seen, arrival, self._crossed_at)), return_inverse=True)
        self.ladder = Ladder([books[i] for i in needed])
        self.seen, self.met, self._crossed_at = np.split(places, (len(seen), 2 * len(seen)))

    def offered(self) -> Floats:
        """What was on offer to each quote that was crossed, base units."""
        sides, _ = np.nonzero(self.crossed)
        return self.ladder.offered(sides, self._crossed_at, self._quote[self.crossed])
