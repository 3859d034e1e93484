"""Pictures of what stands behind the cost: the schedule and its risk, how right the guesses were, how fast all was."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from calculations import impact_model
from estimation.estimate import Estimate
from estimation.realised import RealisedOutcome
from estimation.scorecard import FillScore, Scorecard
from numerics.arrays import Floats
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
    round_short,
    value_axis,
)

SHOWN_STAGES = ("parse", "features", "models", "fees", "UI update time", "end to end")
BINS_MS = np.geomspace(0.01, 1000.0, 26)
"""Five bins to every tenfold; what lies outside is counted in the first or the last."""

CHOSEN, EVEN, AT_ONCE = "Chosen", "Evenly", "All at once"


def trajectory_chart(estimate: Estimate, axes: StickyAxes, theme: Theme) -> Option:
    """What is still to be traded, minute by minute: the chosen schedule, an even one, and all at once."""
    colours, order = PALETTES[theme], estimate.order
    model = impact_model(estimate.parameters, estimate.mid, order.risk_aversion)
    left = model.trajectory(estimate.quantity, order.horizon_s, order.steps)
    unit, end = _time_unit(order.horizon_s)
    times = np.linspace(0, end, order.steps + 1)
    whole = float(left[0])
    return base_option(
        value_axis(Axis(0, round(end, 6), round(end, 6) / 5), colours, f"{{value}} {unit}"),
        value_axis(axes.fit("left", 0.0, whole), colours),
        [
            line(AT_ONCE, [[0, round_short(whole)], [0, 0], [round(end, 6), 0]], colours.ask),
            line(EVEN, [[0, round_short(whole)], [round(end, 6), 0]], colours.text, lineStyle=_dashed(colours.text)),
            line(CHOSEN, _pairs(times, left), colours.accent, 2.2, showSymbol=order.steps <= 30, symbolSize=5),
        ],
        legend=legend([CHOSEN, EVEN, AT_ONCE], colours),
        tooltip={"trigger": "axis", "valueFormatter": "%.4f"},
    )


def frontier(estimate: Estimate) -> tuple[Floats, dict[str, tuple[float, float]]]:
    """(n, 2) risk and expected cost of the best schedules, bps, from all in the first part to an even pace; and where
    the chosen one, the even one and all at once lie among them. By the Almgren-Chriss model alone."""
    order, quantity = estimate.order, estimate.quantity
    model = impact_model(estimate.parameters, estimate.mid, order.risk_aversion)
    tau = order.horizon_s / order.steps
    stiffness = (model.eta - model.gamma * tau / 2) / (model.sigma * tau) ** 2
    urgencies = np.append(0.0, np.geomspace(1e-3 / order.steps**2, 1e3, 40)) * stiffness
    rows = model.frontier(quantity, order.horizon_s, order.steps, urgencies[np.isfinite(urgencies)])
    at_once = model.expected_cost(quantity, tau, 1)
    chosen = model.costs(quantity, order.horizon_s, order.steps)
    per_quote = 1e4 / (quantity * estimate.mid)
    risk, cost = np.sqrt(rows[::-1, 2]) * per_quote, rows[::-1, 1] * per_quote
    named = {
        CHOSEN: (math.sqrt(chosen.variance) * per_quote, chosen.expected * per_quote),
        EVEN: (float(risk[-1]), float(cost[-1])),
        AT_ONCE: (0.0, at_once * per_quote),
    }
    return np.column_stack((risk, cost)), named


def frontier_chart(estimate: Estimate, axes: StickyAxes, theme: Theme) -> Option:
    """What certainty costs: the expected cost of the best schedule for every risk, and the one chosen."""
    colours = PALETTES[theme]
    curve, named = frontier(estimate)
    shades = {CHOSEN: colours.accent, EVEN: colours.text, AT_ONCE: colours.ask}
    risks = axes.fit("frontier risk", 0.0, float(curve[:, 0].max()))
    costs = axes.fit("frontier cost", float(curve[:, 1].min()), max(cost for _, cost in named.values()))
    return base_option(
        value_axis(risks, colours, "± {value} bps"),
        value_axis(costs, colours),
        [
            line("Best schedules", _pairs(*curve.T), colours.text, tooltip={"show": False}),
            *(
                {
                    "name": name,
                    "type": "scatter",
                    "symbolSize": 13 if name == CHOSEN else 9,
                    "data": [[round_short(risk), round_short(cost)]],
                    "itemStyle": {"color": shades[name]},
                }
                for name, (risk, cost) in named.items()
            ),
        ],
        grid=grid(right=34),
        legend=legend(list(named), colours),
        tooltip={"trigger": "item", "valueFormatter": "%.3f bps"},
    )


def predicted_chart(realised: Sequence[RealisedOutcome], axes: StickyAxes, theme: Theme) -> Option:
    """The slippage guessed against the slippage met, one dot an estimate; on the diagonal, the guess was right."""
    colours = PALETTES[theme]
    pairs = known_pairs(realised)
    low, high = (float(pairs.min()), float(pairs.max())) if len(pairs) else (0.0, 1.0)
    axis = axes.fit("predicted", min(low, 0.0), high)
    dots = {
        "name": "Outcomes",
        "type": "scatter",
        "symbolSize": 5,
        "data": pairs.round(4).tolist(),
        "itemStyle": {"color": colours.accent, "opacity": 0.5},
    }
    words: Option = {"nameLocation": "middle", "nameTextStyle": {"color": colours.text}}
    return base_option(
        value_axis(axis, colours, name="guessed, bps", nameGap=24, **words),
        value_axis(axis, colours, name="met, bps", nameGap=36, **words),
        [line("Guess = outcome", [[axis.low] * 2, [axis.high] * 2], colours.text), dots],
        grid=grid(left=56, top=10, bottom=38),
        tooltip={"trigger": "item", "valueFormatter": "%.3f bps"},
    )


def known_pairs(realised: Sequence[RealisedOutcome]) -> Floats:
    """(n, 2) slippage guessed and met, bps, of the outcomes that have both."""
    pairs = [
        (each.slippage_bps, each.realised_slippage_bps)
        for each in realised
        if each.slippage_bps is not None and each.realised_slippage_bps is not None
    ]
    return np.array(pairs, dtype=np.float64).reshape(-1, 2)


def error_chart(scorecard: Scorecard, axes: StickyAxes, theme: Theme) -> Option:
    """How far off the slippage guesses were, beside the book walk on the same books; root mean square, bps."""
    colours = PALETTES[theme]
    spans = (scorecard.slippage, scorecard.slippage_recent)
    walk, shown = [score.walk_rmse for score in spans], [score.rmse for score in spans]
    axis = axes.fit("errors", 0.0, max((each for each in (*walk, *shown) if each is not None), default=1.0))
    label = {"show": True, "position": "top", "color": colours.text, "fontSize": 11}
    bars = [
        {
            "name": name,
            "type": "bar",
            "barMaxWidth": 44,
            "data": [None if each is None else round(each, 3) for each in values],
            "itemStyle": {"color": colour},
            "label": label,
        }
        for name, values, colour in (("Book walk", walk, colours.fees), ("Shown here", shown, colours.accent))
    ]
    return base_option(
        _names_axis(["Whole session", "Last 5 minutes"], colours),
        value_axis(axis, colours),
        bars,
        legend=legend(["Book walk", "Shown here"], colours),
        tooltip={"trigger": "axis", "valueFormatter": "%.3f bps"},
    )


def reliability_chart(score: FillScore, theme: Theme) -> Option:
    """How often quotes were filled that were given each chance; larger dots stand for more of them."""
    colours = PALETTES[theme]
    most = max((rows for _, _, rows in score.reliability), default=1)
    dots = [
        {
            "value": [round(100 * said, 2), round(100 * came, 2), rows],
            "symbolSize": round(6 + 16 * (rows / most) ** 0.5, 1),
        }
        for said, came, rows in score.reliability
    ]
    series = {
        "name": "Quotes",
        "type": "scatter",
        "data": dots,
        "itemStyle": {"color": colours.accent, "opacity": 0.75},
        "tooltip": {"formatter": "said {@[0]} %, came {@[1]} %, {@[2]} quotes"},
    }
    words: Option = {"nameLocation": "middle", "nameTextStyle": {"color": colours.text}}
    return base_option(
        value_axis(Axis(0, 100, 25), colours, "{value} %", name="chance said", nameGap=24, **words),
        value_axis(Axis(0, 100, 25), colours, "{value} %", name="filled", nameGap=38, **words),
        [line("Said = came", [[0, 0], [100, 100]], colours.text), series],
        grid=grid(left=56, top=10, bottom=38),
        tooltip={"trigger": "item"},
    )


def latency_counts(last_ms: Mapping[str, Sequence[float]]) -> dict[str, list[int]]:
    """How many of each stage's measurements fall into each bin between BINS_MS; none is left out."""
    inner = BINS_MS[1:-1]
    return {
        stage: np.bincount(np.searchsorted(inner, last_ms[stage], side="right"), minlength=len(inner) + 1).tolist()
        for stage in SHOWN_STAGES
        if stage in last_ms
    }


