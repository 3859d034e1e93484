"""Run the page's backtest as Streamlit does, without a browser: from a recording to its rows, and all its ends."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from backtest import backtest
from backtesting import output
from backtesting.book_cache import RecordingSource
from calculations import Order
from export_manager import COLUMNS
from orderbook import Side
from recording.format import encode
from recording.recorder import RECORDINGS
from replay import simulated
from sessions import backtest_job
from sessions.backtest_job import BacktestJob, BacktestJobs
from tests.recording.test_recording import HOSTILE
from tests.support.live_rows import assert_same_rows
from tests.support.synthetic_recordings import BEGIN_NS, okx_frames, write_recording
from tests.test_app import APP, metrics, page_text, run_until, sentences

BTC = "BTC-USDT-SWAP"
LONG = 30_000


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """Return the page with its backtest tab open, in a folder that holds only an empty folder of recordings."""
    monkeypatch.chdir(tmp_path)
    RECORDINGS.mkdir()
    page = AppTest.from_file(str(APP), default_timeout=20)
    page.session_state["closer"] = "Backtest"
    yield page
    st.cache_resource.clear()
    wait_for_backtest_threads()


@pytest.fixture(scope="module")
def long_recording(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a recording whose backtest takes a while."""
    path = write_recording(tmp_path_factory.mktemp("long") / "long.jsonl", okx_frames(LONG))
    return b'{"t":"meta","venue":"okx","symbol":"BTC-USDT"}\n' + path.read_bytes()


