"""Describe an order: what the user wants to trade, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from estimation.market_parameters import DAY_S
from fee_calculator import schedule
from fees.schedules import FeeTier
from orderbook import Side

Unit = Literal["base", "quote", "contracts"]
Style = Literal["now", "passive", "schedule"]

MAX_STEPS = 200
"""Child orders of a schedule."""

DEFAULT_TIER = schedule("okx", "swap", "current").tiers[0]


class OrderError(ValueError):
    """An order that cannot be priced; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the user wants to trade and how. Raises OrderError.

    quantity: in `unit`; converted to base units at each book's mid. style: "now" crosses the bid-ask spread at once;
    "passive" quotes at the touch and crosses with the rest after passive_s; "schedule" is an Almgren-Chriss schedule
    over horizon_s with this many steps. latency_s: time until the order arrives. risk_aversion: 1/quote. volatility:
    annualised; None means measured. daily_volume: base units; None means measured, or unknown.
    """

    side: Side
    quantity: float
    unit: Unit = "base"
    style: Style = "now"
    latency_s: float = 0.1
    passive_s: float = 2.0
    horizon_s: float = 300.0
    steps: int = 10
    risk_aversion: float = 1e-6
    volatility: float | None = None
    daily_volume: float | None = None
    tier: FeeTier = DEFAULT_TIER

    def __post_init__(self) -> None:
        if self.unit not in ("base", "quote", "contracts"):
            raise OrderError(f"the unit must be base, quote or contracts, not {self.unit!r}")
        if self.style not in ("now", "passive", "schedule"):
            raise OrderError(f"the style must be now, passive or schedule, not {self.style!r}")
        for name, least, most in (
            ("quantity", 1e-9, 1e12),
            ("latency_s", 0.0, 10.0),
            ("passive_s", 0.1, 60.0),
            ("horizon_s", 1.0, 7 * DAY_S),
            ("risk_aversion", 0.0, 1e3),
            ("volatility", 1e-4, 100.0),
            ("daily_volume", 1e-9, 1e15),
        ):
            value = getattr(self, name)
            if value is None and name in ("volatility", "daily_volume"):
                continue
            if value is None or not least <= value <= most:
                raise OrderError(f"{name.replace('_', ' ')} must be between {least:g} and {most:g}, not {value}")
        if not (isinstance(self.steps, int) and 1 <= self.steps <= MAX_STEPS):
            raise OrderError(f"steps must be a whole number from 1 to {MAX_STEPS}, not {self.steps}")


def base_quantity(order: Order, mid: float, contract_size: float) -> float:
    """Return the order's quantity in base units at this mid. contract_size: base units of one contract."""
    if order.unit == "base":
        return order.quantity
    if order.unit == "quote":
        return order.quantity / mid
    return order.quantity * contract_size
