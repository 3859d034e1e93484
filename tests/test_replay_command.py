"""`replay.py record | serve | info`, as a user runs them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection
from websockets.sync.server import serve as web_socket_server

from backtest import main as backtest_command
from feeds import VENUES
from recording.recorder import RECORDINGS
from recording.replay_feed import facts_of
from replay import RecordedFrame, books, main, meta, read, record
from sessions.market import Market
from tests.support.loopback import eventually
from tests.support.loopback_exchange import LoopbackExchange
from tests.support.paths import PROJECT
from tests.support.served_page import free_port
from tests.support.synthetic_recordings import (
    okx_frames,
    okx_message,
    open_connection,
    receive_until_end,
    write_recording,
)
from websocket_client import WebSocketClient


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Let what is started here be interrupted, even if a shell runs these tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@contextmanager
def replay(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(PROJECT / "replay.py"), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("command", [[], ["record"], ["serve"], ["info"], ["convert"], ["list"], ["clean"]])
def test_help_of_every_command_says_usage(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Every command says what it takes."""
    with pytest.raises(SystemExit) as done:
        main([*command, "--help"])
    assert done.value.code == 0
    assert "usage: replay.py" in capsys.readouterr().out


def test_info_of_real_files(recordings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The kinds of lines, the time and the books of the gateway's recording; why a frame was refused in OKX's."""
    file = recordings / "gomarket-okx_BTC-USDT-SWAP_20250515.jsonl.gz"
    assert main(["info", str(file)]) == 0
    output = capsys.readouterr().out
    assert "lines: recv 158\n" in output
    assert "15.7 s from 2025-05-15 11:13:37 UTC" in output
    assert "say --venue and --symbol" in output
    assert main(["info", str(file), "--venue", "gomarket-okx", "--symbol", "BTC-USDT-SWAP"]) == 0
    assert "books 158, refused 0, ignored 0" in capsys.readouterr().out
    file = recordings / "okx_BTC-USDT_20260711_seqid.jsonl.gz"
    assert main(["info", str(file), "--venue", "okx", "--symbol", "BTC-USDT"]) == 0
    output = capsys.readouterr().out
    assert "books 2, refused 1, ignored 1" in output
    assert "time: not noted" in output
    assert "refused 1 times: resynchronising: gap" in output


TARDIS_DOLLARS = (
    "exchange,symbol,timestamp,local_timestamp,asks[0].price,asks[0].amount,bids[0].price,bids[0].amount\n"
    + "bitmex,XBTUSD,1772359200123456,1772359200124356,60010,10000,60000,20000\n" * 3
)


def test_info_opens_amounts_of_open_unit_only_as_stated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused by name in one sentence; opened as it is said, and the output says what was assumed."""
    path = tmp_path / "dollars.csv"
    path.write_text(TARDIS_DOLLARS)
    assert main(["info", str(path)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "bitmex XBTUSD" in error
    assert "--amounts base, quote or contracts:SIZE" in error
    assert main(["info", str(path), "--amounts", "quote"]) == 0
    output = capsys.readouterr().out
    assert "opened as: a Tardis book_snapshot CSV of bitmex XBTUSD: amounts are quote units" in output
    assert "books 3, refused 0, ignored 0" in output
    with pytest.raises(SystemExit):
        main(["info", str(path), "--amounts", "coins"])
    assert "must be base, quote or contracts:SIZE" in capsys.readouterr().err


def test_backtest_says_what_was_assumed_of_a_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence goes to stderr, so that a result in a pipe stays a result."""
    path = tmp_path / "capture.txt"
    path.write_text("".join(f"{frame.market_ns} {frame.message}\n" for frame in okx_frames(20)))
    assert backtest_command([str(path), "--quantity", "1"]) == 0
    printed = capsys.readouterr()
    assert "on okx BTC-USDT, 20 books" in printed.out
    assert printed.err.startswith(
        "capture.txt: opened as a log of raw messages of okx BTC-USDT, one a line: the clock "
    )


@pytest.mark.parametrize("command", ["info", "serve"])
def test_command_refuses_market_that_contradicts_the_file(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file's market and the one that was asked for are both in the sentence."""
    path = tmp_path / "dollars.csv"
    path.write_text(TARDIS_DOLLARS)
    assert main([command, str(path), "--venue", "kraken", "--symbol", "ETH/EUR", "--amounts", "base"]) == 1
    words = "line 2: the file says that it is of bitmex XBTUSD, not of kraken ETH/EUR\n"
    assert capsys.readouterr().err == words


def test_backtest_refuses_market_that_contradicts_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fees of one market on the books of another would be a number of no market."""
    path = write_recording(tmp_path / "a.jsonl", okx_frames(3))
    path.write_bytes(b'{"t":"meta","venue":"okx","symbol":"BTC-USDT"}\n' + path.read_bytes())
    assert backtest_command([str(path), "--venue", "kraken", "--symbol", "BTC/USD", "--quantity", "1"]) == 2
    assert "the file says that it is of okx BTC-USDT, not of kraken BTC/USD" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.books"))


def test_info_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A torn end is named and is no failure; a broken line, a missing file and a web page are, each in a sentence."""
    path = write_recording(tmp_path / "r", okx_frames(3))
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert main(["info", str(path), "--venue", "okx", "--symbol", "BTC-USDT"]) == 0
    output = capsys.readouterr().out
    assert "end: cut off in line 3" in output
    assert "books 2," in output
    path.write_bytes(whole + b"{}\n")
    assert main(["info", str(path)]) == 1
    assert "end: broken: line 4: " in capsys.readouterr().out
    path.write_text('{"t":"meta","venue":"okx","symbol":"nonsense"}\n')
    assert main(["info", str(path)]) == 1
    assert "nonsense" in capsys.readouterr().err
    path.write_text("<html>\n")
    for name in (path, tmp_path / "none"):
        assert main(["info", str(name)]) == 1
        assert capsys.readouterr().err.count("\n") == 1


def test_record_the_simulated_market(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second of the simulated market: its own frames without the envelope, and a meta line that info goes by."""
    path = tmp_path / "made.jsonl.gz"
    wanted = ["record", "--venue", "simulated", "--symbol", "BTC-USDT-SWAP", "--hours", str(1.5 / 3600)]
    assert main([*wanted, "--out", str(path)]) == 0
    assert f"{path}: " in capsys.readouterr().out
    assert (meta(path)["venue"], meta(path)["symbol"]) == ("simulated", "BTC-USDT-SWAP")
    kinds = [frame.kind for frame in read(path)]
    assert kinds[0] == "meta"
    assert set(kinds[1:]) == {"recv"}
    found = list(books(path, lambda: VENUES["simulated"].make_feed("BTC-USDT-SWAP")))
    assert 8 <= len(found) == len(kinds) - 1 <= 16
    assert main(["info", str(path)]) == 0
    assert f"read as simulated BTC-USDT-SWAP: books {len(found)}, refused 0" in capsys.readouterr().out
    assert main([*wanted, "--out", str(path)]) == 1
    assert "File exists" in capsys.readouterr().err


def test_record_without_out_writes_to_the_folder_that_the_page_lists(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is made if it is not there, and the file's path is output first and last; no folder for no symbol."""
    monkeypatch.chdir(tmp_path)
    assert main(["record", "--venue", "simulated", "--symbol", "nonsense"]) == 1
    assert list(tmp_path.iterdir()) == []
    for count in (1, 2):
        assert main(["record", "--venue", "simulated", "--symbol", "BTC-USDT-SWAP", "--hours", str(0.7 / 3600)]) == 0
        assert [path.name for path in tmp_path.iterdir()] == [str(RECORDINGS)]
        found = sorted(RECORDINGS.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        assert len(found) == count
        assert found[-1].name.startswith("simulated-BTC-USDT-SWAP-")
        first, *_, last = capsys.readouterr().out.splitlines()
        assert first == f"recording to {found[-1]}"
        assert last.startswith(f"{found[-1]}: ")


def test_record_a_venue(tmp_path: Path) -> None:
    """What a venue's client sends and receives, over two connections, replays to the books that were seen live."""
    sent = [okx_message(1, -1), okx_message(2, 1), okx_message(9, 8)]

    def venue(connection: ServerConnection) -> None:
        connection.recv(timeout=5)
        for text in sent:
            connection.send(text)
        connection.recv(timeout=20)

    path, stop = tmp_path / "r.jsonl", threading.Event()
    with web_socket_server(venue, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        reports: list[str] = []
        recording = threading.Thread(
            target=record, args=("okx", "BTC-USDT", path), kwargs={"stop": stop, "url": url, "report": reports.append}
        )
        recording.start()

        def lines() -> list[RecordedFrame]:
            written = path.exists() and path.stat().st_size
            return [frame for frame in read(path) if frame.kind in ("connect", "recv")] if written else []

        eventually(lambda: sum(frame.kind == "connect" for frame in lines()) >= 2 and len(lines()) >= 8, 20)
        stop.set()
        recording.join(5)
        assert not recording.is_alive()
        server.shutdown()
    first = list(read(path))[:7]
    assert [frame.kind for frame in first] == ["meta", "connect", "send", "recv", "recv", "recv", "connect"]
    assert first[1].url == url
    assert json.loads(first[2].message)["op"] == "subscribe"
    assert [frame.message for frame in first[3:6]] == sent
    sizes = [book.bids[0, 1] for book in books(path, lambda: VENUES["okx"].make_feed("BTC-USDT"))]
    assert sizes[:4] == [1, 2, 1, 2]
    assert reports


def test_record_refuses_unknown_symbol_before_making_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown symbol is refused before a file is made."""
    path = tmp_path / "r.jsonl"
    assert main(["record", "--venue", "okx", "--symbol", "nonsense", "--out", str(path)]) == 1
    assert capsys.readouterr().err
    assert not path.exists()


@contextmanager
def okx_exchange(*texts: str, n_connections: int | None = None) -> Iterator[str]:
    """Serve these texts to every connection, or to the first few and then hang up at once; yield the address."""
    opened: list[ServerConnection] = []

    def talk(connection: ServerConnection) -> None:
        opened.append(connection)
        if n_connections is None or len(opened) <= n_connections:
            connection.recv(timeout=5)
            for text in texts:
                connection.send(text)
            if n_connections is None:
                with suppress(TimeoutError):
                    connection.recv(timeout=20)

    with web_socket_server(talk, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()


def test_record_refuses_entity_that_the_venue_does_not_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence has the choices, and no file is made."""
    path = tmp_path / "r.jsonl"
    wanted = ["record", "--venue", "okx", "--entity", "mirror", "--symbol", "BTC-USDT", "--out", str(path)]
    assert main(wanted) == 1
    assert capsys.readouterr().err == "OKX has no entity 'mirror': it is reached through global or eea or us\n"
    assert not path.exists()


def record_okx(url: str, *more: str) -> int:
    """Run the command on this address; return its exit code."""
    return main(["record", "--venue", "okx", "--symbol", "BTC-USDT", "--url", url, *more])


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the command's client give up after two tries, at once."""
    monkeypatch.setattr(
        "replay.WebSocketClient", partial(WebSocketClient, max_tries=2, min_reconnect_s=0.02, backoff_s=0.01)
    )


def test_record_fails_with_the_reason_when_time_runs_out_before_anything_arrived(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1, one sentence with the last error, no summary, and no file in the folder that the page lists."""
    monkeypatch.chdir(tmp_path)
    port = free_port()
    assert record_okx(f"ws://127.0.0.1:{port}", "--hours", str(1.2 / 3600)) == 1
    out, err = capsys.readouterr()
    assert err.startswith(f"nothing arrived from ws://127.0.0.1:{port}, so there is no file: ")
    assert "refused" in err
    assert err.count("\n") == 1
    assert "gave up" not in err
    assert [line.startswith("recording to ") for line in out.splitlines() if str(RECORDINGS) in line] == [True]
    assert list(RECORDINGS.iterdir()) == []


@pytest.mark.usefixtures("impatient")
def test_record_fails_with_the_reason_when_it_gives_up_before_anything_arrived(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same where every try failed, however long it was meant to take."""
    path = tmp_path / "r.jsonl"
    assert record_okx(f"ws://127.0.0.1:{free_port()}", "--out", str(path)) == 1
    err = capsys.readouterr().err
    assert "so there is no file: gave up after 2 failed tries. The last: " in err
    assert err.count("\n") == 1
    assert not path.exists()


def test_record_fails_when_the_venue_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A connection on which nothing comes is no error yet, and no recording either."""
    path = tmp_path / "r.jsonl"
    with okx_exchange() as url:
        assert record_okx(url, "--out", str(path), "--hours", str(1 / 3600)) == 1
    assert capsys.readouterr().err == f"nothing arrived from {url}, so there is no file: it was still connecting\n"
    assert not path.exists()


def test_record_fails_when_no_book_arrived(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Frames without one order book are kept, to see what the venue output; the exit code is 1."""
    path = tmp_path / "r.jsonl"
    with okx_exchange('{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"a"}') as url:
        assert record_okx(url, "--out", str(path), "--hours", str(1 / 3600)) == 1
    out, err = capsys.readouterr()
    assert err == f"no order book arrived from {url}: it was still connecting\n"
    assert f"{path}: 3 frames, " in out
    assert [frame.kind for frame in read(path)] == ["meta", "connect", "send", "recv"]


@pytest.mark.usefixtures("impatient")
def test_record_keeps_what_it_has_when_it_gives_up_midway(tmp_path: Path) -> None:
    """From Python, where nobody asks for what was missed, it ends there: the file is whole, the error the reason."""
    path = tmp_path / "r.jsonl"
    with okx_exchange(okx_message(1, -1), okx_message(2, 1), n_connections=1) as url:
        recorder = record("okx", "BTC-USDT", path, url=url)
    assert str(recorder.error).startswith("gave up after 2 failed tries. The last: ")
    assert len(list(books(path, lambda: VENUES["okx"].make_feed("BTC-USDT")))) == 2


def test_record_says_that_the_connection_was_down_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording with books that ends while it reconnects is no failure, but the reason is reports, on the way too."""
    monkeypatch.setattr("replay.REPORT_S", 0.0)
    reports: list[str] = []
    stop = threading.Event()

    def report(line: str) -> None:
        reports.append(line)
        if "reconnecting: " in line:
            stop.set()

    with okx_exchange(okx_message(1, -1), n_connections=1) as url:
        recorder = record("okx", "BTC-USDT", tmp_path / "r.jsonl", 30, stop, url, report)
    assert recorder.error is None
    assert stop.is_set()
    assert reports[-1].startswith("the connection was down at the end: ")
    assert len(list(books(tmp_path / "r.jsonl", lambda: VENUES["okx"].make_feed("BTC-USDT")))) == 1


def test_record_leaves_a_trace_of_a_reconnection_and_prints_each_report_once(tmp_path: Path) -> None:
    """The loss is one line on stderr, with its time, reason and next try; stdout has each report once, and no log."""
    path = tmp_path / "r.jsonl"
    opened: list[ServerConnection] = []

    def talk(connection: ServerConnection) -> None:
        opened.append(connection)
        connection.recv(timeout=5)
        connection.send(okx_message(1, -1))
        if len(opened) > 1:
            with suppress(ConnectionClosed):
                connection.recv(timeout=20)

    with web_socket_server(talk, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{server.socket.getsockname()[1]}"
        url = f"ws://{host}/?token=s3cret"
        with replay("record", "--venue", "okx", "--symbol", "BTC-USDT", "--out", path, "--url", url) as recording:
            eventually(lambda: path.exists() and path.stat().st_size, 30)
            eventually(lambda: sum(frame.kind == "recv" for frame in read(path)) == 2, 30)
            recording.send_signal(signal.SIGINT)
            out, err = recording.communicate(timeout=10)
        server.shutdown()
    assert recording.returncode == 3
    trace, missed, *summary = err.splitlines()
    assert " WARNING recording.outages: okx BTC-USDT: nothing was recorded for " in missed
    assert summary[0].startswith("okx BTC-USDT: missed ")
    assert summary[0].endswith(" s in all, once:")
    assert f" WARNING network.reconnection: {host} closed the connection (code 1000); next try in " in trace
    assert "s3cret" not in out + err
    reports = out.splitlines()
    assert reports[0] == f"recording to {path}"
    assert reports[-2] == "stopped"
    assert reports[-1].startswith(f"{path}: 6 frames, ")
    assert len(reports) == len(set(reports))
    assert "WARNING" not in out


def test_record_says_more_if_it_is_asked_to(tmp_path: Path) -> None:
    """-v adds what is opened and closed in order to stderr; stdout is as without it."""
    path = tmp_path / "r.jsonl"
    wanted = ["--venue", "simulated", "--symbol", "BTC-USDT-SWAP", "--hours", str(3 / 3600), "--out", path]
    with replay("record", "-v", *wanted) as recording:
        out, err = recording.communicate(timeout=30)
    assert recording.returncode == 0
    for words in (f"recording to {path}", "connected to 127.0.0.1:", "closing the connection", f"finished {path}: "):
        assert err.count(words) == 1
    assert " INFO " not in out
    assert out.count(f"recording to {path}") == 1


def test_record_refuses_an_address_of_the_simulated_market(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address that would not be used is refused in one sentence, before a folder or a file is made."""
    monkeypatch.chdir(tmp_path)
    wanted = ["record", "--venue", "simulated", "--symbol", "BTC-USDT-SWAP", "--url", "ws://127.0.0.1:9"]
    for more in ([], ["--out", "r.jsonl"]):
        assert main([*wanted, *more]) == 1
        err = capsys.readouterr().err
        assert err == "the simulated market is made on this machine and has no address: leave out --url\n"
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="has no address"):
        record("simulated", "BTC-USDT-SWAP", tmp_path / "r.jsonl", 1, url="ws://127.0.0.1:9")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_record_ended_before_anything_arrived_fails_with_reason(tmp_path: Path, ending: signal.Signals) -> None:
    """Ctrl-C, or a polite kill, on an address that cannot be reached: exit code 1, one sentence, no file."""
    path, url = tmp_path / "r.jsonl", f"ws://127.0.0.1:{free_port()}"
    with replay("record", "--venue", "okx", "--symbol", "BTC-USDT", "--out", path, "--url", url) as recording:
        assert recording.stdout
        assert recording.stdout.readline() == f"recording to {path}\n"
        recording.send_signal(ending)
        _, err = recording.communicate(timeout=10)
    assert recording.returncode == 1
    assert err.startswith(f"nothing arrived from {url}, so there is no file: ")
    assert err.count("\n") == 1
    assert not path.exists()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_record_and_serve_end_cleanly_on_signal(tmp_path: Path, ending: signal.Signals) -> None:
    """Ctrl-C, or a polite kill, ends both with exit code 0: the recording is whole, and stderr is empty."""
    path = tmp_path / "r.jsonl.gz"
    with replay("record", "--venue", "simulated", "--symbol", "BTC-USDT-SWAP", "--out", path) as recording:
        eventually(lambda: path.exists() and path.stat().st_size and sum(1 for _ in read(path)) > 5, 20)
        recording.send_signal(ending)
        out, err = recording.communicate(timeout=10)
    assert (recording.returncode, err) == (0, "")
    assert str(path) in out
    assert "torn" not in [frame.kind for frame in read(path)]

    with replay("serve", path, "--speed", "0") as playing:
        assert playing.stdout
        with open_connection(playing.stdout.readline().strip()) as connection:
            assert len(list(receive_until_end(connection))) == sum(1 for _ in read(path))
            playing.send_signal(ending)
            began = time.monotonic()
            _, err = playing.communicate(timeout=10)
    assert (playing.returncode, err) == (0, "")
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "arguments",
    [["serve", "FILE", "--speed", "-1"], ["serve", "FILE", "--speed", "fast"], ["record", "--venue", "nowhere"], []],
)
def test_wrong_argument_is_named_with_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong argument is named, with the usage."""
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code == 2
    assert "error: " in capsys.readouterr().err


RECORD = ["record", "--venue", "okx", "--symbol", "BTC-USDT"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([*RECORD, "--hours", "long"], "argument --hours: 'long' is not a number"),
        ([*RECORD, "--hours", "0"], "argument --hours: hours must be above 0, and finite: 0"),
        ([*RECORD, "--hours", "nan"], "argument --hours: hours must be above 0, and finite: nan"),
        (["serve", "FILE", "--speed", "fast"], "argument --speed: 'fast' is not a number"),
        (["serve", "FILE", "--speed", "-1"], "argument --speed: speed must be 0 or more, and finite: -1.0"),
        (["serve", "FILE", "--port", "any"], "argument --port: 'any' is not a port: it must be a whole number"),
    ],
)
def test_argument_of_wrong_kind_is_refused_in_plain_words(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the argument and what was typed, and no function of the program."""
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code == 2
    assert capsys.readouterr().err.endswith(f"error: {sentence}\n")


def test_help_of_record_shows_a_symbol_of_every_venue(capsys: pytest.CaptureFixture[str]) -> None:
    """The help shows how each venue writes its symbols, so a new venue's form is there, too."""
    with pytest.raises(SystemExit):
        main(["record", "--help"])
    text = "".join(capsys.readouterr().out.split())  # without the line breaks, which may fall on a hyphen
    symbols = text.split("asthevenuewritesit:")[1].split("--hours")[0].split(",")
    assert sorted(symbols) == sorted({venue.symbols[0] for venue in VENUES.values()})


ODD_SWAP = "PEPE-USDT-SWAP"


def test_recording_of_a_contract_replays_where_its_size_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The venue is asked for a contract that is not known offline; the recording keeps the answer, for itself alone."""
    row = {"instId": ODD_SWAP, "ctType": "linear", "ctVal": "10000000", "ctMult": "1"}
    asked: list[str] = []

    async def fetch(url: str, _timeout_s: float) -> str:
        asked.append(url)
        ticker = {"instId": ODD_SWAP, "volCcy24h": "25000000000", "vol24h": "2500"}
        return json.dumps({"code": "0", "data": [row if "instruments" in url else ticker]})

    monkeypatch.setattr("network.venue_facts.fetch", fetch)
    monkeypatch.setattr(VENUES["okx"], "_learned_contracts", {})
    path, stop = tmp_path / "r.jsonl", threading.Event()
    with LoopbackExchange("okx", ODD_SWAP) as exchange:
        monkeypatch.setattr(type(VENUES["okx"]), "url", lambda _venue, _symbol: exchange.url)
        recording = threading.Thread(
            target=record, args=("okx", ODD_SWAP, path), kwargs={"stop": stop, "report": print}
        )
        recording.start()
        eventually(lambda: path.exists() and sum(frame.kind == "recv" for frame in read(path)) >= 2)
        stop.set()
        recording.join(10)
        bid = exchange.market.top(1)[0][0]
    assert asked == [VENUES["okx"].instruments_url(ODD_SWAP), VENUES["okx"].volume_url(ODD_SWAP)]
    about = meta(path)
    assert about["contract"] == {"value": 10_000_000.0, "inverse": False}
    assert about["daily_volume"] == 25e9

    monkeypatch.setattr(VENUES["okx"], "_learned_contracts", {})
    with pytest.raises(ValueError, match=f"contract size of {ODD_SWAP} is unknown"):
        VENUES["okx"].make_feed(ODD_SWAP)
    knowing = VENUES["okx"].with_facts(ODD_SWAP, facts_of(about))
    (book,) = books(path, lambda: knowing.make_feed(ODD_SWAP))
    assert book.bids[0].tolist() == [bid[0], bid[1] * 10_000_000]
    market = Market("okx", ODD_SWAP, recording=path, facts=json.dumps(facts_of(about)))
    assert market.contract_size == 10_000_000
    capsys.readouterr()
    assert main(["info", str(path)]) == 0
    assert f"read as okx {ODD_SWAP}: books 1" in capsys.readouterr().out
    with pytest.raises(ValueError, match="is unknown"):
        VENUES["okx"].make_feed(ODD_SWAP)


@pytest.mark.parametrize(
    "contract", [0, {}, {"value": 0, "inverse": False}, {"value": 1e400, "inverse": False}, "0.01"]
)
def test_contract_of_a_recording_that_cannot_be_is_refused(contract: object) -> None:
    """A meta line may come from anywhere."""
    with pytest.raises(ValueError, match=f"the recording's contract of {ODD_SWAP} cannot be read"):
        VENUES["okx"].with_facts(ODD_SWAP, {"contract": contract})


@pytest.mark.parametrize("venue", ["gomarket-okx", "simulated"])
def test_relayed_contract_is_kept_too(venue: str) -> None:
    """The gateway and the simulated market count in OKX's contracts."""
    facts = {"contract": {"value": 5.0, "inverse": False}}
    assert VENUES[venue].with_facts(ODD_SWAP, facts).contract_size(ODD_SWAP) == 5.0
    assert VENUES[venue].recorded_facts("BTC-USDT-SWAP") == {"contract": {"value": 0.01, "inverse": False}}
    assert VENUES["okx"].recorded_facts("BTC-USDT") == {}
