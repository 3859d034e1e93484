"""Kraken's rules: the checksum of the digits as sent, the depth of the acknowledgement, and levels that fall out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feeds import VENUES, FeedError
from feeds.kraken import KrakenFeed, checksum, checksum_digits
from orderbook import OrderBook
from tests.support.reference_book import Change, DictionaryBook, kraken_checksum

ASKS = """45285.2 0.00100000 45286.4 1.54571953 45286.6 1.54571109 45289.6 1.54560911 45290.2 0.15890660
45291.8 1.54553491 45294.7 0.04454749 45296.1 0.35380000 45297.5 0.09945542 45299.5 0.18772827"""
BIDS = """45283.5 0.10000000 45283.4 1.54582015 45282.1 0.10000000 45281.0 0.10000000 45280.3 1.54592586
45279.0 0.07990000 45277.6 0.03310103 45277.5 0.30000000 45277.3 1.54602737 45276.6 0.15445238"""
"""The book of the venue's documentation, whose checksum is 3310070434."""

Rows = list[tuple[str, str]]


def rows(text: str) -> Rows:
    numbers = text.split()
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def message(kind: str, bids: Rows, asks: Rows, check: int, time: str = "2026-08-16T23:37:05.723653Z") -> str:
    sides = [",".join(f'{{"price":{price},"qty":{qty}}}' for price, qty in side) for side in (bids, asks)]
    stamp = f',"timestamp":"{time}"' if time else ""
    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"BTC/USD","bids":[{sides[0]}],"asks":[{sides[1]}],'
        f'"checksum":{check}{stamp}}}]}}'
    )


def ack(depth: int) -> str:
    result = {"channel": "book", "depth": depth, "snapshot": True, "symbol": "BTC/USD"}
    return json.dumps({"method": "subscribe", "result": result, "success": True})


def levels(book: OrderBook | None) -> tuple[Any, Any]:
    assert book is not None
    return book.bids.tolist(), book.asks.tolist()


def test_the_documented_checksum() -> None:
    """The documentation's book gives the documentation's number, and through the feed no other is let pass."""
    asks, bids = ([checksum_digits(p.encode(), q.encode()) for p, q in rows(text)] for text in (ASKS, BIDS))
    assert checksum(asks, bids) == 3310070434
    book = VENUES["kraken"].make_feed("BTC/USD").parse(message("snapshot", rows(BIDS), rows(ASKS), 3310070434), 1)
    assert levels(book)[1][0] == [45285.2, 0.001]
    with pytest.raises(FeedError, match="checksum 3310070434, the venue's is 1604409348"):
        VENUES["kraken"].make_feed("BTC/USD").parse(message("snapshot", rows(BIDS), rows(ASKS), 1604409348), 1)


def test_digits_survive_a_change() -> None:
    """A level changed to a size with other zeros is checked by its new digits, and 0.0 deletes like 0."""
    feed, oracle = VENUES["kraken"].make_feed("BTC/USD"), DictionaryBook()
    feed.parse(message("snapshot", rows(BIDS), rows(ASKS), 3310070434), 1)
    oracle.apply(Change(True, rows(BIDS), rows(ASKS)))
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
        assert feed.parse(message("update", bids, asks, kraken_checksum(oracle)), 1) is not None


def test_the_depth_of_the_acknowledgement_cuts_the_book() -> None:
    """Levels beyond it are forgotten without a delete, so that one that comes back does so only when sent."""
    feed = VENUES["kraken"].make_feed("BTC/USD")
    assert feed.parse(ack(10), 1) is None
    feed.parse(message("snapshot", rows(BIDS), rows(ASKS), 3310070434), 1)
    oracle = DictionaryBook(keep=10)
    oracle.apply(Change(True, rows(BIDS), rows(ASKS)))
    better = Change(False, [("45284.0", "1.00000000")], [])
    oracle.apply(better)
    pushed_out = feed.parse(message("update", better.bids, [], kraken_checksum(oracle)), 1)
    assert levels(pushed_out)[0][-1][0] == 45277.3
    gone = Change(False, [("45284.0", "0.00000000")], [])
    oracle.apply(gone)
    assert len(levels(feed.parse(message("update", gone.bids, [], kraken_checksum(oracle)), 1))[0]) == 9


