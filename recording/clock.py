"""Tell the units of clocks apart: seconds, milliseconds, microseconds and nanoseconds since 1970."""

from __future__ import annotations

from decimal import Decimal

NS_PER_UNIT = {"seconds": 10**9, "milliseconds": 10**6, "microseconds": 10**3, "nanoseconds": 1}

FIRST_NS = 1_230_768_000 * 10**9
"""2009-01-01, before any coin was traded. No recording is older."""
_END_NS = 2**63
"""In the year 2262. It is less than a thousand times FIRST_NS, so a number is a time in one unit at most."""


def is_time(ns: int | Decimal) -> bool:
    """Return whether so many nanoseconds since 1970 are a time from 2009 to 2262."""
    return FIRST_NS <= ns < _END_NS


def find_unit(number: int | Decimal) -> str | None:
    """Return the unit in which this number is a time from 2009 to 2262; None if there is none.

    >>> [find_unit(1772359200 * 1000**power) for power in range(5)]
    ['seconds', 'milliseconds', 'microseconds', 'nanoseconds', None]
    """
    return next((unit for unit, ns in NS_PER_UNIT.items() if is_time(number * ns)), None)


def to_ns(name: str, text: str, unit: str) -> int:
    """Return the time that a text is in this unit, in nanoseconds.

    Raises ValueError with the name and the text for what is no whole number, and for a time in another unit.

    >>> to_ns("timestamp", "1772359200123456", "microseconds")
    1772359200123456000
    """
    try:
        number = int(text)
    except ValueError:
        raise ValueError(f"{name} {text[:40]!r} is no time in {unit}") from None
    ns = number * NS_PER_UNIT[unit]
    if not is_time(ns):
        found = find_unit(number)
        hint = f"; it looks like {found}" if found else ""
        raise ValueError(f"{name} {text[:40]} is no time in {unit}{hint}")
    return ns
