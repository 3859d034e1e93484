"""Check what follows from order, mid and model state against the formulas of docs/models.md and the general model."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calculations import Order, TradingCalculator
from estimation.estimate import ORIGINS
from estimation.market_parameters import Calibration
from estimation.model_state import ModelState
from estimation.order_terms import make_terms, one_sided_move_bps, set_terms
from models import AlmgrenChrissModel, ModelError
from numerics.arrays import Records
from orderbook import Side
from tests.support.synthetic_markets import begin_at, book, observe_all

YEAR_S = 31_536_000.0
BOOK = book([(99.0, 2.0), (98.0, 2.0)], [(101.0, 4.0), (102.0, 4.0)])
FIRST = begin_at(observe_all([BOOK])[0])
MAYBE = st.none() | st.floats(1e-9, 10)
MARKETS = st.builds(
    Calibration, st.floats(1e-4, 10), st.floats(1e-9, 10), variance=st.none() | st.floats(0, 1e-3), gamma=MAYBE,
    resilience=MAYBE,
)  # fmt: skip


def work_out(
    order: Order,
    mid: float,
    state: ModelState = FIRST,
    contract_size: float = 1.0,
    daily_volume: float | None = None,
) -> Records:
    """Return the order's terms at this mid, (1,) of TERMS."""
    terms = make_terms(order, contract_size, daily_volume)
    assert set_terms(terms[0], state.record[0], mid)
    return terms


def measured(**values: float) -> ModelState:
    """Return a model state whose market has half a spread of 0.05, a slope of 0.63, and these measured values."""
    return replace(FIRST, calibration=Calibration(0.05, 0.63, **values))


@given(
    MARKETS,
    st.floats(1e-2, 1e6),
    st.floats(1e-6, 1e6),
    st.floats(1, 1e5),
    st.integers(1, 200),
    st.sampled_from([0.0, 1e-12, 1e-6, 1e-3, 10.0]),
    st.none() | st.floats(1e-4, 10),
    st.none() | st.floats(1e-3, 1e9),
)
@settings(deadline=None)
def test_terms_match_general_model_of_documented_parameters(
    market: Calibration,
    mid: float,
    quantity: float,
    horizon_s: float,
    steps: int,
    risk_aversion: float,
    volatility: float | None,
    daily_volume: float | None,
) -> None:
    """Compare costs, risk and trades with AlmgrenChrissModel, fed by the document's formulas, for any market and order.

    They agree to 1e-12 where nothing cancels, and to 1e-9 of the whole where a schedule's two ends do.
    """
    order = Order(
        Side.BUY, quantity, style="schedule", horizon_s=horizon_s, steps=steps, risk_aversion=risk_aversion,
        volatility=volatility, daily_volume=daily_volume,
    )  # fmt: skip
    (terms,) = work_out(order, mid, replace(FIRST, calibration=market))
    tau = horizon_s / steps
    slope = max(market.slope, 1e-9 * mid / quantity)
    gamma = slope / 2 if market.gamma is None else min(market.gamma, 0.9 * slope)
    sigma = volatility or math.sqrt((market.variance or 0.5**2 / YEAR_S) * YEAR_S)
    if daily_volume is not None:
        # An even schedule costs 2/3 sigma_day sqrt(X / V) a unit: gamma X / 2 + (eta - gamma tau / 2) X / T.
        average = 2 / 3 * sigma / math.sqrt(365) * mid * math.sqrt(quantity / daily_volume)
        gamma = min(gamma, 4 / 3 * average / quantity)
    # In fifty digits, because e^x - 1 of a tiny x leaves few of sixteen.
    with localcontext(prec=50):
        refill = float(Decimal(min((market.resilience or 0.7) * tau, 700.0)).exp() - 1)
    eta = tau * (slope / 2 + (slope - gamma) / refill)
    if daily_volume is not None:
        eta = max(eta, (average - gamma * quantity / 2) * horizon_s / quantity + gamma * tau / 2)
    wanted = {"slope": slope, "gamma": gamma, "volatility": sigma, "eta": eta}
    assert {name: terms[name] for name in wanted} == pytest.approx(wanted, rel=1e-9)
    model = AlmgrenChrissModel(
        terms["volatility"] / math.sqrt(YEAR_S) * mid, terms["eta"], terms["gamma"], market.half_spread, risk_aversion
    )
    exact = model.costs(quantity, horizon_s, steps)
    per_quote = 1e4 / (quantity * mid)
    assert terms["permanent_bps"] == pytest.approx(exact.permanent * per_quote, rel=1e-12)
    assert terms["temporary_bps"] == pytest.approx(exact.temporary * per_quote, rel=1e-12)
    assert terms["temporary_paid"] == pytest.approx(exact.temporary_paid, rel=1e-12)
    assert terms["permanent_paid"] == pytest.approx(exact.permanent_paid, rel=1e-9, abs=1e-12 * exact.permanent)
    if steps > 1:
        assert terms["timing_risk_bps"] == pytest.approx(math.sqrt(exact.variance) * per_quote, rel=1e-12)
        trades = quantity * terms["shares"][:steps]
        np.testing.assert_allclose(trades, model.trades(quantity, horizon_s, steps), rtol=1e-9, atol=1e-12 * quantity)


