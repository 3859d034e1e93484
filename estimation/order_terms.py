"""Turn an order into the numbers that pricing reads; work out what follows from order, mid and model state alone."""

from __future__ import annotations

import math

import numpy as np

from estimation.market_parameters import DAY_S, DEFAULT_RESILIENCE, DEFAULT_VOLATILITY, YEAR_S
from estimation.model_record import crossing_at
from estimation.order import MAX_STEPS, Order
from numerics.arrays import Record, Records, make_records
from numerics.jit import jit
from numerics.unit_schedule import schedule_costs, schedule_shape, unit_path

BASE, QUOTE, CONTRACTS = range(3)
NOW, PASSIVE, SCHEDULE = range(3)
MEASURED, TYPED, DEFAULT, NONE = 0, 1, 2, -1

TERMS = np.dtype(
    [
        ("sign", "f8"),
        ("unit", "i8"),
        ("style", "i8"),
        ("steps", "i8"),
        *(
            (name, "f8")
            for name in (
                "order_quantity",
                "contract_size",
                "latency_s",
                "passive_s",
                "horizon_s",
                "risk_aversion",
                "typed_volatility",
                "daily_volume",
                "maker_bps",
                "taker_bps",
                "mid",
                "quantity",
                "bps_per_quote",
                "share_offered",
                "clean_up_bps",
                "usual_rest",
                "rest_move_bps",
                "permanent_bps",
                "temporary_bps",
                "timing_risk_bps",
                "permanent_paid",
                "temporary_paid",
                "half_spread_quote",
                "volatility",
                "slope",
                "gamma",
                "resilience",
                "eta_book",
                "eta_volume",
                "eta",
            )
        ),
        *(
            (name, "i1")
            for name in (
                "daily_volume_origin",
                "volatility_origin",
                "gamma_origin",
                "resilience_origin",
                "eta_book_origin",
                "eta_origin",
            )
        ),
        ("shares", "f8", (MAX_STEPS,)),
    ],
    align=True,
)


def make_terms(order: Order, contract_size: float, daily_volume: float | None = None) -> Records:
    """Return the order's terms, (1,) of TERMS, nothing worked out yet.

    daily_volume: base units that the market was measured to trade a day; it counts where the order has none.
    """
    terms = make_records(TERMS, 1)
    record = terms[0]
    record["sign"] = order.side.value
    record["unit"] = ("base", "quote", "contracts").index(order.unit)
    record["style"] = ("now", "passive", "schedule").index(order.style)
    record["steps"] = order.steps
    record["order_quantity"], record["contract_size"] = order.quantity, contract_size
    for name in ("latency_s", "passive_s", "horizon_s", "risk_aversion"):
        record[name] = getattr(order, name)
    record["typed_volatility"] = math.nan if order.volatility is None else order.volatility
    record["daily_volume"], record["daily_volume_origin"] = math.nan, NONE
    if order.daily_volume is not None:
        record["daily_volume"], record["daily_volume_origin"] = order.daily_volume, TYPED
    elif daily_volume is not None:
        record["daily_volume"], record["daily_volume_origin"] = daily_volume, MEASURED
    record["maker_bps"], record["taker_bps"] = order.tier.maker * 1e4, order.tier.taker * 1e4
    record["mid"] = math.nan
    return terms


@jit
def one_sided_move_bps(volatility_bps: float, seconds: float) -> float:
    """Return how far a price that moved away has moved on average: sigma sqrt(t) sqrt(2 / pi), bps."""
    return volatility_bps * math.sqrt(seconds * 2 / math.pi)


