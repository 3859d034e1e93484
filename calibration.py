"""What the Almgren-Chriss model needs to know of a market, measured from its books."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compiled import compiled

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

YEAR_S = 365 * 86_400.0
DAY_S = 86_400.0

Origin = Literal["measured", "typed", "default"]


class Parameter(NamedTuple):
    """A number and where it comes from."""

    value: float
    origin: Origin


@dataclass(frozen=True, slots=True)
class Calibration:
    """Measured market parameters, in price and base units; None where not measured yet.

    half_spread: price. slope: price per base, how fast the price worsens with depth. variance: of
    the log mid, per second, from 5 s returns sampled at every decision time. variance_tsrv: the
    same corrected for bounce (Zhang, Mykland, Ait-Sahalia 2005), the cross-check. gamma: price per
    base, the mid's move per unit of order flow imbalance, an upper bound of permanent impact (Cont,
    Kukanov, Stoikov 2014). resilience: 1/s, how fast depth comes back.
    """

    half_spread: float
    slope: float
    variance: float | None = None
    variance_tsrv: float | None = None
    gamma: float | None = None
    resilience: float | None = None

    @property
    def volatility_bps(self) -> float:
        """The standard deviation of one second's return, never quite zero; the default until measured."""
        variance = DEFAULT_VOLATILITY**2 / YEAR_S if self.variance is None else self.variance
        return max(1e-3, 1e4 * math.sqrt(variance))


class Usual(NamedTuple):
    """What is usual on a market: the sizes at the touch and in the top 10 levels, base units, and its parameters."""

    depth_1: float
    depth_10: float
    calibration: Calibration


DEFAULT_VOLATILITY = 0.5
"""Annualised; the order of a crypto major, used and named "default" until measured or typed."""

DEFAULT_RESILIENCE = 0.7
"""1/s; a half-life of one second, the slow end of what was measured on real books."""


MEMORY_S = 600.0
"""What was seen so long ago counts 1 / e: a half-life of seven minutes."""

DEPTH_MEMORY_S = 60.0
"""The same, of depth, reach and spread."""

HISTORY_S = 6
SECOND_NS = 1e9
SAMPLED_S = 5.0
"""Mids of a calm book stick, so returns over 100 ms understate its volatility; those over 5 s do not."""


class MarketTally:
    """Decayed sums over decision times: behind what is usual, and behind volatility, permanent impact and
    resilience; pairs of times that a gap parts do not count."""

    def __init__(self) -> None:
        self.usual_sums: Floats = np.zeros(5)
        self.sums: Floats = np.zeros(12)
        self._history: Floats = np.zeros((0, 3))

    def add(self, now: Any, starts: Rows, spans_s: Sequence[float]) -> list[Usual]:
        """Count in n decision times, in blocks that begin at `starts` and cover `spans_s`: what is usual after each.

        now: a Moment of (n,) columns.
        """
        depth = (now.bid_depth + now.ask_depth) / 2
        log_mid, log_depth = np.log(now.mid), np.log(depth)
        new = np.column_stack((now.market_ns, log_mid, log_depth))
        history, first = np.concatenate((self._history, new)), len(self._history)
        self._history = history[history[:, 0] >= new[-1, 0] - HISTORY_S * SECOND_NS]
        each = np.empty((17, len(depth)))
        each[0] = 1.0
        each[1], each[2], each[3] = (now.bid_size + now.ask_size) / 2, depth, now.reach
        each[4] = now.half_spread_bps * now.mid / 1e4
        for row, lag_s in ((5, SAMPLED_S), (8, 0.1)):
            found, past = _at_lag(history, first, lag_s)
            each[row] = np.where(found, (log_mid - past[1]) ** 2, 0.0)
            each[row + 1] = np.where(found, (new[:, 0] - past[0]) / SECOND_NS, 0.0)
            each[row + 2] = found
        each[11], each[12] = now.flow * now.return_bps * now.mid / 1e4, now.flow**2
        found, (_, _, past_depth) = _at_lag(history, first, 1.0)
        each[13], each[14] = found, np.where(found, past_depth + log_depth, 0.0)
        each[15] = np.where(found, past_depth**2 + log_depth**2, 0.0)
        each[16] = np.where(found, past_depth * log_depth, 0.0)
        usual = []
        for sums, span_s in zip(np.add.reduceat(each, starts, axis=1).T, spans_s, strict=True):
            self.usual_sums *= math.exp(-span_s / DEPTH_MEMORY_S)
            self.usual_sums += sums[:5]
            self.sums *= math.exp(-span_s / MEMORY_S)
            self.sums += sums[5:]
            usual.append(self.usual())
        return usual

    def usual(self) -> Usual:
        """What the sums say. Raises ArithmeticError, ValueError if there are none, or none that could be."""
        count, depth_1, depth_10, reach, half_spread = self.usual_sums.tolist()
        squares, span, pairs, squares_1, span_1, pairs_1, agreement, flows, *depths = self.sums.tolist()
        variance = squares / span if span > 0 else None
        variance_tsrv = None
        if variance is not None and span_1 > 0:
            steps = span / pairs * pairs_1 / span_1
            variance_tsrv = max(0.0, (variance - squares_1 / span_1 / steps) / (1 - 1 / steps))
        gamma = agreement / flows if flows > 0 and agreement > 0 else None
        measured = (half_spread / count, reach / depth_10, variance, variance_tsrv, gamma, _resilience(*depths))
        return Usual(depth_1 / count, depth_10 / count, Calibration(*measured))


