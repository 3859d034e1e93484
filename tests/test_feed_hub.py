"""The hub: one client per feed, shared by its subscriptions, and nothing left after the last."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from feeds.gomarket import GomarketFeed
from network import connection
from orderbook import OrderBook
from tests.support.loopback import (
    DeltaFeed,
    Server,
    eventually,
    gateway_frame,
    make_refusal,
    make_talk,
    measure_resources,
    resources_released,
    stay_silent,
)
from websocket_client import FeedHub, Subscription

QUICK: dict[str, Any] = {"min_reconnect_s": 0.02, "backoff_s": 0.01}
KEY = ("gomarket-okx", "BTC-USDT-SWAP")


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Every test leaves neither thread nor socket behind."""
    before = measure_resources()
    yield
    eventually(resources_released(before))


def gateway() -> GomarketFeed:
    return GomarketFeed("gomarket-okx", "BTC-USDT-SWAP", 0.01)


def attach(
    hub: FeedHub,
    url: str,
    on_book: Callable[[OrderBook], None],
    make_feed: Callable[[], Any] = gateway,
    key: tuple[str, str] = KEY,
    **options: Any,
) -> Subscription:
    return hub.attach(key, lambda: contextlib.nullcontext(url), make_feed, on_book, **QUICK | options)


def test_subscribers_of_one_feed_share_one_connection() -> None:
    """Three subscriptions, one connection and every book for each of them; another symbol has its own."""
    frames = [gateway_frame(100.0 + step) for step in range(25)]
    hub = FeedHub()
    with Server(make_talk(*frames, every_s=0.01)) as server:
        seen: list[list[float]] = [[], [], [], []]
        subscriptions = [
            attach(hub, server.url, lambda book, of=of: of.append(book.bids.item(0)), conflate=False) for of in seen[:3]
        ]
        subscriptions.append(
            attach(
                hub,
                server.url,
                lambda book: seen[3].append(book.bids.item(0)),
                key=("gomarket-okx", "other"),
                conflate=False,
            )
        )
        eventually(lambda: all(of and of[-1] == 124.0 for of in seen))
        assert len(server.connection_times) == 2
        assert all(of == [125.0 - step for step in range(len(of), 0, -1)] for of in seen)
        assert {thread.name for thread in threading.enumerate()} >= {
            "feed gomarket-okx BTC-USDT-SWAP",
            "feed gomarket-okx other",
        }
        for subscription in subscriptions:
            subscription.unsubscribe()
        assert all(subscription.join() for subscription in subscriptions)


def test_late_subscriber_gets_latest_book_at_once_and_only_once() -> None:
    """On a silent feed the newcomer does not wait, and is called on the feed's thread like everybody."""
    hub = FeedHub()
    with Server(make_talk(gateway_frame(100.0), gateway_frame(101.0))) as server:
        first: list[float] = []
        early = attach(hub, server.url, lambda book: first.append(book.bids.item(0)), conflate=False)
        eventually(lambda: first == [100.0, 101.0])
        late: list[tuple[float, str]] = []
        newcomer = attach(
            hub, server.url, lambda book: late.append((book.bids.item(0), threading.current_thread().name))
        )
        eventually(lambda: late == [(101.0, "feed gomarket-okx BTC-USDT-SWAP")])
        newcomer.send_latest()
        early.unsubscribe()
        newcomer.unsubscribe()
        assert newcomer.join()
        assert (len(first), len(late), len(server.connection_times)) == (2, 1, 1)


def test_callback_errors_are_counted_for_their_subscriber_alone() -> None:
    """A raising callback is counted for its subscription alone, and the others get every book."""
    hub = FeedHub()

    def fail(_book: OrderBook) -> None:
        raise ValueError("not trained")

    with Server(make_talk(*[gateway_frame(100.0)] * 20)) as server:
        failing = attach(hub, server.url, fail, conflate=False)
        books: list[OrderBook] = []
        fine = attach(hub, server.url, books.append)
        eventually(lambda: fine.status.books == 20 and len(books) >= 1)
        eventually(lambda: failing.status.callback_errors == 20)
        assert failing.status.callback_error == "ValueError: not trained"
        assert (fine.status.callback_errors, fine.status.callback_error) == (0, None)
        failing.unsubscribe()
        fine.unsubscribe()
        assert fine.join()


