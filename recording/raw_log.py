"""Read logs of raw WebSocket messages, one a line, that some other program wrote.

A line is a message as the venue sent it. Before it there may be a clock (seconds, milliseconds, microseconds or
nanoseconds since 1970, or ISO 8601 with a zone) and the sign of wscat and websocat: "<" received, ">" sent. Tardis's
raw lines have an ISO clock, those of its server a member for the time and one for the message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from feeds import VENUES, Venue
from feeds.base import timestamp_ns
from recording.clock import NS_PER_UNIT, find_unit, is_time
from recording.format import RecordedFrame, RecordingError
from recording.opening import Opening

_CLOCK = re.compile(
    rb"(\[)?([0-9]+(?:[.][0-9]+)?|[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]{8,}(?:Z|[+-][0-9:]{4,6})?)(?(1)\])[\s,;|]+"
)
"""A clock, in brackets or not, and what separates it from the message."""
_SIGN = re.compile(rb"([<>]) ")
_WORD = re.compile(rb"[A-Za-z]{1,20}")
"""A message that is no JSON, such as the pong of some venues."""


class _Envelope(msgspec.Struct):
    """A line of Tardis's server."""

    localTimestamp: str  # noqa: N815 - its spelling
    message: msgspec.Raw


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_ENVELOPE_START = b'{"localTimestamp":'


class _Line(NamedTuple):
    """A line taken apart. clock and sign are empty where there are none."""

    clock: str
    sign: str
    message: bytes

    @property
    def is_message(self) -> bool:
        return self.message.startswith((b"{", b"[")) or _WORD.fullmatch(self.message) is not None


def split_line(line: bytes) -> _Line:
    """Take a line apart. Raises ValueError for half an envelope.

    >>> split_line(b'1772359200123456789 < {"channel":"heartbeat"}')
    _Line(clock='1772359200123456789', sign='<', message=b'{"channel":"heartbeat"}')
    >>> split_line(b"[1,2,3]").message
    b'[1,2,3]'
    """
    rest = line.strip()
    if rest.startswith(_ENVELOPE_START):
        try:
            envelope = _ENVELOPE.decode(rest)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise ValueError(f"no line of a log ({error}): {rest[:40]!r}") from None
        return _Line(envelope.localTimestamp, "", bytes(envelope.message))
    clock = sign = b""
    for _ in range(2):  # the clock and the sign, in any order
        if not clock and (match := _CLOCK.match(rest)):
            clock = match[2]
            rest = rest[match.end() :]
        elif not sign and (match := _SIGN.match(rest)):
            sign = match[1]
            rest = rest[match.end() :]
    return _Line(clock.decode(), sign.decode(), rest)


def is_raw_log(lines: Iterable[bytes]) -> bool:
    """Return whether one of a file's first lines is a JSON message, with or without what may stand before it."""
    try:
        return any(split_line(line).message.startswith((b"{", b"[")) for line in lines)
    except ValueError:
        return False


def _clock_unit(clock: str) -> str:
    """Return the unit of a clock. Raises ValueError where it is no time since 1970."""
    if "-" in clock:
        timestamp_ns(clock)
        return "ISO 8601"
    unit = find_unit(Decimal(clock))
    if unit is None:
        raise ValueError(
            f"the clock {clock[:40]} is no time from 2009 to 2262 in seconds, milliseconds, microseconds or nanoseconds"
        )
    return unit


