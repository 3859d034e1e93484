"""Test the charts of the models: schedules that end, frontiers that fall, bins that add up."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calculations import Estimate, Order, TradingCalculator
from orderbook import Side
from tests.support.synthetic_markets import book, queue_market
from ui.charts.base import StickyAxes
from ui.charts.models import (
    AT_ONCE,
    BIN_EDGES_MS,
    CHOSEN,
    EVEN,
    error_chart,
    frontier,
    frontier_chart,
    latency_chart,
    latency_counts,
    outcome_pairs,
    predicted_chart,
    reliability_chart,
    trajectory_chart,
)

BOOK = book([(99.9, 5.0), (99.0, 20.0)], [(100.1, 5.0), (101.0, 30.0)])


def estimate_of(**order: Any) -> Estimate:
    return TradingCalculator(Order(Side.BUY, **({"quantity": 5.0} | order))).estimate(BOOK)


@pytest.fixture(scope="module")
def trained() -> TradingCalculator:
    calculator = TradingCalculator(Order(Side.BUY, 3.0))
    for each in queue_market(500, 3):
        calculator.estimate(each)
    return calculator


@settings(deadline=None)
@given(st.floats(0.01, 1e4), st.floats(1.0, 1e5), st.integers(1, 200), st.floats(0.0, 1e-2), st.floats(0.01, 5.0))
def test_frontier_falls_and_no_named_schedule_beats_it(
    quantity: float, horizon_s: float, steps: int, risk_aversion: float, volatility: float
) -> None:
    """More risk never costs more; all at once is riskless and dearest, an even pace cheapest, the chosen between."""
    estimate = estimate_of(
        quantity=quantity, horizon_s=horizon_s, steps=steps, risk_aversion=risk_aversion, volatility=volatility
    )
    curve, named = frontier(estimate)
    tolerance = 1e-9 * (1 + curve[:, 1].max())
    assert all(a[0] <= b[0] + tolerance and a[1] >= b[1] - tolerance for a, b in pairwise(curve))
    (risk, cost), even, at_once = named[CHOSEN], named[EVEN], named[AT_ONCE]
    assert at_once[0] == 0
    assert even[1] - tolerance <= cost <= at_once[1] + tolerance
    assert -tolerance <= risk <= even[0] + tolerance
    # No schedule beats the line: at the chosen one's risk, it costs what the line costs there.
    if risk <= curve[-1, 0]:
        on_line = float(np.interp(risk, curve[:, 0], curve[:, 1]))
        assert cost <= on_line + tolerance


def test_even_schedule_costs_what_the_paper_says() -> None:
    """E = gamma X^2 / 2 + epsilon X + (eta - gamma tau / 2) X^2 / T, V = sigma^2 X^2 T (1 - 1/N)(2 - 1/N) / 6."""
    estimate = estimate_of(horizon_s=600.0, steps=12, volatility=0.6)
    q, p, tau = estimate.quantity, estimate.parameters, 50.0
    eta_tilde = p["eta"].value - p["gamma"].value * tau / 2
    cost = p["gamma"].value * q * q / 2 + p["half_spread"].value * q + eta_tilde * q * q / 600
    risk = 0.6 / (365 * 86_400) ** 0.5 * estimate.mid * q * (600 * (1 - 1 / 12) * (1 - 1 / 24) / 3) ** 0.5
    per_quote = 1e4 / (q * estimate.mid)
    assert frontier(estimate)[1][EVEN] == (pytest.approx(risk * per_quote), pytest.approx(cost * per_quote))


@pytest.mark.parametrize("steps", [1, 2, 10, 200])
def test_trajectory_falls_from_the_whole_order_to_zero(steps: int) -> None:
    """It begins with the order, ends with nothing after the horizon, never rises, and never lags the even pace."""
    option = trajectory_chart(estimate_of(steps=steps, risk_aversion=1e-3), StickyAxes(), "dark")
    json.dumps(option, allow_nan=False)
    path = next(series["data"] for series in option["series"] if series["name"] == CHOSEN)
    assert path[0] == [0, 5.0]
    assert path[-1] == [5.0, 0.0]
    assert len(path) == steps + 1
    assert all(a[1] >= b[1] for a, b in pairwise(path))
    assert all(left <= 5.0 - minute + 1e-3 for minute, left in path)


def test_extreme_orders_have_a_frontier_chart() -> None:
    """Typed and extreme orders are drawn as plain JSON."""
    for order in ({"steps": 1}, {"quantity": 1e-6}, {"quantity": 1e9}, {"risk_aversion": 0.0}, {"volatility": 100.0}):
        json.dumps(frontier_chart(estimate_of(**order), StickyAxes(), "light"), allow_nan=False)


def test_predicted_chart_has_one_dot_per_resolved_outcome(trained: TradingCalculator) -> None:
    """One dot for every recent outcome that has both numbers, at exactly these numbers."""
    outcomes = trained.recent()
    pairs = outcome_pairs(outcomes)
    both = [r for r in outcomes if r.slippage_bps is not None and r.realised_slippage_bps is not None]
    assert len(pairs) == len(both) > 100
    assert pairs.sum(axis=0) == pytest.approx(
        [sum(r.slippage_bps or 0.0 for r in both), sum(r.realised_slippage_bps or 0.0 for r in both)]
    )
    option = predicted_chart(outcomes, StickyAxes(), "dark")
    json.dumps(option, allow_nan=False)
    low, high = option["xAxis"]["min"], option["xAxis"]["max"]
    assert low <= pairs.min()
    assert pairs.max() <= high
    assert (option["yAxis"]["min"], option["yAxis"]["max"]) == (low, high)


def test_reliability_bins_hold_every_scored_quote(trained: TradingCalculator) -> None:
    """The dots' quotes add up to all scored ones; predicted and filled are percentages."""
    card = trained.scorecard()
    assert card is not None
    option = reliability_chart(card.fill, "dark")
    json.dumps(option, allow_nan=False)
    dots = [dot["value"] for dot in option["series"][1]["data"]]
    assert sum(rows for _, _, rows in dots) == card.fill.samples > 0
    assert all(0 <= predicted <= 100 and 0 <= filled <= 100 for predicted, filled, _ in dots)


