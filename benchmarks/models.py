"""Measure how good the learned models are and how long they take: `.venv/bin/python -m benchmarks.models [FOLDER]`.

Every figure is prequential: a prediction is scored before the models learn from its outcome. Real books are put on a
100 ms grid first. "half" is the worse half of the session, "start" the largest ratio of the model's cumulative
RMSE to the walk's up to the 1,000th decision time, "size" the least coverage of any size class.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median

from calculations import Order, TradingCalculator
from estimation.online_learner import OnlineLearner
from estimation.training_schedule import Sample, TrainingSchedule, make_block
from feeds import VENUES, market_simulator
from orderbook import OrderBook, Side
from tests.support.synthetic_markets import (
    SPOT,
    begin_at,
    collect_model_states,
    gaussian_market,
    half_and_whole_scorecards,
    observe_all,
    queue_market,
    read_recorded_books,
    resample_to_grid,
    skill,
    worst_early_rmse_ratio,
)

RECORDINGS = Path(__file__).resolve().parents[2] / "shared" / "recordings"
WINDOWS = ((0.1, 1.0), (0.1, 2.0), (0.1, 5.0), (0.5, 1.0), (0.5, 2.0), (1.0, 1.0), (1.0, 2.0))


def simulate(symbol: str, seed: int, count: int) -> list[OrderBook]:
    """Make books of the simulated market."""
    feed = VENUES["simulated"].make_feed(symbol)
    frames = islice(market_simulator.frames(symbol, seed=seed), count)
    return [book for ns, text in frames if (book := feed.parse(text, 0, ns)) is not None]


def print_quality(name: str, market: Sequence[OrderBook]) -> None:
    """Print one row of scores for each pair of latency and passive time."""
    for latency_s, passive_s in WINDOWS:
        known = collect_model_states(market, latency_s, passive_s)
        half, whole = half_and_whole_scorecards(known)
        slippage, fill = whole.slippage, whole.fill
        worse = min(skill(half), skill(whole, half))
        early = worst_early_rmse_ratio(known)
        sizes = [share for share in slippage.coverage_by_size if share is not None]
        print(
            f"{name:22} {latency_s:4} {passive_s:4} {slippage.samples:6} {skill(whole):8.4f} {worse:8.4f} "
            f"{early:7.4f} {slippage.bias:8.4f} {slippage.walk_bias:8.4f} {slippage.coverage:7.3f} "
            f"{min(sizes):6.3f} {fill.skill:8.4f} {fill.base_brier:7.4f} {whole.shrinkage:5.2f}"
        )


def print_cost(market: Sequence[OrderBook]) -> None:
    """Print microseconds of an estimate and of learning; of thread time where work runs beside other threads."""
    calculator = TradingCalculator(Order(Side.BUY, 100_000.0, "quote"))
    durations_ns = []
    for book in market:
        began = time.perf_counter_ns()
        calculator.estimate(book)
        durations_ns.append(time.perf_counter_ns() - began)
    print(f"estimate, median: {median(durations_ns) / 1e3:.1f} us")

    book_states = observe_all(market)
    model_state = begin_at(book_states[0], 0.1, 2.0)
    schedule = TrainingSchedule(model_state, OnlineLearner(0.1, 2.0), 0.1, 2.0)
    began = time.thread_time_ns()
    for book, book_state in zip(market, book_states, strict=True):
        schedule.add(book, book_state)
    print(f"learning, on the feed's thread: {(time.thread_time_ns() - began) / len(market) / 1e3:.1f} us a sample")

    learner = OnlineLearner(0.1, 2.0)
    for size in (50, 100, 500):
        sample_ns = []
        for start in range(0, len(market) - size - 25, size):
            samples = [
                Sample(book_state, book.market_ns, model_state)
                for book_state, book in zip(book_states[start : start + size], market[start:], strict=False)
            ]
            began = time.thread_time_ns()
            (model_state,) = learner.learn(make_block(samples, market[start : start + size + 25]))
            sample_ns.append((time.thread_time_ns() - began) / size)
        print(f"learning, beside it, in blocks of {size}: {median(sample_ns) / 1e3:.1f} us a sample")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", nargs="?", type=Path, default=RECORDINGS)
    folder = parser.parse_args().recordings
    if not folder.is_dir():
        parser.error(f"there is no folder {folder}: name the one that has the recordings")
    print(
        f"{'market':22} {'L s':>4} {'H s':>4} {'n':>6} {'skill':>8} {'half':>8} {'start':>7} {'bias':>8} {'walk':>8} "
        f"{'covered':>7} {'size':>6} {'fill':>8} {'base':>7} {'gate':>5}"
    )
    for symbol, file in SPOT.items():
        print_quality(symbol, resample_to_grid(read_recorded_books(folder, file, "binance", symbol)))
    for symbol in ("BTC-USDT-SWAP", "ETH-USDT-SWAP", "SOL-USDT-SWAP"):
        print_quality(f"simulated {symbol[:3]}", simulate(symbol, 1, 3000))
    print_quality("made: queues", list(queue_market(3000, 1)))
    print_quality("made: Gaussian", list(gaussian_market(3000, 1)))
    deep = resample_to_grid(read_recorded_books(folder, SPOT["BTCUSDT"], "binance", "BTCUSDT"))
    for levels in (50, 400):
        print(f"\n{levels} levels a side")
        print_cost([replace(book, bids=book.bids[:levels].copy(), asks=book.asks[:levels].copy()) for book in deep])


if __name__ == "__main__":
    main()
