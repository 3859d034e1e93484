"""The hub: one client per feed, shared by its viewers, and nothing left after the last."""

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


def test_viewers_of_one_feed_share_one_connection() -> None:
    """Three viewers, one connection and every book for each of them; another symbol has its own."""
    frames = [gateway_frame(100.0 + step) for step in range(25)]
    hub = FeedHub()
    with Server(make_talk(*frames, every_s=0.01)) as server:
        seen: list[list[float]] = [[], [], [], []]
        viewers = [
            attach(hub, server.url, lambda book, of=of: of.append(book.bids.item(0)), conflate=False) for of in seen[:3]
        ]
        viewers.append(
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
        for viewer in viewers:
            viewer.unsubscribe()
        assert all(viewer.join() for viewer in viewers)


def test_a_late_viewer_gets_the_latest_book_at_once_and_once() -> None:
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


def test_one_viewer_s_errors_are_its_own() -> None:
    """A raising callback is counted for its viewer alone, and the others get every book."""
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


def test_the_client_ends_with_its_last_viewer_and_then_leaves_its_source() -> None:
    """Leaving one by one stops nothing; the last one's leaving does, within a second, and closes the source
    after the connection. Leaving twice is leaving once."""
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
        viewers = [hub.attach(KEY, source, gateway, lambda _book: None, **QUICK) for _ in range(3)]
        eventually(lambda: viewers[0].status.books > 3)
        viewers[0].unsubscribe()
        viewers[0].unsubscribe()
        viewers[1].unsubscribe()
        assert not viewers[2].join(0.2)
        assert events == ["entered"]
        assert viewers[2].status.state == "live"
        began = time.monotonic()
        viewers[2].unsubscribe()
        assert time.monotonic() - began < 0.5
        assert viewers[2].join()
        assert time.monotonic() - began < 1.5
        assert events == ["entered", "left"]
        assert viewers[2].status.state == "stopped"


def test_attaching_while_the_old_client_winds_down_starts_a_fresh_one() -> None:
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


def test_after_giving_up_attaching_tries_again() -> None:
    """A feed that gave up says why to its viewers; the next attach is a new client."""
    hub = FeedHub()
    refusing = Server(stay_silent, make_refusal(503))
    with refusing:
        viewer = attach(hub, refusing.url, lambda _book: None, max_tries=2)
        eventually(lambda: viewer.status.state == "given up")
        assert "HTTP 503" in str(viewer.status.last_error)
    with Server(make_talk(gateway_frame(100.0))) as server:
        again = attach(hub, server.url, lambda _book: None)
        eventually(lambda: again.status.state == "live")
        assert viewer.status.state == "given up"
        viewer.unsubscribe()
        assert again.status.state == "live"
        again.unsubscribe()
        assert again.join()


def test_a_source_that_fails_or_a_bad_address_reaches_the_caller_and_leaves_nothing() -> None:
    """attach raises what the source raises; a source whose address is no address is left again."""
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
        viewer = attach(hub, server.url, lambda _book: None)
        eventually(lambda: viewer.status.state == "live")
        viewer.unsubscribe()
        assert viewer.join()


def test_a_viewer_may_detach_in_its_callback() -> None:
    """No deadlock, and no book after it."""
    hub = FeedHub()
    books: list[OrderBook] = []
    viewers: list[Subscription] = []
    with Server(make_talk(*[gateway_frame(100.0)] * 200, every_s=0.01)) as server:

        def on_book(book: OrderBook) -> None:
            if viewers:
                books.append(book)
                viewers[0].unsubscribe()

        viewers.append(attach(hub, server.url, on_book))
        assert viewers[0].join()
        assert len(books) == 1


def test_a_detached_viewer_gets_nothing_more_not_even_the_book_being_handed_round() -> None:
    """A viewer that is let go while others are handed a book does not get that book."""
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
    """A market of steps, a thousand apart for each connection."""
    if number > 1:
        await asyncio.sleep(0.2)
    await web_socket.send(f"snapshot {number * 1000}")
    for step in range(1, 900):
        await asyncio.sleep(0.01)
        await web_socket.send(f"step {number * 1000 + step}")


def test_a_recording_of_deltas_begins_with_a_connection_of_its_own_and_replays() -> None:
    """Whoever starts to record midway gets a whole connection from its start; the others miss no beat."""
    hub = FeedHub()
    bids: list[float] = []
    told: list[tuple[str, str]] = []
    with Server(_steps) as server:
        viewer = attach(hub, server.url, lambda book: bids.append(book.bids.item(0)), DeltaFeed, conflate=False)
        eventually(lambda: len(bids) > 5)
        viewer.record(lambda kind, _market_ns, text, _url: told.append((kind, str(text))))
        eventually(lambda: len(told) > 10)
        viewer.record(None)
        count = len(told)
        assert told[:3] == [("connect", server.url), ("send", "subscribe steps"), ("recv", "snapshot 2000")]
        feed = DeltaFeed()
        replayed = [feed.parse(text, 1, 1) for kind, text in told if kind == "recv"]
        assert [book.bids.item(0) for book in replayed if book] == [2000.0 + step for step in range(len(replayed))]
        cut = bids.index(2000.0)
        assert bids[:cut] == [1000.0 + step for step in range(cut)]
        later = len(bids) + 3
        eventually(lambda: len(bids) > later)
        assert len(told) == count
        assert viewer.status.refused == 0
        viewer.unsubscribe()
        assert viewer.join()
        assert len(server.connection_times) == 2


def test_recording_that_begins_with_the_first_connection_asks_for_no_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first connection opens between the wish to record and its turn on the client's thread: one connection is
    made, and the recording has it from its start."""
    go, opened = threading.Event(), connection._open_web_socket

    async def open_late(url: str, open_s: float) -> Any:
        while not go.is_set():
            await asyncio.sleep(0.005)
        return await opened(url, open_s)

    monkeypatch.setattr("network.connection._open_web_socket", open_late)
    told: list[str] = []
    with Server(make_talk("step 1", "step 2")) as server:
        viewer = attach(FeedHub(), server.url, lambda _book: None, DeltaFeed)
        client = viewer._shared.client
        post = client.post

        def post_late(function: Callable[[], object]) -> None:
            go.set()
            eventually(lambda: "recv" in told)
            post(function)

        monkeypatch.setattr(client, "post", post_late)
        viewer.record(lambda kind, *_: told.append(kind))
        monkeypatch.undo()
        turn = threading.Event()
        post(turn.set)
        assert turn.wait(5)
        serving = client._failover.serving
        assert serving is not None
        assert not serving.needs_successor.is_set()
        assert (told[0], told.count("connect")) == ("connect", 1)
        viewer.unsubscribe()


def test_a_recording_of_whole_books_begins_at_once() -> None:
    """resync=False needs no new connection, and begins with the next frame."""
    hub = FeedHub()
    told: list[tuple[str, str]] = []
    with Server(_steps) as server:
        viewer = attach(hub, server.url, lambda _book: None, DeltaFeed)
        eventually(lambda: viewer.status.books > 3)
        viewer.record(lambda kind, _market_ns, text, _url: told.append((kind, str(text))), resync=False)
        eventually(lambda: len(told) > 3)
        assert {kind for kind, _ in told} == {"recv"}
        assert len(server.connection_times) == 1
        viewer.unsubscribe()
        assert viewer.join()


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


def test_fifty_visits_leave_no_thread_and_no_socket() -> None:
    """Attach and detach, fifty times and at various moments of a client's life."""
    hub = FeedHub()
    with Server(make_talk(*[gateway_frame(100.0)] * 1000, every_s=0.002)) as server:
        before = measure_resources()
        viewers = []
        for visit in range(50):
            viewer = attach(hub, server.url, lambda _book: None)
            if visit % 3 == 1:
                eventually(lambda viewer=viewer: viewer.status.books)
            viewer.unsubscribe()
            viewers.append(viewer)
        assert all(viewer.join() for viewer in viewers)
        assert all(viewer.status.state == "stopped" for viewer in viewers)
        eventually(resources_released(before))
