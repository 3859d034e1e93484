"""Measure how long each venue's feed takes for a message: `.venv/bin/python -m benchmarks.feeds [FOLDER]`.

The command reads the real recordings and prints median microseconds beside json.loads and orjson.loads of the same
frames in the same run, and the promised ratios. "parse" is everything a feed does: decode, sequence, checksum, apply,
publish and the book's own check. "rebuilt" does the same with json.loads, dictionaries, sorting and arrays; "held" is
its first half: json.loads and the changes to the dictionaries, without a book.
"""

from __future__ import annotations

import argparse
import gc
import json
import re
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import orjson

from feeds import VENUES, FeedError
from orderbook import OrderBook
from tests.support import reference_book as oracle
from tests.support.reference_book import Change, DictionaryBook, read_envelopes

RECORDINGS = Path(__file__).resolve().parents[2] / "shared" / "recordings"

MIN_ROUNDS = 3
MIN_TIMES = 60
"""A pass over a short recording is repeated until its frames have been measured this often."""
SNAPSHOT_PROMISED = 2.0
"""Coinbase: parse of a snapshot takes at most this multiple of json.loads."""
REBUILT_PROMISED = 5.0
"""Parse of a change is at least this many times faster than the book rebuilt."""
SHOWN = ("json", "orjson", "parse", "held", "rebuilt")

kraken_loads = partial(json.loads, parse_float=Decimal)


class Case(NamedTuple):
    """One recording: the market whose frames are measured, and how its book is rebuilt.

    read: reads the changes of a decoded frame.
    promised: the largest ratio of parse to `loads`, by levels published.
    renumber: whether to write OKX's frames of 2022 in today's form.
    """

    file: str
    venue: str
    symbol: str
    read: Callable[[Any, str], Change | None]
    promised: dict[int, float]
    loads: Callable[[str], Any] = json.loads
    number: Callable[[Any], Any] = float
    checksum: Callable[[DictionaryBook], int] | None = None
    keep: int | None = None
    renumber: bool = False


CASES = [
    Case("binance-spot_BTCUSDT_20240808", "binance", "BTCUSDT", oracle.read_binance, {50: 4.0, 400: 8.0}),
    Case("binance-usdm_4-pairs_20210722", "binance-usdm", "SUSHIUSDT", oracle.read_binance, {50: 4.0, 400: 8.0}),
    Case("bybit_linear_BTCUSDT_20260809", "bybit-linear", "BTCUSDT", oracle.read_bybit, {50: 4.0, 400: 8.0}),
    Case("bybit_spot_BTCUSDT_20260809", "bybit-spot", "BTCUSDT", oracle.read_bybit, {50: 4.0, 400: 8.0}),
    Case("coinbase_BTC-USD_ETH-USD_20260809", "coinbase", "BTC-USD", oracle.read_coinbase, {}),
    Case("okx_3-instruments_20220513_crc", "okx", "BTC-USDT", oracle.read_okx, {}, renumber=True),
    Case(
        "okx_3-instruments_20220513_crc",
        "okx",
        "BTC-USDT",
        oracle.read_okx,
        {},
        number=Decimal,
        checksum=oracle.okx_checksum,
    ),
    Case(
        "kraken_MINA-GBP_depth25_20260816",
        "kraken",
        "MINA/GBP",
        oracle.read_kraken,
        {50: 4.0, 400: 4.0},
        kraken_loads,
        Decimal,
        oracle.kraken_checksum,
        25,
    ),
]


class Frame(NamedTuple):
    """One text for the feed: a REST body, or a message; change is None if no book follows from it."""

    is_body: bool
    text: str
    change: Change | None


def renumber(text: str, count: int) -> str:
    """Write OKX's frame of 2022 in today's form: a number and the one before it instead of the checksum."""
    return re.sub(r'"checksum":-?[0-9]+', f'"checksum":0,"seqId":{count},"prevSeqId":{count - 1}', text)


def read_frames(folder: Path, case: Case) -> Iterator[Frame]:
    """Yield the frames of one recording."""
    count = 0
    for record in read_envelopes(folder / f"{case.file}.jsonl.gz"):
        if record["t"] == "http" and f"symbol={case.symbol}&" in record.get("url", f"symbol={case.symbol}&"):
            yield Frame(True, record["data"], None)
        elif record["t"] == "recv":
            change = case.read(case.loads(record["data"]), case.symbol)
            text = record["data"]
            if case.renumber and change is not None:
                count += 1
                text = renumber(text, count)
                change = change._replace(checksum=None)
            yield Frame(False, text, change)


def parse_all(case: Case, depth: int, frames: list[Frame]) -> Iterator[tuple[Frame, OrderBook | None, float]]:
    """Parse each frame with a new feed up to its first gap; yield it with its book and its microseconds."""
    feed = VENUES[case.venue].make_feed(case.symbol, depth)
    for frame in frames:
        parse = feed.apply_snapshot if frame.is_body else feed.parse
        start = time.perf_counter_ns()
        try:
            book = parse(frame.text, 0)
        except FeedError:
            return
        yield frame, book, (time.perf_counter_ns() - start) / 1000


