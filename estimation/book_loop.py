"""Observe and price many books in compiled loops: a backtest of one block is the live calculation, repeated."""

from __future__ import annotations

from estimation.features import observe_book, reset_market
from estimation.pricing import price_order
from estimation.realised import reset_tracker, track_book, track_order
from numerics.arrays import Flags, Ints, Records
from numerics.jit import jit
from orderbook import Levels


@jit
def observe_books(
    clock: Ints,
    bids: Levels,
    bid_starts: Ints,
    asks: Levels,
    ask_starts: Ints,
    fresh: Flags,
    first: int,
    last: int,
    market: Records,
    last_second: Records,
    states: Records,
) -> int:
    """Fill states[0:] from books first to last. Returns the book at which last_second was full, or last."""
    for book in range(first, last):
        if fresh[book]:
            reset_market(market)
        if not observe_book(
            bids,
            bid_starts[book],
            bid_starts[book + 1],
            asks,
            ask_starts[book],
            ask_starts[book + 1],
            clock[book],
            market,
            last_second,
            states,
            book - first,
        ):
            return book
    return last


@jit
def price_books(
    clock: Ints,
    bids: Levels,
    bid_starts: Ints,
    asks: Levels,
    ask_starts: Ints,
    fresh: Flags,
    first: int,
    last: int,
    exchange_ns: Ints,
    states: Records,
    models: Records,
    which: Ints,
    orders: Records,
    rows: Records,
    working: Records,
    trackers: Records,
    quotes: Records,
) -> int:
    """Fill rows[0:] with an order's cost on books first to last, and follow the books after them to the outcomes.

    which: the model of each book. Outcomes that lie in a gap or beyond the last book stay NaN. Returns the number of
    books priced: fewer than asked if a cost is no number there.
    """
    reset_tracker(trackers)
    terms = orders[0]
    buying = terms.sign > 0
    model = -1
    for book in range(first, len(clock)):
        b0, b1 = bid_starts[book], bid_starts[book + 1]
        a0, a1 = ask_starts[book], ask_starts[book + 1]
        tracker = trackers[0]
        if fresh[book] and book > first:
            if book >= last:
                break
            reset_tracker(trackers)
        closed = tracker.first
        track_book(bids, b0, b1, asks, a0, a1, clock[book], trackers, quotes)
        for place in range(closed, tracker.first):
            rows[quotes[place].row].realised_slippage_bps = quotes[place].realised_bps
            rows[quotes[place].row].realised_maker = quotes[place].maker
        if book >= last:
            if tracker.first == tracker.end:
                break
            continue
        into = book - first
        if which[into] != model:
            model = which[into]
            terms.mid = 0.0
        if buying:
            sound = price_order(
                asks, a0, a1, exchange_ns[into], states, into, models, model, orders, rows, into, working
            )
        else:
            sound = price_order(
                bids, b0, b1, exchange_ns[into], states, into, models, model, orders, rows, into, working
            )
        if not sound:
            return into
        track_order(bids, b0, b1, asks, a0, a1, rows, into, orders, trackers, quotes)
    return last - first
