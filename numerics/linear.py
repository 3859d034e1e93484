"""Linear predictors, and the sums and fits behind them: plain arrays, nothing of markets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Self

import numpy as np

from numerics.arrays import Floats
from numerics.jit import jit

CLIP = 3.0
"""Columns count up to so many standard deviations from their mean."""


def assume_finite() -> AbstractContextManager[None]:
    """The arrays are checked where they are made; scikit-learn need not look at every number again."""
    from sklearn import config_context  # noqa: PLC0415 - takes longer than the page may wait

    context: AbstractContextManager[None] = config_context(assume_finite=True, skip_parameter_validation=True)
    return context


class LinearPredictor(NamedTuple):
    """A fitted linear predictor of clipped columns, for one row of plain floats or for (n, k) at once."""

    low: Floats
    high: Floats
    weights: Floats
    bias: float
    terms: tuple[tuple[float, float, float], ...]

    @classmethod
    def from_standardised(cls, mean: Floats, scale: Floats, weights: Floats, bias: float) -> Self:
        """From weights a standard deviation and the prediction at the mean."""
        raw = weights / scale
        low, high = mean - CLIP * scale, mean + CLIP * scale
        terms = tuple(zip(low.tolist(), high.tolist(), raw.tolist(), strict=True))
        return cls(low, high, raw, bias - float(raw @ mean), terms)

    def predict_one(self, row: Sequence[float]) -> float:
        """The prediction for one row, without arrays."""
        total = self.bias
        for value, (low, high, weight) in zip(row, self.terms, strict=True):
            total += weight * (low if value < low else high if value > high else value)
        return total

    def predict(self, x: Floats, limit: float = math.inf) -> Floats:
        """(n,) predictions for X (n, k), none beyond -limit and limit."""
        return _predictions(np.ascontiguousarray(x.T), self.low, self.high, self.weights, self.bias, limit)


@jit
def _predictions(columns: Floats, low: Floats, high: Floats, weights: Floats, bias: float, limit: float) -> Floats:
    predictions = np.full(columns.shape[1], bias)
    for column in range(len(columns)):
        least, most, weight = low[column], high[column], weights[column]
        for row in range(len(predictions)):
            value = columns[column, row]
            predictions[row] += weight * (least if value < least else most if value > most else value)
    for row, value in enumerate(predictions):
        predictions[row] = -limit if value < -limit else limit if value > limit else value
    return predictions


class RegressionSums:
    """Decayed sums of products of (1, X, y): everything a linear regression needs to know of its rows."""

    def __init__(self, columns: int) -> None:
        self.sums: Floats = np.zeros((columns + 2, columns + 2))

    def add(self, x: Floats, y: Floats, decay: float = 1.0) -> None:
        """Weigh what is known by `decay`, then add rows X (n, k) and y (n,)."""
        self.add_rows(np.vstack((np.ones(len(y)), x.T, y)), decay)

    def add_rows(self, rows: Floats, decay: float) -> None:
        """As `add`, of rows that are columns (k + 2, n) of 1, X and y; those of zeros count for nothing."""
        self.sums *= decay
        self.sums += rows @ rows.T


class Prior(NamedTuple):
    """What is believed of a logit before any row: weights per standard deviation of columns that have
    about this mean and spread, and the logit at the mean."""

    weights: tuple[float, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    intercept: float


@jit
def standardised_scatter(sums: Floats) -> tuple[Floats, Floats, Floats]:
    """Of rows' sums of products of (1, X, y) the means of X and y, the spreads of X, and 1 for y, and the sums of
    products of what is beyond the means, in spreads."""
    n, size = sums[0, 0], len(sums) - 1
    mean, scale, scatter = sums[0, 1:] / n, np.ones(size), np.empty((size, size))
    for row in range(size):
        for column in range(size):
            scatter[row, column] = sums[row + 1, column + 1] - n * (mean[row] * mean[column])
    scale[:-1] = standard_deviation(mean[:-1], np.diag(scatter)[:-1] / n)
    for row in range(size):
        for column in range(size):
            scatter[row, column] /= scale[row] * scale[column]
    return mean, scale, scatter


@jit
def standardise(columns: Floats, mean: Floats, scale: Floats) -> Floats:
    """(n, k) from columns (k, n): by their mean and spread, clipped; row after row, as scikit-learn wants them."""
    z = np.empty((columns.shape[1], len(columns)))
    for row in range(len(z)):
        for column in range(len(columns)):
            z[row, column] = min(max((columns[column, row] - mean[column]) / scale[column], -CLIP), CLIP)
    return z


@jit
def standard_deviation(mean: Floats, variance: Floats) -> Floats:
    """Standard deviations, no smaller than a twentieth of the mean: a constant column must not explode."""
    return np.maximum(np.sqrt(np.maximum(variance, 0.0)), 0.05 * np.abs(mean) + 1e-9)


@jit
def fit_intercept(offset: Floats, y: Floats, weight: Floats, prior: float) -> float:
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
