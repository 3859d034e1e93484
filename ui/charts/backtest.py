"""Draw the net cost of a backtest: over time, its distribution, by the hour of the day, and by the order's size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from backtesting.summary import BUCKETS, HOURS, Distribution, Histogram, Hour, Summary
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
    min_axis_length,
    round_short,
    time_axis,
    value_axis,
)

MIN_AXIS_BPS = 0.02
"""The shortest axis of a cost."""
GAP_IN_MEDIAN_STEPS = 10.0
"""A line breaks where there is no number for this many times the median distance of its points."""
MAX_UNPRICED_SHARE = 0.05
"""Sizes without a number for more of the books than this are not drawn."""
MIN_MARK_DISTANCE = 0.1
"""Two marks closer than this share of the axis become one, because their words would overlap."""


class RangePoint(NamedTuple):
    """A point of both lines over time: milliseconds since 1970, least and most cost, bps; None breaks the lines."""

    ms: float
    low_bps: float | None
    high_bps: float | None


def over_time_chart(summary: Summary, theme: Theme) -> Option:
    """Return the least and the most net cost in each stretch of the recording, so that no spike is lost."""
    colours = PALETTES[theme]
    points = range_points(summary)
    low = [[point.ms, point.low_bps] for point in points]
    high = [[point.ms, point.high_bps] for point in points]
    # ECharts draws a band as two stacked lines: an invisible one at its low end, and the width on top of it.
    width = [
        [
            point.ms,
            None if point.low_bps is None or point.high_bps is None else round_short(point.high_bps - point.low_bps),
        ]
        for point in points
    ]
    band = {"stack": "range", "stackStrategy": "all", "tooltip": {"show": False}, "silent": True}
    costs = [cost for _, cost in (*low, *high) if cost is not None]
    return base_option(
        time_axis(summary.first_ns, summary.last_ns, colours, fontSize=11),
        value_axis(cost_axis(costs), colours),
        [
            line("", low, colours.accent, 0, **band),
            line("", width, colours.accent, 0, **band) | {"areaStyle": {"color": colours.accent, "opacity": 0.3}},
            line("Least", low, colours.slippage, 1.2),
            line("Most", high, colours.accent, 1.5),
        ],
        grid=grid(left=60, right=24),
        useUTC=True,
        legend=legend(["Least", "Most"], colours),
        tooltip={"trigger": "axis", "valueFormatter": "%.3f bps"},
    )


def range_points(summary: Summary) -> list[RangePoint]:
    """Return the points of the lines over time, with their breaks.

    The last stretch before a break gets a second point at its end, because a line of one point is invisible.
    """
    over_time = summary.over_time
    stretch_ns = (summary.last_ns - summary.first_ns) // BUCKETS + 1
    starts_ns = over_time.market_ns
    median_step_ns = float(np.median(np.diff(starts_ns))) if len(starts_ns) > 1 else float(stretch_ns)
    points = []
    stretches = zip(starts_ns.tolist(), over_time.low_bps, over_time.high_bps, strict=True)
    for row, (start_ns, low_bps, high_bps) in enumerate(stretches):
        is_last = row + 1 == len(starts_ns)
        ends_line = is_last or starts_ns[row + 1] - start_ns > GAP_IN_MEDIAN_STEPS * median_step_ns
        point = RangePoint(start_ns / 1e6, round_short(low_bps), round_short(high_bps))
        points.append(point)
        if ends_line:
            points.append(point._replace(ms=(start_ns + stretch_ns) / 1e6))
        if ends_line and not is_last:
            points.append(RangePoint((start_ns + stretch_ns) / 1e6, None, None))
    return points


def histogram_chart(histogram: Histogram, distribution: Distribution, theme: Theme) -> Option:
    """Return the share of the books by net cost, with marks at P50 and P95."""
    colours = PALETTES[theme]
    edges = histogram.edges_bps
    shares = (100 * histogram.books / int(histogram.books.sum())).tolist()
    steps = [[round_short(edge), round_short(share)] for edge, share in zip(edges, [*shares, 0.0], strict=True)]
    bars = line(
        "Share of the books", steps, colours.accent, 1, step="end", areaStyle={"color": colours.accent, "opacity": 0.45}
    )
    marks = mark_line("{b}", 0.0, colours)
    p50, p95 = distribution.p50, distribution.p95
    is_apart = p95 - p50 > MIN_MARK_DISTANCE * float(edges[-1] - edges[0])
    named_values = (("P50", p50), ("P95", p95)) if is_apart else (("P50, P95", p95),)
    marks["data"] = [
        {"name": name, "xAxis": round_short(min(max(value, float(edges[0])), float(edges[-1])))}
        for name, value in named_values
    ]
    edge_axis = StickyAxes().fit("", float(edges[0]), float(edges[-1]))
    return base_option(
        value_axis(edge_axis._replace(low=float(edges[0]), high=float(edges[-1])), colours)
        | {"interval": None, "splitNumber": 4, "axisLabel": _short_labels(colours.text)},
        value_axis(
            Axis(0, 100, 25) if max(shares) > 80 else StickyAxes().fit("", 0.0, max(shares)), colours, "{value} %"
        ),
        [bars | {"markLine": marks}],
        tooltip={"trigger": "axis", "valueFormatter": "%.2f %%"},
    )


def _short_labels(colour: str) -> Option:
    return {"color": colour, "fontSize": 11, "hideOverlap": True, "showMinLabel": False, "showMaxLabel": False}


def hours_chart(hours: Sequence[Hour], theme: Theme) -> Option:
    """Return the average net cost of each hour of the day; hours that the recording does not have stay empty."""
    colours = PALETTES[theme]
    averages_bps = {hour.hour: round_short(hour.net_cost_bps) for hour in hours}
    points = [averages_bps.get(hour) for hour in range(HOURS)]
    return base_option(
        {
            "type": "category",
            "data": [f"{hour:02d}" for hour in range(HOURS)],
            "axisLabel": {"color": colours.text, "fontSize": 11, "interval": 2},
            "axisTick": {"show": False},
            "axisLine": {"lineStyle": {"color": colours.grid}},
        },
        value_axis(cost_axis([hour.net_cost_bps for hour in hours]), colours),
        [
            line(
                "Average net cost",
                points,
                colours.accent,
                showSymbol=True,
                showAllSymbol=True,
                symbol="circle",
                symbolSize=7,
            )
        ],
        grid=grid(left=60),
        tooltip={"trigger": "axis", "valueFormatter": "%.3f bps"},
    )


def sizes_chart(summaries: Sequence[Summary], theme: Theme) -> Option:
    """Return P50 and P95 of the net cost by the order's size, in its own unit.

    summaries[0] is the order of the page, and is marked. Sizes that have no number for more than MAX_UNPRICED_SHARE
    of the books are left out: the missing costs are the largest ones, so the quantiles of the others are too low.
    """
    colours = PALETTES[theme]
    priced = sorted(
        (summary.order.quantity, distribution)
        for summary in summaries
        if (distribution := summary.components["net_cost_bps"]) is not None
        and summary.unpriced <= MAX_UNPRICED_SHARE * summary.books
    )
    sizes = [summary.order.quantity for summary in summaries]
    low, high = min(sizes), max(sizes)
    size_axis = StickyAxes().fit_log("", low, high if high > low else 2 * low)
    p95_line = line(
        "P95",
        [[round_short(size), round_short(distribution.p95)] for size, distribution in priced],
        colours.accent,
        showSymbol=True,
        symbolSize=6,
    )
    p95_line["markLine"] = mark_line("your order", round_short(summaries[0].order.quantity), colours)
    p50_line = line(
        "P50",
        [[round_short(size), round_short(distribution.p50)] for size, distribution in priced],
        colours.slippage,
        showSymbol=True,
        symbolSize=6,
    )
    costs = [cost for _, distribution in priced for cost in (distribution.p50, distribution.p95)]
    return base_option(
        value_axis(size_axis, colours) | {"type": "log", "axisLabel": {"color": colours.text, "fontSize": 11}},
        value_axis(cost_axis(costs), colours),
        [p50_line, p95_line],
        grid=grid(left=60, top=36, right=28),
        legend=legend(["P50", "P95"], colours),
        tooltip={"trigger": "axis", "valueFormatter": "%.3f bps"},
    )


def cost_axis(costs: Sequence[float]) -> Axis:
    """Return an axis with round ends around these costs, bps; from 0 to 1 if there are none."""
    if not len(costs):
        return StickyAxes().fit("", 0.0, 1.0)
    low, high = min(costs), max(costs)
    min_length = min_axis_length((low, high), MIN_AXIS_BPS)
    if high - low < min_length:
        middle = (low + high) / 2
        low, high = middle - min_length / 2, middle + min_length / 2
    return StickyAxes().fit("", low, high)
