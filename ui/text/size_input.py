"""Understand a size as a trader types it, write it out, and step it up and down."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import NamedTuple

from estimation.order import Unit
from ui.text.formatting import DOLLARS, unit_words

MAX_CHARACTERS = 40
MIN_QUANTITY, MAX_QUANTITY = 1e-9, 1e12
"""The limits of an order's quantity, in any unit."""
MULTIPLIERS = {"k": 3, "m": 6, "mm": 6, "mn": 6, "b": 9, "bn": 9}
"""The power of ten of each letter after a number."""
SIGNS = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}
EXAMPLES = "100k, 1.5m or 250,000"
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]{1,3})?", re.IGNORECASE)
COMMAS = re.compile(r"([+-]?)([0-9]{1,3}(?:,[0-9]{3})+)(\.[0-9]*)?")
SPACES = re.compile(r"([+-]?)([0-9]{1,3}(?: [0-9]{3})+)(\.[0-9]*)?")
DECIMAL_COMMA = re.compile(r"([+-]?[0-9][0-9. ]*),([0-9]*)")
AMOUNT = re.compile(r"(?P<digits>[-+0-9., ]*[0-9.,](?:e[+-]?[0-9]+)?)(?P<gap> *)(?P<letters>.*)", re.IGNORECASE)


class SizeError(ValueError):
    """A text that is no clear size; the message is a sentence that says what to type."""


class SizeUnits(NamedTuple):
    """The names that a market has for sizes: its coin, its currency, and whether it has contracts. "" is unknown."""

    coin: str = ""
    currency: str = ""
    has_contracts: bool = False

    def named(self, name: str) -> Unit | None:
        """Return the unit of this name, upper or lower case; None for a name that the market does not have.

        >>> market = SizeUnits("BTC", "USDT")
        >>> market.named("btc"), market.named("USD"), market.named("USDC"), market.named("contracts")
        ('base', 'quote', None, None)
        """
        name = name.upper()
        if name == self.coin.upper() != "" or name in ("COIN", "COINS") or (name, self.coin) == ("XBT", "BTC"):
            return "base"
        if name == self.currency.upper() != "" or (name == "USD" and self.currency in DOLLARS):
            return "quote"
        return "contracts" if self.has_contracts and name in ("CONTRACT", "CONTRACTS") else None

    def name_of(self, unit: Unit) -> str:
        """Return the name of a unit, as far as the market has one."""
        return self.coin if unit == "base" and self.coin else unit_words(unit, self.currency)

    def words(self) -> str:
        """Return the names to choose from, as a part of a sentence."""
        units: list[Unit] = ["quote", "base", "contracts"] if self.has_contracts else ["quote", "base"]
        names = [self.name_of(unit) for unit in units]
        return f"{', '.join(names[:-1])} or {names[-1]}"


class TypedSize(NamedTuple):
    """A size that was typed; unit: the one that the text names, None if it names none."""

    quantity: float
    unit: Unit | None


NO_NAMES = SizeUnits()


def parse_size(text: str, units: SizeUnits = NO_NAMES) -> TypedSize:
    """Return the size that a text stands for. Raises SizeError for a text with no meaning, or with several.

    A point begins the decimals; commas and spaces stand between thousands. k, m and b (also mm, mn, bn) multiply by
    a thousand, a million and a billion.

    >>> [parse_size(text).quantity for text in ("100k", "1.5m", "1e6", "1,500,000", "1 500 000", "2bn")]
    [100000.0, 1500000.0, 1000000.0, 1500000.0, 1500000.0, 2000000000.0]
    >>> market = SizeUnits("BTC", "USDT")
    >>> [tuple(parse_size(text, market)) for text in ("5 BTC", "250 USDT", "$1.5k")]
    [(5.0, 'base'), (250.0, 'quote'), (1500.0, 'quote')]
    >>> parse_size("0,5")
    Traceback (most recent call last):
    ui.text.size_input.SizeError: '0,5' is not clear: type 0.5 for a decimal point.
    """
    shown = " ".join(text.split())
    if not shown:
        raise SizeError(f"Type a size, for example {EXAMPLES}.")
    if len(shown) > MAX_CHARACTERS:
        raise SizeError(f"A size has at most {MAX_CHARACTERS} characters.")
    body, name = _without_sign(shown.replace("−", "-").replace("_", " ").replace("'", " ").replace("’", " "))
    unit = _named_unit(shown, name, units) if name else None
    body, ending = _split_unit(body, units)
    if ending:
        if unit not in (None, units.named(ending)):
            raise SizeError(f"{shown!r} names two units: type one of them.")
        unit = units.named(ending)
    match = AMOUNT.fullmatch(body)
    if match is None:
        raise SizeError(f"{shown!r} is not a size: type for example {EXAMPLES}.")
    letters = match["letters"].strip()
    power = MULTIPLIERS.get(letters.lower(), 0)
    if letters and not power:
        stuck = re.fullmatch(r"(mm|mn|bn|[kmb])(.+)", letters, re.IGNORECASE)
        if stuck is not None and units.named(stuck[2]) is not None:
            apart = f"{match['digits']}{stuck[1]} {stuck[2]}"
            times = f"{10 ** MULTIPLIERS[stuck[1].lower()]:,}"
            raise SizeError(f"{shown!r} is not clear: type {apart} for {times} times that, or write the number out.")
        unit = _named_unit(shown, letters, units)
    if power and units.named(letters) is not None:
        raise SizeError(f"{shown!r} is not clear, for {letters} is a unit here: write the number out.")
    return TypedSize(_number(shown, match["digits"], power), unit)


