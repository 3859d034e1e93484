"""Test how a session learns what its market trades a day: asked live, remembered in recordings, never in the way."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backtest import backtest
from calculations import Order
from feeds import VENUES
from network.venue_facts import ask_daily_volume
from orderbook import Side
from recording.replay_feed import facts_of, meta
from sessions import daily_volumes
from sessions.daily_volumes import DailyVolumes
from sessions.market import Market
from sessions.session import Session
from tests.support.loopback import eventually
from tests.support.loopback_exchange import LoopbackExchange
from tests.support.loopback_ticker import LoopbackTicker
from tests.support.synthetic_recordings import okx_frames, write_recording
from websocket_client import FeedHub

OKX = Market("okx", "BTC-USDT")
ORDER = Order(Side.BUY, 0.5, style="schedule")


@pytest.fixture
def ticker(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackTicker]:
    """Yield a server that is OKX's REST host, for sessions that know no volume yet."""
    with LoopbackTicker() as server:
        monkeypatch.setattr(type(VENUES["okx"]), "volume_url", lambda _venue, _symbol: server.url)
        monkeypatch.setattr("sessions.session.DAILY_VOLUMES", DailyVolumes())
        yield server


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackExchange]:
    """Yield a server that is OKX's WebSocket host."""
    with LoopbackExchange("okx", "BTC-USDT") as server:
        monkeypatch.setattr(type(VENUES["okx"]), "url", lambda _venue, _symbol: server.url)
        yield server


@pytest.fixture
def session() -> Iterator[Session]:
    """Yield a session with an order whose impact depends on the volume."""
    session = Session(FeedHub(), ORDER)
    yield session
    session.disconnect()


def shown_volume(session: Session) -> tuple[float, str] | None:
    """Return the volume of the newest estimate and its origin; None without one."""
    newest = session.latest
    return None if newest is None else newest.estimate.parameters.get("daily_volume")


def change_until(session: Session, exchange: LoopbackExchange, wanted: tuple[float, str] | None) -> None:
    """Change the market until the newest estimate has this volume."""
    size = 1

    def changed() -> bool:
        nonlocal size
        size += 1
        exchange.change(bids=[("1", str(size))])
        return session.latest is not None and shown_volume(session) == wanted

    eventually(changed)


def test_live_market_is_priced_with_its_venues_volume_and_typed_one_wins(
    session: Session, exchange: LoopbackExchange, ticker: LoopbackTicker
) -> None:
    """The venue is asked once, at the start. A volume on the order counts more; without it the measured one is back."""
    session.connect(OKX)
    change_until(session, exchange, (5973.25, "measured"))
    assert session.latest is not None
    assert session.latest.estimate.parameters["eta_volume"].origin == "measured"
    session.order = Order(Side.BUY, 0.5, style="schedule", daily_volume=80.0)
    change_until(session, exchange, (80.0, "typed"))
    session.order = ORDER
    change_until(session, exchange, (5973.25, "measured"))
    assert ticker.paths == ["/ticker"]


def test_recording_remembers_the_volume_for_player_and_backtest(
    session: Session, exchange: LoopbackExchange, ticker: LoopbackTicker, tmp_path: Path
) -> None:
    """What is played later, and priced in a backtest, has the volume of the day when it was recorded; so has a copy."""
    session.connect(OKX)
    change_until(session, exchange, (5973.25, "measured"))
    session.start_recording(tmp_path)
    recorder = session.recorder
    assert recorder is not None
    eventually(lambda: recorder.received)
    change_until(session, exchange, (5973.25, "measured"))
    session.stop_recording()
    session.disconnect()
    about = meta(recorder.path)
    assert about["daily_volume"] == 5973.25
    ticker.volume = 1.0
    market = Market("okx", "BTC-USDT", recording=recorder.path, facts=json.dumps(facts_of(about)))
    session.connect(market)
    eventually(lambda: shown_volume(session) == (5973.25, "measured"))
    session.start_recording(tmp_path / "copy")
    assert session.recorder is not None
    eventually(lambda: session.recorder and session.recorder.received)
    session.stop_recording()
    assert meta(session.recorder.path)["daily_volume"] == 5973.25
    rows = backtest(recorder.path, "okx", "BTC-USDT", ORDER, tmp_path)
    assert set(zip(rows["daily_volume_base"], rows["daily_volume_origin"], strict=True)) == {(5973.25, "measured")}
    assert ticker.paths == ["/ticker"]


def test_recording_and_typed_address_are_not_asked_for(
    session: Session, exchange: LoopbackExchange, ticker: LoopbackTicker, tmp_path: Path
) -> None:
    """They may be of any day, or of another market altogether."""
    session.connect(Market("okx", "BTC-USDT", address=exchange.url))
    change_until(session, exchange, None)
    session.connect(Market("okx", "BTC-USDT", recording=write_recording(tmp_path / "r.jsonl", okx_frames(5))))
    eventually(lambda: session.latest)
    assert shown_volume(session) is None
    assert ticker.paths == []


