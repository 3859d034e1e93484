"""Run a long market at ten times its speed, from client to history and recorder: nothing is lost and nothing grows."""

from __future__ import annotations

import gc
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from calculations import Order
from estimation.training_schedule import warm_up
from feeds import VENUES, fast_parser
from feeds.market_simulator import START_NS
from orderbook import OrderBook, Side
from replay import RecordedFrame, Recorder, ReplayEngine, ReplayFeed, decode, read, simulated
from sessions.market import Market
from sessions.session import Session
from tests.support.loopback import eventually, measure_resources, resources_released
from websocket_client import FeedHub

SYMBOL = "BTC-USDT-SWAP"
MARKET = Market("simulated", SYMBOL)
SPEED = 10.0
SAMPLES = 20
WARM = SAMPLES // 2
"""The first fits lie before this sample; what they import is there before the market begins."""
MOST_BOOKS = 400
"""The outcome of an estimate is judged on the books of the seconds after it; those wait."""
GROWTH_OBJECTS = 2000
GROWTH_BYTES = 24 * 2**20


class Sample(NamedTuple):
    """What the process holds at one moment; the learning thread comes and goes by design, and threads of tests before
    this one may yet end. The threads are those of the market at full speed, the rest is counted while it stands still.
    """

    rss_bytes: int
    objects: int
    books: int
    threads: frozenset[str]
    learning: int


def names_of_threads(others: set[int | None]) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.ident not in others]


def sample(names: list[str]) -> Sample:
    """Count what there is. No other thread may be at work: a tuple that it is about to fill must not be referred to
    here, or CPython raises SystemError there, and a row of the history is lost."""
    gc.collect()
    objects = gc.get_objects()
    return Sample(
        psutil.Process().memory_info().rss,
        len(objects),
        sum(isinstance(each, OrderBook) for each in objects),
        frozenset(names) - {"learning"},
        names.count("learning"),
    )


class Listener:
    """Counts the lines that were heard, by kind, and passes them on to a recorder."""

    def __init__(self, recorder: Recorder) -> None:
        self.heard: Counter[str] = Counter()
        self.last_ns: int | None = None
        self._recorder = recorder

    def note(self, kind: str, market_ns: int, text: str | bytes, url: str | None) -> None:
        if kind == "recv":
            tick = decode(text)
            self.heard[tick.kind] += 1
            self.last_ns = tick.market_ns or self.last_ns
        self._recorder.on_served_frame(kind, market_ns, text, url)


def sample_at_rest(engine: ReplayEngine, listener: Listener, others: set[int | None]) -> Sample:
    """Have the market stand still, count once every line sent is handled and no fit is at work, and go on."""
    names = names_of_threads(others)
    engine.pause()
    eventually(lambda: listener.last_ns == engine.position and "learning" not in names_of_threads(others))
    counted = sample(names)
    if not engine.ended:  # or it would begin again
        engine.play()
    return counted


def market(seconds: int) -> Iterator[tuple[str, RecordedFrame]]:
    """So many seconds of the simulated market at 10 frames a second, and what becomes of each frame: among
    the good ones come crossed books, noise, and frames of another symbol."""
    for number, good in enumerate(islice(simulated(SYMBOL, seed=7, start_ns=START_NS), 10 * seconds)):
        yield "books", good
        if number % 37 == 5:
            yield "refused", good._replace(message=good.message.replace('"asks":[["', '"asks":[["1","1"],["'))
        if number % 41 == 7:
            yield "refused", good._replace(message=good.message[: 40 + number % 1000])
        if number % 11 == 3:
            yield "ignored", good._replace(message=good.message.replace(SYMBOL, "ETH-USDT-SWAP"))


@pytest.mark.parametrize("seconds", [80, pytest.param(6000, marks=pytest.mark.slow)])
def test_long_market_loses_nothing_and_leaks_nothing(seconds: int, tmp_path: Path) -> None:
    """Every frame sent is a book, refused or ignored, as intended, and every book is a row of the history.

    The recording equals what was sent. Memory, objects and threads stay as they were after the first half, and when the
    market ends nothing is left. (`-m slow`: ten minutes of it.)
    """
    fast_parser.warm_up()
    warm_up()
    before = measure_resources()
    meant = Counter(outcome for outcome, _ in market(seconds))
    sent = sum(meant.values())
    recorder = Recorder("simulated", SYMBOL)
    recorder.start(tmp_path / "soak.jsonl.gz")
    listener = Listener(recorder)
    heard = listener.heard
    hub = FeedHub()
    session = Session(hub, Order(Side.BUY, 100_000.0, "quote"))
    samples = []
    with ReplayEngine((tick for _, tick in market(seconds)), SPEED) as engine:
        viewer = hub.attach(
            (MARKET.venue, SYMBOL),
            lambda: nullcontext(engine.url),
            lambda: ReplayFeed(VENUES["simulated"].make_feed(SYMBOL)),
            lambda _book: None,
        )
        viewer.record(listener.note, resync=False)
        session.connect(MARKET)
        engine.play()
        for number in range(1, SAMPLES + 1):
            eventually(lambda share=number: heard["recv"] >= sent * share // SAMPLES, timeout_s=60)  # type: ignore[misc]
            samples.append(sample_at_rest(engine, listener, before[0]))
        eventually(lambda: heard["end"])
        all_handled = threading.Event()
        viewer._shared.client.post(all_handled.set)  # the end, and the last book if it waited for a newer one
        eventually(all_handled.is_set)
        status, session_status = viewer.status, session.status
        viewer.unsubscribe()
        session.disconnect()
    recorder.close()

    assert heard["recv"] == sent
    assert (status.books, status.refused) == (meant["books"], meant["refused"])
    assert status.ignored == meant["ignored"] + heard["idle"] + heard["end"]
    assert status.books + status.refused + status.ignored == status.frames
    assert (status.callback_errors, status.reconnects) == (0, 0)
    assert session_status is not None
    assert (session_status.callback_errors, session_status.callback_error) == (0, None)
    assert len(session.history) + session.history.dropped == status.books - status.conflated
    assert session.profiler.latencies()["processing time"].count == status.books - status.conflated

    assert recorder.error is None
    recording = read(tmp_path / "soak.jsonl.gz")
    assert next(recording).kind == "meta"
    for (_, tick), recorded in zip(market(seconds), recording, strict=True):
        assert recorded == tick

    warm, last = samples[WARM], samples[-1]
    assert {each.threads for each in samples} == {warm.threads}
    assert max(each.learning for each in samples) <= 2
    assert max(each.books for each in samples) < MOST_BOOKS
    assert last.objects - warm.objects < GROWTH_OBJECTS
    assert last.rss_bytes - warm.rss_bytes < GROWTH_BYTES
    eventually(resources_released(before))
