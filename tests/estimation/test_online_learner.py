"""How the models learn: what the training rows and labels are, when a fit takes effect, and what restarts it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calculations import Estimate, Order, TradingCalculator
from estimation import training_data
from estimation.features import SLIPPAGE_COLUMNS, flow_increment
from estimation.fit_worker import WORKER
from estimation.labels import Labels
from estimation.model_record import LARGEST, SMALLEST, STRATA
from estimation.model_state import ModelState
from estimation.online_learner import OnlineLearner, SampleBlocks
from estimation.pricing import cost_beyond_best
from estimation.training_schedule import GAP_NS, Sample, TrainingSchedule, make_block, merge_fits, plan_fits
from models import SlippageModel
from orderbook import OrderBook, Side, walk
from orderbook.batch import BookBatch, SideBatch, walk_sizes
from tests.support.brute_force import label_by_definition, touched_and_mid_by_definition
from tests.support.loopback import eventually
from tests.support.paths import PROJECT
from tests.support.synthetic_markets import (
    START_NS,
    STEP_NS,
    begin_at,
    count_learned_samples,
    gaussian_market,
    observe_all,
    price_on,
    queue_market,
    ragged_books,
)

RNG = np.random.default_rng(7)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-3, 2.0), st.sampled_from([0.0, 2.0, 6.0]))
def test_batch_walk_matches_walk_of_each_book(seed: int, slope: float, largest: float) -> None:
    """Compare every size's cost beyond the best price, and whether the book holds it, with the walk of one book.

    Books have any depth; sizes end within a level, at its end, and beyond the last. The quantity offered at a price
    is the sum of the levels that reach it.
    """
    books, rng = ragged_books(5, seed), np.random.default_rng(seed)
    stacked = BookBatch.from_books(books)
    quantity = np.sort(np.exp(rng.uniform(-5, largest, (2, 5, 4))))
    for side, each in enumerate(Side):
        for row, one in enumerate(books):
            sizes = np.cumsum(one.taken_by(each)[:, 1])
            quantity[side, row, 1:] = np.sort([rng.choice(sizes), sizes[-1], 7 * sizes[-1]])
            quantity[side, row, 0] = min(quantity[side, row, 0], quantity[side, row, 1])
    order = rng.permutation(5)
    for side, each in enumerate(Side):
        levels, place = stacked.sides(side, order), np.argsort(order)
        many, inside = walk_sizes(*levels, place, quantity[side], np.full(5, slope))
        for row, one in enumerate(books):
            best = one.taken_by(each)[0, 0]
            for column in range(4):
                fill = walk(one.taken_by(each), quantity[side, row, column])
                paid = (fill.vwap - best) * fill.quantity
                wanted = cost_beyond_best(
                    float(each.value), best, slope, fill.quantity, paid, fill.worst_price, fill.unfilled
                )
                assert many[row, column] == pytest.approx(wanted, rel=1e-9, abs=1e-9)
                assert inside[row, column] == (fill.unfilled == 0)
            price = one.taken_by(each)[0, 0] + each.value
            reached = each.value * (one.taken_by(each)[:, 0] - price) <= 0
            offered = stacked.quantity_within(side, np.array([row]), np.array([price]))
            assert offered.item() == pytest.approx(one.taken_by(each)[reached, 1].sum())


class _RowsRecorder(SlippageModel):
    """A model that keeps the rows it predicts, and predicts 0."""

    def predict(self, x: Any) -> Any:
        self.rows = x
        return np.zeros(len(x))


def test_training_rows_match_features_of_estimates() -> None:
    """Every column of every training row is the feature that an estimate of that order on that book has.

    A row of zeros stands for an order that the book does not hold.
    """
    books = ragged_books(40, 3)
    model = _RowsRecorder()
    book_states = observe_all(books)
    state = replace(begin_at(book_states[0], 0.1, 0.5), slippage=model, shrinkage=0.5)
    samples = [Sample(each, each["market_ns"].item(), state) for each in book_states[:30]]
    OnlineLearner(0.1, 0.5).learn(make_block(samples, books))
    rows = model.rows.reshape(30, 2, STRATA, 8)
    places = np.arange(30)[:, None, None] * training_data._ROOTS % 1.0 + np.arange(STRATA)
    sizes = state.depth_10 * SMALLEST * (LARGEST / SMALLEST) ** (places / STRATA)
    outside = 0
    for side, each in enumerate(Side):
        for row, book_state in enumerate(book_states[:30]):
            for column in range(STRATA):
                order = Order(each, sizes[row, side, column], passive_s=0.5)
                estimate = price_on(books[row], book_state, state, order)
                features = [estimate.row[f"feature_{name}"] for name in SLIPPAGE_COLUMNS]
                wanted = np.zeros(8) if estimate.unfilled else features
                assert rows[row, side, column] == pytest.approx(wanted, rel=1e-6, abs=1e-6)
                outside += estimate.unfilled > 0
    assert 10 < outside < 180


def test_training_sizes_are_log_uniform_in_each_size_class() -> None:
    """Every size class between a fiftieth and twice the typical depth gets one size a side, evenly spread over it."""
    places = np.arange(5000) * training_data._ROOTS[:, :, None] % 1.0
    assert places.shape == (2, STRATA, 5000)
    for column in places.reshape(-1, 5000):
        assert np.histogram(column, 10, (0, 1))[0] == pytest.approx(np.full(10, 500), abs=15)
    assert abs(np.corrcoef(places.reshape(-1, 5000)) - np.eye(12)).max() < 0.1


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0, 50, 100, 250]), st.sampled_from([100, 300, 730]))
def test_labels_match_their_definitions_on_uneven_clock(seed: int, latency_ms: int, passive_ms: int) -> None:
    """Check marketable on arrival, crossed, offered, touched and the mid afterwards, in blocks and book by book."""
    rng = np.random.default_rng(seed)
    clock = START_NS + np.cumsum(rng.choice([40, 60, 100, 170], 60)) * 1_000_000
    books = [replace(each, market_ns=int(ns)) for each, ns in zip(ragged_books(60, seed), clock, strict=True)]
    latency_ns, passive_ns = latency_ms * 1_000_000, passive_ms * 1_000_000
    count = sum(each.market_ns + latency_ns + passive_ns <= books[-1].market_ns for each in books)
    sampled = np.concatenate(observe_all(books)[:count]).view(np.recarray)
    labels = Labels.from_books(sampled, BookBatch.from_books(books), latency_ms / 1e3, passive_ms / 1e3)
    for side, each in enumerate(Side):
        calculator = TradingCalculator(Order(each, 2.0, latency_s=latency_ms / 1e3, passive_s=passive_ms / 1e3))
        for one in books:
            calculator.estimate(one)
        realised = {outcome.market_ns: outcome.realised_maker for outcome in calculator.realised()}
        for row in range(count):
            late, crossed, volume = label_by_definition(books, row, each, latency_ns, passive_ns)
            assert labels.marketable_on_arrival[row, side] == late
            assert labels.crossed[row, side] == crossed
            left = touched_and_mid_by_definition(books, row, each, latency_ns, passive_ns, late)
            assert (labels.touched[row, side], labels.mid_after[row, side]) == left
            assert labels.quantity_offered[row, side] == pytest.approx(volume)
            if books[row].market_ns in realised:
                assert realised[books[row].market_ns] == pytest.approx(min(1.0, volume / 2.0))
        assert len(realised) >= count - 2


def test_book_state_has_flow_and_return_of_last_second() -> None:
    """The flow is the sum of the touch's increments over the last second, and the return is the mid's over it."""
    books = list(gaussian_market(60, 4))
    (state,) = observe_all(books)[39]
    touches = [(b.bids[0, 0], b.bids[0, 1], b.asks[0, 0], b.asks[0, 1]) for b in books]
    wanted = sum(flow_increment(*before, *after) for before, after in pairwise(touches[29:40]))
    assert state["flow"] == pytest.approx(wanted)
    assert state["return_bps"] == pytest.approx((books[39].mid / books[29].mid - 1) * 1e4)


def estimate_all(calculator: TradingCalculator, market: Iterator[OrderBook] | list[OrderBook]) -> list[Estimate]:
    return [calculator.estimate(each) for each in market]


def compared_fields(estimate: Estimate) -> tuple[Any, ...]:
    return (estimate.slippage_bps, estimate.slippage_low_bps, estimate.maker_probability, estimate.parameters)


def test_fit_on_n_samples_takes_effect_at_sample_n_plus_50() -> None:
    """Fits are made on the first 10, 50, 100, ... samples; each takes effect 50 samples later."""
    calculator = TradingCalculator(Order(Side.BUY, 1.0, passive_s=0.5))
    learned = []
    for each in queue_market(300, 1):
        calculator.estimate(each)
        learned.append(count_learned_samples(calculator))
    resolved_after = 6  # books until latency and waiting time have passed: 0.6 s
    changes = [
        (row, after) for row, (before, after) in enumerate(zip([0, *learned], learned, strict=False)) if after != before
    ]
    assert changes == [(n + 50 + resolved_after - 1, n) for n in (10, 50, 100, 150, 200)]


def test_estimates_repeat_exactly_however_long_fits_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """Estimates are equal twice in a row, and however long the fits take on their thread."""
    first = [
        compared_fields(each) for each in estimate_all(TradingCalculator(Order(Side.BUY, 1.0)), queue_market(300, 2))
    ]
    second = [
        compared_fields(each) for each in estimate_all(TradingCalculator(Order(Side.BUY, 1.0)), queue_market(300, 2))
    ]
    learn, delays = OnlineLearner.learn, iter([0.05, 0.0, 0.1, 0.0, 0.02, 0.0, 0.0])

    def slowly(self: OnlineLearner, blocks: SampleBlocks) -> list[ModelState]:
        time.sleep(next(delays))
        return learn(self, blocks)

    monkeypatch.setattr(OnlineLearner, "learn", slowly)
    third = [
        compared_fields(each) for each in estimate_all(TradingCalculator(Order(Side.BUY, 1.0)), queue_market(300, 2))
    ]
    assert first == second == third
    assert first[-1][0] is not None


def learn_book_by_book(books: list[OrderBook], latency_s: float, passive_s: float) -> list[tuple[int, ModelState]]:
    """Return each model state of a TrainingSchedule and the first book it is in use after."""
    book_states = observe_all(books)
    first_state = begin_at(book_states[0], latency_s, passive_s)
    schedule = TrainingSchedule(first_state, OnlineLearner(latency_s, passive_s), latency_s, passive_s)
    states: list[tuple[int, ModelState]] = []
    for row, (each, book_state) in enumerate(zip(books, book_states, strict=True)):
        if row and each.market_ns - books[row - 1].market_ns > GAP_NS:
            schedule.discard()
        if schedule.add(each):
            schedule.sample(book_state, each.market_ns)
        if not states or schedule.state is not states[-1][1]:
            states.append((row, schedule.state))
    return states


def learn_whole_arrays(
    all_book_states: Any, books: BookBatch, latency_s: float, passive_s: float, first_state: ModelState, at_once: int
) -> list[tuple[int, ModelState]]:
    """Return the same from planned fits, of which `at_once` are learned from together."""
    fits = plan_fits(all_book_states.market_ns, latency_s, passive_s)
    learner = OnlineLearner(latency_s, passive_s)
    from_rows = [fit.from_row for fit in fits if fit.from_row is not None]
    states = [first_state]
    for first in range(0, len(fits), at_once):
        samples, starts, shown = merge_fits(fits[first : first + at_once])
        state_index = np.searchsorted(from_rows, samples, side="right")
        blocks = SampleBlocks(all_book_states[samples], starts, states, state_index, books.take(shown))
        states += learner.learn(blocks)
    return list(zip([0, *from_rows], states, strict=False))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(0.0, 0.1), (0.1, 0.5), (0.3, 2.0)]))
def test_learning_over_whole_arrays_matches_learning_book_by_book(seed: int, times: tuple[float, float]) -> None:
    """Each model state, and the book from which it is in use, is that of learning book by book.

    The clock has gaps and books faster than 10 ms; books have any depth, or lie in one array of all levels.
    """
    rng = np.random.default_rng(seed)
    step_ms = rng.choice(
        [0, 1, 4, 9, 30, 100, 101, 250, 6000], 900, p=[0.05, 0.1, 0.1, 0.1, 0.2, 0.2, 0.2, 0.045, 0.005]
    )
    clock = START_NS + np.cumsum(step_ms) * 1_000_000
    books = [replace(each, market_ns=int(ns)) for each, ns in zip(ragged_books(900, seed), clock, strict=True)]
    book_states = observe_all(books)
    all_book_states = np.concatenate(book_states).view(np.recarray)
    stacked = BookBatch.from_books(books)
    sides = [SideBatch.from_sides([each.taken_by(side) for each in books]) for side in Side]
    whole = BookBatch(
        clock, np.stack([side.best_levels() for side in sides]), lambda side, rows: sides[side].take(rows)
    )
    wanted = learn_book_by_book(books, *times)
    for shown, at_once in ((stacked, 1), (whole, 3), (whole, 1000)):
        states = learn_whole_arrays(all_book_states, shown, *times, begin_at(book_states[0], *times), at_once)
        assert [(row, state.samples) for row, state in states] == [(row, state.samples) for row, state in wanted]
        for (_, one), (_, other) in zip(states, wanted, strict=True):
            assert (one.shrinkage, one.band, one.fill_shrinkage, one.crossings) == (
                other.shrinkage,
                other.band,
                other.fill_shrinkage,
                other.crossings,
            )
            assert one.scorecard == other.scorecard


def test_gap_discards_only_samples_that_span_it() -> None:
    """After a gap of more than 5 s, waiting samples are forgotten, what was learned stays, and learning continues."""
    calculator = TradingCalculator(Order(Side.BUY, 1.0))
    market = list(queue_market(330, 1))
    estimate_all(calculator, market[:130])
    before = count_learned_samples(calculator)
    calculator.realised()
    later = [replace(each, market_ns=each.market_ns + 60 * 10**9) for each in market[130:]]
    assert compared_fields(calculator.estimate(later[0])) is not None
    assert count_learned_samples(calculator) == before > 0
    estimate_all(calculator, later[1:])
    assert count_learned_samples(calculator) > before
    realised = [each.market_ns for each in calculator.realised()]
    assert realised[0] == later[0].market_ns
    assert min(b - a for a, b in pairwise(realised)) == STEP_NS


@pytest.mark.parametrize("back_ns", [1, 10 * 10**9])
def test_step_back_in_time_restarts_learning(back_ns: int) -> None:
    """From there on the estimates are those of a calculator that never got the books before."""
    calculator, fresh = TradingCalculator(Order(Side.BUY, 1.0)), TradingCalculator(Order(Side.BUY, 1.0))
    old = list(queue_market(200, 1))
    estimate_all(calculator, old)
    shift = old[-1].market_ns - back_ns - START_NS
    again = [replace(each, market_ns=each.market_ns + shift) for each in queue_market(200, 5)]
    assert [compared_fields(each) for each in estimate_all(calculator, again)] == [
        compared_fields(each) for each in estimate_all(fresh, again)
    ]


def test_book_of_another_market_restarts_learning() -> None:
    """Books of another symbol are estimated as by a new calculator."""
    calculator, fresh = TradingCalculator(Order(Side.BUY, 1.0)), TradingCalculator(Order(Side.BUY, 1.0))
    estimate_all(calculator, queue_market(150, 1))
    other = replace(next(gaussian_market(1, 1)), symbol="OTHER", market_ns=START_NS + 20 * 10**9)
    assert compared_fields(calculator.estimate(other)) == compared_fields(fresh.estimate(other))


def test_error_in_fit_is_raised_once_and_restarts_learning(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is raised where the fit was due; then the estimates are those of a calculator that begins there."""
    calculator = TradingCalculator(Order(Side.BUY, 1.0))
    learn = OnlineLearner.learn

    def fails(self: OnlineLearner, blocks: SampleBlocks) -> list[ModelState]:
        if len(blocks.book_states.mid) == 40:
            raise ArithmeticError("made to fail")
        return learn(self, blocks)

    market = list(queue_market(400, 1))
    raised = []
    with monkeypatch.context() as patch:
        patch.setattr(OnlineLearner, "learn", fails)
        for row, each in enumerate(market):
            try:
                calculator.estimate(each)
            except ArithmeticError:
                raised.append(row)
                break
    after = market[raised[0] + 1 :]
    fresh = TradingCalculator(Order(Side.BUY, 1.0))
    assert [compared_fields(each) for each in estimate_all(calculator, after)] == [
        compared_fields(each) for each in estimate_all(fresh, after)
    ]
    assert count_learned_samples(calculator) > 0


