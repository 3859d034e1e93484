"""Quality of the learned models: on real books, on a market without memory, and where queues predict the price."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pytest

from calculations import Order, TradingCalculator
from estimation.model_state import ModelState
from estimation.online_learner import OnlineLearner
from estimation.training_schedule import TrainingSchedule
from orderbook import OrderBook, Side
from tests.support.synthetic_markets import (
    SPOT,
    STEP_NS,
    begin_at,
    collect_model_states,
    gaussian_market,
    half_and_whole_scorecards,
    observe_all,
    queue_market,
    read_recorded_books,
    resample_to_grid,
    skill,
    worst_early_rmse_ratio,
)

SHORT = {
    "gateway": ("gomarket-okx_BTC-USDT-SWAP_20250515.jsonl.gz", "gomarket-okx", "BTC-USDT-SWAP"),
    "okx": ("okx_3-instruments_20220513_crc.jsonl.gz", "okx", "BTC-USDT"),
    "coinbase": ("coinbase_BTC-USD_ETH-USD_20260809.jsonl.gz", "coinbase", "ETH-USD"),
    "futures": ("binance-usdm_4-pairs_20210722.jsonl.gz", "binance-usdm", "SUSHIUSDT"),
    "thin futures": ("binance-usdm_4-pairs_20210722.jsonl.gz", "binance-usdm", "KEEPUSDT"),
}


@pytest.fixture(scope="module", params=SPOT)
def spot(request: pytest.FixtureRequest, recordings: Path) -> list[OrderBook]:
    return resample_to_grid(read_recorded_books(recordings, SPOT[request.param], "binance", request.param))


@pytest.mark.parametrize("latency_s", [0.1, 0.5, 1.0])
def test_slippage_model_beats_walk_on_real_books(spot: list[OrderBook], latency_s: float) -> None:
    """Beat the walk over the whole session, lose to it in no half, and hold 95 % in the 95 % band at every size."""
    states = collect_model_states(spot, latency_s)
    half, whole = half_and_whole_scorecards(states)
    assert skill(whole) > 0
    assert skill(half) >= -0.001
    assert skill(whole, half) >= -0.001
    assert worst_early_rmse_ratio(states) <= 1.03
    assert whole.slippage.coverage is not None
    assert 0.93 <= whole.slippage.coverage <= 0.97
    for share in whole.slippage.coverage_by_size:
        assert share is not None
        assert share > 0.90


@pytest.mark.parametrize(
    ("latency_s", "passive_s", "least"), [(0.1, 1.0, 0.03), (0.1, 2.0, 0.015), (0.5, 1.0, 0.003), (1.0, 2.0, -0.001)]
)
def test_fill_model_beats_base_rate_on_real_books(
    spot: list[OrderBook], latency_s: float, passive_s: float, least: float
) -> None:
    """Beat the running base rate by Brier's score, by less the longer a quote travels.

    A second later, when the touch says nothing any more, the model is as good as the base rate.
    """
    fill = collect_model_states(spot, latency_s, passive_s)[-1].scorecard.fill
    assert fill.skill is not None
    assert fill.skill > least


def test_estimates_are_no_more_biased_than_walk_on_real_books(spot: list[OrderBook]) -> None:
    """Keep the bias of estimates within two block-bootstrap standard errors of the walk's bias."""
    calculator = TradingCalculator(Order(Side.BUY, 50_000.0, "quote"))
    walks = {}
    outcomes = []
    for book in spot:
        walks[book.market_ns] = calculator.estimate(book).walk_bps
        outcomes += calculator.realised()
    rows = np.array(
        [
            (outcome.slippage_bps, walks[outcome.market_ns], outcome.realised_slippage_bps)
            for outcome in outcomes
            if walks[outcome.market_ns] is not None and outcome.realised_slippage_bps is not None
        ]
    )
    assert len(rows) > 3000
    bias, walk_bias = rows[:, 2] - rows[:, 0], rows[:, 2] - rows[:, 1]
    blocks = bias[: len(bias) // 50 * 50].reshape(-1, 50).mean(axis=1)
    draws = np.random.default_rng(0).choice(blocks, (500, len(blocks))).mean(axis=1)
    assert abs(bias.mean()) <= abs(walk_bias.mean()) + 2 * draws.std()
    assert (bias**2).sum() < (walk_bias**2).sum()


def test_band_of_passive_orders_holds_on_real_books(spot: list[OrderBook]) -> None:
    """Of what passive orders really cost nine tenths at least, and not all, lie inside the 95 % band."""
    calculator = TradingCalculator(Order(Side.BUY, 0.1, style="passive"))
    bands, outcomes = {}, []
    for book in spot:
        estimate = calculator.estimate(book)
        bands[book.market_ns] = estimate.slippage_low_bps, estimate.slippage_high_bps
        outcomes += calculator.realised()
    inside = []
    for outcome in outcomes:
        low, high = bands[outcome.market_ns]
        if low is not None and high is not None and outcome.realised_slippage_bps is not None:
            inside.append(low <= outcome.realised_slippage_bps <= high)
    assert len(inside) > 2500
    assert 0.90 <= np.mean(inside) <= 0.99


@pytest.mark.parametrize("name", SHORT)
def test_model_stays_close_to_walk_on_short_recordings(recordings: Path, name: str) -> None:
    """Never err by 3 % more than the walk, however few, wide or lumpy the books are."""
    assert worst_early_rmse_ratio(collect_model_states(read_recorded_books(recordings, *SHORT[name]), 0.1, 1.0)) <= 1.03


@pytest.mark.parametrize("latency_s", [0.1, 1.0])
@pytest.mark.parametrize("seed", [1, 2])
def test_model_has_no_skill_on_market_without_memory(latency_s: float, seed: int) -> None:
    """Keep the shrunk skill within 0.002 of zero on a driftless Gaussian mid: the models do not see the future."""
    assert abs(skill(collect_model_states(gaussian_market(3000, seed), latency_s)[-1].scorecard)) <= 0.002


def test_features_leaked_by_one_step_give_skill_without_memory() -> None:
    """The same market gives skill when features are taken one step too late on purpose."""
    market = list(gaussian_market(1500, 1))
    book_states = observe_all(market)
    schedule = TrainingSchedule(begin_at(book_states[0]), OnlineLearner(0.1, 2.0), 0.1, 2.0)
    for book, later_state in zip(market, book_states[1:], strict=False):
        later_state["market_ns"] = book.market_ns
        if schedule.add(book):
            schedule.sample(later_state, book.market_ns)
    assert skill(schedule.state.scorecard) > 0.03


def test_models_have_skill_where_queues_predict_price() -> None:
    """Slippage skill exceeds 0.03 at 0.1 s and at 1 s where thin queues give way; fills beat the base rate there."""
    for latency_s in (0.1, 1.0):
        assert skill(collect_model_states(queue_market(2500, 3), latency_s)[-1].scorecard) > 0.03
    fill = collect_model_states(queue_market(2500, 3))[-1].scorecard.fill
    assert fill.skill is not None
    assert fill.skill > 0.01


def jumping() -> Iterator[OrderBook]:
    """Yield books whose price jumps by 5 % up and down, every 20 s."""
    for row, book in enumerate(gaussian_market(1500, 5)):
        factor = 1.05 if row // 200 % 2 else 1.0
        bids, asks = (levels * (factor, 1.0) for levels in (book.bids, book.asks))
        yield OrderBook("made", "MADE", bids, asks, 0, book.market_ns, 0)


def lifeless() -> Iterator[OrderBook]:
    """Yield books in which nothing changes for a minute, and then only the best bid's size."""
    for row, book in enumerate(islice(gaussian_market(1, 6), 1)):
        for step in range(row, 1500):
            bids = book.bids.copy()
            bids[0, 1] += step % 3 if step > 600 else 0
            yield OrderBook("made", "MADE", bids, book.asks, 0, book.market_ns + step * STEP_NS, 0)


@pytest.mark.parametrize("market", [jumping, lifeless])
def test_model_stays_close_to_walk_on_jumping_and_lifeless_markets(market: object) -> None:
    """The model stays within 3 % of the walk through price jumps of 5 % and columns without any variance."""
    assert callable(market)
    states: list[ModelState] = collect_model_states(market())
    score = states[-1].scorecard.slippage
    assert score.rmse is not None
    assert score.walk_rmse is not None
    assert score.rmse <= 1.03 * score.walk_rmse
    assert all(np.isfinite([state.shrinkage, state.volatility_bps, state.slope]).all() for state in states)


def test_estimates_stay_close_to_walk_after_venue_restarts_at_twice_the_price() -> None:
    """After a minute of silence books come back at twice the price; errors stay those of the walk."""
    later = (
        OrderBook("made", "MADE", b.bids * (2.0, 1.0), b.asks * (2.0, 1.0), 0, b.market_ns + 200 * 10**9, 0)
        for b in queue_market(800, 8)
    )
    calculator = TradingCalculator(Order(Side.SELL, 1.0))
    for book in chain(queue_market(900, 7), later):
        estimate = calculator.estimate(book)
        assert estimate.slippage_bps is not None
        assert estimate.walk_bps is not None
        assert abs(estimate.slippage_bps - estimate.walk_bps) < 1
    scorecard = calculator.scorecard()
    assert scorecard is not None
    assert scorecard.samples > 1400
    assert scorecard.slippage.rmse is not None
    assert scorecard.slippage.walk_rmse is not None
    assert scorecard.slippage.rmse <= 1.03 * scorecard.slippage.walk_rmse
