"""The client against real servers on loopback: what it shows, survives, says in words and leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from feeds import FeedError
from feeds.gomarket import GomarketFeed
from network.connection import MAX_MESSAGE_BYTES, Timings, checked_url
from network.http_client import NetworkError, explain_refusal, parse_retry_after_s
from network.reconnection import RetryPolicy
from orderbook import OrderBook
from tests.support.loopback import (
    DeltaFeed,
    Server,
    encode_text_frame,
    eventually,
    gateway_frame,
    make_refusal,
    make_talk,
    measure_resources,
    raw_server,
    resources_released,
    shake_hands,
    stay_silent,
)
from websocket_client import WebSocketClient

QUICK: dict[str, Any] = {"min_reconnect_s": 0.02, "backoff_s": 0.01, "open_s": 5.0}


@pytest.fixture(autouse=True)
def _nothing_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test leaves neither thread nor socket behind; servers that never say goodbye are not waited for long."""
    monkeypatch.setattr("network.connection.CLOSE_TIMEOUT_S", 0.1)
    before = measure_resources()
    yield
    eventually(resources_released(before))


class WatchedClient:
    """A running client and the books it has delivered."""

    def __init__(self, url: str, make_feed: Callable[[], Any], **options: Any) -> None:
        self.books: list[OrderBook] = []
        self.client = WebSocketClient(url, make_feed, self.books.append, **QUICK | options)

    @property
    def bids(self) -> list[float]:
        return [book.bids.item(0) for book in self.books]

    def __enter__(self) -> WatchedClient:
        self.client.start()
        return self

    def __exit__(self, *_: object) -> None:
        began = time.monotonic()
        self.client.stop()
        assert time.monotonic() - began < 2
        assert self.client.join(0)


def gateway() -> GomarketFeed:
    return GomarketFeed("gomarket-okx", "BTC-USDT-SWAP", 0.01)


def test_client_delivers_every_frame_as_book_in_order() -> None:
    """158 frames sent at once, nothing conflated: 158 books, in order, each stamped at reception."""
    began_ns, began_mono = time.time_ns(), time.perf_counter_ns()
    with (
        Server(make_talk(*(gateway_frame(95000.0 + step) for step in range(158)))) as server,
        WatchedClient(server.url, gateway, conflate=False) as watched,
    ):
        eventually(lambda: len(watched.books) == 158)
        status = watched.client.status
        assert watched.bids == [95000.0 + step for step in range(158)]
        assert (status.state, status.frames, status.books, status.refused, status.conflated) == ("live", 158, 158, 0, 0)
        assert (status.reconnects, status.last_error, status.next_try_s) == (0, None, None)
        assert status.age_s is not None
        assert 0 <= status.age_s < 60
        assert all(began_ns <= book.market_ns <= time.time_ns() for book in watched.books)
        assert all(began_mono <= book.received_ns <= time.perf_counter_ns() for book in watched.books)
    assert watched.client.status.state == "stopped"


def test_client_counts_bad_frames_and_delivers_next_good_one() -> None:
    """Garbage, HTML, binary, crossed, empty and foreign frames are accounted for one by one; the feed goes on."""
    bad = [
        "{",
        "<html><body>503</body></html>",
        b"\x00\xff\xfe",
        "",
        "null",
        gateway_frame(100.0, asks=[["99.0", "1"]]),
        gateway_frame(100.0, bids=[]),
        gateway_frame(100.0, bids=[["NaN", "1"]]),
        gateway_frame(100.0, timestamp="9999-99-99"),
    ]
    foreign = gateway_frame(100.0, symbol="ETH-USDT-SWAP")
    with (
        Server(make_talk(gateway_frame(100.0), *bad, foreign, gateway_frame(101.0))) as server,
        WatchedClient(server.url, gateway, conflate=False) as watched,
    ):
        eventually(lambda: watched.bids == [100.0, 101.0])
        status = watched.client.status
        assert (status.books, status.refused, status.ignored, status.frames) == (2, len(bad), 1, len(bad) + 3)
        assert status.state == "live"
        assert status.last_error is not None
        assert "timestamp" in status.last_error
        assert len(server.connection_times) == 1


def test_client_accepts_frame_of_5_mb_and_refuses_one_of_30_mb() -> None:
    """The large snapshot is parsed; the frame above the limit ends the connection, and the next one serves."""

    async def talk(web_socket: ServerConnection, number: int) -> None:
        await web_socket.send(gateway_frame(100.0 + number, padding="x" * 5_000_000))
        if number == 1:
            await web_socket.send("x" * 30_000_000)
        await stay_silent(web_socket)

    with Server(talk) as server, WatchedClient(server.url, gateway) as watched:
        eventually(lambda: watched.bids == [101.0, 102.0])
        assert "above 16 MiB" in str(watched.client.status.last_error)
        assert 5_079_379 < MAX_MESSAGE_BYTES < 30_000_000
        assert watched.client.status.reconnects == 1


