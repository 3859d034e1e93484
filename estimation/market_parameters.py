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
