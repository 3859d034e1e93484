"""Compare the history with the estimates: every column, the rows kept and dropped, and the description of a file."""

from __future__ import annotations

import gc
import io
import json
import sys
import threading
import time
import tracemalloc
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal, localcontext
from itertools import cycle, islice
from pathlib import Path

import pandas as pd
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calculations import Estimate, Order, TradingCalculator
from estimation.estimate import BY_NAME, UNITS
from estimation.estimate import COLUMNS as ROW_COLUMNS
from estimation.features import Features
from estimation.realised import RealisedOutcome
from export_manager import COLUMNS, ExportManager, to_row
from exporting.rows import DATA_DICTIONARY
from exporting.table import VERSION
from fee_calculator import FeeTier, schedule
from feeds import VENUES, market_simulator
from orderbook import Side

DESK = FeeTier("=Desk, 1", maker=-0.00002, taker=0.0003)
ORDERS = [
    Order(Side.BUY, 100_000, "quote"),
    Order(Side.SELL, 2.5, tier=DESK, volatility=0.8, daily_volume=50_000.0),
    Order(Side.BUY, 300.0, "contracts", style="passive", passive_s=5.0),
    Order(Side.SELL, 20.0, style="schedule", horizon_s=60.0, steps=6),
    Order(Side.BUY, 60.0),
    Order(Side.BUY, 1e6),
]
PARAMETERS = {
    "volatility": "volatility_annual",
    "half_spread": "half_spread_price",
    "slope": "slope_price_per_base",
    "gamma": "gamma_price_per_base",
    "resilience": "resilience_per_s",
    "eta_book": "eta_book_price_s_per_base",
    "eta_volume": "eta_volume_price_s_per_base",
    "eta": "eta_price_s_per_base",
    "daily_volume": "daily_volume_base",
}
COSTS = ("slippage", "fee", "impact", "net_cost", "impact_permanent", "impact_temporary", "timing_risk")
PAIR = ("simulated", "BTC-USDT-SWAP")


@pytest.fixture(scope="module")
def calculator() -> TradingCalculator:
    return TradingCalculator(ORDERS[0], VENUES[PAIR[0]].contract_size(PAIR[1]))


