"""Check Gate's feed: whole books, numbered changes, the deepest stream, and what a contract is worth."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feeds import VENUES, FeedError
from feeds.gate import GateFutures
from orderbook import OrderBook

BIDS, ASKS = [["2480.27", "2781.6"], ["2480.25", "10"]], [["2480.28", "8292"]]


def make_message(
    update: int, bids: Any = (), asks: Any = (), first: int | None = None, stream: str = "ob.ETH_USDT.400", **more: Any
) -> str:
    """Return a whole book, or a change if `first` is the number with which it begins."""
    kind: dict[str, Any] = {"full": True} if first is None else {"U": first}
    result = {"t": 1789456334981, "s": stream, "u": update, "b": bids, "a": asks} | kind
    frame = {"time": 1789456334, "time_ms": 1789456334999, "channel": "futures.obu", "event": "update"}
    return json.dumps(frame | {"result": result} | more)


def list_levels(book: OrderBook | None) -> tuple[Any, Any]:
    """Return bids and asks as lists of [price, size]."""
    assert book is not None
    return book.bids.tolist(), book.asks.tolist()


@pytest.mark.parametrize(("depth", "levels"), [(None, 400), (51, 400), (50, 50), (5, 50), (900, 400)])
def test_subscription_is_to_the_stream_that_is_deep_enough(depth: int | None, levels: int) -> None:
    """The shallow stream is five times as fast."""
    (text,) = VENUES["gate-futures"].make_feed("BTC_USDT", depth).subscribe()
    request = json.loads(text)
    assert (request["channel"], request["event"], request["payload"]) == (
        "futures.obu", "subscribe", [f"ob.BTC_USDT.{levels}"],
    )  # fmt: skip


def test_contracts_become_coins_and_the_time_is_that_of_the_push() -> None:
    """Sizes may have a fraction; the time inside a quiet book may be that of its last change."""
    book = VENUES["gate-futures"].make_feed("ETH_USDT").parse(make_message(7, BIDS, ASKS), 1)
    assert list_levels(book) == ([[2480.27, 2781.6 * 0.01], [2480.25, 10 * 0.01]], [[2480.28, 8292 * 0.01]])
    assert book is not None
    assert book.exchange_ns == 1789456334999 * 10**6
    bare = json.loads(make_message(7, BIDS, ASKS))
    del bare["time_ms"]
    book = VENUES["gate-futures"].make_feed("ETH_USDT").parse(json.dumps(bare), 1)
    assert book is not None
    assert book.exchange_ns == 1789456334981 * 10**6


def test_changes_follow_each_other_and_a_whole_book_begins_anew() -> None:
    """A change may have no levels, only numbers."""
    feed = VENUES["gate-futures"].make_feed("ETH_USDT")
    assert feed.parse(make_message(9, BIDS, ASKS, first=8), 1) is None  # nothing to change yet
    feed.parse(make_message(7, BIDS, ASKS), 1)
    bare = json.loads(make_message(12, first=8))
    del bare["result"]["a"], bare["result"]["b"]
    assert feed.parse(json.dumps(bare), 1) is not None
    changed = feed.parse(make_message(13, [["2480.27", "0"], ["2480.2", "4"]], first=13), 1)
    assert list_levels(changed) == ([[2480.25, 10 * 0.01], [2480.2, 4 * 0.01]], [[2480.28, 8292 * 0.01]])
    assert list_levels(feed.parse(make_message(2, [["9", "100"]], [["11", "300"]]), 1)) == ([[9, 1]], [[11, 3]])


@pytest.mark.parametrize("first", [6, 7, 9])
def test_change_that_does_not_begin_after_the_last_one_is_a_gap(first: int) -> None:
    """A lost, a repeated and an overlapping change are all gaps."""
    feed = VENUES["gate-futures"].make_feed("ETH_USDT")
    feed.parse(make_message(7, BIDS, ASKS), 1)
    with pytest.raises(FeedError, match=f"gap: U {first} after u 7"):
        feed.parse(make_message(12, first=first), 1)


def test_deepest_stream_is_followed() -> None:
    """A log may have both depths, each with numbers of its own."""
    feed = VENUES["gate-futures"].make_feed("ETH_USDT")
    assert feed.parse(make_message(7, BIDS, ASKS, stream="ob.ETH_USDT.50"), 1) is not None
    assert feed.parse(make_message(7, BIDS, ASKS), 1) is not None
    assert feed.parse(make_message(8, first=8, stream="ob.ETH_USDT.50"), 1) is None
    assert feed.parse(make_message(9, first=8), 1) is not None


def test_other_messages_give_no_book_and_a_refusal_has_the_venues_words() -> None:
    """Acknowledgements, pongs, other channels and other symbols are no books."""
    feed = VENUES["gate-futures"].make_feed("ETH_USDT")
    for text in (
        '{"time":1,"channel":"futures.obu","event":"subscribe","payload":["ob.ETH_USDT.400"],"result":{"status":"success"}}',
        '{"time":1,"time_ms":1000,"channel":"futures.pong","event":"","result":null}',
        '{"time":1,"channel":"futures.trades","event":"update","result":[{"size":-108,"contract":"ETH_USDT"}]}',
        make_message(7, BIDS, ASKS, stream="ob.BTC_USDT.400"),
    ):
        assert feed.parse(text, 1) is None
    with pytest.raises(FeedError, match=r"Gate refused: 2 Alert sub ob.ETH_USDT.400"):
        feed.parse('{"error":{"code":2,"message":"Alert sub ob.ETH_USDT.400"}}', 1)


def test_contract_that_is_not_known_is_refused_until_the_venue_has_said_its_worth() -> None:
    """No size is guessed; what was learned counts before what is known offline."""
    gate = GateFutures()
    with pytest.raises(ValueError, match="contract size of DOGE_USDT is unknown; without Gate's contracts only BTC"):
        gate.make_feed("DOGE_USDT")
    assert gate.instruments_url("DOGE_USDT") == "https://api.gateio.ws/api/v4/futures/usdt/contracts/DOGE_USDT"
    gate.learn('{"name":"DOGE_USDT","type":"direct","quanto_multiplier":"10","order_size_min":1}')
    gate.learn('[{"name":"BTC_USDT","quanto_multiplier":"0.001"}]')
    assert (gate.contract_size("DOGE_USDT"), gate.contract_size("BTC_USDT")) == (10.0, 0.001)
    assert GateFutures().contract_size("BTC_USDT") == 0.0001


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"label":"CONTRACT_NOT_FOUND","message":"contract not found"}', "CONTRACT_NOT_FOUND contract not found"),
        ('{"name":"BTC_USD","type":"inverse","quanto_multiplier":"0"}', "BTC_USD: no contract value in '0'"),
        ('{"name":"X_USDT","quanto_multiplier":"nan"}', "X_USDT: no contract value in 'nan'"),
        ("<html>", "unreadable message"),
    ],
)
def test_reply_without_a_worth_is_refused(body: str, words: str) -> None:
    """A refusal is told in the venue's words; a contract that is worth nothing is not believed."""
    with pytest.raises(FeedError, match=words):
        GateFutures().learn(body)


