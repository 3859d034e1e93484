"""Test the charts of the cost: bars that add up, a curve that equals the calculator, lines that break."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calculations import Estimate, Order, TradingCalculator
from fee_calculator import FeeTier
from orderbook import OrderBook, Side
from sessions.cost_history import CostHistory, HistoryPoint
from tests.support.synthetic_markets import book, queue_market
from ui.charts.base import StickyAxes, round_short
from ui.charts.cost import (
    cost_history_chart,
    curve_axis,
    curve_chart,
    curve_orders,
    split_by_order,
    stack_components,
    visible_quote,
)

BOOK = book([(99.9, 5.0), (99.0, 20.0)], [(100.1, 5.0), (101.0, 30.0)])
REBATE = FeeTier("paid to wait", maker=-0.0003, taker=0.0004)
styles = st.sampled_from(["now", "passive", "schedule"])


def curve(order: Order, on: OrderBook = BOOK) -> tuple[TradingCalculator, Estimate, list[Estimate], dict[str, Any]]:
    calculator, axes = TradingCalculator(order), StickyAxes()
    today = calculator.estimate(on)
    visible = visible_quote(on, order)
    axis = curve_axis(today, visible, axes)
    estimates = calculator.what_if(curve_orders(today, visible, axis))
    option = curve_chart(estimates, today, visible, axis, axes, "light")
    json.dumps(option, allow_nan=False)
    return calculator, today, estimates, option


def series_data(option: dict[str, Any], *names: str) -> list[list[list[float]]]:
    return [series["data"] for name in names for series in option["series"] if series["name"] == name]


@settings(deadline=None)
@given(styles, st.sampled_from(Side), st.floats(0.01, 150.0), st.sampled_from([REBATE, Order(Side.BUY, 1.0).tier]))
def test_bar_adds_up_to_the_net_cost(style: Any, side: Side, quantity: float, tier: FeeTier) -> None:
    """Costs to the right less gains to the left is the net cost, and pieces neither overlap nor leave a gap."""
    estimate = TradingCalculator(Order(side, quantity, style=style, tier=tier)).estimate(BOOK)
    parts = stack_components(estimate)
    if estimate.net_cost_bps is None:
        assert parts == []
        return
    right = sorted(part[2:] for part in parts if part.bps >= 0)
    left = sorted((part[2:] for part in parts if part.bps < 0), reverse=True)
    assert sum(b - a for a, b in right) - sum(b - a for a, b in left) == pytest.approx(estimate.net_cost_bps, abs=1e-9)
    assert [a for a, _ in right] == pytest.approx([0.0, *(b for _, b in right)][: len(right)])
    assert [b for _, b in left] == pytest.approx([0.0, *(a for a, _ in left)][: len(left)])


@pytest.mark.parametrize("style", ["now", "passive", "schedule"])
@pytest.mark.parametrize("quantity", [0.3, 20.0, 90.0])
def test_every_size_on_the_curve_costs_what_the_calculator_says(style: Any, quantity: float) -> None:
    """Every drawn size costs what a fresh calculator says of such an order; today's size is among them."""
    order = Order(Side.BUY, quantity, style=style)
    _, today, estimates, option = curve(order)
    solid, dashed = series_data(option, "Net cost", "Beyond the visible book")
    drawn = dict(map(tuple, (*solid, *dashed)))
    known = [each for each in estimates if each.net_cost_bps is not None]
    assert len(drawn) == len(known) > 5
    for each in known:
        size = each.quantity * each.mid
        alone = TradingCalculator(replace(order, quantity=size, unit="quote")).estimate(BOOK)
        assert drawn[round_short(size)] == pytest.approx(alone.net_cost_bps, abs=1e-4)
    if today.net_cost_bps is not None:
        assert drawn[round_short(today.quantity * today.mid)] == pytest.approx(today.net_cost_bps, abs=1e-4)


