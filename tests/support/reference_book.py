"""The oracle of every feed: json.loads, a plain dictionary a side, sorted anew for every book."""

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
    """What one message does to one symbol's book: (price, size) as the venue wrote them."""

    snapshot: bool
    bids: list[Row]
    asks: list[Row]
    checksum: int | None = None


class DictionaryBook:
    """Sizes by price; `keep` cuts each side to so many levels after every message."""

    def __init__(self, number: Number = Decimal, keep: int | None = None) -> None:
        self.number, self.keep = number, keep
        self.bids: dict[Any, Any] = {}
        self.asks: dict[Any, Any] = {}

    def apply(self, change: Change) -> None:
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
        """The best `count` (price, size) of bids and asks, best first."""
        bids, asks = sorted(self.bids, reverse=True)[:count], sorted(self.asks)[:count]
        return [(price, self.bids[price]) for price in bids], [(price, self.asks[price]) for price in asks]


def okx(frame: Any, symbol: str) -> Change | None:
    if frame.get("arg") != {"channel": "books", "instId": symbol} or "data" not in frame:
        return None
    (data,) = frame["data"]
    bids, asks = ([(price, size) for price, size, _, _ in data[side]] for side in ("bids", "asks"))
    return Change(frame["action"] == "snapshot", bids, asks, data["checksum"] or None)


def okx_checksum(book: DictionaryBook) -> int:
    """The legacy checksum; Decimals keep the digits, trailing zeros included."""
    bids, asks = ([f"{price:f}:{size:f}" for price, size in rows] for rows in book.top(25))
    texts = []
    for level in range(25):
        texts += bids[level : level + 1] + asks[level : level + 1]
    crc = zlib.crc32(":".join(texts).encode())
    return crc if crc < 2**31 else crc - 2**32


def binance(frame: Any, symbol: str) -> Change | None:
    event = frame.get("data", frame)
    if event.get("e") != "depthUpdate" or event["s"] != symbol:
        return None
    return Change(False, event["b"], event["a"])


def binance_splice(body: Any, held: list[Any], symbol: str) -> Iterator[Change]:
    """A REST snapshot, then the held frames of this symbol that are newer than it."""
    yield Change(True, body["bids"], body["asks"])
    for frame in held:
        change = binance(frame, symbol)
        if change is not None and frame.get("data", frame)["u"] > body["lastUpdateId"]:
            yield change


def coinbase(frame: Any, symbol: str) -> Change | None:
    if frame["channel"] != "l2_data":
        return None
    (event,) = frame["events"]
    if event["product_id"] != symbol:
        return None
    sides: dict[str, list[Row]] = {"bid": [], "offer": []}
    for update in event["updates"]:
        sides[update["side"]].append((update["price_level"], update["new_quantity"]))
    return Change(event["type"] == "snapshot", sides["bid"], sides["offer"])


def kraken(frame: Any, symbol: str) -> Change | None:
    if frame.get("channel") != "book":
        return None
    (data,) = frame["data"]
    if data["symbol"] != symbol:
        return None
    rows = [[(row["price"], row["qty"]) for row in data[side]] for side in ("bids", "asks")]
    return Change(frame["type"] == "snapshot", rows[0], rows[1], data["checksum"])


def kraken_checksum(book: DictionaryBook) -> int:
    bids, asks = book.top(10)
    return zlib.crc32("".join(f"{n:f}".replace(".", "").lstrip("0") for row in asks + bids for n in row).encode())


def records(path: Path) -> Iterator[dict[str, Any]]:
    """The envelopes of one recording."""
    with gzip.open(path, "rt") as lines:
        yield from map(json.loads, lines)
