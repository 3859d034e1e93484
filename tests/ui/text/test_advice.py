"""The advice contains computed numbers only: each of them is one of the estimates'."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from calculations import Estimate, Order, TradingCalculator
from orderbook import Side
from tests.support.synthetic_markets import book
from ui.text.advice import advice, alternative_orders, format_about

BOOK = book([(99.9, 50.0), (99.0, 200.0)], [(100.1, 50.0), (101.0, 300.0)])


def priced(order: Order) -> list[Estimate]:
    calculator = TradingCalculator(order)
    calculator.estimate(BOOK)
    return calculator.what_if(alternative_orders(order))


def usd(estimate: Estimate) -> float:
    assert estimate.net_cost_bps is not None
    return estimate.net_cost_bps / 1e4 * estimate.quantity * estimate.mid


@settings(deadline=None)
@given(
    st.sampled_from(Side),
    st.floats(0.1, 400.0),
    st.integers(2, 50),
    st.floats(0.0, 1e-3),
    st.none() | st.floats(1e3, 1e9),
)
def test_every_amount_in_the_advice_is_computed_and_its_verdict_is_true(
    side: Side, quantity: float, steps: int, risk: float, daily_volume: float | None
) -> None:
    """Now, spread, its risk, and waiting appear in that order, and dearer or cheaper is said as it is.

    Less than 2 % of the cost is no saving. Without a daily volume nothing is called cheaper: it could only cost more.
    """
    order = Order(side, quantity, steps=steps, risk_aversion=risk, horizon_s=1200.0, daily_volume=daily_volume)
    now, waiting, spread = priced(order)
    words = advice(now, waiting, spread, "BTC", "USD")
    amounts = re.findall(r"-?\$\d+(?:,\d{3})*(?:\.\d\d)?", words)
    sigma = spread.timing_risk_bps / 1e4 * spread.quantity * spread.mid
    assert amounts == [format_about(each, "USD") for each in (usd(now), usd(spread), sigma, usd(waiting))]
    assert "Spread over 20 minutes" in words
    saving = usd(now) - usd(spread) if amounts[0] != amounts[1] else 0.0  # what reads the same is no cheaper
    is_saving = saving > 0.02 * usd(now)
    assert ("no cheaper" in words) == (not is_saving)
    assert ("depends on the daily volume" in words) == (is_saving and daily_volume is None)
    assert ("cheaper on average but less certain" in words) == (
        is_saving and saving < sigma and daily_volume is not None
    )


def test_advice_needs_no_typed_volume_where_it_is_measured() -> None:
    """A volume that the venue says decides like a typed one: the reader is not asked to type it."""
    order = Order(Side.BUY, 300.0, horizon_s=1200.0)
    calculator = TradingCalculator(order)
    calculator.estimate(BOOK)
    assert "depends on the daily volume" in advice(*calculator.what_if(alternative_orders(order)), "BTC", "USD")
    calculator.daily_volume = 1e9
    words = advice(*calculator.what_if(alternative_orders(order)), "BTC", "USD")
    assert "depends on the daily volume" not in words
    assert "cheaper" in words


@given(st.floats(0.0, 1e12))
@example(0.125)
def test_rounded_amount_is_within_half_a_percent(value: float) -> None:
    """An amount rounded for reading is never far from the computed one."""
    read = float(format_about(value, "USD").replace("$", "").replace(",", ""))
    assert read == pytest.approx(value, rel=0.005, abs=0.00501)  # half a cent, and the last digit of binary numbers


@pytest.mark.parametrize(("unit", "words"), [("base", "Selling 3 BTC now"), ("quote", "Selling $3 of BTC now")])
def test_advice_names_the_order_in_the_unit_it_was_typed_in(unit: Any, words: str) -> None:
    """The advice names the size in coins or in money, as it was typed."""
    assert advice(*priced(Order(Side.SELL, 3.0, unit)), "BTC", "USD").startswith(words)


def test_advice_on_a_book_too_thin_has_no_amount() -> None:
    """An order of a hundred times the book: the sentence names both sizes and no style has a price."""
    words = advice(*priced(Order(Side.BUY, 35_000.0)), "BTC", "USD")
    assert words.startswith("Too thin: buying 35,000 BTC now can't be priced, the visible book holds 350.0000 BTC")
    assert "too thin even for the 10 parts" in words
    assert "$" not in words


def test_cost_from_beyond_the_visible_book_is_marked_whatever_the_style() -> None:
    """Parts twice as large as the book, or a waiting order that would have to cross it, are partly guessed too."""
    now, waiting, spread = priced(Order(Side.BUY, 1400.0, steps=2, risk_aversion=0.0))
    words = advice(now, waiting, spread, "BTC", "USD")
    assert {each.slippage_source for each in (now, waiting, spread)} == {"extrapolated"}
    assert words.count(", partly guessed") == 3
    assert ", partly guessed" not in advice(*priced(Order(Side.BUY, 100.0)), "BTC", "USD")


def test_schedule_of_one_part_is_not_offered_as_spread() -> None:
    """A schedule of one part is all at once, and is not offered as something else."""
    assert "Spread" not in advice(*priced(Order(Side.BUY, 1.0, steps=1)), "BTC", "USD")


def test_alternative_orders_differ_in_style_only() -> None:
    """Return the same order in its three styles, equal in all else."""
    order = Order(Side.BUY, 2.0, style="passive", horizon_s=77.0)
    assert [each.style for each in alternative_orders(order)] == ["now", "passive", "schedule"]
    assert {replace(each, style="now") for each in alternative_orders(order)} == {replace(order, style="now")}
