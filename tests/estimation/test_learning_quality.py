"""How good the learned models are: on real books, where nothing can be known, and where much can."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pytest

from calculations import Order, TradingCalculator
from estimation.features import BookState, FeatureExtractor
from estimation.model_state import ModelState, initial_state
from estimation.online_learner import OnlineLearner
from estimation.training_schedule import TrainingSchedule
from orderbook import OrderBook, Side
from tests.support.synthetic_markets import (
    SPOT,
    STEP_NS,
    collect_model_states,
    gaussian_market,
    half_and_whole_scorecards,
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
def test_slippage_on_real_books(spot: list[OrderBook], latency_s: float) -> None:
    """Better than the walk over all, no worse in any half, and 95 % bands that hold 95 % at every size."""
    known = collect_model_states(spot, latency_s)
    half, whole = half_and_whole_scorecards(known)
    assert skill(whole) > 0
    assert skill(half) >= -0.001
    assert skill(whole, half) >= -0.001
    assert worst_early_rmse_ratio(known) <= 1.03
    assert whole.slippage.coverage is not None
    assert 0.93 <= whole.slippage.coverage <= 0.97
    for share in whole.slippage.coverage_by_size:
        assert share is not None
        assert share > 0.90


@pytest.mark.parametrize(
    ("latency_s", "passive_s", "least"), [(0.1, 1.0, 0.03), (0.1, 2.0, 0.015), (0.5, 1.0, 0.003), (1.0, 2.0, -0.001)]
)
def test_fills_on_real_books(spot: list[OrderBook], latency_s: float, passive_s: float, least: float) -> None:
    """Chances of being crossed beat the running base rate by Brier's score, less the longer a quote travels; where the
    touch tells nothing any more, a second later, they are as good as it."""
    fill = collect_model_states(spot, latency_s, passive_s)[-1].scorecard.fill
    assert fill.skill is not None
    assert fill.skill > least


def test_bias_on_real_books(spot: list[OrderBook]) -> None:
    """The users' own estimates are no more biased than the walk, by more than two block-bootstrap standard errors."""
    calculator = TradingCalculator(Order(Side.BUY, 50_000.0, "quote"))
    walks = {}
    outcomes = []
    for book in spot:
        walks[book.market_ns] = calculator.estimate(book).walk_bps
        outcomes += calculator.realised()
    rows = np.array(
        [
            (said.slippage_bps, walks[said.market_ns], said.realised_slippage_bps)
            for said in outcomes
            if walks[said.market_ns] is not None and said.realised_slippage_bps is not None
        ]
    )
    assert len(rows) > 3000
    bias, walk_bias = rows[:, 2] - rows[:, 0], rows[:, 2] - rows[:, 1]
    blocks = bias[: len(bias) // 50 * 50].reshape(-1, 50).mean(axis=1)
    draws = np.random.default_rng(0).choice(blocks, (500, len(blocks))).mean(axis=1)
    assert abs(bias.mean()) <= abs(walk_bias.mean()) + 2 * draws.std()
    assert (bias**2).sum() < (walk_bias**2).sum()


@pytest.mark.parametrize("name", SHORT)
def test_no_explosion_on_short_recordings(recordings: Path, name: str) -> None:
    """However few, wide or lumpy the books, the model never errs 3 % more than the walk."""
    assert worst_early_rmse_ratio(collect_model_states(read_recorded_books(recordings, *SHORT[name]), 0.1, 1.0)) <= 1.03


@pytest.mark.parametrize("latency_s", [0.1, 1.0])
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_known_where_nothing_can_be(latency_s: float, seed: int) -> None:
    """On a driftless Gaussian mid the gated skill is within 0.002 of zero: the models do not see the future."""
    assert abs(skill(collect_model_states(gaussian_market(3000, seed), latency_s)[-1].scorecard)) <= 0.002


def test_a_leak_of_one_step_is_detected() -> None:
    """With features that are one step too late on purpose, the same test of the same market fails."""
    market = list(gaussian_market(1500, 1))
    observer = FeatureExtractor()
    moments = [observer.extract(book) for book in market]
    outcomes = TrainingSchedule(initial_state(moments[0], 0.1, 2.0), OnlineLearner(0.1, 2.0), 0.1, 2.0)
    for book, moment in zip(market, moments[1:], strict=False):
        outcomes.add(book, _at(moment, book))
    assert skill(outcomes.state.scorecard) > 0.03


def _at(moment: BookState, book: OrderBook) -> BookState:
    return moment._replace(market_ns=book.market_ns)


def test_much_is_known_where_queues_tell() -> None:
    """Where thin queues give way, slippage skill exceeds 0.03 at 0.1 s and at 1 s, and the chance of being
    crossed beats the base rate."""
    for latency_s in (0.1, 1.0):
        assert skill(collect_model_states(queue_market(2500, 3), latency_s)[-1].scorecard) > 0.03
    fill = collect_model_states(queue_market(2500, 3))[-1].scorecard.fill
    assert fill.skill is not None
    assert fill.skill > 0.01


def jumping() -> Iterator[OrderBook]:
    """The price jumps by 5 % up and down, every 20 s."""
    for row, book in enumerate(gaussian_market(1500, 5)):
        factor = 1.05 if row // 200 % 2 else 1.0
        bids, asks = (levels * (factor, 1.0) for levels in (book.bids, book.asks))
        yield OrderBook("made", "MADE", bids, asks, 0, book.market_ns, 0)


def lifeless() -> Iterator[OrderBook]:
    """Nothing changes for a minute, then only the best bid's size does."""
    for row, book in enumerate(islice(gaussian_market(1, 6), 1)):
        for step in range(row, 1500):
            bids = book.bids.copy()
            bids[0, 1] += step % 3 if step > 600 else 0
            yield OrderBook("made", "MADE", bids, book.asks, 0, book.market_ns + step * STEP_NS, 0)


@pytest.mark.parametrize("market", [jumping, lifeless])
def test_odd_markets_do_not_explode_it(market: object) -> None:
    """Price jumps of 5 % and columns without any variance leave the model within 3 % of the walk."""
    assert callable(market)
    known: list[ModelState] = collect_model_states(market())
    score = known[-1].scorecard.slippage
    assert score.rmse is not None
    assert score.walk_rmse is not None
    assert score.rmse <= 1.03 * score.walk_rmse
    assert all(np.isfinite([each.shrinkage, each.volatility_bps, each.slope]).all() for each in known)


def test_a_venue_restart_does_not_explode_it() -> None:
    """After a minute of silence the books come back at twice the price; errors stay those of the walk."""
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
