"""Fit and apply linear predictors on plain arrays, without any knowledge of markets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Self

import numpy as np

from numerics.arrays import Floats
from numerics.jit import jit

CLIP = 3.0
"""Columns are clipped at this many standard deviations from their mean."""


def assume_finite() -> AbstractContextManager[None]:
    """Let scikit-learn trust its arrays inside this context.

    The arrays are checked where they are made, so scikit-learn need not look at every number again.
    """
    from sklearn import config_context  # noqa: PLC0415 - takes longer than the page may wait

    context: AbstractContextManager[None] = config_context(assume_finite=True, skip_parameter_validation=True)
    return context


class LinearPredictor(NamedTuple):
    """A fitted linear predictor of clipped columns, for one row of plain floats or for (n, k) at once.

    low, high: (k,) the values at which each column is clipped.
    weights: (k,) per unit of each column.
    bias: the prediction where every column is 0.
    terms: (low, high, weight) of each column as plain floats, for `predict_one`.
    """

    low: Floats
    high: Floats
    weights: Floats
    bias: float
    terms: tuple[tuple[float, float, float], ...]

    @classmethod
    def from_standardised(cls, mean: Floats, scale: Floats, weights: Floats, bias: float) -> Self:
        """Build a predictor from weights per standard deviation (k,) and the prediction at the mean."""
        raw_weights = weights / scale
        low = mean - CLIP * scale
        high = mean + CLIP * scale
        terms = tuple(zip(low.tolist(), high.tolist(), raw_weights.tolist(), strict=True))
        return cls(low, high, raw_weights, bias - float(raw_weights @ mean), terms)

    def predict_one(self, row: Sequence[float]) -> float:
        """Predict one row of k plain floats, without arrays."""
        total = self.bias
        for value, (low, high, weight) in zip(row, self.terms, strict=True):
            total += weight * (low if value < low else high if value > high else value)
        return total

    def predict(self, x: Floats, limit: float = math.inf) -> Floats:
        """Predict X (n, k), shape (n,); predictions are clipped at -limit and limit."""
        return _predict_columns(np.ascontiguousarray(x.T), self.low, self.high, self.weights, self.bias, limit)


@jit
def _predict_columns(columns: Floats, low: Floats, high: Floats, weights: Floats, bias: float, limit: float) -> Floats:
    """Predict from columns (k, n), shape (n,), with the additions of `LinearPredictor.predict_one` in its order."""
    predictions = np.full(columns.shape[1], bias)
    # One column after the other: after column c, each prediction is the bias plus the terms of columns 0 to c.
    for column in range(len(columns)):
        least = low[column]
        most = high[column]
        weight = weights[column]
        for row in range(len(predictions)):
            value = columns[column, row]
            predictions[row] += weight * (least if value < least else most if value > most else value)
    # Clip last: a limit on a partial sum would change the total.
    for row, value in enumerate(predictions):
        predictions[row] = -limit if value < -limit else limit if value > limit else value
    return predictions


class RegressionSums:
    """Decayed sums of products of (1, X, y): everything a linear regression needs to know of its rows."""

    def __init__(self, columns: int) -> None:
        self.sums: Floats = np.zeros((columns + 2, columns + 2))

    def add(self, x: Floats, y: Floats, decay: float = 1.0) -> None:
        """Multiply the sums by `decay`, then add rows X (n, k) and y (n,)."""
        self.add_rows(np.vstack((np.ones(len(y)), x.T, y)), decay)

    def add_rows(self, rows: Floats, decay: float) -> None:
        """Multiply the sums by `decay`, then add rows that are columns (k + 2, n) of 1, X and y.

        A row of zeros counts for nothing.
        """
        self.sums *= decay
        self.sums += rows @ rows.T


class Prior(NamedTuple):
    """A logit as it is believed before any row was seen.

    weights: per standard deviation of columns of about this mean and scale.
    mean, scale: of each column; the scale is a standard deviation.
    intercept: the logit at the mean.
    """

    weights: tuple[float, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    intercept: float


@jit
def standardised_scatter(sums: Floats) -> tuple[Floats, Floats, Floats]:
    """Standardise the raw cross-product sums (k + 2, k + 2) of (1, X, y).

    Return the means of X and y (k + 1,), the scales (k + 1,): standard deviations of X, and 1 for y, and the scatter
    matrix (k + 1, k + 1): the sums of products of deviations from the means, in scales.
    """
    n = sums[0, 0]
    size = len(sums) - 1
    mean = sums[0, 1:] / n
    scale = np.ones(size)
    scatter = np.empty((size, size))
    # Centre: sum (a - mean a)(b - mean b) = sum a b - n mean a mean b.
    for row in range(size):
        for column in range(size):
            scatter[row, column] = sums[row + 1, column + 1] - n * (mean[row] * mean[column])
    # Only X gets scales; y, the last, keeps 1 and stays in its own unit.
    scale[:-1] = standard_deviation(mean[:-1], np.diag(scatter)[:-1] / n)
    # Divide after all scales are known, which need the diagonal undivided.
    for row in range(size):
        for column in range(size):
            scatter[row, column] /= scale[row] * scale[column]
    return mean, scale, scatter


@jit
def standardise(columns: Floats, mean: Floats, scale: Floats) -> Floats:
    """Standardise columns (k, n) by their mean (k,) and scale (k,), clipped at `CLIP`, as rows (n, k).

    Row after row is the order that scikit-learn wants.
    """
    z = np.empty((columns.shape[1], len(columns)))
    for row in range(len(z)):
        for column in range(len(columns)):
            z[row, column] = min(max((columns[column, row] - mean[column]) / scale[column], -CLIP), CLIP)
    return z


@jit
def standard_deviation(mean: Floats, variance: Floats) -> Floats:
    """Return standard deviations of columns, no smaller than a twentieth of the mean.

    Without the floor a constant column would explode.
    """
    return np.maximum(np.sqrt(np.maximum(variance, 0.0)), 0.05 * np.abs(mean) + 1e-9)


@jit
def fit_intercept(offset: Floats, y: Floats, weight: Floats, prior: float) -> float:
    """Fit the most likely intercept of a logit with known offset, given N(prior, 0.7^2) beforehand.

    offset, y and weight are (n,); y is 0 or 1.
    """
    bias = prior
    for _ in range(8):  # Newton's method; the objective is concave and starts close
        # The prior's part of the log-likelihood's derivatives; 0.49 is its variance 0.7^2.
        slope = -(bias - prior) / 0.49
        curvature = 1 / 0.49
        # The rows' part, with the curvature's sign turned: it is positive, so that the step goes uphill.
        for row in range(len(offset)):
            chance = 1 / (1 + math.exp(-(offset[row] + bias)))
            slope += weight[row] * (y[row] - chance)
            curvature += weight[row] * chance * (1 - chance)
        bias += slope / curvature
        if abs(slope / curvature) < 1e-9:
            break
    return bias
