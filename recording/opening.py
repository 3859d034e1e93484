"""What a user says of a file that someone else made, where the file itself leaves it open."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

from recording.format import RecordingError

AMOUNTS_FORMS = "base, quote or contracts:SIZE (SIZE is the base units of one contract)"


AmountsUnit = Literal["base", "quote", "contracts"]


class AmountsError(RecordingError):
    """A file whose amounts could be base units, quote units or contracts, and nobody says which.

    reason is the sentence without what a command would accept.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}: say --amounts {AMOUNTS_FORMS}")
        self.reason = reason


class Amounts(NamedTuple):
    """The unit of a file's amounts. size is the base units of one contract."""

    unit: AmountsUnit
    size: float = 1.0

    def __str__(self) -> str:
        return f"contracts of {self.size:g} base units" if self.unit == "contracts" else f"{self.unit} units"

    @property
    def argument(self) -> str:
        """The argument that `parse_amounts` reads as this unit."""
        return f"contracts:{self.size!r}" if self.unit == "contracts" else self.unit

    @property
    def to_base(self) -> Callable[[str, str], str] | None:
        """Return a function that makes base units of a price and an amount; None if they are base units already.

        A text that is no number is returned as it is, for the feed to refuse with its level.
        """
        if self.unit == "base":
            return None

        def convert(price: str, amount: str) -> str:
            try:
                return repr(float(amount) / float(price) if self.unit == "quote" else float(amount) * self.size)
            except (ValueError, ZeroDivisionError):
                return amount

        return convert


def parse_amounts(text: str) -> Amounts:
    """Return the unit that an argument names. Raises ValueError with a sentence for the user.

    >>> parse_amounts("contracts:0.01")
    Amounts(unit='contracts', size=0.01)
    """
    unit, _, size_text = text.partition(":")
    if text == "base":
        return Amounts("base")
    if text == "quote":
        return Amounts("quote")
    try:
        size = float(size_text)
    except ValueError:
        size = math.nan
    if unit != "contracts" or not 0 < size < math.inf:
        raise ValueError(f"{text[:40]!r} is no unit of amounts: it must be {AMOUNTS_FORMS}")
    return Amounts("contracts", size)


class Opening(NamedTuple):
    """What the user says of a file. None leaves it to the file.

    venue and symbol must be what the file says of itself, if it says anything. amounts counts before what is known
    of the file's exchange.
    """

    venue: str | None = None
    symbol: str | None = None
    amounts: Amounts | None = None

    def refuse_contradiction(self, venue: str, symbol: str) -> None:
        """Raise RecordingError if the file is of this market, and the user says another."""
        is_other_venue = self.venue is not None and self.venue != venue
        is_other_symbol = self.symbol is not None and self.symbol.upper() != symbol.upper()
        if is_other_venue or is_other_symbol:
            said = " ".join(filter(None, (self.venue, self.symbol)))
            raise RecordingError(f"the file says that it is of {venue[:50]} {symbol[:50]}, not of {said}")


NOTHING_SAID = Opening()
