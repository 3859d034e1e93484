"""The log of connections, recorders and callbacks: what leaves a trace, at which level, and what never does."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from network.logs import LOGGING_ROOMS, configure_logging
from orderbook import OrderBook
from recording import recorder as recorder_module
from recording.format import RecordedFrame
from recording.recorder import Recorder
from replay import record
from tests.support.loopback import DeltaFeed, Server, eventually, make_refusal, make_talk, raw_server, stay_silent
from tests.support.paths import PROJECT
from tests.support.served_page import free_port
from tests.support.synthetic_recordings import okx_message
from websocket_client import WebSocketClient

QUICK: dict[str, Any] = {"min_reconnect_s": 0.02, "backoff_s": 0.01, "open_s": 5.0}
SECRET = "s3cret"  # noqa: S105 - what must not be found


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everything that our modules log, from DEBUG on."""
    for room in LOGGING_ROOMS:
        caplog.set_level(logging.DEBUG, logger=room)
    return caplog


def lines(log: pytest.LogCaptureFixture, level: int) -> list[str]:
    """Return our modules' messages of this level, in their order."""
    ours = [record for record in log.records if record.name.split(".")[0] in LOGGING_ROOMS]
    return [record.getMessage() for record in ours if record.levelno == level]


def run_until(
    url: str, condition: Callable[[WebSocketClient], object], make_feed: Callable[[], Any] = DeltaFeed, **options: Any
) -> None:
    """Run a client on this address until the condition holds."""
    on_book = options.pop("on_book", lambda _book: None)
    client = WebSocketClient(url, make_feed, on_book, **QUICK | options)
    client.start()
    try:
        eventually(lambda: condition(client))
    finally:
        client.stop()


def has_given_up(client: WebSocketClient) -> bool:
    return client.status.state == "given up"


