"""Price a recording on the live path, as rows of the export that a backtest must equal."""

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


class LivePath:
    """A calculator and a history for each order, as a page has them."""

    def __init__(self, source: RecordingSource, orders: Sequence[Order]) -> None:
        self.histories = [ExportManager() for _ in orders]
        self.calculators = [TradingCalculator(order, source.contract_size or math.nan) for order in orders]
        for calculator in self.calculators:
            calculator.daily_volume = source.daily_volume
        for history in self.histories:
            history.market = (source.venue, source.symbol)

    def add_book(self, book: OrderBook) -> None:
        """Estimate all orders on the book and add the rows to the histories."""
        for calculator, history in zip(self.calculators, self.histories, strict=True):
            history.append(calculator.estimate(book))
            history.realise(calculator.realised())

    def frames(self) -> list[pd.DataFrame]:
        """Return the rows of each order."""
        return [history.frame() for history in self.histories]


def price_served_books(source: RecordingSource, orders: Sequence[Order], count: int) -> LivePath:
    """Serve every frame on a socket to the ordinary client, which skips none, and price all `count` books."""
    live = LivePath(source, orders)
    all_priced = threading.Event()
    n_books = 0

    def on_book(book: OrderBook) -> None:
        nonlocal n_books
        live.add_book(book)
        n_books += 1
        if n_books == count:
            all_priced.set()

    with serve(source.path, speed=0) as url:
        make_feed = VENUES[source.venue].make_feed
        client = WebSocketClient(url, lambda: ReplayFeed(make_feed(source.symbol)), on_book, conflate=False)
        client.start()
        try:
            assert all_priced.wait(60), f"{n_books} of {count} books came"
            assert client.status.callback_errors == 0
        finally:
            client.stop()
    return live


def price_books(source: RecordingSource, orders: Sequence[Order], books: Iterable[OrderBook]) -> LivePath:
    """Price these books of a recording without a socket."""
    live = LivePath(source, orders)
    for book in books:
        live.add_book(book)
    return live


def assert_same_rows(actual: pd.DataFrame, live: pd.DataFrame) -> None:
    """Assert that all columns are equal to 1e-9, with None in the same places, except the latency of this machine."""
    assert list(actual) == list(live)
    assert len(actual) == len(live)
    for name in actual:
        if name == "processing_ms":
            continue
        actual_column, live_column = actual[name], live[name]
        if live_column.dtype.kind in "if":
            np.testing.assert_allclose(
                actual_column.to_numpy(float),
                live_column.to_numpy(float),
                rtol=TOLERANCE,
                atol=TOLERANCE,
                err_msg=str(name),
            )
            if str(name).endswith("_ns"):
                assert actual_column.tolist() == live_column.tolist(), name
        else:
            assert (
                actual_column.astype(object).where(actual_column.notna(), None).tolist()
                == live_column.astype(object).where(live_column.notna(), None).tolist()
            ), name
