"""Recordings played through a venue's feed, and over a real loopback socket."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from feeds import VENUES, FeedError
from orderbook import BookError, OrderBook
from replay import RecordedFrame, Recorder, RecordingError, ReplayFeed, books, decode, read, serve, simulated
from tests.support.loopback import eventually
from tests.support.synthetic_recordings import (
    BEGIN_NS,
    STEP_NS,
    count_replay_threads,
    is_same_book,
    okx_feed,
    okx_frames,
    open_connection,
    receive_until_end,
    write_recording,
)
from websocket_client import WebSocketClient


def test_plain_client_gets_every_recorded_frame_with_its_clock(recordings: Path) -> None:
    """158 recorded frames come over the socket in order as 158 books, none refused, each with the recorder's clock."""
    file = recordings / "gomarket-okx_BTC-USDT-SWAP_20250515.jsonl.gz"
    feed = ReplayFeed(VENUES["gomarket-okx"].make_feed("BTC-USDT-SWAP"))
    with gzip.open(file, "rt") as text:
        recorded = [json.loads(line) for line in text]
    with serve(file, speed=0) as url, open_connection(url) as connection:
        lines = list(receive_until_end(connection))
    assert [json.loads(line) for line in lines] == recorded
    for line, was in zip(lines, recorded, strict=True):
        book = feed.parse(line, 5, 6)
        assert book is not None
        assert (book.market_ns, book.received_ns) == (was["ts_ns"], 5)
        frame = json.loads(was["data"])
        assert book.asks[:, 0].tolist() == [float(price) for price, _ in frame["asks"]]
        assert book.bids[:, 1] == pytest.approx([float(size) * 0.01 for _, size in frame["bids"]], rel=1e-12)


@pytest.mark.parametrize(
    ("name", "venue", "symbol", "count"),
    [
        ("okx_3-instruments_20220513_crc", "okx", "BTC-USDT", 98),
        ("binance-usdm_4-pairs_20210722", "binance-usdm", "CTKUSDT", None),
        ("binance-usdm_4-pairs_20210722", "binance-usdm", "SUSHIUSDT", None),
        ("coinbase_BTC-USD_ETH-USD_20260809", "coinbase", "BTC-USD", None),
        ("kraken_MINA-GBP_depth25_20260816", "kraken", "MINA/GBP", 30),
    ],
)
def test_served_recording_gives_same_books_as_reading_the_file(
    recordings: Path, name: str, venue: str, symbol: str, count: int | None
) -> None:
    """The ordinary client on a served recording of changes gets, book for book, what books() reads from the file."""
    file = recordings / f"{name}.jsonl.gz"
    expected = list(books(file, lambda: VENUES[venue].make_feed(symbol)))
    assert len(expected) == count if count else len(expected) > 20
    shown: list[OrderBook] = []
    with serve(file, speed=0) as url:
        client = WebSocketClient(url, lambda: ReplayFeed(VENUES[venue].make_feed(symbol)), shown.append, conflate=False)
        client.start()
        try:
            eventually(lambda: len(shown) == len(expected), 20)
            status = client.status
        finally:
            client.stop()
    assert all(map(is_same_book, shown, expected))
    assert (status.refused, status.reconnects, status.callback_errors) == (0, 0, 0)


def test_books_of_binance_recording_match_independent_rebuild(recordings: Path) -> None:
    """The REST body and changes of the Binance recording give the 3,449 books of its independent rebuild."""
    file = recordings / "binance-spot_BTCUSDT_20240808.jsonl.gz"
    assert sum(1 for _ in books(file, lambda: VENUES["binance"].make_feed("BTCUSDT"))) == 3449


def test_replay_feed_wraps_every_venue_and_asks_for_nothing() -> None:
    """A feed of each venue can be wrapped, and a replay asks the network for nothing."""
    for venue in VENUES.values():
        feed = ReplayFeed(venue.make_feed(venue.symbols[0]))
        assert (feed.subscribe(), feed.snapshot_url, feed.keepalive, feed.closing) == ([], None, None, False)
        with pytest.raises(FeedError):
            feed.apply_snapshot("{}", 0)


