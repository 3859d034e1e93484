"""Check the loopback venues with a plain websockets client and the venues' own feeds."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from feeds import VENUES, Feed, FeedError
from orderbook import OrderBook
from tests.support.loopback_exchange import LoopbackExchange
from tests.support.loopback_venues import SESSIONS, SYMBOLS

FEEDS = {venue: VENUES[venue].make_feed(symbol) for venue, symbol in SYMBOLS.items()}
WHOLE_BOOKS = [venue for venue, feed in FEEDS.items() if feed.has_whole_books]
SUBSCRIBED = [venue for venue, feed in FEEDS.items() if feed.subscribe()]
KEPT_ALIVE = [venue for venue, feed in FEEDS.items() if feed.keepalive]


class Listener(NamedTuple):
    """A connection and a feed that work as a client does, one message at a time."""

    feed: Feed
    socket: ClientConnection

    def receive(self) -> OrderBook | None:
        """Parse the next message, then fetch the REST snapshot if the feed wants one; return the book."""
        book = self.feed.parse(self.socket.recv(timeout=5), 1)
        while self.feed.snapshot_url is not None:
            with urllib.request.urlopen(self.feed.snapshot_url, timeout=5) as reply:  # noqa: S310 - loopback
                book = self.feed.apply_snapshot(reply.read(), 1)
        return book

    def receive_book(self) -> OrderBook:
        """Receive messages until one gives a book."""
        while (book := self.receive()) is None:
            pass
        return book

    def receive_until_error(self) -> None:
        """Receive messages until one raises."""
        while True:
            self.receive()


@contextmanager
def listen(exchange: LoopbackExchange, depth: int | None = None) -> Iterator[Listener]:
    feed = exchange.make_feed(depth)
    with connect(exchange.url, proxy=None, compression=None) as socket:
        for text in feed.subscribe():
            socket.send(text)
        exchange.wait_for(lambda: exchange.n_subscribers or exchange.refusal)
        yield Listener(feed, socket)


def assert_same(book: OrderBook, exchange: LoopbackExchange) -> None:
    bids, asks = exchange.market.top(len(book.bids))
    assert [tuple(row) for row in book.bids.tolist()] == bids
    assert [tuple(row) for row in book.asks.tolist()] == asks


@pytest.mark.parametrize("venue", SESSIONS)
def test_feed_follows_venue_to_the_last_level(venue: str) -> None:
    """Snapshot, changes, deletes and heartbeats over real sockets leave the feed with the market's own book."""
    with LoopbackExchange(venue) as exchange, listen(exchange, depth=10) as listener:
        if venue.startswith("binance"):
            exchange.change(bids=[("99.2", "3.1")])
        assert_same(listener.receive_book(), exchange)
        for step in range(25):
            exchange.heartbeat()
            exchange.change(bids=[(f"{100 - step * 0.5}", "0")], asks=[(f"{100.4 - step / 100:.2f}", f"{step + 1}.5")])
            book = listener.receive_book()
            while book.asks[0, 0] != exchange.market.top(1)[1][0][0]:
                book = listener.receive_book()
            assert_same(book, exchange)
            assert (book.venue, book.symbol) == (venue, exchange.market.symbol)


@pytest.mark.parametrize("venue", [venue for venue in SESSIONS if venue not in WHOLE_BOOKS])
def test_lost_message_breaks_the_feed(venue: str) -> None:
    """The change after a lost one is a FeedError: by its number, or by its checksum on Kraken, which has no numbers."""
    with LoopbackExchange(venue) as exchange, listen(exchange) as listener:
        exchange.change(bids=[("99.3", "1")])
        listener.receive_book()
        exchange.lose(asks=[("100.5", "9")])
        exchange.change(bids=[("99.3", "2")])
        with pytest.raises(FeedError, match="checksum" if venue == "kraken" else "gap"):
            listener.receive_until_error()
        assert listener.feed.snapshot_url is None


def test_wrong_checksum_breaks_the_feed() -> None:
    """A wrong checksum on a change that is otherwise right is a FeedError."""
    with LoopbackExchange("kraken") as exchange, listen(exchange) as listener:
        exchange.change(bids=[("99.3", "1")], wrong_checksum=True)
        with pytest.raises(FeedError, match="checksum"):
            listener.receive_until_error()


