"""Check that no stream of messages makes any feed show a wrong book or raise an error that it may not raise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeds import VENUES, Feed, FeedError
from orderbook import BookError, OrderBook
from tests.support.loopback_venues import IMITATIONS, SESSIONS, SYMBOLS, Session, binance_body

Levels = list[tuple[float, float]]


class VenueConnection:
    """A loopback venue, a feed that reads it, and all texts that the venue has sent.

    sent: (text, (bids, asks)), with the best 10 levels of the market at the time when the text was sent.
    """

    def __init__(self, venue: str) -> None:
        self.market = IMITATIONS[venue].make_market(levels=12)
        self.session: Session = SESSIONS[venue](self.market)
        self.feed: Feed = VENUES[venue].make_feed(self.market.symbol, 10)
        self.sent: list[tuple[str, tuple[Levels, Levels]]] = []
        self.send(*self.session.greet())
        for request in self.feed.subscribe():
            self.send(*self.session.answer(request))

    def send(self, *texts: str) -> None:
        """Record the texts as sent now."""
        self.sent += [(text, self.market.top(10)) for text in texts]

    def change_market(self, bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> None:
        """Change the market and send the change, in as many messages as the venue would."""
        for rows in self.session.split(bids, asks):
            self.market.apply(*rows)
            self.send(self.session.change(*rows))

    def parse(self, text: str | bytes) -> OrderBook | None:
        """Let the feed parse the text, then the REST snapshot if it asks for one; return the last one's book."""
        book = self.feed.parse(text, 1)
        if self.feed.snapshot_url is not None:
            book = self.feed.apply_snapshot(binance_body(self.market), 1)
        return book


def connect(venue: str) -> VenueConnection:
    """Return a connection whose feed has its book and is ready for the next change."""
    connection = VenueConnection(venue)
    connection.change_market([("99.1", "1")], [])
    book = None
    for text, _ in connection.sent:
        book = connection.parse(text) or book
    assert book is not None
    return connection


def assert_valid_book(book: OrderBook) -> None:
    """Check the book by its own constructor, and that its time fits in 64 bits."""
    OrderBook(book.venue, book.symbol, book.bids.copy(), book.asks.copy(), 1, 1, 1)
    assert 0 < book.exchange_ns < 2**63


# Sizes with all their digits, prices from both sides of the touch, but never a crossed market.
size = st.sampled_from(["0.00000000", "0.00000000", "1.00000000", "2.50000000", "12345.00000001"])
bid = st.tuples(st.integers(960, 1002).map(lambda tenths: f"{tenths / 10:.1f}"), size)
ask = st.tuples(st.integers(1003, 1045).map(lambda tenths: f"{tenths / 10:.1f}"), size)
changes = st.tuples(st.lists(bid, max_size=4), st.lists(ask, max_size=4))
deliveries = st.sampled_from(["delivered"] * 6 + ["lost", "twice", "late", "heartbeat"])


@pytest.mark.parametrize("venue", SESSIONS)
@settings(max_examples=40, deadline=None)
@given(steps=st.lists(st.tuples(changes, deliveries), max_size=12))
def test_lost_doubled_or_late_message_gives_no_wrong_book(
    venue: str, steps: list[tuple[tuple[list[tuple[str, str]], list[tuple[str, str]]], str]]
) -> None:
    """With messages lost, doubled and swapped, each book is the market's at its message, or the feed is broken."""
    connection = VenueConnection(venue)
    connection.change_market([("99.1", "1")], [])
    delivered = list(connection.sent)
    if venue.startswith("binance"):
        connection.parse(delivered.pop()[0])
    late: list[tuple[str, tuple[Levels, Levels]]] = []
    for (bids, asks), delivery in steps:
        n_sent = len(connection.sent)
        connection.change_market(bids, asks)
        messages = connection.sent[n_sent:]
        delivered += {"lost": [], "late": [], "twice": messages * 2}.get(delivery, messages) + late
        late = messages if delivery == "late" else []
        if delivery == "heartbeat" and (heartbeat := connection.session.heartbeat()) is not None:
            connection.send(heartbeat)
            delivered.append(connection.sent[-1])
    is_broken = False
    for text, (expected_bids, expected_asks) in delivered:
        try:
            book = connection.feed.parse(text, 1)
        except FeedError:
            is_broken = True
            continue
        assert not is_broken, "a broken feed went on"
        if book is not None:
            assert [tuple(row) for row in book.bids.tolist()] == expected_bids
            assert [tuple(row) for row in book.asks.tolist()] == expected_asks


BID_AND_ASK_TENTHS = (960, 1002), (1003, 1045)


def random_level(rng: Random, lowest: int, highest: int) -> tuple[str, str]:
    """Return a price within these tenths and its new size, 0 every other time."""
    return f"{rng.randint(lowest, highest) / 10:.1f}", rng.choice(["0", f"{rng.randint(1, 10**9) / 10**6:.6f}"])