def test_replay_feed_waits_for_next_snapshot_after_gap(tmp_path: Path, recordings: Path) -> None:
    """After a real gap one line is refused as a gap, and a later snapshot in the file begins a sound book again."""
    real = list(read(recordings / "okx_BTC-USDT_20260711_seqid.jsonl.gz"))
    feed = ReplayFeed(okx_feed())
    outcomes = []
    for frame in [*real, *real]:
        try:
            outcomes.append(feed.apply(frame, 0) is not None)
        except BookError as error:
            outcomes.append(str(error))
    assert outcomes[:3] == [False, True, True]
    assert "gap" in str(outcomes[3])
    assert outcomes[4:] == outcomes[:4]
    assert len(list(books(write_recording(tmp_path / "r", real * 2), okx_feed))) == 4


def test_replay_feed_begins_new_feed_at_connect_line(tmp_path: Path) -> None:
    """Changes of the next connection do not follow on those before it, and need not: they begin a book of their own."""

    def connection(update: int) -> list[RecordedFrame]:
        change = {"e": "depthUpdate", "E": 5, "s": "BTCUSDT", "U": update + 1, "u": update + 1, "b": [], "a": []}
        snapshot = {"lastUpdateId": update, "bids": [["10", str(update)]], "asks": [["11", "1"]]}
        return [
            RecordedFrame("connect", update, "", "wss://x"),
            RecordedFrame("recv", update, json.dumps(change)),
            RecordedFrame("http", update, json.dumps(snapshot), "https://x/depth?symbol=BTCUSDT"),
        ]

    path = write_recording(tmp_path / "r", [*connection(7), *connection(500)])
    found = list(books(path, lambda: VENUES["binance"].make_feed("BTCUSDT")))
    assert [book.bids.tolist() for book in found] == [[[10, 7]], [[10, 500]]]


def test_replay_feed_takes_previous_time_for_line_without_time() -> None:
    """A line without a time has that of the line before; without any time, the venue's own clock counts."""
    first, second, third = okx_frames(3)
    feed = ReplayFeed(okx_feed())
    found = [feed.apply(frame, 0) for frame in (first._replace(market_ns=None), second, third._replace(market_ns=None))]
    assert [book and book.market_ns for book in found] == [BEGIN_NS, second.market_ns, second.market_ns]


def test_replay_feed_gives_rest_body_to_its_symbol_only() -> None:
    """A REST body is a book of the feed of its symbol only, which the next change continues."""

    def depth(asks: str, last: int) -> str:
        return json.dumps({"lastUpdateId": last, "bids": [["10", str(last)]], "asks": [[asks, "1"]]})

    change = {"e": "depthUpdate", "E": 5, "s": "BTCUSDT", "U": 8, "u": 9, "b": [["9", "1"]], "a": []}
    feed = ReplayFeed(VENUES["binance"].make_feed("BTCUSDT"))
    for symbol, asks, last in (("ETHUSDT", "12", 7), ("BTCUSDT", "11", 8), ("ETHUSDT", "12", 8)):
        url = f"https://mirror.example/api/v3/depth?limit=10&symbol={symbol}"
        body_book = feed.apply(RecordedFrame("http", 1, depth(asks, last), url), 0)
        assert (body_book is None) == (symbol == "ETHUSDT")
    assert feed.apply(RecordedFrame("http", 1, depth("12", 8), "http://[no address"), 0) is None
    book = feed.apply(RecordedFrame("recv", 2, json.dumps(change)), 0)
    assert book is not None
    assert (book.bids.tolist(), book.asks.tolist()) == ([[10, 8], [9, 1]], [[11, 1]])


@pytest.mark.parametrize("line", ["", "{}", "[[", '{"t":"recv","ts_ns":1e308}', "\n", b"\xff\n", b"\xff", "x\ny\n"])
def test_replay_feed_refuses_malformed_line_as_book(line: str | bytes) -> None:
    """What is not in the envelope is refused as a book, and never raises anything else."""
    feed = ReplayFeed(okx_feed())
    try:
        assert feed.parse(line, 0) is None
        assert line[-1:] in ("\n", b"\n")
    except BookError as error:
        assert "recording" in str(error)  # noqa: PT017 - either is right


