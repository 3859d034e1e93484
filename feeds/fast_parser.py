"""Prices and sizes straight from a message's text, by machine code: sides of changes, and whole frames."""

from __future__ import annotations

import msgspec
import numpy as np

from feeds.base import FeedError, decode
from numerics.jit import jit, jit_holding_gil
from orderbook import BookBuilder, Levels


class _Level(msgspec.Struct, array_like=True, gc=False):
    """A row: its price, its size, and whatever follows them, which nobody reads."""

    price: float
    size: float


_LEVELS = msgspec.json.Decoder(list[_Level], strict=False)
_NO_LEVELS = np.empty((0, 2))

_OPEN, _CLOSE, _BEGIN, _END, _QUOTE, _COMMA, _POINT, _COLON, _DASH = b'[]{}",.:-'
_ZERO, _NINE, _SPACE, _BACKSLASH, _DELETE = b"09 \\\x7f"
_TIMESTAMP, _SYMBOL, _ASKS, _BIDS = b'"timestamp":"', b'"symbol":"', b'"asks":', b'"bids":'
_SHORTEST_ROW = len('["1","1"],')
_MOST_DIGITS = 18
_LARGEST_EXACT = 2**53
_TENS = tuple(10.0**scale for scale in range(_MOST_DIGITS))
_LARGEST_SIZE = 1e15
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def warm_up() -> None:
    """Make the machine code that reads and builds books, or load it: a part of a second, the first time some, that no
    running feed should wait for.

    Safe to call more than once, and never necessary.
    """
    read_frame(b"{}", b"", 1.0)
    BookBuilder().apply(*read_sides(msgspec.Raw(b"[]"), msgspec.Raw(b"[]")))


