"""Price one order on one book: slippage, fee and impact, in one row."""

from __future__ import annotations

import math

from estimation.features import order_features
from estimation.model_record import fill_probability, residual_bps, size_stratum
from estimation.order_terms import MEASURED, PASSIVE, SCHEDULE, set_terms
from numerics.arrays import Record, Records
from numerics.jit import jit_holding_gil
from orderbook import Levels
from orderbook.walking import walk_levels

EXTRAPOLATED_DEPTHS = 5.0
"""Up to how many times the visible depth an order's slippage is extrapolated."""

BOOK_WALK, MODEL, EXTRAPOLATED, TOO_THIN = range(4)


@jit_holding_gil
def cost_beyond_best(
    sign: float, best: float, slope: float, filled: float, excess: float, worst_price: float, unfilled: float
) -> float:
    """Return the average price paid beyond the best; the book's price goes on at the usual slope where it ends."""
    average = sign * excess / filled
    if unfilled <= 0:
        return average
    beyond = sign * (worst_price - best) + slope * unfilled / 2
    return (filled * average + unfilled * beyond) / (filled + unfilled)


@jit_holding_gil
def set_features(row: Record, state: Record, model: Record, terms: Record, quantity: float, beyond: float) -> None:
    """Fill the row's features of an order of `quantity` that pays `beyond` (price) over the best.

    Signed so that positive favours the aggressor's side.
    """
    features = order_features(
        terms.sign,
        state,
        model.depth_1,
        model.depth_10,
        model.volatility_bps,
        terms.passive_s,
        quantity,
        beyond / state.mid * 1e4,
    )
    row.feature_excess_walk_bps = features[0]
    row.feature_half_spread_bps = features[1]
    row.feature_imbalance = features[2]
    row.feature_flow = features[3]
    row.feature_return_bps = features[4]
    row.feature_log_depth = features[5]
    row.feature_log_size = features[6]
    row.feature_volatility_bps = features[7]
    row.feature_log_queue = features[8]
    row.feature_log_reach = features[9]


@jit_holding_gil
def set_slippage(row: Record, model: Record, quantity: float, filled: float, unfilled: float, share: float) -> None:
    """Fill the row's slippage: half the spread, the walk, and what the model has learned the walk misses.

    Its features must stand in the row. unfilled: what the book could not take of the quantity. share: the share of
    the order that is traded now, which alone meets the drift that the model sees coming.
    """
    bps = row.feature_half_spread_bps + row.feature_excess_walk_bps
    widen = 1.0
    row.slippage_source = BOOK_WALK
    if unfilled > 0:
        widen = quantity / filled
        row.slippage_source = EXTRAPOLATED
        if widen > EXTRAPOLATED_DEPTHS:
            refuse_slippage(row)
            return
    elif model.speaks:
        columns = (
            row.feature_excess_walk_bps,
            row.feature_half_spread_bps,
            row.feature_imbalance,
            row.feature_flow,
            row.feature_return_bps,
            row.feature_log_depth,
            row.feature_log_size,
            row.feature_volatility_bps,
        )
        bps += share * residual_bps(model, columns)
        row.slippage_source = MODEL
    stratum = size_stratum(model, quantity)
    row.slippage_bps = bps
    row.slippage_low_bps = bps + widen * model.band_low[stratum]
    row.slippage_high_bps = bps + widen * model.band_high[stratum]


@jit_holding_gil
def refuse_slippage(row: Record) -> None:
    """Say that the book is too thin for this order."""
    row.slippage_bps = math.nan
    row.slippage_low_bps = math.nan
    row.slippage_high_bps = math.nan
    row.slippage_source = TOO_THIN


