"""Serve feeds on 127.0.0.1 as badly as a test asks for, and make small feeds and frames to serve."""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import json
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from feeds import FeedError
from orderbook import BookError, OrderBook


def eventually(condition: Callable[[], Any], timeout_s: float = 10.0) -> None:
    """Wait until the condition holds; AssertionError if it never does."""
    ends = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends, "the condition never held"
        time.sleep(0.005)


def resources_released(before: tuple[set[int | None], int]) -> Callable[[], bool]:
    """Return a check that no thread and no socket is left that was not there `before`.

    What waits for the collector is collected; a page of another test may have exempted it from that when it was alive.
    """
    threads, n_sockets = before

    def is_released() -> bool:
        gc.unfreeze()
        gc.collect()
        threads_now, n_sockets_now = measure_resources()
        return threads_now <= threads and n_sockets_now <= n_sockets

    return is_released


def measure_resources() -> tuple[set[int | None], int]:
    """Return the ids of this process's threads and the number of its sockets."""
    return {thread.ident for thread in threading.enumerate()}, len(psutil.Process().net_connections())


def gateway_frame(bid: float, **changes: object) -> str:
    """Make a frame in the gateway's form: three levels a side, 0.1 apart."""
    frame = {
        "timestamp": "2025-05-04T10:39:13Z",
        "exchange": "OKX",
        "symbol": "BTC-USDT-SWAP",
        "asks": [[f"{bid + 0.1 * (level + 1):.1f}", f"{level + 1}"] for level in range(3)],
        "bids": [[f"{bid - 0.1 * level:.1f}", f"{level + 1}"] for level in range(3)],
    }
    return json.dumps(frame | changes)


class DeltaFeed:
    """A feed of numbered steps.

    "snapshot N" starts it, and "step N" must follow N - 1. Each yields a book whose best bid and venue's clock are N.
    With a rest_url the snapshot comes over REST, and the steps before it are kept.
    """

    has_whole_books = False
    quiet_s = 60.0
    is_keepalive_periodic = False
    book_interval_s = 0.0

    def __init__(self, rest_url: str | None = None, keepalive: tuple[str, float] | None = None) -> None:
        self.keepalive = keepalive
        self.closing = False
        self.rest_url = rest_url
        self.last: int | None = None
        self.early: list[int] = []

    @property
    def snapshot_url(self) -> str | None:
        return self.rest_url if self.last is None else None

    def subscribe(self) -> list[str]:
        return ["subscribe steps"]

    def answer(self, message: str | bytes) -> str | None:
        return "yes" if message == "are you there" else None

    def parse(self, message: str | bytes, received_ns: int, market_ns: int | None = None) -> OrderBook | None:
        assert isinstance(message, str)
        word, _, number = message.partition(" ")
        match word:
            case "snapshot":
                self.last = int(number)
            case "step" if self.last is None:
                self.early.append(int(number))
                return None
            case "step":
                if int(number) != self.last + 1:
                    raise FeedError(f"gap: {number} after {self.last}")
                self.last += 1
            case "closing":
                self.closing = True
                return None
            case "bad":
                raise BookError("bad book")
            case _:
                return None
        return self._book(received_ns, market_ns)

    def apply_snapshot(self, body: str | bytes, received_ns: int, market_ns: int | None = None) -> OrderBook | None:
        first = int(body)
        if self.early and first < self.early[0] - 1:
            return None
        kept = [number for number in self.early if number > first]
        if kept != list(range(first + 1, first + 1 + len(kept))):
            raise FeedError(f"gap: {kept} after the snapshot {first}")
        self.last = kept[-1] if kept else first
        return self._book(received_ns, market_ns)

    def _book(self, received_ns: int, market_ns: int | None) -> OrderBook:
        assert self.last is not None
        assert market_ns is not None
        bid = float(self.last)
        return OrderBook(
            "test", "X", np.array([[bid, 1.0]]), np.array([[bid + 0.5, 1.0]]), self.last, market_ns, received_ns
        )


