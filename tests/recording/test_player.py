"""A recording as a viewer plays it, through the ordinary client; and what is recorded meanwhile."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from calculations import Order
from feeds import VENUES
from orderbook import OrderBook, Side
from recording.format import RecordedFrame
from recording.player import Player
from recording.reader import read
from recording.recorder import Recorder, new_path
from replay import ReplayFeed, books, encode
from sessions.market import Market
from sessions.session import Session
from tests.recording.test_tardis_csv import row, table
from tests.support.loopback import eventually
from tests.support.loopback_exchange import LoopbackExchange
from tests.support.paths import PROJECT
from tests.support.synthetic_recordings import BEGIN_NS, STEP_NS, okx_frames, okx_message, write_recording
from websocket_client import FeedHub

COUNT = 300
SYMBOL = "BTC-USDT"
TRADE = '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[]}'


def market_ns_at(index: int) -> int:
    """Return market_ns of the frame whose best bid holds this size."""
    return BEGIN_NS + index * STEP_NS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Save a connection, then 300 books 100 ms apart, each followed by two trades that bring none."""
    frames = [
        RecordedFrame("connect", market_ns_at(0), "", "wss://v.example"),
        RecordedFrame("send", market_ns_at(0), "subscribe"),
    ]
    for frame in okx_frames(COUNT):
        frames += [frame, frame._replace(message=TRADE), frame._replace(message=TRADE)]
    return write_recording(tmp_path / "made.jsonl", frames)


class WatchedSession(Session):
    """A session that keeps all it has shown."""

    def __init__(self) -> None:
        super().__init__(FeedHub(), Order(Side.BUY, 0.5))
        self.seen: list[OrderBook] = []
        self.slow_s = 0.0

    def _book_callback(self, market: Market, calculator):  # type: ignore[no-untyped-def]
        price = super()._book_callback(market, calculator)

        def see(book: OrderBook) -> None:
            price(book)
            self.seen.append(book)
            time.sleep(self.slow_s)

        return see

    @property
    def times(self) -> list[int]:
        return [book.market_ns for book in self.seen]

    @property
    def controls(self) -> Player:
        assert self.player is not None
        return self.player


@pytest.fixture
def session() -> Iterator[WatchedSession]:
    viewer = WatchedSession()
    yield viewer
    viewer.disconnect()
    eventually(lambda: n_own_threads() == 0)


def n_own_threads() -> int:
    """Count the threads of feeds, replays, scanners and recorders."""
    return sum(thread.name.startswith(("feed", "replay", "recorder")) for thread in threading.enumerate())


def read_frames(path: Path) -> list[RecordedFrame]:
    return [frame for frame in read(path) if frame.kind != "meta"]