def test_error_chart_shows_the_errors_of_both_models_and_both_spans(trained: TradingCalculator) -> None:
    """Four bars: the walk's and the shown error, over the session and over the last five minutes."""
    card = trained.scorecard()
    assert card is not None
    walk, shown = (series["data"] for series in error_chart(card, StickyAxes(), "dark")["series"])
    assert walk == [pytest.approx(s.walk_rmse, abs=1e-3) for s in (card.slippage, card.slippage_recent)]
    assert shown == [pytest.approx(s.rmse, abs=1e-3) for s in (card.slippage, card.slippage_recent)]


def test_charts_are_empty_before_the_first_outcome() -> None:
    """After one book, every chart is valid JSON without outcomes."""
    calculator = TradingCalculator(Order(Side.BUY, 1.0))
    calculator.estimate(BOOK)
    card = calculator.scorecard()
    assert card is not None
    for option in (
        predicted_chart(calculator.recent(), StickyAxes(), "dark"),
        error_chart(card, StickyAxes(), "dark"),
        reliability_chart(card.fill, "dark"),
        latency_chart({"parse": []}, "dark"),
    ):
        json.dumps(option, allow_nan=False)


@given(st.lists(st.floats(0.0, 1e7), max_size=100))
def test_latency_histogram_counts_every_measurement_once(measured: list[float]) -> None:
    """Counts sum to the measurements, also of those beyond the ends; inside, each lies between its bin's edges."""
    counts = latency_counts({"parse": measured, "fees": []})
    assert sum(counts["parse"]) == len(measured)
    assert sum(counts["fees"]) == 0
    for row in range(1, len(BIN_EDGES_MS) - 2):
        assert counts["parse"][row] == sum(BIN_EDGES_MS[row] <= each < BIN_EDGES_MS[row + 1] for each in measured)
