"""A table and what explains it, as CSV, JSON or Parquet: bytes, or a file under a safe name."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from exporting.files import ExportError, safe_stem, write_files

Format = Literal["csv", "json", "parquet"]

VERSION = "0.1.0"

_FORMULA = re.compile(
    r"^(?=[\t\r\n])|(?:^|(?<=[,;|\t\r\n]))(?=[\s\x00-\x1f\u200b\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20])"
)
"""Where a spreadsheet would begin a formula: at the start of a cell, or after what it may take for the end
of one; full-width signs are signs to an East Asian spreadsheet."""

_JSON_ROWS = 5_000
"""Ints made into JSON at a time: few enough to stay in the cache of the processor."""

_KINDS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
_TEXT = partial(pa.scalar, type=pa.large_string())


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Columns of numbers or text, and `about`, what a reader needs a year later to understand them.

    Parquet carries `about` in its schema under "trade_simulator". CSV and JSON stay plain tables that
    every reader takes, so a saved one has it beside it, in NAME.meta.json. Raises ExportError for a
    column of another kind.
    """

    rows: pa.Table
    about: Mapping[str, Any]

    def __post_init__(self) -> None:
        for field in self.rows.schema:
            if not (_is_text(field.type) or any(test(field.type) for test in _KINDS)):
                raise ExportError(f"the column {field.name!r} holds {field.type}, neither numbers nor text")

    def csv(self) -> bytes:
        """UTF-8, a comma, a header line; floats with all their digits, nothing where nothing is known.

        Text that a spreadsheet would run as a formula gets an apostrophe before it.
        """
        columns = [
            _changed(column, neutralise) if _is_text(column.type) else _number(column) for column in self._columns()
        ]
        sink = io.BytesIO()
        names = [neutralise(name) for name in self.rows.column_names]
        pa.csv.write_csv(pa.Table.from_arrays(columns, names), sink)
        return sink.getvalue()

    def json(self) -> bytes:
        """An array of one object a row; null where nothing is known or a number is not finite."""
        columns = [
            _changed(column, json.dumps) if _is_text(column.type) else _json_number(column)
            for column in self._columns()
        ]
        keys = [f",{json.dumps(name)}:" for name in self.rows.column_names]
        chunks: list[memoryview] = []
        for start in range(0, len(self.rows), _JSON_ROWS):
            parts: list[Any] = []
            for key, column in zip(keys, columns, strict=True):
                parts += [_TEXT(key), column.slice(start, _JSON_ROWS)]
            parts[0] = _TEXT(",\n{" + keys[0][1:])
            lines = pc.binary_join_element_wise(
                *parts, _TEXT("}"), _TEXT(""), null_handling="replace", null_replacement="null"
            )
            chunks.append(memoryview(lines.buffers()[2]))
        if chunks:
            chunks[0] = chunks[0][1:]
        return b"".join([b"[", *chunks, b"]\n"])

    def parquet(self) -> bytes:
        """Types kept, compressed."""
        rows = self.rows.replace_schema_metadata({"trade_simulator": self.about_json()})
        # Looking for repetitions among floats takes three quarters of the time and finds none.
        repetitive = [field.name for field in rows.schema if _is_text(field.type)]
        sink = io.BytesIO()
        pa.parquet.write_table(rows, sink, use_dictionary=repetitive)
        return sink.getvalue()

    def about_json(self) -> bytes:
        """What explains the table, with the software's version."""
        about = json.dumps({"software": f"trade-simulator {VERSION}", **self.about}, default=str)
        finite = json.loads(about, parse_constant=lambda _: None)
        return (json.dumps(finite, indent=2, ensure_ascii=False) + "\n").encode()

    def save(self, folder: str | Path, name: str, fmt: Format, overwrite: bool = False) -> Path:
        """Writes the table under this name, its extension added if missing. Returns the file's path.

        Raises ExportError, before anything is written, for a name that is not a plain base name, an
        unknown format, a folder that is a link, or a file that is there already unless `overwrite`.
        """
        if fmt not in get_args(Format):
            raise ExportError(f"the format must be one of {', '.join(get_args(Format))}, not {fmt!r}")
        stem = safe_stem(name, fmt)
        files = {} if fmt == "parquet" else {f"{stem}.meta.json": self.about_json()}
        files[f"{stem}.{fmt}"] = getattr(self, fmt)()
        write_files(Path(folder), files, overwrite)
        return Path(folder) / f"{stem}.{fmt}"

    def _columns(self) -> list[pa.Array]:
        return [column.combine_chunks() for column in self.rows.columns]


def neutralise(text: str) -> str:
    """The text with an apostrophe wherever a spreadsheet would begin a formula.

    >>> neutralise("=1+1"), neutralise("a; @SUM(A1)"), neutralise("BTC-USDT, 5 +")
    ("'=1+1", "a;' @SUM(A1)", 'BTC-USDT, 5 +')
    """
    return _FORMULA.sub("'", text)


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _changed(column: pa.Array, change: Callable[[str], str]) -> pa.Array:
    """A text column with each of its different texts changed; unknowns stay unknown."""
    encoded = column.dictionary_encode()
    words = [change(word) for word in encoded.dictionary.to_pylist()]
    return pa.array(words, pa.large_string()).take(encoded.indices)


def _number(column: pa.Array) -> pa.Array:
    """A column of numbers that is written as what it is: whole floats as 5.0, not 5, which reads as an integer."""
    if not pa.types.is_floating(column.type):
        return column
    whole = pc.and_(pc.equal(column, pc.trunc(column)), pc.less(pc.abs(column), 1e15))
    return column.cast(pa.decimal128(17, 1)) if pc.all(whole).as_py() else column


def _json_number(column: pa.Array) -> pa.Array:
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_finite(column), column, None)
    return _number(column).cast(pa.large_string())
