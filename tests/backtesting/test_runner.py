"""Test many backtests on processes of this machine and on a real cluster, and the command line as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from backtest import _choose_source, _make_orders, _make_parser, backtest, format_arguments, main
from backtesting.book_cache import RecordingSource
from backtesting.output import OutputError
from backtesting.runner import run
from backtesting.summary import Summary
from calculations import Order
from export_manager import COLUMNS
from fee_calculator import FeeTier
from orderbook import Side
from recording.opening import Opening
from replay import RecordedFrame, Recorder, encode, simulated
from tests.support.live_rows import assert_same_rows
from tests.support.paths import PROJECT
from tests.support.synthetic_recordings import BEGIN_NS, okx_frames, write_recording

BTC = "BTC-USDT-SWAP"
Jobs = list[tuple[RecordingSource, list[Order]]]


def make_jobs(folder: Path, n_files: int, sizes: tuple[float, ...], n_books: int = 150) -> Jobs:
    """Record different markets, with the same orders on each."""
    orders = [Order(Side.BUY, size) for size in sizes]
    jobs: Jobs = []
    for seed in range(n_files):
        ticks = list(islice(simulated(BTC, seed=seed, start_ns=BEGIN_NS), n_books))
        jobs.append(
            (
                RecordingSource.from_path(write_recording(folder / f"market{seed}.jsonl", ticks), "simulated", BTC),
                orders,
            )
        )
    return jobs


def to_plain(summary: Summary) -> Any:
    """Return all that the summary holds as values that can be compared."""
    return json.loads(
        json.dumps(
            asdict(summary), default=lambda value: value.tolist() if isinstance(value, np.ndarray) else str(value)
        )
    )


def test_two_processes_give_the_results_of_one(tmp_path: Path) -> None:
    """Summaries and rows come in the order of the files and sizes, the same to the last digit."""
    work = make_jobs(tmp_path, 2, (0.5, 5.0, 400.0))
    alone = list(run(work, out=tmp_path / "alone.parquet"))
    shared = list(run(work, out=tmp_path / "shared.parquet", workers=2))
    assert [to_plain(summary) for summary in shared] == [to_plain(summary) for summary in alone]
    one, two = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("alone", "shared"))
    assert len(one) == 2 * 3 * 150
    pd.testing.assert_frame_equal(one, two)
    assert one["recording"].unique().tolist() == ["market0.jsonl", "market1.jsonl"]
    source, orders = work[1]
    last = one[-150:].drop(columns="recording").reset_index(drop=True)
    assert_same_rows(last, backtest(source.path, source.venue, source.symbol, orders[2]))


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started_process(*arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "PYTHONWARNINGS": "ignore"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=PROJECT, env=environment, **quiet) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.filterwarnings("ignore")  # of the cluster's own connections, one of whose workers is killed
def test_cluster_that_loses_a_worker_loses_no_result(tmp_path: Path) -> None:
    """Of two real worker processes on a real scheduler, one is killed once results come in. The result of every task
    arrives once, in order, and is that of the local run.
    """
    pytest.importorskip("distributed")
    work = make_jobs(tmp_path, 2, (0.5, 1.0, 5.0, 20.0), n_books=400)
    alone = list(run(work, out=tmp_path / "alone.parquet"))
    address = f"tcp://127.0.0.1:{free_port()}"
    port = address.rpartition(":")[2]
    worker = (
        "distributed.cli.dask_worker", address, "--nworkers=1", "--nthreads=1", "--no-nanny", "--no-dashboard",
        f"--local-directory={tmp_path / 'dask'}", "--death-timeout=30",
    )  # fmt: skip
    with (
        started_process("distributed.cli.dask_scheduler", "--host=127.0.0.1", f"--port={port}", "--no-dashboard"),
        started_process(*worker) as doomed,
        started_process(*worker),
    ):
        wait_for_workers(address, 2)
        summaries = []
        with closing(run(work, out=tmp_path / "cluster.parquet", scheduler=address)) as results:  # type: ignore[type-var]
            for summary in results:
                summaries.append(summary)
                if len(summaries) == 1:
                    doomed.kill()
                    doomed.wait(10)
    assert [to_plain(summary) for summary in summaries] == [to_plain(summary) for summary in alone]
    one, two = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("alone", "cluster"))
    assert len(one) == 2 * 4 * 400
    pd.testing.assert_frame_equal(one, two)


def wait_for_workers(address: str, count: int) -> None:
    from distributed import Client

    ends = time.monotonic() + 60
    while True:
        try:
            with Client(address, timeout=5, set_as_default=False) as client:
                client.wait_for_workers(count, timeout=30)
                return
        except OSError:
            assert time.monotonic() < ends, "no scheduler came up"


def test_missing_scheduler_is_named_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The user reads a sentence with the address, not a traceback."""
    pytest.importorskip("distributed")
    path = write_recording(tmp_path / "a.jsonl", okx_frames(3))
    address = f"tcp://127.0.0.1:{free_port()}"
    assert run_command(path, "--quantity", "1", "--scheduler", address) == 2
    assert address in capsys.readouterr().err


