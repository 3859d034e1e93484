"""Running statistics of a market's books, behind its parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from estimation.market_parameters import Calibration
from numerics.arrays import Flags, Floats, Ints
from numerics.jit import jit


class TypicalMarket(NamedTuple):
    """What is usual on a market: the sizes at the touch and in the top 10 levels, base units, and its parameters."""

    depth_1: float
    depth_10: float
    calibration: Calibration


DECAY_S = 600.0
"""What was seen so long ago counts 1 / e: a half-life of seven minutes."""

DEPTH_DECAY_S = 60.0
"""The same, of depth, reach and spread."""

HISTORY_S = 6
SECOND_NS = 1e9
RETURN_SPAN_S = 5.0
"""Mids of a calm book stick, so returns over 100 ms understate its volatility; those over 5 s do not."""


class MarketStatistics:
    """Decayed sums over decision times: behind what is usual, and behind volatility, permanent impact and
    resilience; pairs of times that a gap parts do not count."""

    def __init__(self) -> None:
        self.typical_sums: Floats = np.zeros(5)
        self.sums: Floats = np.zeros(12)
        self._history: Floats = np.zeros((0, 3))

    def add(self, now: Any, starts: Ints, spans_s: Sequence[float]) -> list[TypicalMarket]:
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
        for row, lag_s in ((5, RETURN_SPAN_S), (8, 0.1)):
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
            self.typical_sums *= math.exp(-span_s / DEPTH_DECAY_S)
            self.typical_sums += sums[:5]
            self.sums *= math.exp(-span_s / DECAY_S)
            self.sums += sums[5:]
            usual.append(self.typical())
        return usual

    def typical(self) -> TypicalMarket:
        """What the sums say. Raises ArithmeticError, ValueError if there are none, or none that could be."""
        count, depth_1, depth_10, reach, half_spread = self.typical_sums.tolist()
        squares, span, pairs, squares_1, span_1, pairs_1, agreement, flows, *depths = self.sums.tolist()
        variance = squares / span if span > 0 else None
        variance_tsrv = None
        if variance is not None and span_1 > 0:
            steps = span / pairs * pairs_1 / span_1
            variance_tsrv = max(0.0, (variance - squares_1 / span_1 / steps) / (1 - 1 / steps))
        gamma = agreement / flows if flows > 0 and agreement > 0 else None
        measured = (half_spread / count, reach / depth_10, variance, variance_tsrv, gamma, _resilience(*depths))
        return TypicalMarket(depth_1 / count, depth_10 / count, Calibration(*measured))


def _resilience(pairs: float, total: float, squares: float, product: float) -> float | None:
    """1/s, from the correlation of the logarithm of depth with itself a second before."""
    if not pairs:
        return None
    mean = total / (2 * pairs)
    spread = squares / (2 * pairs) - mean**2
    if spread <= 1e-12:
        return None
    return -math.log(min(max((product / pairs - mean**2) / spread, 0.02), 0.98))


@jit
def _at_lag(history: Floats, first: int, lag_s: float) -> tuple[Flags, Floats]:
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