def test_recorder_that_reconnects_leaves_a_trace(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    """Recording begun, connected, lost with the reason and the next try, connected again, books again, closed, done."""

    async def talk(web_socket: ServerConnection, number: int) -> None:
        await web_socket.recv()
        await web_socket.send(okx_message(number, -1))
        if number == 1:
            await web_socket.close(1012, "restart")
        await stay_silent(web_socket)

    stop = threading.Event()
    path = tmp_path / "r.jsonl"
    with Server(talk) as server:
        recording = threading.Thread(
            target=record, args=("okx", "BTC-USDT", path, 30, stop, server.url), kwargs={"report": lambda _line: None}
        )
        recording.start()
        eventually(lambda: any("order books again" in line for line in lines(log, logging.INFO)))
        stop.set()
        recording.join(5)
    host = f"127.0.0.1:{server.port}"
    (lost,) = lines(log, logging.WARNING)
    assert lost.startswith(f"{host} closed the connection (code 1012); next try in ")
    told = lines(log, logging.INFO)
    assert told[:2] == [f"recording to {path}", f"connected to {host}"]
    assert told[2] == f"connected to {host}"
    assert told[3].startswith(f"{host} sends order books again after ")
    assert f"closing the connection to {host}" in told
    assert told[-1].startswith(f"finished {path}: 6 frames, ")
    assert lines(log, logging.ERROR) == []


def test_gap_is_a_warning_without_what_the_frame_said(log: pytest.LogCaptureFixture) -> None:
    """A broken protocol is named by its kind; the next book says that it is resynchronised."""

    async def talk(web_socket: ServerConnection, number: int) -> None:
        await web_socket.send("snapshot 1117")
        if number == 1:
            await web_socket.send("step 1119")
        await stay_silent(web_socket)

    with Server(talk) as server:
        run_until(server.url, lambda client: client.status.books == 2)
    (lost,) = lines(log, logging.WARNING)
    assert lost.startswith(f"127.0.0.1:{server.port} broke the protocol (gap); next try in ")
    assert any("sends order books again" in line for line in lines(log, logging.INFO))
    assert "111" not in log.text.replace(str(server.port), "")


def test_giving_up_is_an_error_and_tries_before_any_connection_are_not_losses(log: pytest.LogCaptureFixture) -> None:
    """Where nothing was connected, the tries are INFO; giving up is one ERROR with the last reason."""
    host = f"127.0.0.1:{free_port()}"
    run_until(f"ws://{host}/book", has_given_up, max_tries=3)
    assert lines(log, logging.WARNING) == []
    tries = [line for line in lines(log, logging.INFO) if "next try in" in line]
    assert [line.startswith(f"{host} refused the connection") for line in tries] == [True, True]
    assert lines(log, logging.ERROR) == [
        f"{host} refused the connection: nothing listens there; gave up after 3 failed tries"
    ]


def test_refusal_is_a_warning_from_the_first_try_on(log: pytest.LogCaptureFixture) -> None:
    """A venue that answers with HTTP 451 refuses in words, whether or not it ever served."""
    with Server(stay_silent, make_refusal(451)) as server:
        run_until(server.url, has_given_up, max_tries=2)
    (refused,) = lines(log, logging.WARNING)
    assert "refuses this address or region (HTTP 451)" in refused


def test_connection_that_is_replaced_in_order_is_no_loss(log: pytest.LogCaptureFixture) -> None:
    """A fresh connection takes over and the old one is closed: INFO alone."""

    def is_replaced(client: WebSocketClient) -> bool:
        if client.status.books == 1 and client.status.reconnects == 0:
            client.resync()
        return client.status.books >= 2

    with Server(make_talk("snapshot 7")) as server:
        run_until(server.url, is_replaced)
    told = lines(log, logging.INFO)
    assert f"a fresh connection to 127.0.0.1:{server.port} takes over" in told
    assert not [record for record in log.records if record.levelno > logging.INFO]


def test_callback_that_fails_is_logged_with_its_traceback_once(log: pytest.LogCaptureFixture) -> None:
    """The first error has its place in the code; later ones are only counted, and no message repeats a frame."""

    def fail(book: OrderBook) -> None:
        raise ValueError(f"{SECRET} {book.bids}")

    with Server(make_talk("snapshot 1", "step 2", "step 3")) as server:
        run_until(server.url, lambda client: client.status.callback_errors == 3, on_book=fail, conflate=False)
    (line,) = lines(log, logging.ERROR)
    first, *stack = line.splitlines()
    assert "fail failed with ValueError; further errors are only counted" in first
    assert any(f'File "{__file__}"' in place and "in fail" in place for place in stack)
    assert SECRET not in log.text.replace("{SECRET}", "")


def test_recorder_logs_a_disk_error_and_an_empty_recording(
    tmp_path: Path, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recording that stops early is an ERROR with its reason; a file that is removed is said to be."""
    empty = Recorder()
    empty.start(tmp_path / "empty.jsonl")
    empty.close()
    assert lines(log, logging.INFO)[-1] == f"removed {tmp_path / 'empty.jsonl'}, since nothing was received"
    monkeypatch.setattr(recorder_module, "_MAX_PENDING", 100)
    slow = Recorder()
    slow.start(tmp_path / "r.jsonl")
    slow.write(RecordedFrame("recv", 1, SECRET * 100))
    slow.close()
    assert lines(log, logging.ERROR) == [
        "the recording ends early: the disk is too slow: over 100 characters wait to be written"
    ]
    assert SECRET not in log.text


def _answer_proxy(peer: socket.socket) -> None:
    peer.recv(4096)
    peer.sendall(f"HTTP/1.1 407 {SECRET}\r\nProxy-Authenticate: {SECRET}\r\n\r\n".encode())


def _answer_handshake_with_garbage(peer: socket.socket) -> None:
    peer.recv(4096)
    peer.sendall(f"{SECRET}\r\n\r\n".encode())


@pytest.mark.parametrize("kind", ["query", "redirect", "close", "frame", "garbage", "proxy", "dead proxy", "snapshot"])
def test_no_secret_reaches_the_log(kind: str, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address's query, a server's words, a frame, and a proxy's name and password: in no record, at any level.

    The user who looks at this connection is told all the same, so the reason itself keeps its words.
    """
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)

    async def close_with_words(web_socket: ServerConnection, _number: int) -> None:
        await web_socket.close(4000, SECRET)

    def run(url: str, make_feed: Callable[[], Any] = DeltaFeed) -> None:
        run_until(f"{url}?key={SECRET}", has_given_up, make_feed, max_tries=2)

    match kind:
        case "query":
            run(f"ws://127.0.0.1:{free_port()}/book")
        case "redirect":
            with Server(stay_silent, make_refusal(302, Location=f"ws://user:{SECRET}@h/?key={SECRET}")) as server:
                run(server.url)
        case "close":
            with Server(close_with_words) as server:
                run(server.url)
        case "frame":
            with Server(make_talk("snapshot 1", f"{SECRET}", "step 3")) as server:
                run(server.url)
        case "garbage":
            with raw_server(_answer_handshake_with_garbage) as port:
                run(f"ws://127.0.0.1:{port}/")
        case "proxy":
            with raw_server(_answer_proxy) as port:
                monkeypatch.setenv("HTTPS_PROXY", f"http://user:{SECRET}@127.0.0.1:{port}")
                run("wss://exchange.invalid/")
                assert str(port) not in log.text
        case "dead proxy":
            port = free_port()
            monkeypatch.setenv("HTTPS_PROXY", f"http://user:{SECRET}@localhost:{port}")
            run("wss://exchange.invalid/")
            assert str(port) not in log.text
        case "snapshot":
            rest = f"http://127.0.0.1:{free_port()}/depth?key={SECRET}"
            with Server(make_talk("step 1")) as server:
                run(server.url, lambda: DeltaFeed(rest))
    assert lines(log, logging.ERROR)
    assert SECRET not in log.text
    assert "user" not in log.text


def test_command_logs_to_stderr_and_verbose_concerns_our_modules_alone() -> None:
    """WARNING by default; verbose is INFO for this project, and never for a library that would repeat frames."""
    script = """
        import logging, sys
        from network.logs import configure_logging
        configure_logging(verbose=len(sys.argv) > 1)
        for name in ("network.connection", "websockets.client"):
            logging.getLogger(name).info("an info")
            logging.getLogger(name).warning("a warning")
        """
    told = []
    for arguments in ([], ["-v"]):
        command = [sys.executable, "-c", textwrap.dedent(script), *arguments]
        ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True, timeout=60)
        assert ran.stdout == ""
        told.append([line.split(maxsplit=2)[2] for line in ran.stderr.splitlines()])
    warnings = ["WARNING network.connection: a warning", "WARNING websockets.client: a warning"]
    assert told == [warnings, ["INFO network.connection: an info", *warnings]]


