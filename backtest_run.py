"""Many backtests at once: done by this process, by several, or by a cluster, their rows put into one file."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backtest_blocks import Priced, Step, steps
from backtest_summary import Summary, Tally
from book_cache import OnRead, Source, opening
from calculations import Order
from export_rows import COLUMNS, UNITS, Context, tabled
from export_table import Format, Table

Report = Callable[[Source, Step], None]

_ROWS_WRITTEN = 16_384


class OutputError(ValueError):
    """A file that results cannot be written to; the message says why."""


class Unit(NamedTuple):
    """What one worker does in one go: a recording, the orders, and where their rows go; None keeps none.

    most_bytes: where the rows take more, none are kept.
    """

    source: Source
    orders: tuple[Order, ...]
    parts: tuple[Path, ...] | None
    cache: Path | None
    most_bytes: int | None = None


def run(
    jobs: Sequence[tuple[Source, Sequence[Order]]],
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
    cache: as backtest_blocks.steps has it. report is told of every step that this process itself makes.
    Raises OSError, OutputError and what `steps` raises.
    """
    alone = workers == 1 and scheduler is None
    with _output(out) as output:
        units = []
        for source, orders in jobs:
            for some in (tuple(orders),) if alone else [(order,) for order in orders]:
                parts = None if output is None else tuple(output.part() for _ in some)
                units.append(Unit(source, some, parts, cache))
        summaries = []
        made = (work(unit, report) for unit in units) if alone else _elsewhere(units, workers, scheduler)
        for unit in made:
            summaries += unit
            yield from unit
        if output is not None:
            output.assemble(summaries, len(jobs) > 1)


def work(unit: Unit, report: Report | None = None) -> list[Summary]:
    """Do it, and give a summary for each order; their rows are written to the parts, whole or not at all."""
    with closing(working(unit)) as made:
        while True:
            try:
                step = next(made)
            except StopIteration as end:
                found: list[Summary] = end.value
                return found
            if report is not None:
                report(unit.source, step)


def working(unit: Unit, on_read: OnRead = lambda _bytes: None) -> Generator[Step, None, list[Summary]]:
    """The same step by step, as backtest_blocks.steps has them; closed early, it leaves nothing behind."""
    source = unit.source
    with ExitStack() as stack:
        tallies = [stack.enter_context(Tally(source.path.name, source.venue, source.symbol, o)) for o in unit.orders]
        kept = stack.enter_context(ExitStack())
        writers = [kept.enter_context(_Part(part)) for part in unit.parts or ()]
        for step in stack.enter_context(closing(steps(source, unit.orders, unit.cache, on_read))):
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


def rows(source: Source, order: Order, block: Priced) -> pa.Table:
    """A block's estimates as rows of the export."""
    count = len(block.columns["market_ns"])
    more = {"context": np.zeros(count, dtype=np.int64), "processing_ns": np.full(count, np.nan)}
    return tabled(block.columns | more, [Context(source.venue, source.symbol, order)])


def _elsewhere(units: Sequence[Unit], workers: int, scheduler: str | None) -> Iterator[list[Summary]]:
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
        yield from several(joblib.delayed(work)(unit) for unit in units)


def parse(source: Source, cache: Path | None) -> None:
    """Have the recording parsed, and the books kept if there is room for them."""
    for _ in opening(source, cache):
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


