"""An estimate as a row of the export: packed small while it is kept, under names with units when it is read."""

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

_SLIPPAGE_SOURCES = get_args(SlippageSource)
_MAKER_SOURCES = get_args(MakerSource)
_ORIGINS = get_args(Origin)
_SLIPPAGE_CODES = {word: code for code, word in enumerate(_SLIPPAGE_SOURCES)}
_MAKER_CODES = {word: code for code, word in enumerate(_MAKER_SOURCES)}
_ORIGIN_CODES: dict[str | None, int] = {None: -1} | {word: code for code, word in enumerate(_ORIGINS)}

_PARAMETERS = {
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
"""What the calculator calls each of its parameters, and its column."""

_NULLABLE = ("walk_bps", "slippage_bps", "slippage_low_bps", "slippage_high_bps", "net_cost_bps")
_COSTS = ("slippage", "fee", "impact", "net_cost", "impact_permanent", "impact_temporary", "timing_risk")
_FEATURES = tuple(f"feature_{name}" for name in Features._fields[1:])

_KEPT = {
    **dict.fromkeys(("market_ns", "exchange_ns", "processing_ns", "context", "levels"), "q"),
    **dict.fromkeys(("quantity_base", "unfilled_base", "mid", "vwap", "worst_price"), "d"),
    **dict.fromkeys(("maker_probability", "maker_probability_high", "maker_share", "clean_up_bps"), "d"),
    **dict.fromkeys(("fee_bps", "impact_bps", "impact_permanent_bps", "impact_temporary_bps", "timing_risk_bps"), "d"),
    **dict.fromkeys((*_NULLABLE, "realised_slippage_bps", "realised_maker"), "d"),
    **dict.fromkeys(_FEATURES, "d"),
    **dict.fromkeys(("slippage_source", "maker_source"), "b"),
    **dict.fromkeys(_PARAMETERS.values(), "d"),
    **dict.fromkeys((f"{name}_origin" for name in _PARAMETERS), "b"),
}
"""The numbers kept of an estimate, in the order of `_values`; texts are kept as codes, unknowns as NaN."""

_ROW = struct.Struct("<" + "".join(_KEPT.values()))
_MARKET_NS = struct.Struct("<q")
_REALISED = struct.Struct("<dd")
ROW_BYTES = _ROW.size
_DTYPE = np.dtype([(name, {"q": "<i8", "d": "<f8", "b": "i1"}[code]) for name, code in _KEPT.items()])

_REALISED_AT = struct.calcsize("<" + "".join(_KEPT.values())[: list(_KEPT).index("realised_slippage_bps")])

_NAN = math.nan
_UNKNOWN = (_NAN, None)


def parameter_values(parameters: Mapping[str, Parameter]) -> tuple[float, ...]:
    """The last of what is kept of an estimate, which many estimates in a row share."""
    values, origins = zip(*[parameters.get(name, _UNKNOWN) for name in _PARAMETERS], strict=True)
    return (*values, *map(_ORIGIN_CODES.__getitem__, origins))


def _values(estimate: Estimate, parameters: tuple[float, ...], context: int) -> tuple[float, ...]:
    """One estimate as `_KEPT`."""
    e, fill, stamps = estimate, estimate.fill, estimate.stamps
    return (
        e.market_ns,
        e.exchange_ns,
        stamps.fees_ns - stamps.received_ns,
        context,
        fill.levels,
        e.quantity,
        e.unfilled,
        e.mid,
        fill.vwap,
        fill.worst_price,
        e.maker_probability,
        e.maker_probability_high,
        e.maker_share,
        e.clean_up_bps,
        e.fee_bps,
        e.impact_bps,
        e.impact_permanent_bps,
        e.impact_temporary_bps,
        e.timing_risk_bps,
        _NAN if e.walk_bps is None else e.walk_bps,
        _NAN if e.slippage_bps is None else e.slippage_bps,
        _NAN if e.slippage_low_bps is None else e.slippage_low_bps,
        _NAN if e.slippage_high_bps is None else e.slippage_high_bps,
        _NAN if e.net_cost_bps is None else e.net_cost_bps,
        _NAN,
        _NAN,
        *e.features[1:],
        _SLIPPAGE_CODES[e.slippage_source],
        _MAKER_CODES[e.maker_source],
        *parameters,
    )


class Context(NamedTuple):
    """What many estimates in a row share; venue and symbol None where unknown."""

    venue: str | None
    symbol: str | None
    order: Order


def pack_into(rows: bytearray, start: int, estimate: Estimate, parameters: tuple[float, ...], context: int) -> None:
    """One estimate in ROW_BYTES; parameters: its parameter_values; context: the number by which `unpack`
    finds its context again."""
    _ROW.pack_into(rows, start, *_values(estimate, parameters, context))


def packed_market_ns(rows: bytearray, start: int) -> int:
    """The market_ns of the estimate packed there."""
    found: int = _MARKET_NS.unpack_from(rows, start)[0]
    return found


def realise(rows: bytearray, start: int, slippage_bps: float | None, maker: float) -> None:
    """Fills in what became of the estimate packed there."""
    _REALISED.pack_into(rows, start + _REALISED_AT, _NAN if slippage_bps is None else slippage_bps, maker)


def unpack(rows: bytes, contexts: Sequence[Context]) -> pa.Table:
    """Packed estimates one after the other as a table, columns as COLUMNS; null where nothing is known."""
    return to_table(np.frombuffer(rows, _DTYPE), contexts)


def to_table(kept: NDArray[Any] | Mapping[str, NDArray[Any]], contexts: Sequence[Context]) -> pa.Table:
    """The same, of what is kept as arrays under its names."""
    columns = _columns(_Many(kept, contexts))
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, from_pandas=True) for column in columns.values()
    ]
    return pa.Table.from_arrays(arrays, list(columns))