def test_volume_of_a_recording_that_cannot_be_is_refused() -> None:
    """The sentence names the value."""
    with pytest.raises(ValueError, match="daily volume cannot be -3"):
        Market("okx", "BTC-USDT", recording=Path("r.jsonl"), facts='{"daily_volume": -3}')


def test_failure_leaves_the_price_without_a_volume_and_logs_a_line(
    session: Session, exchange: LoopbackExchange, ticker: LoopbackTicker, caplog: pytest.LogCaptureFixture
) -> None:
    """A refusal is asked again no sooner than after a minute, and repeats nothing of what was sent."""
    caplog.set_level(logging.INFO, logger="network.venue_facts")
    ticker.status = 451
    session.connect(OKX)
    eventually(lambda: caplog.records)
    change_until(session, exchange, None)
    change_until(session, exchange, None)
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "no daily volume of a market from okx: 127.0.0.1" in caplog.text
    assert ticker.paths == ["/ticker"]
    assert session.status is not None
    assert session.status.callback_errors == 0


@pytest.mark.parametrize("volume", ["secret words", "0", "-1"])
def test_ticker_that_cannot_be_is_no_volume(
    ticker: LoopbackTicker, caplog: pytest.LogCaptureFixture, volume: str
) -> None:
    """A number that cannot be counts as none, and the log does not repeat it."""
    caplog.set_level(logging.INFO, logger="network")
    ticker.volume = volume
    assert ask_daily_volume(VENUES["okx"], "BTC-USDT") is None
    assert caplog.messages == ["no daily volume of a market from okx: okx broke the protocol (no volume in)"]


def test_volume_is_asked_again_in_time_and_forgotten_when_too_old(
    ticker: LoopbackTicker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five minutes later a new one counts; while the venue refuses, the last one counts for an hour."""
    now_s = 1000.0
    monkeypatch.setattr("sessions.daily_volumes.time.monotonic", lambda: now_s)
    volumes = DailyVolumes()

    def wait_for_answer() -> None:
        eventually(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("daily volume")])

    assert volumes.find(OKX) is None
    wait_for_answer()
    assert volumes.find(OKX) == 5973.25
    ticker.volume = 6000.5
    now_s += daily_volumes.REFRESH_S - 1
    assert volumes.find(OKX) == 5973.25
    assert len(ticker.paths) == 1
    now_s += 1
    assert volumes.find(OKX) == 5973.25, "the old one counts until the new one is there"
    wait_for_answer()
    assert volumes.find(OKX) == 6000.5
    ticker.status = 503
    asked_s = now_s
    for minutes in range(59):
        now_s = asked_s + 60 * minutes
        assert volumes.find(OKX) == 6000.5
        wait_for_answer()
    n_asked = len(ticker.paths)
    assert n_asked <= 2 + 59
    now_s = asked_s + daily_volumes.KEPT_S
    assert volumes.find(OKX) is None
    wait_for_answer()
    ticker.status = 200
    now_s += daily_volumes.RETRY_S
    volumes.find(OKX)
    wait_for_answer()
    assert volumes.find(OKX) == 6000.5


def test_sessions_share_a_question_and_never_wait_for_it(ticker: LoopbackTicker) -> None:
    """A hundred looks from four threads while the venue is slow are one question, and each is over at once."""
    ticker.answering.clear()
    volumes = DailyVolumes()
    began = time.perf_counter()
    lookers = [threading.Thread(target=lambda: [volumes.find(OKX) for _ in range(25)]) for _ in range(4)]
    for looker in lookers:
        looker.start()
    for looker in lookers:
        looker.join()
    assert time.perf_counter() - began < 2.0
    eventually(lambda: ticker.paths)
    assert volumes.find(OKX) is None
    ticker.answering.set()
    eventually(lambda: volumes.find(OKX) == 5973.25)
    assert len(ticker.paths) == 1


def test_venue_that_publishes_none_is_not_asked() -> None:
    """Nothing is started for the gateway, and the simulated market has no volume."""
    volumes = DailyVolumes()
    before = threading.active_count()
    assert volumes.find(Market("gomarket-okx", "BTC-USDT-SWAP")) is None
    assert volumes.find(Market("simulated", "BTC-USDT-SWAP")) is None
    assert threading.active_count() == before


def test_slow_ticker_is_given_up(ticker: LoopbackTicker) -> None:
    """A question takes no longer than its time."""
    ticker.answering.clear()
    began = time.perf_counter()
    assert ask_daily_volume(VENUES["okx"], "BTC-USDT", timeout_s=0.2) is None
    assert time.perf_counter() - began < 2.0