@pytest.mark.parametrize("venue", SESSIONS)
def test_thousand_messages_give_the_books_of_plain_dictionaries(venue: str) -> None:
    """Each book of a long course is the dictionaries' own; levels come, change and go on both sides of the touch."""
    rng = Random(venue)  # noqa: S311 - the same course every time
    connection = connect(venue)
    for _ in range(1000):
        bids, asks = ([random_level(rng, *span) for _ in range(rng.randint(0, 4))] for span in BID_AND_ASK_TENTHS)
        n_sent = len(connection.sent)
        connection.change_market(bids, asks)
        for text, (expected_bids, expected_asks) in connection.sent[n_sent:]:
            book = connection.feed.parse(text, 1)
            assert book is not None
            assert [tuple(row) for row in book.bids.tolist()] == expected_bids
            assert [tuple(row) for row in book.asks.tolist()] == expected_asks


def iterate_paths(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value of a JSON tree: its keys and indices from the root."""
    yield path
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in entries:
        yield from iterate_paths(value, (*path, key))


def replace_value(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a copy of the tree with another value at the path; without that entry if the value is Ellipsis."""
    if not path:
        return value
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[path[0]] = replace_value(tree[path[0]], path[1:], value)
    if copy[path[0]] is ...:
        del copy[path[0]]
    return copy


nonsense = st.one_of(
    st.sampled_from(
        [None, True, -1, 0, 1e308, -0.0, float("nan"), float("inf"), 10**30, -(2**63), 2**63, [], {}, [[]], [[1]], ""]
    ),
    st.sampled_from(["NaN", "Infinity", "-1", "1e308", "1e400", "0", "1_0", "0x1", " 1", "\ud800", "error", "update"]),
    st.sampled_from(["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59", "2025-02-30T00:00:00Z", "snapshot", ...]),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.lists(st.text("0123456789.-eE", max_size=4), max_size=4), max_size=3),
)


@pytest.mark.parametrize("venue", SESSIONS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_message_with_nonsense_in_it_gives_a_book_or_a_named_error(venue: str, data: st.DataObject) -> None:
    """Any message may have wrong types, nulls, infinities, huge numbers and impossible times in any place."""
    connection = connect(venue)
    connection.change_market([("99.1", "0"), ("98.7", "2")], [("100.9", "3")])
    heartbeat = connection.session.heartbeat()
    text = data.draw(st.sampled_from([text for text, _ in connection.sent] + ([heartbeat] if heartbeat else [])))
    is_new_feed = data.draw(st.booleans())
    for _ in range(data.draw(st.integers(1, 3))):
        tree = json.loads(text)
        text = json.dumps(
            replace_value(tree, data.draw(st.sampled_from(list(iterate_paths(tree)))), data.draw(nonsense)), default=str
        )
    feed = VENUES[venue].make_feed(connection.market.symbol) if is_new_feed else connection.feed
    for read in (feed.parse, feed.apply_snapshot):
        for message in (text, text.encode("utf-8", "surrogatepass")):
            try:
                book = read(message, 1)
            except (BookError, FeedError):
                continue
            if book is not None:
                assert_valid_book(book)


@pytest.mark.parametrize("venue", SESSIONS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_message_with_altered_bytes_gives_a_book_or_a_named_error(venue: str, data: st.DataObject) -> None:
    """Bytes are lost, changed and inserted, UTF-8 or not; other bytes never were a message."""
    connection = connect(venue)
    connection.change_market([("99.1", "0")], [("100.9", "3")])
    message = data.draw(
        st.one_of(st.sampled_from([text.encode() for text, _ in connection.sent]), st.binary(max_size=30))
    )
    for _ in range(data.draw(st.integers(0, 3))):
        start = data.draw(st.integers(0, len(message)))
        end = data.draw(st.integers(start, min(len(message), start + 9)))
        message = message[:start] + data.draw(st.binary(max_size=4)) + message[end:]
    for read in (connection.feed.parse, connection.feed.apply_snapshot):
        try:
            book = read(message, 1)
        except (BookError, FeedError):
            continue
        if book is not None:
            assert_valid_book(book)


N_BRACKETS = 100_000


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize(
    "message",
    [
        "[" * N_BRACKETS,
        '{"data":' * N_BRACKETS,
        '{"asks":' + "[" * N_BRACKETS,
        '{"unknown":' + "[" * N_BRACKETS + "]" * N_BRACKETS + "}",
        '{"channel":"l2_data","sequence_num":1,"events":' + "[" * N_BRACKETS + "]" * N_BRACKETS + "}",
        '{"timestamp":"2025-05-04T10:39:13Z","symbol":"SOL-USDT-SWAP","bids":[],"asks":'
        + "[" * N_BRACKETS
        + "]" * N_BRACKETS
        + "}",
        "\ufeff{}",
        "\x00",
        "\ud800",
        b"\xff\xfe",
        b"",
        "ping",
        "null",
        "[]",
        "1" * 10_000,
    ],
    ids=repr,
)
def test_text_that_no_venue_sends_gives_no_book_or_a_named_error(venue: str, message: str | bytes) -> None:
    """Deep nesting, byte order marks, broken encodings and bare values raise our errors, never the parser's."""
    feed = VENUES[venue].make_feed(SYMBOLS.get(venue, "BTC-USDT-SWAP"))
    for read in (feed.parse, feed.apply_snapshot):
        with suppress(BookError, FeedError):
            assert read(message, 1) is None
