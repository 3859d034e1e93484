"""Check the learned estimators against scikit-learn's own pipelines, and where such pipelines explode."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from estimation.online_learner import OnlineLearner
from estimation.training_data import TrainingData, TypicalAtSamples
from estimation.training_schedule import Sample, make_block
from models import MakerTakerModel, SlippageModel
from numerics.linear import Prior, RegressionSums, standard_deviation
from orderbook import OrderBook
from tests.support.synthetic_markets import begin_at, gaussian_market, observe_all, queue_market

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """Give every test the same random numbers, whichever tests ran before it."""
    RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state


TRUTH = np.array([0.5, -1.0, 0.0, 2.0])


def rows(count: int, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    x = RNG.normal(size=(count, 4)) * (1, 10, 0.1, 1) + (0, 5, 1, -1)
    return x, x @ TRUTH + noise * RNG.normal(size=count)


def test_slippage_model_before_fit_predicts_zero() -> None:
    """Before any fit the residual over the walk is zero."""
    assert SlippageModel().predict(np.ones((3, 8))).tolist() == [0, 0, 0]
    assert SlippageModel().predict_one([1.0] * 8) == 0


@pytest.mark.parametrize("count", [60, 1000])
def test_slippage_model_equals_scaled_ridge_of_scikit_learn(count: int) -> None:
    """Within its limits the fit is scikit-learn's scaler and ridge of 50 rows, shrunk by n / (n + 100)."""
    x, y = rows(count)
    oracle = make_pipeline(StandardScaler(), Ridge(alpha=50.0)).fit(x, y)
    model = SlippageModel().fit(x, y)
    scaled = np.abs((x - x.mean(0)) / x.std(0)).max(axis=1) < 3
    expected = count / (count + 100) * oracle.predict(x)
    is_unclipped = scaled & (np.abs(expected) < 3 * math.sqrt((y**2).mean()))
    assert is_unclipped.sum() > count / 2
    assert model.predict(x)[is_unclipped] == pytest.approx(expected[is_unclipped], abs=1e-9)


def floored_scaler(x: np.ndarray) -> StandardScaler:
    """Return scikit-learn's scaler of these rows, no scale of it below a twentieth of the column's mean."""
    scaler = StandardScaler().fit(x)
    scaler.scale_ = np.maximum(scaler.scale_, 0.05 * np.abs(scaler.mean_) + 1e-9)
    return scaler


def assert_is_shrunk_ridge(model: SlippageModel, x: np.ndarray, y: np.ndarray, samples: float) -> None:
    """Assert that weights, bias and predictions are those of scikit-learn on these rows, worth so many samples.

    The ridge is worth 50 samples, so 50 rows for each sample's rows; all is shrunk by samples / (samples + 100).
    Predictions are equal where no column is beyond 3 sd, up to the limit of 3 root mean squares of y.
    """
    scaler, shrink = floored_scaler(x), samples / (samples + 100)
    ridge = Ridge(alpha=50 * len(y) / samples).fit(scaler.transform(x), y)
    assert model.predictor is not None
    weights = shrink * ridge.coef_ / scaler.scale_
    assert model.predictor.weights == pytest.approx(weights, rel=1e-9, abs=1e-9 * np.abs(weights).max())
    assert model.predictor.bias == pytest.approx(shrink * ridge.intercept_ - weights @ scaler.mean_, abs=1e-9)
    limit = 3 * math.sqrt((y**2).mean())
    is_inside = np.abs(scaler.transform(x)).max(axis=1) < 3
    expected = np.clip(shrink * ridge.predict(scaler.transform(x)), -limit, limit)
    assert is_inside.mean() > 0.5
    assert model.predict(x)[is_inside] == pytest.approx(expected[is_inside], rel=1e-9, abs=1e-9)
    # Beyond 3 sd a column counts as if it were there.
    clipped = scaler.inverse_transform(np.clip(scaler.transform(x), -3, 3))
    expected = np.clip(shrink * ridge.predict(scaler.transform(clipped)), -limit, limit)
    assert model.predict(x) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("samples", [10.0, 250.0, 1000.0])
@pytest.mark.parametrize("nearly_constant", [False, True])
def test_slippage_model_has_weights_of_scikit_learn(samples: float, nearly_constant: bool) -> None:
    """Weights and bias are scikit-learn's on the same rows, also where a scale is floored."""
    x, y = rows(1000)
    if nearly_constant:
        x[:, 1] = 5 + 1e-3 * RNG.normal(size=1000)
        x[:, 2] = 3.0
    assert_is_shrunk_ridge(SlippageModel().fit(x, y, samples), x, y, samples)


