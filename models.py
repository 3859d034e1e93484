"""Model costs with estimators over plain numbers and arrays, without any knowledge of books."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import NamedTuple, Self

import numpy as np

from numerics import linear
from numerics.arrays import Floats
from numerics.unit_schedule import schedule_costs, schedule_shape, unit_path

__all__ = ["AlmgrenChrissModel", "Costs", "DriftSchedule", "MakerTakerModel", "ModelError", "SlippageModel"]


class ModelError(ValueError):
    """A parameter or an argument that no model can use; the message carries the offending value."""


class Costs(NamedTuple):
    """The expected cost of one schedule and its parts, quote, and the variance of the cost, quote^2.

    permanent + temporary = permanent_paid + temporary_paid = expected. In the first pair the permanent part does
    not depend on the path: it is gamma X^2 / 2, the whole effect of the order on the price. The second pair is what
    the trades pay by definition: for the price moved by the trades before them, and for their own temporary impact.
    """

    expected: float
    variance: float
    permanent: float
    temporary: float
    permanent_paid: float
    temporary_paid: float
    sum_squared_trades: float

    def value_at_risk(self, probability: float) -> float:
        """Return what the cost stays under with this probability, quote: expected + z sd."""
        return self.expected + _normal_quantile(probability) * math.sqrt(self.variance)


class DriftSchedule(NamedTuple):
    """The optimal schedule for a price that drifts: holdings (steps + 1,), base, and its cost.

    expected (quote) includes what the drift earns on all that is still held; gain (quote) is the part of it that is
    earned by holding more than the schedule without drift does. variance: quote^2.
    """

    holdings: Floats
    expected: float
    variance: float
    gain: float


@dataclass(frozen=True, slots=True)
class AlmgrenChrissModel:
    """The schedule that minimises E + risk_aversion V for an order worked in equal steps of tau = horizon / steps.

    Each step trades n at a price worse by epsilon + eta n / tau, moves the price by gamma n for good, and leaves
    holdings x to the moves of the market. With eta~ = eta - gamma tau / 2 that makes

        E = gamma X^2 / 2 + epsilon X + eta~ / tau sum n_k^2        V = sigma^2 tau sum x_k^2

    A quantity X is in base units and a horizon in seconds. Buying and selling cost the same; quantities are positive.
    A risk aversion of R / (2 W) is that of a trader with relative risk aversion R and wealth W: 1e-6 for 2 and one
    million. A negative one seeks risk. One step is immediate execution: E = epsilon X + eta X^2 / tau, V = 0.
    Every call raises ModelError if eta~ <= 0, or for a quantity or horizon that is not positive and finite, or
    steps that are not a whole number from 1.

    Source: Almgren and Chriss, Optimal Execution of Portfolio Transactions, J. Risk 3(2), 2000. In its example the
    unit of time is the day:

    >>> paper = AlmgrenChrissModel(sigma=0.95, eta=2.5e-6, gamma=2.5e-7, epsilon=0.0625, risk_aversion=1e-6)
    >>> paper.trajectory(1e6, horizon=5, steps=5).round().tolist()
    [1000000.0, 541956.0, 289854.0, 147897.0, 62142.0, 0.0]
    >>> round(paper.expected_cost(1e6, 5, 5)), round(paper.variance(1e6, 5, 5) ** 0.5)
    (911227, 603431)
    >>> round(paper.half_life(5, 5), 4)
    1.6472
    """

    sigma: float  # price / sqrt(s), absolute
    eta: float  # price / (base / s)
    gamma: float  # price / base
    epsilon: float  # price: half the spread
    risk_aversion: float  # 1 / quote

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
        """Compute all costs of the optimal schedule, in a few microseconds whatever the steps.

        >>> model = AlmgrenChrissModel(sigma=5.0, eta=3000.0, gamma=0.3, epsilon=0.05, risk_aversion=0.0)
        >>> costs = model.costs(10.0, horizon=3600.0, steps=60)
        >>> round(costs.expected, 6), costs.permanent, round(costs.temporary, 6)
        (98.583333, 15.0, 83.583333)
        """
        tau, _, w = self._step_parameters(horizon, steps)
        _require_positive("quantity", quantity)
        costs = Costs(*schedule_costs(self.sigma, self.eta, self.gamma, self.epsilon, w, quantity, tau, int(steps)))
        if not costs.expected + costs.variance < math.inf:
            raise ModelError(f"the cost is beyond the largest number: quantity {quantity}, horizon {horizon}")
        return costs

    def expected_cost(self, quantity: float, horizon: float, steps: int) -> float:
        """Return E of the optimal schedule, quote."""
        return self.costs(quantity, horizon, steps).expected

    def variance(self, quantity: float, horizon: float, steps: int) -> float:
        """Return V of the optimal schedule, quote^2: of the moves of the market alone, never a part of E."""
        return self.costs(quantity, horizon, steps).variance

    def permanent_cost(self, quantity: float, horizon: float, steps: int) -> float:
        """Return gamma X^2 / 2, quote: the same for every path."""
        return self.costs(quantity, horizon, steps).permanent

    def temporary_cost(self, quantity: float, horizon: float, steps: int) -> float:
        """Return epsilon X + eta~ / tau sum n^2, quote: the part that the choice of path can change."""
        return self.costs(quantity, horizon, steps).temporary

    def trajectory(self, quantity: float, horizon: float, steps: int) -> Floats:
        """Return the holdings (steps + 1,), base: the whole quantity first, zero last."""
        _, _, w = self._step_parameters(horizon, steps)
        return _require_positive("quantity", quantity) * _unit_path(w, steps)

    def trades(self, quantity: float, horizon: float, steps: int) -> Floats:
        """Return the sizes to trade (steps,), base; they sum to the quantity."""
        return -np.diff(self.trajectory(quantity, horizon, steps))

    def kappa(self, horizon: float, steps: int) -> float:
        """Return the urgency, 1/s: holdings fall like exp(-kappa t), 0 is an even pace. Raise if risk is sought."""
        tau, _, w = self._step_parameters(horizon, steps)
        if w < 0:
            raise ModelError(f"a schedule that seeks risk follows a sine and has no kappa: {self.risk_aversion}")
        return 2 / tau * math.asinh(math.sqrt(w) / 2)

    def half_life(self, horizon: float, steps: int) -> float:
        """Return 1 / kappa, s: the paper's name for the time in which 1 - 1/e of a slow order is done; inf if even."""
        kappa = self.kappa(horizon, steps)
        return 1 / kappa if kappa else math.inf

    def frontier(self, quantity: float, horizon: float, steps: int, risk_aversions: Iterable[float]) -> Floats:
        """Return (n, 3): each of n risk aversions with its E and V, the least cost for that variance."""
        models = [replace(self, risk_aversion=float(risk_aversion)) for risk_aversion in risk_aversions]
        rows = [(model.risk_aversion, *model.costs(quantity, horizon, steps)[:2]) for model in models]
        return np.array(rows, dtype=np.float64).reshape(-1, 3)

    def least_at_risk(self, quantity: float, horizon: float, steps: int, probability: float) -> AlmgrenChrissModel:
        """Return this model with the risk aversion whose schedule has the least value at risk: z / (2 sqrt(V)).

        Where it is best to trade everything in the first step, the schedule leaves exp(-50) of it.
        """
        from scipy.optimize import brentq  # noqa: PLC0415 - seldom needed and slow to load

        z = _normal_quantile(probability)
        tau, eta_tilde, _ = replace(self, risk_aversion=0.0)._step_parameters(horizon, steps)

        def with_urgency(kappa_tau: float) -> AlmgrenChrissModel:
            root = 2 / tau * math.sinh(kappa_tau / 2) / self.sigma
            return replace(self, risk_aversion=eta_tilde * root * root)

        def excess_z(kappa_tau: float) -> float:
            model = with_urgency(kappa_tau)
            return 2 * model.risk_aversion * math.sqrt(model.variance(quantity, horizon, steps)) - z

        if self.sigma == 0 or steps == 1:
            return replace(self, risk_aversion=0.0)
        if excess_z(50.0) <= 0:
            return with_urgency(50.0)
        return with_urgency(brentq(excess_z, 0.0, 50.0, xtol=1e-300, rtol=1e-14))

    @np.errstate(over="ignore", invalid="ignore")  # refused by name at the end
    def with_drift(self, quantity: float, horizon: float, steps: int, drift: float) -> DriftSchedule:
        """Return the optimal schedule for a price that moves by drift (price/s) on average, positive if waiting pays.

        A strong drift makes the schedule trade beyond the order and back. Every such trade pays epsilon, but the
        schedule is chosen without regard to that. Raise ModelError if risk is sought.
        """
        if not math.isfinite(drift):
            raise ModelError(f"drift must be finite: {drift}")
        tau, eta_tilde, w = self._step_parameters(horizon, steps)
        u = self.kappa(horizon, steps) * tau
        j = np.arange(steps + 1)
        # (1 - (sinh(u (N - j)) + sinh(u j)) / sinh(u N)) / w, written as a product that loses no digits.
        if w == 0:
            tilt = j * (steps - j) / 2
        else:
            tilt = np.expm1(-u * j) * np.expm1(-u * (steps - j)) / w / (1 + math.exp(-u * steps))
        tilt *= drift * tau * tau / (2 * eta_tilde)
        holdings = self.trajectory(quantity, horizon, steps) + tilt
        trades = -np.diff(holdings)
        held = holdings[1:]
        cost = self.gamma * quantity * quantity / 2 + self.epsilon * np.abs(trades).sum()
        cost += eta_tilde / tau * (trades @ trades) - drift * tau * held.sum()
        variance = self.sigma * self.sigma * tau * (held @ held)
        if not math.isfinite(cost + variance):
            raise ModelError(f"the cost is beyond the largest number: quantity {quantity}, drift {drift}")
        return DriftSchedule(holdings, float(cost), float(variance), float(drift * tau * tilt.sum()))

    def _step_parameters(self, horizon: float, steps: int) -> tuple[float, float, float]:
        """Return tau, eta~, and w = risk_aversion sigma^2 tau^2 / eta~ = 2 (cosh(kappa tau) - 1), the path's shape."""
        if not (1 <= steps < math.inf and steps % 1 == 0):
            raise ModelError(f"steps must be a whole number from 1: {steps}")
        tau = _require_positive("tau", _require_positive("horizon", horizon) / steps)
        eta_tilde, w = schedule_shape(self.sigma, self.eta, self.gamma, self.risk_aversion, tau)
        if not eta_tilde > 0:
            raise ModelError(
                f"eta - gamma tau / 2 = {eta_tilde} is not positive: eta {self.eta}, gamma {self.gamma}, tau {tau}"
            )
        if not w < math.inf:
            raise ModelError(f"risk_aversion {self.risk_aversion} is too large for sigma {self.sigma}, tau {tau}")
        if w < 0 and steps > 1 and math.sqrt(-w) / 2 >= math.sin(math.pi / (2 * steps)):
            raise ModelError(f"risk_aversion {self.risk_aversion} seeks so much risk that no schedule is best")
        return tau, eta_tilde, w