def read_sides(bids: msgspec.Raw, asks: msgspec.Raw, size_unit: float = 1.0) -> tuple[Levels, Levels]:
    """Bids and asks as (n, 2), sizes times size_unit. The numbers may be quoted or bare; what follows them in a row
    is left out. Raises FeedError.

    >>> bids, asks = read_sides(msgspec.Raw(b'[["95445.5","9.06"],["95448","2.05"]]'), msgspec.Raw(b"[]"), 0.5)
    >>> bids.tolist(), asks.shape
    ([[95445.5, 4.53], [95448.0, 1.025]], (0, 2))
    """
    one, other = bytes(bids), bytes(asks)
    levels = np.empty(((len(one) + len(other)) // _SHORTEST_ROW + 1, 2))
    begins, ends = _read_both(one, other, size_unit, levels)
    if ends >= 0:
        return levels[:begins], levels[begins:ends]
    return _read_any("bids", one, size_unit), _read_any("asks", other, size_unit)


def _read_any(name: str, text: bytes, size_unit: float) -> Levels:
    """What need not be plain: numbers of any form that msgspec reads."""
    try:
        levels = decode(_LEVELS, text)
    except FeedError as error:
        raise FeedError(f"{name}: {error}") from None
    return packed([number for level in levels for number in (level.price, level.size * size_unit)])


def packed(numbers: list[float]) -> Levels:
    """Price, size, price, size, ... as (n, 2)."""
    return np.array(numbers).reshape(-1, 2) if numbers else _NO_LEVELS


@jit_holding_gil
def _read_both(bids: bytes, asks: bytes, size_unit: float, levels: Levels) -> tuple[int, int]:
    """Where the asks begin in `levels` and where they end, -1 if a side could not be read."""
    begin = _read(bids, size_unit, levels, 0)
    return begin, _read(asks, size_unit, levels, begin) if begin >= 0 else -1


@jit
def _read(text: bytes, size_unit: float, levels: Levels, row: int) -> int:
    """Fills `levels` from this row on: the row after the last, or -1 if the text is not all rows of plain numbers in
    quotes. As it ends in a bracket that closes, nothing is looked for after its end."""
    end = len(text)
    if end < 2 or _byte(text, 0) != _OPEN or _byte(text, end - 1) != _CLOSE:
        return -1
    if end == 2:
        return row
    at = 1
    while _byte(text, at) == _OPEN:
        price, at = _quoted(text, at + 1)
        if _byte(text, at) != _COMMA:
            return -1
        size, at = _quoted(text, at + 1)
        while _byte(text, at) == _COMMA:
            _, at = _quoted(text, at + 1)
        if _byte(text, at) != _CLOSE or at + 1 == end:
            return -1
        levels[row, 0], levels[row, 1] = price, size * size_unit
        row += 1
        if _byte(text, at + 1) == _CLOSE:
            return row if at + 2 == end else -1
        if _byte(text, at + 1) != _COMMA:
            return -1
        at += 2
    return -1


@jit_holding_gil
def read_frame(text: bytes, symbol: bytes, size_unit: float) -> tuple[Levels, int, int]:
    """The levels of a frame like `{"timestamp":"2025-05-04T10:39:13Z","symbol":"BTC-USDT-SWAP","asks":[["95445.5",
    "9.06"],...],"bids":[["95445.4","1104.23"],...]}`: asks, then bids, both sorted and positive, their sizes
    multiplied by size_unit; how many are asks; and its time, ns since the epoch.

    No levels where it is of another symbol, where a side is no such side, or where anything at all is unusual: a space,
    a backslash, a value in another form, a number of more than 53 bits, bids before asks. Other members are texts.
    """
    end = len(text) - 1
    levels = np.empty((len(text) // _SHORTEST_ROW, 2))
    known = asks = first_bid = rows = time_ns = 0
    ours = False
    if end < 0 or _byte(text, 0) != _BEGIN or _byte(text, end) != _END:
        return levels[:0], 0, 0
    at = 0
    while at < end:
        at += 1
        known += 1
        if _begins(text, at, _ASKS):
            asks, at = _side(text, at + len(_ASKS), 1.0, size_unit, levels, 0)
        elif _begins(text, at, _BIDS):
            first_bid = asks
            rows, at = _side(text, at + len(_BIDS), -1.0, size_unit, levels, first_bid)
        elif _begins(text, at, _TIMESTAMP):
            time_ns, at = _time(text, at + len(_TIMESTAMP))
        elif _begins(text, at, _SYMBOL):
            at += len(_SYMBOL)
            ours = _begins(text, at, symbol) and _byte(text, at + len(symbol)) == _QUOTE
            at = at + len(symbol) + 1 if ours else 0
        else:
            known -= 1
            at = _plain(text, at)
            at = _plain(text, at + 1) if _byte(text, at) == _COLON else 0
        if at == end and known == 4 and ours and time_ns and 0 < asks == first_bid:
            return levels[:rows].copy(), asks, time_ns
        if _byte(text, at) != _COMMA:
            break
    return levels[:0], 0, 0


@jit
def _begins(text: bytes, at: int, what: bytes) -> bool:
    """Whether the text goes on like that."""
    if at + len(what) >= len(text):
        return False
    for place in range(len(what)):  # noqa: SIM110 - any() of a generator has no machine code
        if _byte(text, at + place) != what[place]:
            return False
    return True


@jit
def _plain(text: bytes, at: int) -> int:
    """The place after a text in quotes of plain characters, which stand for themselves; 0 if there is none."""
    if _byte(text, at) != _QUOTE:
        return 0
    at += 1
    while at < len(text):
        letter = _byte(text, at)
        if letter == _QUOTE:
            return at + 1
        if letter < _SPACE or letter == _BACKSLASH or letter >= _DELETE:
            return 0
        at += 1
    return 0


@jit
def _side(text: bytes, at: int, sign: float, size_unit: float, levels: Levels, row: int) -> tuple[int, int]:
    """Fills levels from this row on: the row after the last and the place after the side, 0 and 0 if there is none.

    Prices rise where the sign is 1 and fall where it is -1. All reading stops at a brace, with which the text ends.
    """
    if _byte(text, at) != _OPEN:
        return 0, 0
    at += 1
    before = -np.inf
    while _byte(text, at) == _OPEN:
        price, at = _quoted(text, at + 1)
        if _byte(text, at) != _COMMA:
            return 0, 0
        size, at = _quoted(text, at + 1)
        size *= size_unit
        if _byte(text, at) != _CLOSE or not (price > 0 and sign * price > before and 0 < size < _LARGEST_SIZE):
            return 0, 0
        before = sign * price
        levels[row, 0], levels[row, 1] = price, size
        row += 1
        at += 1
        if _byte(text, at) == _CLOSE:
            return row, at + 1
        if _byte(text, at) != _COMMA:
            return 0, 0
        at += 1
    return 0, 0


@jit
def _time(text: bytes, at: int) -> tuple[int, int]:
    """A time like 2025-10-09T08:53:20.100000+00:00 or ...20Z up to its quote, ns since the epoch, and the place after
    the quote; 0 and 0 if it is none of the years 1971 to 2261, or has another zone."""
    if at + len("2025-10-09T08:53:20Z") >= len(text):
        return 0, 0
    year, month, day = 100 * _two(text, at) + _two(text, at + 2), _two(text, at + 5), _two(text, at + 8)
    hour, minute, second = _two(text, at + 11), _two(text, at + 14), _two(text, at + 17)
    if not (
        _byte(text, at + 4) == _byte(text, at + 7) == _DASH
        and _byte(text, at + 10) == ord("T")
        and _byte(text, at + 13) == _byte(text, at + 16) == _COLON
        and 1971 <= year <= 2261
        and 1 <= month <= 12
        and 1 <= day <= _DAYS[month - 1]
        and 0 <= hour < 24
        and 0 <= minute < 60
        and 0 <= second < 60
    ):
        return 0, 0
    leap = (year % 4 == 0 and year % 100 != 0) or year % 400 == 0
    if month == 2 and day == 29 and not leap:
        return 0, 0
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400 - 719162 + day - 1
    for earlier in range(month - 1):
        days += _DAYS[earlier]
    if month > 2 and not leap:
        days -= 1
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
    at += 19
    fraction, places = 0, 0
    if _byte(text, at) == _POINT:
        at += 1
        while _ZERO <= _byte(text, at) <= _NINE:
            fraction = 10 * fraction + _byte(text, at) - _ZERO
            places += 1
            at += 1
        if not 1 <= places <= 9:
            return 0, 0
    if _begins(text, at, b'Z"'):
        at += 2
    elif _begins(text, at, b'+00:00"'):
        at += 7
    else:
        return 0, 0
    return seconds * 1_000_000_000 + fraction * 10 ** (9 - places), at


@jit
def _two(text: bytes, at: int) -> int:
    """A number of two digits; far below 0 if there is none."""
    tens, ones = _byte(text, at) - _ZERO, _byte(text, at + 1) - _ZERO
    return 10 * tens + ones if 0 <= tens <= 9 and 0 <= ones <= 9 else -10_000


@jit
def _quoted(text: bytes, at: int) -> tuple[float, int]:
    """The number in quotes at this place, and the place after it: the text's begin, where no comma is, if it is not
    plain or not exact. A whole number of 53 bits divided by a power of ten is the float nearest to the text."""
    if _byte(text, at) != _QUOTE:
        return 0.0, 0
    at += 1
    first, number, scale = at, 0, 0
    while _ZERO <= _byte(text, at) <= _NINE:
        number = 10 * number + _byte(text, at) - _ZERO
        at += 1
    digits = at - first
    if digits == 0 or (digits > 1 and _byte(text, first) == _ZERO):
        return 0.0, 0
    if _byte(text, at) == _POINT:
        at += 1
        first = at
        while _ZERO <= _byte(text, at) <= _NINE:
            number = 10 * number + _byte(text, at) - _ZERO
            at += 1
        scale = at - first
        if scale == 0:
            return 0.0, 0
    if _byte(text, at) != _QUOTE or digits + scale > _MOST_DIGITS or number > _LARGEST_EXACT:
        return 0.0, 0
    return number / _TENS[scale], at + 1


@jit
def _byte(text: bytes, at: int) -> int:
    """The byte there. A place without a sign is not looked at for whether it counts from the end."""
    byte: int = text[np.uint64(at)]
    return byte