def test_silent_connection_becomes_stale_and_is_replaced() -> None:
    """Connected but silent: "stale", then a new connection; the first frame of that is "live" again."""
    states: set[str] = set()
    with (
        Server(make_talk(gateway_frame(100.0))) as server,
        WatchedClient(server.url, gateway, stale_s=0.15) as watched,
    ):
        eventually(lambda: states.add(watched.client.status.state) or len(watched.books) >= 2)
        eventually(lambda: states.add(watched.client.status.state) or {"live", "stale"} <= states)
        assert "silent for" in str(watched.client.status.last_error)
        assert server.connection_times[1] - server.connection_times[0] >= 0.2


@pytest.mark.parametrize("flowing", [True, False])
def test_any_data_counts_as_answer_to_ping(flowing: bool) -> None:
    """A server that never answers pings keeps its connection while data flows, and loses it when silent."""
    met: list[float] = []

    def talk(peer: socket.socket) -> None:
        shake_hands(peer)
        met.append(time.monotonic())
        peer.sendall(encode_text_frame(gateway_frame(100.0)))
        while flowing:
            time.sleep(0.02)
            peer.sendall(encode_text_frame(gateway_frame(100.0)))

    with (
        raw_server(talk) as port,
        WatchedClient(f"ws://127.0.0.1:{port}", gateway, ping_s=0.1, pong_s=0.4, conflate=False) as watched,
    ):
        if flowing:
            eventually(lambda: len(watched.books) >= 35)  # more than 0.5 s
            assert len(met) == 1
            assert watched.client.status.state == "live"
        else:
            eventually(lambda: len(met) >= 2)
            assert met[1] - met[0] >= 0.3
            assert "not even a ping's answer" in str(watched.client.status.last_error)


def test_server_that_only_answers_pings_is_silent() -> None:
    """A pong is no market data: the silence limit ends the connection."""
    with (
        Server(make_talk(gateway_frame(100.0))) as server,
        WatchedClient(server.url, gateway, stale_s=0.1, ping_s=0.05, pong_s=5.0) as watched,
    ):
        eventually(lambda: len(server.connection_times) >= 2)
        assert "silent for" in str(watched.client.status.last_error)


def quiet_feed(quiet_s: float) -> Callable[[], DeltaFeed]:
    """Return a function that makes a feed of changes whose market is checked after so many quiet seconds."""

    def make() -> DeltaFeed:
        feed = DeltaFeed()
        feed.quiet_s = quiet_s
        return feed

    return make


def test_server_of_changes_that_answers_pings_may_be_quiet() -> None:
    """Only who sends whole books owes them all the time: a market of changes may have none, and stays connected."""
    with (
        Server(make_talk("snapshot 1")) as server,
        WatchedClient(server.url, DeltaFeed, stale_s=0.5, ping_s=5.0) as watched,
    ):
        eventually(lambda: watched.bids == [1.0])
        opened_s = server.connection_times[0]
        eventually(lambda: time.monotonic() - opened_s > 2.0)
        assert len(server.connection_times) == 1
        assert (watched.client.status.age_s or 0.0) > 1.5


def test_server_of_changes_that_answers_no_ping_is_replaced() -> None:
    """A socket that is dead without a word is found out by a ping, long before the time of a usual ping."""

    def talk(peer: socket.socket) -> None:
        shake_hands(peer)
        peer.sendall(encode_text_frame("snapshot 1"))

    with (
        raw_server(talk) as port,
        WatchedClient(f"ws://127.0.0.1:{port}", DeltaFeed, stale_s=0.1, ping_s=20.0) as watched,
    ):
        eventually(lambda: watched.client.status.reconnects >= 1)
        assert "silent for" in str(watched.client.status.last_error)


def test_quiet_market_is_confirmed_less_and_less_often() -> None:
    """Each fresh connection has the same book, so the next one is made after twice the time."""
    with (
        Server(make_talk("snapshot 1")) as server,
        WatchedClient(server.url, quiet_feed(0.2), conflate=False) as watched,
    ):
        eventually(lambda: len(server.connection_times) >= 4)
        times = server.connection_times
        gaps = [later - earlier for earlier, later in pairwise(times)][:3]
        assert all(gap >= least for gap, least in zip(gaps, (0.2, 0.4, 0.8), strict=True)), gaps
        assert set(watched.bids) == {1.0}
        assert watched.client.status.attempt == 0


def test_fresh_connection_with_another_book_is_believed() -> None:
    """The older subscription had died: the new book is shown, and the next check comes as early as the first."""

    async def talk(web_socket: ServerConnection, number: int) -> None:
        await web_socket.send(f"snapshot {number + 1}")
        await stay_silent(web_socket)

    with Server(talk) as server, WatchedClient(server.url, quiet_feed(0.15), conflate=False) as watched:
        eventually(lambda: len(watched.bids) >= 5)
        assert watched.bids == sorted(set(watched.bids))
        times = server.connection_times
        assert times[4] - times[0] < 4 * 0.6


