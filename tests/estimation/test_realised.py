"""What orders really met: against a scan of all later books, and on hand-made books."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calculations import Order, TradingCalculator
from estimation.order import Style
from estimation.realised import MAX_RECENT, RealisedOutcome
from estimation.training_schedule import GAP_NS
from orderbook import OrderBook, Side
from tests.support.brute_force import outcome_by_definition
from tests.support.synthetic_markets import START_NS, STEP_NS, book, ragged_books

CALM = ([(99, 5)], [(101, 5)])


def follow(order: Order, books: list[OrderBook], every: int = 10**9) -> list[RealisedOutcome]:
    """Return the outcomes of an order priced on each book, drained after every so many books."""
    calculator = TradingCalculator(order)
    outcomes = []
    for row, each in enumerate(books):
        calculator.estimate(each)
        if row % every == every - 1:
            outcomes += calculator.realised()
    return outcomes + calculator.realised()


def stretches_between_gaps(books: list[OrderBook]) -> list[list[OrderBook]]:
    """Split the books where more than 5 s pass: what spans a gap has no outcome."""
    stretches = [books[:1]]
    for before, each in pairwise(books):
        if each.market_ns - before.market_ns > GAP_NS:
            stretches.append([])
        stretches[-1].append(each)
    return stretches


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["now", "passive", "schedule"]),
    st.sampled_from(Side),
    st.sampled_from([0.0, 0.1, 0.25]),
    st.sampled_from([0.1, 0.5, 1.3]),
    st.sampled_from([0.05, 1.0, 4.0, 30.0]),
    st.sampled_from([1, 7, 10**9]),
)
def test_outcomes_match_scan_of_all_later_books(
    seed: int, style: Style, side: Side, latency_s: float, passive_s: float, quantity: float, every: int
) -> None:
    """Compare every outcome on a random walk with what a scan of all later books says of that order alone.

    The clock has equal times, bursts, pauses longer than the waiting time, and gaps; orders fit the best level, or
    no book at all; outcomes are drained after every book, now and then, or at the end.
    """
    rng = np.random.default_rng(seed)
    steps_ms = rng.choice([0, 1, 40, 100, 250, 900, 2500, 6000], 250, p=[0.05, 0.1, 0.3, 0.3, 0.2, 0.03, 0.01, 0.01])
    clock = START_NS + np.cumsum(steps_ms) * 1_000_000
    walk = ragged_books(250, seed, deepest=12)
    books = [replace(each, market_ns=int(ns)) for each, ns in zip(walk, clock, strict=True)]
    order = Order(side, quantity, style=style, latency_s=latency_s, passive_s=passive_s)
    wanted = []
    for stretch in stretches_between_gaps(books):
        for row, each in enumerate(stretch):
            outcome = outcome_by_definition(stretch, row, order)
            if outcome is not None:
                wanted.append((each.market_ns, outcome))
    outcomes = follow(order, books, every)
    assert [each.market_ns for each in outcomes] == [market_ns for market_ns, _ in wanted]
    assert len(outcomes) > 100
    for each, (_, outcome) in zip(outcomes, wanted, strict=True):
        assert each.realised_maker == pytest.approx(outcome.maker, rel=1e-12)
        if outcome.realised_bps is None:
            assert each.realised_slippage_bps is None
        else:
            assert each.realised_slippage_bps == pytest.approx(outcome.realised_bps, abs=1e-8)


def meet(order: Order, *sides: Any) -> RealisedOutcome:
    """Return what the order met that was decided on at the first of these books, 100 ms apart."""
    return follow(order, [book(*levels, START_NS + row * STEP_NS) for row, levels in enumerate(sides)])[0]


@pytest.mark.parametrize("side", Side)
def test_late_passive_order_has_no_outcome_in_too_thin_book(side: Side) -> None:
    """A quote that is marketable on arrival and meets a book too thin for it has no realised slippage.

    It did not wait, so that it would cross when its time is up says nothing of it. Had the book held it, it would
    have crossed there.
    """
    moved = ([(98, 1), (97, 1)], [(99, 1), (100, 1)]) if side is Side.BUY else ([(101, 1), (100, 1)], [(102, 1)])
    deep = ([(98, 9)], [(99, 9)]) if side is Side.BUY else ([(101, 9)], [(102, 9)])
    order = Order(side, 4.0, style="passive", passive_s=0.2)
    outcome = meet(order, CALM, moved, CALM, CALM, CALM)
    assert (outcome.realised_slippage_bps, outcome.realised_maker) == (None, 0.0)
    outcome = meet(order, CALM, deep, CALM, CALM, CALM)
    assert outcome.realised_slippage_bps == pytest.approx(-100.0)
    assert outcome.realised_maker == 0.0


def test_rest_of_passive_order_has_no_outcome_in_too_thin_book() -> None:
    """Where half was filled at the quote and the last book is too thin for the rest, the whole has no outcome."""
    crossed, thin = ([(98, 5)], [(99, 2), (100, 9)]), ([(99, 5)], [(101, 1)])
    outcome = meet(Order(Side.BUY, 4.0, style="passive", passive_s=0.2), CALM, CALM, crossed, CALM, thin)
    assert (outcome.realised_slippage_bps, outcome.realised_maker) == (None, 0.5)


def test_quote_is_filled_by_first_crossing_alone() -> None:
    """A second crossing adds nothing: the share is what was on offer when the quote was first crossed."""
    once, twice = ([(98, 5)], [(99, 1), (101, 9)]), ([(97, 5)], [(98, 50)])
    outcome = meet(Order(Side.BUY, 4.0, passive_s=0.3), CALM, CALM, once, twice, CALM, CALM)
    assert outcome.realised_maker == 0.25


def test_schedule_has_no_realised_slippage() -> None:
    """Nobody waits for a schedule's end, but what its quote would have met is told."""
    crossed = ([(98, 5)], [(99, 2), (100, 9)])
    outcome = meet(Order(Side.BUY, 4.0, style="schedule", passive_s=0.2), CALM, CALM, crossed, CALM, CALM)
    assert (outcome.realised_slippage_bps, outcome.realised_maker) == (None, 0.5)


def test_estimate_waits_with_what_it_said() -> None:
    """Every outcome carries the slippage and the chance that its own estimate said, however many wait at once."""
    calculator = TradingCalculator(Order(Side.BUY, 2.0, style="passive", passive_s=60.0))
    said = {}
    for row, each in enumerate(ragged_books(1500, 5)):
        estimate = calculator.estimate(replace(each, market_ns=START_NS + row * 50_000_000))
        said[estimate.market_ns] = (estimate.slippage_bps, estimate.maker_probability)
    outcomes = calculator.realised()
    assert len(outcomes) > 250
    assert all(said[each.market_ns] == (each.slippage_bps, each.maker_probability) for each in outcomes)
    assert calculator.recent() == outcomes[-MAX_RECENT:]
