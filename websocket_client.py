"""The client: a named daemon thread that keeps one feed connected; and the hub, where viewers share clients."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from time import monotonic, perf_counter_ns
from typing import Any
from urllib.parse import urlsplit

from feeds import Feed, FeedError
from network.connection import Connection, Frame, Note, Timings, checked_url
from network.http_client import HelperThreads
from network.reconnection import ConnectionFailover
from network.status import CallbackGuard, ConnectionState, Status
from orderbook import BookError, OrderBook

Key = tuple[str, str]
OnBook = Callable[[OrderBook], None]
OnFrame = Callable[[str, int, str | bytes, str | None], None]
"""on_frame(kind, market_ns, text, url): kind is "connect", "send", "recv" or "http"; connect and http have a url."""


class WebSocketClient:
    """One feed on one address: start() once, stop() from anywhere.

    on_book gets the books on the client's thread; with `conflate` it is spared those that waited
    longer than conflate_s while newer frames are there (every frame is parsed all the same).
    on_frame gets all that a recording needs, each frame before it is parsed. Either may raise: that
    is counted and the feed goes on. on_end is the thread's last act. timings are the fields of
    network.connection.Timings. Raises ValueError for an address that cannot be one.
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
        self._succession = ConnectionFailover(self._connection, self._pass_on, self._complain, max_tries, self._timings)
        self._callbacks = CallbackGuard()
        self._thread = threading.Thread(target=self._run, name=name or f"feed {urlsplit(url).hostname}", daemon=True)
        # Reentrant, since a garbage collection under it may run a finaliser that stops this client.
        self._control = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._stopping = False
        self._resting: ConnectionState | None = "idle"
        self._lock = threading.Lock()  # over the counts that a reader adds up
        self._books = self._handed = self._refused = self._ignored = 0
        self._book_ns: int | None = None
        self._last_error: str | None = None

    def start(self) -> None:
        """Start the thread. A client lives once: RuntimeError the second time."""
        with self._control:
            if self._resting != "idle":
                raise RuntimeError("a client is started once: make a new one")
            self._resting = None
            self._thread.start()

    def signal_stop(self) -> None:
        """Ask the thread to end; returns at once."""
        with self._control:
            if self._resting == "idle":
                self._resting = "stopped"
            first, self._stopping = not self._stopping, True
            if first and self._main is not None:
                self.post(self._main.cancel)

    def stop(self, timeout_s: float = 2.0) -> None:
        """End the thread and wait for that; called from the thread itself, by a callback, it only signals."""
        self.signal_stop()
        self.join(timeout_s)

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread's end; whether it has ended."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def post(self, function: Callable[[], object]) -> None:
        """Have a function called on the client's thread, between two frames; nothing if its loop does not run."""
        with self._control:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function)

    def resync(self, is_wanted: Callable[[], bool] = lambda: True) -> None:
        """Have a fresh connection with a fresh feed take over; books flow on meanwhile.

        is_wanted is asked on the client's thread, just before.
        """

        def renew() -> None:
            if is_wanted():
                self._succession.replace_connection()

        self.post(renew)

    @property
    def status(self) -> Status:
        next_try = self._succession.next_try
        with self._lock:
            return Status(
                state=self._state(),
                frames=self._books + self._refused + self._ignored,
                books=self._books,
                refused=self._refused,
                ignored=self._ignored,
                conflated=self._books - self._handed,
                reconnects=max(0, self._succession.connected - 1),
                attempt=self._succession.retries.failures,
                next_try_s=None if next_try is None else max(0.0, next_try - monotonic()),
                age_s=None if self._book_ns is None else (perf_counter_ns() - self._book_ns) / 1e9,
                last_error=self._last_error,
                callback_errors=self._callbacks.errors,
                callback_error=self._callbacks.last,
            )

    def _state(self) -> ConnectionState:
        if self._resting is not None:
            return self._resting
        serving = self._succession.serving
        if serving is not None and monotonic() - serving.heard > self._timings.stale_s:
            return "stale"
        if serving is not None and serving.booked:
            return "live"
        first = self._succession.tries <= 1 and self._succession.next_try is None
        return "connecting" if first else "reconnecting"

    def _run(self) -> None:
        ending: ConnectionState = "given up"
        try:
            asyncio.run(self._until_stopped())
            if self._stopping:
                ending = "stopped"
        except BaseException as error:
            self._complain(f"internal error: {_first(error)!r}")
            raise
        finally:
            try:
                self._on_end()
            finally:
                self._resting = ending

    async def _until_stopped(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(HelperThreads())
        with self._control:
            self._loop, self._main = loop, asyncio.current_task()
        try:
            if not self._stopping:
                await self._succession.run()
                self._complain(
                    f"gave up after {self._succession.retries.failures} failed tries. The last: {self._last_error}. "
                    "Check the address and the network, then connect again"
                )
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            with self._control:
                self._loop = None

    def _connection(self) -> Connection:
        return Connection(self._url, self._make_feed(), self._take, self._succession.record_note, self._timings)

    def _complain(self, reason: str) -> None:
        self._last_error = reason

    def _pass_on(self, note: Note) -> None:
        if self._on_frame is not None:
            self._callbacks.call(self._on_frame, *note)

    def _take(self, connection: Connection, frame: Frame) -> None:
        """One frame: noted, parsed, counted; its book published, or kept for as long as a newer may follow."""
        if self._stopping:
            return
        if self._on_frame is not None:
            self._succession.record_note(connection, Note(frame.kind, frame.market_ns, frame.message, frame.url))
        book = self._parse(connection.feed, frame)
        late = connection.more and (book is None or perf_counter_ns() - frame.received_ns > self._patience_ns)
        if book is not None:
            shown = self._succession.accept_book(connection, book.exchange_ns)
            with self._lock:
                self._books += 1
                self._handed += shown and not late
                self._book_ns = frame.received_ns
            if not shown:
                return
        elif connection.late is not None and not late:
            book = connection.late
            with self._lock:
                self._handed += 1
        if book is not None:
            connection.late = book if late else None
            if not late:
                self._callbacks.call(self._on_book, book)

    def _parse(self, feed: Feed, frame: Frame) -> OrderBook | None:
        """The frame's book; without one it is counted as refused or ignored. Raises the feed's FeedError."""
        parse = feed.parse if frame.kind == "recv" else feed.apply_snapshot
        try:
            book = parse(frame.message, frame.received_ns, frame.market_ns)
        except (BookError, FeedError) as error:
            with self._lock:
                self._refused += 1
                self._last_error = str(error)
            if isinstance(error, FeedError):
                raise
            return None
        if book is None:
            with self._lock:
                self._ignored += 1
        return book


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class FeedHub:
    """One client per (venue, symbol) in the process, shared by whoever watches and stopped after the last."""

    def __init__(self) -> None:
        self._opening = threading.Lock()  # two first viewers open one source
        self.lock = threading.RLock()  # over who watches what; reentrant, since a finaliser may detach
        self.feeds: dict[Key, _SharedFeed] = {}

    def attach(
        self,
        key: Key,
        open_source: Callable[[], AbstractContextManager[str]],
        make_feed: Callable[[], Feed],
        on_book: OnBook,
        **client_options: Any,
    ) -> Subscription:
        """Watch a feed: on_book is called on its thread, at once with the latest book if there is one.

        The first viewer's source and options hold. The source gives the address; it is entered here
        and left on the client's thread as its last act. Raises what the source raises, and
        ValueError for an address that cannot be one.
        """
        with self._opening:
            with self.lock:
                shared = self.feeds.get(key)
                if shared is not None:
                    viewer = Subscription(shared, on_book)
            if shared is not None:
                shared.client.post(viewer.send_latest)
                return viewer
            with ExitStack() as source:
                url = source.enter_context(open_source())
                shared = _SharedFeed(self, key, url, make_feed, client_options)
                shared.source = source.pop_all()
            with self.lock:
                self.feeds[key] = shared
                viewer = Subscription(shared, on_book)
            shared.client.start()
            return viewer


class _SharedFeed:
    """One client, its source and its viewers; in the hub's table for as long as one more may join."""

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
            on_end=self._ended,
            name=f"feed {' '.join(key)}",
            **options,
        )

    def close(self) -> None:
        """Nobody joins from now on."""
        with self.hub.lock:
            if self.hub.feeds.get(self._key) is self:
                del self.hub.feeds[self._key]

    def _publish(self, book: OrderBook) -> None:
        self.latest = book
        for viewer in self.subscriptions:
            viewer.deliver(book)

    def _pass_on(self, kind: str, market_ns: int, text: str | bytes, url: str | None) -> None:
        for viewer in self.subscriptions:
            viewer.deliver_frame(kind, market_ns, text, url)

    def _ended(self) -> None:
        self.close()
        self.source.close()


