"""Logs of raw messages that other programs wrote: every venue's, with every clock, give the books of our envelope."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeds import VENUES
from orderbook import OrderBook
from recording.format import RecordedFrame, RecordingError, encode
from recording.opening import Opening
from recording.raw_log import split_line
from recording.reader import read
from recording.replay_feed import books, meta
from tests.support.loopback_venues import IMITATIONS, Market, binance_body

BEGIN_NS = 1_772_359_200_123_456_789
KNOWN = [name for name in IMITATIONS if type(VENUES[name]).find_symbol.__module__ != "feeds.base"]
"""The venues that know their own messages; a venue need not."""
ONE_FORM = [("bybit-spot", "bybit-linear")]
"""Venues whose messages are the same to the letter: only the address tells which of them a log is of."""


class Logged(NamedTuple):
    """A frame as some recorder got it."""

    market_ns: int
    message: str
    sent: bool = False


def log_of(venue: str, changes: int = 12) -> list[Logged]:
    """Return what a recorder gets of an imitated venue: greeting, answers, the snapshot that is fetched, changes."""
    imitation = IMITATIONS[venue]
    market = imitation.make_market()
    session = imitation.session(market)
    requests = VENUES[venue].make_feed(imitation.symbol).subscribe()
    messages = [(text, False) for text in session.greet()]
    for request in requests:
        messages.append((request, True))
        messages += [(text, False) for text in session.answer(request)]
    if VENUES[venue].make_feed(imitation.symbol).snapshot_url is not None:
        messages.append((binance_body(market), False))
    for index in range(changes):
        for rows in session.split([("99.0", str(index + 1))], [("101.5", str(2 * index + 1))]):
            market.apply(*rows)
            messages.append((session.change(*rows), False))
    return [Logged(BEGIN_NS + 100_000_000 * n, text, sent) for n, (text, sent) in enumerate(messages)]


def books_of(path: Path, venue: str) -> list[OrderBook]:
    return list(books(path, lambda: VENUES[venue].make_feed(IMITATIONS[venue].symbol)))


def envelope(path: Path, frames: list[Logged], has_clock: bool = True) -> Path:
    """Write the frames as our own recording, in which a REST snapshot is known as one."""
    lines = []
    for frame in frames:
        kind = "http" if frame.message.startswith('{"lastUpdateId"') else "recv"
        kind = "send" if frame.sent else kind
        lines.append(encode(RecordedFrame(kind, frame.market_ns if has_clock else None, frame.message)))
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def same(ours: list[OrderBook], theirs: list[OrderBook]) -> bool:
    """Return whether the books are the same, bit for bit, and on the same clock."""
    return [(book.market_ns, book.exchange_ns, book.bids.tolist(), book.asks.tolist()) for book in ours] == [
        (book.market_ns, book.exchange_ns, book.bids.tolist(), book.asks.tolist()) for book in theirs
    ]


def tardis_time(market_ns: int) -> str:
    seconds, ns = divmod(market_ns, 10**9)
    return f"2026-03-01T{10 + (seconds - 1_772_359_200) // 3600:02}:00:{seconds - 1_772_359_200:02}.{ns // 100:07}Z"


CLOCKS: dict[str, tuple[int, Callable[[int], str]]] = {
    "seconds": (10**9, lambda ns: f"{ns // 10**9} "),
    "seconds with a fraction": (1, lambda ns: f"{ns // 10**9}.{ns % 10**9:09} "),
    "milliseconds": (10**6, lambda ns: f"{ns // 10**6}\t"),
    "microseconds": (10**3, lambda ns: f"{ns // 10**3},"),
    "nanoseconds": (1, lambda ns: f"{ns} "),
    "brackets": (1, lambda ns: f"[{ns}] "),
    "ISO 8601": (100, lambda ns: f"{tardis_time(ns)} "),
}


@pytest.mark.parametrize("venue", KNOWN)
@pytest.mark.parametrize("clock", CLOCKS)
def test_log_with_clock_gives_books_of_our_envelope(tmp_path: Path, venue: str, clock: str) -> None:
    """The market is told by the messages, the unit of the clock by its size, and the sentence says both."""
    step_ns, write = CLOCKS[clock]
    frames = [Logged(frame.market_ns // step_ns * step_ns, frame.message) for frame in log_of(venue) if not frame.sent]
    path = tmp_path / "log.txt"
    path.write_text("".join(f"{write(frame.market_ns)}{frame.message}\n" for frame in frames))
    wanted = books_of(envelope(tmp_path / "own.jsonl", frames), venue)
    assert len(wanted) >= 10
    assert same(books_of(path, venue), wanted)
    about = meta(path)
    is_told_apart = not any(venue in venues for venues in ONE_FORM)
    assert (about.get("venue"), about["symbol"]) == (venue if is_told_apart else None, IMITATIONS[venue].symbol)
    unit = {"seconds with a fraction": "seconds", "brackets": "nanoseconds"}.get(clock, clock)
    assert unit in str(about["opened_as"])


REAL = [
    ("binance-spot_BTCUSDT_20240808.jsonl.gz", "binance", "BTCUSDT", True),
    ("binance-usdm_BTCUSDT_20240719.jsonl.gz", "binance-usdm", "BTCUSDT", True),
    ("okx_3-instruments_20220513_crc.jsonl.gz", "okx", "UNI-USD-SWAP", True),
    ("okx_BTC-USDT_20260711_seqid.jsonl.gz", "okx", "BTC-USDT", False),
    ("coinbase_BTC-USD_ETH-USD_20260809.jsonl.gz", "coinbase", "ETH-USD", True),
    ("kraken_MINA-GBP_depth25_20260816.jsonl.gz", "kraken", "MINA/GBP", False),
    ("gomarket-okx_BTC-USDT-SWAP_20250515.jsonl.gz", "gomarket-okx", "BTC-USDT-SWAP", True),
]
"""Recordings, a market of each, and whether each of its frames has a time since 1970."""


@pytest.mark.parametrize(("name", "venue", "symbol", "has_clock"), REAL)
def test_log_of_real_frames_gives_books_of_the_recording(
    recordings: Path, tmp_path: Path, name: str, venue: str, symbol: str, has_clock: bool
) -> None:
    """What the venues really sent, as a collector would have written it: the same books, bit for bit.

    Two thousand messages of each tell as much as all of them.
    """
    frames = list(islice((frame for frame in read(recordings / name) if frame.kind in ("recv", "http")), 2000))
    log = tmp_path / "log"
    log.write_text(
        "".join(f"{frame.market_ns} {frame.message}\n" if has_clock else f"{frame.message}\n" for frame in frames)
    )
    own = tmp_path / "own.jsonl"
    own.write_bytes(
        b"".join(encode(frame if has_clock else frame._replace(market_ns=None)) + b"\n" for frame in frames)
    )
    found, wanted = (list(books(path, lambda: VENUES[venue].make_feed(symbol))) for path in (log, own))
    assert wanted
    assert same(found, wanted)
    about = meta(log, Opening(symbol=symbol))
    assert (about["venue"], about["symbol"]) == (venue, symbol)


@pytest.mark.parametrize("venue", KNOWN)
def test_bare_log_runs_on_the_venues_clock(tmp_path: Path, venue: str) -> None:
    """Without a clock the venue's own times count, and the sentence says so."""
    frames = [frame for frame in log_of(venue) if not frame.sent]
    path = tmp_path / "log"
    path.write_text("".join(f"{frame.message}\r\n" for frame in frames))
    wanted = books_of(envelope(tmp_path / "own.jsonl", frames, has_clock=False), venue)
    assert len(wanted) >= 10
    assert same(books_of(path, venue), wanted)
    assert all(book.market_ns == book.exchange_ns for book in wanted)
    assert "no clock, so the venue's counts" in str(meta(path)["opened_as"])