def test_client_ends_with_last_subscriber_and_then_leaves_its_source() -> None:
    """The client stops within a second once the last subscriber has left, and closes the source after the connection.

    Leaving one by one stops nothing, and leaving twice is leaving once.
    """
    hub = FeedHub()
    events: list[str] = []

    @contextlib.contextmanager
    def source() -> Iterator[str]:
        events.append("entered")
        try:
            yield server.url
        finally:
            eventually(lambda: server.n_open == 0)
            events.append("left")

    with Server(make_talk(*[gateway_frame(100.0)] * 1000, every_s=0.01)) as server:
        subscriptions = [hub.attach(KEY, source, gateway, lambda _book: None, **QUICK) for _ in range(3)]
        eventually(lambda: subscriptions[0].status.books > 3)
        subscriptions[0].unsubscribe()
        subscriptions[0].unsubscribe()
        subscriptions[1].unsubscribe()
        assert not subscriptions[2].join(0.2)
        assert events == ["entered"]
        assert subscriptions[2].status.state == "live"
        began = time.monotonic()
        subscriptions[2].unsubscribe()
        assert time.monotonic() - began < 0.5
        assert subscriptions[2].join()
        assert time.monotonic() - began < 1.5
        assert events == ["entered", "left"]
        assert subscriptions[2].status.state == "stopped"


def test_attach_while_old_client_ends_starts_fresh_one() -> None:
    """A detach and an attach in one breath: a new client, a new source, and the old one ends all the same."""
    hub = FeedHub()
    with Server(make_talk(*[gateway_frame(100.0)] * 1000, every_s=0.01)) as server:
        books: list[OrderBook] = []
        old = attach(hub, server.url, lambda _book: time.sleep(0.05))
        eventually(lambda: old.status.books)
        old.unsubscribe()
        new = attach(hub, server.url, books.append)
        eventually(lambda: len(books) > 3)
        assert old.join()
        assert len(server.connection_times) == 2
        assert new.status.state == "live"
        new.unsubscribe()
        assert new.join()


def test_attach_after_giving_up_tries_again() -> None:
    """A feed that gave up says why to its subscriptions; the next attach is a new client."""
    hub = FeedHub()
    refusing = Server(stay_silent, make_refusal(503))
    with refusing:
        subscription = attach(hub, refusing.url, lambda _book: None, max_tries=2)
        eventually(lambda: subscription.status.state == "given up")
        assert "HTTP 503" in str(subscription.status.last_error)
    with Server(make_talk(gateway_frame(100.0))) as server:
        again = attach(hub, server.url, lambda _book: None)
        eventually(lambda: again.status.state == "live")
        assert subscription.status.state == "given up"
        subscription.unsubscribe()
        assert again.status.state == "live"
        again.unsubscribe()
        assert again.join()


def test_attach_raises_source_errors_and_leaves_the_source() -> None:
    """Attaching raises what the source raises; a source whose address is no address is left again."""
    hub = FeedHub()
    left: list[str] = []

    @contextlib.contextmanager
    def source(url: str | None) -> Iterator[str]:
        if url is None:
            raise FileNotFoundError("no such recording")
        try:
            yield url
        finally:
            left.append(url)

    with pytest.raises(FileNotFoundError, match="no such recording"):
        hub.attach(KEY, lambda: source(None), gateway, lambda _book: None)
    with pytest.raises(ValueError, match="must start with"):
        hub.attach(KEY, lambda: source("http://x"), gateway, lambda _book: None)
    assert left == ["http://x"]
    with Server(make_talk(gateway_frame(100.0))) as server:
        subscription = attach(hub, server.url, lambda _book: None)
        eventually(lambda: subscription.status.state == "live")
        subscription.unsubscribe()
        assert subscription.join()


def test_subscriber_may_unsubscribe_in_its_callback() -> None:
    """No deadlock, and no book after it."""
    hub = FeedHub()
    books: list[OrderBook] = []
    subscriptions: list[Subscription] = []
    with Server(make_talk(*[gateway_frame(100.0)] * 200, every_s=0.01)) as server:

        def on_book(book: OrderBook) -> None:
            if subscriptions:
                books.append(book)
                subscriptions[0].unsubscribe()

        subscriptions.append(attach(hub, server.url, on_book))
        assert subscriptions[0].join()
        assert len(books) == 1


def test_unsubscribed_callback_does_not_get_book_being_delivered() -> None:
    """A subscription that is let go while others are handed a book does not get that book."""
    hub = FeedHub()
    bids: list[float] = []
    cut: list[float] = []
    later: list[Subscription] = []

    def on_book(book: OrderBook) -> None:
        if later and not cut:
            later[0].unsubscribe()
            cut.append(book.bids.item(0))

    with Server(make_talk(*(gateway_frame(100.0 + step) for step in range(200)), every_s=0.01)) as server:
        first = attach(hub, server.url, on_book)
        later.append(attach(hub, server.url, lambda book: bids.append(book.bids.item(0))))
        eventually(lambda: cut)
        eventually(lambda books=first.status.books: first.status.books > books + 3)
        assert all(bid < cut[0] for bid in bids)
        first.unsubscribe()
        assert first.join()


async def _steps(web_socket: ServerConnection, number: int) -> None:
    """Serve a market of steps, a thousand apart for each connection."""
    if number > 1:
        await asyncio.sleep(0.2)
    await web_socket.send(f"snapshot {number * 1000}")
    for step in range(1, 900):
        await asyncio.sleep(0.01)
        await web_socket.send(f"step {number * 1000 + step}")


