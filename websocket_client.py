"""Keep feeds connected, each on a thread of its own, and share them among their subscribers."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from time import monotonic, perf_counter_ns
from typing import Any
from urllib.parse import urlsplit

from feeds import Feed, FeedError
from network.connection import Connection, Frame, RecordingEvent, Timings, checked_url
from network.http_client import HelperThreads
from network.reconnection import ConnectionFailover, first_error
from network.status import CallbackGuard, ConnectionState, FrameCounters, Status
from orderbook import BookError, OrderBook

logger = logging.getLogger(__name__)

Key = tuple[str, str]
OnBook = Callable[[OrderBook], None]
OnFrame = Callable[[str, int, str | bytes, str | None], None]
"""Called with the fields of a RecordingEvent: kind, market_ns, text, url."""


class WebSocketClient:
    """A daemon thread that keeps one feed connected. Call start() once, and stop() from any thread.

    Raises ValueError for an address that cannot be one.

    Args:
        url: A ws:// or wss:// address.
        make_feed: Makes a fresh feed for every connection.
        on_book: Gets the books on the client's thread. If it raises, this is counted and the feed goes on.
        on_frame: Gets all that a recording needs, each frame before it is parsed. It may raise, too.
        on_end: The last call on the thread.
        conflate: Whether to spare on_book the books that waited longer than conflate_s while newer frames are there.
            Every frame is parsed all the same.
        max_tries: Give up after this many failed tries in a row.
        name: The thread's name.
        **timings: Fields of network.connection.Timings.
    """

    def __init__(
        self,
        url: str,
        make_feed: Callable[[], Feed],
        on_book: OnBook,
        *,
        on_frame: OnFrame | None = None,
        on_end: Callable[[], None] = lambda: None,
        conflate: bool = True,
        max_tries: int = 5,
        name: str | None = None,
        **timings: float,
    ) -> None:
        self._url = checked_url(url)
        self._make_feed = make_feed
        self._on_book = on_book
        self._on_frame = on_frame
        self._on_end = on_end
        self._timings = Timings(**timings)
        self._patience_ns = self._timings.conflate_s * 1e9 if conflate else math.inf
        self._failover = ConnectionFailover(
            self._make_connection, self._pass_on, self._record_error, max_tries, self._timings
        )
        self._callbacks = CallbackGuard()
        self._thread = threading.Thread(target=self._run, name=name or f"feed {urlsplit(url).hostname}", daemon=True)
        # Reentrant, since a garbage collection under it may run a finaliser that stops this client.
        self._control = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._stopping = False
        self._resting_state: ConnectionState | None = "idle"  # None while the thread runs
        self._counters = FrameCounters()
        self._last_error: str | None = None

    def start(self) -> None:
        """Start the thread. Raises RuntimeError the second time: a client lives once."""
        with self._control:
            if self._resting_state != "idle":
                raise RuntimeError("a client is started once: make a new one")
            self._resting_state = None
            self._thread.start()

    def signal_stop(self) -> None:
        """Ask the thread to end; returns at once."""
        with self._control:
            if self._resting_state == "idle":
                self._resting_state = "stopped"
            is_first = not self._stopping
            self._stopping = True
            if is_first and self._main is not None:
                self.post(self._main.cancel)

    def stop(self, timeout_s: float = 2.0) -> None:
        """End the thread and wait for its end. From a callback, on the thread itself, it only signals."""
        self.signal_stop()
        self.join(timeout_s)

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread's end; return whether it has ended."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def post(self, function: Callable[[], object]) -> None:
        """Call a function on the client's thread, between two frames; do nothing if its loop does not run."""
        with self._control:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function)

    def resync(self, is_wanted: Callable[[], bool] = lambda: True) -> None:
        """Replace the connection by a fresh one with a fresh feed; books flow on meanwhile.

        is_wanted is called on the client's thread, just before.
        """

        def replace_if_wanted() -> None:
            if is_wanted():
                self._failover.replace_connection()

        self.post(replace_if_wanted)

    @property
    def status(self) -> Status:
        """What the client does now and has done so far, at one moment. Any thread may ask."""
        next_try_at_s = self._failover.next_try_at_s
        counts = self._counters.snapshot()
        return Status(
            **counts._asdict(),
            state=self._state(),
            reconnects=max(0, self._failover.n_connected - 1),
            attempt=self._failover.retry_policy.n_failures,
            next_try_s=None if next_try_at_s is None else max(0.0, next_try_at_s - monotonic()),
            last_error=self._last_error,
            callback_errors=self._callbacks.n_errors,
            callback_error=self._callbacks.last_error,
        )

    def _state(self) -> ConnectionState:
        if self._resting_state is not None:
            return self._resting_state
        serving = self._failover.serving
        if serving is not None and serving.is_stale:
            return "stale"
        if serving is not None and serving.has_book:
            return "live"
        is_first_try = self._failover.n_tries <= 1 and self._failover.next_try_at_s is None
        return "connecting" if is_first_try else "reconnecting"

    def _run(self) -> None:
        last_state: ConnectionState = "given up"
        try:
            asyncio.run(self._until_stopped())
            if self._stopping:
                last_state = "stopped"
        except BaseException as error:
            self._record_error(f"internal error: {first_error(error)!r}")
            raise
        finally:
            try:
                self._on_end()
            finally:
                self._resting_state = last_state
                logger.info("%s has ended: %s", self._thread.name, last_state)

    async def _until_stopped(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(HelperThreads())
        with self._control:
            self._loop = loop
            self._main = asyncio.current_task()
        try:
            if not self._stopping:
                await self._failover.run()
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            with self._control:
                self._loop = None

    def _make_connection(self) -> Connection:
        return Connection(self._url, self._make_feed(), self._handle_frame, self._failover.record_event, self._timings)

    def _record_error(self, reason: str) -> None:
        self._last_error = reason

    def _pass_on(self, event: RecordingEvent) -> None:
        if self._on_frame is not None:
            self._callbacks.call(self._on_frame, *event)

    def _handle_frame(self, connection: Connection, frame: Frame) -> None:
        """Record, parse and count a frame; deliver its book, or keep it while a newer one may follow."""
        if self._stopping:
            return
        if self._on_frame is not None:
            self._failover.record_event(
                connection, RecordingEvent(frame.kind, frame.market_ns, frame.message, frame.url)
            )
        book = self._parse(connection.feed, frame)
        waited_ns = perf_counter_ns() - frame.received_ns
        is_late = connection.has_newer_frame and (book is None or waited_ns > self._patience_ns)
        if book is not None:
            is_shown = self._failover.accept_book(connection, book)
            self._counters.add_book(frame.received_ns, is_delivered=is_shown and not is_late)
            if not is_shown:
                return
        elif connection.late_book is not None and not is_late:
            # The frames behind the book that was passed over brought no newer one, so it is the newest after all.
            book = connection.late_book
            self._counters.add_late_delivery()
        if book is not None:
            connection.late_book = book if is_late else None
            if not is_late:
                self._callbacks.call(self._on_book, book)

    def _parse(self, feed: Feed, frame: Frame) -> OrderBook | None:
        """Return the frame's book; count a frame without one as refused or ignored. Raises the feed's FeedError."""
        parse = feed.parse if frame.kind == "recv" else feed.apply_snapshot
        try:
            book = parse(frame.message, frame.received_ns, frame.market_ns)
        except (BookError, FeedError) as error:
            self._counters.add_refused()
            self._last_error = str(error)
            if isinstance(error, FeedError):
                raise
            return None
        if book is None:
            self._counters.add_ignored()
        return book


class FeedHub:
    """One client for each (venue, symbol) in the process, shared by its subscriptions and stopped after the last."""

    def __init__(self) -> None:
        self._opening = threading.Lock()  # two first subscribers open one source
        self.lock = threading.RLock()  # over the subscriptions; reentrant, since a finaliser may unsubscribe
        self.feeds: dict[Key, _SharedFeed] = {}

    def attach(
        self,
        key: Key,
        open_source: Callable[[], AbstractContextManager[str]],
        make_feed: Callable[[], Feed],
        on_book: OnBook,
        **client_options: Any,
    ) -> Subscription:
        """Subscribe to a feed. on_book is called on its thread, at once with the latest book if there is one.

        Args:
            key: The feed's (venue, symbol). The first subscriber's source, feed and options hold for all.
            open_source: Gives the address. It is entered here, and left as the last act on the client's thread.
                Its errors are raised here, and ValueError for an address that cannot be one.
            make_feed: Makes a fresh feed for every connection.
            on_book: Gets every book. Its errors are counted for this subscription alone.
            **client_options: Options of WebSocketClient.
        """
        with self._opening:
            with self.lock:
                shared = self.feeds.get(key)
                if shared is not None:
                    subscription = Subscription(shared, on_book)
            if shared is not None:
                shared.client.post(subscription.send_latest)
                return subscription
            with ExitStack() as source:
                url = source.enter_context(open_source())
                shared = _SharedFeed(self, key, url, make_feed, client_options)
                shared.source = source.pop_all()
            with self.lock:
                self.feeds[key] = shared
                subscription = Subscription(shared, on_book)
            shared.client.start()
            return subscription


class _SharedFeed:
    """One client, its source and its subscriptions; in the hub's table for as long as another one may join."""

    source: ExitStack

    def __init__(
        self, hub: FeedHub, key: Key, url: str, make_feed: Callable[[], Feed], options: dict[str, Any]
    ) -> None:
        self.hub = hub
        self.subscriptions: tuple[Subscription, ...] = ()
        self.latest: OrderBook | None = None
        self._key = key
        self.client = WebSocketClient(
            url,
            make_feed,
            self._publish,
            on_frame=self._pass_on,
            on_end=self._end,
            name=f"feed {' '.join(key)}",
            **options,
        )

    def close(self) -> None:
        """Remove this feed from the hub so that no new subscriber joins."""
        with self.hub.lock:
            if self.hub.feeds.get(self._key) is self:
                del self.hub.feeds[self._key]

    def _publish(self, book: OrderBook) -> None:
        self.latest = book
        for subscription in self.subscriptions:
            subscription.deliver(book)

    def _pass_on(self, kind: str, market_ns: int, text: str | bytes, url: str | None) -> None:
        for subscription in self.subscriptions:
            subscription.deliver_frame(kind, market_ns, text, url)

    def _end(self) -> None:
        self.close()
        self.source.close()


class Subscription:
    """One subscriber of a shared feed, until unsubscribe(). Errors of its callbacks concern no other subscriber."""

    def __init__(self, shared: _SharedFeed, on_book: OnBook) -> None:
        self._shared = shared
        self._on_book = on_book
        self._on_frame: OnFrame | None = None
        self._waits_for_connect = False  # a recording begins with the next connection
        self._has_received = False
        self._callbacks = CallbackGuard()
        with shared.hub.lock:
            shared.subscriptions = (*shared.subscriptions, self)

    @property
    def status(self) -> Status:
        """The status of the shared client, with this subscription's own callback errors."""
        return replace(
            self._shared.client.status,
            callback_errors=self._callbacks.n_errors,
            callback_error=self._callbacks.last_error,
        )

    def unsubscribe(self) -> None:
        """Get no more books. The last one to leave stops the client. It only signals: safe on any thread, any time."""
        shared = self._shared
        with shared.hub.lock:
            others = tuple(other for other in shared.subscriptions if other is not self)
            if others:
                shared.subscriptions = others
                return
            shared.close()
        shared.client.signal_stop()
        shared.subscriptions = ()  # not before, or a book that is read meanwhile would be delivered to nobody

    detach = unsubscribe
    """The name of this method in the documented seam."""

    def join(self, timeout_s: float = 2.0) -> bool:
        """Wait for the end of the client and of its source; return whether they have ended."""
        return self._shared.client.join(timeout_s)

    def record(self, on_frame: OnFrame | None, *, resync: bool = True) -> None:
        """Pass all that a recording needs to on_frame from now on; with None, stop that.

        A feed of changes can be replayed only from the start of a connection. So the recording begins with a fresh
        one, or with one that opens before that; books flow on meanwhile. resync=False begins at once, which is right
        where every message is a whole book.
        """
        self._on_frame = None
        self._waits_for_connect = resync
        self._on_frame = on_frame
        if on_frame is not None and resync:
            self._shared.client.resync(lambda: self._waits_for_connect)

    def send_latest(self) -> None:
        """Deliver the feed's latest book if none came since subscribing. On the client's thread."""
        if not self._has_received and self._shared.latest is not None:
            self.deliver(self._shared.latest)

    def deliver(self, book: OrderBook) -> None:
        """Hand a book to the subscriber. On the client's thread."""
        if self in self._shared.subscriptions:
            self._has_received = True
            self._callbacks.call(self._on_book, book)

    def deliver_frame(self, kind: str, market_ns: int, text: str | bytes, url: str | None) -> None:
        """Hand what a recording needs to the subscriber that records. On the client's thread."""
        on_frame = self._on_frame
        if on_frame is None:
            return
        if kind == "connect":
            self._waits_for_connect = False
        if not self._waits_for_connect:
            self._callbacks.call(on_frame, kind, market_ns, text, url)
