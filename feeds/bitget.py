"""Read Bitget's futures, `books` of v3 and of v2: a snapshot and linked changes, sizes in coins.

{"action":"update","arg":{"instType":"usdt-futures","topic":"books","symbol":"MAVUSDT"},"data":[{
  "a":[],"b":[["0.00519","30828.52"]],"seq":427583480559,"pseq":427583461144,"ts":"1789456512452",
  "maxdepth":"1000"}],"ts":1789456512454}
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from feeds.base import DeltaFeed, FeedError, Millis, Product, Venue, decode
from feeds.daily_volume import checked_volume, decode_ticker, only_row
from feeds.fast_parser import read_sides
from orderbook import BookBuilder

_SYMBOL = re.compile(r"([A-Z0-9]+?)(USDT|PERP)")
"""A base, and USDT, or PERP for a contract in USDC."""

_KINDS = {"USDT": ("usdt-futures", "USDT"), "PERP": ("usdc-futures", "USDC")}
"""The family of markets, as requests name it, and the quote currency, by the ending of a symbol."""


class _Arg(msgspec.Struct, gc=False):
    """What a message is of. v2 says channel and instId where v3 says topic and symbol."""

    instType: str = ""  # noqa: N815 - the venue's spelling
    topic: str = ""
    symbol: str = ""
    channel: str = ""
    instId: str = ""  # noqa: N815


class _Change(msgspec.Struct, gc=False):
    """A snapshot or a change of the book, and the links of the sequence. v2 has its sides in asks and bids."""

    ts: Millis
    seq: int
    pseq: int
    a: msgspec.Raw = msgspec.Raw()
    b: msgspec.Raw = msgspec.Raw()
    asks: msgspec.Raw = msgspec.Raw()
    bids: msgspec.Raw = msgspec.Raw()


class _Head(msgspec.Struct, gc=False):
    """The fields of every message, whatever its data are."""

    event: str = ""
    arg: _Arg | None = None
    action: Literal["snapshot", "update"] = "snapshot"
    code: str | int = ""
    msg: str = ""


class _Message(_Head, gc=False, kw_only=True):
    """A message with books."""

    data: list[_Change]


_HEAD = msgspec.json.Decoder(_Head)
_MESSAGE = msgspec.json.Decoder(_Message, strict=False)


class BitgetFeed(DeltaFeed):
    """A feed in which each change names the last one. After a restart of the venue it names none: a gap, too."""

    keepalive = ("ping", 25.0)
    is_keepalive_periodic = True

    def __init__(self, symbol: str, kind: str, depth: int | None = None) -> None:
        """Make a feed without a book.

        Args:
            symbol: As the venue writes it.
            kind: The family of markets, "usdt-futures" or "usdc-futures".
            depth: The most levels a side of a book; None is 400.
        """
        super().__init__("bitget-futures", symbol, BookBuilder(depth or 400))
        self._kind = kind
        self._last_seq: int | None = None
        """The number of the last message; None before the snapshot."""

    def subscribe(self) -> list[str]:
        request = {"op": "subscribe", "args": [{"instType": self._kind, "topic": "books", "symbol": self._symbol}]}
        return [msgspec.json.encode(request).decode()]

    def _apply_message(self, message: str | bytes) -> int | None:
        if message in ("pong", b"pong"):
            return None
        frame: _Head
        try:
            frame = _MESSAGE.decode(message)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            frame = decode(_HEAD, message)
        if frame.event == "error":
            raise FeedError(f"Bitget refused: {frame.code} {frame.msg}")
        arg = frame.arg
        if frame.event or arg is None or not self._is_ours(arg):
            return None
        if frame.action == "update" and self._last_seq is None:
            return None
        # If only the head could be read, the data are decoded again, because this book's must be readable.
        changes = frame.data if isinstance(frame, _Message) else decode(_MESSAGE, message).data
        for change in changes:
            self._apply(change, frame.action == "snapshot")
        return changes[-1].ts * 1_000_000 if changes else None

    def _is_ours(self, arg: _Arg) -> bool:
        """Return whether a message is of this market's book. Spot markets have the same names."""
        is_book = "books" in (arg.topic, arg.channel)
        return is_book and (arg.symbol or arg.instId) == self._symbol and arg.instType.lower() == self._kind

    def _apply(self, change: _Change, is_snapshot: bool) -> None:
        """Apply a snapshot or a change to the book. Raises FeedError for a gap."""
        if not is_snapshot and change.pseq != self._last_seq:
            raise FeedError(f"gap: pseq {change.pseq} after seq {self._last_seq}")
        bids, asks = read_sides(
            change.b if bytes(change.b) else change.bids, change.a if bytes(change.a) else change.asks
        )
        if is_snapshot:
            self._builder.load(bids, asks)
        else:
            self._builder.apply(bids, asks)
        self._last_seq = change.seq


