"""Measure the cost of more levels, symbols, sessions and days: `.venv/bin/python -m benchmarks.scale [--seconds 20]`.

The command prints the tables of docs/scale.md. The markets of the symbols and sessions come from another process, so
that only the client, the calculator and the history are measured here.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter_ns

import psutil

from calculations import Order, TradingCalculator
from estimation.estimate import ROW
from export_manager import ExportManager
from feeds import VENUES
from feeds.market_simulator import START_NS
from orderbook import Side
from replay import Recorder, books, encode, serve, simulated
from sessions.market import Market
from sessions.session import Session
from tests.support.loopback import eventually
from websocket_client import FeedHub

SYMBOL = "BTC-USDT-SWAP"
ORDER = Order(Side.BUY, 100_000.0, "quote")
PER_SECOND = 10
DAY_S = 86_400
LEVELS = (10, 50, 400)
SYMBOLS = (1, 4, 16)
SESSIONS = (1, 10, 50)
RECORDED_S = (60, 600, 3600)
BOOKS = 3000


@dataclass(frozen=True, slots=True)
class RemoteMarket(Market):
    """A market that another process serves and that all its viewers share."""

    url: str = ""

    def open(self) -> AbstractContextManager[str]:
        return nullcontext(self.url)


def serve_markets(count: int) -> None:
    """Serve so many different markets until the input ends: the work of the other process."""
    with ExitStack() as markets:
        for seed in range(count):
            print(markets.enter_context(serve(simulated(SYMBOL, seed=seed, per_second=PER_SECOND))), flush=True)
        sys.stdin.read()


@contextmanager
def remote_markets(count: int) -> Iterator[list[str]]:
    """Have another process serve so many markets; yield their addresses."""
    command = [sys.executable, "-m", "benchmarks.scale", "--make", str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdin is not None
        assert maker.stdout is not None
        yield [maker.stdout.readline().strip() for _ in range(count)]
        maker.stdin.close()


def format_levels(levels: int) -> str:
    """Measure microseconds a book: the median of each step, and all processor time, fits of the models included."""
    feed = VENUES["simulated"].make_feed(SYMBOL)
    calculator, history = TradingCalculator(ORDER, VENUES["simulated"].contract_size(SYMBOL)), ExportManager()
    ticks = list(islice(simulated(SYMBOL, seed=1, levels=levels, start_ns=START_NS), BOOKS))
    steps = []
    began = time.process_time()
    for tick in ticks:
        received = perf_counter_ns()
        book = feed.parse(tick.message, received)
        parsed = perf_counter_ns()
        assert book is not None
        estimate = calculator.estimate(book)
        estimated = perf_counter_ns()
        history.append(estimate)
        steps.append((parsed - received, estimated - parsed, perf_counter_ns() - estimated))
    all_us = (time.process_time() - began) / BOOKS * 1e6
    parse, price, keep = (median(durations) / 1000 for durations in zip(*steps, strict=True))
    return f"| {levels} | {parse:.0f} | {price:.0f} | {keep:.0f} | {all_us:.0f} |"


def format_live(name: str, watched: list[Market], seconds: float) -> str:
    """Measure CPU and memory of sessions that watch these markets, after a warm-up."""
    process, hub = psutil.Process(), FeedHub()
    gc.collect()
    before = process.memory_info().rss
    sessions = [Session(hub, ORDER) for _ in watched]
    for session, market in zip(sessions, watched, strict=True):
        session.connect(market)
    for session in sessions:
        eventually(lambda session=session: len(session.history) > 60, 60)  # type: ignore[misc]
    gc.collect()
    gc.freeze()  # as the application does
    threads = process.num_threads()
    began = time.monotonic()
    cpu = process.cpu_times()
    rows_before = sum(len(session.history) for session in sessions)
    time.sleep(seconds)
    used = process.cpu_times()
    elapsed_s = time.monotonic() - began
    priced = sum(len(session.history) for session in sessions) - rows_before
    p99 = max(session.profiler.latencies()["processing time"].p99_ms or 0.0 for session in sessions)
    conflated = max(session.status.conflated for session in sessions if session.status)
    memory = process.memory_info().rss - before
    for session in sessions:
        session.disconnect()
    eventually(lambda: not hub.feeds)
    busy = (used.user + used.system - cpu.user - cpu.system) / elapsed_s
    return (
        f"| {name} | {busy:.0%} | {priced / elapsed_s:.0f} | {busy * 1e6 * elapsed_s / max(priced, 1):.0f} | "
        f"{memory / 2**20:.0f} | {threads} | {p99:.1f} | {conflated} |"
    )


def format_recording(seconds: int) -> str:
    """Record a market of this length; measure the file's size and how fast its books are read back."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "market.jsonl.gz")
        recorder = Recorder("simulated", SYMBOL)
        recorder.start(path)
        ticks = islice(simulated(SYMBOL, seed=1, start_ns=START_NS), seconds * PER_SECOND)
        while few := list(islice(ticks, 3)):  # as many as come between two flushes of a live recording
            recorder._put(b"".join(encode(tick) + b"\n" for tick in few))
        recorder.received = seconds * PER_SECOND  # else close() would delete it as a recording without frames
        recorder.close()
        began = time.monotonic()
        assert sum(1 for _ in books(path, lambda: VENUES["simulated"].make_feed(SYMBOL))) == seconds * PER_SECOND
        read_s = time.monotonic() - began
    size, day = recorder.bytes / 2**20, DAY_S / seconds
    return f"| {seconds} | {size:.1f} | {size * day / 1024:.2f} | {read_s:.1f} | {read_s * day / 60:.1f} |"


def print_table(title: str, columns: str, rows: Iterator[str]) -> None:
    """Print a table in Markdown, each row as soon as it is measured."""
    print(f"\n{title}\n\n| {columns} |\n|{'---|' * (columns.count('|') + 1)}")
    for row in rows:
        print(row, flush=True)


LIVE = "cpu, of a core | books priced a second | us a book priced | MiB more | threads | p99 ms | passed over"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each number of sessions is watched")
    parser.add_argument("--make", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        serve_markets(options.make)
        return
    format_levels(LEVELS[0])  # the first fit loads modules: that time belongs to no number of levels
    print_table(
        "Levels", "levels | parse us | estimate us | keep us | all, with the fits, us", map(format_levels, LEVELS)
    )
    with remote_markets(max(SYMBOLS)) as urls:
        replayed = [Market("simulated", SYMBOL, address=url, replayed=True) for url in urls]
        rows = (format_live(str(count), replayed[:count], options.seconds) for count in SYMBOLS)
        print_table("Symbols, a session each", f"symbols | {LIVE}", rows)
    with remote_markets(1) as (url,):
        shared = RemoteMarket("simulated", SYMBOL, url=url)
        rows = (format_live(str(count), [shared] * count, options.seconds) for count in SESSIONS)
        print_table("Sessions that share a symbol", f"sessions | {LIVE}", rows)
    columns = "recorded s | MiB | GiB a day | read s | read min a day"
    print_table("Recordings, 10 frames a second of 50 levels", columns, map(format_recording, RECORDED_S))
    limit = ExportManager().limit
    most_mib = limit * ROW.itemsize / 2**20
    print(f"\nHistory: {ROW.itemsize} bytes an estimate, {limit:,} at most: {most_mib:.0f} MiB a session,")
    print(f"{limit / PER_SECOND / 3600:.1f} hours at {PER_SECOND} books a second.")


if __name__ == "__main__":
    main()
