"""Binance's rules: what is held for the snapshot, which snapshot fits, and what must follow what, spot and futures."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feeds import VENUES, FeedError
from feeds.binance import MAX_HELD_CHANGES, Binance
from orderbook import BookError, OrderBook

SPOT_URL = "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=5000"
BODY_SIDES = {"bids": [["100", "1"], ["99", "2"]], "asks": [["101", "1"]]}


def diff(first: int, last: int, bids: Any = (), asks: Any = (), **more: Any) -> str:
    event = {"e": "depthUpdate", "E": 1723161255308, "s": "BTCUSDT", "U": first, "u": last, "b": bids, "a": asks}
    return json.dumps(event | more)


def body(last: int, **more: Any) -> str:
    return json.dumps({"lastUpdateId": last} | BODY_SIDES | more)


def levels(book: OrderBook | None) -> tuple[Any, Any]:
    assert book is not None
    return book.bids.tolist(), book.asks.tolist()


def test_a_snapshot_is_asked_for_once_there_are_changes_to_splice_it_to() -> None:
    """Nothing is fetched before the stream flows, nor after the splice."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    assert feed.subscribe() == []
    assert feed.snapshot_url is None
    assert feed.parse(diff(157, 160), 1) is None
    assert feed.snapshot_url == SPOT_URL
    assert feed.apply_snapshot(body(160), 1) is not None
    assert feed.snapshot_url is None
    assert feed.apply_snapshot(body(150), 1) is None, "a late second answer changes nothing"
    assert feed.parse(diff(161, 161), 1) is not None


def test_the_splice() -> None:
    """Changes the snapshot has are dropped, the one it ends in is applied whole, those after it follow."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    feed.parse(diff(150, 155, [["100", "77"]]), 1)
    feed.parse(diff(156, 165, [["99", "0"]]), 1)
    feed.parse(diff(166, 166, [], [["100.5", "3"]]), 1)
    book = feed.apply_snapshot(body(160), 5, 9)
    assert levels(book) == ([[100.0, 1.0]], [[100.5, 3.0], [101.0, 1.0]])
    assert book is not None
    assert (book.exchange_ns, book.market_ns, book.received_ns) == (1723161255308 * 10**6, 9, 5)
    assert levels(feed.parse(diff(167, 170, [["100", "5"]]), 1))[0] == [[100.0, 5.0]]


def test_a_snapshot_newer_than_all_changes_is_a_book_by_itself() -> None:
    """A quiet market need not wait for its next change; changes older than the snapshot add nothing."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    feed.parse(diff(150, 155), 1)
    assert levels(feed.apply_snapshot(body(160), 1)) == ([[100.0, 1.0], [99.0, 2.0]], [[101.0, 1.0]])
    assert feed.snapshot_url is None
    assert feed.parse(diff(156, 159, [["100", "77"]]), 1) is None
    assert levels(feed.parse(diff(160, 161, [["99", "0"]]), 1))[0] == [[100.0, 1.0]]


def test_a_snapshot_older_than_the_first_change_is_fetched_anew() -> None:
    """What lies between the two would be missing."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    feed.parse(diff(157, 160), 1)
    assert feed.apply_snapshot(body(155), 1) is None
    assert feed.snapshot_url == SPOT_URL
    assert feed.apply_snapshot(body(158), 1) is not None


def test_a_snapshot_may_come_before_the_first_change() -> None:
    """Some recorders write it first."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    assert feed.apply_snapshot(body(160), 1) is None
    assert levels(feed.parse(diff(161, 163, [["99", "0"]]), 1))[0] == [[100.0, 1.0]]


@pytest.mark.parametrize("held", [True, False], ids=["while held", "after the splice"])
@pytest.mark.parametrize("first", [161, 160, 163, 140])
def test_a_spot_change_must_begin_where_the_last_ended(first: int, held: bool) -> None:
    """U must be the last u plus one: doubled, early and missing changes break the feed."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    feed.parse(diff(158, 161), 1)
    if not held:
        assert feed.apply_snapshot(body(160), 1) is not None
    with pytest.raises(FeedError, match=f"gap: from {first - 1} after 161"):
        feed.parse(diff(first, 170), 1)
    assert feed.snapshot_url is None


def test_a_futures_change_must_name_the_last() -> None:
    """pu is what counts: U skips the numbers of other symbols."""
    feed = VENUES["binance-usdm"].make_feed("BTCUSDT")
    feed.parse(diff(300, 310, pu=290), 1)
    assert feed.snapshot_url == "https://fapi.binance.com/fapi/v1/depth?symbol=BTCUSDT&limit=1000"
    assert feed.apply_snapshot(body(305), 1) is not None
    assert feed.parse(diff(350, 360, pu=310), 1) is not None
    with pytest.raises(FeedError, match="gap: from 359 after 360"):
        feed.parse(diff(361, 370, pu=359), 1)


def test_a_futures_change_without_pu_is_refused() -> None:
    """Without it nothing ties the change to the last one."""
    feed = VENUES["binance-usdm"].make_feed("BTCUSDT")
    feed.parse(diff(300, 310, pu=290), 1)
    feed.apply_snapshot(body(305), 1)
    with pytest.raises(FeedError, match="without pu"):
        feed.parse(diff(311, 312), 1)


def test_a_snapshot_that_never_comes_ends_the_waiting() -> None:
    """Held changes are bounded."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    for update in range(1, MAX_HELD_CHANGES + 1):
        assert feed.parse(diff(update, update), 1) is None
    with pytest.raises(FeedError, match=f"no snapshot after {MAX_HELD_CHANGES} changes"):
        feed.parse(diff(MAX_HELD_CHANGES + 1, MAX_HELD_CHANGES + 1), 1)


