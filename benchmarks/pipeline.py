"""Measure the time from a frame's text to a published estimate: `.venv/bin/python -m benchmarks.pipeline [FOLDER]`.

The command prints microseconds beside `json.loads`, `orjson.loads` and a first naive implementation: `json`, numpy
arrays and scikit-learn's `predict`. Every frame goes through the first three in turn, so that each finds the
processor's caches as the others left them; the naive way, which leaves little in them, runs alone. The models learn
all the time; between frames the command waits for a fit that is running (`benchmarks.stream` measures how fits
disturb). The whole includes the outcomes of earlier estimates. In the ordinary simulated market the mid stays on most
frames, so that what follows from order, mid and model alone is kept; "moving" is the same market with a price step
more or less where the mid would stay, so that nothing is kept. FOLDER holds real recordings.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from itertools import islice, pairwise
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
import orjson
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from calculations import Order, TradingCalculator
from estimation.fit_worker import WORKER
from export_manager import ExportManager
from feeds import VENUES, market_simulator
from numerics.arrays import Floats
from orderbook import Side
from profiling import LAST, SystemProfiler
from recording.reader import read
from sessions.session import PricedBook

RECORDINGS = Path(__file__).resolve().parents[2] / "shared" / "recordings"
REAL = "gomarket-okx_BTC-USDT-SWAP_20250515.jsonl.gz"
VENUE, SYMBOL = "gomarket-okx", "BTC-USDT-SWAP"
NOTIONAL = 100_000.0
PER_SECOND = 10.0
FRAMES = 1000
ROUNDS = 3

JSON_PROMISED = {("simulated", 50): 1.05, ("moving", 50): 1.2, ("simulated", 400): 0.25, ("moving", 400): 0.25}
"""The whole path takes at most this multiple of json.loads, by market and levels."""
NAIVE_PROMISED = {50: 10.0, 400: 5.0}
"""The whole path is at least this many times faster than the naive way, by levels."""

STAGES = ("parse", "features", "models", "fees", "publish", "outcomes")


class Pipeline:
    """The path from a frame to the page for one viewer, wired as in sessions.session.Session."""

    def __init__(self) -> None:
        self.feed = VENUES[VENUE].make_feed(SYMBOL)
        self.calculator = TradingCalculator(Order(Side.BUY, NOTIONAL, "quote"), VENUES[VENUE].contract_size(SYMBOL))
        self.profiler = SystemProfiler()
        self.history = ExportManager()
        self.latest: PricedBook | None = None

    def handle(self, frame: str, market_ns: int) -> tuple[float, ...]:
        """Handle a frame and return the microseconds of each stage."""
        start = perf_counter_ns()
        book = self.feed.parse(frame, start, market_ns)
        assert book is not None
        estimate = self.calculator.estimate(book)
        self.profiler.record(estimate.stamps)
        self.history.append(estimate)
        self.latest = PricedBook(book, estimate)
        published = perf_counter_ns()
        self.history.realise(self.calculator.realised())
        stamps = (*estimate.stamps, published, perf_counter_ns())
        return tuple((after - before) / 1e3 for before, after in pairwise(stamps))


class Naive:
    """The same results, part for part, in the first way that comes to mind, as public trade simulators do.

    A frame through `json.loads`; every price and size through `float`; numpy arrays that are checked; a loop over the
    levels; slippage and maker from scikit-learn pipelines, each a scaler and a regression; an Almgren-Chriss schedule
    as arrays; the fee; a dictionary for the history and the time it took. Percentiles, files and pandas are left
    out, because not every frame needs them. Learning is left out too: the models are fitted beforehand, to noise.
    """

    def __init__(self) -> None:
        noise = np.random.default_rng(0).normal(size=(1000, 9))
        self._slippage = make_pipeline(StandardScaler(), LinearRegression()).fit(noise[:, :8], noise[:, 8])
        self._maker = make_pipeline(StandardScaler(), LogisticRegression()).fit(noise[:, :5], noise[:, 8] > 0)
        self.history: list[dict[str, Any]] = []
        self.durations_ns: deque[int] = deque(maxlen=LAST)

    def handle(self, frame: str) -> None:
        """Handle a frame and note the time it took."""
        start = perf_counter_ns()
        book = json.loads(frame)
        bids, asks = (
            np.array([[float(price), float(size) * 0.01] for price, size in book[side]]) for side in ("bids", "asks")
        )
        assert np.all(np.diff(asks[:, 0]) > 0)
        assert np.all(np.diff(bids[:, 0]) < 0)
        assert (bids > 0).all()
        assert (asks > 0).all()
        mid = (bids[0, 0] + asks[0, 0]) / 2
        quantity = NOTIONAL / mid
        left, paid = quantity, 0.0
        for price, size in asks:
            taken = min(left, size)
            paid += taken * price
            left -= taken
            if left <= 0:
                break
        walk_bps = (paid / (quantity - left) / mid - 1) * 1e4
        half_bps = (asks[0, 0] - bids[0, 0]) / (2 * mid) * 1e4
        bid_depth, ask_depth = bids[:10, 1].sum(), asks[:10, 1].sum()
        imbalance = (bid_depth - ask_depth) / (bid_depth + ask_depth)
        x: Floats = np.array(
            [[walk_bps - half_bps, half_bps, imbalance, 0.0, 0.0, math.log(ask_depth), math.log(quantity), 1.0]]
        )
        slippage_bps = walk_bps + self._slippage.predict(x)[0]
        maker = self._maker.predict_proba(x[:, :5])[0, 1]
        kappa, times = 1e-3, np.linspace(0, 300, 11)
        holdings = quantity * np.sinh(kappa * (300 - times)) / np.sinh(kappa * 300)
        impact_bps = (0.3 * quantity**2 / 2 + 10 * (np.diff(holdings) ** 2).sum()) / (quantity * mid) * 1e4
        fee_bps = maker * 2 + (1 - maker) * 5
        self.history.append({"mid": mid, "slippage_bps": slippage_bps, "fee_bps": fee_bps, "impact_bps": impact_bps})
        self.durations_ns.append(perf_counter_ns() - start)


def simulate_frames(levels: int) -> list[tuple[int, str]]:
    """Make (market_ns, text) of the simulated market."""
    return list(islice(market_simulator.frames(SYMBOL, levels=levels, per_second=PER_SECOND), FRAMES))


def mid_of(text: str) -> float:
    """Return a frame's mid."""
    frame = json.loads(text)
    return (float(frame["bids"][0][0]) + float(frame["asks"][0][0])) / 2


