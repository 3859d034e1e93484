"""Check the feeds of all venues on real recordings, frame by frame against dictionaries, and on altered frames."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeds import VENUES, FeedError
from feeds.base import timestamp_ns
from feeds.gomarket import decode_sides
from numerics.arrays import Floats
from orderbook import BookError
from tests.support import reference_book
from tests.support.reference_book import Change, DictionaryBook, read_envelopes

Read = Callable[[Any, str], Change | None]


class Recording(NamedTuple):
    """One symbol of one real file, and how many of its messages become books, are ignored, or are errors.

    read: Reads the changes of a frame, for the oracle.
    keep: The depth to which the venue cuts its books; None if it cuts none.
    inverse: What an inverse contract is worth, in quote units; None if sizes are base units.
    """

    file: str
    venue: str
    symbol: str
    read: Read
    books: int
    ignored: int
    errors: int = 0
    keep: int | None = None
    inverse: int | None = None


OKX_2022 = "okx_3-instruments_20220513_crc"
USDM = "binance-usdm_4-pairs_20210722"
COINBASE = "coinbase_BTC-USD_ETH-USD_20260809"
RECORDINGS = [
    Recording("okx_BTC-USDT_20260711_seqid", "okx", "BTC-USDT", reference_book.read_okx, 2, 1, errors=1),
    Recording(OKX_2022, "okx", "BTC-USDT", reference_book.read_okx, 98, 312),
    Recording(OKX_2022, "okx", "BTC-USD-220527", reference_book.read_okx, 99, 311, inverse=100),
    Recording(OKX_2022, "okx", "UNI-USD-SWAP", reference_book.read_okx, 93, 317, inverse=10),
    Recording("binance-spot_BTCUSDT_20240808", "binance", "BTCUSDT", reference_book.read_binance, 3449, 12654),
    Recording("binance-spot_ETHUSDT_20240808", "binance", "ETHUSDT", reference_book.read_binance, 3433, 6108),
    Recording(USDM, "binance-usdm", "SUSHIUSDT", reference_book.read_binance, 253, 1283),
    Recording(USDM, "binance-usdm", "AKROUSDT", reference_book.read_binance, 188, 1348),
    Recording(USDM, "binance-usdm", "KEEPUSDT", reference_book.read_binance, 132, 1404),
    Recording(USDM, "binance-usdm", "CTKUSDT", reference_book.read_binance, 180, 1356),
    Recording(COINBASE, "coinbase", "BTC-USD", reference_book.read_coinbase, 112, 188),
    Recording(COINBASE, "coinbase", "ETH-USD", reference_book.read_coinbase, 108, 192),
    Recording("kraken_MINA-GBP_depth25_20260816", "kraken", "MINA/GBP", reference_book.read_kraken, 30, 62, keep=25),
    Recording("bybit_linear_BTCUSDT_20260809", "bybit-linear", "BTCUSDT", reference_book.read_bybit, 414, 240),
    Recording("bybit_spot_BTCUSDT_20260809", "bybit-spot", "BTCUSDT", reference_book.read_bybit, 300, 74),
]
"""Every message is counted. Ignored are acknowledgements, heartbeats, other channels, other symbols and, on Binance,
changes that are held for the snapshot or older than it."""


def read_texts(recording: Recording, folder: Path) -> Iterator[tuple[bool, str]]:
    """Yield (is_body, text) in recorded order: REST bodies of this symbol, and all received messages."""
    for record in read_envelopes(folder / f"{recording.file}.jsonl.gz"):
        query = f"symbol={recording.symbol}&"
        if record["t"] == "recv" or (record["t"] == "http" and query in record.get("url", query)):
            yield record["t"] == "http", record["data"]


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: f"{recording.venue}-{recording.symbol}")
def test_feed_rebuilds_real_recording_to_the_last_level(recordings: Path, recording: Recording) -> None:
    """Each frame is accounted for, and the top 50 levels after each message are those of plain dictionaries."""
    feed = VENUES[recording.venue].make_feed(recording.symbol, 50)
    oracle = DictionaryBook(float, recording.keep)
    held_frames: list[Any] = []
    counts: Counter[str] = Counter()
    for is_body, text in read_texts(recording, recordings):
        frame = json.loads(text)
        try:
            book = (feed.apply_snapshot if is_body else feed.parse)(text, 7, 8)
        except FeedError:
            counts["errors"] += 1
            feed = VENUES[recording.venue].make_feed(recording.symbol, 50)
            continue
        change = None if is_body else recording.read(frame, recording.symbol)
        if is_body:
            for spliced in reference_book.binance_splice(frame, held_frames, recording.symbol):
                oracle.apply(spliced)
        elif book is None and change is not None:
            held_frames.append(frame)
        elif change is not None:
            oracle.apply(change)
        if book is None:
            if not is_body:
                counts["ignored"] += 1
            continue
        counts["books"] += 1
        assert (book.venue, book.symbol, book.market_ns, book.received_ns) == (recording.venue, recording.symbol, 8, 7)
        for side, expected in zip((book.bids, book.asks), oracle.top(50), strict=True):
            rows = expected
            if recording.inverse:
                rows = [(price, pytest.approx(size * recording.inverse / price, rel=1e-15)) for price, size in expected]
            assert [tuple(row) for row in side.tolist()] == rows
    assert counts == Counter(books=recording.books, ignored=recording.ignored, errors=recording.errors)


def test_binance_best_levels_equal_the_book_ticker(recordings: Path) -> None:
    """In 3449 of 3449 books the best bid and ask are those that the venue's bookTicker gave at that update."""
    recording = next(candidate for candidate in RECORDINGS if candidate.symbol == "BTCUSDT")
    feed = VENUES["binance"].make_feed("BTCUSDT")
    frames = list(read_texts(recording, recordings))
    tickers = [event for is_body, text in frames if not is_body and "B" in (event := json.loads(text)["data"])]
    updates = [ticker["u"] for ticker in tickers]
    n_compared = 0
    last_update = 0
    for is_body, text in frames:
        if not is_body and json.loads(text)["data"].get("e") == "depthUpdate":
            last_update = json.loads(text)["data"]["u"]
        book = (feed.apply_snapshot if is_body else feed.parse)(text, 0)
        if book is not None:
            ticker = tickers[bisect_right(updates, last_update) - 1]
            assert book.bids[0].tolist() == [float(ticker["b"]), float(ticker["B"])]
            assert book.asks[0].tolist() == [float(ticker["a"]), float(ticker["A"])]
            n_compared += 1
    assert n_compared == 3449


