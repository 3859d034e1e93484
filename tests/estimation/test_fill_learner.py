"""What is learned of passive orders: sums over brute-force outcomes, literal priors, and how fast it is forgotten."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from estimation.features import MAKER_COLUMNS
from estimation.fill_learner import MIN_BAND_ROWS, FillLearner
from estimation.model_record import CURVE_SIZES
from estimation.model_state import ModelState, StateRows, fill_prior, prior_weight
from estimation.online_learner import OnlineLearner
from estimation.training_data import SIZES, QuoteSums, TrainingBlock
from estimation.training_schedule import Sample, make_block
from orderbook import OrderBook, Side
from tests.support.brute_force import label_by_definition, touched_and_mid_by_definition
from tests.support.synthetic_markets import begin_at, book, observe_all, queue_market, ragged_books

LATENCY_NS, PASSIVE_NS = 100_000_000, 500_000_000
FIRST = begin_at(observe_all([book([(99.0, 1.0)], [(101.0, 1.0)])])[0])


def learn_once(books: list[OrderBook], count: int) -> tuple[ModelState, ModelState]:
    """Return the first model state, and that after learning the first `count` books as one block."""
    book_states = observe_all(books)
    state = begin_at(book_states[0], 0.1, 0.5)
    samples = [Sample(each, each["market_ns"].item(), state) for each in book_states[:count]]
    (learned,) = OnlineLearner(0.1, 0.5).learn(make_block(samples, books))
    return state, learned


@pytest.mark.parametrize("market", ["coarse", "queues"])
def test_rates_of_passive_orders_are_sums_over_brute_force_outcomes(market: str) -> None:
    """Compare rates, moves and shares on offer with sums over each quote's outcome by its definition.

    A quote of 100 ms weighs a tenth: windows of 0.5 s on both sides overlap. Moves count of every quote that was not
    crossed, whether it waited or came too late.
    """
    books = ragged_books(310, 4) if market == "coarse" else list(queue_market(310, 4))
    first, learned = learn_once(books, 300)
    crossed, touched, waited, n_late, away, towards, offered = 0, 0, 0, 0, [], [], []
    for row in range(300):
        for side in Side:
            late, is_crossed, quantity = label_by_definition(books, row, side, LATENCY_NS, PASSIVE_NS)
            moved, mid = touched_and_mid_by_definition(books, row, side, LATENCY_NS, PASSIVE_NS, late)
            crossed += is_crossed
            n_late += late
            move_bps = side.value * (mid / books[row].mid - 1) * 1e4
            if is_crossed:
                offered.append(quantity / first.depth_1)
                towards.append(move_bps)
            else:
                away.append(move_bps)
            if not is_crossed and not late:
                waited += 1
                touched += moved
    assert min(crossed, touched, waited - touched, len(away) - waited) > 5
    prior_rate = 1 / (1 + math.exp(-fill_prior(0.1, 0.5).intercept))
    lasting = (0.1 * crossed + prior_rate) / (0.1 * 600 + 1)
    recent = (0.1 * crossed + lasting) / (0.1 * 600 + 1)
    assert learned.base_rate == pytest.approx((lasting + recent) / 2, rel=1e-12)  # both had said the prior's
    assert learned.touch_rate == pytest.approx((0.1 * touched + 0.5) / (0.1 * waited + 1), rel=1e-12)
    assert learned.clean_up_bps == pytest.approx(np.mean(away), rel=1e-9)
    assert learned.clean_up_band == pytest.approx(np.quantile(away, [0.025, 0.975]), rel=1e-9)
    assert learned.late_rate == pytest.approx(0.1 * n_late / (0.1 * 600 + 1), rel=1e-12)
    shares = np.minimum(1.0, np.array(offered) / CURVE_SIZES[:, None])
    assert learned.crossings is not None
    assert learned.crossings.crossed_share == pytest.approx(shares.mean(axis=1), rel=1e-9)
    assert learned.crossings.whole_share == pytest.approx((shares == 1).mean(axis=1), rel=1e-9)
    assert learned.crossings.rest_move_bps == pytest.approx(((1 - shares) * towards).mean(axis=1), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("latency_s", "passive_s", "rate", "weight"),
    [
        (0.1, 1.0, 0.2110, 0.678628),
        (0.1, 2.0, 0.3058, 0.678628),
        (0.1, 5.0, 0.4601, 0.678628),
        (1.0, 2.0, 0.1976, 0.275910),
        (0.0, 2.0, 0.3657, 0.75),
    ],
)
def test_prior_has_literal_values(latency_s: float, passive_s: float, rate: float, weight: float) -> None:
    """The base rate before any quote and the prior's weight are the documented ones, faded by the latency."""
    learner = FillLearner(latency_s, passive_s)
    assert learner.base_rate() == pytest.approx(rate, abs=1e-4)
    assert prior_weight(latency_s) == pytest.approx(weight, abs=1e-6)
    assert learner.weight() == pytest.approx(weight, abs=1e-6)
    assert (learner.touch_rate(), learner.clean_up_bps(), learner.clean_up_band()) == (0.5, None, None)
    assert (learner.late_rate(), learner.crossing_curves()) == (0.0, None)