class _Ticker(msgspec.Struct, gc=False):
    """The volume of 24 h in coins."""

    symbol: str
    baseVolume: str  # noqa: N815 - the venue's spelling


class _Tickers(msgspec.Struct, gc=False):
    """The reply to a question for a ticker, or a refusal."""

    code: str
    msg: str = ""
    data: list[_Ticker] | None = None


_TICKERS = msgspec.json.Decoder(_Tickers)


class BitgetFutures(Venue):
    """Bitget's perpetual contracts in USDT and in USDC, whose sizes are coins.

    Contracts that are paid in the coin are left out: what their sizes count is not known here.
    """

    name = "bitget-futures"
    title = "Bitget futures"
    symbols = ("BTCUSDT", "ETHUSDT", "BTCPERP", "ETHPERP")
    fees = "bitget"

    def url(self, symbol: str) -> str:  # noqa: ARG002 - the subscription names the symbol
        return "wss://ws.bitget.com/v3/ws/public"

    def make_feed(self, symbol: str, depth: int | None = None) -> BitgetFeed:
        return BitgetFeed(symbol, _split_symbol(symbol)[1], depth)

    def product(self, symbol: str) -> Product:
        _split_symbol(symbol)
        return "swap"

    def contract_size(self, symbol: str) -> float:
        _split_symbol(symbol)
        return 1.0

    def instrument(self, symbol: str) -> str:
        base, _, quote = _split_symbol(symbol)
        return f"{base}/{quote} swap"

    def volume_url(self, symbol: str) -> str | None:
        kind = _split_symbol(symbol)[1].upper()
        return f"https://api.bitget.com/api/v2/mix/market/ticker?productType={kind}&symbol={symbol}"

    def read_daily_volume(self, body: str | bytes, symbol: str) -> float:
        reply = decode_ticker(_TICKERS, body)
        row = only_row(reply.data or [], symbol, f"{reply.code} {reply.msg}")
        return checked_volume(row.baseVolume, row.symbol)

    def find_symbol(self, message: dict[str, Any]) -> str | None:
        arg = message.get("arg")
        if not isinstance(arg, dict) or "books" not in (arg.get("topic"), arg.get("channel")):
            return None
        symbol = arg.get("symbol") or arg.get("instId")
        match = _SYMBOL.fullmatch(symbol) if isinstance(symbol, str) else None
        is_ours = match is not None and str(arg.get("instType")).lower() == _KINDS[match[2]][0]
        return symbol if is_ours and isinstance(symbol, str) else None


VENUES = (BitgetFutures(),)


def _split_symbol(symbol: str) -> tuple[str, str, str]:
    """Return base, family of markets and quote. Raises ValueError for a text that is no symbol."""
    match = _SYMBOL.fullmatch(symbol)
    if match is None:
        raise ValueError(f"not a Bitget contract: {symbol!r}; they look like BTCUSDT or BTCPERP")
    return match[1], *_KINDS[match[2]]