class Server:
    """A WebSocket server in a thread.

    connection_times: the time.monotonic of every connection.
    received: all messages of all clients.
    n_open: how many connections are open now.
    """

    def __init__(
        self,
        talk: Callable[[ServerConnection, int], Awaitable[None]],
        answer: Callable[[ServerConnection, Request], Any] | None = None,
        port: int = 0,
    ) -> None:
        self.connection_times: list[float] = []
        self.received: list[str | bytes] = []
        self.n_open = 0
        self._talk = talk
        self._answer = answer
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(port)), name="loopback server")

    async def _serve(self, port: int) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with serve(
            self._serve_connection, "127.0.0.1", port, process_request=self._answer, compression=None,
            ping_interval=None, close_timeout=0.2,
        ) as server:  # fmt: skip
            self.port = next(iter(server.sockets)).getsockname()[1]
            self._ready.set()
            await self._end.wait()

    async def _serve_connection(self, web_socket: ServerConnection) -> None:
        self.connection_times.append(time.monotonic())
        self.n_open += 1
        listening = asyncio.create_task(self._listen(web_socket))
        try:
            await self._talk(web_socket, len(self.connection_times))
        except ConnectionClosed:
            pass
        finally:
            self.n_open -= 1
            listening.cancel()

    async def _listen(self, web_socket: ServerConnection) -> None:
        async for message in web_socket:
            self.received.append(message)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/book"

    def __enter__(self) -> Server:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)
        assert not self._thread.is_alive()


async def stay_silent(web_socket: ServerConnection) -> None:
    """Send nothing more until the other side leaves."""
    await web_socket.wait_closed()


def make_talk(*texts: str | bytes, every_s: float = 0.0) -> Callable[[ServerConnection, int], Awaitable[None]]:
    """Return a server's talk: it sends these texts and then stays silent."""

    async def talk(web_socket: ServerConnection, _number: int) -> None:
        for text in texts:
            await web_socket.send(text)
            if every_s:
                await asyncio.sleep(every_s)
        await stay_silent(web_socket)

    return talk


def make_refusal(status: int, body: str = "", **headers: str) -> Callable[[ServerConnection, Request], Response]:
    """Return a server's answer to the handshake: it refuses with this HTTP status, body and headers."""

    def answer(connection: ServerConnection, _request: Request) -> Response:
        response = connection.respond(status, body)
        for name, value in headers.items():
            response.headers[name.replace("_", "-")] = value
        return response

    return answer


def make_self_signed_certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate for 127.0.0.1 without an issuer, and a server's context with it; skip without openssl."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed, and the standard library makes no certificates")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=loopback"
    subprocess.run(
        [program, *request.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


@contextmanager
def raw_server(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Run a TCP server in threads, for what a WebSocket library would not do; yield its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    peers: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def converse(peer: socket.socket) -> None:
        with peer, suppress(OSError):
            talk(peer)
            while peer.recv(65536):
                pass

    def accept() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            peers.append(peer)
            threads.append(threading.Thread(target=converse, args=(peer,), name="loopback peer"))
            threads[-1].start()

    accepting = threading.Thread(target=accept, name="loopback listener")
    accepting.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()
        for peer in peers:
            with suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


def shake_hands(peer: socket.socket) -> None:
    """Do the server's half of a WebSocket handshake on a bare socket."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += peer.recv(4096)
    key = next(line.split(b": ")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())  # noqa: S324
    peer.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def encode_frame(data: bytes, opcode: int = 1, fin: bool = True) -> bytes:
    """Encode one unmasked WebSocket frame."""
    head = bytes([opcode | (0x80 if fin else 0)])
    if len(data) < 126:
        return head + bytes([len(data)]) + data
    return (
        head + (struct.pack("!BH", 126, len(data)) if len(data) < 2**16 else struct.pack("!BQ", 127, len(data))) + data
    )


def encode_text_frame(text: str) -> bytes:
    """Encode one unmasked text frame."""
    return encode_frame(text.encode())
