"""Compare the summary of a backtest with pandas on the same rows."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backtest import backtest
from backtesting.book_cache import RecordingSource
from backtesting.cache_folder import BookCache
from backtesting.runner import Task, run_task
from backtesting.summary import COMPONENTS, Summary
from calculations import Order
from orderbook import Side
from replay import simulated
from tests.support.synthetic_recordings import BEGIN_NS, write_recording

BTC = "BTC-USDT-SWAP"


def summary_and_rows(tmp_path: Path, order: Order) -> tuple[Summary, pd.DataFrame]:
    """Backtest a market with some books that are too thin, and with the end of an hour in its middle."""
    start_ns = BEGIN_NS // 3_600_000_000_000 * 3_600_000_000_000 + 3_570_000_000_000
    path = write_recording(tmp_path / "market.jsonl", list(islice(simulated(BTC, seed=3, start_ns=start_ns), 600)))
    source = RecordingSource.from_path(path, "simulated", BTC)
    (summary,) = run_task(Task(source, (order,), None, BookCache(tmp_path)))
    return summary, backtest(path, "simulated", BTC, order, tmp_path)


@pytest.mark.parametrize("order", [Order(Side.BUY, 14.0), Order(Side.SELL, 2.0, style="passive")])
def test_summary_numbers_are_those_of_the_rows(tmp_path: Path, order: Order) -> None:
    """Another library gives the same means, quantiles, extremes, hours and thin books, to the last digits."""
    summary, rows = summary_and_rows(tmp_path, order)
    for name in COMPONENTS:
        distribution, column = summary.components[name], rows[name].dropna()
        assert distribution is not None
        assert distribution.books == len(column)
        assert distribution.mean == pytest.approx(column.mean(), rel=1e-9, abs=1e-12)
        assert list(distribution[2:]) == pytest.approx(
            column.quantile([0.5, 0.95, 0.99]).tolist(), rel=1e-12, abs=1e-12
        )
    assert (summary.books, summary.thin) == (600, rows["walk_bps"].isna().sum())
    assert summary.unpriced == rows["net_cost_bps"].isna().sum()
    assert (summary.first_ns, summary.last_ns) == (rows["market_ns"].min(), rows["market_ns"].max())
    assert summary.cheapest is not None
    assert summary.dearest is not None
    assert tuple(summary.cheapest) == tuple(rows.loc[rows["net_cost_bps"].idxmin(), ["market_ns", "net_cost_bps"]])
    assert summary.dearest.net_cost_bps == rows["net_cost_bps"].max()
    hours = rows.groupby(pd.to_datetime(rows["market_ns"]).dt.hour)["net_cost_bps"]
    assert len(summary.by_hour) == 2
    assert [hour.hour for hour in summary.by_hour] == sorted(hours.groups)
    for hour in summary.by_hour:
        assert hour.net_cost_bps == pytest.approx(hours.mean()[hour.hour])
        assert hour.books == hours.count()[hour.hour]


def test_chart_data_keep_every_extreme(tmp_path: Path) -> None:
    """The cost over time keeps the lowest and the highest of each stretch; the histogram counts every book once."""
    summary, rows = summary_and_rows(tmp_path, Order(Side.BUY, 14.0))
    over_time, net = summary.over_time, rows["net_cost_bps"]
    assert len(over_time.market_ns) <= 500
    assert (np.diff(over_time.market_ns) > 0).all()
    assert (over_time.low_bps.min(), over_time.high_bps.max()) == (net.min(), net.max())
    stretch = np.searchsorted(over_time.market_ns, rows["market_ns"], side="right") - 1
    assert over_time.low_bps.tolist() == net.groupby(stretch).min().tolist()
    assert over_time.high_bps.tolist() == net.groupby(stretch).max().tolist()
    histogram = summary.histogram
    assert histogram.books.sum() == 600
    inside = ((net >= histogram.edges_bps[10]) & (net < histogram.edges_bps[20])).sum()
    assert histogram.books[10:20].sum() == inside


def test_summary_of_an_unpriceable_order_has_no_costs(tmp_path: Path) -> None:
    """Where every book is far too thin, neither a net cost nor a part of it is invented."""
    summary, _ = summary_and_rows(tmp_path, Order(Side.BUY, 1e6))
    assert summary.components["net_cost_bps"] is None
    assert summary.components["fee_bps"] is summary.components["impact_bps"] is None
    assert (summary.cheapest, summary.dearest, summary.by_hour) == (None, None, ())
    assert (summary.thin, summary.unpriced) == (600, 600)
    assert len(summary.histogram.books) == len(summary.over_time.low_bps) == 0
