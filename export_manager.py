"""Keep the history of estimates, and make the reports that leave the program as files."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields
from pathlib import Path

import pandas as pd
import pyarrow as pa

from estimation.estimate import UNITS, Estimate
from estimation.realised import RealisedOutcome
from estimation.scorecard import Scorecard
from exporting.files import ExportError
from exporting.row_ring import RowRing
from exporting.rows import COLUMNS, DATA_DICTIONARY, Context, to_row, to_table
from exporting.table import Format, Table
from fees.schedules import FeeSchedule
from profiling import LAST, Latency, SystemProfiler

__all__ = ["COLUMNS", "ExportError", "ExportManager", "Format", "Table", "performance_report", "to_row"]


class ExportManager:
    """The history of the last `limit` estimates.

    `append` is for the feed thread alone; any thread may call the rest. The owner may rebind three attributes at any
    time: `market`, the venue and the symbol of all estimates appended from then on; `schedule`, the fee schedule in
    use; and `scorecard`, a function that is called on export. The last two join the description of a file.

    The history holds rows of numbers: a hundred thousand estimates as objects would take 280 MB, and stop the whole
    process for a fifth of a second whenever Python looks for garbage.
    """

    def __init__(self, limit: int = 100_000) -> None:
        self.market: tuple[str, str] | None = None
        self.schedule: FeeSchedule | None = None
        self.scorecard: Callable[[], Scorecard | None] | None = None
        self._lock = threading.Lock()
        self._latest: Estimate | None = None
        # What `append` looks up anew only when the estimate's market or order changes.
        self._contexts: dict[Context, int] = {}
        self._context = 0
        self._market: tuple[str, str] | None = None
        self._n_dropped = 0
        self._dropping_since_ns: int | None = None
        self._n_open = 0  # of the newest rows, how many may still get their outcome
        self._rows = RowRing(limit)

    def __len__(self) -> int:
        """Return the number of rows in the history."""
        return len(self._rows)

    @property
    def limit(self) -> int:
        """The most rows that the history keeps."""
        return self._rows.limit

    @property
    def latest(self) -> Estimate | None:
        """The newest estimate; None before the first."""
        return self._latest

    @property
    def dropped(self) -> int:
        """The number of old estimates dropped to make room for newer ones."""
        return self._n_dropped

    @property
    def dropping_since_ns(self) -> int | None:
        """The market_ns at which the first estimate was dropped; None while nothing is missing."""
        return self._dropping_since_ns

    def append(self, estimate: Estimate) -> None:
        """Add an estimate; once the history is full, it replaces the oldest."""
        market = self.market  # read once: another thread may rebind it meanwhile
        latest = self._latest
        with self._lock:
            order = estimate.order
            if latest is None or market is not self._market or order is not latest.order:
                venue, symbol = market or (None, None)
                context = Context(venue, symbol, order)
                self._context = self._contexts.setdefault(context, len(self._contexts))
                self._market = market
            # After a step back in time no earlier row gets an outcome: times would no longer tell the rows apart.
            if latest is not None and estimate.market_ns < latest.market_ns:
                self._n_open = 0
            self._latest = estimate
            stamps = estimate.stamps
            if self._rows.append(estimate.row, self._context, stamps.fees_ns - stamps.received_ns):
                self._drop(1, estimate.market_ns)
            if self._n_open < len(self._rows):
                self._n_open += 1

    def realise(self, outcomes: Iterable[RealisedOutcome]) -> None:
        """Fill in the realised columns of the outcomes' estimates.

        outcomes: as TradingCalculator.realised returns them, each once, oldest first. An outcome whose estimate is no
        longer kept is skipped.
        """
        with self._lock:
            for outcome in outcomes:
                while self._n_open:
                    block, place = self._rows.find(self._n_open)
                    market_ns = block.market_ns.item(place)
                    if market_ns > outcome.market_ns:
                        break  # its estimate is not kept
                    # Rows and outcomes are in order of time, so an earlier row will not get an outcome any more.
                    self._n_open -= 1
                    if market_ns == outcome.market_ns:
                        realised_bps = outcome.realised_slippage_bps
                        block.realised_slippage_bps[place] = math.nan if realised_bps is None else realised_bps
                        block.realised_maker[place] = outcome.realised_maker
                        break

    def _drop(self, count: int, market_ns: int) -> None:
        """Count dropped estimates; market_ns: the time at which they are dropped."""
        self._n_dropped += count
        if self._dropping_since_ns is None:
            self._dropping_since_ns = market_ns

    def resize(self, limit: int) -> None:
        """Keep `limit` rows from now on; if there are more, drop the oldest. Raises ValueError below 1."""
        with self._lock:
            n_before = len(self._rows)
            self._rows = self._rows.resized(limit)
            self._n_open = min(self._n_open, len(self._rows))
            if len(self._rows) < n_before and self._latest is not None:
                self._drop(n_before - len(self._rows), self._latest.market_ns)

    def table(self, rows: int | None = None) -> Table:
        """Return the history, oldest first, with the columns COLUMNS and its description.

        The description holds the market, the last order, the model scores, the fee schedule, and how many rows are
        missing. rows: only this many of the newest; None means all.
        """
        with self._lock:
            kept = self._rows.newest(self._rows.limit if rows is None else max(0, rows))
            contexts = list(self._contexts)
            latest = self._latest
            n_dropped = self._n_dropped
            dropping_since_ns = self._dropping_since_ns
        scorecard = None if self.scorecard is None else self.scorecard()
        venue, symbol = self.market or (None, None)
        about = {
            "kind": "simulation results",
            "venue": venue,
            "symbol": symbol,
            "rows": len(kept),
            "rows_dropped": n_dropped,
            "dropping_since_market_ns": dropping_since_ns,
            "order": None if latest is None else asdict(latest.order) | {"side": latest.order.side.name.lower()},
            "models": None if scorecard is None else asdict(scorecard) | {"verdict": scorecard.verdict},
            "fees": None if self.schedule is None else asdict(self.schedule),
            "units": UNITS,
            "columns": DATA_DICTIONARY,
        }
        return Table(to_table(kept, contexts), about)

    def frame(self, rows: int | None = None) -> pd.DataFrame:
        """Return the rows of `table`; NaN where a value is unknown."""
        return self.table(rows).rows.to_pandas()

    def csv(self) -> bytes:
        """Return the history as CSV, see Table."""
        return self.table().csv()

    def json(self) -> bytes:
        """Return the history as JSON, see Table."""
        return self.table().json()

    def parquet(self) -> bytes:
        """Return the history as Parquet, see Table."""
        return self.table().parquet()

    def save(self, folder: str | Path, name: str, fmt: Format, overwrite: bool = False) -> Path:
        """Write the history to a file and return its path, see Table. Raises ExportError."""
        return self.table().save(folder, name, fmt, overwrite)


def performance_report(profiler: SystemProfiler, with_system: bool = False) -> Table:
    """Return the latencies, a row a stage. with_system: repeat memory, CPU and threads in every row."""
    latencies = profiler.latencies()
    columns = {"stage": pa.array(list(latencies), pa.large_string())}
    for field in fields(Latency):
        data_type = pa.int64() if field.name == "count" else pa.float64()
        columns[field.name] = pa.array([getattr(latency, field.name) for latency in latencies.values()], data_type)
    if with_system:
        system = profiler.system()
        threads = [f"{thread.name} (daemon)" if thread.daemon else thread.name for thread in system.threads]
        for name, value, data_type in (
            ("rss_bytes", system.rss_bytes, pa.int64()),
            ("vms_bytes", system.vms_bytes, pa.int64()),
            ("available_bytes", system.available_bytes, pa.int64()),
            ("cpu_percent", system.cpu_percent, pa.float64()),
            ("threads", len(threads), pa.int64()),
            ("thread_names", "; ".join(threads), pa.large_string()),
        ):
            columns[name] = pa.array([value] * len(latencies), data_type)
    about = {
        "kind": "performance report",
        "count": "of all ever measured",
        "_ms": f"milliseconds, over the last {LAST}",
        "cpu_percent": "of one core",
    }
    return Table(pa.table(columns), about)
