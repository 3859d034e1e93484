"""Read files of past order books that venues offer for download: a snapshot or changes of one book in every line."""

from __future__ import annotations

from collections.abc import Iterable

from feeds import VENUES
from feeds.history import HISTORY_FORMS, HistoryForm
from recording.clock import to_ns
from recording.foreign_market import ForeignMarket
from recording.format import RecordedFrame
from recording.opening import Amounts, AmountsError, Opening


def _find(line: bytes) -> HistoryForm | None:
    compact = line[:400].replace(b" ", b"")
    return next((form for form in HISTORY_FORMS if form.start.match(compact)), None)


def fits(line: bytes) -> bool:
    """Return whether a file with this first line is one of a venue's past order books.

    >>> fits(b'{"instId":"BTC-USDT","action":"snapshot","ts":"1758326400005","asks":[],"bids":[]}')
    True
    """
    return _find(line) is not None


class HistoryLines:
    """The form of such a file. All its lines are of one symbol."""

    may_tear: tuple[bytes, ...] = (b"{",)

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._form: HistoryForm | None = None
        self._market: ForeignMarket | None = None
        self._symbol = ""

    def meta(self) -> str | None:
        """Return the text of a meta line."""
        return None if self._market is None else self._market.meta("times are the venue's, in milliseconds since 1970")

    def convert(self, line: bytes, is_first: bool) -> Iterable[RecordedFrame]:  # noqa: ARG002 - the seam's signature
        """Return the change that a line is; none for a blank one. Raises ValueError with the offending value."""
        if not line.strip():
            return ()
        if self._form is None:
            self._form = _find(line)
        if self._form is None:
            raise ValueError(f"no line of past order books: {line[:40]!r}")
        row = self._form.read(line)
        if self._market is None:
            self._symbol = row.symbol
            self._market = ForeignMarket(
                self._form.title,
                self._opening,
                _exchange(self._form, self._opening),
                row.symbol,
                amounts=None if self._opening.amounts else _known_amounts(self._form, row.symbol),
            )
        elif row.symbol != self._symbol:
            raise ValueError(f"{row.symbol[:50]} in a file of {self._symbol}: one market a file")
        ns = to_ns("ts", str(row.time_ms), "milliseconds")
        return (self._market.change(ns, ns, row.is_snapshot, row.bids, row.asks),)

    def check_whole(self, line: bytes, is_truncated: bool) -> None:
        """Accept the line: half a JSON value cannot be decoded."""

    def finish(self) -> Iterable[RecordedFrame]:
        """Return nothing: no line waits for the next one."""
        return ()


def _exchange(form: HistoryForm, opening: Opening) -> str:
    """Return the venue of a file: the one that the user names, if its files look the same."""
    if opening.venue in VENUES and {name.exchange for name in VENUES[opening.venue].tardis} & set(form.siblings):
        return opening.venue
    return form.exchange


def _known_amounts(form: HistoryForm, symbol: str) -> Amounts:
    """Return the unit of a symbol's amounts. Raises AmountsError where it is not known."""
    in_contracts = form.in_contracts(symbol)
    if in_contracts is False:
        return Amounts("base")
    if in_contracts is None or form.exchange not in VENUES:
        raise AmountsError(f"the amounts of {symbol[:50]} in this {form.title} are in a unit that is not known here")
    try:
        return Amounts("contracts", VENUES[form.exchange].contract_size(symbol))
    except ValueError as error:
        raise AmountsError(str(error)) from None
