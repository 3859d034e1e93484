"""How right the estimates have been: every prediction scored against what happened, before it is learned from."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
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
    gate: float
    slippage: SlippageScore
    slippage_recent: SlippageScore
    fill: FillScore
    fill_recent: FillScore

    @property
    def verdict(self) -> str:
        """In words, how much the learned slippage is trusted now."""
        if self.slippage.skill is None:
            return "still learning: the book walk is shown"
        if self.gate <= 0:
            return "no better than the book walk so far"
        return f"better than the book walk by {100 * self.slippage.skill:.1f} % of squared error"


class SlippageTally:
    """Sums over one block of slippage predictions."""

    __slots__ = ("inside", "sums")

    def __init__(self, strata: int) -> None:
        self.sums: Floats = np.zeros(8)
        self.inside: Floats = np.zeros((2, strata))

    @classmethod
    def each(cls, error: Floats, walk_error: Floats, low: Floats, high: Floats, samples: Sequence[int]) -> list[Self]:
        """One of each block of so many samples, every sample with as many rows.

        error, walk_error: outcome less prediction, (strata, rows), bps; low, high: the band, NaN where there was none.
        """
        strata, rows = error.shape
        counts = np.array(samples) * (rows // sum(samples))
        starts = np.cumsum(counts) - counts
        clipped = np.minimum(np.maximum(error, low), high)
        banded = ~np.isnan(low)
        # Both ends' losses: a fortieth of the band's width, and all of what is outside.
        loss = np.where(banded, 0.0125 * (high - low) + 0.5 * np.abs(error - clipped), 0.0)
        summed = (error**2, walk_error**2, error, walk_error, loss)
        sums = np.array([np.add.reduceat(part, starts, axis=1).sum(axis=0) for part in summed])
        inside = np.array(
            [np.add.reduceat(part, starts, axis=1, dtype=np.int64) for part in (clipped == error, banded)]
        )
        made = []
        for block, (count, number) in enumerate(zip(counts.tolist(), samples, strict=True)):
            tally = cls(strata)
            tally.inside[:] = inside[:, :, block]
            tally.sums[:2], tally.sums[2:7], tally.sums[7] = (
                (number, strata * count),
                sums[:, block],
                tally.inside[1].sum(),
            )
            made.append(tally)
        return made

    def plus(self, other: SlippageTally, times: float = 1.0) -> SlippageTally:
        """The sums of both, the other's counted so many times."""
        both = SlippageTally(0)
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


class FillTally:
    """Sums over one block of fill predictions."""

    __slots__ = ("bins", "sums")

    def __init__(self) -> None:
        self.sums: Floats = np.zeros(5)
        self.bins: Floats = np.zeros((3, BINS))

    @classmethod
    def each(
        cls, chance: Floats, base: Floats, filled: Floats, weights: Sequence[float], samples: Sequence[int]
    ) -> list[Self]:
        """One of each block of so many samples, every sample with as many rows.

        chance and base: the model's and the running rate's prediction, (rows,); filled: 0 or 1; weights: windows a
        row, by block.
        """
        counts = np.array(samples) * (len(chance) // sum(samples))
        starts = np.cumsum(counts) - counts
        error, base_error = filled - chance, filled - base
        log_loss = -np.log(np.maximum(1 - np.abs(error), 1e-12))
        sums = np.array([np.add.reduceat(part, starts) for part in (error**2, base_error**2, log_loss)])
        bins = np.minimum((chance * BINS).astype(np.int64), BINS - 1)
        bins += BINS * np.repeat(np.arange(len(starts)), counts)
        size = BINS * len(starts)
        binned = np.array([np.bincount(bins, values, size).reshape(-1, BINS) for values in (chance, filled, None)])
        made = []
        for block, (count, weight) in enumerate(zip(counts.tolist(), weights, strict=True)):
            tally = cls()
            tally.sums[0], tally.sums[1:4], tally.sums[4] = count, sums[:, block], weight * count
            tally.bins[:] = binned[:, block]
            made.append(tally)
        return made

    def plus(self, other: FillTally, times: float = 1.0) -> FillTally:
        """As SlippageTally.plus."""
        both = FillTally()
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


RECENT_NS = 300_000_000_000


class Scores(NamedTuple):
    """The sums behind a scorecard at one moment: of the session, and of the session before the last minutes."""

    session: tuple[SlippageTally, FillTally]
    before: tuple[SlippageTally, FillTally]

    def scorecard(self, samples: int, gate: float) -> Scorecard:
        """samples: decision times learned from; gate: the share of the learned residual in use."""
        (slippage, fill), (slippage_before, fill_before) = self
        recent = slippage.plus(slippage_before, -1.0), fill.plus(fill_before, -1.0)
        return Scorecard(samples, gate, slippage.score(), recent[0].score(), fill.score(), recent[1].score())


class Tally:
    """The session's sums, and those of the last five minutes."""

    def __init__(self, strata: int) -> None:
        self.session = (SlippageTally(strata), FillTally())
        # The session's sums as they were when each block of the last minutes began.
        self._before: deque[tuple[int, tuple[SlippageTally, FillTally]]] = deque()

    def add(self, market_ns: int, slippage: SlippageTally, fill: FillTally) -> None:
        """Count in one block of predictions whose last was made at market_ns."""
        self._before.append((market_ns, self.session))
        self.session = self.session[0].plus(slippage), self.session[1].plus(fill)
        while self._before[0][0] < market_ns - RECENT_NS:
            self._before.popleft()

    def scores(self) -> Scores:
        """The sums so far; nothing that is added later changes them."""
        return Scores(self.session, self._before[0][1] if self._before else self.session)
