"""Check Bybit's feed: numbered changes, snapshots at any time, the deepest topic, and what sizes count."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feeds import VENUES, FeedError
from feeds.bybit import BybitSpot
from orderbook import OrderBook
from tests.support.loopback_venues import IMITATIONS

BIDS, ASKS = [["65114.20", "6.054"], ["65114.10", "0.002"]], [["65114.30", "10.486"], ["65115.40", "0.002"]]


def make_message(
    kind: str, update: int, bids: Any = (), asks: Any = (), topic: str = "orderbook.1000.BTCUSDT", **times: int
) -> str:
    """Return a message of a book in the venue's form."""
    data = {"s": topic.rsplit(".", maxsplit=1)[-1], "b": bids, "a": asks, "u": update, "seq": 753843911359}
    times = times or {"ts": 1786310818129, "cts": 1786310818027}
    return json.dumps({"topic": topic, "type": kind, "data": data} | times)


SNAPSHOT = make_message("snapshot", 15076952, BIDS, ASKS)


def list_levels(book: OrderBook | None) -> tuple[Any, Any]:
    """Return bids and asks as lists of [price, size]."""
    assert book is not None
    return book.bids.tolist(), book.asks.tolist()


@pytest.mark.parametrize(
    ("venue", "symbol", "topic", "socket"),
    [
        ("bybit-spot", "BTCUSDT", "orderbook.200.BTCUSDT", "spot"),
        ("bybit-linear", "BTCUSDT", "orderbook.1000.BTCUSDT", "linear"),
        ("bybit-inverse", "BTCUSD", "orderbook.1000.BTCUSD", "inverse"),
    ],
)
def test_subscription_names_the_deepest_topic_of_its_socket(venue: str, symbol: str, topic: str, socket: str) -> None:
    """Each kind of market has an address of its own."""
    (text,) = VENUES[venue].make_feed(symbol).subscribe()
    assert json.loads(text) == {"op": "subscribe", "args": [topic]}
    assert VENUES[venue].url(symbol) == f"wss://stream.bybit.com/v5/public/{socket}"


def test_book_has_the_time_of_the_matching_engine() -> None:
    """Where a message has two times, the book's is that of the engine; without it, that of the push."""
    feed = VENUES["bybit-linear"].make_feed("BTCUSDT")
    book = feed.parse(SNAPSHOT, 1)
    assert book is not None
    assert book.exchange_ns == 1786310818027 * 10**6
    later = feed.parse(make_message("delta", 15076953, ts=1786310818229), 1)
    assert later is not None
    assert later.exchange_ns == 1786310818229 * 10**6
    with pytest.raises(FeedError, match="without a time"):
        feed.parse(make_message("delta", 15076954, pushed=1), 1)


@pytest.mark.parametrize("update", [15076952, 15076951, 15076954, 1])
def test_change_without_the_next_number_breaks_the_feed(update: int) -> None:
    """A repeated, an old and a lost change are all gaps."""
    feed = VENUES["bybit-linear"].make_feed("BTCUSDT")
    feed.parse(SNAPSHOT, 1)
    with pytest.raises(FeedError, match=f"gap: u {update} after 15076952"):
        feed.parse(make_message("delta", update), 1)
    with pytest.raises(FeedError, match="broken before"):
        feed.parse(SNAPSHOT, 1)


def test_snapshot_at_any_time_begins_a_new_book() -> None:
    """After a restart of its service the venue sends a snapshot with the number 1."""
    feed = VENUES["bybit-linear"].make_feed("BTCUSDT")
    assert feed.parse(make_message("delta", 15076952, BIDS, ASKS), 1) is None  # nothing to change yet
    assert list_levels(feed.parse(SNAPSHOT, 1)) == (
        [[65114.2, 6.054], [65114.1, 0.002]],
        [[65114.3, 10.486], [65115.4, 0.002]],
    )
    assert list_levels(feed.parse(make_message("snapshot", 1, [["9", "1"]], [["11", "2"]]), 1)) == ([[9, 1]], [[11, 2]])
    changed = feed.parse(make_message("delta", 2, [["9", "0"], ["8", "3"]], []), 1)
    assert list_levels(changed) == ([[8, 3]], [[11, 2]])


def test_deepest_topic_is_followed() -> None:
    """A log may have several depths of one symbol, each with numbers of its own."""
    feed = VENUES["bybit-spot"].make_feed("BTCUSDT")
    assert feed.parse(make_message("snapshot", 7, BIDS, ASKS, "orderbook.50.BTCUSDT"), 1) is not None
    assert feed.parse(make_message("snapshot", 900, BIDS, ASKS, "orderbook.200.BTCUSDT"), 1) is not None
    assert feed.parse(make_message("delta", 8, BIDS, ASKS, "orderbook.50.BTCUSDT"), 1) is None
    assert feed.parse(make_message("snapshot", 9, BIDS, ASKS, "orderbook.1.BTCUSDT"), 1) is None
    assert feed.parse(make_message("delta", 901, [["65114.20", "1"]], [], "orderbook.200.BTCUSDT"), 1) is not None


