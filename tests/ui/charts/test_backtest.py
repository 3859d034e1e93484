"""Test the charts and texts of a backtest against its rows: nothing hidden, nothing invented."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtesting.summary import BUCKETS, Summary, SummaryBuilder
from calculations import Order, TradingCalculator
from estimation.estimate import ROW
from estimation.scorecard import Scorecard
from orderbook import Side
from sessions.backtest_job import Progress
from ui.charts.backtest import cost_axis, histogram_chart, hours_chart, over_time_chart, range_points, sizes_chart
from ui.charts.base import Option
from ui.text.backtest import (
    MAX_OTHER_SIZES,
    other_sizes_words,
    parse_other_sizes,
    progress_words,
    result_words,
    sizes_table,
    summary_table,
)
from ui.text.size_input import SizeError, SizeUnits

HOUR_NS = 3_600_000_000_000
NAN = math.nan


def scorecard() -> Scorecard:
    return TradingCalculator(Order(Side.BUY, 1.0)).scorecard()


def summarise(clock: list[int], net: list[float], quantity: float = 1.0, walk: list[float] | None = None) -> Summary:
    """Return a summary of rows with these net costs, bps; NaN is an unknown cost."""
    priced = np.zeros(len(net), ROW)
    priced["market_ns"] = clock
    priced["net_cost_bps"] = net
    priced["walk_bps"] = net if walk is None else walk
    with SummaryBuilder("made", "okx", "BTC-USDT", Order(Side.BUY, quantity)) as tally:
        tally.add(priced, scorecard())
        return tally.summary()


def series_data(option: Option) -> dict[str, list[Any]]:
    """Return the data of each series by its name; the chart must be JSON without NaN."""
    json.dumps(option, allow_nan=False)
    return {series["name"]: series["data"] for series in option["series"]}


COSTS = st.one_of(st.just(NAN), st.floats(-50, 500).map(lambda cost: round(cost, 3)))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 10**14), COSTS), min_size=1, max_size=300))
def test_chart_over_time_keeps_every_spike_and_adds_none(rows: list[tuple[int, float]]) -> None:
    """The least and most of all rows are drawn; every point is the cost of a row in its stretch; times never fall."""
    rows.sort()
    summary = summarise([at for at, _ in rows], [cost for _, cost in rows])
    points = range_points(summary)
    low = [[point.ms, point.low_bps] for point in points]
    high = [[point.ms, point.high_bps] for point in points]
    drawn = series_data(over_time_chart(summary, "dark"))
    assert (drawn["Least"], drawn["Most"]) == (low, high)
    frame = pd.DataFrame(rows, columns=["ns", "net"]).dropna()
    assert all(a[0] <= b[0] for a, b in pairwise(low))
    drawn_rows = [row for row in high if row[1] is not None]
    if frame.empty:
        assert drawn_rows == []
        return
    assert max(row[1] for row in drawn_rows) == pytest.approx(frame["net"].max(), rel=1e-6)
    assert min(row[1] for row in low if row[1] is not None) == pytest.approx(frame["net"].min(), rel=1e-6)
    length = (rows[-1][0] - rows[0][0]) // BUCKETS + 1
    starts = set(((frame["ns"] - rows[0][0]) // length * length + rows[0][0]).tolist())
    for ms, _ in drawn_rows:
        at = round(ms * 1e6)
        assert any(abs(at - start) <= 64 or abs(at - length - start) <= 64 for start in starts)


def test_gap_breaks_the_line_and_a_lone_stretch_stays_visible() -> None:
    """Half an hour without a number is a gap, not a straight line; a stretch between two gaps is still visible."""
    minutes = [*range(60), 90, *range(120, 180)]
    summary = summarise([minute * 60 * 10**9 for minute in minutes], [5.0] * len(minutes))
    points = range_points(summary)
    gaps = [row for row, point in enumerate(points) if point.low_bps is None]
    assert len(gaps) == 2
    alone = points[gaps[0] + 1 : gaps[1]]
    assert [point.low_bps for point in alone] == [5.0, 5.0]
    assert alone[0].ms <= 90 * 60 * 1e3 < alone[1].ms


def test_histogram_counts_every_book() -> None:
    """The shares sum to all, and the marks stand at the quantiles that pandas finds."""
    net = np.random.default_rng(4).gamma(2.0, 3.0, 5000)
    summary = summarise(list(range(5000)), net.tolist())
    spread = summary.components["net_cost_bps"]
    assert spread is not None
    option = histogram_chart(summary.histogram, spread, "light")
    (points,) = series_data(option).values()
    assert sum(share for _, share in points) == pytest.approx(100.0, abs=1e-3)
    marks = {mark["name"]: mark["xAxis"] for mark in option["series"][0]["markLine"]["data"]}
    assert marks == {
        "P50": pytest.approx(pd.Series(net).quantile(0.5), rel=1e-6),
        "P95": pytest.approx(pd.Series(net).quantile(0.95), rel=1e-6),
    }


def test_recording_of_one_book_has_valid_charts() -> None:
    """A recording of one book gives axes of some length, with the point inside."""
    summary = summarise([HOUR_NS], [5.0])
    spread = summary.components["net_cost_bps"]
    assert spread is not None
    for option in (
        over_time_chart(summary, "dark"),
        histogram_chart(summary.histogram, spread, "dark"),
        hours_chart(summary.by_hour, "dark"),
        sizes_chart([summary], "dark"),
    ):
        series_data(option)
        for mark in option["series"][0].get("markLine", {}).get("data", []):
            assert mark["name"] == "P50, P95", "one mark where two would lie on one another"
        assert option["xAxis"].get("min", 0) < option["xAxis"].get("max", 1)
        assert option["yAxis"]["min"] < option["yAxis"]["max"]


def test_average_of_each_hour_stands_at_its_hour() -> None:
    """Each hour's average by pandas, at its place among 24; nothing at hours that the recording does not have."""
    clock = [hour * HOUR_NS + step for hour in (5, 6, 23, 29) for step in range(3)]
    net = [float(row) for row in range(12)]
    (points,) = series_data(hours_chart(summarise(clock, net).by_hour, "dark")).values()
    means = pd.Series(net).groupby(pd.to_datetime(clock).hour).mean()
    assert {hour: cost for hour, cost in enumerate(points) if cost is not None} == means.to_dict()
    assert len(points) == 24


