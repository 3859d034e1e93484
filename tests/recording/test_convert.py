"""Recordings written in the form of another program, and read back: the same books."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from feeds import VENUES
from orderbook import OrderBook
from recording.convert import NAMES, convert
from recording.convert_tables import DistinctTimes, to_text
from recording.opening import Amounts, Opening
from recording.replay_feed import books, facts_of, meta
from recording.simulated import simulated
from recording.tardis_market import exchange_of
from replay import RecordedFrame, main
from tests.recording.test_raw_log import envelope, log_of
from tests.support.loopback_venues import IMITATIONS
from tests.support.synthetic_recordings import BEGIN_NS, okx_frames, write_recording

KNOWN = [*IMITATIONS, "simulated"]
BASE = Amounts("base")


def recording_of(path: Path, venue: str) -> tuple[Path, str]:
    """Write a recording of a venue's messages, and return its path and symbol."""
    if venue == "simulated":
        symbol = "BTC-USDT-SWAP"
        write_recording(path, list(islice(simulated(symbol, seed=3, start_ns=BEGIN_NS), 40)))
    else:
        symbol = IMITATIONS[venue].symbol
        envelope(path, log_of(venue))
    path.write_bytes(json.dumps({"t": "meta", "venue": venue, "symbol": symbol}).encode() + b"\n" + path.read_bytes())
    return path, symbol


def books_of(path: Path, venue: str, symbol: str, opening: Opening | None = None) -> list[OrderBook]:
    return list(books(path, lambda: VENUES[venue].make_feed(symbol), opening=opening or Opening(venue, symbol)))


def levels(parsed: list[OrderBook]) -> list[tuple[list[list[float]], list[list[float]]]]:
    return [(book.bids.tolist(), book.asks.tolist()) for book in parsed]


