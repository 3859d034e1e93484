"""Run many backtests: in this process, in several, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import pyarrow as pa

from backtesting.book_cache import OnRead, RecordingSource, open_books
from backtesting.cache_folder import BookCache
from backtesting.engine import PricedBlock, Step, run_steps
from backtesting.output import OutputError, PartWriter, open_output
from backtesting.summary import Summary, SummaryBuilder
from estimation.order import Order
from exporting.rows import Context, to_table

OnStep = Callable[[RecordingSource, Step], None]
"""Called after each step with the recording that it is of."""


class Task(NamedTuple):
    """The work that one process does at a time: some orders on one recording.

    parts: the files for the rows, one an order; None keeps no rows. cache: where the parsed books are
    kept. max_bytes: if the rows take more than this, none are kept; None is no limit.
    """

    source: RecordingSource
    orders: tuple[Order, ...]
    parts: tuple[Path, ...] | None
    cache: BookCache
    max_bytes: int | None = None


def run(
    jobs: Sequence[tuple[RecordingSource, Sequence[Order]]],
    *,
    out: Path | None = None,
    cache: BookCache | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    on_step: OnStep | None = None,
) -> Iterator[Summary]:
    """Run a backtest of every order on its recording; yield the summaries, each as soon as it is ready.

    They come by recording and then by order. Raises OSError, OutputError and what backtesting.engine.run_steps
    raises.

    Args:
        jobs: recordings, each with its orders.
        out: a new .csv or .parquet file for the rows, complete once the iterator is exhausted. Its columns are those
            of the export, and `recording` where there are several.
        cache: where the parsed books are kept; None is the user's cache folder.
        workers: processes of this machine. Several are given one recording with one order at a time.
        scheduler: the address of a Dask cluster to use instead, whose workers must see the same folders. It is given
            one recording with one order at a time.
        on_step: called after every step that this process itself makes.
    """
    is_local = workers == 1 and scheduler is None
    cache = BookCache.from_user() if cache is None else cache
    with open_output(out) as output:
        tasks = []
        for source, orders in jobs:
            for task_orders in (tuple(orders),) if is_local else [(order,) for order in orders]:
                parts = None if output is None else tuple(output.add_part() for _ in task_orders)
                tasks.append(Task(source, task_orders, parts, cache))
        summaries = []
        results = (
            (run_task(task, on_step) for task in tasks) if is_local else _run_distributed(tasks, workers, scheduler)
        )
        for task_summaries in results:
            summaries += task_summaries
            yield from task_summaries
        if output is not None:
            output.assemble(summaries, name_recordings=len(jobs) > 1)


def run_task(task: Task, on_step: OnStep | None = None) -> list[Summary]:
    """Run the task and return a summary for each order; their rows are written to the parts, whole or not at all."""
    with closing(iter_task(task)) as steps:
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                summaries: list[Summary] = end.value
                return summaries
            if on_step is not None:
                on_step(task.source, step)


def iter_task(task: Task, on_read: OnRead = lambda _bytes: None) -> Generator[Step, None, list[Summary]]:
    """Run the task step by step, as backtesting.engine.run_steps does, and return its summaries at the end.

    A generator that is closed early leaves no file behind.
    """
    source = task.source
    with ExitStack() as stack:
        builders = [
            stack.enter_context(SummaryBuilder(source.path.name, source.venue, source.symbol, order))
            for order in task.orders
        ]
        part_stack = stack.enter_context(ExitStack())
        writers = [part_stack.enter_context(PartWriter(part)) for part in task.parts or ()]
        for step in stack.enter_context(closing(run_steps(source, task.orders, task.cache, on_read))):
            yield step
            block = step.block
            if block is None:
                continue
            builders[block.order_index].add(block.rows, block.scorecard)
            if writers:
                writers[block.order_index].write(to_export_table(source, task.orders[block.order_index], block))
                if task.max_bytes is not None and sum(writer.size for writer in writers) > task.max_bytes:
                    # Too many rows: delete those written so far, and go on with the summaries alone.
                    writers.clear()
                    part_stack.close()
        for writer in writers:
            writer.finish()
        return [builder.summary() for builder in builders]


def to_export_table(source: RecordingSource, order: Order, block: PricedBlock) -> pa.Table:
    """Return the block's estimates as rows of the export; processing_ms is unknown."""
    return to_table(block.rows, [Context(source.venue, source.symbol, order)])


def _run_distributed(tasks: Sequence[Task], workers: int, scheduler: str | None) -> Iterator[list[Summary]]:
    """Run every task in another process; a cluster repeats the tasks of a lost worker."""
    with _parallel_backend(scheduler):
        parallel = joblib.Parallel(
            n_jobs=workers if scheduler is None else -1, batch_size=1, pre_dispatch="all", return_as="generator"
        )
        # A recording that several tasks need is parsed once, before them.
        caches = {task.source: task.cache for task in tasks}
        if len(caches) < len(tasks):
            for _ in parallel(joblib.delayed(parse_recording)(source, cache) for source, cache in caches.items()):
                pass
        yield from parallel(joblib.delayed(run_task)(task) for task in tasks)


def parse_recording(source: RecordingSource, cache: BookCache) -> None:
    """Parse the recording and keep its books in the cache, if they can be written there."""
    for _ in open_books(source, cache):
        pass


@contextmanager
def _parallel_backend(scheduler: str | None) -> Iterator[None]:
    """Let joblib use the cluster at this address; None leaves it to processes of this machine."""
    if scheduler is None:
        yield
        return
    try:
        from distributed import Client  # noqa: PLC0415 - of requirements-cluster.txt, and only needed here
    except ImportError:
        raise OutputError("a scheduler needs Dask: pip install -r requirements-cluster.txt") from None
    client: Any = Client
    with client(scheduler, timeout=5, set_as_default=False) as cluster, joblib.parallel_config("dask", client=cluster):
        yield