def test_only_the_symbol_s_own_changes_count() -> None:
    """Trades, tickers, other symbols and partial books of a combined stream are no part of the sequence."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    feed.parse('{"stream":"btcusdt@depth@100ms","data":' + diff(158, 161) + "}", 1)
    feed.apply_snapshot(body(160), 1)
    for stream, data in [
        ("btcusdt@trade", '{"e":"trade","E":1,"s":"BTCUSDT","t":5,"p":"1","q":"1","T":1,"m":true,"M":true}'),
        ("btcusdt@bookTicker", '{"u":5,"s":"BTCUSDT","b":"1","B":"1","a":"2","A":"1"}'),
        ("ethusdt@depth@100ms", diff(5, 6, s="ETHUSDT")),
        ("btcusdt@depth20@100ms", diff(5, 6)),
        ("ethusdt@depth@100ms", diff(5, 6, s="ETHUSDT", b="not ours to read")),
        ("btcusdt@depth20", '{"lastUpdateId":160,"bids":[["1","1"]],"asks":[["2","1"]]}'),
    ]:
        assert feed.parse(f'{{"stream":"{stream}","data":{data}}}', 1) is None
    assert feed.parse('{"result":null,"id":1}', 1) is None
    assert feed.parse('{"stream":"btcusdt@depth","data":' + diff(162, 163) + "}", 1) is not None


def test_an_announced_shutdown() -> None:
    """serverShutdown turns `closing` on, and the book goes on until then."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    feed.parse(diff(158, 161), 1)
    feed.apply_snapshot(body(160), 1)
    assert not feed.closing
    assert feed.parse('{"e":"serverShutdown","E":1770123456789}', 1) is None
    assert feed.closing
    assert feed.parse(diff(162, 163), 1) is not None


def test_refusals_are_told_in_the_venue_s_words() -> None:
    """On the socket and over REST, with code and words."""
    feed = VENUES["binance"].make_feed("XXXUSDT")
    with pytest.raises(FeedError, match="Binance refused the snapshot: -1121 Invalid symbol"):
        feed.apply_snapshot('{"code":-1121,"msg":"Invalid symbol."}', 1)
    feed = VENUES["binance"].make_feed("BTCUSDT")
    with pytest.raises(FeedError, match="Binance refused: 2 Invalid request"):
        feed.parse('{"error":{"code":2,"msg":"Invalid request: unknown variant"},"id":1}', 1)
    feed = VENUES["binance"].make_feed("BTCUSDT")
    with pytest.raises(FeedError, match="unreadable"):
        feed.parse('{"error":"in words alone"}', 1)


@pytest.mark.parametrize(
    "change",
    [
        *(diff(0, 5), diff(9, 5), diff(5, 9, E=0), diff(5, 9, b=None), diff(5, 9, b="1"), diff(5, 9, a=[["1"]])),
        diff(5, 9).replace('"a": []', '"c": []'),
        '{"e":"depthUpdate","s":"BTCUSDT"}',
    ],
)
def test_a_change_that_lacks_something_is_refused(change: str) -> None:
    """Numbers that cannot be, or sides that are not there, break the feed before they reach the book."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    with pytest.raises(FeedError):
        feed.apply_snapshot(body(8), 1) or feed.parse(change, 1)


def test_an_empty_side_is_refused_and_waited_for() -> None:
    """A market nobody offers in is no book, and one again with the next offer."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    feed.parse(diff(158, 161), 1)
    feed.apply_snapshot(body(160), 1)
    with pytest.raises(BookError, match="asks are empty"):
        feed.parse(diff(162, 162, [], [["101", "0"]]), 1)
    assert levels(feed.parse(diff(163, 163, [], [["102", "4"]]), 1))[1] == [[102.0, 4.0]]


def test_a_crossed_book_breaks_the_feed() -> None:
    """Changes in unbroken order that cross the book show that it is not the venue's."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    feed.parse(diff(158, 161), 1)
    feed.apply_snapshot(body(160), 1)
    with pytest.raises(FeedError, match=r"crossed: bid 105.0 >= ask 101.0"):
        feed.parse(diff(162, 162, [["105", "1"]]), 1)


def test_addresses() -> None:
    """Streams are lower case, symbols in REST upper case, and futures have the address of 2026."""
    assert VENUES["binance"].url("BTCUSDT") == "wss://stream.binance.com/ws/btcusdt@depth@100ms"
    assert VENUES["binance-usdm"].url("BTCUSDT") == "wss://fstream.binance.com/public/ws/btcusdt@depth@100ms"
    local = Binance("http://127.0.0.1:1").make_feed("BTCUSDT")
    local.parse(diff(157, 160), 1)
    assert local.snapshot_url == "http://127.0.0.1:1/api/v3/depth?symbol=BTCUSDT&limit=5000"