class RawLog:
    """A log's form, found out from its first lines: the clock, the signs, and the market of its messages.

    Raises RecordingError where the messages are of another market than the user says, and where they are of no venue
    that is known here and the user names none.
    """

    may_tear: tuple[bytes, ...] = (b"",)

    def __init__(self, sample: list[bytes], opening: Opening) -> None:
        lines = [split_line(line) for line in sample if line.strip()]
        self._has_signs = any(line.sign for line in lines)
        lines = [line for line in lines if line.is_message and (line.sign or not self._has_signs)]
        self._unit = _clock_unit(lines[0].clock) if lines and lines[0].clock else ""
        markets = set(_find_markets(line.message for line in lines if line.sign != ">"))
        self._venue, self._symbols = _choose_market(markets, opening)
        self._symbol = opening.symbol or (next(iter(self._symbols)) if len(self._symbols) == 1 else None)

    def meta(self) -> str:
        """Return the text of a meta line: the market, as far as the messages or the user name one, and assumptions."""
        names = {"venue": None if self._venue is None else self._venue.name, "symbol": self._symbol}
        known = {key: name for key, name in names.items() if name}
        clock = f"the clock before each is {_describe(self._unit)}" if self._unit else "no clock, so the venue's counts"
        signs = "; < was received, > was sent, other lines are left out" if self._has_signs else ""
        opened_as = f"a log of raw messages of {' '.join(known.values())}, one a line: {clock}{signs}"
        return json.dumps({"t": "meta", **known, "source": "raw log", "opened_as": opened_as})

    def convert(self, line: bytes, is_first: bool) -> Iterable[RecordedFrame]:  # noqa: ARG002 - the seam's signature
        """Return the frame of a line; none for a blank line, or one that is no message among some with signs.

        Raises ValueError for a line of another form.
        """
        parts = split_line(line)
        if not parts.message or (self._has_signs and not parts.sign):
            return ()
        if not parts.is_message:
            raise ValueError(f"no message of a log: {line[:40]!r}")
        return (self._to_frame(parts),)

    def check_whole(self, line: bytes, is_truncated: bool) -> None:  # noqa: ARG002 - the seam's signature
        """Raise ValueError if the last line, which has no newline, ends inside its message."""
        message = split_line(line).message
        if message.startswith((b"{", b"[")):
            try:
                msgspec.json.decode(message, type=msgspec.Raw)
            except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
                raise ValueError(f"no whole message: {error}") from None

    def finish(self) -> Iterable[RecordedFrame]:
        """Return nothing: no line waits for the next one."""
        return ()

    def _to_frame(self, parts: _Line) -> RecordedFrame:
        market_ns = self._to_ns(parts.clock)
        message = parts.message.decode()
        if parts.sign == ">":
            return RecordedFrame("send", market_ns, message)
        snapshot = None if self._venue is None else self._venue.find_snapshot(message)
        if snapshot is None:
            return RecordedFrame("recv", market_ns, message)
        body, symbol = snapshot
        if not symbol and len(self._symbols) > 1:
            names = " and ".join(sorted(self._symbols))
            raise ValueError(f"a REST snapshot that does not say its symbol, in a log of {names}")
        return RecordedFrame("http", market_ns, body, f"?symbol={symbol}" if symbol else None)

    def _to_ns(self, clock: str) -> int | None:
        """Return the time of a clock; None in a log without clocks. Raises ValueError for one unlike the first."""
        if bool(clock) != bool(self._unit):
            raise ValueError(f"{'a' if clock else 'no'} clock before this message, unlike the first one")
        if not clock:
            return None
        if clock.isdigit() and self._unit in NS_PER_UNIT:
            ns = int(clock) * NS_PER_UNIT[self._unit]
            if is_time(ns):  # a number is a time in one unit at most
                return ns
        unit = _clock_unit(clock)
        if unit != self._unit:
            raise ValueError(f"the clock {clock[:40]} is {_describe(unit)}, and the first one {_describe(self._unit)}")
        return timestamp_ns(clock) if "-" in clock else int(Decimal(clock) * NS_PER_UNIT[unit])


def _describe(unit: str) -> str:
    return f"{unit} since 1970" if unit in NS_PER_UNIT else unit


def _find_markets(messages: Iterable[bytes]) -> Iterator[tuple[Venue, str]]:
    """Yield the venue and the symbol of every message that some venue knows as its own."""
    for message in messages:
        try:
            fields: Any = msgspec.json.decode(message)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            continue
        if isinstance(fields, dict):
            for venue in VENUES.values():
                if symbol := venue.find_symbol(fields):
                    yield venue, symbol


def _choose_market(markets: set[tuple[Venue, str]], opening: Opening) -> tuple[Venue | None, set[str]]:
    """Return the venue, None if the messages are of several, and its symbols. Raises RecordingError as RawLog does."""
    if opening.venue:
        said = VENUES[opening.venue]
        symbols = {symbol for venue, symbol in markets if venue is said}
        named = opening.symbol and said.symbol_in_messages(opening.symbol)
        if markets and (not symbols or (named and named not in symbols)):
            given = " ".join(filter(None, (opening.venue, opening.symbol)))
            raise RecordingError(f"line 1: the messages are of {_list_markets(markets)}, not of {given}")
        return said, symbols
    venues = {venue for venue, _ in markets}
    if not venues:
        raise RecordingError(
            "line 1: JSON, one value a line, but neither a recording nor messages of a venue known here; "
            "if it is a log of one, say --venue and --symbol"
        )
    symbols = {symbol for _, symbol in markets}
    if opening.symbol and all(venue.symbol_in_messages(opening.symbol) not in symbols for venue in venues):
        raise RecordingError(f"line 1: the messages are of {_list_markets(markets)}, not of {opening.symbol}")
    return (venues.pop(), symbols) if len(venues) == 1 else (None, symbols)


def _list_markets(markets: set[tuple[Venue, str]]) -> str:
    names = sorted(f"{venue.name} {symbol[:50]}" for venue, symbol in markets)
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