@pytest.mark.parametrize("make", [queue_market, gaussian_market])
def test_learned_slippage_model_has_weights_of_scikit_learn(make: Callable[[int, int], Iterator[OrderBook]]) -> None:
    """What is learned of a market's first 300 samples is scikit-learn's ridge on their training rows.

    Rows beyond the visible book are left out. At 100 ms a sample and a latency of 0.1 s nothing overlaps: the rows
    are worth 300 samples.
    """
    books = list(make(330, 1))
    book_states = observe_all(books)
    first = begin_at(book_states[0], 0.1, 0.5)
    samples = [Sample(each, each["market_ns"].item(), first) for each in book_states[:300]]
    block = make_block(samples, books)
    (learned,) = OnlineLearner(0.1, 0.5).learn(block)
    typical = TypicalAtSamples(
        *(np.full(300, value) for value in (first.depth_1, first.depth_10, first.slope, first.volatility_bps))
    )
    (training,) = TrainingData(block.book_states, np.array([0]), typical, block.books, 0, 0.1, 0.5)
    inside = training.orders[0].ravel() > 0
    columns = training.orders.reshape(len(training.orders), -1)[:, inside]
    assert learned.slippage is not None
    assert_is_shrunk_ridge(learned.slippage, columns[1:-1].T, columns[-1], 300.0)


def test_slippage_model_does_not_depend_on_units() -> None:
    """Scaling a column changes nothing, because columns are standardised."""
    x, y = rows(200)
    plain, scaled = SlippageModel().fit(x, y), SlippageModel().fit(x * (1e3, 1, 1e-3, 7), y)
    assert scaled.predict(x * (1e3, 1, 1e-3, 7)) == pytest.approx(plain.predict(x), abs=1e-4)


@pytest.mark.parametrize("count", [10, 30, 100])
def test_slippage_model_stays_bounded_with_nearly_constant_columns(count: int) -> None:
    """Predictions stay within three root mean squares, where ten such rows ruin a bare regression."""
    x, y = rows(count)
    x[:, 1] = 5 + 1e-9 * RNG.normal(size=count)
    x[:, 2] = 3.0
    model = SlippageModel().fit(x, y)
    perturbed = x + RNG.normal(size=x.shape)
    limit = 3 * math.sqrt((y**2).mean())
    assert np.abs(model.predict(perturbed)).max() <= limit * (1 + 1e-12)
    assert np.abs(model.predict(x) - model.predict(x + np.array([0, 0.01, 0, 0]))).max() < limit / 10


def test_slippage_model_of_identical_rows_predicts_shrunk_mean() -> None:
    """One row, or the same row many times, predicts a shrunk mean and nothing infinite."""
    for count in (1, 50):
        x, y = np.tile([[1.0, 2.0, 3.0, 4.0]], (count, 1)), np.full(count, 0.7)
        assert SlippageModel().fit(x, y).predict(x) == pytest.approx(np.full(count, 0.7 * count / (count + 100)))


@settings(deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=4, max_size=4))
def test_predict_one_equals_predict_of_many(row: list[float]) -> None:
    """The fast way for one row gives the numbers of the way for many."""
    x, y = np.linspace(-3, 5, 80).reshape(20, 4) ** 2, np.linspace(-1, 4, 20)
    slippage = SlippageModel().fit(x, y)
    assert slippage.predict_one(row) == pytest.approx(slippage.predict(np.array([row])).item(), abs=1e-9)
    fill = MakerTakerModel().fit(x, (y > 1).astype(float))
    assert fill.predict_one(row) == pytest.approx(fill.predict_proba(np.array([row]))[0, 1], abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.1, 1.0), st.integers(1, 5))
def test_decayed_sums_equal_sums_of_weighted_rows(decay: float, blocks: int) -> None:
    """Decayed sums are the sums of rows weighted by their age."""
    sums, kept_x, kept_y, weights = RegressionSums(4), [], [], np.zeros(0)
    for _ in range(blocks):
        x, y = rows(7)
        sums.add(x, y, decay)
        kept_x.append(x)
        kept_y.append(y)
        weights = np.append(weights * decay, np.ones(7))
    design = np.column_stack((np.ones(len(weights)), np.vstack(kept_x), np.concatenate(kept_y)))
    assert sums.sums == pytest.approx((design * weights[:, None]).T @ design)


def test_maker_model_before_fit_is_its_prior() -> None:
    """Before any fit the chance is the prior's logit; without a prior it is 0.5."""
    prior = Prior((1.0, -0.5), (2.0, 0.0), (0.5, 1.0), -1.0)
    chance = 1 / (1 + math.exp(-(-1.0 + 1.0 * 1 - 0.5 * 2)))
    assert MakerTakerModel(prior).predict_one([2.5, 2.0]) == pytest.approx(chance)
    assert MakerTakerModel().predict_proba(np.ones((2, 3))).tolist() == [[0.5, 0.5]] * 2


def test_maker_model_with_many_rows_equals_scikit_learn() -> None:
    """Many rows outweigh the prior: the fit is scikit-learn's logistic regression, mixed by n / (n + 100)."""
    x = RNG.normal(size=(4000, 2))
    y = (RNG.random(4000) < 1 / (1 + np.exp(-(0.3 + x @ (1.0, -0.5))))).astype(float)
    model = MakerTakerModel(Prior((0.0, 0.0), (0.0, 0.0), (1.0, 1.0), 0.0)).fit(x, y)
    oracle = make_pipeline(StandardScaler(), LogisticRegression(C=1.0)).fit(x, y)
    inside = np.abs(x).max(axis=1) < 2.5
    assert model.predict_proba(x)[inside] == pytest.approx(oracle.predict_proba(x)[inside], abs=0.02)
    assert model.samples == 4000


