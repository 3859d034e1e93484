"""Read a JSON list of order books as ccxt returns them (docs.ccxt.com, "Order Book Structure").

A book has `symbol`, `bids` and `asks` as lists of [price, amount], `timestamp` in milliseconds or `datetime` in ISO
8601, and `nonce`. Amounts of spot markets are base units; those of a contract ("BTC/USDT:USDT") are not said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from recording.clock import TimeColumn
from recording.foreign_market import ForeignMarket
from recording.format import RecordedFrame
from recording.opening import Opening
from recording.unpacking import MAX_LINE_BYTES

if TYPE_CHECKING:
    from recording.bounded_stream import BoundedStream

_START = re.compile(rb"\s*\[\s*\{")
_BLOCK_BYTES = 256 * 1024
_SPOT = re.compile(r"[^:/]+/[^:/]+")
_FORM = "list of ccxt's order books"
_DECODER = json.JSONDecoder(parse_float=str, parse_int=str)


class CcxtList:
    """The form of one JSON list of books."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._market: ForeignMarket | None = None
        self._symbol: str | None = None
        self._times: dict[str, TimeColumn] = {name: TimeColumn(name) for name in ("timestamp", "datetime")}

    @staticmethod
    def fits(head: bytes) -> bool:
        """Return whether a file begins as a list whose first object has the members of a ccxt book."""
        return _START.match(head) is not None and any(name in head for name in (b'"bids"', b'"asks"', b'"nonce"'))

    def meta(self) -> str | None:
        """Return the text of a meta line."""
        times = next((column.describe() for column in self._times.values() if column.unit), "")
        return None if self._market is None else self._market.meta(times)

    def frames(self, member: BoundedStream) -> Iterator[RecordedFrame]:
        """Yield a book for each object of the list. Raises ValueError with the offending value."""
        for number, value in enumerate(_objects(member), 1):
            try:
                yield self._book(value)
            except (AttributeError, KeyError, TypeError, IndexError) as error:
                raise ValueError(f"object {number} is no order book of ccxt: {type(error).__name__} {error}") from None

    def _book(self, value: Any) -> RecordedFrame:
        symbol = value.get("symbol") or ""
        if self._market is None:
            self._symbol = symbol
            self._market = ForeignMarket(
                _FORM, self._opening, symbol=symbol, is_spot=_SPOT.fullmatch(symbol) is not None
            )
        elif symbol != self._symbol:
            raise ValueError(f"{symbol[:50]} in a file of {self._symbol}: one market a file")
        name = next((name for name in self._times if value.get(name)), None)
        if name is None:
            raise ValueError("a book without timestamp and datetime")
        ns = self._times[name].to_ns(value[name])
        bids, asks = ([(str(level[0]), str(level[1])) for level in value[side]] for side in ("bids", "asks"))
        return self._market.book(ns, ns, bids, asks)


def _objects(member: BoundedStream) -> Iterator[Any]:
    """Yield the values of a JSON list one by one. Raises ValueError where it is none, or a value is too large."""
    text = ""
    is_begun = is_end = False
    while True:
        text = text.lstrip(" \t\r\n," if is_begun else " \t\r\n\ufeff")
        if text and not is_begun:
            if not text.startswith("["):
                raise ValueError("no JSON list")
            text, is_begun = text[1:], True
            continue
        if text.startswith("]"):
            return
        try:
            value, end = _DECODER.raw_decode(text)
        except (ValueError, RecursionError) as error:
            if is_end or isinstance(error, RecursionError):
                if member.is_truncated:
                    return  # the rest is missing
                raise ValueError(f"the JSON list breaks off or is damaged: {text[:40]!r}") from None
            if len(text) > MAX_LINE_BYTES:
                raise ValueError(f"a value of over {MAX_LINE_BYTES:,} bytes") from None
            # Twice as much each time, so that a large value is not tried over and over.
            block = member.read(max(_BLOCK_BYTES, len(text)))
            is_end = len(block) < max(_BLOCK_BYTES, len(text))
            text += block.decode()
            continue
        text = text[end:]
        yield value
