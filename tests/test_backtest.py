"""A backtest says, book for book, what the live path says of the same frames."""

from __future__ import annotations

import functools
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backtest import backtest
from backtesting.book_cache import BookArrays, RecordingSource, open_books
from backtesting.engine import _Segment, run_steps
from calculations import Order, OrderError
from export_manager import COLUMNS
from orderbook import Side
from replay import RecordedFrame, simulated
from tests.support.live_rows import assert_same_rows, price_books, price_served_books
from tests.support.synthetic_recordings import BEGIN_NS, okx_message, write_recording

BTC = "BTC-USDT-SWAP"
BOOKS = 600
ORDERS = (
    Order(Side.BUY, 100_000.0, "quote"),
    Order(Side.SELL, 3.0, latency_s=0.5),
    Order(Side.BUY, 40.0, "contracts", style="passive"),
    Order(Side.SELL, 20.0, style="passive", latency_s=0.0, passive_s=1.0),
    Order(Side.BUY, 30.0, style="schedule", horizon_s=60.0, steps=20, daily_volume=1e5, risk_aversion=1e-3),
    Order(Side.SELL, 60.0, style="schedule", volatility=0.6, horizon_s=3600.0, steps=5, risk_aversion=1.0),
    Order(Side.BUY, 25.0),
    Order(Side.SELL, 500.0),
)
"""Every style, side and unit; the last are too large for the visible book, and for any number."""


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> RecordingSource:
    """80 seconds of the simulated market."""
    path = tmp_path_factory.mktemp("simulated") / "market.jsonl"
    write_recording(path, list(islice(simulated(BTC, seed=3, start_ns=BEGIN_NS), BOOKS)))
    return RecordingSource.from_path(path, "simulated", BTC)


def test_a_simulated_market_as_it_was_served(market: RecordingSource, tmp_path: Path) -> None:
    """Every book through socket, client and calculators: every column is the same to 1e-9, in every style, and the
    models have learned the same at the same book."""
    live = price_served_books(market, ORDERS, BOOKS)
    for order, frame in zip(ORDERS, live.frames(), strict=True):
        assert_same_rows(backtest(market.path, market.venue, market.symbol, order, tmp_path), frame)
    frames = live.frames()
    assert (frames[0]["slippage_source"] == "model").sum() > 200, "the models had a say"
    assert (frames[7]["slippage_source"] == "too thin").any()
    assert frames[6]["slippage_source"].isin(["extrapolated"]).any()
    assert frames[2]["realised_maker"].between(0, 1).sum() > 500


@pytest.mark.parametrize(
    ("file", "venue", "symbol", "size", "books"),
    [
        ("gomarket-okx_BTC-USDT-SWAP_20250515.jsonl.gz", "gomarket-okx", BTC, 5.0, 158),
        ("okx_3-instruments_20220513_crc.jsonl.gz", "okx", "BTC-USDT", 3.0, 98),
        ("okx_BTC-USDT_20260711_seqid.jsonl.gz", "okx", "BTC-USDT", 3.0, 2),
        ("binance-usdm_4-pairs_20210722.jsonl.gz", "binance-usdm", "BTCUSDT", 10.0, None),
        ("kraken_MINA-GBP_depth25_20260816.jsonl.gz", "kraken", "MINA/GBP", 2000.0, 30),
    ],
)
def test_real_recordings(
    recordings: Path, tmp_path: Path, file: str, venue: str, symbol: str, size: float, books: int | None
) -> None:
    """Whole books, changes, a gap in the sequence, books of uneven depth, a market that is silent for seconds: as the
    calculator that is shown the same books."""
    source = RecordingSource.from_path(recordings / file, venue, symbol)
    orders = (Order(Side.BUY, size), Order(Side.SELL, size, style="passive"), Order(Side.BUY, size, style="schedule"))
    live = price_books(source, orders, source.books()).frames()
    assert books in (None, len(live[0]))
    for order, frame in zip(orders, live, strict=True):
        assert_same_rows(backtest(source.path, venue, symbol, order, tmp_path), frame)