def test_recording_of_deltas_begins_with_fresh_connection_and_replays() -> None:
    """Whoever starts to record midway gets a whole connection from its start; the others miss no beat."""
    hub = FeedHub()
    bids: list[float] = []
    events: list[tuple[str, str]] = []
    with Server(_steps) as server:
        subscription = attach(hub, server.url, lambda book: bids.append(book.bids.item(0)), DeltaFeed, conflate=False)
        eventually(lambda: len(bids) > 5)
        subscription.record(lambda kind, _market_ns, text, _url: events.append((kind, str(text))))
        eventually(lambda: len(events) > 10)
        subscription.record(None)
        count = len(events)
        assert events[:3] == [("connect", server.url), ("send", "subscribe steps"), ("recv", "snapshot 2000")]
        feed = DeltaFeed()
        replayed = [feed.parse(text, 1, 1) for kind, text in events if kind == "recv"]
        assert [book.bids.item(0) for book in replayed if book] == [2000.0 + step for step in range(len(replayed))]
        cut = bids.index(2000.0)
        assert bids[:cut] == [1000.0 + step for step in range(cut)]
        later = len(bids) + 3
        eventually(lambda: len(bids) > later)
        assert len(events) == count
        assert subscription.status.refused == 0
        subscription.unsubscribe()
        assert subscription.join()
        assert len(server.connection_times) == 2


def test_recording_that_begins_with_first_connection_asks_for_no_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first connection opens after the call to record, before the client's thread acts on it.

    One connection is made, and the recording has it from its start.
    """
    go, opened = threading.Event(), connection._open_web_socket

    async def open_late(url: str, open_s: float) -> Any:
        while not go.is_set():
            await asyncio.sleep(0.005)
        return await opened(url, open_s)

    monkeypatch.setattr("network.connection._open_web_socket", open_late)
    events: list[str] = []
    with Server(make_talk("step 1", "step 2")) as server:
        subscription = attach(FeedHub(), server.url, lambda _book: None, DeltaFeed)
        client = subscription._shared.client
        post = client.post

        def post_late(function: Callable[[], object]) -> None:
            go.set()
            eventually(lambda: "recv" in events)
            post(function)

        monkeypatch.setattr(client, "post", post_late)
        subscription.record(lambda kind, *_: events.append(kind))
        monkeypatch.undo()
        turn = threading.Event()
        post(turn.set)
        assert turn.wait(5)
        serving = client._failover.serving
        assert serving is not None
        assert not serving.needs_successor.is_set()
        assert (events[0], events.count("connect")) == ("connect", 1)
        subscription.unsubscribe()


def test_recording_of_whole_books_begins_at_once() -> None:
    """resync=False needs no new connection, and begins with the next frame."""
    hub = FeedHub()
    events: list[tuple[str, str]] = []
    with Server(_steps) as server:
        subscription = attach(hub, server.url, lambda _book: None, DeltaFeed)
        eventually(lambda: subscription.status.books > 3)
        subscription.record(lambda kind, _market_ns, text, _url: events.append((kind, str(text))), resync=False)
        eventually(lambda: len(events) > 3)
        assert {kind for kind, _ in events} == {"recv"}
        assert len(server.connection_times) == 1
        subscription.unsubscribe()
        assert subscription.join()


def test_subscription_can_be_detached_by_the_documented_name() -> None:
    """`detach` is `unsubscribe`: no more books, and the last one to leave ends the client."""
    hub = FeedHub()
    with Server(make_talk(*[gateway_frame(100.0)] * 1000, every_s=0.01)) as server:
        first_books: list[OrderBook] = []
        first = attach(hub, server.url, first_books.append)
        second_books: list[OrderBook] = []
        second = attach(hub, server.url, second_books.append)
        eventually(lambda: first_books and second_books)
        first.detach()
        n_books = len(first_books)
        n_more = len(second_books) + 3
        eventually(lambda: len(second_books) > n_more)
        assert len(first_books) <= n_books + 1  # the one being handed over
        assert second.status.state == "live"
        second.detach()
        assert second.join()
        assert hub.feeds == {}
        assert first.status.state == second.status.state == "stopped"


def test_fifty_subscriptions_leave_no_thread_and_no_socket() -> None:
    """Attach and detach, fifty times and at various moments of a client's life."""
    hub = FeedHub()
    with Server(make_talk(*[gateway_frame(100.0)] * 1000, every_s=0.002)) as server:
        before = measure_resources()
        subscriptions = []
        for visit in range(50):
            subscription = attach(hub, server.url, lambda _book: None)
            if visit % 3 == 1:
                eventually(lambda subscription=subscription: subscription.status.books)
            subscription.unsubscribe()
            subscriptions.append(subscription)
        assert all(subscription.join() for subscription in subscriptions)
        assert all(subscription.status.state == "stopped" for subscription in subscriptions)
        eventually(resources_released(before))