@pytest.mark.parametrize("venue", KNOWN)
@pytest.mark.parametrize("target", NAMES)
def test_converted_recording_gives_the_same_books(
    tmp_path: Path, target: str, venue: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prices and sizes are equal to the last bit; times too, but for what the form cannot hold."""
    path, symbol = recording_of(tmp_path / "own.jsonl", venue)
    assert main(["convert", str(path), "--to", target]) == 0
    printed = capsys.readouterr().out
    (made,) = set(tmp_path.iterdir()) - {path}
    assert str(made) in printed
    needs_word = target == "hftbacktest" or "--amounts base" in printed
    opening = Opening(venue, symbol, BASE if needs_word else None)
    ours = books_of(path, venue, symbol)
    theirs = books_of(made, venue, symbol, opening)
    assert len(ours) >= 10
    assert levels(theirs) == levels(ours)
    unit_ns = 1000 if target == "tardis" else 1
    times = [book.market_ns for book in ours]
    if len(set(times)) == len(times):
        assert [book.market_ns // unit_ns for book in theirs] == [ns // unit_ns for ns in times]
    if target in ("parquet", "raw"):
        assert [book.exchange_ns for book in theirs] == [book.exchange_ns for book in ours]


@pytest.mark.parametrize(
    ("file", "venue", "symbol"),
    [
        ("gomarket-okx_BTC-USDT-SWAP_20250515.jsonl.gz", "gomarket-okx", "BTC-USDT-SWAP"),
        ("okx_3-instruments_20220513_crc.jsonl.gz", "okx", "UNI-USD-SWAP"),
        ("coinbase_BTC-USD_ETH-USD_20260809.jsonl.gz", "coinbase", "ETH-USD"),
    ],
)
@pytest.mark.parametrize("target", NAMES)
def test_converted_real_recording_gives_the_same_books(
    recordings: Path, tmp_path: Path, target: str, file: str, venue: str, symbol: str
) -> None:
    """The same on frames that venues have sent."""
    out = tmp_path / "out"
    opening = Opening(venue, symbol)
    convert(recordings / file, target, out, opening)
    amounts = None if target in ("raw", "parquet") else BASE
    if target == "tardis" and exchange_of(venue, symbol).is_known:
        amounts = None
    ours = books_of(recordings / file, venue, symbol)
    assert levels(books_of(out, venue, symbol, opening._replace(amounts=amounts))) == levels(ours)


def test_contracts_come_back_as_the_same_base_units() -> None:
    """Base units of a contract divided by its size, and multiplied again by the reader, are the same number."""
    exchange = exchange_of("okx", "BTC-USDT-SWAP")
    assert (exchange.exchange, exchange.amounts) == ("okex-swap", Amounts("contracts", 0.01))
    for count in np.random.default_rng(1).integers(1, 10**7, 2000).tolist():
        contracts = count / 100
        size = contracts * 0.01
        assert float(to_text(exchange.to_amount(size))) * 0.01 == size
    with pytest.raises(ValueError, match="are no number of contracts"):
        exchange_of("okx", "BTC-USDT-SWAP")._replace(amounts=Amounts("contracts", 3e300)).to_amount(1e-300)


def test_events_are_in_order_on_both_clocks(tmp_path: Path) -> None:
    """hftbacktest's own rules: no local time before the exchange's, and neither clock steps back."""
    path, symbol = recording_of(tmp_path / "own.jsonl", "okx")
    convert(path, "hftbacktest", tmp_path / "out.npz", Opening("okx", symbol))
    data = np.load(tmp_path / "out.npz", allow_pickle=False)["data"]
    assert data.dtype.names == ("ev", "exch_ts", "local_ts", "px", "qty", "order_id", "ival", "fval")
    assert (data["local_ts"] >= data["exch_ts"]).all()
    assert (np.diff(data["local_ts"]) >= 0).all()
    assert (np.diff(data["exch_ts"]) >= 0).all()
    assert set((data["ev"] >> np.uint64(30)).tolist()) == {3}


def test_books_of_one_moment_are_moved_apart() -> None:
    """A moment is one book in these forms; the times stay in order, and where the clock steps back, so do they."""
    times = DistinctTimes(1000)
    assert [times.add(ns) for ns in (5_100, 5_200, 5_900, 6_300, 9_000, 3_000, 3_500)] == [5, 6, 7, 8, 9, 3, 4]
    assert times.describe("microsecond") == "; 4 books of one microsecond were moved apart"


def test_clock_that_steps_back_is_no_series_of_events(tmp_path: Path) -> None:
    """hftbacktest could not play it; nothing is left behind."""
    frames = okx_frames(4)
    frames[3] = RecordedFrame("recv", BEGIN_NS - 10**9, frames[3].message)
    path = write_recording(tmp_path / "own.jsonl", frames)
    with pytest.raises(ValueError, match=r"the recorder's clock steps back by 1\.\d+ s"):
        convert(path, "hftbacktest", None, Opening("okx", "BTC-USDT"))
    assert list(tmp_path.iterdir()) == [path]


def test_rows_of_books_have_no_raw_messages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a venue sent is not in a table."""
    path, symbol = recording_of(tmp_path / "own.jsonl", "okx")
    convert(path, "parquet", tmp_path / "books.parquet", Opening("okx", symbol))
    assert main(["convert", str(tmp_path / "books.parquet"), "--to", "raw"]) == 1
    assert "raw messages are not in them" in capsys.readouterr().err


def test_convert_overwrites_nothing_and_needs_a_market(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each ends in one sentence."""
    path = write_recording(tmp_path / "own.jsonl", okx_frames(4))
    assert main(["convert", str(path), "--to", "parquet"]) == 1
    assert "say --venue and --symbol" in capsys.readouterr().err
    market = ["--venue", "okx", "--symbol", "BTC-USDT"]
    (tmp_path / "taken").write_text("mine")
    assert main(["convert", str(path), "--to", "parquet", "--out", str(tmp_path / "taken"), *market]) == 1
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "taken").read_text() == "mine"
    assert main(["convert", str(path), "--to", "tardis", "--venue", "okx", "--symbol", "ETH-USDT"]) == 1
    assert "there is no book of okx ETH-USDT" in capsys.readouterr().err
    assert len(list(tmp_path.iterdir())) == 2


def test_facts_of_the_market_count(tmp_path: Path) -> None:
    """A swap that is unknown offline is converted by what its recording says of the contract."""
    symbol = "NEWCOIN-USDT-SWAP"
    path = write_recording(tmp_path / "own.jsonl", okx_frames(10))
    about = {"t": "meta", "venue": "okx", "symbol": symbol, "contract": {"value": 0.25, "inverse": False}}
    path.write_bytes(json.dumps(about).encode() + b"\n" + path.read_bytes().replace(b"BTC-USDT", symbol.encode()))
    (line,) = convert(path, "tardis", tmp_path / "out.csv", Opening())
    assert "--amounts base" in line
    venue = VENUES["okx"].with_facts(symbol, facts_of(meta(path)))
    ours = list(books(path, lambda: venue.make_feed(symbol)))
    theirs = list(books(tmp_path / "out.csv", lambda: venue.make_feed(symbol), opening=Opening(amounts=BASE)))
    assert levels(theirs) == levels(ours)
    assert ours[0].asks.tolist() == [[101.0, 0.25]]


def read_with_pandas(path: Path) -> tuple[int, int, int, float]:
    import pandas as pd

    frame = pd.read_parquet(path)
    assert str(frame["market_ns"].dtype) == "int64"
    return (
        len(frame),
        int(frame["market_ns"].iloc[0]),
        int(frame["market_ns"].iloc[-1]),
        frame["bid_prices"].iloc[-1][0],
    )


def read_with_duckdb(path: Path) -> tuple[int, int, int, float]:
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is a requirement of development")
    query = (
        "SELECT count(*), min(market_ns), max(market_ns), last(bid_prices[1] ORDER BY market_ns) FROM read_parquet(?)"
    )
    (row,) = duckdb.execute(query, [str(path)]).fetchall()
    return tuple(row)  # type: ignore[return-value]


def read_with_polars(path: Path) -> tuple[int, int, int, float]:
    polars = pytest.importorskip("polars", reason="polars is not among the requirements")
    frame = polars.read_parquet(path)
    return frame.height, frame["market_ns"].min(), frame["market_ns"].max(), frame["bid_prices"][-1][0]


@pytest.mark.parametrize("reader", [read_with_pandas, read_with_duckdb, read_with_polars])
def test_other_program_reads_whole_number_times(
    tmp_path: Path, reader: Callable[[Path], tuple[int, int, int, float]]
) -> None:
    """Every digit of a time is kept, and a side is a list."""
    frames = [RecordedFrame("recv", (frame.market_ns or 0) + 123_456_789, frame.message) for frame in okx_frames(30)]
    path = write_recording(tmp_path / "own.jsonl", frames)
    convert(path, "parquet", tmp_path / "books.parquet", Opening("okx", "BTC-USDT"))
    wanted = books_of(path, "okx", "BTC-USDT")
    expected = (30, wanted[0].market_ns, wanted[-1].market_ns, float(wanted[-1].bids[0, 0]))
    assert reader(tmp_path / "books.parquet") == expected
    about = json.loads(pq.read_schema(tmp_path / "books.parquet").metadata[b"trade_simulator"])
    assert about == {"format": "trade-simulator books", "venue": "okx", "symbol": "BTC-USDT", "amounts": "base"}


def test_packed_output_is_packed(tmp_path: Path) -> None:
    """The name says so, as everywhere."""
    path = write_recording(tmp_path / "own.jsonl", okx_frames(4))
    convert(path, "tardis", None, Opening("okx", "BTC-USDT"))
    lines = gzip.decompress((tmp_path / "own.csv.gz").read_bytes()).decode().splitlines()
    assert lines[0] == "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"
    assert lines[1].startswith("okex,BTC-USDT,1700000000000000,1700000000100000,true,ask,101,1")
