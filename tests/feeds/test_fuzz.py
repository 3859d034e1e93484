"""No stream of messages makes any feed show a wrong book or raise what it may not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeds import VENUES, Feed, FeedError
from orderbook import BookError, OrderBook
from tests.support.loopback_venues import SESSIONS, SYMBOLS, Market, Session, binance_body

Levels = list[tuple[float, float]]


class Wire:
    """A venue and the texts it has said; each text with the best 10 levels of the market when it was said."""

    def __init__(self, venue: str) -> None:
        self.market = Market(SYMBOLS[venue], levels=12)
        self.session: Session = SESSIONS[venue](self.market)
        self.feed: Feed = VENUES[venue].make_feed(self.market.symbol, 10)
        self.said: list[tuple[str, tuple[Levels, Levels]]] = []
        self.say(*self.session.greet())
        for request in self.feed.subscribe():
            self.say(*self.session.answer(request))

    def say(self, *texts: str) -> None:
        self.said += [(text, self.market.top(10)) for text in texts]

    def change(self, bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> None:
        self.market.apply(bids, asks)
        self.say(self.session.change(bids, asks))

    def hear(self, text: str | bytes) -> OrderBook | None:
        """Return the text through the feed, and the market's REST snapshot when it wants one."""
        book = self.feed.parse(text, 1)
        if self.feed.snapshot_url is not None:
            book = self.feed.apply_snapshot(binance_body(self.market), 1)
        return book


def live(venue: str) -> Wire:
    """Return a feed that has its book and would take the next change."""
    wire = Wire(venue)
    wire.change([("99.1", "1")], [])
    book = None
    for text, _ in wire.said:
        book = wire.hear(text) or book
    assert book is not None
    return wire


def assert_true_book(book: OrderBook) -> None:
    OrderBook(book.venue, book.symbol, book.bids.copy(), book.asks.copy(), 1, 1, 1)
    assert 0 < book.exchange_ns < 2**63


# Sizes with all their digits, prices from both sides of the touch, but never a crossed market.
size = st.sampled_from(["0.00000000", "0.00000000", "1.00000000", "2.50000000", "12345.00000001"])
bid = st.tuples(st.integers(960, 1002).map(lambda tenths: f"{tenths / 10:.1f}"), size)
ask = st.tuples(st.integers(1003, 1045).map(lambda tenths: f"{tenths / 10:.1f}"), size)
changes = st.tuples(st.lists(bid, max_size=4), st.lists(ask, max_size=4))
fates = st.sampled_from(["heard"] * 6 + ["lost", "twice", "late", "heartbeat"])


@pytest.mark.parametrize("venue", SESSIONS)
@settings(max_examples=40, deadline=None)
@given(course=st.lists(st.tuples(changes, fates), max_size=12))
def test_no_fault_of_the_wire_gives_a_wrong_book(
    venue: str, course: list[tuple[tuple[list[tuple[str, str]], list[tuple[str, str]]], str]]
) -> None:
    """With messages lost, doubled and swapped, every book is the market's at its message, or the feed is broken."""
    wire = Wire(venue)
    wire.change([("99.1", "1")], [])
    heard = list(wire.said)
    if venue.startswith("binance"):
        wire.hear(heard.pop()[0])
    late: list[tuple[str, tuple[Levels, Levels]]] = []
    for (bids, asks), fate in course:
        wire.change(bids, asks)
        message = wire.said[-1]
        heard += {"lost": [], "late": [], "twice": [message, message]}.get(fate, [message]) + late
        late = [message] if fate == "late" else []
        if fate == "heartbeat" and (beat := wire.session.heartbeat()) is not None:
            wire.say(beat)
            heard.append(wire.said[-1])
    broken = False
    for text, (bids_then, asks_then) in heard:
        try:
            book = wire.feed.parse(text, 1)
        except FeedError:
            broken = True
            continue
        assert not broken, "a broken feed went on"
        if book is not None:
            assert [tuple(row) for row in book.bids.tolist()] == bids_then
            assert [tuple(row) for row in book.asks.tolist()] == asks_then


def paths(tree: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where every value of a JSON tree is."""
    yield here
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in entries:
        yield from paths(value, (*here, key))


def replaced(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return the tree with one value changed; taken out where the value is Ellipsis."""
    if not path:
        return value
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[path[0]] = replaced(tree[path[0]], path[1:], value)
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
def test_a_real_message_with_nonsense_in_it_is_a_book_or_an_error_by_name(venue: str, data: st.DataObject) -> None:
    """Wrong types, nulls, infinities, huge numbers and impossible times anywhere in any message."""
    wire = live(venue)
    wire.change([("99.1", "0"), ("98.7", "2")], [("100.9", "3")])
    beat = wire.session.heartbeat()
    text = data.draw(st.sampled_from([text for text, _ in wire.said] + ([beat] if beat else [])))
    fresh = data.draw(st.booleans())
    for _ in range(data.draw(st.integers(1, 3))):
        tree = json.loads(text)
        text = json.dumps(
            replaced(tree, data.draw(st.sampled_from(list(paths(tree)))), data.draw(nonsense)), default=str
        )
    feed = VENUES[venue].make_feed(wire.market.symbol) if fresh else wire.feed
    for read in (feed.parse, feed.apply_snapshot):
        for message in (text, text.encode("utf-8", "surrogatepass")):
            try:
                book = read(message, 1)
            except (BookError, FeedError):
                continue
            if book is not None:
                assert_true_book(book)


@pytest.mark.parametrize("venue", SESSIONS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_real_message_with_other_bytes_in_it_is_a_book_or_an_error_by_name(venue: str, data: st.DataObject) -> None:
    """Bytes lost, changed and put in, UTF-8 or not; and bytes that never were a message."""
    wire = live(venue)
    wire.change([("99.1", "0")], [("100.9", "3")])
    message = data.draw(st.one_of(st.sampled_from([text.encode() for text, _ in wire.said]), st.binary(max_size=30)))
    for _ in range(data.draw(st.integers(0, 3))):
        start = data.draw(st.integers(0, len(message)))
        end = data.draw(st.integers(start, min(len(message), start + 9)))
        message = message[:start] + data.draw(st.binary(max_size=4)) + message[end:]
    for read in (wire.feed.parse, wire.feed.apply_snapshot):
        try:
            book = read(message, 1)
        except (BookError, FeedError):
            continue
        if book is not None:
            assert_true_book(book)


DEEP = 100_000


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize(
    "message",
    [
        "[" * DEEP,
        '{"data":' * DEEP,
        '{"asks":' + "[" * DEEP,
        '{"unknown":' + "[" * DEEP + "]" * DEEP + "}",
        '{"channel":"l2_data","sequence_num":1,"events":' + "[" * DEEP + "]" * DEEP + "}",
        '{"timestamp":"2025-05-04T10:39:13Z","symbol":"SOL-USDT-SWAP","bids":[],"asks":'
        + "[" * DEEP
        + "]" * DEEP
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
def test_what_no_venue_sends_is_an_error_by_name(venue: str, message: str | bytes) -> None:
    """Deep nesting, byte order marks, broken encodings and bare values are errors of ours, never of the parser's."""
    feed = VENUES[venue].make_feed(SYMBOLS.get(venue, "BTC-USDT-SWAP"))
    for read in (feed.parse, feed.apply_snapshot):
        with suppress(BookError, FeedError):
            assert read(message, 1) is None
