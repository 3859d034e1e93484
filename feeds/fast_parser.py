"""Read prices and sizes straight from the text of a message, in compiled code: sides of changes, and whole frames.

A parser that finds nothing returns position 0. The text begins with a bracket or a brace, which no caller expects next,
so that the caller's own check of the next byte fails and no error needs passing up.
"""

from __future__ import annotations

import msgspec
import numpy as np

from feeds.base import FeedError, decode
from numerics.jit import jit, jit_holding_gil, live
from orderbook import BookBuilder, Levels


class _Level(msgspec.Struct, array_like=True, gc=False):
    """A level in a message: its price and its size; whatever follows them in the row is not read."""

    price: float
    size: float


_LEVELS = msgspec.json.Decoder(list[_Level], strict=False)
_NO_LEVELS = np.empty((0, 2))

_OPEN_BRACKET, _CLOSE_BRACKET, _OPEN_BRACE, _CLOSE_BRACE, _QUOTE, _COMMA, _POINT, _COLON, _DASH = b'[]{}",.:-'
_ZERO, _NINE, _SPACE, _BACKSLASH, _DELETE = b"09 \\\x7f"
_TIMESTAMP, _SYMBOL, _ASKS, _BIDS = b'"timestamp":"', b'"symbol":"', b'"asks":', b'"bids":'
_SHORTEST_ROW_BYTES = len('["1","1"],')
_MAX_DIGITS = 18
"""A signed integer of 64 bits holds any number of this many digits."""
_LARGEST_EXACT = 2**53
"""Every whole number up to this one is a float."""
_POWERS_OF_TEN = tuple(10.0**scale for scale in range(_MAX_DIGITS))
_LARGEST_SIZE = 1e15
_MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""The days of each month in a leap year."""
_EPOCH_DAYS = 719_162
"""Days from 0001-01-01 to 1970-01-01 in the Gregorian calendar."""
_NOT_TWO_DIGITS = -10_000
"""Far below every bound that a part of a time is checked against."""


def warm_up() -> None:
    """Compile the code that reads and builds books, or load it from the cache, so that no running feed waits for it.

    Loading takes a part of a second, and compiling, the first time, some seconds. Safe to call more than once, and
    never necessary.
    """
    read_frame(b"{}", b"", 1.0)
    BookBuilder().apply(*read_sides(msgspec.Raw(b"[]"), msgspec.Raw(b"[]")))


def read_sides(bids: msgspec.Raw, asks: msgspec.Raw, size_unit: float = 1.0) -> tuple[Levels, Levels]:
    """Return the bids and the asks as (n, 2), their sizes multiplied by size_unit.

    The numbers may be quoted or bare; whatever follows them in a row is ignored. Raises FeedError.

    >>> bids, asks = read_sides(msgspec.Raw(b'[["95445.5","9.06"],["95448","2.05"]]'), msgspec.Raw(b"[]"), 0.5)
    >>> bids.tolist(), asks.shape
    ([[95445.5, 4.53], [95448.0, 1.025]], (0, 2))
    """
    bid_text = bytes(bids)
    ask_text = bytes(asks)
    # The last row of a side has no comma, which can leave room for one row more than the quotient.
    levels = np.empty(((len(bid_text) + len(ask_text)) // _SHORTEST_ROW_BYTES + 1, 2))
    n_bids, n_levels = _LIVE_READ_BOTH.call(bid_text, ask_text, size_unit, levels)
    if n_levels >= 0:
        return levels[:n_bids], levels[n_bids:n_levels]
    return _decode_side("bids", bid_text, size_unit), _decode_side("asks", ask_text, size_unit)


def _decode_side(name: str, text: bytes, size_unit: float) -> Levels:
    """Decode a side with msgspec, which reads numbers of any form. Raises FeedError with the side's name."""
    try:
        levels = decode(_LEVELS, text)
    except FeedError as error:
        raise FeedError(f"{name}: {error}") from None
    return to_levels([number for level in levels for number in (level.price, level.size * size_unit)])


def to_levels(numbers: list[float]) -> Levels:
    """Return price, size, price, size, ... as (n, 2)."""
    return np.array(numbers).reshape(-1, 2) if numbers else _NO_LEVELS


