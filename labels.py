"""What became of orders and quotes decided on at each of many books, as the books after them show."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ladder import SIGNS, Books, Rows

Floats = NDArray[np.float64]


class Labels:
    """What became of orders and quotes decided on at each of n samples, buying and selling: (2, n).

    An order arrives on the first book at least latency_s later. A quote at the own touch that can be
    executed there is late: it takes. It is crossed if the opposite best price reaches it up to passive_s
    after that, and touched if at its price, then the best, the queue shrinks or goes. mid_after is the
    mid at which what was not crossed crosses itself: on arrival, or when the time is up. seen and met (n,)
    are the places of the books decided on and met.
    """

    def __init__(self, now: Any, books: Books, latency_s: float, passive_s: float) -> None:
        clock, (price, size) = books.market_ns, np.moveaxis(books.touch, 2, 0)
        arrives = now.market_ns + round(latency_s * 1e9)
        self.seen, self.met = np.searchsorted(clock, now.market_ns), np.searchsorted(clock, arrives)
        first = np.searchsorted(clock, arrives, side="right")
        end = np.searchsorted(clock, arrives + round(passive_s * 1e9), side="right")
        sign, self._quote = SIGNS[:, None], np.stack((now.bid, now.ask))
        bound, longest = sign * self._quote, int((end - first).max())
        self.late = sign * price[:, self.met] <= bound
        # At the quote's own price only a queue that shrank counts; one that did not is worth the next higher price.
        own = sign * price[::-1]
        shrunk = np.zeros(own.shape, dtype=bool)
        shrunk[:, 1:] = (own[:, 1:] < own[:, :-1]) | (np.diff(size[::-1]) < 0)
        own = np.where(shrunk, own, np.nextafter(own, np.inf))
        values = np.concatenate((sign * price, own))
        reached = first_reached(values, first, np.concatenate((bound, bound)), longest)
        self._crossed_at = reached[:2]
        self.crossed = (reached[:2] < end) & ~self.late
        self.touched = reached[2:] < end
        mid = price.mean(axis=0)
        self.mid_after = np.where(self.late, mid[self.met], mid[np.maximum(end - 1, 0)])
        self._books = books

    def offered(self) -> Floats:
        """What was on offer to each quote that was crossed, base units; 0 to the others."""
        offered = np.zeros(self.crossed.shape)
        each_side = zip(range(2), self._crossed_at, self._quote, self.crossed, strict=True)
        for side, at, quote, crossed in each_side:
            offered[side, crossed] = self._books.offered(side, at[crossed], quote[crossed])
        return offered


def first_reached(values: Floats, start: Rows, bound: Floats, longest: int) -> Rows:
    """From each start (n,) on the first place of values (r, m) that is at most bound (r, n); beyond the next
    `longest` places, any place there, or m.

    It leaps by ever smaller powers of two over stretches whose least value is still too high.
    """
    leaps = longest.bit_length()
    rows, m = values.shape
    least = [np.full((rows, m + 2**leaps), -np.inf)]
    least[0][:, :m] = values
    for power in range(leaps - 1):
        least.append(np.minimum(least[-1][:, : -(2**power)], least[-1][:, 2**power :]))
    place = np.repeat(start[None], rows, axis=0)
    for power in reversed(range(leaps)):
        each_row = np.arange(rows)[:, None] * least[power].shape[1]
        place += (least[power].ravel()[each_row + place] > bound) * 2**power
    return place
