"""Pictures of the cost: its parts as a bar, against the order's size, and over the last minutes."""

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
    round_short,
    value_axis,
)

SIZES = 25
MOST_WALKS = 600
"""Books walked for one curve: a schedule walks once for each of its parts."""

SPAN = 30.0
"""The curve runs from this part of the order's size to so many times it."""

LEAST_QUOTE, MOST_QUOTE = 1e-6, 1e12


PARTS = ("Slippage", "Fees", "Impact")
UNSEEN = 0.05
"""Gains smaller than this part of the costs do not move the curve's axis."""

LEAST_BPS, LEAST_SHARE = 0.2, 0.002
"""The shortest axis of the last minutes, bps and a share of the cost: smaller moves are not blown up."""


class Part(NamedTuple):
    """One part of the cost as a piece of a bar: |bps| long, from start to end; costs lie right of zero, gains left."""

    name: str
    bps: float
    start_bps: float
    end_bps: float


def cost_stack(estimate: Estimate) -> list[Part]:
    """Slippage, fees and impact end to end; empty where the slippage is unknown.

    Gains are laid out to the left of zero and costs to the right, so that a rebate is seen as one:
    their lengths, gains taken off, are the net cost.
    """
    if estimate.slippage_bps is None:
        return []
    parts, ends = [], {True: 0.0, False: 0.0}
    for name, cost in zip(PARTS, (estimate.slippage_bps, estimate.fee_bps, estimate.impact_bps), strict=True):
        start = ends[cost < 0]
        end = ends[cost < 0] = start + cost
        parts.append(Part(name, cost, min(start, end), max(start, end)))
    return parts


def visible_quote(book: OrderBook, order: Order) -> float:
    """What the visible book holds for this order's side, valued at the mid as the order is."""
    return float(book.taken_by(order.side)[:, 1].sum()) * book.mid


def curve_axis(today: Estimate, visible: float, axes: StickyAxes) -> Axis:
    """The sizes around today's order that the curve spans, quote; no further than the book has something to say."""
    size = today.quantity * today.mid
    most = min(SPAN * size, max(3 * size, 6 * visible), MOST_QUOTE)
    low = max(min(size, most) / SPAN, LEAST_QUOTE)
    return axes.fit_log("curve size", low, max(most, SPAN * low))


