"""Check Bitget's feed: linked changes in both generations of its messages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feeds import VENUES, FeedError
from orderbook import OrderBook

BIDS, ASKS = [["0.01038", "4311.15"], ["0.01037", "12"]], [["0.01039", "4499.23"]]
V3 = {"instType": "usdt-futures", "topic": "books", "symbol": "MAVUSDT"}
V2 = {"instType": "USDT-FUTURES", "channel": "books", "instId": "MAVUSDT"}


def make_message(action: str, seq: int, pseq: int, bids: Any, asks: Any, arg: dict[str, str] | None = None) -> str:
    """Return a message of the generation that `arg` is of; v3 if it is None."""
    arg = arg or V3
    sides = {"b": bids, "a": asks} if "topic" in arg else {"bids": bids, "asks": asks}
    data = [sides | {"seq": seq, "pseq": pseq, "ts": "1789456512452"}]
    return json.dumps({"action": action, "arg": arg, "data": data, "ts": 1789456512454})


def list_levels(book: OrderBook | None) -> tuple[Any, Any]:
    """Return bids and asks as lists of [price, size]."""
    assert book is not None
    return book.bids.tolist(), book.asks.tolist()


@pytest.mark.parametrize(("symbol", "kind"), [("BTCUSDT", "usdt-futures"), ("BTCPERP", "usdc-futures")])
def test_subscription_names_the_family_of_the_market(symbol: str, kind: str) -> None:
    """A wrong family would be granted without a word, and bring nothing."""
    (text,) = VENUES["bitget-futures"].make_feed(symbol).subscribe()
    assert json.loads(text) == {"op": "subscribe", "args": [{"instType": kind, "topic": "books", "symbol": symbol}]}


@pytest.mark.parametrize("arg", [V3, V2], ids=["v3", "v2"])
def test_snapshot_and_changes_become_books(arg: dict[str, str]) -> None:
    """Both generations have the same books under other names; numbers may exceed 53 bits."""
    feed = VENUES["bitget-futures"].make_feed("MAVUSDT")
    book = feed.parse(make_message("snapshot", 2**53 + 1, 0, BIDS, ASKS, arg), 1)
    assert list_levels(book) == ([[0.01038, 4311.15], [0.01037, 12]], [[0.01039, 4499.23]])
    assert book is not None
    assert book.exchange_ns == 1789456512452 * 10**6
    changed = feed.parse(make_message("update", 2**53 + 9, 2**53 + 1, [["0.01038", "0"]], [], arg), 1)
    assert list_levels(changed) == ([[0.01037, 12]], [[0.01039, 4499.23]])
    with pytest.raises(FeedError, match=f"gap: pseq {2**53 + 1} after seq {2**53 + 9}"):
        feed.parse(make_message("update", 2**53 + 11, 2**53 + 1, [], [], arg), 1)


@pytest.mark.parametrize("pseq", [0, 99, 101])
def test_change_that_does_not_name_the_last_one_is_a_gap(pseq: int) -> None:
    """A restart of the venue names none, and a lost or repeated message another one."""
    feed = VENUES["bitget-futures"].make_feed("MAVUSDT")
    feed.parse(make_message("snapshot", 100, 0, BIDS, ASKS), 1)
    with pytest.raises(FeedError, match=f"gap: pseq {pseq} after seq 100"):
        feed.parse(make_message("update", 102, pseq, [], []), 1)


def test_other_messages_give_no_book_and_a_refusal_has_the_venues_words() -> None:
    """Acknowledgements, pongs, spot, other channels and changes before the snapshot are no books."""
    feed = VENUES["bitget-futures"].make_feed("MAVUSDT")
    for text in (
        "pong",
        json.dumps({"event": "subscribe", "arg": V3}),
        make_message("update", 2, 1, BIDS, ASKS),
        make_message("snapshot", 1, 0, BIDS, ASKS, V3 | {"instType": "spot"}),
        make_message("snapshot", 1, 0, BIDS, ASKS, V2 | {"instType": "SPOT"}),
        make_message("snapshot", 1, 0, BIDS, ASKS, V3 | {"symbol": "BTCUSDT"}),
        make_message("snapshot", 1, 0, BIDS, ASKS, V2 | {"channel": "books5"}),
        json.dumps({"action": "snapshot", "arg": V3 | {"topic": "ticker"}, "data": [{"lastPr": "1"}], "ts": 1}),
    ):
        assert feed.parse(text, 1) is None
    with pytest.raises(FeedError, match="Bitget refused: 30001 there is no such symbol"):
        feed.parse(json.dumps({"event": "error", "arg": V3, "code": 30001, "msg": "there is no such symbol"}), 1)


def test_message_without_its_sides_breaks_the_feed() -> None:
    """A book that cannot be read is not taken for an empty change."""
    with pytest.raises(FeedError, match="bids: unreadable"):
        VENUES["bitget-futures"].make_feed("MAVUSDT").parse(
            make_message("snapshot", 1, 0, BIDS, ASKS).replace('"b"', '"x"'), 1
        )


def test_keepalive_is_sent_every_25_seconds_whatever_comes() -> None:
    """The venue closes after two minutes without it, even while data flow."""
    feed = VENUES["bitget-futures"].make_feed("BTCUSDT")
    assert (feed.keepalive, feed.is_keepalive_periodic) == (("ping", 25.0), True)


@pytest.mark.parametrize("symbol", ["BTCUSD", "BTCUSD_CM", "USDT", "PERP", "BTC-USDT"])
def test_contract_whose_sizes_are_not_known_is_refused_by_name(symbol: str) -> None:
    """What contracts that are paid in the coin count is not documented here, so it is not guessed."""
    with pytest.raises(ValueError, match=f"not a Bitget contract: '{symbol}'; they look like BTCUSDT or BTCPERP"):
        VENUES["bitget-futures"].make_feed(symbol)