@pytest.mark.parametrize("venue", KNOWN)
def test_log_of_wscat_gives_received_and_sent_frames(tmp_path: Path, venue: str) -> None:
    """Lines with "<" were received, those with ">" sent; what the program says itself is left out."""
    frames = log_of(venue)
    path = tmp_path / "session.log"
    lines = [f"{'>' if frame.sent else '<'} {frame.message}" for frame in frames]
    path.write_text("\n".join(["Connected (press CTRL+C to quit)", *lines, "Disconnected (code: 1006)", ""]))
    assert same(books_of(path, venue), books_of(envelope(tmp_path / "own.jsonl", frames, has_clock=False), venue))
    kinds = [frame.kind for frame in read(path)]
    assert kinds.count("send") == sum(frame.sent for frame in frames)
    assert len(kinds) == len(frames) + 1


@pytest.mark.parametrize("venue", KNOWN)
def test_lines_of_tardis_server_give_books_of_our_envelope(tmp_path: Path, venue: str) -> None:
    """Its replay sends the time and the message as members of one object."""
    frames = [frame for frame in log_of(venue) if not frame.sent]
    frames = [Logged(frame.market_ns // 100 * 100, frame.message) for frame in frames]
    path = tmp_path / "replay"
    path.write_text(
        "".join(
            f'{{"localTimestamp":"{tardis_time(frame.market_ns)}","message":{frame.message}}}\n' for frame in frames
        )
    )
    assert same(books_of(path, venue), books_of(envelope(tmp_path / "own.jsonl", frames), venue))


@pytest.mark.parametrize("venue", [venue for venues in ONE_FORM for venue in venues])
def test_log_whose_venue_the_messages_leave_open_is_opened_as_the_user_says(tmp_path: Path, venue: str) -> None:
    """The topics of two sockets have the same names, so the user chooses; a venue of other messages is refused."""
    path = tmp_path / "log"
    path.write_text("".join(frame.message + "\n" for frame in log_of(venue) if not frame.sent))
    assert meta(path, Opening(venue))["venue"] == venue
    with pytest.raises(RecordingError, match="the messages are of bybit-linear BTCUSDT, bybit-spot BTCUSDT, not of"):
        meta(path, Opening("bybit-inverse"))


def test_snapshot_that_tardis_adds_names_its_symbol(tmp_path: Path) -> None:
    """Raw lines of two Binance symbols: each snapshot goes to its own."""
    lines = []
    for symbol in ("BTCUSDT", "ETHUSDT"):
        market = Market(symbol)
        session = IMITATIONS["binance"].session(market)
        stream = f'{{"stream":"{symbol.lower()}@depthSnapshot","generated":true,"data":{binance_body(market)}}}'
        market.apply([("99.0", "1")], [])
        change = session.change([("99.0", "1")], [])
        lines += [stream, f'{{"stream":"{symbol.lower()}@depth@100ms","data":{change}}}']
    path = tmp_path / "raw"
    path.write_text("".join(f"2026-03-01T10:00:0{n}.0000000Z {line}\n" for n, line in enumerate(lines)))
    for symbol in ("BTCUSDT", "ETHUSDT"):
        before, after = books(path, lambda symbol=symbol: VENUES["binance"].make_feed(symbol))  # type: ignore[misc]
        assert before.symbol == after.symbol == symbol
    assert "symbol" not in meta(path)
    assert meta(path, Opening(symbol="ETHUSDT"))["symbol"] == "ETHUSDT"


def test_snapshot_without_symbol_in_log_of_two_is_refused(tmp_path: Path) -> None:
    """Which book it belongs to would be a guess."""
    market = Market("BTCUSDT")
    changes = []
    for symbol in ("BTCUSDT", "ETHUSDT"):
        market = Market(symbol)
        market.apply([("99.0", "1")], [])
        changes.append(IMITATIONS["binance"].session(market).change([("99.0", "1")], []))
    path = tmp_path / "raw"
    path.write_text("\n".join([*changes, binance_body(market), ""]))
    with pytest.raises(RecordingError, match=r"^line 3: a REST snapshot .* of BTCUSDT and ETHUSDT"):
        list(read(path))


@pytest.mark.parametrize(
    ("opening", "why"),
    [
        (Opening("okx", "BTC-USDT"), "the messages are of kraken BTC/USD, not of okx BTC-USDT"),
        (Opening("kraken", "ETH/USD"), "the messages are of kraken BTC/USD, not of kraken ETH/USD"),
        (Opening(None, "ETH/USD"), "the messages are of kraken BTC/USD, not of ETH/USD"),
    ],
)
def test_log_that_contradicts_the_user_is_refused(tmp_path: Path, opening: Opening, why: str) -> None:
    """Both markets are in the sentence."""
    path = tmp_path / "log"
    path.write_text("".join(frame.message + "\n" for frame in log_of("kraken") if not frame.sent))
    with pytest.raises(RecordingError, match=why):
        meta(path, opening)
    assert meta(path, Opening("kraken", "BTC/USD"))["symbol"] == "BTC/USD"


def test_name_that_messages_have_instead_of_the_symbol_is_no_contradiction(tmp_path: Path) -> None:
    """Coinbase sends the USDC book under the name of the USD book."""
    path = tmp_path / "log"
    path.write_text("".join(frame.message + "\n" for frame in log_of("coinbase") if not frame.sent))
    assert meta(path, Opening("coinbase", "BTC-USDC"))["symbol"] == "BTC-USDC"


FOREIGN = {
    "bitget": '{"action":"snapshot","arg":{"instType":"SPOT","channel":"books","instId":"BTC-USDT"},"data":[]}',
    "mexc": '{"symbol":"RIF_USDT","data":{"asks":[],"bids":[],"version":5220571685},"channel":"push.depth.full"}',
    "kraken v1": '[0,{"as":[["5541.3","2.507","1534614248.123678"]]},"book-100","XBT/USD"]',
    "nothing known": '{"price":1}',
}


@pytest.mark.parametrize("message", FOREIGN.values(), ids=FOREIGN.keys())
def test_log_of_unknown_venue_is_refused_with_what_is_accepted(tmp_path: Path, message: str) -> None:
    """The sentence says what the file is, and how it could be opened."""
    path = tmp_path / "log"
    for line in (message, f"1772359200123456789 {message}", f"< {message}"):
        path.write_text(f"{line}\n" * 3)
        with pytest.raises(RecordingError, match=r"^line 1: JSON, one value a line, .*, say --venue and --symbol"):
            list(read(path))
        assert meta(path, Opening("kraken", "BTC/USD"))["venue"] == "kraken"


ACK = '{"method":"subscribe","result":{"channel":"book","depth":10,"symbol":"MINA/GBP"},"success":true}'


@pytest.mark.parametrize(
    ("clock", "why"),
    [
        ("12.5 ", "the clock 12.5 is no time from 2009 to 2262"),
        ("20260301100000 ", "the clock 20260301100000 is no time"),
        ("2026-03-01 10:00:00.5 ", "not a time with its zone"),
        ("9999999999999999999999 ", "is no time"),
    ],
)
def test_clock_that_is_no_time_is_refused_by_its_value(tmp_path: Path, clock: str, why: str) -> None:
    """A monotonic counter, a local time: nothing is guessed."""
    path = tmp_path / "log"
    path.write_text(f"{clock}{ACK}\n" * 2)
    with pytest.raises(RecordingError, match=f"^line 1: .*{why}"):
        list(read(path))


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (ACK, "no clock before this message, unlike the first one"),
        ("1772359200123 " + ACK, "the clock 1772359200123 is milliseconds since 1970, and the first one nanoseconds"),
        ("1772359200123456790 connection lost", "no message of a log"),
        ("INFO connected", "no message of a log"),
    ],
)
def test_line_unlike_the_first_is_named_by_its_number(tmp_path: Path, second: str, why: str) -> None:
    """A file whose clock changes its unit has no clock."""
    path = tmp_path / "log"
    path.write_text(f"1772359200123456789 {ACK}\n{second}\n")
    frames = read(path)
    assert [next(frames).kind, next(frames).kind] == ["meta", "recv"]
    with pytest.raises(RecordingError, match=f"^line 2: .*{why}"):
        next(frames)