def test_temporary_impact_of_refilling_book_has_literal_value() -> None:
    """With slope 0.63, gamma 0.3 and resilience 0.7, children 60 s apart pay 60 x (0.315 + 0.33 / (e^42 - 1))."""
    order = Order(Side.BUY, 10.0, horizon_s=3600.0, steps=60)
    (terms,) = work_out(order, 60_000.0, measured(gamma=0.3, resilience=0.7))
    assert terms["eta_book"] == terms["eta"] == pytest.approx(18.9, abs=1e-6)
    (terms,) = work_out(replace(order, horizon_s=60.0), 60_000.0, measured(gamma=0.3, resilience=0.7))
    assert terms["eta_book"] == pytest.approx(0.315 + 0.33 / (math.e**0.7 - 1), rel=1e-12)


def test_square_root_law_has_literal_value() -> None:
    """10 of 100,000 a day at a volatility of 1570.27 a day cost 2/3 x 1570.27 / 100 on average, impact included."""
    order = Order(Side.BUY, 10.0, horizon_s=3600.0, steps=60, volatility=0.5, daily_volume=1e5)
    (terms,) = work_out(order, 60_000.0, measured(gamma=0.3))
    assert terms["eta_volume"] == terms["eta"] == pytest.approx(3237.6522, abs=5e-5)
    (terms,) = work_out(replace(order, volatility=None), 60_000.0, measured(gamma=0.3, variance=0.5**2 / YEAR_S))
    assert terms["eta_volume"] == pytest.approx(3237.6522, abs=5e-5)


@pytest.mark.parametrize(
    ("typed", "measured_volume", "wanted", "origin"),
    [(None, 1e5, 3237.6522, "measured"), (1e5, 7.0, 3237.6522, "typed"), (1e5, None, 3237.6522, "typed")],
)
def test_typed_volume_wins_over_measured_one_and_origins_follow(
    typed: float | None, measured_volume: float | None, wanted: float, origin: str
) -> None:
    """The law's number is the same wherever the volume comes from; all that follows from it says where that is."""
    order = Order(Side.BUY, 10.0, horizon_s=3600.0, steps=60, volatility=0.5, daily_volume=typed)
    (terms,) = work_out(order, 60_000.0, measured(gamma=0.3), daily_volume=measured_volume)
    assert terms["daily_volume"] == 1e5
    assert terms["eta_volume"] == terms["eta"] == pytest.approx(wanted, abs=5e-5)
    assert {ORIGINS[terms[name]] for name in ("daily_volume_origin", "eta_origin")} == {origin}
    assert ORIGINS[terms["gamma_origin"]] == "measured", "the law leaves so small an order's gamma as the flow has it"
    large = replace(order, quantity=1000.0, horizon_s=86_400.0, steps=200)
    (terms,) = work_out(large, 60_000.0, measured(gamma=0.3), daily_volume=measured_volume)
    assert terms["gamma"] == pytest.approx(4 / 3 * 2 / 3 * 60_000 * 0.5 / math.sqrt(365) * 0.1 / 1000)
    assert ORIGINS[terms["gamma_origin"]] == origin


def test_larger_of_both_temporary_impacts_is_in_use() -> None:
    """A huge market makes the square-root law smaller than the book's own impact, which stays in use."""
    order = Order(Side.BUY, 10.0, horizon_s=3600.0, steps=60, volatility=0.5, daily_volume=1e15)
    (terms,) = work_out(order, 60_000.0, measured(gamma=0.3, resilience=0.7))
    assert terms["eta_volume"] < terms["eta_book"] == terms["eta"]


