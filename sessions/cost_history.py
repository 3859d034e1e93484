"""Keep the net cost of the last minutes, thinned to one point a second, each with the order it was computed for."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import NamedTuple

from estimation.training_schedule import GAP_NS

SPAN_NS = 300 * 10**9
BUCKET_NS = 10**9
MAX_POINTS = 400


class HistoryPoint(NamedTuple):
    """The newest net cost within one second, and the lowest and highest, bps; net_bps is None where it is unknown."""

    market_ns: int
    net_bps: float | None
    low_bps: float
    high_bps: float
    order: Hashable


def _make_point(market_ns: int, net_bps: float | None, order: Hashable) -> HistoryPoint:
    cost_bps = net_bps or 0.0
    return HistoryPoint(market_ns, net_bps, cost_bps, cost_bps, order)


class CostHistory:
    """The net cost over the last five minutes. One thread adds, any thread reads.

    >>> history = CostHistory()
    >>> for ns, cost in ((0, 5.0), (400_000_000, 7.0), (900_000_000, 6.0), (1_000_000_000, 6.5)):
    ...     history.add(ns, cost, "buy 1")
    >>> [point[:4] for point in history.points_until(1_000_000_000, 6.5, "buy 1")]
    [(900000000, 6.0, 5.0, 7.0), (1000000000, 6.5, 6.5, 6.5)]
    >>> [point[:4] for point in history.points_until(1_000_000_000, 8.0, "buy 2")][1:]
    [(1000000000, 6.5, 6.5, 6.5), (1000000000, 8.0, 8.0, 8.0)]
    """

    def __init__(self) -> None:
        self._points: deque[HistoryPoint] = deque(maxlen=MAX_POINTS)

    def points_until(self, market_ns: int, net_bps: float | None, order: Hashable) -> list[HistoryPoint]:
        """Return the points up to the estimate that the page shows, oldest first.

        The last point always has this estimate's time, cost and order; later points are left out.
        """
        points = list(self._points.copy())
        while points and points[-1].market_ns > market_ns:
            points.pop()
        if not points or points[-1][:2] != (market_ns, net_bps) or points[-1].order != order:
            points.append(_make_point(market_ns, net_bps, order))
        return points

    def add(self, market_ns: int, net_bps: float | None, order: Hashable) -> None:
        """Add the next estimate. A step back in market time clears the history first."""
        points = self._points
        cost_bps = net_bps or 0.0
        last = points[-1] if points else None
        if last is not None and market_ns < last.market_ns:
            points.clear()
            last = None
        if (
            last is not None
            and last.market_ns // BUCKET_NS == market_ns // BUCKET_NS
            and (last.net_bps is None) == (net_bps is None)
            and (last.order is order or last.order == order)  # identity first: it is nearly always the same object
        ):
            low_bps = min(last.low_bps, cost_bps)
            high_bps = max(last.high_bps, cost_bps)
            points[-1] = HistoryPoint(market_ns, net_bps, low_bps, high_bps, order)
            return
        points.append(_make_point(market_ns, net_bps, order))
        while points[0].market_ns < market_ns - SPAN_NS:
            points.popleft()


def is_continuous(before: HistoryPoint, after: HistoryPoint) -> bool:
    """Whether a line may join two neighbouring points: same order, both costs known, no gap longer than GAP_NS.

    Across a longer gap nobody knows what the order would have cost.
    """
    return (
        before.net_bps is not None
        and after.net_bps is not None
        and before.order == after.order
        and after.market_ns - before.market_ns <= GAP_NS
    )
