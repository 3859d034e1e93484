"""The history of estimates, and the reports that leave the program as files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields
from pathlib import Path

import pandas as pd
import pyarrow as pa

from estimation.estimate import Estimate
from estimation.realised import RealisedOutcome
from estimation.scorecard import Scorecard
from exporting.files import ExportError
from exporting.rows import (
    COLUMNS,
    ROW_BYTES,
    UNITS,
    Context,
    pack_into,
    packed_market_ns,
    parameter_values,
    realise,
    to_row,
    unpack,
)
from exporting.table import Format, Table
from fees.schedules import FeeSchedule
from profiling import LAST, Latency, SystemProfiler

__all__ = ["COLUMNS", "ExportError", "ExportManager", "Format", "Table", "performance_report", "to_row"]


_PAGE_BYTES = 4096


class ExportManager:
    """The last `limit` estimates; `append` is the feed thread's, the rest is anybody's.

    Three things its owner may rebind at any time: `market`, venue and symbol of what is appended from
    then on; `schedule`, the fee schedule in use, and `scorecard`, asked on export, which join what
    explains a file.

    An estimate is packed as it comes: a hundred thousand of them as objects take 280 MB and hold up
    the whole process for a fifth of a second whenever Python looks for garbage.
    """

    def __init__(self, limit: int = 100_000) -> None:
        self.market: tuple[str, str] | None = None
        self.schedule: FeeSchedule | None = None
        self.scorecard: Callable[[], Scorecard | None] | None = None
        self._lock = threading.Lock()
        self._latest: Estimate | None = None
        self._contexts: dict[Context, int] = {}
        self._context = 0
        self._parameters: tuple[float, ...] = ()
        self._market: tuple[str, str] | None = None
        self._dropped = 0
        self._dropping_since_ns: int | None = None
        self._open = 0  # so many of the newest rows may still learn their outcome
        self._start(limit, b"")

    def _start(self, limit: int, rows: bytes) -> None:
        if limit < 1:
            raise ValueError(f"the history must keep a row at least: {limit}")
        self._limit = limit
        self._ring = bytearray(limit * ROW_BYTES)
        # Taken now, page by page: memory that only a full history would show is no surprise hours later.
        self._ring[::_PAGE_BYTES] = bytes(len(range(0, len(self._ring), _PAGE_BYTES)))
        self._ring[: len(rows)] = rows
        self._held = len(rows) // ROW_BYTES
        self._next = self._held % limit
        self._open = min(self._open, self._held)

    def __len__(self) -> int:
        """The rows that an export has."""
        return self._held

    @property
    def limit(self) -> int:
        return self._limit

    @property
    def latest(self) -> Estimate | None:
        """The last estimate; None before the first."""
        return self._latest

    @property
    def dropped(self) -> int:
        """How many of the oldest estimates gave way to newer ones."""
        return self._dropped

    @property
    def dropping_since_ns(self) -> int | None:
        """The market_ns at which the first estimate gave way; None while nothing is missing."""
        return self._dropping_since_ns

    def append(self, estimate: Estimate) -> None:
        """Keeps an estimate, in place of the oldest once the history is full."""
        market, latest = self.market, self._latest
        with self._lock:
            if latest is None or market is not self._market or estimate.order is not latest.order:
                venue, symbol = market or (None, None)
                context = Context(venue, symbol, estimate.order)
                self._context = self._contexts.setdefault(context, len(self._contexts))
                self._market = market
            if latest is None or estimate.parameters is not latest.parameters:
                self._parameters = parameter_values(estimate.parameters)
            if latest is not None and estimate.market_ns < latest.market_ns:
                self._open = 0
            pack_into(self._ring, self._next * ROW_BYTES, estimate, self._parameters, self._context)
            self._latest = estimate
            self._next = (self._next + 1) % self._limit
            if self._held < self._limit:
                self._held += 1
            else:
                self._drop(1, estimate.market_ns)
            self._open = min(self._open + 1, self._held)

    def realise(self, outcomes: Iterable[RealisedOutcome]) -> None:
        """Fills in the realised columns, as TradingCalculator.realised tells the outcomes: each once, oldest
        first. One whose estimate is not kept is passed over.
        """
        with self._lock:
            for outcome in outcomes:
                while self._open:
                    start = (self._next - self._open) % self._limit * ROW_BYTES
                    market_ns = packed_market_ns(self._ring, start)
                    if market_ns > outcome.market_ns:
                        break
                    self._open -= 1
                    if market_ns == outcome.market_ns:
                        realise(self._ring, start, outcome.realised_slippage_bps, outcome.realised_maker)
                        break

    def _drop(self, count: int, market_ns: int) -> None:
        self._dropped += count
        if self._dropping_since_ns is None:
            self._dropping_since_ns = market_ns

    def resize(self, limit: int) -> None:
        """Keeps `limit` rows from now on, and of those there are the newest. Raises ValueError below 1."""
        with self._lock:
            before = self._held
            self._start(limit, self._newest(limit))
            if self._held < before and self._latest is not None:
                self._drop(before - self._held, self._latest.market_ns)

    def _newest(self, rows: int) -> bytes:
        """The newest rows, oldest first. Under the lock."""
        end = self._next * ROW_BYTES
        start = end - max(0, min(rows, self._held)) * ROW_BYTES
        with memoryview(self._ring) as ring:
            return bytes(ring[start:end]) if start >= 0 else b"".join((ring[start:], ring[:end]))

    def table(self, rows: int | None = None) -> Table:
        """The history, oldest first, columns as COLUMNS, and what explains it: market, last order, model
        scores, fee schedule, what is missing. rows: only so many of the newest; None means all.
        """
        with self._lock:
            kept = self._newest(self._limit if rows is None else rows)
            contexts = list(self._contexts)
            latest, dropped, dropping_since_ns = self._latest, self._dropped, self._dropping_since_ns
        scorecard = None if self.scorecard is None else self.scorecard()
        venue, symbol = self.market or (None, None)
        about = {
            "kind": "simulation results",
            "venue": venue,
            "symbol": symbol,
            "rows": len(kept) // ROW_BYTES,
            "rows_dropped": dropped,
            "dropping_since_market_ns": dropping_since_ns,
            "order": None if latest is None else asdict(latest.order) | {"side": latest.order.side.name.lower()},
            "models": None if scorecard is None else asdict(scorecard) | {"verdict": scorecard.verdict},
            "fees": None if self.schedule is None else asdict(self.schedule),
            "units": UNITS,
        }
        return Table(unpack(kept, contexts), about)

    def frame(self, rows: int | None = None) -> pd.DataFrame:
        """The rows of `table`; NaN where nothing is known."""
        return self.table(rows).rows.to_pandas()

    def csv(self) -> bytes:
        """The history as CSV, see Table."""
        return self.table().csv()

    def json(self) -> bytes:
        """The history as JSON, see Table."""
        return self.table().json()

    def parquet(self) -> bytes:
        """The history as Parquet, see Table."""
        return self.table().parquet()

    def save(self, folder: str | Path, name: str, fmt: Format, overwrite: bool = False) -> Path:
        """Writes the history to a file and returns its path; raises ExportError, see Table."""
        return self.table().save(folder, name, fmt, overwrite)


def performance_report(profiler: SystemProfiler, with_system: bool = False) -> Table:
    """One row a stage; with_system: memory, CPU and threads repeated beside each."""
    latencies = profiler.latencies()
    columns = {"stage": pa.array(list(latencies), pa.large_string())}
    for field in fields(Latency):
        kind = pa.int64() if field.name == "count" else pa.float64()
        columns[field.name] = pa.array([getattr(latency, field.name) for latency in latencies.values()], kind)
    if with_system:
        system = profiler.system()
        threads = [f"{thread.name} (daemon)" if thread.daemon else thread.name for thread in system.threads]
        for name, value, kind in (
            ("rss_bytes", system.rss_bytes, pa.int64()),
            ("vms_bytes", system.vms_bytes, pa.int64()),
            ("available_bytes", system.available_bytes, pa.int64()),
            ("cpu_percent", system.cpu_percent, pa.float64()),
            ("threads", len(threads), pa.int64()),
            ("thread_names", "; ".join(threads), pa.large_string()),
        ):
            columns[name] = pa.array([value] * len(latencies), kind)
    about = {
        "kind": "performance report",
        "count": "of all ever measured",
        "_ms": f"milliseconds, over the last {LAST}",
        "cpu_percent": "of one core",
    }
    return Table(pa.table(columns), about)
