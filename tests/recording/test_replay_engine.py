"""The player's buttons, pressed while a real listener is connected."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from websockets.sync.client import ClientConnection

from orderbook import BookError, OrderBook
from replay import RecordedFrame, RecordingError, ReplayEngine, ReplayFeed, decode, simulated
from tests.support.loopback import eventually
from tests.support.synthetic_recordings import (
    BEGIN_NS,
    STEP_NS,
    is_same_book,
    okx_feed,
    okx_frames,
    open_connection,
    write_recording,
)
from websocket_client import WebSocketClient

COUNT = 200
QUIET = {"idle", "end"}
IDLE_S = 0.3


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life come sooner, so that nobody waits long for one."""
    monkeypatch.setattr("recording.playback.IDLE_EVERY_S", IDLE_S)


def market_ns_at(index: int) -> int:
    """Return market_ns of the frame whose best bid holds this size."""
    return BEGIN_NS + index * STEP_NS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Save a snapshot and 199 changes, 100 ms apart."""
    return write_recording(tmp_path / "made.jsonl", okx_frames(COUNT))


@pytest.fixture(scope="module")
def books_in_order() -> dict[int, OrderBook]:
    """Return the book after each of those frames, by its time, when they are simply read one after another."""
    feed = okx_feed()
    books = [feed.parse(frame.message, 0, frame.market_ns) for frame in okx_frames(COUNT)]
    return {book.market_ns: book for book in books if book}


def receive_lines(connection: ClientConnection, seconds: float) -> list[str]:
    """Return the lines that come within so many seconds, except the marks "idle" and "end"."""
    ends = time.monotonic() + seconds
    lines: list[str] = []
    while (left := ends - time.monotonic()) > 0:
        try:
            line = str(connection.recv(timeout=left))
        except TimeoutError:
            break
        if line.endswith("\n") or decode(line).kind not in QUIET:
            lines.append(line)
    return lines


def next_book(connection: ClientConnection, feed: ReplayFeed) -> OrderBook:
    """Return the next book that is shown; several lines in one message show none."""
    ends = time.monotonic() + 5
    while not (book := feed.parse(connection.recv(timeout=5), 0)):
        assert time.monotonic() < ends, "no book is shown"
    return book


def test_engine_knows_span_and_frames_before_playing(path: Path) -> None:
    """Before anything is played: how long it is, how many frames it has, and that it waits at its beginning."""
    with ReplayEngine(path) as engine:
        assert engine.span == (market_ns_at(1), market_ns_at(COUNT))
        assert (engine.frames, engine.note, engine.position) == (COUNT, "", None)
        assert (engine.playing, engine.ended, engine.speed) == (False, False, 1.0)


def test_engine_plays_pauses_and_steps_frame_by_frame(path: Path) -> None:
    """Nothing comes while paused but a sign of life; a step is one frame; playing goes on from there."""
    with ReplayEngine(path) as engine, open_connection(engine.url) as connection:
        began = time.monotonic()
        assert decode(connection.recv(timeout=5)).kind == "idle"
        assert time.monotonic() - began == pytest.approx(IDLE_S, abs=0.25)
        for index in (1, 2):
            engine.step()
            assert [decode(line).market_ns for line in receive_lines(connection, 0.2)] == [market_ns_at(index)]
            assert engine.position == market_ns_at(index)
        engine.play()
        assert [decode(connection.recv(timeout=5)).market_ns for _ in range(3)] == [
            market_ns_at(3),
            market_ns_at(4),
            market_ns_at(5),
        ]
        engine.pause()
        late = receive_lines(connection, 0.3)
        assert len(late) <= 1
        engine.step()
        engine.step()
        assert [decode(line).market_ns for line in receive_lines(connection, 0.2)] == [
            market_ns_at(6 + len(late)),
            market_ns_at(7 + len(late)),
        ]
        assert not engine.playing


def test_step_passes_over_frames_that_show_nothing(tmp_path: Path) -> None:
    """What the recorder sent, or noted of a connection, comes along with the frame after it."""
    frames = [RecordedFrame("connect", market_ns_at(0)), RecordedFrame("send", market_ns_at(0), "x"), *okx_frames(2)]
    with ReplayEngine(write_recording(tmp_path / "r", frames)) as engine, open_connection(engine.url) as connection:
        engine.step()
        assert [decode(line).kind for line in receive_lines(connection, 0.2)] == ["connect", "send", "recv"]


def test_speed_changes_take_effect_while_playing(path: Path) -> None:
    """At 1 ten frames take a second, at 50 a fiftieth, and at 0 the rest comes at once."""
    with ReplayEngine(path, speed=1) as engine, open_connection(engine.url) as connection:
        engine.play()
        assert 2 <= len(receive_lines(connection, 0.35)) <= 5
        engine.speed = 20
        assert 35 <= len(receive_lines(connection, 0.35)) <= 90
        engine.speed = 0
        eventually(lambda: engine.ended, 2)
        assert engine.position == market_ns_at(COUNT)
        for wrong in (-1, float("nan"), float("inf")):
            with pytest.raises(ValueError, match="speed"):
                engine.speed = wrong


@pytest.mark.parametrize(
    "target", [market_ns_at(1), market_ns_at(40), market_ns_at(100), market_ns_at(100) + 1, market_ns_at(COUNT)]
)
def test_seek_shows_the_book_at_that_time(path: Path, books_in_order: dict[int, OrderBook], target: int) -> None:
    """Paused or not, forward or back, the first book shown is the one at that time, and it has all its levels."""
    expected = books_in_order[min(time for time in books_in_order if time >= target)]
    feed = ReplayFeed(okx_feed())
    with ReplayEngine(path) as engine, open_connection(engine.url) as connection:
        engine.step()
        next_book(connection, feed)
        for start in (market_ns_at(20), market_ns_at(150)):
            engine.seek(start)
            assert is_same_book(next_book(connection, feed), books_in_order[start])
            engine.seek(target)
            assert is_same_book(next_book(connection, feed), expected)
            assert receive_lines(connection, 0.1) == []
            assert engine.position == expected.market_ns
        engine.seek(market_ns_at(20))
        next_book(connection, feed)
        engine.play()
        engine.seek(target)
        while not (line := str(connection.recv(timeout=5))).endswith("\n"):
            feed.parse(line, 0)  # it had gone on a little
        assert feed.parse(line, 0) is None
        assert is_same_book(next_book(connection, feed), expected)


def test_many_seeks_end_at_the_last_with_its_book(path: Path, books_in_order: dict[int, OrderBook]) -> None:
    """Jumps pressed faster than they can be made end at the last one, with its book."""
    feed = ReplayFeed(okx_feed())
    with ReplayEngine(path) as engine, open_connection(engine.url) as connection:
        for index in (150, 20, 180, 3, 90, 60, 120):
            engine.seek(market_ns_at(index))
        eventually(lambda: engine.position == market_ns_at(120))
        while not is_same_book(next_book(connection, feed), books_in_order[market_ns_at(120)]):
            pass
        assert receive_lines(connection, 0.2) == []


def test_seek_past_the_end_ends_and_seek_back_plays_on(path: Path, books_in_order: dict[int, OrderBook]) -> None:
    """A jump past the end ends the replay, once; the connection stays, and a jump back plays on."""
    feed = ReplayFeed(okx_feed())
    with ReplayEngine(path) as engine, open_connection(engine.url) as connection:
        engine.seek(market_ns_at(COUNT + 1))
        eventually(lambda: engine.ended)
        lines = [str(connection.recv(timeout=5)) for _ in range(3)]
        for line in lines:
            assert feed.parse(line, 0) is None
        assert [decode(line).kind for line in lines[1:]] == ["end", "idle"]
        assert feed.ended
        engine.seek(market_ns_at(5))
        assert is_same_book(next_book(connection, feed), books_in_order[market_ns_at(5)])
        assert not feed.ended
        assert not engine.ended


def test_new_listener_goes_on_where_last_one_was(path: Path, books_in_order: dict[int, OrderBook]) -> None:
    """The next connection's feed is brought up to date without showing old books, then gets the next frame."""
    with ReplayEngine(path) as engine:
        feed = ReplayFeed(okx_feed())
        with open_connection(engine.url) as connection:
            engine.seek(market_ns_at(70))
            assert is_same_book(next_book(connection, feed), books_in_order[market_ns_at(70)])
        feed = ReplayFeed(okx_feed())
        with open_connection(engine.url) as connection:
            assert is_same_book(next_book(connection, feed), books_in_order[market_ns_at(71)])
            engine.step()
            assert is_same_book(next_book(connection, feed), books_in_order[market_ns_at(72)])