def _resilience(pairs: float, total: float, squares: float, product: float) -> float | None:
    """1/s, from the correlation of the logarithm of depth with itself a second before."""
    if not pairs:
        return None
    mean = total / (2 * pairs)
    spread = squares / (2 * pairs) - mean**2
    if spread <= 1e-12:
        return None
    return -math.log(min(max((product / pairs - mean**2) / spread, 0.02), 0.98))


@compiled
def _at_lag(history: Floats, first: int, lag_s: float) -> tuple[NDArray[np.bool_], Floats]:
    """For each row from the first new one on the last that is at least lag_s before it, as columns, and whether there
    is one that is at most a tenth older."""
    found, past = np.zeros(len(history) - first, dtype=np.bool_), np.zeros((3, len(history) - first))
    before = -1
    for row in range(first, len(history)):
        wanted = history[row, 0] - lag_s * SECOND_NS
        while history[before + 1, 0] <= wanted:
            before += 1
        found[row - first] = before >= 0 and history[before, 0] >= wanted - max(lag_s / 10, 0.1) * SECOND_NS
        past[:, row - first] = history[max(before, 0)]
    return found, past


def annualised(variance_per_s: float) -> float:
    """The yearly volatility of a variance per second.

    >>> round(annualised(0.5**2 / YEAR_S), 12)
    0.5
    """
    return math.sqrt(variance_per_s * YEAR_S)


def eta_from_book(slope: float, gamma: float, resilience: float, tau: float) -> float:
    """Temporary impact of a block-shaped, refilling book: a lower bound; price/(base/s).

    tau [b/2 + (b - gamma) / (e^(rho tau) - 1)] for children tau seconds apart (Obizhaeva and Wang
    2013; the high-resilience limit is Kallsen and Muhle-Karbe, arXiv 1409.7269).

    >>> round(eta_from_book(0.63, 0.3, 0.7, 60.0), 6)
    18.9
    """
    return tau * (slope / 2 + (slope - gamma) / math.expm1(min(resilience * tau, 700.0)))


def eta_from_volume(
    quantity: float, horizon: float, tau: float, gamma: float, sigma_day: float, daily_volume: float
) -> float:
    """Temporary impact that makes an even schedule cost 2/3 sigma sqrt(X/V), price/(base/s).

    sigma_day: price per sqrt(day). The square-root law of impact with its prefactor Y = 1, which
    is of order one in the literature and not calibrated here.

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
    """Every number the Almgren-Chriss model needs for this order, and where each comes from.

    volatility is annualised; half_spread in price; slope and gamma in price/base; resilience in
    1/s; eta_book (the lower bound) and eta_volume (the square-root law, with a daily volume only)
    in price/(base/s); eta is the larger of the two. gamma stays below nine tenths of the slope: a
    book cannot give way for good by more than it was walked through.
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
        law = eta_from_volume(quantity, horizon_s, tau, gamma.value, sigma_day, daily_volume)
        parameters["eta_volume"] = Parameter(law, "typed")
        parameters["daily_volume"] = Parameter(daily_volume, "typed")
        if law > eta_book.value:
            eta = parameters["eta_volume"]
    parameters["eta"] = eta
    return parameters
