"""Prices of orders on one hand-made book, worked out in fractions: bands, fees and risk of every style."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from calculations import Estimate, Order
from estimation.market_parameters import YEAR_S, Calibration
from estimation.model_record import CURVE_SIZES, STRATA, crossing_at, size_stratum
from estimation.model_state import CrossingCurves, ModelState
from fee_calculator import FeeTier
from models import MakerTakerModel, SlippageModel
from numerics.linear import LinearPredictor, Prior
from orderbook import Side
from tests.support.synthetic_markets import begin_at, book, observe_all, price_on

BOOK = book([(99.0, 1.0), (98.0, 3.0)], [(101.0, 1.0), (103.0, 3.0)])
BOOK_STATES = observe_all([BOOK])[0]
TIER = FeeTier("made", maker=0.0002, taker=0.0005)
TAU = 10.0
STATE = replace(
    begin_at(BOOK_STATES),
    depth_1=1.0,
    depth_10=4.0,
    slope=1.0,
    calibration=Calibration(1.0, 1.0, gamma=0.5, resilience=math.log(3) / TAU),
    fill=MakerTakerModel(Prior((0.0,) * 5, (0.0,) * 5, (1.0,) * 5, 0.0)),
    fill_weight=0.5,
    base_rate=0.25,
    touch_rate=0.5,
    clean_up_bps=5.0,
    clean_up_band=(-3.0, 8.0),
    band=tuple((-1.0 * stratum, 2.0 * stratum) for stratum in range(1, STRATA + 1)),
)
"""Half a spread is 100 bps. The fill model says 1/2 everywhere and is followed half of the way from 1/4: 3/8."""


def price(side: Side, quantity: float, state: ModelState = STATE, **wants: Any) -> Estimate:
    return price_on(BOOK, BOOK_STATES, state, Order(side, quantity, tier=TIER, **wants))


@pytest.mark.parametrize(
    ("side", "walk_bps", "fee_bps"), [(Side.BUY, 200.0, 5 * (1 + 0.02)), (Side.SELL, 150.0, 5 * (1 - 0.015))]
)
def test_order_at_once_has_band_of_its_size_class(side: Side, walk_bps: float, fee_bps: float) -> None:
    """Of 2 base units 1 fills at the best level and 1 at the next; its class is the fifth: 1/2 of the usual depth."""
    estimate = price(side, 2.0)
    assert estimate.slippage_bps == estimate.walk_bps == pytest.approx(walk_bps)
    assert estimate.slippage_low_bps == pytest.approx(walk_bps - 5)
    assert estimate.slippage_high_bps == pytest.approx(walk_bps + 10)
    assert estimate.fee_bps == pytest.approx(fee_bps)
    assert estimate.net_cost_bps == pytest.approx(walk_bps + fee_bps)
    assert (estimate.impact_bps, estimate.maker_share) == (0.0, 0.0)


@pytest.mark.parametrize(("side", "sign", "crossing"), [(Side.BUY, 1, 200), (Side.SELL, -1, 150)])
def test_passive_order_has_band_from_fill_to_late_crossing(side: Side, sign: int, crossing: int) -> None:
    """A quote of 2 units is crossed with 3/8: then half of it earns 100 bps, and the other unit pays 100 bps.

    The mid has come 5 bps towards a crossed quote by then; from others it has gone 5 bps, and all of it crosses. The
    band goes from all of it filled at the touch to all of it crossing after 8 bps more. Fees are of what is executed
    either way, without the move that nobody knows.
    """
    estimate = price(side, 2.0, style="passive")
    chance, maker = Fraction(3, 8), Fraction(3, 16)
    crossed = Fraction(1, 2) * (100 - 5) - Fraction(1, 2) * 100
    bps = (1 - chance) * (crossing + 5) + chance * crossed
    fee_of = {rate_bps: rate * (1 + Fraction(sign * bps, 10_000)) for rate_bps, (rate, bps) in {
        "missed": (5, crossing), "rest": (5, 100), "filled": (2, -100)
    }.items()}  # fmt: skip
    fee = (1 - chance) * fee_of["missed"] + chance * (fee_of["rest"] + fee_of["filled"]) / 2
    assert estimate.maker_share == estimate.maker_probability == pytest.approx(float(maker))
    assert estimate.maker_probability_high == pytest.approx(0.5 * (3 / 8 + 5 / 8 * 0.5))
    assert estimate.slippage_bps == pytest.approx(float(bps))
    assert (estimate.slippage_low_bps, estimate.slippage_high_bps) == pytest.approx((-100.0, crossing + 8.0))
    assert estimate.fee_bps == pytest.approx(float(fee))
    assert estimate.net_cost_bps == pytest.approx(float(bps + fee))
    assert estimate.clean_up_bps == 5.0


def test_band_of_passive_order_holds_its_estimate() -> None:
    """Where the mid has always moved far one way, the band still holds the estimate and a fill at the touch."""
    away = price(Side.BUY, 2.0, replace(STATE, clean_up_bps=50.0, clean_up_band=(-400.0, -350.0)), style="passive")
    assert away.slippage_low_bps == pytest.approx(200.0 - 400.0)
    assert away.slippage_high_bps == away.slippage_bps
    towards = price(Side.BUY, 2.0, replace(STATE, clean_up_bps=-1000.0, clean_up_band=(400.0, 450.0)), style="passive")
    assert towards.slippage_low_bps == towards.slippage_bps == pytest.approx(5 / 8 * -800 + 3 / 8 * 500)
    assert towards.slippage_high_bps == pytest.approx(650.0)
    unknown = price(Side.BUY, 2.0, replace(STATE, clean_up_band=None), style="passive")
    assert (unknown.slippage_low_bps, unknown.slippage_high_bps) == (None, None)
    assert unknown.slippage_bps is not None


def test_extrapolated_order_has_wider_band_and_fee_of_what_fills() -> None:
    """8 units on 4 visible: 4 fill at 102.5, the rest pays 103 and 2 more on average; the band is twice as wide.

    Fees are of what the visible book executes.
    """
    estimate = price(Side.BUY, 8.0)
    paid = Fraction(1 * 101 + 3 * 103 + 4 * 105, 8)
    bps = float((paid / 100 - 1) * 10_000)
    assert (estimate.slippage_source, estimate.walk_bps, estimate.unfilled) == ("extrapolated", None, 4.0)
    assert estimate.slippage_bps == pytest.approx(bps)
    assert estimate.slippage_low_bps == pytest.approx(bps - 2 * 6)
    assert estimate.slippage_high_bps == pytest.approx(bps + 2 * 12)
    assert estimate.fee_bps == pytest.approx(5 * (1 + 0.025))
    assert (estimate.fill.vwap, estimate.fill.worst_price, estimate.fill.quantity) == (102.5, 103.0, 4.0)


def test_passive_order_beyond_book_crosses_extrapolated() -> None:
    """The rest of a passive order pays what the extrapolated walk costs, and its band is that of the clean-up."""
    estimate = price(Side.BUY, 8.0, style="passive")
    # Of 7 units 4 pay 1.5 beyond the best, and the other 3 pay 3.5.
    rest = 100 + Fraction(4 * 3 + 3 * 7, 2 * 7) * 100
    crossed = Fraction(7, 8) * (rest - 5) - Fraction(1, 8) * 100
    assert estimate.slippage_source == "extrapolated"
    assert estimate.slippage_bps == pytest.approx(float(Fraction(5, 8) * (375 + 5) + Fraction(3, 8) * crossed))
    assert (estimate.slippage_low_bps, estimate.slippage_high_bps) == pytest.approx((-100.0, 383.0))


@pytest.mark.parametrize(("side", "crossing", "deeper"), [(Side.BUY, 200, 2), (Side.SELL, 150, 1)])
def test_passive_order_meets_what_crossed_quotes_of_its_size_met(side: Side, crossing: int, deeper: int) -> None:
    """Half of the crossed quotes of 2 units were filled whole, and a quarter of all was left over: half of an order.

    What is left, one unit, pays the first level alone. It is 1.5 units, which pay deeper, where a third was filled
    whole. The mid had moved by -8 bps x what was left.
    """
    seen = np.ones(len(CURVE_SIZES))
    curves = CrossingCurves(*(tuple(part * seen) for part in (0.75, 0.5, -8 * 0.25)))
    estimate = price(side, 2.0, replace(STATE, crossings=curves), style="passive")
    crossed = 0.25 * 100 - 8 * 0.25 - 0.75 * 100
    assert estimate.slippage_bps == pytest.approx(5 / 8 * (crossing + 5) + 3 / 8 * crossed)
    assert estimate.maker_share == pytest.approx(3 / 8 * 0.75)
    curves = CrossingCurves(*(tuple(part * seen) for part in (0.5, 1 / 3, 0.0)))
    estimate = price(side, 2.0, replace(STATE, crossings=curves), style="passive")
    average = 100 + deeper * 0.5 / 1.5 * 100
    crossed = 0.5 * average - 0.5 * 100
    assert estimate.slippage_bps == pytest.approx(5 / 8 * (crossing + 5) + 3 / 8 * crossed)


def test_late_quotes_cannot_be_filled_while_they_wait() -> None:
    """Of all quotes 3/8 are crossed and 1/4 come too late: half of the other 3/8 may have been filled."""
    state = replace(STATE, late_rate=0.25)
    assert price(Side.BUY, 1.0, state).maker_probability_high == pytest.approx(3 / 8 + 3 / 8 / 2)
    assert price(Side.BUY, 1.0, replace(STATE, late_rate=0.9)).maker_probability_high == pytest.approx(3 / 8)


@pytest.mark.parametrize("style", ["now", "passive", "schedule"])
def test_order_that_book_cannot_hold_has_no_costs_at_all(style: str) -> None:
    """Nobody knows what 1000 units would cost of which 4 are visible: neither fee nor impact nor total are said."""
    estimate = price(Side.BUY, 1000.0, style=style, steps=3, horizon_s=3 * TAU)
    assert estimate.slippage_source == "too thin"
    assert [estimate.slippage_bps, estimate.fee_bps, estimate.impact_bps, estimate.net_cost_bps] == [None] * 4


def test_even_schedule_costs_exact_fractions() -> None:
    """6 units in 3 even children: 200 bps each, and what Almgren-Chriss charges beyond their own walks.

    With b = 1, gamma = 1/2 and a book that refills by 2/3 between children, eta / tau is 1/2 + (1/2) / 2 = 3/4.
    Permanent: gamma/2 (36 - 12) = 6. Transient: 3/4 x 12 less the 6 that the walks paid: 3. Together 150 bps of 600.
    """
    estimate = price(Side.BUY, 6.0, style="schedule", steps=3, horizon_s=3 * TAU, risk_aversion=0.0)
    assert estimate.slippage_source == "book walk"
    assert estimate.slippage_bps == pytest.approx(200.0)
    assert (estimate.slippage_low_bps, estimate.slippage_high_bps) == pytest.approx((195.0, 210.0))
    assert estimate.impact_bps == pytest.approx(150.0)
    assert estimate.fee_bps == pytest.approx(5 * (1 + 0.02))
    assert estimate.net_cost_bps == pytest.approx(355.1)
    assert estimate.impact_permanent_bps == pytest.approx(150.0)  # gamma/2 x 36 = 9 of 600
    assert estimate.impact_temporary_bps == pytest.approx(1e4 * (6 + (0.75 - 0.25) * 12) / 600)


def urgent(quantity: float, w: float, steps: int = 3) -> dict[str, Any]:
    """Return what makes a schedule's shape parameter w: lambda sigma^2 tau^2 / (eta - gamma tau / 2)."""
    sigma = 0.02
    volatility = sigma / 100 * math.sqrt(YEAR_S)
    risk_aversion = w * (0.75 - 0.25) * TAU / (sigma * TAU) ** 2
    assert quantity > 0
    return {
        "style": "schedule", "steps": steps, "horizon_s": steps * TAU,
        "volatility": volatility, "risk_aversion": risk_aversion,
    }  # fmt: skip


