"""The depth chart: money waiting on both sides of the book."""

from __future__ import annotations

import numpy as np

from estimation.estimate import Estimate
from orderbook import Levels, OrderBook, Side
from ui.charts.base import (
    PALETTES,
    Axis,
    Option,
    StickyAxes,
    Theme,
    base_option,
    grid,
    legend,
    line,
    mark_line,
    money_unit,
    value_axis,
)
from ui.text.formatting import bps

POINTS = 160
"""Points a side of the depth picture; deeper books are thinned, the order's reach never is."""

LOPSIDED = 3.0


def depth_chart(book: OrderBook, estimate: Estimate, axes: StickyAxes, theme: Theme, sign: str = "$") -> Option:
    """Money waiting on both sides by distance from the mid, and the part this order would take.

    sign: of the currency, before its amounts. Of a side that goes on far beyond the other one, no more
    is shown than the order reaches or LOPSIDED times the other.
    """
    colours = PALETTES[theme]
    mid, buying = book.mid, estimate.order.side is Side.BUY
    reach_bps = (estimate.fill.worst_price / mid - 1) * 1e4
    shorter, longer = sorted((1e4 * (book.asks[-1, 0] / mid - 1), 1e4 * (1 - book.bids[-1, 0] / mid)))
    reach = min(longer, max(LOPSIDED * shorter, 1.2 * abs(reach_bps)))
    far = axes.fit("depth reach", 0.0, reach)
    bids, asks = (_within(levels, mid, reach) for levels in (book.bids, book.asks))
    top = axes.fit("depth money", 0.0, max(float(levels[:, 0] @ levels[:, 1]) for levels in (bids, asks)))
    unit, suffix = money_unit(top.high)
    taken, colour = (book.asks, colours.ask) if buying else (book.bids, colours.bid)
    part = taken[: estimate.fill.levels].copy()
    part[-1, 1] -= max(0.0, part[:, 1].sum() - estimate.fill.quantity)
    return base_option(
        value_axis(far._replace(low=-far.high), colours, "{value} bps"),
        value_axis(Axis(0, top.high / unit, top.step / unit), colours, f"{sign}{{value}}{suffix}"),
        [
            _side("Buyers waiting", _cumulative(bids, mid, unit), colours.bid, 0.22),
            _side("Sellers waiting", _cumulative(asks, mid, unit), colours.ask, 0.22),
            _side("Your order", _cumulative(part, mid, unit), colour, 0.75)
            | {
                "markLine": mark_line(
                    f"reaches {bps(abs(reach_bps))}",
                    round(reach_bps, 4),
                    colours,
                    # Outwards, but never over the edge.
                    align="left" if buying == (abs(reach_bps) < 0.7 * far.high) else "right",
                )
            },
        ],
        grid=grid(top=36, right=34),
        legend=legend(["Buyers waiting", "Sellers waiting", "Your order"], colours),
        tooltip={"trigger": "axis", "valueFormatter": f"{sign}%.2f{suffix}"},
    )


def _within(levels: Levels, mid: float, reach_bps: float) -> Levels:
    """The levels no further from the mid than this, the best one at least."""
    inside = np.abs(levels[:, 0] / mid - 1) * 1e4 <= reach_bps * (1 + 1e-9)
    return levels[: max(1, int(np.count_nonzero(inside)))]


def _side(name: str, points: list[list[float]], colour: str, opacity: float) -> Option:
    style = {"color": colour, "opacity": 0.45 if opacity < 0.5 else 1.0}
    return line(name, points, colour, step="end", areaStyle={"color": colour, "opacity": opacity}) | {
        "itemStyle": style
    }


def _cumulative(levels: Levels, mid: float, unit: float) -> list[list[float]]:
    """[bps from mid, money up to there], best level first, thinned evenly to POINTS."""
    distance = (levels[:, 0] / mid - 1) * 1e4
    notional = np.cumsum(levels[:, 0] * levels[:, 1]) / unit
    rows = np.unique(np.linspace(0, len(levels) - 1, min(len(levels), POINTS)).astype(int))
    points = np.column_stack((distance[rows], notional[rows])).round(5)
    return [[float(points[0, 0]), 0.0], *points.tolist()]