@pytest.mark.slow
def test_six_minutes_of_binance_as_they_were_served(recordings: Path, tmp_path: Path) -> None:
    """3,449 books of 400 levels, past the thousandth sample, where the fits are further apart."""
    source = RecordingSource.from_path(recordings / "binance-spot_BTCUSDT_20240808.jsonl.gz", "binance", "BTCUSDT")
    orders = [Order(Side.BUY, 100_000.0, "quote"), Order(Side.SELL, 60.0, style="passive")]
    live = price_served_books(source, orders, 3449).frames()
    for order, frame in zip(orders, live, strict=True):
        assert_same_rows(backtest(source.path, "binance", "BTCUSDT", order, tmp_path), frame)


def _level(price: float, size: float) -> str:
    return f'["{price}","{size}"]'


def gateway_message(bid_ticks: int, bids: list[int], asks: list[int]) -> str:
    """A whole book: sizes from the touch on, a tick of spread."""
    sides = (
        ",".join(_level(round((bid_ticks + offset + sign * row) / 10, 1), size) for row, size in enumerate(sizes))
        for sign, offset, sizes in ((1, 1, asks), (-1, 0, bids))
    )
    asked, bid = sides
    return f'{{"timestamp":"2025-05-04T10:39:13Z","exchange":"SIM","symbol":"{BTC}","asks":[{asked}],"bids":[{bid}]}}'


SIZES = st.lists(st.integers(1, 400), min_size=1, max_size=14)
WAITS = st.sampled_from([0, 1, 3_000_000, 40_000_000, 100_000_000, 100_000_000, 100_000_000, 900_000_000])
BREAKS = st.sampled_from([5_000_000_000, 5_000_000_001, 7_000_000_000, -1, -3_000_000_000])


UNSTEADY = [
    (100_000_000, 1, [3, 9, 40], [2, 2]),
    (40_000_000, -2, [5], [1, 1, 7, 300]),
    (3_000_000, 2, [8, 1, 30, 2, 2, 2, 2, 2, 2, 2, 2, 9], [4, 60]),
    (0, -1, [1, 1, 1, 1], [6, 6, 6]),
]
"""Books that come by fits and starts, one in four at the same moment as the one before."""


@settings(max_examples=5, deadline=None)
@given(
    st.lists(st.tuples(WAITS, st.integers(-2, 2), SIZES, SIZES), min_size=1, max_size=40),
    st.lists(st.tuples(st.integers(0, 300), BREAKS), max_size=4),
    st.sampled_from([0.0, 1e-10, 0.1, 0.25, 6.0]),
    st.sampled_from([0.1, 0.5, 2.0]),
    st.sampled_from(["now", "passive", "schedule"]),
)
@example(UNSTEADY, [(90, 5_000_000_001), (150, 5_000_000_000), (200, -1), (260, 7_000_000_000)], 0.1, 0.5, "passive")
@example(UNSTEADY, [(40, -3_000_000_000), (160, 7_000_000_000), (162, 7_000_000_000)], 1e-10, 2.0, "now")
@example(UNSTEADY, [(299, 9_000_000_000)], 0.0, 0.5, "schedule")
def test_any_recording(
    tmp_path_factory: pytest.TempPathFactory,
    books: list[tuple[int, int, list[int], list[int]]],
    breaks: list[tuple[int, int]],
    latency_s: float,
    passive_s: float,
    style: str,
) -> None:
    """Uneven depths, books at the same moment, silences, a clock that steps back, an order that meets nothing: still
    row for row the same, however many blocks it takes."""
    ticks, now, bid, jumps = [], BEGIN_NS, 1_000_000, dict(breaks)
    for row in range(300):
        wait, move, bids, asks = books[row % len(books)]
        now += jumps.get(row, wait)
        bid += move
        ticks.append(RecordedFrame("recv", now, gateway_message(bid, bids, asks)))
    source = RecordingSource.from_path(
        write_recording(tmp_path_factory.mktemp("any") / "made.jsonl", ticks), "gomarket-okx", BTC
    )
    orders = [
        Order(side, 3.0, style=style, latency_s=latency_s, passive_s=passive_s, horizon_s=20.0)  # type: ignore[arg-type]
        for side in Side
    ]
    live = price_books(source, orders, source.books()).frames()
    assert live[0]["market_ns"].tolist() == [tick.market_ns for tick in ticks]
    for order, frame in zip(orders, live, strict=True):
        assert_same_rows(backtest(source.path, source.venue, source.symbol, order), frame)


