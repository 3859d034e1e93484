"""The two models that learn: regressions over plain arrays that never see a book."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, LogisticRegression

Array = NDArray[np.float64]


class Folded(NamedTuple):
    """A fitted linear predictor in plain numbers, for one row at a time: clip, weigh, add."""

    terms: tuple[tuple[float, float, float], ...]
    bias: float

    def __call__(self, row: Sequence[float]) -> float:
        total = self.bias
        for value, (low, high, weight) in zip(row, self.terms, strict=True):
            total += weight * (low if value < low else high if value > high else value)
        return total


class Moments:
    """Decayed sums of products of (1, X, y): everything a linear regression needs to know of its rows."""

    def __init__(self, columns: int) -> None:
        self.sums: Array = np.zeros((columns + 2, columns + 2))

    def add(self, x: Array, y: Array, decay: float = 1.0) -> None:
        """Weigh what is known by `decay`, then add rows X (n, k) and y (n,)."""
        rows = np.column_stack((np.ones(len(y)), x, y))
        self.sums = decay * self.sums + rows.T @ rows


class SlippageModel:
    """Linear regression of what the book walk misses, made safe for few, lumpy, near-constant rows.

    Standardised columns (spreads floored at a twentieth of the mean), clipped at 3 standard
    deviations; a ridge worth 50 rows; predictions within 3 root mean squares of the target and
    shrunk by n / (n + 100), n in decision times. Until `fit` it predicts 0: the walk itself.
    """

    RIDGE_ROWS = 50.0
    SHRINK_SAMPLES = 100.0
    CLIP = 3.0

    def __init__(self) -> None:
        self.samples = 0.0
        self.low: Array = np.zeros(0)
        self.high: Array = np.zeros(0)
        self.weights: Array = np.zeros(0)
        self.bias = 0.0
        self.limit = 0.0
        self._folded = Folded((), 0.0)

    def fit(self, x: Array, residual_bps: Array, samples: float | None = None) -> Self:
        """Learn from X (n, k) and residual_bps (n,). samples: the decision times behind the rows; None means n."""
        x = np.asarray(x, dtype=np.float64)
        moments = Moments(x.shape[1])
        moments.add(x, np.asarray(residual_bps, dtype=np.float64))
        return self.fit_moments(moments, len(x) if samples is None else samples)

    def fit_moments(self, moments: Moments, samples: float) -> Self:
        """Learn from the rows' sums: the same regression, whatever the number of rows behind them."""
        sums = moments.sums
        n, k = sums[0, 0], len(sums) - 2
        mean = sums[0, 1:] / n
        scatter = sums[1:, 1:] - n * np.outer(mean, mean)
        spread = np.sqrt(np.maximum(np.diag(scatter), 0.0) / n)
        scale = np.append(np.maximum(spread, 0.05 * np.abs(mean) + 1e-9)[:k], 1.0)
        # A factor of the scatter matrix stands for all rows: k + 1 rows with the same least squares.
        values, vectors = np.linalg.eigh(scatter / np.outer(scale, scale))
        factor = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
        rows = np.vstack((factor[:, :k], math.sqrt(self.RIDGE_ROWS) * np.eye(k)))
        target = np.append(factor[:, k], np.zeros(k))
        shrink = samples / (samples + self.SHRINK_SAMPLES)
        self.samples = samples
        self.weights = shrink * LinearRegression(fit_intercept=False).fit(rows, target).coef_ / scale[:k]
        self.bias = float(shrink * mean[k] - self.weights @ mean[:k])
        self.low, self.high = mean[:k] - self.CLIP * scale[:k], mean[:k] + self.CLIP * scale[:k]
        self.limit = float(self.CLIP * math.sqrt(sums[-1, -1] / n))
        self._folded = _fold(self.low, self.high, self.weights, self.bias)
        return self

    def predict_one(self, row: Sequence[float]) -> float:
        """`predict` for one row of plain floats, without arrays."""
        return min(max(self._folded(row), -self.limit), self.limit) if self.samples else 0.0

    def predict(self, x: Array) -> Array:
        """The residual to expect over the walk, bps, (n,) for X (n, k)."""
        if not self.samples:
            return np.zeros(len(x))
        residual: Array = np.clip(x, self.low, self.high) @ self.weights + self.bias
        return np.clip(residual, -self.limit, self.limit)


