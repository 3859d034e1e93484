"""Compare the simulated market with measurements of real books, by plain arithmetic on its parsed messages."""

from __future__ import annotations

import gzip
import json
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeds import VENUES
from feeds.market_simulator import START_NS, SimulatedMarket, frames
from numerics.arrays import Flags, Floats
from orderbook import OrderBook

SYMBOLS = ("BTC-USDT-SWAP", "ETH-USDT-SWAP", "SOL-USDT-SWAP")
TICKS = {"BTC-USDT-SWAP": Decimal("0.1"), "ETH-USDT-SWAP": Decimal("0.01"), "SOL-USDT-SWAP": Decimal("0.01")}
CONTRACTS = {"BTC-USDT-SWAP": Decimal("0.01"), "ETH-USDT-SWAP": Decimal("0.1"), "SOL-USDT-SWAP": Decimal(1)}
TEN_MINUTES = 6_000
SEEDS = range(5)
YEAR_S = 365 * 86_400


@dataclass(frozen=True)
class History:
    """Books 100 ms apart as (n, levels) arrays, sizes in base units."""

    bid_prices: Floats
    bid_sizes: Floats
    ask_prices: Floats
    ask_sizes: Floats

    @classmethod
    def from_books(cls, books: Iterable[OrderBook]) -> History:
        bids, asks = (np.array(side) for side in zip(*((book.bids, book.asks) for book in books), strict=True))
        return cls(bids[:, :, 0], bids[:, :, 1], asks[:, :, 0], asks[:, :, 1])

    @property
    def mid(self) -> Floats:
        return (self.bid_prices[:, 0] + self.ask_prices[:, 0]) / 2

    @property
    def imbalance(self) -> Floats:
        bid, ask = self.bid_sizes[:, 0], self.ask_sizes[:, 0]
        return (bid - ask) / (bid + ask)

    def returns_bps(self, steps: int) -> Floats:
        return np.log(self.mid[steps:] / self.mid[:-steps]) * 1e4


@cache
def simulate(symbol: str = "BTC-USDT-SWAP", seed: int = 0, levels: int = 50, messages: int = TEN_MINUTES) -> History:
    """Return the books of a simulated market, 100 ms apart."""
    feed = VENUES["simulated"].make_feed(symbol)
    stream = islice(frames(symbol, seed=seed, levels=levels), messages)
    return History.from_books(book for _, text in stream if (book := feed.parse(text, 0)) is not None)


@pytest.fixture(scope="module")
def real(recordings: Path) -> History:
    """Return the books of a real recording of the gateway."""
    feed = VENUES["gomarket-okx"].make_feed("BTC-USDT-SWAP")
    with gzip.open(recordings / "gomarket-okx_BTC-USDT-SWAP_20250515.jsonl.gz", "rt") as lines:
        messages = [record["data"] for record in map(json.loads, lines) if record["t"] == "recv"]
    return History.from_books(book for text in messages if (book := feed.parse(text, 0, 0)) is not None)


def one_tick_share(history: History, tick: float = 0.1) -> float:
    return float(np.mean(history.ask_prices[:, 0] - history.bid_prices[:, 0] < 1.5 * tick))


def moving_share(history: History) -> float:
    return float(np.mean(np.diff(history.mid) != 0))


def kurtosis(values: Floats) -> float:
    centred = values - values.mean()
    return float(np.mean(centred**4) / np.mean(centred**2) ** 2)


def volatility_percent(history: History, steps: int) -> float:
    return float(np.sqrt(np.mean(history.returns_bps(steps) ** 2) / (steps * 0.1) * YEAR_S) / 100)


def imbalance_correlation(history: History, steps: int) -> float:
    return float(np.corrcoef(history.imbalance[:-steps], history.returns_bps(steps))[0, 1])


def autocorrelation(values: Floats, steps: int) -> float:
    centred = values - values.mean()
    return float(np.mean(centred[steps:] * centred[:-steps]) / np.mean(centred**2))


