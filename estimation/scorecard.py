"""Score every prediction against its outcome, before it is learned from."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from numerics.arrays import Floats
from numerics.jit import jit

BINS = 10
"""Bins of predicted probability in the reliability table."""


@dataclass(frozen=True, slots=True)
class SlippageScore:
    """Score of slippage predictions against what the order would have paid one latency later; bps.

    samples: samples scored. rows: orders scored, several a sample. skill: 1 - squared error / squared error of the
    book walk alone; 0 is no better than the walk. bias: mean of outcome less prediction. coverage: the share of
    outcomes inside the 95 % band; coverage_by_size: of each size class. pinball: mean loss of the band's two ends.
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
    """Score of fill predictions against the quotes that were crossed in time.

    samples: quotes scored. skill: 1 - Brier score / Brier score of the running base rate. log_loss: mean. n_eff:
    number of quotes, with overlapping windows counted once. reliability: for each tenth of predicted probability
    (mean prediction, observed rate, quotes). None where nothing was scored yet.
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
    """Scores of the whole session and of the last five minutes.

    samples: samples learned from. shrinkage: the share of the slippage model's predictions in use.
    """

    samples: int
    shrinkage: float
    slippage: SlippageScore
    slippage_recent: SlippageScore
    fill: FillScore
    fill_recent: FillScore

    @property
    def verdict(self) -> str:
        """How far the learned slippage is trusted now, in words."""
        if self.slippage.skill is None:
            return "still learning: the book walk is shown"
        if self.shrinkage <= 0:
            return "no better than the book walk so far"
        return f"better than the book walk by {100 * self.slippage.skill:.1f} % of squared error"


class SlippageSums:
    """Sums over slippage predictions.

    sums: samples, rows, squared errors, squared errors of the walk, errors, errors of the walk, pinball losses, rows
    with a band. inside (2, strata): rows inside their band, rows with a band.
    """

    __slots__ = ("inside", "sums")

    def __init__(self, strata: int) -> None:
        self.sums: Floats = np.zeros(8)
        self.inside: Floats = np.zeros((2, strata))

    def count(self, samples: int, error: Floats, walk_error: Floats, low: Floats, high: Floats) -> None:
        """Add the predictions of some samples.

        Args:
            samples: how many samples they belong to.
            error: outcome less prediction, (rows, strata), bps.
            walk_error: outcome less book walk, (rows, strata), bps.
            low: lower ends of the band around the prediction, (strata,), bps; NaN without a band.
            high: upper ends.
        """
        self.sums[0] += samples
        _count_orders(error, walk_error, low, high, self.sums, self.inside)

    def plus(self, other: SlippageSums, times: float = 1.0) -> SlippageSums:
        """Return new sums of both, the other's multiplied by `times`."""
        both = SlippageSums(0)
        both.sums = self.sums + times * other.sums
        both.inside = self.inside + times * other.inside
        return both

    def score(self) -> SlippageScore:
        """Return the score of these sums."""
        samples, rows, squares, walk_squares, total, walk_total, pinball, with_band = self.sums.tolist()
        inside, checked = self.inside
        return SlippageScore(
            int(samples),
            int(rows),
            1 - squares / walk_squares if walk_squares > 0 else None,
            total / rows if rows else None,
            walk_total / rows if rows else None,
            math.sqrt(max(squares, 0.0) / rows) if rows else None,
            math.sqrt(max(walk_squares, 0.0) / rows) if rows else None,
            float(inside.sum() / checked.sum()) if checked.sum() else None,
            tuple(float(hits / n) if n else None for hits, n in zip(inside, checked, strict=True)),
            pinball / with_band if with_band else None,
        )


@jit
def _count_orders(error: Floats, walk_error: Floats, low: Floats, high: Floats, sums: Floats, inside: Floats) -> None:
    """Add to the sums, in place, all but the number of samples; arrays as in SlippageSums.count."""
    rows, strata = error.shape
    sums[1] += error.size
    for row in range(rows):
        for stratum in range(strata):
            miss, walk_miss = error[row, stratum], walk_error[row, stratum]
            sums[2] += miss**2
            sums[3] += walk_miss**2
            sums[4] += miss
            sums[5] += walk_miss
            # NaN: there was no band when this was predicted.
            if np.isnan(low[stratum]):
                continue
            outside = max(low[stratum] - miss, miss - high[stratum], 0.0)
            # Both ends' losses: a fortieth of the band's width, and all of what is outside.
            sums[6] += 0.0125 * (high[stratum] - low[stratum]) + 0.5 * outside
            sums[7] += 1
            if outside == 0:
                inside[0, stratum] += 1
            inside[1, stratum] += 1


