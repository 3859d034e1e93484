"""Derive the parameters of the Almgren-Chriss model from what was measured, typed, or assumed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

YEAR_S = 365 * 86_400.0
DAY_S = 86_400.0

Origin = Literal["measured", "typed", "default"]


class Parameter(NamedTuple):
    """A parameter's value and where it comes from."""

    value: float
    origin: Origin


@dataclass(frozen=True, slots=True)
class Calibration:
    """Measured market parameters, in price and base units; None where not measured yet.

    half_spread: half the bid-ask spread, price. slope: price per base, how fast the price worsens with depth.
    variance: of the log mid, per second, from 5 s returns taken at every sample. variance_tsrv: the same corrected
    for bounce (Zhang, Mykland, Ait-Sahalia 2005), as a cross-check. gamma: price per base, the mid's move per unit of
    order flow imbalance, an upper bound of permanent impact (Cont, Kukanov, Stoikov 2014). resilience: 1/s, how fast
    depth comes back.
    """

    half_spread: float
    slope: float
    variance: float | None = None
    variance_tsrv: float | None = None
    gamma: float | None = None
    resilience: float | None = None

    @property
    def volatility_bps(self) -> float:
        """Standard deviation of one second's return, at least 0.001; the default until measured."""
        variance = DEFAULT_VOLATILITY**2 / YEAR_S if self.variance is None else self.variance
        return max(1e-3, 1e4 * math.sqrt(variance))


DEFAULT_VOLATILITY = 0.5
"""Annualised; typical of a major crypto market. Used, and named "default", until measured or typed."""

DEFAULT_RESILIENCE = 0.7
"""1/s; a half-life of one second, the slow end of values measured on real books."""


def annualised(variance_per_s: float) -> float:
    """Return the yearly volatility of a variance per second.

    >>> round(annualised(0.5**2 / YEAR_S), 12)
    0.5
    """
    return math.sqrt(variance_per_s * YEAR_S)


def eta_from_book(slope: float, gamma: float, resilience: float, tau: float) -> float:
    """Return the temporary impact of a block-shaped, refilling book, price/(base/s): a lower bound.

    tau [b/2 + (b - gamma) / (e^(rho tau) - 1)] for child orders tau seconds apart, with slope b and resilience rho
    (Obizhaeva and Wang 2013; the high-resilience limit is Kallsen and Muhle-Karbe, arXiv 1409.7269).

    >>> round(eta_from_book(0.63, 0.3, 0.7, 60.0), 6)
    18.9
    """
    return tau * (slope / 2 + (slope - gamma) / math.expm1(min(resilience * tau, 700.0)))


def eta_from_volume(
    quantity: float, horizon: float, tau: float, gamma: float, sigma_day: float, daily_volume: float
) -> float:
    """Return the temporary impact that makes an even schedule cost 2/3 sigma sqrt(X/V), price/(base/s).

    This is the square-root law of impact with its prefactor Y = 1, which is of order one in the literature and not
    calibrated here.

    Args:
        quantity: of the order X, base units.
        horizon: of the schedule, s.
        tau: time between two child orders, s.
        gamma: permanent impact, price/base.
        sigma_day: volatility, price per sqrt(day).
        daily_volume: of the market V, base units.

    >>> round(eta_from_volume(10, 3600, 60, 0.3, 1570.271768, 1e5), 4)
    3237.6522
    """
    average = 2 / 3 * sigma_day * math.sqrt(quantity / daily_volume)
    return horizon / quantity * (average - gamma * quantity / 2) + gamma * tau / 2


def market_parameters(
    measured: Calibration,
    mid: float,
    quantity: float,
    horizon_s: float,
    steps: int,
    volatility: float | None,
    daily_volume: float | None,
) -> dict[str, Parameter]:
    """Return every parameter that the Almgren-Chriss model needs for this order, and where each comes from.

    The result has volatility (annualised), half_spread (price), slope and gamma (price/base), resilience (1/s),
    eta_book and eta (price/(base/s)), and with a daily volume also eta_volume (price/(base/s)) and daily_volume (base
    units). eta_book is the lower bound, eta_volume the square-root law, and eta the larger of the two. gamma is at
    most nine tenths of the slope: a book cannot give way for good by more than it was walked through.

    Args:
        measured: what was measured on the market.
        mid: quote.
        quantity: of the order, base units.
        horizon_s: of the schedule.
        steps: child orders of the schedule.
        volatility: typed by the user, annualised; None uses the measured one.
        daily_volume: typed by the user, base units; None leaves the square-root law out.
    """
    tau = horizon_s / steps
    # A book of one level a side has no slope; the smallest one keeps the model defined.
    slope = max(measured.slope, 1e-9 * mid / quantity)
    if measured.gamma is None:
        gamma = Parameter(slope / 2, "default")
    else:
        gamma = Parameter(min(measured.gamma, 0.9 * slope), "measured")
    if measured.resilience is None:
        resilience = Parameter(DEFAULT_RESILIENCE, "default")
    else:
        resilience = Parameter(measured.resilience, "measured")
    eta_origin: Origin = "measured" if gamma.origin == resilience.origin == "measured" else "default"
    eta = eta_book = Parameter(eta_from_book(slope, gamma.value, resilience.value, tau), eta_origin)
    if volatility is not None:
        yearly = Parameter(volatility, "typed")
    elif measured.variance:
        yearly = Parameter(annualised(measured.variance), "measured")
    else:
        yearly = Parameter(DEFAULT_VOLATILITY, "default")
    parameters = {
        "volatility": yearly,
        "half_spread": Parameter(measured.half_spread, "measured"),
        "slope": Parameter(slope, "measured"),
        "gamma": gamma,
        "resilience": resilience,
        "eta_book": eta_book,
    }
    if daily_volume is not None:
        sigma_day = yearly.value * mid * math.sqrt(DAY_S / YEAR_S)
        eta_by_volume = eta_from_volume(quantity, horizon_s, tau, gamma.value, sigma_day, daily_volume)
        parameters["eta_volume"] = Parameter(eta_by_volume, "typed")
        parameters["daily_volume"] = Parameter(daily_volume, "typed")
        if eta_by_volume > eta_book.value:
            eta = parameters["eta_volume"]
    parameters["eta"] = eta
    return parameters
