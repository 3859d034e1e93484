"""Make books, orders and model states of every size and price at random, for functions that must agree on all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from calculations import Order
from estimation.model_record import CURVE_SIZES, STRATA
from estimation.model_state import CrossingCurves, ModelState
from estimation.order_terms import make_terms
from numerics.arrays import Ints, Records
from orderbook import Levels, Side
from tests.support.synthetic_markets import (
    begin_at,
    book,
    collect_model_states,
    gaussian_market,
    observe_all,
    queue_market,
    ragged_books,
)

SMALLEST, LARGEST = 1e-12, 1e12
"""Of prices and of sizes; orders are as small, and as large."""


def random_levels(rng: np.random.Generator) -> tuple[Levels, Levels]:
    """Return bids and asks: on a coarse grid of ticks, spread over a few digits, or over all prices there are.

    Sizes are equal, of a few digits, or of any size from SMALLEST to LARGEST.
    """
    depths = rng.choice([1, 2, 5, 11, 40], 2)
    kind = rng.integers(0, 3)
    count = int(depths.sum())
    if kind == 0:
        prices = 10.0 ** rng.integers(-8, 8) * (1000 + np.cumsum(rng.integers(1, 4, count)))
    elif kind == 1:
        prices = 10.0 ** rng.uniform(-6, 11) * (1 + np.cumsum(rng.exponential(1e-4, count) + 1e-9))
    else:
        prices = np.sort(10.0 ** rng.uniform(-12, 12, count))
    if rng.random() < 0.3:
        sizes = np.full(count, float(rng.choice([SMALLEST, 1e-3, 1.0, 7.0, LARGEST])))
    else:
        sizes = 10.0 ** (
            rng.uniform(-12, 12, count) if rng.random() < 0.4 else rng.uniform(-3, 3) + rng.normal(size=count)
        )
    levels = np.column_stack((prices, np.clip(sizes, SMALLEST, LARGEST)))
    # Random prices may be equal where they have few digits left.
    levels = levels[np.append(True, np.diff(prices) > 0)]
    n_bids = min(int(depths[0]), len(levels) - 1)
    return np.ascontiguousarray(levels[:n_bids][::-1]), np.ascontiguousarray(levels[n_bids:])


def random_walk(rng: np.random.Generator, count: int) -> tuple[list[tuple[Levels, Levels]], Ints]:
    """Return books whose prices meet again and again, and an uneven clock of them, with bursts and pauses."""
    books = [(each.bids, each.asks) for each in ragged_books(count, int(rng.integers(0, 10**6)), deepest=12)]
    steps_ms = rng.choice([0, 1, 40, 100, 250, 900, 2500], count, p=[0.1, 0.2, 0.3, 0.2, 0.1, 0.07, 0.03])
    return books, np.cumsum(steps_ms) * 1_000_000 + 10**18


def random_order(rng: np.random.Generator) -> Order:
    """Return an order of any side, unit, style and size, with and without what a user may type."""
    largest = rng.random() < 0.05
    exponent = rng.uniform(-9, 12) if rng.random() < 0.5 else rng.uniform(-2, 2)
    return Order(
        Side.BUY if rng.random() < 0.5 else Side.SELL,
        float(np.clip(10.0**exponent, 1e-9, 1e12)),
        rng.choice(["base", "quote", "contracts"]).item(),
        rng.choice(["now", "passive", "schedule"]).item(),
        latency_s=float(rng.choice([0.0, 0.1, 1.0, 10.0])),
        passive_s=float(rng.choice([0.1, 2.0, 60.0])),
        horizon_s=float(rng.choice([1.0, 300.0, 86_400.0])),
        steps=200 if largest else int(rng.choice([1, 2, 3, 10])),
        risk_aversion=float(rng.choice([0.0, 1e-12, 1e-6, 1e-3, 1e3])),
        volatility=None if rng.random() < 0.5 else float(10.0 ** rng.uniform(-4, 2)),
        daily_volume=None if rng.random() < 0.5 else float(10.0 ** rng.uniform(-9, 15)),
    )


def learned_states() -> list[ModelState]:
    """Return model states of markets that were learned from, from the first book to a hundred seconds later."""
    markets = (gaussian_market(700, 1), queue_market(1000, 2), iter(ragged_books(700, 3)))
    return [state for market in markets for state in collect_model_states(market, passive_s=0.5)]


def random_models(rng: np.random.Generator, count: int) -> Records:
    """Return model states as (count,) of MODEL.

    Some are of a first book, some learned; some are learned ones with other depths and slopes, with what was not
    known made known, and the other way round; a few are so steep that a large order's cost is no number.
    """
    learned = learned_states()
    first = [begin_at(observe_all([book(*random_levels(rng))])[0]) for _ in range(count // 4)]
    states = [*first, *learned]
    while len(states) < count:
        state = learned[rng.integers(0, len(learned))]
        unit = float(10.0 ** rng.uniform(-12, 12))
        states.append(
            replace(
                state,
                depth_1=state.depth_1 * unit,
                depth_10=state.depth_10 * unit,
                slope=float(10.0 ** rng.uniform(-12, 12)) if rng.random() < 0.8 else 0.0,
                calibration=replace(state.calibration, slope=1e290) if rng.random() < 0.05 else state.calibration,
                shrinkage=float(rng.choice([0.0, 0.3, 1.0])),
                fill_weight=float(rng.choice([0.0, 0.5, 1.0])),
                band=None if rng.random() < 0.3 else tuple((-1.0 - row, 2.0 + row) for row in range(STRATA)),
                clean_up_bps=None if rng.random() < 0.3 else float(rng.normal()),
                clean_up_band=None if rng.random() < 0.3 else (-float(rng.exponential()), float(rng.exponential())),
                crossings=None if rng.random() < 0.3 else random_crossings(rng),
                late_rate=float(rng.random()),
            )
        )
    return np.concatenate([state.record for state in states[:count]])


def random_crossings(rng: np.random.Generator) -> CrossingCurves:
    """Return curves that fall with the size, and random moves."""
    shares = np.linspace(1.0, 0.0, len(CURVE_SIZES))
    return CrossingCurves(*(tuple(curve.tolist()) for curve in (shares, shares**3, (1 - shares) * rng.normal())))


def random_terms(rng: np.random.Generator, count: int) -> Records:
    """Return the terms of random orders, (count,) of TERMS, nothing worked out yet."""
    return np.concatenate([make_terms(random_order(rng), float(rng.choice([1.0, 0.01]))) for _ in range(count)])