class _Part:
    """One unit's rows as a Parquet file, under its name only once it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> _Part:
        return self

    @property
    def size(self) -> int:
        """Bytes on the disk so far."""
        return self._unfinished.stat().st_size if self._writer is not None else 0

    def write(self, some: pa.Table) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._unfinished, some.schema)
        self._writer.write_table(some)

    def done(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        self._unfinished.replace(self._path)

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
            self._unfinished.unlink(missing_ok=True)


class _Output:
    """The file of results, put together from the units' parts in a folder beside it."""

    def __init__(self, path: Path, folder: Path) -> None:
        self._path, self._folder = path, folder
        self._parts: list[Path] = []

    def part(self) -> Path:
        self._parts.append(self._folder / f"{len(self._parts)}.parquet")
        return self._parts[-1]

    def assemble(self, summaries: Sequence[Summary], several: bool) -> None:
        """Write the rows of every part, in order, and what explains them; then give the file its name."""
        about, made = explained(summaries), self._folder / "all"
        fmt: Format = "csv" if self._path.suffix == ".csv" else "parquet"
        write(fmt, made, tables(self._parts, summaries, about, several))
        if fmt == "csv":
            (self._folder / "meta").write_bytes(Table(pa.table({}), about).about_json())
            (self._folder / "meta").replace(self._path.with_name(f"{self._path.stem}.meta.json"))
        made.replace(self._path)


def explained(summaries: Sequence[Summary]) -> dict[str, Any]:
    """What a reader of the rows needs a year later."""
    return {
        "kind": "backtest results",
        "recordings": list(dict.fromkeys(summary.recording for summary in summaries)),
        "backtests": [_about(summary) for summary in summaries],
        "units": UNITS,
    }


def tables(
    parts: Sequence[Path], summaries: Sequence[Summary], about: Mapping[str, Any], several: bool = False
) -> Iterator[Table]:
    """The rows of every part, in order and in bounded memory; several: each names its recording."""
    for part, summary in zip(parts, summaries, strict=True):
        if not part.exists():  # not one book
            continue
        with pq.ParquetFile(part) as file:
            for batch in file.iter_batches(_ROWS_WRITTEN):
                table = pa.Table.from_batches([batch])
                if several:
                    names = pa.array([summary.recording] * len(table), pa.large_string())
                    table = table.append_column("recording", names)
                yield Table(table, about)


def write(fmt: Format, path: Path, tables: Iterator[Table]) -> None:
    """A new file of all these rows."""
    {"csv": _write_csv, "json": _write_json, "parquet": _write_parquet}[fmt](path, tables)


def _about(summary: Summary) -> dict[str, Any]:
    scorecard = summary.scorecard
    return {
        "recording": summary.recording,
        "venue": summary.venue,
        "symbol": summary.symbol,
        "rows": summary.books,
        "order": asdict(summary.order) | {"side": summary.order.side.name.lower()},
        "models": None if scorecard is None else asdict(scorecard) | {"verdict": scorecard.verdict},
    }


def _write_parquet(path: Path, tables: Iterator[Table]) -> None:
    writer: pq.ParquetWriter | None = None
    for table in tables:
        if writer is None:
            metadata = {"trade_simulator": table.about_json()}
            writer = pq.ParquetWriter(path, table.rows.schema.with_metadata(metadata))
        writer.write_table(table.rows.replace_schema_metadata(writer.schema.metadata))
    if writer is None:
        pq.write_table(pa.table({name: pa.nulls(0) for name in COLUMNS}), path)
    else:
        writer.close()


def _write_csv(path: Path, tables: Iterator[Table]) -> None:
    with path.open("xb") as file:
        for table in tables:
            text = table.csv()
            file.write(text if not file.tell() else text[text.index(b"\n") + 1 :])


def _write_json(path: Path, tables: Iterator[Table]) -> None:
    with path.open("xb") as file:
        file.write(b"[")
        for table in tables:
            inside = table.json()[1:-2]
            file.write(inside if file.tell() == 1 else b"," + inside)
        file.write(b"]\n")


@contextmanager
def _output(path: Path | None) -> Iterator[_Output | None]:
    if path is None:
        yield None
        return
    if path.suffix not in (".csv", ".parquet"):
        raise OutputError(f"results go to a .csv or a .parquet file, not to {path.name!r}")
    if path.exists():
        raise OutputError(f"{path} is there already; choose another name")
    folder = path.absolute().with_name(f".{path.name}.{secrets.token_hex(4)}")
    folder.mkdir()
    try:
        yield _Output(path, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
