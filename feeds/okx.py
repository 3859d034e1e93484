"""OKX's own feed, v5 `books`, `books5` and `bbo-tbt`: a snapshot and linked changes, sizes in contracts on derivatives.

{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{
  "asks":[["64222.9","0.14394063","0","1"],["64223","0","0","0"]],"bids":[],
  "ts":"1783786806008","checksum":0,"seqId":78677952780,"prevSeqId":78677952709}]}
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from feeds.base import DeltaFeed, FeedError, Millis, Product, TardisName, Venue, decode
from feeds.fast_parser import read_sides
from orderbook import BookBuilder, Levels

CHANNELS = {"bbo-tbt": 1, "books5": 5, "books": 400}
"""Levels a side. All three are open to anyone; only `books` sends changes."""

CLOSING_SOON = "64008"


class _TextRow(msgspec.Struct, array_like=True, gc=False):
    price: str
    size: str


class Contract(NamedTuple):
    """What one contract is worth: base units, or quote units where it is inverse."""

    value: float
    inverse: bool = False

    def sides(self, bids: msgspec.Raw, asks: msgspec.Raw) -> tuple[Levels, Levels]:
        """Levels in base units; an inverse contract buys more of them the lower the price. Raises FeedError."""
        levels = read_sides(bids, asks, self.value)
        if self.inverse:
            for side in levels:
                if not side[:, 0].all():
                    raise FeedError("a level at price 0")
                with np.errstate(all="ignore"):  # the builder refuses what is no number
                    side[:, 1] /= side[:, 0]
        return levels


SPOT = Contract(1.0)

CONTRACTS = {
    "BTC-USDT": Contract(0.01),
    "ETH-USDT": Contract(0.1),
    "SOL-USDT": Contract(1.0),
    "BTC-USD": Contract(100.0, inverse=True),
    "ETH-USD": Contract(10.0, inverse=True),
    "UNI-USD": Contract(10.0, inverse=True),
}
"""By underlying, perpetual and dated alike: OKX public instruments (ctVal), 2022-05-13 and 2025-10-24.
The offline fallback for what `Okx.learn` has not been told."""

_INSTRUMENT = re.compile(r"([A-Z0-9]+)-([A-Z0-9]+)(?:-(SWAP|[0-9]{6}))?")


class _Arg(msgspec.Struct, gc=False):
    channel: str = ""
    instId: str = ""  # noqa: N815 - the venue's spelling


class _Change(msgspec.Struct, gc=False):
    asks: msgspec.Raw
    bids: msgspec.Raw
    ts: Millis
    checksum: int = 0
    seqId: int | None = None  # noqa: N815
    prevSeqId: int | None = None  # noqa: N815


class _Head(msgspec.Struct, gc=False):
    """What any message has, whatever its data are."""

    event: str = ""
    arg: _Arg | None = None
    action: Literal["snapshot", "update"] = "snapshot"
    code: str = ""
    msg: str = ""


class _Message(_Head, gc=False, kw_only=True):
    data: list[_Change]


class _InstrumentRow(msgspec.Struct, gc=False):
    instId: str  # noqa: N815
    ctType: str = ""  # noqa: N815
    ctVal: str = ""  # noqa: N815
    ctMult: str = ""  # noqa: N815


class _Instruments(msgspec.Struct, gc=False):
    code: str
    msg: str = ""
    data: list[_InstrumentRow] = []


_HEAD = msgspec.json.Decoder(_Head, strict=False)
_MESSAGE = msgspec.json.Decoder(_Message, strict=False)
_TEXTS = msgspec.json.Decoder(list[_TextRow])
_INSTRUMENTS = msgspec.json.Decoder(_Instruments)


def checksum(bids: Sequence[str], asks: Sequence[str]) -> int:
    """The signed CRC32 of the best 25 "price:size" texts of each side, bid and ask in turn: the form
    sent until 2026-06-23.

    >>> checksum(["3366.1:7"], ["3366.8:9", "3368:8", "3372:8"])
    831078360
    """
    pairs = chain.from_iterable(zip_longest(bids[:25], asks[:25]))
    crc = zlib.crc32(":".join(filter(None, pairs)).encode())
    return crc - (crc >> 31 << 32)


def contracts(body: str | bytes) -> dict[str, Contract]:
    """Contract values by instrument, out of the body of GET /api/v5/public/instruments. Spot rows
    carry none. Raises FeedError, with the venue's words where it refused.

    >>> contracts('{"code":"0","data":[{"instId":"BTC-USD-SWAP","ctType":"inverse","ctVal":"100","ctMult":"1"}]}')
    {'BTC-USD-SWAP': Contract(value=100.0, inverse=True)}
    """
    reply = decode(_INSTRUMENTS, body)
    if reply.code != "0":
        raise FeedError(f"OKX refused the instruments: {reply.code} {reply.msg}")
    found = {}
    for row in reply.data:
        if row.ctVal:
            try:
                value = float(row.ctVal) * float(row.ctMult or "1")
            except ValueError:
                value = 0.0
            if not (0 < value < float("inf") and row.ctType in {"linear", "inverse"}):
                raise FeedError(f"{row.instId}: no contract value in {row.ctType!r} {row.ctVal!r} x {row.ctMult!r}")
            found[row.instId] = Contract(value, row.ctType == "inverse")
    return found


class OkxFeed(DeltaFeed):
    """Follows the deepest of the three channels it hears; the sequence is the guard, and the checksum
    too where it is still sent."""

    keepalive = ("ping", 20.0)

    def __init__(self, symbol: str, contract: Contract, depth: int | None = None) -> None:
        super().__init__("okx", symbol, BookBuilder(depth or 400))
        self._contract = contract
        self._subscribed = next((name for name, levels in CHANNELS.items() if levels >= (depth or 400)), "books")
        self._levels = 0
        self._seq: int | None = None
        self._texts: tuple[dict[float, str], dict[float, str]] | None = None

    def subscribe(self) -> list[str]:
        request = {"op": "subscribe", "args": [{"channel": self._subscribed, "instId": self._symbol}]}
        return [msgspec.json.encode(request).decode()]

    def _read(self, message: str | bytes) -> int | None:
        if message in ("pong", b"pong"):
            return None
        frame: _Head
        try:
            frame = _MESSAGE.decode(message)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            frame = decode(_HEAD, message)
        if frame.event:
            self._hear(frame)
            return None
        arg = frame.arg
        if arg is None or arg.instId != self._symbol:
            return None
        levels = CHANNELS.get(arg.channel, 0)
        if not levels or levels < self._levels or (frame.action == "update" and not self._levels):
            return None
        self._levels = levels
        # Only the head could be read: no matter for an event or another book, but this is for ours.
        changes = frame.data if isinstance(frame, _Message) else decode(_MESSAGE, message).data
        for change in changes:
            self._apply(change, frame.action == "snapshot")
        return changes[-1].ts * 1_000_000 if changes else None

    def _hear(self, frame: _Head) -> None:
        if frame.event == "error":
            raise FeedError(f"OKX refused: {frame.code} {frame.msg}")
        if frame.event == "notice" and frame.code == CLOSING_SOON:
            self.closing = True

    def _apply(self, change: _Change, snapshot: bool) -> None:
        bids, asks = self._contract.sides(change.bids, change.asks)
        if snapshot:
            self._builder.load(bids, asks)
            self._texts = ({}, {})
        else:
            if change.prevSeqId != self._seq:
                raise FeedError(f"gap: prevSeqId {change.prevSeqId} after seqId {self._seq}")
            if change.seqId is None and not change.checksum:
                raise FeedError("a change with neither a sequence nor a checksum")
            self._builder.apply(bids, asks)
        # A seqId below prevSeqId is legal: the venue's maintenance starts its count again.
        self._seq = change.seqId
        if change.checksum:
            self._check(change, bids, asks)
        else:
            self._texts = None

    def _check(self, change: _Change, bids: Levels, asks: Levels) -> None:
        """A checksum is of the texts as sent, so where there is one they are kept beside the builder."""
        if self._texts is None:
            raise FeedError(f"checksum {change.checksum} after a message without one")
        for texts, levels, side in zip(self._texts, (bids, asks), (change.bids, change.asks), strict=True):
            sent: list[_TextRow] = decode(_TEXTS, side)
            for (price, size), row in zip(levels.tolist(), sent, strict=True):
                if size:
                    texts[price] = f"{row.price}:{row.size}"
                else:
                    texts.pop(price, None)
        best = zip(self._texts, self._builder.best_prices(25), strict=True)
        found = checksum(*([texts[price] for price in prices] for texts, prices in best))
        if found != change.checksum:
            raise FeedError(f"checksum {found}, the venue's is {change.checksum}")


class Okx(Venue):
    """Spot, perpetual and dated contracts."""

    name = "okx"
    title = "OKX"
    rank = 2
    symbols = ("BTC-USDT-SWAP", "ETH-USDT-SWAP", "BTC-USDT", "ETH-USDT")
    fees = "okx"
    tardis = (TardisName("okex"), TardisName("okex-swap", in_contracts=True))

    def __init__(self) -> None:
        self._learned: dict[str, Contract] = {}

    def url(self, symbol: str) -> str:  # noqa: ARG002 - the symbol is subscribed to
        return "wss://ws.okx.com/ws/v5/public"

    def instruments_url(self, symbol: str) -> str | None:
        """Return where the contract value is published; None for spot, whose sizes are base units."""
        kind = _parts(symbol)[2]
        if not kind:
            return None
        kind = "SWAP" if kind == "SWAP" else "FUTURES"
        return f"https://openapi.okx.com/api/v5/public/instruments?instType={kind}&instId={symbol}"

    def learn(self, body: str | bytes) -> None:
        """Take over the contract values of an instruments reply, for all feeds made from now on. Raises FeedError."""
        self._learned.update(contracts(body))

    def make_feed(self, symbol: str, depth: int | None = None) -> OkxFeed:
        return OkxFeed(symbol, self._contract(symbol), depth)

    def product(self, symbol: str) -> Product:
        return "swap" if _parts(symbol)[2] else "spot"

    def contract_size(self, symbol: str) -> float:
        contract = self._contract(symbol)
        if contract.inverse:
            raise ValueError(
                f"{symbol} is inverse: a contract is {contract.value:g} USD, its base units follow the price"
            )
        return contract.value

    def instrument(self, symbol: str) -> str:
        base, quote, kind = _parts(symbol)
        return f"{base}/{quote} " + {"": "spot", "SWAP": "swap"}.get(kind, f"future {kind}")

    def _contract(self, symbol: str) -> Contract:
        base, quote, kind = _parts(symbol)
        if not kind:
            return SPOT
        contract = self._learned.get(symbol) or CONTRACTS.get(f"{base}-{quote}")
        if contract is None:
            known = ", ".join(CONTRACTS)
            raise ValueError(f"contract size of {symbol} is unknown; without OKX's instruments only {known} are known")
        return contract


OKX = Okx()
"""The only one: what it learns of contracts counts for everyone who relays its books."""

VENUES = (OKX,)


def _parts(symbol: str) -> tuple[str, str, str]:
    """BTC, USDT and "", "SWAP" or a date. Raises ValueError."""
    parts = _INSTRUMENT.fullmatch(symbol)
    if parts is None:
        raise ValueError(f"not an OKX instrument: {symbol!r}; they look like BTC-USDT or BTC-USDT-SWAP")
    base, quote, kind = parts.groups("")
    return base, quote, kind
