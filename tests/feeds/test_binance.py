"""Check Binance's feeds, spot and futures: held changes, the snapshot that fits them, and the order of changes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feeds import VENUES, FeedError
from feeds.binance import MAX_HELD_CHANGES, Binance
from orderbook import BookError, OrderBook

SPOT_URL = "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=5000"
BODY_SIDES = {"bids": [["100", "1"], ["99", "2"]], "asks": [["101", "1"]]}


def make_change(first: int, last: int, bids: Any = (), asks: Any = (), **more: Any) -> str:
    """Return the text of a change from update `first` to update `last`, with more fields or other values of them."""
    event = {"e": "depthUpdate", "E": 1723161255308, "s": "BTCUSDT", "U": first, "u": last, "b": bids, "a": asks}
    return json.dumps(event | more)


def make_snapshot_body(last: int) -> str:
    """Return the body of a REST snapshot that ends in update `last`."""
    return json.dumps({"lastUpdateId": last} | BODY_SIDES)


def list_levels(book: OrderBook | None) -> tuple[Any, Any]:
    """Return bids and asks as lists of [price, size]."""
    assert book is not None
    return book.bids.tolist(), book.asks.tolist()


def test_feed_asks_for_snapshot_until_it_has_one() -> None:
    """The stream is subscribed to by its address, so the snapshot is wanted at once, and none after the splice."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    assert feed.subscribe() == []
    assert feed.snapshot_url == SPOT_URL
    assert feed.parse(make_change(157, 160), 1) is None
    assert feed.snapshot_url == SPOT_URL
    assert feed.apply_snapshot(make_snapshot_body(160), 1) is not None
    assert feed.snapshot_url is None
    assert feed.apply_snapshot(make_snapshot_body(150), 1) is None, "a late second answer changes nothing"
    assert feed.parse(make_change(161, 161), 1) is not None


def test_snapshot_and_held_changes_become_one_book() -> None:
    """Changes that the snapshot has are dropped, the change that it ends in is applied whole, and later ones follow."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    feed.parse(make_change(150, 155, [["100", "77"]]), 1)
    feed.parse(make_change(156, 165, [["99", "0"]]), 1)
    feed.parse(make_change(166, 166, [], [["100.5", "3"]]), 1)
    book = feed.apply_snapshot(make_snapshot_body(160), 5, 9)
    assert list_levels(book) == ([[100.0, 1.0]], [[100.5, 3.0], [101.0, 1.0]])
    assert book is not None
    assert (book.exchange_ns, book.market_ns, book.received_ns) == (1723161255308 * 10**6, 9, 5)
    assert list_levels(feed.parse(make_change(167, 170, [["100", "5"]]), 1))[0] == [[100.0, 5.0]]


def test_snapshot_newer_than_all_changes_is_a_book_at_once() -> None:
    """A quiet market need not wait for its next change; changes older than the snapshot add nothing."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    feed.parse(make_change(150, 155), 1)
    assert list_levels(feed.apply_snapshot(make_snapshot_body(160), 1)) == ([[100.0, 1.0], [99.0, 2.0]], [[101.0, 1.0]])
    assert feed.snapshot_url is None
    assert feed.parse(make_change(156, 159, [["100", "77"]]), 1) is None
    assert list_levels(feed.parse(make_change(160, 161, [["99", "0"]]), 1))[0] == [[100.0, 1.0]]


def test_snapshot_older_than_first_change_is_fetched_anew() -> None:
    """The changes between the two would be missing."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    feed.parse(make_change(157, 160), 1)
    assert feed.apply_snapshot(make_snapshot_body(155), 1) is None
    assert feed.snapshot_url == SPOT_URL
    assert feed.apply_snapshot(make_snapshot_body(158), 1) is not None


def test_snapshot_before_first_change_is_continued_by_it() -> None:
    """Some recorders write the snapshot first."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    assert feed.apply_snapshot(make_snapshot_body(160), 1) is None
    assert list_levels(feed.parse(make_change(161, 163, [["99", "0"]]), 1))[0] == [[100.0, 1.0]]


