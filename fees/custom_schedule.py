"""Read a user's own fee schedule from a small TOML or JSON file. Every refusal names its line."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, NoReturn, get_args

from fees.schedules import FeeError, FeeSchedule, FeeTier, Product
from fees.tables import TITLES

_FIRST_VENUES = ", ".join(list(TITLES)[:-1])
_LAST_VENUE = list(TITLES)[-1]
OWN_EXAMPLE = f"""\
venue = "okx"                 # {_FIRST_VENUES} or {_LAST_VENUE}
product = "swap"              # spot or swap
as_of = 2026-05-03
source = "our agreement with the venue"

[[tiers]]
name = "Desk"
maker_percent = -0.002        # negative: the venue pays you
taker_percent = 0.025

[[tiers]]
name = "Desk, above 500 million"
maker_percent = -0.004
taker_percent = 0.021
min_volume = 500_000_000      # traded over 30 days, in US dollars
"""
"""An example of a user's own schedule, ready to be changed. JSON has the same keys, with as_of as a string."""


class FeeFileError(FeeError):
    """A user's own schedule that cannot be read.

    Attributes:
        line: The number of the line that is wrong, from 1.
        reason: A sentence about what is wrong there.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


_MAX_FILE_CHARACTERS = 65_536
_MAX_LINE_CHARACTERS = 500
"""The longest line of a TOML file: reading a dotted key takes time that grows with the square of its parts."""
_MAX_TIERS = 100
_MAX_PERCENT = 5
_MAX_VOLUME = 10**15
_MAX_SOURCE_CHARACTERS = 200
_MAX_CURRENCY_CHARACTERS = 10
_MAX_NAME_CHARACTERS = 60
_SHOWN_CHARACTERS = 60
"""A value in an error message is cut to this many characters."""


def own_schedule(content: str | bytes, form: Literal["toml", "json"]) -> FeeSchedule:
    """Return the schedule in a user's own file, which looks like OWN_EXAMPLE.

    source (default: the user's own file), currency (USD) and a tier's min_volume (0) may be left out. Raises
    FeeFileError, with the line, for anything else, and for more than 65,536 characters or 100 tiers.

    >>> own_schedule(OWN_EXAMPLE, "toml").tiers[0]
    FeeTier(name='Desk', maker=-2e-05, taker=0.00025, min_volume=0.0, condition='', disputed='')
    >>> own_schedule('{"venue": "okx",\\n "product": "margin"}', "json")
    Traceback (most recent call last):
    fees.custom_schedule.FeeFileError: line 2: product must be one of spot, swap, not 'margin'
    """
    text = _decode_text(content)
    key_lines = _find_key_lines(text)
    data = _parse_toml(text) if form == "toml" else _parse_json(text, key_lines)
    if not isinstance(data, dict):
        raise FeeFileError(1, "the file must hold one table of keys and values")
    top = _Table("the file", data, {key: _nth_line(key_lines, key, 0) for key in data}, 1)
    top.check_keys("venue", "product", "as_of", "source", "currency", "tiers")
    venue = top.read_choice("venue", tuple(TITLES))
    product = top.read_choice("product", get_args(Product))
    as_of = top.read_day("as_of")
    source = top.read_text("source", _MAX_SOURCE_CHARACTERS, "the user's own file")
    currency = top.read_text("currency", _MAX_CURRENCY_CHARACTERS, "USD")
    tiers: list[FeeTier] = []
    for table in _iter_tier_tables(top, key_lines):
        table.check_keys("name", "maker_percent", "taker_percent", "min_volume")
        tiers.append(
            FeeTier(
                table.read_text("name", _MAX_NAME_CHARACTERS),
                float(table.read_number("maker_percent", -_MAX_PERCENT, _MAX_PERCENT) / 100),
                float(table.read_number("taker_percent", -_MAX_PERCENT, _MAX_PERCENT) / 100),
                float(table.read_number("min_volume", 0, _MAX_VOLUME, Decimal(0))),
            )
        )
        # A schedule is made after every tier: the earlier tiers were accepted, so an error is about this one.
        try:
            schedule = FeeSchedule(venue, product, source, as_of, tuple(tiers), "own", currency)
        except FeeError as error:
            table.fail("name", str(error))
    return schedule


def _decode_text(content: str | bytes) -> str:
    """Return the text without a byte order mark. Raises FeeFileError if it is too long or not UTF-8."""
    if len(content) > _MAX_FILE_CHARACTERS:
        raise FeeFileError(1, f"the file is longer than {_MAX_FILE_CHARACTERS:,} characters")
    if isinstance(content, str):
        return content.removeprefix("\ufeff")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise FeeFileError(line, f"byte {content[error.start]:#04x} is not UTF-8 text") from None


def _parse_toml(text: str) -> Any:
    """Parse TOML, its fractions as Decimal. Raises FeeFileError with the line."""
    for number, line_text in enumerate(text.split("\n"), 1):
        if len(line_text) > _MAX_LINE_CHARACTERS:
            raise FeeFileError(number, f"longer than {_MAX_LINE_CHARACTERS} characters")
    try:
        return tomllib.loads(text, parse_float=_to_decimal)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", str(error))
        line = int(place[1]) if place and place[1] else text.count("\n") + 1
        raise FeeFileError(line, str(error)[: place.start()] if place else str(error)) from None
    except RecursionError:
        raise FeeFileError(1, "nested too deeply") from None


def _parse_json(text: str, key_lines: dict[str, list[int]]) -> Any:
    """Parse JSON, its numbers as Decimal. Raises FeeFileError with the line, also for a key that is given twice."""
    n_read: Counter[str] = Counter()  # how often each key has been read so far, in tables that are complete

    def make_table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table: dict[str, Any] = {}
        for key, value in pairs:
            n_read[key] += 1
            if key in table:
                line = _nth_line(key_lines, key, n_read[key] - 1)
                raise FeeFileError(line, f"{key[:_SHOWN_CHARACTERS]!r} is given twice")
            table[key] = value
        return table

    try:
        return json.loads(
            text,
            parse_float=_to_decimal,
            parse_int=_to_decimal,
            parse_constant=_to_decimal,
            object_pairs_hook=make_table,
        )
    except json.JSONDecodeError as error:
        raise FeeFileError(error.lineno, error.msg) from None
    except RecursionError:
        raise FeeFileError(1, "nested too deeply") from None


def _to_decimal(text: str) -> Decimal:
    """Return the exact number; NaN, which every bound refuses, if it has an exponent that no Decimal has."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


# Comments and long strings hold no keys. A quote that is never closed matches up to the end of its line or of the text,
# so that no part of a hostile text is scanned twice.
_TOKEN = re.compile(
    r"""\#[^\n]* | \"{3}.*?(?:\"{3}|\Z) | '{3}.*?(?:'{3}|\Z)
    | (?:"(?P<basic>(?:\\.|[^"\\\n])*+)"? | '(?P<literal>[^'\n]*+)'? | (?P<bare>[A-Za-z0-9_-]++))
    (?P<key>\s*+[=:\]])?""",
    re.VERBOSE | re.DOTALL,
)


def _find_key_lines(text: str) -> dict[str, list[int]]:
    """Return the lines on which each key is written, in order, in TOML or JSON; a table's header counts as a key."""
    key_lines: dict[str, list[int]] = {}
    line = 1
    counted_to = 0  # line breaks before this position are in `line`
    for token in _TOKEN.finditer(text):
        if token["key"]:
            line += text.count("\n", counted_to, token.start())
            counted_to = token.start()
            key = token["basic"] or token["literal"] or token["bare"] or ""
            key_lines.setdefault(key, []).append(line)
    return key_lines


def _nth_line(key_lines: Mapping[str, list[int]], key: str, n: int) -> int:
    """Return the line on which the key is written for the nth time, counted from 0; 1 for a key without a line."""
    lines = key_lines.get(key, [1])
    return lines[min(n, len(lines) - 1)]


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of a user's file. Its methods check what they read, and raise FeeFileError with the line."""

    name: str
    values: dict[str, Any]
    lines: Mapping[str, int]
    first_line: int

    def fail(self, key: str, reason: str) -> NoReturn:
        """Raise the error for this key, with its line; with the table's first line if the key is missing."""
        raise FeeFileError(self.lines.get(key, self.first_line), reason)

    def check_keys(self, *allowed: str) -> None:
        """Refuse a table with any other key."""
        for key in self.values:
            if key not in allowed:
                self.fail(key, f"unknown key {key[:_SHOWN_CHARACTERS]!r}; {self.name} may have {', '.join(allowed)}")

    def read_value(self, key: str, default: Any = None) -> Any:
        """Return the value of a key; refuse a missing one without a default."""
        value = self.values.get(key, default)
        if value is None:
            self.fail(key, f"{self.name} needs a value for {key}")
        return value

    def read_text(self, key: str, max_characters: int, default: str | None = None) -> str:
        """Return a text of printable characters, without spaces around it."""
        value = self.read_value(key, default)
        if not isinstance(value, str) or not value.isprintable() or not 1 <= len(value.strip()) <= max_characters:
            self.fail(key, f"{key} must be 1 to {max_characters} printable characters")
        return value.strip()

    def read_choice(self, key: str, choices: tuple[str, ...]) -> Any:
        """Return one of the choices."""
        value = self.read_value(key)
        if value not in choices:
            self.fail(key, f"{key} must be one of {', '.join(choices)}, not {_format_value(value)}")
        return value

    def read_day(self, key: str) -> date:
        """Return a day, which JSON writes as a text."""
        value = self.read_value(key)
        try:
            return value if type(value) is date else date.fromisoformat(value)
        except (TypeError, ValueError):
            self.fail(key, f"{key} must be a day such as 2026-05-03, not {_format_value(value)}")

    def read_number(self, key: str, lowest: int, highest: int, default: Decimal | None = None) -> Decimal:
        """Return a number between the bounds, exactly as it is written."""
        value = self.read_value(key, default)
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            self.fail(key, f"{key} must be a number, not {_format_value(value)}")
        number = Decimal(value)
        if not number.is_finite() or not lowest <= number <= highest:
            self.fail(key, f"{key} must be between {lowest:,} and {highest:,}, not {_format_value(number)}")
        return number


def _iter_tier_tables(top: _Table, key_lines: Mapping[str, list[int]]) -> Iterator[_Table]:
    """Yield the table of every tier. Raises FeeFileError if there are no tables, or too many."""
    rows = top.read_value("tiers")
    if not isinstance(rows, list) or not 1 <= len(rows) <= _MAX_TIERS:
        top.fail("tiers", f"tiers must be a list of 1 to {_MAX_TIERS} tables")
    n_earlier: Counter[str] = Counter()  # how many earlier tiers have each key
    for n, row in enumerate(rows):
        header_line = _nth_line(key_lines, "tiers", n)
        name = f"tier {n + 1}"
        if not isinstance(row, dict):
            raise FeeFileError(header_line, f"{name} must be a table of keys and values")
        # The nth tier that has a key has it on the line where the key is written for the nth time.
        row_lines = {key: _nth_line(key_lines, key, n_earlier[key]) for key in row}
        n_earlier.update(row.keys())
        yield _Table(name, row, row_lines, next(iter(row_lines.values()), header_line))


def _format_value(value: object) -> str:
    """Return a value as an error message shows it, cut to a bearable length."""
    match value:
        case str():
            return repr(value[:_SHOWN_CHARACTERS])
        case dict():
            return "a table"
        case list():
            return "a list"
        case _:
            return str(value)[:_SHOWN_CHARACTERS]