@pytest.mark.parametrize(("side", "sign", "deeper"), [(Side.BUY, 1, 2), (Side.SELL, -1, 1)])
def test_urgent_schedule_costs_exact_fractions(side: Side, sign: int, deeper: int) -> None:
    """With w = 1/2 three children are 11, 6 and 4 of 21: of 4.2 units 2.2, 1.2 and 0.8, which pay 1.4 units deeper.

    What holds 10 and 4 of 21 bears the risk of one step each.
    """
    estimate = price(side, 4.2, **urgent(4.2, 0.5))
    quantity, paid = Fraction(42, 10), Fraction(14, 10) * deeper
    executed = 100 + paid / (quantity * 100) * 10_000
    squares = Fraction(11**2 + 6**2 + 4**2, 21**2) * quantity**2
    permanent = Fraction(1, 4) * (quantity**2 - squares)
    transient = max(Fraction(0), Fraction(3, 4) * squares - paid)
    impact = (permanent + transient) / (quantity * 100) * 10_000
    fee = 5 * (1 + sign * executed / 10_000)
    assert estimate.slippage_bps == pytest.approx(float(executed))
    assert estimate.impact_bps == pytest.approx(float(impact))
    assert estimate.fee_bps == pytest.approx(float(fee))
    assert estimate.net_cost_bps == pytest.approx(float(executed + impact + fee))
    risk_quote = 0.02 * math.sqrt(TAU * (10**2 + 4**2)) / 21 * 4.2
    assert estimate.timing_risk_bps == pytest.approx(risk_quote / 420 * 1e4)
    # The band is that of the average child: 1.4 is 17.5 times the least size, and 100^(3/6) = 10, 100^(4/6) = 21.5.
    assert estimate.slippage_low_bps == pytest.approx(float(executed) - 4)
    assert estimate.slippage_high_bps == pytest.approx(float(executed) + 8)


