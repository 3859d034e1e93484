"""What became of orders and quotes decided on at each of many books, as the books after them show."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np

from numerics.arrays import Flags, Floats, Ints
from numerics.jit import jit
from orderbook.batch import BookBatch


class Labels(NamedTuple):
    """What became of orders and quotes decided on at each of n samples, buying and selling: (n, 2).

    An order arrives on the first book at least latency_s later. A quote at the own touch that can be
    executed there is late: it takes. It is crossed if the opposite best price reaches it up to passive_s
    after that, and touched if at its price, then the best, the queue shrinks or goes. offered: base units, to those
    that were crossed, when they were; 0 to the others. mid_after is the mid at which what was not crossed crosses
    itself: on arrival, or when the time is up. seen and met (n,) are the places of the books decided on and met.
    """

    decided_at: Ints
    arrived_at: Ints
    marketable_on_arrival: Flags
    crossed: Flags
    touched: Flags
    mid_after: Floats
    quantity_offered: Floats

    @classmethod
    def from_books(cls, now: Any, books: BookBatch, latency_s: float, passive_s: float) -> Self:
        """now: a Moment of (n,) columns; books: all from the first of them to the last outcome."""
        clock = books.market_ns
        arrives = now.market_ns + round(latency_s * 1e9)
        seen, met = np.searchsorted(clock, now.market_ns), np.searchsorted(clock, arrives)
        waits = np.searchsorted(clock, arrives, side="right")
        expires = np.searchsorted(clock, arrives + round(passive_s * 1e9), side="right")
        quote = np.column_stack((now.bid, now.ask))
        late, crossed_at, touched, mid_after = _label_quotes(books.touch, quote, met, waits, expires)
        crossed = crossed_at < expires[:, None]
        offered = np.zeros(crossed.shape)
        for side in (0, 1):
            rows = np.flatnonzero(crossed[:, side])
            offered[rows, side] = books.quantity_within(side, crossed_at[rows, side], quote[rows, side])
        return cls(seen, met, late, crossed, touched, mid_after, offered)


@jit
def first_reached(touch: Floats, sign: float, quote: float, start: int, end: int) -> int:
    """The first place from start to end (excluded) at which a side's best price touch (m, 2) reaches a quote of the
    other side, or end; sign is 1 where the asks are looked at, -1 where the bids are."""
    for place in range(start, end):
        if sign * (touch[place, 0] - quote) <= 0:
            return place
    return end


@jit
def first_reached_each(touch: Floats, sign: float, quote: Floats, start: Ints, end: Ints) -> Ints:
    """first_reached of each of these quotes, (n,)."""
    places = np.empty(len(quote), dtype=np.int64)
    for row in range(len(quote)):
        places[row] = first_reached(touch, sign, quote[row], start[row], end[row])
    return places


@jit
def _queue_moved(touch: Floats, sign: float, quote: float, start: int, end: int) -> bool:
    """Whether in these books the best price of a quote's own side is worse than the quote, or the same and the
    queue there has shrunk since the book before, or become the best only now."""
    for place in range(start, end):
        worse = sign * (touch[place, 0] - quote)
        if worse < 0:
            return True
        if (
            worse == 0
            and place
            and (sign * (touch[place, 0] - touch[place - 1, 0]) < 0 or touch[place, 1] < touch[place - 1, 1])
        ):
            return True
    return False


@jit
def _label_quotes(
    touch: Floats, quote: Floats, met: Ints, waits: Ints, expires: Ints
) -> tuple[Flags, Ints, Flags, Floats]:
    """Late; the book at which a quote is crossed, `expires` if it never is or was late; touched; the mid afterwards."""
    late, touched = np.empty(quote.shape, dtype=np.bool_), np.empty(quote.shape, dtype=np.bool_)
    crossed_at, mid_after = np.empty(quote.shape, dtype=np.int64), np.empty(quote.shape)
    for row in range(len(quote)):
        arrival, start, end = met[row], waits[row], expires[row]
        for side in range(2):
            sign, taken, own = 1.0 - 2.0 * side, touch[side], touch[1 - side]
            price = quote[row, side]
            late[row, side] = sign * (taken[arrival, 0] - price) <= 0
            crossed_at[row, side] = end if late[row, side] else first_reached(taken, sign, price, start, end)
            touched[row, side] = _queue_moved(own, sign, price, start, end)
            last = arrival if late[row, side] else max(end - 1, 0)
            mid_after[row, side] = (touch[0, last, 0] + touch[1, last, 0]) / 2
    return late, crossed_at, touched, mid_after
