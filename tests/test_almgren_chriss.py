"""Check AlmgrenChrissModel against definition sums, exact rationals, a linear solve, a minimiser and the paper."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise, product
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.linalg import solve_banded
from scipy.optimize import minimize, minimize_scalar

from models import AlmgrenChrissModel, ModelError
from numerics.arrays import Floats


class Case(NamedTuple):
    model: AlmgrenChrissModel
    quantity: float
    horizon: float
    steps: int

    @property
    def args(self) -> tuple[float, float, int]:
        return self.quantity, self.horizon, self.steps

    @property
    def tau(self) -> float:
        return self.horizon / self.steps

    @property
    def eta_tilde(self) -> float:
        return self.model.eta - self.model.gamma * self.tau / 2

    def at(self, **changes: float) -> Case:
        """Return the same order with changed parameters of the market or the risk aversion."""
        return self._replace(model=replace(self.model, **changes))


PAPER = Case(AlmgrenChrissModel(0.95, 2.5e-6, 2.5e-7, 0.0625, 1e-6), 1e6, 5, 5)
BTC = Case(AlmgrenChrissModel(0.5 * 60000 / math.sqrt(365 * 86400), 3000, 0.3, 0.05, 1e-5), 10, 3600, 60)
ETH = Case(AlmgrenChrissModel(0.7 * 3000 / math.sqrt(365 * 86400), 0.6, 2e-4, 0.005, 2e-5), 250, 900, 15)

six_digits = {"rel": 5e-7}


def defined_costs(case: Case, holdings: Floats, drift: float = 0.0) -> tuple[float, float, float, float]:
    """Sum E, V and what is paid to permanent and temporary impact, trade by trade, by equations 1 to 5 of the paper."""
    model, tau = case.model, case.tau
    trades = [a - b for a, b in pairwise(holdings)]
    permanent = math.fsum(model.gamma * n * (holdings[0] - x) for n, x in zip(trades, holdings, strict=False))
    temporary = math.fsum(n * (math.copysign(model.epsilon, n) + model.eta * n / tau) for n in trades)
    earned = math.fsum(drift * tau * x for x in holdings[1:])
    variance = math.fsum(model.sigma**2 * tau * x * x for x in holdings[1:])
    return permanent + temporary - earned, variance, permanent, temporary


def solved_holdings(case: Case, drift: float = 0.0) -> Floats:
    """Solve the first-order conditions of E + lambda V, a tridiagonal linear system, for the holdings."""
    model, inner = case.model, case.steps - 1
    diagonal = 2 + model.risk_aversion * model.sigma**2 * case.tau**2 / case.eta_tilde
    right = np.full(inner, drift * case.tau**2 / (2 * case.eta_tilde))
    right[0] += case.quantity
    bands = np.array([[-1.0] * inner, [diagonal] * inner, [-1.0] * inner])
    return np.concatenate([[case.quantity], solve_banded((1, 1), bands, right), [0.0]])


@pytest.mark.parametrize(
    ("case", "kappa", "holdings", "costs"),
    [
        (PAPER.at(risk_aversion=0), 0, [800000, 600000, 400000, 200000], (662500, 1.083e12, 2374254.53)),
        (
            PAPER,
            0.6070761632,
            [541955.5544, 289854.2194, 147897.4878, 62141.80161],
            (911226.9863, 3.641285721e11, 1903782.11),
        ),
        (
            PAPER.at(risk_aversion=2e-6),
            0.8462971345,
            [428598.8457, 182932.8143, 76295.72162, 27643.37740],
            (1140715.167, 2.019312872e11, 1879859.18),
        ),
        (PAPER.at(risk_aversion=1), 12.84793179, [2.631565], (2562487.500, 6.24993421, 2562491.61)),
        (
            PAPER.at(sigma=0.3 * 50 / math.sqrt(250)),
            0.60625963,
            [542380.6932, 290295.1229, 148216.1254, 62303.23854],
            (910477.844, 3.63868009e11),
        ),
        (BTC.at(risk_aversion=0), 0, [9.833333333], (98.58333333, 3339516.743)),
        (BTC.at(risk_aversion=1e-6), 9.768078096e-5, [9.826690159], (98.61090324, 3284052.501)),
        (BTC, 3.088897727e-4, [9.771409909], (100.8462386, 2860592.175)),
        (BTC.at(risk_aversion=1e-4), 9.766694574e-4, [9.429801136], (163.5951675, 1361489.663)),
        (BTC._replace(steps=2), 3.189256705e-4, [4.275875386], (92.92388125, 939200.8725)),
        (ETH, 0.002168360642, [218.1579827], (55.96293595, 1517302.837, 2082.07467)),
    ],
)
def test_model_equals_published_numbers(
    case: Case, kappa: float, holdings: list[float], costs: tuple[float, ...]
) -> None:
    """Urgency, holdings, E, V and value at risk of the paper's example and of two crypto orders agree to six digits."""
    assert case.model.kappa(case.horizon, case.steps) == pytest.approx(kappa, **six_digits)
    assert case.model.trajectory(*case.args)[1 : 1 + len(holdings)] == pytest.approx(holdings, **six_digits)
    assert case.model.expected_cost(*case.args) == pytest.approx(costs[0], **six_digits)
    assert case.model.variance(*case.args) == pytest.approx(costs[1], **six_digits)
    for at_risk in costs[2:]:
        assert case.model.costs(*case.args).value_at_risk(0.95) == pytest.approx(at_risk, **six_digits)


