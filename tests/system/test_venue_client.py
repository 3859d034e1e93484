"""Run every venue's feed behind the ordinary client: its book is the exchange's own, whatever happens on the way."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from feeds import VENUES, Feed
from orderbook import OrderBook
from tests.support.loopback import eventually, measure_resources, resources_released
from tests.support.loopback_exchange import LoopbackExchange
from tests.support.loopback_venues import HISTORY_DEPTH, SYMBOLS, Levels
from tests.support.reference_book import Row
from websocket_client import FeedHub, WebSocketClient

QUICK: dict[str, Any] = {
    "min_reconnect_s": 0.02, "backoff_s": 0.01, "settled_s": 0.0, "max_tries": 50, "conflate": False,
}  # fmt: skip
FEEDS = {venue: VENUES[venue].make_feed(symbol) for venue, symbol in SYMBOLS.items()}
SUBSCRIBED = [venue for venue, feed in FEEDS.items() if feed.subscribe() and not feed.has_whole_books]
"""The venues whose changes must be asked for. One that sends whole books has no gap to show."""
SPLICED = ["binance", "binance-usdm"]
OWN = [*SUBSCRIBED, *SPLICED]
NONSENSE = ["{", "", "null", '{"data":[', '{"channel":"book","type":"update","data":7}', "\ud7ff" * 1000]


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check that the test leaves neither thread nor socket behind."""
    before = measure_resources()
    yield
    eventually(resources_released(before))


class WatchedExchange:
    """A loopback exchange and the ordinary client on it.

    At the end every book is compared with the market's history: the market must have had it, and no book may be older
    than the book before it.
    """

    def __init__(self, venue: str, make_feed: Callable[[LoopbackExchange], Feed] | None = None, **options: Any) -> None:
        self.exchange = LoopbackExchange(venue)
        self.books: list[OrderBook] = []
        self.try_times: list[float] = []
        self._make = make_feed or (lambda exchange: exchange.make_feed(HISTORY_DEPTH))
        self._rng = Random(venue)  # noqa: S311 - the same course every time
        self.client = WebSocketClient(self.exchange.url, self._make_feed, self.books.append, **QUICK | options)

    def _make_feed(self) -> Feed:
        self.try_times.append(time.monotonic())
        return self._make(self.exchange)

    def __enter__(self) -> WatchedExchange:
        self.exchange.__enter__()
        self.client.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        self.client.stop()
        assert self.client.join(10)
        self.exchange.__exit__(kind, *error)
        if kind is None:
            assert_books_are_the_markets(self.books, self.exchange.market.history)

    def change_market(self, act: Callable[..., None] | None = None, **how: Any) -> None:
        """Change the market near its touch and send the change to the client, or let `act` do it."""
        (act or self.exchange.change)(**random_change(self.exchange, self._rng), **how)

    def wait_until_in_step(self) -> None:
        """Wait until the client shows the market's own book; meanwhile the market goes on changing."""

        def is_shown_after_change() -> bool:
            if self.exchange.n_subscribers:
                self.change_market()
                with contextlib.suppress(AssertionError):
                    eventually(self.is_in_step, 0.1)
                    return True
            return False

        eventually(is_shown_after_change)

    def is_in_step(self) -> bool:
        """Check whether the client's last book is the market's."""
        return bool(self.books) and levels(self.books[-1]) == self.exchange.market.top(HISTORY_DEPTH)


def random_change(exchange: LoopbackExchange, rng: Random) -> dict[str, list[Row]]:
    """Make a change: a new level or size near the touch, or no best level any more; never a crossed market."""
    bids, asks = exchange.market.top(1)
    bid, ask = round(bids[0][0] * 10), round(asks[0][0] * 10)
    size = f"{rng.randrange(1, 10**10) / 10**8:.8f}"
    match rng.randrange(4):
        case 0:
            return {"bids": [(f"{bid / 10:.1f}", "0.00000000"), (f"{bid / 10 - 0.1:.1f}", size)]}
        case 1:
            return {"asks": [(f"{ask / 10:.1f}", "0.00000000"), (f"{ask / 10 + 0.1:.1f}", size)]}
        case 2:
            return {"bids": [(f"{(ask - rng.randrange(1, 8)) / 10:.1f}", size)]}
        case _:
            return {"asks": [(f"{(bid + rng.randrange(1, 8)) / 10:.1f}", size)]}


def levels(book: OrderBook) -> tuple[Levels, Levels]:
    """Return the (price, size) of bids and asks."""
    bids, asks = ([(price, size) for price, size in side.tolist()] for side in (book.bids, book.asks))
    return bids, asks


def assert_books_are_the_markets(books: list[OrderBook], history: list[tuple[Levels, Levels]]) -> None:
    """Assert that the market had every book, in this order."""
    place = 0
    for number, book in enumerate(books):
        assert levels(book) in history[place:], f"book {number} of {len(books)} was never the market's, or is old"
        place = history.index(levels(book), place)