@pytest.mark.parametrize(
    ("quantity", "source"), [(4.2, "book walk"), (8.4, "extrapolated"), (38.1, "extrapolated"), (38.3, "too thin")]
)
def test_largest_child_decides_whether_schedule_is_extrapolated(quantity: float, source: str) -> None:
    """The first child is 11/21 of the order: 4.4 of 8.4 exceed the 4 that are visible, 20.06 of 38.3 five of them."""
    estimate = price(Side.BUY, quantity, **urgent(quantity, 0.5))
    assert estimate.slippage_source == source
    assert (estimate.slippage_bps is None) == (estimate.net_cost_bps is None) == (source == "too thin")
    assert (estimate.slippage_low_bps is None) == (source == "too thin")


def speaking(bias: float, weights: tuple[float, ...], limit_bps: float) -> ModelState:
    """Return the state with a slippage model of these weights, followed half of the way."""
    model = SlippageModel()
    model.predictor = LinearPredictor(np.full(8, -1e9), np.full(8, 1e9), np.array(weights), bias, ())
    model.limit_bps = limit_bps
    return replace(STATE, slippage=model, shrinkage=0.5)


def test_model_adds_half_of_its_prediction_at_once() -> None:
    """4 and a tenth of the 100 bps beyond the best: half of 14 on 200, and half of the limit where that is less."""
    state = speaking(4.0, (0.1, *(0.0,) * 7), 1e9)
    estimate = price(Side.BUY, 2.0, state)
    assert (estimate.slippage_source, estimate.slippage_bps) == ("model", pytest.approx(207.0))
    assert (estimate.slippage_low_bps, estimate.slippage_high_bps) == pytest.approx((202.0, 217.0))
    assert price(Side.BUY, 2.0, speaking(4.0, (0.1, *(0.0,) * 7), 6.0)).slippage_bps == pytest.approx(203.0)
    assert price(Side.BUY, 2.0, speaking(-40.0, (0.1, *(0.0,) * 7), 6.0)).slippage_bps == pytest.approx(197.0)
    assert price(Side.BUY, 8.0, state).slippage_bps == pytest.approx(375.0)
    passive = price(Side.BUY, 2.0, state, style="passive")
    assert passive.slippage_bps == pytest.approx(5 / 8 * (207 + 5) + 3 / 8 * ((100 + 7 - 5) / 2 - 100 / 2))


