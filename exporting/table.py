"""Turn a table and its description into CSV, JSON or Parquet: bytes, or a file under a safe name."""

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
"""The places where a spreadsheet would begin a formula: at the start of a cell, or after a character that it may take
for the end of one. Full-width signs are signs to an East Asian spreadsheet."""

_JSON_ROWS = 5_000
"""Rows turned into JSON at a time: few enough to stay in the processor's cache."""

_NUMBER_TESTS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
_text_scalar = partial(pa.scalar, type=pa.large_string())


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Columns of numbers or text, with `about`: all that a reader needs a year later to understand them.

    Parquet carries `about` in its schema under "trade_simulator". CSV and JSON stay plain tables that every program
    reads, so `save` writes it beside them, into NAME.meta.json. Raises ExportError for a column of another type.
    """

    rows: pa.Table
    about: Mapping[str, Any]

    def __post_init__(self) -> None:
        for field in self.rows.schema:
            if not (_is_text(field.type) or any(test(field.type) for test in _NUMBER_TESTS)):
                raise ExportError(f"the column {field.name!r} holds {field.type}, neither numbers nor text")

    def csv(self) -> bytes:
        """Return the rows as CSV: UTF-8, separated by commas, with a header line.

        Floats have all their digits; an unknown value is an empty cell. Text that a spreadsheet would run as a formula
        gets an apostrophe before it.
        """
        columns = [
            _map_texts(column, neutralise_formulas) if _is_text(column.type) else _exact_number(column)
            for column in self._columns()
        ]
        sink = io.BytesIO()
        names = [neutralise_formulas(name) for name in self.rows.column_names]
        pa.csv.write_csv(pa.Table.from_arrays(columns, names), sink)
        return sink.getvalue()

    def json(self) -> bytes:
        """Return a JSON array of one object a row; null for an unknown value or a number that is not finite."""
        columns = [
            _map_texts(column, json.dumps) if _is_text(column.type) else _json_number(column)
            for column in self._columns()
        ]
        keys = [f",{json.dumps(name)}:" for name in self.rows.column_names]
        chunks: list[memoryview] = []
        for start in range(0, len(self.rows), _JSON_ROWS):
            pieces: list[Any] = []
            for key, column in zip(keys, columns, strict=True):
                pieces += [_text_scalar(key), column.slice(start, _JSON_ROWS)]
            # A row begins with the end of the row before it, in place of the comma before its first key.
            pieces[0] = _text_scalar(",\n{" + keys[0][1:])
            lines = pc.binary_join_element_wise(
                *pieces, _text_scalar("}"), _text_scalar(""), null_handling="replace", null_replacement="null"
            )
            chunks.append(memoryview(lines.buffers()[2]))  # the texts of all rows, one after the other
        if chunks:
            chunks[0] = chunks[0][1:]  # no comma before the first row
        return b"".join([b"[", *chunks, b"]\n"])

    def parquet(self) -> bytes:
        """Return the rows as compressed Parquet, with the types of the columns."""
        rows = self.rows.replace_schema_metadata({"trade_simulator": self.about_json()})
        # Looking for repetitions among floats takes three quarters of the time and finds none.
        repetitive = [field.name for field in rows.schema if _is_text(field.type)]
        sink = io.BytesIO()
        pa.parquet.write_table(rows, sink, use_dictionary=repetitive)
        return sink.getvalue()

    def about_json(self) -> bytes:
        """Return `about` as JSON, with the version of the software; null for a number that is not finite."""
        text = json.dumps({"software": f"trade-simulator {VERSION}", **self.about}, default=str)
        finite = json.loads(text, parse_constant=lambda _: None)
        return (json.dumps(finite, indent=2, ensure_ascii=False) + "\n").encode()

    def save(self, folder: str | Path, name: str, fmt: Format, overwrite: bool = False) -> Path:
        """Write the table to a file and return its path; the extension is added to the name if it is missing.

        Raises ExportError, before anything is written, for a name that is not a plain base name, an unknown format, a
        folder that is a link, or a file that exists unless `overwrite` is True.
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


def neutralise_formulas(text: str) -> str:
    """Put an apostrophe wherever a spreadsheet would begin a formula.

    >>> neutralise_formulas("=1+1"), neutralise_formulas("a; @SUM(A1)"), neutralise_formulas("BTC-USDT, 5 +")
    ("'=1+1", "a;' @SUM(A1)", 'BTC-USDT, 5 +')
    """
    return _FORMULA.sub("'", text)


def _is_text(data_type: pa.DataType) -> bool:
    value_type = data_type.value_type if pa.types.is_dictionary(data_type) else data_type
    return bool(pa.types.is_string(value_type) or pa.types.is_large_string(value_type))


def _map_texts(column: pa.Array, change: Callable[[str], str]) -> pa.Array:
    """Change the texts of a column, each distinct text once; an unknown text stays null."""
    encoded = column.dictionary_encode()
    texts = [change(text) for text in encoded.dictionary.to_pylist()]
    return pa.array(texts, pa.large_string()).take(encoded.indices)


def _exact_number(column: pa.Array) -> pa.Array:
    """Return a column of numbers to be written as they are; whole floats as 5.0, because 5 reads as an integer."""
    if not pa.types.is_floating(column.type):
        return column
    is_whole = pc.and_(pc.equal(column, pc.trunc(column)), pc.less(pc.abs(column), 1e15))
    return column.cast(pa.decimal128(17, 1)) if pc.all(is_whole).as_py() else column


def _json_number(column: pa.Array) -> pa.Array:
    """Return a column of numbers as JSON texts; null for a number that is not finite."""
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_finite(column), column, None)
    return _exact_number(column).cast(pa.large_string())
