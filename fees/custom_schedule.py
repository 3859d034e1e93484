"""A user's own fee schedule, read from a small TOML or JSON file; every refusal names its line."""

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

_OTHERS, _LAST = ", ".join(list(TITLES)[:-1]), list(TITLES)[-1]
OWN_EXAMPLE = f"""\
venue = "okx"                 # {_OTHERS} or {_LAST}
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
"""A user's own schedule, ready to be changed; the JSON form has the same keys, with as_of as a string."""


class FeeFileError(FeeError):
    """A user's own schedule that cannot be read: `line` counts from 1, `reason` says what is wrong there."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


_MOST_CHARACTERS = 65_536
_MOST_IN_A_LINE = 500  # TOML only: the time a dotted key takes grows with the square of its parts
_MOST_TIERS = 100
_MOST_PERCENT = 5
_MOST_VOLUME = 10**15


def own_schedule(content: str | bytes, form: Literal["toml", "json"]) -> FeeSchedule:
    """The schedule in a user's own file, which looks like OWN_EXAMPLE. source (default: the user's own file),
    currency (USD) and a tier's min_volume (0) may be left out. Raises FeeFileError, with the line, for
    anything else, and for more than 65,536 characters or 100 tiers.

    >>> own_schedule(OWN_EXAMPLE, "toml").tiers[0]
    FeeTier(name='Desk', maker=-2e-05, taker=0.00025, min_volume=0.0, condition='', disputed='')
    >>> own_schedule('{"venue": "okx",\\n "product": "margin"}', "json")
    Traceback (most recent call last):
    fees.custom_schedule.FeeFileError: line 2: product must be one of spot, swap, not 'margin'
    """
    text = _text(content)
    lines = _key_lines(text)
    data = _parse_toml(text) if form == "toml" else _parse_json(text, lines)
    if not isinstance(data, dict):
        raise FeeFileError(1, "the file must hold one table of keys and values")
    top = _Table("the file", data, {key: _nth(lines, key, 0) for key in data}, 1)
    top.only("venue", "product", "as_of", "source", "currency", "tiers")
    venue = top.choice("venue", tuple(TITLES))
    product = top.choice("product", get_args(Product))
    as_of = top.day("as_of")
    source = top.words("source", 200, "the user's own file")
    currency = top.words("currency", 10, "USD")
    tiers: list[FeeTier] = []
    for tier in _tier_tables(top, lines):
        tier.only("name", "maker_percent", "taker_percent", "min_volume")
        tiers.append(
            FeeTier(
                tier.words("name", 60),
                float(tier.number("maker_percent", -_MOST_PERCENT, _MOST_PERCENT) / 100),
                float(tier.number("taker_percent", -_MOST_PERCENT, _MOST_PERCENT) / 100),
                float(tier.number("min_volume", 0, _MOST_VOLUME, Decimal(0))),
            )
        )
        try:
            built = FeeSchedule(venue, product, source, as_of, tuple(tiers), "own", currency)
        except FeeError as error:  # the tiers before it stood, so this one is at fault
            tier.fail("name", str(error))
    return built


def _text(content: str | bytes) -> str:
    if len(content) > _MOST_CHARACTERS:
        raise FeeFileError(1, f"the file is longer than {_MOST_CHARACTERS:,} characters")
    if isinstance(content, str):
        return content.removeprefix("\ufeff")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise FeeFileError(line, f"byte {content[error.start]:#04x} is not UTF-8 text") from None


def _parse_toml(text: str) -> Any:
    for line, written in enumerate(text.split("\n"), 1):
        if len(written) > _MOST_IN_A_LINE:
            raise FeeFileError(line, f"longer than {_MOST_IN_A_LINE} characters")
    try:
        return tomllib.loads(text, parse_float=_number)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", str(error))
        line = int(place[1]) if place and place[1] else text.count("\n") + 1
        raise FeeFileError(line, str(error)[: place.start()] if place else str(error)) from None
    except RecursionError:
        raise FeeFileError(1, "nested too deeply") from None


def _parse_json(text: str, lines: dict[str, list[int]]) -> Any:
    closed: Counter[str] = Counter()

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table: dict[str, Any] = {}
        for key, value in pairs:
            closed[key] += 1
            if key in table:
                raise FeeFileError(_nth(lines, key, closed[key] - 1), f"{key[:60]!r} is given twice")
            table[key] = value
        return table

    try:
        return json.loads(text, parse_float=_number, parse_int=_number, parse_constant=_number, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise FeeFileError(error.lineno, error.msg) from None
    except RecursionError:
        raise FeeFileError(1, "nested too deeply") from None


def _number(written: str) -> Decimal:
    try:
        return Decimal(written)
    except InvalidOperation:  # an exponent beyond Decimal's
        return Decimal("NaN")


# Comments and long strings hold no keys. A quote that never closes runs on, so that no text is read twice.
_TOKEN = re.compile(
    r"""\#[^\n]* | \"{3}.*?(?:\"{3}|\Z) | '{3}.*?(?:'{3}|\Z)
    | (?:"(?P<basic>(?:\\.|[^"\\\n])*+)"? | '(?P<literal>[^'\n]*+)'? | (?P<bare>[A-Za-z0-9_-]++))
    (?P<key>\s*+[=:\]])?""",
    re.VERBOSE | re.DOTALL,
)


def _key_lines(text: str) -> dict[str, list[int]]:
    """The lines on which each key is written, in order, in TOML or JSON; a table's header counts as a key."""
    found: dict[str, list[int]] = {}
    line, counted = 1, 0
    for token in _TOKEN.finditer(text):
        if token["key"]:
            line += text.count("\n", counted, token.start())
            counted = token.start()
            found.setdefault(token["basic"] or token["literal"] or token["bare"] or "", []).append(line)
    return found


