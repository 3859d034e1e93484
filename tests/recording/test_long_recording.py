"""Recordings of months: several markets, new files, on after outages, and what was missed said at the end."""

from __future__ import annotations

import gzip
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from feeds import VENUES
from recording import feeder as feeder_module
from recording.long_recording import LongRecording, Plan
from recording.outages import Outages
from recording.recorder import RECORDINGS
from recording.repacking import Repacker, repack
from recording.rotation import NEVER, Rotation, files_of, parse_rotation, remove_old
from replay import Feeder, main, make_recorder
from replay import books as books_of_file
from tests.support.loopback import eventually
from tests.support.loopback_exchange import LoopbackExchange
from tests.support.paths import PROJECT
from tests.support.synthetic_recordings import okx_frames, write_recording
from websocket_client import WebSocketClient

SYMBOL = "BTC-USDT"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have clients give up after two tries, and recordings try again after a moment."""
    monkeypatch.setattr(
        "replay.WebSocketClient", partial(WebSocketClient, max_tries=2, min_reconnect_s=0.02, backoff_s=0.01)
    )
    monkeypatch.setattr(feeder_module, "FIRST_RETRY_S", 0.05)
    monkeypatch.setattr(feeder_module, "LAST_RETRY_S", 0.2)


class LateFeeder(Feeder):
    """A client whose connection takes a while."""

    def start(self) -> None:
        self.timer = threading.Timer(0.5, super().start)
        self.timer.start()

    def stop(self) -> None:
        self.timer.join()
        super().stop()


def make_long(folder: Path, url: str, plan: Plan | None = None, urls: list[str] | None = None) -> LongRecording:
    """Return a recording of the market at this address, or at the last of several."""
    market = VENUES["okx"]
    reports: list[str] = []
    return LongRecording(
        "okx",
        SYMBOL,
        plan or Plan(folder, NEVER, None, None),
        partial(make_recorder, market, SYMBOL, url),
        lambda recorder: LateFeeder(market, SYMBOL, recorder, urls[-1] if urls else url),
        reports.append,
    )


def step_until(recording: LongRecording, is_done: Callable[[], object], timeout_s: float = 20) -> None:
    ends_s = time.monotonic() + timeout_s
    while not is_done():
        recording.step()
        assert time.monotonic() < ends_s
        time.sleep(0.02)


def books(path: Path) -> list[tuple[int, list[list[float]]]]:
    found = books_of_file(path, lambda: VENUES["okx"].make_feed(SYMBOL))
    return [(book.market_ns, book.bids.tolist()) for book in found]


def test_new_file_begins_with_a_whole_book_and_misses_none(tmp_path: Path) -> None:
    """The next file takes over with its first book, so each change of the market is in one of them, or in both."""
    is_due = False

    class WhenAsked(Rotation):
        def is_due(self, begun: datetime, now: datetime, n_bytes: int) -> bool:  # noqa: ARG002 - the seam's
            return is_due

    with LoopbackExchange("okx", SYMBOL) as exchange:
        recording = make_long(tmp_path, exchange.url, Plan(tmp_path, WhenAsked(), None, None))
        step_until(recording, lambda: exchange.n_subscribers)
        sizes: list[float] = []
        is_over = threading.Event()

        def keep_changing() -> None:
            while not is_over.wait(0.003):
                sizes.append(float(len(sizes) + 1))
                exchange.change(bids=[("99.0", f"{sizes[-1]}")])

        changing = threading.Thread(target=keep_changing)
        changing.start()
        step_until(recording, lambda: len(sizes) > 100)
        is_due = True
        step_until(recording, lambda: len(list(tmp_path.iterdir())) == 2)
        is_due = False
        step_until(recording, lambda: len(recording.files) == 1)
        n_before = len(sizes)
        step_until(recording, lambda: len(sizes) > n_before + 50)
        is_over.set()
        changing.join()
        time.sleep(0.5)
        recording.close()
    files = sorted(files_of(tmp_path, "okx", SYMBOL), key=lambda path: path.stat().st_mtime)
    assert len(files) == 2
    seen = {dict(bids).get(99.0) for path in files for _, bids in books(path)}
    first = min(size for size in seen if size)
    assert {size for size in sizes if size >= first} <= seen
    assert recording.outages.missed == []


def test_recording_goes_on_after_its_client_has_given_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The same file goes on with a new connection, and the log and the summary say what was missed."""
    caplog.set_level(logging.WARNING, "recording")
    urls: list[str] = []
    with LoopbackExchange("okx", SYMBOL) as exchange:
        urls.append(exchange.url)
        recording = make_long(tmp_path, exchange.url, urls=urls)
        step_until(recording, lambda: recording._part and recording._part.feeder.status.books)
    step_until(recording, lambda: "the connection is lost" in caplog.text)
    with LoopbackExchange("okx", SYMBOL) as exchange:
        urls.append(exchange.url)
        step_until(recording, lambda: recording.outages.missed)
        exchange.change(bids=[("99.0", "7.0")])
        step_until(recording, lambda: recording._part and recording._part.recorder.received >= 3)
        recording.close()
    (path,) = files_of(tmp_path, "okx", SYMBOL)
    assert [dict(bids).get(99.0) for _, bids in books(path)][-1] == 7.0
    assert any("nothing was recorded for" in record.message for record in caplog.records)
    lines = recording.outages.describe()
    assert lines[0].startswith("okx BTC-USDT: missed ")
    assert lines[0].endswith("s in all, once:")


