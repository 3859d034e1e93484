"""Test one viewer's session: prices appear, orders and markets change, and nothing is left behind."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import psutil
import pytest

from calculations import Estimate, Order
from orderbook import Side
from sessions.market import Market
from sessions.session import NEW_BOOK_S, NEXT_BOOK_DUE_S, Session, parse_learned
from tests.support.loopback import eventually
from websocket_client import FeedHub

SIMULATED = Market("simulated", "BTC-USDT-SWAP")


def count_threads_and_sockets() -> tuple[int, int]:
    """Count the feed and replay threads of this process, and its open sockets."""
    ours = ("feed", "replay")
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(ours)]
    return len(threads), len(psutil.Process().net_connections())


def test_session_prices_a_market_and_follows_the_order() -> None:
    """A simulated market gives estimates at once, and the next one after a new order is of that order."""
    session = Session(FeedHub(), Order(Side.BUY, 100_000.0, "quote"))
    session.connect(SIMULATED)
    eventually(lambda: session.latest)
    session.order = Order(Side.SELL, 2.0)
    eventually(lambda: session.latest and session.latest.estimate.order.quantity == 2.0)
    assert session.latest is not None
    assert session.latest.estimate.order.side is Side.SELL
    assert session.status is not None
    assert session.status.state == "live"
    session.disconnect()
    assert session.status is None


def test_waiting_for_a_due_book_brings_it() -> None:
    """While a market sends ten books a second, asking for the next one some time after the last brings it."""
    session = Session(FeedHub(), Order(Side.BUY, 1.0))
    session.connect(SIMULATED)

    def waited() -> bool:
        seen = session.latest
        if seen is None or not 0.03 < (time.perf_counter_ns() - seen.estimate.stamps.received_ns) / 1e9 < 0.06:
            return False
        session.wait_for_due_book()
        return session.latest is not seen

    eventually(waited)
    session.disconnect()


def test_waiting_returns_at_once_if_no_book_is_due() -> None:
    """Before the first book, right after one, and once a market has fallen silent, there is nothing to wait for."""
    session = Session(FeedHub(), Order(Side.BUY, 1.0))
    session.wait_for_due_book()
    session.connect(SIMULATED)
    eventually(lambda: session.latest)
    session.disconnect()
    shown = session.latest
    assert shown is not None

    def asked_at(age_s: float) -> float:
        received_ns = time.perf_counter_ns() - round(age_s * 1e9)
        estimate = shown.estimate
        stamps = estimate.stamps._replace(received_ns=received_ns)
        session.latest = shown._replace(estimate=Estimate(estimate.row, estimate.order, stamps, estimate.market_ns))
        began = time.perf_counter()
        session.wait_for_due_book()
        return time.perf_counter() - began

    # A busy machine can be slow, but not time and again.
    for age_s in (0.0, NEXT_BOOK_DUE_S, 60.0):
        assert min(asked_at(age_s) for _ in range(10)) < NEW_BOOK_S
    assert max(asked_at(2 * NEW_BOOK_S) for _ in range(10)) > NEXT_BOOK_DUE_S - 3 * NEW_BOOK_S


def test_two_sessions_share_one_feed_and_keep_their_own_orders() -> None:
    """The same market on two tabs is one feed; each tab prices its own order."""
    hub = FeedHub()
    first, second = Session(hub, Order(Side.BUY, 1.0)), Session(hub, Order(Side.BUY, 3.0))
    for session in (first, second):
        session.connect(SIMULATED)
    for session, quantity in ((first, 1.0), (second, 3.0)):
        eventually(lambda each=session: each.latest)  # type: ignore[misc]
        assert session.latest is not None
        assert session.latest.estimate.quantity == quantity
    feeds = [thread for thread in threading.enumerate() if thread.name.startswith("feed")]
    assert len(feeds) == 1
    first.disconnect()
    seen = second.latest
    eventually(lambda: second.latest is not seen)
    second.disconnect()


def test_released_session_resumes_with_its_market() -> None:
    """A tab that went away and came back goes on with the same market and history."""
    session = Session(FeedHub(), Order(Side.BUY, 1.0))
    session.connect(SIMULATED)
    eventually(lambda: session.latest)
    session.release()
    assert session.market == SIMULATED
    before = session.latest
    session.resume()
    eventually(lambda: session.latest is not before)
    session.disconnect()
    session.resume()
    assert session.status is None


def test_fifty_sessions_leave_no_thread_and_no_socket() -> None:
    """After fifty visits there is no thread and no socket more than before the first."""
    hub = FeedHub()
    eventually(lambda: count_threads_and_sockets()[0] == 0)
    before = count_threads_and_sockets()
    for _ in range(50):
        session = Session(hub, Order(Side.BUY, 1.0))
        session.connect(SIMULATED)
        eventually(lambda each=session: each.latest)  # type: ignore[misc]
        session.release()
    eventually(lambda: count_threads_and_sockets() <= before, timeout_s=5)


@pytest.mark.parametrize(
    ("market", "words"),
    [
        (Market("gomarket-okx", "BTC-USDT-SWAP", address="http://127.0.0.1:9"), "ws://"),
        (Market("gomarket-okx", "BTC-USDT-SWAP", recording=Path("missing.jsonl")), "missing.jsonl"),
    ],
)
def test_market_that_cannot_be_opened_raises_with_the_reason(market: Market, words: str) -> None:
    """A wrong address and a missing recording raise at once, with the offending value."""
    session = Session(FeedHub(), Order(Side.BUY, 1.0))
    with pytest.raises((ValueError, OSError), match=words):
        session.connect(market)
    assert session.status is None


def test_unknown_symbol_is_refused_by_name() -> None:
    """A contract whose size is unknown cannot be priced, so there is no such market."""
    with pytest.raises(ValueError, match="DOGE-USDT-SWAP"):
        Market("gomarket-okx", "DOGE-USDT-SWAP")


def test_saved_learning_continues_in_another_session() -> None:
    """A session that continues another one's model state has its samples at the first book."""
    order = Order(Side.BUY, 1.0, passive_s=0.5)
    teacher = Session(FeedHub(), order)
    teacher.connect(SIMULATED)
    assert teacher.calculator is not None
    eventually(teacher.calculator.learned, timeout_s=30)
    content = json.dumps(teacher.calculator.learned()).encode()
    teacher.disconnect()
    pupil = Session(FeedHub(), order)
    pupil.connect(SIMULATED, parse_learned(content, SIMULATED))
    eventually(lambda: pupil.latest)
    assert pupil.calculator is not None
    scorecard = pupil.calculator.scorecard()
    assert scorecard is not None
    assert scorecard.samples >= 10
    pupil.disconnect()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"null", "nothing had been learned"),
        (b"[1]", "not a file of saved learning"),
        (b"{", "Expecting"),
        (b'{"venue": "okx", "symbol": "BTC-USDT"}', "okx BTC-USDT"),
    ],
)
def test_saved_learning_that_does_not_fit_is_refused_with_the_reason(content: bytes, words: str) -> None:
    """A file that is broken, empty or of another market is refused with its reason."""
    with pytest.raises(ValueError, match=words):
        parse_learned(content, SIMULATED)
