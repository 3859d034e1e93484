"""Observe and price one book, live, or many in compiled loops: a backtest is the live calculation, repeated."""

from __future__ import annotations

from estimation.features import observe_book, reset_market
from estimation.pricing import price_order
from estimation.realised import reset_tracker, track_book, track_order
from numerics.arrays import Flags, Ints, Records
from numerics.jit import jit, jit_holding_gil, live
from orderbook import Levels


@jit_holding_gil
def follow_book(
    bids: Levels,
    asks: Levels,
    market_ns: int,
    market: Records,
    last_second: Records,
    states: Records,
    row: int,
    trackers: Records,
    quotes: Records,
) -> int:
    """Fill states[row] from a book and show it to the open quotes; return how many it closes.

    Returns -1, with nothing done, if last_second or quotes has no room for one more.
    """
    tracker = trackers[0]
    if tracker.end == len(quotes):
        return -1
    if not observe_book(bids, 0, len(bids), asks, 0, len(asks), market_ns, market, last_second, states, row):
        return -1
    first = tracker.first
    track_book(bids, 0, len(bids), asks, 0, len(asks), market_ns, trackers, quotes)
    n_closed: int = tracker.first - first
    return n_closed


@jit_holding_gil
def price_book(
    bids: Levels,
    asks: Levels,
    exchange_ns: int,
    states: Records,
    at: int,
    models: Records,
    orders: Records,
    rows: Records,
    into: int,
    trackers: Records,
    quotes: Records,
) -> bool:
    """Fill rows[into] with what the order costs on a book whose state is states[at], and open a quote for it.

    The last of the rows is overwritten. No quote is opened where quotes has no room. Returns False if a cost is no
    number.
    """
    working = rows[len(rows) - 1 :]
    levels = asks if orders[0].sign > 0 else bids
    if not price_order(levels, 0, len(levels), exchange_ns, states, at, models, 0, orders, rows, into, working):
        return False
    track_order(bids, 0, len(bids), asks, 0, len(asks), rows, into, orders, trackers, quotes)
    return True


FOLLOW_BOOK = live(follow_book)
PRICE_BOOK = live(price_book)


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
