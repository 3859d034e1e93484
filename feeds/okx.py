"""Read OKX's own feed, v5 `books`, `books5` and `bbo-tbt`: a snapshot and linked changes; derivatives in contracts.

{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{
  "asks":[["64222.9","0.14394063","0","1"],["64223","0","0","0"]],"bids":[],
  "ts":"1783786806008","checksum":0,"seqId":78677952780,"prevSeqId":78677952709}]}
"""

from __future__ import annotations

import copy
import re
import zlib
from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any, Literal, Self

import msgspec

from feeds.base import DeltaFeed, Entity, FeedError, Millis, Product, TardisName, Venue, decode
from feeds.contracts import SPOT, Contract, contract_from_facts
from feeds.daily_volume import checked_volume, decode_ticker, only_row
from orderbook import BookBuilder, Levels

CHANNELS = {"bbo-tbt": 1, "books5": 5, "books": 400}
"""The levels a side of each channel. All three are open to anyone; only `books` sends changes."""

CLOSING_SOON = "64008"
"""The code of the notice that the venue will close the connection soon."""

CHECKSUM_LEVELS = 25
"""The best levels of each side that a checksum covers."""


class _TextLevel(msgspec.Struct, array_like=True, gc=False):
    """A level whose numbers stay as the venue wrote them, because the checksum is made of their texts."""

    price: str
    size: str


CONTRACTS = {
    "BTC-USDT": Contract(0.01),
    "ETH-USDT": Contract(0.1),
    "SOL-USDT": Contract(1.0),
    "BTC-USD": Contract(100.0, is_inverse=True),
    "ETH-USD": Contract(10.0, is_inverse=True),
    "UNI-USD": Contract(10.0, is_inverse=True),
}
"""Contracts by underlying, perpetual and dated alike: OKX public instruments (ctVal), 2022-05-13 and 2025-10-24.
They are used offline, for instruments that `Okx.learn` has not learned."""

_INSTRUMENT = re.compile(r"([A-Z0-9]+)-([A-Z0-9]+(?:_[A-Z]+)*)(?:-(SWAP|[0-9]{6}))?")
"""Base, quote and kind. The quote of a contract may name its margin too: BTC-USD_UM-SWAP is priced in USD."""


class _Subscription(msgspec.Struct, gc=False):
    """The channel and the instrument that a message is of."""

    channel: str = ""
    instId: str = ""  # noqa: N815 - the venue's spelling


class _Change(msgspec.Struct, gc=False):
    """A snapshot or a change of the book, and the links of the sequence."""

    asks: msgspec.Raw
    bids: msgspec.Raw
    ts: Millis
    checksum: int = 0
    seqId: int | None = None  # noqa: N815
    prevSeqId: int | None = None  # noqa: N815


class _Head(msgspec.Struct, gc=False):
    """The fields of every message, whatever its data are."""

    event: str = ""
    arg: _Subscription | None = None
    action: Literal["snapshot", "update"] = "snapshot"
    code: str = ""
    msg: str = ""


class _Message(_Head, gc=False, kw_only=True):
    """A message with books."""

    data: list[_Change]


class _InstrumentRow(msgspec.Struct, gc=False):
    """An instrument; the worth of its contract is ctVal times ctMult, empty for spot."""

    instId: str  # noqa: N815
    ctType: str = ""  # noqa: N815
    ctVal: str = ""  # noqa: N815
    ctMult: str = ""  # noqa: N815


class _Instruments(msgspec.Struct, gc=False):
    """The reply to a question for instruments, or a refusal."""

    code: str
    msg: str = ""
    data: list[_InstrumentRow] = []


class _TickerRow(msgspec.Struct, gc=False):
    """The volume of 24 h. vol24h is base units of spot, and contracts else; then volCcy24h is base units."""

    instId: str  # noqa: N815
    vol24h: str = ""
    volCcy24h: str = ""  # noqa: N815


class _Tickers(msgspec.Struct, gc=False):
    """The reply to a question for a ticker, or a refusal."""

    code: str
    msg: str = ""
    data: list[_TickerRow] = []


_HEAD = msgspec.json.Decoder(_Head, strict=False)
_MESSAGE = msgspec.json.Decoder(_Message, strict=False)
_TEXTS = msgspec.json.Decoder(list[_TextLevel])
_INSTRUMENTS = msgspec.json.Decoder(_Instruments)
_TICKERS = msgspec.json.Decoder(_Tickers)


def checksum(bids: Sequence[str], asks: Sequence[str]) -> int:
    """Return the signed CRC32 of the best 25 "price:size" texts of each side, bid and ask in turn.

    OKX sent checksums of this form until 2026-06-23.

    >>> checksum(["3366.1:7"], ["3366.8:9", "3368:8", "3372:8"])
    831078360
    """
    pairs = chain.from_iterable(zip_longest(bids[:CHECKSUM_LEVELS], asks[:CHECKSUM_LEVELS]))
    crc = zlib.crc32(":".join(filter(None, pairs)).encode())
    return crc - (crc >> 31 << 32)  # the unsigned 32 bits as a signed number