@jit_holding_gil
def _read_both(bids: bytes, asks: bytes, size_unit: float, levels: Levels) -> tuple[int, int]:
    """Fill `levels` with the bids, then the asks; return the number of bids and of all levels.

    The second number is -1 if a side cannot be read.
    """
    n_bids = _read_rows(bids, size_unit, levels, 0)
    return n_bids, _read_rows(asks, size_unit, levels, n_bids) if n_bids >= 0 else -1


@jit
def _read_rows(text: bytes, size_unit: float, levels: Levels, row: int) -> int:
    """Fill `levels` from `row` on; return the row after the last, or -1 if the text cannot be read.

    The text must be a list of rows that hold plain numbers in quotes, two or more a row, without any space.
    """
    end = len(text)
    # The closing bracket at the end stops every loop below, so that nothing reads beyond the text.
    if end < 2 or _byte(text, 0) != _OPEN_BRACKET or _byte(text, end - 1) != _CLOSE_BRACKET:
        return -1
    if end == 2:
        return row
    at = 1
    # At the head of the loop `at` stands where a row must begin, and levels[:row] are filled.
    while _byte(text, at) == _OPEN_BRACKET:
        price, at = _read_quoted(text, at + 1)
        if _byte(text, at) != _COMMA:
            return -1
        size, at = _read_quoted(text, at + 1)
        # Skip the numbers after the size.
        while _byte(text, at) == _COMMA:
            _, at = _read_quoted(text, at + 1)
        # The row's own bracket cannot be the last byte: the list's comes after it.
        if _byte(text, at) != _CLOSE_BRACKET or at + 1 == end:
            return -1
        levels[row, 0] = price
        levels[row, 1] = size * size_unit
        row += 1
        # Either the list ends here, and the text with it, or a comma leads to the next row.
        if _byte(text, at + 1) == _CLOSE_BRACKET:
            return row if at + 2 == end else -1
        if _byte(text, at + 1) != _COMMA:
            return -1
        at += 2
    return -1


