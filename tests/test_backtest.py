"""Check that a backtest gives, book for book, the numbers of the live path on the same frames."""

from __future__ import annotations

import functools
import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backtest import backtest
from backtesting.book_arrays import BookArrays
from backtesting.book_cache import RecordingSource, open_books
from backtesting.cache_folder import BookCache
from backtesting.engine import _Segment, run_steps
from calculations import Order, OrderError
from export_manager import COLUMNS
from orderbook import Side
from replay import RecordedFrame, simulated
from tests.support.live_rows import assert_same_rows, price_books, price_served_books
from tests.support.synthetic_recordings import BEGIN_NS, okx_frames, okx_message, write_recording

BTC = "BTC-USDT-SWAP"
N_BOOKS = 600
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
"""Every style, side and unit. The last two are too large: one for the visible book, one for any number."""


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> RecordingSource:
    """Record 80 seconds of the simulated market."""
    path = tmp_path_factory.mktemp("simulated") / "market.jsonl"
    write_recording(path, list(islice(simulated(BTC, seed=3, start_ns=BEGIN_NS), N_BOOKS)))
    return RecordingSource.from_path(path, "simulated", BTC)


def test_backtest_equals_the_served_simulated_market(market: RecordingSource, tmp_path: Path) -> None:
    """Every book goes through socket, client and calculators. Every column is the same to 1e-9, in every style, and the
    models have learned the same at the same book.
    """
    live = price_served_books(market, ORDERS, N_BOOKS)
    for order, frame in zip(ORDERS, live.frames(), strict=True):
        assert_same_rows(backtest(market.path, market.venue, market.symbol, order, tmp_path), frame)
    frames = live.frames()
    assert (frames[0]["slippage_source"] == "model").sum() > 200, "the slippage model is in use"
    assert (frames[7]["slippage_source"] == "too thin").any()
    assert frames[6]["slippage_source"].isin(["extrapolated"]).any()
    assert frames[2]["realised_maker"].between(0, 1).sum() > 500


def test_backtest_prices_with_the_volume_of_the_recording(market: RecordingSource, tmp_path: Path) -> None:
    """A recording that says what its market traded a day is priced with that, as the live path was; typed wins."""
    lines = market.path.read_bytes()
    about = {"t": "meta", "venue": market.venue, "symbol": market.symbol, "version": 1, "daily_volume": 2500.0}
    path = tmp_path / "with-volume.jsonl"
    path.write_bytes(json.dumps(about).encode() + b"\n" + lines)
    source = RecordingSource.from_path(path, market.venue, market.symbol)
    assert (market.daily_volume, source.daily_volume) == (None, 2500.0)
    measured, typed = ORDERS[5], ORDERS[4]
    live = price_books(source, [measured, typed], source.read_books()).frames()
    for order, frame in zip((measured, typed), live, strict=True):
        assert_same_rows(backtest(path, market.venue, market.symbol, order, tmp_path), frame)
    assert set(live[0]["daily_volume_base"]) == {2500.0}
    assert set(live[0]["daily_volume_origin"]) == {"measured"}
    assert set(live[1]["daily_volume_base"]) == {1e5}
    without = backtest(market.path, market.venue, market.symbol, measured, tmp_path)
    assert (live[0]["impact_temporary_bps"] > without["impact_temporary_bps"]).all()
    assert RecordingSource.from_path(path, "gomarket-okx", market.symbol).daily_volume is None


@pytest.mark.parametrize("volume", ["1", 0, -1.0, True, None, 1e300, [5]])
def test_volume_of_a_recording_that_cannot_be_is_refused(volume: object, tmp_path: Path) -> None:
    """A meta line may come from anywhere."""
    path = tmp_path / "made.jsonl"
    about = {"t": "meta", "venue": "okx", "symbol": "BTC-USDT", "version": 1, "daily_volume": volume}
    path.write_text(json.dumps(about) + "\n")
    write_recording(tmp_path / "frames.jsonl", okx_frames(3))
    path.write_bytes(path.read_bytes() + (tmp_path / "frames.jsonl").read_bytes())
    with pytest.raises(ValueError, match="daily volume cannot be"):
        backtest(path, "okx", "BTC-USDT", Order(Side.BUY, 1.0), tmp_path)


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
def test_backtest_equals_the_calculator_on_real_recordings(
    recordings: Path, tmp_path: Path, file: str, venue: str, symbol: str, size: float, books: int | None
) -> None:
    """The calculator is shown the same books: whole ones, changes, a gap in the sequence, books of uneven depth, a
    market that is silent for seconds.
    """
    source = RecordingSource.from_path(recordings / file, venue, symbol)
    orders = (Order(Side.BUY, size), Order(Side.SELL, size, style="passive"), Order(Side.BUY, size, style="schedule"))
    live = price_books(source, orders, source.read_books()).frames()
    assert books in (None, len(live[0]))
    for order, frame in zip(orders, live, strict=True):
        assert_same_rows(backtest(source.path, venue, symbol, order, tmp_path), frame)


