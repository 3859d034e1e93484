"""How the models come by what they know: what was seen, when it counts, and what puts an end to it."""

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
from estimation.features import BookState, FeatureExtractor, flow_increment
from estimation.labels import Labels
from estimation.model_state import LARGEST, SMALLEST, STRATA, ModelState, initial_state
from estimation.online_learner import OnlineLearner, SampleBlocks
from estimation.realised import RealisedCosts
from estimation.slippage import SlippageEstimator
from estimation.training_schedule import GAP_NS, Sample, TrainingSchedule, make_block, merge_fits, plan_fits, to_columns
from models import SlippageModel
from orderbook import OrderBook, Side, walk
from orderbook.batch import BookBatch, SideBatch, walk_sizes
from tests.support.loopback import eventually
from tests.support.paths import PROJECT
from tests.support.synthetic_markets import (
    START_NS,
    STEP_NS,
    book,
    count_learned_samples,
    gaussian_market,
    queue_market,
)

RNG = np.random.default_rng(7)


def ragged(count: int, seed: int, deepest: int = 30, tick: float = 0.5) -> list[OrderBook]:
    """Books of many depths on a coarse grid, so that prices meet again and queues empty."""
    rng, best = np.random.default_rng(seed), 200
    made = []
    for row in range(count):
        best += int(rng.integers(-2, 3))
        spread = int(rng.integers(1, 4))
        sides = []
        for sign, first in ((-1, best), (1, best + spread)):
            ticks = first + sign * np.cumsum(np.append(0, rng.integers(1, 4, int(rng.integers(0, deepest)))))
            sides.append(np.column_stack((ticks * tick, rng.lognormal(0, 1, len(ticks)))))
        made.append(book(*sides, START_NS + row * STEP_NS))
    return made


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-3, 2.0), st.sampled_from([0.0, 2.0, 6.0]))
def test_many_books_are_walked_as_one_is(seed: int, slope: float, largest: float) -> None:
    """In books of any depth, at the end of a level and beyond the last: of every size the average beyond the best is
    the scalar walk's, and so is whether the book holds it; what is offered is summed by its definition."""
    books, rng = ragged(5, seed), np.random.default_rng(seed)
    stacked = BookBatch.from_books(books)
    quantity = np.sort(np.exp(rng.uniform(-5, largest, (2, 5, 4))))
    for side, each in enumerate(Side):
        for row, one in enumerate(books):
            sizes = np.cumsum(one.taken_by(each)[:, 1])
            quantity[side, row, 1:] = np.sort([rng.choice(sizes), sizes[-1], 7 * sizes[-1]])
            quantity[side, row, 0] = min(quantity[side, row, 0], quantity[side, row, 1])
    order = rng.permutation(5)
    for side, each in enumerate(Side):
        ladders, place = stacked.sides(side, order), np.argsort(order)
        many, inside = walk_sizes(*ladders, place, quantity[side], np.full(5, slope))
        for row, one in enumerate(books):
            moment = FeatureExtractor().extract(one)
            known = replace(initial_state(moment, 0.1, 2.0), slope=slope)
            crossing = SlippageEstimator(known, moment, each, 2.0)
            for column in range(4):
                fill = walk(one.taken_by(each), quantity[side, row, column])
                assert many[row, column] == pytest.approx(crossing.cost_beyond_best(fill), rel=1e-9, abs=1e-9)
                assert inside[row, column] == (fill.unfilled == 0)
            price = one.taken_by(each)[0, 0] + each.value
            reached = each.value * (one.taken_by(each)[:, 0] - price) <= 0
            offered = stacked.quantity_within(side, np.array([row]), np.array([price]))
            assert offered.item() == pytest.approx(one.taken_by(each)[reached, 1].sum())


class _Seen(SlippageModel):
    """Keeps the rows it is asked about."""

    def predict(self, x: Any) -> Any:
        self.rows = x
        return np.zeros(len(x))