def run_command(path: Path, *more: str, venue: str = "okx", symbol: str = "BTC-USDT") -> int:
    return main([str(path), "--venue", venue, "--symbol", symbol, *more])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_output_file_holds_every_row_and_its_description(tmp_path: Path, kind: str) -> None:
    """Every row stands with all its digits under the columns of the export, with its description; no part is left."""
    path = write_recording(tmp_path / "a.jsonl", okx_frames(120))
    out = tmp_path / f"results.{kind}"
    assert run_command(path, "--quantity", "2", "--side", "sell", "--latency-ms", "50", "--out", str(out)) == 0
    written = pd.read_csv(out) if kind == "csv" else pd.read_parquet(out)
    assert tuple(written) == COLUMNS
    tier = written["maker_rate"][0], written["taker_rate"][0]
    assert tier == (0.0008, 0.001), "the venue's own spot fees"
    order = Order(Side.SELL, 2.0, latency_s=0.05)
    rows = backtest(path, "okx", "BTC-USDT", order)
    fees = {name for name in COLUMNS if "fee" in name or "net_cost" in name or "rate" in name}
    assert_same_rows(written.drop(columns=fees), rows.drop(columns=fees))
    if kind == "csv":
        about = json.loads((tmp_path / "results.meta.json").read_bytes())
    else:
        about = json.loads(pq.read_schema(out).metadata[b"trade_simulator"])
    assert about["backtests"][0]["order"]["side"] == "sell"
    assert about["backtests"][0]["rows"] == 120
    hidden = [file.name for file in tmp_path.iterdir() if file.name.startswith(".")]
    assert hidden == []