def test_paper_example_equals_all_its_printed_numbers() -> None:
    """The half-life, the cost's deviation and both splits are the printed ones, and so is the BTC order's split."""
    costs = PAPER.model.costs(*PAPER.args)
    assert PAPER.model.half_life(5, 5) == pytest.approx(1.647239771, **six_digits)
    assert math.sqrt(costs.variance) == pytest.approx(603430.6688, **six_digits)
    assert costs.expected + 1e-6 * costs.variance == pytest.approx(1275355.558, **six_digits)
    assert costs.sum_squared_trades == pytest.approx(3.04727152128e11, **six_digits)
    assert (costs.permanent_paid, costs.temporary_paid) == pytest.approx((86909.10598, 824317.8803), **six_digits)
    assert (costs.permanent, costs.temporary) == pytest.approx((125000, 62500 + 723726.9863), **six_digits)
    assert PAPER.model.permanent_cost(*PAPER.args) == costs.permanent
    assert PAPER.model.temporary_cost(*PAPER.args) == costs.temporary
    assert BTC.model.costs(*BTC.args)[2:4] == pytest.approx((15, 0.5 + 85.34623861), **six_digits)


@pytest.mark.parametrize("risk_aversion", [0.0, 1e-6, 1.0, -1e-3])
def test_one_step_is_immediate_execution(risk_aversion: float) -> None:
    """With N = 1 the cost is epsilon X + eta X^2 / tau without risk, and nothing is paid to earlier trades."""
    case = BTC._replace(steps=1).at(risk_aversion=risk_aversion)
    costs = case.model.costs(*case.args)
    assert costs.expected == pytest.approx(83.83333333, **six_digits)
    assert costs.expected == pytest.approx(0.05 * 10 + 3000 * 100 / 3600, rel=1e-14)
    assert (costs.variance, costs.permanent_paid) == (0, 0)
    assert case.model.trajectory(*case.args).tolist() == [10, 0]


def test_frontier_equals_published_points() -> None:
    """The frontier has the published (E, V) at six risk aversions, in the order of the argument."""
    points = [
        (1e-7, 670057.460, 9.24718606e11),
        (2e-7, 688153.634, 8.02414465e11),
        (5e-7, 768132.812, 5.63396572e11),
        (5e-6, 1535388.09, 7.43582305e10),
        (1e-5, 1845211.26, 2.94851503e10),
        (1e-4, 2446575.61, 5.65122325e8),
    ]
    frontier = PAPER.model.frontier(*PAPER.args, [point[0] for point in points])
    np.testing.assert_allclose(frontier, points, rtol=5e-7)
    assert PAPER.model.frontier(*PAPER.args, []).shape == (0, 3)