def test_player_plays_at_once_and_stays_live_while_paused(
    session: WatchedSession, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Books come without a click; while paused none comes, the connection stays live and is never made anew."""
    monkeypatch.setattr("recording.playback.IDLE_EVERY_S", 0.2)
    session.connect(Market("okx", SYMBOL, recording=path))
    eventually(lambda: len(session.seen) >= 2)
    session.controls.pause()
    eventually(lambda: not session.controls.playing)
    time.sleep(0.1)  # what was on its way
    seen = len(session.seen)
    ends = time.monotonic() + 0.7
    while time.monotonic() < ends:
        assert session.status is not None
        assert (session.status.state, session.status.reconnects) == ("live", 0)
        time.sleep(0.02)
    assert len(session.seen) == seen
    session.controls.play()
    eventually(lambda: len(session.seen) > seen)


def test_client_waits_without_limit_when_paused_before_first_book(session: WatchedSession, path: Path) -> None:
    """Paused before anything was shown, the client goes on waiting where a venue would be given up."""
    session.connect(Market("okx", SYMBOL, recording=path))
    viewer = session._subscription
    assert viewer is not None
    timings = viewer._shared.client._timings
    assert timings.first_book_s == float("inf")
    assert timings.stale_s > 2  # two signs of life fit in


def test_step_shows_exactly_the_next_book(session: WatchedSession, path: Path) -> None:
    """Every step shows exactly the next book, past the frames that bring none; the last one ends the recording."""
    session.connect(Market("okx", SYMBOL, recording=path))
    eventually(lambda: session.seen)
    session.controls.pause()
    session.controls.seek(market_ns_at(COUNT - 3))
    eventually(lambda: session.times[-1] == market_ns_at(COUNT - 3))
    for index in (COUNT - 2, COUNT - 1, COUNT):
        session.controls.step()
        eventually(lambda index=index: session.times[-1] == market_ns_at(index))  # type: ignore[misc]
    assert session.times[-4:] == [market_ns_at(index) for index in range(COUNT - 3, COUNT + 1)]
    assert not session.ended
    session.controls.step()
    eventually(lambda: session.ended)


def test_seek_while_paused_goes_on_to_next_book(session: WatchedSession, tmp_path: Path) -> None:
    """Paused, a jump into a run of trades shows the first book after them."""
    frames = okx_frames(5)
    trades = [RecordedFrame("recv", market_ns_at(5) + 1 + index, TRADE) for index in range(50)]
    path = write_recording(
        tmp_path / "r", [*frames, *trades, RecordedFrame("recv", market_ns_at(7), okx_message(6, 5))]
    )
    session.connect(Market("okx", SYMBOL, recording=path))
    eventually(lambda: session.seen)
    session.controls.pause()
    session.controls.seek(market_ns_at(5) + 10)
    eventually(lambda: session.times[-1] == market_ns_at(7))


def test_player_shows_every_book_once_when_speed_changes(session: WatchedSession, tmp_path: Path) -> None:
    """First as recorded, then faster than the page can follow: every book is shown once, in its order, to the end."""
    session.connect(Market("okx", SYMBOL, recording=write_recording(tmp_path / "r", okx_frames(60))))
    eventually(lambda: session.seen)
    session.slow_s = 0.03
    session.controls.speed = 0
    eventually(lambda: session.ended, 30)
    assert session.times == [market_ns_at(index) for index in range(1, 61)]
    assert session.status is not None
    assert session.status.conflated == 0


def test_pause_takes_effect_at_once_at_any_speed(session: WatchedSession, path: Path) -> None:
    """Played as fast as it goes, no more than a few books come after the pause, and the player is where they are."""
    session.connect(Market("okx", SYMBOL, recording=path))
    session.controls.speed = 0
    eventually(lambda: len(session.seen) > 5)
    session.controls.pause()
    seen = len(session.seen)
    eventually(lambda: session.times[-1] == session.controls.position)
    assert len(session.seen) - seen <= 17


def test_play_after_the_end_begins_again(session: WatchedSession, path: Path) -> None:
    """Play after the end shows the same books once more, and learning starts anew."""
    session.connect(Market("okx", SYMBOL, recording=path))
    session.controls.speed = 0
    eventually(lambda: session.ended, 30)
    assert not session.controls.rewound
    session.controls.play()
    eventually(lambda: len(session.seen) == 2 * COUNT, 30)
    assert session.controls.rewound
    assert session.times[COUNT:] == session.times[:COUNT]


def test_play_after_the_end_begins_again_without_times(session: WatchedSession, tmp_path: Path) -> None:
    """Where no line has a time, there is nowhere to jump to, but a beginning."""
    path = write_recording(tmp_path / "r", [frame._replace(market_ns=None) for frame in okx_frames(3)])
    session.connect(Market("okx", SYMBOL, recording=path))
    eventually(lambda: session.ended)
    session.controls.play()
    eventually(lambda: len(session.seen) == 6)


def test_player_shows_every_book_once_when_page_comes_and_goes(
    session: WatchedSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Released again and again, with books on their way and half handled: in the end each was shown once, in its order.

    Books of the same time, too.
    """
    acknowledge_read = Player.acknowledge_read

    def read_slowly(player: Player, gave_book: bool | None) -> None:
        acknowledge_read(player, gave_book)
        time.sleep(0.002)

    monkeypatch.setattr(Player, "acknowledge_read", read_slowly)
    frames = [frame._replace(market_ns=market_ns_at(index // 4)) for index, frame in enumerate(okx_frames(COUNT))]
    session.connect(Market("okx", SYMBOL, recording=write_recording(tmp_path / "r", frames)))
    session.controls.speed = 0
    while len(session.seen) < COUNT:
        seen = len(session.seen)
        eventually(lambda seen=seen: len(session.seen) >= min(seen + 10, COUNT))  # type: ignore[misc]
        session.release()
        eventually(lambda: n_own_threads() == 0)
        session.resume()
    assert [book.bids[0, 1] for book in session.seen] == list(range(1, COUNT + 1))


def test_player_misses_no_book_when_page_comes_back_before_its_last_feed_has_ended(
    session: WatchedSession, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Released and resumed in one breath, ten times: every book is shown, at most the one in hand twice.

    No connection is lost by that, so nothing is logged as a loss.
    """
    session.connect(Market("okx", SYMBOL, recording=path))
    session.controls.speed = 0
    session.slow_s = 0.002
    n_resumed = 10
    for resumed in range(n_resumed):
        eventually(lambda n_wanted=10 * resumed + 5: len(set(session.times)) >= n_wanted)  # type: ignore[misc]
        session.release()
        session.resume()
    eventually(lambda: session.ended, 30)
    assert set(session.times) == {market_ns_at(index) for index in range(1, COUNT + 1)}
    assert len(session.times) <= COUNT + n_resumed
    assert sum(thread.name == "replay server" for thread in threading.enumerate()) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("playing", [True, False])
def test_player_keeps_place_state_and_speed_while_page_is_gone(
    session: WatchedSession, path: Path, playing: bool
) -> None:
    """Released and resumed, it goes on behind the last book, playing or paused as before, at its speed."""
    session.connect(Market("okx", SYMBOL, recording=path))
    session.controls.speed = 2
    session.controls.seek(market_ns_at(100))
    eventually(lambda: session.seen and session.times[-1] >= market_ns_at(100))
    if not playing:
        session.controls.pause()
        eventually(lambda: session.times[-1] == session.controls.position)
    session.release()
    eventually(lambda: n_own_threads() == 0)
    seen = len(session.seen)
    session.resume()
    eventually(lambda: len(session.seen) > seen)
    assert session.times[seen] == session.times[seen - 1] + STEP_NS
    assert (session.controls.playing, session.controls.speed) == (playing, 2)


def test_changing_recordings_leaves_no_thread_socket_or_file(session: WatchedSession, path: Path) -> None:
    """Twenty times another recording, and then none: no thread, no socket and no open file more than before."""
    other = write_recording(path.with_name("other.jsonl"), okx_frames(50))
    process = psutil.Process()
    before = (len(process.net_connections()), process.num_fds() if os.name == "posix" else 0)
    for turn in range(20):
        seen = len(session.seen)
        session.connect(Market("okx", SYMBOL, recording=(path, other)[turn % 2]))
        eventually(lambda seen=seen: len(session.seen) > seen)  # type: ignore[misc]
    session.disconnect()
    assert session.player is None
    eventually(lambda: n_own_threads() == 0)
    eventually(
        lambda: (len(process.net_connections()), process.num_fds() if os.name == "posix" else 0) <= before, timeout_s=5
    )


def test_player_plays_broken_recording_up_to_bad_line(session: WatchedSession, path: Path) -> None:
    """A bad line in the middle: the books before it are shown, then it ends and says which line is wrong."""
    whole = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*whole[:20], b"nonsense", *whole[20:]]))
    session.connect(Market("okx", SYMBOL, recording=path))
    session.controls.speed = 0
    eventually(lambda: session.ended)
    assert session.times == [market_ns_at(index) for index in range(1, 7)]
    assert session.status is not None
    assert "line 21" in (session.status.last_error or "")


def test_csv_is_shown_as_the_market_chosen(session: WatchedSession, tmp_path: Path) -> None:
    """Tardis names exchanges in its own way; fees, coins and words are those of the market chosen here."""
    path = table(tmp_path / "book.csv.gz", 5, *(row(5, index * 100_000) for index in range(5)))
    session.connect(Market("binance-usdm", "BTCUSDT", recording=path))
    eventually(lambda: session.latest)
    assert session.latest is not None
    assert (session.latest.book.venue, session.latest.book.symbol) == ("binance-usdm", "BTCUSDT")
    assert session.latest.book.asks[0].tolist() == [100.5, 1.25]


def test_recording_of_a_replay_equals_it_frame_for_frame(session: WatchedSession, path: Path, tmp_path: Path) -> None:
    """Begun in the middle, paused, stepped, sped up and played to the end: the same frames, one for one."""
    session.connect(Market("okx", SYMBOL, recording=path))
    eventually(lambda: len(session.seen) > 2)
    session.start_recording(tmp_path / "recordings")
    session.controls.pause()
    session.controls.step()
    session.controls.speed = 0
    session.controls.play()
    eventually(lambda: session.recorder and session.recorder.frames >= len(read_frames(path)), 30)
    session.stop_recording()
    assert session.recorder is not None
    assert session.recorder.finished
    assert read_frames(session.recorder.path) == read_frames(path)
    first = json.loads(next(read(session.recorder.path)).message)
    assert (first["venue"], first["symbol"]) == ("okx", SYMBOL)


@pytest.mark.parametrize(
    ("name", "venue", "symbol"),
    [
        ("kraken_MINA-GBP_depth25_20260816", "kraken", "MINA/GBP"),
        ("gomarket-okx_BTC-USDT-SWAP_20250515", "gomarket-okx", "BTC-USDT-SWAP"),
        ("binance-usdm_4-pairs_20210722", "binance-usdm", "BTCUSDT"),
        ("okx_3-instruments_20220513_crc", "okx", "BTC-USDT"),
    ],
)
def test_recording_of_a_replay_of_real_frames_equals_it(
    session: WatchedSession, recordings: Path, tmp_path: Path, name: str, venue: str, symbol: str
) -> None:
    """The same with what venues really sent, REST bodies, lines of other symbols and all."""
    path = recordings / f"{name}.jsonl.gz"
    session.connect(Market(venue, symbol, recording=path))
    session.start_recording(tmp_path)
    session.controls.speed = 0
    eventually(lambda: session.recorder and session.recorder.frames >= len(read_frames(path)), 30)
    session.stop_recording()
    assert session.recorder is not None
    assert read_frames(session.recorder.path) == read_frames(path)


def test_live_recording_begins_with_connection_and_keeps_reconnection(session: WatchedSession, tmp_path: Path) -> None:
    """Begun while deltas flow: the file has a connection's start, and a new one after a drop.

    Each book shown since then comes out of it.
    """
    with LoopbackExchange("okx", "BTC-USDT") as exchange:
        session.connect(Market("okx", "BTC-USDT", address=exchange.url))
        eventually(lambda: session.seen)
        session.start_recording(tmp_path)
        eventually(lambda: session.recorder and session.recorder.frames > 2)
        exchange.change(bids=[("99.5", "7")])
        eventually(lambda: 7.0 in session.seen[-1].bids[:, 1])
        exchange.drop()
        eventually(lambda: session.status and session.status.reconnects >= 2, 15)
        eventually(lambda: session.status and session.status.state == "live")
        exchange.change(bids=[("99.5", "8")])
        eventually(lambda: 8.0 in session.seen[-1].bids[:, 1])
        session.stop_recording()
    assert session.recorder is not None
    recorded = read_frames(session.recorder.path)
    assert recorded[0].kind == "connect"
    assert sum(frame.kind == "connect" for frame in recorded) == 2
    replayed = list(books(session.recorder.path, lambda: VENUES["okx"].make_feed("BTC-USDT")))
    assert replayed[-1].bids.tolist() == session.seen[-1].bids.tolist()
    assert any(7.0 in book.bids[:, 1] for book in replayed)


def test_simulated_market_is_recorded_without_reconnection(session: WatchedSession, tmp_path: Path) -> None:
    """Whole books need no new connection: recording begins with the next one, and all since then are in the file."""
    session.connect(Market("simulated", "BTC-USDT-SWAP"))
    eventually(lambda: session.seen)
    session.start_recording(tmp_path)
    eventually(lambda: session.recorder and session.recorder.frames >= 5)
    session.stop_recording()
    assert session.recorder is not None
    assert session.status is not None
    assert session.status.reconnects == 0
    times = [
        book.market_ns for book in books(session.recorder.path, lambda: VENUES["simulated"].make_feed("BTC-USDT-SWAP"))
    ]
    assert len(times) >= 5
    assert times == [shown for shown in session.times if times[0] <= shown <= times[-1]]


@pytest.mark.parametrize("leave", ["release", "disconnect", "connect"])
def test_recording_is_whole_when_page_goes(session: WatchedSession, tmp_path: Path, leave: str) -> None:
    """A closed tab, a disconnect and another market all end the recording with a file that is complete."""
    session.connect(Market("simulated", "BTC-USDT-SWAP"))
    session.start_recording(tmp_path)
    recorder = session.recorder
    assert recorder is not None
    eventually(lambda: recorder.frames >= 2)
    if leave == "connect":
        session.connect(Market("simulated", "ETH-USDT-SWAP"))
    else:
        getattr(session, leave)()
    assert not recorder.recording
    eventually(lambda: recorder.finished)
    assert [frame.kind for frame in read(recorder.path)] == ["meta", *["recv"] * recorder.frames]
    assert recorder.error is None


def test_recording_without_market_or_folder_raises_with_reason(session: WatchedSession, tmp_path: Path) -> None:
    """Nothing connected, or a file in the folder's place: an error with its reason, and nothing is recorded."""
    with pytest.raises(RuntimeError, match="no market"):
        session.start_recording(tmp_path)
    session.connect(Market("simulated", "BTC-USDT-SWAP"))
    (tmp_path / "taken").write_text("")
    with pytest.raises(OSError, match="taken"):
        session.start_recording(tmp_path / "taken")
    assert session.recorder is None


@pytest.mark.parametrize("symbol", ["BTC/USD", "../../etc/passwd", "a" * 500, "", "BTC\n\x00USD", "con"])
def test_new_path_is_unused_and_in_its_folder_for_any_symbol(tmp_path: Path, symbol: str) -> None:
    """Any symbol gives a plain name in the folder; the same second gives another one."""
    begun = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    first = new_path(tmp_path, "okx", symbol, begun)
    first.touch()
    second = new_path(tmp_path, "okx", symbol, begun)
    second.touch()
    assert len(list(tmp_path.iterdir())) == 2
    assert first.name.startswith("okx")
    assert first.name.endswith("20260102T030405Z.jsonl.gz")
    assert second.name.endswith("20260102T030405Z-2.jsonl.gz")
    assert len(second.name) < 130


def test_recorder_ends_its_file_when_process_ends_in_order(tmp_path: Path) -> None:
    """Nobody closed the recorder, the program simply ends: the file is complete all the same."""
    path = tmp_path / "r.jsonl.gz"
    script = """
        import sys
        from recording.recorder import Recorder
        from recording.format import RecordedFrame
        recorder = Recorder()
        recorder.start(sys.argv[1])
        for number in range(1000):
            recorder.write(RecordedFrame("recv", number, "x" * 100))
        """
    root = PROJECT
    subprocess.run([sys.executable, "-c", textwrap.dedent(script), path], cwd=root, check=True, timeout=30)
    assert [frame.kind for frame in read(path)] == ["meta", *["recv"] * 1000]


def test_recorder_close_without_waiting_still_writes_what_was_queued(tmp_path: Path) -> None:
    """close(0) returns at once and takes nothing more; the thread still writes what was queued and ends the file."""
    recorder = Recorder()
    recorder.start(tmp_path / "r.jsonl")
    recorder.write(RecordedFrame("recv", 1, "first"))
    recorder.close(0)
    recorder.write(RecordedFrame("recv", 2, "too late"))
    assert not recorder.recording
    eventually(lambda: recorder.finished)
    assert [frame.message for frame in read_frames(recorder.path)] == ["first"]
    elapsed_s = recorder.elapsed_s
    assert 0 < elapsed_s < 60
    assert recorder.elapsed_s == elapsed_s


def test_replay_feed_reports_whether_each_frame_gave_a_book() -> None:
    """A feed tells of each frame whether it brought a book, of a refused one too, and of several lines at once."""
    reported: list[bool | None] = []
    feed = ReplayFeed(VENUES["okx"].make_feed(SYMBOL), reported.append)
    first, second = okx_frames(2)
    assert feed.apply(first, 0) is not None
    assert reported == []
    assert feed.parse(encode(second), 0) is not None
    assert feed.parse(encode(second._replace(message=TRADE)), 0) is None
    with pytest.raises(ValueError, match="gap"):
        feed.parse(encode(RecordedFrame("recv", market_ns_at(9), okx_message(9, 8))), 0)
    assert feed.parse(encode(RecordedFrame("idle", None)), 0) is None
    assert feed.parse(encode(first) + b"\n" + encode(second) + b"\n", 0) is None
    assert reported == [True, False, False, None]
