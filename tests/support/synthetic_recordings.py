"""Made recordings of an OKX book that changes by every frame, and a plain listener for what is served."""

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


def okx() -> Feed:
    return VENUES["okx"].make_feed("BTC-USDT")


def okx_message(seq: int, previous: int) -> str:
    """A snapshot (previous -1) or change of an OKX book whose best bid holds `seq`, and level seq % 50 below it too."""
    bids = [["100", str(seq), "0", "1"], [str(99 - seq % 50), str(seq), "0", "1"]]
    data = {"asks": [["101", "1", "0", "1"]], "bids": bids, "ts": "1700000000000"}
    action = "snapshot" if previous < 0 else "update"
    message = {"arg": {"channel": "books", "instId": "BTC-USDT"}, "action": action}
    return json.dumps({**message, "data": [{**data, "checksum": 0, "prevSeqId": previous, "seqId": seq}]})


def okx_ticks(count: int, first: int = 1) -> list[RecordedFrame]:
    """A snapshot and changes, each on the one before, 100 ms apart."""
    return [
        RecordedFrame("recv", BEGIN_NS + seq * STEP_NS, okx_message(seq, -1 if seq == first else seq - 1))
        for seq in range(first, first + count)
    ]


def saved(path: Path, ticks: list[RecordedFrame]) -> Path:
    path.write_bytes(b"".join(encode(tick) + b"\n" for tick in ticks))
    return path


def same(left: OrderBook, right: OrderBook) -> bool:
    sides = left.bids.tolist() == right.bids.tolist() and left.asks.tolist() == right.asks.tolist()
    return sides and (left.exchange_ns, left.market_ns) == (right.exchange_ns, right.market_ns)


@contextmanager
def listening(url: str) -> Iterator[ClientConnection]:
    with connect(url, proxy=None, compression=None, max_size=2**26, close_timeout=0.5) as connection:
        yield connection


def lines_to_the_end(connection: ClientConnection) -> Iterator[str]:
    ends = time.monotonic() + 10
    while (line := str(connection.recv(timeout=5))) != '{"t":"end","ts_ns":null,"data":""}':
        yield line
        assert time.monotonic() < ends, "the end does not come"


def replay_threads() -> int:
    return sum(thread.name == "replay server" for thread in threading.enumerate())