class FillSums:
    """Sums over fill predictions.

    sums: quotes, squared errors, squared errors of the base rate, log losses, independent windows. bins (3, BINS):
    predictions, outcomes and quotes in each bin of predicted probability.
    """

    __slots__ = ("bins", "sums")

    def __init__(self) -> None:
        self.sums: Floats = np.zeros(5)
        self.bins: Floats = np.zeros((3, BINS))

    def count(self, chance: Floats, base: Floats, filled: Floats, weight: float) -> None:
        """Add some predictions, (rows,) each.

        Args:
            chance: predicted by the model.
            base: predicted by the running base rate.
            filled: 0 or 1.
            weight: independent windows that one prediction is worth.
        """
        self.sums[4] += weight * len(chance)
        _count_quotes(chance, base, filled, self.sums, self.bins)

    def plus(self, other: FillSums, times: float = 1.0) -> FillSums:
        """Return new sums of both, the other's multiplied by `times`."""
        both = FillSums()
        both.sums = self.sums + times * other.sums
        both.bins = self.bins + times * other.bins
        return both

    def score(self) -> FillScore:
        """Return the score of these sums."""
        rows, squares, base_squares, log_loss, n_eff = self.sums.tolist()
        return FillScore(
            int(rows),
            squares / rows if rows else None,
            base_squares / rows if rows else None,
            1 - squares / base_squares if base_squares > 0 else None,
            log_loss / rows if rows else None,
            n_eff,
            tuple((predicted / n, observed / n, int(n)) for predicted, observed, n in self.bins.T.tolist() if n),
        )


@jit
def _count_quotes(chance: Floats, base: Floats, filled: Floats, sums: Floats, bins: Floats) -> None:
    """Add to the sums, in place, all but the number of windows; arrays as in FillSums.count."""
    sums[0] += len(chance)
    for row in range(len(chance)):
        error = filled[row] - chance[row]
        sums[1] += error**2
        sums[2] += (filled[row] - base[row]) ** 2
        # 1 - |error| is the probability given to what happened; the floor keeps a certain error finite.
        sums[3] -= math.log(max(1 - abs(error), 1e-12))
        # A probability of 1 belongs to the last bin.
        column = max(min(int(chance[row] * BINS), BINS - 1), 0)
        bins[0, column] += chance[row]
        bins[1, column] += filled[row]
        bins[2, column] += 1


RECENT_NS = 300_000_000_000
"""Length of the recent scores' window: five minutes."""


class Scores(NamedTuple):
    """The sums behind a scorecard: of the whole session, and of the session before the last five minutes."""

    session: tuple[SlippageSums, FillSums]
    before: tuple[SlippageSums, FillSums]

    def scorecard(self, samples: int, shrinkage: float) -> Scorecard:
        """Return the scorecard of these sums.

        samples: samples learned from. shrinkage: the share of the slippage model's predictions in use.
        """
        (slippage, fill), (slippage_before, fill_before) = self
        slippage_recent = slippage.plus(slippage_before, -1.0)
        fill_recent = fill.plus(fill_before, -1.0)
        return Scorecard(
            samples, shrinkage, slippage.score(), slippage_recent.score(), fill.score(), fill_recent.score()
        )


class RunningScores:
    """Running sums over the session, and over its last five minutes."""

    def __init__(self, strata: int) -> None:
        self.session = (SlippageSums(strata), FillSums())
        # The session's sums as they were before each block of the last five minutes.
        self._before: deque[tuple[int, tuple[SlippageSums, FillSums]]] = deque()

    def add(self, market_ns: int, slippage: SlippageSums, fill: FillSums) -> None:
        """Add one block of predictions, the last of which was made at market_ns."""
        self._before.append((market_ns, self.session))
        session_slippage, session_fill = self.session
        self.session = (session_slippage.plus(slippage), session_fill.plus(fill))
        while self._before[0][0] < market_ns - RECENT_NS:
            self._before.popleft()

    def scores(self) -> Scores:
        """Return the sums so far; nothing that is added later changes them."""
        return Scores(self.session, self._before[0][1] if self._before else self.session)
