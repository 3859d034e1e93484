"""Check the feed of Kraken's futures: numbered changes of one level, in dollars and in coins."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feeds import VENUES, FeedError
from orderbook import OrderBook


def make_snapshot(seq: int, bids: Any, asks: Any, symbol: str = "PF_XBTUSD") -> str:
    """Return a whole book in the venue's form; a level is (price, qty)."""
    sides = {name: [{"price": p, "qty": q} for p, q in rows] for name, rows in (("bids", bids), ("asks", asks))}
    head = {"feed": "book_snapshot", "product_id": symbol, "timestamp": 1612269825817, "seq": seq, "tickSize": None}
    return json.dumps(head | sides)


def make_change(seq: int, side: str, price: float, qty: float, symbol: str = "PF_XBTUSD") -> str:
    """Return a change of one level in the venue's form."""
    head = {"feed": "book", "product_id": symbol, "side": side, "seq": seq, "price": price, "qty": qty}
    return json.dumps(head | {"timestamp": 1612269953629})


SNAPSHOT = make_snapshot(326072249, [(34892.5, 0.5), (34892, 2)], [(34911.5, 1.25)])


def list_levels(book: OrderBook | None) -> tuple[Any, Any]:
    """Return bids and asks as lists of [price, size]."""
    assert book is not None
    return book.bids.tolist(), book.asks.tolist()


def test_feed_subscribes_to_the_book_and_to_heartbeats() -> None:
    """Heartbeats tell a quiet market from a dead connection."""
    assert [json.loads(text) for text in VENUES["kraken-futures"].make_feed("PI_XBTUSD").subscribe()] == [
        {"event": "subscribe", "feed": "book", "product_ids": ["PI_XBTUSD"]},
        {"event": "subscribe", "feed": "heartbeat"},
    ]


def test_snapshot_and_changes_of_coins_become_books() -> None:
    """Each change is one level of one side; 0 deletes it."""
    feed = VENUES["kraken-futures"].make_feed("PF_XBTUSD")
    assert feed.parse(make_change(326072249, "buy", 34892.5, 1), 1) is None  # nothing to change yet
    book = feed.parse(SNAPSHOT, 1)
    assert list_levels(book) == ([[34892.5, 0.5], [34892, 2]], [[34911.5, 1.25]])
    assert book is not None
    assert book.exchange_ns == 1612269825817 * 10**6
    assert list_levels(feed.parse(make_change(326072250, "sell", 34911, 3), 1))[1] == [[34911, 3], [34911.5, 1.25]]
    assert list_levels(feed.parse(make_change(326072251, "buy", 34892.5, 0), 1))[0] == [[34892, 2]]
    assert list_levels(feed.parse(make_snapshot(5, [(9, 1)], [(11, 2)]), 1)) == ([[9, 1]], [[11, 2]])


def test_dollars_of_an_inverse_contract_become_coins_at_the_price_of_their_level() -> None:
    """The same number of contracts is more coins at a lower price."""
    feed = VENUES["kraken-futures"].make_feed("PI_XBTUSD")
    book = feed.parse(make_snapshot(1, [(50, 100)], [(80, 100)], "PI_XBTUSD"), 1)
    assert list_levels(book) == ([[50, 2]], [[80, 1.25]])
    assert list_levels(feed.parse(make_change(2, "buy", 40, 10, "PI_XBTUSD"), 1))[0] == [[50, 2], [40, 0.25]]
    with pytest.raises(FeedError, match="a level at price 0"):
        feed.parse(make_change(3, "buy", 0, 10, "PI_XBTUSD"), 1)
    with pytest.raises(ValueError, match="PI_XBTUSD is inverse"):
        VENUES["kraken-futures"].contract_size("PI_XBTUSD")


@pytest.mark.parametrize("seq", [326072248, 326072249, 326072251])
def test_change_without_the_next_number_is_a_gap(seq: int) -> None:
    """An old, a repeated and a lost change are all gaps."""
    feed = VENUES["kraken-futures"].make_feed("PF_XBTUSD")
    feed.parse(SNAPSHOT, 1)
    with pytest.raises(FeedError, match=f"gap: seq {seq} after 326072249"):
        feed.parse(make_change(seq, "buy", 34892, 1), 1)


def test_other_messages_give_no_book() -> None:
    """Greetings, acknowledgements, heartbeats, trades and other products are no books."""
    feed = VENUES["kraken-futures"].make_feed("PF_XBTUSD")
    feed.parse(SNAPSHOT, 1)
    for text in (
        '{"event":"info","version":1}',
        '{"event":"subscribed","feed":"book","product_ids":["PF_XBTUSD"]}',
        '{"feed":"heartbeat","time":1612269953629}',
        '{"feed":"trade","product_id":"PF_XBTUSD","side":"sell","type":"fill","seq":653355,"price":34969.5,"qty":5}',
        make_snapshot(1, [(9, 1)], [(11, 2)], "PF_ETHUSD"),
    ):
        assert feed.parse(text, 1) is None


@pytest.mark.parametrize("event", ["error", "alert"])
def test_refusal_has_the_venues_words(event: str) -> None:
    """Both kinds of answer end the feed."""
    with pytest.raises(FeedError, match="Kraken refused: Invalid product id"):
        VENUES["kraken-futures"].make_feed("PF_XBTUSD").parse(
            json.dumps({"event": event, "message": "Invalid product id"}), 1
        )


@pytest.mark.parametrize("symbol", ["XBT/USD", "PF_XBTEUR", "FI_ETHUSD_210625", "PI_USD", "pf_xbtusd"])
def test_product_that_is_no_known_contract_is_refused_by_name(symbol: str) -> None:
    """Dated contracts are not documented well enough here to be guessed at."""
    with pytest.raises(ValueError, match=f"not a Kraken contract: '{symbol}'; they look like PF_XBTUSD"):
        VENUES["kraken-futures"].make_feed(symbol)
