"""Check OKX's feed: the sequence and its two exceptions, the old checksum, contracts, notices and three channels."""

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


def make_message(
    action: str | None, bids: list[list[str]], asks: list[list[str]], symbol: str = SYMBOL, **data: Any
) -> str:
    """Return a message with a book; `data` has its other fields, and `channel` if it is another than books."""
    frame: dict[str, Any] = {"arg": {"channel": data.pop("channel", "books"), "instId": symbol}}
    if action is not None:
        frame["action"] = action
    sides = {"asks": [[*row, "0", "1"] for row in asks], "bids": [[*row, "0", "1"] for row in bids]}
    return json.dumps(frame | {"data": [sides | {"ts": "1783786805808", "checksum": 0} | data]})


SNAPSHOT = make_message("snapshot", [["100", "2"], ["99", "1"]], [["101", "3"]], seqId=10, prevSeqId=-1)


def parse_all(*messages: str, symbol: str = SYMBOL, depth: int | None = None) -> OrderBook | None:
    """Return the book of a new feed after the last message; None if that message gives none."""
    feed = VENUES["okx"].make_feed(symbol, depth)
    book = None
    for message in messages:
        book = feed.parse(message, 7)
    return book


def list_levels(book: OrderBook | None) -> tuple[Any, Any]:
    """Return bids and asks as lists of [price, size]."""
    assert book is not None
    return book.bids.tolist(), book.asks.tolist()


def test_book_has_the_venue_clock_if_no_other_is_given() -> None:
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
def test_change_that_names_the_last_one_is_applied(seq: int, previous: int) -> None:
    """Numbers may jump, stay and fall, if each change names the one before it; then the next change follows."""
    change = make_message("update", [["100", "0"]], [], seqId=seq, prevSeqId=previous)
    following = make_message("update", [["99", "5"]], [], seqId=50, prevSeqId=seq)
    assert list_levels(parse_all(SNAPSHOT, change)) == ([[99.0, 1.0]], [[101.0, 3.0]])
    assert list_levels(parse_all(SNAPSHOT, change, following)) == ([[99.0, 5.0]], [[101.0, 3.0]])


@pytest.mark.parametrize(("seq", "previous"), [(12, 11), (12, 9), (10, -1), (None, None), (12, None)])
def test_change_that_does_not_name_the_last_one_is_a_gap(seq: int | None, previous: int | None) -> None:
    """A change that names another predecessor, or none, breaks the feed."""
    with pytest.raises(FeedError, match=r"gap: prevSeqId .* after seqId 10"):
        parse_all(SNAPSHOT, make_message("update", [["100", "0"]], [], seqId=seq, prevSeqId=previous))


def test_second_snapshot_replaces_the_book_and_its_sequence() -> None:
    """A second snapshot on one connection replaces the book and its sequence number."""
    second = make_message("snapshot", [["90", "1"]], [["91", "1"]], seqId=500, prevSeqId=-1)
    change = make_message("update", [], [["91", "2"]], seqId=501, prevSeqId=500)
    assert list_levels(parse_all(SNAPSHOT, second, change)) == ([[90.0, 1.0]], [[91.0, 2.0]])


def test_changes_before_the_snapshot_are_skipped() -> None:
    """A recording that starts in the middle waits for the next snapshot."""
    assert parse_all(make_message("update", [["100", "1"]], [["101", "1"]], seqId=5, prevSeqId=4)) is None


