"""The sides of a message, texts like `[["95445.5","9.06"],...]`, as arrays of numbers."""

from __future__ import annotations

import msgspec
import numpy as np

from compiled import compiled
from feeds.protocol import FeedError, decode
from orderbook import Levels


class _Level(msgspec.Struct, array_like=True, gc=False):
    """A row: its price, its size, and whatever follows them, which nobody reads."""

    price: float
    size: float


_LEVELS = msgspec.json.Decoder(list[_Level], strict=False)

_OPEN, _CLOSE, _QUOTE, _COMMA, _POINT, _ZERO, _NINE = b'[]",.09'
_SHORTEST_ROW = len('["1","1"],')
_MOST_DIGITS = 18
_LARGEST_EXACT = 2**53
_TENS = tuple(10.0**scale for scale in range(_MOST_DIGITS))


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
    numbers = [number for level in levels for number in (level.price, level.size * size_unit)]
    return np.array(numbers, dtype=np.float64).reshape(-1, 2)


@compiled
def _quoted(text: bytes, at: int) -> tuple[float, int]:
    """The number in quotes at this place, and the place after it: the text's end if there is none that is plain and
    exact. A whole number of 53 bits divided by a power of ten below 1e23 is the float nearest to the text."""
    end = len(text)
    if at >= end or text[at] != _QUOTE:
        return 0.0, end
    at += 1
    first, number, point = at, 0, -1
    while at < end:
        character = text[at]
        if _ZERO <= character <= _NINE:
            number = number * 10 + (character - _ZERO)
        elif character == _POINT and point < 0:
            point = at
        else:
            break
        at += 1
    whole = at - first if point < 0 else point - first
    scale = 0 if point < 0 else at - point - 1
    if (
        at >= end
        or text[at] != _QUOTE
        or whole == 0
        or (whole > 1 and text[first] == _ZERO)
        or (point >= 0 and scale == 0)
        or whole + scale > _MOST_DIGITS
        or number > _LARGEST_EXACT
    ):
        return 0.0, end
    return number / _TENS[scale], at + 1


@compiled
def _read(text: bytes, size_unit: float, levels: Levels, row: int) -> int:
    """Fills `levels` from `row` on: the row after the last filled, or -1 if the text is not all rows of plain numbers
    in quotes."""
    end = len(text)
    if end == 2 and text[0] == _OPEN and text[1] == _CLOSE:
        return row
    if end < _SHORTEST_ROW or text[0] != _OPEN:
        return -1
    at = 1
    while at < end and text[at] == _OPEN:
        price, at = _quoted(text, at + 1)
        if at >= end or text[at] != _COMMA:
            return -1
        size, at = _quoted(text, at + 1)
        while at < end and text[at] == _COMMA:
            _, at = _quoted(text, at + 1)
        if at + 1 >= end or text[at] != _CLOSE:
            return -1
        levels[row, 0], levels[row, 1] = price, size * size_unit
        row += 1
        if text[at + 1] == _CLOSE:
            return row if at + 2 == end else -1
        if text[at + 1] != _COMMA:
            return -1
        at += 2
    return -1


@compiled
def _read_both(one: bytes, other: bytes, size_unit: float, levels: Levels) -> tuple[int, int]:
    """Where the other side begins in `levels` and where it ends; -1 where a side could not be read."""
    begins = _read(one, size_unit, levels, 0)
    return begins, _read(other, size_unit, levels, begins) if begins >= 0 else -1
