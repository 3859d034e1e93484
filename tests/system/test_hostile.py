"""Run the client against a server that does, at random, everything a venue should never do."""

from __future__ import annotations

import asyncio
import gc
import math
import re
import socket
import ssl
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from calculations import Order, TradingCalculator
from feeds.base import BaseFeed
from feeds.gomarket import GomarketFeed
from network.connection import Connection
from network.status import Status
from orderbook import BookError, OrderBook, Side
from tests.support.loopback import (
    eventually,
    make_self_signed_certificate,
    measure_resources,
    raw_server,
    resources_released,
)
from tests.support.loopback_hostile import (
    BOOK,
    ENDINGS,
    FAILED_HANDSHAKES,
    IGNORED,
    LAST_BID,
    MESSAGES,
    NO_TLS,
    HostileServer,
    plan_visits,
)
from websocket_client import WebSocketClient

QUICK: dict[str, Any] = {"min_reconnect_s": 0.005, "backoff_s": 0.005, "open_s": 20.0, "stale_s": 0.4}


TASKS = ["Connection._receive", "Connection._watch", "Connection.run", "WebSocketClient._until_stopped"]
"""The tasks on the client's loop for one connection."""


class RecordingFeed(BaseFeed):
    """The gateway's feed; it appends the outcome of each message: BOOK, IGNORED, or the reason of a refusal."""

    def __init__(self, outcomes: list[str]) -> None:
        self._feed = GomarketFeed("gomarket-okx", "BTC-USDT-SWAP", 0.01)
        self._outcomes = outcomes

    def parse(self, message: str | bytes, received_ns: int, market_ns: int | None = None) -> OrderBook | None:
        try:
            book = self._feed.parse(message, received_ns, market_ns)
        except BookError as error:
            self._outcomes.append(str(error))
            raise
        self._outcomes.append(IGNORED if book is None else BOOK)
        return book


class Survivor:
    """A client with a calculator that survives hostile visits, and the outcomes of messages, tries and books."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.reasons: list[str] = []
        self.shown_ns: dict[float, int] = {}
        self.at_the_end: tuple[Status, set[str]] | None = None
        self._calculator = TradingCalculator(Order(Side.BUY, 0.05), 0.01)

    def visit(self, url: str, patience_s: float) -> None:
        """Run the client until the last book, then stop it."""
        self._client = client = WebSocketClient(url, self._make_feed, self._on_book, conflate=False, **QUICK)
        client.start()
        eventually(lambda: self.at_the_end or client.status.state == "given up", patience_s)
        client.stop()
        assert client.join(10)
        del self._client

    def _make_feed(self) -> RecordingFeed:
        """Make the feed of a new try, and note the reason for which the last try ended."""
        self.reasons.append(str(self._client.status.last_error))
        return RecordingFeed(self.outcomes)

    def _on_book(self, book: OrderBook) -> None:
        net_bps = self._calculator.estimate(book).net_cost_bps
        assert net_bps is None or math.isfinite(net_bps)
        bid = book.bids.item(0)
        self.shown_ns[bid] = time.perf_counter_ns()
        if bid == LAST_BID:
            tasks = {task.get_coro().__qualname__ for task in asyncio.all_tasks()}  # type: ignore[union-attr]
            self.at_the_end = (self._client.status, tasks)


def held_objects() -> list[Any]:
    """Return all connections and feeds that are still referenced, those of other tests included."""
    gc.unfreeze()  # a page of another test may have exempted what was alive when its modules had been loaded
    gc.collect()
    return [item for item in gc.get_objects() if isinstance(item, Connection | RecordingFeed)]


def survive(seed: int, frames: int, tls: ssl.SSLContext | None = None) -> None:
    """Send the client through a plan of visits, and compare its outcomes with the plan."""
    visits = plan_visits(seed, frames, tls is not None)
    messages = [message for visit in visits for message in visit.messages]
    books = [message.bid for message in messages if message.outcome == BOOK]
    assert {visit.kind for visit in visits} == {*ENDINGS, *FAILED_HANDSHAKES, "stays"} - {NO_TLS if tls is None else ""}
    assert {message.kind for message in messages} == {*MESSAGES, "good"}
    assert len(messages) >= frames
    before, older = measure_resources(), {id(item) for item in held_objects()}
    survivor = Survivor()
    server = HostileServer(visits, lambda: len(survivor.outcomes), tls)
    with server.serving() as url:
        survivor.visit(url, patience_s=60 + frames / 50)
    assert survivor.at_the_end is not None, survivor.reasons[-1]
    status, tasks = survivor.at_the_end

    # Every try but the last ended for the planned reason.
    ended = zip(visits, survivor.reasons[1:], strict=False)
    assert [(visit.kind, reason) for visit, reason in ended if not re.search(visit.reason_pattern, reason)] == []
    assert len(survivor.reasons) == server.n_connections == len(visits)
    assert status.reconnects == sum(bool(visit.messages) for visit in visits) - 1

    # Every message was counted once, by its planned outcome.
    outcomes = list(zip((message.kind for message in messages), survivor.outcomes, strict=True))
    assert [
        (kind, outcome)
        for message, (kind, outcome) in zip(messages, outcomes, strict=True)
        if not re.search(message.outcome, outcome)
    ] == []
    counts = Counter(message.outcome if message.outcome in (BOOK, IGNORED) else "refused" for message in messages)
    assert (status.books, status.ignored, status.refused) == (counts[BOOK], counts[IGNORED], counts["refused"])
    assert (status.conflated, status.callback_error) == (0, None)

    # Good books were shown after each fault.
    assert list(survivor.shown_ns) == books
    assert max(shown - server.sent_ns[bid] for bid, shown in survivor.shown_ns.items()) < 2e9

    # At the last connection nothing of the connections before is left, and after it nothing at all.
    assert sorted(tasks) == TASKS
    eventually(resources_released(before))
    eventually(lambda: not [item for item in held_objects() if id(item) not in older])


@pytest.mark.parametrize("scheme", ["ws", pytest.param("wss", marks=pytest.mark.slow)])
def test_client_survives_counts_and_reports_every_fault(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client meets all faults of messages, connections and handshakes in a random order.

    Each message is counted by its outcome, the reason of each lost connection is in the status, every good book is
    shown within 2 s, and nothing is left over.
    """
    tls = None
    if scheme == "wss":
        certificate, tls = make_self_signed_certificate(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    survive(seed=8, frames=1500 if tls is None else 300, tls=tls)


@pytest.mark.slow
def test_ten_thousand_hostile_frames_leave_no_memory_behind() -> None:
    """A second long round in the same process takes no more memory than the first has left."""
    survive(seed=1, frames=10_000)
    left = psutil.Process().memory_info().rss
    survive(seed=2, frames=10_000)
    assert psutil.Process().memory_info().rss < left + 50 * 2**20


def test_client_gives_up_endless_dripping_handshake() -> None:
    """Bytes that come one by one do not keep a try alive: it ends when its time is over."""

    def drip(peer: socket.socket) -> None:
        peer.recv(4096)
        peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\n")
        while True:
            peer.sendall(b"X")
            time.sleep(0.01)

    with raw_server(drip) as port:
        client = WebSocketClient(f"ws://127.0.0.1:{port}/", lambda: RecordingFeed([]), print, open_s=0.2, max_tries=1)
        client.start()
        eventually(lambda: client.status.state == "given up")
        client.stop()
    assert "did not answer within 0.2 s" in str(client.status.last_error)