def test_the_depth_cannot_change_under_a_book() -> None:
    """An acknowledgement of another depth after the snapshot leaves no way to know what was cut."""
    feed = VENUES["kraken"].make_feed("BTC/USD")
    feed.parse(message("snapshot", rows(BIDS), rows(ASKS), 3310070434), 1)
    assert feed.parse(ack(500), 1) is None
    with pytest.raises(FeedError, match="subscribed to depth 25"):
        feed.parse(ack(25), 1)


@pytest.mark.parametrize(
    ("depth", "subscribed"), [(None, 500), (1, 10), (10, 10), (11, 25), (400, 500), (1000, 1000), (5000, 1000)]
)
def test_the_smallest_depth_that_holds_what_is_shown(depth: int | None, subscribed: int) -> None:
    """Only the venue's own depths are asked for."""
    (text,) = VENUES["kraken"].make_feed("BTC/USD", depth).subscribe()
    params = {"channel": "book", "symbol": ["BTC/USD"], "depth": subscribed, "snapshot": True}
    assert json.loads(text) == {"method": "subscribe", "params": params}


def test_a_shallower_book_can_be_published_than_is_checked() -> None:
    """The checksum is of ten levels, however few are shown."""
    book = VENUES["kraken"].make_feed("BTC/USD", 2).parse(message("snapshot", rows(BIDS), rows(ASKS), 3310070434), 1)
    assert [len(side) for side in levels(book)] == [2, 2]


def test_a_snapshot_without_a_time_waits_for_the_first_change() -> None:
    """No clock is made up."""
    feed = VENUES["kraken"].make_feed("BTC/USD")
    assert feed.parse(message("snapshot", rows(BIDS), rows(ASKS), 3310070434, time=""), 1) is None
    book = feed.parse(message("update", [], [], 3310070434), 1)
    assert book is not None
    assert book.exchange_ns == 1786923425723653000


def test_words_of_the_venue() -> None:
    """Status, heartbeats, pongs and other symbols pass; a refusal is told in the venue's words."""
    feed = VENUES["kraken"].make_feed("BTC/USD")
    assert feed.keepalive == ('{"method":"ping"}', 30.0)
    assert feed.parse('{"channel":"heartbeat"}', 1) is None
    assert feed.parse('{"channel":"status","type":"update","data":[{"system":"online"}]}', 1) is None
    assert feed.parse('{"method":"pong","req_id":101,"time_in":"2026-08-16T23:37:05.7Z"}', 1) is None
    other = message("snapshot", rows(BIDS), rows(ASKS), 1).replace("BTC/USD", "ETH/USD")
    assert feed.parse(other, 1) is None
    with pytest.raises(FeedError, match="Kraken refused: Currency pair not supported XXX/USD"):
        feed.parse('{"error":"Currency pair not supported XXX/USD","method":"subscribe","success":false}', 1)


def test_digits_of_levels_that_fell_out_are_forgotten() -> None:
    """A day of levels passing through a shallow book does not fill the memory."""
    feed, oracle = KrakenFeed("BTC/USD", 10), DictionaryBook(keep=10)
    feed.parse(message("snapshot", rows(BIDS), rows(ASKS), 3310070434), 1)
    oracle.apply(Change(True, rows(BIDS), rows(ASKS)))
    for step in range(300):
        asks = [(f"{45285.1 - step / 1000:.3f}", "1.00000000")]
        oracle.apply(Change(False, [], asks))
        assert feed.parse(message("update", [], asks, kraken_checksum(oracle)), 1) is not None
    assert len(feed._ask_digits) + len(feed._bid_digits) <= 81
