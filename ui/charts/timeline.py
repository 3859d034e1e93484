"""Draw the timeline of a recording: its mid price as a thin line, and a mark at the playback position."""

from __future__ import annotations

from ui.charts.base import PALETTES, Option, Theme, time_axis

Curve = tuple[tuple[int, float, float], ...]
"""(market_ns, lowest mid, highest mid) of each stretch, in the order of time."""


def timeline_chart(curve: Curve, span: tuple[int, int], position_ns: int | None, theme: Theme) -> Option:
    """Return the mid price over the whole recording, lows and highs included, with a mark at the position.

    span: market_ns of the first and the last line. position_ns: None for no mark.
    """
    colours = PALETTES[theme]
    points = [
        [market_ns / 1e6, price] for market_ns, low, high in curve for price in ((low,) if low == high else (low, high))
    ]
    mark = [] if position_ns is None else [{"xAxis": position_ns / 1e6}]
    return {
        "animation": False,
        "useUTC": True,
        "grid": {"left": 2, "right": 2, "top": 4, "bottom": 0},
        "xAxis": time_axis(*span, colours),
        "yAxis": {"type": "value", "scale": True, "show": False},
        "series": [
            {
                "type": "line",
                "data": points,
                "showSymbol": len(points) == 1,
                "silent": True,
                "lineStyle": {"color": colours.bid, "width": 1.2},
                "itemStyle": {"color": colours.bid},
                "areaStyle": {"color": colours.bid, "opacity": 0.12, "origin": "start"},
                "markLine": {
                    "silent": True,
                    "symbol": "none",
                    "label": {"show": False},
                    "lineStyle": {"color": colours.mark, "type": "solid", "width": 2},
                    "data": mark,
                },
            }
        ],
    }
