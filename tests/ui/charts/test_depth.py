"""Test the depth chart against brute force over the book's levels, and the sticky axes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calculations import Order, TradingCalculator
from orderbook import OrderBook, Side
from tests.support.synthetic_markets import book
from ui.charts.base import StickyAxes
from ui.charts.depth import MAX_SIDE_POINTS, depth_chart

BOOK = book([(99.0, 1.0), (98.0, 2.0)], [(101.0, 1.0), (103.0, 3.0)])


def drawn(on: OrderBook, order: Order, axes: StickyAxes | None = None) -> dict[str, Any]:
    option = depth_chart(on, TradingCalculator(order).estimate(on), axes or StickyAxes(), "dark")
    json.dumps(option, allow_nan=False)
    return option


def points(option: dict[str, Any], name: str) -> list[list[float]]:
    return next(series["data"] for series in option["series"] if series["name"] == name)


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("quantity", [0.5, 1.0, 2.5])
def test_area_of_the_order_ends_at_the_money_it_pays_and_its_worst_price(side: Side, quantity: float) -> None:
    """The order's own area ends at the money it pays and at the worst price it reaches."""
    taken = points(drawn(BOOK, Order(side, quantity)), "Your order")
    levels, left, paid, worst = BOOK.taken_by(side), quantity, 0.0, 0.0
    for price, held in levels.tolist():
        used = min(left, held)
        paid, left, worst = paid + used * price, left - used, price if used else worst
    assert taken[-1][1] == pytest.approx(paid, rel=1e-5)
    assert taken[-1][0] == pytest.approx((worst / 100 - 1) * 1e4, rel=1e-5)


def test_deep_book_is_thinned_and_keeps_both_ends() -> None:
    """Of 1,000 levels a side at most MAX_SIDE_POINTS are drawn, the best and the last among them."""
    rows = np.arange(1000)
    deep = book(
        np.column_stack((100 - 0.01 * rows, 1 + rows % 3)), np.column_stack((100.01 + 0.01 * rows, 1 + rows % 7))
    )
    option = drawn(deep, Order(Side.BUY, 1.0))
    for name, levels in (("Buyers waiting", deep.bids), ("Sellers waiting", deep.asks)):
        side = points(option, name)
        assert len(side) <= MAX_SIDE_POINTS + 1
        assert side[0] == [pytest.approx((levels[0, 0] / deep.mid - 1) * 1e4, abs=1e-4), 0.0]
        money = float(levels[:, 0] @ levels[:, 1])
        unit = {"$%.2fk": 1e3, "$%.2fM": 1e6, "$%.2f": 1.0}[option["tooltip"]["valueFormatter"]]
        assert side[-1][1] * unit == pytest.approx(money, rel=1e-4)


def test_order_absurdly_far_away_does_not_squeeze_the_depth_chart() -> None:
    """Sellers up to 20 times the price beside buyers within a percent: the picture ends at three times the buyers'."""
    lopsided = book([(99.9, 1.0), (99.0, 1.0)], [(100.1, 1.0), (101.0, 2.0), (2000.0, 5.0)])
    near = drawn(lopsided, Order(Side.BUY, 2.0))
    assert 300 <= near["xAxis"]["max"] <= 400
    assert points(near, "Sellers waiting")[-1][0] == pytest.approx(100.0, rel=1e-3)
    far = drawn(lopsided, Order(Side.BUY, 6.0))
    assert far["xAxis"]["max"] >= 1.9e5
    assert points(far, "Sellers waiting")[-1][0] == pytest.approx(1.9e5, rel=1e-3)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0, 1e6)), min_size=1, max_size=30))
def test_sticky_axis_always_holds_the_drawn_values(spans: list[tuple[float, float]]) -> None:
    """Whatever came before, the ends lie outside the values, on a line, and not absurdly far out."""
    axes = StickyAxes()
    for low, length in spans:
        high = low + length
        least = max(length, 1e-3 * abs(high), 1e-3)
        axis = axes.fit("any", low, high, least)
        slack = 1e-6 * (abs(low) + abs(high) + least)
        assert axis.low <= low + slack
        assert axis.high >= high - slack
        assert axis.high - axis.low <= 4.0 * least * (1 + 1e-6) + slack


def test_axes_stand_still_while_the_book_grows_and_shrinks() -> None:
    """Books that grow and shrink by a fifth, over and over, change the axes at most once."""
    axes, seen = StickyAxes(), set()
    for row in range(200):
        size = 1.0 + 0.2 * np.sin(row / 3)
        option = drawn(
            book([(99.0, size), (98.0, 2 * size)], [(101.0, size), (103.0, 3 * size)]), Order(Side.BUY, 0.5), axes
        )
        seen.add((option["xAxis"]["max"], option["yAxis"]["max"]))
    assert len(seen) <= 2


@given(st.floats(1e-2, 1e12), st.floats(1.5, 1e5))
def test_log_axis_begins_at_a_power_of_ten(low: float, times: float) -> None:
    """It holds both ends and begins at a power of ten."""
    axis = StickyAxes().fit_log("any", low, low * times)
    assert axis.low <= low * (1 + 1e-9)
    assert axis.high >= low * times * (1 - 1e-9)
    assert np.log10(axis.low) == pytest.approx(round(np.log10(axis.low)), abs=1e-9)
