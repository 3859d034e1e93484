"""Markets made for the models: what they can know of each is known beforehand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from calculations import TradingCalculator
from estimation.features import FeatureExtractor
from estimation.model_state import ModelState, initial_state
from estimation.online_learner import OnlineLearner
from estimation.scorecard import Scorecard
from estimation.training_schedule import TrainingSchedule
from feeds import VENUES
from numerics.arrays import Floats
from orderbook import OrderBook
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
    return OrderBook("made", "MADE", np.array(bids, float), np.array(asks, float), market_ns, market_ns, 0)


def on_grid(seen: Sequence[OrderBook]) -> list[OrderBook]:
    """The last book in each 100 ms, with market_ns on the grid."""
    grid, row = [], 0
    for market_ns in range((seen[0].market_ns // STEP_NS + 1) * STEP_NS, seen[-1].market_ns + STEP_NS, STEP_NS):
        while row + 1 < len(seen) and seen[row + 1].market_ns <= market_ns:
            row += 1
        grid.append(replace(seen[row], market_ns=market_ns))
    return grid


def recorded(recordings: Path, file: str, venue: str, symbol: str) -> list[OrderBook]:
    return list(books(recordings / file, lambda: VENUES[venue].make_feed(symbol)))


def gaussian(count: int, seed: int, sigma_bps: float = 0.6, levels: int = 20) -> Iterator[OrderBook]:
    """A driftless Gaussian mid under a constant spread, and sizes that say nothing of it: nothing can be known."""
    rng = np.random.default_rng(seed)
    mids = 60_000 * np.exp(np.cumsum(rng.normal(0, sigma_bps * 1e-4 * math.sqrt(0.1), count)))
    away = 0.05 + 0.5 * np.arange(levels)
    logs = rng.normal(0, 0.7, (2, levels))
    for row, mid in enumerate(mids):
        logs = 0.8 * logs + rng.normal(0, 0.42, (2, levels))
        sizes = 2 * np.exp(logs)
        sides = (np.column_stack((mid + sign * away, size)) for sign, size in zip((-1, 1), sizes, strict=True))
        yield book(*sides, START_NS + row * STEP_NS)


def queues(count: int, seed: int, levels: int = 20) -> Iterator[OrderBook]:
    """One tick of spread; a pressure that lasts some seconds thins one queue, and takes the price there: much can
    be known."""
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


def learned(market: Iterable[OrderBook], latency_s: float = 0.1, passive_s: float = 2.0) -> list[ModelState]:
    """All that was ever known while these books were shown, in order."""
    observer, known = FeatureExtractor(), []
    outcomes: TrainingSchedule | None = None
    for seen in market:
        moment = observer.extract(seen)
        if outcomes is None:
            outcomes = TrainingSchedule(
                initial_state(moment, latency_s, passive_s), OnlineLearner(latency_s, passive_s), latency_s, passive_s
            )
        outcomes.add(seen, moment)
        if not known or known[-1] is not outcomes.state:
            known.append(outcomes.state)
    return known


def skill(later: Scorecard, earlier: Scorecard | None = None) -> float:
    """1 - squared error / squared error of the walk, between two scorecards of a session."""
    errors = []
    for each in ("rmse", "walk_rmse"):
        total = 0.0
        for card, sign in ((later, 1), (earlier, -1)):
            if card is not None and card.slippage.rows:
                total += sign * card.slippage.rows * getattr(card.slippage, each) ** 2
        errors.append(total)
    return 1 - errors[0] / errors[1]


def halves(known: Sequence[ModelState]) -> tuple[Scorecard, Scorecard]:
    """The scorecards of the first half of the samples, and of all."""
    middle = next(each for each in known if each.samples >= known[-1].samples / 2)
    return middle.scorecard, known[-1].scorecard


def worst_start(known: Sequence[ModelState]) -> float:
    """The largest ratio of the model's cumulative RMSE to the walk's, from the 10th to the 1,000th decision time;
    1 where none was scored yet."""
    ratios = []
    for each in known:
        score = each.scorecard.slippage
        if 10 <= score.samples <= 1000 and score.rmse is not None and score.walk_rmse:
            ratios.append(score.rmse / score.walk_rmse)
    return max(ratios, default=1.0)


def known_now(calculator: TradingCalculator) -> int:
    """How many decision times the calculator has learned from."""
    scorecard = calculator.scorecard()
    assert scorecard is not None
    return scorecard.samples
