"""Compute what many orders would really have cost: estimation.realised.RealisedCosts for a block of books."""

from __future__ import annotations

import numpy as np

from estimation.labels import first_reached_each
from estimation.order import Order
from numerics.arrays import Flags, Floats, Ints
from orderbook import Side
from orderbook.batch import BookBatch, SideBatch, walk_batch


def realise_orders(
    order: Order, quantity: Floats, books: BookBatch, side: SideBatch, first: int, ends: Ints
) -> tuple[Floats, Floats]:
    """Return realised_slippage_bps and realised_maker of orders decided on at n consecutive books, (n,) each.

    NaN stands for None, and for an outcome that is not known.

    Args:
        order: the order, decided on at every book.
        quantity: of the orders, base units, (n,).
        books: the n books and those after them.
        side: the side of the same books that the order takes from.
        first: row of the first of the n books.
        ends: for each order the first book that does not count, after a gap or behind the last, (n,).
    """
    is_buy = order.side is Side.BUY
    sign = float(order.side.value)
    taken, own = books.touch if is_buy else books.touch[::-1]
    clock = books.market_ns
    row = np.arange(first, first + len(quantity))
    arrives = clock[row] + round(order.latency_s * 1e9)
    closes = np.searchsorted(clock, arrives + round(order.passive_s * 1e9), side="right")
    slippage, maker = np.full((2, len(row)), np.nan)
    known = closes < ends
    row, arrives, closes, quantity = row[known], arrives[known], closes[known], quantity[known]
    if not len(row):
        return slippage, maker
    # An order that travels is shown the next book at the earliest.
    arrival = np.maximum(np.searchsorted(clock, arrives), row + 1) if order.latency_s else row
    price, mid = own[row, 0], books.touch[:, row, 0].mean(axis=0)
    late = sign * (taken[arrival, 0] - price) <= 0
    crossed_at = first_reached_each(taken, sign, price, arrival + 1, closes)
    crossed = ~late & (crossed_at < closes)
    filled = np.zeros(len(row))
    on_offer = books.quantity_within(0 if is_buy else 1, crossed_at[crossed], price[crossed])
    filled[crossed] = np.minimum(1.0, on_offer / quantity[crossed])
    maker[known] = filled

    def crossing_bps(at: Ints, which: Flags, sizes: Floats) -> Floats:
        fill = walk_batch(side.take(at[which]), sizes[which])
        paid = sign * (fill.vwap - mid[which]) / mid[which] * 1e4
        return np.where(fill.unfilled > 0, np.nan, paid)

    met = np.full(len(row), np.nan)
    if order.style == "now":
        met = crossing_bps(arrival, np.full(len(row), True), quantity)
    elif order.style == "passive":
        met[late] = crossing_bps(arrival, late, quantity)
        waited = np.isnan(met)
        at_quote = sign * (price - mid) / mid * 1e4
        met[waited] = at_quote[waited]
        rest = waited & (filled < 1)
        cleaned = crossing_bps(closes, rest, (1 - filled) * quantity)
        met[rest] = filled[rest] * at_quote[rest] + (1 - filled[rest]) * cleaned
    slippage[known] = met
    return slippage, maker
