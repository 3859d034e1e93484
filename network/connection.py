"""One connection to a venue: opened, subscribed, kept alive, watched, and every frame handed over in order."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from time import monotonic
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    ProxyError,
    WebSocketException,
)
from websockets.uri import parse_uri

from feeds import Feed, FeedError
from network.http_client import NetworkError, fetch, is_loopback, proxy_for, refusal
from orderbook import OrderBook

MAX_MESSAGE = 16 * 2**20
"""The largest message taken, in bytes: Coinbase's first one is 5 MB."""

MAX_WAITING = 32 * 2**20
"""How much may wait to be handled before reading pauses, in bytes."""

FRAME_OVERHEAD = 512
"""What a waiting frame costs beside its text, so that tiny frames are bounded too."""

YIELD_EVERY_S = 0.001
WATCH_EVERY_S = 0.05
MIN_FETCH_INTERVAL_S = 1.0
CLOSE_TIMEOUT_S = 0.3


@dataclass(frozen=True, slots=True)
class Timings:
    """How patient a client is, in seconds."""

    stale_s: float = 5.0  # connected but silent for so long is stale; twice as long is lost
    first_book_s: float = 15.0  # a new connection has so long for its first valid book
    min_reconnect_s: float = 1.0  # two tries are at least so far apart
    backoff_s: float = 1.0  # the wait before the next try, doubled by every failure in a row, less up to half
    backoff_cap_s: float = 30.0
    settled_s: float = 10.0  # after a broken protocol, a book counts as recovery only so long after connecting
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


class Note(NamedTuple):
    """What a recording keeps: a "connect", "send", "recv" or "http"; connect and http with their url."""

    kind: Literal["connect", "send", "recv", "http"]
    market_ns: int
    text: str | bytes
    url: str | None