@pytest.mark.parametrize("speed", [2, 5])
def test_serve_plays_at_recorded_pace_times_speed(speed: float) -> None:
    """Lines come at the recorder's pace, times the speed; at once where its clock went back, or noted no time."""
    frames = [RecordedFrame("recv", BEGIN_NS + at * 1_000_000, str(at)) for at in (0, 100, 150, 150, 600, 300, 700)]
    due = [at / 1000 / speed for at in (0, 100, 150, 150, 600, 600, 1000)]
    with serve([*frames, RecordedFrame("recv", None, "")], speed) as url, open_connection(url) as connection:
        began = time.monotonic()
        took = [time.monotonic() - began for _ in receive_until_end(connection)]
    assert took[:7] == pytest.approx(due, abs=0.09)
    assert took[7] - took[6] < 0.05


def test_serve_cuts_long_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gap of years in the recorder's clock does not hold the replay for years."""
    monkeypatch.setattr("recording.playback.LONGEST_WAIT_S", 0.2)
    frames = [RecordedFrame("recv", at, "") for at in (0, 2**62, 2**63 - 1)]
    with serve(frames) as url, open_connection(url) as connection:
        began = time.monotonic()
        assert len(list(receive_until_end(connection))) == 3
        assert 0.35 < time.monotonic() - began < 1.5


def test_serve_at_speed_0_waits_for_slow_reader() -> None:
    """At speed 0 an endless market waits for a slow reader: what is made is bounded, and nothing is skipped."""
    made: list[int] = []

    def endless() -> Iterator[RecordedFrame]:
        for number in itertools.count():
            made.append(number)
            yield RecordedFrame("recv", number, f"{number} " + "x" * 10_000)

    def stands_still() -> bool:
        before = len(made)
        time.sleep(0.3)
        return len(made) == before

    with serve(endless(), speed=0) as url, open_connection(url) as connection:
        for expected in range(100):
            assert decode(connection.recv(timeout=5)).message.startswith(f"{expected} ")
        eventually(stands_still)
        assert len(made) < 5_000


def test_serve_gives_every_connection_the_whole_recording(tmp_path: Path) -> None:
    """Two listeners of one served file, and one that comes after the end, each get every line."""
    path = write_recording(tmp_path / "r", okx_frames(50))
    with serve(path, speed=0) as url:
        with open_connection(url) as one, open_connection(url) as two:
            assert len(list(receive_until_end(one))) == len(list(receive_until_end(two))) == 50
        with open_connection(url) as three:
            assert len(list(receive_until_end(three))) == 50


def test_serve_continues_endless_market_for_newest_connection() -> None:
    """A market served from an iterator has one listener: a new connection takes over where it is."""
    with serve(simulated("BTC-USDT-SWAP", seed=1, per_second=200)) as url, open_connection(url) as one:
        first = decode(one.recv(timeout=5))
        with open_connection(url) as two:
            later = decode(two.recv(timeout=5))
            assert later.market_ns is not None
            assert first.market_ns is not None
            assert later.market_ns > first.market_ns
            assert len(list(one)) < 1000  # and then it was closed
            assert decode(two.recv(timeout=5)).market_ns == later.market_ns + 5_000_000


def test_simulated_market_begins_at_wall_clock() -> None:
    """The simulated market begins at the wall clock, and its books come through the ordinary client."""
    shown: list[OrderBook] = []
    with serve(simulated("BTC-USDT-SWAP")) as url:
        client = WebSocketClient(url, lambda: ReplayFeed(VENUES["simulated"].make_feed("BTC-USDT-SWAP")), shown.append)
        client.start()
        try:
            eventually(lambda: len(shown) >= 5)
        finally:
            client.stop()
    assert abs(shown[0].market_ns - time.time_ns()) < 5e9
    assert shown[1].market_ns - shown[0].market_ns == STEP_NS


