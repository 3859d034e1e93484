"""Find the levels, the times and the market among the columns of a table, and make books of its rows.

Three layouts are known. Wide: a row a book, columns such as bid_price_1, bid_0_price or bids[0].price. Long: a row a
level, columns side, price and size, as cryptofeed's storage writes them; rows of one time belong together. Lists: a row
a book, a list a column, as `replay.py convert --to parquet` writes them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from recording.clock import TimeColumn
from recording.foreign_market import ForeignMarket, Levels
from recording.format import RecordedFrame
from recording.opening import Opening

_SIZE = r"(?:size|qty|quantity|amount|volume)"
_WIDE = [
    re.compile(pattern)
    for pattern in (
        rf"(?P<side>bid|ask)s?_(?P<what>price|{_SIZE})s?_?(?P<number>\d{{1,4}})",
        rf"(?P<side>bid|ask)s?_?(?P<number>\d{{1,4}})_(?P<what>price|{_SIZE})",
        rf"(?P<side>bid|ask)s\[(?P<number>\d{{1,4}})\][._](?P<what>price|{_SIZE})",
    )
]
_LOCAL_TIMES = ("received_time", "receipt_timestamp", "local_timestamp", "received_ns", "market_ns")
_EXCHANGE_TIMES = ("origin_time", "exchange_timestamp", "exchange_ns", "timestamp", "ts", "time", "datetime")
_EXCHANGES = ("exchange", "feed")
_SYMBOLS = ("symbol", "pair")
_EMPTY = frozenset({"", "0", "0.0", "nan", "NaN", "None", "null"})
_FLAGS = {"true": True, "false": False, "True": True, "False": False, "1": True, "0": False}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_ .()\[\]-]{0,79}")
MAX_HEADER_BYTES = 1024 * 1024
MAX_ROWS = 200_000
"""The most rows of one moment. The deepest book, Coinbase's, has 46,000 levels."""


