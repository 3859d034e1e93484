"""Write the rows of many backtests to one file."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from backtesting.summary import Summary
from exporting.rows import COLUMNS, UNITS
from exporting.table import Format, Table

_ROWS_WRITTEN = 16_384


class OutputError(ValueError):
    """A file that results cannot be written to; the message says why."""


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


class Output:
    """The file of results, put together from the units' parts in a folder beside it."""

    def __init__(self, path: Path, folder: Path) -> None:
        self._path, self._folder = path, folder
        self._parts: list[Path] = []

    def part(self) -> Path:
        self._parts.append(self._folder / f"{len(self._parts)}.parquet")
        return self._parts[-1]

    def assemble(self, summaries: Sequence[Summary], several: bool) -> None:
        """Write the rows of every part, in order, and what explains them; then give the file its name."""
        about, made = explain(summaries), self._folder / "all"
        fmt: Format = "csv" if self._path.suffix == ".csv" else "parquet"
        write(fmt, made, tables(self._parts, summaries, about, several))
        if fmt == "csv":
            (self._folder / "meta").write_bytes(Table(pa.table({}), about).about_json())
            (self._folder / "meta").replace(self._path.with_name(f"{self._path.stem}.meta.json"))
        made.replace(self._path)


def explain(summaries: Sequence[Summary]) -> dict[str, Any]:
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
def open_output(path: Path | None) -> Iterator[Output | None]:
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
        yield Output(path, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
