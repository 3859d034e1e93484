"""Write the rows of many backtests to one file."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from backtesting.summary import Summary
from estimation.estimate import UNITS
from exporting.rows import COLUMNS, DATA_DICTIONARY
from exporting.table import Format, Table

_BATCH_ROWS = 16_384
"""Rows read from a part and written on at a time, which bounds the memory."""


class OutputError(ValueError):
    """A file that results cannot be written to; the message says why."""


class PartWriter:
    """Writes the rows of one order on one recording to a Parquet file, which gets its name once it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        return self

    @property
    def size(self) -> int:
        """The bytes on the disk so far."""
        return self._unfinished.stat().st_size if self._writer is not None else 0

    def write(self, rows: pa.Table) -> None:
        """Append the rows; the first ones decide the columns and their types."""
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._unfinished, rows.schema)
        self._writer.write_table(rows)

    def finish(self) -> None:
        """Close the file and give it its name; without any rows there is no file."""
        if self._writer is None:
            return
        self._writer.close()
        self._unfinished.replace(self._path)

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
            self._unfinished.unlink(missing_ok=True)


class OutputFile:
    """The file of results, assembled from one part for each backtest; the parts lie in a folder beside it."""

    def __init__(self, path: Path, folder: Path) -> None:
        self._path = path
        self._folder = folder
        self._parts: list[Path] = []

    def add_part(self) -> Path:
        """Return the path where the next backtest is to write its rows."""
        self._parts.append(self._folder / f"{len(self._parts)}.parquet")
        return self._parts[-1]

    def assemble(self, summaries: Sequence[Summary], name_recordings: bool) -> None:
        """Write the rows of every part, in order, and their description; then give the file its name.

        summaries: one a part. name_recordings: whether a column says which recording each row is of.
        """
        about = describe_backtests(summaries)
        draft = self._folder / "all"
        fmt: Format = "csv" if self._path.suffix == ".csv" else "parquet"
        write_tables(fmt, draft, read_parts(self._parts, summaries, about, name_recordings))
        if fmt == "csv":
            (self._folder / "meta").write_bytes(Table(pa.table({}), about).about_json())
            (self._folder / "meta").replace(self._path.with_name(f"{self._path.stem}.meta.json"))
        draft.replace(self._path)


def describe_backtests(summaries: Sequence[Summary]) -> dict[str, Any]:
    """Return all that a reader of the rows needs a year later to understand them."""
    return {
        "kind": "backtest results",
        "recordings": list(dict.fromkeys(summary.recording for summary in summaries)),
        "backtests": [_describe_backtest(summary) for summary in summaries],
        "units": UNITS,
        "columns": DATA_DICTIONARY,
    }


def _describe_backtest(summary: Summary) -> dict[str, Any]:
    scorecard = summary.scorecard
    return {
        "recording": summary.recording,
        "venue": summary.venue,
        "symbol": summary.symbol,
        "rows": summary.books,
        "order": asdict(summary.order) | {"side": summary.order.side.name.lower()},
        "models": None if scorecard is None else asdict(scorecard) | {"verdict": scorecard.verdict},
    }


def read_parts(
    parts: Sequence[Path], summaries: Sequence[Summary], about: Mapping[str, Any], name_recordings: bool = False
) -> Iterator[Table]:
    """Yield the rows of every part, in order and in bounded memory.

    summaries: one a part. about: the description that goes with every table. name_recordings: whether a column says
    which recording each row is of.
    """
    for part, summary in zip(parts, summaries, strict=True):
        if not part.exists():  # the recording has no book of the market
            continue
        with pq.ParquetFile(part) as file:
            for batch in file.iter_batches(_BATCH_ROWS):
                rows = pa.Table.from_batches([batch])
                if name_recordings:
                    names = pa.array([summary.recording] * len(rows), pa.large_string())
                    rows = rows.append_column("recording", names)
                yield Table(rows, about)


def write_tables(fmt: Format, path: Path, tables: Iterator[Table]) -> None:
    """Write a new file of the rows of all tables, which share their columns."""
    {"csv": _write_csv, "json": _write_json, "parquet": _write_parquet}[fmt](path, tables)


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
            # Only the first table keeps its header line.
            file.write(text if not file.tell() else text[text.index(b"\n") + 1 :])


def _write_json(path: Path, tables: Iterator[Table]) -> None:
    with path.open("xb") as file:
        file.write(b"[")
        for table in tables:
            objects = table.json()[1:-2]  # without the brackets around them and the line's end
            file.write(objects if file.tell() == 1 else b"," + objects)
        file.write(b"]\n")


@contextmanager
def open_output(path: Path | None) -> Iterator[OutputFile | None]:
    """Prepare a new file of results and delete its parts at the end; None for the path gives None.

    Raises OutputError for another kind of file than .csv or .parquet, or if the file exists.
    """
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
        yield OutputFile(path, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
