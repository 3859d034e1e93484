"""Draw the net cost: its components as a bar, by the order's size, and over the last minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from estimation.estimate import Estimate
from estimation.order import Order
from numerics.arrays import Floats
from orderbook import OrderBook
from sessions.cost_history import HistoryPoint, is_continuous
from ui.charts.base import (
    PALETTES,
    Axis,
    Option,
    Palette,
    StickyAxes,
    Theme,
    base_option,
    grid,
    legend,
    line,
    mark_line,
    min_axis_length,
    round_short,
    value_axis,
)

MAX_CURVE_SIZES = 25
MIN_CURVE_SIZES = 9
MAX_CURVE_WALKS = 600
"""Book walks for one curve: a schedule takes one for each of its child orders."""
CURVE_SPAN = 30.0
"""The curve runs from the order's size divided by this to its size times this."""
MIN_CURVE_QUOTE = 1e-6
MAX_CURVE_QUOTE = 1e12
COMPONENTS = ("Slippage", "Fees", "Impact")
NEGLIGIBLE_GAIN = 0.05
"""Gains smaller than this share of the costs do not move the curve's axis."""
MIN_HISTORY_BPS = 0.2
"""The shortest axis of the last minutes."""


class BarSegment(NamedTuple):
    """One component of the cost as a piece of a bar, |bps| long; costs lie right of zero, gains left."""

    name: str
    bps: float
    start_bps: float
    end_bps: float


def stack_components(estimate: Estimate) -> list[BarSegment]:
    """Lay slippage, fees and impact end to end; empty where the slippage is unknown.

    Gains go to the left of zero and costs to the right, so that a rebate can be seen. The lengths of the costs less
    those of the gains are the net cost.
    """
    segments = []
    outer_end = {"gain": 0.0, "cost": 0.0}
    costs_bps = (estimate.slippage_bps, estimate.fee_bps, estimate.impact_bps)
    for name, cost_bps in zip(COMPONENTS, costs_bps, strict=True):
        if cost_bps is None:
            return []
        kind = "gain" if cost_bps < 0 else "cost"
        start = outer_end[kind]
        end = start + cost_bps
        outer_end[kind] = end
        segments.append(BarSegment(name, cost_bps, min(start, end), max(start, end)))
    return segments


def visible_quote(book: OrderBook, order: Order) -> float:
    """Return what the visible book holds for this order, quote; valued at the mid, as the order is."""
    return float(book.taken_by(order.side)[:, 1].sum()) * book.mid


def curve_axis(estimate: Estimate, visible: float, axes: StickyAxes) -> Axis:
    """Return the axis of the sizes that the curve spans around the order's own, quote.

    It ends soon after the sizes for which the book has an answer. visible: what the book holds, quote.
    """
    size = estimate.quantity * estimate.mid
    high = min(CURVE_SPAN * size, max(3 * size, 6 * visible), MAX_CURVE_QUOTE)
    low = max(min(size, high) / CURVE_SPAN, MIN_CURVE_QUOTE)
    return axes.fit_log("curve size", low, max(high, CURVE_SPAN * low))