def crossed_within(history: History, steps: int) -> tuple[Flags, Flags]:
    """Return for each book whether the other side reaches the best bid, and the best ask, within the next steps."""
    windows = np.lib.stride_tricks.sliding_window_view
    lowest_ask = windows(history.ask_prices[1:, 0], steps).min(axis=1)
    highest_bid = windows(history.bid_prices[1:, 0], steps).max(axis=1)
    return lowest_ask <= history.bid_prices[:-steps, 0], highest_bid >= history.ask_prices[:-steps, 0]


def assert_looks_real(history: History, volatility_steps: int = 1) -> None:
    sides = [history.bid_sizes[:, :50].sum(axis=1), history.ask_sizes[:, :50].sum(axis=1)]
    reach = [1 - history.bid_prices[:, 49] / history.mid, history.ask_prices[:, 49] / history.mid - 1]
    assert one_tick_share(history) > 0.9
    assert 0.05 <= moving_share(history) <= 0.12
    assert kurtosis(history.returns_bps(1)) > 30
    assert 0.1 <= imbalance_correlation(history, 10) <= 0.45
    assert 20 <= volatility_percent(history, volatility_steps) <= 50
    for side_depth in sides:
        assert 10 <= np.median(side_depth) <= 40
        assert np.mean((side_depth >= 10) & (side_depth <= 40)) > 0.85
    for side_reach in reach:
        assert 1 <= np.median(side_reach) * 1e4 <= 3


def test_real_recording_lies_within_the_bounds(real: History) -> None:
    """The bounds are facts: 158 books of the gateway, parsed by its own feed, lie within all of them."""
    assert len(real.mid) == 158
    assert_looks_real(real)


@pytest.mark.parametrize("seed", SEEDS)
def test_ten_simulated_minutes_lie_within_the_bounds_of_real_books(seed: int) -> None:
    """Spread, moves, fat tails, imbalance, volatility, depth and reach lie where real books have them."""
    assert_looks_real(simulate(seed=seed))
    assert_looks_real(simulate(seed=seed), volatility_steps=50)


@pytest.mark.parametrize("seed", SEEDS)
def test_depth_recovers_as_fast_as_in_real_books(seed: int) -> None:
    """The ten best levels refill as fast as real ones: half of the taken size is back in 0.5 to 1 s."""
    for sizes in (simulate(seed=seed).bid_sizes, simulate(seed=seed).ask_sizes):
        depth = np.log(sizes[:, :10].sum(axis=1))
        measured = [autocorrelation(depth, steps) for steps in (1, 5, 10)]
        np.testing.assert_allclose(measured, [0.88, 0.62, 0.45], atol=0.12)
        assert abs(autocorrelation(depth, 100)) < 0.2


@pytest.mark.parametrize("seed", SEEDS)
def test_quotes_are_reached_as_often_as_in_real_books(seed: int) -> None:
    """The price reaches a quote at the touch within 2 s in a quarter to half of the cases, and within 5 s in more."""
    share_in_2_s, share_in_5_s = (np.mean(crossed_within(simulate(seed=seed), steps)) for steps in (20, 50))
    assert 0.2 < share_in_2_s < 0.45
    assert 0.38 < share_in_5_s < 0.65


def skill(training: Sequence[tuple[Floats, Floats]], unseen: tuple[Floats, Floats]) -> float:
    """Return 1 - the squared error of a straight line over that of the mean; both are fitted on `training`."""
    feature, outcome = (np.concatenate(columns) for columns in zip(*training, strict=True))
    line = np.polynomial.Polynomial.fit(feature, outcome, 1)
    return float(1 - np.sum((unseen[1] - line(unseen[0])) ** 2) / np.sum((unseen[1] - outcome.mean()) ** 2))


@pytest.mark.parametrize("seed", SEEDS)
def test_imbalance_predicts_returns_and_fills_a_little(seed: int) -> None:
    """Imbalance in four markets explains a little of the next second's return and of the fills in the fifth."""

    def returns(history: History) -> tuple[Floats, Floats]:
        return history.imbalance[:-10], history.returns_bps(10)

    def fills(history: History) -> tuple[Floats, Floats]:
        return history.imbalance[:-20], crossed_within(history, 20)[0].astype(np.float64)

    others = [simulate(seed=other) for other in SEEDS if other != seed]
    for samples in (returns, fills):
        assert 0.02 < skill([samples(history) for history in others], samples(simulate(seed=seed))) < 0.2