def parse_contracts(body: str | bytes) -> dict[str, Contract]:
    """Return the contracts by instrument from the body of GET /api/v5/public/instruments.

    Rows of spot have no contract and are left out. Raises FeedError, with the venue's words where it refused.

    >>> parse_contracts('{"code":"0","data":[{"instId":"BTC-USD-SWAP","ctType":"inverse","ctVal":"100","ctMult":"1"}]}')
    {'BTC-USD-SWAP': Contract(value=100.0, is_inverse=True)}
    """
    reply = decode(_INSTRUMENTS, body)
    if reply.code != "0":
        raise FeedError(f"OKX refused the instruments: {reply.code} {reply.msg}")
    contracts = {}
    for row in reply.data:
        if row.ctVal:
            try:
                value = float(row.ctVal) * float(row.ctMult or "1")
            except ValueError:
                value = 0.0
            if not (0 < value < float("inf") and row.ctType in {"linear", "inverse"}):
                raise FeedError(f"{row.instId}: no contract value in {row.ctType!r} {row.ctVal!r} x {row.ctMult!r}")
            contracts[row.instId] = Contract(value, row.ctType == "inverse")
    return contracts


class OkxFeed(DeltaFeed):
    """A feed that follows the deepest of the three channels that it receives.

    It is guarded by the sequence, and by the checksum too where one is still sent.
    """

    keepalive = ("ping", 20.0)
    quiet_s = 90.0  # a book that does not change is sent again after about 60 s

    def __init__(self, symbol: str, contract: Contract, depth: int | None = None) -> None:
        super().__init__("okx", symbol, BookBuilder(depth or 400))
        self._contract = contract
        self._channel = next((name for name, levels in CHANNELS.items() if levels >= (depth or 400)), "books")
        self._levels = 0
        """The levels of the deepest channel received; 0 before the first book."""
        self._last_seq_id: int | None = None
        self._texts: tuple[dict[float, str], dict[float, str]] | None = None
        """The text of each level by its price, bids and asks, as long as checksums come; else None."""

    def subscribe(self) -> list[str]:
        request = {"op": "subscribe", "args": [{"channel": self._channel, "instId": self._symbol}]}
        return [msgspec.json.encode(request).decode()]

    def _apply_message(self, message: str | bytes) -> int | None:
        if message in ("pong", b"pong"):
            return None
        frame: _Head
        try:
            frame = _MESSAGE.decode(message)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            frame = decode(_HEAD, message)
        if frame.event:
            self._handle_event(frame)
            return None
        arg = frame.arg
        if arg is None or arg.instId != self._symbol:
            return None
        levels = CHANNELS.get(arg.channel, 0)
        if not levels or levels < self._levels or (frame.action == "update" and not self._levels):
            return None
        self._levels = levels
        # If only the head could be read, the data are decoded again, because this book's must be readable.
        changes = frame.data if isinstance(frame, _Message) else decode(_MESSAGE, message).data
        for change in changes:
            self._apply(change, frame.action == "snapshot")
        return changes[-1].ts * 1_000_000 if changes else None

    def _handle_event(self, frame: _Head) -> None:
        """Note the notice of a close. Raises FeedError for a refusal; other events need nothing."""
        if frame.event == "error":
            raise FeedError(f"OKX refused: {frame.code} {frame.msg}")
        if frame.event == "notice" and frame.code == CLOSING_SOON:
            self.closing = True

    def _apply(self, change: _Change, is_snapshot: bool) -> None:
        """Apply a snapshot or a change to the book. Raises FeedError for a gap, a wrong checksum, or neither guard."""
        bids, asks = self._contract.read_sides(change.bids, change.asks)
        if is_snapshot:
            self._builder.load(bids, asks)
            self._texts = ({}, {})
        else:
            if change.prevSeqId != self._last_seq_id:
                raise FeedError(f"gap: prevSeqId {change.prevSeqId} after seqId {self._last_seq_id}")
            if change.seqId is None and not change.checksum:
                raise FeedError("a change with neither a sequence nor a checksum")
            self._builder.apply(bids, asks)
        # A seqId below prevSeqId is legal: after maintenance the venue counts from the start again.
        self._last_seq_id = change.seqId
        if change.checksum:
            self._verify_checksum(change, bids, asks)
        else:
            self._texts = None

    def _verify_checksum(self, change: _Change, bids: Levels, asks: Levels) -> None:
        """Compare the book's checksum with the venue's. Raises FeedError if they differ.

        A checksum is made of the texts as they were sent, so these are kept beside the builder while checksums come.
        """
        if self._texts is None:
            raise FeedError(f"checksum {change.checksum} after a message without one")
        for texts, levels, side in zip(self._texts, (bids, asks), (change.bids, change.asks), strict=True):
            text_levels: list[_TextLevel] = decode(_TEXTS, side)
            for (price, size), text_level in zip(levels.tolist(), text_levels, strict=True):
                if size:
                    texts[price] = f"{text_level.price}:{text_level.size}"
                else:
                    texts.pop(price, None)
        bid_texts, ask_texts = self._texts
        best_bids, best_asks = self._builder.best_prices(CHECKSUM_LEVELS)
        book_checksum = checksum([bid_texts[price] for price in best_bids], [ask_texts[price] for price in best_asks])
        if book_checksum != change.checksum:
            raise FeedError(f"checksum {book_checksum}, the venue's is {change.checksum}")


