"""Make recordings of an OKX book that changes with every frame, and listen to what a server sends."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from websockets.sync.client import ClientConnection, connect

from feeds import VENUES, Feed
from orderbook import OrderBook
from replay import RecordedFrame, encode

BEGIN_NS = 1_700_000_000_000_000_000
STEP_NS = 100_000_000


def okx_feed() -> Feed:
    """Make the feed of the recorded symbol."""
    return VENUES["okx"].make_feed("BTC-USDT")


def okx_message(seq: int, previous: int) -> str:
    """Make a snapshot (previous -1) or change of an OKX book.

    `seq` is the size of the best bid, at 100, and of the bid at 99 - seq % 50.
    """
    bids = [["100", str(seq), "0", "1"], [str(99 - seq % 50), str(seq), "0", "1"]]
    data = {"asks": [["101", "1", "0", "1"]], "bids": bids, "ts": "1700000000000"}
    action = "snapshot" if previous < 0 else "update"
    message = {"arg": {"channel": "books", "instId": "BTC-USDT"}, "action": action}
    return json.dumps({**message, "data": [{**data, "checksum": 0, "prevSeqId": previous, "seqId": seq}]})


def okx_frames(count: int, first: int = 1) -> list[RecordedFrame]:
    """Make a snapshot and changes, each on the one before, 100 ms apart."""
    return [
        RecordedFrame("recv", BEGIN_NS + seq * STEP_NS, okx_message(seq, -1 if seq == first else seq - 1))
        for seq in range(first, first + count)
    ]


def write_recording(path: Path, ticks: list[RecordedFrame]) -> Path:
    """Write frames to a recording and return its path."""
    path.write_bytes(b"".join(encode(tick) + b"\n" for tick in ticks))
    return path


def is_same_book(left: OrderBook, right: OrderBook) -> bool:
    """Check whether levels and clocks of two books are equal."""
    sides = left.bids.tolist() == right.bids.tolist() and left.asks.tolist() == right.asks.tolist()
    return sides and (left.exchange_ns, left.market_ns) == (right.exchange_ns, right.market_ns)


@contextmanager
def open_connection(url: str) -> Iterator[ClientConnection]:
    """Open a plain WebSocket connection to a replay server."""
    with connect(url, proxy=None, compression=None, max_size=2**26, close_timeout=0.5) as connection:
        yield connection


def receive_until_end(connection: ClientConnection) -> Iterator[str]:
    """Yield the received lines until the line that ends a recording."""
    ends = time.monotonic() + 10
    while (line := str(connection.recv(timeout=5))) != '{"t":"end","ts_ns":null,"data":""}':
        yield line
        assert time.monotonic() < ends, "the end does not come"


def count_replay_threads() -> int:
    """Count the threads of running replay servers."""
    return sum(thread.name == "replay server" for thread in threading.enumerate())
