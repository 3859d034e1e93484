"""Many books walked at once are each walked as orderbook.walk walks one."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_walk import SideBlock, walk
from orderbook import Levels
from orderbook import walk as walk_one


def block(sides: list[Levels]) -> SideBlock:
    return SideBlock(np.concatenate(sides), np.cumsum([0, *map(len, sides)]))


def asks(sizes: list[float]) -> Levels:
    return np.column_stack((100 + 0.1 * np.arange(len(sizes)) ** 1.5, sizes))


SIDES = st.lists(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=70), min_size=1, max_size=12)
EVEN = st.integers(1, 70).flatmap(lambda n: st.lists(st.lists(st.floats(0.1, 9), min_size=n, max_size=n), min_size=1))


@settings(max_examples=50)
@given(SIDES | EVEN, st.data())
def test_walks_as_one_book_is_walked(sides: list[list[float]], data: st.DataObject) -> None:
    """Any books of any depths, alike or not, any sizes, exact sums of levels among them: every figure to 1e-12."""
    levels = [asks(sizes) for sizes in sides]
    quantity = []
    for sizes in sides:
        whole = sum(sizes[: data.draw(st.integers(1, len(sizes)))])
        quantity.append(data.draw(st.sampled_from([whole, whole * 1.5, sum(sizes), sum(sizes) * 7, sizes[0] / 3])))
    fills = walk(block(levels), slice(0, len(levels)), np.array(quantity))
    for row, (side, size) in enumerate(zip(levels, quantity, strict=True)):
        one = walk_one(side, size)
        np.testing.assert_allclose([column[row] for column in fills], one, rtol=1e-12, atol=1e-12 * size)


def test_a_sum_that_is_reached_by_rounding_ends_the_walk() -> None:
    """A level whose last digits are lost in the sum completes the order, in one book as in many."""
    side = asks([1.0, 1.0, 1.0, 194302.0, 1e6, 1e6, 1e6, 999999.000075, 1.0])
    size = sum(side[:8, 1].tolist())
    one = walk_one(side, size)
    assert (one.levels, one.unfilled) == (8, 0.0)
    assert walk(block([side, side[:8]]), slice(0, 2), np.array([size, size])).levels.tolist() == [8, 8]


def test_walks_chosen_books_again_and_again() -> None:
    """Rows may repeat, and come in any order."""
    levels = [asks([1.0] * depth) for depth in (3, 40, 12)]
    fills = walk(block(levels), np.array([1, 0, 1, 2]), np.array([35.0, 35.0, 1.0, 12.0]))
    assert fills.levels.tolist() == [35, 3, 1, 12]
    assert fills.unfilled.tolist() == [0.0, 32.0, 0.0, 0.0]


def test_a_book_goes_on_at_its_last_price_with_nothing() -> None:
    """Levels beyond the last of an uneven book have no size, so that nothing is bought there."""
    uneven = block([asks([1.0, 2.0]), asks([1.0, 2.0, 3.0])])
    price, size = uneven.some(slice(0, 2), 0, 4)
    assert size.tolist() == [[1.0, 2.0, 0.0, 0.0], [1.0, 2.0, 3.0, 0.0]]
    assert price[0, 1:].tolist() == [price[0, 1]] * 3
    assert uneven.top(np.array([0]), 8).tolist() == asks([1.0, 2.0])[None].tolist()
    assert uneven.best()[:, 1].tolist() == [1.0, 1.0]
