"""One WebSocket connection to a venue, from the handshake to the close.

It subscribes, keeps the connection alive, watches for silence and hands over every frame in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from time import monotonic
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.uri import parse_uri

from feeds import Feed, FeedError
from network.failures import MAX_MESSAGE_BYTES, explain_close, explain_handshake
from network.http_client import NetworkError, fetch, is_loopback, proxy_for
from orderbook import OrderBook

logger = logging.getLogger(__name__)

MAX_QUEUED_BYTES = 32 * 2**20
"""Reading pauses while more than this waits to be handled."""

FRAME_OVERHEAD_BYTES = 512
"""What a queued frame costs beside its text, so that many tiny frames are bounded too."""

YIELD_EVERY_S = 0.001
WATCH_EVERY_S = 0.05
MIN_FETCH_INTERVAL_S = 1.0
CLOSE_TIMEOUT_S = 0.3


@dataclass(frozen=True, slots=True)
class Timings:
    """The time limits of a client, in seconds."""

    stale_s: float = 5.0  # neither message nor pong for this long: ping, and stale; twice this long: reconnect
    first_book_s: float = 15.0  # a new connection must bring its first valid book within this time
    min_reconnect_s: float = 1.0  # two tries begin at least this far apart
    backoff_s: float = 1.0  # the wait before the next try; doubled by every failure in a row, less up to half
    backoff_cap_s: float = 30.0
    settled_s: float = 10.0  # after a broken protocol, a book proves recovery only this long after connecting
    open_s: float = 10.0  # for name, TCP, TLS and handshake together
    ping_s: float = 20.0
    pong_s: float = 10.0
    fetch_s: float = 10.0  # for a whole REST snapshot
    max_age_s: float = 23.5 * 3600  # Binance cuts every connection after 24 hours
    conflate_s: float = 0.25  # a book that waited longer is passed over if a newer frame is there


class Frame(NamedTuple):
    """A WebSocket message ("recv") or a REST body ("http", with its url), stamped at reception."""

    kind: Literal["recv", "http"]
    message: str | bytes
    received_ns: int
    market_ns: int
    url: str | None


class RecordingEvent(NamedTuple):
    """One event of a connection that a recording keeps. A "connect" and an "http" have a url."""

    kind: Literal["connect", "send", "recv", "http"]
    market_ns: int
    text: str | bytes
    url: str | None


class Connection:
    """One connection of one feed, for a single run().

    Args:
        url: A ws:// or wss:// address.
        feed: A fresh feed; it says what to send and to fetch, and when the protocol is broken.
        on_frame: Gets every frame in order. It may raise FeedError, which ends the connection.
        on_event: Gets all that a recording needs of what this connection does by itself: "connect" and "send".
        timings: The time limits.
    """

    def __init__(
        self,
        url: str,
        feed: Feed,
        on_frame: Callable[[Connection, Frame], None],
        on_event: Callable[[Connection, RecordingEvent], None],
        timings: Timings,
    ) -> None:
        self.feed = feed
        self.host = urlsplit(url).netloc
        self.is_open = False
        self.opened_s = self.heard_s = self.received_s = monotonic()
        """When it was opened, heard of (a message, or the answer to a ping), and last sent a message."""
        self.error: NetworkError | FeedError | None = None
        """Why it ended; None while it runs, and if it was cancelled."""
        self.needs_successor = asyncio.Event()
        """Set once it has ended, or soon will."""
        self.done = asyncio.Event()
        self.is_silent = False
        """Whether it is open, but has brought no book for so long that its subscription is doubtful."""
        # The owner keeps these here:
        self.has_book = False  # a valid book came
        self.book_s = 0.0  # when the last one came
        self.renew_s = math.inf  # how old that one may become before the subscription is doubtful
        self.book: OrderBook | None = None  # the last one that was shown
        self.exchange_ns = 0  # of the last book that was shown
        self.held_events: list[RecordingEvent] = []  # not yet passed on
        self.late_book: OrderBook | None = None  # passed over, unless no newer one follows after all
        self._task: asyncio.Task[None] | None = None
        self._url = url
        self._on_frame = on_frame
        self._on_event = on_event
        self._timings = timings
        self._queue: deque[Frame | NetworkError] = deque()
        self._queued_bytes = 0
        self._arrived = asyncio.Event()
        self._drained = asyncio.Event()
        self._helpers: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._is_fetching = False
        self._fetched_s = -MIN_FETCH_INTERVAL_S

    @property
    def has_newer_frame(self) -> bool:
        """Whether another frame waits behind the one being handled."""
        return bool(self._queue) and isinstance(self._queue[0], Frame)

    @property
    def alive_s(self) -> float:
        """When it was last known to live.

        A market may be quiet while its socket lives. Who sends whole books sends them all the time.
        """
        return self.received_s if self.feed.has_whole_books else self.heard_s

    @property
    def is_stale(self) -> bool:
        """Whether it has been silent for longer than it ever should be while the venue sends books."""
        return monotonic() - self.alive_s > max(self._timings.stale_s, 2 * self.feed.book_interval_s)

    async def run(self) -> None:
        """Connect, handle frames and close. Afterwards `error` says why it ended; it stays None if cancelled."""
        self._task = asyncio.current_task()
        try:
            web_socket = await _open_web_socket(self._url, self._timings.open_s)
            try:
                self.opened_s = self.heard_s = self.received_s = monotonic()
                self.is_open = True
                logger.info("connected to %s", self.host)
                self._on_event(self, RecordingEvent("connect", time.time_ns(), self._url, self._url))
                await self._handle_frames(web_socket)
            except asyncio.CancelledError:
                logger.info("closing the connection to %s", self.host)
                raise
            finally:
                self.is_open = False
                for task in self._helpers:
                    task.cancel()
                await asyncio.gather(*self._helpers, return_exceptions=True)
                await _close(web_socket)
        except (NetworkError, FeedError) as error:
            self.error = error
        finally:
            self.needs_successor.set()
            self.done.set()

    def retire(self) -> None:
        """Handle no frame from now on, and close the connection."""
        if self._task is not None:
            self._task.cancel()

    async def _handle_frames(self, web_socket: ClientConnection) -> None:
        """Hand over frame after frame until a helper or the feed raises the reason to stop."""
        for text in self.feed.subscribe():
            await self._send(web_socket, text)
        self._start_helper(self._receive(web_socket))
        self._start_helper(self._watch(web_socket))
        yield_at_s = monotonic() + YIELD_EVERY_S
        while True:
            while self._queue:
                if self._failure is not None:
                    raise self._failure
                frame = self._queue.popleft()
                if isinstance(frame, NetworkError):
                    raise frame
                self._queued_bytes -= len(frame.message) + FRAME_OVERHEAD_BYTES
                if frame.kind == "http":
                    self._is_fetching = False
                if frame.kind == "recv" and (answer := self.feed.answer(frame.message)) is not None:
                    await self._send(web_socket, answer)
                self._on_frame(self, frame)
                if self.feed.closing:
                    self.needs_successor.set()
                self._fetch_if_needed()
                if monotonic() > yield_at_s:
                    await asyncio.sleep(0)  # let the reader, the watch and stop() work
                    yield_at_s = monotonic() + YIELD_EVERY_S
            self._drained.set()
            if self._failure is not None:
                raise self._failure
            self._fetch_if_needed()
            self._arrived.clear()
            await self._arrived.wait()

    def _start_helper(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._helpers.add(task)
        task.add_done_callback(self._end_helper)

    def _end_helper(self, task: asyncio.Task[None]) -> None:
        """Keep what a helper raised, for the loop that handles frames to raise."""
        self._helpers.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
            self._arrived.set()

    def _enqueue(self, kind: Literal["recv", "http"], message: str | bytes, url: str | None = None) -> None:
        self._queue.append(Frame(kind, message, time.perf_counter_ns(), time.time_ns(), url))
        self._queued_bytes += len(message) + FRAME_OVERHEAD_BYTES
        self._arrived.set()

    async def _receive(self, web_socket: ClientConnection) -> None:
        """Stamp messages as they come, and pause while too many bytes wait."""
        try:
            while True:
                message = await web_socket.recv()
                self.heard_s = self.received_s = monotonic()
                self._enqueue("recv", message)
                while self._queued_bytes > MAX_QUEUED_BYTES:
                    self._drained.clear()
                    await self._drained.wait()
        except ConnectionClosed as closed:
            # Behind the frames that still wait: what arrived before the end counts.
            self._queue.append(explain_close(self.host, closed))
            self._arrived.set()

    async def _watch(self, web_socket: ClientConnection) -> None:
        """Send keepalives and pings; raise NetworkError once the connection is silent, dead or brings no book."""
        timings = self._timings
        keepalive_sent_s = pinged_s = self.opened_s
        pong: asyncio.Future[float] | None = None
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            now_s = monotonic()
            if self._queue:
                self.heard_s = self.received_s = now_s  # we are slow, not the venue
            quiet_s = now_s - self.alive_s
            keepalive = self.feed.keepalive
            limit_s = max(2 * timings.stale_s, keepalive[1] + timings.pong_s if keepalive else 0.0)
            limit_s = max(limit_s, 3 * self.feed.book_interval_s)
            if quiet_s > limit_s:
                raise NetworkError(f"{self.host} is connected but has been silent for {quiet_s:.1f} s")
            if not self.has_book and now_s - self.opened_s > timings.first_book_s:
                raise NetworkError(f"{self.host} sent no valid order book within {timings.first_book_s:g} s")
            if now_s - self.opened_s > timings.max_age_s:
                self.needs_successor.set()
            if self.has_book and not self.is_silent and now_s - self.book_s > self.renew_s:
                self.is_silent = True
                logger.info("%s has sent no order book for %.0f s: asking anew", self.host, now_s - self.book_s)
                self.needs_successor.set()
            spoke_s = keepalive_sent_s if self.feed.is_keepalive_periodic else max(self.received_s, keepalive_sent_s)
            if keepalive and now_s - spoke_s >= keepalive[1]:
                keepalive_sent_s = now_s
                await self._send(web_socket, keepalive[0])
            if pong and not pong.done() and self.heard_s < pinged_s:
                if now_s - pinged_s > timings.pong_s:
                    raise NetworkError(f"{self.host} sent nothing for {timings.pong_s:g} s, not even a ping's answer")
            elif now_s - pinged_s >= (timings.ping_s if quiet_s < timings.stale_s else timings.stale_s):
                pinged_s = now_s
                with contextlib.suppress(ConnectionClosed):  # the reader reports it
                    pong = asyncio.ensure_future(await web_socket.ping())
                    pong.add_done_callback(self._hear_pong)

    def _hear_pong(self, pong: asyncio.Future[float]) -> None:
        """Note that the answer to a ping came: it keeps the socket, and says nothing of the book."""
        if not pong.cancelled() and pong.exception() is None:
            self.heard_s = monotonic()

    async def _send(self, web_socket: ClientConnection, text: str) -> None:
        self._on_event(self, RecordingEvent("send", time.time_ns(), text, None))
        with contextlib.suppress(ConnectionClosed):  # the reader reports it
            await web_socket.send(text)

    def _fetch_if_needed(self) -> None:
        url = self.feed.snapshot_url
        if url is not None and not self._is_fetching:
            self._is_fetching = True
            self._start_helper(self._fetch(url))

    async def _fetch(self, url: str) -> None:
        await asyncio.sleep(self._fetched_s + MIN_FETCH_INTERVAL_S - monotonic())
        self._fetched_s = monotonic()
        self._enqueue("http", await fetch(url, self._timings.fetch_s), url)


class _Connect(connect):
    """A handshake that follows no redirect, so that the address connected to is the one that is shown."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


