"""Define an estimate's row once, and the estimate as a view of it: every number with its unit and its meaning."""

from __future__ import annotations

import math
from typing import Any, Generic, Literal, NamedTuple, TypeVar, get_args, overload

import numpy as np

from estimation.features import Features
from estimation.market_parameters import Origin, Parameter
from estimation.model_state import MAKER_SOURCES
from estimation.order import Order
from orderbook import Fill
from profiling import Stamps

Kind = Literal["float", "time", "count", "code"]
SlippageSource = Literal["book walk", "model", "extrapolated", "too thin"]
Word = TypeVar("Word", bound=str)

SLIPPAGE_SOURCES: tuple[SlippageSource, ...] = get_args(SlippageSource)
ORIGINS: tuple[Origin, ...] = get_args(Origin)
"""What the codes of a row stand for."""

UNITS = {
    "": "a plain number or a text",
    "ns since 1970 UTC": "nanoseconds since 1970 UTC",
    "UTC": "date and time, UTC",
    "ns": "nanoseconds",
    "ms": "milliseconds",
    "s": "seconds",
    "1/s": "per second",
    "per year": "per year, as a fraction",
    "bps": "basis points of the mid at the decision; positive costs, negative earns",
    "%": "percent",
    "base": "the base currency of the symbol",
    "order_unit": "what the column order_unit says",
    "quote": "the quote currency of the symbol, for the whole order",
    "quote per base": "a price",
    "quote per base^2": "price for each unit of the base currency",
    "quote s per base^2": "price for each unit of the base currency a second",
    "per quote": "one over the quote currency",
    "of the notional": "a fraction of the executed notional; negative is a rebate",
    "share of the order": "a fraction of the order, 0 to 1",
    "usual touch sizes": "multiples of what usually waits at the best price",
}
"""What the units of the columns mean."""


class Column(NamedTuple):
    """One number of an estimate; a float is NaN, a code -1 where it may be unknown (nullable) and is.

    unit: a key of UNITS. words: what the codes 0, 1, ... stand for.
    """

    name: str
    unit: str
    kind: Kind
    nullable: bool
    meaning: str
    words: tuple[str, ...] = ()


def _float(name: str, unit: str, meaning: str, nullable: bool = False) -> Column:
    return Column(name, unit, "float", nullable, meaning)


def _origin(parameter: str, nullable: bool = False) -> Column:
    return Column(f"{parameter}_origin", "", "code", nullable, f"where the {parameter} comes from", ORIGINS)