def test_late_holdings_of_urgent_order_keep_their_digits() -> None:
    """Holdings far below a rounding error of the order keep their own digits."""
    assert PAPER.at(risk_aversion=1).model.trajectory(*PAPER.args)[2] == pytest.approx(6.925e-6, rel=1e-4)


def test_schedule_without_risk_aversion_is_even() -> None:
    """Without risk aversion the pace is exactly even, and E and V are the textbook ones."""
    case = BTC.at(risk_aversion=0)
    x, t, n = case.args
    assert case.model.trajectory(*case.args).tolist() == [x * ((n - j) / n) for j in range(n + 1)]
    assert case.model.variance(*case.args) == pytest.approx(
        case.model.sigma**2 * x**2 * t / 3 * (1 - 1 / n) * (1 - 0.5 / n), rel=1e-14
    )
    assert case.model.half_life(t, n) == math.inf


def test_schedule_that_seeks_risk_follows_a_sine() -> None:
    """A negative risk aversion holds on for longer: the paper's trajectory C, which has no kappa."""
    case = PAPER.at(risk_aversion=-2e-7)
    holdings = case.model.trajectory(*case.args)
    assert holdings[1:-1] == pytest.approx([910056.4369, 750948.5846, 534768.6399, 277946.2785], **six_digits)
    assert case.model.costs(*case.args)[:2] == pytest.approx(defined_costs(case, holdings)[:2], rel=1e-13)
    for ask in (case.model.kappa, case.model.half_life):
        with pytest.raises(ModelError, match="-2e-07"):
            ask(5, 5)


def test_least_value_at_risk_equals_published_numbers() -> None:
    """The best schedule at 95 % is the published one, and its risk aversion is z / (2 sqrt(V))."""
    best = PAPER.model.least_at_risk(*PAPER.args, 0.95)
    costs = best.costs(*PAPER.args)
    assert best.risk_aversion == pytest.approx(1.6941135e-6, **six_digits)
    assert best.kappa(5, 5) == pytest.approx(0.782250739, **six_digits)
    assert costs[:2] == pytest.approx((1078622.612, 2.356728234e11), **six_digits)
    assert costs.value_at_risk(0.95) == pytest.approx(1877135.646, **six_digits)
    assert best.risk_aversion == pytest.approx(NormalDist().inv_cdf(0.95) / 2 / math.sqrt(costs.variance), rel=1e-12)


@pytest.mark.parametrize("case", [PAPER, BTC, ETH])
@pytest.mark.parametrize("probability", [0.51, 0.75, 0.95, 0.999])
def test_least_value_at_risk_is_not_beaten_by_search(case: Case, probability: float) -> None:
    """No risk aversion on a wide range has less value at risk than the one the model returns."""
    best = case.model.least_at_risk(*case.args, probability)

    def at_risk(log_risk_aversion: float) -> float:
        return case.at(risk_aversion=math.exp(log_risk_aversion)).model.costs(*case.args).value_at_risk(probability)

    centre = math.log(best.risk_aversion)
    found = minimize_scalar(at_risk, bounds=(centre - 9, centre + 7), method="bounded", options={"xatol": 1e-9})
    value = best.costs(*case.args).value_at_risk(probability)
    assert value == pytest.approx(found.fun, rel=1e-9)
    assert value <= found.fun * (1 + 1e-13)
    slope_limit = 2 * case.eta_tilde * case.quantity / (case.model.sigma * case.tau**1.5)
    if NormalDist().inv_cdf(probability) < slope_limit:
        assert best.risk_aversion == pytest.approx(math.exp(found.x), rel=1e-4)
    else:
        assert best.trajectory(*case.args)[1] == pytest.approx(0, abs=1e-15 * case.quantity)


