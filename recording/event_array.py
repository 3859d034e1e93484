"""Read the events of hftbacktest: a NumPy array of a row for each changed level, alone or in an .npz file.

Layout and rules: hftbacktest.readthedocs.io/en/latest/data.html. Events of one local time are one change. A clear
event removes the levels of its side up to its price, or all if it has no price.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from recording.clock import FIRST_NS, is_time
from recording.convert_events import ASK, AT_LOCAL, BID, CLEAR, DEPTH, EVENT_DTYPE, KINDS, SNAPSHOT
from recording.foreign_market import ForeignMarket
from recording.format import ACCEPTED, RecordedFrame
from recording.opening import Opening
from recording.table_columns import MAX_ROWS

if TYPE_CHECKING:
    from recording.bounded_stream import BoundedStream

_MAGIC = b"\x93NUMPY"
_MAX_HEADER_BYTES = 65_536
_ROWS = 4096
_FORM = "file of hftbacktest's events"


class EventArray:
    """The form of an array of events."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._market: ForeignMarket | None = None
        self._bids: dict[float, float] = {}
        self._asks: dict[float, float] = {}
        self._changed: tuple[dict[float, float], dict[float, float]] = ({}, {})
        self._moment: tuple[int, int] | None = None
        self._is_first = True

    @staticmethod
    def fits(head: bytes) -> bool:
        """Return whether a file begins as a NumPy array."""
        return head.startswith(_MAGIC)

    def meta(self) -> str | None:
        """Return the text of a meta line."""
        return None if self._market is None else self._market.meta("times are nanoseconds since 1970")

    def frames(self, member: BoundedStream) -> Iterator[RecordedFrame]:
        """Yield a change for each local time. Raises ValueError with the offending value."""
        n_rows = _read_header(member)
        if self._market is None:
            self._market = ForeignMarket(_FORM, self._opening)
        while n_rows:
            data = member.read(EVENT_DTYPE.itemsize * min(n_rows, _ROWS))
            events = np.frombuffer(data, EVENT_DTYPE, len(data) // EVENT_DTYPE.itemsize)
            if not len(events):
                break
            n_rows -= len(events)
            for kind, exchange_ns, local_ns, price, amount, *_ in events.tolist():
                yield from self._apply(kind, exchange_ns, local_ns, price, amount)
        if not member.is_truncated:  # else the last change may lack levels
            yield from self._finish()

    def _apply(
        self, kind: int, exchange_ns: int, local_ns: int, price: float, amount: float
    ) -> Iterator[RecordedFrame]:
        """Apply an event; yield the change before it if it begins another moment."""
        what = kind & KINDS
        if not kind & AT_LOCAL or what not in (DEPTH, CLEAR, SNAPSHOT):
            return  # known at the exchange alone, or a trade
        if not (is_time(local_ns) and is_time(exchange_ns)):
            raise ValueError(f"local_ts {local_ns}, exch_ts {exchange_ns}: no times in nanoseconds after {FIRST_NS}")
        if self._moment != (local_ns, exchange_ns) and (self._moment is None or self._moment[0] != local_ns):
            yield from self._finish()
            self._moment = (local_ns, exchange_ns)
        sides = [place for place, flag in enumerate((BID, ASK)) if kind & flag] or [0, 1]
        if what == CLEAR:
            for place in sides:
                self._clear(place, price if len(sides) == 1 else math.inf)
            return
        if len(sides) != 1:
            raise ValueError(f"ev {kind:#x} is neither of a bid nor of an ask")
        if not (0 < price < math.inf and 0 <= amount < math.inf):
            raise ValueError(f"no level: px {price}, qty {amount}")
        self._set(sides[0], price, amount)

    def _clear(self, place: int, up_to: float) -> None:
        """Remove the levels of a side from the best to this price; all of them where it is not finite."""
        for price in list((self._bids, self._asks)[place]):
            if not math.isfinite(up_to) or (price >= up_to if place == 0 else price <= up_to):
                self._set(place, price, 0.0)

    def _set(self, place: int, price: float, amount: float) -> None:
        book = (self._bids, self._asks)[place]
        if amount:
            book[price] = amount
        else:
            book.pop(price, None)
        self._changed[place][price] = amount
        if len(self._changed[place]) > MAX_ROWS or len(book) > MAX_ROWS:
            raise ValueError(f"over {MAX_ROWS:,} levels of one local_ts")

    def _finish(self) -> Iterator[RecordedFrame]:
        """Yield the change that is complete, if there is one."""
        if self._moment is None or self._market is None or not any(self._changed):
            return
        bids, asks = ([(repr(price), repr(amount)) for price, amount in side.items()] for side in self._changed)
        self._changed = ({}, {})
        if self._is_first:  # a book begins: levels that are not there cannot be deleted
            bids, asks = ([level for level in side if level[1] != "0.0"] for side in (bids, asks))
        local_ns, exchange_ns = self._moment
        yield self._market.change(local_ns, exchange_ns, self._is_first, bids, asks)
        self._is_first = False


def _read_header(member: BoundedStream) -> int:
    """Return the number of events of an array. Raises ValueError for an array of another kind; nothing is unpickled."""
    prefix = member.read(8)
    if not prefix.startswith(_MAGIC):
        raise ValueError("this is no NumPy array, beside one that is")
    n_bytes = int.from_bytes(member.read(2 if prefix[6] == 1 else 4), "little")
    if n_bytes > _MAX_HEADER_BYTES:
        raise ValueError(f"a NumPy array with a header of {n_bytes:,} bytes")
    try:
        header = ast.literal_eval(member.read(n_bytes).decode("latin-1"))
        descr, shape = header["descr"], header["shape"]
        is_ours = isinstance(descr, list) and [tuple(field) for field in descr] == EVENT_DTYPE.descr
    except (SyntaxError, ValueError, TypeError, KeyError, MemoryError, RecursionError) as error:
        raise ValueError(f"the NumPy array's header cannot be read: {type(error).__name__}") from None
    if not is_ours or not (isinstance(shape, tuple) and len(shape) == 1 and isinstance(shape[0], int)):
        names = ", ".join(EVENT_DTYPE.names or ())
        raise ValueError(f"a NumPy array of {str(descr)[:80]}, where hftbacktest's events have {names}; {ACCEPTED}")
    return shape[0] if shape[0] > 0 else 0