COLUMNS: tuple[Column, ...] = (
    Column("market_ns", "ns since 1970 UTC", "time", False, "the clock the models live on"),
    Column("exchange_ns", "ns since 1970 UTC", "time", False, "the venue's own clock"),
    _float("processing_ns", "ns", "from the frame's reception to this estimate", nullable=True),
    Column("context", "", "count", False, "which market and order the row is of"),
    Column("levels", "", "count", False, "price levels that the whole order uses at once"),
    _float("quantity_base", "base", "the order's size"),
    _float("unfilled_base", "base", "what the visible book could not take at once"),
    _float("mid", "quote per base", "between best bid and best ask"),
    _float("vwap", "quote per base", "average price of what the book fills at once"),
    _float("worst_price", "quote per base", "last price of what the book fills at once"),
    _float("maker_probability", "share of the order", "what a quote at the touch fills in passive_s, at least"),
    _float("maker_probability_high", "share of the order", "at most: every quote whose queue shrank counts as filled"),
    _float("maker_share", "share of the order", "what the chosen style counts on being filled as maker"),
    _float("clean_up_bps", "bps", "how far the mid moves away from a quote that stays unfilled"),
    _float("fee_bps", "bps", "expected fee on the executed notional; unknown where too thin", nullable=True),
    _float("impact_bps", "bps", "the impact that the style counts; unknown where too thin", nullable=True),
    _float("impact_permanent_bps", "bps", "Almgren-Chriss for this size over horizon_s, whatever the style"),
    _float("impact_temporary_bps", "bps", "Almgren-Chriss for this size over horizon_s, whatever the style"),
    _float("timing_risk_bps", "bps", "one standard deviation of the price meanwhile; never in the cost"),
    _float("walk_bps", "bps", "the whole order against this book at once", nullable=True),
    _float("slippage_bps", "bps", "expected execution price against the mid", nullable=True),
    _float("slippage_low_bps", "bps", "lower end of its 95 % band", nullable=True),
    _float("slippage_high_bps", "bps", "upper end of its 95 % band", nullable=True),
    _float("net_cost_bps", "bps", "slippage + fee + impact", nullable=True),
    _float("realised_slippage_bps", "bps", "what the books after it showed", nullable=True),
    _float("realised_maker", "share of the order", "what its quote was really offered in time", nullable=True),
    _float("feature_excess_walk_bps", "bps", "average price paid beyond the best"),
    _float("feature_half_spread_bps", "bps", "half the spread"),
    _float("feature_imbalance", "", "of the touch; positive favours the order's side, as in all features"),
    _float("feature_flow", "usual touch sizes", "order flow imbalance of the last second"),
    _float("feature_return_bps", "bps", "the mid's move over the last second"),
    _float("feature_log_depth", "", "log of the depth it takes from, of the usual"),
    _float("feature_log_size", "", "log of its size, of the usual depth"),
    _float("feature_volatility_bps", "bps", "standard deviation of one second's return"),
    _float("feature_log_queue", "", "log of the queue its quote would join, of the usual"),
    _float("feature_log_reach", "", "log of the usual move in passive_s, in spreads"),
    Column("slippage_source", "", "code", False, "where slippage_bps comes from", SLIPPAGE_SOURCES),
    Column("maker_source", "", "code", False, "where maker_probability comes from", MAKER_SOURCES),
    _float("volatility_annual", "per year", "of the log mid"),
    _float("half_spread_price", "quote per base", "half the usual spread"),
    _float("slope_price_per_base", "quote per base^2", "how fast the price worsens with depth"),
    _float("gamma_price_per_base", "quote per base^2", "permanent impact"),
    _float("resilience_per_s", "1/s", "how fast depth comes back"),
    _float("eta_book_price_s_per_base", "quote s per base^2", "temporary impact of a refilling book: a lower bound"),
    _float("eta_volume_price_s_per_base", "quote s per base^2", "temporary impact by the square-root law", True),
    _float("eta_price_s_per_base", "quote s per base^2", "temporary impact in use"),
    _float("daily_volume_base", "base", "what the market trades a day", True),
    _origin("volatility"),
    _origin("half_spread"),
    _origin("slope"),
    _origin("gamma"),
    _origin("resilience"),
    _origin("eta_book"),
    _origin("eta_volume", nullable=True),
    _origin("eta"),
    _origin("daily_volume", nullable=True),
)

BY_NAME = {column.name: column for column in COLUMNS}
_DTYPES = {"float": "<f8", "time": "<i8", "count": "<i8", "code": "i1"}
_FIELDS = [(column.name, _DTYPES[column.kind]) for column in COLUMNS]
ROW = np.dtype(_FIELDS, align=True)
_PACKED_ROW = np.dtype(_FIELDS)
"""Without the bytes between the fields, which a copy of a row leaves as they were in memory."""

PARAMETER_COLUMNS = {
    "volatility": "volatility_annual",
    "half_spread": "half_spread_price",
    "slope": "slope_price_per_base",
    "gamma": "gamma_price_per_base",
    "resilience": "resilience_per_s",
    "eta_book": "eta_book_price_s_per_base",
    "eta_volume": "eta_volume_price_s_per_base",
    "eta": "eta_price_s_per_base",
    "daily_volume": "daily_volume_base",
}
"""The market parameters, and the column of each; its origin stands under `<name>_origin`."""


Value_co = TypeVar("Value_co", covariant=True)


class _Number(Generic[Value_co]):
    """A number of the row, under the attribute's name or another's; None for NaN where the column may be unknown."""

    def __init__(self, column: str = "") -> None:
        self._column = column

    def __set_name__(self, owner: type, name: str) -> None:
        self._column = self._column or name
        self._nullable = BY_NAME[self._column].nullable

    @overload
    def __get__(self, estimate: None, owner: type) -> _Number[Value_co]: ...
    @overload
    def __get__(self, estimate: Estimate, owner: type) -> Value_co: ...
    def __get__(self, estimate: Estimate | None, owner: type) -> Any:
        if estimate is None:
            return self
        value = estimate.row[self._column].item()
        return None if self._nullable and math.isnan(value) else value