def test_least_value_at_risk_at_extreme_probabilities() -> None:
    """Without risk, or at a probability of one half, an even pace is best.

    Beyond the slope limit, 5 standard deviations here, the whole order in the first step is best.
    """
    assert PAPER.model.least_at_risk(*PAPER.args, 0.5) == PAPER.at(risk_aversion=0).model
    assert PAPER.at(sigma=0).model.least_at_risk(*PAPER.args, 0.95) == PAPER.at(sigma=0, risk_aversion=0).model
    assert PAPER.model.least_at_risk(1e6, 5, 1, 0.95) == PAPER.at(risk_aversion=0).model
    inside, outside = (NormalDist().cdf(z) for z in (4.99, 5.01))
    assert PAPER.model.least_at_risk(*PAPER.args, inside).trajectory(*PAPER.args)[1] > 1000
    at_once = PAPER.model.least_at_risk(*PAPER.args, outside)
    assert at_once.trajectory(*PAPER.args)[1] < 1e-9
    assert at_once.expected_cost(*PAPER.args) == pytest.approx(0.0625e6 + 2.5e-6 * 1e12, rel=1e-14)
    for probability in (0.49, 1.0, math.nan):
        with pytest.raises(ModelError, match=f"probability .*{probability}"):
            PAPER.model.least_at_risk(*PAPER.args, probability)


def test_schedule_with_drift_equals_published_numbers() -> None:
    """If the price rises by 0.02 a day, the schedule waits: the published holdings, E, V and gain."""
    drifted = PAPER.model.with_drift(*PAPER.args, drift=0.02)
    assert drifted.holdings[1:-1] == pytest.approx([546342.2873, 296084.1174, 154127.3858, 66528.5345], **six_digits)
    assert (drifted.expected, drifted.variance) == pytest.approx((880367.1052, 3.739391392e11), **six_digits)
    assert drifted.gain == pytest.approx(424.66524, **six_digits)
    far = 0.02 / (2 * 1e-6 * 0.95**2)
    kappa = PAPER.model.kappa(5, 5)
    assert far == pytest.approx(11080.3, rel=5e-6)
    assert drifted.gain == pytest.approx(
        0.02 * far * 5 * (1 - math.tanh(kappa * 2.5) / math.tanh(kappa / 2) / 5), rel=1e-12
    )


@pytest.mark.parametrize("risk_aversion", [0.0, 1e-315, 1e-25, 1e-9, 1e-6, 1.0])
@pytest.mark.parametrize("drift", [-0.3, 0.0, 0.02])
def test_schedule_with_drift_solves_first_order_conditions(risk_aversion: float, drift: float) -> None:
    """With drift too, holdings solve the linear system, and E and V are the defining sums, at lambda 0 as well."""
    case = PAPER.at(risk_aversion=risk_aversion)
    drifted = case.model.with_drift(*case.args, drift)
    assert drifted.holdings == pytest.approx(solved_holdings(case, drift), rel=1e-11, abs=1e-8)
    assert (drifted.expected, drifted.variance) == pytest.approx(
        defined_costs(case, drifted.holdings, drift)[:2], rel=1e-13
    )


def exact_unit_path(w: Fraction, steps: int) -> list[Fraction]:
    """Compute holdings of one unit from x_{k-1} - (2 + w) x_k + x_{k+1} = 0, backwards and without any rounding."""
    ends = [Fraction(0), Fraction(1)]
    while len(ends) <= steps:
        ends.append((2 + w) * ends[-1] - ends[-2])
    return [value / ends[-1] for value in reversed(ends)]


@given(exponent=st.floats(-323, 300), mantissa=st.floats(1, 10), steps=st.integers(1, 25), seeks_risk=st.booleans())
@example(exponent=-320, mantissa=1.0, steps=9, seeks_risk=False)
@example(exponent=-14, mantissa=9.0, steps=10, seeks_risk=False)
@example(exponent=-2, mantissa=4.44, steps=8, seeks_risk=False)
@example(exponent=-3, mantissa=1.6, steps=13, seeks_risk=False)
@example(exponent=-1, mantissa=3.8, steps=5, seeks_risk=True)
@settings(deadline=None, max_examples=200)
def test_closed_forms_equal_exact_rational_sums(exponent: float, mantissa: float, steps: int, seeks_risk: bool) -> None:
    """E and V keep 13 digits and holdings 12, from lambda 1e-323 to 1e300, against rational arithmetic."""
    w = mantissa * 10.0**exponent
    if seeks_risk:
        w = -min(w, (2 * math.sin(math.pi / 2 / steps)) ** 2 * 0.97)
    # Unit parameters make lambda itself the number that the shape depends on.
    model = AlmgrenChrissModel(sigma=1, eta=1, gamma=0, epsilon=0, risk_aversion=w)
    exact = exact_unit_path(Fraction(w), steps)
    trades = [a - b for a, b in pairwise(exact)]
    costs = model.costs(1, steps, steps)
    assert costs.expected == pytest.approx(float(sum(n * n for n in trades)), rel=1e-13)
    assert costs.variance == pytest.approx(float(sum(x * x for x in exact[1:])), rel=1e-13, abs=1e-300)
    holdings = model.trajectory(1, steps, steps)
    # A sine near the edge of what is best divides by nearly nothing, and there only loses digits.
    assert holdings == pytest.approx([float(x) for x in exact], rel=1e-11 if seeks_risk else 1e-12, abs=1e-300)


