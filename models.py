"""The cost models: estimators over plain numbers and arrays that never see a book."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import NamedTuple, Self

import numpy as np

from numerics import linear
from numerics.arrays import Floats

__all__ = ["AlmgrenChrissModel", "Costs", "DriftSchedule", "MakerTakerModel", "ModelError", "SlippageModel"]


class ModelError(ValueError):
    """A parameter or an argument that no model can use; the message carries the offending value."""


class Costs(NamedTuple):
    """What one schedule is expected to cost, in quote; the variance in quote^2.

    permanent + temporary = permanent_paid + temporary_paid = expected. The first pair does not let the
    permanent part depend on the path: it is gamma X^2 / 2, the order's whole mark on the price. The second
    pair is what the trades pay by definition: for the price moved by the trades before them, and for their own.
    """

    expected: float
    variance: float
    permanent: float
    temporary: float
    permanent_paid: float
    temporary_paid: float
    sum_squared_trades: float

    def value_at_risk(self, probability: float) -> float:
        """What the cost stays under with this probability, quote: expected + z sd."""
        return self.expected + _z(probability) * math.sqrt(self.variance)


class DriftSchedule(NamedTuple):
    """The best schedule if the price drifts: expected includes what the drift earns on all that is still held,
    gain is the part of it earned by holding more than the driftless schedule does (quote)."""

    holdings: Floats
    expected: float
    variance: float
    gain: float


@dataclass(frozen=True, slots=True)
class AlmgrenChrissModel:
    """The schedule that minimises E + risk_aversion V for an order worked in equal steps of tau = horizon / steps.

    Each step trades n at a price worse by epsilon + eta n / tau, moves the price by gamma n for good, and leaves
    x to the chance of the market, so with eta~ = eta - gamma tau / 2

        E = gamma X^2 / 2 + epsilon X + eta~ / tau sum n_k^2        V = sigma^2 tau sum x_k^2

    Buying and selling cost the same; quantities are positive. A risk aversion of R / (2 W) is that of a trader
    with relative risk aversion R and wealth W: 1e-6 for 2 and one million. A negative one seeks risk.
    Every call raises ModelError if eta~ <= 0, or for a quantity or horizon that is not positive and finite, or
    steps that are not a whole number from 1. One step is immediate execution: E = epsilon X + eta X^2 / tau, V = 0.

    Almgren and Chriss, Optimal Execution of Portfolio Transactions, J. Risk 3(2), 2000, with its example, where
    the unit of time is the day:

    >>> paper = AlmgrenChrissModel(sigma=0.95, eta=2.5e-6, gamma=2.5e-7, epsilon=0.0625, risk_aversion=1e-6)
    >>> paper.trajectory(1e6, horizon=5, steps=5).round().tolist()
    [1000000.0, 541956.0, 289854.0, 147897.0, 62142.0, 0.0]
    >>> round(paper.expected_cost(1e6, 5, 5)), round(paper.variance(1e6, 5, 5) ** 0.5)
    (911227, 603431)
    >>> round(paper.half_life(5, 5), 4)
    1.6472
    """

    sigma: float
    """price / sqrt(s), absolute"""
    eta: float
    """price / (base / s)"""
    gamma: float
    """price / base"""
    epsilon: float
    """price: half the spread"""
    risk_aversion: float
    """1 / quote"""

    def __post_init__(self) -> None:
        for name in ("sigma", "gamma", "epsilon"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ModelError(f"{name} must be finite and not negative: {value}")
        if not 0 < self.eta < math.inf:
            raise ModelError(f"eta must be positive and finite: {self.eta}")
        if not math.isfinite(self.risk_aversion):
            raise ModelError(f"risk_aversion must be finite: {self.risk_aversion}")

    def costs(self, quantity: float, horizon: float, steps: int) -> Costs:
        """Everything the optimal schedule costs, in a few microseconds whatever the steps.

        >>> model = AlmgrenChrissModel(sigma=5.0, eta=3000.0, gamma=0.3, epsilon=0.05, risk_aversion=0.0)
        >>> costs = model.costs(10.0, horizon=3600.0, steps=60)
        >>> round(costs.expected, 6), costs.permanent, round(costs.temporary, 6)
        (98.583333, 15.0, 83.583333)
        """
        tau, eta_tilde, w = self._pace(horizon, steps)
        squared = _positive("quantity", quantity) * quantity
        trades, holdings = _unit_sums(w, steps)
        permanent, spread, sum_squared = self.gamma * squared / 2, self.epsilon * quantity, squared * trades
        temporary = spread + eta_tilde / tau * sum_squared
        variance = self.sigma * self.sigma * tau * squared * holdings
        if not permanent + temporary + variance < math.inf:
            raise ModelError(f"the cost is beyond the largest number: quantity {quantity}, horizon {horizon}")
        paid = permanent * (1 - trades), spread + self.eta / tau * sum_squared
        return Costs(permanent + temporary, variance, permanent, temporary, *paid, sum_squared)

    def expected_cost(self, quantity: float, horizon: float, steps: int) -> float:
        """E of the optimal schedule, quote."""
        return self.costs(quantity, horizon, steps).expected

    def variance(self, quantity: float, horizon: float, steps: int) -> float:
        """V of the optimal schedule, quote^2: the chance of the market alone, never a part of the expected cost."""
        return self.costs(quantity, horizon, steps).variance

    def permanent_cost(self, quantity: float, horizon: float, steps: int) -> float:
        """gamma X^2 / 2, quote: the same for every path."""
        return self.costs(quantity, horizon, steps).permanent

    def temporary_cost(self, quantity: float, horizon: float, steps: int) -> float:
        """epsilon X + eta~ / tau sum n^2, quote: what the choice of path can change."""
        return self.costs(quantity, horizon, steps).temporary

    def trajectory(self, quantity: float, horizon: float, steps: int) -> Floats:
        """(steps + 1,) holdings, base: the whole quantity first, zero last."""
        _, _, w = self._pace(horizon, steps)
        return _positive("quantity", quantity) * _unit_path(w, steps)

    def trades(self, quantity: float, horizon: float, steps: int) -> Floats:
        """(steps,) sizes to trade, base; they sum to the quantity."""
        return -np.diff(self.trajectory(quantity, horizon, steps))

    def kappa(self, horizon: float, steps: int) -> float:
        """The urgency, 1/s: holdings fall like exp(-kappa t); 0 is an even pace. ModelError if risk is sought."""
        tau, _, w = self._pace(horizon, steps)
        if w < 0:
            raise ModelError(f"a schedule that seeks risk follows a sine and has no kappa: {self.risk_aversion}")
        return 2 / tau * math.asinh(math.sqrt(w) / 2)

    def half_life(self, horizon: float, steps: int) -> float:
        """1 / kappa, s: the paper's name for the time in which 1 - 1/e of an unhurried order is done; inf if even."""
        kappa = self.kappa(horizon, steps)
        return 1 / kappa if kappa else math.inf

    def frontier(self, quantity: float, horizon: float, steps: int, risk_aversions: Iterable[float]) -> Floats:
        """(n, 3): each of these risk aversions with its E and V, the least cost for that variance."""
        models = [replace(self, risk_aversion=float(each)) for each in risk_aversions]
        rows = [(model.risk_aversion, *model.costs(quantity, horizon, steps)[:2]) for model in models]
        return np.array(rows, dtype=np.float64).reshape(-1, 3)

    def least_at_risk(self, quantity: float, horizon: float, steps: int, probability: float) -> AlmgrenChrissModel:
        """The same market with the risk aversion whose schedule has the least value at risk: z / (2 sqrt(V)).

        Where no schedule but everything in the first step is best, the one that leaves exp(-50) of it.
        """
        from scipy.optimize import brentq  # noqa: PLC0415 - seldom needed and slow to load

        z = _z(probability)
        tau, eta_tilde, _ = replace(self, risk_aversion=0.0)._pace(horizon, steps)

        def at(kappa_tau: float) -> AlmgrenChrissModel:
            root = 2 / tau * math.sinh(kappa_tau / 2) / self.sigma
            return replace(self, risk_aversion=eta_tilde * root * root)

        def excess(kappa_tau: float) -> float:
            model = at(kappa_tau)
            return 2 * model.risk_aversion * math.sqrt(model.variance(quantity, horizon, steps)) - z

        if self.sigma == 0 or steps == 1:
            return replace(self, risk_aversion=0.0)
        if excess(50.0) <= 0:
            return at(50.0)
        return at(brentq(excess, 0.0, 50.0, xtol=1e-300, rtol=1e-14))

    @np.errstate(over="ignore", invalid="ignore")  # refused by name at the end
    def with_drift(self, quantity: float, horizon: float, steps: int, drift: float) -> DriftSchedule:
        """The optimal schedule where the price moves by drift (price/s) on average, positive if waiting pays.

        A drift strong enough to trade beyond the order and back is charged epsilon on every such trade, but the
        schedule does not shy from it. ModelError if risk is sought.
        """
        if not math.isfinite(drift):
            raise ModelError(f"drift must be finite: {drift}")
        tau, eta_tilde, w = self._pace(horizon, steps)
        u, j = self.kappa(horizon, steps) * tau, np.arange(steps + 1)
        # 1 - (sinh(u (N - j)) + sinh(u j)) / sinh(u N), over w, is a product that loses no digits.
        if w == 0:
            tilt = j * (steps - j) / 2
        else:
            tilt = np.expm1(-u * j) * np.expm1(-u * (steps - j)) / w / (1 + math.exp(-u * steps))
        tilt *= drift * tau * tau / (2 * eta_tilde)
        holdings = self.trajectory(quantity, horizon, steps) + tilt
        trades, held = -np.diff(holdings), holdings[1:]
        cost = self.gamma * quantity * quantity / 2 + self.epsilon * np.abs(trades).sum()
        cost += eta_tilde / tau * (trades @ trades) - drift * tau * held.sum()
        variance = self.sigma * self.sigma * tau * (held @ held)
        if not math.isfinite(cost + variance):
            raise ModelError(f"the cost is beyond the largest number: quantity {quantity}, drift {drift}")
        return DriftSchedule(holdings, float(cost), float(variance), float(drift * tau * tilt.sum()))

    def _pace(self, horizon: float, steps: int) -> tuple[float, float, float]:
        """tau, eta~, and w = risk_aversion sigma^2 tau^2 / eta~ = 2 (cosh(kappa tau) - 1), all the shape there is."""
        if not (1 <= steps < math.inf and steps % 1 == 0):
            raise ModelError(f"steps must be a whole number from 1: {steps}")
        tau = _positive("tau", _positive("horizon", horizon) / steps)
        eta_tilde = self.eta - self.gamma * tau / 2
        if not eta_tilde > 0:
            raise ModelError(
                f"eta - gamma tau / 2 = {eta_tilde} is not positive: eta {self.eta}, gamma {self.gamma}, tau {tau}"
            )
        w = self.risk_aversion * (self.sigma * tau) * (self.sigma * tau) / eta_tilde
        if not w < math.inf:
            raise ModelError(f"risk_aversion {self.risk_aversion} is too large for sigma {self.sigma}, tau {tau}")
        if w < 0 and steps > 1 and math.sqrt(-w) / 2 >= math.sin(math.pi / (2 * steps)):
            raise ModelError(f"risk_aversion {self.risk_aversion} seeks so much risk that no schedule is best")
        return tau, eta_tilde, w