def test_the_block_sees_what_the_estimate_saw() -> None:
    """Every column of every row learned from is the feature that an estimate of that order on that book has; a row of
    zeros stands for what the book does not hold."""
    books = ragged(40, 3)
    observer, model = FeatureExtractor(), _Seen()
    moments = [observer.extract(each) for each in books]
    known = replace(initial_state(moments[0], 0.1, 0.5), slippage=model, shrinkage=0.5)
    OnlineLearner(0.1, 0.5).learn(make_block([Sample(moment, known) for moment in moments[:30]], books))
    rows = model.rows.reshape(30, 2, STRATA, 8)
    places = np.arange(30)[:, None, None] * training_data._ROOTS % 1.0 + np.arange(STRATA)
    sizes = known.depth_10 * SMALLEST * (LARGEST / SMALLEST) ** (places / STRATA)
    outside = 0
    for side, each in enumerate(Side):
        for row, moment in enumerate(moments[:30]):
            for column in range(STRATA):
                fill = walk(books[row].taken_by(each), sizes[row, side, column])
                features = SlippageEstimator(known, moment, each, 0.5).features(fill).slippage_columns()
                wanted = np.zeros(8) if fill.unfilled else features
                assert rows[row, side, column] == pytest.approx(wanted, rel=1e-6, abs=1e-6)
                outside += fill.unfilled > 0
    assert 10 < outside < 180


def test_sizes_learned_from_are_log_uniform() -> None:
    """Every size class between a fiftieth and twice the usual depth gets one size a side, anywhere in it, whatever
    the book shows."""
    places = np.arange(5000) * training_data._ROOTS[:, :, None] % 1.0
    assert places.shape == (2, STRATA, 5000)
    for column in places.reshape(-1, 5000):
        assert np.histogram(column, 10, (0, 1))[0] == pytest.approx(np.full(10, 500), abs=15)
    assert abs(np.corrcoef(places.reshape(-1, 5000)) - np.eye(12)).max() < 0.1


def brute_force(
    books: list[OrderBook], row: int, side: Side, latency_ns: int, passive_ns: int
) -> tuple[bool, bool, float]:
    """Late, crossed, and what was offered then, straight from the definition."""
    quote = (books[row].bids if side is Side.BUY else books[row].asks)[0, 0]
    arrives = books[row].market_ns + latency_ns
    arrival = next(each for each in books if each.market_ns >= arrives)
    reached = lambda each: side.value * (each.taken_by(side)[0, 0] - quote) <= 0  # noqa: E731
    if reached(arrival):
        return True, False, 0.0
    for each in books:
        if arrives < each.market_ns <= arrives + passive_ns and reached(each):
            levels = each.taken_by(side)
            return False, True, levels[side.value * (levels[:, 0] - quote) <= 0, 1].sum()
    return False, False, 0.0


