"""Check what is seen of a book and of an order on it: literal numbers of hand-made books, and brute force."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calculations import Order
from estimation.features import BOOK_STATE, SECOND_NS, FeatureExtractor, flow_increment
from numerics.arrays import Records
from orderbook import OrderBook, Side
from tests.support.synthetic_markets import START_NS, begin_at, book, observe_all, price_on, ragged_books

TAIL = [(50.0 - row, 1.0) for row in range(10)]
EARLIER = book([(100.0, 4.0), (99.0, 6.0)], [(102.0, 5.0), (103.0, 5.0)])
LATER = book([(101.0, 3.0), (100.0, 7.0), *TAIL], [(103.0, 1.0), (105.0, 4.0)], START_NS + SECOND_NS)
"""Twelve bids, of which the best ten count, and two asks; a second after EARLIER."""


def observe_later() -> Records:
    """Return the state of LATER after EARLIER."""
    return observe_all([EARLIER, LATER])[1]


def test_book_state_of_hand_made_book_has_literal_values() -> None:
    """Every number of the second book is worked out by hand.

    Flow: a better bid adds its 3; a worse ask takes away the 5 that stood before it. Depths are of ten bids and of
    two asks; the reach is the mean of 58 and 2.
    """
    wanted = {
        "market_ns": START_NS + SECOND_NS,
        "mid": 102.0,
        "half_spread_bps": 98.03921568627452,
        "bid": 101.0,
        "ask": 103.0,
        "bid_size": 3.0,
        "ask_size": 1.0,
        "bid_depth": 18.0,
        "ask_depth": 5.0,
        "reach": 30.0,
        "imbalance": 0.5,
        "imbalance_10": 0.5652173913043478,
        "flow": 8.0,
        "return_bps": 99.00990099009901,
    }
    (state,) = observe_later()
    assert tuple(wanted) == BOOK_STATE.names
    assert {name: state[name].item() for name in wanted} == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(
    ("side", "quantity", "wanted"),
    [
        (
            Side.BUY,
            2.0,  # 1 at 103 and 1 at 105: 1 beyond the best
            {
                "quantity": 2.0,
                "excess_walk_bps": 98.03921568627452,
                "half_spread_bps": 98.03921568627452,
                "imbalance": 0.5,
                "flow": 4.0,
                "return_bps": 99.00990099009901,
                "log_depth": -1.3862943611198906,  # ln(5 / 20)
                "log_size": -2.302585092994046,  # ln(2 / 20)
                "volatility_bps": 3.0,
                "log_queue": 0.4054651081081644,  # ln(3 / 2)
                "log_reach": -3.486755270023802,  # ln(3 x 2 / 196.0784)
            },
        ),
        (
            Side.SELL,
            5.0,  # 3 at 101 and 2 at 100: 0.4 beyond the best
            {
                "quantity": 5.0,
                "excess_walk_bps": 39.21568627450981,
                "half_spread_bps": 98.03921568627452,
                "imbalance": -0.5,
                "flow": -4.0,
                "return_bps": -99.00990099009901,
                "log_depth": -0.10536051565782628,  # ln(18 / 20)
                "log_size": -1.3862943611198906,  # ln(5 / 20)
                "volatility_bps": 3.0,
                "log_queue": -0.6931471805599453,  # ln(1 / 2)
                "log_reach": -3.486755270023802,
            },
        ),
    ],
)
def test_order_features_of_hand_made_book_have_literal_values(
    side: Side, quantity: float, wanted: dict[str, float]
) -> None:
    """Every feature of an order that buys and of one that sells is worked out by hand.

    Usual are a size of 2 at the touch, a depth of 20, and a volatility of 3 bps; the quote waits 4 s.
    """
    book_states = observe_later()
    usual = replace(begin_at(book_states), depth_1=2.0, depth_10=20.0, volatility_bps=3.0)
    estimate = price_on(LATER, book_states, usual, Order(side, quantity, passive_s=4.0))
    assert estimate.features._asdict() == pytest.approx(wanted, rel=1e-9)
    assert estimate.features.slippage_columns() == estimate.features[1:9]
    names = ("imbalance", "flow", "return_bps", "log_queue", "log_reach")
    assert estimate.features.maker_columns() == pytest.approx([wanted[name] for name in names], rel=1e-9)


@pytest.mark.parametrize(
    ("bid", "ask", "wanted"),
    [
        ((100.0, 8.0), (102.0, 5.0), 4.0),  # 4 join the bid
        ((100.0, 1.0), (102.0, 5.0), -3.0),  # 3 leave the bid
        ((99.0, 9.0), (102.0, 5.0), -4.0),  # the bid of 4 is gone
        ((101.0, 9.0), (102.0, 5.0), 9.0),  # a better bid of 9
        ((100.0, 4.0), (102.0, 7.0), -2.0),  # 2 join the ask
        ((100.0, 4.0), (103.0, 7.0), 5.0),  # the ask of 5 is gone
        ((100.0, 4.0), (101.5, 7.0), -7.0),  # a better ask of 7
        ((101.0, 9.0), (103.0, 1.0), 14.0),
    ],
)
def test_flow_increment_has_literal_values(bid: tuple[float, float], ask: tuple[float, float], wanted: float) -> None:
    """What is added to the best bid and taken from the best ask counts, less the opposite."""
    assert flow_increment(100.0, 4.0, 102.0, 5.0, *bid, *ask) == wanted


def past_second_by_definition(books: list[OrderBook], row: int) -> tuple[float, float]:
    """Return the order flow and the mid's move since the last book a second old, or since the oldest."""
    second_ago = books[row].market_ns - SECOND_NS
    first = max([at for at in range(row) if books[at].market_ns <= second_ago], default=0)
    touches = [(*each.bids[0], *each.asks[0]) for each in books[first : row + 1]]
    flow = math.fsum(flow_increment(*before, *after) for before, after in pairwise(touches))
    return flow, (books[row].mid / books[first].mid - 1) * 1e4


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([[0, 1, 3], [0, 5, 40], [90, 400, 1000, 3000]]))
def test_past_second_matches_its_definition_on_uneven_clock(seed: int, steps_ms: list[int]) -> None:
    """Flow and return are those of the definition, however many books a second holds: hundreds, or none."""
    clock = START_NS + np.cumsum(np.random.default_rng(seed).choice(steps_ms, 700)) * 1_000_000
    books = [replace(each, market_ns=int(ns)) for each, ns in zip(ragged_books(700, seed), clock, strict=True)]
    for row, (state,) in enumerate(observe_all(books)):
        flow, return_bps = past_second_by_definition(books, row)
        assert state["flow"] == pytest.approx(flow, rel=1e-9, abs=1e-6)
        assert state["return_bps"] == pytest.approx(return_bps, rel=1e-12, abs=1e-12)


def test_extractor_forgets_what_came_before_a_reset() -> None:
    """After a reset the next book is a first one, without flow or return, and the one after it is compared with it."""
    extractor = FeatureExtractor()
    extractor.observe(EARLIER)
    extractor.reset()
    first, second = extractor.extract(LATER), extractor.extract(replace(EARLIER, market_ns=LATER.market_ns))
    assert (first.flow, first.return_bps) == (0.0, 0.0)
    assert second.flow == -8.0
    assert second.return_bps == pytest.approx(-98.0392156862745)
