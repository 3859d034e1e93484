"""Read Tardis `book_snapshot_5` and `book_snapshot_25` CSV rows as whole books in the gateway's message form.

Columns and units: docs.tardis.dev/downloadable-csv-files/data-types. Times are microseconds since the epoch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from recording.clock import to_ns
from recording.format import RecordedFrame
from recording.opening import NOTHING_SAID, Opening
from recording.tardis_market import TardisMarket

_COLUMN = re.compile(r"(asks|bids)\[(\d{1,4})\]\.price")


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
            raise ValueError(
                f"neither a book_snapshot nor an incremental_book_L2 CSV: its columns are {','.join(names)[:120]}"
            )
        self._time, self._local_time = names.index("timestamp"), names.index("local_timestamp")
        self._market = TardisMarket("book_snapshot", opening)

    def row(self, line: bytes) -> tuple[int, str]:
        """Return market_ns (the recorder's clock) and the book as a gateway message, amounts in base units.

        Raises ValueError with the offending value, AmountsError where the unit of the amounts is not known.
        """
        cells = line.decode("ascii").strip().split(",")
        if len(cells) != self._width:
            raise ValueError(f"{len(cells)} cells where the header has {self._width}")
        self._market.check(cells[0], cells[1])
        market_ns = to_ns("local_timestamp", cells[self._local_time], "microseconds")
        head = self._market.head(cells[self._time])
        asks, bids = (self._side_text(cells, side) for side in ("asks", "bids"))
        return market_ns, f'{{{head},"asks":[{asks}],"bids":[{bids}]}}'

    def _side_text(self, cells: list[str], side: str) -> str:
        """Return the levels of a side as JSON; numbers that are base units already stay as they were written."""
        levels = [(cells[price], cells[amount]) for price, amount in self._sides[side] if cells[price]]
        to_base = self._market.to_base
        if to_base is not None:
            levels = [(price, to_base(price, amount)) for price, amount in levels]
        return ",".join([f'["{price}","{amount}"]' for price, amount in levels])

    def meta(self) -> str:
        """Return the text of a recording's meta line."""
        return self._market.meta()


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
