"""Check Deribit's feed: linked changes, dollars and coins, heartbeats and refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feeds import VENUES, FeedError
from orderbook import OrderBook

BIDS = [["new", 2772.65, 2700], ["new", 2772.6, 2.5e3]]
ASKS = [["new", 2772.7, 53], ["new", 2773.0, 1000.0]]


def make_message(
    kind: str,
    change_id: int,
    bids: Any,
    asks: Any,
    symbol: str = "ETH_USDC-PERPETUAL",
    interval: str = "100ms",
    **link: int,
) -> str:
    """Return a notification in the venue's form."""
    data = {"timestamp": 1790133840638, "type": kind, "change_id": change_id, "instrument_name": symbol, **link}
    params = {"channel": f"book.{symbol}.{interval}", "data": data | {"bids": bids, "asks": asks}}
    return json.dumps({"jsonrpc": "2.0", "method": "subscription", "params": params})


SNAPSHOT = make_message("snapshot", 136069961946, BIDS, ASKS)


def list_levels(book: OrderBook | None) -> tuple[Any, Any]:
    """Return bids and asks as lists of [price, size]."""
    assert book is not None
    return book.bids.tolist(), book.asks.tolist()


def test_feed_asks_for_heartbeats_and_subscribes() -> None:
    """Heartbeats come first, so that a subscription that fails does not leave the connection without them."""
    assert [json.loads(text) for text in VENUES["deribit"].make_feed("BTC-PERPETUAL").subscribe()] == [
        {"jsonrpc": "2.0", "id": 9000, "method": "public/set_heartbeat", "params": {"interval": 30}},
        {
            "jsonrpc": "2.0",
            "id": 9001,
            "method": "public/subscribe",
            "params": {"channels": ["book.BTC-PERPETUAL.100ms"]},
        },
    ]


def test_snapshot_and_changes_of_coins_become_books() -> None:
    """New, changed and deleted levels; numbers may have an exponent."""
    feed = VENUES["deribit"].make_feed("ETH_USDC-PERPETUAL")
    book = feed.parse(SNAPSHOT, 1)
    assert list_levels(book) == ([[2772.65, 2700], [2772.6, 2500]], [[2772.7, 53], [2773.0, 1000]])
    assert book is not None
    assert book.exchange_ns == 1790133840638 * 10**6
    rows = [["delete", 2772.65, 0.0], ["change", 2772.6, 7.0]], [["new", 2772.65, 4.0]]
    changed = feed.parse(make_message("change", 136069961999, *rows, prev_change_id=136069961946), 1)
    assert list_levels(changed) == ([[2772.6, 7]], [[2772.65, 4], [2772.7, 53], [2773.0, 1000]])


def test_dollars_of_an_inverse_contract_become_coins_at_the_price_of_their_level() -> None:
    """The same amount is more coins at a lower price."""
    feed = VENUES["deribit"].make_feed("BTC-PERPETUAL")
    book = feed.parse(make_message("snapshot", 1, [["new", 50, 100]], [["new", 80, 100]], "BTC-PERPETUAL"), 1)
    assert list_levels(book) == ([[50, 2]], [[80, 1.25]])
    rows = [["delete", 50, 0.0], ["new", 40, 10]], []
    changed = feed.parse(make_message("change", 2, *rows, "BTC-PERPETUAL", prev_change_id=1), 1)
    assert list_levels(changed) == ([[40, 0.25]], [[80, 1.25]])
    with pytest.raises(ValueError, match="BTC-PERPETUAL is inverse"):
        VENUES["deribit"].contract_size("BTC-PERPETUAL")
    assert VENUES["deribit"].contract_size("BTC_USDC-PERPETUAL") == 1.0


@pytest.mark.parametrize("link", [{}, {"prev_change_id": 136069961945}, {"prev_change_id": 136069961947}])
def test_change_that_does_not_name_the_last_one_is_a_gap(link: dict[str, int]) -> None:
    """A change without a link, a repeated one and a later one are all gaps."""
    feed = VENUES["deribit"].make_feed("ETH_USDC-PERPETUAL")
    feed.parse(SNAPSHOT, 1)
    with pytest.raises(FeedError, match=r"gap: prev_change_id .* after 136069961946"):
        feed.parse(make_message("change", 136069961999, [], [], **link), 1)


def test_other_messages_give_no_book() -> None:
    """Answers, heartbeats, other symbols, other intervals and changes before the snapshot are no books."""
    feed = VENUES["deribit"].make_feed("ETH_USDC-PERPETUAL")
    assert feed.parse(make_message("change", 9, [], [], prev_change_id=8), 1) is None
    assert feed.parse(SNAPSHOT, 1) is not None
    for text in (
        '{"jsonrpc":"2.0","id":9000,"result":"ok","usIn":1,"usOut":2,"usDiff":1,"testnet":false}',
        '{"jsonrpc":"2.0","id":9001,"result":["book.ETH_USDC-PERPETUAL.100ms"]}',
        '{"jsonrpc":"2.0","id":7,"result":[]}',
        '{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"heartbeat"}}',
        make_message("snapshot", 5, BIDS, ASKS, "BTC-PERPETUAL"),
        make_message("snapshot", 5, BIDS, ASKS, interval="agg2"),
    ):
        assert feed.parse(text, 1) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"jsonrpc":"2.0","id":9001,"result":[]}', "it has no order book of ETH_USDC-PERPETUAL"),
        (
            '{"jsonrpc":"2.0","id":9001,"error":{"message":"Invalid params","data":{"reason":"x"},"code":-32602}}',
            r'-32602 Invalid params \{"reason":"x"\}',
        ),
    ],
)
def test_refusal_has_the_venues_words(text: str, words: str) -> None:
    """An unknown channel is granted as an empty list, which is a refusal too."""
    with pytest.raises(FeedError, match=f"Deribit refused: {words}"):
        VENUES["deribit"].make_feed("ETH_USDC-PERPETUAL").parse(text, 1)


def test_only_a_test_request_is_answered() -> None:
    """The answer is the request that the venue's documentation names."""
    feed = VENUES["deribit"].make_feed("BTC-PERPETUAL")
    request = '{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}'
    wanted = {"jsonrpc": "2.0", "id": 9002, "method": "public/test", "params": {}}
    assert [json.loads(feed.answer(text) or "") for text in (request, request.encode())] == [wanted, wanted]
    assert feed.parse(request, 1) is None
    assert feed.answer('{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"heartbeat"}}') is None
    assert feed.answer(SNAPSHOT) is None


@pytest.mark.parametrize(
    "symbol", ["SOL-PERPETUAL", "BTC_USDC", "BTC_USDT-PERPETUAL", "BTC-27MAR26-50000-C", "BTC-31FEB26", "BTCUSD"]
)
def test_market_that_is_no_known_contract_is_refused_by_name(symbol: str) -> None:
    """Options, spot and contracts whose unit is not known here are not guessed at."""
    with pytest.raises(ValueError, match=f"not a Deribit contract: '{symbol}'; they look like BTC-PERPETUAL"):
        VENUES["deribit"].make_feed(symbol)
