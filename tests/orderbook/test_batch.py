"""Check that many books walked at once are each walked as orderbook.walk walks one."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from orderbook import Levels
from orderbook import walk as walk_one
from orderbook.batch import SideBatch, walk_batch


def asks(sizes: list[float]) -> Levels:
    return np.column_stack((100 + 0.1 * np.arange(len(sizes)) ** 1.5, sizes))


SIDES = st.lists(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=70), min_size=1, max_size=12)
EVEN = st.integers(1, 70).flatmap(lambda n: st.lists(st.lists(st.floats(0.1, 9), min_size=n, max_size=n), min_size=1))


@settings(max_examples=50, deadline=None)  # the first example may compile
@given(SIDES | EVEN, st.data())
def test_walk_batch_equals_walk_of_each_book(sides: list[list[float]], data: st.DataObject) -> None:
    """The fills are equal to the last digit, for books of any depths and any sizes, exact sums of levels included."""
    levels = [asks(sizes) for sizes in sides]
    quantity = []
    for sizes in sides:
        whole = sum(sizes[: data.draw(st.integers(1, len(sizes)))])
        quantity.append(data.draw(st.sampled_from([whole, whole * 1.5, sum(sizes), sum(sizes) * 7, sizes[0] / 3])))
    fills = walk_batch(SideBatch.from_sides(levels), np.array(quantity))
    for row, (side, size) in enumerate(zip(levels, quantity, strict=True)):
        assert tuple(column[row].item() for column in fills) == walk_one(side, size)


def test_walk_ends_at_level_whose_last_digits_are_lost() -> None:
    """A level whose last digits are lost in the sum completes the order, in one book as in many."""
    side = asks([1.0, 1.0, 1.0, 194302.0, 1e6, 1e6, 1e6, 999999.000075, 1.0])
    size = sum(side[:8, 1].tolist())
    one = walk_one(side, size)
    assert (one.levels, one.unfilled) == (8, 0.0)
    assert walk_batch(SideBatch.from_sides([side, side[:8]]), np.array([size, size])).levels.tolist() == [8, 8]


def test_walk_batch_of_taken_rows_follows_their_order() -> None:
    """Rows may repeat and may come in any order."""
    levels = [asks([1.0] * depth) for depth in (3, 40, 12)]
    fills = walk_batch(SideBatch.from_sides(levels).take(np.array([1, 0, 1, 2])), np.array([35.0, 35.0, 1.0, 12.0]))
    assert fills.levels.tolist() == [35, 3, 1, 12]
    assert fills.unfilled.tolist() == [0.0, 32.0, 0.0, 0.0]