@pytest.mark.parametrize(
    ("file", "venue", "symbols", "count"),
    [
        (OKX_2022, "okx", ["BTC-USDT", "BTC-USD-220527", "UNI-USD-SWAP"], 290),
        ("kraken_MINA-GBP_depth25_20260816", "kraken", ["MINA/GBP"], 30),
    ],
)
def test_real_checksum_passes_and_a_changed_one_breaks_the_feed(
    recordings: Path, file: str, venue: str, symbols: list[str], count: int
) -> None:
    """All real checksums pass, and each one, increased by one, breaks the feed that reads it."""
    n_checked = 0
    for symbol in symbols:
        feed = VENUES[venue].make_feed(symbol)
        recording = next(candidate for candidate in RECORDINGS if (candidate.file, candidate.symbol) == (file, symbol))
        earlier_texts: list[str] = []
        for _, text in read_texts(recording, recordings):
            change = recording.read(json.loads(text), symbol)
            if change is not None and change.checksum is not None:
                wrong = text.replace(f'"checksum":{change.checksum}', f'"checksum":{change.checksum + 1}')
                second_feed = VENUES[venue].make_feed(symbol)
                for earlier in earlier_texts:
                    second_feed.parse(earlier, 0)
                with pytest.raises(FeedError, match="checksum"):
                    second_feed.parse(wrong, 0)
                n_checked += 1
            earlier_texts.append(text)
            feed.parse(text, 0)
    assert n_checked == count


@pytest.mark.parametrize("venue", VENUES)
def test_default_address_uses_the_port_that_every_network_lets_through(venue: str) -> None:
    """OKX closed 8443 on 2026-10-31, and companies block 8443 and 9443: 443 is what wss:// means by itself."""
    market = VENUES[venue]
    assert urlsplit(market.url(market.symbols[0])).port is None


def test_venues_are_sorted_by_rank_then_by_name() -> None:
    """The pickers show this order: the market that needs no network, OKX's two, then venues without a rank, by name."""
    ranked = ["simulated", "gomarket-okx", "okx"]
    assert list(VENUES) == ranked + sorted(VENUES.keys() - set(ranked))