def test_price_moves_come_in_bursts() -> None:
    """Between 20 and 100 ms after a move another move is three to six times as likely as on average."""
    feed = VENUES["simulated"].make_feed("BTC-USDT-SWAP")
    n_moves = 0.0
    n_expected = 0.0
    for seed in range(2):
        messages = islice(frames(seed=seed, levels=1, per_second=100), 30_000)
        moves = np.diff([book.mid for _, text in messages if (book := feed.parse(text, 0)) is not None]) != 0
        after = np.lib.stride_tricks.sliding_window_view(moves[3:], 8)[moves[:-10]]
        n_moves += after.sum()
        n_expected += after.size * moves.mean()
    assert 3.4 < n_moves / n_expected < 6


def test_book_of_400_levels_is_as_dense_as_one_of_50() -> None:
    """The first 50 of 400 levels look real; the levels beyond are as dense, without a wall and without a hole."""
    history = simulate(levels=400, messages=3_000)
    assert history.bid_prices.shape == history.ask_prices.shape == (3_000, 400)
    assert_looks_real(history)
    for prices, sizes in ((history.bid_prices, history.bid_sizes), (history.ask_prices, history.ask_sizes)):
        steps = np.abs(np.diff(prices, axis=1)) * 10
        for columns in (slice(50, 200), slice(200, 399)):
            assert 2 < steps[:, columns].mean() < 3.5
            assert 0.7 < sizes[:, columns].mean() / sizes[:, 10:50].mean() < 1.4
        assert np.max(steps[:, 50:]) < 200


@pytest.mark.parametrize(("symbol", "volatility"), [("ETH-USDT-SWAP", (35, 75)), ("SOL-USDT-SWAP", (50, 110))])
def test_other_symbols_lie_within_the_bounds_of_real_books(symbol: str, volatility: tuple[float, float]) -> None:
    """ETH and SOL quote one tick wide, move as often, and are livelier than BTC."""
    history = simulate(symbol)
    assert one_tick_share(history, float(TICKS[symbol])) > 0.9
    assert 0.05 <= moving_share(history) <= 0.12
    assert kurtosis(history.returns_bps(1)) > 30
    assert 0.1 <= imbalance_correlation(history, 10) <= 0.45
    assert volatility[0] <= volatility_percent(history, 1) <= volatility[1]


@given(
    symbol=st.sampled_from(SYMBOLS),
    seed=st.integers(0, 2**64),
    levels=st.integers(1, 400),
    per_second=st.floats(1, 1000),
    start_ns=st.integers(10**15, 4 * 10**18),
)
@settings(max_examples=40, deadline=None)
def test_messages_are_whole_valid_books(symbol: str, seed: int, levels: int, per_second: float, start_ns: int) -> None:
    """Each message holds all levels, best first, uncrossed, on the tick, in lots, stamped to the microsecond."""
    feed = VENUES["simulated"].make_feed(symbol)
    for index, (market_ns, text) in enumerate(
        islice(frames(symbol, seed=seed, levels=levels, per_second=per_second, start_ns=start_ns), 5)
    ):
        book = feed.parse(text, 7)
        assert book is not None
        assert (book.market_ns, book.exchange_ns, book.received_ns) == (market_ns, market_ns, 7)
        assert abs(market_ns - start_ns - index * 1e9 / per_second) <= 2000
        message = json.loads(text)
        assert text == json.dumps(message, separators=(",", ":"))
        assert list(message) == ["timestamp", "exchange", "symbol", "asks", "bids"]
        assert (message["exchange"], message["symbol"]) == ("SIM", symbol)
        for rows, parsed in ((message["asks"], book.asks), (message["bids"], book.bids)):
            assert len(rows) == len(parsed) == levels
            for (price, size), (parsed_price, parsed_size) in zip(rows, parsed.tolist(), strict=True):
                assert Decimal(price) % TICKS[symbol] == 0
                assert Decimal(size) % Decimal("0.01") == 0
                assert parsed_price == float(price)
                assert math.isclose(parsed_size, Decimal(size) * CONTRACTS[symbol], rel_tol=1e-12)
                assert not any(number.endswith(("0", ".")) for number in (price, size) if "." in number)