def test_snapshot_of_quiet_market_is_a_book_before_any_change() -> None:
    """A market may bring no change for minutes; the first one that comes must still continue the snapshot."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    book = feed.apply_snapshot(make_snapshot_body(160), 5, 9)
    assert list_levels(book) == ([[100.0, 1.0], [99.0, 2.0]], [[101.0, 1.0]])
    assert book is not None
    assert (book.exchange_ns, book.market_ns, book.received_ns) == (9, 9, 5)
    assert feed.snapshot_url is None
    assert feed.parse(make_change(150, 155, [["100", "77"]]), 1) is None
    assert list_levels(feed.parse(make_change(156, 161, [["99", "0"]]), 1))[0] == [[100.0, 1.0]]


def test_snapshot_that_the_first_change_does_not_continue_is_fetched_anew() -> None:
    """Its book was shown, but the updates up to that change are missing, so nothing of it is used any more."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    assert feed.apply_snapshot(make_snapshot_body(160), 5, 9) is not None
    assert feed.parse(make_change(170, 171, [["98", "3"]]), 1) is None
    assert feed.snapshot_url == SPOT_URL
    book = feed.apply_snapshot(json.dumps({"lastUpdateId": 169, "bids": [["97", "1"]], "asks": [["101", "1"]]}), 5, 9)
    assert list_levels(book) == ([[98.0, 3.0], [97.0, 1.0]], [[101.0, 1.0]])


@pytest.mark.parametrize("is_held", [True, False], ids=["while held", "after the splice"])
@pytest.mark.parametrize(("first", "last"), [(158, 161), (140, 150), (161, 161)])
def test_spot_change_that_is_not_newer_is_left_out(first: int, last: int, is_held: bool) -> None:
    """An event whose u is not above the book's is ignored, as Binance's guide to a local book says."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    feed.parse(make_change(158, 161), 1)
    if not is_held:
        assert feed.apply_snapshot(make_snapshot_body(160), 1) is not None
    assert feed.parse(make_change(first, last, [["100", "77"]]), 1) is None
    if is_held:
        assert feed.apply_snapshot(make_snapshot_body(160), 1) is not None
    assert list_levels(feed.parse(make_change(162, 162), 1))[0] == [[100.0, 1.0], [99.0, 2.0]]


@pytest.mark.parametrize("first", [161, 160, 140])
def test_spot_change_that_overlaps_the_last_is_applied_whole(first: int) -> None:
    """Sizes are absolute, so updates that the book has already change nothing; only U above u + 1 is a gap."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    feed.parse(make_change(158, 161), 1)
    assert feed.apply_snapshot(make_snapshot_body(160), 1) is not None
    assert list_levels(feed.parse(make_change(first, 170, [["100", "5"]]), 1))[0] == [[100.0, 5.0], [99.0, 2.0]]


@pytest.mark.parametrize("is_held", [True, False], ids=["while held", "after the splice"])
@pytest.mark.parametrize("first", [163, 170])
def test_spot_change_that_does_not_continue_the_last_is_a_gap(first: int, is_held: bool) -> None:
    """U must not be above the last u plus one: a missing change breaks the feed."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    feed.parse(make_change(158, 161), 1)
    if not is_held:
        assert feed.apply_snapshot(make_snapshot_body(160), 1) is not None
    with pytest.raises(FeedError, match=f"gap: from {first - 1} after 161"):
        feed.parse(make_change(first, 170), 1)
    assert feed.snapshot_url is None


def test_futures_change_whose_pu_is_not_the_last_u_is_a_gap() -> None:
    """Only pu ties a futures change to the last one: U skips the numbers of other symbols."""
    feed = VENUES["binance-usdm"].make_feed("BTCUSDT")
    feed.parse(make_change(300, 310, pu=290), 1)
    assert feed.snapshot_url == "https://fapi.binance.com/fapi/v1/depth?symbol=BTCUSDT&limit=1000"
    assert feed.apply_snapshot(make_snapshot_body(305), 1) is not None
    assert feed.parse(make_change(350, 360, pu=310), 1) is not None
    with pytest.raises(FeedError, match="gap: from 359 after 360"):
        feed.parse(make_change(361, 370, pu=359), 1)


def test_futures_change_without_pu_is_refused() -> None:
    """Without pu nothing ties the change to the last one."""
    feed = VENUES["binance-usdm"].make_feed("BTCUSDT")
    feed.parse(make_change(300, 310, pu=290), 1)
    feed.apply_snapshot(make_snapshot_body(305), 1)
    with pytest.raises(FeedError, match="without pu"):
        feed.parse(make_change(311, 312), 1)


def test_feed_breaks_when_snapshot_never_comes() -> None:
    """A feed holds at most MAX_HELD_CHANGES changes while it waits for the snapshot."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    for update in range(1, MAX_HELD_CHANGES + 1):
        assert feed.parse(make_change(update, update), 1) is None
    with pytest.raises(FeedError, match=f"no snapshot after {MAX_HELD_CHANGES} changes"):
        feed.parse(make_change(MAX_HELD_CHANGES + 1, MAX_HELD_CHANGES + 1), 1)