def test_serve_reports_broken_recording_at_its_end(tmp_path: Path) -> None:
    """What can be played is played; then the listener's feed is told the line and the reason, once."""
    path = write_recording(tmp_path / "r", okx_frames(2))
    path.write_bytes(path.read_bytes() + b"garbage\n")
    feed = ReplayFeed(okx_feed())
    with serve(path, speed=0) as url, open_connection(url) as connection:
        assert feed.parse(connection.recv(timeout=5), 0)
        assert feed.parse(connection.recv(timeout=5), 0)
        with pytest.raises(BookError, match="line 3"):
            feed.parse(connection.recv(timeout=5), 0)
        assert feed.ended
        assert feed.parse(connection.recv(timeout=5), 0) is None


def test_serve_refuses_missing_file_bad_speed_and_bad_port(tmp_path: Path) -> None:
    """A missing file, one that is no recording, a speed or port that is none: named errors, and no thread left."""
    (tmp_path / "page.html").write_text("<html>")
    with pytest.raises(FileNotFoundError):
        serve(tmp_path / "none")
    with pytest.raises(RecordingError, match="line 1"):
        serve(tmp_path / "page.html")
    for speed in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="speed"):
            serve(okx_frames(1), speed)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for port in (taken.getsockname()[1], 99_999):
            with pytest.raises((OSError, OverflowError)):
                serve(okx_frames(1), port=port).start()
    eventually(lambda: count_replay_threads() == 0)


def test_server_refuses_web_page(tmp_path: Path) -> None:
    """A browser, which says where its page is from, cannot listen."""
    with serve(write_recording(tmp_path / "r", okx_frames(1))) as url, pytest.raises(InvalidStatus, match="403"):
        connect(url, proxy=None, origin="https://evil.example")  # type: ignore[arg-type]


def test_server_ends_within_a_second_though_listener_reads_nothing() -> None:
    """Leaving takes under a second though a listener reads nothing; close() in an event loop only signals."""
    endless = (RecordedFrame("recv", None, "x" * 100_000) for _ in itertools.count())
    server = serve(endless, speed=0)
    with server as url, open_connection(url) as connection:
        connection.recv(timeout=5)
        began = time.monotonic()
        server.__exit__(None, None, None)
        assert time.monotonic() - began < 1
        assert count_replay_threads() == 0

    async def signalled() -> float:
        server = serve(okx_frames(3))
        with connect(server.start(), proxy=None):
            began = time.monotonic()
            server.close()
            server.close()
            return time.monotonic() - began

    assert asyncio.run(signalled()) < 0.1
    eventually(lambda: count_replay_threads() == 0)


def test_twenty_servers_leave_no_thread_and_no_file(tmp_path: Path) -> None:
    """Twenty times opened, listened to and left: no thread and no open file more than before."""
    path = write_recording(tmp_path / "r", okx_frames(20))
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(20):
        with serve(path) as url, open_connection(url) as connection:
            connection.recv(timeout=5)
    assert count_replay_threads() == 0
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before


def test_recording_of_served_recording_equals_it(tmp_path: Path, recordings: Path) -> None:
    """The ordinary client on a served recording, recorded, gives the same frames: texts, times, addresses, order."""
    for name in ("gomarket-okx_BTC-USDT-SWAP_20250515", "binance-usdm_4-pairs_20210722", "okx_BTC-USDT_20260711_seqid"):
        file = recordings / f"{name}.jsonl.gz"
        original = list(read(file))
        recorder = Recorder("binance-usdm", "CTKUSDT")
        recorder.start(tmp_path / name)
        feeds: list[ReplayFeed] = []

        def make_feed(feeds: list[ReplayFeed] = feeds) -> ReplayFeed:
            feeds.append(ReplayFeed(VENUES["binance-usdm"].make_feed("CTKUSDT")))
            return feeds[-1]

        with serve(file, speed=0) as url:
            client = WebSocketClient(url, make_feed, lambda _book: None, on_frame=recorder.on_served_frame)
            client.start()
            try:
                eventually(lambda feeds=feeds: bool(feeds) and feeds[-1].ended, 20)
            finally:
                client.stop()
                recorder.close()
        assert client.status.callback_errors == 0
        about, *again = read(tmp_path / name)
        assert about.kind == "meta"
        assert again == original
