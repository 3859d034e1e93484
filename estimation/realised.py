"""Track what the user's own orders would really have cost, on the books that came after each estimate."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import NamedTuple, Protocol

from estimation.features import SECOND_NS
from orderbook import OrderBook, Side, walk

MAX_UNREAD = 10_000
"""Outcomes kept until they are drained; the oldest are dropped."""

MAX_RECENT = 500


class RealisedOutcome(NamedTuple):
    """An estimate and its outcome; market_ns is the estimate's.

    realised_slippage_bps: bps of the mid at the decision. Style "now" crosses on the first book at least latency_s
    later. Style "passive" fills at its quote as far as realised_maker, and crosses with the rest when the time is up.
    None for a schedule, whose end is not waited for, and where the book is too thin.
    realised_maker: the share of the order offered at its quote when it was crossed within passive_s; 0 if it never
    was, or if it was marketable on arrival.
    """

    market_ns: int
    slippage_bps: float | None
    realised_slippage_bps: float | None
    maker_probability: float
    realised_maker: float


class TrackedOrder(Protocol):
    """The order attributes that outcome tracking reads."""

    @property
    def side(self) -> Side: ...
    @property
    def style(self) -> str: ...
    @property
    def latency_s(self) -> float: ...
    @property
    def passive_s(self) -> float: ...


class _Quote:
    """An order's quote at the touch of its own side, and what became of it so far.

    maker: the share filled at the quote; None while it waits. crossing_bps: slippage of the whole order if it
    crosses on arrival; None otherwise, or where the book is too thin.
    """

    __slots__ = (
        "arrives_ns",
        "crossing_bps",
        "expires_ns",
        "maker",
        "mid",
        "outcome",
        "price",
        "quantity",
        "side",
        "sign",
        "style",
    )

    def __init__(self, book: OrderBook, order: TrackedOrder, quantity: float, outcome: RealisedOutcome) -> None:
        self.outcome = outcome
        self.side = order.side
        self.sign = order.side.value
        self.style = order.style
        self.quantity = quantity
        self.mid = book.mid
        self.price = book.bids.item(0) if order.side is Side.BUY else book.asks.item(0)
        self.arrives_ns = book.market_ns + round(order.latency_s * SECOND_NS)
        self.expires_ns = self.arrives_ns + round(order.passive_s * SECOND_NS)
        self.maker: float | None = None
        self.crossing_bps: float | None = None


class RealisedCosts:
    """Keeps each estimate until the books have shown its outcome; `recent` holds the last 500 outcomes."""

    def __init__(self) -> None:
        self.recent: deque[RealisedOutcome] = deque(maxlen=MAX_RECENT)
        self._undrained: deque[RealisedOutcome] = deque(maxlen=MAX_UNREAD)
        self.reset()

    def reset(self) -> None:
        """Drop every estimate without an outcome, after a gap."""
        self._travelling: deque[_Quote] = deque()
        self._open: deque[_Quote] = deque()
        # Heaps: the quote that is crossed first is on top, the highest bid or the lowest ask.
        self._waiting: dict[Side, list[tuple[float, int, _Quote]]] = {Side.BUY: [], Side.SELL: []}
        self._n_arrived = 0
        self._pending: tuple[OrderBook, TrackedOrder, float, float | None, float] | None = None

    def drain_outcomes(self) -> list[RealisedOutcome]:
        """Return the outcomes since the last call, oldest first; at most the last 10,000. Safe from any thread."""
        outcomes = []
        while True:
            try:
                outcomes.append(self._undrained.popleft())
            except IndexError:
                return outcomes

    def record_estimate(
        self,
        book: OrderBook,
        order: TrackedOrder,
        quantity: float,
        slippage_bps: float | None,
        maker_probability: float,
    ) -> None:
        """Record an estimate on the next book; nothing is computed until `process_pending`.

        Args:
            book: the book that the order was decided on.
            order: the order.
            quantity: of the order, base units.
            slippage_bps: estimated slippage; None where the book is too thin.
            maker_probability: estimated share that a quote would fill.
        """
        self._pending = book, order, quantity, slippage_bps, maker_probability

    def process_pending(self) -> None:
        """Process the recorded book: what it shows of earlier orders, then the order decided on at it."""
        if self._pending is None:
            return
        book, order, quantity, slippage_bps, maker_probability = self._pending
        self._pending = None
        self._process_book(book)
        outcome = RealisedOutcome(book.market_ns, slippage_bps, None, maker_probability, 0.0)
        quote = _Quote(book, order, quantity, outcome)
        self._open.append(quote)
        if order.latency_s:
            self._travelling.append(quote)
        else:
            self._arrive(quote, book)

    def _process_book(self, book: OrderBook) -> None:
        """Let quotes arrive, expire and be crossed on this book, in that order."""
        market_ns = book.market_ns
        opened, travelling = self._open, self._travelling
        while travelling and travelling[0].arrives_ns <= market_ns:
            self._arrive(travelling.popleft(), book)
        while opened and opened[0].expires_ns < market_ns:
            self._close(opened.popleft(), book)
        for side, quotes in self._waiting.items():
            if not quotes:
                continue
            best = book.taken_by(side).item(0) * side.value
            while quotes and -quotes[0][0] >= best:
                quote = heappop(quotes)[2]
                # An expired quote stays in the heap, with its share decided.
                if quote.maker is None:
                    quote.maker = min(1.0, _quantity_offered(book, side, quote.price) / quote.quantity)
            if len(quotes) > 2 * len(opened) + 64:  # most of these quotes have expired
                quotes[:] = sorted(waiting for waiting in quotes if waiting[2].maker is None)

    def _arrive(self, quote: _Quote, book: OrderBook) -> None:
        """Decide on the first book after the latency whether a quote takes or waits."""
        late = quote.sign * (book.taken_by(quote.side).item(0) - quote.price) <= 0
        if quote.style == "now" or (late and quote.style == "passive"):
            quote.crossing_bps = _crossing_bps(book, quote, quote.quantity)
        if late:
            quote.maker = 0.0
        else:
            self._n_arrived += 1
            heappush(self._waiting[quote.side], (-quote.sign * quote.price, self._n_arrived, quote))

    def _close(self, quote: _Quote, book: OrderBook) -> None:
        """Record the outcome of an order whose time is up; what a passive one lacks crosses on this book."""
        maker = quote.maker or 0.0
        quote.maker = maker
        slippage_bps = quote.crossing_bps
        if quote.style == "passive" and slippage_bps is None:
            quote_bps = quote.sign * (quote.price - quote.mid) / quote.mid * 1e4
            if maker == 1:
                slippage_bps = quote_bps
            else:
                rest_bps = _crossing_bps(book, quote, (1 - maker) * quote.quantity)
                slippage_bps = None if rest_bps is None else maker * quote_bps + (1 - maker) * rest_bps
        outcome = quote.outcome._replace(realised_slippage_bps=slippage_bps, realised_maker=maker)
        self.recent.append(outcome)
        self._undrained.append(outcome)


def _crossing_bps(book: OrderBook, quote: _Quote, quantity: float) -> float | None:
    """Return the slippage of crossing this book with a quantity, bps of the decision's mid; None if too thin."""
    fill = walk(book.taken_by(quote.side), quantity)
    return None if fill.unfilled else quote.sign * (fill.vwap - quote.mid) / quote.mid * 1e4


def _quantity_offered(book: OrderBook, side: Side, price: float) -> float:
    """Return what the other side of a quote offers at its price or better, base units."""
    quantity = 0.0
    levels = book.taken_by(side)
    for start in range(0, len(levels), 16):
        for level, size in levels[start : start + 16].tolist():
            if side.value * (level - price) > 0:
                return quantity
            quantity += size
    return quantity
