"""Label decisions at many books with what the later books did to an order and a quote."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np

from estimation.features import SECOND_NS
from numerics.arrays import Flags, Floats, Ints
from numerics.jit import jit
from orderbook.batch import BookBatch


class Labels(NamedTuple):
    """Outcomes of an order and a quote decided on at each of n samples, buying and selling: (n, 2).

    An order arrives on the first book at least latency_s after the decision. A quote is placed at the touch of its
    own side, at the decision's price.

    decided_at, arrived_at (n,): rows of the book decided on and of the book met on arrival.
    marketable_on_arrival: the quote can be executed at once, so it takes instead of waiting.
    crossed: the opposite best price reaches the waiting quote at most passive_s after it arrived.
    touched: while it waits, its price is the best of its side and the queue there shrinks or goes.
    mid_after: the mid at which a quote that was not crossed crosses itself: on arrival if it was marketable, else
    when the time is up.
    quantity_offered: base units offered to a crossed quote when it was crossed; 0 to the others.
    """

    decided_at: Ints
    arrived_at: Ints
    marketable_on_arrival: Flags
    crossed: Flags
    touched: Flags
    mid_after: Floats
    quantity_offered: Floats

    @classmethod
    def from_books(cls, book_states: Any, books: BookBatch, latency_s: float, passive_s: float) -> Self:
        """Label samples by the books after them.

        book_states: a BookState of (n,) columns. books: every book from the first sample to the last outcome.
        """
        clock = books.market_ns
        arrives = book_states.market_ns + round(latency_s * SECOND_NS)
        decided_at = np.searchsorted(clock, book_states.market_ns)
        arrived_at = np.searchsorted(clock, arrives)
        # A quote waits for the books after its arrival, up to the last one within passive_s.
        waits_from = np.searchsorted(clock, arrives, side="right")
        waits_until = np.searchsorted(clock, arrives + round(passive_s * SECOND_NS), side="right")
        quote = np.column_stack((book_states.bid, book_states.ask))
        is_marketable, crossed_at, touched, mid_after = _label_quotes(
            books.touch, quote, arrived_at, waits_from, waits_until
        )
        crossed = crossed_at < waits_until[:, None]
        offered = np.zeros(crossed.shape)
        for side in (0, 1):
            rows = np.flatnonzero(crossed[:, side])
            offered[rows, side] = books.quantity_within(side, crossed_at[rows, side], quote[rows, side])
        return cls(decided_at, arrived_at, is_marketable, crossed, touched, mid_after, offered)


@jit
def first_reached(touch: Floats, sign: float, quote: float, start: int, end: int) -> int:
    """Return the first row in [start, end) whose best price reaches a quote of the other side, or end.

    touch (m, 2): best price and size of the side that the quote takes from. sign: 1 where that side is the asks,
    -1 where it is the bids.
    """
    for row in range(start, end):
        # Asks reach a bid from above, bids an ask from below.
        if sign * (touch[row, 0] - quote) <= 0:
            return row
    return end


@jit
def first_reached_each(touch: Floats, sign: float, quote: Floats, start: Ints, end: Ints) -> Ints:
    """Return first_reached of each of these quotes, (n,)."""
    rows = np.empty(len(quote), dtype=np.int64)
    for row in range(len(quote)):
        rows[row] = first_reached(touch, sign, quote[row], start[row], end[row])
    return rows


@jit
def _is_touched(touch: Floats, sign: float, quote: float, start: int, end: int) -> bool:
    """Return whether the queue at a quote's price shrinks or goes in rows [start, end).

    touch (m, 2): best price and size of the quote's own side. sign: 1 where the other side is the asks.
    """
    for row in range(start, end):
        below_quote = sign * (touch[row, 0] - quote)
        # The best price is worse than the quote: its queue is gone.
        if below_quote < 0:
            return True
        # The quote's price is the best: the queue shrank, or a better price is gone and this one became the best.
        if (
            below_quote == 0
            and row
            and (sign * (touch[row, 0] - touch[row - 1, 0]) < 0 or touch[row, 1] < touch[row - 1, 1])
        ):
            return True
    return False


@jit
def _label_quotes(
    touch: Floats, quote: Floats, arrived_at: Ints, waits_from: Ints, waits_until: Ints
) -> tuple[Flags, Ints, Flags, Floats]:
    """Follow the quotes (n, 2) of both sides through the books they wait on.

    touch (2, m, 2): best price and size of the asks, then of the bids. arrived_at, waits_from, waits_until (n,):
    rows of books. Return, (n, 2) each: marketable on arrival; the row at which the quote is crossed, or waits_until;
    touched; the mid afterwards.
    """
    is_marketable = np.empty(quote.shape, dtype=np.bool_)
    crossed_at = np.empty(quote.shape, dtype=np.int64)
    touched = np.empty(quote.shape, dtype=np.bool_)
    mid_after = np.empty(quote.shape)
    for row in range(len(quote)):
        arrival, start, end = arrived_at[row], waits_from[row], waits_until[row]
        for side in range(2):
            # Side 0 bids and takes asks; side 1 offers and takes bids.
            sign, taken, own = 1.0 - 2.0 * side, touch[side], touch[1 - side]
            price = quote[row, side]
            is_late = sign * (taken[arrival, 0] - price) <= 0
            is_marketable[row, side] = is_late
            # A quote that takes on arrival is never crossed while waiting.
            crossed_at[row, side] = end if is_late else first_reached(taken, sign, price, start, end)
            touched[row, side] = _is_touched(own, sign, price, start, end)
            last = arrival if is_late else max(end - 1, 0)
            mid_after[row, side] = (touch[0, last, 0] + touch[1, last, 0]) / 2
    return is_marketable, crossed_at, touched, mid_after