@pytest.mark.parametrize("clock", ["", "1772359200123456789 "])
def test_log_cut_inside_a_message_gives_those_before(tmp_path: Path, clock: str) -> None:
    """The cut message is named as torn, and no feed gets half of it."""
    path = tmp_path / "log"
    content = f"{clock}{ACK}\n" * 3
    for cut in range(1, len(ACK)):
        path.write_text(content[: -cut - 1])
        assert [frame.kind for frame in read(path)] == ["meta", "recv", "recv", "torn"]
    path.write_text(content[:-1])
    assert [frame.kind for frame in read(path)] == ["meta", "recv", "recv", "recv"]


def test_words_between_messages_are_frames(tmp_path: Path) -> None:
    """Some venues answer a ping with a bare word; blank lines are none."""
    path = tmp_path / "log"
    path.write_text(f"{ACK}\n\npong\n{ACK}\n")
    assert [frame.message for frame in read(path) if frame.kind == "recv"] == [ACK, "pong", ACK]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutated_log_gives_named_errors_only(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Bytes cut, changed and put in anywhere: frames, or a sentence with the line's number."""
    venue = data.draw(st.sampled_from(KNOWN))
    content = bytearray(b"".join(f"{f.market_ns} {f.message}\n".encode() for f in log_of(venue, 3) if not f.sent))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=20))
    path = tmp_path_factory.mktemp("mutated") / "log"
    path.write_bytes(content)
    refusal = "line"
    try:
        frames = list(read(path))
        books_of(path, venue)
    except RecordingError as error:
        frames = []
        refusal = str(error)
    assert refusal.startswith("line")
    assert len(frames) <= content.count(b"\n") + 2


def test_split_line_accepts_clock_and_sign_in_any_order() -> None:
    """Both stand before the message; a list is a message, no clock in brackets."""
    wanted = ("1772359200", "<", b"{}")
    assert all(split_line(line) == wanted for line in (b"1772359200 < {}", b"< 1772359200 {}", b" [1772359200] < {} "))
    assert split_line(b"[1772359200, 1]") == ("", "", b"[1772359200, 1]")
    json.loads(ACK)
    assert all(a < b for a, b in pairwise([frame.market_ns for frame in log_of("okx")]))