def latency_chart(last_ms: Mapping[str, Sequence[float]], theme: Theme) -> Option:
    """How long each stage took in its last 100 turns, as counts by milliseconds."""
    colours = PALETTES[theme]
    shades = (colours.bid, colours.ask, colours.slippage, colours.impact, colours.fees, colours.accent)
    middles = np.sqrt(BINS_MS[:-1] * BINS_MS[1:]).round(5)
    stages = latency_counts(last_ms)
    names = {stage: stage.removesuffix(" time") for stage in stages}
    return base_option(
        value_axis(Axis(0.01, 1000.0, 1), colours, "{value} ms") | {"type": "log"},
        value_axis(Axis(0, 100, 25), colours),
        [
            line(
                names[stage], _pairs(middles, counts), shade, step="middle", areaStyle={"color": shade, "opacity": 0.18}
            )
            for (stage, counts), shade in zip(stages.items(), shades, strict=False)
        ],
        grid=grid(right=34),
        legend=legend(list(names.values()), colours),
        tooltip={"trigger": "axis", "valueFormatter": "%d of the last 100"},
    )


def _names_axis(names: list[str], colours: Palette) -> Option:
    return {"type": "category", "data": names, "axisLabel": {"color": colours.text}, "axisTick": {"show": False}}


def _dashed(colour: str) -> Option:
    return {"color": colour, "type": "dashed", "width": 1.2}


def _time_unit(seconds: float) -> tuple[str, float]:
    """The unit a span is told in, and how many of them it has."""
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return unit, seconds / length
    return "s", seconds


def _pairs(x: Sequence[float] | Floats, y: Sequence[float] | Floats) -> list[list[float]]:
    return [[round_short(a), round_short(b)] for a, b in zip(x, y, strict=True)]