def _number(shown: str, digits: str, power: int) -> float:
    """Return the number that these digits stand for, times a power of ten. Raises SizeError."""
    grouped = COMMAS.fullmatch(digits) or SPACES.fullmatch(digits)
    if grouped is not None and not grouped[2].startswith("0"):
        digits = grouped[1] + re.sub("[, ]", "", grouped[2]) + (grouped[3] or "")
    elif (comma := DECIMAL_COMMA.fullmatch(digits)) is not None and comma[2]:
        whole = re.sub("[. ]", "", comma[1])
        raise SizeError(f"{shown!r} is not clear: type {whole}.{comma[2]} for a decimal point.")
    elif NUMBER.fullmatch(digits) is None:
        raise SizeError(f"{shown!r} is not one clear number: type for example {EXAMPLES}.")
    value = float(Decimal(digits).scaleb(power))
    if not math.isfinite(value):
        raise SizeError(f"{shown!r} is too large.")
    return value


def _without_sign(text: str) -> tuple[str, str]:
    """Return the text without a currency's sign at its begin or end, and that currency's name; "" without a sign."""
    for sign, name in SIGNS.items():
        if text.startswith(sign):
            return text[1:].strip(), name
        if text.endswith(sign):
            return text[:-1].strip(), name
    return text, ""


def _split_unit(text: str, units: SizeUnits) -> tuple[str, str]:
    """Split the name of one of the market's units off the end of a text; "" if there is none.

    A name that is stuck to letters, as in 5mBTC, is left: that may be thousandths or millions of a coin.

    >>> _split_unit("5BTC", SizeUnits("BTC")), _split_unit("5mBTC", SizeUnits("BTC")), _split_unit("5k", SizeUnits("K"))
    (('5', 'BTC'), ('5mBTC', ''), ('5k', ''))
    """
    names = [units.coin, units.currency, "XBT", "USD", "contracts", "contract", "coins", "coin"]
    for name in sorted(filter(None, names), key=len, reverse=True):
        before = text[: -len(name)]
        is_apart = before.endswith(" ") or (before[-1:].isdigit() and not name[0].isdigit())
        if text.upper().endswith(name.upper()) and is_apart and units.named(name) and name.lower() not in MULTIPLIERS:
            return before.strip(), name
    return text, ""


def _named_unit(shown: str, name: str, units: SizeUnits) -> Unit:
    """Return the unit of this name. Raises SizeError if the market does not have it."""
    unit = units.named(name)
    if unit is None:
        raise SizeError(f"{shown!r} is not a size here: the unit can be {units.words()}.")
    return unit


def quantity_problem(quantity: float, label: str) -> str:
    """Return what is wrong with a quantity that no order can have; empty for a valid one.

    >>> quantity_problem(0.0, "Quantity"), quantity_problem(1e13, "A size"), quantity_problem(5.0, "Quantity")
    ('Quantity must be more than 0.', 'A size must be at most 1,000,000,000,000.', '')
    """
    if quantity <= 0:
        return f"{label} must be more than 0."
    if quantity < MIN_QUANTITY:
        return f"{label} must be at least {write_size(MIN_QUANTITY)}."
    return f"{label} must be at most {write_size(MAX_QUANTITY)}." if quantity > MAX_QUANTITY else ""


def split_sizes(text: str) -> list[str]:
    """Split a list of sizes at semicolons, at commas before a space, and at spaces before a number.

    A comma between digits belongs to a number. Raises SizeError where a space may stand between thousands or sizes.

    >>> split_sizes("100k 1.5m; 250,500, 5 BTC")
    ['100k', '1.5m', '250,500', '5 BTC']
    """
    sizes = []
    for part in re.split(r"[;\n]|,(?=\s|$)", text):
        words = " ".join(part.split())
        if re.search(r"(?<![0-9.,])[0-9]{1,3} [0-9]{3}(?![0-9])", words):
            joined = re.sub(r"(?<=[0-9]) (?=[0-9]{3}(?![0-9]))", ",", words)
            raise SizeError(f"{words!r} is not clear: type {joined} for one size, or a semicolon between sizes.")
        sizes += re.split(r" (?=[-+$€£¥]?\.?[0-9])", words)
    return [size for size in sizes if size]


def write_size(quantity: float) -> str:
    """Write a size out with commas between thousands, every digit, and no exponent.

    >>> write_size(1_500_000.0), write_size(0.25), write_size(1e-7), write_size(1234.5)
    ('1,500,000', '0.25', '0.0000001', '1,234.5')
    """
    digits = f"{Decimal(repr(quantity)):,f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def understood_words(quantity: float, unit: Unit, units: SizeUnits) -> str:
    """Say which size was understood.

    >>> market = SizeUnits("BTC", "USDT")
    >>> [understood_words(1_500_000.0, unit, market) for unit in ("quote", "base", "contracts")]
    ['$1,500,000', '1,500,000 BTC', '1,500,000 contracts']
    """
    if unit == "quote" and units.currency in DOLLARS:
        return f"${write_size(quantity)}"
    return f"{write_size(quantity)} {units.name_of(unit)}"


def stepped_size(quantity: float, direction: int) -> float:
    """Return the next size up (1) or down (-1): a tenth of the size's power of ten away.

    >>> stepped_size(100_000.0, 1), stepped_size(100_000.0, -1), stepped_size(0.5, 1), stepped_size(250.0, -1)
    (110000.0, 90000.0, 0.51, 240.0)
    """
    exact = Decimal(repr(quantity))
    return float(exact + direction * Decimal(1).scaleb(exact.adjusted() - 1))