def test_quiet_market_that_nobody_confirms_is_given_up() -> None:
    """Fresh connections bring no book: what the old one showed is no longer to be trusted."""

    async def talk(web_socket: ServerConnection, number: int) -> None:
        if number == 1:
            await web_socket.send("snapshot 1")
        await stay_silent(web_socket)

    with (
        Server(talk) as server,
        WatchedClient(server.url, quiet_feed(0.1), first_book_s=0.1, max_tries=2) as watched,
    ):
        eventually(lambda: watched.client.status.state == "given up")
        assert "sent no valid order book" in str(watched.client.status.last_error)
        assert len(server.connection_times) == 3


def test_slow_callback_is_not_mistaken_for_silent_venue() -> None:
    """While frames still wait to be handled, the connection is kept, however long ago they came."""
    bids: list[float] = []

    def on_book(book: OrderBook) -> None:
        time.sleep(0.03)
        bids.append(book.bids.item(0))

    with Server(make_talk(*(gateway_frame(100.0 + step) for step in range(20)))) as server:
        client = WebSocketClient(server.url, gateway, on_book, conflate=False, stale_s=0.1, **QUICK)
        client.start()
        eventually(lambda: len(bids) >= 20)
        client.stop()
        assert bids[:20] == [100.0 + step for step in range(20)]


def test_frames_received_before_close_are_handled() -> None:
    """Frames that wait when the venue hangs up are handled before the connection is called lost."""

    async def talk(web_socket: ServerConnection, number: int) -> None:
        for step in range(100):
            await web_socket.send(gateway_frame(1000.0 * number + step))

    bids: list[float] = []

    def on_book(book: OrderBook) -> None:
        time.sleep(0.001)
        bids.append(book.bids.item(0))

    with Server(talk) as server:
        client = WebSocketClient(server.url, gateway, on_book, conflate=False, **QUICK)
        client.start()
        eventually(lambda: len(bids) > 100)
        client.stop()
        assert bids[:101] == [*(1000.0 + step for step in range(100)), 2000.0]


def test_client_gives_up_after_five_connections_without_book() -> None:
    """Without a valid book every connection is a failed try; the tries keep their distance."""

    async def talk(web_socket: ServerConnection, _number: int) -> None:
        await web_socket.send("<html>")

    with Server(talk) as server, WatchedClient(server.url, gateway, min_reconnect_s=0.06) as watched:
        eventually(lambda: watched.client.status.state == "given up")
        status = watched.client.status
        assert watched.client.join(2)
        assert len(server.connection_times) == 5
        assert server.connection_times[4] - server.connection_times[0] >= 0.2
        assert status.attempt == 5
        assert "gave up after 5 failed tries" in str(status.last_error)
        assert "closed the connection (code 1000)" in str(status.last_error)
        assert "connect again" in str(status.last_error)


def test_client_keeps_distance_when_server_drops_after_every_book() -> None:
    """A valid book starts the count again, so it goes on for ever, but at the least distance."""

    async def talk(web_socket: ServerConnection, number: int) -> None:
        await web_socket.send(gateway_frame(100.0 + number))

    with Server(talk) as server, WatchedClient(server.url, gateway, min_reconnect_s=0.06) as watched:
        eventually(lambda: len(server.connection_times) >= 8)
        assert watched.client.status.attempt == 0
        assert watched.bids[:7] == [101.0 + step for step in range(7)]
        assert server.connection_times[7] - server.connection_times[0] >= 0.35


def test_connection_without_book_in_time_is_failed_try() -> None:
    """A talkative server without a valid book is left after first_book_s, and the reason says so."""
    with (
        Server(make_talk(*["nonsense"] * 400, every_s=0.02)) as server,
        WatchedClient(server.url, gateway, first_book_s=0.15, max_tries=2) as watched,
    ):
        eventually(lambda: watched.client.status.state == "given up")
        assert len(server.connection_times) == 2
        assert "no valid order book within 0.15 s" in str(watched.client.status.last_error)


def test_gap_is_resynchronised_by_fresh_connection_and_feed() -> None:
    """A gap ends the connection; the new one subscribes again and starts from its own snapshot."""

    async def talk(web_socket: ServerConnection, number: int) -> None:
        steps = ("step 11", "step 13", "step 14") if number == 1 else ("step 11", "step 12")
        for text in ("snapshot 10", *steps):
            await web_socket.send(text)
        await stay_silent(web_socket)

    with Server(talk) as server, WatchedClient(server.url, DeltaFeed, conflate=False, settled_s=0.0) as watched:
        eventually(lambda: len(watched.books) == 5)
        status = watched.client.status
        assert watched.bids == [10, 11, 10, 11, 12]
        assert (status.books, status.refused, status.reconnects, status.attempt) == (5, 1, 1, 0)
        assert status.last_error == "gap: 13 after 11"
        eventually(lambda: server.received == ["subscribe steps"] * 2)


