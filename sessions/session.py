"""One viewer's line from a market to the page: a feed, a calculator, a profiler and a history, wired together."""

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
from sessions.market import Market
from websocket_client import FeedHub, Subscription

NEW_S, DUE_S = 0.015, 0.15
"""A book not older than the first is new. The next, of an exchange that sends ten a second, is due until it is as old
as the second."""


STALE_S = 1.5
"""Prices this old are called old, and are not compared with live ones."""


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

    The page rebinds `order`, reads `latest` and waits for it; nothing else crosses between the threads unguarded.
    """

    def __init__(self, hub: FeedHub, order: Order) -> None:
        self._hub = hub
        self._viewer: Subscription | None = None
        self._calculator: TradingCalculator | None = None
        self._order = order
        self._feed: Feed | None = None
        self.market: Market | None = None
        self.player: Player | None = None
        """The buttons, while the market is a recording."""
        self.recorder: Recorder | None = None
        """The recording being made, or the last one."""
        self.latest: Shown | None = None
        self._came = threading.Condition()
        self.profiler = SystemProfiler()
        self.history = ExportManager()
        self.trail = CostHistory()

    @property
    def calculator(self) -> TradingCalculator | None:
        """The calculator at work, None before the first market."""
        return self._calculator

    @property
    def status(self) -> Status | None:
        """What the connection does; None while there is none."""
        return None if self._viewer is None else self._viewer.status

    @property
    def connected(self) -> bool:
        """Whether a feed is watched, or one is being reached for."""
        return self._viewer is not None

    @property
    def age_s(self) -> float | None:
        """How long ago the newest priced book was received; None before the first.

        Heartbeats and books that could not be priced leave it growing.
        """
        shown = self.latest
        return None if shown is None else (time.perf_counter_ns() - shown.estimate.stamps.received_ns) / 1e9

    @property
    def is_fresh(self) -> bool:
        """Whether the newest price may be called live: the connection is, and its book is younger than STALE_S."""
        status, age_s = self.status, self.age_s
        return status is not None and status.state == "live" and age_s is not None and age_s < STALE_S

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
        """Look at this market from now on; what was learned of another one is forgotten.

        learned: what calculator.learned() said in another session of this market, to go on from.
        Raises LearnedError if it does not fit, ValueError for an address that cannot be one or for a
        recording that is none, OSError for one that cannot be opened.
        """
        self.disconnect()
        calculator = TradingCalculator(self._order, market.contract_size or math.nan)
        if learned is not None:
            calculator.resume(learned)
        self._calculator, self.market, self.latest, self._feed = calculator, market, None, None
        self.trail = CostHistory()
        self.history.market = (market.venue, market.symbol)
        self.history.scorecard = calculator.scorecard
        if market.recording is not None:
            self.player = Player(market.recording, market.make_feed, market.max_bytes)
        try:
            self.resume()
        except (ValueError, OSError):
            self.disconnect()
            raise

    def resume(self) -> None:
        """Connect again after a release; nothing if connected, or disconnected by the user."""
        market, calculator = self.market, self._calculator
        if self._viewer is not None or market is None or calculator is None:
            return
        # A recording or a typed address belongs to this tab alone; a market is shared by all that watch it.
        alone = self.player is not None or market.address
        options: dict[str, Any] = {"min_reconnect_s": VENUES[market.venue].min_reconnect_s}
        if self.player is not None:
            # It waits for frames for as long as the user does, skips none however fast they come, and is near.
            options = {"conflate": False, "first_book_s": math.inf, "min_reconnect_s": 0.0}
        self._viewer = self._hub.attach(
            (market.venue, f"{market.symbol} {id(self)}" if alone else market.symbol),
            market.open if self.player is None else self.player.open,
            self._make_feed(market),
            self._on_book(market, calculator),
            **options,
        )
        if self.player is not None:
            self.player.survey.start()

    def await_due(self) -> None:
        """Return when the next book has been priced, or is due no longer; at once if none is due.

        Books that come ten times a second, drawn five times a second, would always be drawn as old as they were when
        the drawing's timer first met them: up to a tenth of a second for no reason.
        """
        seen, age_s = self.latest, self.age_s
        if age_s is not None and age_s > NEW_S:
            with self._came:
                self._came.wait_for(lambda: self.latest is not seen, DUE_S - age_s)

    def record(self, folder: Path) -> None:
        """Record all that the feed sends, from a whole book on, in a new file of this folder.

        The recording of a replay begins where the replayed recording does. Raises OSError where no file
        can be made, RuntimeError where nothing is connected.
        """
        if self._viewer is None or self.market is None:
            raise RuntimeError("there is no market to record")
        self.stop_recording()
        venue, symbol = self.market.venue, self.market.symbol
        folder.mkdir(parents=True, exist_ok=True)
        recorder = Recorder(venue, symbol)
        recorder.start(new_path(folder, venue, symbol, datetime.now(UTC)))
        self.recorder = recorder
        self._viewer.record(
            recorder.on_served_frame if self.market.in_envelope else recorder.on_frame,
            resync=self.player is not None or not self.market.make_feed().has_whole_books,
        )

    def stop_recording(self, wait_s: float = 1.0) -> None:
        """End the recording, waiting so long for its file to be whole; nothing if there is none."""
        if self._viewer is not None:
            self._viewer.record(None)
        if self.recorder is not None:
            self.recorder.close(wait_s)

    def release(self) -> None:
        """Let go of the feed because the page is gone; safe on any thread, joins nothing. `resume` undoes
        it, but for a recording, whose file ends here."""
        self.stop_recording(wait_s=0)
        viewer, self._viewer = self._viewer, None
        if viewer is not None:
            viewer.unsubscribe()
        if self.player is not None:
            self.player.survey.stop()

    def disconnect(self) -> None:
        """Let go of the feed because the user wants so."""
        self.release()
        self.market = self.player = None

    def _make_feed(self, market: Market) -> Callable[[], Feed]:
        player = self.player

        def make() -> Feed:
            feed = market.make_feed()
            if player is not None:
                feed = ReplayFeed(feed, player.read)
            elif market.in_envelope:
                feed = ReplayFeed(feed)
            self._feed = feed
            return feed

        return make

    def _on_book(self, market: Market, calculator: TradingCalculator) -> Callable[[OrderBook], None]:
        player = self.player

        def price(book: OrderBook) -> None:
            if book.venue != market.venue:  # a CSV has its maker's names for exchanges and symbols
                book = replace(book, venue=market.venue, symbol=market.symbol)
            estimate = calculator.estimate(book)
            if calculator is not self._calculator:  # a late book of the market looked at before
                return
            self.profiler.record(estimate.stamps)
            self.history.append(estimate)
            self.trail.add(estimate.market_ns, estimate.net_cost_bps, estimate.order)
            self.latest = Shown(book, estimate)
            if player is not None:
                player.shown()
            with self._came:
                self._came.notify_all()
            self.history.realise(calculator.realised())  # what became of earlier ones can wait

        return price