def test_change_that_cannot_be_verified_is_refused() -> None:
    """The old form without a sequence needs its checksum: without both, a missing change would not be noticed.

    A checksum cannot be verified after a message without one.
    """
    snapshot = make_message("snapshot", [["100", "2"]], [["101", "3"]])
    with pytest.raises(FeedError, match="neither a sequence nor a checksum"):
        parse_all(snapshot, make_message("update", [["100", "1"]], []))
    with pytest.raises(FeedError, match="checksum 7 after a message without one"):
        parse_all(SNAPSHOT, make_message("update", [["100", "1"]], [], seqId=11, prevSeqId=10, checksum=7))
    correct = checksum(["100:2"], ["101:3"])
    checked_snapshot = make_message(
        "snapshot", [["100", "2"]], [["101", "3"]], seqId=10, prevSeqId=-1, checksum=correct
    )
    without_checksum = make_message("update", [["100.5", "1"]], [], seqId=11, prevSeqId=10)
    with_checksum = make_message("update", [["100.5", "0"]], [], seqId=12, prevSeqId=11, checksum=correct)
    assert parse_all(checked_snapshot, without_checksum) is not None
    with pytest.raises(FeedError, match=f"checksum {correct} after a message without one"):
        parse_all(checked_snapshot, without_checksum, with_checksum)


def test_checksum_equals_the_documented_examples() -> None:
    """The venue's old documentation has two examples, with sides of equal and of unequal length."""
    assert checksum(["3366.1:7", "3366:6"], ["3366.8:9", "3368:8"]) == -1881014294
    assert checksum(["3366.1:7"], ["3366.8:9", "3368:8", "3372:8"]) == 831078360


def test_snapshot_with_a_wrong_checksum_breaks_the_feed() -> None:
    """The checksum is of the texts as sent: the old form passes with its checksum and breaks with another."""
    sides = ([["3366.1", "7"]], [["3366.8", "9"], ["3368", "8"], ["3372", "8"]])
    assert parse_all(make_message("snapshot", *sides, checksum=831078360)) is not None
    with pytest.raises(FeedError, match="checksum 831078360, the venue's is 831078361"):
        parse_all(make_message("snapshot", *sides, checksum=831078361))


def test_contracts_are_converted_to_base_units() -> None:
    """A linear contract is a fixed amount of base, an inverse one an amount of dollars at each level's price."""
    sides = ([["50000", "3"]], [["50001", "5"]])
    linear = parse_all(make_message("snapshot", *sides, symbol="BTC-USDT-SWAP", seqId=1), symbol="BTC-USDT-SWAP")
    assert list_levels(linear) == ([[50000.0, 0.03]], [[50001.0, 0.05]])
    inverse = parse_all(make_message("snapshot", *sides, symbol="BTC-USD-SWAP", seqId=1), symbol="BTC-USD-SWAP")
    assert list_levels(inverse) == ([[50000.0, 300 / 50000]], [[50001.0, 500 / 50001]])


def test_inverse_contract_at_price_zero_is_refused() -> None:
    """No amount of base follows from a price of zero."""
    with pytest.raises(FeedError, match="a level at price 0"):
        parse_all(make_message("snapshot", [["0", "3"]], [["1", "5"]], symbol="BTC-USD-SWAP"), symbol="BTC-USD-SWAP")


def test_contract_size_is_listed_or_learned_and_never_guessed() -> None:
    """The common contracts are listed offline, the others are learned, and an unknown one is refused by name."""
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
        make_message("snapshot", [["0.1", "2"]], [["0.2", "3"]], symbol="DOGE-USDT-SWAP"), 1
    )
    assert list_levels(book) == ([[0.1, 2000.0]], [[0.2, 3000.0]])


def test_contracts_of_real_instruments_equal_the_offline_table(recordings: Path) -> None:
    """The venue's own rows give the contracts of the offline table."""
    rows = [record["data"] for record in read_envelopes(recordings / "okx_instruments_20220513.jsonl.gz")]
    contracts = parse_contracts('{"code":"0","msg":"","data":[' + ",".join(rows) + "]}")
    assert contracts == {
        "BTC-USD-SWAP": Contract(100.0, is_inverse=True),
        "UNI-USD-SWAP": Contract(10.0, is_inverse=True),
        "BTC-USDT-SWAP": Contract(0.01),
        "ETH-USDT-SWAP": Contract(0.1),
        "BTC-USD-220527": Contract(100.0, is_inverse=True),
    }
    okx = Okx()
    assert all(okx.make_feed(symbol)._contract == contract for symbol, contract in contracts.items())


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
def test_unusable_reply_for_instruments_is_refused(body: str, words: str) -> None:
    """A refusal or an impossible value is a named error, and nothing is learned."""
    with pytest.raises(FeedError, match=words):
        parse_contracts(body)


