"""Tell what became of orders and quotes by scanning all later books, straight from the definitions."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from calculations import Order
from orderbook import Levels, OrderBook, Side

SECOND_NS = 1_000_000_000


def label_by_definition(
    books: list[OrderBook], row: int, side: Side, latency_ns: int, passive_ns: int
) -> tuple[bool, bool, float]:
    """Return marketable on arrival, crossed, and the quantity offered then, straight from the definition."""
    quote = (books[row].bids if side is Side.BUY else books[row].asks)[0, 0]
    arrives = books[row].market_ns + latency_ns
    arrival = next(each for each in books if each.market_ns >= arrives)
    reached = lambda each: side.value * (each.taken_by(side)[0, 0] - quote) <= 0  # noqa: E731
    if reached(arrival):
        return True, False, 0.0
    for each in books:
        if arrives < each.market_ns <= arrives + passive_ns and reached(each):
            levels = each.taken_by(side)
            return False, True, levels[side.value * (levels[:, 0] - quote) <= 0, 1].sum()
    return False, False, 0.0


def touched_and_mid_by_definition(
    books: list[OrderBook], row: int, side: Side, latency_ns: int, passive_ns: int, late: bool
) -> tuple[bool, float]:
    """Return whether the queue at a quote moved while it waited, and the mid afterwards, from the definition."""
    own = lambda each: each.taken_by(Side(-side.value))[0]  # noqa: E731
    price, arrives = own(books[row])[0], books[row].market_ns + latency_ns
    touched = False
    for before, each in pairwise(books):
        if arrives < each.market_ns <= arrives + passive_ns:
            worse = side.value * (own(each)[0] - price)
            shrank = side.value * (own(each)[0] - own(before)[0]) < 0 or own(each)[1] < own(before)[1]
            touched = touched or worse < 0 or (worse == 0 and shrank)
    seen = [each for each in books if each.market_ns <= arrives + passive_ns]
    return touched, next(each for each in books if each.market_ns >= arrives).mid if late else seen[-1].mid


class Outcome(NamedTuple):
    """What an order met; realised_bps is None where the book is too thin, or for a schedule."""

    realised_bps: float | None
    maker: float


def crossing_by_definition(levels: Levels, side: Side, quantity: float, mid: float) -> float | None:
    """Return what crossing costs against a mid, in exact fractions, bps; None where the book is too thin."""
    left, paid = Fraction(quantity), Fraction(0)
    for price, size in levels.tolist():
        taken = min(left, Fraction(size))
        paid, left = paid + taken * Fraction(price), left - taken
    if left > 0:
        return None
    return float(side.value * (paid / Fraction(quantity) / Fraction(mid) - 1) * 10_000)


def outcome_by_definition(books: list[OrderBook], row: int, order: Order) -> Outcome | None:
    """Return what an order of base units decided on at books[row] met; None while its end is not shown.

    Its end is shown by the first book after its waiting time.
    """
    side, decided = order.side, books[row]
    quote = decided.taken_by(Side(-side.value))[0, 0].item()
    arrives = decided.market_ns + round(order.latency_s * SECOND_NS)
    expires = arrives + round(order.passive_s * SECOND_NS)
    later = books[row:] if order.latency_s == 0 else books[row + 1 :]
    met = next((each for each in later if each.market_ns >= arrives), None)
    ends = next((each for each in books[row + 1 :] if each.market_ns > expires), None)
    if met is None or ends is None:
        return None
    reached = lambda each: side.value * (each.taken_by(side)[0, 0] - quote) <= 0  # noqa: E731
    maker = 0.0
    late = reached(met)
    if not late:
        waits = [each for each in books[row + 1 :] if met.market_ns <= each.market_ns <= expires]
        crossing = next((each for each in waits if reached(each)), None)
        if crossing is not None:
            levels = crossing.taken_by(side)
            offered = sum(levels[side.value * (levels[:, 0] - quote) <= 0, 1].tolist())
            maker = min(1.0, offered / order.quantity)
    if order.style == "schedule":
        return Outcome(None, maker)
    if order.style == "now" or late:
        return Outcome(crossing_by_definition(met.taken_by(side), side, order.quantity, decided.mid), maker)
    at_quote = side.value * (quote / decided.mid - 1) * 1e4
    if maker == 1:
        return Outcome(at_quote, maker)
    rest = crossing_by_definition(ends.taken_by(side), side, (1 - maker) * order.quantity, decided.mid)
    return Outcome(None if rest is None else maker * at_quote + (1 - maker) * rest, maker)
