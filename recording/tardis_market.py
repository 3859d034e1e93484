"""The market of a Tardis CSV, and the unit of its amounts.

Amounts are in the unit that the exchange itself counts in (docs.tardis.dev/faq/data), and become base units here.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from feeds import VENUES, Venue
from feeds.base import TardisName
from recording.clock import to_ns
from recording.opening import Amounts, AmountsError, Opening

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _find_name(exchange: str, symbol: str) -> tuple[Venue, TardisName] | None:
    """Return the venue whose symbols these are at Tardis, and its name there; None if none is known here."""
    for venue in VENUES.values():
        for name in venue.tardis:
            if name.exchange == exchange and name.has_symbol(symbol):
                return venue, name
    return None


def known_amounts(exchange: str, symbol: str) -> Amounts:
    """Return what is known of an exchange's amounts. Raises AmountsError where nothing is."""
    found = _find_name(exchange, symbol)
    if found is None:
        raise AmountsError(f"the amounts of {exchange[:50]} {symbol[:50]} are in a unit that is not known here")
    venue, name = found
    if name.unit != "contracts":
        return Amounts(name.unit)
    try:
        return Amounts("contracts", venue.contract_size(symbol))
    except ValueError as error:
        raise AmountsError(str(error)) from None


class TardisExchange(NamedTuple):
    """The exchange that the rows of a market name, and the unit of their amounts.

    is_known: whether a reader knows that unit by the exchange and the symbol.
    """

    exchange: str
    amounts: Amounts
    is_known: bool

    def to_amount(self, size: float) -> float:
        """Return the amount that a reader turns into this size, base units. Raises ValueError if there is none."""
        if self.amounts.unit == "base" or not size:
            return size
        amount = size / self.amounts.size
        # Dividing rounds: the amount that was multiplied is one of its neighbours.
        for candidate in (amount, math.nextafter(amount, 0.0), math.nextafter(amount, math.inf)):
            if candidate * self.amounts.size == size:
                return candidate
        raise ValueError(f"{size} base units are no number of contracts of {self.amounts.size:g}")


def exchange_of(venue: str, symbol: str) -> TardisExchange:
    """Return the exchange that the rows of a market name; the venue's own name, and base units, where none is known."""
    if venue not in VENUES:
        return TardisExchange(venue, Amounts("base"), is_known=False)
    is_swap = VENUES[venue].product(symbol) == "swap"
    # Amounts of the currency of the price would need the price of every level.
    names = [name for name in VENUES[venue].tardis if name.has_symbol(symbol) and name.unit != "quote"]
    of_kind = [name for name in names if (name.unit == "contracts") == is_swap] or names
    for name in of_kind:
        try:
            return TardisExchange(name.exchange, known_amounts(name.exchange, symbol), is_known=True)
        except AmountsError:  # an inverse contract, or one that is not known offline
            continue
    return TardisExchange(venue, Amounts("base"), is_known=False)


class TardisMarket:
    """The market that all rows of a file are of, known from its first row on.

    opening: what the user says of the file. form: the name of its form, for the sentence about what was assumed.
    """

    def __init__(self, form: str, opening: Opening) -> None:
        self._form = form
        self._opening = opening
        self._amounts = Amounts("base")
        self.to_base = self._amounts.to_base
        """Makes base units of a price and an amount; None if the amounts are base units already."""
        self.exchange = self.symbol = self._symbol_here = self._venue_name = self._names = ""

    def check(self, exchange: str, symbol: str) -> None:
        """Take the market from the first row. Raises ValueError for a row of another one, and where read() refuses."""
        if (exchange, symbol) == (self.exchange, self.symbol) and symbol:
            return
        if self.symbol:
            raise ValueError(f"{exchange} {symbol} in a file of {self.exchange} {self.symbol}: one market a file")
        if not (exchange.isprintable() and symbol.isprintable()):
            raise ValueError(f"exchange {exchange[:50]!r}, symbol {symbol[:50]!r}: a name has no control characters")
        found = _find_name(exchange, symbol)
        symbol_here = found[0].current_symbol(symbol) if found else symbol
        self._venue_name = venue_name(exchange, symbol)
        self._opening.refuse_contradiction(self._venue_name, symbol_here)
        self._amounts = self._opening.amounts or known_amounts(exchange, symbol_here)
        self.to_base = self._amounts.to_base
        self.exchange, self.symbol, self._symbol_here = exchange, symbol, symbol_here
        self._names = f'"exchange":{json.dumps(exchange)},"symbol":{json.dumps(symbol_here)},"amounts":"base"'

    def head(self, timestamp: str) -> str:
        """Return the members with which a message begins, for a timestamp in microseconds. Raises ValueError."""
        exchange_us = to_ns("timestamp", timestamp, "microseconds") // 1000
        moment = (_EPOCH + timedelta(microseconds=exchange_us)).isoformat()
        return f'"timestamp":"{moment}",{self._names}'

    def meta(self) -> str:
        """Return the text of a recording's meta line: the venue and the symbol of the rows, and what was assumed."""
        opened_as = f"a Tardis {self._form} CSV of {self.exchange} {self.symbol}: amounts are {self._amounts}"
        names = {"venue": self._venue_name, "symbol": self._symbol_here, "source": f"tardis {self.exchange}"}
        return json.dumps({"t": "meta", **names, "opened_as": opened_as})


def venue_name(exchange: str, symbol: str) -> str:
    """Return the name here of a Tardis exchange with such symbols; its own where it is not known here."""
    found = _find_name(exchange, symbol)
    return found[0].name if found else exchange