def test_client_gives_up_protocol_that_breaks_after_every_snapshot() -> None:
    """The books in between do not start the count again: five broken connections are enough."""
    with Server(make_talk("snapshot 1", "step 3")) as server, WatchedClient(server.url, DeltaFeed) as watched:
        eventually(lambda: watched.client.status.state == "given up")
        assert (len(server.connection_times), len(watched.books), watched.client.status.refused) == (5, 5, 5)
        assert "gap: 3 after 1" in str(watched.client.status.last_error)


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (403, {}, "refuses this address or region (HTTP 403)"),
        (451, {}, "choose another venue or network"),
        (404, {}, "check the address and the symbol"),
        (418, {}, "too many requests"),
        (429, {"Retry_After": "0.03"}, "too many requests"),
        (503, {}, "overloaded or out of service"),
        (401, {}, "asks for a login"),
        (302, {"Location": "ws://127.0.0.1:9/elsewhere"}, "redirects to ws://127.0.0.1:9/elsewhere"),
        (200, {}, "ordinary web page"),
        (500, {}, "answered HTTP 500"),
    ],
)
def test_refused_handshake_is_explained_in_words(status: int, headers: dict[str, str], words: str) -> None:
    """Each HTTP answer has its sentence, no redirect is followed, and the tries are bounded."""
    with (
        Server(stay_silent, make_refusal(status, "<html>", **headers)) as server,
        WatchedClient(server.url, gateway, max_tries=2) as watched,
    ):
        eventually(lambda: watched.client.status.state == "given up")
        assert words in str(watched.client.status.last_error)
        assert server.connection_times == []


def test_client_waits_as_long_as_retry_after_asks() -> None:
    """Retry-After is the least wait before the next try; a very long one ends the tries at once."""
    with (
        Server(stay_silent, make_refusal(429, Retry_After="30")) as server,
        WatchedClient(server.url, gateway) as watched,
    ):
        eventually(lambda: watched.client.status.next_try_s is not None)
        status = watched.client.status
        assert status.state == "reconnecting"
        assert status.next_try_s is not None
        assert 20 < status.next_try_s <= 30
        assert "it asks to wait 30 s" in str(status.last_error)
    with (
        Server(stay_silent, make_refusal(418, Retry_After="7200")) as server,
        WatchedClient(server.url, gateway) as watched,
    ):
        eventually(lambda: watched.client.status.state == "given up")
        assert watched.client.status.attempt == 1