def test_venues_describe_themselves_without_the_network() -> None:
    """Each venue has symbols whose feeds, addresses and units are there at once."""
    for name, venue in VENUES.items():
        assert venue.name == name
        assert venue.min_reconnect_s > 0
        for symbol in venue.symbols:
            assert venue.url(symbol).startswith("ws://127.0.0.1" if venue.is_simulated else "wss://")
            size = venue.fixed_contract_size(symbol)
            assert ("inverse" in venue.instrument(symbol) or venue.product(symbol) == "spot") == (size is None)
            assert venue.instrument(symbol).endswith(f" {venue.product(symbol)}")
            feed = venue.make_feed(symbol)
            assert feed.closing is False
            assert feed.quiet_s >= 60
            assert feed.snapshot_url is None or feed.snapshot_url.startswith("https://")
            assert all(isinstance(text, str) for text in feed.subscribe())


LISTED_VENUES = {
    *("simulated", "gomarket-okx", "okx", "binance", "binance-usdm", "coinbase", "kraken", "kraken-futures"),
    *("bybit-spot", "bybit-linear", "bybit-inverse", "hyperliquid", "deribit", "bitget-futures", "gate-futures"),
}
USDT_SWAPS = {"simulated", "gomarket-okx", "okx", "binance-usdm", "bybit-linear", "bitget-futures", "gate-futures"}


@pytest.mark.parametrize(
    ("instrument", "venues"),
    [
        ("BTC/USDT swap", USDT_SWAPS),
        ("ETH/USDT swap", USDT_SWAPS),
        ("BTC/USDC swap", {"hyperliquid", "deribit", "bitget-futures"}),
        ("BTC/USD swap", {"kraken-futures"}),
        ("BTC/USD inverse swap", {"bybit-inverse", "deribit", "kraken-futures"}),
        ("BTC/USDT spot", {"okx", "binance", "coinbase", "kraken", "bybit-spot"}),
        ("BTC/USD spot", {"coinbase", "kraken"}),
    ],
)
def test_same_instrument_has_the_same_name_at_all_venues(instrument: str, venues: set[str]) -> None:
    """Venues that the table does not list may trade an instrument, too."""
    trading_venues = {
        name for name, venue in VENUES.items() if instrument in {venue.instrument(symbol) for symbol in venue.symbols}
    }
    assert trading_venues & LISTED_VENUES == venues


@pytest.mark.parametrize(
    ("venue", "symbol", "instrument", "product"),
    [
        ("okx", "BTC-USD-220527", "BTC/USD inverse future 220527", "swap"),
        ("okx", "BTC-USD-SWAP", "BTC/USD inverse swap", "swap"),
        ("binance", "ETHBTC", "ETH/BTC spot", "spot"),
        ("binance", "SHIBFDUSD", "SHIB/FDUSD spot", "spot"),
        ("binance-usdm", "1000PEPEUSDT", "1000PEPE/USDT swap", "swap"),
        ("binance-usdm", "BTCUSDT_260327", "BTC/USDT future 260327", "swap"),
        ("kraken", "MINA/GBP", "MINA/GBP spot", "spot"),
        ("hyperliquid", "kPEPE", "kPEPE/USDC swap", "swap"),
        ("deribit", "ALGO_USDC-PERPETUAL", "ALGO/USDC swap", "swap"),
        ("deribit", "BTC-27MAR26", "BTC/USD inverse future 260327", "swap"),
        ("deribit", "ETH_USDC-5JUN26", "ETH/USDC future 260605", "swap"),
        ("bitget-futures", "MAVUSDT", "MAV/USDT swap", "swap"),
        ("gate-futures", "PEPE_USDT", "PEPE/USDT swap", "swap"),
        ("kraken-futures", "PF_XBTUSD", "BTC/USD swap", "swap"),
        ("kraken-futures", "PI_ETHUSD", "ETH/USD inverse swap", "swap"),
        ("bybit-spot", "SOLBTC", "SOL/BTC spot", "spot"),
        ("bybit-linear", "1000PEPEUSDT", "1000PEPE/USDT swap", "swap"),
        ("bybit-linear", "BTCPERP", "BTC/USDC swap", "swap"),
        ("bybit-linear", "BTCUSDT-26DEC25", "BTC/USDT future 251226", "swap"),
        ("bybit-linear", "ETH-5JUN26", "ETH/USDC future 260605", "swap"),
        ("bybit-inverse", "BTCUSD", "BTC/USD inverse swap", "swap"),
        ("bybit-inverse", "BTCUSDZ25", "BTC/USD inverse future Z25", "swap"),
    ],
)
def test_unlisted_symbol_is_understood_by_its_form(venue: str, symbol: str, instrument: str, product: str) -> None:
    """A user may type a symbol that is not in the venue's list."""
    assert VENUES[venue].instrument(symbol) == instrument
    assert VENUES[venue].product(symbol) == product


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize(
    "symbol", ["", "btc", "BTC USD", "../BTCUSDT", "BTCUSDT/../../x?y=", "BTC-USDT-SWAP-X", "BTC/USD/X"]
)
def test_malformed_symbol_is_refused_before_any_connection(venue: str, symbol: str) -> None:
    """A symbol becomes part of an address, so its form is checked, and the error shows a correct one."""
    with pytest.raises(ValueError, match="they look like"):
        VENUES[venue].make_feed(symbol)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2025-05-04T10:39:13Z", 1746355153 * 10**9),
        ("2025-12-03T04:09:08.823824+00:00", 1764734948823824000),
        ("2026-08-09T21:05:48.483587501Z", 1786309548483587501),
        ("2026-08-09T23:05:48.5+02:00", 1786309548500000000),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("2262-04-11T23:47:16.854775807Z", 2**63 - 1),
    ],
)
def test_timestamp_keeps_its_nanoseconds(text: str, ns: int) -> None:
    """All forms that the venues use are read to the last digit."""
    assert timestamp_ns(text) == ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2025-05-04",
        "2025-05-04T10:39:13",
        "2025-13-04T10:39:13Z",
        "2025-05-04T25:39:13Z",
        "9999-12-31T23:59:59Z",
        "1969-12-31T23:59:59Z",
        "0001-01-01T00:00:00+14:00",
        "2262-04-11T23:47:16.854775808Z",
        "２０２５-05-04T10:39:13Z",
    ],
)
def test_impossible_timestamp_is_refused(text: str) -> None:
    """A time without a zone, outside the calendar, before 1970 or beyond 64 bits of nanoseconds is refused."""
    with pytest.raises(BookError, match="timestamp"):
        timestamp_ns(text)