class _Coded(Generic[Word]):
    """A code of the row, as its word."""

    def __init__(self, words: tuple[Word, ...]) -> None:
        self._words = words
        self._column = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._column = name

    @overload
    def __get__(self, estimate: None, owner: type) -> _Coded[Word]: ...
    @overload
    def __get__(self, estimate: Estimate, owner: type) -> Word: ...
    def __get__(self, estimate: Estimate | None, owner: type) -> Any:
        return self if estimate is None else self._words[estimate.row[self._column]]


class Estimate:
    """What an order would cost on one book; bps of its mid, positive costs, None where nobody can say.

    slippage + fee + impact = net. walk_bps is of the whole order against this book at once, None where something stays
    unfilled; `unfilled` (base) says how much. maker_probability is the share of the order that a quote at the touch
    would fill in passive_s, counting only prices that were crossed; maker_probability_high counts every quote whose
    queue shrank as filled, too: the truth for one far ahead in its queue lies between. impact_permanent_bps and
    impact_temporary_bps are Almgren-Chriss for this size over horizon_s whatever the style; impact_bps is the part that
    is counted. timing_risk_bps is one standard deviation, beside the cost and never in it. COLUMNS has every number's
    meaning. Nothing in it changes.
    """

    __slots__ = ("market_ns", "order", "row", "stamps")

    exchange_ns = _Number[int]()
    quantity = _Number[float]("quantity_base")
    mid = _Number[float]()
    walk_bps = _Number[float | None]()
    slippage_bps = _Number[float | None]()
    slippage_low_bps = _Number[float | None]()
    slippage_high_bps = _Number[float | None]()
    slippage_source = _Coded(SLIPPAGE_SOURCES)
    fee_bps = _Number[float | None]()
    impact_bps = _Number[float | None]()
    impact_permanent_bps = _Number[float]()
    impact_temporary_bps = _Number[float]()
    timing_risk_bps = _Number[float]()
    net_cost_bps = _Number[float | None]()
    maker_probability = _Number[float]()
    maker_probability_high = _Number[float]()
    clean_up_bps = _Number[float]()
    maker_share = _Number[float]()
    maker_source = _Coded(MAKER_SOURCES)
    unfilled = _Number[float]("unfilled_base")

    def __init__(self, row: np.void, order: Order, stamps: Stamps, market_ns: int) -> None:
        self.row = row
        """A record of ROW."""
        self.order = order
        self.stamps = stamps
        self.market_ns = market_ns

    @property
    def processing_ns(self) -> int:
        """Time from the frame's reception to this estimate."""
        return self.stamps.fees_ns - self.stamps.received_ns

    @property
    def features(self) -> Features:
        """What the models knew of the order."""
        return Features(self.quantity, *(self.row[name].item() for name in FEATURE_COLUMNS))

    @property
    def fill(self) -> Fill:
        """What the visible book fills of the whole order at once."""
        row = self.row
        return Fill(
            self.quantity - self.unfilled,
            row["vwap"].item(),
            row["worst_price"].item(),
            row["levels"].item(),
            self.unfilled,
        )

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The market parameters in use, and where each comes from."""
        row = self.row
        return {
            name: Parameter(row[column].item(), ORIGINS[row[f"{name}_origin"]])
            for name, column in PARAMETER_COLUMNS.items()
            if row[f"{name}_origin"] >= 0
        }

    def with_values(self, **columns: float | None) -> Estimate:
        """Return a copy whose row has other numbers in these columns; None is NaN."""
        row = self.row.copy()
        for name, value in columns.items():
            row[name] = np.nan if value is None else value
        return Estimate(row, self.order, self.stamps, int(row["market_ns"]))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Estimate):
            return NotImplemented
        # Bytes, because unknown numbers are NaN, which equals nothing.
        mine, theirs = (each.row.astype(_PACKED_ROW).tobytes() for each in (self, other))
        return (mine, self.order, self.stamps) == (theirs, other.order, other.stamps)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Estimate({self.order!r}, {dict(zip(ROW.names or (), self.row.tolist(), strict=True))!r})"


FEATURE_COLUMNS = tuple(f"feature_{name}" for name in Features._fields[1:])
