"""Measure how fast whole recordings are priced: `.venv/bin/python -m benchmarks.backtest [BOOKS]`.

The command makes a recording of the simulated market, 50 levels a side, and prints books a second on one core: from
its frames, from the parsed books with fixed models and with learning, by a plain loop over TradingCalculator.estimate,
and by orjson.loads alone on the same frames. Then it compares two workers with one, and with --memory prints the peak
memory of a process that prices two million books.

Every round measures all of them one after the other, and the medians are compared, so that a short slowdown of the
machine affects all alike. Times are of the processor, except those of the workers, which are of the clock.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
import orjson

from backtesting.book_arrays import BookArrays
from backtesting.book_cache import RecordingSource, open_books
from backtesting.cache_folder import BookCache
from backtesting.engine import price_blocks, run_steps
from backtesting.runner import run
from calculations import Order, TradingCalculator
from estimation.model_state import ModelState
from estimation.training_schedule import TrainingSchedule
from orderbook import Side
from replay import encode, read, simulated

SYMBOL = "BTC-USDT-SWAP"
ORDER = Order(Side.BUY, 100_000.0, "quote")
LOOP_BOOKS = 3_000
MEMORY_BOOKS = 2_000_000
FIXED_PROMISED = 2_000_000
LEARNING_PROMISED = 200_000
FRAMES_PROMISED = 60_000
"""Books a second: from the parsed books with fixed models and with learning, outcomes included, and from frames."""
START_NS = 1_700_000_000_000_000_000


def make_recording(folder: Path, books: int, seed: int = 1) -> RecordingSource:
    """Record so many books of the simulated market."""
    path = folder / f"market{seed}.jsonl"
    with path.open("wb") as file:
        for tick in islice(simulated(SYMBOL, seed=seed, start_ns=START_NS), books):
            file.write(encode(tick) + b"\n")
    return RecordingSource.from_path(path, "simulated", SYMBOL)


def measure_cpu_s(action: Callable[[], object]) -> float:
    """Return the seconds of the processor that an action takes."""
    start = time.process_time()
    action()
    return time.process_time() - start


def price_frames(source: RecordingSource, folder: Path) -> None:
    """Price a recording from its frames, with learning and an empty cache."""
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        for _ in run_steps(source, [ORDER], BookCache(Path(cache))):
            pass


def price_cached(source: RecordingSource, folder: Path, state: ModelState | None) -> None:
    """Price a recording from its parsed books: with this model state, or with learning if it is None."""
    for books in open_books(source, BookCache(folder)):
        if isinstance(books, BookArrays):
            for _ in price_blocks(books, [ORDER], source.contract_size, state):
                pass


def price_in_loop(source: RecordingSource) -> tuple[float, ModelState]:
    """Price by a loop over `estimate`; return seconds a book and the model state at the end."""
    calculator = TradingCalculator(ORDER, source.contract_size or 1.0)
    books = list(islice(source.read_books(), LOOP_BOOKS))
    cpu_s = measure_cpu_s(lambda: deque(map(calculator.estimate, books), maxlen=0))
    schedule = calculator._schedule
    assert isinstance(schedule, TrainingSchedule)
    return cpu_s / len(books), schedule.state


def compare_speeds(folder: Path, count: int, rounds: int) -> None:
    """Print books a second of each way to price, and the promised ratios."""
    source = make_recording(folder, count)
    messages = [tick.message.encode() for tick in read(source.path) if tick.kind == "recv"]
    price_cached(source, folder, None)
    _, state = price_in_loop(source)
    rounds_s: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, seconds in (
            ("orjson.loads alone", measure_cpu_s(lambda: deque(map(orjson.loads, messages), maxlen=0)) / count),
            ("from frames", measure_cpu_s(lambda: price_frames(source, folder)) / count),
            ("from the cache, fixed models", measure_cpu_s(lambda: price_cached(source, folder, state)) / count),
            ("from the cache, learning", measure_cpu_s(lambda: price_cached(source, folder, None)) / count),
            ("a loop over estimate", price_in_loop(source)[0]),
        ):
            rounds_s.setdefault(name, []).append(seconds)
    book_s = {name: median(seconds) for name, seconds in rounds_s.items()}
    for name, seconds in book_s.items():
        print(f"{name:30}{1 / seconds:12,.0f} books/s")
    json, frames, fixed, learning, loop = book_s.values()
    for claim, ratio, is_kept in (
        ("from frames / orjson alone", frames / json, frames <= 4 * json),
        ("loop / cache with fixed models", loop / fixed, loop >= 20 * fixed),
    ):
        print(f"{claim:30}{ratio:12.1f} ({'kept' if is_kept else 'MISSED'})")
    print(f"{'loop / cache with learning':30}{loop / learning:12.1f}")
    for name, seconds, promised in (
        ("fixed models", fixed, FIXED_PROMISED),
        ("learning", learning, LEARNING_PROMISED),
        ("from frames", frames, FRAMES_PROMISED),
    ):
        print(f"{f'{name} >= {promised:,}':30}{'kept' if seconds <= 1 / promised else 'MISSED':>12}")


def compare_workers(folder: Path, count: int, rounds: int) -> None:
    """Compare two workers with one on eight tasks, each a file with an order, on parsed books.

    The pool of processes is running already.
    """
    work = [
        (make_recording(folder, count, seed), [Order(Side.BUY, size) for size in (0.5, 1.0, 2.0, 5.0)])
        for seed in (11, 12)
    ]
    rounds_s: dict[int, list[float]] = {1: [], 2: []}
    singles = [(source, [order]) for source, orders in work for order in orders]
    list(run(work, workers=2))
    for _ in range(rounds):
        for n_workers, seconds in rounds_s.items():
            start = time.perf_counter()
            # One order at a time on one process too: the saving of several orders in one go is not measured here.
            for job in [[single] for single in singles] if n_workers == 1 else [work]:
                list(run(job, workers=n_workers))
            seconds.append(time.perf_counter() - start)
    ratio = median(rounds_s[1]) / median(rounds_s[2])
    print(f"two workers / one, eight units{ratio:12.2f} ({'kept' if ratio >= 1.7 else 'MISSED'})")


def measure_memory(folder: Path) -> None:
    """Price two million parsed books in a process of its own; they repeat the simulated market's."""
    count = 20_000
    source = make_recording(folder, count, 21)
    price_cached(source, folder, None)
    (home,) = {path.parent for path in folder.glob("market21*/about.json")}
    clock, starts = np.load(home / "clock.npy"), np.load(home / "starts.npy")
    repeats = MEMORY_BOOKS // count
    shift = np.arange(repeats).repeat(count)[:, None]
    np.save(home / "clock.npy", np.tile(clock, (repeats, 1)) + shift * (clock[-1, 0] - clock[0, 0] + 100_000_000))
    np.save(home / "starts.npy", np.concatenate((starts[:1], np.tile(starts[1:], (repeats, 1)) + shift * starts[-1])))
    for name in ("bids", "asks"):
        levels = np.load(home / f"{name}.npy")
        many = np.lib.format.open_memmap(home / f"{name}.npy", "w+", levels.dtype, (repeats * len(levels), 2))
        for repeat in range(repeats):
            many[repeat * len(levels) : (repeat + 1) * len(levels)] = levels
        del many
    code = "import sys; from benchmarks.backtest import print_peak; print_peak(sys.argv[1], sys.argv[2])"
    subprocess.run([sys.executable, "-c", code, source.path, folder], check=True)


def print_peak(path: str, folder: str) -> None:
    """Price a recording with a summary, and print the peak memory of this process and its speed."""
    start = time.process_time()
    books = 0
    source = RecordingSource.from_path(path, "simulated", SYMBOL)
    for summary in run([(source, [ORDER])], cache=BookCache(Path(folder))):
        books = summary.books
    # Linux's own count of this program: the count of getrusage is never below that of the parent process.
    status = Path("/proc/self/status").read_text()
    peak_gib = int(status.partition("VmHWM:")[2].split()[0]) / 2**20
    cpu_s = time.process_time() - start
    print(f"{books:,} books with learning and a summary: {peak_gib:.2f} GiB at most, {books / cpu_s:,.0f} books/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("books", nargs="?", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="price two million books, too: 3.5 GB of disk, minutes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare_speeds(Path(folder), options.books, options.rounds)
        compare_workers(Path(folder), options.books, options.rounds)
        if options.memory:
            measure_memory(Path(folder))


if __name__ == "__main__":
    main()
