"""Compute Almgren-Chriss for many books at once: market_parameters and models.AlmgrenChrissModel over arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from estimation.market_parameters import DAY_S, DEFAULT_RESILIENCE, DEFAULT_VOLATILITY, YEAR_S, Calibration
from models import ModelError
from numerics.arrays import Flags, Floats


class Measured(NamedTuple):
    """estimation.market_parameters.Calibration as columns; NaN where not measured."""

    half_spread: Floats
    slope: Floats
    variance: Floats
    gamma: Floats
    resilience: Floats

    @classmethod
    def from_calibration(cls, calibration: Calibration) -> Measured:
        """Return one calibration as columns of one row."""
        values = [getattr(calibration, name) for name in cls._fields]
        return cls(*(np.array([np.nan if value is None else value]) for value in values))


class Parameters(NamedTuple):
    """market_parameters as columns, and which of them were measured; eta_volume is None without a daily volume."""

    volatility: Floats
    half_spread: Floats
    slope: Floats
    gamma: Floats
    resilience: Floats
    eta_book: Floats
    eta_volume: Floats | None
    eta: Floats
    volatility_measured: Flags
    gamma_measured: Flags
    resilience_measured: Flags


def batch_parameters(
    measured: Measured,
    mid: Floats,
    quantity: Floats,
    horizon_s: float,
    steps: int,
    volatility: float | None,
    daily_volume: float | None,
) -> Parameters:
    """Return estimation.market_parameters.market_parameters of these books and quantities, (n,)."""
    tau = horizon_s / steps
    slope = np.maximum(measured.slope, 1e-9 * mid / quantity)
    gamma_measured, resilience_measured = ~np.isnan(measured.gamma), ~np.isnan(measured.resilience)
    gamma = np.where(gamma_measured, np.minimum(measured.gamma, 0.9 * slope), slope / 2)
    resilience = np.where(resilience_measured, measured.resilience, DEFAULT_RESILIENCE)
    eta_book = tau * (slope / 2 + (slope - gamma) / np.expm1(np.minimum(resilience * tau, 700.0)))
    volatility_measured = np.full(len(measured.variance), volatility is None) & (measured.variance > 0)
    yearly = np.where(volatility_measured, np.sqrt(measured.variance * YEAR_S), DEFAULT_VOLATILITY)
    if volatility is not None:
        yearly = np.full(len(yearly), volatility)
    eta, eta_volume = eta_book, None
    if daily_volume is not None:
        sigma_day = yearly * mid * (DAY_S / YEAR_S) ** 0.5
        average = 2 / 3 * sigma_day * np.sqrt(quantity / daily_volume)
        eta_volume = horizon_s / quantity * (average - gamma * quantity / 2) + gamma * tau / 2
        eta = np.maximum(eta_book, eta_volume)
    return Parameters(
        yearly,
        measured.half_spread,
        slope,
        gamma,
        resilience,
        eta_book,
        eta_volume,
        eta,
        volatility_measured,
        gamma_measured,
        resilience_measured,
    )


class ScheduleCosts(NamedTuple):
    """models.Costs as (n,) columns, and the shape of each schedule: models.AlmgrenChrissModel's w."""

    variance: Floats
    permanent: Floats
    temporary: Floats
    permanent_paid: Floats
    temporary_paid: Floats
    w: Floats


def schedule_costs(
    sigma: Floats, parameters: Parameters, risk_aversion: float, quantity: Floats, horizon_s: float, steps: int
) -> ScheduleCosts:
    """Return models.AlmgrenChrissModel.costs of each market, (n,). Raises ModelError where a cost is not finite."""
    tau = horizon_s / steps
    eta, gamma, epsilon = parameters.eta, parameters.gamma, parameters.half_spread
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # refused by name at the end
        eta_tilde = eta - gamma * tau / 2
        w = risk_aversion * (sigma * tau) * (sigma * tau) / eta_tilde
        trades, holdings = unit_sums(np.broadcast_to(w, quantity.shape), steps)
        squared = quantity * quantity
        permanent, spread, sum_squared = gamma * squared / 2, epsilon * quantity, squared * trades
        temporary = spread + eta_tilde / tau * sum_squared
        variance = sigma * sigma * tau * squared * holdings
        good = (eta_tilde > 0) & (w < np.inf) & (permanent + temporary + variance < np.inf)
    if not good.all():
        row = int(np.broadcast_to(~good, quantity.shape).argmax())
        raise ModelError(f"the cost is beyond the largest number: quantity {quantity[row]}, horizon {horizon_s}")
    paid = permanent * (1 - trades), spread + eta / tau * sum_squared
    return ScheduleCosts(variance, permanent, temporary, *paid, np.broadcast_to(w, quantity.shape))


def unit_trades(w: Floats, steps: int) -> Floats:
    """Return the shares that models.AlmgrenChrissModel.trades trades of one unit, (n, steps), for its w >= 0."""
    j = np.arange(steps + 1)
    u = 2 * np.arcsinh(np.sqrt(w) / 2)[:, None]
    even = u[:, 0] == 0
    u = np.where(even[:, None], 1.0, u)
    left = np.expm1(-2 * u * (steps - j))
    path = np.exp(-u * j) * (left / left[:, :1])
    path[even] = (steps - j) / steps
    shares: Floats = -np.diff(path)
    return shares


def unit_sums(w: Floats, steps: int) -> tuple[Floats, Floats]:
    """Return the sums of squared trades and squared holdings of one unit, in closed form, for w >= 0: (n,) each."""
    if steps == 1:
        return np.ones(len(w)), np.zeros(len(w))
    trades, holdings = np.full(len(w), 1 / steps), np.full(len(w), (steps - 1) * (2 * steps - 1) / (6 * steps))
    u = 2 * np.arcsinh(np.sqrt(w) / 2)
    m = 2 * steps - 1
    # What the far end of a hurried schedule adds is below a rounding error, and sinh would soon overflow.
    hurried = (steps - 1) * u > 32
    if hurried.any():
        far = u[hurried]
        trades[hurried] = np.tanh(far / 2)
        holdings[hurried] = np.exp(-2 * far) / -np.expm1(-2 * far)
    closed = ~hurried & (m * m * w > 1)
    if closed.any():
        near = u[closed]
        _fill(trades, holdings, closed, near, steps, np.sinh(m * near) / np.sinh(near) - m)
    series = (w > 0) & ~hurried & ~closed
    if series.any():
        small = w[series]
        _fill(trades, holdings, series, u[series], steps, _series(small, m))
    return trades, holdings


def _fill(trades: Floats, holdings: Floats, rows: Any, u: Floats, steps: int, excess: Floats) -> None:
    end = np.sinh(u * steps)
    trades[rows] = np.tanh(u / 2) * (1 / np.tanh(u * steps) + steps * np.sinh(u) / (end * end))
    holdings[rows] = np.abs(excess) / (4 * end * end)


def _series(w: Floats, m: int) -> Floats:
    """Return U_{m-1}(1 + w / 2) - m by a series whose terms do not cancel."""
    excess, term, k = np.zeros(len(w)), m * w * (m * m - 1) / 6, 1
    while (np.abs(term) > 1e-17 * np.abs(excess)).any():
        excess += term
        k += 1
        term = term * w * (m * m - k * k) / (2 * k * (2 * k + 1))
    return excess
