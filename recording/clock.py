"""Tell the units of clocks apart: seconds, milliseconds, microseconds and nanoseconds since 1970."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from feeds.base import timestamp_ns

_NUMBER = re.compile(r"[0-9]{1,40}(?:[.][0-9]{1,40})?")
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


def to_iso(ns: int) -> str:
    """Return a time in nanoseconds since 1970 as ISO 8601.

    >>> to_iso(1772359200123456789)
    '2026-03-01T10:00:00.123456789Z'
    """
    seconds, fraction = divmod(ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


class TimeColumn:
    """The times of one column, all in one unit, which the first one tells by its size: a number is a time in one alone.

    A text may also be ISO 8601 with a zone. name: the column's, for sentences.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.unit = ""

    def to_ns(self, text: str) -> int:
        """Return a time in nanoseconds. Raises ValueError for no time, and for one in another unit than the first."""
        if self._is_iso(text):
            self._keep_unit("ISO 8601", text)
            return timestamp_ns(text)
        try:
            number = Decimal(text) if _NUMBER.fullmatch(text) else None
        except InvalidOperation:
            number = None
        unit = None if number is None else find_unit(number)
        if number is None or unit is None:
            raise ValueError(
                f"{self.name} {text[:40]!r} is no time from 2009 to 2262 in seconds, milliseconds, microseconds or "
                "nanoseconds, nor ISO 8601 with a zone"
            )
        self._keep_unit(unit, text)
        return int(number * NS_PER_UNIT[unit])

    def describe(self) -> str:
        """Return what the times are, in words; the column's name alone before the first one."""
        return (
            f"{self.name} is {self.unit}{' since 1970' if self.unit in NS_PER_UNIT else ''}" if self.unit else self.name
        )

    def _keep_unit(self, unit: str, text: str) -> None:
        if self.unit and unit != self.unit:
            raise ValueError(f"{self.name} {text[:40]} is {unit}, and the first one {self.unit}")
        self.unit = unit

    @staticmethod
    def _is_iso(text: str) -> bool:
        return text[4:5] == "-"