def test_model_speaks_once_of_average_child() -> None:
    """The average child, 1.4, pays 0.8 / 1.4 beyond the best: the model adds half of (4 + a tenth of that).

    Only the first child, 11 of 21 parts, is traded now and meets that drift.
    """
    estimate = price(Side.BUY, 4.2, speaking(4.0, (0.1, *(0.0,) * 7), 1e9), **urgent(4.2, 0.5))
    walked = 100 + 2.8 / 420 * 1e4
    assert estimate.slippage_source == "model"
    assert estimate.slippage_bps == pytest.approx(walked + 11 / 21 * 0.5 * (4 + 0.1 * 0.8 / 1.4 * 100))
    assert estimate.fee_bps == pytest.approx(5 * (1 + walked / 1e4))


@pytest.mark.parametrize(
    ("multiple", "wanted"),
    [(0.001, 0), (0.02, 0), (0.0430, 0), (0.0432, 1), (0.2, 3), (0.5, 4), (1.9, 5), (2.0, 5), (1e9, 5)],
)
def test_size_class_has_literal_borders(multiple: float, wanted: int) -> None:
    """Six classes cover 0.02 to 2 times the usual depth evenly in the logarithm; sizes beyond belong to the ends."""
    assert size_stratum(STATE.record[0], multiple * STATE.depth_10) == wanted


