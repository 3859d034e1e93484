"""Extract the features that the models see: the state of a book, and the features of an order on it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from orderbook import OrderBook

SECOND_NS = 1_000_000_000
TOP_LEVELS = 10
"""Levels of each side that features are computed from."""


class BookState(NamedTuple):
    """One book in numbers, before a side is chosen. Sizes are in base units, prices in quote.

    bid_depth, ask_depth: sum of the sizes of the top 10 levels. reach: distance from the best price to the last of
    the top 10 levels, mean of both sides. imbalance: (bid - ask) / (bid + ask) of the sizes at the touch;
    imbalance_10: of the depths. flow: order flow imbalance of the last second (Cont, Kukanov, Stoikov 2014,
    equation 3): sizes added at the best bid and taken from the best ask, less the opposite. return_bps: the mid's
    move over the same second.
    """

    market_ns: int
    mid: float
    half_spread_bps: float
    bid: float
    ask: float
    bid_size: float
    ask_size: float
    bid_depth: float
    ask_depth: float
    reach: float
    imbalance: float
    imbalance_10: float
    flow: float
    return_bps: float


class FeatureExtractor:
    """Turns consecutive books into book states; remembers one second of mids and order flow until `reset`."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything: books before a gap say nothing about those after it."""
        self._touch: tuple[float, float, float, float] | None = None
        self._total_flow = 0.0
        self._last_second: deque[tuple[int, float, float]] = deque()

    def extract(self, book: OrderBook) -> BookState:
        """Return the state of this book. Books must come in the order of their market_ns."""
        # Plain floats: price, size, price, size ...; faster than arrays of ten.
        bids = book.bids[:TOP_LEVELS].ravel().tolist()
        asks = book.asks[:TOP_LEVELS].ravel().tolist()
        bid, bid_size = bids[:2]
        ask, ask_size = asks[:2]
        touch = (bid, bid_size, ask, ask_size)
        mid = (bid + ask) / 2
        if self._touch is not None:
            self._total_flow += flow_increment(self._touch, touch)
        self._touch = touch
        last_second = self._last_second
        last_second.append((book.market_ns, mid, self._total_flow))
        # The first entry stays the newest one that is at least a second old.
        second_ago_ns = book.market_ns - SECOND_NS
        while len(last_second) > 1 and last_second[1][0] <= second_ago_ns:
            last_second.popleft()
        _, mid_then, flow_then = last_second[0]
        bid_depth, ask_depth = 0.0, 0.0
        for size in bids[1::2]:
            bid_depth += size
        for size in asks[1::2]:
            ask_depth += size
        return BookState(
            book.market_ns,
            mid,
            (ask - bid) / (2 * mid) * 1e4,
            bid,
            ask,
            bid_size,
            ask_size,
            bid_depth,
            ask_depth,
            (asks[-2] - ask + bid - bids[-2]) / 2,
            (bid_size - ask_size) / (bid_size + ask_size),
            (bid_depth - ask_depth) / (bid_depth + ask_depth),
            self._total_flow - flow_then,
            (mid / mid_then - 1) * 1e4,
        )


def flow_increment(before: tuple[float, float, float, float], after: tuple[float, float, float, float]) -> float:
    """Return the order flow imbalance between two touches (bid, bid size, ask, ask size), base units.

    Positive is pressure to buy.

    >>> touches = [(100, 5, 100.2, 4), (100, 8, 100.2, 4), (100.1, 3, 100.2, 2), (100, 6, 100.1, 7)]
    >>> [flow_increment(a, b) for a, b in zip(touches, touches[1:])]
    [3.0, 5.0, -10.0]
    """
    bid_then, bid_size_then, ask_then, ask_size_then = before
    bid, bid_size, ask, ask_size = after
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


class Features(NamedTuple):
    """The models' features of one order on one book.

    imbalance, flow and return_bps are positive in the order's own direction: up for a buyer. quantity: base units.
    excess_walk_bps: the walk's average price beyond the best. log_depth: logarithm of the depth taken from, over the
    typical depth; log_size: of the quantity, over the typical depth; log_queue: of the size at the touch that the
    order's quote would join, over the typical size there; log_reach: of the volatility of the waiting time, over the
    bid-ask spread. volatility_bps: of one second's return.
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
        """Return a row of SlippageModel's X, in the order of SLIPPAGE_COLUMNS."""
        return self[1:9]

    def maker_columns(self) -> tuple[float, ...]:
        """Return a row of MakerTakerModel's X, in the order of MAKER_COLUMNS."""
        return (self.imbalance, self.flow, self.return_bps, self.log_queue, self.log_reach)


SLIPPAGE_COLUMNS = Features._fields[1:9]
MAKER_COLUMNS = ("imbalance", "flow", "return_bps", "log_queue", "log_reach")


def order_features(
    log: Callable[[Any], Any],
    sign: Any,
    book_state: Any,
    depth: Any,
    queue: Any,
    quantity: Any,
    excess_walk_bps: Any,
    depth_1: Any,
    depth_10: Any,
    volatility_bps: Any,
    passive_s: float,
) -> Features:
    """Return the features of an order: floats with math.log, or arrays that broadcast with np.log.

    All sizes are in base units.

    Args:
        log: the natural logarithm of a float or of an array.
        sign: 1 buys, -1 sells.
        book_state: a BookState of floats or of columns.
        depth: of the top 10 levels that the order takes from.
        queue: size at the touch that the order's quote would join.
        quantity: of the order.
        excess_walk_bps: the walk's average price beyond the best.
        depth_1: typical size at the touch.
        depth_10: typical depth of the top 10 levels.
        volatility_bps: of one second's return.
        passive_s: time that a quote waits.
    """
    return Features(
        quantity,
        excess_walk_bps,
        book_state.half_spread_bps,
        sign * book_state.imbalance,
        sign * book_state.flow / depth_1,
        sign * book_state.return_bps,
        log(depth / depth_10),
        log(quantity / depth_10),
        volatility_bps,
        log(queue / depth_1),
        log(volatility_bps * passive_s**0.5 / (2 * book_state.half_spread_bps)),
    )
