"""Read Parquet tables of books: our own, a book a row in wide columns (Crypto Lake and others), a level a row."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recording.clock import NS_PER_UNIT
from recording.convert_tables import BOOKS_FORMAT, to_text
from recording.foreign_market import ForeignMarket
from recording.format import ACCEPTED, RecordedFrame, RecordingError
from recording.opening import Amounts, Opening
from recording.table_columns import find_layout

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from recording.bounded_stream import BoundedStream

_MAGIC = b"PAR1"
_COPY_BYTES = 2**20
_ROWS = 512
_MAX_COLUMNS = 10_000
_OWN_LISTS = ("bid_prices", "bid_sizes", "ask_prices", "ask_sizes")


class ParquetTable:
    """The form of a Parquet file. plain: its path where it is not packed."""

    def __init__(self, opening: Opening, max_bytes: int | None, plain: Path | None) -> None:
        self._opening = opening
        self._plain = plain
        self._max_bytes = max_bytes
        self._meta: str | None = None

    @staticmethod
    def fits(head: bytes) -> bool:
        """Return whether a file begins as a Parquet file."""
        return head.startswith(_MAGIC)

    def meta(self) -> str | None:
        """Return the text of a meta line."""
        return self._meta

    def frames(self, member: BoundedStream) -> Iterator[RecordedFrame]:
        """Yield the frames of a table. Raises ValueError with the offending value.

        A packed table is copied first: its directory stands at its end.
        """
        import pyarrow as pa  # noqa: PLC0415 - it takes a tenth of a second, and few files need it
        import pyarrow.parquet as pq  # noqa: PLC0415

        with tempfile.TemporaryFile() if self._plain is None else self._plain.open("rb") as content:
            if self._plain is None:
                while block := member.read(_COPY_BYTES):
                    content.write(block)
                content.seek(0)
            try:
                with pq.ParquetFile(content) as file:
                    self._check_size(file)
                    yield from self._read(file)
            except RecordingError:
                raise
            except (pa.ArrowException, OSError, KeyError, IndexError, OverflowError, UnicodeError) as error:
                reason = " ".join(str(error).split())[:120]
                raise RecordingError(f"the Parquet file is damaged or of an unknown kind: {reason}") from None

    def _check_size(self, file: pq.ParquetFile) -> None:
        """Raise RecordingError for a table that would unpack to more than is allowed, or has far too many columns."""
        about = file.metadata
        if about.num_columns > _MAX_COLUMNS:
            raise RecordingError(f"a Parquet file of {about.num_columns:,} columns")
        n_bytes = sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups))
        n_bytes = max(n_bytes, 8 * about.num_rows)
        if self._max_bytes is not None and n_bytes > self._max_bytes:
            raise RecordingError(f"the file unpacks to over {self._max_bytes:,} bytes")

    def _read(self, file: pq.ParquetFile) -> Iterator[RecordedFrame]:
        schema = file.schema_arrow
        own = _own_metadata(schema)
        if own is not None:
            yield from self._read_own(file, own)
            return
        layout = find_layout(schema.names, self._opening)
        if layout is None:
            raise RecordingError(
                f"a Parquet file without books: its columns are {','.join(schema.names)[:120]}; {ACCEPTED}"
            )
        for batch in file.iter_batches(_ROWS):
            for row in zip(
                *(_texts(column, field) for column, field in zip(batch.columns, schema, strict=True)), strict=True
            ):
                for frame in layout.convert(row):
                    self._meta = self._meta or layout.meta()
                    yield frame
        for frame in layout.finish():
            self._meta = self._meta or layout.meta()
            yield frame

    def _read_own(self, file: pq.ParquetFile, about: dict[str, Any]) -> Iterator[RecordedFrame]:
        """Yield the books of a table that `replay.py convert` wrote."""
        venue, symbol = str(about.get("venue", "")), str(about.get("symbol", ""))
        self._opening.refuse_contradiction(venue, symbol)
        market = ForeignMarket("Parquet file of replay.py", self._opening, venue, symbol, amounts=Amounts("base"))
        self._meta = market.meta("times are nanoseconds since 1970")
        for batch in file.iter_batches(_ROWS, columns=["market_ns", "exchange_ns", *_OWN_LISTS]):
            columns = [batch.column(name).to_pylist() for name in ("market_ns", "exchange_ns", *_OWN_LISTS)]
            for market_ns, exchange_ns, *lists in zip(*columns, strict=True):
                if not (isinstance(market_ns, int) and isinstance(exchange_ns, int)):
                    raise RecordingError(f"market_ns {market_ns!r}, exchange_ns {exchange_ns!r}: no whole numbers")
                bid_prices, bid_sizes, ask_prices, ask_sizes = (
                    [repr(number) for number in each or ()] for each in lists
                )
                if len(bid_prices) != len(bid_sizes) or len(ask_prices) != len(ask_sizes):
                    raise RecordingError("a book with more prices than sizes, or fewer")
                bids, asks = (
                    list(zip(bid_prices, bid_sizes, strict=True)),
                    list(zip(ask_prices, ask_sizes, strict=True)),
                )
                yield market.book(market_ns, exchange_ns, bids, asks)


def _own_metadata(schema: pa.Schema) -> dict[str, Any] | None:
    """Return what a table of `replay.py convert` says of itself; None for any other table."""
    try:
        about = json.loads((schema.metadata or {}).get(b"trade_simulator", b"null"))
    except (ValueError, RecursionError):
        return None
    return about if isinstance(about, dict) and about.get("format") == BOOKS_FORMAT else None


def _texts(column: pa.Array, field: pa.Field) -> list[str]:
    """Return a column as texts, every digit kept; empty for what is missing. Raises RecordingError for lists."""
    import pyarrow as pa  # noqa: PLC0415

    kind = field.type
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if pa.types.is_timestamp(kind):
        factor = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}[kind.unit]
        return [
            "" if value is None else str(value * NS_PER_UNIT[factor]) for value in column.cast(pa.int64()).to_pylist()
        ]
    if pa.types.is_nested(kind):
        return [""] * len(column)
    values = column.to_pylist()
    if pa.types.is_floating(kind):
        return ["" if value is None or math.isnan(value) else to_text(value) for value in values]
    return ["" if value is None else str(value) for value in values]
