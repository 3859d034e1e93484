"""Read Tardis `incremental_book_L2` CSV rows as changes of a book, all rows of one moment together.

Columns and rules: docs.tardis.dev/downloadable-csv-files/data-types and docs.tardis.dev/faq/data. A row is a price
level and its new amount, 0 to delete it. Rows with the same `local_timestamp` came in one message, so the book is whole
only after the last of them. Where `is_snapshot` becomes true, a new book begins.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from recording.clock import to_ns
from recording.format import RecordedFrame
from recording.opening import Opening
from recording.tardis_market import TardisMarket

COLUMNS = b"exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"
MAX_ROWS = 200_000
"""The most rows of one moment. The deepest book, Coinbase's, has 46,000 levels."""

_IS_SNAPSHOT = {"true": True, "false": False}
_SIDES = {"bid": 0, "ask": 1}


class TardisChanges:
    """The form of an incremental_book_L2 CSV: a header, then a level in every row."""

    may_tear: tuple[bytes, ...] = (b"",)

    def __init__(self, opening: Opening) -> None:
        self._market = TardisMarket("incremental_book_L2", opening)
        self._moment: tuple[str, bool] | None = None
        """The local_timestamp and is_snapshot of the rows that wait; None before the first."""
        self._begins_book = False
        self._market_ns = 0
        self._timestamp = self._head = ""
        self._sides: tuple[list[str], list[str]] = ([], [])

    def meta(self) -> str | None:
        """Return the meta line of the market of the rows."""
        return self._market.meta()

    def convert(self, line: bytes, is_first: bool) -> Iterable[RecordedFrame]:
        """Return the changes of the moment before this row's, if the row begins another one.

        Raises ValueError with the offending value.
        """
        if is_first and line.strip() == COLUMNS:
            return ()
        cells = line.decode("ascii").strip().split(",")
        if len(cells) != 8:
            raise ValueError(f"{len(cells)} cells where the header has 8")
        exchange, symbol, timestamp, local_timestamp, snapshot_word, side_word, price, amount = cells
        self._market.check(exchange, symbol)
        is_snapshot = _IS_SNAPSHOT.get(snapshot_word)
        side = _SIDES.get(side_word)
        if is_snapshot is None or side is None:
            raise ValueError(f"is_snapshot {snapshot_word[:40]!r}, side {side_word[:40]!r}: true or false, bid or ask")
        if not (0 < float(price) < math.inf and 0 <= float(amount) < math.inf):
            raise ValueError(f"no level: price {price[:40]}, amount {amount[:40]}")
        if self._market.to_base is not None:
            amount = self._market.to_base(price, amount)
        frames: Iterable[RecordedFrame] = ()
        if self._moment != (local_timestamp, is_snapshot):
            frames = self.finish()
            self._begins_book = is_snapshot and not (self._moment and self._moment[1])
            self._moment = (local_timestamp, is_snapshot)
            self._market_ns = to_ns("local_timestamp", local_timestamp, "microseconds")
        if timestamp != self._timestamp:
            self._head = self._market.head(timestamp)
            self._timestamp = timestamp
        self._sides[side].append(f'["{price}","{amount}"]')
        if len(self._sides[side]) > MAX_ROWS:
            raise ValueError(f"over {MAX_ROWS:,} rows of one local_timestamp")
        return frames

    def check_whole(self, line: bytes, is_truncated: bool) -> None:  # noqa: ARG002 - the seam's signature
        """Raise ValueError if the last number of a row may lack digits."""
        if is_truncated:
            raise ValueError("a row without its end, whose last number may lack digits")

    def finish(self) -> Iterable[RecordedFrame]:
        """Return the changes of the last moment."""
        if self._moment is None:
            return ()
        bids, asks = (",".join(side) for side in self._sides)
        self._sides = ([], [])
        is_snapshot = "true" if self._begins_book else "false"
        message = f'{{{self._head},"is_snapshot":{is_snapshot},"asks":[{asks}],"bids":[{bids}]}}'
        return (RecordedFrame("change", self._market_ns, message),)