class Connection:
    """One feed's connection, run() once; what becomes of its frames and notes is up to its owner."""

    def __init__(
        self,
        url: str,
        feed: Feed,
        take: Callable[[Connection, Frame], None],
        note: Callable[[Connection, Note], None],
        timings: Timings,
    ) -> None:
        self.feed = feed
        self.open = False
        self.opened = self.heard = monotonic()
        self.ended: NetworkError | FeedError | None = None
        self.leaving = asyncio.Event()  # a successor is wanted: it has ended, or soon will
        self.done = asyncio.Event()
        self.booked = False  # the owner's mark: a valid book came
        self.exchange_ns = 0  # the owner's: of the last book that was shown
        self.held: list[Note] = []  # the owner's: not yet passed on
        self.late: OrderBook | None = None  # the owner's: passed over, unless nothing newer follows after all
        self._task: asyncio.Task[None] | None = None
        self._url = url
        self._host = urlsplit(url).netloc
        self._take = take
        self._note = note
        self._timings = timings
        self._waiting: deque[Frame | NetworkError] = deque()
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._drained = asyncio.Event()
        self._helpers: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._fetching = False
        self._fetched = -MIN_FETCH_INTERVAL_S

    @property
    def more(self) -> bool:
        """Whether newer frames wait behind the one being handled."""
        return bool(self._waiting) and isinstance(self._waiting[0], Frame)

    async def run(self) -> None:
        """From handshake to hanging up; `ended` then says why, and stays None if it was cancelled."""
        self._task = asyncio.current_task()
        try:
            web_socket = await _open(self._url, self._timings.open_s)
            try:
                self.opened = self.heard = monotonic()
                self.open = True
                self._note(self, Note("connect", time.time_ns(), self._url, self._url))
                await self._serve(web_socket)
            finally:
                self.open = False
                for task in self._helpers:
                    task.cancel()
                await asyncio.gather(*self._helpers, return_exceptions=True)
                await _hang_up(web_socket)
        except (NetworkError, FeedError) as error:
            self.ended = error
        finally:
            self.leaving.set()
            self.done.set()

    def retire(self) -> None:
        """No frame is taken after this; the hanging up follows."""
        if self._task is not None:
            self._task.cancel()

    async def _serve(self, web_socket: ClientConnection) -> None:
        """Hands over frame after frame until one of the helpers, or the feed, says that it is over."""
        for text in self.feed.subscribe():
            await self._send(web_socket, text)
        self._help(self._receive(web_socket))
        self._help(self._watch(web_socket))
        turn_ends = monotonic() + YIELD_EVERY_S
        while True:
            while self._waiting:
                if self._failure is not None:
                    raise self._failure
                frame = self._waiting.popleft()
                if isinstance(frame, NetworkError):
                    raise frame
                self._waiting_bytes -= len(frame.message) + FRAME_OVERHEAD
                if frame.kind == "http":
                    self._fetching = False
                self._take(self, frame)
                if self.feed.closing:
                    self.leaving.set()
                self._fetch_if_wanted()
                if monotonic() > turn_ends:
                    await asyncio.sleep(0)  # the reader, the watch and stop() have their turn
                    turn_ends = monotonic() + YIELD_EVERY_S
            self._drained.set()
            if self._failure is not None:
                raise self._failure
            self._fetch_if_wanted()
            self._arrived.clear()
            await self._arrived.wait()

    def _help(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._helpers.add(task)
        task.add_done_callback(self._helped)

    def _helped(self, task: asyncio.Task[None]) -> None:
        self._helpers.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
            self._arrived.set()

    def _append(self, kind: Literal["recv", "http"], message: str | bytes, url: str | None = None) -> None:
        self._waiting.append(Frame(kind, message, time.perf_counter_ns(), time.time_ns(), url))
        self._waiting_bytes += len(message) + FRAME_OVERHEAD
        self._arrived.set()

    async def _receive(self, web_socket: ClientConnection) -> None:
        """Stamps messages as they come, and pauses while too much waits."""
        try:
            while True:
                message = await web_socket.recv()
                self.heard = monotonic()
                self._append("recv", message)
                while self._waiting_bytes > MAX_WAITING:
                    self._drained.clear()
                    await self._drained.wait()
        except ConnectionClosed as closed:
            # Behind the frames that still wait: what arrived before the end counts.
            self._waiting.append(_closed(self._host, closed))
            self._arrived.set()

    async def _watch(self, web_socket: ClientConnection) -> None:
        """Keeps the connection alive, and gives it up when it is silent, fruitless or dead."""
        timings = self._timings
        said = pinged = self.opened
        pong: asyncio.Future[float] | None = None
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            now = monotonic()
            if self._waiting:
                self.heard = now  # it is we who are slow
            quiet_s = now - self.heard
            keepalive = self.feed.keepalive
            limit_s = max(2 * timings.stale_s, keepalive[1] + timings.pong_s if keepalive else 0.0)
            if quiet_s > limit_s:
                raise NetworkError(f"{self._host} is connected but has been silent for {quiet_s:.1f} s")
            if not self.booked and now - self.opened > timings.first_book_s:
                raise NetworkError(f"{self._host} sent no valid order book within {timings.first_book_s:g} s")
            if now - self.opened > timings.max_age_s:
                self.leaving.set()
            if keepalive and now - max(self.heard, said) >= keepalive[1]:
                said = now
                await self._send(web_socket, keepalive[0])
            if pong and not pong.done() and self.heard < pinged:
                if now - pinged > timings.pong_s:
                    raise NetworkError(f"{self._host} sent nothing for {timings.pong_s:g} s, not even a ping's answer")
            elif now - pinged >= timings.ping_s:
                pinged = now
                with contextlib.suppress(ConnectionClosed):  # which the reader tells
                    pong = asyncio.ensure_future(await web_socket.ping())

    async def _send(self, web_socket: ClientConnection, text: str) -> None:
        self._note(self, Note("send", time.time_ns(), text, None))
        with contextlib.suppress(ConnectionClosed):  # which the reader tells
            await web_socket.send(text)

    def _fetch_if_wanted(self) -> None:
        url = self.feed.snapshot_url
        if url is not None and not self._fetching:
            self._fetching = True
            self._help(self._fetch(url))

    async def _fetch(self, url: str) -> None:
        await asyncio.sleep(self._fetched + MIN_FETCH_INTERVAL_S - monotonic())
        self._fetched = monotonic()
        self._append("http", await fetch(url, self._timings.fetch_s), url)


class _Connect(connect):
    """A handshake that follows no redirect: the address that was asked for is the one that is shown."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


def checked_url(url: str) -> str:
    """The address, if it can be one. Raises ValueError with a sentence for whoever typed it."""
    if not url.startswith(("ws://", "wss://")):
        raise ValueError(f"the address must start with ws:// or wss://: {url[:200]!r}")
    if any(character <= " " or character == "\x7f" for character in url):
        raise ValueError(f"the address has a space or a control character in it: {url[:200]!r}")
    try:
        where = parse_uri(url)
    except (WebSocketException, ValueError) as error:
        raise ValueError(f"the address cannot be read: {error}") from None
    if where.username is not None:
        raise ValueError("the address must not carry a user name or a password")
    return url


async def _open(url: str, open_s: float) -> ClientConnection:
    """An open WebSocket, or NetworkError that says in words why there is none."""
    where = urlsplit(url)
    nearby = is_loopback(where.hostname or "")
    proxy = proxy_for(url)
    try:
        return await _Connect(
            url,
            open_timeout=open_s,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=None,
            max_size=MAX_MESSAGE,
            proxy=proxy,
            compression=None if nearby else "deflate",
        )
    except (OSError, WebSocketException, EOFError, ValueError, ImportError) as error:
        raise _unopened(where.netloc, error, open_s) from error


def _unopened(host: str, error: Exception, open_s: float) -> NetworkError:
    if isinstance(error, InvalidStatus) and error.response.status_code != 200:
        return refusal(host, error.response.status_code, error.response.headers.raw_items())
    match error:
        case InvalidStatus():
            words = f"{host} is no WebSocket: it answered with an ordinary web page (HTTP 200)"
        case TimeoutError():
            words = f"{host} did not answer within {open_s:g} s"
        case ConnectionRefusedError():
            words = f"{host} refused the connection: nothing listens there"
        case ssl.SSLCertVerificationError():
            words = f"{host} cannot prove who it is, so it is not trusted: {error.verify_message}"
        case ssl.SSLError():
            words = f"{host} does not speak TLS there ({error.reason}): a plain server is reached by ws://"
        case socket.gaierror():
            words = f"the name in {host} is not known: check the address and the network"
        case ProxyError() | ImportError():
            words = f"the proxy of this machine did not let {host} through: {error}"
        case InvalidHandshake() | EOFError():
            words = f"{host} is no WebSocket: {error.__cause__ or error}"
        case _:
            words = f"{host} cannot be reached: {error}"
    return NetworkError(words)


def _closed(host: str, closed: ConnectionClosed) -> NetworkError:
    if closed.sent is not None and not closed.rcvd_then_sent:
        if closed.sent.code == 1009:
            return NetworkError(f"{host} sent a message above {MAX_MESSAGE >> 20} MiB, which is refused")
        return NetworkError(f"{host} broke the WebSocket protocol: {closed.sent.reason or closed.sent.code}")
    if closed.rcvd is not None:
        reason = f", {closed.rcvd.reason!r}" if closed.rcvd.reason else ""
        return NetworkError(f"{host} closed the connection (code {closed.rcvd.code}{reason})")
    return NetworkError(f"{host} dropped the connection without a word")


async def _hang_up(web_socket: ClientConnection) -> None:
    """Says goodbye if the other side listens, and leaves at once if it does not."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await web_socket.close()
    web_socket.transport.abort()
    await web_socket.wait_closed()
