"""Estimates against exact arithmetic: what is summed, in which units, and what is None where nothing is known."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import calculations
from calculations import Estimate, Order, OrderError, TradingCalculator
from estimation.order_terms import make_terms, one_sided_move_bps
from estimation.realised import RealisedOutcome
from fee_calculator import FeeTier, fee_bps
from models import AlmgrenChrissModel, ModelError
from numerics.arrays import Records
from orderbook import OrderBook, Side
from profiling import Stamps
from tests.support.synthetic_markets import STEP_NS, book, count_learned_samples, gaussian_market, queue_market

FREE = FeeTier("free", maker=0.0, taker=0.0)
BOOK = book([(99.0, 1.0), (98.0, 2.0)], [(101.0, 1.0), (103.0, 3.0)])
styles = st.sampled_from(["now", "passive", "schedule"])


def estimate_once(order: Order, on: OrderBook = BOOK, contract_size: float = 1.0) -> Estimate:
    return TradingCalculator(order, contract_size).estimate(on)


def train(order: Order, count: int = 400) -> tuple[TradingCalculator, list[Estimate]]:
    calculator = TradingCalculator(order)
    return calculator, [calculator.estimate(each) for each in queue_market(count, 3)]


@settings(deadline=None)
@given(styles, st.sampled_from(Side), st.floats(0.01, 15.0), st.integers(1, 20))
def test_components_sum_to_net_cost(style: Any, side: Side, quantity: float, steps: int) -> None:
    """Slippage, fees and counted impact are disjoint, and their sum is the net cost."""
    estimate = estimate_once(Order(side, quantity, style=style, steps=steps))
    assert estimate.slippage_bps is not None
    assert estimate.net_cost_bps == pytest.approx(
        estimate.slippage_bps + estimate.fee_bps + estimate.impact_bps, abs=1e-9
    )


@pytest.mark.parametrize("daily_volume", [None, 1.0])
@pytest.mark.parametrize("horizon_s", [1.0, 300.0])
def test_schedule_of_one_step_costs_what_order_at_once_costs(daily_volume: float | None, horizon_s: float) -> None:
    """Costs are equal to the last digit, impact and risk included, in a market however thin."""
    at_once = Order(Side.BUY, 2.0, horizon_s=horizon_s, steps=1, daily_volume=daily_volume)
    immediate, scheduled = estimate_once(at_once), estimate_once(replace(at_once, style="schedule"))
    for field in ("slippage_bps", "fee_bps", "impact_bps", "net_cost_bps", "timing_risk_bps", "maker_share"):
        assert getattr(scheduled, field) == getattr(immediate, field)
    assert immediate.impact_bps == 0


def test_untrained_order_at_once_costs_walk_plus_fee() -> None:
    """Untrained, "now" costs exactly the walk plus the fee of what it executes; a schedule of one step is the same."""
    for side, vwap in ((Side.BUY, 102.0), (Side.SELL, 98.5)):
        walked = side.value * (vwap - 100) / 100 * 1e4
        for estimate in (estimate_once(Order(side, 2.0)), estimate_once(Order(side, 2.0, style="schedule", steps=1))):
            assert estimate.walk_bps == pytest.approx(walked, abs=1e-9)
            assert estimate.slippage_bps == pytest.approx(walked, abs=1e-9)
            assert estimate.impact_bps == 0
            fee = fee_bps(0.0, estimate.order.tier) * vwap / 100
            assert estimate.fee_bps == pytest.approx(fee, abs=1e-12)
            assert estimate.net_cost_bps == pytest.approx(walked + fee, abs=1e-9)
            assert estimate.slippage_source == "book walk"


def test_trained_order_at_once_costs_walk_plus_shrunk_prediction() -> None:
    """Trained, the shrunk prediction is added to the walk and nothing else; impact stays uncounted."""
    calculator, estimates = train(Order(Side.BUY, 3.0), 600)
    last = estimates[-1]
    state = calculator._schedule.state  # type: ignore[union-attr]
    assert state.slippage is not None
    drift = state.shrinkage * state.slippage.predict(np.array([last.features.slippage_columns()])).item()
    assert last.slippage_source == "model"
    assert last.walk_bps is not None
    assert drift != 0
    assert last.slippage_bps == pytest.approx(last.walk_bps + drift, abs=1e-9)
    assert last.impact_bps == 0
    assert last.impact_permanent_bps > 0
    assert last.impact_temporary_bps > 0


@pytest.mark.parametrize(("horizon_s", "tolerance"), [(10.0, 1e-9), (600.0, 0.02)])
def test_schedule_on_linear_book_costs_what_almgren_chriss_says(horizon_s: float, tolerance: float) -> None:
    """Where the price worsens linearly with depth, a schedule's whole cost is AC's with the book's own eta.

    Exactly so while the book is still refilling between children; when it has refilled, as exactly as the slope of
    the top ten stairs is that of the staircase.
    """
    stairs = np.arange(4000)
    ladders = [np.column_stack((100 + sign * (0.05 + 0.001 * stairs), np.full(4000, 0.01))) for sign in (-1, 1)]
    order = Order(Side.BUY, 20.0, style="schedule", horizon_s=horizon_s, risk_aversion=0.0, tier=FREE)
    estimate = estimate_once(order, book(*ladders))
    parameters = {name: each.value for name, each in estimate.parameters.items()}
    assert parameters["slope"] == pytest.approx(0.1, rel=0.11)
    model = AlmgrenChrissModel(0.0, parameters["eta"], parameters["gamma"], parameters["half_spread"], 0.0)
    assert estimate.net_cost_bps is not None
    assert estimate.net_cost_bps * 20 * 100 / 1e4 == pytest.approx(
        model.expected_cost(20.0, horizon_s, 10), rel=tolerance
    )


def test_same_quantity_in_any_unit_costs_the_same() -> None:
    """Base, quote and contracts can name the same order; quote is converted to base at each book's mid."""
    base = estimate_once(Order(Side.BUY, 2.0))
    quote = estimate_once(Order(Side.BUY, 200.0, "quote"))
    contracts = estimate_once(Order(Side.BUY, 200.0, "contracts"), contract_size=0.01)
    for each in (quote, contracts):
        assert each.quantity == pytest.approx(2.0)
        assert each.net_cost_bps == pytest.approx(base.net_cost_bps)
        assert each.fill.levels == base.fill.levels == 2