def curve_orders(estimate: Estimate, visible: float, axis: Axis) -> list[Order]:
    """Return the same order in many sizes, evenly spaced by ratio, with its own and the visible book's size.

    visible: what the book holds, quote.
    """
    order = estimate.order
    size = estimate.quantity * estimate.mid
    n_walks = order.steps if order.style == "schedule" else 1
    n_sizes = min(MAX_CURVE_SIZES, max(MIN_CURVE_SIZES, MAX_CURVE_WALKS // n_walks))
    sizes = np.geomspace(axis.low, axis.high, n_sizes)
    sizes = np.unique(np.append(sizes, [size, visible]).clip(axis.low, axis.high))
    return [replace(order, quantity=float(size), unit="quote") for size in sizes]


def curve_chart(
    estimates: Sequence[Estimate],
    shown: Estimate,
    visible: float,
    size_axis: Axis,
    axes: StickyAxes,
    theme: Theme,
    sign: str = "$",
) -> Option:
    """Return the net cost by size with its components stacked, dashed beyond the visible book.

    The curve ends where the book is too thin for a number.

    Args:
        estimates: the order in the sizes of curve_orders, smallest first.
        shown: the order at its own size.
        visible: what the book holds, quote.
        size_axis: the axis of curve_axis, quote.
        axes: the tab's axes, for the axis of the cost.
        theme: of the page.
        sign: of the currency, before its amounts.
    """
    colours = PALETTES[theme]
    priced = [estimate for estimate in estimates if estimate.net_cost_bps is not None]
    rows = np.array([(e.quantity * e.mid, e.slippage_bps, e.fee_bps, e.impact_bps, e.net_cost_bps) for e in priced])
    rows = rows.reshape(-1, 5).astype(float)
    sizes = rows[:, 0]
    components = rows[:, 1:4]
    net = rows[:, 4]
    costs = components.clip(min=0)
    gains = components.clip(max=0)
    highest = costs.sum(axis=1).max(initial=0.1)
    lowest = gains.sum(axis=1).min(initial=0.0)
    axis = axes.fit("curve cost", lowest if lowest < -NEGLIGIBLE_GAIN * highest else 0.0, highest)
    is_extrapolated = np.array([estimate.slippage_source == "extrapolated" for estimate in priced], dtype=bool)
    n_visible = int(np.argmax(is_extrapolated)) if is_extrapolated.any() else len(priced)

    def points(values: Floats, rows: slice = slice(None)) -> list[list[float]]:
        return [[round_short(size), round_short(value)] for size, value in zip(sizes[rows], values[rows], strict=True)]

    areas = [
        line(name, points(clipped[:, column]), shade, 0, stack=stack, areaStyle={"color": shade, "opacity": 0.45})
        for stack, clipped in (("costs", costs), ("gains", gains))
        for column, (name, shade) in enumerate(component_colours(colours).items())
    ]
    size = shown.quantity * shown.mid
    # The mark has no number: the headline is drawn more often, and would soon show another one.
    words = "your order: too thin" if shown.net_cost_bps is None else "your order"
    solid = line("Net cost", points(net, slice(n_visible)), colours.mark, z=5)
    # The dashed line begins at the last solid point, so that the two join.
    dashed = line("Beyond the visible book", points(net, slice(max(n_visible - 1, 0), None)), colours.mark, z=5)
    dashed["lineStyle"] |= {"type": "dashed"}
    solid["markLine"] = mark_line(words, round_short(size), colours, align="center")
    dashed["markArea"] = {
        "silent": True,
        "itemStyle": {"color": colours.text, "opacity": 0.10},
        "label": {"color": colours.text, "fontSize": 11, "position": "insideTopRight"},
        "data": [[{"name": "beyond the book", "xAxis": round_short(visible)}, {"xAxis": size_axis.high}]]
        if visible < size_axis.high
        else [],
    }
    x_axis = value_axis(size_axis, colours, f"{sign}{{value}}") | {"type": "log"}
    x_axis["axisLabel"] |= {"hideOverlap": True}  # rupiah need eleven digits
    return base_option(
        x_axis,
        value_axis(axis, colours),
        [*areas, solid, dashed],
        grid=grid(right=36),
        tooltip={"trigger": "axis", "valueFormatter": "%.3f bps"},
    )


def cost_history_chart(points: Sequence[HistoryPoint], axes: StickyAxes, theme: Theme) -> Option:
    """Return the net cost over the last five minutes, in minutes before the newest point, whose order stands out.

    The line breaks where the order changed, where the cost was unknown, and at a gap; the pale band behind it is the
    range within each second.
    """
    colours = PALETTES[theme]
    newest = points[-1]
    other_orders, shown_order = split_by_order(points)
    costs = [cost for p in points if p.net_bps is not None for cost in (p.low_bps, p.high_bps)] or [0.0]
    axis = axes.fit("trail cost", min(costs), max(costs), min_axis_length(costs, MIN_HISTORY_BPS))
    # ECharts draws a band as two stacked lines: an invisible one at its low end, and the width on top of it.
    band_low = [[row.minutes, None if row.net_bps is None else row.low_bps] for row in shown_order]
    band_width = [
        [row.minutes, None if row.net_bps is None else round(row.high_bps - row.low_bps, 5)] for row in shown_order
    ]
    stacked = {"stack": "range", "stackStrategy": "all", "z": 1}
    series = [
        line("Lowest", band_low, colours.accent, 0, **stacked),
        line("Range in a second", band_width, colours.accent, 0, **stacked)
        | {"areaStyle": {"color": colours.accent, "opacity": 0.25}},
        line("Other orders", [list(row[:2]) for row in other_orders], colours.text, 1.2),
        line("Net cost", [list(row[:2]) for row in shown_order], colours.accent, 1.8),
    ]
    if newest.net_bps is not None:
        series[-1]["markLine"] = mark_line("now", round(newest.net_bps, 5), colours, "yAxis", position="insideStartTop")
    return base_option(
        value_axis(Axis(-5, 0, 1), colours, "{value} min"),
        value_axis(axis, colours),
        series,
        grid=grid(left=60),
        legend=legend(["Net cost", "Other orders"], colours),
        tooltip={"trigger": "axis", "valueFormatter": "%.3f bps"},
    )


class HistoryRow(NamedTuple):
    """One point of a line of the history; minutes before the newest point, net_bps None to break the line."""

    minutes: float
    net_bps: float | None
    low_bps: float = 0.0
    high_bps: float = 0.0


def split_by_order(points: Sequence[HistoryPoint]) -> tuple[list[HistoryRow], list[HistoryRow]]:
    """Split the history into the lines of other orders and of the newest point's order, with their breaks."""
    newest = points[-1]
    other_orders: list[HistoryRow] = []
    shown_order: list[HistoryRow] = []
    previous: HistoryPoint | None = None
    for point in points:
        minutes = round((point.market_ns - newest.market_ns) / 60e9, 4)
        rows = shown_order if point.order == newest.order else other_orders
        if previous is not None and not is_continuous(previous, point):
            rows.append(HistoryRow(minutes, None))
        if point.net_bps is not None:
            rows.append(HistoryRow(minutes, round(point.net_bps, 5), round(point.low_bps, 5), round(point.high_bps, 5)))
        previous = point
    return other_orders, shown_order


def component_colours(colours: Palette) -> dict[str, str]:
    """Return the colour of each component of the cost."""
    return dict(zip(COMPONENTS, (colours.slippage, colours.fees, colours.impact), strict=True))