def test_calculator_holds_bounded_number_of_books() -> None:
    """Only books that wait for their outcome or are being learned from are held, however many come, however fast."""
    calculator = TradingCalculator(Order(Side.BUY, 1.0, passive_s=1.0))
    held: list[weakref.ref[Any]] = []
    most = 0
    for row, each in enumerate(queue_market(6000, 1)):
        quick = replace(each, bids=each.bids.copy(), market_ns=START_NS + row * 2_000_000)
        held.append(weakref.ref(quick.bids))
        calculator.estimate(quick)
        if row % 500 == 499:
            held = [each for each in held if each() is not None]
            most = max(most, len(held))
    # At one book in 10 ms: 5 s of a block, another being learned, 1.1 s of waiting.
    assert most < 1300
    # Of these 12 s the first 10 are learned from: 2 s wait.
    eventually(lambda: sum(each() is not None for each in held) < 220)
    assert len(calculator.recent()) == 500
    assert len(calculator.realised()) < 6000


def test_warm_up_loads_and_compiles_all_that_fits_need() -> None:
    """In a fresh process warm_up loads scikit-learn, which importing the models does not, and compiles the learner.

    When a market is learned from afterwards, nothing more is compiled.
    """
    script = """
import sys
from estimation.warm_up import warm_up
print("sklearn" in sys.modules)
warm_up()
print("sklearn.linear_model" in sys.modules)
def compiled():
    every = [each for module in list(sys.modules.values()) for each in vars(module).values()]
    return {str(each): len(each.signatures) for each in every if type(each).__name__ == "CPUDispatcher"}
beforehand = compiled()
from tests.estimation.test_online_learner import learn_book_by_book
from tests.support.synthetic_markets import queue_market
learn_book_by_book(list(queue_market(300, 1)), 0.1, 2.0)
print(sum(beforehand.values()) > 5 and all(compiled()[name] == count for name, count in beforehand.items()))
"""
    command, folder = [sys.executable, "-c", script], PROJECT
    process = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, cwd=folder)
    assert process.stdout.split() == ["False", "True", "True"]


