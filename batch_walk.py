"""One side of many books, walked by an order each: orderbook.walk, for all of them at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compiled import compiled
from ladder import Ladders
from orderbook import Levels

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


class Fills(NamedTuple):
    """orderbook.Fill as (n,) columns."""

    quantity: Floats
    vwap: Floats
    worst_price: Floats
    levels: Rows
    unfilled: Floats


def walk(side: Ladders, quantity: Floats) -> Fills:
    """What these books fill of orders of quantity (m,), a book each."""
    return Fills(*_walk(*side, quantity))


@compiled
def _walk(levels: Levels, begins: Rows, ends: Rows, quantity: Floats) -> tuple[Floats, Floats, Floats, Rows, Floats]:
    filled, vwap, worst = np.empty(len(quantity)), np.empty(len(quantity)), np.empty(len(quantity))
    used, unfilled = np.empty(len(quantity), dtype=np.int64), np.empty(len(quantity))
    for row in range(len(quantity)):
        level, end, wanted = begins[row], ends[row], quantity[row]
        best = price = levels[level, 0]
        depth, excess = 0.0, 0.0
        while level < end and depth < wanted:
            price, size = levels[level]
            total = depth + size
            if total >= wanted:
                size, total = wanted - depth, wanted
            excess += (price - best) * size
            depth = total
            level += 1
        filled[row], vwap[row], worst[row] = depth, best + excess / depth, price
        used[row], unfilled[row] = level - begins[row], wanted - depth
    return filled, vwap, worst, used, unfilled
