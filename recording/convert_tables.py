"""Write books as tables: the level changes of Tardis's incremental_book_L2, and a Parquet file of a row a book."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import IO, Any, NamedTuple

import numpy as np

from orderbook import Levels, OrderBook
from recording.clock import is_time
from recording.tardis_changes import COLUMNS
from recording.tardis_market import exchange_of

_BATCH_BOOKS = 1000
BOOKS_FORMAT = "trade-simulator books"
"""What the metadata of a Parquet file of books call it."""


class Market(NamedTuple):
    """The market of a recording that is converted."""

    venue: str
    symbol: str


def changed_levels(before: Levels, after: Levels) -> Iterator[tuple[float, float]]:
    """Yield the (price, size) of every level that differs; size 0 where it is gone. Either side is best first."""
    old = dict(before.tolist())
    for price, size in after.tolist():
        if old.pop(price, None) != size:
            yield price, size
    for price in old:
        yield price, 0.0


def to_text(number: float) -> str:
    """Return the shortest text of a number, without an exponent.

    >>> to_text(1e-07), to_text(95445.5), to_text(20000000.0)
    ('0.0000001', '95445.5', '20000000')
    """
    text = repr(number)
    return format(Decimal(text), "f") if "e" in text else text.removesuffix(".0")


class DistinctTimes:
    """Makes the times of books differ, since a moment is one book: later by one unit where they would be equal."""

    def __init__(self, ns_per_unit: int) -> None:
        self._ns_per_unit = ns_per_unit
        self._last_ns = -1
        self._last = -1
        self.n_moved = 0

    def add(self, market_ns: int) -> int:
        """Return the time of the next book, in units."""
        time = market_ns // self._ns_per_unit
        if time == self._last or (market_ns >= self._last_ns and time < self._last):
            time = self._last + 1
            self.n_moved += 1
        self._last_ns, self._last = market_ns, time
        return time

    def describe(self, unit: str) -> str:
        """Return the words about the times that were moved; empty if none was."""
        return f"; {self.n_moved} books of one {unit} were moved apart" if self.n_moved else ""


def write_changes(books: Iterator[OrderBook], market: Market, file: IO[bytes]) -> str:
    """Write the books as rows of a Tardis incremental_book_L2 CSV, amounts in the exchange's unit. Return a sentence.

    Times are whole microseconds there. Raises ValueError for an amount that the exchange's unit cannot express.
    """
    file.write(COLUMNS + b"\n")
    before: OrderBook | None = None
    times = DistinctTimes(1000)
    named = exchange_of(*market)
    for book in books:
        local_us = times.add(book.market_ns)
        exchange_us = (book.exchange_ns if is_time(book.exchange_ns) else book.market_ns) // 1000
        head = f"{named.exchange},{market.symbol},{exchange_us},{local_us},{'false' if before else 'true'}"
        rows = [
            f"{head},{name},{to_text(price)},{to_text(named.to_amount(size))}\n"
            for name, old, new in _sides(before, book)
            for price, size in changed_levels(old, new)
        ]
        if not rows:  # the same book once more is a book, too
            price, size = book.bids[0].tolist()
            rows = [f"{head},bid,{to_text(price)},{to_text(named.to_amount(size))}\n"]
        file.write("".join(rows).encode())
        before = book
    said = "" if named.is_known else "; read it back with --amounts base"
    return f"times are whole microseconds{times.describe('microsecond')}{said}"


def _sides(before: OrderBook | None, book: OrderBook) -> tuple[tuple[str, Levels, Levels], ...]:
    """Return the name and the old and new levels of both sides; a first book has no old ones."""
    nothing = np.empty((0, 2))
    return (
        ("ask", nothing if before is None else before.asks, book.asks),
        ("bid", nothing if before is None else before.bids, book.bids),
    )


def write_table(books: Iterator[OrderBook], market: Market, file: IO[bytes]) -> str:
    """Write the books as a Parquet file with a row a book and a list a side; sizes in base units. Return a sentence."""
    import pyarrow as pa  # noqa: PLC0415 - it takes a tenth of a second
    import pyarrow.parquet as pq  # noqa: PLC0415

    numbers = pa.list_(pa.float64())
    schema = pa.schema(
        [("market_ns", pa.int64()), ("exchange_ns", pa.int64())]
        + [(f"{side}_{what}", numbers) for side in ("bid", "ask") for what in ("prices", "sizes")]
    )
    writer: pq.ParquetWriter | None = None
    try:
        while batch := list(islice(books, _BATCH_BOOKS)):
            if writer is None:
                about = {"format": BOOKS_FORMAT, **market._asdict(), "amounts": "base"}
                schema = schema.with_metadata({"trade_simulator": json.dumps(about)})
                writer = pq.ParquetWriter(file, schema, compression="zstd")
            columns: list[Any] = [[book.market_ns for book in batch], [book.exchange_ns for book in batch]]
            for levels in ([book.bids for book in batch], [book.asks for book in batch]):
                columns += [[each[:, column] for each in levels] for column in (0, 1)]
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    finally:
        if writer is not None:
            writer.close()
    return "a row a book, sizes in base units"