def wait_for_backtest_threads() -> None:
    """Wait until no backtest thread runs any more."""
    deadline = time.monotonic() + 10
    while any(thread.name == "backtest" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def make_recording(name: str = "market.jsonl", books: int = 400) -> Path:
    """Write a recording of the simulated market that names its market."""
    path = write_recording(RECORDINGS / name, list(islice(simulated(BTC, seed=7, start_ns=BEGIN_NS), books)))
    about = {"t": "meta", "venue": "simulated", "symbol": BTC}
    path.write_bytes(json.dumps(about).encode() + b"\n" + path.read_bytes())
    return path


def jobs_of(app: AppTest) -> BacktestJobs:
    found: BacktestJobs = app.session_state["backtests"]
    return found


def job_of(app: AppTest) -> BacktestJob:
    found = jobs_of(app).job
    assert found is not None
    return found


def has_state(app: AppTest, state: str) -> Callable[[], bool]:
    return lambda: job_of(app).state == state


def press(app: AppTest, key: str = "backtest run") -> None:
    app.button(key=key).click().run()
    assert not app.exception


def run_to_end(app: AppTest) -> BacktestJob:
    """Run the chosen backtest to its end."""
    press(app)
    run_until(app, has_state(app, "done"), timeout_s=30)
    app.run()
    return job_of(app)


def download_rows(app: AppTest, kind: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the rows as they are downloaded, and their metadata."""
    app.selectbox(key="backtest format").set_value(kind)
    press(app, "backtest prepare")
    prepared = app.session_state["backtest file"][1]
    assert prepared.name == f"backtest.{kind}"
    read = {"csv": pd.read_csv, "json": pd.read_json, "parquet": pd.read_parquet}[kind]
    found: pd.DataFrame = read(io.BytesIO(prepared.data))
    assert prepared.rows == len(found)
    assert prepared.preview["market_ns"].tolist() == found["market_ns"].tolist()[-20:]
    return found, json.loads(prepared.about)


def table_numbers(app: AppTest, words: str) -> list[float]:
    """Return the numbers of a row of the page's tables."""
    (line,) = [line for each in app.markdown for line in each.value.splitlines() if line.startswith(f"| {words} |")]
    return [float(cell.strip(" *").replace(",", "")) for cell in line.split("|")[2:6]]


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_shown_results_equal_the_downloaded_rows_and_backtest(
    app: AppTest, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of the left panel on every book: the table is pandas' over the downloaded rows, these are the rows of
    backtest(), and what explains them names recording, market, order, fees and software.
    """
    monkeypatch.setattr(output, "_BATCH_ROWS", 130)  # so that files are put together from several pieces
    path = make_recording()
    app.session_state["quantity"] = "2000000"
    run_until(app, lambda: "Net cost" in metrics(app))
    assert "The order is the one on the left: buy 2,000,000 USDT, all at once" in page_text(app)
    job = run_to_end(app)
    rows, about = download_rows(app, kind)
    assert tuple(rows) == COLUMNS
    order = app.session_state["session"].order
    assert (order.quantity, order.unit) == (2_000_000.0, "quote")
    if kind == "json":  # whose unknowns have no type
        rows = rows.astype(backtest(path, "simulated", BTC, order).dtypes)
    assert_same_rows(rows, backtest(path, "simulated", BTC, order))
    for column, words in (("slippage_bps", "Slippage"), ("fee_bps", "Fees"), ("net_cost_bps", "**Net cost**")):
        exact = [rows[column].mean(), *rows[column].quantile([0.5, 0.95, 0.99])]
        assert table_numbers(app, words) == pytest.approx(exact, abs=5.1e-4)
    assert f"**{len(rows):,} order books** of Simulated market {BTC} in market.jsonl" in page_text(app)
    assert f"Most expensive: **{rows['net_cost_bps'].max():.3f} bps**" in page_text(app)
    (metadata,) = about["backtests"]
    assert about["software"].startswith("trade-simulator ")
    assert (metadata["recording"], metadata["venue"], metadata["symbol"]) == ("market.jsonl", "simulated", BTC)
    assert (metadata["order"]["quantity"], metadata["order"]["tier"]["name"]) == (2_000_000.0, "Regular")
    assert len(app.get("echarts_chart")) == 3 + 3
    assert job.join(5)
    assert sorted(each.suffix for each in RECORDINGS.iterdir()) == [".jsonl"]


def test_each_other_size_has_its_own_table_row_and_file_rows(app: AppTest) -> None:
    """Each size is an order of its own in table, picture and rows; the file has them one after the other."""
    path = make_recording(books=150)
    app.run()
    app.text_input(key="backtest sizes quote").set_value("5e5, 1e7").run()
    run_to_end(app)
    assert len(app.get("echarts_chart")) == 3 + 4
    rows, _ = download_rows(app, "parquet")
    assert rows["order_quantity"].unique().tolist() == [100_000.0, 5e5, 1e7]
    order = app.session_state["session"].order
    for size, size_rows in rows.groupby("order_quantity"):
        same = replace(order, quantity=float(str(size)))
        assert_same_rows(size_rows.reset_index(drop=True), backtest(path, "simulated", BTC, same))
        exact = [size_rows["net_cost_bps"].mean(), *size_rows["net_cost_bps"].quantile([0.5, 0.95, 0.99])]
        assert table_numbers(app, f"{size:,.0f} USDT") == pytest.approx(exact, abs=5.1e-3)
    app.text_input(key="quantity").set_value("50000")
    run_until(app, lambda: "The order has changed. Press Run to update." in page_text(app))


def test_invalid_sizes_are_refused_in_a_sentence_and_disable_run(app: AppTest) -> None:
    """The Run button stays disabled until the sizes are corrected."""
    make_recording(books=20)
    app.run()
    app.text_input(key="backtest sizes quote").set_value("1000 ![x](http://x)").run()
    (sentence,) = sentences(app.error)
    assert sentence.startswith("Other sizes: ")
    assert "![" not in app.error[0].value
    assert app.button(key="backtest run").disabled
    app.text_input(key="backtest sizes quote").set_value("250,500; 1.5m").run()
    assert not app.error
    assert "Other sizes: $250,500 · $1,500,000" in sentences(app.caption)
    assert not app.button(key="backtest run").disabled


def test_empty_recordings_folder_is_explained_in_a_sentence(app: AppTest) -> None:
    """The sentence says how to get a recording."""
    app.run()
    assert "There is no recording yet. Press Record on the left" in page_text(app)


def test_file_that_is_not_a_recording_is_refused_in_a_sentence(app: AppTest) -> None:
    """Every hostile file in the folder: a short sentence, nothing left behind, and the page goes on."""
    path = RECORDINGS / "evil ![](x).jsonl"
    for name, content in HOSTILE.items():
        path.write_bytes(content)
        app.run()
        press(app)
        (sentence,) = sentences(app.error)
        assert "line 1: " in sentence, name
        assert len(sentence) < 400, name
        assert "![](" not in app.error[0].value
        assert list(RECORDINGS.iterdir()) == [path]
    app.run()
    assert app.error, "it is said until something else is done"


def test_changed_order_unit_empties_the_field_of_sizes(app: AppTest) -> None:
    """With the order's unit changed on the left, the field says so and is empty: 5,000 USD are not 5,000 coins."""
    make_recording(books=20)
    run_until(app, lambda: "Net cost" in metrics(app))
    app.text_input(key="backtest sizes quote").set_value("5000").run()
    app.selectbox(key="unit").set_value("base")
    run_until(app, lambda: any(field.key == "backtest sizes base" for field in app.text_input))
    field = app.text_input(key="backtest sizes base")
    assert (field.label, field.value) == ("Other sizes, coins", "")
    assert [order.unit for order in run_to_end(app).orders] == ["base"]


@pytest.mark.parametrize(
    ("more", "words"),
    [(b"<html>\n", "line 401"), (b"", "There is no order book of OKX ETH-USDT in market.jsonl")],
    ids=["late nonsense", "another market's books"],
)
def test_recording_that_breaks_further_on_is_explained_in_a_sentence(app: AppTest, more: bytes, words: str) -> None:
    """A recording that breaks later, or has no book of its market, is explained once that is known."""
    path = make_recording()
    if more:
        path.write_bytes(path.read_bytes().rsplit(b"\n", 2)[0] + b"\n" + more)
    else:
        path.write_bytes(path.read_bytes().replace(b'"simulated"', b'"okx"').replace(BTC.encode(), b"ETH-USDT", 1))
    app.run()
    press(app)
    run_until(app, lambda: words in page_text(app))
    assert not app.get("download_button")


def test_stop_ends_the_backtest_and_run_starts_it_again(app: AppTest, long_recording: bytes) -> None:
    """Stop ends the thread at once and leaves nothing half done; the page says so; Run works it out to its end."""
    path = RECORDINGS / "long.jsonl"
    path.write_bytes(long_recording)
    app.run()
    press(app)
    job = job_of(app)
    run_until(app, lambda: job.progress.books > 0)
    assert app.button(key="backtest run").label == "Stop"
    press(app)
    assert job.join(2)
    assert (job.state, job.summaries) == ("stopped", ())
    app.run()
    assert "Stopped before its end: there are no results." in page_text(app)
    assert [each.name for each in RECORDINGS.iterdir()] == ["long.jsonl"]
    path.write_bytes(b"\n".join(long_recording.split(b"\n")[:100]) + b"\n")
    assert run_to_end(app).summaries[0].books == 99


def test_closed_tab_stops_the_backtest_and_a_returning_one_restarts_it(app: AppTest, long_recording: bytes) -> None:
    """Closing the tab stops the thread; a tab that comes back runs the backtest again."""
    (RECORDINGS / "long.jsonl").write_bytes(long_recording)
    app.run()
    press(app)
    job = job_of(app)
    assert job.state == "running"
    st.cache_resource.clear()
    assert job.join(2)
    assert job.state == "stopped"
    app.run()
    again = job_of(app)
    assert again is not job
    assert again.state == "running"
    press(app)
    assert again.join(2)


def test_backtest_of_an_upload_keeps_its_books_in_the_private_folder(app: AppTest) -> None:
    """The upload is offered by its own name; its parsed books are kept only where nobody else can read them."""
    content = gzip.compress(make_recording(books=60).read_bytes())
    (RECORDINGS / "market.jsonl").unlink()
    app.session_state["source"] = "recording"
    app.run()
    app.file_uploader(key="recording file").upload("mine.jsonl.gz", content, "application/gzip").run()
    job = run_to_end(app)
    assert (job.name, job.summaries[0].recording, job.summaries[0].books) == ("mine.jsonl.gz", "mine.jsonl.gz", 60)
    assert list(RECORDINGS.iterdir()) == []
    assert job.source.path.parent.stat().st_mode & 0o077 == 0
    assert job.source.max_bytes is not None
    _, about = download_rows(app, "csv")
    assert about["recordings"] == ["mine.jsonl.gz"]


def test_gzip_bomb_fails_the_job_with_a_reason(tmp_path: Path) -> None:
    """A file that unpacks beyond its bound ends the job, with the reason."""
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(encode(tick) + b"\n" for tick in okx_frames(3000))))
    job = BacktestJob(RecordingSource.from_path(path, "okx", "BTC-USDT", 300_000), [Order(Side.BUY, 1.0)], "bomb")
    assert job.join(10)
    assert job.state == "failed"
    assert "unpacks to over 300,000 bytes" in job.error


def test_unexpected_error_is_logged_and_named_in_a_sentence(
    app: AppTest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that is not a fault of the file leaves its traceback in the log, and the page says where to look."""

    def fail(*_: object) -> Iterator[object]:
        yield 1 / 0

    monkeypatch.setattr(backtest_job, "iter_task", fail)
    make_recording(books=20)
    app.run()
    press(app)
    run_until(app, lambda: "market.jsonl can't be worked out: unexpected error; see the log" in page_text(app))
    (record,) = [record for record in caplog.records if record.name == "sessions.backtest_job"]
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


def test_rows_above_the_limit_are_not_offered_and_a_command_is_named(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above the limit the page names the command that has none; one format may be refused, and another given."""
    make_recording(books=200)
    app.run()
    job = run_to_end(app)
    sizes = {kind: len(job.export_rows(kind) or b"") for kind in ("csv", "json", "parquet")}
    assert sizes["parquet"] < sizes["csv"]
    monkeypatch.setattr(backtest_job, "MAX_DOWNLOAD_BYTES", sizes["csv"] - 1)
    app.selectbox(key="backtest format").set_value("csv")
    press(app, "backtest prepare")
    assert "too large to download from here" in page_text(app)
    (command,) = [each.value for each in app.code if "backtest.py" in each.value]
    subprocess.run(["/bin/bash", "-c", command], check=True, timeout=60, capture_output=True)
    rows = download_rows(app, "parquet")[0]
    assert len(rows) == 200
    assert_same_rows(pd.read_parquet("rows.parquet"), rows)
    monkeypatch.setattr(backtest_job, "MAX_DOWNLOAD_BYTES", 1000)
    job = run_to_end(app)
    assert not job.has_rows
    assert "These rows are more than" in page_text(app)
    assert [each.value for each in app.code if "backtest.py" in each.value] == [command]
    assert not app.get("download_button")
    assert table_numbers(app, "Fees")[0] == pytest.approx(5.0, abs=0.01)


def test_second_job_replaces_the_first_and_both_folders_are_deleted(tmp_path: Path, long_recording: bytes) -> None:
    """The first job stops; the folders of both are deleted with their jobs."""
    path = tmp_path / "long.jsonl"
    path.write_bytes(long_recording)
    source, jobs = RecordingSource.from_path(path, "okx", "BTC-USDT"), BacktestJobs()
    jobs.start(source, [Order(Side.BUY, 1.0)], "one")
    first = jobs.job
    assert first is not None
    jobs.start(source, [Order(Side.BUY, 2.0)], "two")
    assert first.join(2)
    assert first.state == "stopped"
    assert jobs.job is not None
    assert jobs.job.name == "two"
    jobs.stop()
    assert jobs.job.join(2)
    folders = [job._folder for job in (first, jobs.job)]
    assert all(folder.stat().st_mode & 0o077 == 0 for folder in folders)
    del first, jobs
    assert not any(folder.exists() for folder in folders)