def test_output_refuses_existing_file_and_unknown_kind(tmp_path: Path) -> None:
    """Nor is a file of another kind written, and nothing is left behind where the work fails."""
    work = make_jobs(tmp_path, 1, (1.0,))
    taken = tmp_path / "taken.csv"
    taken.write_text("mine")
    for out, why in ((taken, "there already"), (tmp_path / "results.xlsx", "a .csv or a .parquet")):
        with pytest.raises(OutputError, match=why):
            list(run(work, out=out))
    assert taken.read_text() == "mine"
    work[0][0].path.write_text("not a recording")
    with pytest.raises(ValueError, match="line 1"):
        list(run(work, out=tmp_path / "new.csv"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["market0.jsonl", "taken.csv"]


def test_command_prints_a_summary_for_each_size(tmp_path: Path) -> None:
    """A recording of our own names its market. A summary for each size is printed, and no progress bar into a pipe."""
    path = tmp_path / "mine.jsonl.gz"
    recorder = Recorder("simulated", BTC)
    recorder.start(path)
    for tick in islice(simulated(BTC, seed=5, start_ns=BEGIN_NS), 120):
        recorder.on_served_frame("recv", 0, encode(tick).decode() + "\n")
    recorder.close()
    done = subprocess.run(
        [
            sys.executable,
            PROJECT / "backtest.py",
            path,
            "--sizes",
            "0.5,200",
            "--unit",
            "contracts",
            "--style",
            "passive",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.strip().split("\n\n")
    assert first.startswith("mine.jsonl.gz: buy 0.5 contracts, passive, on simulated BTC-USDT-SWAP, 120 books")
    assert "buy 200 contracts" in second
    rows = backtest(path, "simulated", BTC, Order(Side.BUY, 0.5, "contracts", style="passive"))
    shown = next(line for line in first.splitlines() if line.startswith("slippage")).split()[1:]
    column = rows["slippage_bps"]
    exact = [column.mean(), *column.quantile([0.5, 0.95, 0.99])]
    assert [float(number) for number in shown] == pytest.approx(exact, abs=5.1e-5)
    assert "cheapest: " in first
    assert "too thin: 0 of 120 books" in first


@pytest.mark.parametrize(
    "order",
    [
        Order(Side.BUY, 0.1),
        Order(
            Side.SELL, 1e6 / 3, "quote", "schedule", 0.35, 3.5, 600.5, 7, 2.5e-7, 0.65, 12_345.678,
            FeeTier("mine", -0.00005, 0.0002 / 3),
        ),
    ],
)  # fmt: skip
def test_formatted_arguments_are_parsed_back_as_the_same_orders(order: Order) -> None:
    """The arguments that the page shows give the same market and orders; a tier of no schedule keeps its rates."""
    orders = [order, replace(order, quantity=order.quantity / 7)]
    source = RecordingSource.from_path("made.jsonl", "okx", "BTC-USDT-SWAP")
    options = _make_parser().parse_args(["made.jsonl", *format_arguments(source, orders)])
    opening = Opening(options.venue, options.symbol, options.amounts)
    assert _choose_source(options.files[0], opening) == source._replace(opening=opening)
    for read, meant in zip(_make_orders(options, source), orders, strict=True):
        rates = (meant.tier.maker, meant.tier.taker)
        assert (read.tier.maker, read.tier.taker) == pytest.approx(rates, rel=1e-14)
        assert read.latency_s == pytest.approx(meant.latency_s, rel=1e-14)
        assert (read.tier == meant.tier) == (meant.tier.name != "mine")
        assert replace(read, tier=meant.tier, latency_s=meant.latency_s) == meant


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--quantity", "0"], "quantity must be between"),
        (["--quantity", "1", "--latency-ms", "-5"], "latency s must be between"),
        (["--quantity", "1", "--fee-tier", "Diamond"], "there is no fee tier 'Diamond'"),
        (["--quantity", "1", "--maker-bps", "1"], "both --maker-bps and --taker-bps"),
        (["--quantity", "1", "--unit", "contracts"], "contracts of a fixed size"),
        (["--quantity", "1", "--out", "results.txt"], "a .csv or a .parquet"),
    ],
)
def test_impossible_arguments_end_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    """The exit code is 2, and the error output has one line."""
    path = write_recording(tmp_path / "a.jsonl", okx_frames(3))
    assert run_command(path, *arguments) == 2
    printed = capsys.readouterr()
    assert sentence in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--quantity", "ten"], "argument --quantity: 'ten' is not a number"),
        (["--sizes", "1,,2"], "argument --sizes: '' is not a number"),
        (["--sizes", "1,x"], "argument --sizes: 'x' is not a number"),
        (["--quantity", "1", "--latency-ms", "5ms"], "argument --latency-ms: '5ms' is not a number"),
        (["--quantity", "1", "--passive-s", "soon"], "argument --passive-s: 'soon' is not a number"),
        (["--quantity", "1", "--steps", "2.5"], "argument --steps: '2.5' is not a whole number"),
        (["--quantity", "1", "--workers", "all"], "argument --workers: 'all' is not a whole number"),
    ],
)
def test_argument_that_is_no_number_is_refused_in_plain_words(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    """The error names the argument and what was typed, and no function of the program."""
    with pytest.raises(SystemExit) as done:
        main(["a.jsonl", *arguments])
    assert done.value.code == 2
    assert capsys.readouterr().err.endswith(f"error: {sentence}\n")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "No such file"),
        (b"", "not one whole line"),
        (b"\x1f\x8b\x08broken", "line 1"),
        (b'{"t":"recv","ts_ns":1,"data":"{}"}\n\xff\xfe\n{}\n', "line 2"),
        (b'{"t":"recv","ts_ns":1,"data":"{}"}\n', "there is no book of okx BTC-USDT"),
    ],
)
def test_command_names_a_file_that_is_no_recording(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, sentence: str
) -> None:
    """A missing, empty, broken or foreign file ends in a sentence, whatever it holds."""
    path = tmp_path / "bad.jsonl"
    if content is not None:
        path.write_bytes(content)
    assert run_command(path, "--quantity", "1") == 2
    assert sentence in capsys.readouterr().err


def test_recording_without_a_market_needs_venue_and_symbol(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command asks for the venue and the symbol; it takes own rates and several files."""
    path = write_recording(tmp_path / "a.jsonl", okx_frames(30))
    assert main([str(path), "--quantity", "1"]) == 2
    assert "give --venue and --symbol" in capsys.readouterr().err
    other = write_recording(tmp_path / "b.jsonl", [RecordedFrame("recv", None, "pong"), *okx_frames(20)])
    market = ("--venue", "okx", "--symbol", "BTC-USDT")
    assert main([str(path), str(other), *market, "--quantity", "1", "--maker-bps", "-1", "--taker-bps", "4"]) == 0
    printed = capsys.readouterr().out
    assert "a.jsonl: buy 1 base" in printed
    assert "b.jsonl: buy 1 base" in printed
    assert printed.count("fees                    4.") == 2


def test_command_reads_a_tardis_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A foreign CSV is a recording like any other, and names its own market."""
    header = "exchange,symbol,timestamp,local_timestamp," + ",".join(
        f"asks[{row}].price,asks[{row}].amount,bids[{row}].price,bids[{row}].amount" for row in range(2)
    )
    lines = [
        f"binance,BTCUSDT,{time_us},{time_us},100.1,5,100,4,100.2,3,99.9,2"
        for time_us in range(BEGIN_NS // 1000, BEGIN_NS // 1000 + 3_000_000, 100_000)
    ]
    path = tmp_path / "book_snapshot_5.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    assert main([str(path), "--quantity", "6"]) == 0
    printed = capsys.readouterr().out
    assert "on binance BTCUSDT, 30 books" in printed
    walked = (5 * 100.1 + 1 * 100.2) / 6
    assert f"{(walked / 100.05 - 1) * 1e4:10.4f}" in printed