@pytest.mark.parametrize("style", ["now", "passive", "schedule"])
@pytest.mark.parametrize("unit", ["base", "quote", "contracts"])
def test_what_if_of_same_order_is_its_estimate(style: Any, unit: Any) -> None:
    """At a contract size of 0.01 the order asked about and the order estimated are one, before and after learning."""
    order = Order(Side.SELL, 250.0, unit, style=style, daily_volume=1e4)
    calculator = TradingCalculator(order, 0.01)
    assert calculator.what_if([order]) == []
    for row, each in enumerate(queue_market(400, 3)):
        estimate = calculator.estimate(each)
        if row in (0, 399):
            (asked,) = calculator.what_if([order])
            assert replace_stamps(asked) == replace_stamps(estimate)
            assert asked.quantity == pytest.approx({"base": 250.0, "quote": 250 / each.mid, "contracts": 2.5}[unit])
    assert count_learned_samples(calculator) > 0


def replace_stamps(estimate: Estimate) -> Estimate:
    """Return the same estimate without the times it was made at."""
    return Estimate(estimate.row, estimate.order, Stamps(0, 0, 0, 0, 0), estimate.market_ns)


def test_what_if_changes_nothing() -> None:
    """Asked about other orders at every book or never, a calculator gives the same estimates and outcomes."""
    order, other = Order(Side.BUY, 3.0, style="passive"), Order(Side.SELL, 70.0, style="schedule")
    asked, alone = TradingCalculator(order), TradingCalculator(order)
    for each in queue_market(300, 3):
        estimate = asked.estimate(each)
        assert [each.order for each in asked.what_if([other, order])] == [other, order]
        assert replace_stamps(estimate) == replace_stamps(alone.estimate(each))
    assert asked.realised() == alone.realised()