class Subscription:
    """One who watches a shared feed, until detach(). Its callbacks' errors are its own and hurt nobody else."""

    def __init__(self, shared: _SharedFeed, on_book: OnBook) -> None:
        self._shared = shared
        self._on_book = on_book
        self._on_frame: OnFrame | None = None
        self._from_connect = False
        self._greeted = False
        self._callbacks = CallbackGuard()
        with shared.hub.lock:
            shared.subscriptions = (*shared.subscriptions, self)

    @property
    def status(self) -> Status:
        """The shared client's, with this viewer's own callback errors."""
        return replace(
            self._shared.client.status, callback_errors=self._callbacks.errors, callback_error=self._callbacks.last
        )

    def unsubscribe(self) -> None:
        """Watch no more; the last one's leaving stops the client. Only signals: safe from any thread, any time."""
        shared = self._shared
        with shared.hub.lock:
            others = tuple(viewer for viewer in shared.subscriptions if viewer is not self)
            if others:
                shared.subscriptions = others
                return
            shared.close()
        shared.client.signal_stop()
        shared.subscriptions = ()  # not before, or a book read in between would be shown to nobody

    detach = unsubscribe
    """The name of this method in the documented seam."""

    def join(self, timeout_s: float = 2.0) -> bool:
        """Wait for the end of the client, source included; whether it has ended."""
        return self._shared.client.join(timeout_s)

    def record(self, on_frame: OnFrame | None, *, resync: bool = True) -> None:
        """Pass all that a recording needs to on_frame from now on, or with None no more.

        A feed of deltas replays only from the start of a connection, so a fresh one is made and the
        recording begins with it; the books flow on meanwhile. A connection that opens before that can
        be done is as good. Where every message is a whole book, resync=False begins at once.
        """
        self._on_frame = None
        self._from_connect = resync
        self._on_frame = on_frame
        if on_frame is not None and resync:
            self._shared.client.resync(lambda: self._from_connect)

    def send_latest(self) -> None:
        """Take the latest book, if none came since joining. On the client's thread."""
        if not self._greeted and self._shared.latest is not None:
            self.deliver(self._shared.latest)

    def deliver(self, book: OrderBook) -> None:
        """Take a book. On the client's thread."""
        if self in self._shared.subscriptions:
            self._greeted = True
            self._callbacks.call(self._on_book, book)

    def deliver_frame(self, kind: str, market_ns: int, text: str | bytes, url: str | None) -> None:
        """Take a frame for the recording. On the client's thread."""
        on_frame = self._on_frame
        if on_frame is None:
            return
        if kind == "connect":
            self._from_connect = False
        if not self._from_connect:
            self._callbacks.call(on_frame, kind, market_ns, text, url)
