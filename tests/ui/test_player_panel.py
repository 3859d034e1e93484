"""Play recordings on the page, without a browser; every hostile file is answered in a sentence."""

from __future__ import annotations

import gzip
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from recording.player import Player
from recording.recorder import RECORDINGS
from replay import RecordedFrame, encode, meta
from sessions.session import Session
from tests.recording.test_recording import HOSTILE
from tests.recording.test_tardis_csv import row, table
from tests.support.served_page import free_port
from tests.support.synthetic_recordings import BEGIN_NS, STEP_NS, okx_frames, write_recording
from tests.test_app import APP, metrics, page_text, run_until, sentences
from ui import data_source

UPLOAD = "recording file"
ODD_SWAP = "PEPE-USDT-SWAP"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """Return the page, running in a folder that holds only an empty folder of recordings."""
    monkeypatch.chdir(tmp_path)
    RECORDINGS.mkdir()
    page = AppTest.from_file(str(APP), default_timeout=20)
    page.session_state["source"] = "recording"
    page.session_state["venue"] = "okx"
    page.session_state["symbol"] = "BTC-USDT"
    yield page
    if "session" in page.session_state:
        page.session_state["session"].disconnect()
    st.cache_resource.clear()


def session(app: AppTest) -> Session:
    found: Session = app.session_state["session"]
    return found


def player(app: AppTest) -> Player:
    found = session(app).player
    assert found is not None
    return found


def page_shows(app: AppTest, words: str) -> Callable[[], bool]:
    return lambda: words in page_text(app)


def make_recording(name: str, count: int = 200) -> Path:
    return write_recording(RECORDINGS / name, okx_frames(count))