@pytest.mark.parametrize(
    ("scheme", "reply", "words"),
    [
        ("ws", b"SSH-2.0-OpenSSH_9.6\r\n", "is no WebSocket"),
        ("ws", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: nonsense\r\n\r\n", "is no WebSocket"),
        ("wss", b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak TLS"),
        ("ws", b"", "did not answer within 0.2 s"),
    ],
)
def test_server_that_is_no_websocket_is_explained_in_words(scheme: str, reply: bytes, words: str) -> None:
    """Garbage, a broken upgrade, TLS that isn't, and silence at the handshake."""

    def talk(peer: socket.socket) -> None:
        peer.recv(4096)
        peer.sendall(reply)

    options = {"open_s": 0.2} if not reply else {}
    with (
        raw_server(talk) as port,
        WatchedClient(f"{scheme}://127.0.0.1:{port}", gateway, max_tries=1, **options) as watched,
    ):
        eventually(lambda: watched.client.status.state == "given up")
        assert words in str(watched.client.status.last_error)


def test_closed_port_and_unknown_name_are_told_apart() -> None:
    """A closed port and an unknown name are events apart."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for url, words in (
        (f"ws://127.0.0.1:{port}/", "refused the connection"),
        ("ws://no-such-host.invalid/", "no-such-host.invalid"),
    ):
        with WatchedClient(url, gateway, max_tries=1) as watched:
            eventually(lambda watched=watched: watched.client.status.state == "given up", 20)
            assert words in str(watched.client.status.last_error)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.org", "must start with ws:// or wss://"),
        ("example.org", "must start with ws:// or wss://"),
        ("", "must start with ws:// or wss://"),
        ("file:///etc/passwd", "must start with ws:// or wss://"),
        ("ws://", "cannot be read"),
        ("ws://host:port/", "cannot be read"),
        ("ws://host/#part", "cannot be read"),
        ("ws://host/a\r\nX-Evil: 1", "control character"),
        ("wss://user:secret@host/", "user name or a password"),
    ],
)
def test_client_refuses_invalid_address_when_made(url: str, words: str) -> None:
    """ValueError with a sentence; the sentence never repeats a password."""
    with pytest.raises(ValueError, match="address") as caught:
        WebSocketClient(url, gateway, lambda _book: None)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)
    assert checked_url("wss://ws.okx.com/ws/v5/public") == "wss://ws.okx.com/ws/v5/public"


@pytest.mark.parametrize("conflate", [True, False])
def test_slow_callback_gets_newest_book_and_no_delta_is_skipped(conflate: bool) -> None:
    """Many steps at once and 10 ms a book: late books are passed over, or none is if conflation is off.

    Either way every step is parsed, and the last one is delivered, though heartbeats follow it.
    """
    bids: list[float] = []

    def on_book(book: OrderBook) -> None:
        time.sleep(0.01)
        bids.append(book.bids.item(0))

    steps = 400 if conflate else 40
    texts = ["snapshot 1", *(f"step {number + 1}" for number in range(1, steps)), *["heartbeat"] * 30]
    with Server(make_talk(*texts)) as server:
        client = WebSocketClient(server.url, DeltaFeed, on_book, conflate=conflate, conflate_s=0.1, **QUICK)
        client.start()
        eventually(lambda: bids and bids[-1] == steps)
        status = client.status
        client.stop()
        assert (status.books, status.refused) == (steps, 0)
        assert bids == sorted(bids)
        assert len(bids) + status.conflated == steps
        assert (status.conflated > 0) is conflate
        if conflate:
            assert len(bids) < steps / 2


def test_failing_callback_is_counted_and_feed_goes_on() -> None:
    """on_book and on_frame may raise; neither costs a frame or the connection."""

    def on_book(_book: OrderBook) -> None:
        raise KeyError("no such model")

    def on_frame(*_: object) -> None:
        raise OSError("disk full")

    with Server(make_talk(*[gateway_frame(100.0)] * 10)) as server:
        client = WebSocketClient(server.url, gateway, on_book, on_frame=on_frame, conflate=False, **QUICK)
        client.start()
        eventually(lambda: client.status.callback_errors == 21)  # one connect, ten frames, ten books
        assert client.status.callback_error == "KeyError: 'no such model'"
        assert (client.status.books, client.status.state) == (10, "live")
        client.stop()


def test_recording_events_are_passed_on_before_parsing() -> None:
    """A recording gets connect, send and recv in their order, each frame as it came and before its book."""
    events: list[tuple[object, ...]] = []
    with Server(make_talk("ack", "bad book", "snapshot 7")) as server:
        client = WebSocketClient(
            server.url,
            lambda: DeltaFeed(keepalive=("ping", 0.1)),
            lambda book: events.append(("book", book.bids.item(0))),
            on_frame=lambda kind, market_ns, text, url: events.append((kind, market_ns > 0, text, url)),
            **QUICK,
        )
        client.start()
        eventually(lambda: "ping" in server.received)
        client.stop()
        assert events[:6] == [
            ("connect", True, server.url, server.url),
            ("send", True, "subscribe steps", None),
            ("recv", True, "ack", None),
            ("recv", True, "bad book", None),
            ("recv", True, "snapshot 7", None),
            ("book", 7.0),
        ]
        assert events[6] == ("send", True, "ping", None)


def test_keepalive_is_sent_after_quiet_seconds_only() -> None:
    """While data flows no keepalive text is sent; in silence it is, and its answer keeps the connection."""

    async def talk(web_socket: ServerConnection, _number: int) -> None:
        for number in range(1, 26):
            await web_socket.send(f"snapshot {number}")
            await asyncio.sleep(0.02)
        assert "ping" not in server.received
        for _ in range(2):
            quiet_since = time.monotonic()
            while server.received.count("ping") == pings[0]:
                await asyncio.sleep(0.005)
            pings[0] += 1
            gaps.append(time.monotonic() - quiet_since)
            await web_socket.send("pong")
        await stay_silent(web_socket)

    pings, gaps = [0], list[float]()
    with (
        Server(talk) as server,
        WatchedClient(server.url, lambda: DeltaFeed(keepalive=("ping", 0.3)), stale_s=0.1, pong_s=3.0) as watched,
    ):
        eventually(lambda: len(gaps) == 2)
        assert min(gaps) > 0.2
        assert len(server.connection_times) == 1
        eventually(lambda: watched.client.status.ignored >= 2)


def test_periodic_keepalive_is_sent_while_data_flow() -> None:
    """A venue that counts only what it is sent hears from the client at the promised times, however busy it is."""

    async def talk(web_socket: ServerConnection, _number: int) -> None:
        for number in range(1, 1000):
            await web_socket.send(f"snapshot {number}")
            await asyncio.sleep(0.01)

    def make_feed() -> DeltaFeed:
        feed = DeltaFeed(keepalive=("ping", 0.2))
        feed.is_keepalive_periodic = True
        return feed

    with Server(talk) as server, WatchedClient(server.url, make_feed) as watched:
        eventually(lambda: server.received.count("ping") == 3)
        age_s = time.monotonic() - server.connection_times[0]
        assert 0.55 < age_s < 3
        assert watched.client.status.state == "live"
        assert len(server.connection_times) == 1


def test_message_that_wants_an_answer_gets_it() -> None:
    """A venue that asks whether the client is there hears that it is, once for each question."""
    talk = make_talk("are you there", "snapshot 1", "are you there", every_s=0.01)
    with Server(talk) as server, WatchedClient(server.url, DeltaFeed) as watched:
        eventually(lambda: server.received.count("yes") == 2)
        eventually(lambda: watched.client.status.books == 1)
        assert watched.client.status.ignored == 2


def test_slow_books_are_live_until_the_next_one_is_late() -> None:
    """Where a venue sends a book every few seconds, the time between two of them is no silence."""

    async def talk(web_socket: ServerConnection, _number: int) -> None:
        for number in range(1, 5):
            await web_socket.send(f"snapshot {number}")
            await asyncio.sleep(0.4)
        await stay_silent(web_socket)

    def make_feed() -> DeltaFeed:
        feed = DeltaFeed()
        feed.has_whole_books = True
        feed.book_interval_s = 0.4
        return feed

    states = set[str]()
    with Server(talk) as server, WatchedClient(server.url, make_feed, stale_s=0.1) as watched:
        eventually(lambda: watched.client.status.books == 1)
        eventually(lambda: states.add(watched.client.status.state) or watched.client.status.books == 4)
        assert states == {"live"}
        assert len(server.connection_times) == 1
        eventually(lambda: watched.client.status.state == "stale")
        eventually(lambda: len(server.connection_times) == 2)


@pytest.mark.parametrize("why", ["closing", "age"])
def test_connection_about_to_end_is_replaced_without_gap_or_duplicate(why: str) -> None:
    """The old connection serves until the new one's first book, and then is dropped."""

    async def talk(web_socket: ServerConnection, number: int) -> None:
        if number == 1:
            await web_socket.send("snapshot 100")
            if why == "closing":
                await web_socket.send("closing soon")
            step = 100
            try:
                while True:
                    step += 1
                    await web_socket.send(f"step {step}")
                    await asyncio.sleep(0.01)
            finally:
                dropped.set()
        if number > 2:
            await stay_silent(web_socket)
        await asyncio.sleep(0.2)  # a slow snapshot: meanwhile the old connection is the one that serves
        await web_socket.send("snapshot 5000")
        await web_socket.send("step 5001")
        await stay_silent(web_socket)

    events: list[str | bytes] = []
    dropped = threading.Event()
    options = {"settled_s": 0.05} if why == "closing" else {"max_age_s": 0.15}
    with (
        Server(talk) as server,
        WatchedClient(
            server.url, DeltaFeed, conflate=False, on_frame=lambda *note: events.append(note[2]), **options
        ) as watched,
    ):
        eventually(lambda: watched.bids and watched.bids[-1] == 5001)
        eventually(dropped.is_set)
        old = watched.bids[: watched.bids.index(5000)]
        assert old == [100 + step for step in range(len(old))]
        assert len(old) > 10
        assert server.connection_times[1] - server.connection_times[0] < 5
        assert watched.bids[len(old) :] == [5000, 5001]
        # The recording has the second connection whole, and nothing of the first inside it.
        second = events.index(server.url, 1)
        assert events[second : second + 4] == [server.url, "subscribe steps", "snapshot 5000", "step 5001"]
        assert watched.client.status.refused == 0


@pytest.mark.parametrize("catches_up", [True, False])
def test_successor_never_takes_books_back_in_time(catches_up: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Books of a new connection that are behind those shown are passed over; it takes over once it has caught up.

    If the venue's clock says for too long that it has not, the clock is not believed.
    """
    monkeypatch.setattr("network.reconnection.CATCH_UP_S", 0.3 if not catches_up else 30.0)

    async def talk(web_socket: ServerConnection, number: int) -> None:
        if number == 1:
            for text in ("snapshot 100", *(f"step {step}" for step in range(101, 111)), "closing soon"):
                await web_socket.send(text)
        else:
            first, last = (105, 115) if catches_up else (5, 105)
            await web_socket.send(f"snapshot {first}")
            for step in range(first + 1, last):
                await web_socket.send(f"step {step}")
                await asyncio.sleep(0 if catches_up else 0.05)
        await stay_silent(web_socket)

    with Server(talk) as server, WatchedClient(server.url, DeltaFeed, conflate=False, settled_s=0.05) as watched:
        eventually(lambda: server.n_open == 1 and watched.client.status.reconnects == 1)
        shown = [100 + step for step in range(11)]
        if catches_up:
            eventually(lambda: watched.bids == [*shown, *range(110, 115)])
            status = watched.client.status
            assert (status.books, status.conflated) == (21, 5)
        else:
            eventually(lambda: len(watched.bids) > 11)
            assert watched.bids[:11] == shown
            assert 5 < watched.bids[11] < 100


def test_rest_snapshot_is_fetched_while_frames_are_buffered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body is recorded with its url and applied, and steps that came before it are not lost.

    A body that is too old for them is fetched again, though not at once.
    """
    monkeypatch.setattr("network.connection.MIN_FETCH_INTERVAL_S", 0.2)
    asked = threading.Event()
    bodies, fetched = [b"30", b"41"], list[float]()

    def rest(peer: socket.socket) -> None:
        peer.recv(4096)
        fetched.append(time.monotonic())
        assert asked.wait(5)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n" + bodies.pop(0))

    events: list[tuple[object, ...]] = []
    with raw_server(rest) as port, Server(make_talk("step 41", "step 42", "step 43")) as server:
        url = f"http://127.0.0.1:{port}/depth"
        with WatchedClient(
            server.url, lambda: DeltaFeed(url), on_frame=lambda *note: events.append((note[0], *note[2:]))
        ) as watched:
            eventually(lambda: watched.client.status.ignored == 3)
            asked.set()
            eventually(lambda: watched.bids == [43.0])
            status = watched.client.status
        assert (status.books, status.ignored, status.frames) == (1, 4, 5)
        assert events[-2:] == [("http", "30", url), ("http", "41", url)]
        assert fetched[1] - fetched[0] > 0.15


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"HTTP/1.1 429 Too Many\r\nRetry-After: 40\r\n\r\n", "too many requests came from here (HTTP 429); it asks"),
        (b"HTTP/1.1 451 No\r\n\r\n", "refuses this address or region (HTTP 451)"),
        (b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n", "not followed"),
        (b"garbage\r\n\r\n", "gave no snapshot"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 90000000\r\n\r\n" + b"x" * (33 << 20), "above 32 MiB"),
        (b"", "no complete answer within 0.3 s"),
    ],
)
def test_refused_rest_snapshot_is_explained_in_words(reply: bytes, words: str) -> None:
    """HTTP refusals, redirects, garbage, floods and silence end the try with their reason."""

    def rest(peer: socket.socket) -> None:
        peer.recv(4096)
        peer.sendall(reply)

    with raw_server(rest) as port, Server(make_talk("step 1")) as server:
        fetch_s = 0.3 if not reply else 5.0
        make_feed = lambda: DeltaFeed(f"http://127.0.0.1:{port}/depth")  # noqa: E731 - one value of two arguments
        with WatchedClient(server.url, make_feed, fetch_s=fetch_s) as watched:
            eventually(lambda: watched.client.status.last_error)
            assert words in str(watched.client.status.last_error)
            if b"429" in reply:
                eventually(lambda: (watched.client.status.next_try_s or 0) > 20)


def test_snapshot_is_fetched_over_http_or_https_only() -> None:
    """A feed cannot make the client open a file."""
    with (
        Server(make_talk("step 1")) as server,
        WatchedClient(server.url, lambda: DeltaFeed("file:///etc/hostname")) as watched,
    ):
        eventually(lambda: watched.client.status.last_error)
        assert "over http or https only" in str(watched.client.status.last_error)


def _half_a_frame(peer: socket.socket) -> None:
    shake_hands(peer)
    peer.sendall(encode_text_frame(gateway_frame(100.0))[:50])


@pytest.mark.parametrize("state", ["connecting", "half a frame", "backing off", "live", "fetching", "blocked"])
def test_stop_ends_client_within_two_seconds_in_any_state(state: str) -> None:
    """Whatever it is doing, stop() joins in time; the fixture then finds no thread and no socket."""
    with contextlib.ExitStack() as stack:
        reached: Callable[[WebSocketClient], object]
        make_feed: Callable[[], Any] = gateway
        on_book: Callable[[OrderBook], None] = lambda _book: None  # noqa: E731 - the quiet default
        options: dict[str, Any] = {}
        if state in ("connecting", "half a frame"):
            arrived = threading.Event()

            def talk(peer: socket.socket) -> None:
                if state == "half a frame":
                    _half_a_frame(peer)
                else:
                    peer.recv(4096)
                arrived.set()

            url = f"ws://127.0.0.1:{stack.enter_context(raw_server(talk))}"
            reached = lambda _client: arrived.is_set()  # noqa: E731
        elif state == "backing off":
            url = stack.enter_context(Server(stay_silent, make_refusal(503))).url
            options = {"min_reconnect_s": 60.0}
            reached = lambda client: client.status.next_try_s  # noqa: E731
        elif state == "fetching":
            asked = threading.Event()

            def rest(peer: socket.socket) -> None:
                peer.recv(4096)
                asked.set()

            rest_url = f"http://127.0.0.1:{stack.enter_context(raw_server(rest))}/"
            make_feed = lambda: DeltaFeed(rest_url)  # noqa: E731
            url = stack.enter_context(Server(make_talk("step 1"))).url
            reached = lambda _client: asked.is_set()  # noqa: E731
        else:
            url = stack.enter_context(Server(make_talk(*[gateway_frame(100.0)] * 50))).url
            reached = lambda client: client.status.books  # noqa: E731
            if state == "blocked":
                on_book = lambda _book: time.sleep(0.3)  # noqa: E731
        client = WebSocketClient(url, make_feed, on_book, **QUICK | options)
        client.start()
        eventually(lambda: reached(client))
        began = time.monotonic()
        client.stop()
        assert time.monotonic() - began < 2
        assert client.status.state == "stopped"
        assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("feed")]
        client.stop()


def test_stop_does_not_wait_for_hanging_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look-up cannot be cut short, but the client ends without it."""
    asked, answer = threading.Event(), threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        asked.set()
        answer.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with WatchedClient("wss://name.invalid/", gateway):
        assert asked.wait(5)
    answer.set()


def test_client_that_never_started_can_be_stopped_but_not_started() -> None:
    """It goes from idle to stopped without a thread; to start it then is an error that says what to do."""
    client = WebSocketClient("ws://127.0.0.1:1/", gateway, lambda _book: None)
    assert client.status.state == "idle"
    assert client.status.age_s is None
    client.stop()
    assert client.status.state == "stopped"
    with pytest.raises(RuntimeError, match="make a new one"):
        client.start()


def test_stop_from_callback_only_signals() -> None:
    """on_book may stop its own client: no deadlock, and no book after that."""
    books: list[OrderBook] = []

    def on_book(book: OrderBook) -> None:
        books.append(book)
        client.stop()

    with Server(make_talk(*[gateway_frame(100.0)] * 50)) as server:
        client = WebSocketClient(server.url, gateway, on_book, **QUICK)
        client.start()
        assert client.join(2)
        assert len(books) == 1
        assert client.status.state == "stopped"


def test_unexpected_feed_error_ends_client_with_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that no feed may raise is not swallowed: the thread reports it, and the status says what it was."""
    reported: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: reported.append(arguments.exc_value))

    class Broken(DeltaFeed):
        def parse(self, message: str | bytes, *_: object) -> OrderBook | None:
            raise ZeroDivisionError(message)

    with Server(make_talk("anything")) as server, WatchedClient(server.url, Broken) as watched:
        eventually(lambda: watched.client.status.state == "given up")
        assert "ZeroDivisionError('anything')" in str(watched.client.status.last_error)
        assert watched.client.join(2)
        assert len(reported) == 1


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1011, 1012, 1013, 3000, 4999])
def test_close_code_is_reported_and_followed_by_new_connection(code: int) -> None:
    """The code and the venue's reason are in the words, and the next connection's book is shown."""

    async def talk(web_socket: ServerConnection, number: int) -> None:
        await web_socket.send(gateway_frame(100.0 + number))
        if number == 1:
            await web_socket.close(code, "so be it")
        await stay_silent(web_socket)

    with Server(talk) as server, WatchedClient(server.url, gateway) as watched:
        eventually(lambda: watched.bids == [101.0, 102.0])
        assert f"closed the connection (code {code}, 'so be it')" in str(watched.client.status.last_error)


