"""Write books as the events of hftbacktest: an .npz file whose array `data` has a row for each changed level.

Layout: hftbacktest.readthedocs.io/en/latest/data.html. Times are nanoseconds, and both clocks of the rows must not step
back.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from typing import IO

import numpy as np
from numpy.lib import format as npy

from orderbook import OrderBook
from recording.convert_tables import DistinctTimes, Market, changed_levels

EVENT_DTYPE = np.dtype(
    [
        ("ev", "<u8"), ("exch_ts", "<i8"), ("local_ts", "<i8"), ("px", "<f8"), ("qty", "<f8"), ("order_id", "<u8"),
        ("ival", "<i8"), ("fval", "<f8"),
    ]
)  # fmt: skip
DEPTH = 1
CLEAR = 3
SNAPSHOT = 4
KINDS = 0xFF
"""The bits of `ev` that tell what an event is."""
AT_EXCHANGE = 1 << 31
AT_LOCAL = 1 << 30
BID = 1 << 29
ASK = 1 << 28
MEMBER = "data.npy"


def write_events(books: Iterator[OrderBook], market: Market, file: IO[bytes]) -> str:  # noqa: ARG001 - as the others
    """Write the books as events, quantities in base units. Return a sentence for the user.

    Raises ValueError where the recorder's clock steps back.
    """
    n_rows = 0
    with tempfile.TemporaryFile() as rows:
        times = DistinctTimes(1)
        before: OrderBook | None = None
        exchange_ns = last_ns = -1
        for book in books:
            if book.market_ns < last_ns:
                raise ValueError(
                    f"the recorder's clock steps back by {(last_ns - book.market_ns) / 1e9:.3f} s: "
                    "such a recording is no one series of events; convert its parts one by one"
                )
            last_ns = book.market_ns
            local_ns = times.add(book.market_ns)
            # No event may be known before it happened, and neither clock may step back.
            exchange_ns = max(exchange_ns, min(book.exchange_ns, local_ns))
            events = _events(before, book)
            events["exch_ts"] = exchange_ns
            events["local_ts"] = local_ns
            rows.write(events.tobytes())
            n_rows += len(events)
            before = book
        rows.seek(0)
        with (
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open(MEMBER, "w", force_zip64=True) as member,
        ):
            header = {"descr": npy.dtype_to_descr(EVENT_DTYPE), "fortran_order": False, "shape": (n_rows,)}
            npy.write_array_header_1_0(member, header)
            shutil.copyfileobj(rows, member, 2**20)
    moved = times.describe("nanosecond")
    return f"{n_rows} events{moved}; read it back with --venue, --symbol and --amounts base"


def _events(before: OrderBook | None, book: OrderBook) -> np.ndarray:
    """Return the events between two books, without their times: the first book is a snapshot."""
    kind = (SNAPSHOT if before is None else DEPTH) | AT_EXCHANGE | AT_LOCAL
    nothing = np.empty((0, 2))
    levels = [
        (kind | side, price, size)
        for side, old, new in (
            (BID, nothing if before is None else before.bids, book.bids),
            (ASK, nothing if before is None else before.asks, book.asks),
        )
        for price, size in changed_levels(old, new)
    ]
    if not levels:  # the same book once more is a book, too
        price, size = book.bids[0].tolist()
        levels = [(kind | BID, price, size)]
    events = np.zeros(len(levels), EVENT_DTYPE)
    for name, values in zip(("ev", "px", "qty"), zip(*levels, strict=True), strict=True):
        events[name] = values
    return events