def test_seek_without_listener_is_where_next_one_begins(path: Path, books_in_order: dict[int, OrderBook]) -> None:
    """A place chosen while nobody listens is where the next listener begins, with a sound book."""
    with ReplayEngine(path) as engine:
        engine.seek(market_ns_at(30))
        feed = ReplayFeed(okx_feed())
        with open_connection(engine.url) as connection:
            assert is_same_book(next_book(connection, feed), books_in_order[market_ns_at(30)])
        engine.seek(market_ns_at(60))
        feed = ReplayFeed(okx_feed())
        with open_connection(engine.url) as connection:
            assert is_same_book(next_book(connection, feed), books_in_order[market_ns_at(60)])


def test_client_stays_live_through_pause_seek_and_end(path: Path) -> None:
    """The client does not take a pause, a jump or the end for a dead connection."""
    shown: list[OrderBook] = []
    with ReplayEngine(path, speed=0) as engine:
        client = WebSocketClient(
            engine.url,
            lambda: ReplayFeed(okx_feed()),
            shown.append,
            conflate=False,
            stale_s=2 * IDLE_S,
            first_book_s=60,
        )
        client.start()
        try:
            engine.step()
            eventually(lambda: len(shown) == 1)
            pause_ends = time.monotonic() + 2.5 * IDLE_S
            while time.monotonic() < pause_ends:
                assert client.status.state == "live"
                time.sleep(0.05)
            engine.seek(market_ns_at(100))
            engine.play()
            eventually(lambda: bool(shown) and shown[-1].market_ns == market_ns_at(COUNT))
            status = client.status
        finally:
            client.stop()
    assert (status.reconnects, status.refused, status.state) == (0, 0, "live")
    assert [book.market_ns for book in shown] == [
        market_ns_at(1),
        *range(market_ns_at(100), market_ns_at(COUNT + 1), STEP_NS),
    ]


