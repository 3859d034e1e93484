"""Pictures as plain data: ECharts options made from books and estimates."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np

from calculations import Estimate
from orderbook import Levels, OrderBook, Side
from words import bps

Theme = Literal["dark", "light"]
Option = dict[str, Any]
POINTS = 160
"""Points a side of the depth picture; deeper books are thinned, the order's reach never is."""

LOOSE = 4.0
"""An axis is kept until it is so many times longer than needed."""

LOPSIDED = 3.0

LINES, ROOM = 4.5, 0.2
"""Lines across a picture, and the room between what is drawn and its edge, in lines."""


class Palette(NamedTuple):
    """Okabe and Ito's blue and orange, told apart by the colour-blind too; the parts of the cost keep their colours."""

    bid: str
    ask: str
    text: str
    grid: str
    mark: str
    accent: str
    fees: str = "#7E8A97"
    slippage: str = "#129973"
    impact: str = "#C0609A"


PALETTES: dict[str, Palette] = {
    "dark": Palette("#56B4E9", "#E69F00", "#9DA9B5", "#1C2630", "#E6EDF3", "#4C8DFF"),
    "light": Palette("#0072B2", "#B45F06", "#57606A", "#E4E8EC", "#1F2328", "#1A5FD0"),
}


class Axis(NamedTuple):
    """Where a picture's axis begins and ends, and how far its lines are apart."""

    low: float
    high: float
    step: float


class Axes:
    """The axes of all pictures, kept from one drawing to the next so that the pictures stand still.

    >>> axes = Axes()
    >>> axes.fit("cost", 0.0, 5.1), axes.fit("cost", 0.0, 5.9), axes.fit("cost", 0.0, 1.0)
    (Axis(low=0.0, high=6.0, step=2.0), Axis(low=0.0, high=6.0, step=2.0), Axis(low=0.0, high=1.5, step=0.5))
    """

    def __init__(self) -> None:
        self._kept: dict[str, Axis] = {}

    def fit(self, name: str, low: float, high: float, least: float = 1e-9) -> Axis:
        """Round ends around these values, never closer than `least`; the kept ones while they fit."""
        kept = self._kept.get(name)
        span = max(high - low, least)
        if kept and kept.low <= low and high <= kept.high and kept.high - kept.low <= LOOSE * span:
            return kept
        step = round_up(span / LINES)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step + ROOM)
        self._kept[name] = Axis(*(float(f"{value:.9g}") for value in (first * step, last * step, step)))
        return self._kept[name]

    def fit_log(self, name: str, low: float, high: float) -> Axis:
        """The same for an axis of powers: it begins at a power of ten and ends at 1, 2 or 5 times one."""
        kept = self._kept.get(name)
        if kept and kept.low <= low and high <= kept.high and kept.high / kept.low <= 30 * high / low:
            return kept
        self._kept[name] = Axis(10.0 ** math.floor(math.log10(low)), round_up(high), 1.0)
        return self._kept[name]


def round_up(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten.

    >>> [round_up(x) for x in (0.7, 1.01, 2_350_000)]
    [1.0, 2.0, 5000000.0]
    """
    power = 10.0 ** math.floor(math.log10(value))
    return next(m * power for m in (1.0, 2.0, 5.0, 10.0) if value <= m * power * (1 + 1e-9))


def money_unit(amount: float) -> tuple[float, str]:
    """The unit that keeps an axis of this length readable.

    >>> money_unit(2_500_000), money_unit(40_000), money_unit(900)
    ((1000000.0, 'M'), (1000.0, 'k'), (1.0, ''))
    """
    return (1e6, "M") if amount >= 1e6 else (1e3, "k") if amount >= 1e4 else (1.0, "")


def short(value: float) -> float:
    """A number to seven digits: more than any picture shows, and shorter to send."""
    return float(f"{value:.7g}")


def picture(x_axis: Option, y_axis: Option, series: list[Option], **more: Any) -> Option:
    """An option without motion, its plot filling all but the axis labels; `more` overrides or adds."""
    return {
        "animation": False,
        "grid": plot(),
        "xAxis": x_axis,
        "yAxis": y_axis,
        "series": series,
        **more,
    }


def plot(**room: int) -> list[Option]:
    """Where the plot lies, pixels from the edges; in a list, because Streamlit adds room of its own to one alone."""
    return [{"left": 52, "right": 16, "top": 26, "bottom": 22, "outerBoundsMode": "none"} | room]


def value_axis(axis: Axis, colours: Palette, words: str = "{value}", **more: Any) -> Option:
    """A straight axis between fixed ends, its labels as `words`."""
    return {
        "type": "value",
        "min": axis.low,
        "max": axis.high,
        "interval": axis.step,
        "axisLabel": {"formatter": words, "color": colours.text, "fontSize": 11},
        "splitLine": {"lineStyle": {"color": colours.grid}},
        "axisLine": {"lineStyle": {"color": colours.grid}},
        **more,
    }


def legend(names: list[str], colours: Palette) -> Option:
    """The names of a picture's series, above it."""
    return {
        "top": 0,
        "right": 8,
        "icon": "roundRect",
        "itemWidth": 12,
        "itemHeight": 8,
        "itemGap": 12,
        "selectedMode": False,
        "textStyle": {"color": colours.text, "fontSize": 11},
        "data": names,
    }


def line(name: str, data: list[Any], colour: str, width: float = 1.5, **more: Any) -> Option:
    """A line without points."""
    return {
        "name": name,
        "type": "line",
        "showSymbol": False,
        "data": data,
        "lineStyle": {"color": colour, "width": width},
        "itemStyle": {"color": colour},
        "emphasis": {"disabled": True},
        **more,
    }


def mark_line(words: str, value: float, colours: Palette, axis: str = "xAxis", **label: Any) -> Option:
    """A dashed line across the picture at one value, with its words at the end."""
    return {
        "silent": True,
        "symbol": "none",
        "precision": 8,
        "lineStyle": {"color": colours.mark, "type": "dashed", "width": 1},
        "label": {"formatter": words, "color": colours.mark, "position": "end", "fontSize": 11, "distance": 4, **label},
        "data": [{axis: value}],
    }


def depth_chart(book: OrderBook, estimate: Estimate, axes: Axes, theme: Theme, sign: str = "$") -> Option:
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
    return picture(
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
        grid=plot(top=36, right=34),
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
