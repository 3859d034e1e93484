"""How fast whole recordings are priced: `.venv/bin/python -m benchmarks.backtest [BOOKS]` makes a recording of the
simulated market, 50 levels a side, and prints books a second of one core: from its frames, from the parsed books, with
fixed models and with all that is learned, by a plain loop over TradingCalculator.estimate, and of orjson.loads alone on
the same frames. Then two workers beside one, and with --memory the peak of a process that prices two million books.

Every round measures all of them one after the other, and the medians are compared, so that a slow moment of the
machine strikes all alike. Times are of the processor, except for the workers'.
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

from backtesting.book_cache import BookArrays, RecordingSource, open_books
from backtesting.engine import price_blocks, run_steps
from backtesting.runner import run
from calculations import Order, TradingCalculator
from estimation.model_state import ModelState
from estimation.training_schedule import TrainingSchedule
from orderbook import Side
from replay import encode, read, simulated

SYMBOL = "BTC-USDT-SWAP"
ORDER = Order(Side.BUY, 100_000.0, "quote")
LOOP = 3_000
MILLIONS = 2_000_000
START_NS = 1_700_000_000_000_000_000


def made(folder: Path, books: int, seed: int = 1) -> RecordingSource:
    path = folder / f"market{seed}.jsonl"
    with path.open("wb") as file:
        for tick in islice(simulated(SYMBOL, seed=seed, start_ns=START_NS), books):
            file.write(encode(tick) + b"\n")
    return RecordingSource.from_path(path, "simulated", SYMBOL)


def clocked(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def from_frames(source: RecordingSource, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        for _ in run_steps(source, [ORDER], Path(cache)):
            pass


def from_cache(source: RecordingSource, folder: Path, known: ModelState | None) -> None:
    for books in open_books(source, folder):
        if isinstance(books, BookArrays):
            for _ in price_blocks(books, [ORDER], source.contract_size, known):
                pass


def looped(source: RecordingSource) -> tuple[float, ModelState]:
    """Seconds a book, and what was known at the end."""
    calculator, books = TradingCalculator(ORDER, source.contract_size or 1.0), list(islice(source.read_books(), LOOP))
    took = clocked(lambda: deque(map(calculator.estimate, books), maxlen=0))
    outcomes = calculator._schedule
    assert isinstance(outcomes, TrainingSchedule)
    return took / len(books), outcomes.state


def speed(folder: Path, count: int, rounds: int) -> None:
    source = made(folder, count)
    messages = [tick.message.encode() for tick in read(source.path) if tick.kind == "recv"]
    from_cache(source, folder, None)
    _, known = looped(source)
    took: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, seconds in (
            ("orjson.loads alone", clocked(lambda: deque(map(orjson.loads, messages), maxlen=0)) / count),
            ("from frames", clocked(lambda: from_frames(source, folder)) / count),
            ("from the cache, fixed models", clocked(lambda: from_cache(source, folder, known)) / count),
            ("from the cache, learning", clocked(lambda: from_cache(source, folder, None)) / count),
            ("a loop over estimate", looped(source)[0]),
        ):
            took.setdefault(name, []).append(seconds)
    each = {name: median(seconds) for name, seconds in took.items()}
    for name, seconds in each.items():
        print(f"{name:30}{1 / seconds:12,.0f} books/s")
    json, frames, fixed, learning, loop = each.values()
    for what, ratio, kept in (
        ("from frames / orjson alone", frames / json, frames <= 4 * json),
        ("loop / cache with fixed models", loop / fixed, loop >= 20 * fixed),
    ):
        print(f"{what:30}{ratio:12.1f} ({'kept' if kept else 'MISSED'})")
    print(f"{'loop / cache with learning':30}{loop / learning:12.1f}")
    print(f"{'fixed models >= 300,000':30}{'kept' if fixed <= 1 / 300_000 else 'MISSED':>12}")
    print(f"{'learning >= 100,000':30}{'kept' if learning <= 1 / 100_000 else 'MISSED':>12}")


def workers(folder: Path, count: int, rounds: int) -> None:
    """Eight units, each a file with an order, on parsed books; a pool of processes is running already."""
    work = [(made(folder, count, seed), [Order(Side.BUY, size) for size in (0.5, 1.0, 2.0, 5.0)]) for seed in (11, 12)]
    took: dict[int, list[float]] = {1: [], 2: []}
    singles = [(source, [order]) for source, orders in work for order in orders]
    list(run(work, workers=2))
    for _ in range(rounds):
        for number, seconds in took.items():
            start = time.perf_counter()
            # One order at a time on one process, too: what several share in one go is not what is measured.
            for job in [[single] for single in singles] if number == 1 else [work]:
                list(run(job, workers=number))
            seconds.append(time.perf_counter() - start)
    ratio = median(took[1]) / median(took[2])
    print(f"two workers / one, eight units{ratio:12.2f} ({'kept' if ratio >= 1.7 else 'MISSED'})")


def memory(folder: Path) -> None:
    """Two million parsed books, made by repeating the simulated market's, priced in a process of its own."""
    count = 20_000
    source = made(folder, count, 21)
    (home,) = {path.parent for _ in [from_cache(source, folder, None)] for path in folder.glob("market21*/about.json")}
    clock, starts = np.load(home / "clock.npy"), np.load(home / "starts.npy")
    times = MILLIONS // count
    shift = np.arange(times).repeat(count)[:, None]
    np.save(home / "clock.npy", np.tile(clock, (times, 1)) + shift * (clock[-1, 0] - clock[0, 0] + 100_000_000))
    np.save(home / "starts.npy", np.concatenate((starts[:1], np.tile(starts[1:], (times, 1)) + shift * starts[-1])))
    for name in ("bids", "asks"):
        levels = np.load(home / f"{name}.npy")
        many = np.lib.format.open_memmap(home / f"{name}.npy", "w+", levels.dtype, (times * len(levels), 2))
        for each in range(times):
            many[each * len(levels) : (each + 1) * len(levels)] = levels
        del many
    code = "import sys; from benchmarks.backtest import peak; peak(sys.argv[1], sys.argv[2])"
    subprocess.run([sys.executable, "-c", code, source.path, folder], check=True)


def peak(path: str, folder: str) -> None:
    start, books = time.process_time(), 0
    source = RecordingSource.from_path(path, "simulated", SYMBOL)
    for summary in run([(source, [ORDER])], cache=Path(folder)):
        books = summary.books
    # Linux's own count of this program: getrusage's is never below that of the process that started it.
    status = Path("/proc/self/status").read_text()
    most = int(status.partition("VmHWM:")[2].split()[0]) / 2**20
    took = time.process_time() - start
    print(f"{books:,} books with learning and a summary: {most:.2f} GiB at most, {books / took:,.0f} books/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("books", nargs="?", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="price two million books, too: 3.5 GB of disk, minutes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        speed(Path(folder), options.books, options.rounds)
        workers(Path(folder), options.books, options.rounds)
        if options.memory:
            memory(Path(folder))


if __name__ == "__main__":
    main()
