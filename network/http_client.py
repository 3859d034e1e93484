"""Fetch REST snapshots by bounded GETs that can be cut short, and explain HTTP refusals in words."""

from __future__ import annotations

import asyncio
import http.client
import ipaddress
import math
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

from websockets.exceptions import InvalidProxy
from websockets.proxy import get_proxy, parse_proxy
from websockets.uri import parse_uri

MAX_BODY_BYTES = 32 * 2**20
"""The largest REST body that is accepted. Binance's 5,000 levels have about 0.5 MB."""

T = TypeVar("T")


class NetworkError(Exception):
    """A connection that could not be made or kept; the message says why in words.

    Args:
        message: For the user who looks at this connection.
        retry_after_s: How long the other side asked us to wait, 0 if it did not say.
        log_text: What a log may say, without text that comes from elsewhere; None if that is the message.
    """

    def __init__(self, message: str, retry_after_s: float = 0.0, log_text: str | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.log_text = message if log_text is None else log_text


class RefusedError(NetworkError):
    """An HTTP answer that refuses what was asked for."""


def explain_refusal(host: str, status: int, headers: Iterable[tuple[str, str]]) -> RefusedError:
    """Return the error of an HTTP answer that refuses: what it means, and how long the other side asks us to wait.

    >>> str(explain_refusal("api.example", 429, [("Retry-After", "7")]))
    'api.example says that too many requests came from here (HTTP 429); it asks to wait 7 s'
    """
    values = {name.lower(): value for name, value in headers}
    wait_s = parse_retry_after_s(values.get("retry-after"))
    log_text = None
    match status:
        case 403 | 451:
            words = f"{host} refuses this address or region (HTTP {status}): choose another venue or network"
        case 418 | 429:
            words = f"{host} says that too many requests came from here (HTTP {status})"
        case 502 | 503 | 504:
            words = f"{host} is overloaded or out of service (HTTP {status})"
        case 401 | 407:
            words = f"{host} asks for a login (HTTP {status})"
        case 404:
            words = f"{host} knows no such path (HTTP 404): check the address and the symbol"
        case _ if 300 <= status < 400:
            words = f"{host} redirects to {values.get('location', 'nowhere')[:200]} (HTTP {status}): not followed"
            log_text = f"{host} redirects elsewhere (HTTP {status}): not followed"
        case _:
            words = f"{host} answered HTTP {status}, which is no market data"
    return RefusedError(f"{words}; it asks to wait {wait_s:.0f} s" if wait_s else words, wait_s, log_text)


def parse_retry_after_s(text: str | None) -> float:
    """Return the seconds of a Retry-After header, a number or an HTTP date; 0 if there is none or it is unreadable."""
    try:
        seconds = float(text or "0")
    except ValueError:
        try:
            retry_at = parsedate_to_datetime(text or "")
        except ValueError:
            return 0.0
        seconds = (retry_at if retry_at.tzinfo else retry_at.replace(tzinfo=UTC)).timestamp() - time.time()
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0


def proxy_for(url: str) -> str | None:
    """Return the proxy that this machine's settings name for an address; None for a direct connection.

    Sockets and REST ask here, so that both go the same way. Raises NetworkError if the setting cannot be read; the
    message does not repeat it, since there may be a password in it.
    """
    where = parse_uri(url.replace("http", "ws", 1) if url.startswith("http") else url)
    if is_loopback(where.host):
        return None
    proxy = get_proxy(where)
    try:
        if proxy is not None:
            parse_proxy(proxy)
    except (InvalidProxy, ValueError):
        raise NetworkError(
            "the proxy of this machine can't be used, since its address can't be read (it is not repeated here): "
            "HTTPS_PROXY should look like http://host:port or http://user:password@host:port, with every special "
            "character of the password written as %XX"
        ) from None
    return proxy


async def fetch(url: str, timeout_s: float) -> str:
    """Return the body of one http(s) GET without blocking the event loop. Certificates are checked.

    Raises NetworkError, after timeout_s seconds at the latest.
    """
    get = _Get(url, timeout_s)
    try:
        async with asyncio.timeout(timeout_s):
            return await asyncio.to_thread(get.run)
    except TimeoutError:
        raise NetworkError(f"{_host(url)} sent no complete answer within {timeout_s:g} s") from None
    finally:
        get.cut()


def _host(url: str) -> str:
    """Return the host and port of an address, without a user name or a password."""
    return urlsplit(url).netloc.rpartition("@")[2]


class _Get:
    """A blocking GET. Another thread may shut its socket, which ends it at once."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._is_cut = False
        self._socket: socket.socket | None = None

    def run(self) -> str:
        """Return the body. Raises NetworkError."""
        scheme = urlsplit(self._url).scheme
        host = _host(self._url)
        if scheme not in ("http", "https"):
            words = "a snapshot is fetched over http or https only"
            raise NetworkError(f"{words}: {self._url!r}", log_text=words)
        proxy = proxy_for(self._url)
        if proxy is not None and not proxy.lower().startswith("http://"):
            raise NetworkError(
                f"the proxy of this machine is for sockets only, so {host} can't be asked for a snapshot: "
                "name one that is reached by http:// in HTTPS_PROXY"
            )
        opener = urllib.request.OpenerDirector()  # a bare one: without redirects, files and ftp
        for handler in (
            urllib.request.ProxyHandler({scheme: proxy} if proxy else {}),
            _Handler(self._make_connection),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.HTTPDefaultErrorHandler(),
        ):
            opener.add_handler(handler)
        try:
            with opener.open(self._url, timeout=self._timeout_s) as response:
                body: bytes = response.read(MAX_BODY_BYTES + 1)
        except urllib.error.HTTPError as error:
            error.close()
            raise explain_refusal(host, error.code, error.headers.items()) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            words = f"{host} gave no snapshot"
            raise NetworkError(f"{words}: {reason}", log_text=f"{words} ({type(reason).__name__})") from None
        finally:
            self.cut()
        if len(body) > MAX_BODY_BYTES:
            raise NetworkError(f"{host} sent a snapshot above {MAX_BODY_BYTES >> 20} MiB, which is refused")
        return body.decode("utf-8", errors="replace")

    def cut(self) -> None:
        """End the transfer, if there is one; harmless afterwards."""
        with self._lock:
            self._is_cut = True
            if self._socket is not None:
                _shut(self._socket)
                self._socket = None

    def _make_connection(self, kind: type[_Tracked], host: str, **options: Any) -> _Tracked:
        connection = kind(host, **options)
        connection.on_opened = self._keep_socket
        return connection

    def _keep_socket(self, connected: socket.socket) -> None:
        with self._lock:
            if self._is_cut:
                raise ConnectionAbortedError("cut short")
            self._socket = connected.dup()  # TLS takes the first handle over; shutting this one ends both


def _shut(connected: socket.socket) -> None:
    try:
        connected.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the other side was quicker
    finally:
        connected.close()


class _Tracked(http.client.HTTPConnection):
    """A connection that hands over its socket as soon as that is connected."""

    on_opened: Callable[[socket.socket], None]

    def connect(self) -> None:
        super().connect()
        self.on_opened(self.sock)


class _TrackedTls(http.client.HTTPSConnection, _Tracked):
    """The same for https: connect() runs _Tracked's first, and then TLS."""


class _Handler(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Opens http and https by connections of a maker's own kind."""

    def __init__(self, make_connection: Callable[..., _Tracked]) -> None:
        super().__init__()
        self._make_connection = make_connection

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(self._make_connection, _Tracked), req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(self._make_connection, _TrackedTls), req, context=ssl.create_default_context())


class HelperThreads(ThreadPoolExecutor):
    """An event loop's executor with one daemon thread a call, so that a hanging name server delays no stop or exit."""

    def __init__(self) -> None:
        super().__init__()
        self._helpers: list[threading.Thread] = []

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()

        def work() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(fn(*args, **kwargs))
                except BaseException as error:  # noqa: BLE001 - handed to the caller that waits for the result
                    future.set_exception(error)

        helper = threading.Thread(target=work, name="feed helper", daemon=True)
        self._helpers = [*(other for other in self._helpers if other.is_alive()), helper]
        helper.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - the base's names
        """Wait 0.2 s for each call that was cut short, and leave one that cannot be cut to end by itself."""
        for helper in self._helpers:
            helper.join(0.2)


def is_loopback(host: str) -> bool:
    """Return whether a host means this machine: localhost, 127.0.0.0/8, ::1, or an IPv4-mapped form of those.

    `host` is as urlsplit gives it: an IPv6 address without its brackets.

    >>> [host for host in ("localhost", "127.0.0.2", "::1", "::ffff:127.0.0.1", "example.org") if is_loopback(host)]
    ['localhost', '127.0.0.2', '::1', '::ffff:127.0.0.1']
    """
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
