"""Draw the depth chart: money waiting on both sides of the book."""

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
    money_decimals,
    money_unit,
    value_axis,
)
from ui.text.formatting import format_bps

MAX_SIDE_POINTS = 160
"""Longer areas are thinned to this many points; their two ends are always kept."""
MAX_SIDE_RATIO = 3.0
"""The longer side of the book is shown at most this many times as far as the shorter one."""


def depth_chart(book: OrderBook, estimate: Estimate, axes: StickyAxes, theme: Theme, sign: str = "$") -> Option:
    """Return the money waiting on both sides by distance from the mid, and what this order would take.

    A side far longer than the other is cut at MAX_SIDE_RATIO times the other, or beyond what the order reaches.

    Args:
        book: the order book.
        estimate: what the order costs on it.
        axes: the tab's axes.
        theme: of the page.
        sign: of the currency, before its amounts.
    """
    colours = PALETTES[theme]
    mid = book.mid
    is_buy = estimate.order.side is Side.BUY
    order_reach_bps = (estimate.fill.worst_price / mid - 1) * 1e4
    shorter, longer = sorted((1e4 * (book.asks[-1, 0] / mid - 1), 1e4 * (1 - book.bids[-1, 0] / mid)))
    shown_bps = min(longer, max(MAX_SIDE_RATIO * shorter, 1.2 * abs(order_reach_bps)))
    distance_axis = axes.fit("depth reach", 0.0, shown_bps)
    bids, asks = (_within(levels, mid, shown_bps) for levels in (book.bids, book.asks))
    money_axis = axes.fit("depth money", 0.0, max(float(levels[:, 0] @ levels[:, 1]) for levels in (bids, asks)))
    unit, suffix = money_unit(money_axis.high)
    taken_side, colour = (book.asks, colours.ask) if is_buy else (book.bids, colours.bid)
    taken = taken_side[: estimate.fill.levels].copy()
    # The order may take only a part of its last level.
    taken[-1, 1] -= max(0.0, taken[:, 1].sum() - estimate.fill.quantity)
    return base_option(
        value_axis(distance_axis._replace(low=-distance_axis.high), colours, "{value} bps"),
        value_axis(Axis(0, money_axis.high / unit, money_axis.step / unit), colours, f"{sign}{{value}}{suffix}"),
        [
            _side("Buyers waiting", _cumulative(bids, mid, unit), colours.bid, 0.22),
            _side("Sellers waiting", _cumulative(asks, mid, unit), colours.ask, 0.22),
            _side("Your order", _cumulative(taken, mid, unit), colour, 0.75)
            | {
                "markLine": mark_line(
                    f"reaches {format_bps(abs(order_reach_bps))}",
                    round(order_reach_bps, 4),
                    colours,
                    # The words stand on the outer side of the line, unless they would run over the edge.
                    align="left" if is_buy == (abs(order_reach_bps) < 0.7 * distance_axis.high) else "right",
                )
            },
        ],
        grid=grid(top=36, right=34),
        legend=legend(["Buyers waiting", "Sellers waiting", "Your order"], colours),
        tooltip={"trigger": "axis", "valueFormatter": f"{sign}%.{money_decimals(money_axis.high / unit)}f{suffix}"},
    )


def _within(levels: Levels, mid: float, distance_bps: float) -> Levels:
    """Return the levels no further from the mid than this, and always the best one."""
    is_inside = np.abs(levels[:, 0] / mid - 1) * 1e4 <= distance_bps * (1 + 1e-9)
    return levels[: max(1, int(np.count_nonzero(is_inside)))]


def _side(name: str, points: list[list[float]], colour: str, opacity: float) -> Option:
    style = {"color": colour, "opacity": 0.45 if opacity < 0.5 else 1.0}
    return line(name, points, colour, step="end", areaStyle={"color": colour, "opacity": opacity}) | {
        "itemStyle": style
    }


def _cumulative(levels: Levels, mid: float, unit: float) -> list[list[float]]:
    """Return [bps from mid, money up to there], best level first, thinned evenly to MAX_SIDE_POINTS.

    unit: of the money, in the quote currency.
    """
    distance_bps = (levels[:, 0] / mid - 1) * 1e4
    money = np.cumsum(levels[:, 0] * levels[:, 1]) / unit
    rows = np.unique(np.linspace(0, len(levels) - 1, min(len(levels), MAX_SIDE_POINTS)).astype(int))
    points = np.column_stack((distance_bps[rows].round(5), money[rows].round(5 + money_decimals(money[-1]) - 2)))
    return [[float(points[0, 0]), 0.0], *points.tolist()]
