"""The lines of the files of past order books that venues offer for download, each a snapshot or changes of one book.

A file here may be of a venue that has no feed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from orderbook import BookError

_Text = str | int | float


class HistoryLine(NamedTuple):
    """One line: levels as (price, amount) texts in the venue's unit, and the venue's clock in milliseconds."""

    symbol: str
    is_snapshot: bool
    time_ms: int
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


class HistoryForm(NamedTuple):
    """One venue's form of lines.

    Attributes:
        exchange: The venue's name; that of its feed, if it has one here.
        title: What the form is called in sentences.
        start: What its lines begin with, blanks left out.
        siblings: Tardis's names of the venue's markets whose files look the same, so that only the user can tell them.
        in_contracts: Whether a symbol's amounts are contracts; None where the form does not say.
        read: Makes a line of its JSON. Raises BookError.
    """

    exchange: str
    title: str
    siblings: tuple[str, ...]
    start: re.Pattern[bytes]
    in_contracts: Callable[[str], bool | None]
    read: Callable[[bytes], HistoryLine]


class _OkxLine(msgspec.Struct, gc=False):
    """A line of OKX's 400-level files: levels are [price, size, orders], and each has its whole new size."""

    instId: str  # noqa: N815 - its spelling
    action: str
    ts: int | str
    asks: list[list[str]]
    bids: list[list[str]]


class _BybitBook(msgspec.Struct, gc=False):
    s: str
    b: list[list[str]]
    a: list[list[str]]


class _BybitLine(msgspec.Struct, gc=False):
    """A line of Bybit's ob500 and ob200 files: a message of the channel orderbook.DEPTH.SYMBOL."""

    topic: str
    type: str
    ts: int
    data: _BybitBook


_OKX_LINE = msgspec.json.Decoder(_OkxLine)
_BYBIT_LINE = msgspec.json.Decoder(_BybitLine)
_BYBIT_LINEAR = re.compile(r"[A-Z0-9]+(USDT|USDC|PERP)(-[0-9]{2}[A-Z]{3}[0-9]{2})?")


def _read_okx(line: bytes) -> HistoryLine:
    fields = _decode(_OKX_LINE, line)
    return _to_line(
        fields.instId, fields.action, {"snapshot": True, "update": False}, fields.ts, fields.bids, fields.asks
    )


def _read_bybit(line: bytes) -> HistoryLine:
    fields = _decode(_BYBIT_LINE, line)
    book = fields.data
    return _to_line(book.s, fields.type, {"snapshot": True, "delta": False}, fields.ts, book.b, book.a)


def _to_line(
    symbol: str, action: str, actions: dict[str, bool], time_ms: int | str, bids: list[list[str]], asks: list[list[str]]
) -> HistoryLine:
    is_snapshot = actions.get(action)
    if is_snapshot is None:
        raise BookError(f"{action[:40]!r} is neither {' nor '.join(actions)}")
    try:
        sides = [[(level[0], level[1]) for level in side] for side in (bids, asks)]
        return HistoryLine(symbol, is_snapshot, int(time_ms), *sides)
    except (IndexError, ValueError) as error:
        raise BookError(f"no line of a book: {error}") from None


def _decode(decoder: msgspec.json.Decoder[Any], line: bytes) -> Any:
    try:
        return decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BookError(f"unreadable line: {error}") from None


HISTORY_FORMS = (
    HistoryForm(
        "okx",
        "file of OKX's historical order book",
        (),
        re.compile(rb'\{"instId":"[^"]{1,60}","action":"'),
        lambda symbol: symbol.count("-") > 1,
        _read_okx,
    ),
    HistoryForm(
        "bybit",
        "file of Bybit's historical order book (spot and linear look alike: linear unless --venue says otherwise)",
        ("bybit", "bybit-spot"),
        re.compile(
            rb'\{"topic":"orderbook[.](?:200|500)[.][^"]{1,60}","(?:type":"(?:snapshot|delta)"|ts":[0-9]{1,20},"type":")'
        ),
        lambda symbol: False if _BYBIT_LINEAR.fullmatch(symbol) else None,
        _read_bybit,
    ),
)
