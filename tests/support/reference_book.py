"""Rebuild books as an oracle for every feed: json.loads, a plain dictionary for each side, sorted for every book."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

Row = tuple[Any, Any]
Number = Callable[[Any], Any]


class Change(NamedTuple):
    """The changes of one message to one symbol's book: (price, size) as the venue wrote them."""

    snapshot: bool
    bids: list[Row]
    asks: list[Row]
    checksum: int | None = None


class DictionaryBook:
    """A book of sizes by price; `keep` cuts each side to so many levels after every message, None to none."""

    def __init__(self, number: Number = Decimal, keep: int | None = None) -> None:
        self.number = number
        self.keep = keep
        self.bids: dict[Any, Any] = {}
        self.asks: dict[Any, Any] = {}

    def apply(self, change: Change) -> None:
        """Apply the changes of one message; a size of 0 deletes."""
        if change.snapshot:
            self.bids, self.asks = {}, {}
        for side, rows in ((self.bids, change.bids), (self.asks, change.asks)):
            for price_text, size_text in rows:
                price, size = self.number(price_text), self.number(size_text)
                if size:
                    side[price] = size
                else:
                    side.pop(price, None)
        if self.keep is not None:
            bids, asks = self.top(self.keep)
            self.bids, self.asks = dict(bids), dict(asks)

    def top(self, count: int) -> tuple[list[Row], list[Row]]:
        """Return the best `count` (price, size) of bids and asks, best first."""
        bids, asks = sorted(self.bids, reverse=True)[:count], sorted(self.asks)[:count]
        return [(price, self.bids[price]) for price in bids], [(price, self.asks[price]) for price in asks]


def read_okx(frame: Any, symbol: str) -> Change | None:
    """Read the changes of one symbol from a frame of OKX; None if it has none."""
    if frame.get("arg") != {"channel": "books", "instId": symbol} or "data" not in frame:
        return None
    (data,) = frame["data"]
    bids, asks = ([(price, size) for price, size, _, _ in data[side]] for side in ("bids", "asks"))
    return Change(frame["action"] == "snapshot", bids, asks, data["checksum"] or None)


def okx_checksum(book: DictionaryBook) -> int:
    """Compute OKX's legacy checksum; Decimals keep the digits, trailing zeros included."""
    bids, asks = ([f"{price:f}:{size:f}" for price, size in rows] for rows in book.top(25))
    texts = []
    for level in range(25):
        texts += bids[level : level + 1] + asks[level : level + 1]
    crc = zlib.crc32(":".join(texts).encode())
    return crc if crc < 2**31 else crc - 2**32


def read_binance(frame: Any, symbol: str) -> Change | None:
    """Read the changes of one symbol from a frame of Binance; None if it has none."""
    event = frame.get("data", frame)
    if event.get("e") != "depthUpdate" or event["s"] != symbol:
        return None
    return Change(False, event["b"], event["a"])


def binance_splice(body: Any, waiting: list[Any], symbol: str) -> Iterator[Change]:
    """Yield a REST snapshot, then the changes of this symbol in the held frames that are newer than it."""
    yield Change(True, body["bids"], body["asks"])
    for frame in waiting:
        change = read_binance(frame, symbol)
        if change is not None and frame.get("data", frame)["u"] > body["lastUpdateId"]:
            yield change


def read_coinbase(frame: Any, symbol: str) -> Change | None:
    """Read the changes of one symbol from a frame of Coinbase; None if it has none."""
    if frame["channel"] != "l2_data":
        return None
    (event,) = frame["events"]
    if event["product_id"] != symbol:
        return None
    sides: dict[str, list[Row]] = {"bid": [], "offer": []}
    for update in event["updates"]:
        sides[update["side"]].append((update["price_level"], update["new_quantity"]))
    return Change(event["type"] == "snapshot", sides["bid"], sides["offer"])


def read_kraken(frame: Any, symbol: str) -> Change | None:
    """Read the changes of one symbol from a frame of Kraken; None if it has none."""
    if frame.get("channel") != "book":
        return None
    (data,) = frame["data"]
    if data["symbol"] != symbol:
        return None
    rows = [[(row["price"], row["qty"]) for row in data[side]] for side in ("bids", "asks")]
    return Change(frame["type"] == "snapshot", rows[0], rows[1], data["checksum"])


def kraken_checksum(book: DictionaryBook) -> int:
    """Compute Kraken's checksum of the best ten levels."""
    bids, asks = book.top(10)
    return zlib.crc32("".join(f"{n:f}".replace(".", "").lstrip("0") for row in asks + bids for n in row).encode())


def read_bybit(frame: Any, symbol: str) -> Change | None:
    """Read the changes of one symbol from a frame of Bybit; None if it has none."""
    topic = frame.get("topic", "").split(".")
    if topic[0] != "orderbook" or topic[-1] != symbol:
        return None
    return Change(frame["type"] == "snapshot", frame["data"]["b"], frame["data"]["a"])


def read_envelopes(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the envelopes of one recording."""
    with gzip.open(path, "rt") as lines:
        yield from map(json.loads, lines)