def test_folder_that_cannot_be_made_is_tried_again(tmp_path: Path) -> None:
    """A disk that is not there yet is no end of the recording."""
    (tmp_path / "disk").write_text("a file where the folder is to be")
    with LoopbackExchange("okx", SYMBOL) as exchange:
        recording = make_long(tmp_path / "disk", exchange.url)
        step_until(recording, lambda: recording.last_error)
        assert recording.progress().startswith("okx BTC-USDT: 0 frames, 0 bytes, waiting: ")
        (tmp_path / "disk").unlink()
        step_until(recording, lambda: recording._part and recording._part.feeder.status.books)
        recording.close()
    assert recording.n_frames > 0


def test_outage_is_counted_from_the_last_time_up_to_the_first() -> None:
    """Before the first connection nothing is missed; an outage that lasts to the end counts until then."""
    second = 10**9
    outages = Outages("okx BTC-USDT")
    begin = 1_772_359_200 * second
    for at, is_up in ((0, False), (1, True), (2, True), (3, False), (5, False), (6, True), (8, False)):
        outages.update(is_up, min(at, 1), begin + at * second)
    outages.close(begin + 10 * second)
    assert [(each.begin_ns - begin, each.end_ns - begin) for each in outages.missed] == [
        (2 * second, 6 * second),
        (6 * second, 10 * second),
    ]
    assert outages.describe() == [
        "okx BTC-USDT: missed 8.0 s in all, 2 times:",
        "  4.0 s from 2026-03-01 10:00:02 to 2026-03-01 10:00:06 UTC",
        "  4.0 s from 2026-03-01 10:00:06 to 2026-03-01 10:00:10 UTC",
    ]
    assert Outages("x").describe() == []


def test_feed_that_was_up_between_two_looks_is_missed_afterwards() -> None:
    """Its books show that it was there."""
    outages = Outages("okx BTC-USDT")
    outages.update(False, 0, 10)
    outages.update(False, 1, 20)
    outages.update(False, 1, 30)
    outages.update(True, 2, 40)
    outages.close(50)
    assert outages.missed == [(20, 40)]


@pytest.mark.parametrize(
    ("text", "rotation"),
    [
        ("hour", Rotation("hour")),
        ("day", Rotation("day")),
        ("500MB", Rotation("", 5 * 10**8)),
        ("2gib", Rotation("", 2**31)),
    ],
)
def test_rotation_is_read_from_its_argument(text: str, rotation: Rotation) -> None:
    """An hour, a day, or a size with its unit."""
    assert parse_rotation(text) == rotation