@pytest.mark.parametrize("steps", [2, 3, 7, 50, 1000, 20000])
@pytest.mark.parametrize("kappa_t", [1e-9, 1e-6, 1e-3, 0.3, 0.49, 0.51, 1.0, 3.0, 20.0, 31.0, 40.0, 300.0, 5000.0])
def test_closed_forms_equal_definition_sums(steps: int, kappa_t: float) -> None:
    """Costs equal their definitions summed over the trajectory to 12 digits, up to kappa T far beyond exp's range."""
    case, kappa_tau = BTC._replace(steps=steps), min(kappa_t / steps, 700.0)
    root = 2 / case.tau * math.sinh(kappa_tau / 2) / case.model.sigma
    case = case.at(risk_aversion=case.eta_tilde * root * root)
    holdings = case.model.trajectory(*case.args)
    costs = case.model.costs(*case.args)
    expected, variance, permanent, temporary = defined_costs(case, holdings)
    assert costs.expected == pytest.approx(expected, rel=1e-12)
    assert costs.variance == pytest.approx(variance, rel=1e-12)
    assert costs.permanent_paid == pytest.approx(permanent, rel=1e-12, abs=1e-12 * expected)
    assert costs.temporary_paid == pytest.approx(temporary, rel=1e-12)
    assert costs.permanent + costs.temporary == costs.expected
    assert case.model.kappa(case.horizon, steps) == pytest.approx(kappa_tau / case.tau, rel=1e-12)
    assert holdings == pytest.approx(solved_holdings(case), rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("risk_aversion", [-2e-7, 0.0, 1e-7, 1e-6, 1e-5])
@pytest.mark.parametrize("steps", [2, 3, 6])
def test_minimiser_finds_no_better_schedule(risk_aversion: float, steps: int) -> None:
    """A minimiser that knows only the definitions of E and V ends at the closed form."""
    case = PAPER._replace(steps=steps).at(risk_aversion=risk_aversion)

    def objective(inner: Floats) -> float:
        expected, variance, _, _ = defined_costs(case, np.array([1.0, *inner, 0.0]) * case.quantity)
        return (expected + risk_aversion * variance) / case.quantity

    found = minimize(objective, np.linspace(1, 0, steps + 1)[1:-1] ** 2, method="BFGS", options={"gtol": 1e-9})
    holdings = case.model.trajectory(*case.args)
    assert holdings[1:-1] / case.quantity == pytest.approx(found.x, abs=1e-6)
    costs = case.model.costs(*case.args)
    assert (costs.expected + risk_aversion * costs.variance) / case.quantity == pytest.approx(found.fun, rel=1e-11)


def test_many_steps_converge_to_continuous_trading() -> None:
    """With ever more steps kappa, E and V approach those of trading without pause, at first order in tau."""
    model, x, t = PAPER.model, PAPER.quantity, PAPER.horizon
    kappa = model.sigma * math.sqrt(model.risk_aversion / model.eta)
    z = kappa * t
    expected = model.gamma * x**2 / 2 + model.epsilon * x
    expected += model.eta * x**2 * kappa * (math.sinh(2 * z) + 2 * z) / (4 * math.sinh(z) ** 2)
    variance = model.sigma**2 * x**2 * (math.sinh(2 * z) / (4 * kappa) - t / 2) / math.sinh(z) ** 2
    assert (kappa, expected, variance) == pytest.approx((0.6008327554, 964537.1481, 7.324477618e11), **six_digits)
    errors = []
    for steps in (10_000, 1_000_000):
        costs = model.costs(x, t, steps)
        found = model.kappa(t, steps), costs.expected, costs.variance
        errors.append(np.array(found) / (kappa, expected, variance) - 1)
    assert errors[0] / errors[1] == pytest.approx([100, 100, 100], rel=0.01)
    assert np.abs(errors[1]).max() < 1e-5


positive = st.floats(1e-6, 1e6)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw markets over many magnitudes whose eta~ is positive, some of them paced from slow to all at once."""
    steps, horizon = draw(st.integers(1, 80)), draw(st.floats(1e-2, 1e6))
    tau, eta, sigma = horizon / steps, draw(positive), draw(positive)
    gamma = draw(st.floats(0, 0.99)) * 2 * eta / tau
    w = draw(st.one_of(st.just(0.0), st.floats(-15, 4).map(lambda exponent: 10.0**exponent)))
    case = Case(AlmgrenChrissModel(sigma, eta, gamma, draw(st.floats(0, 1e3)), 0.0), draw(positive), horizon, steps)
    return case.at(risk_aversion=w * case.eta_tilde / (sigma * tau) ** 2)


@given(cases(), positive)
@settings(deadline=None)
def test_every_schedule_falls_to_zero_with_shape_independent_of_size(case: Case, other_quantity: float) -> None:
    """Holdings fall from X to 0 and never rise, trades sum to X, and the shape does not depend on X."""
    holdings, trades = case.model.trajectory(*case.args), case.model.trades(*case.args)
    assert holdings.shape == (case.steps + 1,)
    assert trades.shape == (case.steps,)
    assert holdings[0] == case.quantity
    assert holdings[-1] == 0
    assert (trades >= 0).all()
    assert trades.sum() == pytest.approx(case.quantity, rel=1e-13)
    other = case.model.trajectory(other_quantity, case.horizon, case.steps)
    assert other / other_quantity == pytest.approx(holdings / case.quantity, rel=1e-14)


@given(cases(), st.floats(0, 1e6))
@settings(deadline=None)
def test_permanent_cost_does_not_depend_on_path(case: Case, risk_aversion: float) -> None:
    """At any urgency and number of steps, the permanent part is gamma X^2 / 2, and the parts sum to E."""
    other = case.at(risk_aversion=risk_aversion)._replace(steps=case.steps + 3)
    assert case.model.permanent_cost(*case.args) == other.model.permanent_cost(*other.args)
    costs = other.model.costs(*other.args)
    assert costs.permanent == case.model.gamma * (case.quantity * case.quantity) / 2
    assert costs.permanent_paid + costs.temporary_paid == pytest.approx(costs.expected, rel=1e-13)


@given(cases(), st.lists(st.floats(-14, 4), min_size=2, max_size=8, unique=True))
@settings(deadline=None)
def test_frontier_is_monotone_and_convex(case: Case, exponents: list[float]) -> None:
    """More risk aversion never costs less nor leaves more risk, and every point lies above the others' tangents."""
    unit = case.eta_tilde / (case.model.sigma * case.tau) ** 2
    lam, expected, variance = case.model.frontier(*case.args, [unit * 10**value for value in sorted(exponents)]).T
    assert (np.diff(expected) >= -1e-13 * expected[1:]).all()
    assert (np.diff(variance) <= 1e-13 * variance[:-1]).all()
    objective = expected[:, None] + lam[None, :] * variance[:, None]
    assert (objective >= np.diag(objective)[None, :] * (1 - 1e-13)).all()


@given(st.floats(-9, -4), st.integers(2, 60))
@settings(deadline=None)
def test_frontier_slope_is_minus_risk_aversion(exponent: float, steps: int) -> None:
    """Along the frontier dE / dV = -lambda."""
    lam = 10.0**exponent
    (_, low_e, low_v), (_, high_e, high_v) = PAPER.model.frontier(1e6, 5, steps, [lam * 0.999, lam * 1.001])
    assert (high_e - low_e) / (high_v - low_v) == pytest.approx(-lam, rel=2e-6, abs=1e-9 / (low_v - high_v))


@given(cases())
@settings(deadline=None)
def test_costs_are_finite_at_absurd_urgency(case: Case) -> None:
    """Every number of every schedule is finite and not negative, also at absurd urgency."""
    for factor in (1.0, 1e30, 1e200):
        hurried = case.at(risk_aversion=case.model.risk_aversion * factor)
        assert all(math.isfinite(value) and value >= 0 for value in hurried.model.costs(*case.args))
        assert np.isfinite(hurried.model.trajectory(*case.args)).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *product(("sigma", "eta", "gamma", "epsilon", "risk_aversion"), (math.nan, math.inf, -math.inf)),
        *product(("sigma", "eta", "gamma", "epsilon"), (-1.0,)),
        ("eta", 0.0),
    ],
)
def test_impossible_parameter_is_refused_by_name(name: str, value: float) -> None:
    """A parameter that is not finite, or negative where it must not be, is refused by name and value."""
    with pytest.raises(ModelError, match=f"{name} .*{value}"):
        BTC.at(**{name: value})