@jit
def set_parameters(terms: Record, model: Record, mid: float) -> None:
    """Work out the market parameters of this order at this mid."""
    tau = terms.horizon_s / terms.steps
    quantity = terms.quantity
    if not math.isnan(terms.typed_volatility):
        terms.volatility = terms.typed_volatility
        terms.volatility_origin = TYPED
    elif model.variance > 0:
        terms.volatility = math.sqrt(model.variance * YEAR_S)
        terms.volatility_origin = MEASURED
    else:
        terms.volatility = DEFAULT_VOLATILITY
        terms.volatility_origin = DEFAULT
    # What an even schedule costs a unit by the square-root law: A_p of section 2; NaN without a daily volume.
    sigma_day = terms.volatility * mid * math.sqrt(DAY_S / YEAR_S)
    law = 2 / 3 * sigma_day * math.sqrt(quantity / terms.daily_volume)

    slope = max(model.book_slope, 1e-9 * mid / quantity)
    if math.isnan(model.gamma):
        gamma = slope / 2
        terms.gamma_origin = DEFAULT
    else:
        gamma = min(model.gamma, 0.9 * slope)
        terms.gamma_origin = MEASURED
    # The flow of one second says nothing of an order of hours: what stays is two thirds of the law's cost at most.
    most_gamma = 4 / 3 * law / quantity
    if gamma > most_gamma:
        gamma = most_gamma
        terms.gamma_origin = terms.daily_volume_origin
    if math.isnan(model.resilience):
        resilience = DEFAULT_RESILIENCE
        terms.resilience_origin = DEFAULT
    else:
        resilience = model.resilience
        terms.resilience_origin = MEASURED
    measured = terms.gamma_origin != DEFAULT and terms.resilience_origin == MEASURED
    terms.eta_book_origin = MEASURED if measured else DEFAULT
    terms.eta_origin = terms.eta_book_origin
    terms.slope = slope
    terms.gamma = gamma
    terms.resilience = resilience
    terms.eta_book = tau * (slope / 2 + (slope - gamma) / math.expm1(min(resilience * tau, 700.0)))
    terms.eta = terms.eta_book
    terms.eta_volume = terms.horizon_s / quantity * (law - gamma * quantity / 2) + gamma * tau / 2
    if terms.eta_volume > terms.eta_book:
        terms.eta = terms.eta_volume
        terms.eta_origin = terms.daily_volume_origin


@jit
def set_terms(terms: Record, model: Record, mid: float) -> bool:
    """Work out all that follows from order, mid and model state. Returns False if a cost is no number."""
    terms.mid = mid
    if terms.unit == BASE:
        quantity = terms.order_quantity
    elif terms.unit == QUOTE:
        quantity = terms.order_quantity / mid
    else:
        quantity = terms.order_quantity * terms.contract_size
    terms.quantity = quantity
    terms.bps_per_quote = 1e4 / (quantity * mid)
    set_parameters(terms, model, mid)

    sigma = terms.volatility / math.sqrt(YEAR_S)
    terms.clean_up_bps = model.clean_up_bps
    if math.isnan(model.clean_up_bps):
        terms.clean_up_bps = one_sided_move_bps(sigma * 1e4, terms.passive_s)
    share, whole, terms.rest_move_bps = crossing_at(model, quantity, terms.clean_up_bps)
    terms.share_offered = share
    terms.usual_rest = (1 - share) / (1 - whole) if whole < 1 else 0.0
    waits_s = terms.passive_s if terms.style == PASSIVE else 0.0
    terms.timing_risk_bps = sigma * 1e4 * math.sqrt(terms.latency_s + waits_s)

    tau = terms.horizon_s / terms.steps
    price_sigma = sigma * mid
    eta_tilde, w = schedule_shape(price_sigma, terms.eta, terms.gamma, terms.risk_aversion, tau)
    expected, variance, permanent, temporary, terms.permanent_paid, terms.temporary_paid, _ = schedule_costs(
        price_sigma, terms.eta, terms.gamma, model.half_spread, w, quantity, tau, terms.steps
    )
    terms.half_spread_quote = model.half_spread * quantity
    terms.permanent_bps = permanent * terms.bps_per_quote
    terms.temporary_bps = temporary * terms.bps_per_quote
    if terms.style == SCHEDULE and terms.steps > 1:
        terms.timing_risk_bps = math.sqrt(variance) * terms.bps_per_quote
        set_shares(terms, w)
    sound: bool = eta_tilde > 0 and w < math.inf and expected + variance < math.inf
    if not sound:
        terms.mid = math.nan  # so that the next book at this mid is refused as well
    return sound


@jit
def set_shares(terms: Record, w: float) -> None:
    """Work out the shares of the order that an optimal schedule trades in each step."""
    steps = terms.steps
    shares = terms.shares
    unit_path(w, steps, shares)
    for step in range(steps - 1, 0, -1):
        shares[step] = shares[step - 1] - shares[step]
    shares[0] = 1 - shares[0]
