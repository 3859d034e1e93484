"""Wire one viewer's feed, calculator, profiler and histories together, from a market to the page."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from calculations import TradingCalculator
from estimation.estimate import Estimate
from estimation.order import Order
from export_manager import ExportManager
from feeds import VENUES, Feed
from network.status import Status
from orderbook import OrderBook
from profiling import SystemProfiler
from recording.player import Player
from recording.recorder import Recorder, new_path
from recording.replay_feed import ReplayFeed
from sessions.cost_history import CostHistory
from sessions.daily_volumes import DAILY_VOLUMES
from sessions.market import Market
from websocket_client import FeedHub, Subscription

NEW_BOOK_S = 0.015
"""A book up to this old is new: there is no need to wait for the next one."""
NEXT_BOOK_DUE_S = 0.15
"""An exchange that sends ten books a second owes the next one until the last is this old."""
STALE_S = 1.5
"""Prices this old are called old, and are not compared with live ones."""
LATE_BOOK_FACTOR = 1.5
"""Where books come slowly, the next one is late after this many times their usual distance."""


def parse_learned(content: bytes, market: Market) -> Any:
    """Parse a saved model state, for `Session.connect`. Raises ValueError if it does not belong to this market.

    Raises RecursionError for JSON that is nested too deeply.
    """
    learned = json.loads(content)
    if not isinstance(learned, dict):
        raise ValueError(
            "nothing had been learned when it was saved" if learned is None else "it is not a file of saved learning"
        )
    venue = learned.get("venue")
    symbol = learned.get("symbol")
    if (venue, symbol) != (market.venue, market.symbol):
        raise ValueError(f"it was learned on {venue} {symbol}, not on {market.venue} {market.symbol}")
    return learned


class PricedBook(NamedTuple):
    """A book and what the order would cost on it."""

    book: OrderBook
    estimate: Estimate


class Session:
    """One browser tab's market, order and results. Its book callback runs on the feed's thread.

    The page rebinds `order`, reads `latest` and waits for it; nothing else crosses between the threads unguarded.
    """

    def __init__(self, hub: FeedHub, order: Order) -> None:
        self._hub = hub
        self._subscription: Subscription | None = None
        self._calculator: TradingCalculator | None = None
        self._order = order
        self._feed: Feed | None = None
        self.market: Market | None = None
        self.player: Player | None = None
        """The playback controls, while the market is a recording."""
        self.recorder: Recorder | None = None
        """The recording being made, or the last one."""
        self.latest: PricedBook | None = None
        self._stale_s = STALE_S
        """The age from which the price of this market is old."""
        self._new_price = threading.Condition()
        self.profiler = SystemProfiler()
        self.history = ExportManager()
        self.cost_history = CostHistory()

    @property
    def calculator(self) -> TradingCalculator | None:
        """The calculator of the current market; None before the first one."""
        return self._calculator

    @property
    def status(self) -> Status | None:
        """The status of the connection; None while there is none."""
        return None if self._subscription is None else self._subscription.status

    @property
    def is_connected(self) -> bool:
        """Whether the session watches a feed, be it connected or still connecting."""
        return self._subscription is not None

    @property
    def has_feed(self) -> bool:
        """Whether prices come or are being waited for; False also after the client has given up."""
        status = self.status
        return status is not None and status.state not in ("given up", "stopped")

    @property
    def age_s(self) -> float | None:
        """How long ago the newest priced book was received; None before the first.

        Heartbeats and books that could not be priced do not reset it.
        """
        newest = self.latest
        return None if newest is None else (time.perf_counter_ns() - newest.estimate.stamps.received_ns) / 1e9

    @property
    def is_fresh(self) -> bool:
        """Whether the newest price is live: the connection is live and the book is no older than it may be.

        It may be STALE_S old; where the venue sends books more slowly, until the next one is late.
        """
        status = self.status
        age_s = self.age_s
        return status is not None and status.state == "live" and age_s is not None and age_s < self._stale_s

    @property
    def order(self) -> Order:
        """The order being priced."""
        return self._order

    @order.setter
    def order(self, order: Order) -> None:
        self._order = order
        if self._calculator is not None:
            self._calculator.order = order

    @property
    def ended(self) -> bool:
        """Whether a recording has been played to its end."""
        return isinstance(self._feed, ReplayFeed) and self._feed.ended

    def connect(self, market: Market, learned: Any = None) -> None:
        """Watch this market from now on, with a new model state.

        learned: the model state that calculator.learned() returned in another session of this market, to
        continue from. Raises LearnedError if that does not fit, ValueError for an invalid address or a file
        that is not a recording, OSError for a recording that cannot be opened.
        """
        self.disconnect()
        calculator = TradingCalculator(self._order, market.contract_size or math.nan)
        if learned is not None:
            calculator.resume(learned)
        # Asked for now, a live market's volume is mostly there before the first book.
        calculator.daily_volume = market.recorded_volume or DAILY_VOLUMES.find(market)
        self._calculator = calculator
        self.market = market
        self.latest = None
        self._feed = None
        self.cost_history = CostHistory()
        self.history.market = (market.venue, market.symbol)
        self.history.scorecard = calculator.scorecard
        if market.recording is not None:
            self.player = Player(market.recording, market.make_feed, market.max_bytes, market.opening)
        try:
            self._stale_s = max(STALE_S, LATE_BOOK_FACTOR * market.make_feed().book_interval_s)
            self.resume()
        except (ValueError, OSError):
            self.disconnect()
            raise

    def resume(self) -> None:
        """Connect again after a release; do nothing if connected, or disconnected by the user."""
        market = self.market
        calculator = self._calculator
        if self._subscription is not None or market is None or calculator is None:
            return
        # A recording or a typed address belongs to this tab alone; all tabs that watch a market share its feed.
        is_private = self.player is not None or market.address
        options: dict[str, Any] = {"min_reconnect_s": VENUES[market.venue].min_reconnect_s}
        if self.player is not None:
            # A recording may pause for as long as the user wants, must skip no book, and is on this machine.
            options = {"conflate": False, "first_book_s": math.inf, "min_reconnect_s": 0.0}
        self._subscription = self._hub.attach(
            (market.venue, f"{market.symbol} {id(self)}") if is_private else market.key,
            market.open if self.player is None else self.player.open,
            self._feed_factory(market),
            self._book_callback(market, calculator),
            **options,
        )
        if self.player is not None:
            self.player.survey.start()

    def wait_for_due_book(self) -> None:
        """Wait until the next book has been priced or is no longer due; return at once if none is due.

        Books come ten times a second and are drawn five times a second. Without this wait, the phase between the
        two would stay as it began, and every book could be drawn up to a tenth of a second late.
        """
        seen = self.latest
        age_s = self.age_s
        if age_s is not None and age_s > NEW_BOOK_S:
            with self._new_price:
                self._new_price.wait_for(lambda: self.latest is not seen, NEXT_BOOK_DUE_S - age_s)

    def start_recording(self, folder: Path) -> None:
        """Record every message of the feed, from a full book on, into a new file in this folder.

        The recording of a replay begins where the replayed recording does. Raises OSError if no file can be
        made, RuntimeError if nothing is connected.
        """
        if self._subscription is None or self.market is None:
            raise RuntimeError("there is no market to record")
        self.stop_recording()
        venue = self.market.venue
        symbol = self.market.symbol
        folder.mkdir(parents=True, exist_ok=True)
        volume = None if self._calculator is None else self._calculator.daily_volume
        facts = {} if volume is None else {"daily_volume": volume}
        recorder = Recorder(venue, symbol, self.market.recorded_facts() | facts)
        recorder.start(new_path(folder, venue, symbol, datetime.now(UTC)))
        self.recorder = recorder
        self._subscription.record(
            recorder.on_served_frame if self.market.has_envelope else recorder.on_frame,
            resync=self.player is not None or not self.market.make_feed().has_whole_books,
        )

    def stop_recording(self, wait_s: float = 1.0) -> None:
        """End the recording, if there is one, and wait at most this long for its file to be complete."""
        if self._subscription is not None:
            self._subscription.record(None)
        if self.recorder is not None:
            self.recorder.close(wait_s)

    def release(self) -> None:
        """Release the feed because the tab is closed. Safe on any thread, joins none.

        `resume` undoes it, except that a recording ends here.
        """
        self.stop_recording(wait_s=0)
        subscription = self._subscription
        self._subscription = None
        if subscription is not None:
            subscription.unsubscribe()
        if self.player is not None:
            self.player.survey.stop()

    def disconnect(self) -> None:
        """Release the feed because the user disconnects or chooses another market."""
        self.release()
        self.market = None
        self.player = None

    def _feed_factory(self, market: Market) -> Callable[[], Feed]:
        player = self.player

        def make() -> Feed:
            feed = market.make_feed()
            if player is not None:
                feed = ReplayFeed(feed, player.acknowledge_read)
            elif market.has_envelope:
                feed = ReplayFeed(feed)
            self._feed = feed
            return feed

        return make

    def _book_callback(self, market: Market, calculator: TradingCalculator) -> Callable[[OrderBook], None]:
        player = self.player
        is_live = market.is_at_venue

        def price(book: OrderBook) -> None:
            if book.venue != market.venue:  # a Tardis CSV names the market its own way
                book = replace(book, venue=market.venue, symbol=market.symbol)
            if is_live:
                calculator.daily_volume = DAILY_VOLUMES.find(market)
            estimate = calculator.estimate(book)
            if calculator is not self._calculator:  # a late book of the market before this one
                return
            self.profiler.record(estimate.stamps)
            self.history.append(estimate)
            self.cost_history.add(estimate.market_ns, estimate.net_cost_bps, estimate.order)
            self.latest = PricedBook(book, estimate)
            if player is not None:
                player.acknowledge_shown()
            with self._new_price:
                self._new_price.notify_all()
            self.history.realise(calculator.realised())  # after the page is told: realised costs can wait

        return price
