"""Learn how often a quote at the touch is crossed in time, what it is offered then, and what waiting costs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from estimation.features import MAKER_COLUMNS
from estimation.model_record import CURVE_SIZES
from estimation.model_state import CrossingCurves, StateRows, fill_prior, iter_models, prior_weight
from estimation.saved_learner import SavedLearner
from estimation.scorecard import FillSums
from estimation.training_data import TrainingBlock
from models import MakerTakerModel
from numerics.arrays import Floats
from numerics.jit import jit
from numerics.windows import RollingWindow, SortedRollingWindow, crossing_curves, symmetric_quantiles

FILL_MEMORY_S = 900.0
"""Quotes this old weigh 1 / e in the rates and in the fill weight."""

RECENT_MEMORY_S = 30.0
"""The same, in a second rate that follows a market that wakes or falls asleep."""

TRUST_MEMORY_S = 300.0
"""The same, for how right both rates were."""

FILL_ROWS = 2000
"""Recent quotes that the model is fitted to."""

CROSSING_ROWS = 2000
BAND_ROWS = 2000
MIN_BAND_ROWS = 40
"""Quotes that were not crossed needed before there is a 95 % band of the mid's moves."""

PRIOR_WINDOWS = 0.5
"""Weight of the prior's opinion in the fill weight, in independent windows."""

REFIT_SHARE = 0.35
MAX_SAMPLES_BETWEEN_FITS = 1500
"""The model is fitted anew when this share of the samples is new: its rows last longer than those of the slippage
model, and its fit takes longer."""