@jit_holding_gil
def wait_first(
    row: Record,
    levels: Levels,
    begin: int,
    end: int,
    model: Record,
    terms: Record,
    chance: float,
    walked_bps: float,
) -> None:
    """Turn the row's slippage into that of an order that waits, and fill its fee, by what becomes of its quote.

    With `chance` its quote is crossed: the share on offer fills at the touch, and the rest crosses when the time is
    up; else the whole order crosses then. The mid moves away from quotes that are not crossed, and towards others
    (docs/models.md, section 5). The band runs from all of it filled at the touch to all of it crossing after 95 % of
    such moves. chance, walked_bps: as in set_style_costs.
    """
    crossing = row.slippage_bps
    half = row.feature_half_spread_bps
    drift = crossing - (half + row.feature_excess_walk_bps)
    offered = terms.share_offered
    rest_bps = half
    rest_walked_bps = half
    if offered < 1:
        # Where anything is left, it is so much of the order.
        rest = terms.usual_rest * terms.quantity
        best = levels[begin, 0]
        filled, excess, worst_price, _ = walk_levels(levels, begin, end, rest)
        beyond = cost_beyond_best(terms.sign, best, model.slope, filled, excess, worst_price, rest - filled)
        rest_bps += beyond / row.mid * 1e4
        rest_walked_bps += terms.sign * excess / filled / row.mid * 1e4
    missed_bps = crossing + terms.clean_up_bps
    crossed_bps = (1 - offered) * (rest_bps + drift) + terms.rest_move_bps - offered * half
    bps = (1 - chance) * missed_bps + chance * crossed_bps
    row.slippage_bps = bps
    sign = terms.sign
    filled_fee = terms.maker_bps * (1 - sign * half / 1e4)
    rest_fee = terms.taker_bps * (1 + sign * rest_walked_bps / 1e4)
    missed_fee = terms.taker_bps * (1 + sign * walked_bps / 1e4)
    row.fee_bps = (1 - chance) * missed_fee + chance * (offered * filled_fee + (1 - offered) * rest_fee)
    if math.isnan(crossing) or math.isnan(model.clean_up_low):
        row.slippage_low_bps = math.nan
        row.slippage_high_bps = math.nan
        return
    row.slippage_low_bps = min(bps, crossing + model.clean_up_low, -half)
    row.slippage_high_bps = max(bps, crossing + model.clean_up_high)


@jit_holding_gil
def cross_in_parts(
    row: Record,
    kept: Record,
    levels: Levels,
    begin: int,
    end: int,
    state: Record,
    model: Record,
    terms: Record,
) -> float:
    """Fill the row's slippage with that of child orders that each meet a book like this one.

    The model speaks once, of the average child, and for the first one alone; the band is one child's. kept: a row to
    work in. Returns the sum of size x price paid beyond the best, quote.
    """
    sign = terms.sign
    best = levels[begin, 0]
    total = 0.0
    paid = 0.0
    worst = 0.0
    count = 0
    for step in range(terms.steps):
        size = terms.quantity * terms.shares[step]
        if size <= 0:
            continue
        filled, excess, worst_price, _ = walk_levels(levels, begin, end, size)
        paid += size * cost_beyond_best(sign, best, model.slope, filled, excess, worst_price, size - filled)
        worst = max(worst, size / filled)
        total += size
        count += 1
    average = total / count
    filled, excess, worst_price, _ = walk_levels(levels, begin, end, average)
    beyond = cost_beyond_best(sign, best, model.slope, filled, excess, worst_price, average - filled)
    set_features(kept, state, model, terms, average, beyond)
    set_slippage(kept, model, average, filled, average - filled, terms.shares[0])
    if worst > EXTRAPOLATED_DEPTHS or kept.slippage_source == TOO_THIN:
        refuse_slippage(row)
        return paid
    shift = paid / total / state.mid * 1e4 - kept.feature_excess_walk_bps
    row.slippage_bps = kept.slippage_bps + shift
    row.slippage_low_bps = kept.slippage_low_bps + shift
    row.slippage_high_bps = kept.slippage_high_bps + shift
    row.slippage_source = EXTRAPOLATED if worst > 1 else kept.slippage_source
    return paid


@jit_holding_gil
def set_order_columns(row: Record, state: Record, terms: Record) -> None:
    """Write down what follows from the order at this mid, and that its outcome is not known yet."""
    row.market_ns = state.market_ns
    row.processing_ns = math.nan
    row.quantity_base = terms.quantity
    row.clean_up_bps = terms.clean_up_bps
    row.impact_permanent_bps = terms.permanent_bps
    row.impact_temporary_bps = terms.temporary_bps
    row.timing_risk_bps = terms.timing_risk_bps
    row.realised_slippage_bps = math.nan
    row.realised_maker = math.nan


