"""Turn estimates into rows of the export: packed small while they are kept, and under names with units when read."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from estimation.estimate import Estimate
from estimation.features import Features
from estimation.market_parameters import Origin, Parameter
from estimation.model_state import MakerSource
from estimation.order import Order
from estimation.slippage import SlippageSource

UNITS = {
    "_bps": "basis points of the mid at the decision; positive costs, negative earns",
    "_pct": "percent",
    "_quote": "the quote currency of the symbol, for the whole order",
    "_base": "the base currency of the symbol",
    "_ns": "nanoseconds; market_ns and exchange_ns since 1970 UTC",
    "_ms": "milliseconds",
    "_s": "seconds",
    "_annual": "per year, as a fraction",
    "_price": "quote per base, as are mid and vwap",
    "_rate": "a fraction of the executed notional; negative is a rebate",
    "feature_": "signed so that positive favours the order's side",
    "maker_probability": "the share of the order that a quote at the touch would fill in passive_s, at least",
    "maker_probability_high": "the same, at most: every quote whose queue shrank counts as filled",
    "clean_up_bps": "how far the mid moves away from a quote that stays unfilled",
    "maker_share": "the share that the chosen style counts on being filled as maker",
}
"""The meaning of the columns, by the beginning or the end of a name, or by the whole name."""

_SLIPPAGE_SOURCES = get_args(SlippageSource)
_MAKER_SOURCES = get_args(MakerSource)
_ORIGINS = get_args(Origin)
_SLIPPAGE_CODES = {text: code for code, text in enumerate(_SLIPPAGE_SOURCES)}
_MAKER_CODES = {text: code for code, text in enumerate(_MAKER_SOURCES)}
_ORIGIN_CODES: dict[str | None, int] = {None: -1} | {text: code for code, text in enumerate(_ORIGINS)}

_PARAMETER_COLUMNS = {
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
"""The column of each parameter of the calculator."""

_NULLABLE = ("walk_bps", "slippage_bps", "slippage_low_bps", "slippage_high_bps", "net_cost_bps")
_COSTS = ("slippage", "fee", "impact", "net_cost", "impact_permanent", "impact_temporary", "timing_risk")
_FEATURES = tuple(f"feature_{name}" for name in Features._fields[1:])

_PACKED_FIELDS = {
    **dict.fromkeys(("market_ns", "exchange_ns", "processing_ns", "context", "levels"), "q"),
    **dict.fromkeys(("quantity_base", "unfilled_base", "mid", "vwap", "worst_price"), "d"),
    **dict.fromkeys(("maker_probability", "maker_probability_high", "maker_share", "clean_up_bps"), "d"),
    **dict.fromkeys(("fee_bps", "impact_bps", "impact_permanent_bps", "impact_temporary_bps", "timing_risk_bps"), "d"),
    **dict.fromkeys((*_NULLABLE, "realised_slippage_bps", "realised_maker"), "d"),
    **dict.fromkeys(_FEATURES, "d"),
    **dict.fromkeys(("slippage_source", "maker_source"), "b"),
    **dict.fromkeys(_PARAMETER_COLUMNS.values(), "d"),
    **dict.fromkeys((f"{name}_origin" for name in _PARAMETER_COLUMNS), "b"),
}
"""The numbers that are packed of an estimate, in the order of `_list_values`, each with its struct format.