def curve_orders(today: Estimate, visible: float, axis: Axis) -> list[Order]:
    """The same order in many sizes, evenly on a scale of powers, today's and the visible book's own among them."""
    order, size = today.order, today.quantity * today.mid
    walks = order.steps if order.style == "schedule" else 1
    sizes = np.geomspace(axis.low, axis.high, min(SIZES, max(9, MOST_WALKS // walks)))
    sizes = np.unique(np.append(sizes, [size, visible]).clip(axis.low, axis.high))
    return [replace(order, quantity=float(each), unit="quote") for each in sizes]


def curve_chart(
    estimates: Sequence[Estimate],
    today: Estimate,
    visible: float,
    sizes_axis: Axis,
    axes: StickyAxes,
    theme: Theme,
    sign: str = "$",
) -> Option:
    """The cost of `estimates` by size, its parts stacked; dashed where the visible book no longer answers.

    It ends where the book is too thin to say. today: the order at its own size. visible: what the book holds, quote.
    """
    colours = PALETTES[theme]
    known = [each for each in estimates if each.net_cost_bps is not None]
    rows = np.array([(e.quantity * e.mid, e.slippage_bps, e.fee_bps, e.impact_bps, e.net_cost_bps) for e in known])
    rows = rows.reshape(-1, 5).astype(float)
    sizes, parts, net = rows[:, 0], rows[:, 1:4], rows[:, 4]
    gains, costs = parts.clip(max=0).sum(axis=1), parts.clip(min=0).sum(axis=1)
    top, gain = costs.max(initial=0.1), gains.min(initial=0.0)
    axis = axes.fit("curve cost", gain if gain < -UNSEEN * top else 0.0, top)
    guessed = np.array([each.slippage_source == "extrapolated" for each in known], dtype=bool)
    seen = int(np.argmax(guessed)) if guessed.any() else len(known)

    def points(values: Floats, rows: slice = slice(None)) -> list[list[float]]:
        return [[round_short(size), round_short(value)] for size, value in zip(sizes[rows], values[rows], strict=True)]

    areas = [
        line(name, points(clipped[:, column]), shade, 0, stack=stack, areaStyle={"color": shade, "opacity": 0.45})
        for stack, clipped in (("costs", parts.clip(min=0)), ("gains", parts.clip(max=0)))
        for column, (name, shade) in enumerate(part_colours(colours).items())
    ]
    size = today.quantity * today.mid
    # No number: the headline is drawn more often, and would soon say another one.
    words = "your order: too thin" if today.net_cost_bps is None else "your order"
    solid = line("Net cost", points(net, slice(seen)), colours.mark, z=5)
    dashed = line("Beyond the visible book", points(net, slice(max(seen - 1, 0), None)), colours.mark, z=5)
    dashed["lineStyle"] |= {"type": "dashed"}
    solid["markLine"] = mark_line(words, round_short(size), colours, align="center")
    dashed["markArea"] = {
        "silent": True,
        "itemStyle": {"color": colours.text, "opacity": 0.10},
        "label": {"color": colours.text, "fontSize": 11, "position": "insideTopRight"},
        "data": [[{"name": "beyond the book", "xAxis": round_short(visible)}, {"xAxis": sizes_axis.high}]]
        if visible < sizes_axis.high
        else [],
    }
    x_axis = value_axis(sizes_axis, colours, f"{sign}{{value}}") | {"type": "log"}
    return base_option(
        x_axis,
        value_axis(axis, colours),
        [*areas, solid, dashed],
        grid=grid(right=36),
        tooltip={"trigger": "axis", "valueFormatter": "%.3f bps"},
    )


def trail_chart(points: Sequence[HistoryPoint], axes: StickyAxes, theme: Theme) -> Option:
    """The net cost over the last five minutes, minutes before the newest book; today's order stands out.

    The line breaks where the order changed, where nobody could say, and at a silence; the pale band
    behind it is the range within each second.
    """
    colours = PALETTES[theme]
    now = points[-1]
    before, today = broken_lines(points)
    costs = [cost for p in points if p.net_bps is not None for cost in (p.low_bps, p.high_bps)] or [0.0]
    axis = axes.fit("trail cost", min(costs), max(costs), max(LEAST_BPS, LEAST_SHARE * max(map(abs, costs))))
    band = [
        [minutes, None if net is None else low, None if net is None else round(high - low, 5)]
        for minutes, net, low, high in today
    ]
    flat = {"stack": "range", "stackStrategy": "all", "z": 1}
    series = [
        line("Lowest", [row[:2] for row in band], colours.accent, 0, **flat),
        line("Range in a second", [[row[0], row[2]] for row in band], colours.accent, 0, **flat)
        | {"areaStyle": {"color": colours.accent, "opacity": 0.25}},
        line("Other orders", [list(row[:2]) for row in before], colours.text, 1.2),
        line("Net cost", [list(row[:2]) for row in today], colours.accent, 1.8),
    ]
    if now.net_bps is not None:
        series[-1]["markLine"] = mark_line("now", round(now.net_bps, 5), colours, "yAxis", position="insideStartTop")
    return base_option(
        value_axis(Axis(-5, 0, 1), colours, "{value} min"),
        value_axis(axis, colours),
        series,
        grid=grid(left=60),
        legend=legend(["Net cost", "Other orders"], colours),
        tooltip={"trigger": "axis", "valueFormatter": "%.3f bps"},
    )


Row = tuple[float, float | None, float, float]


def broken_lines(points: Sequence[HistoryPoint]) -> tuple[list[Row], list[Row]]:
    """(minutes before now, net, low, high) of other orders, and of the newest one; a row of None breaks the line."""
    now = points[-1]
    lines: tuple[list[Row], list[Row]] = [], []
    last: HistoryPoint | None = None
    for point in points:
        minutes = round((point.market_ns - now.market_ns) / 60e9, 4)
        rows = lines[point.order == now.order]
        if last is not None and not is_continuous(last, point):
            rows.append((minutes, None, 0.0, 0.0))
        if point.net_bps is not None:
            rows.append((minutes, round(point.net_bps, 5), round(point.low_bps, 5), round(point.high_bps, 5)))
        last = point
    return lines


def part_colours(colours: Palette) -> dict[str, str]:
    """The colour of each part of the cost."""
    return dict(zip(PARTS, (colours.slippage, colours.fees, colours.impact), strict=True))
