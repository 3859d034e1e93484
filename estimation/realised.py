"""What the user's own order really met: each estimate's outcome, seen on the books that came after it."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import NamedTuple, Protocol

from orderbook import OrderBook, Side, walk

MAX_UNREAD = 10_000
MAX_RECENT = 500


class RealisedOutcome(NamedTuple):
    """What an estimate said and what came of it; market_ns is the estimate's.

    realised_slippage_bps: of the mid at the decision; style "now" crosses on the first book at least
    latency_s later; "passive" is filled at its quote as far as realised_maker, and crosses with the rest
    when the time is up. None for a schedule, whose end nobody waits for, and where the book is too thin.
    realised_maker: the share of the order on offer at its quote when it was crossed in passive_s; 0 if it
    never was, or came too late to wait.
    """

    market_ns: int
    slippage_bps: float | None
    realised_slippage_bps: float | None
    maker_probability: float
    realised_maker: float


class TrackedOrder(Protocol):
    """What is looked at of an order."""

    @property
    def side(self) -> Side: ...
    @property
    def style(self) -> str: ...
    @property
    def latency_s(self) -> float: ...
    @property
    def passive_s(self) -> float: ...


class _Quote:
    """An order's quote at its own touch, waiting to be crossed."""

    __slots__ = (
        "arrives_ns",
        "crossing_bps",
        "expires_ns",
        "maker",
        "mid",
        "price",
        "quantity",
        "said",
        "side",
        "sign",
        "style",
    )

    def __init__(self, book: OrderBook, order: TrackedOrder, quantity: float, said: RealisedOutcome) -> None:
        self.said = said
        self.side = side = order.side
        self.sign = 1.0 if side is Side.BUY else -1.0
        self.style = order.style
        self.quantity = quantity
        self.mid = book.mid
        self.price = book.bids.item(0) if side is Side.BUY else book.asks.item(0)
        self.arrives_ns = book.market_ns + round(order.latency_s * 1e9)
        self.expires_ns = self.arrives_ns + round(order.passive_s * 1e9)
        self.maker: float | None = None
        self.crossing_bps: float | None = None


class RealisedCosts:
    """Holds each estimate until the books have shown its outcome; `recent` keeps the last 500."""

    def __init__(self) -> None:
        self.recent: deque[RealisedOutcome] = deque(maxlen=MAX_RECENT)
        self._unread: deque[RealisedOutcome] = deque(maxlen=MAX_UNREAD)
        self.reset()

    def reset(self) -> None:
        """Drop what waits: its outcome lies in a gap."""
        self._travelling: deque[_Quote] = deque()
        self._open: deque[_Quote] = deque()
        # The quote to be crossed first is on top: the highest bid, the lowest ask.
        self._waiting: dict[Side, list[tuple[float, int, _Quote]]] = {Side.BUY: [], Side.SELL: []}
        self._count = 0
        self._noted: tuple[OrderBook, TrackedOrder, float, float | None, float] | None = None

    def drain_outcomes(self) -> list[RealisedOutcome]:
        """The outcomes known since the last call, oldest first; the last 10,000 of them. Safe from any thread."""
        known = []
        while True:
            try:
                known.append(self._unread.popleft())
            except IndexError:
                return known

    def record_estimate(
        self,
        book: OrderBook,
        order: TrackedOrder,
        quantity: float,
        slippage_bps: float | None,
        maker_probability: float,
    ) -> None:
        """The next book, and what was said of an order decided on at it; costs nothing until `look`."""
        self._noted = book, order, quantity, slippage_bps, maker_probability

    def process_pending(self) -> None:
        """Look at the book noted last: what it shows of earlier orders, then the order decided on at it."""
        if self._noted is None:
            return
        (book, order, quantity, slippage_bps, maker_probability), self._noted = self._noted, None
        self._show(book)
        quote = _Quote(
            book, order, quantity, RealisedOutcome(book.market_ns, slippage_bps, None, maker_probability, 0.0)
        )
        self._open.append(quote)
        if order.latency_s:
            self._travelling.append(quote)
        else:
            self._arrive(quote, book)

    def _show(self, book: OrderBook) -> None:
        now = book.market_ns
        opened, travelling = self._open, self._travelling
        while travelling and travelling[0].arrives_ns <= now:
            self._arrive(travelling.popleft(), book)
        while opened and opened[0].expires_ns < now:
            self._close(opened.popleft(), book)
        for side, quotes in self._waiting.items():
            if not quotes:
                continue
            best = book.taken_by(side).item(0) * side.value
            while quotes and -quotes[0][0] >= best:
                quote = heappop(quotes)[2]
                if quote.maker is None:
                    quote.maker = min(1.0, _offered(book, side, quote.price) / quote.quantity)
            if len(quotes) > 2 * len(opened) + 64:  # mostly of quotes whose time is up
                quotes[:] = sorted(waiting for waiting in quotes if waiting[2].maker is None)

    def _arrive(self, quote: _Quote, book: OrderBook) -> None:
        late = quote.sign * (book.taken_by(quote.side).item(0) - quote.price) <= 0
        if quote.style == "now" or (late and quote.style == "passive"):
            quote.crossing_bps = _crossing_bps(book, quote, quote.quantity)
        if late:
            quote.maker = 0.0
        else:
            self._count += 1
            heappush(self._waiting[quote.side], (-quote.sign * quote.price, self._count, quote))

    def _close(self, quote: _Quote, book: OrderBook) -> None:
        maker = quote.maker or 0.0
        quote.maker = maker
        slippage = quote.crossing_bps
        if quote.style == "passive" and slippage is None:
            at_quote = quote.sign * (quote.price - quote.mid) / quote.mid * 1e4
            if maker == 1:
                slippage = at_quote
            else:
                rest = _crossing_bps(book, quote, (1 - maker) * quote.quantity)
                slippage = None if rest is None else maker * at_quote + (1 - maker) * rest
        known = quote.said._replace(realised_slippage_bps=slippage, realised_maker=maker)
        self.recent.append(known)
        self._unread.append(known)


def _crossing_bps(book: OrderBook, quote: _Quote, quantity: float) -> float | None:
    fill = walk(book.taken_by(quote.side), quantity)
    return None if fill.unfilled else quote.sign * (fill.vwap - quote.mid) / quote.mid * 1e4


def _offered(book: OrderBook, side: Side, price: float) -> float:
    """What the other side of a quote offers at its price or better, base units."""
    volume = 0.0
    levels = book.taken_by(side)
    for start in range(0, len(levels), 16):
        for level, size in levels[start : start + 16].tolist():
            if side.value * (level - price) > 0:
                return volume
            volume += size
    return volume