def checked_url(url: str) -> str:
    """Return the address if it can be one. Raises ValueError with a sentence for the person who typed it."""
    if not url.startswith(("ws://", "wss://")):
        raise ValueError(f"the address must start with ws:// or wss://: {url[:200]!r}")
    if any(character <= " " or character == "\x7f" for character in url):
        raise ValueError(f"the address has a space or a control character in it: {url[:200]!r}")
    try:
        uri = parse_uri(url)
    except (WebSocketException, ValueError) as error:
        raise ValueError(f"the address cannot be read: {error}") from None
    if uri.username is not None:
        raise ValueError("the address must not carry a user name or a password")
    return url


async def _open_web_socket(url: str, open_s: float) -> ClientConnection:
    """Connect within open_s seconds. Raises NetworkError that says in words why that failed."""
    parts = urlsplit(url)
    is_local = is_loopback(parts.hostname or "")
    proxy = proxy_for(url)
    try:
        return await _Connect(
            url,
            open_timeout=open_s,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=None,
            max_size=MAX_MESSAGE_BYTES,
            proxy=proxy,
            compression=None if is_local else "deflate",
        )
    except (OSError, WebSocketException, EOFError, ValueError, ImportError) as error:
        raise explain_handshake(parts.netloc, error, open_s) from error


async def _close(web_socket: ClientConnection) -> None:
    """Close in order if the other side answers soon, and cut the connection if it does not."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await web_socket.close()
    web_socket.transport.abort()
    await web_socket.wait_closed()