GATEWAY = '{"timestamp":"2025-05-04T10:39:13Z","exchange":"OKX","symbol":"BTC-USDT-SWAP","asks":%s,"bids":%s}'
ASKS, BIDS = '[["95445.5","9.06"],["95448","2.05"]]', '[["95445.4","1104.23"],["95445.3","0.02"]]'


@pytest.mark.parametrize("venue", ["gomarket-okx", "simulated"])
def test_gateway_feed_converts_contracts_and_goes_on_after_a_refused_book(venue: str) -> None:
    """Contracts become base units, other symbols are skipped, and a refused book does not stop the next one."""
    feed = VENUES[venue].make_feed("BTC-USDT-SWAP", 1)
    book = feed.parse(GATEWAY % (ASKS, BIDS), 3, 4)
    assert book is not None
    assert (book.bids.tolist(), book.asks.tolist()) == ([[95445.4, 1104.23 * 0.01]], [[95445.5, 9.06 * 0.01]])
    # A simulated book keeps the simulation's clock, whoever stamps its arrival.
    assert (book.exchange_ns, book.market_ns) == (
        1746355153 * 10**9,
        4 if venue == "gomarket-okx" else 1746355153 * 10**9,
    )
    with pytest.raises(BookError, match="crossed"):
        feed.parse(GATEWAY % (BIDS, ASKS), 3)
    assert feed.parse((GATEWAY % (ASKS, BIDS)).replace("BTC-", "ETH-"), 3) is None
    assert feed.parse(GATEWAY % (ASKS, BIDS), 3) is not None
    assert feed.keepalive is None
    with pytest.raises(FeedError, match="takes none"):
        feed.apply_snapshot("{}", 1)


number_texts = st.one_of(
    st.decimals(0, 10**9, places=2).map(str), st.from_regex(r"-?[0-9.]{0,8}(e-?[0-9])?", fullmatch=True), st.just("NaN")
)


def row_texts(quote: str) -> st.SearchStrategy[str]:
    """Return a strategy for a side whose rows have mostly two numbers, each between two `quote`s."""
    rows = st.one_of(st.lists(number_texts, min_size=2, max_size=2), st.lists(number_texts, min_size=1, max_size=3))
    return st.lists(
        rows.map(lambda row: "[" + ",".join(quote + number + quote for number in row) + "]"), max_size=5
    ).map(lambda rows: "[" + ",".join(rows) + "]")