def _failed_tries(
    retries: RetryPolicy, error: NetworkError | FeedError, booked: bool, times: int
) -> list[float | None]:
    return [retries.record_loss(error, booked) for _ in range(times)]


def test_backoff_doubles_up_to_its_cap_with_jitter_below() -> None:
    """The nth wait is between half of and all of backoff_s * 2^n, and the last try has none."""
    for _ in range(20):
        waits = _failed_tries(RetryPolicy(8, Timings(backoff_s=1.0, backoff_cap_s=30.0)), NetworkError("x"), False, 8)
        assert waits.pop() is None
        for failures, wait_s in enumerate(waits, 1):
            longest = min(30.0, 2.0**failures)
            assert wait_s is not None
            assert longest / 2 <= wait_s <= longest


def test_retry_policy_counts_failures_until_a_book_proves_recovery() -> None:
    """A book starts it again; after a broken protocol only a book of a settled connection does."""
    retries = RetryPolicy(5, Timings(settled_s=10.0))
    _failed_tries(retries, NetworkError("x"), False, 3)
    assert retries.n_failures == 3
    retries.record_book(0.1)
    assert retries.n_failures == 0
    assert retries.record_loss(NetworkError("x"), True) is not None
    assert retries.n_failures == 0
    retries.record_loss(FeedError("gap"), True)
    retries.record_book(9.9)
    assert retries.n_failures == 1
    retries.record_book(10.0)
    assert retries.n_failures == 0


def test_retry_after_is_parsed_as_seconds_or_date() -> None:
    """Both forms of the header; nonsense, the past and infinity mean no wait."""
    soon = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    assert 95 < parse_retry_after_s(soon) <= 100
    assert parse_retry_after_s("12") == 12
    assert [parse_retry_after_s(text) for text in (None, "", "soon", "-5", "inf", "nan")] == [0.0] * 6
    assert math.isclose(explain_refusal("h", 429, [("RETRY-AFTER", "12"), ("Location", "a")]).retry_after_s, 12)