def test_messages_of_other_streams_and_symbols_are_skipped() -> None:
    """Trades, tickers, other symbols and partial books of a combined stream are no part of the sequence."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    feed.parse('{"stream":"btcusdt@depth@100ms","data":' + make_change(158, 161) + "}", 1)
    feed.apply_snapshot(make_snapshot_body(160), 1)
    for stream, data in [
        ("btcusdt@trade", '{"e":"trade","E":1,"s":"BTCUSDT","t":5,"p":"1","q":"1","T":1,"m":true,"M":true}'),
        ("btcusdt@bookTicker", '{"u":5,"s":"BTCUSDT","b":"1","B":"1","a":"2","A":"1"}'),
        ("ethusdt@depth@100ms", make_change(5, 6, s="ETHUSDT")),
        ("btcusdt@depth20@100ms", make_change(5, 6)),
        ("ethusdt@depth@100ms", make_change(5, 6, s="ETHUSDT", b="not ours to read")),
        ("btcusdt@depth20", '{"lastUpdateId":160,"bids":[["1","1"]],"asks":[["2","1"]]}'),
    ]:
        assert feed.parse(f'{{"stream":"{stream}","data":{data}}}', 1) is None
    assert feed.parse('{"result":null,"id":1}', 1) is None
    assert feed.parse('{"stream":"btcusdt@depth","data":' + make_change(162, 163) + "}", 1) is not None


def test_shutdown_notice_turns_closing_on_and_book_goes_on() -> None:
    """serverShutdown turns `closing` on; changes are applied until the connection closes."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    feed.parse(make_change(158, 161), 1)
    feed.apply_snapshot(make_snapshot_body(160), 1)
    assert not feed.closing
    assert feed.parse('{"e":"serverShutdown","E":1770123456789}', 1) is None
    assert feed.closing
    assert feed.parse(make_change(162, 163), 1) is not None


def test_refusal_on_socket_or_rest_is_raised_with_code_and_words() -> None:
    """The error has the venue's code and words; a refusal of another form is called unreadable."""
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
        make_change(0, 5),
        make_change(9, 5),
        make_change(5, 9, E=0),
        make_change(5, 9, b=None),
        make_change(5, 9, b="1"),
        make_change(5, 9, a=[["1"]]),
        make_change(5, 9).replace('"a": []', '"c": []'),
        '{"e":"depthUpdate","s":"BTCUSDT"}',
    ],
)
def test_change_with_impossible_number_or_missing_side_is_refused(change: str) -> None:
    """Such a change breaks the feed before it reaches the book."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    with pytest.raises(FeedError):
        feed.apply_snapshot(make_snapshot_body(8), 1) or feed.parse(change, 1)


def test_book_with_empty_side_is_refused_until_the_side_is_filled() -> None:
    """A market without offers has no book; the next offer makes it one again."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    feed.parse(make_change(158, 161), 1)
    feed.apply_snapshot(make_snapshot_body(160), 1)
    with pytest.raises(BookError, match="asks are empty"):
        feed.parse(make_change(162, 162, [], [["101", "0"]]), 1)
    assert list_levels(feed.parse(make_change(163, 163, [], [["102", "4"]]), 1))[1] == [[102.0, 4.0]]


def test_crossed_book_breaks_the_feed() -> None:
    """If changes in unbroken order cross the book, it is not the venue's book."""
    feed = VENUES["binance"].make_feed("BTCUSDT")
    feed.parse(make_change(158, 161), 1)
    feed.apply_snapshot(make_snapshot_body(160), 1)
    with pytest.raises(FeedError, match=r"crossed: bid 105.0 >= ask 101.0"):
        feed.parse(make_change(162, 162, [["105", "1"]]), 1)


def test_addresses_have_lower_case_streams_and_upper_case_rest_symbols() -> None:
    """Streams are lower case, symbols in REST are upper case, and futures have the address of 2026."""
    assert VENUES["binance"].url("BTCUSDT") == "wss://stream.binance.com/ws/btcusdt@depth@100ms"
    assert VENUES["binance-usdm"].url("BTCUSDT") == "wss://fstream.binance.com/public/ws/btcusdt@depth@100ms"
    local = Binance("http://127.0.0.1:1").make_feed("BTCUSDT")
    local.parse(make_change(157, 160), 1)
    assert local.snapshot_url == "http://127.0.0.1:1/api/v3/depth?symbol=BTCUSDT&limit=5000"
