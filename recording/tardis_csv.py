"""Read Tardis `book_snapshot_5` and `book_snapshot_25` CSV rows as whole books in the gateway's message form.

Columns and units: docs.tardis.dev/downloadable-csv-files/data-types. Times are microseconds since the epoch,
amounts are in the unit that the exchange itself counts in.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import msgspec

from feeds import VENUES
from feeds.gomarket import GomarketFeed
from orderbook import BookError

HEADER = b"exchange,symbol,"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMN = re.compile(r"(asks|bids)\[(\d{1,4})\]\.price")
_VENUES = {name.exchange: (venue, name.in_contracts) for venue in VENUES.values() for name in venue.tardis}
"""Tardis exchange -> the venue that it is, and whether its amounts are contracts."""


class SnapshotTable:
    """The columns of one file, by its header. Raises ValueError with the offending value."""

    def __init__(self, header: bytes) -> None:
        names = header.decode("ascii").strip().split(",")
        self._width = len(names)
        self._sides: dict[str, list[tuple[int, int]]] = {"asks": [], "bids": []}
        for index, name in enumerate(names):
            if match := _COLUMN.fullmatch(name):
                self._sides[match[1]].append((index, names.index(name.replace("price", "amount"))))
        if "local_timestamp" not in names or not all(self._sides.values()):
            raise ValueError(f"not a book_snapshot CSV: its columns are {','.join(names)[:120]}")
        self._time, self._local_time = names.index("timestamp"), names.index("local_timestamp")
        self.exchange = self.symbol = ""

    def row(self, line: bytes) -> tuple[int, str]:
        """Return market_ns (the recorder's clock) and the book as a gateway message, amounts as they are.

        Raises ValueError with the offending value.
        """
        cells = line.decode("ascii").strip().split(",")
        if len(cells) != self._width:
            raise ValueError(f"{len(cells)} cells where the header has {self._width}")
        if (cells[0], cells[1]) != (self.exchange, self.symbol):
            if self.symbol:
                raise ValueError(f"{cells[0]} {cells[1]} in a file of {self.exchange} {self.symbol}: one market a file")
            self.exchange, self.symbol = cells[0], cells[1]
        try:
            moment = (_EPOCH + timedelta(microseconds=int(cells[self._time]))).isoformat()
        except OverflowError:
            raise ValueError(f"timestamp {cells[self._time][:40]} is no time in microseconds") from None
        asks, bids = (
            ",".join([f'["{cells[price]}","{cells[amount]}"]' for price, amount in self._sides[side] if cells[price]])
            for side in ("asks", "bids")
        )
        exchange, symbol = json.dumps(self.exchange), json.dumps(self.symbol)
        return int(cells[self._local_time]) * 1000, (
            f'{{"timestamp":"{moment}","exchange":{exchange},"symbol":{symbol},"asks":[{asks}],"bids":[{bids}]}}'
        )

    def meta(self) -> str:
        """Return the text of a recording's meta line: the venue and the symbol of the rows."""
        venue = _VENUES[self.exchange][0].name if self.exchange in _VENUES else self.exchange
        return json.dumps({"t": "meta", "venue": venue, "symbol": self.symbol, "source": f"tardis {self.exchange}"})


class _Names(msgspec.Struct):
    exchange: str
    symbol: str


def feed_for(message: str) -> GomarketFeed:
    """Return the feed that parses this message and those after it. Raises BookError.

    Contracts become base units where the venue says that it counts them; any other amount is taken as base units.
    """
    try:
        names = msgspec.json.decode(message, type=_Names)
        venue, in_contracts = _VENUES.get(names.exchange, (None, False))
        contract_size = venue.contract_size(names.symbol) if venue and in_contracts else 1.0
    except (msgspec.MsgspecError, ValueError) as error:
        raise BookError(f"unreadable book: {error}") from None
    return GomarketFeed(names.exchange, names.symbol, contract_size)