@jit_holding_gil
def set_parameter_columns(row: Record, model: Record, terms: Record) -> None:
    """Write down the market parameters in use, and where each comes from."""
    row.volatility_annual = terms.volatility
    row.half_spread_price = model.half_spread
    row.slope_price_per_base = terms.slope
    row.gamma_price_per_base = terms.gamma
    row.resilience_per_s = terms.resilience
    row.eta_book_price_s_per_base = terms.eta_book
    row.eta_volume_price_s_per_base = terms.eta_volume
    row.eta_price_s_per_base = terms.eta
    row.daily_volume_base = terms.daily_volume
    row.volatility_origin = terms.volatility_origin
    row.half_spread_origin = MEASURED
    row.slope_origin = MEASURED
    row.gamma_origin = terms.gamma_origin
    row.resilience_origin = terms.resilience_origin
    row.eta_book_origin = terms.eta_book_origin
    row.eta_volume_origin = terms.daily_volume_origin
    row.eta_origin = terms.eta_origin
    row.daily_volume_origin = terms.daily_volume_origin


@jit_holding_gil
def set_style_costs(
    row: Record,
    kept: Record,
    levels: Levels,
    begin: int,
    end: int,
    state: Record,
    model: Record,
    terms: Record,
    chance: float,
    walked_bps: float,
) -> None:
    """Turn the row's slippage into that of the order's style, and fill its fee and the impact that it counts.

    kept: a row to work in. chance: that a quote is crossed in time. walked_bps: average price of what the book fills
    of the whole order at once.
    """
    row.impact_bps = 0.0
    row.maker_share = 0.0
    if terms.style == PASSIVE:
        row.maker_share = row.maker_probability
        wait_first(row, levels, begin, end, model, terms, chance, walked_bps)
    elif terms.style == SCHEDULE and terms.steps > 1:
        paid = cross_in_parts(row, kept, levels, begin, end, state, model, terms)
        executed_bps = row.feature_half_spread_bps + paid * terms.bps_per_quote
        row.fee_bps = terms.taker_bps * (1 + terms.sign * executed_bps / 1e4)
        # What the children's own walks already paid is not charged again as temporary impact.
        transient = max(0.0, terms.temporary_paid - terms.half_spread_quote - paid)
        row.impact_bps = (terms.permanent_paid + transient) * terms.bps_per_quote
    else:
        row.fee_bps = terms.taker_bps * (1 + terms.sign * walked_bps / 1e4)
    if row.slippage_source == TOO_THIN:
        # What cannot be executed costs no fee and moves no price that anybody knows.
        row.fee_bps = math.nan
        row.impact_bps = math.nan


@jit_holding_gil
def price_order(
    levels: Levels,
    begin: int,
    end: int,
    exchange_ns: int,
    states: Records,
    at: int,
    models: Records,
    which: int,
    orders: Records,
    rows: Records,
    into: int,
    working: Records,
) -> bool:
    """Fill rows[into] with what the order costs on a book, given its state and the model's.

    levels[begin:end]: the side that the order takes from. Returns False if a cost is no number.
    """
    state = states[at]
    model = models[which]
    terms = orders[0]
    row = rows[into]
    mid = state.mid
    row.mid = mid
    sound = True
    if terms.mid != mid:
        sound = set_terms(terms, model, mid)
    sign = terms.sign
    quantity = terms.quantity
    best = levels[begin, 0]

    filled, excess, worst_price, used = walk_levels(levels, begin, end, quantity)
    unfilled = quantity - filled
    vwap = best + excess / filled
    walked_bps = sign * (vwap - mid) / mid * 1e4
    beyond = cost_beyond_best(sign, best, model.slope, filled, excess, worst_price, unfilled)
    set_features(row, state, model, terms, quantity, beyond)
    set_slippage(row, model, quantity, filled, unfilled, 1.0)
    columns = (
        row.feature_imbalance,
        row.feature_flow,
        row.feature_return_bps,
        row.feature_log_queue,
        row.feature_log_reach,
    )
    chance = fill_probability(model, columns)
    offered = terms.share_offered
    row.maker_probability = chance * offered
    waits = max(0.0, 1 - chance - model.late_rate)
    row.maker_probability_high = offered * (chance + waits * model.touch_rate)

    set_style_costs(row, working[0], levels, begin, end, state, model, terms, chance, walked_bps)
    row.net_cost_bps = row.slippage_bps + row.fee_bps + row.impact_bps

    row.exchange_ns = exchange_ns
    row.levels = used
    row.unfilled_base = unfilled
    row.vwap = vwap
    row.worst_price = worst_price
    row.walk_bps = math.nan if unfilled > 0 else walked_bps
    row.maker_source = model.maker_source
    set_order_columns(row, state, terms)
    set_parameter_columns(row, model, terms)
    return sound
