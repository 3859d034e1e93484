"""Learn what the book walk misses of an order's slippage, and how far to trust it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from estimation.features import SLIPPAGE_COLUMNS
from estimation.model_record import STRATA
from estimation.model_state import StateRows, iter_models
from estimation.saved_learner import SavedLearner
from estimation.scorecard import SlippageSums
from estimation.training_data import SIZES, TrainingBlock
from models import SlippageModel
from numerics.arrays import Floats
from numerics.jit import jit
from numerics.linear import RegressionSums
from numerics.windows import SortedRollingWindow, symmetric_quantiles

REGRESSION_MEMORY_S = 300.0
"""Rows this old weigh 1 / e in the regression."""

SHRINKAGE_MEMORY_S = 900.0
"""Predictions this old weigh 1 / e in the shrinkage weight."""

SHRINKAGE_CAUTION = 2.0
"""How strongly the shrinkage weight is reduced for agreement that chance alone could give."""

BAND_ROWS = 2000
MIN_BAND_ROWS = 40
"""Errors needed before there is a 95 % band."""

REFIT_SHARE = 0.1
MAX_SAMPLES_BETWEEN_FITS = 500
"""The model is fitted anew when a tenth of the samples is new, and at the latest after 500."""


class SlippageLearner:
    """The slippage half of an OnlineLearner: the regression, its shrinkage weight, and the band of its errors.

    model: None until the first fit. sums: of the regression's rows, worth `independent_samples` independent ones.
    overlap: samples of the last block within one latency, at least 1; their outcomes share most of their time.
    agreement and errors: as in SavedLearner, the errors with a column for each sample and side.
    """

    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s
        self._fitted_at_samples = 0
        self.model: SlippageModel | None = None
        self.sums = RegressionSums(len(SLIPPAGE_COLUMNS))
        self.independent_samples = 0.0
        self.overlap = 1.0
        self.agreement: Floats = np.zeros(3)
        self.errors = SortedRollingWindow(BAND_ROWS, STRATA)

    def restore(self, saved: SavedLearner) -> None:
        """Continue a fresh learner from what was saved. Raises ArithmeticError or ValueError if no fit is possible."""
        self.sums.sums[:] = saved.moments
        self.independent_samples = saved.worth
        self.overlap = saved.overlap
        self.agreement[:] = saved.agreement
        self.errors.add(saved.errors.T)
        self._fit(saved.samples)

    def learn(self, block: TrainingBlock, state_rows: Sequence[StateRows], spacing_s: float) -> SlippageSums:
        """Score a block of n samples by the model states in use, then learn from it. Return the scores' sums.

        state_rows: the model states by which the samples were priced. spacing_s: mean time between two samples.
        """
        orders, residual = block.orders, block.residual
        n = len(residual)
        predicted = np.zeros(residual.shape)
        shrinkage = np.empty(n)
        scores = SlippageSums(STRATA)
        for model, rows in iter_models(state_rows, lambda state: state.slippage):
            if model is not None:
                x = orders[1:-1, rows]
                predicted[rows] = model.predict(x.reshape(len(x), -1).T).reshape(-1, SIZES)
        for state, rows in state_rows:
            shrinkage[rows] = state.shrinkage
        error, agreed, squares = _score_orders(orders[0], residual, predicted, shrinkage)
        for state, rows in state_rows:
            low, high = np.full((2, STRATA), np.nan) if state.band is None else np.array(state.band).T.copy()
            error_by_size, residual_by_size = error[rows].reshape(-1, STRATA), residual[rows].reshape(-1, STRATA)
            scores.count(rows.stop - rows.start, error_by_size, residual_by_size, low, high)
        self.errors.add(error.reshape(-1, STRATA).T)
        span_s = spacing_s * n
        self.overlap = max(1.0, self._latency_s / spacing_s)
        # Overlapping outcomes agree together: only sums over several of their lengths are independent.
        group_starts = np.arange(0, n, max(10, round(5 * self.overlap)))
        independent = np.add.reduceat(agreed, group_starts)
        decay = math.exp(-span_s / SHRINKAGE_MEMORY_S)
        self.agreement *= (decay, decay, decay * decay)
        self.agreement += (agreed.sum(), squares, (independent**2).sum())
        decay = math.exp(-span_s / REGRESSION_MEMORY_S)
        self.independent_samples = decay * self.independent_samples + n / math.sqrt(self.overlap)
        self.sums.add_rows(orders.reshape(len(orders), -1), decay)
        return scores

    def fit_if_due(self, samples: int) -> None:
        """Fit the model anew if enough of the `samples` learned from are new since its last fit."""
        n_new = min(self._fitted_at_samples * REFIT_SHARE, MAX_SAMPLES_BETWEEN_FITS)
        if samples >= self._fitted_at_samples + n_new:
            self._fit(samples)

    def _fit(self, samples: int) -> None:
        self.model = SlippageModel().fit_sums(self.sums, self.independent_samples)
        self._fitted_at_samples = samples

    def shrinkage(self) -> float:
        """Return the share of the predictions to use, 0 to 1.

        It is the regression coefficient of outcomes on predictions, reduced as James and Stein shrink an estimate:
        the more, the likelier it is that chance alone agrees as well.
        """
        agreed, squares, independent_squares = self.agreement.tolist()
        if agreed <= 0 or squares <= 0:
            return 0.0
        share: float = min(agreed / squares, 1.0) * max(0.0, 1 - SHRINKAGE_CAUTION * independent_squares / agreed**2)
        return share

    def band(self) -> tuple[tuple[float, float], ...] | None:
        """Return the 95 % band (low, high) of the error of each size class, bps; None before MIN_BAND_ROWS errors."""
        errors = self.errors.sorted_values
        n_errors = errors.shape[1]
        if n_errors < MIN_BAND_ROWS:
            return None
        # Of n independent outcomes the next one exceeds the k-th smallest with chance 1 - k / (n + 1).
        level = min(1.0, 0.975 * (1 + 2 * math.sqrt(self.overlap) / n_errors))
        return tuple(symmetric_quantiles(errors_of_size, level) for errors_of_size in errors)


@jit
def _score_orders(
    inside: Floats, residual: Floats, predicted: Floats, shrinkage: Floats
) -> tuple[Floats, Floats, float]:
    """Compare predictions with residuals; all arrays are (n, SIZES), shrinkage (n,).

    inside: 1 where the visible book holds the order, else 0. Return the errors (n, SIZES) of the shrunk
    predictions, each sample's sum of residual x prediction (n,), and the sum of squared predictions.
    """
    error, agreed, squares = np.empty(predicted.shape), np.zeros(len(predicted)), 0.0
    for row in range(len(predicted)):
        for size in range(predicted.shape[1]):
            # Beyond the visible book the walk is extrapolated and the model is not asked.
            expected = inside[row, size] * predicted[row, size]
            error[row, size] = residual[row, size] - shrinkage[row] * expected
            # Agreement is of whole predictions: the shrinkage weight must not depend on itself.
            agreed[row] += residual[row, size] * expected
            squares += expected**2
    return error, agreed, squares