def left_behind(
    books: list[OrderBook], row: int, side: Side, latency_ns: int, passive_ns: int, late: bool
) -> tuple[bool, float]:
    """Whether the queue in front of a quote moved while it waited, and the mid afterwards, from the definition."""
    own = lambda each: each.taken_by(Side(-side.value))[0]  # noqa: E731
    price, arrives = own(books[row])[0], books[row].market_ns + latency_ns
    touched = False
    for before, each in pairwise(books):
        if arrives < each.market_ns <= arrives + passive_ns:
            worse = side.value * (own(each)[0] - price)
            shrank = side.value * (own(each)[0] - own(before)[0]) < 0 or own(each)[1] < own(before)[1]
            touched = touched or worse < 0 or (worse == 0 and shrank)
    seen = [each for each in books if each.market_ns <= arrives + passive_ns]
    return touched, next(each for each in books if each.market_ns >= arrives).mid if late else seen[-1].mid


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0, 50, 100, 250]), st.sampled_from([100, 300, 730]))
def test_outcomes_are_as_defined(seed: int, latency_ms: int, passive_ms: int) -> None:
    """In blocks and book by book, on an uneven clock: late, crossed in time, on offer, touched, and the mid that is
    left, as written down."""
    rng = np.random.default_rng(seed)
    clock = START_NS + np.cumsum(rng.choice([40, 60, 100, 170], 60)) * 1_000_000
    books = [replace(each, market_ns=int(ns)) for each, ns in zip(ragged(60, seed), clock, strict=True)]
    latency_ns, passive_ns = latency_ms * 1_000_000, passive_ms * 1_000_000
    count = sum(each.market_ns + latency_ns + passive_ns <= books[-1].market_ns for each in books)
    moments = [FeatureExtractor().extract(each) for each in books]
    labels = Labels.from_books(
        to_columns(moments[:count]), BookBatch.from_books(books), latency_ms / 1e3, passive_ms / 1e3
    )
    for side, each in enumerate(Side):
        hindsight, realised = RealisedCosts(), {}
        order = Order(each, 2.0, latency_s=latency_ms / 1e3, passive_s=passive_ms / 1e3)
        for one in books:
            hindsight.record_estimate(one, order, 2.0, None, 0.5)
            hindsight.process_pending()
            realised |= {r.market_ns: r.realised_maker for r in hindsight.drain_outcomes()}
        for row in range(count):
            late, crossed, volume = brute_force(books, row, each, latency_ns, passive_ns)
            assert labels.marketable_on_arrival[row, side] == late
            assert labels.crossed[row, side] == crossed
            left = left_behind(books, row, each, latency_ns, passive_ns, late)
            assert (labels.touched[row, side], labels.mid_after[row, side]) == left
            assert labels.quantity_offered[row, side] == pytest.approx(volume)
            if books[row].market_ns in realised:
                assert realised[books[row].market_ns] == pytest.approx(min(1.0, volume / 2.0))
        assert len(realised) >= count - 2


def test_flow_of_the_last_second() -> None:
    """The moment's flow is the sum of the touch's increments over the last second, and its return the mid's over it."""
    books = list(gaussian_market(60, 4))
    observer = FeatureExtractor()
    moments = [observer.extract(each) for each in books]
    touches = [(b.bids[0, 0], b.bids[0, 1], b.asks[0, 0], b.asks[0, 1]) for b in books]
    wanted = sum(flow_increment(a, b) for a, b in pairwise(touches[29:40]))
    assert moments[39].flow == pytest.approx(wanted)
    assert moments[39].return_bps == pytest.approx((books[39].mid / books[29].mid - 1) * 1e4)


def estimates(calculator: TradingCalculator, market: Iterator[OrderBook] | list[OrderBook]) -> list[Estimate]:
    return [calculator.estimate(each) for each in market]


def numbers(estimate: Estimate) -> tuple[Any, ...]:
    return (estimate.slippage_bps, estimate.slippage_low_bps, estimate.maker_probability, estimate.parameters)


def test_a_fit_on_n_samples_takes_effect_at_sample_n_plus_50() -> None:
    """Fits are made on the first 10, 50, 100, ... decision times; each is used from 50 decision times later on."""
    calculator = TradingCalculator(Order(Side.BUY, 1.0, passive_s=0.5))
    learned = []
    for each in queue_market(300, 1):
        calculator.estimate(each)
        learned.append(count_learned_samples(calculator))
    resolved_after = 6  # books until latency and waiting time have passed: 0.6 s
    changes = [
        (row, now) for row, (before, now) in enumerate(zip([0, *learned], learned, strict=False)) if now != before
    ]
    assert changes == [(now + 50 + resolved_after - 1, now) for now in (10, 50, 100, 150, 200)]