@pytest.fixture(scope="module")
def estimates(calculator: TradingCalculator) -> list[Estimate]:
    """Estimate on three hundred books of the simulated market; the order changes every ten."""
    feed = VENUES[PAIR[0]].make_feed(PAIR[1])
    estimates = []
    for row, (_, message) in enumerate(islice(market_simulator.frames(seed=7), 300)):
        book = feed.parse(message, time.perf_counter_ns())
        assert book is not None
        order = ORDERS[row // 10 % len(ORDERS)]
        # Another latency or waiting time would begin the learning anew.
        calculator.order = replace(order, passive_s=5.0)
        estimates.append(calculator.estimate(book))
    return estimates


def make_history(estimates: list[Estimate], limit: int = 100_000) -> ExportManager:
    manager = ExportManager(limit)
    manager.market = PAIR
    for estimate in estimates:
        manager.append(estimate)
    return manager


def expected_row(estimate: Estimate) -> dict[str, object]:
    """Take the columns from the estimate by name; compute those that are derived in exact decimals."""
    order, fill = estimate.order, estimate.fill
    row: dict[str, object] = {name: getattr(estimate, name) for name in COLUMNS if hasattr(estimate, name)}
    row |= {name: getattr(order, name) for name in ("style", "latency_s", "passive_s", "horizon_s", "steps")}
    row |= {"side": "buy" if order.side is Side.BUY else "sell", "order_quantity": order.quantity}
    row |= {"order_unit": order.unit, "risk_aversion_per_quote": order.risk_aversion}
    row |= {"fee_tier": order.tier.name, "maker_rate": order.tier.maker, "taker_rate": order.tier.taker}
    row |= {"quantity_base": estimate.quantity, "unfilled_base": estimate.unfilled}
    row |= {"vwap": fill.vwap, "worst_price": fill.worst_price, "levels": fill.levels}
    row |= {"realised_slippage_bps": None, "realised_maker": None}
    row |= {f"feature_{name}": getattr(estimate.features, name) for name in Features._fields[1:]}
    for name, column in PARAMETERS.items():
        parameter = estimate.parameters.get(name)
        row |= {column: parameter and parameter.value, f"{name}_origin": parameter and parameter.origin}
    stamps = estimate.stamps
    with localcontext(prec=60):
        notional = Decimal(estimate.quantity) * Decimal(estimate.mid)
        share = Decimal(estimate.maker_share)
        row |= {"notional_quote": float(notional), "maker_share_pct": float(share * 100)}
        row |= {"taker_share_pct": float((1 - share) * 100)}
        row["processing_ms"] = float(Decimal(stamps.fees_ns - stamps.received_ns) / 1_000_000)
        for cost in COSTS:
            bps = getattr(estimate, f"{cost}_bps")
            row[f"{cost}_quote"] = None if bps is None else float(Decimal(bps) / 10_000 * notional)
        net = estimate.net_cost_bps
        row["net_cost_pct"] = None if net is None else float(Decimal(net) / 100)
    seconds, ns = divmod(estimate.market_ns, 10**9)
    row["market_utc"] = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(seconds))}.{ns // 1000:06d}"
    return row


def nan_to_none(value: object) -> object:
    return None if value is None or value != value else value  # noqa: PLR0124 - NaN alone differs from itself


def test_columns_hold_the_calculated_values(estimates: list[Estimate]) -> None:
    """Each column is the estimate's own figure, or derived from it to the last digits; no column is left over."""
    sources = set()
    for estimate in estimates:
        row = to_row(estimate, *PAIR)
        assert tuple(row) == COLUMNS
        expected = expected_row(estimate) | {"venue": PAIR[0], "symbol": PAIR[1]}
        assert expected.keys() == row.keys()
        for name, value in row.items():
            derived = isinstance(value, float) and name.endswith(("_quote", "_pct", "_ms"))
            assert value == (pytest.approx(expected[name], rel=1e-15, abs=0) if derived else expected[name]), name
        sources.add(row["slippage_source"])
    assert sources >= {"book walk", "extrapolated", "too thin"}


def test_every_field_of_an_estimate_is_exported(estimates: list[Estimate]) -> None:
    """No calculated value is missing; values that are grouped in the estimate have columns of their own."""
    grouped = {"order", "features", "fill", "parameters", "stamps", "row", "processing_ns", "with_values"}
    names = {name for name in dir(Estimate) if not name.startswith("_")} - grouped
    assert {name.removesuffix("_base") for name in COLUMNS} >= names
    assert set().union(*(estimate.parameters for estimate in estimates)) == set(PARAMETERS)
    assert len(set(COLUMNS)) == len(COLUMNS)


def test_every_column_of_a_row_is_exported_and_described() -> None:
    """A row's column has the unit and the meaning of its definition, a code its words; two have another form."""
    for name, unit, kind, _, meaning, words in ROW_COLUMNS:
        if name in ("processing_ns", "context"):  # processing_ms; the market and the order, each a column of its own
            continue
        assert DATA_DICTIONARY[name]["unit"] == unit
        assert DATA_DICTIONARY[name]["meaning"] == (f"{meaning}: {', '.join(words)}" if kind == "code" else meaning)
        assert (kind == "code") == bool(words)
    assert DATA_DICTIONARY["processing_ms"]["meaning"] == BY_NAME["processing_ns"].meaning
    assert {column.unit for column in ROW_COLUMNS} | {each["unit"] for each in DATA_DICTIONARY.values()} == set(UNITS)


def test_quote_amounts_add_up_to_the_net_cost(estimates: list[Estimate]) -> None:
    """slippage + fee + impact = net cost, in money as in basis points."""
    frame = make_history(estimates).frame().dropna(subset="net_cost_quote")
    assert len(frame) > 100
    total = frame["slippage_quote"] + frame["fee_quote"] + frame["impact_quote"]
    assert total.to_numpy() == pytest.approx(frame["net_cost_quote"].to_numpy(), rel=1e-12)


def test_frame_equals_the_single_rows(estimates: list[Estimate]) -> None:
    """An estimate gives the same row alone as among others, whatever the order was at its time."""
    frame = make_history(estimates).frame()
    assert tuple(frame.columns) == COLUMNS
    for estimate, row in zip(estimates, frame.to_dict("records"), strict=True):
        assert {name: nan_to_none(value) for name, value in row.items()} == to_row(estimate, *PAIR)
    assert {str(frame[name].dtype) for name in ("market_ns", "exchange_ns", "levels", "steps")} == {"int64"}


def test_unknown_values_are_none(estimates: list[Estimate]) -> None:
    """An order far beyond the book has no cost of any kind, but its unfilled size is known."""
    thin = next(to_row(estimate) for estimate in estimates if estimate.slippage_source == "too thin")
    unknown = {name for name, value in thin.items() if value is None}
    costs = ("walk_bps", "slippage_bps", "slippage_low_bps", "fee_bps", "impact_bps", "net_cost_bps")
    for name in (*costs, "fee_quote", "net_cost_quote", "net_cost_pct"):
        assert name in unknown
    assert thin["unfilled_base"] > 0
    assert {"venue", "symbol", "realised_slippage_bps", "realised_maker"} <= unknown


def test_rows_keep_their_own_market(estimates: list[Estimate]) -> None:
    """A history that goes on over another market names the market in each row."""
    manager = ExportManager()
    manager.append(estimates[0])
    for market in (PAIR, ("okx", "BTC-USDT"), ("kraken", "BTC/USD"), PAIR):
        manager.market = market
        manager.append(estimates[0])
    frame = manager.frame()
    assert [nan_to_none(venue) for venue in frame["venue"]] == [None, "simulated", "okx", "kraken", "simulated"]
    assert [nan_to_none(symbol) for symbol in frame["symbol"]][1:3] == ["BTC-USDT-SWAP", "BTC-USDT"]


def test_outcomes_are_written_to_their_rows(estimates: list[Estimate]) -> None:
    """Each outcome joins one estimate of its market time, also where times are equal or a gap lost an outcome."""
    times = [10, 20, 20, 30, 40, 50]
    manager = ExportManager(5)
    outcomes = [RealisedOutcome(ns, None, ns / 8, 0.5, 1.0) for ns in (10, 20, 20)]
    outcomes += [RealisedOutcome(35, None, 9.0, 0.5, 1.0), RealisedOutcome(40, None, None, 0.5, 0.25)]
    for ns in times:
        manager.append(estimates[0].with_values(market_ns=ns))
    manager.realise(outcomes[:2])
    manager.realise(outcomes[2:])
    frame = manager.frame()
    assert frame["market_ns"].tolist() == times[1:]
    assert [nan_to_none(value) for value in frame["realised_slippage_bps"]] == [2.5, 2.5, None, None, None]
    assert [nan_to_none(value) for value in frame["realised_maker"]] == [1.0, 1.0, None, 0.25, None]


def test_outcomes_find_their_rows_after_a_step_back_in_time(estimates: list[Estimate]) -> None:
    """A replay that begins again fills in the new rows and leaves the old ones alone, also after a new limit."""
    manager = ExportManager(10)
    for ns in (100, 200, 300, 50, 100):
        manager.append(estimates[0].with_values(market_ns=ns))
    manager.resize(4)
    manager.realise([RealisedOutcome(50, None, 1.5, 0.5, 0.0), RealisedOutcome(100, None, 2.5, 0.5, 1.0)])
    assert [nan_to_none(value) for value in manager.frame()["realised_slippage_bps"]] == [None, None, 1.5, 2.5]
    for ns in (110, 120, 130):
        manager.append(estimates[0].with_values(market_ns=ns))
    manager.resize(2)
    manager.realise([RealisedOutcome(ns, None, ns / 8, 0.5, 1.0) for ns in (110, 120, 130)])
    assert manager.frame()["realised_slippage_bps"].tolist() == [15.0, 16.25]


def test_outcomes_of_the_calculator_stand_in_their_rows() -> None:
    """Estimates and outcomes come book by book, and every outcome of the calculator stands in its row."""
    calculator, manager = TradingCalculator(Order(Side.BUY, 1.0, passive_s=1.0)), ExportManager()
    feed = VENUES[PAIR[0]].make_feed(PAIR[1])
    outcomes = {}
    for _, message in islice(market_simulator.frames(seed=11), 100):
        book = feed.parse(message, time.perf_counter_ns())
        assert book is not None
        manager.append(calculator.estimate(book))
        new_outcomes = calculator.realised()
        manager.realise(new_outcomes)
        outcomes |= {outcome.market_ns: outcome for outcome in new_outcomes}
    assert len(outcomes) > 50
    frame = manager.frame().set_index("market_ns")
    assert frame["realised_maker"].dropna().to_dict() == {
        ns: outcome.realised_maker for ns, outcome in outcomes.items()
    }
    assert frame["realised_slippage_bps"].dropna().to_dict() == {
        ns: outcome.realised_slippage_bps
        for ns, outcome in outcomes.items()
        if outcome.realised_slippage_bps is not None
    }


def test_empty_history_exports_its_columns() -> None:
    """Its exports are valid and have no rows."""
    manager = ExportManager()
    assert manager.latest is None
    assert tuple(manager.frame().columns) == COLUMNS
    assert json.loads(manager.json()) == []
    assert manager.csv().count(b"\n") == 1
    assert pyarrow.parquet.read_table(io.BytesIO(manager.parquet())).num_rows == 0


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 12),
    st.lists(st.one_of(st.none(), st.tuples(st.just("append"), st.integers(1, 15)), st.integers(1, 20)), max_size=8),
)
def test_history_keeps_the_newest_estimates(
    estimates: list[Estimate], limit: int, steps: list[tuple[str, int] | int | None]
) -> None:
    """Appending, resizing and reading in any order agree with a plain deque, as do the dropped rows and their start."""
    manager, oracle = ExportManager(limit), deque[int](maxlen=limit)
    dropped = 0
    since: int | None = None
    n_appended = 0
    for step in steps:
        if isinstance(step, int):
            manager.resize(step)
            lost = max(0, len(oracle) - step)
            since = oracle[-1] if lost and since is None else since
            dropped += lost
            oracle = deque(oracle, maxlen=step)
        for _ in range(step[1] if isinstance(step, tuple) else 0):
            estimate = estimates[n_appended]
            n_appended += 1
            manager.append(estimate)
            if len(oracle) == oracle.maxlen:
                dropped += 1
                since = estimate.market_ns if since is None else since
            oracle.append(estimate.market_ns)
        assert manager.frame()["market_ns"].tolist() == list(oracle)
        assert manager.frame(3)["market_ns"].tolist() == list(oracle)[-3:]
        assert (len(manager), manager.limit) == (len(oracle), oracle.maxlen)
        assert (manager.dropped, manager.dropping_since_ns) == (dropped, since)
        assert manager.latest is (estimates[n_appended - 1] if n_appended else None)