class Okx(Venue):
    """OKX: spot, perpetual and dated contracts."""

    name = "okx"
    title = "OKX"
    rank = 2
    symbols = ("BTC-USDT-SWAP", "ETH-USDT-SWAP", "BTC-USDT", "ETH-USDT")
    fees = "okx"
    tardis = (TardisName("okex"), TardisName("okex-swap", "contracts"))
    entities: tuple[Entity, ...] = (
        Entity("global", "OKX", "wss://ws.okx.com", "https://openapi.okx.com"),
        Entity("eea", "OKX Europe (EEA)", "wss://wseea.okx.com", "https://eea.okx.com"),
        Entity("us", "OKX US and Australia", "wss://wsus.okx.com", "https://us.okx.com"),
    )

    def __init__(self) -> None:
        self._learned_contracts: dict[str, Contract] = {}

    def url(self, symbol: str) -> str:  # noqa: ARG002 - the subscription names the symbol
        return f"{self.entity.socket_url}/ws/v5/public"

    def instruments_url(self, symbol: str) -> str | None:
        """Return the address where the contract value is published; None for spot, whose sizes are base units."""
        kind = _split_symbol(symbol)[2]
        if not kind:
            return None
        instrument_type = "SWAP" if kind == "SWAP" else "FUTURES"
        return f"{self.entity.rest_url}/api/v5/public/instruments?instType={instrument_type}&instId={symbol}"

    def learn(self, body: str | bytes) -> None:
        """Learn the contract values of an instruments reply, for all feeds made from now on. Raises FeedError."""
        self._learned_contracts.update(parse_contracts(body))

    def volume_url(self, symbol: str) -> str | None:
        _split_symbol(symbol)
        return f"{self.entity.rest_url}/api/v5/market/ticker?instId={symbol}"

    def read_daily_volume(self, body: str | bytes, symbol: str) -> float:
        reply = decode_ticker(_TICKERS, body)
        row = only_row(reply.data, symbol, f"{reply.code} {reply.msg}")
        return checked_volume(row.volCcy24h if _split_symbol(symbol)[2] else row.vol24h, row.instId)

    def make_feed(self, symbol: str, depth: int | None = None) -> OkxFeed:
        return OkxFeed(symbol, self._find_contract(symbol), depth)

    def recorded_facts(self, symbol: str) -> dict[str, object]:
        contract = self._find_contract(symbol)
        return {} if contract is SPOT else contract.facts()

    def with_facts(self, symbol: str, facts: Mapping[str, object]) -> Self:
        contract = contract_from_facts(symbol, facts) if _split_symbol(symbol)[2] else None
        if contract is None:
            return self
        venue = copy.copy(self)
        venue._learned_contracts = self._learned_contracts | {symbol: contract}
        return venue

    def product(self, symbol: str) -> Product:
        return "swap" if _split_symbol(symbol)[2] else "spot"

    def contract_size(self, symbol: str) -> float:
        return self._find_contract(symbol).base_units(symbol)

    def instrument(self, symbol: str) -> str:
        base, quote, kind = _split_symbol(symbol)
        currency = quote.partition("_")[0]
        # A contract priced in USD itself is worth a number of dollars; one with its margin in the name is linear.
        inverse = "inverse " if kind and quote == "USD" else ""
        return f"{base}/{currency} {inverse}" + {"": "spot", "SWAP": "swap"}.get(kind, f"future {kind}")

    def find_symbol(self, message: dict[str, Any]) -> str | None:
        arg = message.get("arg")
        if not isinstance(arg, dict) or "instType" in arg:  # others have the same form, and name a type
            return None
        symbol = arg.get("instId")
        is_ours = arg.get("channel") in CHANNELS and isinstance(symbol, str) and _INSTRUMENT.fullmatch(symbol)
        return symbol if is_ours else None

    def _find_contract(self, symbol: str) -> Contract:
        """Return the contract of a symbol, SPOT where it has none. Raises ValueError if its size is not known."""
        base, quote, kind = _split_symbol(symbol)
        if not kind:
            return SPOT
        contract = self._learned_contracts.get(symbol) or CONTRACTS.get(f"{base}-{quote}")
        if contract is None:
            underlyings = ", ".join(CONTRACTS)
            raise ValueError(
                f"contract size of {symbol} is unknown; without OKX's instruments only {underlyings} are known"
            )
        return contract


OKX = Okx()
"""The one instance of OKX. Venues that relay its books share it, and the contract sizes that it learns."""

VENUES = (OKX,)


def _split_symbol(symbol: str) -> tuple[str, str, str]:
    """Return base, quote, and "", "SWAP" or a date. Raises ValueError for a text that is no instrument."""
    match = _INSTRUMENT.fullmatch(symbol)
    if match is None:
        raise ValueError(f"not an OKX instrument: {symbol!r}; they look like BTC-USDT or BTC-USDT-SWAP")
    base, quote, kind = match.groups("")
    return base, quote, kind
