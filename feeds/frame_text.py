"""The two sides of a frame straight from its bytes, by machine code, where they are written in the usual form."""

from __future__ import annotations

import numpy as np

from compiled import compiled
from orderbook import Levels

_QUOTE, _COMMA, _POINT, _ZERO, _NINE, _OPEN, _CLOSE, _END = b'",.09[]}'
_ASKS, _BIDS = b'"asks":[', b',"bids":['
_SHORTEST = len('["1","2"],')

_DIGITS = 15
_TENS = tuple(10.0**places for places in range(_DIGITS))
_LARGEST = 1e15


@compiled
def read_sides(text: bytes, start: int, size_unit: float) -> tuple[Levels, int, int]:
    """The levels of `"asks":[["95445.5","9.06"],...],"bids":[["95445.4","1104.23"],...]` at start: asks, then bids,
    their sizes multiplied by size_unit; how many are asks; and the place after them in the text.

    No levels where anything is unusual (a number of more than 15 digits or with an exponent, a space), where a side
    is not sorted or not positive, or where the text does not end in a brace, which ends all reading.
    """
    if not 0 <= start < len(text) or _byte(text, len(text) - 1) != _END:
        return np.empty((0, 2)), 0, 0
    levels = np.empty(((len(text) - start) // _SHORTEST, 2))
    asks, at = _read_side(text, start, _ASKS, 1.0, size_unit, levels, 0)
    rows = 0
    if asks:
        rows, at = _read_side(text, at, _BIDS, -1.0, size_unit, levels, asks)
    if not rows:
        return levels[:0], 0, 0
    return levels[:rows].copy(), asks, at


@compiled
def _read_side(
    text: bytes, at: int, name: bytes, sign: float, size_unit: float, levels: Levels, row: int
) -> tuple[int, int]:
    """Fills levels from this row on: the row after the last, 0 if there is no such side at `at`; and the place after
    it. Prices rise where the sign is 1 and fall where it is -1."""
    for letter in name:
        if _byte(text, at) != letter:
            return 0, at
        at += 1
    before = -np.inf
    while _byte(text, at) == _OPEN:
        price, at = _number(text, at + 1)
        if _byte(text, at) != _COMMA:
            return 0, at
        size, at = _number(text, at + 1)
        size *= size_unit
        if _byte(text, at) != _CLOSE or not (price > 0 and sign * price > before and 0 < size < _LARGEST):
            return 0, at
        before = sign * price
        levels[row, 0], levels[row, 1] = price, size
        row += 1
        at += 1
        if _byte(text, at) == _CLOSE:
            return row, at + 1
        if _byte(text, at) != _COMMA:
            return 0, at
        at += 1
    return 0, at


@compiled
def _number(text: bytes, at: int) -> tuple[float, int]:
    """The number in quotes at `at`, and the place after it; 0 if it is none, or an unusual one.

    A whole number of up to 15 digits and the power of ten that divides it are exact, so their quotient is the double
    next to the decimal number, as json and float make it.
    """
    if _byte(text, at) != _QUOTE:
        return 0.0, at
    at += 1
    first, whole = at, 0
    while _ZERO <= _byte(text, at) <= _NINE:
        whole = 10 * whole + _byte(text, at) - _ZERO
        at += 1
    digits, places = at - first, 0
    if not digits or (digits > 1 and _byte(text, first) == _ZERO):
        return 0.0, at
    if _byte(text, at) == _POINT:
        at += 1
        point = at
        while _ZERO <= _byte(text, at) <= _NINE:
            whole = 10 * whole + _byte(text, at) - _ZERO
            at += 1
        places = at - point
        if not places:
            return 0.0, at
    if _byte(text, at) != _QUOTE or digits + places > _DIGITS:
        return 0.0, at
    return whole / _TENS[places], at + 1


@compiled
def _byte(text: bytes, at: int) -> int:
    """The byte there; a place without a sign spares the look whether it counts from the end: half the time."""
    byte: int = text[np.uint64(at)]
    return byte