def _normal_quantile(probability: float) -> float:
    if not 0.5 <= probability < 1:
        raise ModelError(f"probability must be at least 0.5 and below 1: {probability}")
    return NormalDist().inv_cdf(probability)


def _require_positive(name: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise ModelError(f"{name} must be positive and finite: {value}")
    return value


def _unit_path(w: float, steps: int) -> Floats:
    """Return the holdings (steps + 1,) of one unit: all of it first, nothing last."""
    path = np.ones(steps + 1)
    unit_path(w, steps, path[1:])
    return path


class SlippageModel:
    """A linear regression of what the book walk misses, safe for few, clustered and nearly constant rows.

    Columns are standardised, their standard deviation being at least a twentieth of the mean, and clipped at 3
    standard deviations. The ridge is worth 50 samples. Predictions stay within 3 root mean squares of the target
    and are shrunk by n / (n + 100), n in samples. Until `fit` it predicts 0: the walk itself.
    """

    RIDGE_SAMPLES = 50.0
    SHRINK_SAMPLES = 100.0

    def __init__(self) -> None:
        self.samples = 0.0
        self.predictor: linear.LinearPredictor | None = None
        self.limit_bps = 0.0

    def fit(self, x: Floats, residual_bps: Floats, samples: float | None = None) -> Self:
        """Fit to X (n, k) and residual_bps (n,), worth so many independent decision times; None means n."""
        x = np.asarray(x, dtype=np.float64)
        regression_sums = linear.RegressionSums(x.shape[1])
        regression_sums.add(x, np.asarray(residual_bps, dtype=np.float64))
        return self.fit_sums(regression_sums, len(x) if samples is None else samples)

    def fit_sums(self, regression_sums: linear.RegressionSums, samples: float) -> Self:
        """Fit to the sums of the rows' products: the same regression, in a time that does not grow with the rows."""
        from sklearn.linear_model import ridge_regression  # noqa: PLC0415 - as above

        sums = regression_sums.sums
        n = sums.item(0)
        k = len(sums) - 2
        mean, scale, scatter = linear.standardised_scatter(sums)
        # A square root of the scatter matrix replaces the rows: k + 1 rows with the same least squares solution.
        values, vectors = np.linalg.eigh(scatter)
        factor = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
        shrink = samples / (samples + self.SHRINK_SAMPLES)
        with linear.assume_finite():
            # Ridge.fit calls this too, but checks every number again before.
            weights = shrink * ridge_regression(
                factor[:, :k], factor[:, k], self.RIDGE_SAMPLES * n / samples, solver="cholesky", check_input=False
            )
        self.samples = samples
        self.predictor = linear.LinearPredictor.from_standardised(mean[:k], scale[:k], weights, shrink * mean.item(k))
        self.limit_bps = linear.CLIP * math.sqrt(sums[-1, -1] / n)
        return self

    def predict_one(self, row: Sequence[float]) -> float:
        """Predict one row of k plain floats, without arrays."""
        if self.predictor is None:
            return 0.0
        return min(max(self.predictor.predict_one(row), -self.limit_bps), self.limit_bps)

    def predict(self, x: Floats) -> Floats:
        """Predict the residual over the walk, bps, shape (n,), for X (n, k)."""
        return np.zeros(len(x)) if self.predictor is None else self.predictor.predict(x, self.limit_bps)


class MakerTakerModel:
    """A logistic regression, with a prior, of whether a quote at the touch is crossed in time.

    Columns are standardised and clipped at 3 standard deviations. The logits of a fit worth n independent samples
    have the weight n / (n + 100), those of the prior the rest. Before that, the prior's intercept is moved to the
    observed rate as far as N(prior, 0.7^2) allows. Until `fit` the prior predicts, and without one every chance is 0.5.
    """

    SHRINK_SAMPLES = 100.0

    def __init__(self, prior: linear.Prior | None = None) -> None:
        self.prior = prior
        self.samples = 0.0
        self.predictor: linear.LinearPredictor | None = None
        if prior is not None:
            mean, scale, weights = np.array(prior.mean), np.array(prior.scale), np.array(prior.weights)
            self.predictor = linear.LinearPredictor.from_standardised(mean, scale, weights, prior.intercept)

    def fit(self, x: Floats, y: Floats, sample_weight: Floats | None = None) -> Self:
        """Fit to X (n, k), y (n,) of 0 and 1, and weights (n,) that count overlapping windows once."""
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
        self.predictor = linear.LinearPredictor.from_standardised(mean, scale, weights, bias)
        return self

    def predict_one(self, row: Sequence[float]) -> float:
        """Return the chance of maker for one row of k plain floats, without arrays."""
        return 0.5 if self.predictor is None else 1 / (1 + math.exp(-self.predictor.predict_one(row)))

    def predict_proba(self, x: Floats) -> Floats:
        """Return the chances of taker and of maker, (n, 2), for X (n, k)."""
        maker = self.chances(x)
        return np.column_stack((1 - maker, maker))

    def chances(self, x: Floats) -> Floats:
        """Return the chance of maker, (n,), for X (n, k)."""
        if self.predictor is None:
            return np.full(len(x), 0.5)
        chances: Floats = 1 / (1 + np.exp(-self.predictor.predict(x)))
        return chances