def test_engine_plays_torn_recording_and_refuses_broken_one(path: Path) -> None:
    """A torn recording plays, with a note; a broken, an oversized and a missing one are refused beforehand."""
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with ReplayEngine(path) as engine:
        assert engine.frames == COUNT - 1
        assert engine.note.startswith(f"cut off in line {COUNT}")
    with pytest.raises(RecordingError, match="over 1,000 bytes"):
        ReplayEngine(path, max_bytes=1000)
    path.write_bytes(whole + b"<html>\n")
    with pytest.raises(RecordingError, match=f"line {COUNT + 1}"):
        ReplayEngine(path)
    with pytest.raises(FileNotFoundError):
        ReplayEngine(path.with_name("none"))


def test_recording_without_times_plays_but_cannot_seek(tmp_path: Path) -> None:
    """It can be played and stepped; there is nowhere to jump to."""
    frames = [frame._replace(market_ns=None) for frame in okx_frames(3)]
    with ReplayEngine(write_recording(tmp_path / "r", frames)) as engine, open_connection(engine.url) as connection:
        assert engine.span is None
        with pytest.raises(ValueError, match="no times"):
            engine.seek(market_ns_at(1))
        engine.step()
        assert len(receive_lines(connection, 0.2)) == 1
        engine.play()
        assert len(receive_lines(connection, 0.2)) == 2


def test_endless_market_can_be_paused_but_cannot_seek() -> None:
    """The simulated market has the same buttons, but no timeline."""
    with (
        ReplayEngine(simulated("BTC-USDT-SWAP", seed=3, per_second=100)) as engine,
        open_connection(engine.url) as connection,
    ):
        engine.play()
        assert len(receive_lines(connection, 0.3)) > 10
        engine.pause()
        receive_lines(connection, 0.1)
        assert receive_lines(connection, 0.3) == []
        with pytest.raises(ValueError, match="no times"):
            engine.seek(market_ns_at(1))


def test_gap_on_the_way_of_a_seek_is_not_reported(tmp_path: Path) -> None:
    """What is only passed on the way to a place is neither shown nor counted, not even if it is refused."""
    frames = [*okx_frames(5), *okx_frames(5, first=50)[1:], *okx_frames(20, first=60)]
    with ReplayEngine(write_recording(tmp_path / "r", frames)) as engine, open_connection(engine.url) as connection:
        feed = ReplayFeed(okx_feed())
        engine.seek(market_ns_at(70))
        book = next_book(connection, feed)
        assert (book.market_ns, book.bids[0, 1]) == (market_ns_at(70), 70)
    feed = ReplayFeed(okx_feed())
    assert [feed.apply(frame, 0) is not None for frame in frames[:5]] == [True] * 5
    with pytest.raises(BookError, match="gap"):
        feed.apply(frames[5], 0)