@pytest.mark.parametrize(
    ("depth", "channel"), [(None, "books"), (1, "bbo-tbt"), (5, "books5"), (6, "books"), (900, "books")]
)
def test_feed_subscribes_to_the_smallest_channel_that_holds_the_depth(depth: int | None, channel: str) -> None:
    """A channel of fewer levels is enough if it holds all that are shown."""
    (text,) = VENUES["okx"].make_feed(SYMBOL, depth).subscribe()
    assert json.loads(text) == {"op": "subscribe", "args": [{"channel": channel, "instId": SYMBOL}]}


@pytest.mark.parametrize("channel", ["books5", "bbo-tbt"])
def test_message_of_a_small_channel_replaces_the_book(channel: str) -> None:
    """Each message replaces the last one; it has neither action nor prevSeqId."""
    first = make_message(None, [["100", "2"]], [["101", "3"]], channel=channel, seqId=5)
    second = make_message(None, [["99", "1"]], [["102", "4"]], channel=channel, seqId=9)
    assert list_levels(parse_all(first, second, depth=5)) == ([[99.0, 1.0]], [[102.0, 4.0]])
    assert parse_all(SNAPSHOT, second) is None, "the feed follows the deepest channel that it has received"


@pytest.mark.parametrize(
    "arg", [{"channel": "tickers", "instId": SYMBOL}, {"channel": "books", "instId": "ETH-USDT"}, {"channel": "status"}]
)
def test_data_of_another_channel_or_symbol_are_not_read(arg: dict[str, str]) -> None:
    """Data of another channel or symbol may have any form; the same data for this book break it, with the reason."""
    unreadable = {"data": [{"askPx": "101", "asks": "many", "ts": "soon"}]}
    feed = VENUES["okx"].make_feed(SYMBOL)
    assert feed.parse(SNAPSHOT, 1) is not None
    assert feed.parse(json.dumps({"arg": arg} | unreadable), 1) is None
    assert feed.parse(make_message("update", [["100", "4"]], [], seqId=11, prevSeqId=10), 1) is not None
    this_book = {"arg": {"channel": "books", "instId": SYMBOL}, "action": "update"}
    with pytest.raises(FeedError, match=r"missing required field `bids` - at `\$.data\[0\]`"):
        feed.parse(json.dumps(this_book | {"data": [{"asks": []}]}), 1)
    feed = VENUES["okx"].make_feed(SYMBOL)
    with pytest.raises(FeedError, match=r"asks: unreadable message: Expected `array`, got `str`"):
        feed.parse(json.dumps(this_book | {"action": "snapshot", "data": [{"asks": "many", "bids": [], "ts": "1"}]}), 1)
    with pytest.raises(FeedError, match="missing required field `data`"):
        VENUES["okx"].make_feed(SYMBOL).parse('{"arg":{"channel":"books","instId":"BTC-USDT"}}', 1)


def test_notices_give_no_book_and_an_error_is_raised_with_its_code() -> None:
    """Acknowledgements, pongs and other notices give no book, 64008 announces a close, an error has its code."""
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
def test_fixed_contract_size_is_none_for_spot_and_inverse_contracts(
    venue: str, symbol: str, size: float | None
) -> None:
    """A contract of one coin is still a contract; spot has none, and the coins of an inverse one follow the price."""
    assert VENUES[venue].fixed_contract_size(symbol) == size


def test_derivatives_have_an_instruments_url_and_spot_has_none() -> None:
    """Only derivatives have a contract value to ask for."""
    okx = Okx()
    base = "https://openapi.okx.com/api/v5/public/instruments"
    assert okx.instruments_url("BTC-USDT") is None
    assert okx.instruments_url("BTC-USD-SWAP") == f"{base}?instType=SWAP&instId=BTC-USD-SWAP"
    assert okx.instruments_url("BTC-USD-220527") == f"{base}?instType=FUTURES&instId=BTC-USD-220527"
