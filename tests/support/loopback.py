"""Servers on 127.0.0.1 that behave as badly as asked, and small feeds and frames to serve."""

from __future__ import annotations

import asyncio
import base64
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
        assert time.monotonic() < ends, "it never came to that"
        time.sleep(0.005)


def leftovers(before: tuple[set[int | None], int]) -> Callable[[], bool]:
    """Whether neither thread nor socket is there that was not there `before`."""
    threads, sockets = before

    def gone() -> bool:
        now = census()
        return now[0] <= threads and now[1] <= sockets

    return gone


def census() -> tuple[set[int | None], int]:
    """This process's threads and the number of its sockets."""
    return {thread.ident for thread in threading.enumerate()}, len(psutil.Process().net_connections())


def gateway_frame(bid: float, **changes: object) -> str:
    """A frame of the gateway's form: three levels a side, 0.1 apart."""
    frame = {
        "timestamp": "2025-05-04T10:39:13Z",
        "exchange": "OKX",
        "symbol": "BTC-USDT-SWAP",
        "asks": [[f"{bid + 0.1 * (level + 1):.1f}", f"{level + 1}"] for level in range(3)],
        "bids": [[f"{bid - 0.1 * level:.1f}", f"{level + 1}"] for level in range(3)],
    }
    return json.dumps(frame | changes)


class DeltaFeed:
    """A feed of numbered steps. "snapshot N" starts it, "step N" must follow N - 1; each yields a book with
    its best bid and the venue's clock at N. With a rest_url the snapshot comes over REST, and steps before it are
    kept."""

    has_whole_books = False

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
    """A WebSocket server in a thread; `met` has the time of every connection."""

    def __init__(
        self,
        talk: Callable[[ServerConnection, int], Awaitable[None]],
        answer: Callable[[ServerConnection, Request], Any] | None = None,
        port: int = 0,
    ) -> None:
        self.met: list[float] = []
        self.heard: list[str | bytes] = []
        self.open = 0
        self._talk = talk
        self._answer = answer
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(port)), name="loopback server")

    async def _serve(self, port: int) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with serve(
            self._met, "127.0.0.1", port, process_request=self._answer, compression=None, ping_interval=None,
            close_timeout=0.2,
        ) as server:  # fmt: skip
            self.port = next(iter(server.sockets)).getsockname()[1]
            self._ready.set()
            await self._end.wait()

    async def _met(self, web_socket: ServerConnection) -> None:
        self.met.append(time.monotonic())
        self.open += 1
        listening = asyncio.create_task(self._listen(web_socket))
        try:
            await self._talk(web_socket, len(self.met))
        except ConnectionClosed:
            pass
        finally:
            self.open -= 1
            listening.cancel()

    async def _listen(self, web_socket: ServerConnection) -> None:
        async for message in web_socket:
            self.heard.append(message)

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


async def stay(web_socket: ServerConnection) -> None:
    """Say nothing more until the other side leaves."""
    await web_socket.wait_closed()


def saying(*texts: str | bytes, every_s: float = 0.0) -> Callable[[ServerConnection, int], Awaitable[None]]:
    """A server's talk: these texts, and then silence."""

    async def talk(web_socket: ServerConnection, _number: int) -> None:
        for text in texts:
            await web_socket.send(text)
            if every_s:
                await asyncio.sleep(every_s)
        await stay(web_socket)

    return talk


def answering(status: int, body: str = "", **headers: str) -> Callable[[ServerConnection, Request], Response]:
    """A server that refuses the handshake by this HTTP answer."""

    def answer(connection: ServerConnection, _request: Request) -> Response:
        response = connection.respond(status, body)
        for name, value in headers.items():
            response.headers[name.replace("_", "-")] = value
        return response

    return answer


def self_signed(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that nobody vouches for, and a server's context with it; skips without openssl."""
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
    """A TCP server in threads, for what a WebSocket library would not do. Its port."""
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
    """The server's half of a WebSocket handshake, on a bare socket."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += peer.recv(4096)
    key = next(line.split(b": ")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())  # noqa: S324
    peer.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def frame(data: bytes, opcode: int = 1, fin: bool = True) -> bytes:
    """One unmasked WebSocket frame."""
    head = bytes([opcode | (0x80 if fin else 0)])
    if len(data) < 126:
        return head + bytes([len(data)]) + data
    return (
        head + (struct.pack("!BH", 126, len(data)) if len(data) < 2**16 else struct.pack("!BQ", 127, len(data))) + data
    )


def text_frame(text: str) -> bytes:
    """One unmasked text frame."""
    return frame(text.encode())
