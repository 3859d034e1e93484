"""Check Hyperliquid's feed: whole books, their two kinds, and the contracts that it knows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feeds import VENUES, FeedError
from orderbook import BookError

BIDS = [{"px": "84143.0", "sz": "10.25923", "n": 36}, {"px": "84142.0", "sz": "0.5", "n": 1}]
ASKS = [{"px": "84144.0", "sz": "50.66449", "n": 18}, {"px": "84145.5", "sz": "2", "n": 3}]


def make_message(bids: Any, asks: Any, coin: str = "BTC") -> str:
    """Return a book in the venue's form."""
    return json.dumps({"channel": "l2Book", "data": {"coin": coin, "time": 1790232236546, "levels": [bids, asks]}})


@pytest.mark.parametrize(
    ("depth", "more", "interval_s"), [(None, {}, 5.4), (20, {}, 5.4), (6, {}, 5.4), (5, {"fast": True}, 0.54)]
)
def test_fast_kind_is_subscribed_to_where_its_levels_are_enough(
    depth: int | None, more: dict[str, bool], interval_s: float
) -> None:
    """The slow kind has 20 levels, the fast one 5; each has its own distance between two books."""
    feed = VENUES["hyperliquid"].make_feed("BTC", depth)
    (text,) = feed.subscribe()
    assert json.loads(text) == {"method": "subscribe", "subscription": {"type": "l2Book", "coin": "BTC"} | more}
    assert feed.book_interval_s == interval_s
    assert feed.quiet_s > 6 * interval_s


def test_message_becomes_a_book_in_coins() -> None:
    """Bids come first, sizes are coins, and the time is the venue's."""
    book = VENUES["hyperliquid"].make_feed("BTC").parse(make_message(BIDS, ASKS), 7, 8)
    assert book is not None
    assert book.bids.tolist() == [[84143.0, 10.25923], [84142.0, 0.5]]
    assert book.asks.tolist() == [[84144.0, 50.66449], [84145.5, 2.0]]
    assert (book.exchange_ns, book.market_ns, book.received_ns) == (1790232236546 * 10**6, 8, 7)


def test_other_messages_give_no_book_and_a_refusal_has_the_venues_words() -> None:
    """Acknowledgements, pongs and other coins are no books."""
    feed = VENUES["hyperliquid"].make_feed("BTC")
    for text in (
        '{"channel":"subscriptionResponse","data":{"method":"subscribe","subscription":{"type":"l2Book","coin":"BTC"}}}',
        '{"channel":"pong"}',
        make_message(BIDS, ASKS, "ETH"),
    ):
        assert feed.parse(text, 1) is None
    with pytest.raises(FeedError, match=r"Hyperliquid refused: .Invalid subscription"):
        feed.parse('{"channel":"error","data":"Invalid subscription {}"}', 1)


@pytest.mark.parametrize(
    "text",
    [
        make_message([], []),
        make_message(ASKS, BIDS),
        make_message(BIDS[::-1], ASKS),
        make_message(BIDS, [{"px": "84144.0", "sz": "-1", "n": 1}]),
        make_message(BIDS, [{"px": "NaN", "sz": "1", "n": 1}]),
        make_message(BIDS, ASKS)[:-1],
    ],
    ids=["delisted", "crossed", "unsorted", "negative", "no number", "cut"],
)
def test_impossible_book_is_refused_and_the_next_is_read(text: str) -> None:
    """Every message is a whole book, so that nothing is lost but this one."""
    feed = VENUES["hyperliquid"].make_feed("BTC")
    with pytest.raises(BookError):
        feed.parse(text, 1)
    assert feed.parse(make_message(BIDS, ASKS), 1) is not None


@pytest.mark.parametrize("symbol", ["btc", "@107", "PURR/USDC", "xyz:SP500", "BTC-USD", "", "kpepe"])
def test_market_that_its_name_does_not_explain_is_refused(symbol: str) -> None:
    """Spot markets are numbered, other deployers choose collateral and fees: what these trade would be a guess."""
    for ask in (VENUES["hyperliquid"].make_feed, VENUES["hyperliquid"].instrument, VENUES["hyperliquid"].product):
        with pytest.raises(ValueError, match=r"not a Hyperliquid contract: .* they look like BTC or kPEPE"):
            ask(symbol)
