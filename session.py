"""One viewer's line from a market to the page: a feed, a calculator, a profiler and a history, wired together."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from calculations import Estimate, Order, TradingCalculator
from export_manager import ExportManager
from feeds import OKX, VENUES, Feed, FeedError
from orderbook import OrderBook
from profiling import SystemProfiler
from replay import ReplayFeed, serve, simulated
from rest import NetworkError, fetch
from websocket_client import FeedHub, Status, Viewer


@dataclass(frozen=True, slots=True)
class Market:
    """What to look at: a venue's symbol, at the venue's own address, at a typed one, or in a recording.

    replayed: a replay server answers at the typed address, not an exchange. speed is that of a
    recording: 1 as recorded, 0 as fast as it is taken. Raises ValueError for a symbol the venue
    cannot price.
    """

    venue: str
    symbol: str
    address: str = ""
    replayed: bool = False
    recording: Path | None = None
    speed: float = 1.0

    def __post_init__(self) -> None:
        VENUES[self.venue].make_feed(self.symbol)

    @property
    def in_envelope(self) -> bool:
        """Whether the frames come in the envelope of a recording, with their own clock."""
        return self.recording is not None or self.replayed or (self.venue == "simulated" and not self.address)

    @property
    def contract_size(self) -> float | None:
        """Base units a contract; None where nothing is counted in contracts of a fixed size."""
        try:
            size = VENUES[self.venue].contract_size(self.symbol)
        except ValueError:  # an inverse contract, whose base units follow the price
            return None
        return None if size == 1.0 and VENUES[self.venue].product(self.symbol) == "spot" else size

    def make_feed(self) -> Feed:
        """A fresh feed for this market."""
        feed = VENUES[self.venue].make_feed(self.symbol)
        return ReplayFeed(feed) if self.in_envelope else feed

    def open(self) -> AbstractContextManager[str]:
        """The market's address, served for as long as the context lasts where it is played here."""
        if self.recording is not None:
            return serve(self.recording, self.speed)
        if self.address:
            return nullcontext(self.address)
        if self.venue == "simulated":
            return serve(simulated(self.symbol))
        return nullcontext(VENUES[self.venue].url(self.symbol))


def learn_contract(symbol: str, timeout_s: float = 3.0) -> str | None:
    """Ask OKX what a contract of this symbol is, for all feeds made from now on; why not, if that failed.

    The few contracts known offline go on as they are known. Raises ValueError if this is no OKX symbol.
    """
    url = OKX.instruments_url(symbol)
    if url is None:
        return None
    try:
        OKX.learn(asyncio.run(fetch(url, timeout_s)))
    except (NetworkError, FeedError) as error:
        return f"OKX could not be asked what a contract is, so the value known here is used: {error}"
    return None


def learned_for(content: bytes, market: Market) -> Any:
    """What a saved file says was learned, if it is of this market. Raises ValueError, or RecursionError."""
    learned = json.loads(content)
    if not isinstance(learned, dict):
        raise ValueError("nothing had been learned when it was saved" if learned is None else "it is no saved learning")
    of = (learned.get("venue"), learned.get("symbol"))
    if of != (market.venue, market.symbol):
        raise ValueError(f"it was learned of {of[0]} {of[1]}, not of {market.venue} {market.symbol}")
    return learned


class Shown(NamedTuple):
    """The newest book and what the order would cost on it."""

    book: OrderBook
    estimate: Estimate


class Session:
    """Lives in one browser tab's state; its callback runs on the feed's thread.

    The page rebinds `order` and reads `latest`; nothing else crosses between the threads unguarded.
    """

    def __init__(self, hub: FeedHub, order: Order) -> None:
        self._hub = hub
        self._viewer: Viewer | None = None
        self._calculator: TradingCalculator | None = None
        self._order = order
        self._feed: Feed | None = None
        self.market: Market | None = None
        self.latest: Shown | None = None
        self.profiler = SystemProfiler()
        self.history = ExportManager()

    @property
    def calculator(self) -> TradingCalculator | None:
        """The calculator at work, None before the first market."""
        return self._calculator

    @property
    def status(self) -> Status | None:
        """What the connection does; None while there is none."""
        return None if self._viewer is None else self._viewer.status

    @property
    def order(self) -> Order:
        """The order being priced; a new one is priced at once, on the book that is there."""
        return self._order

    @order.setter
    def order(self, order: Order) -> None:
        if order == self._order:
            return
        self._order = order
        if self._calculator is not None:
            self._calculator.order = order
            self._price_again(self._calculator)

    @property
    def ended(self) -> bool:
        """Whether a recording has been played to its end."""
        return isinstance(self._feed, ReplayFeed) and self._feed.ended

    def connect(self, market: Market, learned: Any = None) -> None:
        """Look at this market from now on; what was learned of another one is forgotten.

        learned: what calculator.learned() said in another session of this market, to go on from.
        Raises LearnedError if it does not fit, ValueError for an address that cannot be one, OSError
        for a recording that cannot be opened.
        """
        self.disconnect()
        calculator = TradingCalculator(self._order, market.contract_size or math.nan)
        if learned is not None:
            calculator.resume(learned)
        self._calculator, self.market, self.latest, self._feed = calculator, market, None, None
        self.history.market = (market.venue, market.symbol)
        self.history.scorecard = calculator.scorecard
        self.resume()

    def resume(self) -> None:
        """Connect again after a release; nothing if connected, or disconnected by the user."""
        market, calculator = self.market, self._calculator
        if self._viewer is not None or market is None or calculator is None:
            return
        # A recording or a typed address belongs to this tab alone; a market is shared by all that watch it.
        alone = market.recording is not None or market.address
        key = (market.venue, f"{market.symbol} {id(self)}" if alone else market.symbol)
        self._viewer = self._hub.attach(
            key,
            market.open,
            self._make_feed(market),
            self._on_book(calculator),
            conflate=market.speed != 0,
            min_reconnect_s=VENUES[market.venue].min_reconnect_s,
        )

    def release(self) -> None:
        """Let go of the feed because the page is gone; safe on any thread, joins nothing. `resume` undoes it."""
        viewer, self._viewer = self._viewer, None
        if viewer is not None:
            viewer.detach()

    def disconnect(self) -> None:
        """Let go of the feed because the user wants so."""
        self.release()
        self.market = None

    def _make_feed(self, market: Market) -> Callable[[], Feed]:
        def make() -> Feed:
            feed = market.make_feed()
            self._feed = feed
            return feed

        return make

    def _on_book(self, calculator: TradingCalculator) -> Callable[[OrderBook], None]:
        def price(book: OrderBook) -> None:
            estimate = calculator.estimate(book)
            if calculator is not self._calculator:  # a late book of the market looked at before
                return
            self.profiler.record(estimate.stamps)
            self.history.append(estimate)
            self.history.realise(calculator.realised())
            self.latest = Shown(book, estimate)
            if estimate.order is not calculator.order:  # it was changed while this book was priced
                self._price_again(calculator)

        return price

    def _price_again(self, calculator: TradingCalculator) -> None:
        again = calculator.estimate_again()
        if again is not None:
            self.latest = Shown(*again)
