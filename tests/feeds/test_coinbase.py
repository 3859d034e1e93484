"""Check Coinbase's feed: one sequence over all channels, the side called offer, and USDC books sent as USD books."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feeds import VENUES, FeedError
from orderbook import OrderBook


def make_message(sequence: int | None, channel: str, events: Any) -> str:
    """Return a message of a channel; without a number if the sequence is None."""
    frame = {"channel": channel, "client_id": "", "timestamp": "2026-08-09T21:05:48.483587501Z", "events": events}
    return json.dumps(frame | ({} if sequence is None else {"sequence_num": sequence}))


def make_book_message(sequence: int | None, kind: str, *updates: tuple[str, str, str], product: str = "BTC-USD") -> str:
    """Return a snapshot or an update of a product; an update is (side, price, size)."""
    rows = [
        {"side": side, "event_time": "1970-01-01T00:00:00Z", "price_level": price, "new_quantity": size}
        for side, price, size in updates
    ]
    return make_message(sequence, "l2_data", [{"type": kind, "product_id": product, "updates": rows}])


SNAPSHOT = make_book_message(3, "snapshot", ("bid", "100", "2"), ("bid", "99", "1"), ("offer", "101", "3"))
HEARTBEAT = [{"current_time": "2026-08-09 21:05:48.854840045 +0000 UTC m=+41691.26", "heartbeat_counter": 41691}]


def list_levels(book: OrderBook | None) -> tuple[Any, Any]:
    """Return bids and asks as lists of [price, size]."""
    assert book is not None
    return book.bids.tolist(), book.asks.tolist()


def test_feed_subscribes_to_level2_and_heartbeats() -> None:
    """Each channel is a message of its own; heartbeats keep a quiet market from being taken for a dead one."""
    assert [json.loads(text) for text in VENUES["coinbase"].make_feed("BTC-USD").subscribe()] == [
        {"type": "subscribe", "product_ids": ["BTC-USD"], "channel": "level2"},
        {"type": "subscribe", "channel": "heartbeats"},
    ]


def test_message_of_any_channel_advances_the_sequence() -> None:
    """Heartbeats, acknowledgements, trades and other products advance the sequence and give no book."""
    feed = VENUES["coinbase"].make_feed("BTC-USD")
    book = feed.parse(SNAPSHOT, 1)
    assert list_levels(book) == ([[100.0, 2.0], [99.0, 1.0]], [[101.0, 3.0]])
    assert book is not None
    assert book.exchange_ns == 1786309548483587501
    assert feed.parse(make_message(4, "heartbeats", HEARTBEAT), 1) is None
    assert feed.parse(make_message(5, "subscriptions", [{"subscriptions": {"level2": ["BTC-USD"]}}]), 1) is None
    assert feed.parse(make_message(6, "market_trades", [{"type": "update", "trades": []}]), 1) is None
    assert feed.parse(make_book_message(7, "update", ("bid", "1", "1"), product="ETH-USD"), 1) is None
    changed = feed.parse(make_book_message(8, "update", ("bid", "100", "0"), ("offer", "100.5", "0.5")), 1)
    assert list_levels(changed) == ([[99.0, 1.0]], [[100.5, 0.5], [101.0, 3.0]])


@pytest.mark.parametrize("sequence", [3, 5, 2, 0, None])
@pytest.mark.parametrize("channel", ["l2_data", "heartbeats"])
def test_gap_in_any_channel_breaks_the_feed(sequence: int | None, channel: str) -> None:
    """A message's number must be the last one plus one; a heartbeat may lack a number, a book message may not."""
    feed = VENUES["coinbase"].make_feed("BTC-USD")
    feed.parse(SNAPSHOT, 1)
    text = (
        make_message(sequence, "heartbeats", HEARTBEAT)
        if channel == "heartbeats"
        else make_book_message(sequence, "update")
    )
    if sequence is None and channel == "heartbeats":
        assert feed.parse(text, 1) is None
        return
    with pytest.raises(FeedError, match=f"gap: sequence_num {sequence} after 3"):
        feed.parse(text, 1)


def test_changes_before_the_snapshot_are_skipped() -> None:
    """A recording that starts in the middle waits for its next snapshot."""
    feed = VENUES["coinbase"].make_feed("BTC-USD")
    assert feed.parse(make_book_message(2, "update", ("bid", "98", "1")), 1) is None
    assert list_levels(feed.parse(SNAPSHOT, 1))[0] == [[100.0, 2.0], [99.0, 1.0]]


def test_usdc_feed_reads_the_usd_book_under_its_own_symbol() -> None:
    """The feed subscribes to BTC-USDC, the venue sends BTC-USD, and the book has the symbol that was asked for."""
    feed = VENUES["coinbase"].make_feed("BTC-USDC")
    book = feed.parse(SNAPSHOT, 1)
    assert book is not None
    assert book.symbol == "BTC-USDC"


@pytest.mark.parametrize("side", ["ask", "buy", ""])
def test_side_other_than_bid_and_offer_is_refused(side: str) -> None:
    """Only bid and offer are sides; a third one must not be dropped in silence."""
    feed = VENUES["coinbase"].make_feed("BTC-USD")
    with pytest.raises(FeedError, match="unreadable"):
        feed.parse(make_book_message(3, "snapshot", ("bid", "100", "2"), (side, "101", "3")), 1)


def test_refusal_is_raised_with_message_and_reason() -> None:
    """The error has the venue's message and its reason."""
    feed = VENUES["coinbase"].make_feed("XXX-USD")
    with pytest.raises(FeedError, match="Coinbase refused: Failed to subscribe XXX-USD is not a valid product"):
        feed.parse('{"type":"error","message":"Failed to subscribe","reason":"XXX-USD is not a valid product"}', 1)
