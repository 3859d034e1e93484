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
from estimation.fit_worker import WORKER
from estimation.warm_up import warm_up
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
"""The first fits are before this sample; the modules they import are loaded before the market begins."""
MOST_BOOKS = 400
"""The process holds fewer books than this: the outcome of an estimate needs the books of the seconds after it."""
GROWTH_OBJECTS = 2000
GROWTH_BYTES = 24 * 2**20


class Sample(NamedTuple):
    """The memory, objects and threads of the process.

    Threads are counted while the market runs at full speed, everything else while it is paused. Threads of
    earlier tests may end later.
    """

    rss_bytes: int
    objects: int
    books: int
    threads: frozenset[str]


def thread_names(other_threads: set[int | None]) -> list[str]:
    """Return the names of all threads but these."""
    return [thread.name for thread in threading.enumerate() if thread.ident not in other_threads]


def take_sample(names: list[str]) -> Sample:
    """Count memory, objects and threads while no other thread works.

    A reference from here to a tuple that another thread is about to fill would make CPython raise SystemError there,
    and a row of the history would be lost.
    """
    gc.collect()
    objects = gc.get_objects()
    return Sample(
        psutil.Process().memory_info().rss,
        len(objects),
        sum(isinstance(item, OrderBook) for item in objects),
        frozenset(names),
    )


class Listener:
    """A listener that counts the received lines by kind and passes them on to a recorder."""

    def __init__(self, recorder: Recorder) -> None:
        self.line_counts: Counter[str] = Counter()
        self.last_ns: int | None = None
        self._recorder = recorder

    def record_line(self, kind: str, market_ns: int, text: str | bytes, url: str | None) -> None:
        """Count one line, note its time, and record it."""
        if kind == "recv":
            tick = decode(text)
            self.line_counts[tick.kind] += 1
            self.last_ns = tick.market_ns or self.last_ns
        self._recorder.on_served_frame(kind, market_ns, text, url)


def sample_at_rest(engine: ReplayEngine, listener: Listener, other_threads: set[int | None]) -> Sample:
    """Pause the market, take a sample once every sent line is handled and no fit is running, and continue."""
    names = thread_names(other_threads)
    engine.pause()
    eventually(lambda: listener.last_ns == engine.position and WORKER.is_idle)
    sample = take_sample(names)
    if not engine.ended:  # otherwise it would begin again
        engine.play()
    return sample


def market(seconds: int) -> Iterator[tuple[str, RecordedFrame]]:
    """Yield frames of the simulated market at 10 a second, each with its outcome.

    Between the good ones are crossed books, noise, and frames of another symbol.
    """
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
    intended = Counter(outcome for outcome, _ in market(seconds))
    sent = sum(intended.values())
    recorder = Recorder("simulated", SYMBOL)
    recorder.start(tmp_path / "soak.jsonl.gz")
    listener = Listener(recorder)
    line_counts = listener.line_counts
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
        viewer.record(listener.record_line, resync=False)
        session.connect(MARKET)
        engine.play()
        for number in range(1, SAMPLES + 1):
            eventually(lambda share=number: line_counts["recv"] >= sent * share // SAMPLES, timeout_s=60)  # type: ignore[misc]
            samples.append(sample_at_rest(engine, listener, before[0]))
        eventually(lambda: line_counts["end"])
        all_handled = threading.Event()
        viewer._shared.client.post(all_handled.set)  # the end, and the last book if it waited for a newer one
        eventually(all_handled.is_set)
        status, session_status = viewer.status, session.status
        viewer.unsubscribe()
        session.disconnect()
    recorder.close()

    assert line_counts["recv"] == sent
    assert (status.books, status.refused) == (intended["books"], intended["refused"])
    assert status.ignored == intended["ignored"] + line_counts["idle"] + line_counts["end"]
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
    assert {sample.threads for sample in samples} == {warm.threads}
    assert max(sample.books for sample in samples) < MOST_BOOKS
    assert last.objects - warm.objects < GROWTH_OBJECTS
    assert last.rss_bytes - warm.rss_bytes < GROWTH_BYTES
    eventually(resources_released(before))