@pytest.mark.parametrize("text", ["week", "5", "1KB", "-1GB", "", "1e9MB"])
def test_rotation_that_is_none_is_refused(text: str) -> None:
    """Files of a few bytes, or of no unit, were not meant."""
    with pytest.raises(ValueError, match="is no rule for new files"):
        parse_rotation(text)


def test_size_is_due_when_reached() -> None:
    """The bytes on the disk count."""
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert [Rotation("", 1000).is_due(now, now, n_bytes) for n_bytes in (999, 1000)] == [False, True]
    assert not NEVER.is_due(now, now.replace(year=2027), 10**15)


def test_only_old_files_of_the_market_are_removed(tmp_path: Path) -> None:
    """Others' files, other markets', links, what is being written and what is young stay."""
    old = ["okx-BTC-USDT-20260101T000000Z.jsonl.gz", "okx-BTC-USDT-20260101T000000Z-2.jsonl.zst"]
    kept = [
        "okx-BTC-USDT-SWAP-20260101T000000Z.jsonl.gz", "okx-BTC-USDT-notes.txt", "okx-BTC-USDT-20260101T000000Z.csv",
        "okx-BTC-USDT-20260102T000000Z.jsonl.gz",
    ]  # fmt: skip
    for name in (*old, *kept):
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (1, 1))
    young = tmp_path / "okx-BTC-USDT-20260103T000000Z.jsonl.gz"
    young.write_text("x")
    (tmp_path / "okx-BTC-USDT-20260104T000000Z.jsonl.gz").symlink_to(tmp_path / kept[1])
    assert remove_old(tmp_path, "okx", SYMBOL, 30, {tmp_path / kept[3]}) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*kept, young.name, "okx-BTC-USDT-20260104T000000Z.jsonl.gz"]
    )


def test_finished_file_is_repacked_where_that_is_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The books are the same, the time of the file too; a file that would not shrink stays as it is."""
    path = write_recording(tmp_path / "a.jsonl", okx_frames(2000))
    packed = tmp_path / "a.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes(), 1))
    os.utime(packed, (10**9, 10**9))
    wanted = books(packed)
    n_bytes = packed.stat().st_size
    repacker = Repacker()
    repacker.add(packed)
    repacker.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.jsonl", "a.jsonl.zst"]
    assert books(tmp_path / "a.jsonl.zst") == wanted
    assert (tmp_path / "a.jsonl.zst").stat().st_size < n_bytes
    assert (tmp_path / "a.jsonl.zst").stat().st_mtime == 10**9
    monkeypatch.setattr("recording.repacking._FRAME_BYTES", 100)  # which packs badly
    other = tmp_path / "b.jsonl.gz"
    other.write_bytes(gzip.compress(path.read_bytes()))
    assert repack(other) == other
    assert books(other) == wanted
    assert repacker.pending == set()


def test_frames_of_8_mib_are_read_back_as_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A packed file is a series of frames."""
    monkeypatch.setattr("recording.repacking._FRAME_BYTES", 50_000)
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(write_recording(tmp_path / "a", okx_frames(300)).read_bytes(), 1))
    wanted = books(path)
    packed = repack(path)
    assert packed.suffix == ".zst"
    assert books(packed) == wanted
    assert len(wanted) == 300


