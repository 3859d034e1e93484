"""Make markets for the models of which we know how much can be predicted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from calculations import Order, TradingCalculator
from estimation.estimate import ROW, Estimate
from estimation.features import FeatureExtractor
from estimation.model_state import ModelState, initial_state
from estimation.online_learner import OnlineLearner
from estimation.order_terms import make_terms
from estimation.pricing import price_order
from estimation.scorecard import Scorecard
from estimation.training_schedule import TrainingSchedule
from feeds import VENUES
from numerics.arrays import Floats, Records, make_records
from orderbook import OrderBook
from profiling import Stamps
from replay import books

STEP_NS = 100_000_000
START_NS = 1_700_000_000_000_000_000

SPOT = {
    "BTCUSDT": "binance-spot_BTCUSDT_20240808.jsonl.gz",
    "ETHUSDT": "binance-spot_ETHUSDT_20240808.jsonl.gz",
}


def book(
    bids: Sequence[tuple[float, float]] | Floats,
    asks: Sequence[tuple[float, float]] | Floats,
    market_ns: int = START_NS,
) -> OrderBook:
    """Make a book of these levels, whose clocks both say market_ns."""
    return OrderBook("made", "MADE", np.array(bids, float), np.array(asks, float), market_ns, market_ns, 0)


def resample_to_grid(a_book: Sequence[OrderBook]) -> list[OrderBook]:
    """Return the last book in each 100 ms, with market_ns on the grid."""
    grid, row = [], 0
    for market_ns in range((a_book[0].market_ns // STEP_NS + 1) * STEP_NS, a_book[-1].market_ns + STEP_NS, STEP_NS):
        while row + 1 < len(a_book) and a_book[row + 1].market_ns <= market_ns:
            row += 1
        grid.append(replace(a_book[row], market_ns=market_ns))
    return grid


def read_recorded_books(recordings: Path, file: str, venue: str, symbol: str) -> list[OrderBook]:
    """Read all books of a recording."""
    return list(books(recordings / file, lambda: VENUES[venue].make_feed(symbol)))


def observe_all(market: Iterable[OrderBook]) -> list[Records]:
    """Return the state of each book, (1,) of BOOK_STATE."""
    extractor = FeatureExtractor()
    return [extractor.observe(each) for each in market]


def begin_at(book_states: Records, latency_s: float = 0.1, passive_s: float = 2.0) -> ModelState:
    """Return the model state of a market whose first book has this state, (1,) of BOOK_STATE."""
    return initial_state(book_states.view(np.recarray)[0], latency_s, passive_s)


def price_on(
    a_book: OrderBook, book_states: Records, state: ModelState, order: Order, contract_size: float = 1.0
) -> Estimate:
    """Price an order on a book by this model state.

    book_states: the book's own state, (1,) of BOOK_STATE. contract_size: base units of one contract.
    """
    rows, working = make_records(ROW, 1), make_records(ROW, 1)
    levels, terms = a_book.taken_by(order.side), make_terms(order, contract_size)
    assert price_order(
        levels, 0, len(levels), a_book.exchange_ns, book_states, 0, state.record, 0, terms, rows, 0, working
    )
    return Estimate(rows[0], order, Stamps(0, 0, 0, 0, 0), a_book.market_ns)


def gaussian_market(count: int, seed: int, sigma_bps: float = 0.6, levels: int = 20) -> Iterator[OrderBook]:
    """Yield books in which nothing can be predicted.

    The mid is Gaussian without drift, the spread is constant, and the sizes do not depend on the mid.
    """
    rng = np.random.default_rng(seed)
    mids = 60_000 * np.exp(np.cumsum(rng.normal(0, sigma_bps * 1e-4 * math.sqrt(0.1), count)))
    away = 0.05 + 0.5 * np.arange(levels)
    logs = rng.normal(0, 0.7, (2, levels))
    for row, mid in enumerate(mids):
        logs = 0.8 * logs + rng.normal(0, 0.42, (2, levels))
        sizes = 2 * np.exp(logs)
        sides = (np.column_stack((mid + sign * away, size)) for sign, size in zip((-1, 1), sizes, strict=True))
        yield book(*sides, START_NS + row * STEP_NS)


def queue_market(count: int, seed: int, levels: int = 20) -> Iterator[OrderBook]:
    """Yield books in which much can be predicted.

    The spread is one tick. A pressure that lasts some seconds thins the queue on one side and moves the price there.
    """
    rng = np.random.default_rng(seed)
    bid, pressure = 600_000, 0.0
    deep = 4 * np.exp(rng.normal(0, 0.5, (2, levels - 1)))
    for row in range(count):
        pressure = 0.95 * pressure + rng.normal(0, 0.3)
        if rng.random() < 0.6:
            bid += 1 if rng.random() < 0.5 + 0.5 * math.tanh(pressure) else -1
        best = 4 * np.exp(np.array([pressure, -pressure]) + rng.normal(0, 0.1, 2))
        sides = (
            np.column_stack(((bid + offset + sign * np.arange(levels)) / 10, np.append(best[side], deep[side])))
            for side, (sign, offset) in enumerate(((-1, 0), (1, 1)))
        )
        yield book(*sides, START_NS + row * STEP_NS)


def ragged_books(count: int, seed: int, deepest: int = 30, tick: float = 0.5) -> list[OrderBook]:
    """Return books of many depths on a coarse grid, so that prices meet again and queues empty."""
    rng = np.random.default_rng(seed)
    best = 1000  # far enough from zero for a thousand steps and the deepest level below
    books = []
    for row in range(count):
        best += int(rng.integers(-2, 3))
        spread = int(rng.integers(1, 4))
        sides = []
        for sign, first in ((-1, best), (1, best + spread)):
            ticks = first + sign * np.cumsum(np.append(0, rng.integers(1, 4, int(rng.integers(0, deepest)))))
            sides.append(np.column_stack((ticks * tick, rng.lognormal(0, 1, len(ticks)))))
        books.append(book(*sides, START_NS + row * STEP_NS))
    return books


def collect_model_states(
    market: Iterable[OrderBook], latency_s: float = 0.1, passive_s: float = 2.0
) -> list[ModelState]:
    """Return every model state while learning from these books, in order."""
    extractor = FeatureExtractor()
    states: list[ModelState] = []
    schedule: TrainingSchedule | None = None
    for a_book in market:
        book_states = extractor.observe(a_book)
        if schedule is None:
            first_state = begin_at(book_states, latency_s, passive_s)
            schedule = TrainingSchedule(first_state, OnlineLearner(latency_s, passive_s), latency_s, passive_s)
        if schedule.add(a_book):
            schedule.sample(book_states, a_book.market_ns)
        if not states or states[-1] is not schedule.state:
            states.append(schedule.state)
    return states


def skill(later: Scorecard, earlier: Scorecard | None = None) -> float:
    """Return 1 - squared error / squared error of the walk, between two scorecards of a session.

    earlier: the scorecard at the begin of the span; None for the begin of the session.
    """
    errors = []
    for name in ("rmse", "walk_rmse"):
        total = 0.0
        for card, sign in ((later, 1), (earlier, -1)):
            if card is not None and card.slippage.rows:
                total += sign * card.slippage.rows * getattr(card.slippage, name) ** 2
        errors.append(total)
    return 1 - errors[0] / errors[1]


def half_and_whole_scorecards(states: Sequence[ModelState]) -> tuple[Scorecard, Scorecard]:
    """Return the scorecards of the first half of the samples, and of all."""
    middle = next(state for state in states if state.samples >= states[-1].samples / 2)
    return middle.scorecard, states[-1].scorecard


def worst_early_rmse_ratio(states: Sequence[ModelState]) -> float:
    """Return the largest ratio of the model's cumulative RMSE to the walk's, from decision time 10 to 1,000.

    Return 1 if none was scored yet.
    """
    ratios = []
    for state in states:
        score = state.scorecard.slippage
        if 10 <= score.samples <= 1000 and score.rmse is not None and score.walk_rmse:
            ratios.append(score.rmse / score.walk_rmse)
    return max(ratios, default=1.0)


def count_learned_samples(calculator: TradingCalculator) -> int:
    """Return the number of decision times from which the calculator has learned."""
    scorecard = calculator.scorecard()
    assert scorecard is not None
    return scorecard.samples
