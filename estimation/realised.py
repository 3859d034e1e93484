"""Track what each priced order really met on the books that came after it (docs/models.md, section 5)."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

import numpy as np

from estimation.order_terms import NOW, PASSIVE
from numerics.arrays import Floats, Record, Records
from numerics.jit import jit_holding_gil
from orderbook import Levels
from orderbook.walking import quantity_at_or_better, walk_levels

MAX_UNREAD = 10_000
MAX_RECENT = 500

QUOTE = np.dtype(
    [
        *((name, "i8") for name in ("decided_ns", "arrives_ns", "expires_ns", "style", "row")),
        *((name, "f8") for name in ("sign", "price", "mid", "quantity", "crossing_bps")),
        *((name, "f8") for name in ("slippage_bps", "realised_bps", "maker_probability", "maker")),  # the outcome
        ("late", "?"),
    ],
    align=True,
)
"""An order's quote at its own touch. crossing_bps: what crossing on arrival cost, NaN if it did not or could not;
maker: the share that was on offer when the quote was crossed, NaN while it waits."""

TRACKER = np.dtype([("first", "i8"), ("travelling", "i8"), ("end", "i8"), ("highest_bid", "f8"), ("lowest_ask", "f8")])
"""Quotes first to end are open, those from travelling on have not arrived; the best prices of those that wait."""

NO_QUOTES: tuple[Records, Records] = np.zeros(1, TRACKER), np.zeros(0, QUOTE)
"""Trackers and quotes for a price that nobody follows to its outcome."""


class RealisedOutcome(NamedTuple):
    """What an estimate said and what came of it; market_ns is the estimate's.

    realised_slippage_bps: of the mid at the decision; style "now" crosses on the first book at least latency_s later;
    "passive" is filled at its quote as far as realised_maker, and crosses with the rest when the time is up. None for
    a schedule, whose end nobody waits for, and where the book is too thin. realised_maker: the share of the order on
    offer at its quote when it was crossed in passive_s; 0 if it never was, or came too late to wait.
    """

    market_ns: int
    slippage_bps: float | None
    realised_slippage_bps: float | None
    maker_probability: float
    realised_maker: float


@jit_holding_gil
def reset_tracker(trackers: Records) -> None:
    """Drop all open quotes: their outcome lies in a gap."""
    tracker = trackers[0]
    tracker.first = 0
    tracker.travelling = 0
    tracker.end = 0
    tracker.highest_bid = -math.inf
    tracker.lowest_ask = math.inf


@jit_holding_gil
def crossing_bps(levels: Levels, begin: int, end: int, quote: Record, quantity: float) -> float:
    """Return what crossing with `quantity` costs against the mid at the decision, bps; NaN if the book is too thin."""
    filled, excess, _, _ = walk_levels(levels, begin, end, quantity)
    if filled < quantity:
        return math.nan
    paid_bps: float = quote.sign * (levels[begin, 0] + excess / filled - quote.mid) / quote.mid * 1e4
    return paid_bps


@jit_holding_gil
def arrive(quote: Record, tracker: Record, levels: Levels, begin: int, end: int) -> None:
    """Let an order meet its first book: it crosses, or its quote begins to wait."""
    quote.late = quote.sign * (levels[begin, 0] - quote.price) <= 0
    if quote.style == NOW or (quote.late and quote.style == PASSIVE):
        quote.crossing_bps = crossing_bps(levels, begin, end, quote, quote.quantity)
    if quote.late:
        quote.maker = 0.0
    elif quote.sign > 0:
        tracker.highest_bid = max(tracker.highest_bid, quote.price)
    else:
        tracker.lowest_ask = min(tracker.lowest_ask, quote.price)


@jit_holding_gil
def close(quote: Record, levels: Levels, begin: int, end: int) -> None:
    """Settle an order whose time is up: what did not fill crosses on this book."""
    if math.isnan(quote.maker):
        quote.maker = 0.0
    quote.realised_bps = math.nan
    if quote.style == NOW or (quote.late and quote.style == PASSIVE):
        quote.realised_bps = quote.crossing_bps
    elif quote.style == PASSIVE:
        at_quote = quote.sign * (quote.price - quote.mid) / quote.mid * 1e4
        if quote.maker == 1:
            quote.realised_bps = at_quote
        else:
            rest = crossing_bps(levels, begin, end, quote, (1 - quote.maker) * quote.quantity)
            quote.realised_bps = quote.maker * at_quote + (1 - quote.maker) * rest


@jit_holding_gil
def cross_quotes(
    bids: Levels,
    bid_begin: int,
    bid_end: int,
    asks: Levels,
    ask_begin: int,
    ask_end: int,
    tracker: Record,
    quotes: Records,
) -> None:
    """Fill the waiting quotes that this book reaches, and find the best prices of the others."""
    best_ask = asks[ask_begin, 0]
    best_bid = bids[bid_begin, 0]
    tracker.highest_bid = -math.inf
    tracker.lowest_ask = math.inf
    for place in range(tracker.first, tracker.travelling):
        quote = quotes[place]
        if not math.isnan(quote.maker):
            continue
        if quote.sign > 0 and best_ask <= quote.price:
            on_offer = quantity_at_or_better(asks, ask_begin, ask_end, 1.0, quote.price)
            quote.maker = min(1.0, on_offer / quote.quantity)
        elif quote.sign > 0:
            tracker.highest_bid = max(tracker.highest_bid, quote.price)
        elif best_bid >= quote.price:
            on_offer = quantity_at_or_better(bids, bid_begin, bid_end, -1.0, quote.price)
            quote.maker = min(1.0, on_offer / quote.quantity)
        else:
            tracker.lowest_ask = min(tracker.lowest_ask, quote.price)


@jit_holding_gil
def track_book(
    bids: Levels,
    bid_begin: int,
    bid_end: int,
    asks: Levels,
    ask_begin: int,
    ask_end: int,
    market_ns: int,
    trackers: Records,
    quotes: Records,
) -> None:
    """Show a book to the open quotes: they arrive, time out, or are crossed. Closed ones lie before tracker.first."""
    tracker = trackers[0]
    while tracker.travelling < tracker.end and quotes[tracker.travelling].arrives_ns <= market_ns:
        quote = quotes[tracker.travelling]
        if quote.sign > 0:
            arrive(quote, tracker, asks, ask_begin, ask_end)
        else:
            arrive(quote, tracker, bids, bid_begin, bid_end)
        tracker.travelling += 1
    while tracker.first < tracker.travelling and quotes[tracker.first].expires_ns < market_ns:
        quote = quotes[tracker.first]
        if quote.sign > 0:
            close(quote, asks, ask_begin, ask_end)
        else:
            close(quote, bids, bid_begin, bid_end)
        tracker.first += 1
    # The best waiting prices tell whether this book reaches any quote. It seldom does, and only then all are asked.
    if asks[ask_begin, 0] <= tracker.highest_bid or bids[bid_begin, 0] >= tracker.lowest_ask:
        cross_quotes(bids, bid_begin, bid_end, asks, ask_begin, ask_end, tracker, quotes)


@jit_holding_gil
def track_order(
    bids: Levels,
    bid_begin: int,
    bid_end: int,
    asks: Levels,
    ask_begin: int,
    ask_end: int,
    rows: Records,
    into: int,
    orders: Records,
    trackers: Records,
    quotes: Records,
) -> bool:
    """Open a quote for the order that rows[into] prices; return False, with nothing done, if quotes is full."""
    tracker = trackers[0]
    if tracker.end == len(quotes):
        return False
    row = rows[into]
    terms = orders[0]
    quote = quotes[tracker.end]
    quote.decided_ns = row.market_ns
    quote.arrives_ns = row.market_ns + round(terms.latency_s * 1e9)
    quote.expires_ns = quote.arrives_ns + round(terms.passive_s * 1e9)
    quote.style = terms.style
    quote.row = into
    quote.sign = terms.sign
    quote.price = bids[bid_begin, 0] if terms.sign > 0 else asks[ask_begin, 0]
    quote.mid = row.mid
    quote.quantity = row.quantity_base
    quote.slippage_bps = row.slippage_bps
    quote.maker_probability = row.maker_probability
    quote.late = False
    quote.crossing_bps = math.nan
    quote.maker = math.nan
    tracker.end += 1
    if terms.latency_s == 0:
        if terms.sign > 0:
            arrive(quote, tracker, asks, ask_begin, ask_end)
        else:
            arrive(quote, tracker, bids, bid_begin, bid_end)
        tracker.travelling += 1
    return True


class RealisedCosts:
    """Keeps the open quotes of live estimates until the books have shown their outcomes; `recent` has the last 500.

    trackers, quotes: the open quotes, (1,) of TRACKER and (n,) of QUOTE.
    """

    def __init__(self) -> None:
        self.recent: deque[RealisedOutcome] = deque(maxlen=MAX_RECENT)
        self._unread: deque[RealisedOutcome] = deque(maxlen=MAX_UNREAD)
        self.trackers: Records = np.zeros(1, TRACKER)
        self._set_quotes(np.zeros(64, QUOTE))
        self.reset()

    def _set_quotes(self, quotes: Records) -> None:
        self.quotes = quotes
        # What an outcome is made of, of all quotes: a field of a record takes five times as long to read.
        self._decided_ns = quotes["decided_ns"]
        place, row = QUOTE.fields["slippage_bps"][1], QUOTE.itemsize  # type: ignore[index] # it has fields
        self._outcomes: Floats = np.ndarray((len(quotes), 4), np.float64, quotes, place, (row, 8))

    def reset(self) -> None:
        """Drop what waits: its outcome lies in a gap."""
        self.trackers[0] = (0, 0, 0, -math.inf, math.inf)
        self._first = 0  # of the open quotes, as the tracker counts them

    def drain_outcomes(self) -> list[RealisedOutcome]:
        """Return the outcomes known since the last call, oldest first; the last 10,000. Safe from any thread."""
        outcomes = []
        unread = self._unread
        while unread:
            try:
                outcomes.append(unread.popleft())
            except IndexError:  # another thread was faster
                break
        return outcomes

    def publish(self, n_closed: int) -> None:
        """Publish the outcomes of the oldest n_closed of the open quotes, which the newest book has closed."""
        first = self._first
        self._first = first + n_closed
        for place in range(first, first + n_closed):
            said_bps, realised_bps, probability, maker = self._outcomes[place].tolist()
            outcome = RealisedOutcome(
                self._decided_ns.item(place),
                None if math.isnan(said_bps) else said_bps,
                None if math.isnan(realised_bps) else realised_bps,
                probability,
                maker,
            )
            self.recent.append(outcome)
            self._unread.append(outcome)

    def make_room(self) -> None:
        """Move the open quotes to the front, into twice the room where most of it is in use."""
        tracker = self.trackers[0]
        first, end = int(tracker["first"]), int(tracker["end"])
        kept = self.quotes[first:end].copy()
        if 2 * len(kept) > len(self.quotes):
            self._set_quotes(np.zeros(2 * len(self.quotes), QUOTE))
        self.quotes[: len(kept)] = kept
        tracker["travelling"] -= first
        tracker["first"], tracker["end"] = 0, len(kept)
        self._first = 0