def test_the_same_frames_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice in a row, and however long the fits take on their thread."""
    first = [numbers(each) for each in estimates(TradingCalculator(Order(Side.BUY, 1.0)), queue_market(300, 2))]
    second = [numbers(each) for each in estimates(TradingCalculator(Order(Side.BUY, 1.0)), queue_market(300, 2))]
    learn, delays = OnlineLearner.learn, iter([0.05, 0.0, 0.1, 0.0, 0.02, 0.0, 0.0])

    def slowly(self: OnlineLearner, blocks: SampleBlocks) -> list[ModelState]:
        time.sleep(next(delays))
        return learn(self, blocks)

    monkeypatch.setattr(OnlineLearner, "learn", slowly)
    third = [numbers(each) for each in estimates(TradingCalculator(Order(Side.BUY, 1.0)), queue_market(300, 2))]
    assert first == second == third
    assert first[-1][0] is not None


def live(books: list[OrderBook], latency_s: float, passive_s: float) -> list[tuple[int, ModelState]]:
    observer, found = FeatureExtractor(), list[tuple[int, ModelState]]()
    moments = [observer.extract(each) for each in books]
    waiting = TrainingSchedule(
        initial_state(moments[0], latency_s, passive_s), OnlineLearner(latency_s, passive_s), latency_s, passive_s
    )
    for row, (each, moment) in enumerate(zip(books, moments, strict=True)):
        if row and each.market_ns - books[row - 1].market_ns > GAP_NS:
            waiting.discard()
        waiting.add(each, moment)
        if not found or waiting.state is not found[-1][1]:
            found.append((row, waiting.state))
    return found


def studied(
    moments: Any, books: BookBatch, latency_s: float, passive_s: float, begin: ModelState, at_once: int
) -> list[tuple[int, ModelState]]:
    """What is known from which book on, where so many fits are learned from together."""
    made, learner = plan_fits(moments.market_ns, latency_s, passive_s), OnlineLearner(latency_s, passive_s)
    from_rows = [turn.from_row for turn in made if turn.from_row is not None]
    known = [begin]
    for first in range(0, len(made), at_once):
        samples, starts, shown = merge_fits(made[first : first + at_once])
        now = BookState(*(column[samples] for column in moments))
        numbers = np.searchsorted(from_rows, samples, side="right")
        known += learner.learn(SampleBlocks(now, starts, known, numbers, books.take(shown)))
    return list(zip([0, *from_rows], known, strict=False))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(0.0, 0.1), (0.1, 0.5), (0.3, 2.0)]))
def test_over_whole_arrays_the_same_is_learned_at_the_same_books(seed: int, times: tuple[float, float]) -> None:
    """On any clock, with gaps, books faster than 10 ms and of any depth, and from one array of all levels: what is
    known, and from which book on, is what book by book comes out."""
    rng = np.random.default_rng(seed)
    step_ms = rng.choice(
        [0, 1, 4, 9, 30, 100, 101, 250, 6000], 900, p=[0.05, 0.1, 0.1, 0.1, 0.2, 0.2, 0.2, 0.045, 0.005]
    )
    clock = START_NS + np.cumsum(step_ms) * 1_000_000
    books = [replace(each, market_ns=int(ns)) for each, ns in zip(ragged(900, seed), clock, strict=True)]
    observer = FeatureExtractor()
    moments = [observer.extract(each) for each in books]
    stacked = BookBatch.from_books(books)
    sides = [SideBatch.from_sides([each.taken_by(side) for each in books]) for side in Side]
    whole = BookBatch(
        clock, np.stack([side.best_levels() for side in sides]), lambda side, rows: sides[side].take(rows)
    )
    wanted = live(books, *times)
    for shown, at_once in ((stacked, 1), (whole, 3), (whole, 1000)):
        found = studied(to_columns(moments), shown, *times, initial_state(moments[0], *times), at_once)
        assert [(row, known.samples) for row, known in found] == [(row, known.samples) for row, known in wanted]
        for (_, one), (_, other) in zip(found, wanted, strict=True):
            assert (one.shrinkage, one.band, one.fill_shrinkage, one.crossed_share) == (
                other.shrinkage,
                other.band,
                other.fill_shrinkage,
                other.crossed_share,
            )
            assert one.scorecard == other.scorecard


def test_a_gap_discards_what_spans_it_and_nothing_else() -> None:
    """After more than 5 s of silence, waiting samples are forgotten, what was learned stays, and learning goes on."""
    calculator = TradingCalculator(Order(Side.BUY, 1.0))
    market = list(queue_market(330, 1))
    estimates(calculator, market[:130])
    before = count_learned_samples(calculator)
    calculator.realised()
    later = [replace(each, market_ns=each.market_ns + 60 * 10**9) for each in market[130:]]
    assert numbers(calculator.estimate(later[0])) is not None
    assert count_learned_samples(calculator) == before > 0
    estimates(calculator, later[1:])
    assert count_learned_samples(calculator) > before
    realised = [each.market_ns for each in calculator.realised()]
    assert realised[0] == later[0].market_ns
    assert min(b - a for a, b in pairwise(realised)) == STEP_NS


@pytest.mark.parametrize("back_ns", [1, 10 * 10**9])
def test_a_step_back_in_time_starts_anew(back_ns: int) -> None:
    """From there on the numbers are those of a calculator that never saw what came before."""
    calculator, fresh = TradingCalculator(Order(Side.BUY, 1.0)), TradingCalculator(Order(Side.BUY, 1.0))
    old = list(queue_market(200, 1))
    estimates(calculator, old)
    shift = old[-1].market_ns - back_ns - START_NS
    again = [replace(each, market_ns=each.market_ns + shift) for each in queue_market(200, 5)]
    assert [numbers(each) for each in estimates(calculator, again)] == [
        numbers(each) for each in estimates(fresh, again)
    ]


def test_another_market_starts_anew() -> None:
    """Books of another symbol are priced as by a new calculator."""
    calculator, fresh = TradingCalculator(Order(Side.BUY, 1.0)), TradingCalculator(Order(Side.BUY, 1.0))
    estimates(calculator, queue_market(150, 1))
    other = replace(next(gaussian_market(1, 1)), symbol="OTHER", market_ns=START_NS + 20 * 10**9)
    assert numbers(calculator.estimate(other)) == numbers(fresh.estimate(other))


def test_an_error_in_a_fit_surfaces_once_and_learning_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is raised where the fit was due; after that the numbers are those of a calculator begun there."""
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
    assert [numbers(each) for each in estimates(calculator, after)] == [
        numbers(each) for each in estimates(fresh, after)
    ]
    assert count_learned_samples(calculator) > 0