def test_library_configures_no_logging() -> None:
    """To import and to use it adds no handler and sets no level; only a command's main() does."""
    root = logging.getLogger()
    before = list(root.handlers), root.level
    with Server(make_talk("snapshot 1")) as server:
        run_until(server.url, lambda client: client.status.books)
    assert (list(root.handlers), root.level) == before
    assert all(not logging.getLogger(room).handlers for room in LOGGING_ROOMS)
    configure_logging(verbose=False)  # as a command would, in a process that has handlers already
    assert (list(root.handlers), root.level) == before


def test_visit_of_the_simulated_market_prints_nothing() -> None:
    """As Streamlit runs it, with no log configured but one that prints what websockets says: not one line."""
    script = """
        import logging, time
        from pathlib import Path
        from tempfile import mkdtemp
        from streamlit.logger import get_logger
        from estimation.order import Order
        from orderbook import Side
        from sessions.market import Market
        from sessions.session import Session
        from websocket_client import FeedHub

        get_logger("websockets")
        session = Session(FeedHub(), Order(Side.BUY, 1.0))
        for symbol in ("BTC-USDT-SWAP", "ETH-USDT-SWAP"):
            session.connect(Market("simulated", symbol))
            ends = time.monotonic() + 20
            while session.latest is None and time.monotonic() < ends:
                time.sleep(0.02)
            assert session.latest is not None
        session.start_recording(Path(mkdtemp()))
        time.sleep(0.5)
        session.release()
        session.resume()
        time.sleep(0.5)
        session.disconnect()
        time.sleep(0.5)
        """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=120)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
