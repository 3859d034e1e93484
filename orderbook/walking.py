"""Walk one side of a book with an order, level by level."""

from __future__ import annotations

from numerics.jit import jit
from orderbook.book import Levels


@jit
def walk_levels(levels: Levels, begin: int, end: int, quantity: float) -> tuple[float, float, float, int]:
    """Return what an order takes from levels[begin:end], best first: filled, excess, worst price, levels used.

    excess: the sum of size x distance from the best price, quote, positive on either side of the book's sorting.
    Summing distances, not prices, keeps the last digits of a tiny slippage.
    """
    best = levels[begin, 0]
    price = best
    filled = 0.0
    excess = 0.0
    level = begin
    while level < end and filled < quantity:
        price = levels[level, 0]
        size = levels[level, 1]
        total = filled + size
        if total >= quantity:
            size = quantity - filled
            total = quantity
        excess += (price - best) * size
        filled = total
        level += 1
    return filled, excess, price, level - begin


@jit
def quantity_at_or_better(levels: Levels, begin: int, end: int, sign: float, price: float) -> float:
    """Return the base units that levels[begin:end] offer at `price` or better; sign: 1 for asks, -1 for bids."""
    volume = 0.0
    for level in range(begin, end):
        if sign * (levels[level, 0] - price) > 0:
            break
        volume += levels[level, 1]
    return volume
