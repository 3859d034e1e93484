"""Check real frames from socket to estimate, against an oracle that knows only JSON and exact decimals."""

from __future__ import annotations

import gzip
import json
import threading
from decimal import Decimal, getcontext
from pathlib import Path

import pytest

from calculations import Estimate, Order, TradingCalculator
from feeds import VENUES
from orderbook import OrderBook, Side
from replay import ReplayFeed, serve
from websocket_client import WebSocketClient

SYMBOL = "BTC-USDT-SWAP"
SIZES = (10_000, 100_000, 1_000_000, 5_000_000)
CONTRACT = Decimal("0.01")


def exact_walk_bps(frame: str, dollars: int) -> Decimal | None:
    """Compute the exact book-walk slippage of a buy, bps of the mid; None where the book is too thin."""
    getcontext().prec = 50
    message = json.loads(frame, parse_float=Decimal)
    asks = [(Decimal(price), Decimal(size) * CONTRACT) for price, size in message["asks"]]
    mid = (asks[0][0] + Decimal(message["bids"][0][0])) / 2
    quantity = left = Decimal(dollars) / mid
    paid = Decimal(0)
    for price, size in asks:
        taken = min(size, left)
        paid += taken * price
        left -= taken
        if not left:
            return (paid / quantity / mid - 1) * 10_000
    return None


@pytest.fixture(scope="module")
def frames(recordings: Path) -> list[str]:
    with gzip.open(recordings / f"gomarket-okx_{SYMBOL}_20250515.jsonl.gz", "rt") as lines:
        return [json.loads(line)["data"] for line in lines]


def test_estimates_on_158_real_frames_equal_exact_decimals(recordings: Path, frames: list[str]) -> None:
    """The frames are served on a socket to the ordinary client and calculators.

    Every frame is a book, none is refused, and the walk of four sizes equals the exact one to 1e-9 bps, frames that are
    too thin included.
    """
    path = recordings / f"gomarket-okx_{SYMBOL}_20250515.jsonl.gz"
    calculators = [TradingCalculator(Order(Side.BUY, float(dollars), "quote"), 0.01) for dollars in SIZES]
    estimates: list[list[Estimate]] = []
    done = threading.Event()

    def on_book(book: OrderBook) -> None:
        estimates.append([calculator.estimate(book) for calculator in calculators])
        if len(estimates) == len(frames):
            done.set()

    with serve(path, speed=0) as url:
        feed = VENUES["gomarket-okx"]
        client = WebSocketClient(url, lambda: ReplayFeed(feed.make_feed(SYMBOL)), on_book, conflate=False)
        client.start()
        assert done.wait(20)
        status = client.status
        client.stop()
    assert (len(frames), status.books, status.refused, status.conflated) == (158, 158, 0, 0)
    thin = dict.fromkeys(SIZES, 0)
    for frame, row in zip(frames, estimates, strict=True):
        for dollars, estimate in zip(SIZES, row, strict=True):
            exact = exact_walk_bps(frame, dollars)
            if exact is None:
                thin[dollars] += 1
                assert estimate.walk_bps is None
                assert estimate.unfilled > 0
            else:
                assert estimate.unfilled == 0
                assert estimate.walk_bps == pytest.approx(float(exact), abs=1e-9)
    assert thin[10_000] == thin[100_000] == 0
    assert 0 < thin[1_000_000] < thin[5_000_000]
