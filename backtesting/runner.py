"""Run many backtests: in this process, in several, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
import pyarrow as pa

from backtesting.book_cache import OnRead, RecordingSource, open_books
from backtesting.engine import PricedBlock, Step, run_steps
from backtesting.output import OutputError, _Part, open_output
from backtesting.summary import Summary, SummaryBuilder
from estimation.order import Order
from exporting.rows import Context, to_table

Report = Callable[[RecordingSource, Step], None]


class Task(NamedTuple):
    """What one worker does in one go: a recording, the orders, and where their rows go; None keeps none.

    most_bytes: where the rows take more, none are kept.
    """

    source: RecordingSource
    orders: tuple[Order, ...]
    parts: tuple[Path, ...] | None
    cache: Path | None
    most_bytes: int | None = None


def run(
    jobs: Sequence[tuple[RecordingSource, Sequence[Order]]],
    *,
    out: Path | None = None,
    cache: Path | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    report: Report | None = None,
) -> Iterator[Summary]:
    """The summary of every order on its recording, by recording and then by order, each as it is ready.

    workers: processes of this machine; scheduler: the address of a Dask cluster, whose workers must see the same
    folders, instead. Either is given one recording with one order at a time. out: a new .csv or .parquet file, there
    once the iterator is exhausted; its columns are those of the export, and `recording` where there are several.
    cache: as backtesting.engine.run_steps has it. report is told of every step that this process itself makes.
    Raises OSError, OutputError and what `run_steps` raises.
    """
    alone = workers == 1 and scheduler is None
    with open_output(out) as output:
        units = []
        for source, orders in jobs:
            for some in (tuple(orders),) if alone else [(order,) for order in orders]:
                parts = None if output is None else tuple(output.part() for _ in some)
                units.append(Task(source, some, parts, cache))
        summaries = []
        made = (run_task(unit, report) for unit in units) if alone else _run_distributed(units, workers, scheduler)
        for unit in made:
            summaries += unit
            yield from unit
        if output is not None:
            output.assemble(summaries, len(jobs) > 1)


def run_task(unit: Task, report: Report | None = None) -> list[Summary]:
    """Do it, and give a summary for each order; their rows are written to the parts, whole or not at all."""
    with closing(iter_task(unit)) as made:
        while True:
            try:
                step = next(made)
            except StopIteration as end:
                found: list[Summary] = end.value
                return found
            if report is not None:
                report(unit.source, step)


def iter_task(unit: Task, on_read: OnRead = lambda _bytes: None) -> Generator[Step, None, list[Summary]]:
    """The same step by step, as backtesting.engine.run_steps has them; closed early, it leaves nothing behind."""
    source = unit.source
    with ExitStack() as stack:
        tallies = [
            stack.enter_context(SummaryBuilder(source.path.name, source.venue, source.symbol, o)) for o in unit.orders
        ]
        kept = stack.enter_context(ExitStack())
        writers = [kept.enter_context(_Part(part)) for part in unit.parts or ()]
        for step in stack.enter_context(closing(run_steps(source, unit.orders, unit.cache, on_read))):
            yield step
            block = step.priced
            if block is None:
                continue
            tallies[block.order].add(block.columns, block.scorecard)
            if writers:
                writers[block.order].write(rows(source, unit.orders[block.order], block))
                if unit.most_bytes is not None and sum(writer.size for writer in writers) > unit.most_bytes:
                    writers.clear()
                    kept.close()
        for writer in writers:
            writer.done()
        return [tally.summary() for tally in tallies]


def rows(source: RecordingSource, order: Order, block: PricedBlock) -> pa.Table:
    """A block's estimates as rows of the export."""
    count = len(block.columns["market_ns"])
    more = {"context": np.zeros(count, dtype=np.int64), "processing_ns": np.full(count, np.nan)}
    return to_table(block.columns | more, [Context(source.venue, source.symbol, order)])


def _run_distributed(units: Sequence[Task], workers: int, scheduler: str | None) -> Iterator[list[Summary]]:
    """Every unit done by another process; a cluster does those of a lost worker again."""
    with _backend(scheduler):
        several = joblib.Parallel(
            n_jobs=workers if scheduler is None else -1, batch_size=1, pre_dispatch="all", return_as="generator"
        )
        # A recording that several units need is parsed once, before them.
        caches = {unit.source: unit.cache for unit in units}
        if len(caches) < len(units):
            for _ in several(joblib.delayed(parse)(source, cache) for source, cache in caches.items()):
                pass
        yield from several(joblib.delayed(run_task)(unit) for unit in units)


def parse(source: RecordingSource, cache: Path | None) -> None:
    """Have the recording parsed, and the books kept if there is room for them."""
    for _ in open_books(source, cache):
        pass


@contextmanager
def _backend(scheduler: str | None) -> Iterator[None]:
    if scheduler is None:
        with nullcontext():
            yield
        return
    try:
        from distributed import Client  # noqa: PLC0415 - of requirements-cluster.txt, and only needed here
    except ImportError:
        raise OutputError("a scheduler needs Dask: pip install -r requirements-cluster.txt") from None
    client: Any = Client
    with client(scheduler, timeout=5, set_as_default=False) as cluster, joblib.parallel_config("dask", client=cluster):
        yield
