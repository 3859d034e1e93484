"""Serve a venue's ticker on 127.0.0.1, with a volume that may change, and refusals on command."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


class LoopbackTicker:
    """OKX's ticker of one spot market, served while the `with` lasts.

    volume: what it says. status: set it to refuse with this HTTP status. paths: what was asked for.
    answering: clear it to keep all questions waiting.
    """

    def __init__(self, volume: float | str = 5973.25) -> None:
        self.volume = volume
        self.status = 200
        self.paths: list[str] = []
        self.answering = threading.Event()
        self.answering.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="loopback-ticker")

    def __enter__(self) -> LoopbackTicker:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.answering.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/ticker"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        ticker = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                ticker.paths.append(self.path)
                ticker.answering.wait(10)
                row = {"instType": "SPOT", "instId": "BTC-USDT", "vol24h": str(ticker.volume), "volCcy24h": "1"}
                body = json.dumps({"code": "0", "msg": "", "data": [row]}).encode()
                self.send_response(ticker.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Write no access log: tests read none."""

        return Handler
