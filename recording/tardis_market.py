"""The market of a Tardis CSV, and the unit of its amounts.

Amounts are in the unit that the exchange itself counts in (docs.tardis.dev/faq/data), and become base units here.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

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
        self._venue_name = found[0].name if found else exchange
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