class MakerTakerModel:
    """Logistic regression of "a quote at the touch is crossed in time", resting on a prior.

    The prior is a pooled logit: weights a raw column unit, and an intercept. A fit on few
    effective samples is mixed with it, logit by logit, n / (n + 100). Until `fit` it is the prior.
    """

    SHRINK_SAMPLES = 100.0
    CLIP = 3.0

    def __init__(self, prior_weights: Sequence[float] | None = None, prior_intercept: float = 0.0) -> None:
        self._prior = None if prior_weights is None else np.asarray(prior_weights, dtype=np.float64)
        self._prior_intercept = prior_intercept
        self.samples = 0.0
        self.weights: Array = np.zeros(0) if self._prior is None else self._prior
        self.bias = prior_intercept
        self.low: Array = np.full(len(self.weights), -math.inf)
        self.high: Array = np.full(len(self.weights), math.inf)
        self._folded = _fold(self.low, self.high, self.weights, self.bias)

    def fit(self, x: Array, y: Array, sample_weight: Array | None = None) -> Self:
        """Learn from X (n, k), y (n,) of 0 and 1, and weights that count overlapping windows once.

        The prior's intercept moves to the observed rate; the prior's weights stay its own.
        """
        x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        prior = np.zeros(x.shape[1]) if self._prior is None else self._prior
        total = float(weight.sum())
        mean = weight @ x / total
        spread = np.sqrt(weight @ (x - mean) ** 2 / total)
        scale = np.maximum(spread, 0.05 * np.abs(mean) + 1e-9)
        low, high = mean - self.CLIP * scale, mean + self.CLIP * scale
        x = np.clip(x, low, high)
        weights, bias = prior, _intercept(x @ prior, y, weight, self._prior_intercept)
        if 0 < weight @ y < total:
            fitted = LogisticRegression(C=1.0).fit((x - mean) / scale, y, weight)
            shrink = total / (total + self.SHRINK_SAMPLES)
            own = fitted.coef_[0] / scale
            bias = shrink * float(fitted.intercept_[0] - own @ mean) + (1 - shrink) * bias
            weights = shrink * own + (1 - shrink) * prior
        self.samples, self.weights, self.bias, self.low, self.high = total, weights, bias, low, high
        self._folded = _fold(low, high, weights, bias)
        return self

    def predict_one(self, row: Sequence[float]) -> float:
        """The chance of maker for one row of plain floats, without arrays."""
        return 1 / (1 + math.exp(-self._folded(row)))

    def predict_proba(self, x: Array) -> Array:
        """(n, 2): the chance of taker, of maker, for X (n, k)."""
        logit: Array = np.full(len(x), self.bias)
        if len(self.weights):
            logit = logit + np.clip(x, self.low, self.high) @ self.weights
        maker = 1 / (1 + np.exp(-logit))
        return np.column_stack((1 - maker, maker))


def _fold(low: Array, high: Array, weights: Array, bias: float) -> Folded:
    return Folded(tuple(zip(low.tolist(), high.tolist(), weights.tolist(), strict=True)), bias)


def _intercept(offset: Array, y: Array, weight: Array, prior: float) -> float:
    """The most likely intercept of a logit with known offset, given N(prior, 0.7^2) beforehand."""
    bias = prior
    for _ in range(8):  # Newton's method; the objective is concave and starts close
        chance = 1 / (1 + np.exp(-(offset + bias)))
        slope = weight @ (y - chance) - (bias - prior) / 0.49
        bias += slope / (weight @ (chance * (1 - chance)) + 1 / 0.49)
    return float(bias)