@pytest.mark.parametrize("venue", SUBSCRIBED)
def test_refused_subscription_has_the_venues_words(venue: str) -> None:
    """The FeedError has the venue's reason."""
    with LoopbackExchange(venue) as exchange:
        exchange.refusal = "no such instrument as that one"
        with listen(exchange) as listener, pytest.raises(FeedError, match="no such instrument as that one"):
            listener.receive_until_error()


@pytest.mark.parametrize("venue", ["okx", "binance", "binance-usdm"])
def test_feed_sees_announced_close(venue: str) -> None:
    """The notice turns `closing` on; the connection and the feed go on."""
    with LoopbackExchange(venue) as exchange, listen(exchange) as listener:
        exchange.change(bids=[("99.3", "1")])
        listener.receive_book()
        assert not listener.feed.closing
        exchange.announce_close()
        while not listener.feed.closing:
            listener.receive()
        exchange.change(bids=[("99.3", "2")])
        assert_same(listener.receive_book(), exchange)


def test_close_notice_of_venue_without_one_is_refused() -> None:
    """A request for a notice that the venue does not have is an error of the test."""
    with LoopbackExchange("kraken") as exchange, listen(exchange), pytest.raises(ValueError, match="no close"):
        exchange.announce_close()


@pytest.mark.parametrize("venue", KEPT_ALIVE)
def test_keepalive_is_answered_and_the_answer_ignored(venue: str) -> None:
    """The venue answers the text that a feed sends in quiet times, and the answer is no book."""
    with LoopbackExchange(venue) as exchange, listen(exchange) as listener:
        listener.receive_book()
        assert listener.feed.keepalive is not None
        listener.socket.send(listener.feed.keepalive[0])
        answer = listener.socket.recv(timeout=5)
        assert "pong" in str(answer)
        assert listener.feed.parse(answer, 1) is None
        exchange.wait_for(lambda: listener.feed.keepalive and exchange.received[-1] == listener.feed.keepalive[0])


def test_exchange_ping_returns_after_all_pongs() -> None:
    """The exchange's ping returns once every client has answered it."""
    with LoopbackExchange("binance") as exchange, listen(exchange):
        exchange.ping()


@pytest.mark.parametrize(("how", "code"), [("close", 1001), ("drop", 1006)])
def test_closed_and_dropped_connection_end_and_are_counted(how: str, code: int) -> None:
    """A close has its code, a drop has none, and either leaves one subscriber less."""
    with LoopbackExchange("okx") as exchange:
        with listen(exchange) as listener:
            end: Callable[[], None] = getattr(exchange, how)
            ending = threading.Thread(target=end)
            ending.start()
            with pytest.raises(ConnectionClosed) as closed:
                listener.receive_until_error()
            ending.join(5)
            assert (closed.value.rcvd.code if closed.value.rcvd else 1006) == code
            exchange.wait_for(lambda: exchange.n_subscribers == 0)
        with listen(exchange) as again:
            assert_same(again.receive_book(), exchange)
        assert exchange.n_connections == 2


def test_refused_snapshot_is_http_status_with_the_venues_words() -> None:
    """A rate limit is an HTTP status with the venue's words, and the feed reads them as a refusal."""
    with LoopbackExchange("binance") as exchange, listen(exchange) as listener:
        exchange.rest_status = 429
        exchange.change(bids=[("99.3", "1")])
        assert listener.feed.parse(listener.socket.recv(timeout=5), 1) is None
        assert listener.feed.snapshot_url == f"{exchange.rest_url}/api/v3/depth?symbol=BTCUSDT&limit=5000"
        with pytest.raises(urllib.error.HTTPError, match="429") as refused:
            urllib.request.urlopen(listener.feed.snapshot_url, timeout=5)  # noqa: S310 - loopback
        with refused.value, pytest.raises(FeedError, match="-1003 Too many requests"):
            listener.feed.apply_snapshot(refused.value.read(), 1)
        assert exchange.n_snapshot_requests == 1


def test_wait_for_condition_that_never_holds_times_out() -> None:
    """A wait for a condition that never holds ends with an error, not with the test run."""
    with LoopbackExchange("okx") as exchange, pytest.raises(TimeoutError):
        exchange.wait_for(lambda: exchange.n_connections, timeout=0.01)