@pytest.mark.parametrize(
    "method", ["trajectory", "trades", "costs", "expected_cost", "variance", "permanent_cost", "temporary_cost"]
)
@pytest.mark.parametrize(
    ("name", "args"),
    [
        *(("quantity", (bad, 3600, 60)) for bad in (0.0, -1.0, math.nan, math.inf)),
        *(("horizon", (10, bad, 60)) for bad in (0.0, -5.0, math.nan, math.inf)),
        *(("steps", (10, 3600, bad)) for bad in (0, -2, 2.5, math.nan, math.inf)),
    ],
)
def test_impossible_argument_is_refused_by_name(method: str, name: str, args: tuple[float, float, float]) -> None:
    """A quantity or horizon that is not positive and finite, or steps that are not whole, are refused by value."""
    value = args[("quantity", "horizon", "steps").index(name)]
    with pytest.raises(ModelError, match=f"{name} must be .*: {value}"):
        getattr(BTC.model, method)(*args)


def test_steps_too_long_for_permanent_impact_are_refused() -> None:
    """Where eta~ = eta - gamma tau / 2 is zero or less no schedule is best, and the message has the numbers."""
    model = replace(BTC.model, eta=9.0)  # gamma tau / 2 = 9 at 60 s
    for horizon in (3600, 7200):
        with pytest.raises(ModelError, match=r"eta 9\.0, gamma 0\.3, tau"):
            model.costs(10, horizon, 60)
    assert model.costs(10, 3599, 60).expected > 0