def test_recording_keeps_the_worth_of_its_contract() -> None:
    """It can be replayed on a machine that never asked the venue; a contract that cannot be is refused."""
    gate = GateFutures()
    gate.learn('{"name":"DOGE_USDT","quanto_multiplier":"10"}')
    facts = gate.recorded_facts("DOGE_USDT")
    assert facts == {"contract": {"value": 10.0, "inverse": False}}
    elsewhere = GateFutures()
    assert elsewhere.with_facts("DOGE_USDT", facts).contract_size("DOGE_USDT") == 10.0
    assert elsewhere.with_facts("DOGE_USDT", {}) is elsewhere
    with pytest.raises(ValueError, match="unknown"):
        elsewhere.contract_size("DOGE_USDT")
    with pytest.raises(ValueError, match="the recording's contract of DOGE_USDT cannot be read"):
        elsewhere.with_facts("DOGE_USDT", {"contract": {"value": 0, "inverse": False}})


def test_keepalive_is_sent_every_15_seconds_whatever_comes() -> None:
    """An idle connection dies after 30 s."""
    feed = VENUES["gate-futures"].make_feed("BTC_USDT")
    assert feed.keepalive is not None
    assert json.loads(feed.keepalive[0])["channel"] == "futures.ping"
    assert (feed.keepalive[1], feed.is_keepalive_periodic) == (15.0, True)


@pytest.mark.parametrize("symbol", ["BTC_USD", "BTCUSDT", "BTC_USD1", "btc_usdt"])
def test_contract_of_another_family_is_refused_by_name(symbol: str) -> None:
    """Contracts in bitcoin and USD1 have addresses and units of their own."""
    with pytest.raises(ValueError, match=f"not a Gate contract: '{symbol}'; they look like BTC_USDT"):
        VENUES["gate-futures"].make_feed(symbol)
