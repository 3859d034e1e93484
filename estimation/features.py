"""What the models see of a book: the numbers of one moment, the same for a tick and for a block of ticks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from orderbook import OrderBook

SECOND_NS = 1_000_000_000
TOP_LEVELS = 10
"""Levels a side that features look at."""


class BookState(NamedTuple):
    """One book in numbers, before a side is chosen. Sizes in base units, prices in quote.

    flow is the order flow imbalance of the last second (Cont, Kukanov, Stoikov 2014, equation 3):
    what was added at the best bid and taken from the best ask, less the opposite. return_bps is the
    mid's move over the same second. depth and reach are of the top 10 levels of a side.
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
    """Turns books into moments; remembers one second of mids and order flow, and forgets on `reset`."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything: what came before a gap says nothing of what comes after."""
        self._touch: tuple[float, float, float, float] | None = None
        self._total_flow = 0.0
        self._last_second: deque[tuple[int, float, float]] = deque()

    def extract(self, book: OrderBook) -> BookState:
        """The moment of this book; books must come in the order of their market_ns."""
        bids, asks = book.bids[:TOP_LEVELS].ravel().tolist(), book.asks[:TOP_LEVELS].ravel().tolist()
        touch = bid, bid_size, ask, ask_size = bids[0], bids[1], asks[0], asks[1]
        mid = (bid + ask) / 2
        if self._touch is not None:
            self._total_flow += flow_increment(self._touch, touch)
        self._touch = touch
        past = self._last_second
        past.append((book.market_ns, mid, self._total_flow))
        second_ago = book.market_ns - SECOND_NS
        while len(past) > 1 and past[1][0] <= second_ago:
            past.popleft()
        _, mid_then, flow_then = past[0]
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
    """The order flow imbalance between two touches (bid, bid size, ask, ask size), base units.

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
    """What the models know of one order on one book; signed so that positive favours the aggressor's side.

    The slippage columns, then what the maker/taker columns add. `volatility_bps` is of one second;
    `queue` is what waits at the touch where a quote of this side would join.
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
        """The columns of SlippageModel's X."""
        return self[1:9]

    def maker_columns(self) -> tuple[float, ...]:
        """The columns of MakerTakerModel's X."""
        return (self.imbalance, self.flow, self.return_bps, self.log_queue, self.log_reach)


SLIPPAGE_COLUMNS = Features._fields[1:9]
MAKER_COLUMNS = ("imbalance", "flow", "return_bps", "log_queue", "log_reach")


def order_features(
    log: Callable[[Any], Any],
    sign: Any,
    moment: Any,
    depth: Any,
    queue: Any,
    quantity: Any,
    excess_walk_bps: Any,
    depth_1: Any,
    depth_10: Any,
    volatility_bps: Any,
    passive_s: float,
) -> Features:
    """The features of an order: floats with math.log, or arrays that broadcast with np.log.

    sign: of the aggressor. depth: of the top 10 levels it takes from. queue: at the touch where its quote
    would join. depth_1 and depth_10: the usual sizes at the touch and in the top 10 levels. Sizes in base units.
    """
    return Features(
        quantity,
        excess_walk_bps,
        moment.half_spread_bps,
        sign * moment.imbalance,
        sign * moment.flow / depth_1,
        sign * moment.return_bps,
        log(depth / depth_10),
        log(quantity / depth_10),
        volatility_bps,
        log(queue / depth_1),
        log(volatility_bps * passive_s**0.5 / (2 * moment.half_spread_bps)),
    )
