"""Build what all charts share: palettes, axes and base options of ECharts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

Theme = Literal["dark", "light"]
Option = dict[str, Any]

MAX_AXIS_EXCESS = 4.0
"""A sticky axis is replaced once it is this many times longer than needed."""
MAX_LOG_AXIS_EXCESS = 30.0
"""The same for an axis of powers, as a factor of the ratio of its ends."""
GRID_LINES = 4.5
"""Grid lines across a chart."""
HEADROOM = 0.2
"""Room between the highest value and the end of its axis, in distances of grid lines."""
MIN_AXIS_SHARE = 0.002
"""The shortest axis of a cost, as a share of that cost: smaller moves are not blown up."""


class Palette(NamedTuple):
    """The colours of one theme.

    Bid and ask are Okabe and Ito's blue and orange, which colour-blind readers can tell apart. The components of the
    cost have the same colours in both themes.
    """

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
    """The two ends of an axis, and the distance of its grid lines."""

    low: float
    high: float
    step: float


class StickyAxes:
    """The axes of all charts, kept from one drawing to the next so that the charts stand still.

    >>> axes = StickyAxes()
    >>> axes.fit("cost", 0.0, 5.1), axes.fit("cost", 0.0, 5.9), axes.fit("cost", 0.0, 1.0)
    (Axis(low=0.0, high=6.0, step=2.0), Axis(low=0.0, high=6.0, step=2.0), Axis(low=0.0, high=1.5, step=0.5))
    """

    def __init__(self) -> None:
        self._kept: dict[str, Axis] = {}

    def fit(self, name: str, low: float, high: float, min_length: float = 1e-9) -> Axis:
        """Return the kept axis of this name while it fits, else a new one with round ends, at least min_length long."""
        kept = self._kept.get(name)
        span = max(high - low, min_length)
        if kept and kept.low <= low and high <= kept.high and kept.high - kept.low <= MAX_AXIS_EXCESS * span:
            return kept
        step = round_up(span / GRID_LINES)
        first_line = math.floor(low / step + 1e-9)
        last_line = math.ceil(high / step + HEADROOM)
        # Nine digits remove the noise of the multiplication from the labels.
        self._kept[name] = Axis(*(float(f"{value:.9g}") for value in (first_line * step, last_line * step, step)))
        return self._kept[name]

    def fit_log(self, name: str, low: float, high: float) -> Axis:
        """Return the same for an axis of powers, which begins at a power of ten and ends at 1, 2 or 5 times one."""
        kept = self._kept.get(name)
        if kept and kept.low <= low and high <= kept.high and kept.high / kept.low <= MAX_LOG_AXIS_EXCESS * high / low:
            return kept
        self._kept[name] = Axis(10.0 ** math.floor(math.log10(low)), round_up(high), 1.0)
        return self._kept[name]


def round_up(value: float) -> float:
    """Round up to the next 1, 2 or 5 times a power of ten.

    >>> [round_up(x) for x in (0.7, 1.01, 2_350_000)]
    [1.0, 2.0, 5000000.0]
    """
    power = 10.0 ** math.floor(math.log10(value))
    return next(digit * power for digit in (1.0, 2.0, 5.0, 10.0) if value <= digit * power * (1 + 1e-9))


def money_unit(amount: float) -> tuple[float, str]:
    """Return the unit that keeps an axis of this length readable, and its suffix.

    >>> money_unit(15e9), money_unit(2_500_000), money_unit(40_000), money_unit(900)
    ((1000000000.0, 'B'), (1000000.0, 'M'), (1000.0, 'k'), (1.0, ''))
    """
    if amount >= 1e10:
        return 1e9, "B"
    return (1e6, "M") if amount >= 1e6 else (1e3, "k") if amount >= 1e4 else (1.0, "")


def money_decimals(amount: float) -> int:
    """Return how many decimals show a hundredth of this amount, and at least two.

    >>> money_decimals(40.0), money_decimals(0.5), money_decimals(0.0042)
    (2, 3, 5)
    """
    return 2 if amount >= 1 or amount <= 0 else 2 - math.floor(math.log10(amount))


def round_short(value: float) -> float:
    """Round to seven digits: more than any chart shows, and shorter to send."""
    return float(f"{value:.7g}")


def min_axis_length(costs_bps: Sequence[float], floor_bps: float) -> float:
    """Return the shortest axis for these costs, bps: floor_bps, or MIN_AXIS_SHARE of the largest cost if longer."""
    return max(floor_bps, MIN_AXIS_SHARE * max(map(abs, costs_bps)))


def base_option(x_axis: Option, y_axis: Option, series: list[Option], **more: Any) -> Option:
    """Return an option without animation whose plot fills all but the axis labels; `more` overrides or adds."""
    return {
        "animation": False,
        "grid": grid(),
        "xAxis": x_axis,
        "yAxis": y_axis,
        "series": series,
        **more,
    }


def grid(**room: int) -> list[Option]:
    """Return where the plot lies, pixels from the edges.

    It stands in a list, because Streamlit adds room of its own to a grid that does not.
    """
    return [{"left": 52, "right": 16, "top": 26, "bottom": 22, "outerBoundsMode": "none"} | room]


def value_axis(axis: Axis, colours: Palette, label_format: str = "{value}", **more: Any) -> Option:
    """Return a linear axis between fixed ends; label_format writes its labels."""
    return {
        "type": "value",
        "min": axis.low,
        "max": axis.high,
        "interval": axis.step,
        "axisLabel": {"formatter": label_format, "color": colours.text, "fontSize": 11},
        "splitLine": {"lineStyle": {"color": colours.grid}},
        "axisLine": {"lineStyle": {"color": colours.grid}},
        **more,
    }


def time_axis(first_ns: int, last_ns: int, colours: Palette, **label: Any) -> Option:
    """Return a time axis between two market times, at least a millisecond long; `label` adds to its labels."""
    return {
        "type": "time",
        "min": first_ns / 1e6,
        "max": max(last_ns, first_ns + 1_000_000) / 1e6,
        "axisLabel": {"color": colours.text, "hideOverlap": True, **label},
        "axisLine": {"lineStyle": {"color": colours.grid}},
        "splitLine": {"show": False},
    }


def legend(names: list[str], colours: Palette) -> Option:
    """Return the legend above a chart: the names of its series."""
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
    """Return a line series without symbols at its points.

    Args:
        name: of the series, in the legend and the tooltip.
        data: the points, [x, y] or y alone; None for y breaks the line.
        colour: of the line.
        width: pixels.
        **more: overrides or adds to the options of the series.
    """
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
    """Return a dashed line across the chart at one value, with its words at the end.

    Args:
        words: of the label.
        value: where the line stands on the axis.
        colours: of the theme.
        axis: the axis of the value, "xAxis" or "yAxis".
        **label: overrides or adds to the label's style.
    """
    return {
        "silent": True,
        "symbol": "none",
        "precision": 8,
        "lineStyle": {"color": colours.mark, "type": "dashed", "width": 1},
        "label": {"formatter": words, "color": colours.mark, "position": "end", "fontSize": 11, "distance": 4, **label},
        "data": [{axis: value}],
    }
