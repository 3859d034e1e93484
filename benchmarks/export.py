"""Compare the export of a long history with pandas alone: `.venv/bin/python -m benchmarks.export [ROWS]`.

For each format the command prints our seconds from the history to the bytes, pandas' from a ready DataFrame of the
same table, and the ratio. Both take turns, so that a short slowdown of the machine affects both alike, and the medians
are compared. It also prints the time and memory of keeping an estimate.
"""

from __future__ import annotations

import argparse
import io
import random
import time
import tracemalloc
from collections.abc import Callable
from itertools import islice
from statistics import median
from typing import Any

import pandas as pd

from calculations import Estimate, Order, TradingCalculator
from estimation.estimate import COLUMNS
from export_manager import ExportManager
from feeds import VENUES, market_simulator
from orderbook import Side

PROMISED_RATIO = 1.5
VENUE, SYMBOL = "simulated", "BTC-USDT-SWAP"


def make_estimates(count: int) -> list[Estimate]:
    """Make estimates of a simulated market."""
    feed = VENUES[VENUE].make_feed(SYMBOL)
    calculator = TradingCalculator(Order(Side.BUY, 100_000.0, "quote"), VENUES[VENUE].contract_size(SYMBOL))
    estimates = []
    for _, message in islice(market_simulator.frames(seed=3), count):
        book = feed.parse(message, time.perf_counter_ns())
        assert book is not None
        estimates.append(calculator.estimate(book))
    return estimates


def vary_estimate(estimate: Estimate, number: int, chance: random.Random) -> Estimate:
    """Return an estimate like this one with figures of its own, so that no format gains from repetition."""
    jitter = {
        column.name: estimate.row[column.name].item() * chance.uniform(0.999, 1.001)
        for column in COLUMNS
        if column.kind == "float"
    }
    return estimate.with_values(market_ns=estimate.market_ns + number * 100_000_000, **jitter)


def measure_s(action: Callable[[], Any]) -> float:
    """Return the seconds that an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def measure_bytes(estimate: Estimate, count: int) -> int:
    """Return the bytes that a full history of so many estimates takes."""
    manager = ExportManager(count)
    tracemalloc.start()
    for _ in range(count):
        manager.append(estimate)
    n_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return n_bytes


def pandas_bytes(frame: pd.DataFrame) -> dict[str, Callable[[], Any]]:
    """Return the plain way of pandas to each format."""
    return {
        "csv": lambda: frame.to_csv(index=False).encode(),
        "json": lambda: frame.to_json(orient="records").encode(),
        "parquet": lambda: frame.to_parquet(io.BytesIO(), index=False),
    }


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="?", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    estimates, chance = make_estimates(1_000), random.Random(1)  # noqa: S311 - figures to print, not secrets
    print(f"memory of {arguments.rows:,} rows: {measure_bytes(estimates[0], arguments.rows) / 1e6:.0f} MB")
    manager = ExportManager(arguments.rows)
    manager.market = (VENUE, SYMBOL)
    append_s = []
    for number in range(arguments.rows):
        estimate = vary_estimate(estimates[number % len(estimates)], number, chance)
        append_s.append(measure_s(lambda estimate=estimate: manager.append(estimate)))  # type: ignore[misc]
    print(f"append: {median(append_s) * 1e6:.1f} us")
    frame = manager.frame()
    print(f"frame: {median(measure_s(manager.frame) for _ in range(arguments.rounds)):.2f} s")
    print(f"{'':9}{'MB':>7}{'ours s':>9}{'pandas s':>10}{'ratio':>8}")
    for name, plain in pandas_bytes(frame).items():
        export = getattr(manager, name)
        rounds = [(measure_s(export), measure_s(plain)) for _ in range(arguments.rounds)]
        ours, theirs = (median(times) for times in zip(*rounds, strict=True))
        verdict = "kept" if ours <= PROMISED_RATIO * theirs else "MISSED"
        size = len(export()) / 1e6
        print(f"{name:9}{size:7.0f}{ours:9.2f}{theirs:10.2f}{ours / theirs:8.2f} ({verdict}: <= {PROMISED_RATIO:g})")


if __name__ == "__main__":
    main()