@pytest.mark.slow
def test_backtest_equals_six_served_minutes_of_binance(recordings: Path, tmp_path: Path) -> None:
    """3,449 books of 400 levels reach past the thousandth sample, where the fits are further apart."""
    source = RecordingSource.from_path(recordings / "binance-spot_BTCUSDT_20240808.jsonl.gz", "binance", "BTCUSDT")
    orders = [Order(Side.BUY, 100_000.0, "quote"), Order(Side.SELL, 60.0, style="passive")]
    live = price_served_books(source, orders, 3449).frames()
    for order, frame in zip(orders, live, strict=True):
        assert_same_rows(backtest(source.path, "binance", "BTCUSDT", order, tmp_path), frame)


def _level(price: float, size: float) -> str:
    return f'["{price}","{size}"]'


def gateway_message(bid_ticks: int, bids: list[int], asks: list[int]) -> str:
    """Write a whole book: sizes from the best price on, one price step between bid and ask."""
    sides = (
        ",".join(_level(round((bid_ticks + offset + sign * row) / 10, 1), size) for row, size in enumerate(sizes))
        for sign, offset, sizes in ((1, 1, asks), (-1, 0, bids))
    )
    ask_rows, bid_rows = sides
    return (
        f'{{"timestamp":"2025-05-04T10:39:13Z","exchange":"SIM","symbol":"{BTC}",'
        f'"asks":[{ask_rows}],"bids":[{bid_rows}]}}'
    )


SIZES = st.lists(st.integers(1, 400), min_size=1, max_size=14)
WAITS = st.sampled_from([0, 1, 3_000_000, 40_000_000, 100_000_000, 100_000_000, 100_000_000, 900_000_000])
BREAKS = st.sampled_from([5_000_000_000, 5_000_000_001, 7_000_000_000, -1, -3_000_000_000])


UNSTEADY = [
    (100_000_000, 1, [3, 9, 40], [2, 2]),
    (40_000_000, -2, [5], [1, 1, 7, 300]),
    (3_000_000, 2, [8, 1, 30, 2, 2, 2, 2, 2, 2, 2, 2, 9], [4, 60]),
    (0, -1, [1, 1, 1, 1], [6, 6, 6]),
]
"""Books at uneven intervals, one in four at the same time as the one before."""


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
def test_backtest_equals_the_calculator_on_generated_recordings(
    tmp_path_factory: pytest.TempPathFactory,
    books: list[tuple[int, int, list[int], list[int]]],
    breaks: list[tuple[int, int]],
    latency_s: float,
    passive_s: float,
    style: str,
) -> None:
    """Depths are uneven, books come at the same time, the market is silent, the clock steps back, an order meets no
    other: every row is still the same, however many blocks it takes.
    """
    frames: list[RecordedFrame] = []
    market_ns = BEGIN_NS
    bid_ticks = 1_000_000
    jumps = dict(breaks)
    for row in range(300):
        wait, move, bids, asks = books[row % len(books)]
        market_ns += jumps.get(row, wait)
        bid_ticks += move
        frames.append(RecordedFrame("recv", market_ns, gateway_message(bid_ticks, bids, asks)))
    source = RecordingSource.from_path(
        write_recording(tmp_path_factory.mktemp("any") / "made.jsonl", frames), "gomarket-okx", BTC
    )
    orders = [
        Order(side, 3.0, style=style, latency_s=latency_s, passive_s=passive_s, horizon_s=20.0)  # type: ignore[arg-type]
        for side in Side
    ]
    live = price_books(source, orders, source.read_books()).frames()
    assert live[0]["market_ns"].tolist() == [frame.market_ns for frame in frames]
    for order, expected in zip(orders, live, strict=True):
        assert_same_rows(backtest(source.path, source.venue, source.symbol, order), expected)