@pytest.mark.parametrize(("size", "wanted"), [(0.25, 1.0), (1.0, 1.0), (4.0, 0.25), (1000.0, 0.001)])
def test_share_on_offer_is_usual_touch_until_quote_was_crossed(size: float, wanted: float) -> None:
    """What usually waits at the touch, twice as much here, is taken for what would be on offer."""
    share, whole, rest_move_bps = crossing_at(replace(STATE, depth_1=2.0).record[0], 2 * size, 5.0)
    assert (share, whole, rest_move_bps) == pytest.approx((wanted, 1.0 if size <= 1 else 0.0, -5 * (1 - wanted)))


def test_share_on_offer_is_interpolated_between_tabulated_sizes() -> None:
    """At a tabulated size the share is the table's, between two in proportion of logarithms, beyond them the end's."""
    shares = tuple(1 / (1 + place) for place in range(len(CURVE_SIZES)))
    curves = CrossingCurves(*(tuple(factor * share for share in shares) for factor in (1, 0.5, -2)))
    record = replace(STATE, depth_1=2.0, crossings=curves).record[0]
    at_sizes = [(2 * size, share) for size, share in zip(CURVE_SIZES, shares, strict=True)]
    between = 2 * CURVE_SIZES[3] ** 0.75 * CURVE_SIZES[4] ** 0.25, 0.75 / 4 + 0.25 / 5
    for size, share in (*at_sizes, between, (1e-9, 1.0), (1e9, 1 / 21)):
        assert crossing_at(record, size, 5.0) == pytest.approx((share, 0.5 * share, -2 * share))


def test_fill_chance_is_base_rate_moved_towards_model() -> None:
    """Of the model's logistic the followed share beyond the base rate counts; none where the model is not better."""
    one_sided = Prior((2.0, 0.0, 0.0, 0.0, 0.0), (0.0,) * 5, (1.0,) * 5, -1.0)
    heavy = book([(99.0, 3.0)], [(101.0, 1.0)])
    heavy_states = observe_all([heavy])[0]
    state = replace(STATE, fill=MakerTakerModel(one_sided))
    for side, imbalance in ((Side.BUY, 0.5), (Side.SELL, -0.5)):
        chance = 1 / (1 + math.exp(1.0 - 2.0 * imbalance))
        order = Order(side, 1.0, tier=TIER)
        assert price_on(heavy, heavy_states, state, order).maker_probability == pytest.approx(
            0.25 + (chance - 0.25) / 2
        )
        worse = replace(state, fill_is_better=False)
        assert price_on(heavy, heavy_states, worse, order).maker_probability == 0.25