def test_unstable_urgency_and_overflow_are_refused() -> None:
    """A search for risk beyond the last stable sine, and costs beyond the largest float, raise an error."""
    edge = 2.375e-6 * (2 * math.sin(math.pi / 10)) ** 2 / 0.95**2  # where kappa T of the sine reaches pi
    assert PAPER.at(risk_aversion=-edge * 0.999).model.trajectory(*PAPER.args).min() == 0
    with pytest.raises(ModelError, match="seeks so much risk"):
        PAPER.at(risk_aversion=-edge * 1.001).model.trajectory(*PAPER.args)
    with pytest.raises(ModelError, match="1e\\+308"):
        PAPER.at(risk_aversion=1e308).model.kappa(5, 5)
    with pytest.raises(ModelError, match="1e\\+200"):
        PAPER.model.costs(1e200, 5, 5)
    with pytest.raises(ModelError, match="drift must be finite: nan"):
        PAPER.model.with_drift(*PAPER.args, drift=math.nan)
    with pytest.raises(ModelError, match="drift 1e\\+300"):
        PAPER.model.with_drift(*PAPER.args, drift=1e300)
    with pytest.raises(ModelError, match=r"tau must be positive and finite: 0\.0"):
        PAPER.model.costs(1, 5e-324, 60)
