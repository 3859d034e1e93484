"""The last of a series, and what they say in order, against numpy's own on the whole series."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics.windows import RollingWindow, SortedRollingWindow, mean_filled_shares, symmetric_quantiles


@settings(deadline=None)
@given(st.lists(st.integers(0, 60), max_size=30), st.integers(1, 25))
def test_the_last_are_kept_in_their_order(lengths: list[int], most: int) -> None:
    """However many come at a time, none or more than are kept: the last ones, and nothing else; those that are
    kept in order, too, are in order, equal ones among them."""
    recent, table, row = SortedRollingWindow(most, 2), np.zeros((2, 0)), RollingWindow(most)
    ordered_row, rng = SortedRollingWindow(most), np.random.default_rng(most)
    for length in lengths:
        added = rng.normal(size=(2, length)).round(1)
        table = np.concatenate((table, added), axis=1)
        recent.add(added)
        row.add(added[0])
        ordered_row.add(added[0])
        np.testing.assert_array_equal(recent.values, table[:, -most:])
        np.testing.assert_array_equal(row.values, table[0, -most:])
        np.testing.assert_array_equal(recent.sorted_values, np.sort(table[:, -most:], axis=1))
        np.testing.assert_array_equal(ordered_row.sorted_values, np.sort(table[0, -most:]))


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(40, 300), st.floats(0.9, 1.0))
def test_ends_are_quantiles(seed: int, count: int, level: float) -> None:
    """As numpy's linear interpolation has them, ties included."""
    values = np.random.default_rng(seed).normal(size=count).round(1)
    assert symmetric_quantiles(np.sort(values), level) == pytest.approx(
        np.quantile(values, (1 - level, level)), abs=1e-9
    )


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 300))
def test_the_share_of_every_size_that_was_on_offer(seed: int, count: int) -> None:
    """The average of min(1, offered / size), by its definition, for amounts that equal a size and for none at all."""
    rng = np.random.default_rng(seed)
    sizes = np.geomspace(0.01, 1000, 21)
    offered = np.where(rng.random(count) < 0.2, rng.choice([0.0, *sizes], count), rng.lognormal(0, 3, count))
    wanted = [np.minimum(1.0, offered / size).mean() for size in sizes]
    assert mean_filled_shares(offered, sizes) == pytest.approx(wanted)


def test_what_is_no_number_is_held_and_harms_nothing() -> None:
    """Nothing is written beyond what is kept, however many such values come and are never found again: the last
    ones are kept as they came, and so are those of a series beside it, in order."""
    rng, recent, table = np.random.default_rng(5), SortedRollingWindow(40, 2), np.zeros((2, 0))
    for length in rng.integers(0, 60, 400):
        added = rng.normal(size=(2, length)).round(1)
        added[0, rng.random(length) < 0.3] = rng.choice([np.nan, np.inf, -np.inf])
        table = np.concatenate((table, added), axis=1)[:, -40:]
        recent.add(added)
        np.testing.assert_array_equal(recent.values, table)
        np.testing.assert_array_equal(recent.sorted_values[1], np.sort(table[1]))
