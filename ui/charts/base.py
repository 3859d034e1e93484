"""The parts that all charts share: palettes, axes and base options of ECharts."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

Theme = Literal["dark", "light"]
Option = dict[str, Any]

LOOSE = 4.0
"""An axis is kept until it is so many times longer than needed."""

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


class StickyAxes:
    """The axes of all pictures, kept from one drawing to the next so that the pictures stand still.

    >>> axes = StickyAxes()
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


def round_short(value: float) -> float:
    """A number to seven digits: more than any picture shows, and shorter to send."""
    return float(f"{value:.7g}")


def base_option(x_axis: Option, y_axis: Option, series: list[Option], **more: Any) -> Option:
    """An option without motion, its plot filling all but the axis labels; `more` overrides or adds."""
    return {
        "animation": False,
        "grid": grid(),
        "xAxis": x_axis,
        "yAxis": y_axis,
        "series": series,
        **more,
    }


def grid(**room: int) -> list[Option]:
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