@pytest.mark.parametrize(
    ("quantity", "walked", "source"),
    [
        (4.0, True, "book walk"),
        (4.0 + 1e-9, False, "extrapolated"),
        (20.0, False, "extrapolated"),
        (20.1, False, "too thin"),
    ],
)
def test_thin_book_is_extrapolated_up_to_five_depths(quantity: float, walked: bool, source: str) -> None:
    """The walk is known if nothing stays unfilled; slippage is extrapolated to 5 times the visible depth, then None."""
    for style in ("now", "passive"):
        estimate = estimate_once(Order(Side.BUY, quantity, style=style))  # type: ignore[arg-type]
        assert (estimate.walk_bps is not None) == walked
        assert estimate.slippage_source == source
        assert (estimate.slippage_bps is None) == (estimate.net_cost_bps is None) == (source == "too thin")
        assert estimate.unfilled == pytest.approx(max(0.0, quantity - 4.0), abs=1e-12)


def test_extrapolation_continues_at_typical_slope() -> None:
    """Beyond the last level the price worsens by the typical reach over the typical depth, the band by the depth."""
    estimate = estimate_once(Order(Side.BUY, 6.0))
    slope = ((103 - 101) + (99 - 98)) / 2 / ((4 + 3) / 2)
    paid = 1 * 101 + 3 * 103 + 2 * (103 + slope * 2 / 2)
    assert estimate.slippage_bps == pytest.approx((paid / 6 - 100) / 100 * 1e4, abs=1e-9)


@settings(deadline=None)
@given(styles, st.floats(0.01, 8.0))
def test_buying_and_selling_cost_the_same_on_mirrored_book(style: Any, quantity: float) -> None:
    """On a book that is its own mirror image both sides cost the same, without fees."""
    mirrored = book([(99.0, 1.0), (97.0, 3.0)], [(101.0, 1.0), (103.0, 3.0)])
    buying, selling = (estimate_once(Order(side, quantity, style=style, tier=FREE), mirrored) for side in Side)
    for name in ("slippage_bps", "impact_bps", "net_cost_bps", "maker_probability", "timing_risk_bps", "walk_bps"):
        assert getattr(buying, name) == pytest.approx(getattr(selling, name), abs=1e-9)


def test_buyer_and_seller_learn_the_same_from_mirrored_markets() -> None:
    """A buyer learns from a mirrored history what a seller learns from the history."""
    plain, mirror = TradingCalculator(Order(Side.BUY, 3.0)), TradingCalculator(Order(Side.SELL, 3.0))
    for each in queue_market(300, 4):
        about = 120_000.0
        flipped = book((each.asks - (about, 0)) * (-1, 1), (each.bids - (about, 0)) * (-1, 1), each.market_ns)
        bought, sold = plain.estimate(each), mirror.estimate(flipped)
    assert count_learned_samples(plain) == count_learned_samples(mirror) > 0
    assert bought.slippage_bps == pytest.approx(sold.slippage_bps, rel=0.02)
    assert bought.maker_probability == pytest.approx(sold.maker_probability, rel=0.02)


