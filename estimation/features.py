"""Extract what the models see of a book, and of an order on that book (docs/models.md, sections 3 and 4)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from numerics.arrays import Record, Records, make_records
from numerics.jit import jit_holding_gil, live
from orderbook import Levels, OrderBook

SECOND_NS = 1_000_000_000
TOP_LEVELS = 10
"""Levels a side that features look at."""

BOOK_STATE = np.dtype(
    [
        ("market_ns", "i8"),
        *(
            (name, "f8")
            for name in (
                "mid",
                "half_spread_bps",
                "bid",
                "ask",
                "bid_size",
                "ask_size",
                "bid_depth",
                "ask_depth",
                "reach",
                "imbalance",
                "imbalance_10",
                "flow",
                "return_bps",
            )
        ),
    ]
)
"""One book in numbers, before a side is chosen. Sizes in base units, prices in quote.

flow is the order flow imbalance of the last second (Cont, Kukanov, Stoikov 2014, equation 3): what was added at the
best bid and taken from the best ask, less the opposite. return_bps is the mid's move over the same second. depth and
reach are of the top 10 levels of a side.
"""

LAST_SECOND = np.dtype([("market_ns", "i8"), ("mid", "f8"), ("flow", "f8")])
"""One book of the last second; flow: all order flow until then, base units."""

MARKET = np.dtype(
    [
        ("bid", "f8"),
        ("bid_size", "f8"),
        ("ask", "f8"),
        ("ask_size", "f8"),
        ("total_flow", "f8"),
        ("first", "i8"),
        ("end", "i8"),
    ]
)
"""What the next book is compared with: the touch and all flow so far; rows first to end of LAST_SECOND are in use."""


SLIPPAGE_COLUMNS = (
    "excess_walk_bps",
    "half_spread_bps",
    "imbalance",
    "flow",
    "return_bps",
    "log_depth",
    "log_size",
    "volatility_bps",
)
MAKER_COLUMNS = ("imbalance", "flow", "return_bps", "log_queue", "log_reach")


class Features(NamedTuple):
    """What the models know of one order on one book; signed so that positive favours the aggressor's side.

    The slippage columns, then what the maker/taker columns add. `volatility_bps` is of one second; log_queue is of
    what waits at the touch where a quote of this side would join.
    """

    quantity: float
    excess_walk_bps: float
    half_spread_bps: float
    imbalance: float
    flow: float
    return_bps: float
    log_depth: float
    log_size: float
    volatility_bps: float
    log_queue: float
    log_reach: float

    def slippage_columns(self) -> tuple[float, ...]:
        """Return the columns of SlippageModel's X."""
        return self[1:9]

    def maker_columns(self) -> tuple[float, ...]:
        """Return the columns of MakerTakerModel's X."""
        return (self.imbalance, self.flow, self.return_bps, self.log_queue, self.log_reach)


class FeatureExtractor:
    """Turns books into book states; remembers one second of mids and order flow, and forgets on `reset`.

    market, last_second: what it remembers, (1,) of MARKET and (n,) of LAST_SECOND.
    """

    def __init__(self) -> None:
        self.market: Records = np.zeros(1, MARKET)
        self.last_second: Records = np.zeros(64, LAST_SECOND)

    def reset(self) -> None:
        """Forget everything: what came before a gap says nothing of what comes after."""
        self.market[0]["first"] = self.market[0]["end"] = 0
        self.market[0]["total_flow"] = 0.0

    def observe(self, book: OrderBook) -> Records:
        """Return the state of the next book, (1,) of BOOK_STATE; books must come in the order of their market_ns."""
        bids, asks, market_ns = book.bids, book.asks, book.market_ns
        states = make_records(BOOK_STATE, 1)
        while not _LIVE_OBSERVE_BOOK.call(
            bids, 0, len(bids), asks, 0, len(asks), market_ns, self.market, self.last_second, states, 0
        ):
            self.make_room()
        return states

    def make_room(self) -> None:
        """Make room for the next book."""
        self.last_second = make_room(self.market, self.last_second)

    def extract(self, book: OrderBook) -> Any:
        """Return the state of the next book as a record whose numbers are its attributes."""
        return self.observe(book).view(np.recarray)[0]


def make_room(market: Records, last_second: Records) -> Records:
    """Return a buffer with free rows that holds the last second's rows; twice as long where most are in use."""
    first, end = int(market[0]["first"]), int(market[0]["end"])
    kept = last_second[first:end]
    room: Records = last_second if 2 * len(kept) <= len(last_second) else np.zeros(2 * len(last_second), LAST_SECOND)
    room[: len(kept)] = kept.copy()
    market[0]["first"], market[0]["end"] = 0, len(kept)
    return room


@jit_holding_gil
def reset_market(market: Records) -> None:
    """Forget everything: what came before a gap says nothing of what comes after."""
    market[0].total_flow = 0.0
    market[0].first = 0
    market[0].end = 0