def rebuild_all(
    case: Case, depth: int, parsed: list[tuple[Frame, OrderBook | None, float]]
) -> Iterator[tuple[OrderBook, float, float]]:
    """Rebuild every book from dictionaries; yield it with the microseconds until they hold it and until it is made."""
    rebuilt = DictionaryBook(case.number, case.keep)
    waiting: list[Any] = []
    for frame, built, _ in parsed:
        if frame.is_body:
            for spliced in oracle.binance_splice(json.loads(frame.text), waiting, case.symbol):
                rebuilt.apply(spliced)
        elif frame.change is not None and built is None:
            waiting.append(json.loads(frame.text))
        elif frame.change is not None:
            start = time.perf_counter_ns()
            change = case.read(case.loads(frame.text), case.symbol)
            assert change is not None
            rebuilt.apply(change)
            held_ns = time.perf_counter_ns() - start
            assert not (case.checksum and change.checksum) or case.checksum(rebuilt) == change.checksum
            bids, asks = (np.array(rows, dtype=np.float64) for rows in rebuilt.top(depth))
            book = OrderBook(case.venue, case.symbol, bids, asks, 1, 1, 1)
            yield book, held_ns / 1000, (time.perf_counter_ns() - start) / 1000


def measure(folder: Path, case: Case, depth: int) -> dict[str, dict[str, list[float]]]:
    """Return microseconds by kind of frame (snapshot, change) and contestant, each contestant alone in a pass."""
    frames = list(read_frames(folder, case))
    gc.collect()
    gc.freeze()  # as the application does: the collector must not examine the frames waiting here during a parse
    times: dict[str, dict[str, list[float]]] = {}
    n_changes = sum(frame.change is not None for frame in frames)
    for _ in range(max(MIN_ROUNDS, MIN_TIMES // n_changes)):
        parsed = list(parse_all(case, depth, frames))
        measured = [entry for entry in parsed if entry[0].change is not None and entry[1] is not None]
        passes: dict[str, list[float]] = {"parse": [cost for _, _, cost in measured]}
        for name, loads in (("json", case.loads), ("orjson", orjson.loads)):
            passes[name] = []
            for frame, _, _ in measured:
                start = time.perf_counter_ns()
                loads(frame.text)
                passes[name].append((time.perf_counter_ns() - start) / 1000)
        passes["held"] = []
        passes["rebuilt"] = []
        for (_, built, _), (rebuilt, held, cost) in zip(measured, rebuild_all(case, depth, parsed), strict=True):
            assert built is not None
            assert np.array_equal(built.bids, rebuilt.bids), "the contestants disagree"
            assert np.array_equal(built.asks, rebuilt.asks), "the contestants disagree"
            passes["held"].append(held)
            passes["rebuilt"].append(cost)
        for name, costs in passes.items():
            for (frame, _, _), cost in zip(measured, costs, strict=True):
                kind = "snapshot" if frame.change is not None and frame.change.snapshot else "change"
                times.setdefault(kind, {}).setdefault(name, []).append(cost)
    return times


def verdict(ratio: float, limit: float | None, at_most: bool = True) -> str:
    """Format a ratio, and whether it keeps its limit if it has one."""
    if limit is None:
        return f"{ratio:6.2f}"
    is_kept = ratio <= limit if at_most else ratio >= limit
    return f"{ratio:6.2f} ({'kept' if is_kept else 'MISSED'}: {'<=' if at_most else '>='} {limit:g})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=RECORDINGS, help="the folder of recordings")
    folder = parser.parse_args().folder
    if not folder.is_dir():
        parser.error(f"there is no folder {folder}: name the one that has the recordings")
    print(f"{'venue':13}{'frame':9}{'levels':>7}{'times':>7}{''.join(f'{one:>10}' for one in SHOWN)}  ratios")
    for case in CASES:
        for depth in (50, 400):
            for kind, contestants in measure(folder, case, depth).items():
                cost = {name: median(values) for name, values in contestants.items()}
                limit = case.promised.get(depth)
                faster: float | None = REBUILT_PROMISED
                if kind == "snapshot":  # sorted once by both, so only the decoding can differ
                    limit = SNAPSHOT_PROMISED if case.venue == "coinbase" else None
                    faster = None
                name = f"{case.venue} (2022)" if case.checksum is oracle.okx_checksum else case.venue
                print(
                    f"{name:13}{kind:9}{depth:7}{len(contestants['parse']):7}"
                    f"{''.join(f'{cost[one]:10.1f}' for one in SHOWN)}"
                    f"  parse/json {verdict(cost['parse'] / cost['json'], limit)}"
                    f"  rebuilt/parse {verdict(cost['rebuilt'] / cost['parse'], faster, at_most=False)}"
                )


if __name__ == "__main__":
    main()