def test_command_records_several_markets_and_lists_them(tmp_path: Path) -> None:
    """A polite kill ends every file; `list` has market, time, books, gaps and size of each."""
    markets = [f"--market=simulated:{symbol}" for symbol in VENUES["simulated"].symbols[:2]]
    command = [sys.executable, str(PROJECT / "replay.py"), "record", *markets, "--rotate", "day", "--keep", "30"]
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        stack.callback(process.kill)
        folder = tmp_path / RECORDINGS
        eventually(lambda: folder.is_dir() and len([p for p in folder.iterdir() if p.stat().st_size > 3000]) == 2, 60)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert out.count(": recording to recordings/simulated-") == 2
    assert "stopped" in out
    done = subprocess.run(
        [sys.executable, str(PROJECT / "replay.py"), "list"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    header, *lines = done.stdout.splitlines()
    assert header.split() == ["market", "time", "books", "gaps", "missed", "s", "MB", "file"]
    assert [line.split()[:2] for line in lines] == [["simulated", s] for s in sorted(VENUES["simulated"].symbols[:2])]
    for line in lines:
        words = line.split()
        assert int(words[8]) > 5
        assert words[9:11] == ["0", "0.0"]
        assert line.endswith((".jsonl.gz", ".jsonl.zst"))


def test_list_names_gaps_and_what_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A new connection after frames is a gap, from the last frame to the next."""
    frames = okx_frames(20)
    path = write_recording(
        tmp_path / "a.jsonl", [*frames[:10], frames[0]._replace(kind="connect", message=""), *okx_frames(5, 40)]
    )
    path.write_bytes(b'{"t":"meta","venue":"okx","symbol":"BTC-USDT"}\n' + path.read_bytes())
    (tmp_path / "notes.txt").write_text("a shopping list\n")
    assert main(["list", str(tmp_path)]) == 0
    _, recording, notes = capsys.readouterr().out.splitlines()
    assert recording.split()[:2] == ["okx", "BTC-USDT"]
    assert recording.split()[-5:] == ["15", "1", "3.0", f"{path.stat().st_size / 1e6:.2f}", "a.jsonl"]
    assert notes.startswith("?")
    assert "no form that is known here" in notes


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "say what to record: --venue and --symbol, or --market VENUE:SYMBOL"),
        (["--venue", "okx"], "say what to record"),
        (["--market", "okx:BTC-USDT", "--market", "okx:ETH-USDT", "--url", "ws://127.0.0.1:9"], "here are several"),
        (["--market", "okx:nothing", "--rotate", "day"], "nothing"),
    ],
)
def test_command_that_cannot_be_meant_is_refused_in_a_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    """No folder is made."""
    monkeypatch.chdir(tmp_path)
    assert main(["record", *arguments]) == 1
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [["--market", "nowhere:X"], ["--market", "okx"], ["--rotate", "week"], ["--keep", "0"]]
)
def test_argument_of_wrong_kind_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The error names the argument."""
    with pytest.raises(SystemExit):
        main(["record", *arguments])
    assert f"argument {arguments[0]}: " in capsys.readouterr().err


def test_market_of_which_nothing_arrived_makes_the_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others are recorded, and the sentence names the one that was not."""
    arguments = [
        "--market",
        "simulated:BTC-USDT-SWAP",
        "--hours",
        str(2 / 3600),
        "--out",
        str(tmp_path),
        "--rotate",
        "day",
    ]
    assert main(["record", *arguments]) == 0
    capsys.readouterr()
    arguments = ["--market", "okx:BTC-USDT", "--url", "ws://127.0.0.1:9", *arguments[2:]]
    assert main(["record", *arguments]) == 1
    assert "okx BTC-USDT: nothing was recorded: " in capsys.readouterr().err


def test_book_that_comes_before_the_client_is_up_ends_one_outage() -> None:
    """The client counts a book, and calls itself up at the next look: nothing was missed in between."""
    outages = Outages("okx BTC-USDT")
    for is_up, n_books, now_s in ((True, 1, 1), (False, 1, 2), (False, 2, 3), (True, 2, 4), (True, 3, 5)):
        outages.update(is_up, n_books, now_s * 10**9)
    outages.close(6 * 10**9)
    assert outages.missed == [(10**9, 3 * 10**9)]


def test_feed_that_was_up_for_a_moment_only_is_missed_twice() -> None:
    """Books that came between two looks divide one outage from the next."""
    outages = Outages("okx BTC-USDT")
    for n_books, now_s in ((1, 1), (1, 2), (2, 3), (2, 4)):
        outages.update(now_s == 1, n_books, now_s * 10**9)
    outages.close(5 * 10**9)
    assert outages.missed == [(10**9, 3 * 10**9), (3 * 10**9, 5 * 10**9)]