def test_prior_weights_have_literal_values() -> None:
    """Without a latency the weights are the pooled ones; at 1 s they fade by e, and the queue's changes its sign."""
    assert fill_prior(0.0, 1.0).weights == pytest.approx((-0.49, -0.18, 0.11, -0.10, 0.26), rel=1e-12)
    assert fill_prior(1.0, 1.0).weights == pytest.approx((-0.180261, -0.066218, 0.040467, 0.10, 0.095649), abs=1e-6)


def one_block(count: int, crossed: Sequence[float], moved_bps: float = 0.0) -> TrainingBlock:
    """Return a block of `count` samples whose two quotes are crossed so; the others waited, and half were touched."""
    outcomes = np.tile(np.array(crossed), (count, 1))
    uncrossed = float((outcomes == 0).sum())
    return TrainingBlock(
        orders=np.zeros((10, count, SIZES)),
        residual=np.zeros((count, SIZES)),
        quotes=np.zeros((len(MAKER_COLUMNS), count, 2)),
        crossed=outcomes,
        offered=outcomes,
        moved=np.full((count, 2), moved_bps),
        sums=QuoteSums(outcomes.sum(), uncrossed / 2, uncrossed, uncrossed * moved_bps, uncrossed),
    )


def test_old_quotes_weigh_one_e_th_after_fifteen_minutes() -> None:
    """50 samples 18 s apart last 900 s: what was learned before them weighs 1 / e in every rate.

    Of the recent rate, e^-30, nothing is left; and how right a rate was weighs e^-3.
    """
    learner, rows = FillLearner(0.1, 2.0), [StateRows(FIRST, slice(0, 50))]
    prior_rate = learner.base_rate()
    learner.learn(one_block(50, (1.0, 1.0)), rows, 18.0)
    lasting = (100 + prior_rate) / 101
    recent = (100 + lasting) / 101
    assert learner.base_rate() == pytest.approx((lasting + recent) / 2)
    learner.learn(one_block(50, (0.0, 0.0), 2.0), rows, 18.0)
    likelihoods = 100 * math.log(1 - lasting), 100 * math.log(1 - recent)
    assert learner.likelihoods == pytest.approx([100 * math.log(prior_rate) / math.e**3 + each for each in likelihoods])
    trust = 1 / (1 + math.exp(likelihoods[0] - likelihoods[1]))
    lasting = (100 / math.e + prior_rate) / (100 / math.e + 101)
    assert learner.base_rate() == pytest.approx((1 - trust) * lasting + trust * lasting / 101)
    assert learner.touch_rate() == pytest.approx(50.5 / 101)
    assert learner.clean_up_bps() == pytest.approx(2.0)
    learner.learn(one_block(50, (0.0, 0.0), 5.0), rows, 18.0)
    assert learner.clean_up_bps() == pytest.approx((2 / math.e + 5) / (1 / math.e + 1))
    assert learner.touch_rate() == pytest.approx((50 / math.e + 50.5) / (100 / math.e + 101))


def test_rate_follows_a_market_that_wakes() -> None:
    """After 20 minutes without a crossing a third of all quotes are crossed: in a minute the rate is near."""
    learner = FillLearner(0.1, 2.0)
    for _ in range(240):
        learner.learn(one_block(50, (0.0, 0.0)), [StateRows(FIRST, slice(0, 50))], 0.1)
    assert learner.base_rate() < 0.002
    for _ in range(12):
        learner.learn(one_block(50, (2 / 3, 0.0)), [StateRows(FIRST, slice(0, 50))], 0.1)
    lasting, recent = learner._rates()
    assert lasting < 0.06
    assert 0.25 < recent < 1 / 3
    assert learner.base_rate() == pytest.approx(recent, rel=0.01)


def test_weight_is_share_of_agreement_with_prior_as_half_a_window() -> None:
    """The prior's opinion counts like half a window that agreed as far as the prior's weight."""
    learner = FillLearner(0.1, 2.0)
    learner.agreement[:] = (1.0, 2.0)
    assert learner.weight() == pytest.approx((1 + 0.5 * 0.678628) / 2.5, abs=1e-6)
    learner.agreement[:] = (-1.0, 2.0)
    assert learner.weight() == 0.0
    learner.agreement[:] = (9.0, 2.0)
    assert learner.weight() == 1.0


def test_agreement_is_of_predictions_beyond_base_rate() -> None:
    """One block's agreement is the weighted sum of outcome x prediction, both beyond the base rate."""
    learner, count = FillLearner(0.1, 2.0), 10
    block = one_block(count, (1.0, 0.0))
    learner.learn(block, [StateRows(FIRST, slice(0, count))], 2.0)
    chance = FIRST.fill.predict_one([0.0] * 5)
    beyond, base, weight = chance - FIRST.base_rate, FIRST.base_rate, 0.5
    assert beyond != 0
    agreed = weight * count * ((1 - base) * beyond + (0 - base) * beyond)
    assert learner.agreement == pytest.approx([agreed, weight * 2 * count * beyond**2])


def test_clean_up_band_begins_with_its_fortieth_move() -> None:
    """There is no band of 39 moves and one of 40, from 2.5 % to 97.5 % of them."""
    learner = FillLearner(0.1, 2.0)
    learner.moved.add(np.arange(MIN_BAND_ROWS - 1.0))
    assert learner.clean_up_band() is None
    learner.moved.add(np.array([MIN_BAND_ROWS - 1.0]))
    assert MIN_BAND_ROWS == 40
    assert learner.clean_up_band() == pytest.approx((0.975, 38.025))