def test_seed_decides_every_message() -> None:
    """The same seed gives the same messages word for word; another seed gives others."""
    first, repeated, other = (list(islice(frames(seed=seed), 300)) for seed in (3, 3, 4))
    assert first == repeated
    assert all(text != other_text for (_, text), (_, other_text) in zip(first, other, strict=True))


@pytest.mark.parametrize("levels", [50, 400])
def test_message_rate_does_not_change_the_market(levels: int) -> None:
    """Every tenth message at 100 a second is the message at 10 a second, so both are equally real."""
    slow = list(islice(frames(seed=1, levels=levels), 600))
    fast = list(islice(frames(seed=1, levels=levels, per_second=100), 0, 6_000, 10))
    assert fast == slow


def test_clock_of_uneven_interval_does_not_drift() -> None:
    """If the interval is no whole number of microseconds, the three-thousandth message is still on time."""
    stamps = [market_ns for market_ns, _ in islice(frames(per_second=30), 3_001)]
    assert stamps[0] == START_NS
    assert [stamps[30 * second] - START_NS for second in (1, 50, 100)] == [10**9, 50 * 10**9, 100 * 10**9]


@pytest.mark.parametrize(("levels", "per_second"), [(50, 100.0), (400, 10.0), (400, 100.0)])
def test_simulation_in_real_time_takes_under_a_tenth_of_a_core(levels: int, per_second: float) -> None:
    """Ten simulated seconds cost this process less than one."""
    market = frames(levels=levels, per_second=per_second)
    next(market)
    started = time.process_time()
    for _ in islice(market, int(10 * per_second)):
        pass
    assert time.process_time() - started < 1.0


def test_price_and_memory_stay_bounded_for_half_an_hour() -> None:
    """During half an hour the price stays within some per cent, and there are never too few or too many levels."""
    market = SimulatedMarket("BTC-USDT-SWAP", seed=2)
    n_levels: list[int] = []
    prices = []
    for second in range(0, 1_800, 5):
        market.advance(second)
        n_levels += [len(side.keys) for side in (market.asks, market.bids)]
        prices.append(market.asks.keys[0])
    assert min(n_levels) >= 50
    assert max(n_levels) < 400
    assert 950_000 < min(prices) < max(prices) < 1_050_000


def test_price_far_from_its_anchor_is_drawn_back() -> None:
    """The same random draws carry the price down from far above its anchor, and up from far below it."""

    def half_hour_return(start_over_anchor: float) -> float:
        market = SimulatedMarket("BTC-USDT-SWAP", seed=1)
        start = market.asks.keys[0]
        market._anchor = round(start / start_over_anchor)
        market.advance(1_800)
        return market.asks.keys[0] / start - 1

    assert half_hour_return(2.0) + 0.005 < half_hour_return(0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"symbol": "DOGE-USDT-SWAP"}, "DOGE-USDT-SWAP"),
        ({"levels": 0}, "levels must be 1 to 400: 0"),
        ({"levels": 401}, "levels must be 1 to 400: 401"),
        ({"per_second": 0.0}, "messages per second must be 1 to 1000: 0.0"),
        ({"per_second": -10.0}, "-10.0"),
        ({"per_second": 1001.0}, "1001.0"),
        ({"per_second": math.nan}, "nan"),
        ({"per_second": math.inf}, "inf"),
    ],
)
def test_invalid_arguments_are_refused_at_once(arguments: dict[str, object], message: str) -> None:
    """An unknown symbol, depth or rate raises a ValueError that holds the value, before any message is drawn."""
    with pytest.raises(ValueError, match=message):
        frames(**arguments)  # type: ignore[arg-type]
