"""OKX's rules: the sequence and its two exceptions, the old checksum, contracts, notices, and the three channels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from feeds import VENUES, FeedError
from feeds.okx import Contract, Okx, checksum, parse_contracts
from orderbook import OrderBook
from tests.support.reference_book import read_envelopes

SYMBOL = "BTC-USDT"


def books(action: str | None, bids: list[list[str]], asks: list[list[str]], symbol: str = SYMBOL, **data: Any) -> str:
    frame: dict[str, Any] = {"arg": {"channel": data.pop("channel", "books"), "instId": symbol}}
    if action is not None:
        frame["action"] = action
    sides = {"asks": [[*row, "0", "1"] for row in asks], "bids": [[*row, "0", "1"] for row in bids]}
    return json.dumps(frame | {"data": [sides | {"ts": "1783786805808", "checksum": 0} | data]})


SNAPSHOT = books("snapshot", [["100", "2"], ["99", "1"]], [["101", "3"]], seqId=10, prevSeqId=-1)


def after(*messages: str, symbol: str = SYMBOL, depth: int | None = None) -> OrderBook | None:
    """Return what a fresh feed gives for the last message."""
    feed = VENUES["okx"].make_feed(symbol, depth)
    book = None
    for message in messages:
        book = feed.parse(message, 7)
    return book


def levels(book: OrderBook | None) -> tuple[Any, Any]:
    assert book is not None
    return book.bids.tolist(), book.asks.tolist()


def test_the_venue_s_clock_is_used_where_no_other_is_given() -> None:
    """ts is in milliseconds and becomes nanoseconds."""
    feed = VENUES["okx"].make_feed(SYMBOL)
    book = feed.parse(SNAPSHOT, 7)
    assert book is not None
    assert (book.exchange_ns, book.market_ns, book.received_ns) == (1783786805808 * 10**6, 1783786805808 * 10**6, 7)


@pytest.mark.parametrize(
    ("seq", "previous"),
    [(12, 10), (10, 10), (3, 10)],
    ids=["a jump", "nothing new for a minute", "the venue's maintenance starts its count again"],
)
def test_a_change_that_continues_from_the_last_is_taken(seq: int, previous: int) -> None:
    """Numbers may jump, stay, and fall, as long as each change names the one before it; the next one follows on."""
    change = books("update", [["100", "0"]], [], seqId=seq, prevSeqId=previous)
    following = books("update", [["99", "5"]], [], seqId=50, prevSeqId=seq)
    assert levels(after(SNAPSHOT, change)) == ([[99.0, 1.0]], [[101.0, 3.0]])
    assert levels(after(SNAPSHOT, change, following)) == ([[99.0, 5.0]], [[101.0, 3.0]])


@pytest.mark.parametrize(("seq", "previous"), [(12, 11), (12, 9), (10, -1), (None, None), (12, None)])
def test_anything_else_is_a_gap(seq: int | None, previous: int | None) -> None:
    """A change from anywhere else, or from nowhere, breaks the feed."""
    with pytest.raises(FeedError, match=r"gap: prevSeqId .* after seqId 10"):
        after(SNAPSHOT, books("update", [["100", "0"]], [], seqId=seq, prevSeqId=previous))


def test_a_new_snapshot_starts_anew() -> None:
    """A second snapshot on one connection replaces the book and its count."""
    again = books("snapshot", [["90", "1"]], [["91", "1"]], seqId=500, prevSeqId=-1)
    change = books("update", [], [["91", "2"]], seqId=501, prevSeqId=500)
    assert levels(after(SNAPSHOT, again, change)) == ([[90.0, 1.0]], [[91.0, 2.0]])


def test_changes_before_the_snapshot_are_left_out() -> None:
    """A recording that starts in the middle waits for the next snapshot."""
    assert after(books("update", [["100", "1"]], [["101", "1"]], seqId=5, prevSeqId=4)) is None


def test_a_change_must_be_guarded_by_something() -> None:
    """The old form without sequence needs its checksum: with neither there is no telling what is missing."""
    snapshot = books("snapshot", [["100", "2"]], [["101", "3"]])
    with pytest.raises(FeedError, match="neither a sequence nor a checksum"):
        after(snapshot, books("update", [["100", "1"]], []))
    with pytest.raises(FeedError, match="checksum 7 after a message without one"):
        after(SNAPSHOT, books("update", [["100", "1"]], [], seqId=11, prevSeqId=10, checksum=7))
    checked = checksum(["100:2"], ["101:3"])
    first = books("snapshot", [["100", "2"]], [["101", "3"]], seqId=10, prevSeqId=-1, checksum=checked)
    silent = books("update", [["100.5", "1"]], [], seqId=11, prevSeqId=10)
    again = books("update", [["100.5", "0"]], [], seqId=12, prevSeqId=11, checksum=checked)
    assert after(first, silent) is not None
    with pytest.raises(FeedError, match=f"checksum {checked} after a message without one"):
        after(first, silent, again)


def test_the_documented_checksums() -> None:
    """The two examples of the venue's old documentation, sides of equal and of unequal length."""
    assert checksum(["3366.1:7", "3366:6"], ["3366.8:9", "3368:8"]) == -1881014294
    assert checksum(["3366.1:7"], ["3366.8:9", "3368:8", "3372:8"]) == 831078360