@pytest.mark.parametrize("style", ["now", "passive", "schedule"])
def test_areas_of_the_curve_add_up_to_its_line(style: Any) -> None:
    """At every size the six areas, three of costs and three of gains, sum to the net cost."""
    _, _, _, option = curve(Order(Side.SELL, 3.0, style=style, tier=REBATE))
    solid, dashed = series_data(option, "Net cost", "Beyond the visible book")
    areas = [series["data"] for series in option["series"] if "areaStyle" in series]
    assert len(areas) == 6
    net = dict((*map(tuple, solid), *map(tuple, dashed)))
    for row in zip(*areas, strict=True):
        assert sum(value for _, value in row) == pytest.approx(net[row[0][0]], abs=4e-4)


def test_curve_is_dashed_beyond_the_book_and_ends_where_costs_are_unknown() -> None:
    """Solid to the visible book's own size, dashed to at most five times it, nothing beyond."""
    _, _, _, option = curve(Order(Side.BUY, 30.0))
    solid, dashed = series_data(option, "Net cost", "Beyond the visible book")
    visible = 35.0 * 100.0
    assert solid[-1][0] == pytest.approx(visible)
    assert dashed[0] == solid[-1]
    assert visible < dashed[-1][0] <= 5 * visible * (1 + 1e-9)
    assert option["xAxis"]["max"] > 5 * visible


@pytest.mark.parametrize("order", [Order(Side.BUY, 1e-9), Order(Side.BUY, 1e12), Order(Side.SELL, 1e12, unit="quote")])
def test_smallest_and_largest_orders_have_a_curve(order: Order) -> None:
    """Orders at the ends of what can be typed are drawn without complaint."""
    _, _, estimates, option = curve(order)
    assert len(estimates) >= 9
    assert option["xAxis"]["min"] < option["xAxis"]["max"]


def test_pricing_other_sizes_does_not_change_the_estimate() -> None:
    """A calculator that prices other orders after every book gives the same estimates as one that does not."""
    order = Order(Side.BUY, 3.0)
    asked, left_alone = TradingCalculator(order), TradingCalculator(order)
    others = [replace(order, quantity=each, style=style) for each in (0.1, 40.0) for style in ("passive", "schedule")]
    assert asked.what_if(others) == []
    for each in queue_market(90, 5):
        said, alone = asked.estimate(each), left_alone.estimate(each)
        assert Estimate(said.row, said.order, alone.stamps, said.market_ns) == alone
        (again, *_) = asked.what_if([order, *others])
        assert Estimate(again.row, again.order, said.stamps, again.market_ns) == said
    assert asked.recent() == left_alone.recent()
    assert asked.scorecard() == left_alone.scorecard()
    assert asked.resolved_samples == left_alone.resolved_samples > 50


def history_points(*costs: tuple[float, float | None, str]) -> list[HistoryPoint]:
    history = CostHistory()
    for seconds, cost, order in costs:
        history.add(round(seconds * 1e9), cost, order)
    seconds, cost, order = costs[-1]
    return history.points_until(round(seconds * 1e9), cost, order)


def test_history_line_breaks_where_the_order_changed() -> None:
    """Two orders are two lines with a hole between them, and the last point is the newest estimate."""
    points = history_points((0, 5.0, "a"), (1, 5.2, "a"), (2, 9.0, "b"), (3, 9.5, "b"))
    before, today = split_by_order(points)
    assert [net for _, net, _, _ in before] == [5.0, 5.2]
    assert [net for _, net, _, _ in today] == [None, 9.0, 9.5]
    assert today[-1][0] == 0.0
    option = cost_history_chart(points, StickyAxes(), "dark")
    json.dumps(option, allow_nan=False)
    assert series_data(option, "Net cost")[0][-1] == [0.0, 9.5]


def test_history_line_breaks_at_thin_books_and_at_gaps() -> None:
    """No line joins points around a book that was too thin, or more than five seconds apart."""
    costs = ((0, 5.0, "a"), (1, None, "a"), (2, 5.1, "a"), (9, 5.2, "a"), (10, 5.3, "a"))
    _, today = split_by_order(history_points(*costs))
    assert [net for _, net, _, _ in today] == [5.0, None, None, 5.1, None, 5.2, 5.3]


def test_returning_to_an_order_does_not_join_its_two_lines() -> None:
    """The same order before and after another one is one colour in two pieces."""
    _, today = split_by_order(history_points((0, 5.0, "a"), (1, 9.0, "b"), (2, 5.1, "a")))
    assert [net for _, net, _, _ in today] == [5.0, None, 5.1]
