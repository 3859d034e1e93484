"""What the live path says of a recording, as rows of the export: what a backtest must say, too."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from backtesting.book_cache import RecordingSource
from calculations import Order, TradingCalculator
from export_manager import ExportManager
from feeds import VENUES
from orderbook import OrderBook
from replay import ReplayFeed, serve
from websocket_client import WebSocketClient

TOLERANCE = 1e-9


class Live:
    """A calculator and a history an order, as a page has them."""

    def __init__(self, source: RecordingSource, orders: Sequence[Order]) -> None:
        self.histories = [ExportManager() for _ in orders]
        self.calculators = [TradingCalculator(order, source.contract_size or math.nan) for order in orders]
        for history in self.histories:
            history.market = (source.venue, source.symbol)

    def show(self, book: OrderBook) -> None:
        for calculator, history in zip(self.calculators, self.histories, strict=True):
            history.append(calculator.estimate(book))
            history.realise(calculator.realised())

    def frames(self) -> list[pd.DataFrame]:
        return [history.frame() for history in self.histories]


def served(source: RecordingSource, orders: Sequence[Order], count: int) -> Live:
    """Every frame served on a socket, nothing left out, to the ordinary client: `count` books."""
    live, done = Live(source, orders), threading.Event()
    shown = 0

    def on_book(book: OrderBook) -> None:
        nonlocal shown
        live.show(book)
        shown += 1
        if shown == count:
            done.set()

    with serve(source.path, speed=0) as url:
        make_feed = VENUES[source.venue].make_feed
        client = WebSocketClient(url, lambda: ReplayFeed(make_feed(source.symbol)), on_book, conflate=False)
        client.start()
        try:
            assert done.wait(60), f"{shown} of {count} books came"
            assert client.status.callback_errors == 0
        finally:
            client.stop()
    return live


def shown(source: RecordingSource, orders: Sequence[Order], books: Iterable[OrderBook]) -> Live:
    """The same without the socket."""
    live = Live(source, orders)
    for book in books:
        live.show(book)
    return live


def assert_same_rows(found: pd.DataFrame, live: pd.DataFrame) -> None:
    """All columns but the latency of this machine, to 1e-9; unknown where unknown."""
    assert list(found) == list(live)
    assert len(found) == len(live)
    for name in found:
        if name == "processing_ms":
            continue
        ours, theirs = found[name], live[name]
        if theirs.dtype.kind in "if":
            np.testing.assert_allclose(
                ours.to_numpy(float), theirs.to_numpy(float), rtol=TOLERANCE, atol=TOLERANCE, err_msg=str(name)
            )
            if str(name).endswith("_ns"):
                assert ours.tolist() == theirs.tolist(), name
        else:
            assert (
                ours.astype(object).where(ours.notna(), None).tolist()
                == theirs.astype(object).where(theirs.notna(), None).tolist()
            ), name