@settings(deadline=None)
@given(side_texts=st.sampled_from(["", '"', '"']).flatmap(lambda quote: st.tuples(row_texts(quote), row_texts(quote))))
def test_typed_decoder_reads_levels_as_json_and_float_do(side_texts: tuple[str, str]) -> None:
    """The typed decoder gives the numbers that json and float give, or refuses what they refuse."""
    raw = [text.encode() for text in side_texts]
    try:
        sides = decode_sides(msgspec.Raw(raw[0]), msgspec.Raw(raw[1]), 0.5)
    except BookError:
        with pytest.raises((ValueError, AssertionError)):
            [read_strictly(text) for text in side_texts]
        return
    for text, levels in zip(side_texts, sides, strict=True):
        assert np.array_equal(levels, read_strictly(text) * [1, 0.5], equal_nan=True)
        assert not levels.flags.writeable


@settings(deadline=None, max_examples=300)
@given(
    start=st.integers(GATEWAY.index('"asks"'), len(GATEWAY % (ASKS, BIDS))),
    n_removed=st.integers(0, 2),
    inserted=st.one_of(st.text('0123456789.",[]-e ', max_size=2), st.just("swap")),
)
def test_altered_frame_is_read_as_json_reads_it_or_refused(start: int, n_removed: int, inserted: str) -> None:
    """Characters added, removed or swapped never make a book from text that is not JSON, nor another book."""
    frame = GATEWAY % (ASKS, BIDS)
    if inserted == "swap":
        altered = frame[:start] + frame[start : start + 2][::-1] + frame[start + 2 :]
    else:
        altered = frame[:start] + inserted + frame[start + n_removed :]
    try:
        book = VENUES["gomarket-okx"].make_feed("BTC-USDT-SWAP").parse(altered, 1)
    except BookError:
        return
    assert book is not None
    read_by_json = json.loads(altered)
    for name, levels in (("asks", book.asks), ("bids", book.bids)):
        assert np.array_equal(levels, read_strictly(json.dumps(read_by_json[name])) * [1, 0.01])


SIDES = '"asks":[["101","1"]],"bids":[["99","2"]]'
HEAD = '"timestamp":"2025-05-04T10:39:13Z","symbol":"BTC-USDT-SWAP"'


@pytest.mark.parametrize(
    ("frame", "has_book"),
    [
        (f"{{{HEAD},{SIDES}}}", True),
        (f"{{{SIDES},{HEAD}}}", True),
        (f'{{{HEAD},{SIDES},"seq":[["5","6"]]}}', True),
        (f'{{{HEAD},"asks":[["101","1"]],"seq":1,"bids":[["99","2"]]}}', True),
        (f'{{{HEAD},"bids":[["99","2"]],"asks":[["101","1"]]}}', True),
        (f'{{{HEAD},"note":"[[,\\"asks\\":[[",{SIDES}}}', True),
        (f'{{{HEAD},"data":{{"x":1,{SIDES}}}}}', False),
        (f'{{{HEAD},"data":{{"x":1,{SIDES}}}', False),
        (f'{{{HEAD},"data":[{{"x":1,{SIDES}}}]}}', False),
        (f'{{{HEAD},"x\\"asks":[["101","1"]],"bids":[["99","2"]]}}', False),
        (f'{{{HEAD},"note":"x,"asks":[["101","1"]],"bids":[["99","2"]]}}', False),
        (f"{{{HEAD},{SIDES}}}}}", False),
        (f"[{{{HEAD},{SIDES}}}", False),
        (f"{{{HEAD},,{SIDES}}}", False),
        (f"{HEAD},{SIDES}}}", False),
        (f"{{{HEAD};{SIDES}}}", False),
        (f"{{{SIDES};{HEAD}}}", False),
        (f"[{SIDES},{HEAD}}}", False),
        (f'{{"x",{SIDES},{HEAD}}}', False),
    ],
)
def test_sides_are_found_only_where_json_finds_them(frame: str, has_book: bool) -> None:
    """A frame gives the book that a JSON reader sees in it, wherever its sides stand, or it is refused."""
    feed = VENUES["gomarket-okx"].make_feed("BTC-USDT-SWAP")
    if has_book:
        assert json.loads(frame)["asks"] == [["101", "1"]]
        book = feed.parse(frame, 1)
        assert book is not None
        assert (book.bids.tolist(), book.asks.tolist()) == ([[99, 0.02]], [[101, 0.01]])
    else:
        with pytest.raises(BookError):
            feed.parse(frame, 1)


def read_strictly(text: str) -> Floats:
    """Read pairs of numbers in JSON's own notation, quoted or bare. Raises AssertionError or ValueError on others."""
    rows = []
    for row in json.loads(text, parse_constant=int):
        assert len(row) == 2
        price, size = (number if isinstance(number, float | int) else json.loads(number) for number in row)
        rows.append((float(price), float(size)))
    return np.array(rows, dtype=np.float64).reshape(-1, 2)
