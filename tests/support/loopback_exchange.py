"""Run a venue on 127.0.0.1: its protocol on a real WebSocket, its snapshot on real HTTP, and faults on command."""

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
from tests.support.loopback_venues import IMITATIONS, SESSIONS, Session, binance_body
from tests.support.reference_book import Row


class LoopbackExchange:
    """One venue with one symbol, served while the `with` lasts.

    market: the true book; `change` changes it and sends the change to every subscriber.
    received: the texts of all clients.
    connection_times: the time.monotonic of every connection.
    n_snapshot_requests: how often the REST snapshot was requested.
    refusal: set it to refuse subscriptions with these words.
    rest_status: set it to refuse the snapshot with this HTTP status.
    """

    def __init__(self, venue: str, symbol: str | None = None) -> None:
        self.venue = venue
        self.market = IMITATIONS[venue].make_market(symbol or "")
        self.received: list[str] = []
        self.connection_times: list[float] = []
        self.n_snapshot_requests = 0
        self.refusal = ""
        self.rest_status = 200
        self._changed = threading.Condition()
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
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self._rest.server_port}"

    @property
    def n_connections(self) -> int:
        """How many connections there were, open or not."""
        return len(self.connection_times)

    @property
    def n_subscribers(self) -> int:
        """How many connections are subscribed now."""
        return sum(session.subscribed for session in list(self._sessions.values()))

    def make_feed(self, depth: int | None = None) -> Feed:
        """Make the venue's own feed of this symbol; it fetches a REST snapshot from this server."""
        local = {"binance": Binance, "binance-usdm": BinanceUsdm}.get(self.venue)
        venue = local(self.rest_url) if local else VENUES[self.venue]
        return venue.make_feed(self.market.symbol, depth)

    def change(self, bids: Sequence[Row] = (), asks: Sequence[Row] = (), wrong_checksum: bool = False) -> None:
        """Change the market and send the change to the subscribers, on Kraken with a wrong checksum if asked for."""
        with self._changed:
            for rows in SESSIONS[self.venue].split(bids, asks):
                self.market.apply(*rows)
                self._send_to_subscribers(lambda session, rows=rows: session.change(*rows, wrong_checksum))

    def lose(self, bids: Sequence[Row] = (), asks: Sequence[Row] = ()) -> None:
        """Change the market without sending the change: the subscribers have a gap."""
        with self._changed:
            for rows in SESSIONS[self.venue].split(bids, asks):
                self.market.apply(*rows)
                for session in self._sessions.values():
                    if session.subscribed:
                        session.change(*rows)

    def mute(self) -> None:
        """Forget every subscription without a word: the connections live on, and bring no change."""
        with self._changed:
            for session in self._sessions.values():
                session.subscribed = False

    def heartbeat(self) -> None:
        """Send the venue's heartbeat to the subscribers."""
        with self._changed:
            self._send_to_subscribers(lambda session: session.heartbeat())

    def say(self, text: str) -> None:
        """Send any text to the subscribers."""
        with self._changed:
            self._send_to_subscribers(lambda _: text)

    def announce_close(self) -> None:
        """Send the venue's notice that it will close. Raise ValueError if the venue has none."""
        with self._changed:
            if any(session.notice() is None for session in self._sessions.values()):
                raise ValueError(f"{self.venue} announces no close")
            self._send_to_subscribers(lambda session: session.notice())

    def ping(self) -> None:
        """Send a WebSocket ping to every connection and wait for the pongs."""
        with self._changed:
            pongs = [connection.ping() for connection in self._sessions]
        for pong in pongs:
            if not pong.wait(5):
                raise TimeoutError("no pong within 5 s")

    def close(self, code: int = 1001, reason: str = "going away") -> None:
        """Close every connection with the closing handshake of the protocol."""
        for connection in self._open_connections():
            connection.close(code, reason)

    def drop(self) -> None:
        """Cut every connection without a closing handshake."""
        for connection in self._open_connections():
            connection.close_socket()

    def wait_for(self, condition: Callable[[], Any], timeout: float = 5.0) -> None:
        """Wait until the condition holds; it is checked after every event here. Raise TimeoutError if it never does."""
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise TimeoutError(f"{self.venue}: the condition did not hold within {timeout} s")

    def _open_connections(self) -> list[ServerConnection]:
        with self._changed:
            return list(self._sessions)

    def _send_to_subscribers(self, write: Callable[[Session], str | None]) -> None:
        for connection, session in list(self._sessions.items()):
            text = write(session) if session.subscribed else None
            if text is not None:
                self._send_texts(connection, [text])

    def _send_texts(self, connection: ServerConnection, texts: list[str]) -> None:
        try:
            for text in texts:
                connection.send(text)
        except ConnectionClosed:
            self._sessions.pop(connection, None)

    def _talk(self, connection: ServerConnection) -> None:
        session = SESSIONS[self.venue](self.market)
        with self._changed:
            self.connection_times.append(time.monotonic())
            session.refusal = self.refusal
            self._sessions[connection] = session
            self._send_texts(connection, session.greet())
            self._changed.notify_all()
        try:
            for text in connection:
                with self._changed:
                    self.received.append(str(text))
                    self._send_texts(connection, session.answer(str(text)))
                    self._changed.notify_all()
        except ConnectionClosed:
            pass
        finally:
            with self._changed:
                self._sessions.pop(connection, None)
                self._changed.notify_all()

    def _rest_handler(self) -> type[BaseHTTPRequestHandler]:
        exchange = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with exchange._changed:
                    exchange.n_snapshot_requests += 1
                    status = exchange.rest_status
                    body = (
                        binance_body(exchange.market) if status == 200 else '{"code":-1003,"msg":"Too many requests"}'
                    )
                    exchange._changed.notify_all()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *args: Any) -> None:
                """Write no access log: tests read none."""

        return Handler
