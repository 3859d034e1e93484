"""How right the estimates have been: every prediction scored against what happened, before it is learned from."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from numerics.arrays import Floats
from numerics.jit import jit

BINS = 10


@dataclass(frozen=True, slots=True)
class SlippageScore:
    """Slippage predictions against what the order would have paid `latency` later; bps.

    skill: 1 - squared error / squared error of the book walk alone; 0 is no better than the walk.
    coverage: the share of outcomes inside the 95 % band. pinball: mean loss of the band's two ends.
    None where nothing was scored yet.
    """

    samples: int
    rows: int
    skill: float | None
    bias: float | None
    walk_bias: float | None
    rmse: float | None
    walk_rmse: float | None
    coverage: float | None
    coverage_by_size: tuple[float | None, ...]
    pinball: float | None


@dataclass(frozen=True, slots=True)
class FillScore:
    """Fill predictions against what was crossed in time.

    skill: 1 - Brier score / Brier score of the running base rate. reliability: for each tenth of
    predicted probability (mean prediction, observed rate, rows). n_eff counts overlapping windows once.
    """

    samples: int
    brier: float | None
    base_brier: float | None
    skill: float | None
    log_loss: float | None
    n_eff: float
    reliability: tuple[tuple[float, float, int], ...]


@dataclass(frozen=True, slots=True)
class Scorecard:
    """Scores over the whole session and over the last minutes."""

    samples: int
    shrinkage: float
    slippage: SlippageScore
    slippage_recent: SlippageScore
    fill: FillScore
    fill_recent: FillScore

    @property
    def verdict(self) -> str:
        """In words, how much the learned slippage is trusted now."""
        if self.slippage.skill is None:
            return "still learning: the book walk is shown"
        if self.shrinkage <= 0:
            return "no better than the book walk so far"
        return f"better than the book walk by {100 * self.slippage.skill:.1f} % of squared error"


class SlippageSums:
    """Sums over slippage predictions."""

    __slots__ = ("inside", "sums")

    def __init__(self, strata: int) -> None:
        self.sums: Floats = np.zeros(8)
        self.inside: Floats = np.zeros((2, strata))

    def count(self, samples: int, error: Floats, walk_error: Floats, low: Floats, high: Floats) -> None:
        """Count in some samples' predictions. error, walk_error: outcome less prediction, (rows, strata), bps; low,
        high: the band, (strata,), NaN where there was none."""
        self.sums[0] += samples
        _count_orders(error, walk_error, low, high, self.sums, self.inside)

    def plus(self, other: SlippageSums, times: float = 1.0) -> SlippageSums:
        """The sums of both, the other's counted so many times."""
        both = SlippageSums(0)
        both.sums, both.inside = self.sums + times * other.sums, self.inside + times * other.inside
        return both

    def score(self) -> SlippageScore:
        samples, rows, squares, walk_squares, total, walk_total, pinball, banded = self.sums.tolist()
        covered, seen = self.inside
        return SlippageScore(
            int(samples),
            int(rows),
            1 - squares / walk_squares if walk_squares > 0 else None,
            total / rows if rows else None,
            walk_total / rows if rows else None,
            math.sqrt(max(squares, 0.0) / rows) if rows else None,
            math.sqrt(max(walk_squares, 0.0) / rows) if rows else None,
            float(covered.sum() / seen.sum()) if seen.sum() else None,
            tuple(float(c / s) if s else None for c, s in zip(covered, seen, strict=True)),
            pinball / banded if banded else None,
        )


@jit
def _count_orders(error: Floats, walk_error: Floats, low: Floats, high: Floats, sums: Floats, inside: Floats) -> None:
    rows, strata = error.shape
    sums[1] += error.size
    for row in range(rows):
        for stratum in range(strata):
            missed, walk_missed = error[row, stratum], walk_error[row, stratum]
            sums[2] += missed**2
            sums[3] += walk_missed**2
            sums[4] += missed
            sums[5] += walk_missed
            if np.isnan(low[stratum]):
                continue
            outside = max(low[stratum] - missed, missed - high[stratum], 0.0)
            # Both ends' losses: a fortieth of the band's width, and all of what is outside.
            sums[6] += 0.0125 * (high[stratum] - low[stratum]) + 0.5 * outside
            sums[7] += 1
            inside[0, stratum] += outside == 0
            inside[1, stratum] += 1


class FillSums:
    """Sums over fill predictions."""

    __slots__ = ("bins", "sums")

    def __init__(self) -> None:
        self.sums: Floats = np.zeros(5)
        self.bins: Floats = np.zeros((3, BINS))

    def count(self, chance: Floats, base: Floats, filled: Floats, weight: float) -> None:
        """Count in some predictions, each worth `weight` windows. chance and base: the model's and the running rate's;
        filled: 0 or 1; (rows,) each."""
        self.sums[4] += weight * len(chance)
        _count_quotes(chance, base, filled, self.sums, self.bins)

    def plus(self, other: FillSums, times: float = 1.0) -> FillSums:
        """As SlippageSums.plus."""
        both = FillSums()
        both.sums, both.bins = self.sums + times * other.sums, self.bins + times * other.bins
        return both

    def score(self) -> FillScore:
        rows, squares, base_squares, log_loss, n_eff = self.sums.tolist()
        return FillScore(
            int(rows),
            squares / rows if rows else None,
            base_squares / rows if rows else None,
            1 - squares / base_squares if base_squares > 0 else None,
            log_loss / rows if rows else None,
            n_eff,
            tuple((p / n, y / n, int(n)) for p, y, n in self.bins.T.tolist() if n),
        )


@jit
def _count_quotes(chance: Floats, base: Floats, filled: Floats, sums: Floats, bins: Floats) -> None:
    sums[0] += len(chance)
    for row in range(len(chance)):
        error = filled[row] - chance[row]
        sums[1] += error**2
        sums[2] += (filled[row] - base[row]) ** 2
        sums[3] -= math.log(max(1 - abs(error), 1e-12))
        place = max(min(int(chance[row] * BINS), BINS - 1), 0)
        bins[0, place] += chance[row]
        bins[1, place] += filled[row]
        bins[2, place] += 1


RECENT_NS = 300_000_000_000


class Scores(NamedTuple):
    """The sums behind a scorecard at one moment: of the session, and of the session before the last minutes."""

    session: tuple[SlippageSums, FillSums]
    before: tuple[SlippageSums, FillSums]

    def scorecard(self, samples: int, gate: float) -> Scorecard:
        """samples: decision times learned from; gate: the share of the learned residual in use."""
        (slippage, fill), (slippage_before, fill_before) = self
        recent = slippage.plus(slippage_before, -1.0), fill.plus(fill_before, -1.0)
        return Scorecard(samples, gate, slippage.score(), recent[0].score(), fill.score(), recent[1].score())


class RunningScores:
    """The session's sums, and those of the last five minutes."""

    def __init__(self, strata: int) -> None:
        self.session = (SlippageSums(strata), FillSums())
        # The session's sums as they were when each block of the last minutes began.
        self._before: deque[tuple[int, tuple[SlippageSums, FillSums]]] = deque()

    def add(self, market_ns: int, slippage: SlippageSums, fill: FillSums) -> None:
        """Count in one block of predictions whose last was made at market_ns."""
        self._before.append((market_ns, self.session))
        self.session = self.session[0].plus(slippage), self.session[1].plus(fill)
        while self._before[0][0] < market_ns - RECENT_NS:
            self._before.popleft()

    def scores(self) -> Scores:
        """The sums so far; nothing that is added later changes them."""
        return Scores(self.session, self._before[0][1] if self._before else self.session)
