"""Check rolling and sorted windows, and the statistics of them, against numpy's own on the whole series."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics.windows import RollingWindow, SortedRollingWindow, crossing_curves, symmetric_quantiles


@settings(deadline=None)
@given(st.lists(st.integers(0, 60), max_size=30), st.integers(1, 25))
def test_windows_equal_numpy_on_the_whole_series(lengths: list[int], size: int) -> None:
    """The windows hold the last values of a series, however many come at a time: none, or more than are kept.

    A sorted window has the same values in order, equal ones included.
    """
    window, whole, row_window = SortedRollingWindow(size, 2), np.zeros((2, 0)), RollingWindow(size)
    sorted_row_window, rng = SortedRollingWindow(size), np.random.default_rng(size)
    for length in lengths:
        added = rng.normal(size=(2, length)).round(1)
        whole = np.concatenate((whole, added), axis=1)
        window.add(added)
        row_window.add(added[0])
        sorted_row_window.add(added[0])
        np.testing.assert_array_equal(window.values, whole[:, -size:])
        np.testing.assert_array_equal(row_window.values, whole[0, -size:])
        np.testing.assert_array_equal(window.sorted_values, np.sort(whole[:, -size:], axis=1))
        np.testing.assert_array_equal(sorted_row_window.sorted_values, np.sort(whole[0, -size:]))


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(40, 300), st.floats(0.9, 1.0))
def test_symmetric_quantiles_equal_numpy(seed: int, count: int, level: float) -> None:
    """The quantiles are those of numpy's linear interpolation, ties included."""
    values = np.random.default_rng(seed).normal(size=count).round(1)
    assert symmetric_quantiles(np.sort(values), level) == pytest.approx(
        np.quantile(values, (1 - level, level)), abs=1e-9
    )


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 300))
def test_crossing_curves_equal_their_definition(seed: int, count: int) -> None:
    """The share is the average of min(1, offered / size), also for amounts that equal a size and for 0.

    Beside it: how often all is filled, and the average of what is left over x the move.
    """
    rng = np.random.default_rng(seed)
    sizes = np.geomspace(0.01, 1000, 21)
    offered = np.where(rng.random(count) < 0.2, rng.choice([0.0, *sizes], count), rng.lognormal(0, 3, count))
    moved = rng.normal(size=count)
    shares = np.minimum(1.0, offered / sizes[:, None])
    wanted = shares.mean(axis=1), (offered >= sizes[:, None]).mean(axis=1), ((1 - shares) * moved).mean(axis=1)
    assert crossing_curves(offered, moved, sizes) == pytest.approx(np.array(wanted))


def test_sorted_window_survives_nan_and_infinity() -> None:
    """NaN and infinity write nothing beyond the window, however many come and are never found again.

    The window keeps the last values as they came, and the series beside them stays sorted.
    """
    rng, window, whole = np.random.default_rng(5), SortedRollingWindow(40, 2), np.zeros((2, 0))
    for length in rng.integers(0, 60, 400):
        added = rng.normal(size=(2, length)).round(1)
        added[0, rng.random(length) < 0.3] = rng.choice([np.nan, np.inf, -np.inf])
        whole = np.concatenate((whole, added), axis=1)[:, -40:]
        window.add(added)
        np.testing.assert_array_equal(window.values, whole)
        np.testing.assert_array_equal(window.sorted_values[1], np.sort(whole[1]))