def test_passive_order_earns_half_spread_and_pays_clean_up() -> None:
    """The filled part earns half the spread; the rest crosses after the mid moved away, and pays the taker's fee."""
    estimate = estimate_once(Order(Side.BUY, 0.5, style="passive", volatility=0.8))
    m, half = estimate.maker_share, 100.0
    sigma = 0.8 / math.sqrt(365 * 86_400) * 1e4
    assert estimate.clean_up_bps == pytest.approx(one_sided_move_bps(sigma, 2.0))
    assert estimate.slippage_bps == pytest.approx(m * -half + (1 - m) * (half + estimate.clean_up_bps))
    assert 0 < estimate.maker_probability <= estimate.maker_probability_high <= 1
    assert m == estimate.maker_probability


def test_maker_probability_falls_with_order_size() -> None:
    """The share that a quote can expect falls with the order's size, and stays between 0 and 1."""
    shares = [train(Order(Side.BUY, size, style="passive"), 300)[1][-1].maker_probability for size in (0.01, 5, 500)]
    assert 1 > shares[0] > shares[1] > shares[2] > 0


def test_every_parameter_has_its_origin() -> None:
    """Typed beats measured, measured beats default, and eta follows a typed volume where that eta is larger."""
    first = estimate_once(Order(Side.BUY, 1.0)).parameters
    assert first["volatility"].origin == first["gamma"].origin == first["eta"].origin == "default"
    typed = estimate_once(Order(Side.BUY, 1.0, volatility=0.7, daily_volume=10.0)).parameters
    assert typed["volatility"] == (0.7, "typed")
    assert typed["eta"] == typed["eta_volume"]
    assert typed["eta"].value > typed["eta_book"].value
    last = train(Order(Side.BUY, 1.0), 300)[1][-1].parameters
    assert last["volatility"].origin == last["half_spread"].origin == last["slope"].origin == "measured"


def test_measured_volume_counts_from_the_next_book_and_until_it_is_unknown() -> None:
    """The calculator's volume may be rebound between two books; the order's own wins, and what_if follows both."""
    order = Order(Side.BUY, 2.0, style="schedule", volatility=0.7)
    typed = replace(order, daily_volume=10.0)
    wanted = estimate_once(typed)
    calculator = TradingCalculator(order)
    unknown = calculator.estimate(BOOK)
    assert unknown.parameters.keys().isdisjoint({"daily_volume", "eta_volume"})
    calculator.daily_volume = 40.0
    assert calculator.estimate(BOOK).parameters["daily_volume"] == (40.0, "measured")
    calculator.daily_volume = 10.0
    (asked,) = calculator.what_if([order])
    for estimate in (asked, calculator.estimate(BOOK)):
        assert estimate.net_cost_bps == wanted.net_cost_bps != unknown.net_cost_bps
        assert estimate.impact_temporary_bps == wanted.impact_temporary_bps
        origins = {name: estimate.parameters[name].origin for name in ("daily_volume", "eta_volume", "eta", "gamma")}
        assert origins == dict.fromkeys(("daily_volume", "eta_volume", "eta"), "measured") | {"gamma": "default"}
    calculator.daily_volume = 1e9
    (asked,) = calculator.what_if([typed])
    assert asked.net_cost_bps == wanted.net_cost_bps
    assert asked.parameters["daily_volume"] == (10.0, "typed")
    calculator.daily_volume = None
    assert calculator.estimate(BOOK).parameters == unknown.parameters


def test_terms_are_made_again_only_for_a_new_order_model_or_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    """A book that brings nothing new but itself costs no new terms."""
    made: list[float | None] = []

    def count(order: Order, contract_size: float, daily_volume: float | None) -> Records:
        made.append(daily_volume)
        return make_terms(order, contract_size, daily_volume)

    monkeypatch.setattr("calculations.make_terms", count)
    calculator = TradingCalculator(Order(Side.BUY, 1.0))
    for volume in (None, None, 5.0, 5.0, 5.0, None):
        calculator.daily_volume = volume
        calculator.estimate(BOOK)
    assert made == [None, 5.0, None]


