"""What exporting a long history costs beside pandas alone: `.venv/bin/python -m benchmarks.export [ROWS]` prints, for
each format, our seconds from the history to the bytes, pandas' from a ready DataFrame of the same table, and the ratio.

Both take turns, so that a slow moment of the machine strikes both alike, and the medians are compared. It
also prints what keeping an estimate costs in time and memory.
"""

from __future__ import annotations

import argparse
import io
import random
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from statistics import median
from typing import Any

import pandas as pd

from calculations import Estimate, Order, TradingCalculator
from export_manager import ExportManager
from feeds import VENUES, market_simulator
from orderbook import Side

PROMISED = 1.5
VENUE, SYMBOL = "simulated", "BTC-USDT-SWAP"


def some_estimates(count: int) -> list[Estimate]:
    """Estimates of a simulated market."""
    feed = VENUES[VENUE].make_feed(SYMBOL)
    calculator = TradingCalculator(Order(Side.BUY, 100_000.0, "quote"), VENUES[VENUE].contract_size(SYMBOL))
    found = []
    for _, message in islice(market_simulator.frames(seed=3), count):
        book = feed.parse(message, time.perf_counter_ns())
        assert book is not None
        found.append(calculator.estimate(book))
    return found


def varied(estimate: Estimate, at: int, chance: random.Random) -> Estimate:
    """An estimate like this one whose figures occur nowhere else, so that nothing is cheap to repeat."""
    jitter = {
        name: value * chance.uniform(0.999, 1.001)
        for name in estimate.__dataclass_fields__
        if isinstance(value := getattr(estimate, name), float)
    }
    return replace(
        estimate,
        market_ns=estimate.market_ns + at * 100_000_000,
        features=type(estimate.features)(*[value * chance.uniform(0.999, 1.001) for value in estimate.features]),
        parameters={
            name: parameter._replace(value=parameter.value * chance.uniform(0.999, 1.001))
            for name, parameter in estimate.parameters.items()
        },
        **jitter,
    )


def clocked(action: Callable[[], Any]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def pandas_bytes(frame: pd.DataFrame) -> dict[str, Callable[[], Any]]:
    """The plain way to each format."""
    return {
        "csv": lambda: frame.to_csv(index=False).encode(),
        "json": lambda: frame.to_json(orient="records").encode(),
        "parquet": lambda: frame.to_parquet(io.BytesIO(), index=False),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="?", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    estimates, chance = some_estimates(1_000), random.Random(1)  # noqa: S311 - figures to print, not secrets
    tracemalloc.start()
    manager = ExportManager(arguments.rows)
    manager.market = (VENUE, SYMBOL)
    print(f"memory of {arguments.rows:,} rows: {tracemalloc.get_traced_memory()[0] / 1e6:.0f} MB")
    tracemalloc.stop()
    took = []
    for at in range(arguments.rows):
        estimate = varied(estimates[at % len(estimates)], at, chance)
        took.append(clocked(lambda estimate=estimate: manager.append(estimate)))  # type: ignore[misc]
    print(f"append: {median(took) * 1e6:.1f} us")
    frame = manager.frame()
    print(f"frame: {median(clocked(manager.frame) for _ in range(arguments.rounds)):.2f} s")
    print(f"{'':9}{'MB':>7}{'ours s':>9}{'pandas s':>10}{'ratio':>8}")
    for name, plain in pandas_bytes(frame).items():
        export = getattr(manager, name)
        rounds = [(clocked(export), clocked(plain)) for _ in range(arguments.rounds)]
        ours, theirs = (median(times) for times in zip(*rounds, strict=True))
        kept = "kept" if ours <= PROMISED * theirs else "MISSED"
        size = len(export()) / 1e6
        print(f"{name:9}{size:7.0f}{ours:9.2f}{theirs:10.2f}{ours / theirs:8.2f} ({kept}: <= {PROMISED:g})")


if __name__ == "__main__":
    main()