def to_row(estimate: Estimate, venue: str | None = None, symbol: str | None = None) -> dict[str, Any]:
    """One estimate as a row of the export, keys as COLUMNS; None where nothing is known.

    The realised columns are None: only later books can tell.
    """
    kept = dict(zip(_KEPT, _values(estimate, parameter_values(estimate.parameters), 0), strict=True))
    row = _columns(_One(kept, Context(venue, symbol, estimate.order)))
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}


class _Fields(Protocol):
    """What is kept of one estimate as values, or of many as arrays."""

    def number(self, name: str) -> Any: ...

    def word(self, name: str, words: Sequence[str]) -> Any:
        """A kept code as its text; unknown where it is negative."""

    def context(self, read: Callable[[Context], Any]) -> Any:
        """A number of the context."""

    def context_word(self, read: Callable[[Context], str | None]) -> Any:
        """A text of the context."""

    def utc(self) -> Any:
        """market_ns as text to the microsecond."""


class _One(NamedTuple):
    kept: dict[str, float]
    of: Context

    def number(self, name: str) -> float:
        return self.kept[name]

    def word(self, name: str, words: Sequence[str]) -> str | None:
        code = int(self.kept[name])
        return words[code] if code >= 0 else None

    def context(self, read: Callable[[Context], Any]) -> Any:
        return read(self.of)

    def context_word(self, read: Callable[[Context], str | None]) -> str | None:
        return read(self.of)

    def utc(self) -> str:
        return str(np.datetime64(int(self.kept["market_ns"]) // 1000, "us")).replace("T", " ")


class _Many(NamedTuple):
    kept: NDArray[Any] | Mapping[str, NDArray[Any]]
    contexts: Sequence[Context]

    def number(self, name: str) -> NDArray[Any]:
        values: NDArray[Any] = self.kept[name]
        return values

    def word(self, name: str, words: Sequence[str | None]) -> pa.Array:
        codes = self.kept[name]
        return pa.array(words, pa.large_string()).take(pa.array(codes, mask=codes < 0))

    def context(self, read: Callable[[Context], Any]) -> NDArray[Any]:
        return np.array([read(context) for context in self.contexts]).take(self.kept["context"])

    def context_word(self, read: Callable[[Context], str | None]) -> pa.Array:
        return self.word("context", [read(context) for context in self.contexts])

    def utc(self) -> pa.Array:
        return pa.array(self.kept["market_ns"] // 1000).cast(pa.timestamp("us")).cast(pa.large_string())


def _columns(fields: _Fields) -> dict[str, Any]:
    """The columns of the export, the same for one estimate and for many."""
    number, word, context, context_word = fields.number, fields.word, fields.context, fields.context_word
    notional = number("quantity_base") * number("mid")
    return {
        "market_ns": number("market_ns"),
        "market_utc": fields.utc(),
        "exchange_ns": number("exchange_ns"),
        "venue": context_word(lambda c: c.venue),
        "symbol": context_word(lambda c: c.symbol),
        "side": context_word(lambda c: c.order.side.name.lower()),
        "order_quantity": context(lambda c: float(c.order.quantity)),
        "order_unit": context_word(lambda c: c.order.unit),
        "style": context_word(lambda c: c.order.style),
        "latency_s": context(lambda c: float(c.order.latency_s)),
        "passive_s": context(lambda c: float(c.order.passive_s)),
        "horizon_s": context(lambda c: float(c.order.horizon_s)),
        "steps": context(lambda c: c.order.steps),
        "risk_aversion_per_quote": context(lambda c: float(c.order.risk_aversion)),
        "fee_tier": context_word(lambda c: c.order.tier.name),
        "maker_rate": context(lambda c: float(c.order.tier.maker)),
        "taker_rate": context(lambda c: float(c.order.tier.taker)),
        "quantity_base": number("quantity_base"),
        "notional_quote": notional,
        "mid": number("mid"),
        "walk_bps": number("walk_bps"),
        "slippage_bps": number("slippage_bps"),
        "slippage_low_bps": number("slippage_low_bps"),
        "slippage_high_bps": number("slippage_high_bps"),
        "slippage_source": word("slippage_source", _SLIPPAGE_SOURCES),
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
        "maker_source": word("maker_source", _MAKER_SOURCES),
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
            for name, unit in _PARAMETERS.items()
            for column, value in (
                (unit, number(unit)),
                (f"{name}_origin", word(f"{name}_origin", _ORIGINS)),
            )
        },
        "processing_ms": number("processing_ns") / 1e6,
    }


COLUMNS: tuple[str, ...] = tuple(_columns(_Many(np.zeros(0, _DTYPE), [])))