def test_measured_volatility_matches_gaussian_market() -> None:
    """5 s returns of a Gaussian market measure the volatility it was made with, and the two-scale estimator agrees."""
    calculator = TradingCalculator(Order(Side.BUY, 1.0))
    last = [calculator.estimate(each) for each in gaussian_market(3000, 9, sigma_bps=0.6)][-1]
    made = 0.6e-4 * math.sqrt(365 * 86_400)
    assert last.parameters["volatility"].value == pytest.approx(made, rel=0.25)
    calibration = calculator._schedule.state.calibration  # type: ignore[union-attr]
    assert calibration.variance is not None
    assert calibration.variance_tsrv == pytest.approx(0.36e-8, rel=0.25)


@pytest.mark.parametrize(
    "wrong",
    [
        {"quantity": 0.0},
        {"quantity": math.nan},
        {"quantity": math.inf},
        {"quantity": -1.0},
        {"unit": "shares"},
        {"style": "later"},
        {"latency_s": -0.1},
        {"passive_s": 0.0},
        {"steps": 0},
        {"steps": 2.5},
        {"steps": 201},
        {"horizon_s": 0.0},
        {"volatility": 0.0},
        {"daily_volume": -5.0},
        {"risk_aversion": -1.0},
    ],
)
def test_order_refuses_impossible_values_by_value(wrong: dict[str, Any]) -> None:
    """The error names the value."""
    (value,) = wrong.values()
    with pytest.raises(OrderError, match=str(value).replace(".", "[.]")):
        replace(Order(Side.BUY, 1.0), **wrong)


def test_rebinding_order_keeps_learning_unless_latency_changes() -> None:
    """Another side, size or style uses the same model state at once; another latency restarts learning."""
    calculator, _ = train(Order(Side.BUY, 1.0), 200)
    learned = count_learned_samples(calculator)
    market = islice(queue_market(204, 3), 200, None)
    calculator.order = Order(Side.SELL, 2.0, style="passive")
    assert calculator.estimate(next(market)).order is calculator.order
    assert count_learned_samples(calculator) == learned > 0
    calculator.order = replace(calculator.order, latency_s=0.5)
    calculator.estimate(next(market))
    assert count_learned_samples(calculator) == 0


