"""The two models that learn: regressions over plain arrays that never see a book."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from compiled import compiled

Array = NDArray[np.float64]

CLIP = 3.0
"""Columns count up to so many standard deviations from their mean."""


def _unchecked() -> AbstractContextManager[None]:
    """The arrays are checked where they are made; scikit-learn need not look at every number again."""
    from sklearn import config_context  # noqa: PLC0415 - takes longer than the page may wait

    context: AbstractContextManager[None] = config_context(assume_finite=True, skip_parameter_validation=True)
    return context


class Linear(NamedTuple):
    """A fitted linear predictor of clipped columns, for one row of plain floats or for (n, k) at once."""

    low: Array
    high: Array
    weights: Array
    bias: float
    terms: tuple[tuple[float, float, float], ...]

    @classmethod
    def standardised(cls, mean: Array, scale: Array, weights: Array, bias: float) -> Self:
        """From weights a standard deviation and the prediction at the mean."""
        raw = weights / scale
        low, high = mean - CLIP * scale, mean + CLIP * scale
        terms = tuple(zip(low.tolist(), high.tolist(), raw.tolist(), strict=True))
        return cls(low, high, raw, bias - float(raw @ mean), terms)

    def one(self, row: Sequence[float]) -> float:
        """The prediction for one row, without arrays."""
        total = self.bias
        for value, (low, high, weight) in zip(row, self.terms, strict=True):
            total += weight * (low if value < low else high if value > high else value)
        return total

    def all(self, x: Array, limit: float = math.inf) -> Array:
        """(n,) predictions for X (n, k), none beyond -limit and limit."""
        return _predictions(np.ascontiguousarray(x.T), self.low, self.high, self.weights, self.bias, limit)


@compiled
def _predictions(columns: Array, low: Array, high: Array, weights: Array, bias: float, limit: float) -> Array:
    predictions = np.full(columns.shape[1], bias)
    for column in range(len(columns)):
        least, most, weight = low[column], high[column], weights[column]
        for row in range(len(predictions)):
            value = columns[column, row]
            predictions[row] += weight * (least if value < least else most if value > most else value)
    for row, value in enumerate(predictions):
        predictions[row] = -limit if value < -limit else limit if value > limit else value
    return predictions


class Moments:
    """Decayed sums of products of (1, X, y): everything a linear regression needs to know of its rows."""

    def __init__(self, columns: int) -> None:
        self.sums: Array = np.zeros((columns + 2, columns + 2))

    def add(self, x: Array, y: Array, decay: float = 1.0) -> None:
        """Weigh what is known by `decay`, then add rows X (n, k) and y (n,)."""
        self.add_rows(np.vstack((np.ones(len(y)), x.T, y)), decay)

    def add_rows(self, rows: Array, decay: float) -> None:
        """As `add`, of rows that are columns (k + 2, n) of 1, X and y; those of zeros count for nothing."""
        self.sums *= decay
        self.sums += rows @ rows.T


class SlippageModel:
    """Linear regression of what the book walk misses, made safe for few, lumpy, near-constant rows.

    Standardised columns, their spreads floored at a twentieth of the mean, clipped at 3 standard
    deviations; a ridge worth 50 samples; predictions within 3 root mean squares of the target and
    shrunk by n / (n + 100), n in samples. Until `fit` it predicts 0: the walk itself.
    """

    RIDGE_SAMPLES = 50.0
    SHRINK_SAMPLES = 100.0

    def __init__(self) -> None:
        self.samples = 0.0
        self._linear: Linear | None = None
        self._limit = 0.0

    def fit(self, x: Array, residual_bps: Array, samples: float | None = None) -> Self:
        """Learn from X (n, k) and residual_bps (n,).

        samples: how many independent decision times the rows are worth; None means n.
        """
        x = np.asarray(x, dtype=np.float64)
        moments = Moments(x.shape[1])
        moments.add(x, np.asarray(residual_bps, dtype=np.float64))
        return self.fit_moments(moments, len(x) if samples is None else samples)

    def fit_moments(self, moments: Moments, samples: float) -> Self:
        """Learn from the rows' sums: the same regression, whatever the number of rows behind them."""
        from sklearn.linear_model import ridge_regression  # noqa: PLC0415 - as above

        sums = moments.sums
        n, k = sums.item(0), len(sums) - 2
        mean, scale, scatter = _scatter(sums)
        # A factor of the scatter matrix stands for all rows: k + 1 rows with the same least squares.
        values, vectors = np.linalg.eigh(scatter)
        factor = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
        shrink = samples / (samples + self.SHRINK_SAMPLES)
        with _unchecked():
            # What Ridge.fit calls, without its second look at every number.
            weights = shrink * ridge_regression(
                factor[:, :k], factor[:, k], self.RIDGE_SAMPLES * n / samples, solver="cholesky", check_input=False
            )
        self.samples = samples
        self._linear = Linear.standardised(mean[:k], scale[:k], weights, shrink * mean.item(k))
        self._limit = CLIP * math.sqrt(sums[-1, -1] / n)
        return self

    def predict_one(self, row: Sequence[float]) -> float:
        """`predict` for one row of plain floats, without arrays."""
        return 0.0 if self._linear is None else min(max(self._linear.one(row), -self._limit), self._limit)

    def predict(self, x: Array) -> Array:
        """The residual to expect over the walk, bps, (n,) for X (n, k)."""
        return np.zeros(len(x)) if self._linear is None else self._linear.all(x, self._limit)