@jit_holding_gil
def flow_increment(
    bid_then: float,
    bid_size_then: float,
    ask_then: float,
    ask_size_then: float,
    bid: float,
    bid_size: float,
    ask: float,
    ask_size: float,
) -> float:
    """Return the order flow imbalance between two touches, base units.

    >>> flow_increment(100, 5, 100.2, 4, 100, 8, 100.2, 4), flow_increment(100, 8, 100.2, 4, 100.1, 3, 100.2, 2)
    (3.0, 5.0)
    """
    flow = 0.0
    if bid >= bid_then:
        flow += bid_size
    if bid <= bid_then:
        flow -= bid_size_then
    if ask <= ask_then:
        flow -= ask_size
    if ask >= ask_then:
        flow += ask_size_then
    return flow


@jit_holding_gil
def observe_book(
    bids: Levels,
    bid_begin: int,
    bid_end: int,
    asks: Levels,
    ask_begin: int,
    ask_end: int,
    market_ns: int,
    market: Records,
    last_second: Records,
    states: Records,
    row: int,
) -> bool:
    """Fill states[row] from a book, and remember it for the books of the next second.

    Books must come in the order of their market_ns. Returns False, with nothing done, if last_second is full.
    """
    held = market[0]
    if held.end == len(last_second):
        return False
    bid = bids[bid_begin, 0]
    bid_size = bids[bid_begin, 1]
    ask = asks[ask_begin, 0]
    ask_size = asks[ask_begin, 1]
    mid = (bid + ask) / 2
    if held.end > held.first:
        held.total_flow += flow_increment(
            held.bid, held.bid_size, held.ask, held.ask_size, bid, bid_size, ask, ask_size
        )
    held.bid = bid
    held.bid_size = bid_size
    held.ask = ask
    held.ask_size = ask_size

    newest = last_second[held.end]
    newest.market_ns = market_ns
    newest.mid = mid
    newest.flow = held.total_flow
    held.end += 1
    # The book to compare with is the last one at least a second old; where none is, the oldest.
    second_ago = market_ns - SECOND_NS
    while held.first + 1 < held.end and last_second[held.first + 1].market_ns <= second_ago:
        held.first += 1
    then = last_second[held.first]

    bid_last = min(bid_begin + TOP_LEVELS, bid_end)
    ask_last = min(ask_begin + TOP_LEVELS, ask_end)
    bid_depth = 0.0
    for level in range(bid_begin, bid_last):
        bid_depth += bids[level, 1]
    ask_depth = 0.0
    for level in range(ask_begin, ask_last):
        ask_depth += asks[level, 1]

    state = states[row]
    state.market_ns = market_ns
    state.mid = mid
    state.half_spread_bps = (ask - bid) / (2 * mid) * 1e4
    state.bid = bid
    state.ask = ask
    state.bid_size = bid_size
    state.ask_size = ask_size
    state.bid_depth = bid_depth
    state.ask_depth = ask_depth
    state.reach = (asks[ask_last - 1, 0] - ask + bid - bids[bid_last - 1, 0]) / 2
    state.imbalance = (bid_size - ask_size) / (bid_size + ask_size)
    state.imbalance_10 = (bid_depth - ask_depth) / (bid_depth + ask_depth)
    state.flow = held.total_flow - then.flow
    state.return_bps = (mid / then.mid - 1) * 1e4
    return True


@jit_holding_gil
def order_features(
    sign: float,
    state: Record,
    depth_1: float,
    depth_10: float,
    volatility_bps: float,
    passive_s: float,
    quantity: float,
    excess_walk_bps: float,
) -> tuple[float, float, float, float, float, float, float, float, float, float]:
    """Return the features of an order: SLIPPAGE_COLUMNS, then log_queue and log_reach.

    Args:
        sign: 1 for an order that buys, -1 for one that sells.
        state: a record of BOOK_STATE.
        depth_1: the usual size at the touch, base units.
        depth_10: the usual size of the top 10 levels, base units.
        volatility_bps: standard deviation of one second's return.
        passive_s: how long the order's quote waits.
        quantity: base units.
        excess_walk_bps: average price that the order pays beyond the best one.
    """
    buying = sign > 0
    depth = state.ask_depth if buying else state.bid_depth
    queue = state.bid_size if buying else state.ask_size
    return (
        excess_walk_bps,
        state.half_spread_bps,
        sign * state.imbalance,
        sign * state.flow / depth_1,
        sign * state.return_bps,
        math.log(depth / depth_10),
        math.log(quantity / depth_10),
        volatility_bps,
        math.log(queue / depth_1),
        math.log(volatility_bps * math.sqrt(passive_s) / (2 * state.half_spread_bps)),
    )


_LIVE_OBSERVE_BOOK = live(observe_book)
