"""Read Tardis `book_snapshot_5` and `book_snapshot_25` CSV rows as whole books in the gateway's message form.

Columns and units: docs.tardis.dev/downloadable-csv-files/data-types. Times are microseconds since the epoch. Amounts
are in the unit that the exchange itself counts in, and become base units here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from feeds import VENUES
from feeds.gomarket import GomarketFeed
from orderbook import BookError
from recording.clock import to_ns
from recording.format import RecordedFrame
from recording.opening import NOTHING_SAID, Amounts, AmountsError, Opening

HEADER = b"exchange,symbol,"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMN = re.compile(r"(asks|bids)\[(\d{1,4})\]\.price")
_VENUES = {name.exchange: (venue, name.in_contracts) for venue in VENUES.values() for name in venue.tardis}
"""Tardis exchange -> the venue that it is, and whether its amounts are contracts."""


class SnapshotTable:
    """The columns of one file, by its header, and the market of its rows. Raises ValueError with the offending value.

    opening: what the user says of the file.
    """

    def __init__(self, header: bytes, opening: Opening = NOTHING_SAID) -> None:
        names = header.decode("ascii").strip().split(",")
        self._width = len(names)
        self._sides: dict[str, list[tuple[int, int]]] = {"asks": [], "bids": []}
        for index, name in enumerate(names):
            if match := _COLUMN.fullmatch(name):
                self._sides[match[1]].append((index, names.index(name.replace("price", "amount"))))
        if "local_timestamp" not in names or not all(self._sides.values()):
            raise ValueError(f"not a book_snapshot CSV: its columns are {','.join(names)[:120]}")
        self._time, self._local_time = names.index("timestamp"), names.index("local_timestamp")
        self._opening = opening
        self._amounts = Amounts("base")
        self._to_base = self._amounts.to_base
        self.exchange = self.symbol = ""

    def row(self, line: bytes) -> tuple[int, str]:
        """Return market_ns (the recorder's clock) and the book as a gateway message, amounts in base units.

        Raises ValueError with the offending value, AmountsError where the unit of the amounts is not known.
        """
        cells = line.decode("ascii").strip().split(",")
        if len(cells) != self._width:
            raise ValueError(f"{len(cells)} cells where the header has {self._width}")
        if (cells[0], cells[1]) != (self.exchange, self.symbol):
            self._set_market(cells[0], cells[1])
        exchange_ns = to_ns("timestamp", cells[self._time], "microseconds")
        market_ns = to_ns("local_timestamp", cells[self._local_time], "microseconds")
        moment = (_EPOCH + timedelta(microseconds=exchange_ns // 1000)).isoformat()
        asks, bids = (self._side_text(cells, side) for side in ("asks", "bids"))
        exchange, symbol = json.dumps(self.exchange), json.dumps(self.symbol)
        return market_ns, (
            f'{{"timestamp":"{moment}","exchange":{exchange},"symbol":{symbol},"amounts":"base",'
            f'"asks":[{asks}],"bids":[{bids}]}}'
        )

    def _side_text(self, cells: list[str], side: str) -> str:
        """Return the levels of a side as JSON; numbers that are base units already stay as they were written."""
        levels = [(cells[price], cells[amount]) for price, amount in self._sides[side] if cells[price]]
        if self._to_base is not None:
            levels = [(price, self._to_base(price, amount)) for price, amount in levels]
        return ",".join([f'["{price}","{amount}"]' for price, amount in levels])

    def _set_market(self, exchange: str, symbol: str) -> None:
        """Take the market from the first row, and find out what its amounts are."""
        if self.symbol:
            raise ValueError(f"{exchange} {symbol} in a file of {self.exchange} {self.symbol}: one market a file")
        venue = _VENUES[exchange][0].name if exchange in _VENUES else exchange
        self._opening.refuse_contradiction(venue, symbol)
        self._amounts = self._opening.amounts or _known_amounts(exchange, symbol)
        self._to_base = self._amounts.to_base
        self.exchange, self.symbol = exchange, symbol

    def meta(self) -> str:
        """Return the text of a recording's meta line: the venue and the symbol of the rows, and what was assumed."""
        venue = _VENUES[self.exchange][0].name if self.exchange in _VENUES else self.exchange
        source = f"tardis {self.exchange}"
        opened_as = f"a Tardis book_snapshot CSV of {self.exchange} {self.symbol}: amounts are {self._amounts}"
        return json.dumps(
            {"t": "meta", "venue": venue, "symbol": self.symbol, "source": source, "opened_as": opened_as}
        )


class TardisSnapshots:
    """The form of a book_snapshot CSV: a header, then a book in every row."""

    may_tear: tuple[bytes, ...] = (b"",)

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._header = b""
        self._table: SnapshotTable | None = None

    def meta(self) -> str | None:
        """Return the table's meta line."""
        return None if self._table is None else self._table.meta()

    def convert(self, line: bytes, is_first: bool) -> Iterable[RecordedFrame]:
        """Return the book of a row; none for the header. Raises ValueError with the offending value."""
        if self._table is None:
            self._table = SnapshotTable(line, self._opening)
            self._header = line.strip()
            return ()
        if is_first and line.strip() == self._header:
            return ()
        return (RecordedFrame("book", *self._table.row(line)),)

    def check_whole(self, line: bytes, is_truncated: bool) -> None:  # noqa: ARG002 - the seam's signature
        """Raise ValueError if the last number of a row may lack digits."""
        if is_truncated:
            raise ValueError("a row without its end, whose last number may lack digits")

    def finish(self) -> Iterable[RecordedFrame]:
        """Return nothing: no row waits for the next one."""
        return ()


def _known_amounts(exchange: str, symbol: str) -> Amounts:
    """Return what is known of an exchange's amounts. Raises AmountsError where nothing is."""
    if exchange not in _VENUES:
        raise AmountsError(f"the amounts of {exchange[:50]} {symbol[:50]} are in a unit that is not known here")
    venue, in_contracts = _VENUES[exchange]
    if not in_contracts:
        return Amounts("base")
    try:
        return Amounts("contracts", venue.contract_size(symbol))
    except ValueError as error:
        raise AmountsError(str(error)) from None


class _Names(msgspec.Struct):
    exchange: str
    symbol: str
    amounts: str = ""


def feed_for(message: str) -> GomarketFeed:
    """Return the feed that parses this message and those after it. Raises BookError.

    A message that does not say that its amounts are base units was recorded by an earlier version: there they are in
    the exchange's own unit, and an exchange that is not known is refused.
    """
    try:
        names = msgspec.json.decode(message, type=_Names)
        amounts = Amounts("base") if names.amounts == "base" else _known_amounts(names.exchange, names.symbol)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BookError(f"unreadable book: {error}") from None
    return GomarketFeed(names.exchange, names.symbol, amounts.size)
