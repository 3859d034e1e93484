"""A venue on 127.0.0.1: its protocol over a real WebSocket, its REST snapshot over real HTTP, its faults on command."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from feeds import VENUES, Feed
from feeds.binance import Binance, BinanceUsdm
from tests.support.loopback_venues import SESSIONS, SYMBOLS, Market, Session, binance_body
from tests.support.reference_book import Row


class LoopbackExchange:
    """One venue with one symbol, served while the `with` lasts.

    `market` is the truth; `change` moves it and tells every subscriber. `received` are the texts of all
    clients, `met` has the time of every connection, `asked` counts how often the REST snapshot was
    asked for. Set `refusal` to refuse subscriptions in these words, `rest_status` to refuse the snapshot.
    """

    def __init__(self, venue: str, symbol: str | None = None) -> None:
        self.venue = venue
        self.market = Market(symbol or SYMBOLS[venue])
        self.received: list[str] = []
        self.met: list[float] = []
        self.asked = 0
        self.refusal = ""
        self.rest_status = 200
        self._moved = threading.Condition()
        self._sessions: dict[ServerConnection, Session] = {}
        self._server: Server = serve(self._talk, "127.0.0.1", 0, compression=None)
        self._rest = ThreadingHTTPServer(("127.0.0.1", 0), self._rest_handler())
        self._threads = [
            threading.Thread(target=self._server.serve_forever, name=f"loopback-{venue}"),
            threading.Thread(target=self._rest.serve_forever, args=(0.02,), name=f"loopback-{venue}-rest"),
        ]

    def __enter__(self) -> LoopbackExchange:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()
        self._server.shutdown()
        self._rest.shutdown()
        self._rest.server_close()
        for thread in self._threads:
            thread.join(5)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"

    @property
    def rest(self) -> str:
        return f"http://127.0.0.1:{self._rest.server_port}"

    @property
    def connections(self) -> int:
        """How often anyone connected."""
        return len(self.met)

    @property
    def listeners(self) -> int:
        """How many connections are subscribed now."""
        return sum(session.subscribed for session in list(self._sessions.values()))

    def make_feed(self, depth: int | None = None) -> Feed:
        """The venue's own feed of this symbol; a REST snapshot would be fetched from here."""
        local = {"binance": Binance, "binance-usdm": BinanceUsdm}.get(self.venue)
        venue = local(self.rest) if local else VENUES[self.venue]
        return venue.make_feed(self.market.symbol, depth)

    def change(self, bids: Sequence[Row] = (), asks: Sequence[Row] = (), spoiled: bool = False) -> None:
        """Moves the market and tells the subscribers; spoiled: with a wrong checksum (Kraken)."""
        with self._moved:
            self.market.apply(bids, asks)
            self._send(lambda session: session.change(bids, asks, spoiled))

    def lose(self, bids: Sequence[Row] = (), asks: Sequence[Row] = ()) -> None:
        """Moves the market, and the message that should have told it is lost: a gap."""
        with self._moved:
            self.market.apply(bids, asks)
            for session in self._sessions.values():
                if session.subscribed:
                    session.change(bids, asks)

    def heartbeat(self) -> None:
        with self._moved:
            self._send(lambda session: session.heartbeat())

    def say(self, text: str) -> None:
        """Sends any text to the subscribers."""
        with self._moved:
            self._send(lambda _: text)

    def announce_close(self) -> None:
        """Sends the venue's notice that it will close; ValueError where the venue has none."""
        with self._moved:
            if any(session.notice() is None for session in self._sessions.values()):
                raise ValueError(f"{self.venue} announces no close")
            self._send(lambda session: session.notice())

    def ping(self) -> None:
        """Sends a WebSocket ping to every connection and waits for the pongs."""
        with self._moved:
            pongs = [connection.ping() for connection in self._sessions]
        for pong in pongs:
            if not pong.wait(5):
                raise TimeoutError("no pong within 5 s")

    def close(self, code: int = 1001, reason: str = "going away") -> None:
        """Closes every connection as the protocol wants it."""
        for connection in self._held():
            connection.close(code, reason)

    def drop(self) -> None:
        """Cuts every connection without a word."""
        for connection in self._held():
            connection.close_socket()

    def wait_for(self, condition: Callable[[], Any], timeout: float = 5.0) -> None:
        """Returns once the condition holds; it is looked at after everything that happens here. TimeoutError else."""
        with self._moved:
            if not self._moved.wait_for(condition, timeout):
                raise TimeoutError(f"{self.venue}: not so within {timeout} s")

    def _held(self) -> list[ServerConnection]:
        with self._moved:
            return list(self._sessions)

    def _send(self, write: Callable[[Session], str | None]) -> None:
        for connection, session in list(self._sessions.items()):
            text = write(session) if session.subscribed else None
            if text is not None:
                self._tell(connection, [text])

    def _tell(self, connection: ServerConnection, texts: list[str]) -> None:
        try:
            for text in texts:
                connection.send(text)
        except ConnectionClosed:
            self._sessions.pop(connection, None)

    def _talk(self, connection: ServerConnection) -> None:
        session = SESSIONS[self.venue](self.market)
        with self._moved:
            self.met.append(time.monotonic())
            session.refusal = self.refusal
            self._sessions[connection] = session
            self._tell(connection, session.greet())
            self._moved.notify_all()
        try:
            for text in connection:
                with self._moved:
                    self.received.append(str(text))
                    self._tell(connection, session.answer(str(text)))
                    self._moved.notify_all()
        except ConnectionClosed:
            pass
        finally:
            with self._moved:
                self._sessions.pop(connection, None)
                self._moved.notify_all()

    def _rest_handler(self) -> type[BaseHTTPRequestHandler]:
        exchange = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with exchange._moved:
                    exchange.asked += 1
                    status = exchange.rest_status
                    body = (
                        binance_body(exchange.market) if status == 200 else '{"code":-1003,"msg":"Too many requests"}'
                    )
                    exchange._moved.notify_all()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *args: Any) -> None:
                """Tests read no access log."""

        return Handler