@pytest.mark.parametrize("limit", [0, -1])
def test_limit_below_one_is_refused(limit: int, estimates: list[Estimate]) -> None:
    """It is refused at the start and later, and changes nothing."""
    with pytest.raises(ValueError, match=f"at least: {limit}"):
        ExportManager(limit)
    manager = make_history(estimates, 5)
    with pytest.raises(ValueError, match=f"at least: {limit}"):
        manager.resize(limit)
    assert (len(manager), manager.limit) == (5, 5)
    assert manager.frame()["market_ns"].tolist() == [estimate.market_ns for estimate in estimates[-5:]]


def test_long_history_takes_little_memory(estimates: list[Estimate]) -> None:
    """It gives the garbage collector no objects to search, and takes less than 400 bytes an estimate."""
    limit = 10_000
    manager = ExportManager(limit)
    manager.append(estimates[0])
    gc.collect()
    before = len(gc.get_objects())
    tracemalloc.start()
    for estimate in islice(cycle(estimates), 2 * limit):
        manager.append(estimate)
    gc.collect()
    bytes_held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(manager) == limit
    assert len(gc.get_objects()) - before < 100
    assert bytes_held <= limit * 400


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Make Python switch threads as often as it can."""
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval_s)


@pytest.mark.usefixtures("eager_threads")
def test_frames_are_consistent_while_the_feed_appends(estimates: list[Estimate]) -> None:
    """A frame taken at any time holds whole consecutive estimates in their order; resizing miscounts none."""
    manager = ExportManager(5)
    n_estimates = 1_000
    stop = threading.Event()
    numbered = [
        estimates[number % 300].with_values(market_ns=number, mid=number + 1.0) for number in range(n_estimates)
    ]
    appended = 0

    def write() -> None:
        nonlocal appended
        for estimate in cycle(numbered):
            if stop.is_set():
                break
            manager.append(estimate)
            appended += 1

    writer = threading.Thread(target=write)
    writer.start()
    frames = []
    for attempt in range(300):
        manager.resize(4 + attempt % 3)
        if attempt % 5 == 0:
            frames.append(manager.frame())
    stop.set()
    writer.join()
    for frame in frames:
        first = frame["market_ns"].iloc[0] if len(frame) else 0
        assert frame["market_ns"].tolist() == [(first + row) % n_estimates for row in range(len(frame))]
        assert (frame["mid"] == frame["market_ns"] + 1.0).all()
    assert manager.dropped + len(manager) == appended > 0


def test_three_formats_hold_the_same_rows(estimates: list[Estimate]) -> None:
    """CSV through pandas, JSON and Parquet give the frame again, exactly; CSV alone neutralises a formula."""
    manager = make_history(estimates)
    frame = manager.frame()
    rows = [{name: nan_to_none(value) for name, value in row.items()} for row in frame.to_dict("records")]
    assert json.loads(manager.json(), parse_constant=pytest.fail) == rows
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(manager.parquet())), frame, check_exact=True)
    in_csv = frame.assign(fee_tier=frame["fee_tier"].replace(DESK.name, "'" + DESK.name))
    read = pd.read_csv(io.BytesIO(manager.csv()))
    assert tuple(read.columns) == COLUMNS
    pd.testing.assert_frame_equal(read, in_csv, check_exact=True)


def test_equal_histories_give_equal_bytes(estimates: list[Estimate]) -> None:
    """An export depends on the history alone: two made at different times are equal."""
    manager, again = make_history(estimates), make_history(estimates)
    assert (manager.csv(), manager.json(), manager.parquet()) == (again.csv(), again.json(), again.parquet())


def test_saved_history_describes_itself(
    tmp_path: Path, estimates: list[Estimate], calculator: TradingCalculator
) -> None:
    """Beside the rows stand venue, symbol, order, model scores, fee schedule, version, units and missing rows."""
    manager = make_history(estimates, 200)
    manager.schedule = schedule("okx", "swap", "current")
    manager.scorecard = calculator.scorecard
    path = manager.save(tmp_path, "run", "csv")
    assert path.read_bytes() == manager.csv()
    about = json.loads((tmp_path / "run.meta.json").read_bytes())
    assert about["software"] == f"trade-simulator {VERSION}"
    assert (about["venue"], about["symbol"], about["rows"], about["rows_dropped"]) == (*PAIR, 200, 100)
    assert about["dropping_since_market_ns"] == estimates[200].market_ns
    last = estimates[-1].order
    assert about["order"]["side"] == last.side.name.lower()
    assert (about["order"]["quantity"], about["order"]["style"]) == (last.quantity, last.style)
    assert about["order"]["tier"]["taker"] == last.tier.taker
    scorecard = calculator.scorecard()
    assert scorecard is not None
    assert (about["models"]["samples"], about["models"]["verdict"]) == (scorecard.samples, scorecard.verdict)
    assert (about["fees"]["venue"], about["fees"]["edition"]) == ("okx", "current")
    assert about["fees"]["as_of"] == str(schedule("okx", "swap", "current").as_of)
    assert about["fees"]["tiers"][0]["taker"] == 0.0005
    assert tuple(about["columns"]) == COLUMNS
    for name, column in about["columns"].items():
        assert column["meaning"]
        assert about["units"][column["unit"]]
        for ending, unit in (("_bps", "bps"), ("_quote", "quote"), ("_base", "base"), ("_ms", "ms"), ("_pct", "%")):
            assert not name.endswith(ending) or "_per_" in name or column["unit"] == unit
    read = pyarrow.parquet.read_table(manager.save(tmp_path, "run", "parquet"))
    assert json.loads(read.schema.metadata[b"trade_simulator"]) == about