def _nth(lines: Mapping[str, list[int]], key: str, n: int) -> int:
    """The line on which the key is written for the nth time, counted from 0; 1 where it is not found."""
    found = lines.get(key, [1])
    return found[min(n, len(found) - 1)]


@dataclass(frozen=True, slots=True)
class _Table:
    """One table of a user's file: each answer checked, each refusal with its line."""

    name: str
    values: dict[str, Any]
    lines: Mapping[str, int]
    start: int

    def fail(self, key: str, reason: str) -> NoReturn:
        raise FeeFileError(self.lines.get(key, self.start), reason)

    def only(self, *known: str) -> None:
        for key in self.values:
            if key not in known:
                self.fail(key, f"unknown key {key[:60]!r}; {self.name} may have {', '.join(known)}")

    def get(self, key: str, default: Any = None) -> Any:
        value = self.values.get(key, default)
        if value is None:
            self.fail(key, f"{self.name} needs a value for {key}")
        return value

    def words(self, key: str, most: int, default: str | None = None) -> str:
        value = self.get(key, default)
        if not isinstance(value, str) or not value.isprintable() or not 1 <= len(value.strip()) <= most:
            self.fail(key, f"{key} must be 1 to {most} printable characters")
        return value.strip()

    def choice(self, key: str, among: tuple[str, ...]) -> Any:
        value = self.get(key)
        if value not in among:
            self.fail(key, f"{key} must be one of {', '.join(among)}, not {_shown(value)}")
        return value

    def day(self, key: str) -> date:
        value = self.get(key)
        try:
            return value if type(value) is date else date.fromisoformat(value)
        except (TypeError, ValueError):
            self.fail(key, f"{key} must be a day such as 2026-05-03, not {_shown(value)}")

    def number(self, key: str, least: int, most: int, default: Decimal | None = None) -> Decimal:
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            self.fail(key, f"{key} must be a number, not {_shown(value)}")
        exact = Decimal(value)
        if not exact.is_finite() or not least <= exact <= most:
            self.fail(key, f"{key} must be between {least:,} and {most:,}, not {_shown(exact)}")
        return exact


def _tier_tables(top: _Table, lines: Mapping[str, list[int]]) -> Iterator[_Table]:
    rows = top.get("tiers")
    if not isinstance(rows, list) or not 1 <= len(rows) <= _MOST_TIERS:
        top.fail("tiers", f"tiers must be a list of 1 to {_MOST_TIERS} tables")
    seen: Counter[str] = Counter()
    for n, row in enumerate(rows):
        start, name = _nth(lines, "tiers", n), f"tier {n + 1}"
        if not isinstance(row, dict):
            raise FeeFileError(start, f"{name} must be a table of keys and values")
        # The nth tier that has a key stands where the key is written for the nth time.
        own = {key: _nth(lines, key, seen[key]) for key in row}
        seen.update(row.keys())
        yield _Table(name, row, own, next(iter(own.values()), start))


def _shown(value: object) -> str:
    match value:
        case str():
            return repr(value[:60])
        case dict():
            return "a table"
        case list():
            return "a list"
        case _:
            return str(value)[:60]