def test_a_checksum_is_of_the_texts_as_sent() -> None:
    """The old form passes with its checksum and breaks with another."""
    sides = ([["3366.1", "7"]], [["3366.8", "9"], ["3368", "8"], ["3372", "8"]])
    assert after(books("snapshot", *sides, checksum=831078360)) is not None
    with pytest.raises(FeedError, match="checksum 831078360, the venue's is 831078361"):
        after(books("snapshot", *sides, checksum=831078361))


def test_contracts_become_base_units() -> None:
    """Linear contracts are a fixed amount of base, inverse ones an amount of dollars at each level's price."""
    sides = ([["50000", "3"]], [["50001", "5"]])
    linear = after(books("snapshot", *sides, symbol="BTC-USDT-SWAP", seqId=1), symbol="BTC-USDT-SWAP")
    assert levels(linear) == ([[50000.0, 0.03]], [[50001.0, 0.05]])
    inverse = after(books("snapshot", *sides, symbol="BTC-USD-SWAP", seqId=1), symbol="BTC-USD-SWAP")
    assert levels(inverse) == ([[50000.0, 300 / 50000]], [[50001.0, 500 / 50001]])


def test_an_inverse_contract_at_price_zero_is_refused() -> None:
    """There is no telling how much base that would be."""
    with pytest.raises(FeedError, match="a level at price 0"):
        after(books("snapshot", [["0", "3"]], [["1", "5"]], symbol="BTC-USD-SWAP"), symbol="BTC-USD-SWAP")


def test_what_a_contract_is_worth() -> None:
    """Known for the common contracts offline, for the rest once learned, and never guessed."""
    okx = Okx()
    assert [okx.contract_size(symbol) for symbol in okx.symbols] == [0.01, 0.1, 1.0, 1.0]
    with pytest.raises(ValueError, match=r"BTC-USD-SWAP is inverse: a contract is 100 USD"):
        okx.contract_size("BTC-USD-SWAP")
    with pytest.raises(ValueError, match="contract size of DOGE-USDT-SWAP is unknown"):
        okx.make_feed("DOGE-USDT-SWAP")
    row = {"instId": "DOGE-USDT-SWAP", "ctType": "linear", "ctVal": "1000", "ctMult": "1", "ctValCcy": "DOGE"}
    okx.learn(json.dumps({"code": "0", "msg": "", "data": [row]}))
    assert okx.contract_size("DOGE-USDT-SWAP") == 1000.0
    book = okx.make_feed("DOGE-USDT-SWAP").parse(
        books("snapshot", [["0.1", "2"]], [["0.2", "3"]], symbol="DOGE-USDT-SWAP"), 1
    )
    assert levels(book) == ([[0.1, 2000.0]], [[0.2, 3000.0]])


def test_the_real_instruments(recordings: Path) -> None:
    """The venue's own rows say what the offline table says."""
    rows = [record["data"] for record in read_envelopes(recordings / "okx_instruments_20220513.jsonl.gz")]
    found = parse_contracts('{"code":"0","msg":"","data":[' + ",".join(rows) + "]}")
    assert found == {
        "BTC-USD-SWAP": Contract(100.0, is_inverse=True),
        "UNI-USD-SWAP": Contract(10.0, is_inverse=True),
        "BTC-USDT-SWAP": Contract(0.01),
        "ETH-USDT-SWAP": Contract(0.1),
        "BTC-USD-220527": Contract(100.0, is_inverse=True),
    }
    okx = Okx()
    assert all(okx.make_feed(symbol)._contract == contract for symbol, contract in found.items())


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"code":"50011","msg":"Too Many Requests","data":[]}', "50011 Too Many Requests"),
        ('{"code":"0","data":[{"instId":"X-USDT-SWAP","ctType":"linear","ctVal":"nan"}]}', "no contract value"),
        ('{"code":"0","data":[{"instId":"X-USDT-SWAP","ctType":"quanto","ctVal":"1"}]}', "no contract value"),
        ('{"code":"0","data":[{"instId":"X-USDT-SWAP","ctType":"linear","ctVal":"one"}]}', "no contract value"),
        ("<html>", "unreadable"),
    ],
)
def test_instruments_that_say_nothing_usable(body: str, words: str) -> None:
    """A refusal or a value that is none is an error by name, and nothing is learned."""
    with pytest.raises(FeedError, match=words):
        parse_contracts(body)


