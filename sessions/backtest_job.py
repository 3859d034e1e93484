"""A backtest in the background of a page: on a thread of its own, to be watched, stopped, and read when it is done."""

from __future__ import annotations

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
from backtesting.engine import Step
from backtesting.output import describe_backtests, read_parts, write_tables
from backtesting.runner import Task, iter_task
from backtesting.summary import Summary
from estimation.order import Order
from exporting.table import Format, Table

MOST_BYTES = 50_000_000
"""A download goes through the memory of this process and of a browser."""
PREVIEW = 20
_YIELD_EVERY_S = 0.01
"""Reading and rest take turns of this length, so that the page's numbers are not held up."""

JobState = Literal["running", "stopped", "failed", "done"]


class _Stopped(Exception):  # noqa: N818 - nothing is wrong
    """Somebody wants no more of it."""


class _TooLargeError(Exception):
    """A file has outgrown MOST_BYTES."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a backtest is: the share of the file that was read and the books found, or books priced of all."""

    stage: Literal["reading", "pricing"] = "reading"
    share: float = 0.0
    books: int = 0
    total: int | None = None


class BacktestJob:
    """One backtest, begun at once. Its rows lie in a folder that only this user can read, and that goes with it.

    name: what the recording is called wherever it is told. orders[0] is the one asked for, the others its other sizes.
    summaries: one an order, once done. error: why it failed. Raises OSError if there is no room for rows.
    """

    def __init__(self, source: RecordingSource, orders: Sequence[Order], name: str) -> None:
        self.source, self.orders, self.name = source, tuple(orders), name
        self.progress = Progress()
        self.summaries: tuple[Summary, ...] = ()
        self.error = ""
        self._folder = Path(tempfile.mkdtemp(prefix="trade-simulator-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._parts = tuple(self._folder / f"{number}.parquet" for number in range(len(self.orders)))
        self._stopped = threading.Event()
        self._done = False
        self._rested = perf_counter()
        self._thread = threading.Thread(target=self._work, name="backtest", daemon=True)
        self._thread.start()

    @property
    def state(self) -> JobState:
        if self._done:
            return "done"
        if self._stopped.is_set():
            return "stopped"
        return "running" if self._thread.is_alive() else "failed"

    def stop(self) -> None:
        """Only signals; what was not done by then never will be."""
        self._stopped.set()

    def join(self, timeout_s: float) -> bool:
        """Wait so long for the thread; whether it has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def about_json(self) -> bytes:
        """What explains the rows."""
        return Table(pa.table({}), describe_backtests(self.summaries)).about_json()

    @property
    def kept(self) -> bool:
        """Whether the rows are there to be taken away, and not too many."""
        return all(part.exists() for part, summary in zip(self._parts, self.summaries, strict=True) if summary.books)

    def rows(self, fmt: Format) -> bytes | None:
        """The rows of every order, one order after the other, as a file; None if it is larger than MOST_BYTES."""
        path = self._folder / f"rows.{fmt}"
        try:
            write_tables(fmt, path, self._bounded(path))
            return path.read_bytes() if path.stat().st_size <= MOST_BYTES else None
        except _TooLargeError:
            return None
        finally:
            path.unlink(missing_ok=True)

    def preview(self) -> pd.DataFrame:
        """The last rows of all; there must be some."""
        last = deque(read_parts(self._parts[-1:], self.summaries[-1:], {}), maxlen=2)
        rows = pa.concat_tables(table.rows for table in last)
        return rows.slice(max(0, len(rows) - PREVIEW)).to_pandas()

    def _bounded(self, path: Path) -> Iterator[Table]:
        for table in read_parts(self._parts, self.summaries, describe_backtests(self.summaries)):
            if path.exists() and path.stat().st_size > MOST_BYTES:
                raise _TooLargeError
            yield table

    def _work(self) -> None:
        unit = Task(self.source, self.orders, self._parts, None, MOST_BYTES)
        try:
            size = max(1, self.source.path.stat().st_size)
            with suppress(_Stopped), closing(iter_task(unit, lambda count: self._read(count / size))) as steps:
                while True:
                    self._turn()
                    try:
                        self._tell(next(steps))
                    except StopIteration as end:
                        self.summaries = tuple(replace(each, recording=self.name) for each in end.value)
                        self._done = True
                        return
        except (OSError, ValueError, OverflowError) as error:
            self.error = str(error)

    def _tell(self, step: Step) -> None:
        share = self.progress.share if step.total is None else step.done / step.total
        self.progress = Progress(step.stage, share, step.done, step.total)

    def _read(self, share: float) -> None:
        self.progress = replace(self.progress, share=share)
        self._turn()

    def _turn(self) -> None:
        """Rest now and then. Raises _Stopped."""
        if self._stopped.is_set():
            raise _Stopped
        if perf_counter() - self._rested > _YIELD_EVERY_S:
            self._stopped.wait(_YIELD_EVERY_S)
            self._rested = perf_counter()


class BacktestJobs:
    """The backtest of one browser tab: the one that runs, or the last one."""

    def __init__(self) -> None:
        self.run: BacktestJob | None = None
        self._interrupted = False

    def start(self, source: RecordingSource, orders: Sequence[Order], name: str) -> None:
        """Begin this one in place of the one before. Raises OSError."""
        self.stop()
        self.run = BacktestJob(source, orders, name)

    def stop(self) -> None:
        """Have no more of it; only signals."""
        self._interrupted = False
        if self.run is not None:
            self.run.stop()

    def release(self) -> None:
        """Stop because the page is gone; safe on any thread, joins nothing. `resume` undoes it."""
        run = self.run
        if run is not None and run.state == "running":
            run.stop()
            self._interrupted = True

    def resume(self) -> None:
        """Begin anew what a release has stopped; nothing otherwise, or if there is no room for it any more."""
        if self._interrupted and self.run is not None:
            self._interrupted = False
            with suppress(OSError):
                self.run = BacktestJob(self.run.source, self.run.orders, self.run.name)
