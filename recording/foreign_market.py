"""The market of a foreign file that names it in words of its own, or not at all, and the unit of its amounts."""

from __future__ import annotations

import json
import re

from feeds import VENUES
from recording.clock import to_iso
from recording.format import RecordedFrame, RecordingError
from recording.opening import Amounts, AmountsError, Opening
from recording.tardis_market import venue_name

Levels = list[tuple[str, str]]
"""The levels of a side, best first: price and amount as they are written."""
UNNAMED = "unknown"
"""What messages call a venue or a symbol that neither the file nor the user names."""


class ForeignMarket:
    """What is known of a file's market: by the file, by the user, and by the venue that either names.

    Args:
        form: The name of the file's form, for sentences.
        opening: What the user says of the file.
        exchange: The file's name for the venue; empty if it has none.
        symbol: The file's name for the symbol; empty if it has none.
        is_spot: Whether the file's own names say that this is spot, where amounts are base units.
        amounts: The unit of the amounts, if the form has one.

    Raises RecordingError where the user and the file contradict each other, AmountsError where neither says the unit.
    """

    def __init__(
        self,
        form: str,
        opening: Opening,
        exchange: str = "",
        symbol: str = "",
        *,
        is_spot: bool = False,
        amounts: Amounts | None = None,
    ) -> None:
        if not (exchange.isprintable() and symbol.isprintable()):
            raise ValueError(f"exchange {exchange[:50]!r}, symbol {symbol[:50]!r}: a name has no control characters")
        self._form = form
        self._own_names = " ".join(filter(None, (exchange, symbol)))
        self._refuse_contradiction(opening, exchange, symbol)
        self.venue = opening.venue or venue_name(exchange, symbol)
        self.symbol = opening.symbol or symbol
        unit = opening.amounts or amounts
        if unit is None and (is_spot or _is_spot(self.venue, self.symbol)):
            unit = Amounts("base")
        if unit is None:
            of_what = f" of {self._own_names}" if self._own_names else ""
            raise AmountsError(f"the amounts{of_what} in this {form} are in a unit that it does not say")
        self._amounts = unit
        self.to_base = unit.to_base
        names = {"exchange": self.venue or UNNAMED, "symbol": self.symbol or UNNAMED, "amounts": "base"}
        self._names = json.dumps(names, separators=(",", ":"))[1:-1]

    def _refuse_contradiction(self, opening: Opening, exchange: str, symbol: str) -> None:
        """Raise RecordingError where the user names another market than the file, as far as their names compare."""
        venue = venue_name(exchange, symbol)
        if opening.venue and venue in VENUES and opening.venue != venue:
            raise RecordingError(f"the file says that it is of {exchange[:50]} {symbol[:50]}, not of {opening.venue}")
        if opening.symbol and symbol:
            said, own = (re.sub(r"[^A-Z0-9]", "", text.upper()) for text in (opening.symbol, symbol.partition(":")[0]))
            # A known venue's symbols are its own; others may leave out that this is a swap.
            is_same = opening.symbol.upper() == symbol.upper() if venue in VENUES else said.startswith(own)
            if not is_same:
                raise RecordingError(f"the file says that it is of {symbol[:50]}, not of {opening.symbol}")

    def book(self, market_ns: int, exchange_ns: int, bids: Levels, asks: Levels) -> RecordedFrame:
        """Return a whole book as a frame, amounts in base units."""
        sides = f'"asks":[{self._side_text(asks)}],"bids":[{self._side_text(bids)}]'
        return RecordedFrame("book", market_ns, f"{{{self._head(exchange_ns)},{sides}}}")

    def change(self, market_ns: int, exchange_ns: int, is_snapshot: bool, bids: Levels, asks: Levels) -> RecordedFrame:
        """Return changes of a book as a frame, amounts in base units. is_snapshot: a new book begins with them."""
        sides = f'"asks":[{self._side_text(asks)}],"bids":[{self._side_text(bids)}]'
        begins = "true" if is_snapshot else "false"
        return RecordedFrame("change", market_ns, f'{{{self._head(exchange_ns)},"is_snapshot":{begins},{sides}}}')

    def _head(self, exchange_ns: int) -> str:
        return f'"timestamp":"{to_iso(exchange_ns)}",{self._names}'

    def _side_text(self, levels: Levels) -> str:
        if self.to_base is not None:
            levels = [(price, self.to_base(price, amount)) for price, amount in levels]
        return ",".join([f'["{price}","{amount}"]' for price, amount in levels])

    def meta(self, times: str) -> str:
        """Return the text of a meta line: the market, as far as it is known, and what was assumed of it."""
        names = {"venue": self.venue, "symbol": self.symbol}
        known = {key: name for key, name in names.items() if name}
        of_what = f" of {self._own_names}" if self._own_names else ""
        opened_as = f"a {self._form}{of_what}: amounts are {self._amounts}, {times}"
        return json.dumps({"t": "meta", **known, "source": self._form, "opened_as": opened_as})


def _is_spot(venue: str, symbol: str) -> bool:
    """Return whether this is a spot market of a known venue, where amounts are base units everywhere."""
    if venue not in VENUES or not symbol:
        return False
    try:
        return VENUES[venue].product(symbol) == "spot"
    except ValueError:
        return False
