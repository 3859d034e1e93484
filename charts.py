"""Pictures as plain data: ECharts options made from books and estimates."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np

from calculations import Estimate
from orderbook import Levels, OrderBook, Side

Theme = Literal["dark", "light"]
POINTS = 160
"""Points a side of the depth picture; deeper books are thinned, the order's reach never is."""


class Palette(NamedTuple):
    """Okabe and Ito's blue and orange, told apart by colour-blind readers too."""

    bid: str
    ask: str
    text: str
    grid: str
    mark: str


PALETTES: dict[str, Palette] = {
    "dark": Palette("#56B4E9", "#E69F00", "#9DA9B5", "#1C2630", "#E6EDF3"),
    "light": Palette("#0072B2", "#B45F06", "#57606A", "#E4E8EC", "#1F2328"),
}


class Frame(NamedTuple):
    """The axes of the depth picture; kept from one book to the next so that the picture stands still."""

    reach_bps: float
    notional: float


def depth_frame(book: OrderBook, kept: Frame | None) -> Frame:
    """Round axes that hold the whole visible book; the kept ones while they fit and are not far too wide."""
    mid = book.mid
    reach = 1e4 * max(book.asks[-1, 0] / mid - 1, 1 - book.bids[-1, 0] / mid)
    notional = max(float(levels[:, 0] @ levels[:, 1]) for levels in (book.bids, book.asks))

    def fit(value: float, before: float | None) -> float:
        return before if before is not None and before / 4 < value <= before else round_up(1.15 * value)

    return Frame(fit(reach, kept and kept.reach_bps), fit(notional, kept and kept.notional))


def round_up(value: float) -> float:
    """The next 1, 2, 3, 4, 5, 6 or 8 times a power of ten.

    >>> [round_up(x) for x in (0.7, 1.01, 2_350_000)]
    [0.8, 2.0, 3000000.0]
    """
    power = 10 ** math.floor(math.log10(value))
    return next((float(m * power) for m in (1, 2, 3, 4, 5, 6, 8) if value <= m * power * (1 + 1e-9)), 10.0 * power)


def depth_chart(book: OrderBook, estimate: Estimate, frame: Frame, theme: Theme) -> dict[str, Any]:
    """Money waiting on both sides by distance from the mid, and the part this order would take."""
    colours = PALETTES[theme]
    mid, order = book.mid, estimate.order
    unit, suffix = money_unit(frame.notional)
    taken, colour = (book.asks, colours.ask) if order.side is Side.BUY else (book.bids, colours.bid)
    part = taken[: estimate.fill.levels].copy()
    part[-1, 1] -= max(0.0, part[:, 1].sum() - estimate.fill.quantity)
    reach_bps = (estimate.fill.worst_price / mid - 1) * 1e4
    worst = f"your order reaches {abs(reach_bps):.2f} bps"
    if estimate.unfilled:
        worst = "your order needs more than the visible book"
    return {
        "animation": False,
        "grid": {"left": 62, "right": 16, "top": 30, "bottom": 42},
        "legend": {
            "top": 0,
            "right": 8,
            "itemWidth": 14,
            "itemHeight": 9,
            "selectedMode": False,
            "textStyle": {"color": colours.text},
            "data": ["Buyers waiting", "Sellers waiting", "What your order takes"],
        },
        "tooltip": {"trigger": "axis", "valueFormatter": f"$%.2f{suffix}"},
        "xAxis": {
            "type": "value",
            "name": "Distance from the mid price (bps)",
            "nameLocation": "middle",
            "nameGap": 26,
            "nameTextStyle": {"color": colours.text},
            "min": -frame.reach_bps,
            "max": frame.reach_bps,
            "axisLabel": {"color": colours.text},
            "splitLine": {"lineStyle": {"color": colours.grid}},
        },
        "yAxis": {
            "type": "value",
            "min": 0,
            "max": frame.notional / unit,
            "axisLabel": {"formatter": f"${{value}}{suffix}", "color": colours.text},
            "splitLine": {"lineStyle": {"color": colours.grid}},
        },
        "series": [
            _side("Buyers waiting", _cumulative(book.bids, mid, unit), colours.bid, 0.22),
            _side("Sellers waiting", _cumulative(book.asks, mid, unit), colours.ask, 0.22),
            {
                **_side("What your order takes", _cumulative(part, mid, unit), colour, 0.75),
                "markLine": {
                    "silent": True,
                    "symbol": "none",
                    "lineStyle": {"color": colours.mark, "type": "dashed", "width": 1},
                    "label": {
                        "formatter": worst,
                        "color": colours.mark,
                        "position": "insideEndTop" if order.side is Side.BUY else "insideEndBottom",
                    },
                    "data": [{"xAxis": round(reach_bps, 4)}],
                },
            },
        ],
    }


def _side(name: str, points: list[list[float]], colour: str, opacity: float) -> dict[str, Any]:
    return {
        "name": name,
        "type": "line",
        "step": "end",
        "showSymbol": False,
        "data": points,
        "lineStyle": {"color": colour, "width": 1.5},
        "itemStyle": {"color": colour},
        "areaStyle": {"color": colour, "opacity": opacity},
        "emphasis": {"disabled": True},
    }


def _cumulative(levels: Levels, mid: float, unit: float) -> list[list[float]]:
    """[bps from mid, money up to there], best level first, thinned evenly to POINTS."""
    distance = (levels[:, 0] / mid - 1) * 1e4
    notional = np.cumsum(levels[:, 0] * levels[:, 1]) / unit
    rows = np.unique(np.linspace(0, len(levels) - 1, min(len(levels), POINTS)).astype(int))
    points = np.column_stack((distance[rows], notional[rows])).round(5)
    return [[float(points[0, 0]), 0.0], *points.tolist()]


def money_unit(amount: float) -> tuple[float, str]:
    """The unit that keeps an axis of this length readable.

    >>> money_unit(2_500_000), money_unit(40_000), money_unit(900)
    ((1000000.0, 'M'), (1000.0, 'k'), (1.0, ''))
    """
    return (1e6, "M") if amount >= 1e6 else (1e3, "k") if amount >= 1e4 else (1.0, "")
