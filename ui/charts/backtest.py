"""Pictures of a backtest: the cost over time, how it is spread, by the hour of the day, and by the order's size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
    round_short,
    value_axis,
)

LEAST_BPS, LEAST_SHARE = 0.02, 0.002
"""The shortest axis, bps and a share of the cost: smaller moves are not blown up."""
GAP = 10.0
"""A line is broken where nothing is known for so many times the usual distance."""
UNKNOWN = 0.05
TOO_CLOSE = 0.1

Row = list[Any]


def over_time_chart(summary: Summary, theme: Theme) -> Option:
    """Least and most net cost in each stretch of the recording, so that no spike is lost."""
    colours = PALETTES[theme]
    low, high = broken_lines(summary)
    between = {"stack": "range", "stackStrategy": "all", "tooltip": {"show": False}, "silent": True}
    width = [[a[0], None if a[1] is None else round_short(b[1] - a[1])] for a, b in zip(low, high, strict=True)]
    return base_option(
        {
            "type": "time",
            "min": summary.first_ns / 1e6,
            "max": max(summary.last_ns, summary.first_ns + 1_000_000) / 1e6,
            "axisLabel": {"color": colours.text, "fontSize": 11, "hideOverlap": True},
            "axisLine": {"lineStyle": {"color": colours.grid}},
            "splitLine": {"show": False},
        },
        value_axis(cost_axis([row[1] for row in (*low, *high) if row[1] is not None]), colours),
        [
            line("", low, colours.accent, 0, **between),
            line("", width, colours.accent, 0, **between) | {"areaStyle": {"color": colours.accent, "opacity": 0.3}},
            line("Least", low, colours.slippage, 1.2),
            line("Most", high, colours.accent, 1.5),
        ],
        grid=grid(left=60, right=24),
        useUTC=True,
        legend=legend(["Least", "Most"], colours),
        tooltip={"trigger": "axis", "valueFormatter": "%.3f bps"},
    )


def broken_lines(summary: Summary) -> tuple[list[Row], list[Row]]:
    """[ms since 1970, bps] of the least and of the most cost; a row of None breaks the lines.

    What stands alone between two breaks goes on for its stretch, for a line of one point is not seen.
    """
    over = summary.over_time
    length = (summary.last_ns - summary.first_ns) // BUCKETS + 1
    starts = over.market_ns
    usual = float(np.median(np.diff(starts))) if len(starts) > 1 else float(length)
    low: list[Row] = []
    high: list[Row] = []
    for row, (start, least, most) in enumerate(zip(starts.tolist(), over.low_bps, over.high_bps, strict=True)):
        last = row + 1 == len(starts)
        broken = last or starts[row + 1] - start > GAP * usual
        for at in (start, start + length) if broken else (start,):
            low.append([at / 1e6, round_short(least)])
            high.append([at / 1e6, round_short(most)])
        if broken and not last:
            for each in (low, high):
                each.append([(start + length) / 1e6, None])
    return low, high


def histogram_chart(histogram: Histogram, spread: Distribution, theme: Theme) -> Option:
    """The share of the books by net cost, with marks at P50 and P95."""
    colours = PALETTES[theme]
    edges, total = histogram.edges_bps, int(histogram.books.sum())
    shares = (100 * histogram.books / total).tolist()
    steps = [[round_short(edge), round_short(share)] for edge, share in zip(edges, [*shares, 0.0], strict=True)]
    bars = line(
        "Share of the books", steps, colours.accent, 1, step="end", areaStyle={"color": colours.accent, "opacity": 0.45}
    )
    marks = mark_line("{b}", 0.0, colours)
    # Words that would lie on one another become one.
    apart = spread.p95 - spread.p50 > TOO_CLOSE * float(edges[-1] - edges[0])
    named = (("P50", spread.p50), ("P95", spread.p95)) if apart else (("P50, P95", spread.p95),)
    marks["data"] = [
        {"name": name, "xAxis": round_short(min(max(value, float(edges[0])), float(edges[-1])))}
        for name, value in named
    ]
    across = StickyAxes().fit("", float(edges[0]), float(edges[-1]))
    return base_option(
        value_axis(across._replace(low=float(edges[0]), high=float(edges[-1])), colours)
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
    """The average net cost of every hour of the day that the recording has."""
    colours = PALETTES[theme]
    known = {hour.hour: hour for hour in hours}
    points = [round_short(known[hour].net_cost_bps) if hour in known else None for hour in range(HOURS)]
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
    """P50 and P95 of the net cost by the order's size, in its own unit; the first is the order itself, and is marked.

    Left out are sizes that more than UNKNOWN of the books have no number for: it would be the largest ones.
    """
    colours = PALETTES[theme]
    known = sorted(
        (each.order.quantity, spread)
        for each in summaries
        if (spread := each.components["net_cost_bps"]) is not None and each.unpriced <= UNKNOWN * each.books
    )
    sizes = [each.order.quantity for each in summaries]
    low, high = min(sizes), max(sizes)
    across = StickyAxes().fit_log("", low, high if high > low else 2 * low)
    own = line(
        "P95",
        [[round_short(size), round_short(spread.p95)] for size, spread in known],
        colours.accent,
        showSymbol=True,
        symbolSize=6,
    )
    own["markLine"] = mark_line("your order", round_short(summaries[0].order.quantity), colours)
    half = line(
        "P50",
        [[round_short(size), round_short(spread.p50)] for size, spread in known],
        colours.slippage,
        showSymbol=True,
        symbolSize=6,
    )
    costs = [cost for _, spread in known for cost in (spread.p50, spread.p95)]
    return base_option(
        value_axis(across, colours) | {"type": "log", "axisLabel": {"color": colours.text, "fontSize": 11}},
        value_axis(cost_axis(costs), colours),
        [half, own],
        grid=grid(left=60, top=36, right=28),
        legend=legend(["P50", "P95"], colours),
        tooltip={"trigger": "axis", "valueFormatter": "%.3f bps"},
    )


def cost_axis(costs: Sequence[float]) -> Axis:
    """Round ends around these costs; from zero where there are none."""
    if not len(costs):
        return StickyAxes().fit("", 0.0, 1.0)
    low, high = min(costs), max(costs)
    least = max(LEAST_BPS, LEAST_SHARE * max(abs(low), abs(high)))
    if high - low < least:
        middle = (low + high) / 2
        low, high = middle - least / 2, middle + least / 2
    return StickyAxes().fit("", low, high)