@pytest.mark.parametrize("per_row", [1.0, 0.1])
def test_maker_model_has_logits_of_scikit_learn_and_prior(per_row: float) -> None:
    """Where no row is beyond 3 sd, logits are scikit-learn's by n / (n + 100) and the prior's for the rest.

    They agree to 1e-7 with the same solver of scikit-learn, which stops early: within 1e-4 of the exact solution. n is
    the sum of the rows' weights, which count in the scaler, too. The prior's intercept is the likeliest one given
    N(prior, 0.7^2) and its own weights, found by a minimiser. No scale is below a quarter of the prior's.
    """
    x = np.clip(RNG.normal(size=(800, 3)), -2.5, 2.5) * (1.0, 3.0, 0.01) + (0.0, 1.0, 0.0)
    y = (RNG.random(800) < 1 / (1 + np.exp(-(-0.7 + x @ (1.0, -0.2, 0.0))))).astype(float)
    weight = np.where(np.arange(800) % 3, per_row, 2 * per_row)
    prior = Prior((0.5, -0.3, 0.2), (0.0, 0.0, 0.0), (1.0, 2.0, 1.0), -1.0)
    scaler = StandardScaler().fit(x, sample_weight=weight)
    assert scaler.scale_[2] < 0.25 * prior.scale[2]
    scaler.scale_[2] = 0.25 * prior.scale[2]
    z = scaler.transform(x)
    assert np.abs(z).max() < 3
    offset = z @ prior.weights

    def unlikelihood(bias: float) -> float:
        logit = offset + bias
        return float((bias + 1.0) ** 2 / 0.98 - weight @ (y * logit - np.log1p(np.exp(logit))))

    bias = minimize_scalar(unlikelihood, bounds=(-6, 4), method="bounded", options={"xatol": 1e-12}).x
    shrink = weight.sum() / (weight.sum() + 100)
    model = MakerTakerModel(prior).fit(x, y, weight)
    assert model.samples == pytest.approx(weight.sum())
    same_solver = LogisticRegression(C=1.0, solver="newton-cholesky")
    exact = LogisticRegression(C=1.0, tol=1e-12, max_iter=10_000)
    for oracle, tolerance in ((same_solver, 1e-7), (exact, 1e-4)):
        fitted = oracle.fit(z, y, weight).decision_function(z)
        logit = shrink * fitted + (1 - shrink) * (offset + bias)
        assert model.chances(x) == pytest.approx(1 / (1 + np.exp(-logit)), abs=tolerance)


def test_maker_model_counts_overlapping_windows_once() -> None:
    """Rows of weight 1/10 move the prior as a tenth of the rows would."""
    x = np.repeat(RNG.normal(size=(60, 2)), 10, axis=0)
    y = np.repeat((RNG.random(60) < 0.3).astype(float), 10)
    prior = Prior((0.5, 0.5), (0.0, 0.0), (1.0, 1.0), 0.0)
    repeated = MakerTakerModel(prior).fit(x, y, np.full(600, 0.1))
    once = MakerTakerModel(prior).fit(x[::10], y[::10])
    assert repeated.predict_proba(x) == pytest.approx(once.predict_proba(x), abs=1e-3)


def test_maker_model_with_few_rows_moves_mainly_its_intercept() -> None:
    """Ten windows leave the prior's weights nearly as they are, and move its rate towards the observed one."""
    prior = Prior((1.0,), (0.0,), (1.0,), 0.0)
    x = np.linspace(-2, 2, 10)[:, None]
    never = MakerTakerModel(prior).fit(x, np.zeros(10))
    low, high = never.predict_one([-1.0]), never.predict_one([1.0])
    assert 0 < low < high < MakerTakerModel(prior).predict_one([1.0])
    slope = (math.log(high / (1 - high)) - math.log(low / (1 - low))) / (2 / x.std())
    assert slope == pytest.approx(1.0, rel=0.01)


def test_maker_model_survives_equal_outcomes() -> None:
    """Where quotes were never or always crossed, the chance is still strictly between 0 and 1."""
    x = RNG.normal(size=(200, 3))
    for outcome in (0.0, 1.0):
        chances = MakerTakerModel().fit(x, np.full(200, outcome)).predict_proba(x)
        assert ((chances > 0) & (chances < 1)).all()


def test_standard_deviation_is_at_least_a_twentieth_of_the_mean() -> None:
    """A constant column has a standard deviation above zero, so that nothing is divided by zero."""
    assert standard_deviation(np.array([0.0, 2.0, -4.0, 0.0]), np.array([4.0, 0.0, -1e-20, 0.0])) == pytest.approx(
        [2, 0.1, 0.2, 1e-9]
    )