def slider_time(market_ns: int) -> datetime:
    """Return a market time as the slider holds it."""
    return datetime(1970, 1, 1) + timedelta(microseconds=market_ns // 1000)  # noqa: DTZ001


def test_recording_of_a_contract_brings_its_size(app: AppTest) -> None:
    """A swap that is not known here is played with its recording's size, and refused where that cannot be."""
    path = make_recording("made.jsonl", 60)
    lines = path.read_text().replace("BTC-USDT", ODD_SWAP)

    def say(value: float) -> None:
        about = {"t": "meta", "venue": "okx", "symbol": ODD_SWAP, "version": 1}
        path.write_text(json.dumps(about | {"contract": {"value": value, "inverse": False}}) + "\n" + lines)

    say(1000.0)
    run_until(app, lambda: "Net cost" in metrics(app))
    market = session(app).market
    priced = session(app).latest
    assert market is not None
    assert priced is not None
    assert (market.symbol, market.contract_size) == (ODD_SWAP, 1000.0)
    assert priced.book.asks.tolist() == [[101.0, 1000.0]]  # of one contract
    say(-1.0)
    app.run()
    assert not app.exception
    assert f"the recording's contract of {ODD_SWAP} cannot be read" in page_text(app)


def test_recording_plays_and_every_playback_control_works(app: AppTest) -> None:
    """It plays without a click; Pause, Step, Jump, speed and Play again, each seen in what the page then shows."""
    make_recording("made.jsonl", 60)
    run_until(app, lambda: "Net cost" in metrics(app))
    run_until(app, lambda: len(app.slider) == 1)
    assert "Recording, not now" in page_text(app)
    app.button(key="play").click().run()
    assert not player(app).playing
    run_until(app, page_shows(app, "Recording paused"))
    run_until(app, lambda: session(app).latest.book.market_ns == player(app).position)  # type: ignore[union-attr]
    before = player(app).position
    assert before is not None
    app.button(key="step").click().run()
    run_until(app, lambda: session(app).latest.book.market_ns == before + STEP_NS)  # type: ignore[union-attr]
    app.slider[0].set_value(slider_time(BEGIN_NS + STEP_NS * 3 // 2)).run()
    run_until(app, lambda: player(app).position == BEGIN_NS + 2 * STEP_NS)
    run_until(app, page_shows(app, "It went back in time, so the models learn anew."))
    app.selectbox(key="speed").set_value(0.0).run()
    app.button(key="play").click().run()
    run_until(app, page_shows(app, "The recording has ended"))
    app.button(key="play").click().run()
    assert not app.exception


def test_stale_slider_position_on_its_way_does_not_undo_a_step(app: AppTest) -> None:
    """Where a step led stays, although a request from before still says the place before it; a new place counts."""
    make_recording("made.jsonl", 60)
    run_until(app, lambda: len(app.slider) == 1 and "Net cost" in metrics(app))
    app.button(key="play").click().run()
    run_until(app, lambda: (place := player(app).position) is not None and app.slider[0].value == slider_time(place))
    before = player(app).position
    assert before is not None
    app.button(key="step").click().run()
    run_until(app, lambda: app.slider[0].value == slider_time(before + STEP_NS))
    app.slider[0].set_value(slider_time(before)).run()
    assert app.slider[0].value == slider_time(before + STEP_NS)
    assert not player(app).rewound
    assert player(app).position == before + STEP_NS
    app.slider[0].set_value(slider_time(before + 5 * STEP_NS)).run()
    run_until(app, lambda: player(app).position == before + 5 * STEP_NS)


def test_market_named_in_the_recording_wins_over_the_choice(app: AppTest) -> None:
    """A meta line with another market wins over the choice, and the page says so; an unknown venue does not win."""
    about = {"t": "meta", "venue": "okx", "symbol": "BTC-USDT"}
    path = make_recording("made.jsonl")
    path.write_bytes(json.dumps(about).encode() + b"\n" + path.read_bytes())
    app.session_state["venue"] = "kraken"
    app.session_state["symbol"] = "BTC/USD"
    run_until(app, lambda: "Net cost" in metrics(app))
    assert "It is of OKX, BTC-USDT: that counts, not the choice above." in page_text(app)
    assert session(app).market.venue == "okx"  # type: ignore[union-attr]
    path.write_bytes(path.read_bytes().replace(b'"okx"', b'"else"', 1))
    run_until(app, page_shows(app, "The recording names else BTC-USDT, which is not known here"))
    assert session(app).market.venue == "kraken"  # type: ignore[union-attr]
    run_until(app, page_shows(app, "There is no order book of Kraken"))


def test_tardis_csv_plays_as_the_market_it_names(app: AppTest) -> None:
    """A Tardis file is a recording like any other, of the market that it names."""
    table(RECORDINGS / "book.csv.gz", 5, *(row(5, index * 100_000) for index in range(30)))
    run_until(app, lambda: "Net cost" in metrics(app))
    assert "Binance futures" in page_text(app)
    app.button(key="play").click().run()
    assert not app.exception


def test_raw_log_of_any_name_plays_and_says_what_was_assumed(app: AppTest) -> None:
    """A log in the folder is listed by its content, plays as the market of its messages, and other files are not."""
    lines = [f"{frame.market_ns} {frame.message}\n" for frame in okx_frames(50)]
    (RECORDINGS / "from the collector.txt").write_text("".join(lines))
    (RECORDINGS / "notes.txt").write_text("a shopping list\n")
    (RECORDINGS / ".hidden").write_text("".join(lines))
    app.session_state["venue"] = "kraken"
    app.session_state["symbol"] = "BTC/USD"
    run_until(app, lambda: "Net cost" in metrics(app))
    assert app.selectbox(key="recording").options == ["from the collector.txt", "Upload a file"]
    shown = page_text(app).replace("\\", "")
    assert "Opened as a log of raw messages of okx BTC-USDT, one a line" in shown
    assert "the clock before each is nanoseconds since 1970" in shown
    assert session(app).market.venue == "okx"  # type: ignore[union-attr]


def test_packed_log_is_uploaded_under_any_name(app: AppTest) -> None:
    """The uploader takes every file, and its content decides."""
    content = gzip.compress("".join(f"{frame.message}\n" for frame in okx_frames(50)).encode())
    app.run()
    app.file_uploader(key=UPLOAD).upload("capture.bin", content, "application/octet-stream").run()
    run_until(app, lambda: "Net cost" in metrics(app))
    assert not app.exception


def test_log_of_several_symbols_takes_the_symbol_chosen_above(app: AppTest) -> None:
    """The messages name the exchange; which of their symbols is meant only the user knows."""
    both = [
        frame.message.replace("BTC-USDT", symbol) for frame in okx_frames(20) for symbol in ("BTC-USDT", "ETH-USDT")
    ]
    (RECORDINGS / "both.log").write_text("\n".join(both) + "\n")
    app.session_state["venue"] = "kraken"
    app.session_state["symbol"] = "BTC/USD"
    app.run()
    assert "is of several symbols of OKX: choose that exchange above" in page_text(app).replace("\\", "")
    app.selectbox(key="venue").set_value("okx").run()
    app.selectbox(key="symbol").set_value("ETH-USDT").run()
    run_until(app, lambda: session(app).latest is not None)
    assert session(app).latest.book.symbol == "ETH-USDT"  # type: ignore[union-attr]


def test_amounts_of_open_unit_wait_for_the_users_word(app: AppTest) -> None:
    """Nothing is priced until the unit is chosen; then contracts of the size that was typed become coins."""
    table(RECORDINGS / "bitmex.csv", 5, *(row(5, n * 100_000, "bitmex", "XBTUSD") for n in range(30)))
    app.run()
    assert "The amounts of bitmex XBTUSD are in a unit that is not known here" in page_text(app).replace("\\", "")
    assert session(app).market is None
    app.selectbox(key="amounts").set_value("contracts").run()
    assert session(app).market is None
    app.number_input(key="amounts size").set_value(0.5).run()
    run_until(app, lambda: session(app).latest is not None)
    book = session(app).latest.book  # type: ignore[union-attr]
    assert book.asks[:2, 1].tolist() == [0.625, 1.125]
    assert "contracts of 0.5 base units" in page_text(app).replace("\\", "")
    app.selectbox(key="amounts").set_value("base").run()
    run_until(app, lambda: (latest := session(app).latest) is not None and latest.book.asks[0, 1] == 1.25)
    assert not app.exception


def test_table_that_names_no_market_plays_as_the_chosen_one(app: AppTest) -> None:
    """It is listed and opened by its content; the unit of the amounts is asked for, and the choice above counts."""
    lines = ["time,bid_price_1,bid_size_1,ask_price_1,ask_size_1"]
    lines += [f"{BEGIN_NS // 10**6 + 100 * n},100,{1 + n},101,2" for n in range(30)]
    (RECORDINGS / "my books.txt").write_text("\n".join(lines) + "\n")
    app.run()
    assert "The amounts in this table of a book a row are in a unit that it does not say" in page_text(app)
    app.selectbox(key="amounts").set_value("base").run()
    run_until(app, lambda: "Net cost" in metrics(app))
    assert session(app).latest.book.asks.tolist() == [[101.0, 2.0]]  # type: ignore[union-attr]
    assert "amounts are base units, time is milliseconds since 1970" in page_text(app).replace("\\", "")
    assert not app.exception


def test_upload_plays_from_a_private_folder_that_is_deleted_with_it(app: AppTest) -> None:
    """An upload plays like a file of the folder; nobody else can read its copy, which is deleted with it."""
    content = gzip.compress(b"".join(encode(tick) + b"\n" for tick in okx_frames(50)))
    app.run()
    app.file_uploader(key=UPLOAD).upload("../../my own.jsonl.gz", content, "application/gzip").run()
    run_until(app, lambda: "Net cost" in metrics(app))
    path = session(app).market.recording  # type: ignore[union-attr]
    assert path is not None
    assert path.read_bytes() == content
    assert path.parent.stat().st_mode & 0o077 == 0
    assert list(RECORDINGS.iterdir()) == []
    app.selectbox(key="source").set_value("exchange")
    app.selectbox(key="venue").set_value("simulated").run()
    run_until(app, lambda: session(app).player is None)
    del app.session_state["upload"]
    deadline = time.monotonic() + 5
    while path.parent.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


BOMB = gzip.compress(encode(RecordedFrame("recv", 1, "x" * 100_000)) + b"\n") * 1100
BROKEN_FURTHER_ON = {
    "a bomb": (BOMB, "unpacks to over 100,000,000 bytes"),
    "zeros": (gzip.compress(b"\0" * 2**20) * 100, "longer than"),
    "late nonsense": (b"".join(encode(tick) + b"\n" for tick in okx_frames(50)) + b"<html>\n", "line 51"),
    "no books": (
        b"".join(encode(RecordedFrame("recv", n, "[" * 100_000)) + b"\n" for n in range(9)),
        "There is no order book",
    ),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_file_that_is_not_a_recording_is_refused_in_a_sentence(app: AppTest, content: bytes) -> None:
    """The page answers every such upload in one short sentence and stays usable."""
    app.run()
    app.file_uploader(key=UPLOAD).upload("evil ![](http://x).jsonl", content, "text/plain").run()
    assert not app.exception
    (sentence,) = sentences(app.error)
    assert "can't be played: line 1: " in sentence
    assert len(sentence) < 400
    assert "![](" not in app.error[0].value
    assert session(app).market is None


@pytest.mark.parametrize(("content", "words"), BROKEN_FURTHER_ON.values(), ids=BROKEN_FURTHER_ON.keys())
def test_recording_that_breaks_further_on_is_explained_in_a_sentence(
    app: AppTest, content: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recording that begins well: the page names the problem, goes on, and stays within its bounds."""
    assert 64 * 2**20 < data_source.MAX_UNPACKED_BYTES <= 2**30
    monkeypatch.setattr(data_source, "MAX_UNPACKED_BYTES", 100_000_000)
    app.run()
    app.file_uploader(key=UPLOAD).upload("r.jsonl", content, "text/plain").run()
    run_until(app, page_shows(app, words), timeout_s=40)
    assert not app.exception


def test_recording_made_on_the_page_plays(app: AppTest) -> None:
    """Record, stop, download: what was recorded of the simulated market is in the folder and plays at once."""
    app.session_state["source"] = "exchange"
    app.session_state["venue"] = "simulated"
    app.session_state["symbol"] = "BTC-USDT-SWAP"
    run_until(app, lambda: "Net cost" in metrics(app))
    app.button(key="record").click().run()
    recorder = session(app).recorder
    assert recorder is not None
    run_until(app, lambda: recorder.frames >= 3)
    run_until(app, page_shows(app, f"{recorder.path.name}:"))
    app.button(key="record").click().run()
    assert recorder.finished
    assert f"Recorded {recorder.path}: {recorder.frames:,} frames" in page_text(app)
    assert [each.label for each in app.get("download_button")].count("Download") == 1
    app.selectbox(key="source").set_value("recording").run()
    run_until(app, lambda: session(app).player is not None and session(app).latest is not None)
    assert player(app).path == recorder.path


def test_command_in_the_help_of_record_runs_as_it_stands(app: AppTest) -> None:
    """The command runs as it stands, from the folder the page runs in, into the folder that the page lists."""
    app.session_state["source"] = "exchange"
    app.session_state["venue"] = "simulated"
    app.session_state["symbol"] = "ETH-USDT-SWAP"
    run_until(app, lambda: "Net cost" in metrics(app))
    command = app.button(key="record").help.split("`")[1]
    subprocess.run(["/bin/bash", "-c", f"{command} --hours 0.001"], check=True, timeout=60, capture_output=True)
    (path,) = RECORDINGS.iterdir()
    assert (meta(path)["venue"], meta(path)["symbol"]) == ("simulated", "ETH-USDT-SWAP")


def test_recording_a_silent_exchange_leaves_no_file(app: AppTest) -> None:
    """The page says that nothing arrived, offers no download, and has no new file to play."""
    app.session_state["source"] = "address"
    app.session_state["address"] = f"ws://127.0.0.1:{free_port()}"
    run_until(app, lambda: session(app).status is not None)
    app.button(key="record").click().run()
    assert len(list(RECORDINGS.iterdir())) == 1
    app.button(key="record").click().run()
    assert "Nothing arrived while it recorded, so there is no file." in page_text(app)
    assert "Recorded " not in page_text(app)
    assert "It can't be downloaded" not in page_text(app)
    assert "Download" not in [each.label for each in app.get("download_button")]
    assert list(RECORDINGS.iterdir()) == []
    assert not app.exception


def test_unwritable_recordings_folder_is_explained_in_a_sentence(app: AppTest) -> None:
    """Where no file can be made, the page says so, goes on, and the button works once there is room."""
    app.session_state["source"] = "exchange"
    app.session_state["venue"] = "simulated"
    app.session_state["symbol"] = "BTC-USDT-SWAP"
    RECORDINGS.rmdir()
    RECORDINGS.write_text("in the way")
    run_until(app, lambda: "Net cost" in metrics(app))
    app.button(key="record").click().run()
    assert "Nothing can be recorded: " in page_text(app)
    RECORDINGS.unlink()
    app.button(key="record").click().run()
    assert "Nothing can be recorded" not in page_text(app)
    assert session(app).recorder is not None