@pytest.mark.parametrize(
    ("depth", "channel"), [(None, "books"), (1, "bbo-tbt"), (5, "books5"), (6, "books"), (900, "books")]
)
def test_the_channel_is_the_smallest_that_holds_the_depth(depth: int | None, channel: str) -> None:
    """What is not shown is not subscribed to."""
    (text,) = VENUES["okx"].make_feed(SYMBOL, depth).subscribe()
    assert json.loads(text) == {"op": "subscribe", "args": [{"channel": channel, "instId": SYMBOL}]}


@pytest.mark.parametrize("channel", ["books5", "bbo-tbt"])
def test_the_small_channels_send_whole_books(channel: str) -> None:
    """Each push replaces the last; neither action nor prevSeqId is there."""
    first = books(None, [["100", "2"]], [["101", "3"]], channel=channel, seqId=5)
    second = books(None, [["99", "1"]], [["102", "4"]], channel=channel, seqId=9)
    assert levels(after(first, second, depth=5)) == ([[99.0, 1.0]], [[102.0, 4.0]])
    assert after(SNAPSHOT, second) is None, "the deepest channel heard is the one followed"


@pytest.mark.parametrize(
    "arg", [{"channel": "tickers", "instId": SYMBOL}, {"channel": "books", "instId": "ETH-USDT"}, {"channel": "status"}]
)
def test_what_is_not_for_this_book_may_look_like_anything(arg: dict[str, str]) -> None:
    """Data of another channel or symbol pass unread; the same data for this book break it, with the reason."""
    strange = {"data": [{"askPx": "101", "asks": "many", "ts": "soon"}]}
    feed = VENUES["okx"].make_feed(SYMBOL)
    assert feed.parse(SNAPSHOT, 1) is not None
    assert feed.parse(json.dumps({"arg": arg} | strange), 1) is None
    assert feed.parse(books("update", [["100", "4"]], [], seqId=11, prevSeqId=10), 1) is not None
    own = {"arg": {"channel": "books", "instId": SYMBOL}, "action": "update"}
    with pytest.raises(FeedError, match=r"missing required field `bids` - at `\$.data\[0\]`"):
        feed.parse(json.dumps(own | {"data": [{"asks": []}]}), 1)
    feed = VENUES["okx"].make_feed(SYMBOL)
    with pytest.raises(FeedError, match=r"asks: unreadable message: Expected `array`, got `str`"):
        feed.parse(json.dumps(own | {"action": "snapshot", "data": [{"asks": "many", "bids": [], "ts": "1"}]}), 1)
    with pytest.raises(FeedError, match="missing required field `data`"):
        VENUES["okx"].make_feed(SYMBOL).parse('{"arg":{"channel":"books","instId":"BTC-USDT"}}', 1)


def test_words_of_the_venue() -> None:
    """Acknowledgements, pongs and other notices pass, 64008 announces a close, an error is told with its code."""
    feed = VENUES["okx"].make_feed(SYMBOL)
    assert feed.keepalive == ("ping", 20.0)
    assert feed.parse("pong", 1) is None
    assert feed.parse(b"pong", 1) is None
    assert feed.parse('{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"a"}', 1) is None
    assert feed.parse('{"event":"channel-conn-count","channel":"books","connCount":"2","connId":"a"}', 1) is None
    assert feed.parse('{"event":"notice","code":"64000","msg":"else"}', 1) is None
    assert not feed.closing
    assert feed.parse('{"event":"notice","code":"64008","msg":"The connection will soon be closed"}', 1) is None
    assert feed.closing
    assert feed.parse(SNAPSHOT, 1) is not None
    with pytest.raises(FeedError, match="OKX refused: 60018 Wrong URL or channel"):
        feed.parse('{"event":"error","code":"60018","msg":"Wrong URL or channel:books,instId:X doesn\'t exist"}', 1)


@pytest.mark.parametrize(
    ("venue", "symbol", "size"),
    [
        ("okx", "BTC-USDT-SWAP", 0.01),
        ("okx", "SOL-USDT-SWAP", 1.0),
        ("okx", "BTC-USD-SWAP", None),
        ("okx", "BTC-USDT", None),
        ("gomarket-okx", "ETH-USDT-SWAP", 0.1),
        ("binance", "BTCUSDT", None),
        ("binance-usdm", "BTCUSDT", 1.0),
        ("kraken", "BTC/USD", None),
    ],
)
def test_contract_of_fixed_size_is_none_for_spot_and_inverse_contracts(
    venue: str, symbol: str, size: float | None
) -> None:
    """A contract of one coin is still a contract; spot has none, and an inverse one's coins follow the price."""
    assert VENUES[venue].fixed_contract_size(symbol) == size


def test_where_the_instruments_are() -> None:
    """Derivatives have a contract value to ask for, spot has none."""
    okx = Okx()
    base = "https://openapi.okx.com/api/v5/public/instruments"
    assert okx.instruments_url("BTC-USDT") is None
    assert okx.instruments_url("BTC-USD-SWAP") == f"{base}?instType=SWAP&instId=BTC-USD-SWAP"
    assert okx.instruments_url("BTC-USD-220527") == f"{base}?instType=FUTURES&instId=BTC-USD-220527"