def _z(probability: float) -> float:
    if not 0.5 <= probability < 1:
        raise ModelError(f"probability must be at least 0.5 and below 1: {probability}")
    return NormalDist().inv_cdf(probability)


def _positive(name: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise ModelError(f"{name} must be positive and finite: {value}")
    return value


def _unit_path(w: float, steps: int) -> Floats:
    """(steps + 1,) holdings of one unit: sinh(u (N - j)) / sinh(u N), scaled so that nothing overflows."""
    j = np.arange(steps + 1)
    if steps == 1 or w == 0:
        return (steps - j) / steps
    if w < 0:
        left, decay = np.sin(2 * math.asin(math.sqrt(-w) / 2) * (steps - j)), 1.0
    else:
        u = 2 * math.asinh(math.sqrt(w) / 2)
        left, decay = np.expm1(-2 * u * (steps - j)), np.exp(-u * j)
    path: Floats = decay * (left / left[0])
    return path


def _unit_sums(w: float, steps: int) -> tuple[float, float]:
    """The sums of n_k^2 and of x_k^2, k = 1..N, over the path of one unit, in closed form."""
    if steps == 1:
        return 1.0, 0.0
    if w == 0:
        return 1 / steps, (steps - 1) * (2 * steps - 1) / (6 * steps)
    if w < 0:
        sin, tan, u = math.sin, math.tan, 2 * math.asin(math.sqrt(-w) / 2)
    else:
        sin, tan, u = math.sinh, math.tanh, 2 * math.asinh(math.sqrt(w) / 2)
        if (steps - 1) * u > 32:  # what the far end adds is below a rounding error, and sinh would soon overflow
            return math.tanh(u / 2), math.exp(-2 * u) / -math.expm1(-2 * u)
    end, m = sin(u * steps), 2 * steps - 1
    if m * m * abs(w) > 1:
        excess = sin(m * u) / sin(u) - m
    else:  # the same, as the series of the Chebyshev polynomial U_{m-1}(1 + w / 2) - m, whose terms do not cancel
        excess, term, k = 0.0, m * w * (m * m - 1) / 6, 1
        while abs(term) > 1e-17 * abs(excess):
            excess += term
            k += 1
            term *= w * (m * m - k * k) / (2 * k * (2 * k + 1))
    return tan(u / 2) * (1 / tan(u * steps) + steps * sin(u) / (end * end)), abs(excess) / (4 * end * end)


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
        self._linear: linear.LinearPredictor | None = None
        self._limit = 0.0

    def fit(self, x: Floats, residual_bps: Floats, samples: float | None = None) -> Self:
        """Learn from X (n, k) and residual_bps (n,).

        samples: how many independent decision times the rows are worth; None means n.
        """
        x = np.asarray(x, dtype=np.float64)
        moments = linear.RegressionSums(x.shape[1])
        moments.add(x, np.asarray(residual_bps, dtype=np.float64))
        return self.fit_sums(moments, len(x) if samples is None else samples)

    def fit_sums(self, moments: linear.RegressionSums, samples: float) -> Self:
        """Learn from the rows' sums: the same regression, whatever the number of rows behind them."""
        from sklearn.linear_model import ridge_regression  # noqa: PLC0415 - as above

        sums = moments.sums
        n, k = sums.item(0), len(sums) - 2
        mean, scale, scatter = linear.standardised_scatter(sums)
        # A factor of the scatter matrix stands for all rows: k + 1 rows with the same least squares.
        values, vectors = np.linalg.eigh(scatter)
        factor = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
        shrink = samples / (samples + self.SHRINK_SAMPLES)
        with linear.assume_finite():
            # What Ridge.fit calls, without its second look at every number.
            weights = shrink * ridge_regression(
                factor[:, :k], factor[:, k], self.RIDGE_SAMPLES * n / samples, solver="cholesky", check_input=False
            )
        self.samples = samples
        self._linear = linear.LinearPredictor.from_standardised(mean[:k], scale[:k], weights, shrink * mean.item(k))
        self._limit = linear.CLIP * math.sqrt(sums[-1, -1] / n)
        return self

    def predict_one(self, row: Sequence[float]) -> float:
        """`predict` for one row of plain floats, without arrays."""
        return 0.0 if self._linear is None else min(max(self._linear.predict_one(row), -self._limit), self._limit)

    def predict(self, x: Floats) -> Floats:
        """The residual to expect over the walk, bps, (n,) for X (n, k)."""
        return np.zeros(len(x)) if self._linear is None else self._linear.predict(x, self._limit)


class MakerTakerModel:
    """Logistic regression of "a quote at the touch is crossed in time", resting on a prior.

    Columns are standardised and clipped at 3 standard deviations. A fit worth n independent samples is
    mixed with the prior, logit by logit, n / (n + 100); the prior's intercept is moved to the observed
    rate first, as far as N(prior, 0.7^2) lets it. Until `fit` it is the prior, and without one a coin.
    """

    SHRINK_SAMPLES = 100.0

    def __init__(self, prior: linear.Prior | None = None) -> None:
        self.prior = prior
        self.samples = 0.0
        self._linear: linear.LinearPredictor | None = None
        if prior is not None:
            mean, scale, weights = np.array(prior.mean), np.array(prior.scale), np.array(prior.weights)
            self._linear = linear.LinearPredictor.from_standardised(mean, scale, weights, prior.intercept)

    def fit(self, x: Floats, y: Floats, sample_weight: Floats | None = None) -> Self:
        """Learn from X (n, k), y (n,) of 0 and 1, and weights that count overlapping windows once."""
        x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        k = x.shape[1]
        weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        prior = self.prior or linear.Prior((0.0,) * k, (0.0,) * k, (0.0,) * k, 0.0)
        total = float(weight.sum())
        mean = weight @ x / total
        scale = np.maximum(
            linear.standard_deviation(mean, weight @ (x - mean) ** 2 / total), 0.25 * np.array(prior.scale)
        )
        z = linear.standardise(np.ascontiguousarray(x.T), mean, scale)
        weights = np.array(prior.weights)
        bias = linear.fit_intercept(z @ weights, y, weight, prior.intercept)
        if 0 < weight @ y < total:
            from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - as above

            with linear.assume_finite():
                fitted = LogisticRegression(C=1.0, solver="newton-cholesky").fit(z, y, weight)
            shrink = total / (total + self.SHRINK_SAMPLES)
            weights = shrink * fitted.coef_[0] + (1 - shrink) * weights
            bias = shrink * float(fitted.intercept_[0]) + (1 - shrink) * bias
        self.samples = total
        self._linear = linear.LinearPredictor.from_standardised(mean, scale, weights, bias)
        return self

    def predict_one(self, row: Sequence[float]) -> float:
        """The chance of maker for one row of plain floats, without arrays."""
        return 0.5 if self._linear is None else 1 / (1 + math.exp(-self._linear.predict_one(row)))

    def predict_proba(self, x: Floats) -> Floats:
        """(n, 2): the chance of taker, of maker, for X (n, k)."""
        maker = self.chances(x)
        return np.column_stack((1 - maker, maker))

    def chances(self, x: Floats) -> Floats:
        """(n,): the chance of maker, for X (n, k)."""
        if self._linear is None:
            return np.full(len(x), 0.5)
        chances: Floats = 1 / (1 + np.exp(-self._linear.predict(x)))
        return chances