def test_terms_kept_between_books_match_recomputed_terms() -> None:
    """Whether order, mid and model state change or not, estimates are those of a calculator that keeps no terms."""
    orders = [
        Order(Side.BUY, 3.0),
        Order(Side.SELL, 2.0, style="passive"),
        Order(Side.BUY, 300.0, "quote", style="schedule", daily_volume=1e4),
    ]
    keeps, anew = TradingCalculator(orders[0]), TradingCalculator(orders[0])
    kept, before, mid_before = 0, None, 0.0
    for row, each in enumerate(queue_market(500, 3)):
        keeps.order = anew.order = orders[row // 7 % len(orders)]
        anew._terms_order = None
        assert keeps.estimate(each).row.tobytes() == anew.estimate(each).row.tobytes()
        kept += keeps._terms is before and each.mid == mid_before
        before, mid_before = keeps._terms, each.mid
    assert 50 < kept < 450
    assert count_learned_samples(keeps) > 0


def test_estimate_is_frozen_and_can_be_copied_with_other_values() -> None:
    """No number can be changed in place; with_values makes another estimate and leaves the first as it was."""
    estimate = estimate_once(Order(Side.BUY, 1.0))
    with pytest.raises(AttributeError):
        estimate.mid = 1.0  # type: ignore[misc]
    other = estimate.with_values(mid=1.0, slippage_bps=None)
    assert (other.mid, other.slippage_bps) == (1.0, None)
    assert (estimate.mid, estimate.slippage_source) == (100.0, "book walk")
    assert other != estimate
    assert estimate.with_values(mid=estimate.mid) == estimate


def test_outcomes_are_equal_whenever_they_are_drained() -> None:
    """Outcomes are the same, drained after every book, after every third, or only at the end."""
    read: list[list[RealisedOutcome]] = []
    for every in (1, 3, 10**9):
        calculator, outcomes = TradingCalculator(Order(Side.BUY, 3.0, style="passive")), []
        for row, each in enumerate(queue_market(300, 3)):
            calculator.estimate(each)
            if row % every == 0:
                outcomes += calculator.realised()
        read.append(outcomes + calculator.realised())
    assert read[0] == read[1] == read[2]
    assert len(read[0]) > 200


def test_realised_costs_come_from_later_books() -> None:
    """Realised slippage is the walk of the first book at least latency_s later.

    The realised maker share is what was offered when the other side reached the quote.
    """
    sides = [
        ([(99, 5)], [(101, 5)]),
        ([(99, 5)], [(102, 5)]),
        ([(98, 5)], [(99, 1), (100, 9)]),
        ([(98, 5)], [(100, 5)]),
        ([(98, 5)], [(100, 5)]),
    ]
    market = [book(bids, asks, 10**18 + row * STEP_NS) for row, (bids, asks) in enumerate(sides)]
    calculator = TradingCalculator(Order(Side.BUY, 4.0, passive_s=0.2))
    outcomes = []
    for each in market:
        calculator.estimate(each)
        outcomes += calculator.realised()
    assert [each.market_ns - 10**18 for each in outcomes] == [0]
    assert outcomes[0].realised_slippage_bps == pytest.approx(200.0)
    assert outcomes[0].realised_maker == pytest.approx(1 / 4)
    assert calculator.recent() == outcomes
    assert calculator.realised() == []


def test_passive_order_pays_for_unfilled_part_when_time_is_up() -> None:
    """The unfilled part crosses when the time is up; a quote that is marketable on arrival crosses then."""

    def run(*sides: Any) -> float | None:
        calculator = TradingCalculator(Order(Side.BUY, 4.0, style="passive", passive_s=0.2))
        for row, (bids, asks) in enumerate(sides):
            calculator.estimate(book(bids, asks, 10**18 + row * STEP_NS))
        return calculator.realised()[0].realised_slippage_bps

    calm, up = ([(99, 5)], [(101, 5)]), ([(102, 5)], [(104, 5)])
    assert run(calm, calm, calm, up, up) == pytest.approx(400.0)
    assert run(calm, calm, ([(98, 5)], [(99, 1), (101, 9)]), calm, up) == pytest.approx((1 * -100 + 3 * 400) / 4)
    assert run(calm, ([(97, 5)], [(98, 5)]), calm, up, up) == pytest.approx(-200.0)


def test_books_that_cannot_be_priced_are_learned_from_like_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sample keeps the state of its own book, whatever became of the price: both calculators learn the same."""
    market = list(queue_market(330, 1))
    wanted, tried = (TradingCalculator(Order(Side.BUY, 1.0)) for _ in range(2))
    for each in market:
        wanted.estimate(each)
    for row, each in enumerate(market):
        with monkeypatch.context() as patched:
            if 40 < row < 120:
                patched.setattr(calculations, "PRICE_BOOK", SimpleNamespace(call=lambda *_: False))
                with pytest.raises(ModelError, match="beyond the largest number"):
                    tried.estimate(each)
            else:
                tried.estimate(each)
    assert wanted.learned() is not None
    assert wanted.learned() == tried.learned()


def test_new_waiting_time_counts_where_the_clock_steps_back_at_the_same_book() -> None:
    """What is learned from then on is of the new waiting time, not of the old one."""
    market = list(queue_market(330, 1))
    calculator = TradingCalculator(Order(Side.BUY, 1.0))
    for each in market[200:230]:
        calculator.estimate(each)
    calculator.order = Order(Side.BUY, 1.0, passive_s=1.0)
    for each in market:
        calculator.estimate(each)
    learned = calculator.learned()
    assert learned is not None
    assert learned["passive_s"] == 1.0
