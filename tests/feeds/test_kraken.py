"""Check Kraken's feed: the checksum of the digits as sent, the acknowledged depth, and levels beyond the depth."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feeds import VENUES, FeedError
from feeds.kraken import KrakenFeed, checksum, checksum_digits
from orderbook import OrderBook
from tests.support.reference_book import Change, DictionaryBook, kraken_checksum

Rows = list[tuple[str, str]]


def split_rows(text: str) -> Rows:
    """Return the (price, size) texts of a side that is written as one text."""
    numbers = text.split()
    return list(zip(numbers[::2], numbers[1::2], strict=True))


ASKS = split_rows(
    """45285.2 0.00100000 45286.4 1.54571953 45286.6 1.54571109 45289.6 1.54560911 45290.2 0.15890660
    45291.8 1.54553491 45294.7 0.04454749 45296.1 0.35380000 45297.5 0.09945542 45299.5 0.18772827"""
)
BIDS = split_rows(
    """45283.5 0.10000000 45283.4 1.54582015 45282.1 0.10000000 45281.0 0.10000000 45280.3 1.54592586
    45279.0 0.07990000 45277.6 0.03310103 45277.5 0.30000000 45277.3 1.54602737 45276.6 0.15445238"""
)
"""The book of the venue's documentation, whose checksum is 3310070434."""


def make_message(
    kind: str, bids: Rows, asks: Rows, checksum_sent: int, time: str = "2026-08-16T23:37:05.723653Z"
) -> str:
    """Return a snapshot or an update with this checksum; without a timestamp if the time is empty."""
    sides = [",".join(f'{{"price":{price},"qty":{qty}}}' for price, qty in side) for side in (bids, asks)]
    stamp = f',"timestamp":"{time}"' if time else ""
    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"BTC/USD","bids":[{sides[0]}],"asks":[{sides[1]}],'
        f'"checksum":{checksum_sent}{stamp}}}]}}'
    )


def make_acknowledgement(depth: int) -> str:
    """Return the venue's answer to a subscription, with the depth that it granted."""
    result = {"channel": "book", "depth": depth, "snapshot": True, "symbol": "BTC/USD"}
    return json.dumps({"method": "subscribe", "result": result, "success": True})


def list_levels(book: OrderBook | None) -> tuple[Any, Any]:
    """Return bids and asks as lists of [price, size]."""
    assert book is not None
    return book.bids.tolist(), book.asks.tolist()


def test_documented_book_has_documented_checksum_and_no_other() -> None:
    """The documentation's book gives the documentation's number, and the feed refuses any other number."""
    asks, bids = ([checksum_digits(price.encode(), qty.encode()) for price, qty in side] for side in (ASKS, BIDS))
    assert checksum(asks, bids) == 3310070434
    book = VENUES["kraken"].make_feed("BTC/USD").parse(make_message("snapshot", BIDS, ASKS, 3310070434), 1)
    assert list_levels(book)[1][0] == [45285.2, 0.001]
    with pytest.raises(FeedError, match="checksum 3310070434, the venue's is 1604409348"):
        VENUES["kraken"].make_feed("BTC/USD").parse(make_message("snapshot", BIDS, ASKS, 1604409348), 1)


def test_checksum_is_of_the_new_digits_of_a_changed_level() -> None:
    """A level changed to a size with other zeros is checked by its new digits, and 0.0 deletes like 0."""
    feed = VENUES["kraken"].make_feed("BTC/USD")
    oracle = DictionaryBook()
    feed.parse(make_message("snapshot", BIDS, ASKS, 3310070434), 1)
    oracle.apply(Change(True, BIDS, ASKS))
    changes: list[tuple[Rows, Rows]] = [
        ([("45283.5", "0.50")], []),
        ([("45283.50", "0.500")], [("45285.2", "0.0")]),
        ([], [("45285.2", "7"), ("45285.2", "0"), ("45285.2", "0.00000001")]),
    ]
    for bids, asks in changes:
        oracle.apply(Change(False, bids, asks))
        if bids == [("45283.50", "0.500")]:
            oracle.bids.pop(oracle.number("45283.5"))
            oracle.apply(Change(False, bids, []))
        assert feed.parse(make_message("update", bids, asks, kraken_checksum(oracle)), 1) is not None