A text is packed as its code, an unknown number as NaN.
"""

_ROW = struct.Struct("<" + "".join(_PACKED_FIELDS.values()))
ROW_BYTES = _ROW.size
"""A packed estimate; without padding, so that the offset of a field is the size of those before it."""
_DTYPE = np.dtype([(name, {"q": "<i8", "d": "<f8", "b": "i1"}[code]) for name, code in _PACKED_FIELDS.items()])
_MARKET_NS = struct.Struct("<q")
"""The first packed field."""
_OUTCOME = struct.Struct("<dd")
"""The two realised columns, which lie side by side."""
_OUTCOME_OFFSET = struct.calcsize(
    "<" + "".join(_PACKED_FIELDS.values())[: list(_PACKED_FIELDS).index("realised_slippage_bps")]
)
"""Bytes of a packed estimate before its outcome."""

_NAN = math.nan
_UNKNOWN_PARAMETER = (_NAN, None)


def parameter_values(parameters: Mapping[str, Parameter]) -> tuple[float, ...]:
    """Return the values of all parameters and then the codes of their origins: the last of the packed fields.

    Many consecutive estimates share their parameters, so that one call serves them all.
    """
    values, origins = zip(*[parameters.get(name, _UNKNOWN_PARAMETER) for name in _PARAMETER_COLUMNS], strict=True)
    return (*values, *map(_ORIGIN_CODES.__getitem__, origins))


def _list_values(estimate: Estimate, parameters: tuple[float, ...], context: int) -> tuple[float, ...]:
    """Return the estimate's numbers in the order of `_PACKED_FIELDS`.

    parameters: their parameter_values. context: the place of the estimate's context among those given to `unpack`.
    """
    fill = estimate.fill
    stamps = estimate.stamps
    return (
        estimate.market_ns,
        estimate.exchange_ns,
        stamps.fees_ns - stamps.received_ns,
        context,
        fill.levels,
        estimate.quantity,
        estimate.unfilled,
        estimate.mid,
        fill.vwap,
        fill.worst_price,
        estimate.maker_probability,
        estimate.maker_probability_high,
        estimate.maker_share,
        estimate.clean_up_bps,
        estimate.fee_bps,
        estimate.impact_bps,
        estimate.impact_permanent_bps,
        estimate.impact_temporary_bps,
        estimate.timing_risk_bps,
        _NAN if estimate.walk_bps is None else estimate.walk_bps,
        _NAN if estimate.slippage_bps is None else estimate.slippage_bps,
        _NAN if estimate.slippage_low_bps is None else estimate.slippage_low_bps,
        _NAN if estimate.slippage_high_bps is None else estimate.slippage_high_bps,
        _NAN if estimate.net_cost_bps is None else estimate.net_cost_bps,
        _NAN,  # the realised columns, which only later books can tell
        _NAN,
        *estimate.features[1:],
        _SLIPPAGE_CODES[estimate.slippage_source],
        _MAKER_CODES[estimate.maker_source],
        *parameters,
    )


class Context(NamedTuple):
    """The market and the order that many consecutive estimates share; venue and symbol None where unknown."""

    venue: str | None
    symbol: str | None
    order: Order


def pack_estimate(rows: bytearray, start: int, estimate: Estimate, parameters: tuple[float, ...], context: int) -> None:
    """Write one estimate into ROW_BYTES bytes.

    Args:
        rows: the packed rows to write into.
        start: the byte where the row begins.
        estimate: the estimate.
        parameters: the parameter_values of its parameters.
        context: the place of its context among those given to `unpack`.
    """
    _ROW.pack_into(rows, start, *_list_values(estimate, parameters, context))


def unpack_market_ns(rows: bytearray, start: int) -> int:
    """Return the market_ns of the estimate packed from byte `start` on."""
    market_ns: int = _MARKET_NS.unpack_from(rows, start)[0]
    return market_ns


def pack_outcome(rows: bytearray, start: int, slippage_bps: float | None, maker_share: float) -> None:
    """Write the realised slippage and maker share into the estimate packed from byte `start` on."""
    _OUTCOME.pack_into(rows, start + _OUTCOME_OFFSET, _NAN if slippage_bps is None else slippage_bps, maker_share)


def unpack(rows: bytes, contexts: Sequence[Context]) -> pa.Table:
    """Return packed consecutive estimates as a table with the columns COLUMNS; null where a value is unknown."""
    return to_table(np.frombuffer(rows, _DTYPE), contexts)


def to_table(columns: NDArray[Any] | Mapping[str, NDArray[Any]], contexts: Sequence[Context]) -> pa.Table:
    """Return estimates as a table with the columns COLUMNS; null where a value is unknown.

    columns: the packed fields by their names, (n,) each; texts as codes, unknown numbers as NaN.
    """
    exported = _export_columns(_ManyEstimates(columns, contexts))
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, from_pandas=True) for column in exported.values()
    ]
    return pa.Table.from_arrays(arrays, list(exported))


def to_row(estimate: Estimate, venue: str | None = None, symbol: str | None = None) -> dict[str, Any]:
    """Return one estimate as a row of the export with the keys COLUMNS; None where a value is unknown.

    The realised columns are None: only later books can tell.
    """
    values = _list_values(estimate, parameter_values(estimate.parameters), 0)
    fields = dict(zip(_PACKED_FIELDS, values, strict=True))
    row = _export_columns(_OneEstimate(fields, Context(venue, symbol, estimate.order)))
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}


class _PackedEstimates(Protocol):
    """The packed fields of one estimate, read as values, or of many, read as arrays."""

    def number(self, name: str) -> Any:
        """Return the number packed under this name."""

    def text(self, name: str, texts: Sequence[str]) -> Any:
        """Return the text whose code is packed under this name; unknown where the code is negative."""

    def context_number(self, read: Callable[[Context], Any]) -> Any:
        """Return a number of the context."""

    def context_text(self, read: Callable[[Context], str | None]) -> Any:
        """Return a text of the context."""

    def utc(self) -> Any:
        """Return market_ns as text, to the microsecond."""


class _OneEstimate(NamedTuple):
    fields: dict[str, float]
    context: Context

    def number(self, name: str) -> float:
        return self.fields[name]

    def text(self, name: str, texts: Sequence[str]) -> str | None:
        code = int(self.fields[name])
        return texts[code] if code >= 0 else None

    def context_number(self, read: Callable[[Context], Any]) -> Any:
        return read(self.context)

    def context_text(self, read: Callable[[Context], str | None]) -> str | None:
        return read(self.context)

    def utc(self) -> str:
        return str(np.datetime64(int(self.fields["market_ns"]) // 1000, "us")).replace("T", " ")


class _ManyEstimates(NamedTuple):
    fields: NDArray[Any] | Mapping[str, NDArray[Any]]
    contexts: Sequence[Context]

    def number(self, name: str) -> NDArray[Any]:
        values: NDArray[Any] = self.fields[name]
        return values

    def text(self, name: str, texts: Sequence[str | None]) -> pa.Array:
        codes = self.fields[name]
        return pa.array(texts, pa.large_string()).take(pa.array(codes, mask=codes < 0))

    def context_number(self, read: Callable[[Context], Any]) -> NDArray[Any]:
        return np.array([read(context) for context in self.contexts]).take(self.fields["context"])

    def context_text(self, read: Callable[[Context], str | None]) -> pa.Array:
        return self.text("context", [read(context) for context in self.contexts])

    def utc(self) -> pa.Array:
        return pa.array(self.fields["market_ns"] // 1000).cast(pa.timestamp("us")).cast(pa.large_string())


def _export_columns(estimates: _PackedEstimates) -> dict[str, Any]:
    """Return the columns of the export under their names, for one estimate as for many."""
    number = estimates.number
    text = estimates.text
    context_number = estimates.context_number
    context_text = estimates.context_text
    notional = number("quantity_base") * number("mid")
    return {
        "market_ns": number("market_ns"),
        "market_utc": estimates.utc(),
        "exchange_ns": number("exchange_ns"),
        "venue": context_text(lambda c: c.venue),
        "symbol": context_text(lambda c: c.symbol),
        "side": context_text(lambda c: c.order.side.name.lower()),
        "order_quantity": context_number(lambda c: float(c.order.quantity)),
        "order_unit": context_text(lambda c: c.order.unit),
        "style": context_text(lambda c: c.order.style),
        "latency_s": context_number(lambda c: float(c.order.latency_s)),
        "passive_s": context_number(lambda c: float(c.order.passive_s)),
        "horizon_s": context_number(lambda c: float(c.order.horizon_s)),
        "steps": context_number(lambda c: c.order.steps),
        "risk_aversion_per_quote": context_number(lambda c: float(c.order.risk_aversion)),
        "fee_tier": context_text(lambda c: c.order.tier.name),
        "maker_rate": context_number(lambda c: float(c.order.tier.maker)),
        "taker_rate": context_number(lambda c: float(c.order.tier.taker)),
        "quantity_base": number("quantity_base"),
        "notional_quote": notional,
        "mid": number("mid"),
        "walk_bps": number("walk_bps"),
        "slippage_bps": number("slippage_bps"),
        "slippage_low_bps": number("slippage_low_bps"),
        "slippage_high_bps": number("slippage_high_bps"),
        "slippage_source": text("slippage_source", _SLIPPAGE_SOURCES),
        "realised_slippage_bps": number("realised_slippage_bps"),
        "fee_bps": number("fee_bps"),
        "impact_bps": number("impact_bps"),
        "net_cost_bps": number("net_cost_bps"),
        "impact_permanent_bps": number("impact_permanent_bps"),
        "impact_temporary_bps": number("impact_temporary_bps"),
        "timing_risk_bps": number("timing_risk_bps"),
        **{f"{cost}_quote": number(f"{cost}_bps") * notional / 1e4 for cost in _COSTS},
        "net_cost_pct": number("net_cost_bps") / 100,
        "maker_probability": number("maker_probability"),
        "maker_probability_high": number("maker_probability_high"),
        "maker_source": text("maker_source", _MAKER_SOURCES),
        "maker_share": number("maker_share"),
        "maker_share_pct": number("maker_share") * 100,
        "taker_share_pct": (1 - number("maker_share")) * 100,
        "clean_up_bps": number("clean_up_bps"),
        "realised_maker": number("realised_maker"),
        "unfilled_base": number("unfilled_base"),
        "vwap": number("vwap"),
        "worst_price": number("worst_price"),
        "levels": number("levels"),
        **{name: number(name) for name in _FEATURES},
        **{
            column: value
            for name, parameter_column in _PARAMETER_COLUMNS.items()
            for column, value in (
                (parameter_column, number(parameter_column)),
                (f"{name}_origin", text(f"{name}_origin", _ORIGINS)),
            )
        },
        "processing_ms": number("processing_ns") / 1e6,
    }


COLUMNS: tuple[str, ...] = tuple(_export_columns(_ManyEstimates(np.zeros(0, _DTYPE), [])))