def test_block_length_changes_no_row(market: RecordingSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a block ends changes nothing: no book state, no fit, no outcome."""
    whole = backtest(market.path, market.venue, market.symbol, ORDERS[2], tmp_path)
    for rows in (7, 256):
        monkeypatch.setattr("backtesting.engine.BLOCK_ROWS", rows)
        assert_same_rows(backtest(market.path, market.venue, market.symbol, ORDERS[2], tmp_path), whole)


def test_estimates_use_no_later_book(market: RecordingSource, tmp_path: Path) -> None:
    """A recording cut off anywhere gives the same rows up to there; only outcomes that are not seen are missing."""
    whole = backtest(market.path, market.venue, market.symbol, ORDERS[0], tmp_path)
    frames = list(islice(simulated(BTC, seed=3, start_ns=BEGIN_NS), N_BOOKS))
    for count in (1, 60, 701):
        path = write_recording(tmp_path / f"{count}.jsonl", frames[:count])
        shortened = backtest(path, market.venue, market.symbol, ORDERS[0], tmp_path)
        unseen = ["realised_slippage_bps", "realised_maker"]
        assert_same_rows(shortened.drop(columns=unseen), whole[:count].drop(columns=unseen).reset_index(drop=True))
        assert shortened["realised_maker"].isna().sum() == min(count, 22), "more than 2.1 s before the last book"


def test_orders_priced_together_get_the_numbers_of_each_alone(market: RecordingSource, tmp_path: Path) -> None:
    """Orders that share their latency are priced together, block by block, and learn nothing from each other."""
    orders = [Order(Side.BUY, size) for size in (0.1, 1.0, 25.0)]
    net_costs: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for step in run_steps(market, orders, BookCache(tmp_path)):
        if step.block is not None:
            net_costs[step.block.order_index] += step.block.rows["net_cost_bps"].tolist()
            assert step.done <= (step.total or 0)
    for number, order in enumerate(orders):
        alone = backtest(market.path, market.venue, market.symbol, order, tmp_path)
        np.testing.assert_array_equal(net_costs[number], alone["net_cost_bps"])
    with pytest.raises(OrderError, match="share their latency"):
        list(run_steps(market, [ORDERS[0], ORDERS[1]], BookCache(tmp_path)))


def test_backtest_stopped_at_any_step_leaves_no_draft(market: RecordingSource, tmp_path: Path) -> None:
    """Closing the iterator while books are read or priced leaves no half-made file."""
    for stage in ("reading", "pricing"):
        steps = run_steps(market, ORDERS[:1], BookCache(tmp_path / stage))
        while next(steps).stage != stage:
            pass
        steps.close()
    assert list((tmp_path / "reading").iterdir()) == []
    assert len(list((tmp_path / "pricing").iterdir())) == 1


def test_backtest_refuses_contracts_on_a_spot_market(tmp_path: Path) -> None:
    """On a spot market nothing is counted in contracts, and no size is guessed."""
    path = write_recording(tmp_path / "spot.jsonl", [RecordedFrame("recv", BEGIN_NS, okx_message(1, -1))])
    with pytest.raises(OrderError, match="contracts of a fixed size"):
        backtest(path, "okx", "BTC-USDT", Order(Side.BUY, 1.0, "contracts"))


def test_recording_without_a_book_gives_no_row_and_all_columns(tmp_path: Path) -> None:
    """The frame has no row, and all the columns."""
    path = write_recording(tmp_path / "other.jsonl", [RecordedFrame("recv", BEGIN_NS, okx_message(1, -1))])
    rows = backtest(path, "okx", "ETH-USDT", Order(Side.BUY, 1.0))
    assert (len(rows), tuple(rows)) == (0, COLUMNS)


def test_mapped_books_and_held_states_do_not_grow_with_the_recording(
    market: RecordingSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At no time are more books mapped than a block, those its fits learn from, and those that show its outcomes."""
    monkeypatch.setattr("backtesting.engine.BLOCK_ROWS", 64)
    spans = []
    read_side = BookArrays.read_side

    @functools.wraps(read_side)
    def record_span(self: BookArrays, side: Side, first: int, stop: int) -> object:
        spans.append(stop - first)
        return read_side(self, side, first, stop)

    monkeypatch.setattr(BookArrays, "read_side", record_span)
    most_states = 0
    for books in open_books(market, BookCache(tmp_path)):
        if isinstance(books, BookArrays):
            segment = _Segment(books, 0, len(books), ORDERS[0], None)
            for _ in segment.price_blocks(ORDERS[:1], 0.01):
                most_states = max(most_states, len(segment._states))
    assert len(spans) == 2 * -(-N_BOOKS // 64)
    assert max(spans) <= 64 + 50 + 2 * 23
    assert most_states <= 6