def test_book_is_cut_to_the_acknowledged_depth() -> None:
    """Levels beyond the depth are dropped without a delete, and come back only when the venue sends them again."""
    feed = VENUES["kraken"].make_feed("BTC/USD")
    assert feed.parse(make_acknowledgement(10), 1) is None
    feed.parse(make_message("snapshot", BIDS, ASKS, 3310070434), 1)
    oracle = DictionaryBook(keep=10)
    oracle.apply(Change(True, BIDS, ASKS))
    better_bid = Change(False, [("45284.0", "1.00000000")], [])
    oracle.apply(better_bid)
    cut_book = feed.parse(make_message("update", better_bid.bids, [], kraken_checksum(oracle)), 1)
    assert list_levels(cut_book)[0][-1][0] == 45277.3
    deletion = Change(False, [("45284.0", "0.00000000")], [])
    oracle.apply(deletion)
    assert len(list_levels(feed.parse(make_message("update", deletion.bids, [], kraken_checksum(oracle)), 1))[0]) == 9


def test_acknowledgement_of_another_depth_after_the_snapshot_breaks_the_feed() -> None:
    """An acknowledgement of another depth after the snapshot leaves no way to know what was cut."""
    feed = VENUES["kraken"].make_feed("BTC/USD")
    feed.parse(make_message("snapshot", BIDS, ASKS, 3310070434), 1)
    assert feed.parse(make_acknowledgement(500), 1) is None
    with pytest.raises(FeedError, match="subscribed to depth 25"):
        feed.parse(make_acknowledgement(25), 1)


@pytest.mark.parametrize(
    ("depth", "subscribed"), [(None, 500), (1, 10), (10, 10), (11, 25), (400, 500), (1000, 1000), (5000, 1000)]
)
def test_feed_subscribes_to_the_smallest_offered_depth_that_is_enough(depth: int | None, subscribed: int) -> None:
    """Only the venue's own depths are asked for, and the largest where none is enough."""
    (text,) = VENUES["kraken"].make_feed("BTC/USD", depth).subscribe()
    params = {"channel": "book", "symbol": ["BTC/USD"], "depth": subscribed, "snapshot": True}
    assert json.loads(text) == {"method": "subscribe", "params": params}


def test_book_of_two_levels_passes_the_checksum_of_ten() -> None:
    """The checksum covers ten levels, however few are shown."""
    book = VENUES["kraken"].make_feed("BTC/USD", 2).parse(make_message("snapshot", BIDS, ASKS, 3310070434), 1)
    assert [len(side) for side in list_levels(book)] == [2, 2]


def test_snapshot_without_a_time_gives_its_book_at_the_first_change() -> None:
    """The feed makes up no clock."""
    feed = VENUES["kraken"].make_feed("BTC/USD")
    assert feed.parse(make_message("snapshot", BIDS, ASKS, 3310070434, time=""), 1) is None
    book = feed.parse(make_message("update", [], [], 3310070434), 1)
    assert book is not None
    assert book.exchange_ns == 1786923425723653000


def test_messages_without_a_book_are_skipped_and_a_refusal_is_raised() -> None:
    """Status, heartbeats, pongs and other symbols give no book; a refusal is raised in the venue's words."""
    feed = VENUES["kraken"].make_feed("BTC/USD")
    assert feed.keepalive == ('{"method":"ping"}', 30.0)
    assert feed.parse('{"channel":"heartbeat"}', 1) is None
    assert feed.parse('{"channel":"status","type":"update","data":[{"system":"online"}]}', 1) is None
    assert feed.parse('{"method":"pong","req_id":101,"time_in":"2026-08-16T23:37:05.7Z"}', 1) is None
    other_symbol = make_message("snapshot", BIDS, ASKS, 1).replace("BTC/USD", "ETH/USD")
    assert feed.parse(other_symbol, 1) is None
    with pytest.raises(FeedError, match="Kraken refused: Currency pair not supported XXX/USD"):
        feed.parse('{"error":"Currency pair not supported XXX/USD","method":"subscribe","success":false}', 1)


def test_digits_of_levels_beyond_the_depth_are_dropped() -> None:
    """A day of levels that pass through a shallow book does not fill the memory."""
    feed = KrakenFeed("BTC/USD", 10)
    oracle = DictionaryBook(keep=10)
    feed.parse(make_message("snapshot", BIDS, ASKS, 3310070434), 1)
    oracle.apply(Change(True, BIDS, ASKS))
    for step in range(300):
        asks = [(f"{45285.1 - step / 1000:.3f}", "1.00000000")]
        oracle.apply(Change(False, [], asks))
        assert feed.parse(make_message("update", [], asks, kraken_checksum(oracle)), 1) is not None
    assert len(feed._ask_digits) + len(feed._bid_digits) <= 81
