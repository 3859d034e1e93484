"""Draw what stands behind the cost: the schedule and its risk, the accuracy of predictions, and latencies."""

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
BIN_EDGES_MS = np.geomspace(0.01, 1000.0, 26)
"""Five bins to every power of ten; values outside are counted in the first or the last bin."""

CHOSEN, EVEN, AT_ONCE = "Chosen", "Evenly", "All at once"


def trajectory_chart(estimate: Estimate, axes: StickyAxes, theme: Theme) -> Option:
    """Return what is still to be traded over time: by the chosen schedule, an even one, and all at once."""
    colours = PALETTES[theme]
    order = estimate.order
    model = impact_model(estimate.parameters, estimate.mid, order.risk_aversion)
    remaining = model.trajectory(estimate.quantity, order.horizon_s, order.steps)
    unit, end = _time_unit(order.horizon_s)
    times = np.linspace(0, end, order.steps + 1)
    quantity = float(remaining[0])
    return base_option(
        value_axis(Axis(0, round(end, 6), round(end, 6) / 5), colours, f"{{value}} {unit}"),
        value_axis(axes.fit("left", 0.0, quantity), colours),
        [
            line(AT_ONCE, [[0, round_short(quantity)], [0, 0], [round(end, 6), 0]], colours.ask),
            line(EVEN, [[0, round_short(quantity)], [round(end, 6), 0]], colours.text, lineStyle=_dashed(colours.text)),
            line(CHOSEN, _pairs(times, remaining), colours.accent, 2.2, showSymbol=order.steps <= 30, symbolSize=5),
        ],
        legend=legend([CHOSEN, EVEN, AT_ONCE], colours),
        tooltip={"trigger": "axis", "valueFormatter": "%.4f"},
    )


def frontier(estimate: Estimate) -> tuple[Floats, dict[str, tuple[float, float]]]:
    """Return the efficient frontier of Almgren and Chriss, and the points of three named schedules on its chart.

    The frontier is (n, 2): risk (one standard deviation) and expected cost of the best schedules, bps, from all in the
    first step to an even pace. The named points are (risk, cost) of the chosen schedule, the even one and all at once.
    """
    order = estimate.order
    quantity = estimate.quantity
    model = impact_model(estimate.parameters, estimate.mid, order.risk_aversion)
    tau = order.horizon_s / order.steps
    # In units of this risk aversion, the same urgencies cover every market from an even pace to all in the first step.
    stiffness = (model.eta - model.gamma * tau / 2) / (model.sigma * tau) ** 2
    urgencies = np.append(0.0, np.geomspace(1e-3 / order.steps**2, 1e3, 40)) * stiffness
    rows = model.frontier(quantity, order.horizon_s, order.steps, urgencies[np.isfinite(urgencies)])
    at_once = model.expected_cost(quantity, tau, 1)
    chosen = model.costs(quantity, order.horizon_s, order.steps)
    bps_per_quote = 1e4 / (quantity * estimate.mid)
    risk = np.sqrt(rows[::-1, 2]) * bps_per_quote
    cost = rows[::-1, 1] * bps_per_quote
    named = {
        CHOSEN: (math.sqrt(chosen.variance) * bps_per_quote, chosen.expected * bps_per_quote),
        EVEN: (float(risk[-1]), float(cost[-1])),
        AT_ONCE: (0.0, at_once * bps_per_quote),
    }
    return np.column_stack((risk, cost)), named