def test_other_messages_give_no_book_and_a_refusal_has_the_venues_words() -> None:
    """Acknowledgements, pongs, other topics and other symbols are no books."""
    feed = VENUES["bybit-linear"].make_feed("BTCUSDT")
    for text in (
        '{"success":true,"ret_msg":"","conn_id":"d8bu1olkndm7crnfs1e0-j6akw","req_id":"","op":"subscribe"}',
        '{"success":true,"ret_msg":"pong","conn_id":"d8bu1olkndm7crnfs1e0-j6akw","req_id":"","op":"ping"}',
        '{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","bid1Price":"1"},"ts":1786310818129}',
        '{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1786310818129,"data":[{"T":1786310818127}]}',
        make_message("snapshot", 5, BIDS, ASKS, "orderbook.1000.ETHUSDT"),
        make_message("snapshot", 5, BIDS, ASKS, "orderbook.rpi.BTCUSDT"),
    ):
        assert feed.parse(text, 1) is None
    with pytest.raises(FeedError, match="Bybit refused: error:handler not found"):
        feed.parse('{"success":false,"ret_msg":"error:handler not found","conn_id":"","req_id":"","op":"subscribe"}', 1)


def test_dollars_of_an_inverse_contract_become_coins_at_the_price_of_their_level() -> None:
    """A contract is one dollar, so the same number of contracts is more coins at a lower price."""
    feed = VENUES["bybit-inverse"].make_feed("BTCUSD")
    book = feed.parse(make_message("snapshot", 1, [["50", "100"]], [["80", "100"]], "orderbook.1000.BTCUSD"), 1)
    assert list_levels(book) == ([[50, 2]], [[80, 1.25]])
    deleted = feed.parse(make_message("delta", 2, [["50", "0"], ["40", "10"]], [], "orderbook.1000.BTCUSD"), 1)
    assert list_levels(deleted) == ([[40, 0.25]], [[80, 1.25]])
    with pytest.raises(ValueError, match="BTCUSD is inverse: a contract is 1 USD"):
        VENUES["bybit-inverse"].contract_size("BTCUSD")


def test_thousand_of_coins_is_a_base_of_its_own() -> None:
    """Price and size of such a contract count thousands of coins: it is compared only with others that do the same."""
    assert VENUES["bybit-linear"].instrument("1000PEPEUSDT") == "1000PEPE/USDT swap"
    assert VENUES["bybit-linear"].contract_size("1000PEPEUSDT") == 1.0


@pytest.mark.parametrize(
    ("venue", "symbol"),
    [
        ("bybit-spot", "BTCUSDT-26DEC25"),
        ("bybit-spot", "BTCXYZ"),
        ("bybit-linear", "BTCUSD"),
        ("bybit-linear", "USDT"),
        ("bybit-linear", "BTC"),
        ("bybit-linear", "BTCUSDT-31FEB26"),
        ("bybit-inverse", "BTCUSDT"),
        ("bybit-inverse", "USD"),
        ("bybit-inverse", "BTCUSDA25"),
    ],
)
def test_symbol_of_another_kind_of_market_is_refused_by_name(venue: str, symbol: str) -> None:
    """Each kind of market knows its own symbols, and shows one."""
    with pytest.raises(ValueError, match=f"not a Bybit .* symbol: '{symbol}'; they look like BTCUSD"):
        VENUES[venue].make_feed(symbol)


def make_reply(symbol: str, base: str, quote: str, code: int = 0) -> str:
    """Return the venue's reply to a question for one market."""
    row = {"symbol": symbol, "baseCoin": base, "quoteCoin": quote, "status": "Trading"}
    return json.dumps({"retCode": code, "retMsg": "OK", "result": {"category": "spot", "list": [row]}})


def test_spot_market_with_an_unknown_currency_is_learned_from_the_venue() -> None:
    """Its list of markets says what a name is made of; for a known currency nobody is asked."""
    bybit = BybitSpot()
    assert bybit.instruments_url("BTCUSDT") is None
    url = bybit.instruments_url("BTCNEW")
    assert url == "https://api.bybit.com/v5/market/instruments-info?category=spot&symbol=BTCNEW"
    bybit.learn(make_reply("BTCNEW", "BTC", "NEW"))
    assert bybit.instrument("BTCNEW") == "BTC/NEW spot"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"retCode":10001,"retMsg":"params error","result":{}}', "Bybit refused the instruments: 10001 params error"),
        ('{"retCode":0,"retMsg":"OK","result":{"list":[]}}', "Bybit refused the instruments: 0 OK"),
        (make_reply("BTCNEW", "ETH", "NEW"), "'BTCNEW' is not 'ETH' in 'NEW'"),
        ("<html>", "unreadable message"),
    ],
)
def test_reply_that_names_no_market_is_refused(body: str, words: str) -> None:
    """A refusal is told in the venue's words, and a row that contradicts itself is not believed."""
    bybit = BybitSpot()
    with pytest.raises(FeedError, match=words):
        bybit.learn(body)
    with pytest.raises(ValueError, match="not a Bybit spot symbol"):
        bybit.instrument("BTCNEW")


def test_keepalive_is_sent_every_twenty_seconds_whatever_comes() -> None:
    """The venue's rule counts what the client sends."""
    for venue in (name for name in IMITATIONS if name.startswith("bybit")):
        feed = VENUES[venue].make_feed(IMITATIONS[venue].symbol)
        assert (feed.keepalive, feed.is_keepalive_periodic) == (('{"op":"ping"}', 20.0), True)