def share_of_moves(ticks: Sequence[tuple[int, str]]) -> float:
    """Return the share of frames whose mid differs from that of the frame before."""
    mids = [mid_of(text) for _, text in ticks]
    return sum(before != after for before, after in pairwise(mids)) / (len(mids) - 1)


def move_every_mid(ticks: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
    """Shift all prices of a frame by a price step, or no longer, wherever the mid would be that of the frame before."""
    moving: list[tuple[int, str]] = []
    last_mid, is_shifted = math.nan, False
    for market_ns, text in ticks:
        shifted = shift_prices(text)
        if mid_of(shifted if is_shifted else text) == last_mid:
            is_shifted = not is_shifted
        moving.append((market_ns, shifted if is_shifted else text))
        last_mid = mid_of(moving[-1][1])
    return moving


def shift_prices(text: str) -> str:
    """Return a frame whose prices are all one step higher; nothing else changes."""
    frame = json.loads(text)
    levels = frame["bids"] + frame["asks"]
    step = min(Decimal(price).as_tuple().exponent for price, _ in levels)
    for level in levels:
        level[0] = f"{(Decimal(level[0]) + Decimal(1).scaleb(int(step))).normalize():f}"
    return json.dumps(frame, separators=(",", ":"))


def read_frames(folder: Path) -> list[tuple[int, str]]:
    """Repeat the gateway's real frames, with a market_ns that advances steadily."""
    texts = [tick.message for tick in read(folder / REAL) if tick.kind == "recv"]
    step_ns = round(1e9 / PER_SECOND)
    return [(10**18 + row * step_ns, str(texts[row % len(texts)])) for row in range(FRAMES)]


def measure_us(work: Any, *arguments: Any) -> float:
    """Return the microseconds of one call."""
    start = perf_counter_ns()
    work(*arguments)
    return (perf_counter_ns() - start) / 1e3


def measure(ticks: Sequence[tuple[int, str]]) -> Floats:
    """Return a row for each frame: microseconds of the stages, then of json, orjson and the naive way.

    The first quarter of a round warms up and is left out.
    """
    rounds = []
    for _ in range(ROUNDS):
        pipeline = Pipeline()
        naive = Naive()
        gc.collect()
        gc.freeze()  # as the application does
        rows = []
        for market_ns, frame in ticks:
            if not WORKER.is_idle:  # to ask always would put this thread to sleep before every frame
                WORKER.wait_until_idle()
            stages = pipeline.handle(frame, market_ns)
            rows.append((*stages, measure_us(json.loads, frame), measure_us(orjson.loads, frame)))
        naive_us = [measure_us(naive.handle, frame) for _, frame in ticks]
        rounds.append(np.column_stack((rows, naive_us))[len(ticks) // 4 :])
    return np.concatenate(rounds)


def verdict(ratio: float, limit: float, at_most: bool) -> str:
    """Format a ratio, and whether it keeps its limit."""
    is_kept = ratio <= limit if at_most else ratio >= limit
    return f"{ratio:6.2f} ({'kept' if is_kept else 'MISSED'}: {'<=' if at_most else '>='} {limit:g})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=RECORDINGS, help="the folder of recordings")
    folder = parser.parse_args().folder
    simulated = {levels: simulate_frames(levels) for levels in (50, 400)}
    markets = [
        market
        for levels, ticks in simulated.items()
        for market in (("simulated", levels, ticks), ("moving", levels, move_every_mid(ticks)))
    ]
    if (folder / REAL).is_file():
        markets.insert(2, ("real", 50, read_frames(folder)))
    columns = ("whole", *STAGES, "json", "orjson", "naive")
    print(f"{'frames':10}{'levels':>7}{'':>8}" + "".join(f"{name:>10}" for name in columns))
    for name, levels, ticks in markets:
        costs = measure(ticks)
        table = np.column_stack((costs[:, : len(STAGES)].sum(axis=1), costs))
        for statistic, row in (("median", np.median(table, axis=0)), ("p99", np.percentile(table, 99, axis=0))):
            print(f"{name:10}{levels:7}{statistic:>8}" + "".join(f"{cost:10.1f}" for cost in row))
        timed = {column: table[:, columns.index(column)] for column in ("whole", "json", "naive")}
        middle = {column: float(np.median(times_us)) for column, times_us in timed.items()}
        tail = {column: float(np.percentile(times_us, 99)) / middle[column] for column, times_us in timed.items()}
        in_json = middle["whole"] / middle["json"]
        promised = JSON_PROMISED.get((name, levels))
        print(f"  the mid moves on {share_of_moves(ticks):.0%} of the frames")
        print(f"  whole/json  {verdict(in_json, promised, at_most=True) if promised else f'{in_json:6.2f}'}")
        print(f"  naive/whole {verdict(middle['naive'] / middle['whole'], NAIVE_PROMISED[levels], at_most=False)}")
        print(f"  p99/median  {tail['whole']:6.2f} of the whole, {tail['json']:.2f} of json.loads")


if __name__ == "__main__":
    main()
