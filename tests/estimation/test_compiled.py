"""Compiled functions are the Python they are written in: interpreted, they give the same bits on any book."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pytest

from estimation.estimate import ROW
from estimation.features import BOOK_STATE, LAST_SECOND, MARKET, make_room, observe_book, reset_market
from estimation.pricing import price_order
from estimation.realised import QUOTE, TRACKER, reset_tracker, track_book, track_order
from numerics.arrays import Records
from numerics.jit import interpreted
from orderbook import Levels
from orderbook.walking import quantity_at_or_better, walk_levels
from tests.support.paths import PROJECT
from tests.support.random_books import (
    random_levels,
    random_models,
    random_terms,
    random_walk,
)

FAST, MANY = 5_000, 100_000
counts = pytest.mark.parametrize("count", [FAST, pytest.param(MANY, marks=pytest.mark.slow)])


def run_interpreted(make: Callable[..., Any], cases: Any) -> Any:
    """Return what plain Python makes of the cases; it warns of infinite numbers where machine code does not."""
    with np.errstate(all="ignore"):
        return make(cases, interpreted, np.recarray)


def run_compiled(make: Callable[..., Any], cases: Any) -> Any:
    """Return what machine code makes of the cases."""
    return make(cases, lambda function: function, np.ndarray)


def assert_same_bits(compiled: Records, plain: Records) -> None:
    """Assert that all fields of all records are equal to the last bit; every NaN is like any other."""
    assert compiled.dtype == plain.dtype
    for name in compiled.dtype.names or ():
        left, right = np.ascontiguousarray(compiled[name]), np.ascontiguousarray(plain[name])
        same = left.view(f"V{left.itemsize}") == right.view(f"V{right.itemsize}")
        if left.dtype.kind == "f":
            same |= np.isnan(left) & np.isnan(right)
        wrong = np.flatnonzero(~same.reshape(len(compiled), -1).all(axis=1))
        assert not wrong.size, f"{name} of {len(wrong)} records, first {wrong[0]}: {left[wrong[0]]} {right[wrong[0]]}"


class Case(NamedTuple):
    """An order on a book: the place of its terms and of its model state.

    levels: those that the order takes from, within a longer array, as those of a book in a backtest are.
    """

    bids: Levels
    asks: Levels
    levels: Levels
    before: int
    market_ns: int
    is_after_gap: bool
    order: int
    model: int


class Cases(NamedTuple):
    """Random orders on random books."""

    models: Records
    terms: Records
    each: list[Case]

    @classmethod
    def random(cls, count: int) -> Self:
        """Return so many cases, on books that follow each other on an uneven clock."""
        rng = np.random.default_rng(count)
        models, terms = random_models(rng, 300), random_terms(rng, 2000)
        orders, chosen = rng.integers(0, len(terms), count), rng.integers(0, len(models), count)
        befores, gaps = rng.integers(0, 3, count), rng.random(count) < 0.02
        clock = 10**18 + np.cumsum(rng.choice([0, 10**7, 10**8, 3 * 10**9], count))
        each = []
        for order, model, before, gap, market_ns in zip(
            *(column.tolist() for column in (orders, chosen, befores, gaps, clock)), strict=True
        ):
            bids, asks = random_levels(rng)
            beside = np.full((before, 2), np.nan)
            levels = np.concatenate((beside, asks if terms["sign"][order] > 0 else bids, beside))
            each.append(Case(bids, asks, levels, before, market_ns, gap, order, model))
        return cls(models, terms, each)


class Pricing:
    """Prices random orders on random books by one form of the code: compiled, or interpreted."""

    def __init__(self, cases: Cases, form: Callable[[Any], Any], view: type[np.ndarray]) -> None:
        count = len(cases.each)
        self._price, self._observe, self._reset = map(form, (price_order, observe_book, reset_market))
        self.rows = np.zeros(count, ROW)
        self.states = np.zeros(count, BOOK_STATE)
        self.sound = np.zeros(count, dtype=bool)
        models, terms = cases.models.view(view), cases.terms.view(view)
        rows, states, working = self.rows.view(view), self.states.view(view), np.zeros(1, ROW).view(view)
        market, last_second = np.zeros(1, MARKET).view(view), np.zeros(64, LAST_SECOND).view(view)
        for row, case in enumerate(cases.each):
            if case.is_after_gap:
                self._reset(market)
            sides = case.bids, 0, len(case.bids), case.asks, 0, len(case.asks)
            while not self._observe(*sides, case.market_ns, market, last_second, states, row):
                last_second = make_room(market.view(np.ndarray), last_second.view(np.ndarray)).view(view)
            order = terms[case.order : case.order + 1].copy()
            begin, end = case.before, len(case.levels) - case.before
            self.sound[row] = self._price(
                case.levels, begin, end, row, states, row, models, case.model, order, rows, row, working
            )


@counts
def test_prices_are_equal_to_the_last_bit_on_random_books(count: int) -> None:
    """Observe and price books of any depth, price and size, for orders of every style, side, unit and size.

    Model states are those of a first book, learned ones, and distorted ones. Books follow each other on an uneven
    clock. Where a cost is no number, both say so.
    """
    cases = Cases.random(count)
    compiled, plain = run_compiled(Pricing, cases), run_interpreted(Pricing, cases)
    assert_same_bits(compiled.states, plain.states)
    assert compiled.sound.tolist() == plain.sound.tolist()
    assert_same_bits(compiled.rows, plain.rows)
    # What was compared is of every kind.
    assert 0.9 < compiled.sound.mean() < 1
    assert all((compiled.rows["slippage_source"] == source).mean() > 0.02 for source in range(4))
    assert all((compiled.rows["maker_source"] == source).mean() > 0.005 for source in range(3))


class Tracking:
    """Follows random orders over a random walk by one form of the code."""

    def __init__(self, count: int, form: Callable[[Any], Any], view: type[np.ndarray]) -> None:
        rng = np.random.default_rng(count)
        show, follow, reset = map(form, (track_book, track_order, reset_tracker))
        self.quotes = np.zeros(count, QUOTE)
        self.trackers = np.zeros((count, 1), TRACKER)
        rows, tracker = np.zeros(1, ROW).view(view), np.zeros(1, TRACKER).view(view)
        books, clock = random_walk(rng, count)
        terms = random_terms(rng, 200)
        quotes = np.zeros(64, QUOTE).view(view)
        reset(tracker)
        published = 0
        for row, ((bids, asks), market_ns) in enumerate(zip(books, clock.tolist(), strict=True)):
            if row % 250 == 0:
                # One order after the other, because all open quotes have one latency and waiting time.
                order = terms[row // 250 % len(terms)][None].copy().view(view)
                order["mid"] = np.nan
                reset(tracker)
                quotes = np.zeros(64 * 2 ** (row // 250 % 4), QUOTE).view(view)
            sides = bids, 0, len(bids), asks, 0, len(asks)
            first = int(tracker["first"][0])
            show(*sides, market_ns, tracker, quotes)
            closed = int(tracker["first"][0])
            self.quotes[published : published + closed - first] = quotes.view(np.ndarray)[first:closed]
            published += closed - first
            rows["market_ns"], rows["mid"] = market_ns, (bids[0, 0] + asks[0, 0]) / 2
            rows["quantity_base"], rows["slippage_bps"] = rng.choice([0.05, 1.0, 20.0]), rng.normal()
            # A full buffer takes no order; both forms say so, and go on.
            follow(*sides, rows, 0, order, tracker, quotes)
            self.trackers[row] = tracker.view(np.ndarray)
        self.published = published


@counts
def test_tracked_orders_are_equal_to_the_last_bit_on_random_walks(count: int) -> None:
    """Quotes of every style and side arrive, wait, are crossed and close alike; trackers are equal at every book."""
    compiled, plain = run_compiled(Tracking, count), run_interpreted(Tracking, count)
    assert compiled.published == plain.published > count / 5
    assert_same_bits(compiled.quotes, plain.quotes)
    assert_same_bits(compiled.trackers[:, 0], plain.trackers[:, 0])
    closed = compiled.quotes[: compiled.published]
    for style in range(3):
        of_style = closed[closed["style"] == style]
        assert min((of_style["maker"] > 0).mean(), of_style["late"].mean()) > 0.01


def test_walks_are_equal_to_the_last_bit_on_random_books() -> None:
    """A walk, and what is on offer at a price, are the same interpreted, also where sizes end on a level's end."""
    rng = np.random.default_rng(1)
    for _ in range(5000):
        side = random_levels(rng)[1]
        begin = int(rng.integers(0, len(side)))
        quantity = float(rng.choice([side[begin:, 1].sum(), side[begin, 1], 10.0 ** rng.uniform(-12, 12)]))
        walked = walk_levels(side, begin, len(side), quantity)
        assert walked == interpreted(walk_levels)(side, begin, len(side), quantity)
        for price in (side[-1, 0], side[begin, 0], side[0, 0] / 2):
            offered = quantity_at_or_better(side, begin, len(side), 1.0, price)
            assert offered == interpreted(quantity_at_or_better)(side, begin, len(side), 1.0, price)


@pytest.mark.slow
def test_compiled_functions_read_within_their_arrays(tmp_path: Path) -> None:
    """With every index checked, the same books and orders raise nothing; a read beyond a book's end does.

    In a process of its own, because the checks are compiled in.
    """
    script = f"""
import numpy as np
from orderbook import Levels
from orderbook.walking import walk_levels
from tests.estimation.test_compiled import Cases, Pricing, Tracking, run_compiled
try:
    walk_levels(np.ones((2, 2)), 0, 3, 9.0)
except IndexError:
    print("checked")
run_compiled(Pricing, Cases.random({MANY}))
run_compiled(Tracking, {MANY})
print("done")
"""
    environment = os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    process = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
        cwd=PROJECT,
        env=environment,
    )
    assert process.stdout.split() == ["checked", "done"], process.stderr[-2000:]
