"""What Almgren-Chriss is measured from: markets with known answers, and how fast they are forgotten."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from calculations import Estimate, Order, TradingCalculator
from estimation.features import BOOK_STATE, SECOND_NS
from estimation.market_statistics import MarketStatistics
from estimation.training_schedule import next_fit_samples
from numerics.arrays import Floats
from orderbook import OrderBook, Side
from tests.support.synthetic_markets import START_NS, STEP_NS, book, collect_model_states


def states_at(times_s: Floats, **columns: Floats | float) -> np.recarray:
    """Return book states at these times, whose other numbers are 1 where nothing else is said."""
    states = np.ones(len(times_s), BOOK_STATE)
    states["market_ns"] = START_NS + np.round(times_s * SECOND_NS).astype(np.int64)
    for name, values in columns.items():
        states[name] = values
    return states.view(np.recarray)


def with_depth(log_depth: Floats) -> Iterator[OrderBook]:
    """Yield books, 100 ms apart, all of whose sizes are multiplied by e^log_depth."""
    for row, size in enumerate(np.exp(log_depth)):
        yield book([(99.0, 2 * size), (98.0, size)], [(101.0, 2 * size), (102.0, size)], START_NS + row * STEP_NS)


def against_flow() -> Iterator[OrderBook]:
    """Yield books whose mid jumps up and down every 2 s, after which a queue grows that pulls the other way."""
    for row in range(1000):
        up, since = row // 20 % 2, row % 20
        thick = 100.0 if since else 0.1
        bid = 100.0 + up
        bids, asks = [(bid, 0.1 if up else thick), (90.0, 5.0)], [(bid + 1, thick if up else 0.1), (110.0, 5.0)]
        yield book(bids, asks, START_NS + row * STEP_NS)


def linear(tick: float, size: float, count: int = 1000) -> Iterator[OrderBook]:
    """Yield books of a random walk by one tick, whose every move is paid for by two best levels of this size."""
    ticks = np.cumsum(np.random.default_rng(4).integers(-1, 2, count))
    for row, place in enumerate(ticks):
        bid = 1000.0 + tick * place
        sides = [(bid, size), (bid - 10, size)], [(bid + 0.5, size), (bid + 10.5, size)]
        yield book(*sides, START_NS + row * STEP_NS)


def estimate_last(market: Iterator[OrderBook]) -> Estimate:
    calculator = TradingCalculator(Order(Side.BUY, 1.0, style="schedule"))
    return [calculator.estimate(each) for each in market][-1]


def test_market_that_moves_against_flow_is_priced_with_default_gamma() -> None:
    """Where the mid moves against the flow nothing permanent is measured: half the slope is taken, and said so."""
    state = collect_model_states(against_flow())[-1]
    assert state.samples > 500
    assert state.calibration.gamma is None
    estimate = estimate_last(against_flow())
    assert estimate.parameters["gamma"].origin == estimate.parameters["eta"].origin == "default"
    assert estimate.parameters["gamma"].value == estimate.parameters["slope"].value / 2
    assert estimate.net_cost_bps is not None


@pytest.mark.parametrize(("tick", "size", "gamma"), [(0.1, 2.0, 0.025), (0.03, 5.0, 0.003)])
def test_linear_market_has_its_gamma(tick: float, size: float, gamma: float) -> None:
    """Where a move of one tick always follows a flow of two best levels, gamma is tick / (2 x size)."""
    estimate = estimate_last(linear(tick, size))
    assert estimate.parameters["gamma"].origin == "measured"
    assert estimate.parameters["gamma"].value == pytest.approx(gamma, rel=1e-3)


def test_depth_that_never_varies_has_default_resilience() -> None:
    """Nothing can be said of how fast depth comes back that never went."""
    estimate = estimate_last(linear(0.1, 2.0))
    assert estimate.parameters["resilience"] == (0.7, "default")
    assert estimate.parameters["eta"].origin == "default"


@pytest.mark.parametrize("rate", [0.3, 1.0, 2.0])
def test_autoregressive_depth_gives_its_rate(rate: float) -> None:
    """Log depth that forgets e^-rate in a second has that resilience, as exactly as 15 minutes can tell."""
    rng, forget = np.random.default_rng(1), math.exp(-rate / 10)
    log_depth = np.zeros(9000)
    for row, shock in enumerate(rng.normal(0, 0.3 * math.sqrt(1 - forget**2), 8999), 1):
        log_depth[row] = forget * log_depth[row - 1] + shock
    state = collect_model_states(with_depth(log_depth))[-1]
    assert state.calibration.resilience == pytest.approx(rate, rel=0.2)


def test_periodic_depth_gives_resilience_of_its_correlation() -> None:
    """Log depth with a period of 6 s correlates by one half with itself a second before: resilience ln 2."""
    log_depth = 0.3 * np.cos(2 * math.pi * np.arange(6000) / 60)
    state = collect_model_states(with_depth(log_depth))[-1]
    assert state.calibration.resilience == pytest.approx(math.log(2), rel=0.01)


def test_old_depth_weighs_one_e_th_after_a_minute() -> None:
    """A block that lasts 60 s leaves 1 / e of what was typical before it: size, depth, reach and spread."""
    times_s = np.arange(100) * 0.1
    is_later = times_s >= 5
    states = states_at(
        times_s, bid_size=np.where(is_later, 3.0, 1.0), ask_size=np.where(is_later, 3.0, 1.0),
        bid_depth=np.where(is_later, 30.0, 10.0), ask_depth=np.where(is_later, 30.0, 10.0),
        reach=np.where(is_later, 6.0, 1.0), half_spread_bps=np.where(is_later, 8.0, 2.0), mid=1e4,
    )  # fmt: skip
    first, second = MarketStatistics().add(states, np.array([0, 50]), [60.0, 60.0])
    assert (first.depth_1, first.depth_10) == (1.0, 10.0)
    weight = 1 / math.e
    assert second.depth_1 == pytest.approx((weight + 3) / (weight + 1))
    assert second.depth_10 == pytest.approx(10 * (weight + 3) / (weight + 1))
    assert second.calibration.slope == pytest.approx((weight + 6) / (10 * (weight + 3)))
    assert second.calibration.half_spread == pytest.approx((2 * weight + 8) / (weight + 1))


def test_old_returns_flow_and_depth_weigh_one_e_th_after_ten_minutes() -> None:
    """A block that lasts 600 s leaves 1 / e of what volatility and gamma were measured from before."""
    times_s = np.arange(40) * 5.0
    is_later = np.arange(40) >= 20
    moves = np.where(is_later, 3e-4, 1e-4) * np.where(np.arange(40) % 2, 1, -1)
    states = states_at(
        times_s, mid=100 * np.exp(np.cumsum(moves)), flow=np.where(is_later, 2.0, 1.0),
        return_bps=np.where(is_later, 6.0, 1.0),
    )  # fmt: skip
    _, second = MarketStatistics().add(states, np.array([0, 20]), [600.0, 600.0])
    weight = 1 / math.e
    # Of the first block 19 samples have one 5 s before them.
    variance = (19 * weight * 1e-8 + 20 * 9e-8) / (19 * weight + 20) / 5
    # 600 s and 1 / e of them are so many returns over 5 s; the weight of the default, 50 % a year, has gone from 12.
    returns = 120 * (1 + weight)
    default = 12 * math.exp(-returns / 24)
    shrunk = (returns * variance + default * 0.5**2 / 31_536_000) / (returns + default)
    assert second.calibration.variance == pytest.approx(shrunk, rel=1e-9)
    gamma = 100 * (weight * 1e-4 + 12e-4) / (weight * 1 + 4)
    assert second.calibration.gamma == pytest.approx(gamma, rel=1e-3)


def test_weight_of_earlier_regime_falls_with_market_time() -> None:
    """After T seconds of trebled depth the first regime weighs e^(-T / 60) in the model state, block by block.

    Each block lasts a tenth of a second a sample, and is not forgotten by its own length.
    """
    states = collect_model_states(with_depth(np.where(np.arange(1500) < 600, 0.0, math.log(3))))
    weights = weighted = 0.0
    wanted = {}
    samples = 0
    while samples < 1500:
        end = next_fit_samples(samples)
        depth = np.where(np.arange(samples, end) < 600, 3.0, 9.0)
        decay = math.exp(-(end - samples) * 0.1 / 60)
        weights, weighted = decay * weights + len(depth), decay * weighted + depth.sum()
        wanted[end] = weighted / weights
        samples = end
    for state in states[1:]:
        assert state.depth_10 == pytest.approx(wanted[state.samples], rel=1e-9)
    assert states[-1].samples >= 1300
