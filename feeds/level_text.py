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
_NO_LEVELS = np.empty((0, 2))

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
    return packed([number for level in levels for number in (level.price, level.size * size_unit)])


def packed(numbers: list[float]) -> Levels:
    """Price, size, price, size, ... as (n, 2)."""
    return np.array(numbers).reshape(-1, 2) if numbers else _NO_LEVELS


@compiled
def _read_both(bids: bytes, asks: bytes, size_unit: float, levels: Levels) -> tuple[int, int]:
    """Where the asks begin in `levels` and where they end, -1 if a side could not be read."""
    begin = _read(bids, size_unit, levels, 0)
    return begin, _read(asks, size_unit, levels, begin) if begin >= 0 else -1


@compiled
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


@compiled
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


@compiled
def _byte(text: bytes, at: int) -> int:
    """The byte there. A place without a sign is not looked at for whether it counts from the end."""
    byte: int = text[np.uint64(at)]
    return byte
