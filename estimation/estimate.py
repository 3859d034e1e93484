"""Define the estimate of an order's cost on one book."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from estimation.features import Features
from estimation.market_parameters import Parameter
from estimation.model_state import MakerSource
from estimation.order import Order
from estimation.slippage import SlippageSource
from orderbook import Fill
from profiling import Stamps


@dataclass(init=False, repr=False, eq=False)  # so that replace(), fields() and asdict() take it
class Estimate(NamedTuple):  # type: ignore[misc]  # made in a fifth of the time of a frozen dataclass
    """What an order would cost on one book; bps of its mid, positive is a cost, None where unknown.

    slippage + fee + impact = net. quantity: base units. walk_bps: the whole order against this book at once; None
    where something stays unfilled, and `unfilled` (base units) says how much. maker_probability: the share of the
    order that a quote at the touch would fill within passive_s, counting only prices that are crossed.
    maker_probability_high: the same, counting every quote whose queue shrank as filled; the truth for a quote far
    ahead in its queue lies between. clean_up_bps: how far the mid moves away from a quote that stays unfilled.
    maker_share: the share that the chosen style counts on. impact_permanent_bps and impact_temporary_bps:
    Almgren-Chriss for this size over horizon_s, whatever the style; impact_bps: the part that is counted.
    timing_risk_bps: one standard deviation, beside the cost and never in it.
    """

    market_ns: int
    exchange_ns: int
    order: Order
    quantity: float
    mid: float
    features: Features
    fill: Fill
    walk_bps: float | None
    slippage_bps: float | None
    slippage_low_bps: float | None
    slippage_high_bps: float | None
    slippage_source: SlippageSource
    fee_bps: float
    impact_bps: float
    impact_permanent_bps: float
    impact_temporary_bps: float
    timing_risk_bps: float
    net_cost_bps: float | None
    maker_probability: float
    maker_probability_high: float
    clean_up_bps: float
    maker_share: float
    maker_source: MakerSource
    unfilled: float
    parameters: dict[str, Parameter]
    stamps: Stamps