@pytest.mark.parametrize("venue", OWN)
def test_client_shows_the_exchanges_own_book(venue: str) -> None:
    """With a snapshot, a hundred changes and heartbeats between, every change is one book, and the market's own."""
    with WatchedExchange(venue) as watched:
        watched.wait_until_in_step()
        n_books = len(watched.books) - len(watched.exchange.market.history)
        for _ in range(100):
            watched.exchange.heartbeat()
            watched.change_market()
        eventually(watched.is_in_step)
        status = watched.client.status
        n_books += len(watched.exchange.market.history) + (100 if venue == "okx" else 0)
        assert len(watched.books) == n_books  # OKX's own sign of life is a book, too
        assert (status.state, status.refused, status.reconnects, status.last_error) == ("live", 0, 0, None)
        assert watched.exchange.n_connections == 1


def lose_change(watched: WatchedExchange) -> None:
    watched.change_market()
    watched.change_market(watched.exchange.lose)
    watched.change_market()


FAULTS: dict[str, tuple[str, Callable[[WatchedExchange], None]]] = {
    "a lost message": ("gap: ", lose_change),
    "nonsense": ("unreadable message", lambda watched: watched.exchange.say("{")),
    "a close": (
        "closed the connection (code 1012, 'restart')",
        lambda watched: watched.exchange.close(1012, "restart"),
    ),
    "a cut": ("dropped the connection without a word", lambda watched: watched.exchange.drop()),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("venue", OWN)
def test_client_reports_fault_and_rebuilds_book(venue: str, fault: str) -> None:
    """The client makes one new feed, connection and subscription, names the reason, and shows no wrong book between."""
    words, act = FAULTS[fault]
    if (venue, fault) == ("kraken", "a lost message"):
        words = "checksum "
    with WatchedExchange(venue) as watched:
        watched.wait_until_in_step()
        act(watched)
        eventually(lambda: watched.exchange.n_connections == 2)
        watched.wait_until_in_step()
        status = watched.client.status
        assert words in str(status.last_error)
        assert (status.refused, status.reconnects, status.state) == (
            int(fault in ("a lost message", "nonsense")), 1, "live",
        )  # fmt: skip
        assert len(watched.try_times) == 2
        subscribed = watched.exchange.make_feed(HISTORY_DEPTH).subscribe() * 2
        eventually(lambda: len(watched.exchange.received) == len(subscribed))  # a book can come after the first text
        assert watched.exchange.received == subscribed
        assert watched.exchange.n_snapshot_requests == (2 if venue in SPLICED else 0)


def test_change_with_wrong_checksum_is_never_shown() -> None:
    """Kraken has no other guard: a change whose checksum fails is no book, and the book is built again."""
    with WatchedExchange("kraken") as watched:
        watched.wait_until_in_step()
        shown = len(watched.books)
        watched.change_market(wrong_checksum=True)
        eventually(lambda: watched.exchange.n_connections == 2)
        assert "checksum" in str(watched.client.status.last_error)
        assert len(watched.books) in (shown, shown + 1)  # the second connection's snapshot
        watched.wait_until_in_step()
        assert watched.client.status.refused == 1


@pytest.mark.parametrize("venue", ["okx", *SPLICED])
def test_client_reconnects_before_announced_close(venue: str) -> None:
    """The old connection serves until the new one has its book, then the client closes it; nothing is refused."""
    with WatchedExchange(venue) as watched:
        watched.wait_until_in_step()
        watched.exchange.announce_close()

        def handed_over() -> bool:
            watched.change_market()
            return watched.exchange.n_connections == 2 and watched.exchange.n_subscribers == 1

        eventually(handed_over)
        watched.wait_until_in_step()
        status = watched.client.status
        assert (status.refused, status.reconnects, status.last_error) == (0, 1, None)


@pytest.mark.parametrize("status", [403, 418, 429, 451])
@pytest.mark.parametrize("venue", SPLICED)
def test_client_reports_and_retries_refused_snapshot(venue: str, status: int) -> None:
    """The status names the reason, no book is shown meanwhile, and once REST answers the book is there."""
    words = "too many requests" if status in (418, 429) else "refuses this address or region"
    watched = WatchedExchange(venue)
    watched.exchange.rest_status = status
    with watched:

        def refused_twice() -> bool:
            if watched.exchange.n_subscribers:
                watched.change_market()
            return watched.exchange.n_snapshot_requests >= 2

        eventually(refused_twice)
        assert f"{words} (HTTP {status})" in str(watched.client.status.last_error).replace(" came from here", "")
        assert watched.books == []
        watched.exchange.rest_status = 200
        watched.wait_until_in_step()


@pytest.mark.parametrize("venue", SUBSCRIBED)
def test_client_gives_up_refused_subscription_with_the_venues_words(venue: str) -> None:
    """For a symbol that the venue does not have, the status has the venue's words after as many tries as allowed."""
    watched = WatchedExchange(venue, max_tries=3)
    watched.exchange.refusal = "there is no such instrument"
    with watched:
        eventually(lambda: watched.client.status.state == "given up")
        assert "gave up after 3 failed tries" in str(watched.client.status.last_error)
        assert "refused: " in str(watched.client.status.last_error)
        assert "there is no such instrument" in str(watched.client.status.last_error)
        assert (watched.exchange.n_connections, watched.books) == (3, [])


@pytest.mark.parametrize(
    ("venue", "server_s"),
    [("okx", 30), ("kraken", 60), ("bybit-spot", 600), ("bitget-futures", 120), ("gate-futures", 30)],
)
def test_client_keeps_quiet_market_alive_with_the_venues_own_text(venue: str, server_s: float) -> None:
    """The client sends the venue's text before the venue would close; the answer keeps the connection."""
    keepalive = VENUES[venue].make_feed(SYMBOLS[venue]).keepalive
    assert keepalive is not None
    text, quiet_s = keepalive
    assert quiet_s <= server_s - 10

    def impatient(exchange: LoopbackExchange) -> Feed:
        feed: Any = exchange.make_feed(HISTORY_DEPTH)
        feed.keepalive = (text, 0.1)
        return feed

    with WatchedExchange(venue, impatient, stale_s=0.1, pong_s=0.4) as watched:
        watched.wait_until_in_step()
        before = watched.client.status.ignored
        watched.exchange.wait_for(lambda: watched.exchange.received.count(text) >= 6)
        eventually(lambda: watched.client.status.ignored >= before + 6)
        assert watched.exchange.n_connections == 1
        watched.wait_until_in_step()


def test_heartbeats_keep_quiet_coinbase_alive() -> None:
    """Heartbeats are subscribed to and are no books; with nothing else the connection is neither stale nor lost."""
    with WatchedExchange("coinbase", stale_s=0.5) as watched:
        watched.wait_until_in_step()
        watched.exchange.wait_for(lambda: '"channel":"heartbeats"' in watched.exchange.received[-1])
        ends = time.monotonic() + 1.2
        while time.monotonic() < ends:
            watched.exchange.heartbeat()
            time.sleep(0.02)
        assert (watched.exchange.n_connections, watched.client.status.state) == (1, "live")


def test_client_answers_the_heartbeats_of_deribit() -> None:
    """Heartbeats are asked for on connect, and each test request is answered, or the venue would close."""
    with WatchedExchange("deribit") as watched:
        watched.wait_until_in_step()
        assert '"method":"public/set_heartbeat"' in watched.exchange.received[0]
        for count in range(1, 4):
            watched.exchange.heartbeat()
            watched.exchange.wait_for(
                lambda count=count: sum("public/test" in text for text in watched.exchange.received) == count
            )
        assert watched.exchange.n_connections == 1


def with_quiet_s(quiet_s: float) -> Callable[[LoopbackExchange], Feed]:
    """Return a function that makes the venue's feed, whose subscription is checked after so many quiet seconds."""

    def make(exchange: LoopbackExchange) -> Feed:
        feed: Any = exchange.make_feed(HISTORY_DEPTH)
        feed.quiet_s = quiet_s
        return feed

    return make


@pytest.mark.parametrize("venue", OWN)
def test_market_without_changes_stays_connected(venue: str) -> None:
    """Twice the limit of silence passes without a message; pongs keep the socket, and the book gets older."""
    with WatchedExchange(venue, stale_s=0.5) as watched:
        watched.wait_until_in_step()
        began_s = time.monotonic()
        states = set[str]()
        eventually(lambda: states.add(watched.client.status.state) or time.monotonic() - began_s > 2.0)
        assert watched.exchange.n_connections == 1
        assert states <= {"live", "stale"}
        assert (watched.client.status.age_s or 0.0) > 1.9
        watched.wait_until_in_step()


@pytest.mark.parametrize("venue", OWN)
def test_quiet_market_without_any_change_has_a_book_at_once(venue: str) -> None:
    """The first book needs no change: a market may bring none for minutes."""
    with WatchedExchange(venue) as watched:
        eventually(watched.is_in_step)
        assert watched.exchange.n_connections == 1


@pytest.mark.parametrize("venue", OWN)
def test_subscription_that_died_in_silence_is_renewed(venue: str) -> None:
    """Pongs and heartbeats go on, changes do not: a fresh connection finds another book and goes on from it."""
    with WatchedExchange(venue, with_quiet_s(0.3), stale_s=0.1) as watched:
        watched.wait_until_in_step()
        watched.exchange.mute()
        watched.change_market(watched.exchange.lose)
        eventually(lambda: watched.exchange.n_connections >= 2 and watched.is_in_step())
        watched.wait_until_in_step()
        assert watched.client.status.state == "live"


@pytest.mark.parametrize("venue", OWN)
def test_client_answers_the_venues_pings(venue: str) -> None:
    """WebSocket pings, by which Binance checks that the client is there, get their pong."""
    with WatchedExchange(venue) as watched:
        watched.wait_until_in_step()
        watched.exchange.ping()


@pytest.mark.parametrize("venue", OWN)
def test_tries_are_at_least_min_reconnect_apart(venue: str) -> None:
    """However often and soon a venue cuts the connection, two tries are never closer than min_reconnect_s."""
    with WatchedExchange(venue, min_reconnect_s=0.15) as watched:
        for cuts in range(1, 4):
            watched.exchange.wait_for(lambda cuts=cuts: watched.exchange.n_connections == cuts)
            watched.exchange.drop()
        watched.wait_until_in_step()
        assert len(watched.try_times) == 4
        assert min(b - a for a, b in zip(watched.try_times, watched.try_times[1:], strict=False)) >= 0.149


@pytest.mark.parametrize(
    ("venue", "tries", "within_s"),
    [
        ("okx", 3, 1),
        ("binance", 300, 300),
        ("binance-usdm", 300, 300),
        ("coinbase", 8, 1),
        ("kraken", 150, 600),
        ("kraken-futures", 150, 600),
        ("bitget-futures", 300, 300),
        *((venue, 500, 300) for venue in SUBSCRIBED if venue.startswith("bybit")),
    ],
)
def test_endless_tries_stay_within_the_venues_limit(venue: str, tries: int, within_s: float) -> None:
    """A client that tries as soon as it may, for ever, stays under what the venue allows one address."""
    assert within_s / VENUES[venue].min_reconnect_s <= tries


@pytest.mark.parametrize("venue", OWN)
def test_client_recovers_from_all_faults_in_random_order(venue: str) -> None:
    """After each fault the client shows the market's own book again."""
    rng = Random(venue)  # noqa: S311 - the same course every time
    faults = [act for _, act in FAULTS.values()]
    faults += [lambda watched, text=text: watched.exchange.say(text) for text in NONSENSE]
    if venue == "kraken":
        faults.append(lambda watched: watched.change_market(wrong_checksum=True))
    if venue == "okx" or venue in SPLICED:
        faults.append(lambda watched: watched.exchange.announce_close())
    with WatchedExchange(venue) as watched:
        for act in rng.sample(faults, len(faults)):
            watched.wait_until_in_step()
            act(watched)
        watched.wait_until_in_step()
        status = watched.client.status
        assert status.frames == status.books + status.refused + status.ignored
        assert status.callback_error is None


def test_hub_keeps_all_venues_live_at_once() -> None:
    """Each venue has one connection, shows its own market's book, and is not disturbed when another is cut."""
    hub = FeedHub()
    with contextlib.ExitStack() as stack:
        exchanges = [stack.enter_context(LoopbackExchange(venue)) for venue in OWN]
        books_by_venue: dict[str, list[OrderBook]] = {venue: [] for venue in OWN}
        options = {name: value for name, value in QUICK.items() if name != "conflate"}
        viewers = [
            hub.attach(
                (exchange.venue, exchange.market.symbol),
                lambda exchange=exchange: contextlib.nullcontext(exchange.url),
                lambda exchange=exchange: exchange.make_feed(HISTORY_DEPTH),
                books_by_venue[exchange.venue].append,
                **options,
            )
            for exchange in exchanges
        ]
        eventually(lambda: all(exchange.n_subscribers for exchange in exchanges))
        rng = Random(5)  # noqa: S311 - the same course every time

        def all_in_step() -> bool:
            for exchange in exchanges:
                exchange.change(**random_change(exchange, rng))
            with contextlib.suppress(AssertionError):
                eventually(
                    lambda: all(
                        books_by_venue[exchange.venue]
                        and levels(books_by_venue[exchange.venue][-1]) == exchange.market.top(HISTORY_DEPTH)
                        for exchange in exchanges
                    ),
                    0.5,
                )
                return True
            return False

        eventually(all_in_step)
        exchanges[0].drop()
        eventually(lambda: exchanges[0].n_connections == 2)
        eventually(all_in_step)
        assert [exchange.n_connections for exchange in exchanges] == [2, *[1] * (len(OWN) - 1)]
        for viewer in viewers:
            viewer.unsubscribe()
        assert all(viewer.join(10) for viewer in viewers)
        for exchange in exchanges:
            assert_books_are_the_markets(books_by_venue[exchange.venue], exchange.market.history)
