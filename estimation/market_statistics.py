"""Keep running statistics of a market's books, from which its typical sizes and parameters follow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from estimation.features import SECOND_NS
from estimation.market_parameters import DEFAULT_VOLATILITY, YEAR_S, Calibration
from numerics.arrays import Flags, Floats, Ints
from numerics.jit import jit


class TypicalMarket(NamedTuple):
    """Typical size at the touch and depth of the top 10 levels, base units, and the measured parameters."""

    depth_1: float
    depth_10: float
    calibration: Calibration


DECAY_S = 600.0
"""Decay time of volatility, permanent impact and resilience: samples this old weigh 1 / e, a half-life of seven
minutes."""

PRIOR_RETURNS = 12.0
"""Weight of the default variance at the start, in returns over RETURN_LAG_S; it is forgotten as twice as many come. A
weight that stays would call a pair of two stablecoins volatile for good."""

DEPTH_DECAY_S = 60.0
"""Decay time of typical depth, reach and bid-ask spread."""

HISTORY_S = 6
"""Samples kept between blocks: longer than the longest lag below, with its tolerance."""

RETURN_LAG_S = 5.0
"""Mids of a calm book stick, so returns over 100 ms understate its volatility; those over 5 s do not."""

SHORT_RETURN_LAG_S = 0.1
DEPTH_LAG_S = 1.0


class MarketStatistics:
    """Decayed sums over samples, from which a market's typical sizes and measured parameters follow.

    Two samples on either side of a gap do not count as a pair.

    typical_sums (5,): count, size at the touch, depth of the top 10 levels, reach, half the bid-ask spread (price).
    sums (12,): squared returns, seconds and number of pairs of samples RETURN_LAG_S apart; the same for
    SHORT_RETURN_LAG_S; flow x the mid's move, squared flow; number of pairs DEPTH_LAG_S apart, and of the logarithms
    of their depths the sum, the sum of squares and the sum of products. observed_s: how long, decayed as `sums`.
    """

    def __init__(self) -> None:
        self.typical_sums: Floats = np.zeros(5)
        self.sums: Floats = np.zeros(12)
        self.observed_s = 0.0
        # Rows of market_ns, log mid, log depth.
        self._history: Floats = np.zeros((0, 3))

    def add(self, book_states: Any, starts: Ints, spans_s: Sequence[float]) -> list[TypicalMarket]:
        """Count n samples in blocks that begin at `starts` and last `spans_s`. Return what is typical after each.

        book_states: a BookState of (n,) columns.
        """
        depth = (book_states.bid_depth + book_states.ask_depth) / 2
        log_mid, log_depth = np.log(book_states.mid), np.log(depth)
        new = np.column_stack((book_states.market_ns, log_mid, log_depth))
        history = np.concatenate((self._history, new))
        first = len(self._history)
        self._history = history[history[:, 0] >= new[-1, 0] - HISTORY_S * SECOND_NS]
        # One row for each entry of typical_sums, then of sums; one column for each sample.
        terms = np.empty((17, len(depth)))
        terms[0] = 1.0
        terms[1] = (book_states.bid_size + book_states.ask_size) / 2
        terms[2] = depth
        terms[3] = book_states.reach
        terms[4] = book_states.half_spread_bps * book_states.mid / 1e4
        for row, lag_s in ((5, RETURN_LAG_S), (8, SHORT_RETURN_LAG_S)):
            has_past, past = _past_at_lag(history, first, *_lag_and_tolerance_ns(lag_s))
            terms[row] = np.where(has_past, (log_mid - past[1]) ** 2, 0.0)
            terms[row + 1] = np.where(has_past, (new[:, 0] - past[0]) / SECOND_NS, 0.0)
            terms[row + 2] = has_past
        terms[11] = book_states.flow * book_states.return_bps * book_states.mid / 1e4
        terms[12] = book_states.flow**2
        has_past, (_, _, past_depth) = _past_at_lag(history, first, *_lag_and_tolerance_ns(DEPTH_LAG_S))
        terms[13] = has_past
        terms[14] = np.where(has_past, past_depth + log_depth, 0.0)
        terms[15] = np.where(has_past, past_depth**2 + log_depth**2, 0.0)
        terms[16] = np.where(has_past, past_depth * log_depth, 0.0)
        typical_after = []
        for block_sums, span_s in zip(np.add.reduceat(terms, starts, axis=1).T, spans_s, strict=True):
            self.typical_sums *= math.exp(-span_s / DEPTH_DECAY_S)
            self.typical_sums += block_sums[:5]
            decay = math.exp(-span_s / DECAY_S)
            self.sums *= decay
            self.sums += block_sums[5:]
            self.observed_s = decay * self.observed_s + span_s
            typical_after.append(self.typical())
        return typical_after

    def typical(self) -> TypicalMarket:
        """Return what the sums say. Raises ArithmeticError or ValueError if there are none, or impossible ones.

        The variance is shrunk towards the default's while it is of few returns.
        The variance of long returns is checked by the two-scale estimator (Zhang, Mykland, Ait-Sahalia 2005): the
        bounce that short returns add is subtracted in proportion to the number of short steps in a long one. gamma
        is the slope of the mid's move on order flow imbalance.
        """
        count, depth_1, depth_10, reach, half_spread = self.typical_sums.tolist()
        squares, span_s, pairs = self.sums[:3].tolist()
        short_squares, short_span_s, short_pairs = self.sums[3:6].tolist()
        flow_times_move, squared_flow = self.sums[6:8].tolist()
        variance = squares / span_s if span_s > 0 else None
        variance_tsrv = None
        if variance is not None and short_span_s > 0:
            steps = span_s / pairs * short_pairs / short_span_s
            variance_tsrv = max(0.0, (variance - short_squares / short_span_s / steps) / (1 - 1 / steps))
        calibration = Calibration(
            half_spread=half_spread / count,
            slope=reach / depth_10,
            variance=None if variance is None else shrunk_variance(variance, self.observed_s / RETURN_LAG_S),
            variance_tsrv=variance_tsrv,
            gamma=flow_times_move / squared_flow if squared_flow > 0 and flow_times_move > 0 else None,
            resilience=_resilience(*self.sums[8:].tolist()),
        )
        return TypicalMarket(depth_1 / count, depth_10 / count, calibration)


def shrunk_variance(variance: float, returns: float) -> float:
    """Return the variance per second that so many independent returns speak for, beside the default's.

    >>> shrunk_variance(0.0, 0.0) == DEFAULT_VOLATILITY**2 / YEAR_S
    True
    >>> shrunk_variance(1.0, 120.0) > 0.999
    True
    """
    weight = PRIOR_RETURNS * math.exp(-returns / (2 * PRIOR_RETURNS))
    return (returns * variance + weight * DEFAULT_VOLATILITY**2 / YEAR_S) / (returns + weight)


def _resilience(pairs: float, total: float, squares: float, product: float) -> float | None:
    """Return the resilience, 1/s, from the correlation of log depth with itself one second before.

    None without pairs, or where depth does not vary.
    """
    if not pairs:
        return None
    mean = total / (2 * pairs)
    variance = squares / (2 * pairs) - mean**2
    if variance <= 1e-12:
        return None
    return -math.log(min(max((product / pairs - mean**2) / variance, 0.02), 0.98))


def _lag_and_tolerance_ns(lag_s: float) -> tuple[float, float]:
    """Return a lag, and how much older a past sample may be: a tenth of it, at least 0.1 s."""
    return lag_s * SECOND_NS, max(lag_s / 10, 0.1) * SECOND_NS


@jit
def _past_at_lag(history: Floats, first: int, lag_ns: float, tolerance_ns: float) -> tuple[Flags, Floats]:
    """Find for each row of history from `first` on the last row at least lag_ns before it.

    Return whether there is one at most tolerance_ns older, (n,), and that row, as columns (3, n).
    """
    has_past = np.zeros(len(history) - first, dtype=np.bool_)
    past = np.zeros((3, len(history) - first))
    before = -1
    for row in range(first, len(history)):
        latest_ns = history[row, 0] - lag_ns
        # Times do not step back, so neither does the last row early enough; it stays before this row.
        while history[before + 1, 0] <= latest_ns:
            before += 1
        has_past[row - first] = before >= 0 and history[before, 0] >= latest_ns - tolerance_ns
        past[:, row - first] = history[max(before, 0)]
    return has_past, past