def test_large_order_costs_square_root_law_and_half_a_spread() -> None:
    """A flow of one second says that 1000 move the price by 300 for good; the law says that they cost 157 on average.

    Permanent impact is two thirds of that at most, and both together are the law: 2/3 x 1570.27 x sqrt(1000 / 1e5).
    """
    order = Order(
        Side.BUY, 1000.0, style="schedule", horizon_s=86_400.0, steps=200, risk_aversion=0.0,
        volatility=0.5, daily_volume=1e5,
    )  # fmt: skip
    (terms,) = work_out(order, 60_000.0, measured(gamma=0.3, resilience=0.7))
    law = 2 / 3 * 60_000 * 0.5 / math.sqrt(365) * math.sqrt(0.01)
    assert terms["gamma"] == pytest.approx(4 / 3 * law / 1000)
    assert ORIGINS[terms["gamma_origin"]] == "typed"
    paid = (terms["permanent_paid"] + terms["temporary_paid"]) / 1000
    assert paid == pytest.approx(law + 0.05, rel=1e-9)
    (terms,) = work_out(replace(order, daily_volume=None), 60_000.0, measured(gamma=0.3, resilience=0.7))
    assert terms["gamma"] == 0.3


def test_gamma_is_at_most_nine_tenths_of_slope() -> None:
    """A book cannot give way for good by more than it was walked through; unmeasured it is half the slope."""
    order = Order(Side.BUY, 10.0)
    assert [
        work_out(order, 100.0, state)[0]["gamma"] for state in (measured(gamma=5.0), measured(gamma=0.1), measured())
    ] == [0.9 * 0.63, 0.1, 0.63 / 2]


def test_book_of_one_level_keeps_a_slope() -> None:
    """Without any slope the least is a billionth of the mid over the order, so that no impact is divided by zero."""
    flat = replace(FIRST, calibration=Calibration(0.05, 0.0))
    (terms,) = work_out(Order(Side.BUY, 4.0), 100.0, flat)
    assert terms["slope"] == pytest.approx(2.5e-8, rel=1e-12)


def test_market_without_variance_has_default_volatility() -> None:
    """A market that never moved is not taken for one without risk: its volatility is 50 % a year, called default."""
    estimate = TradingCalculator(Order(Side.BUY, 1.0)).estimate(BOOK)
    assert estimate.parameters["volatility"] == (0.5, "default")
    (terms,) = work_out(Order(Side.BUY, 4.0), 100.0, measured(variance=0.0))
    assert terms["volatility"] == 0.5


@pytest.mark.parametrize(("volatility_bps", "seconds", "wanted"), [(1.0, 4.0, 1.595769), (3.0, 1.0, 2.393654)])
def test_one_sided_move_has_literal_values(volatility_bps: float, seconds: float, wanted: float) -> None:
    """A Gaussian price that moved away has moved by sigma sqrt(t) sqrt(2 / pi) on average."""
    assert one_sided_move_bps(volatility_bps, seconds) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(("unit", "wanted"), [("base", 8.0), ("quote", 8.0 / 250.0), ("contracts", 8.0 * 0.01)])
def test_quantity_is_converted_at_this_mid(unit: Any, wanted: float) -> None:
    """Quote units are divided by the mid, contracts are multiplied by their size."""
    (terms,) = work_out(Order(Side.BUY, 8.0, unit), 250.0, contract_size=0.01)
    assert terms["quantity"] == pytest.approx(wanted, rel=1e-15)
    assert terms["bps_per_quote"] == pytest.approx(1e4 / (wanted * 250.0), rel=1e-12)


@pytest.mark.parametrize(
    ("style", "wanted"),
    [("now", math.sqrt(0.25)), ("passive", math.sqrt(0.25 + 2.0)), ("schedule", math.sqrt(0.25))],
)
def test_timing_risk_of_waiting_has_literal_value(style: Any, wanted: float) -> None:
    """An order at once bears the latency's risk; a passive one also that of its waiting time.

    A schedule of one step is an order at once. With a volatility of 3 bps in one second.
    """
    volatility = 3e-4 * math.sqrt(YEAR_S)
    order = Order(Side.BUY, 1.0, style=style, latency_s=0.25, passive_s=2.0, steps=1, volatility=volatility)
    (terms,) = work_out(order, 100.0)
    assert terms["timing_risk_bps"] == pytest.approx(3.0 * wanted, rel=1e-12)


def test_cost_beyond_largest_number_is_refused_on_every_book() -> None:
    """The error names the quantity, as the general model does, also on a second book at the same mid."""
    steep = book([(1.0, 1e-270), (0.5, 1e-270)], [(3.0, 1e-270), (1e29, 1e-270)])
    calculator = TradingCalculator(Order(Side.BUY, 1e12, style="schedule"))
    for _ in range(3):
        with pytest.raises(ModelError, match="beyond the largest number: quantity 1000000000000"):
            calculator.estimate(steep)
