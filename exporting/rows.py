"""Turn estimates into rows of the export: packed small while they are kept, and under names with units when read."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from estimation.estimate import BY_NAME, FEATURE_COLUMNS, PARAMETER_COLUMNS, ROW, Estimate
from estimation.order import Order
from numerics.arrays import Records

_COSTS = ("slippage", "fee", "impact", "net_cost", "impact_permanent", "impact_temporary", "timing_risk")


class Context(NamedTuple):
    """The market and the order that many consecutive estimates share; venue and symbol None where unknown."""

    venue: str | None
    symbol: str | None
    order: Order


def to_table(rows: Records, contexts: Sequence[Context]) -> pa.Table:
    """Return estimates as a table with the columns COLUMNS; null where a value is unknown.

    rows: (n,) of estimation.estimate.ROW. contexts: those that the rows' numbers of context count.
    """
    exported = _export_columns(_ManyEstimates(rows, contexts))
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, from_pandas=True) for column in exported.values()
    ]
    return pa.Table.from_arrays(arrays, list(exported))


def to_row(estimate: Estimate, venue: str | None = None, symbol: str | None = None) -> dict[str, Any]:
    """Return one estimate as a row of the export with the keys COLUMNS; None where a value is unknown.

    The realised columns are None: only later books can tell.
    """
    fields = dict(zip(ROW.names or (), estimate.row.tolist(), strict=True))
    fields["processing_ns"] = float(estimate.processing_ns)
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
    fields: Records
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


class ExportedColumn(NamedTuple):
    """A column of the export: its name, unit and meaning, and how to read it of estimates."""

    name: str
    unit: str
    meaning: str
    read: Callable[[_PackedEstimates], Any]


def _kept(name: str) -> ExportedColumn:
    """Return a column of estimation.estimate.COLUMNS as it is."""
    _, unit, kind, _, meaning, words = BY_NAME[name]
    if kind == "code":
        return ExportedColumn(
            name, unit, f"{meaning}: {', '.join(words)}", lambda estimates: estimates.text(name, words)
        )
    return ExportedColumn(name, unit, meaning, lambda estimates: estimates.number(name))


def _context_number(name: str, unit: str, meaning: str, read: Callable[[Context], float]) -> ExportedColumn:
    return ExportedColumn(name, unit, meaning, lambda estimates: estimates.context_number(read))


def _context_text(name: str, meaning: str, read: Callable[[Context], str | None]) -> ExportedColumn:
    return ExportedColumn(name, "", meaning, lambda estimates: estimates.context_text(read))


def _notional(estimates: _PackedEstimates) -> Any:
    return estimates.number("quantity_base") * estimates.number("mid")


def _in_quote(cost: str) -> ExportedColumn:
    """Return a cost of the whole order in money."""
    bps = f"{cost}_bps"
    return ExportedColumn(
        f"{cost}_quote",
        "quote",
        BY_NAME[bps].meaning,
        lambda estimates: estimates.number(bps) * _notional(estimates) / 1e4,
    )


EXPORTED: tuple[ExportedColumn, ...] = (
    _kept("market_ns"),
    ExportedColumn("market_utc", "UTC", "market_ns as text, to the microsecond", lambda estimates: estimates.utc()),
    _kept("exchange_ns"),
    _context_text("venue", "where the book comes from", lambda c: c.venue),
    _context_text("symbol", "the venue's name of the instrument", lambda c: c.symbol),
    _context_text("side", "of the order: buy or sell", lambda c: c.order.side.name.lower()),
    _context_number("order_quantity", "order_unit", "the order's size as given", lambda c: float(c.order.quantity)),
    _context_text("order_unit", "what order_quantity counts: base, quote or contracts", lambda c: c.order.unit),
    _context_text("style", "of the order: now, passive or schedule", lambda c: c.order.style),
    _context_number("latency_s", "s", "from the decision to the venue", lambda c: float(c.order.latency_s)),
    _context_number("passive_s", "s", "how long a passive order's quote waits", lambda c: float(c.order.passive_s)),
    _context_number("horizon_s", "s", "how long a schedule takes", lambda c: float(c.order.horizon_s)),
    _context_number("steps", "", "child orders of a schedule", lambda c: c.order.steps),
    _context_number("risk_aversion_per_quote", "per quote", "of the schedule", lambda c: float(c.order.risk_aversion)),
    _context_text("fee_tier", "name of the fee tier", lambda c: c.order.tier.name),
    _context_number("maker_rate", "of the notional", "fee of a maker", lambda c: float(c.order.tier.maker)),
    _context_number("taker_rate", "of the notional", "fee of a taker", lambda c: float(c.order.tier.taker)),
    _kept("quantity_base"),
    ExportedColumn("notional_quote", "quote", "quantity_base at the mid", _notional),
    _kept("mid"),
    _kept("walk_bps"),
    _kept("slippage_bps"),
    _kept("slippage_low_bps"),
    _kept("slippage_high_bps"),
    _kept("slippage_source"),
    _kept("realised_slippage_bps"),
    _kept("fee_bps"),
    _kept("impact_bps"),
    _kept("net_cost_bps"),
    _kept("impact_permanent_bps"),
    _kept("impact_temporary_bps"),
    _kept("timing_risk_bps"),
    *map(_in_quote, _COSTS),
    ExportedColumn(
        "net_cost_pct", "%", BY_NAME["net_cost_bps"].meaning, lambda estimates: estimates.number("net_cost_bps") / 100
    ),
    _kept("maker_probability"),
    _kept("maker_probability_high"),
    _kept("maker_source"),
    _kept("maker_share"),
    ExportedColumn(
        "maker_share_pct", "%", BY_NAME["maker_share"].meaning, lambda estimates: estimates.number("maker_share") * 100
    ),
    ExportedColumn(
        "taker_share_pct",
        "%",
        "what the chosen style counts on crossing with",
        lambda estimates: (1 - estimates.number("maker_share")) * 100,
    ),
    _kept("clean_up_bps"),
    _kept("realised_maker"),
    _kept("unfilled_base"),
    _kept("vwap"),
    _kept("worst_price"),
    _kept("levels"),
    *map(_kept, FEATURE_COLUMNS),
    *(
        _kept(column)
        for name, parameter_column in PARAMETER_COLUMNS.items()
        for column in (parameter_column, f"{name}_origin")
    ),
    ExportedColumn(
        "processing_ms",
        "ms",
        BY_NAME["processing_ns"].meaning,
        lambda estimates: estimates.number("processing_ns") / 1e6,
    ),
)

COLUMNS: tuple[str, ...] = tuple(column.name for column in EXPORTED)

DATA_DICTIONARY = {column.name: {"unit": column.unit, "meaning": column.meaning} for column in EXPORTED}
"""The unit, a key of estimation.estimate.UNITS, and the meaning of every column."""


def _export_columns(estimates: _PackedEstimates) -> dict[str, Any]:
    """Return the columns of the export under their names, for one estimate as for many."""
    return {column.name: column.read(estimates) for column in EXPORTED}