class Prior(NamedTuple):
    """What is believed of a logit before any row: weights per standard deviation of columns that have
    about this mean and spread, and the logit at the mean."""

    weights: tuple[float, ...]
    mean: tuple[float, ...]
    spread: tuple[float, ...]
    intercept: float


class MakerTakerModel:
    """Logistic regression of "a quote at the touch is crossed in time", resting on a prior.

    Columns are standardised and clipped at 3 standard deviations. A fit worth n independent samples is
    mixed with the prior, logit by logit, n / (n + 100); the prior's intercept is moved to the observed
    rate first, as far as N(prior, 0.7^2) lets it. Until `fit` it is the prior, and without one a coin.
    """

    SHRINK_SAMPLES = 100.0

    def __init__(self, prior: Prior | None = None) -> None:
        self.prior = prior
        self.samples = 0.0
        self._linear: Linear | None = None
        if prior is not None:
            mean, scale, weights = np.array(prior.mean), np.array(prior.spread), np.array(prior.weights)
            self._linear = Linear.standardised(mean, scale, weights, prior.intercept)

    def fit(self, x: Array, y: Array, sample_weight: Array | None = None) -> Self:
        """Learn from X (n, k), y (n,) of 0 and 1, and weights that count overlapping windows once."""
        x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        k = x.shape[1]
        weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        prior = self.prior or Prior((0.0,) * k, (0.0,) * k, (0.0,) * k, 0.0)
        total = float(weight.sum())
        mean = weight @ x / total
        scale = np.maximum(spread(mean, weight @ (x - mean) ** 2 / total), 0.25 * np.array(prior.spread))
        z = _standardised(np.ascontiguousarray(x.T), mean, scale)
        weights = np.array(prior.weights)
        bias = _intercept(z @ weights, y, weight, prior.intercept)
        if 0 < weight @ y < total:
            from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - as above

            with _unchecked():
                fitted = LogisticRegression(C=1.0, solver="newton-cholesky").fit(z, y, weight)
            shrink = total / (total + self.SHRINK_SAMPLES)
            weights = shrink * fitted.coef_[0] + (1 - shrink) * weights
            bias = shrink * float(fitted.intercept_[0]) + (1 - shrink) * bias
        self.samples = total
        self._linear = Linear.standardised(mean, scale, weights, bias)
        return self

    def predict_one(self, row: Sequence[float]) -> float:
        """The chance of maker for one row of plain floats, without arrays."""
        return 0.5 if self._linear is None else 1 / (1 + math.exp(-self._linear.one(row)))

    def predict_proba(self, x: Array) -> Array:
        """(n, 2): the chance of taker, of maker, for X (n, k)."""
        maker = self.chances(x)
        return np.column_stack((1 - maker, maker))

    def chances(self, x: Array) -> Array:
        """(n,): the chance of maker, for X (n, k)."""
        if self._linear is None:
            return np.full(len(x), 0.5)
        chances: Array = 1 / (1 + np.exp(-self._linear.all(x)))
        return chances


@compiled
def _scatter(sums: Array) -> tuple[Array, Array, Array]:
    """Of rows' sums of products of (1, X, y) the means of X and y, the spreads of X, and 1 for y, and the sums of
    products of what is beyond the means, in spreads."""
    n, size = sums[0, 0], len(sums) - 1
    mean, scale, scatter = sums[0, 1:] / n, np.ones(size), np.empty((size, size))
    for row in range(size):
        for column in range(size):
            scatter[row, column] = sums[row + 1, column + 1] - n * (mean[row] * mean[column])
    scale[:-1] = spread(mean[:-1], np.diag(scatter)[:-1] / n)
    for row in range(size):
        for column in range(size):
            scatter[row, column] /= scale[row] * scale[column]
    return mean, scale, scatter


@compiled
def _standardised(columns: Array, mean: Array, scale: Array) -> Array:
    """(n, k) from columns (k, n): by their mean and spread, clipped; row after row, as scikit-learn wants them."""
    z = np.empty((columns.shape[1], len(columns)))
    for row in range(len(z)):
        for column in range(len(columns)):
            z[row, column] = min(max((columns[column, row] - mean[column]) / scale[column], -CLIP), CLIP)
    return z


@compiled
def spread(mean: Array, variance: Array) -> Array:
    """Standard deviations, no smaller than a twentieth of the mean: a constant column must not explode."""
    return np.maximum(np.sqrt(np.maximum(variance, 0.0)), 0.05 * np.abs(mean) + 1e-9)


@compiled
def _intercept(offset: Array, y: Array, weight: Array, prior: float) -> float:
    """The most likely intercept of a logit with known offset, given N(prior, 0.7^2) beforehand."""
    bias = prior
    for _ in range(8):  # Newton's method; the objective is concave and starts close
        slope, curvature = -(bias - prior) / 0.49, 1 / 0.49
        for row in range(len(offset)):
            chance = 1 / (1 + math.exp(-(offset[row] + bias)))
            slope += weight[row] * (y[row] - chance)
            curvature += weight[row] * chance * (1 - chance)
        bias += slope / curvature
        if abs(slope / curvature) < 1e-9:
            break
    return bias