def test_sizes_with_too_many_unknown_costs_are_left_out() -> None:
    """Unknown costs are the largest ones, so a P95 of the others would be too low. Such a size is left out,
    and the table says how many books have no number.
    """
    clock = list(range(100))
    summaries = [
        summarise(clock, [2.0] * 95 + [9.0] * 5, 10.0),
        summarise(clock, [1.0] * 100, 1.0),
        summarise(clock, [5.0] * 94 + [NAN] * 6, 1000.0),
        summarise(clock, [NAN] * 100, 1e6),
    ]
    drawn = series_data(sizes_chart(summaries, "dark"))
    assert drawn["P50"] == [[1.0, 1.0], [10.0, 2.0]]
    assert drawn["P95"] == [[1.0, 1.0], [10.0, pytest.approx(2.35)]]
    lines = sizes_table(summaries, "USDT").splitlines()[2:]
    assert [line.split("|")[1].strip() for line in lines] == ["1 coins", "10 coins", "1,000 coins", "1,000,000 coins"]
    assert lines[2].endswith("| 6 % | 6 % |")
    assert "no number" in lines[3]


@given(st.lists(st.floats(-1e4, 1e4), max_size=5))
def test_cost_axis_holds_its_costs(costs: list[float]) -> None:
    """Whatever the costs, the axis has a length and every cost is on it."""
    axis = cost_axis(costs)
    assert axis.low < axis.high
    assert all(axis.low - 1e-6 <= cost <= axis.high + 1e-6 for cost in costs)


def test_table_and_sentences_equal_the_rows() -> None:
    """Average and quantiles by pandas, cheapest and dearest with their time, thin books in percent."""
    net = [5.0, 4.0, 8.0, NAN]
    summary = summarise([HOUR_NS * n for n in range(4)], net, walk=[1.0, 1.0, NAN, NAN])
    row = next(line for line in summary_table(summary).splitlines() if "Net cost" in line)
    column = pd.Series(net).dropna()
    exact = [column.mean(), *column.quantile([0.5, 0.95, 0.99])]
    assert [float(cell.strip(" *")) for cell in row.split("|")[2:-1]] == pytest.approx(exact, abs=5e-4)
    words = result_words(summary)
    assert "Cheapest: **4.000 bps** at 1970-01-01 01:00:00 UTC" in words
    assert "Most expensive: **8.000 bps** at 1970-01-01 02:00:00 UTC" in words
    assert "in 50 % of the books, and gave no number at all in 25 %." in words


def test_sizes_may_be_separated_by_semicolons_commas_or_spaces() -> None:
    """Semicolons, commas with a space, spaces; the order's own is first and no size twice; all else as in the order."""
    order = Order(Side.SELL, 5.0, "quote", style="passive")
    orders = parse_other_sizes(" 1, 2; 5  1e3;2.0 ", order)
    assert [each.quantity for each in orders] == [5.0, 1.0, 2.0, 1000.0]
    assert {(each.side, each.unit, each.style) for each in orders} == {(Side.SELL, "quote", "passive")}
    assert parse_other_sizes("", order) == (order,)


@pytest.mark.parametrize(
    "text", ["x", "0", "-1", "nan", "inf", "1e13", "1 2 three", "1" * 5000, "2,5", "100 500", "5 BTC"]
)
def test_invalid_size_is_refused_in_a_short_sentence(text: str) -> None:
    """The reason is one short sentence."""
    with pytest.raises(SizeError) as refused:
        parse_other_sizes(text, Order(Side.BUY, 1.0))
    assert len(str(refused.value)) < 120


def test_comma_between_digits_belongs_to_one_size() -> None:
    """250,500 is one size, which the page shows; a unit may stand with it if it is the order's own."""
    units = SizeUnits("BTC", "USDT")
    orders = parse_other_sizes("250,500, 1.5m USDT", Order(Side.BUY, 1.0, "quote"), units)
    assert [order.quantity for order in orders] == [1.0, 250_500.0, 1_500_000.0]
    assert other_sizes_words(orders, units) == "$250,500 · $1,500,000"
    with pytest.raises(SizeError, match="another unit than the order, which is in USDT"):
        parse_other_sizes("5 BTC", Order(Side.BUY, 1.0, "quote"), units)


def test_more_than_twenty_sizes_are_refused() -> None:
    """Twenty are taken, one more is not."""
    sizes = [str(size) for size in range(2, MAX_OTHER_SIZES + 3)]
    assert len(parse_other_sizes(" ".join(sizes[:-1]), Order(Side.BUY, 1.0))) == MAX_OTHER_SIZES + 1
    with pytest.raises(SizeError, match="20 other sizes are enough, and these are 21"):
        parse_other_sizes(" ".join(sizes), Order(Side.BUY, 1.0))


def test_progress_words_count_books_while_reading_and_while_pricing() -> None:
    """Count books and the share of the file until the total is known, then books of the total."""
    assert progress_words(Progress("reading", 0.125, 2048)) == (
        "Reading the recording: 2,048 order books in 12 % of it."
    )
    assert progress_words(Progress("pricing", 0.5, 4096, 8192)) == "Working out the cost: 4,096 of 8,192 order books."