@jit_holding_gil
def read_frame(text: bytes, symbol: bytes, size_unit: float) -> tuple[Levels, int, int]:
    """Read a whole frame like the one below; return its levels, the number of asks, and its time, ns since the epoch.

    `{"timestamp":"2025-05-04T10:39:13Z","symbol":"BTC-USDT-SWAP","asks":[["95445.5","9.06"],...],"bids":[["95445.4",
    "1104.23"],...]}`. The levels (n, 2) are the asks, then the bids, each side sorted from its best price, all numbers
    positive, sizes multiplied by size_unit. Other members may stand anywhere, if their values are texts.

    Returns no levels, 0 and 0 if the frame is of another symbol, if a side is empty or not sorted, and if anything at
    all is unusual: a space, a backslash, a value in another form, a number of more than 53 bits, bids before asks.
    """
    end = len(text) - 1
    # A row and its comma take up at least so many bytes, so that no row is written beyond the array.
    levels = np.empty((len(text) // _SHORTEST_ROW_BYTES, 2))
    n_members = 0  # of the four that a frame needs
    asks = 0  # the row after the last ask
    first_bid = 0
    rows = 0  # the row after the last bid
    time_ns = 0
    is_ours = False
    # The closing brace at the end stops every parser below, so that nothing reads beyond the text.
    if end < 0 or _byte(text, 0) != _OPEN_BRACE or _byte(text, end) != _CLOSE_BRACE:
        return levels[:0], 0, 0
    at = 0
    # At the head of the loop `at` stands on the opening brace or on the comma before the next member.
    while at < end:
        at += 1
        n_members += 1
        if _starts_with(text, at, _ASKS):
            asks, at = _read_side(text, at + len(_ASKS), 1.0, size_unit, levels, 0)
        elif _starts_with(text, at, _BIDS):
            # Bids before the asks begin at row 0, which the comparison at the end refuses.
            first_bid = asks
            rows, at = _read_side(text, at + len(_BIDS), -1.0, size_unit, levels, first_bid)
        elif _starts_with(text, at, _TIMESTAMP):
            time_ns, at = _read_time(text, at + len(_TIMESTAMP))
        elif _starts_with(text, at, _SYMBOL):
            at += len(_SYMBOL)
            is_ours = _starts_with(text, at, symbol) and _byte(text, at + len(symbol)) == _QUOTE
            at = at + len(symbol) + 1 if is_ours else 0
        else:
            # Skip a member that no book needs: a text, a colon, a text.
            n_members -= 1
            at = _skip_text(text, at)
            at = _skip_text(text, at + 1) if _byte(text, at) == _COLON else 0
        # A member that stands twice makes five: JSON lets the last one count, and here the typed reader decides.
        if at == end and n_members == 4 and is_ours and time_ns and 0 < asks == first_bid:
            return levels[:rows].copy(), asks, time_ns
        if _byte(text, at) != _COMMA:
            break
    return levels[:0], 0, 0


@jit
def _starts_with(text: bytes, at: int, prefix: bytes) -> bool:
    """Return whether the text goes on with this prefix, and at least one byte after it."""
    if at + len(prefix) >= len(text):
        return False
    for offset in range(len(prefix)):  # noqa: SIM110 - numba cannot compile any() of a generator
        if _byte(text, at + offset) != prefix[offset]:
            return False
    return True


@jit
def _skip_text(text: bytes, at: int) -> int:
    """Return the position after a quoted text of plain ASCII characters, without any escape; 0 if there is none."""
    if _byte(text, at) != _QUOTE:
        return 0
    at += 1
    while at < len(text):
        character = _byte(text, at)
        if character == _QUOTE:
            return at + 1
        # Control characters, escapes and bytes beyond ASCII are for the typed reader.
        if character < _SPACE or character == _BACKSLASH or character >= _DELETE:
            return 0
        at += 1
    return 0


@jit
def _read_side(text: bytes, at: int, sign: float, size_unit: float, levels: Levels, row: int) -> tuple[int, int]:
    """Fill `levels` with one side; return the row after the last and the position after the side.

    Both are 0 if there is no such side. The text must end in a brace, at which all reading stops.

    Args:
        text: the frame.
        at: the position of the side's opening bracket.
        sign: 1 for prices that must rise from row to row, -1 for prices that must fall.
        size_unit: the factor of the sizes.
        levels: the array to fill.
        row: the first row to fill.
    """
    if _byte(text, at) != _OPEN_BRACKET:
        return 0, 0
    at += 1
    last_price = -np.inf  # times the sign, so that it rises on both sides
    # At the head of the loop `at` stands where a row must begin, and the rows before `row` are filled and sorted.
    while _byte(text, at) == _OPEN_BRACKET:
        price, at = _read_quoted(text, at + 1)
        if _byte(text, at) != _COMMA:
            return 0, 0
        size, at = _read_quoted(text, at + 1)
        size *= size_unit
        # Two numbers a row, and no third.
        if _byte(text, at) != _CLOSE_BRACKET:
            return 0, 0
        # Both are positive, and the price is beyond the one before.
        if not (price > 0 and sign * price > last_price and 0 < size < _LARGEST_SIZE):
            return 0, 0
        last_price = sign * price
        levels[row, 0] = price
        levels[row, 1] = size
        row += 1
        # Either the side ends here, or a comma leads to the next row.
        at += 1
        if _byte(text, at) == _CLOSE_BRACKET:
            return row, at + 1
        if _byte(text, at) != _COMMA:
            return 0, 0
        at += 1
    return 0, 0


@jit
def _read_time(text: bytes, at: int) -> tuple[int, int]:
    """Read a time like 2025-10-09T08:53:20.100000+00:00 or ...20Z and its closing quote.

    Return the time in ns since the epoch and the position after the quote; 0 and 0 if the time is not of the years
    1971 to 2261, or has another zone.
    """
    # Everything up to the seconds lies within the text.
    if at + len("2025-10-09T08:53:20Z") >= len(text):
        return 0, 0
    year = 100 * _read_two_digits(text, at) + _read_two_digits(text, at + 2)
    month = _read_two_digits(text, at + 5)
    day = _read_two_digits(text, at + 8)
    hour = _read_two_digits(text, at + 11)
    minute = _read_two_digits(text, at + 14)
    second = _read_two_digits(text, at + 17)
    # A pair that is not two digits is far below its bound.
    if not (
        _byte(text, at + 4) == _byte(text, at + 7) == _DASH
        and _byte(text, at + 10) == ord("T")
        and _byte(text, at + 13) == _byte(text, at + 16) == _COLON
        and 1971 <= year <= 2261
        and 1 <= month <= 12
        and 1 <= day <= _MONTH_DAYS[month - 1]
        and 0 <= hour < 24
        and 0 <= minute < 60
        and 0 <= second < 60
    ):
        return 0, 0
    is_leap = (year % 4 == 0 and year % 100 != 0) or year % 400 == 0
    if month == 2 and day == 29 and not is_leap:
        return 0, 0
    # Days of whole years in the Gregorian calendar, then of whole months as in a leap year.
    full_years = year - 1
    days = full_years * 365 + full_years // 4 - full_years // 100 + full_years // 400 - _EPOCH_DAYS + day - 1
    for earlier_month in range(month - 1):
        days += _MONTH_DAYS[earlier_month]
    if month > 2 and not is_leap:
        days -= 1
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
    at += len("2025-10-09T08:53:20")
    # Up to nine decimals, which are whole nanoseconds.
    fraction = 0
    n_decimals = 0
    if _byte(text, at) == _POINT:
        at += 1
        while _ZERO <= _byte(text, at) <= _NINE:
            fraction = 10 * fraction + _byte(text, at) - _ZERO
            n_decimals += 1
            at += 1
        if not 1 <= n_decimals <= 9:
            return 0, 0
    # UTC alone, in either notation.
    if _starts_with(text, at, b'Z"'):
        at += len(b'Z"')
    elif _starts_with(text, at, b'+00:00"'):
        at += len(b'+00:00"')
    else:
        return 0, 0
    return seconds * 1_000_000_000 + fraction * 10 ** (9 - n_decimals), at


@jit
def _read_two_digits(text: bytes, at: int) -> int:
    """Read a number of two digits; return one far below 0 if there is none."""
    tens = _byte(text, at) - _ZERO
    ones = _byte(text, at + 1) - _ZERO
    return 10 * tens + ones if 0 <= tens <= 9 and 0 <= ones <= 9 else _NOT_TWO_DIGITS


@jit
def _read_quoted(text: bytes, at: int) -> tuple[float, int]:
    """Read a number in quotes; return it and the position after its closing quote.

    The position is 0 if the number is not plain, or not exact here: a whole number of 53 bits divided by a power of
    ten is rounded once, to the float nearest to the text.
    """
    if _byte(text, at) != _QUOTE:
        return 0.0, 0
    at += 1
    first = at
    number = 0  # all digits so far, without the point; it may overflow, and is refused below then
    while _ZERO <= _byte(text, at) <= _NINE:
        number = 10 * number + _byte(text, at) - _ZERO
        at += 1
    digits = at - first
    # JSON forbids a leading zero, and a number without a whole part.
    if digits == 0 or (digits > 1 and _byte(text, first) == _ZERO):
        return 0.0, 0
    scale = 0  # the number of decimals
    if _byte(text, at) == _POINT:
        at += 1
        first = at
        while _ZERO <= _byte(text, at) <= _NINE:
            number = 10 * number + _byte(text, at) - _ZERO
            at += 1
        scale = at - first
        if scale == 0:
            return 0.0, 0
    if _byte(text, at) != _QUOTE or digits + scale > _MAX_DIGITS or number > _LARGEST_EXACT:
        return 0.0, 0
    return number / _POWERS_OF_TEN[scale], at + 1


@jit
def _byte(text: bytes, at: int) -> int:
    """Return text[at]. The unsigned index skips numba's check for an index that counts from the end."""
    byte: int = text[np.uint64(at)]
    return byte


def _leave_sides(_bids: bytes, _asks: bytes, _size_unit: float, _levels: Levels) -> tuple[int, int]:
    return 0, -1


def _leave_frame(_text: bytes, _symbol: bytes, _size_unit: float) -> tuple[Levels, int, int]:
    return _NO_LEVELS, 0, 0


# Until machine code is ready, what it does not read is left to msgspec, which is faster than plain Python.
_LIVE_READ_BOTH = live(_read_both, _leave_sides)
FRAME_READER = live(read_frame, _leave_frame)
