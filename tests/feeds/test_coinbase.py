"""Coinbase's rules: one sequence over all channels, the side called offer, and the answer under another name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feeds import VENUES, FeedError
from orderbook import OrderBook


def message(sequence: int | None, channel: str, events: Any, **more: Any) -> str:
    frame = {"channel": channel, "client_id": "", "timestamp": "2026-08-09T21:05:48.483587501Z", "events": events}
    return json.dumps(frame | ({} if sequence is None else {"sequence_num": sequence}) | more)


def book(sequence: int | None, kind: str, *updates: tuple[str, str, str], product: str = "BTC-USD") -> str:
    rows = [
        {"side": side, "event_time": "1970-01-01T00:00:00Z", "price_level": price, "new_quantity": size}
        for side, price, size in updates
    ]
    return message(sequence, "l2_data", [{"type": kind, "product_id": product, "updates": rows}])


SNAPSHOT = book(3, "snapshot", ("bid", "100", "2"), ("bid", "99", "1"), ("offer", "101", "3"))
HEARTBEAT = [{"current_time": "2026-08-09 21:05:48.854840045 +0000 UTC m=+41691.26", "heartbeat_counter": 41691}]


def levels(built: OrderBook | None) -> tuple[Any, Any]:
    assert built is not None
    return built.bids.tolist(), built.asks.tolist()


def test_what_is_asked_for() -> None:
    """The book, and heartbeats so that a quiet market is not taken for a dead one; one channel a message."""
    assert [json.loads(text) for text in VENUES["coinbase"].make_feed("BTC-USD").subscribe()] == [
        {"type": "subscribe", "product_ids": ["BTC-USD"], "channel": "level2"},
        {"type": "subscribe", "channel": "heartbeats"},
    ]


def test_every_channel_counts() -> None:
    """Heartbeats, acknowledgements, trades and other products move the sequence on and are no books."""
    feed = VENUES["coinbase"].make_feed("BTC-USD")
    built = feed.parse(SNAPSHOT, 1)
    assert levels(built) == ([[100.0, 2.0], [99.0, 1.0]], [[101.0, 3.0]])
    assert built is not None
    assert built.exchange_ns == 1786309548483587501
    assert feed.parse(message(4, "heartbeats", HEARTBEAT), 1) is None
    assert feed.parse(message(5, "subscriptions", [{"subscriptions": {"level2": ["BTC-USD"]}}]), 1) is None
    assert feed.parse(message(6, "market_trades", [{"type": "update", "trades": []}]), 1) is None
    assert feed.parse(book(7, "update", ("bid", "1", "1"), product="ETH-USD"), 1) is None
    changed = feed.parse(book(8, "update", ("bid", "100", "0"), ("offer", "100.5", "0.5")), 1)
    assert levels(changed) == ([[99.0, 1.0]], [[100.5, 0.5], [101.0, 3.0]])


@pytest.mark.parametrize("sequence", [3, 5, 2, 0, None])
@pytest.mark.parametrize("channel", ["l2_data", "heartbeats"])
def test_a_gap_in_any_channel_breaks_the_feed(sequence: int | None, channel: str) -> None:
    """Every message must be the last one's number plus one; a book message must have a number."""
    feed = VENUES["coinbase"].make_feed("BTC-USD")
    feed.parse(SNAPSHOT, 1)
    text = message(sequence, "heartbeats", HEARTBEAT) if channel == "heartbeats" else book(sequence, "update")
    if sequence is None and channel == "heartbeats":
        assert feed.parse(text, 1) is None
        return
    with pytest.raises(FeedError, match=f"gap: sequence_num {sequence} after 3"):
        feed.parse(text, 1)


def test_changes_before_the_snapshot_are_left_out() -> None:
    """A recording that starts in the middle waits for its next snapshot."""
    feed = VENUES["coinbase"].make_feed("BTC-USD")
    assert feed.parse(book(2, "update", ("bid", "98", "1")), 1) is None
    assert levels(feed.parse(SNAPSHOT, 1))[0] == [[100.0, 2.0], [99.0, 1.0]]


def test_a_usdc_book_is_answered_as_the_usd_book() -> None:
    """BTC-USDC is subscribed to, BTC-USD comes, and the book keeps the name it was asked by."""
    feed = VENUES["coinbase"].make_feed("BTC-USDC")
    built = feed.parse(SNAPSHOT, 1)
    assert built is not None
    assert built.symbol == "BTC-USDC"


@pytest.mark.parametrize("side", ["ask", "buy", ""])
def test_a_side_of_another_name_is_refused(side: str) -> None:
    """Only bid and offer are sides; a third one must not be dropped in silence."""
    feed = VENUES["coinbase"].make_feed("BTC-USD")
    with pytest.raises(FeedError, match="unreadable"):
        feed.parse(book(3, "snapshot", ("bid", "100", "2"), (side, "101", "3")), 1)


def test_a_refusal_is_told_in_the_venue_s_words() -> None:
    """Message and reason stand in the error."""
    feed = VENUES["coinbase"].make_feed("XXX-USD")
    with pytest.raises(FeedError, match="Coinbase refused: Failed to subscribe XXX-USD is not a valid product"):
        feed.parse('{"type":"error","message":"Failed to subscribe","reason":"XXX-USD is not a valid product"}', 1)
