"""Run a backtest on a background thread that the page can watch, stop, and read once it is done."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Literal

import pandas as pd
import pyarrow as pa

from backtesting.book_cache import RecordingSource
from backtesting.cache_folder import BookCache
from backtesting.engine import Step
from backtesting.output import describe_backtests, read_parts, write_tables
from backtesting.runner import Task, iter_task
from backtesting.summary import Summary
from estimation.order import Order
from exporting.table import Format, Table
from recording.scanner import TIME_SLICE_S

logger = logging.getLogger(__name__)

MAX_DOWNLOAD_BYTES = 50_000_000
"""A download passes through the memory of this process and of a browser."""
PREVIEW_ROWS = 20

JobState = Literal["running", "stopped", "failed", "done"]


class _StopRequested(Exception):  # noqa: N818 - nothing is wrong
    """Raised on the job's thread once the user or the closed tab has asked the job to stop."""


class _TooLargeError(Exception):
    """Raised while a file is written that has outgrown MAX_DOWNLOAD_BYTES."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a backtest is.

    share: of the file that has been read, or of the books that have been priced. books: found or priced so far.
    total: all books; None while the recording is still being read.
    """

    stage: Literal["reading", "pricing"] = "reading"
    share: float = 0.0
    books: int = 0
    total: int | None = None


class BacktestJob:
    """One backtest, which starts at once and keeps its rows in a private folder that is deleted with it.

    name: what the page calls the recording. orders[0] is the order of the page, the others are its other sizes.
    summaries: one an order, once done. error: why the job failed; empty if the reason is only in the log.
    Raises OSError if the folder for the rows cannot be made.
    """

    def __init__(self, source: RecordingSource, orders: Sequence[Order], name: str) -> None:
        self.source = source
        self.orders = tuple(orders)
        self.name = name
        self.progress = Progress()
        self.summaries: tuple[Summary, ...] = ()
        self.error = ""
        self._folder = Path(tempfile.mkdtemp(prefix="trade-simulator-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._row_files = tuple(self._folder / f"{number}.parquet" for number in range(len(self.orders)))
        self._stopped = threading.Event()
        self._done = False
        self._last_rest_s = perf_counter()
        self._thread = threading.Thread(target=self._run, name="backtest", daemon=True)
        self._thread.start()

    @property
    def state(self) -> JobState:
        if self._done:
            return "done"
        if self._stopped.is_set():
            return "stopped"
        return "running" if self._thread.is_alive() else "failed"

    def stop(self) -> None:
        """Ask the job to stop, without waiting; a stopped job never has results."""
        self._stopped.set()

    def join(self, timeout_s: float) -> bool:
        """Wait at most this long for the thread to end. Return True if it has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def about_json(self) -> bytes:
        """Return the metadata of the rows as JSON: recording, market, order, fees, units and model scores."""
        return Table(pa.table({}), describe_backtests(self.summaries)).about_json()

    @property
    def has_rows(self) -> bool:
        """Whether the rows can be downloaded: every order kept its rows, so none outgrew MAX_DOWNLOAD_BYTES."""
        return all(
            row_file.exists()
            for row_file, summary in zip(self._row_files, self.summaries, strict=True)
            if summary.books
        )

    def export_rows(self, fmt: Format) -> bytes | None:
        """Return the rows of all orders, one order after the other, as the content of a file.

        Return None if the file is larger than MAX_DOWNLOAD_BYTES.
        """
        path = self._folder / f"rows.{fmt}"
        try:
            write_tables(fmt, path, self._bounded_tables(path))
            return path.read_bytes() if path.stat().st_size <= MAX_DOWNLOAD_BYTES else None
        except _TooLargeError:
            return None
        finally:
            path.unlink(missing_ok=True)

    def preview_rows(self) -> pd.DataFrame:
        """Return the last PREVIEW_ROWS rows of the last order, which must have rows."""
        last_tables = deque(read_parts(self._row_files[-1:], self.summaries[-1:], {}), maxlen=2)
        rows = pa.concat_tables(table.rows for table in last_tables)
        return rows.slice(max(0, len(rows) - PREVIEW_ROWS)).to_pandas()

    def _bounded_tables(self, path: Path) -> Iterator[Table]:
        """Yield the tables to write. Raise _TooLargeError as soon as the file at `path` is too large."""
        for table in read_parts(self._row_files, self.summaries, describe_backtests(self.summaries)):
            if path.exists() and path.stat().st_size > MAX_DOWNLOAD_BYTES:
                raise _TooLargeError
            yield table

    def _run(self) -> None:
        try:
            self._price_recording()
        except (OSError, ValueError, OverflowError) as error:
            self.error = str(error)
            logger.warning("the backtest of %r failed: %s", self.name, type(error).__name__)
        except Exception:
            # The page says only that something unexpected happened; the traceback belongs in the log.
            logger.exception("backtest of %s failed", self.name)

    def _price_recording(self) -> None:
        # An upload is gone with its tab, and so are its books.
        is_upload = self.source.max_bytes is not None
        cache = BookCache.from_user(self.source.path.parent if is_upload else None)
        task = Task(self.source, self.orders, self._row_files, cache, MAX_DOWNLOAD_BYTES)
        n_bytes = max(1, self.source.path.stat().st_size)

        def report_read(n_read: int) -> None:
            self.progress = replace(self.progress, share=n_read / n_bytes)
            self._rest_or_stop()

        with suppress(_StopRequested), closing(iter_task(task, report_read)) as steps:
            while True:
                self._rest_or_stop()
                try:
                    self._report_step(next(steps))
                except StopIteration as end:
                    self.summaries = tuple(replace(summary, recording=self.name) for summary in end.value)
                    self._done = True
                    return

    def _report_step(self, step: Step) -> None:
        share = self.progress.share if step.total is None else step.done / step.total
        self.progress = Progress(step.stage, share, step.done, step.total)

    def _rest_or_stop(self) -> None:
        """Rest after each slice of work, so that the page's numbers are not held up. Raise _StopRequested."""
        if self._stopped.is_set():
            raise _StopRequested
        if perf_counter() - self._last_rest_s > TIME_SLICE_S:
            self._stopped.wait(TIME_SLICE_S)
            self._last_rest_s = perf_counter()


class BacktestJobs:
    """The one backtest that a browser tab keeps: the running one, or else the last one."""

    def __init__(self) -> None:
        self.job: BacktestJob | None = None
        self._was_interrupted = False

    def start(self, source: RecordingSource, orders: Sequence[Order], name: str) -> None:
        """Stop the job before and start this one in its place. Raise OSError if its folder cannot be made."""
        self.stop()
        self.job = BacktestJob(source, orders, name)

    def stop(self) -> None:
        """Ask the job to stop for good, without waiting for it."""
        self._was_interrupted = False
        if self.job is not None:
            self.job.stop()

    def release(self) -> None:
        """Stop the job because the tab is closed; `resume` starts it again. Safe on any thread, joins none."""
        job = self.job
        if job is not None and job.state == "running":
            job.stop()
            self._was_interrupted = True

    def resume(self) -> None:
        """Start the job again that a release has stopped; do nothing if there is none or no room for its rows."""
        if self._was_interrupted and self.job is not None:
            self._was_interrupted = False
            with suppress(OSError):
                self.job = BacktestJob(self.job.source, self.job.orders, self.job.name)