def _first(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    """Return the place of the first of the wanted columns that is there."""
    return next((names.index(name) for name in wanted if name in names), None)


class Columns:
    """What all layouts share: the columns of the times and of the market. Raises ValueError without any time."""

    def __init__(self, form: str, names: Sequence[str], opening: Opening) -> None:
        self._form = form
        self._opening = opening
        self._width = len(names)
        local, exchange = _first(names, _LOCAL_TIMES), _first(names, _EXCHANGE_TIMES)
        if local is None and exchange is None:
            raise ValueError(f"no time among the columns {','.join(names)[:120]}")
        self._local = exchange if local is None else local
        self._exchange = local if exchange is None else exchange
        self._local_time = TimeColumn(names[self._local or 0])
        self._exchange_time = TimeColumn(names[self._exchange or 0])
        self._name_places = (_first(names, _EXCHANGES), _first(names, _SYMBOLS))
        self._named: tuple[str, str] | None = None
        self._market: ForeignMarket | None = None

    def meta(self) -> str | None:
        """Return the text of a meta line, once a row has been read."""
        return None if self._market is None else self._market.meta(self._local_time.describe())

    def _read_market(self, cells: Sequence[str]) -> ForeignMarket:
        """Return the market of a row. Raises ValueError for a row of another one."""
        exchange, symbol = ("" if place is None else cells[place] for place in self._name_places)
        if self._market is None:
            self._named = (exchange, symbol)
            self._market = ForeignMarket(self._form, self._opening, exchange, symbol)
        elif (exchange, symbol) != self._named:
            raise ValueError(
                f"{exchange[:50]} {symbol[:50]} in a file of {' '.join(self._named or ())}: one market a file"
            )
        return self._market

    def _read_times(self, cells: Sequence[str]) -> tuple[int, int]:
        """Return the recorder's clock and the exchange's, ns."""
        local_ns = self._local_time.to_ns(cells[self._local or 0])
        if self._exchange == self._local:
            return local_ns, local_ns
        return local_ns, self._exchange_time.to_ns(cells[self._exchange or 0])

    def _check_width(self, cells: Sequence[str]) -> None:
        if len(cells) != self._width:
            raise ValueError(f"{len(cells)} cells where the header has {self._width}")


class WideColumns(Columns):
    """A row a book, a column for each price and each size."""

    def __init__(self, names: Sequence[str], opening: Opening) -> None:
        super().__init__("table of a book a row", names, opening)
        self._sides = {side: _level_columns(names, side) for side in ("bid", "ask")}

    @staticmethod
    def fits(names: Sequence[str]) -> bool:
        """Return whether these are the columns of a wide table."""
        return all(_find_level_columns(names, side) for side in ("bid", "ask"))

    def convert(self, cells: Sequence[str]) -> Iterable[RecordedFrame]:
        """Return the book of a row. Raises ValueError with the offending value."""
        self._check_width(cells)
        market = self._read_market(cells)
        bids, asks = (
            [(cells[price], cells[size]) for price, size in self._sides[side] if cells[price] not in _EMPTY]
            for side in ("bid", "ask")
        )
        return (market.book(*self._read_times(cells), bids, asks),)

    def finish(self) -> Iterable[RecordedFrame]:
        """Return nothing: no row waits for the next one."""
        return ()


def _find_level_columns(names: Sequence[str], side: str) -> dict[int, dict[str, int]]:
    """Return the places of a side's prices and sizes, by the number of the level."""
    found: dict[int, dict[str, int]] = {}
    for place, name in enumerate(names):
        match = next((match for pattern in _WIDE if (match := pattern.fullmatch(name))), None)
        if match and match["side"] == side:
            found.setdefault(int(match["number"]), {})["price" if match["what"] == "price" else "size"] = place
    return found


def _level_columns(names: Sequence[str], side: str) -> list[tuple[int, int]]:
    """Return the places of price and size of each level, best first. Raises ValueError where one is missing."""
    found = _find_level_columns(names, side)
    numbers = sorted(found)
    if numbers[0] not in (0, 1) or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise ValueError(f"the {side} levels are not numbered from 0 or 1 without a gap: {numbers[:10]}")
    if wrong := [number for number in numbers if len(found[number]) != 2]:
        raise ValueError(f"{side} level {wrong[0]} has no price or no size, or has one twice")
    return [(found[number]["price"], found[number]["size"]) for number in numbers]


class LongColumns(Columns):
    """A row a level: side, price and size; all rows of one time are one book, or one change where `delta` is true."""

    _REQUIRED = ("side", "price")
    _SIZES = ("size", "amount", "quantity")

    def __init__(self, names: Sequence[str], opening: Opening) -> None:
        super().__init__("table of a level a row", names, opening)
        self._side, self._price = (names.index(name) for name in self._REQUIRED)
        self._size = _first(names, self._SIZES) or 0
        self._delta = names.index("delta")
        self._moment: tuple[int, int, bool] | None = None
        self._levels: tuple[Levels, Levels] = ([], [])

    @staticmethod
    def fits(names: Sequence[str]) -> bool:
        """Return whether these are the columns of a long table that says which rows are changes."""
        return {*LongColumns._REQUIRED, "delta"} <= set(names) and _first(names, LongColumns._SIZES) is not None

    def convert(self, cells: Sequence[str]) -> Iterable[RecordedFrame]:
        """Return the frame of the moment before this row's, if the row begins another one. Raises ValueError."""
        self._check_width(cells)
        self._read_market(cells)
        is_change = _FLAGS.get(cells[self._delta])
        side = {"bid": 0, "ask": 1, "buy": 0, "sell": 1}.get(cells[self._side])
        if is_change is None or side is None:
            raise ValueError(
                f"delta {cells[self._delta][:40]!r}, side {cells[self._side][:40]!r}: true or false, bid or ask"
            )
        moment = (*self._read_times(cells), is_change)
        frames: Iterable[RecordedFrame] = ()
        if moment != self._moment:
            frames = self.finish()
            self._moment = moment
        self._levels[side].append((cells[self._price], cells[self._size]))
        if len(self._levels[side]) > MAX_ROWS:
            raise ValueError(f"over {MAX_ROWS:,} rows of one time")
        return frames

    def finish(self) -> Iterable[RecordedFrame]:
        """Return the frame of the last moment."""
        if self._moment is None or self._market is None:
            return ()
        local_ns, exchange_ns, is_change = self._moment
        bids, asks = self._levels
        self._levels = ([], [])
        return (self._market.change(local_ns, exchange_ns, not is_change, bids, asks),)


Layout = WideColumns | LongColumns
_LAYOUTS: tuple[tuple[Callable[[Sequence[str]], bool], Callable[[Sequence[str], Opening], Layout]], ...] = (
    (WideColumns.fits, WideColumns),
    (LongColumns.fits, LongColumns),
)


def find_layout(names: Sequence[str], opening: Opening) -> Layout | None:
    """Return the layout of these columns; None if it is not known. Raises ValueError where it has a hole."""
    return next((make(names, opening) for fits, make in _LAYOUTS if fits(names)), None)


class TableForm:
    """The form of a CSV of a known layout: a header, then rows."""

    may_tear: tuple[bytes, ...] = (b"",)

    def __init__(self, header: bytes, opening: Opening) -> None:
        self._header = header.strip()
        layout = find_layout(header_names(header), opening)
        if layout is None:
            raise ValueError(f"no book among the columns {header[:120]!r}")
        self._layout = layout

    def meta(self) -> str | None:
        """Return the layout's meta line."""
        return self._layout.meta()

    def convert(self, line: bytes, is_first: bool) -> Iterable[RecordedFrame]:
        """Return the frames that are complete with this row; none for the header. Raises ValueError."""
        if is_first and line.strip() == self._header:
            return ()
        return self._layout.convert([cell.strip('"') for cell in line.decode("ascii").strip().split(",")])

    def check_whole(self, line: bytes, is_truncated: bool) -> None:  # noqa: ARG002 - the seam's signature
        """Raise ValueError if the last number of a row may lack digits."""
        if is_truncated:
            raise ValueError("a row without its end, whose last number may lack digits")

    def finish(self) -> Iterable[RecordedFrame]:
        """Return the frames that waited for the end of the file."""
        return self._layout.finish()


def header_names(line: bytes) -> list[str]:
    """Return the columns of a CSV's header; none for a line that cannot be one.

    >>> header_names(b"timestamp,bid_price_1"), header_names(b'1772359200 {"a":1,"b":2}')
    (['timestamp', 'bid_price_1'], [])
    """
    names = [name.strip().strip('"') for name in line[:MAX_HEADER_BYTES].decode("latin-1").strip().split(",")]
    return names if len(names) > 1 and all(map(_NAME.fullmatch, names)) else []
