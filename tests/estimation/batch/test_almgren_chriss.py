"""Almgren-Chriss over arrays equals Almgren-Chriss of one order, row by row."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimation.batch.almgren_chriss import Measured, batch_parameters, schedule_costs, unit_trades
from estimation.market_parameters import YEAR_S, Calibration, market_parameters
from models import AlmgrenChrissModel, ModelError

MAYBE = st.none() | st.floats(1e-9, 10)
MARKETS = st.builds(
    Calibration, st.floats(1e-4, 10), st.floats(1e-9, 10), variance=st.none() | st.floats(0, 1e-3), gamma=MAYBE,
    resilience=MAYBE,
)  # fmt: skip


@given(
    st.lists(st.tuples(MARKETS, st.floats(1e-2, 1e6), st.floats(1e-6, 1e6)), min_size=1, max_size=8),
    st.floats(1, 1e5),
    st.integers(1, 200),
    st.sampled_from([0.0, 1e-12, 1e-6, 1e-3, 10.0]),
    st.none() | st.floats(1e-4, 10),
    st.none() | st.floats(1e-3, 1e9),
)
def test_batch_matches_model_of_one_order(
    rows: list[tuple[Calibration, float, float]],
    horizon_s: float,
    steps: int,
    risk_aversion: float,
    volatility: float | None,
    daily_volume: float | None,
) -> None:
    """Compare parameters, costs and trades for any market, urgency and number of steps.

    They agree to 1e-12 where nothing cancels, and to 1e-9 of the whole where a schedule's two ends do.
    """
    mid, quantity = np.array([row[1] for row in rows]), np.array([row[2] for row in rows])
    columns = [[math.nan if (v := getattr(row[0], f)) is None else v for f in Measured._fields] for row in rows]
    measured = Measured(*np.array(columns).T)
    many = batch_parameters(measured, mid, quantity, horizon_s, steps, volatility, daily_volume)
    sigma = many.volatility / YEAR_S**0.5 * mid
    costs = schedule_costs(sigma, many, risk_aversion, quantity, horizon_s, steps)
    trades = quantity[:, None] * unit_trades(costs.w, steps)
    for row, (market, price, size) in enumerate(rows):
        one = market_parameters(market, price, size, horizon_s, steps, volatility, daily_volume)
        for name, parameter in one.items():
            if name != "daily_volume":
                assert getattr(many, name)[row] == pytest.approx(parameter.value, rel=1e-12), name
        assert (one["gamma"].origin == "measured") == many.gamma_measured[row]
        assert (one["resilience"].origin == "measured") == many.resilience_measured[row]
        assert (one["volatility"].origin == "measured") == many.volatility_measured[row]
        values = {name: parameter.value for name, parameter in one.items()}
        model = AlmgrenChrissModel(
            values["volatility"] / math.sqrt(YEAR_S) * price,
            values["eta"],
            values["gamma"],
            values["half_spread"],
            risk_aversion,
        )
        exact = model.costs(size, horizon_s, steps)
        for name in ("permanent", "temporary", "temporary_paid", "variance"):
            assert getattr(costs, name)[row] == pytest.approx(getattr(exact, name), rel=1e-12), name
        assert costs.permanent_paid[row] == pytest.approx(exact.permanent_paid, rel=1e-9, abs=1e-12 * exact.permanent)
        np.testing.assert_allclose(trades[row], model.trades(size, horizon_s, steps), rtol=1e-9, atol=1e-12 * size)


def test_schedule_costs_refuse_infinite_cost_by_quantity() -> None:
    """The error names the quantity, as the model of one order does."""
    one = Measured.from_calibration(Calibration(1.0, 1e300))
    one_parameters = batch_parameters(one, np.array([1.0]), np.array([1e9]), 60.0, 10, None, None)
    with pytest.raises(ModelError, match="beyond the largest number: quantity 1000000000"):
        schedule_costs(np.array([1e-3]), one_parameters, 0.0, np.array([1e9]), 60.0, 10)
