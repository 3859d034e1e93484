"""Test the cost history against a list of all estimates, thinned by brute force."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sessions.cost_history import MAX_POINTS, SPAN_NS, CostHistory, is_continuous

steps = st.tuples(st.integers(0, 3_000_000_000), st.none() | st.floats(-50, 50), st.sampled_from("ab"))


@given(st.lists(steps, min_size=1, max_size=120))
def test_history_keeps_newest_cost_and_range_of_every_second(added: list[tuple[int, float | None, str]]) -> None:
    """Runs of one order within one second are one point: the last cost, and the lowest and highest of the run."""
    history, now, runs = CostHistory(), 0, []
    for wait, cost, order in added:
        now += wait
        history.add(now, cost, order)
        key = (now // 10**9, cost is None, order)
        if not runs or runs[-1][0] != key:
            runs.append((key, []))
        runs[-1][1].append((now, cost))
    kept = [run for run in runs if run[1][-1][0] >= now - SPAN_NS]
    points = history.points_until(now, cost, order)
    assert [(p.market_ns, p.net_bps, p.order) for p in points] == [(*run[-1], key[2]) for key, run in kept]
    for point, (_, run) in zip(points, kept, strict=True):
        costs = [cost for _, cost in run if cost is not None]
        assert not costs or (point.low_bps, point.high_bps) == (min(costs), max(costs))


@given(st.lists(steps, min_size=1, max_size=60), st.data())
def test_history_ends_at_the_shown_estimate(added: list[tuple[int, float | None, str]], data: st.DataObject) -> None:
    """The last point is the shown estimate, also for a changed order, and no point is later, whatever came since."""
    history, now, shown = CostHistory(), 0, []
    for wait, cost, order in added:
        now += wait
        history.add(now, cost, order)
        shown.append((now, cost, order))
    market_ns, cost, order = data.draw(st.sampled_from(shown))
    for priced_anew in (order, "another"):
        points = history.points_until(market_ns, cost, priced_anew)
        assert (points[-1].market_ns, points[-1].net_bps, points[-1].order) == (market_ns, cost, priced_anew)
        assert [p.market_ns for p in points] == sorted(p.market_ns for p in points)
        before = [p for p in points[:-1] if p.market_ns < market_ns]
        assert before == [p for p in history.points_until(now, *shown[-1][1:]) if p.market_ns < market_ns]


def test_history_of_a_fast_market_stays_small() -> None:
    """A hundred books a second for ten minutes are some 300 points of the last five minutes."""
    history = CostHistory()
    for row in range(60_000):
        history.add(row * 10_000_000, row / 1e4, "a")
    points = history.points_until(599_990_000_000, 59_999 / 1e4, "a")
    assert 295 <= len(points) <= 305 < MAX_POINTS
    assert points[-1].net_bps == 59_999 / 1e4
    assert points[-1].market_ns - points[0].market_ns <= SPAN_NS
    assert all(is_continuous(a, b) for a, b in pairwise(points))


def test_step_back_in_time_clears_the_history() -> None:
    """A rewound replay shows no cost of a time that it has not reached again."""
    history = CostHistory()
    history.add(10**12, 5.0, "a")
    history.add(10**11, 6.0, "a")
    assert [point.net_bps for point in history.points_until(10**11, 6.0, "a")] == [6.0]