class FillLearner:
    """The fill half of an OnlineLearner: the model of recent quotes, running rates, and the mid's moves afterwards.

    model: the prior until the first fit. agreement, crossed, touched, away, crossed_recently and likelihoods: as in
    SavedLearner. quotes and moved: its windows `fills` and `moved`, crossings: `offered` and `moved_crossed`, with a
    column for each quote.
    """

    def __init__(self, latency_s: float, passive_s: float) -> None:
        self._latency_s = latency_s
        self._passive_s = passive_s
        self._prior = fill_prior(latency_s, passive_s)
        self._fitted_at_samples = 0
        self.model = MakerTakerModel(self._prior)
        self.agreement: Floats = np.zeros(2)
        self.crossed: Floats = np.zeros(2)
        self.crossed_recently: Floats = np.zeros(2)
        self.likelihoods: Floats = np.zeros(2)
        self.touched: Floats = np.zeros(2)
        self.away: Floats = np.zeros(2)
        self.quotes = RollingWindow(FILL_ROWS, len(MAKER_COLUMNS) + 2)
        self.moved = SortedRollingWindow(BAND_ROWS)
        self.crossings = RollingWindow(CROSSING_ROWS, 2)

    def restore(self, saved: SavedLearner) -> None:
        """Continue a fresh learner from what was saved. Raises ArithmeticError or ValueError if no fit is possible."""
        self.agreement[:] = saved.fill_agreement
        self.crossed[:] = saved.crossed
        self.crossed_recently[:] = saved.crossed_recently
        self.likelihoods[:] = saved.likelihoods
        self.touched[:] = saved.touched
        self.away[:] = saved.away
        self.quotes.add(saved.fills.T)
        self.moved.add(saved.moved)
        moved = saved.moved_crossed if len(saved.moved_crossed) else np.zeros(len(saved.offered))
        self.crossings.add(np.stack((saved.offered, moved)))
        self._fit(saved.samples)

    def learn(self, block: TrainingBlock, state_rows: Sequence[StateRows], spacing_s: float) -> FillSums:
        """Score a block of n samples by the model states in use, then learn from it. Return the scores' sums.

        state_rows: the model states by which the samples were priced. spacing_s: mean time between two samples.
        """
        quotes, crossed = block.quotes, block.crossed
        weight = self._quote_weight(spacing_s)
        decay = math.exp(-spacing_s * len(crossed) / FILL_MEMORY_S)
        chance = np.empty(crossed.shape)
        base_rate, fill_weight = np.empty((2, len(crossed)))
        scores = FillSums()
        for model, rows in iter_models(state_rows, lambda state: state.fill):
            x = quotes[:, rows]
            chance[rows] = model.chances(x.reshape(len(x), -1).T).reshape(-1, 2)
        for state, rows in state_rows:
            base_rate[rows] = state.base_rate
            fill_weight[rows] = state.fill_weight
        agreed, squares = _shrink_chances(chance, crossed, base_rate, fill_weight)
        scores.count(chance.ravel(), base_rate.repeat(2), crossed.ravel(), weight)
        self.agreement *= decay
        self.agreement += (weight * agreed, weight * squares)
        sums = block.sums
        seen = weight * sums.crossed, weight * crossed.size
        trust_decay = math.exp(-spacing_s * len(crossed) / TRUST_MEMORY_S)
        self.likelihoods[:] = trust_decay * self.likelihoods + [_likelihood(rate, *seen) for rate in self._rates()]
        self.crossed[:] = decay * self.crossed + seen
        recent_decay = math.exp(-spacing_s * len(crossed) / RECENT_MEMORY_S)
        self.crossed_recently[:] = recent_decay * self.crossed_recently + seen
        self.touched[:] = decay * self.touched + (weight * sums.touched, weight * sums.waited)
        self.away[:] = decay * self.away + (sums.moved, sums.uncrossed)
        is_crossed = crossed > 0
        self.crossings.add(np.stack((block.offered[is_crossed], block.moved[is_crossed])))
        self.moved.add(block.moved[~is_crossed])
        # Windows a quarter as far apart as they are long hold nearly all there is to learn.
        stride = max(1, int(self._passive_s / 4 / spacing_s))
        crossed_kept = crossed[::stride].ravel()
        rows_kept = np.empty((len(quotes) + 2, len(crossed_kept)))
        rows_kept[:-2] = quotes[:, ::stride].reshape(len(quotes), -1)
        rows_kept[-2] = crossed_kept
        rows_kept[-1] = min(1.0, weight * stride)
        self.quotes.add(rows_kept)
        return scores

    def _quote_weight(self, spacing_s: float) -> float:
        """Return how many independent windows one quote counts for, at most 1: both sides' windows overlap."""
        return min(1.0, spacing_s / (2 * self._passive_s))

    def fit_if_due(self, samples: int) -> None:
        """Fit the model anew if enough of the `samples` learned from are new since its last fit."""
        n_new = min(REFIT_SHARE * self._fitted_at_samples, MAX_SAMPLES_BETWEEN_FITS)
        if samples >= self._fitted_at_samples + n_new:
            self._fit(samples)

    def _fit(self, samples: int) -> None:
        rows = self.quotes.values
        self.model = MakerTakerModel(self._prior).fit(rows[:-2].T, rows[-2], rows[-1])
        self._fitted_at_samples = samples

    def weight(self) -> float:
        """Return how far to follow the model beyond the base rate, 0 to 1; the prior's weight until it is checked."""
        agreed, squares = self.agreement.tolist()
        agreed += PRIOR_WINDOWS * prior_weight(self._latency_s)
        weight: float = min(max(agreed / (squares + PRIOR_WINDOWS), 0.0), 1.0)
        return weight

    def base_rate(self) -> float:
        """Return the running share of quotes that are crossed, beginning at the prior's rate.

        Two memories are mixed, each by the chance that it is right by what it said of the quotes so far.
        """
        lasting, recent = self._rates()
        for_lasting, for_recent = self.likelihoods.tolist()
        trust = 1 / (1 + math.exp(min(for_lasting - for_recent, 700.0)))
        return (1 - trust) * lasting + trust * recent

    def _rates(self) -> tuple[float, float]:
        """Return the running shares of a long and of a short memory; the short one begins at the long one's."""
        crossed, quotes = self.crossed.tolist()
        prior_rate = 1 / (1 + math.exp(-self._prior.intercept))
        lasting: float = (crossed + prior_rate) / (quotes + 1)
        crossed, quotes = self.crossed_recently.tolist()
        return lasting, (crossed + lasting) / (quotes + 1)

    def touch_rate(self) -> float:
        """Return the running share of waiting, uncrossed quotes whose queue shrank, beginning at one half."""
        touched, waited = self.touched.tolist()
        rate: float = (touched + 0.5) / (waited + 1)
        return rate

    def late_rate(self) -> float:
        """Return the running share of quotes that could be executed on arrival, beginning at none."""
        crossed, quotes = self.crossed.tolist()
        rate: float = max(quotes - crossed - self.touched.item(1), 0.0) / (quotes + 1)
        return rate

    def clean_up_bps(self) -> float | None:
        """Return how far the mid moves away from quotes that are not crossed, on average; None before the first."""
        away, uncrossed = self.away.tolist()
        return away / uncrossed if uncrossed else None

    def clean_up_band(self) -> tuple[float, float] | None:
        """Return the 95 % band (low, high) of those moves, bps; None before MIN_BAND_ROWS of them."""
        moved = self.moved.sorted_values
        return symmetric_quantiles(moved, 0.975) if len(moved) >= MIN_BAND_ROWS else None

    def crossing_curves(self) -> CrossingCurves | None:
        """Return what crossed quotes of each of CURVE_SIZES met on average; None before the first."""
        offered, moved = self.crossings.values
        if not len(offered):
            return None
        return CrossingCurves(*(tuple(curve) for curve in crossing_curves(offered, moved, CURVE_SIZES).tolist()))


def _likelihood(rate: float, crossed: float, quotes: float) -> float:
    """Return the logarithm of the chance that so many quotes of these are crossed, had each this chance."""
    rate = min(max(rate, 1e-6), 1 - 1e-6)
    return crossed * math.log(rate) + (quotes - crossed) * math.log(1 - rate)


@jit
def _shrink_chances(chance: Floats, crossed: Floats, base_rate: Floats, weight: Floats) -> tuple[float, float]:
    """Shrink the model's chances towards the base rate, in place, and compare the model with the outcomes.

    chance and crossed (n, 2); base_rate and weight (n,). Return the sum of outcome x prediction and the sum of
    squared predictions, both beyond the base rate and of the chances before they were shrunk.
    """
    agreed, squares = 0.0, 0.0
    for row in range(len(chance)):
        for side in range(2):
            beyond = chance[row, side] - base_rate[row]
            # Agreement is of the whole prediction: the weight must not depend on itself.
            agreed += (crossed[row, side] - base_rate[row]) * beyond
            squares += beyond**2
            chance[row, side] = base_rate[row] + weight[row] * beyond
    return agreed, squares