def frontier_chart(estimate: Estimate, axes: StickyAxes, theme: Theme) -> Option:
    """Return the expected cost of the best schedule for every risk, and the three named schedules."""
    colours = PALETTES[theme]
    curve, named = frontier(estimate)
    shades = {CHOSEN: colours.accent, EVEN: colours.text, AT_ONCE: colours.ask}
    risk_axis = axes.fit("frontier risk", 0.0, float(curve[:, 0].max()))
    cost_axis = axes.fit("frontier cost", float(curve[:, 1].min()), max(cost for _, cost in named.values()))
    return base_option(
        value_axis(risk_axis, colours, "± {value} bps"),
        value_axis(cost_axis, colours),
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


def predicted_chart(outcomes: Sequence[RealisedOutcome], axes: StickyAxes, theme: Theme) -> Option:
    """Return the predicted against the actual slippage, one dot an outcome; dots on the diagonal were right."""
    colours = PALETTES[theme]
    pairs = outcome_pairs(outcomes)
    low, high = (float(pairs.min()), float(pairs.max())) if len(pairs) else (0.0, 1.0)
    axis = axes.fit("predicted", min(low, 0.0), high)
    dots = {
        "name": "Outcomes",
        "type": "scatter",
        "symbolSize": 5,
        "data": pairs.round(4).tolist(),
        "itemStyle": {"color": colours.accent, "opacity": 0.5},
    }
    name_style: Option = {"nameLocation": "middle", "nameTextStyle": {"color": colours.text}}
    return base_option(
        value_axis(axis, colours, name="predicted, bps", nameGap=24, **name_style),
        value_axis(axis, colours, name="actual, bps", nameGap=36, **name_style),
        [line("Predicted = actual", [[axis.low] * 2, [axis.high] * 2], colours.text), dots],
        grid=grid(left=56, top=10, bottom=38),
        tooltip={"trigger": "item", "valueFormatter": "%.3f bps"},
    )


def outcome_pairs(outcomes: Sequence[RealisedOutcome]) -> Floats:
    """Return predicted and actual slippage of the outcomes that have both, (n, 2), bps."""
    pairs = [
        (outcome.slippage_bps, outcome.realised_slippage_bps)
        for outcome in outcomes
        if outcome.slippage_bps is not None and outcome.realised_slippage_bps is not None
    ]
    return np.array(pairs, dtype=np.float64).reshape(-1, 2)


def error_chart(scorecard: Scorecard, axes: StickyAxes, theme: Theme) -> Option:
    """Return the root mean square error of the predicted slippage and of the book walk on the same books, bps."""
    colours = PALETTES[theme]
    scores = (scorecard.slippage, scorecard.slippage_recent)
    walk_rmse = [score.walk_rmse for score in scores]
    shown_rmse = [score.rmse for score in scores]
    axis = axes.fit("errors", 0.0, max((rmse for rmse in (*walk_rmse, *shown_rmse) if rmse is not None), default=1.0))
    label = {"show": True, "position": "top", "color": colours.text, "fontSize": 11}
    bars = [
        {
            "name": name,
            "type": "bar",
            "barMaxWidth": 44,
            "data": [None if rmse is None else round(rmse, 3) for rmse in values],
            "itemStyle": {"color": colour},
            "label": label,
        }
        for name, values, colour in (("Book walk", walk_rmse, colours.fees), ("Shown here", shown_rmse, colours.accent))
    ]
    return base_option(
        _names_axis(["Whole session", "Last 5 minutes"], colours),
        value_axis(axis, colours),
        bars,
        legend=legend(["Book walk", "Shown here"], colours),
        tooltip={"trigger": "axis", "valueFormatter": "%.3f bps"},
    )


def reliability_chart(score: FillScore, theme: Theme) -> Option:
    """Return how often quotes were filled by their predicted chance; larger dots stand for more quotes."""
    colours = PALETTES[theme]
    max_quotes = max((n_quotes for _, _, n_quotes in score.reliability), default=1)
    dots = [
        {
            "value": [round(100 * predicted, 2), round(100 * filled, 2), n_quotes],
            "symbolSize": round(6 + 16 * (n_quotes / max_quotes) ** 0.5, 1),
        }
        for predicted, filled, n_quotes in score.reliability
    ]
    series = {
        "name": "Quotes",
        "type": "scatter",
        "data": dots,
        "itemStyle": {"color": colours.accent, "opacity": 0.75},
        "tooltip": {"formatter": "predicted {@[0]} %, filled {@[1]} %, {@[2]} quotes"},
    }
    name_style: Option = {"nameLocation": "middle", "nameTextStyle": {"color": colours.text}}
    return base_option(
        value_axis(Axis(0, 100, 25), colours, "{value} %", name="predicted chance", nameGap=24, **name_style),
        value_axis(Axis(0, 100, 25), colours, "{value} %", name="filled", nameGap=38, **name_style),
        [line("Predicted = filled", [[0, 0], [100, 100]], colours.text), series],
        grid=grid(left=56, top=10, bottom=38),
        tooltip={"trigger": "item"},
    )


def latency_counts(last_ms: Mapping[str, Sequence[float]]) -> dict[str, list[int]]:
    """Count each stage's measurements, ms, in the bins between BIN_EDGES_MS; every measurement is counted."""
    inner_edges = BIN_EDGES_MS[1:-1]
    return {
        stage: np.bincount(
            np.searchsorted(inner_edges, last_ms[stage], side="right"), minlength=len(inner_edges) + 1
        ).tolist()
        for stage in SHOWN_STAGES
        if stage in last_ms
    }


def latency_chart(last_ms: Mapping[str, Sequence[float]], theme: Theme) -> Option:
    """Return a histogram of how long each stage took for the last 100 books, milliseconds."""
    colours = PALETTES[theme]
    shades = (colours.bid, colours.ask, colours.slippage, colours.impact, colours.fees, colours.accent)
    bin_middles = np.sqrt(BIN_EDGES_MS[:-1] * BIN_EDGES_MS[1:]).round(5)
    counts_by_stage = latency_counts(last_ms)
    names = {stage: stage.removesuffix(" time") for stage in counts_by_stage}
    return base_option(
        value_axis(Axis(0.01, 1000.0, 1), colours, "{value} ms") | {"type": "log"},
        value_axis(Axis(0, 100, 25), colours),
        [
            line(
                names[stage],
                _pairs(bin_middles, counts),
                shade,
                step="middle",
                areaStyle={"color": shade, "opacity": 0.18},
            )
            for (stage, counts), shade in zip(counts_by_stage.items(), shades, strict=False)
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
    """Return the unit in which a span is shown, and its length in that unit."""
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return unit, seconds / length
    return "s", seconds


def _pairs(x: Sequence[float] | Floats, y: Sequence[float] | Floats) -> list[list[float]]:
    return [[round_short(a), round_short(b)] for a, b in zip(x, y, strict=True)]