def test_all_sessions_are_learned_on_one_thread_that_falls_idle() -> None:
    """Two calculators share one thread, which is a daemon, and which has nothing left to do after the last block."""
    for seed in (1, 2):
        estimate_all(TradingCalculator(Order(Side.BUY, 1.0)), queue_market(400, seed))
    (worker,) = (each for each in threading.enumerate() if each.name == "fits")
    assert worker.daemon
    eventually(lambda: WORKER.is_idle)


def test_training_schedule_takes_less_than_100_us_a_book_on_feed_thread() -> None:
    """Handing samples over costs microseconds on the thread that estimates: fits run on their own."""
    market = list(queue_market(1500, 1))
    book_states = observe_all(market)
    schedule = TrainingSchedule(begin_at(book_states[0]), OnlineLearner(0.1, 2.0), 0.1, 2.0)
    began = time.thread_time()
    for each, book_state in zip(market, book_states, strict=True):
        if schedule.add(each):
            schedule.sample(book_state, each.market_ns)
    assert (time.thread_time() - began) / len(market) < 100e-6


def test_due_fit_is_not_waited_for_while_the_worker_is_paused() -> None:
    """At the very first start, while the compiler works, estimates go on; all that was queued is learned after it."""
    market = list(queue_market(330, 1))
    calculator = TradingCalculator(Order(Side.BUY, 1.0))
    WORKER.pause()
    try:
        estimate_all(calculator, market[:250])
        assert count_learned_samples(calculator) == 0
    finally:
        WORKER.resume()
    WORKER.wait_until_idle()
    estimate_all(calculator, market[250:])
    assert count_learned_samples(calculator) >= 200
