"""Binance's own feeds, spot and USD-M futures: changes every 100 ms, spliced into a REST snapshot.

{"e":"depthUpdate","E":1723161255308,"s":"BTCUSDT","U":50093239203,"u":50093239207,
 "b":[["55653.87000000","0.00000000"]],"a":[["61838.04000000","0.32332000"]]}
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from feeds.base import DeltaFeed, FeedError, Millis, Product, TardisName, Venue, decode
from feeds.fast_parser import read_sides
from orderbook import BookBuilder, Levels, OrderBook

MOST_WAITING = 3000
"""Changes held while the snapshot is on its way: five minutes of them."""

_SYMBOL = re.compile(r"([A-Z0-9]+?)(USDT|USDC|FDUSD|TUSD|USD|EUR|TRY|BRL|JPY|BTC|ETH|BNB)(?:_([0-9]{6}))?")


class _Head(msgspec.Struct, gc=False):
    """What says which event of which stream it is."""

    e: str = ""
    s: str = ""


class _Event(_Head, gc=False):
    """A change; in other events the same letters are other things."""

    E: Millis = 0
    U: int = 0
    u: int = 0
    pu: int | None = None
    b: msgspec.Raw = msgspec.Raw()
    a: msgspec.Raw = msgspec.Raw()


class _Refusal(msgspec.Struct, gc=False):
    code: int = 0
    msg: str = ""


class _Message(_Event, gc=False):
    """A change, bare or in the envelope of a combined stream, or a refusal."""

    stream: str = ""
    data: _Event | None = None
    error: _Refusal | None = None


class _OtherMessage(_Head, gc=False):
    data: _Head | None = None
    error: msgspec.Raw = msgspec.Raw()


class _Snapshot(_Refusal, gc=False):
    lastUpdateId: int | None = None  # noqa: N815 - the venue's spelling
    bids: msgspec.Raw = msgspec.Raw(b"[]")
    asks: msgspec.Raw = msgspec.Raw(b"[]")


class _Change(NamedTuple):
    """What was read of an event: the update it continues from, the one it goes up to, when it was."""

    after: int
    last: int
    millis: int
    bids: Levels
    asks: Levels


class _Start(NamedTuple):
    """What was read of a snapshot: the last update in it."""

    last: int
    bids: Levels
    asks: Levels


_MESSAGE = msgspec.json.Decoder(_Message, strict=False)
_OTHER_MESSAGE = msgspec.json.Decoder(_OtherMessage)
_SNAPSHOT = msgspec.json.Decoder(_Snapshot, strict=False)


class BinanceFeed(DeltaFeed):
    """Holds changes back until the snapshot they continue is there; from then on each must follow the last.

    Every change says up to which update it goes (`u`) and from which it continues: `pu` on futures,
    U - 1 on spot. So a snapshot fits if the first change held continues from it or from before it.
    """

    def __init__(self, venue: str, symbol: str, snapshot_url: str, futures: bool, depth: int | None = None) -> None:
        super().__init__(venue, symbol, BookBuilder(depth or 400))
        self._url = snapshot_url
        self._futures = futures
        self._streams = (f"{symbol.lower()}@depth", f"{symbol.lower()}@depth@")
        self._waiting: list[_Change] = []
        self._snapshot: _Start | None = None
        self._last: int | None = None

    @property
    def snapshot_url(self) -> str | None:
        wanted = self._waiting and self._snapshot is None and self._broken is None
        return self._url if wanted else None

    def apply_snapshot(self, body: str | bytes, received_ns: int, market_ns: int | None = None) -> OrderBook | None:
        return self._book(self._read_snapshot, body, received_ns, market_ns)

    def _read(self, message: str | bytes) -> int | None:
        try:
            frame = _MESSAGE.decode(message)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            other = decode(_OTHER_MESSAGE, message)
            kind = other.data or other
            if not bytes(other.error) and (kind.e, kind.s) != ("depthUpdate", self._symbol):
                return None
            frame = decode(_MESSAGE, message)  # again, to say what is wrong with it
        if frame.error is not None:
            raise FeedError(f"Binance refused: {frame.error.code} {frame.error.msg}")
        event = frame.data or frame
        if event.e == "serverShutdown":
            self.closing = True
        if event.e != "depthUpdate" or event.s != self._symbol:
            return None
        if frame.stream and not (frame.stream == self._streams[0] or frame.stream.startswith(self._streams[1])):
            return None
        if not (event.E and 0 < event.U <= event.u):
            raise FeedError(f"a change from U {event.U} to u {event.u} at E {event.E}")
        change = self._change(event)
        before = self._last if self._last is not None else self._waiting[-1].last if self._waiting else change.after
        if change.after != before:
            raise FeedError(f"gap: from {change.after} after {before}")
        if self._last is not None:
            return self._apply(change)
        if len(self._waiting) == MOST_WAITING:
            raise FeedError(f"no snapshot after {MOST_WAITING} changes")
        self._waiting.append(change)
        return self._splice()

    def _read_snapshot(self, body: str | bytes) -> int | None:
        if self._last is not None or len(self._builder):
            return None
        snapshot = decode(_SNAPSHOT, body)
        if snapshot.lastUpdateId is None:
            raise FeedError(f"Binance refused the snapshot: {snapshot.code} {snapshot.msg}")
        self._snapshot = _Start(snapshot.lastUpdateId, *read_sides(snapshot.bids, snapshot.asks))
        return self._splice()

    def _splice(self) -> int | None:
        if self._snapshot is None or not self._waiting:
            return None
        last = self._snapshot.last
        if last < self._waiting[0].after:
            self._snapshot = None  # older than the first change held: a newer one is wanted
            return None
        first = not len(self._builder)
        if first:
            self._builder.load(self._snapshot.bids, self._snapshot.asks)
        latest = self._waiting[-1]
        newer = [change for change in self._waiting if change.last > last]
        for change in newer:
            self._apply(change)
        # What is older than the snapshot is in it; the last of it shows later that nothing was missed.
        self._waiting = [] if newer else [latest]
        return latest.millis * 1_000_000 if first or newer else None

    def _apply(self, change: _Change) -> int:
        self._builder.apply(change.bids, change.asks)
        self._last = change.last
        return change.millis * 1_000_000

    def _change(self, event: _Event) -> _Change:
        after = event.pu if self._futures else event.U - 1
        if after is None:
            raise FeedError("a futures change without pu")
        return _Change(after, event.u, event.E, *read_sides(event.b, event.a))


class Binance(Venue):
    """Spot, in base units."""

    name = "binance"
    title = "Binance spot"
    symbols = ("BTCUSDT", "ETHUSDT")
    fees = "binance"
    tardis = (TardisName("binance"),)
    stream = "wss://stream.binance.com/ws"
    snapshot_path = "/api/v3/depth?symbol={symbol}&limit=5000"
    futures = False

    def __init__(self, rest: str = "https://api.binance.com") -> None:
        self._rest = rest

    def url(self, symbol: str) -> str:
        _parts(symbol)
        return f"{self.stream}/{symbol.lower()}@depth@100ms"

    def make_feed(self, symbol: str, depth: int | None = None) -> BinanceFeed:
        _parts(symbol)
        snapshot_url = self._rest + self.snapshot_path.format(symbol=symbol)
        return BinanceFeed(self.name, symbol, snapshot_url, self.futures, depth)

    def product(self, symbol: str) -> Product:
        _parts(symbol)
        return "swap" if self.futures else "spot"

    def contract_size(self, symbol: str) -> float:
        _parts(symbol)
        return 1.0

    def instrument(self, symbol: str) -> str:
        base, quote, delivery = _parts(symbol)
        if delivery:
            return f"{base}/{quote} future {delivery}"
        return f"{base}/{quote} {self.product(symbol)}"


class BinanceUsdm(Binance):
    """USD-M futures, in base units too; the depth streams moved to /public in 2026."""

    name = "binance-usdm"
    title = "Binance futures"
    tardis = (TardisName("binance-futures"),)
    stream = "wss://fstream.binance.com/public/ws"
    snapshot_path = "/fapi/v1/depth?symbol={symbol}&limit=1000"
    futures = True

    def __init__(self, rest: str = "https://fapi.binance.com") -> None:
        super().__init__(rest)


VENUES = (Binance(), BinanceUsdm())


def _parts(symbol: str) -> tuple[str, str, str]:
    """BTC, USDT and "" or a delivery date. Raises ValueError."""
    parts = _SYMBOL.fullmatch(symbol)
    if parts is None:
        raise ValueError(f"not a Binance symbol: {symbol!r}; they look like BTCUSDT")
    base, quote, delivery = parts.groups("")
    return base, quote, delivery