def test_blocks_of_any_length_say_the_same(
    market: RecordingSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a block ends changes nothing: not a moment, not a fit, not an outcome."""
    whole = backtest(market.path, market.venue, market.symbol, ORDERS[2], tmp_path)
    for rows in (7, 256):
        monkeypatch.setattr("backtesting.engine.BLOCK_ROWS", rows)
        assert_same_rows(backtest(market.path, market.venue, market.symbol, ORDERS[2], tmp_path), whole)


def test_no_estimate_knows_what_came_after_it(market: RecordingSource, tmp_path: Path) -> None:
    """A recording cut off anywhere gives the same up to there; only outcomes not seen are missing."""
    whole = backtest(market.path, market.venue, market.symbol, ORDERS[0], tmp_path)
    ticks = list(islice(simulated(BTC, seed=3, start_ns=BEGIN_NS), BOOKS))
    for count in (1, 60, 701):
        path = write_recording(tmp_path / f"{count}.jsonl", ticks[:count])
        cut = backtest(path, market.venue, market.symbol, ORDERS[0], tmp_path)
        unseen = ["realised_slippage_bps", "realised_maker"]
        assert_same_rows(cut.drop(columns=unseen), whole[:count].drop(columns=unseen).reset_index(drop=True))
        assert cut["realised_maker"].isna().sum() == min(count, 22), "more than 2.1 s before the last book"


def test_many_sizes_at_once_are_each_priced_as_alone(market: RecordingSource, tmp_path: Path) -> None:
    """Orders that share their latency are priced together, block by block, and learn nothing from each other."""
    orders = [Order(Side.BUY, size) for size in (0.1, 1.0, 25.0)]
    found: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for step in run_steps(market, orders, tmp_path):
        if step.priced is not None:
            found[step.priced.order] += step.priced.columns["net_cost_bps"].tolist()
            assert step.done <= (step.total or 0)
    for number, order in enumerate(orders):
        alone = backtest(market.path, market.venue, market.symbol, order, tmp_path)
        np.testing.assert_array_equal(found[number], alone["net_cost_bps"])
    with pytest.raises(OrderError, match="share their latency"):
        list(run_steps(market, [ORDERS[0], ORDERS[1]], tmp_path))


def test_a_backtest_can_be_stopped_at_any_step(market: RecordingSource, tmp_path: Path) -> None:
    """Closing the iterator while books are read or priced leaves no half-made file."""
    for stage in ("reading", "pricing"):
        made = run_steps(market, ORDERS[:1], tmp_path / stage)
        while next(made).stage != stage:
            pass
        made.close()
    assert list((tmp_path / "reading").iterdir()) == []
    assert len(list((tmp_path / "pricing").iterdir())) == 1


def test_contracts_need_a_contract(tmp_path: Path) -> None:
    """On a spot market nothing is counted in contracts, and no number is made up."""
    path = write_recording(tmp_path / "spot.jsonl", [RecordedFrame("recv", BEGIN_NS, okx_message(1, -1))])
    with pytest.raises(OrderError, match="contracts of a fixed size"):
        backtest(path, "okx", "BTC-USDT", Order(Side.BUY, 1.0, "contracts"))


def test_a_recording_without_a_book_of_the_market(tmp_path: Path) -> None:
    """No rows, and all the columns."""
    path = write_recording(tmp_path / "other.jsonl", [RecordedFrame("recv", BEGIN_NS, okx_message(1, -1))])
    found = backtest(path, "okx", "ETH-USDT", Order(Side.BUY, 1.0))
    assert (len(found), tuple(found)) == (0, COLUMNS)


def test_memory_does_not_grow_with_the_recording(
    market: RecordingSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At no time more is mapped than a block, what its fits learn from, and what shows its outcomes."""
    monkeypatch.setattr("backtesting.engine.BLOCK_ROWS", 64)
    spans = []
    side = BookArrays.side

    @functools.wraps(side)
    def noted(self: BookArrays, of: Side, first: int, last: int) -> object:
        spans.append(last - first)
        return side(self, of, first, last)

    monkeypatch.setattr(BookArrays, "side", noted)
    kept = 0
    for books in open_books(market, tmp_path):
        if isinstance(books, BookArrays):
            stretch = _Segment(books, 0, len(books), ORDERS[0], None)
            for _ in stretch.priced(ORDERS[:1], 0.01):
                kept = max(kept, len(stretch._knowledge))
    assert len(spans) == 2 * -(-BOOKS // 64)
    assert max(spans) <= 64 + 50 + 2 * 23
    assert kept <= 6