def test_memory_is_bounded() -> None:
    """However many books come, and however fast, only what waits for its outcome or is being learned from is held."""
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


def test_what_fits_need_can_be_imported_beforehand() -> None:
    """In a fresh process, where importing the models alone does not, warm_up loads scikit-learn; and when a market is
    learned from after it, no machine code is made any more."""
    script = """
import sys
from estimation.training_schedule import warm_up
print("sklearn" in sys.modules)
warm_up()
print("sklearn.linear_model" in sys.modules)
def made():
    every = [each for module in list(sys.modules.values()) for each in vars(module).values()]
    return {str(each): len(each.signatures) for each in every if type(each).__name__ == "CPUDispatcher"}
beforehand = made()
from tests.estimation.test_online_learner import live
from tests.support.synthetic_markets import queue_market
live(list(queue_market(300, 1)), 0.1, 2.0)
print(sum(beforehand.values()) > 5 and all(made()[name] == count for name, count in beforehand.items()))
"""
    command, folder = [sys.executable, "-c", script], PROJECT
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, cwd=folder)
    assert said.stdout.split() == ["False", "True", "True"]


def test_no_thread_is_left() -> None:
    """The learning thread ends by itself once its block is learned."""
    estimates(TradingCalculator(Order(Side.BUY, 1.0)), queue_market(400, 1))
    until = time.monotonic() + 10
    while any(each.name == "learning" for each in threading.enumerate()):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_learning_on_the_feed_thread_is_cheap() -> None:
    """Handing samples over costs microseconds on the thread that prices: the fits run elsewhere."""
    market = list(queue_market(1500, 1))
    observer = FeatureExtractor()
    moments = [observer.extract(each) for each in market]
    waiting = TrainingSchedule(initial_state(moments[0], 0.1, 2.0), OnlineLearner(0.1, 2.0), 0.1, 2.0)
    began = time.thread_time()
    for each, moment in zip(market, moments, strict=True):
        waiting.add(each, moment)
    assert (time.thread_time() - began) / len(market) < 100e-6
