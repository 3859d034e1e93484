"""Say what the same order would cost if it were traded another way; every number in it is computed."""

from __future__ import annotations

from dataclasses import replace

from estimation.estimate import Estimate
from estimation.order import Order
from orderbook import Side
from ui.text.formatting import format_money, format_size

LEAST_SAVING = 0.02
"""Share of the cost that must be saved for a way of trading to be called cheaper."""


def alternative_orders(order: Order) -> list[Order]:
    """Return the order in its three styles: sent at once, waiting at the best price first, spread over time."""
    return [replace(order, style="now"), replace(order, style="passive"), replace(order, style="schedule")]


def advice(at_once: Estimate, waiting: Estimate, scheduled: Estimate, coin: str, currency: str) -> str:
    """Say what each way of trading the order costs, and how certain that is.

    Args:
        at_once: the order sent at once.
        waiting: the same order on the same book, waiting at the best price first.
        scheduled: the same order on the same book, spread over time.
        coin: the name of the base currency.
        currency: the name of the quote currency.
    """
    words = [_at_once_words(at_once, coin, currency)]
    if scheduled.order.steps > 1:
        words.append(_scheduled_words(at_once, scheduled, currency))
    if waiting.net_cost_bps is not None:
        words.append(
            f"Waiting at the best price for {waiting.order.passive_s:g} s first: about {_cost(waiting, currency)}"
            f"{_guess_mark(waiting)} ({100 * waiting.maker_share:.0f} % filled there)."
        )
    return " ".join(words)


def format_about(value: float, currency: str) -> str:
    """Format an amount of money with three digits, or cents below a hundred: more would promise too much.

    >>> [format_about(amount, "USD") for amount in (312.44, 1_234_567.0, 0.2612)], format_about(45.67, "GBP")
    (['$312', '$1,230,000', '$0.26'], '45.67 GBP')
    """
    if abs(value) < 100:
        return format_money(value, currency)
    return format_money(float(f"{value:.3g}"), currency).replace(".00", "")


def format_duration(seconds: float) -> str:
    """Format a span of time in its natural unit.

    >>> [format_duration(seconds) for seconds in (300, 45, 60, 7200, 5400)]
    ['5 minutes', '45 seconds', '1 minute', '2 hours', '90 minutes']
    """
    for unit, length in (("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length or seconds == length:
            n_units = seconds / length
            return f"{n_units:.3g} {unit}" + ("" if n_units == 1 else "s")
    return f"{seconds:.3g} seconds"


def _at_once_words(at_once: Estimate, coin: str, currency: str) -> str:
    verb = "Buying" if at_once.order.side is Side.BUY else "Selling"
    action = f"{verb} {_order_size(at_once, coin, currency)} now"
    if at_once.net_cost_bps is None:
        held = format_size(at_once.fill.quantity, coin)
        wanted = format_size(at_once.quantity, coin)
        holds = f"the visible book holds {held}; your order is {wanted}"
        return f"Too thin: {action[0].lower()}{action[1:]} can't be priced, {holds}."
    return f"{action} costs about {_cost(at_once, currency)} ({at_once.net_cost_bps:,.1f} bps{_guess_mark(at_once)})."


def _scheduled_words(at_once: Estimate, scheduled: Estimate, currency: str) -> str:
    over = f"Spread over {format_duration(scheduled.order.horizon_s)}"
    cost = _in_quote(scheduled, scheduled.net_cost_bps)
    risk = _in_quote(scheduled, scheduled.timing_risk_bps)
    if cost is None or risk is None:
        return f"{over}: the book is too thin even for the {scheduled.order.steps} parts."
    words = f"{over}: about {format_about(cost, currency)} ± {format_about(risk, currency)}{_guess_mark(scheduled)}"
    cost_at_once = _in_quote(at_once, at_once.net_cost_bps)
    if cost_at_once is None:
        return f"{words}."
    saving = cost_at_once - cost
    # A saving within what the models may be wrong by is none, and two costs that read the same are one.
    reads_the_same = format_about(cost, currency) == format_about(cost_at_once, currency)
    if saving <= LEAST_SAVING * abs(cost_at_once) or reads_the_same:
        return f"{words}, no cheaper and less certain."
    if "daily_volume" not in scheduled.parameters:
        return f"{words}, or more: whether that is cheaper depends on the daily volume, which you can type below."
    if saving < risk:
        return f"{words}, cheaper on average but less certain."
    return f"{words}, cheaper by more than the usual price move."


def _guess_mark(estimate: Estimate) -> str:
    """Mark a cost that is partly guessed because the visible book is too small; empty otherwise."""
    return ", partly guessed" if estimate.slippage_source == "extrapolated" else ""


def _order_size(estimate: Estimate, coin: str, currency: str) -> str:
    order = estimate.order
    if order.unit == "quote":
        return f"{format_money(order.quantity, currency).removesuffix('.00')} of {coin}"
    if order.unit == "base":
        return f"{order.quantity:,.8g} {coin}"
    return f"{order.quantity:,.8g} contracts"


def _cost(estimate: Estimate, currency: str) -> str:
    cost = _in_quote(estimate, estimate.net_cost_bps)
    return "unknown" if cost is None else format_about(cost, currency)


def _in_quote(estimate: Estimate, bps: float | None) -> float | None:
    """Convert basis points of this order to its currency; None stays None."""
    return None if bps is None else bps / 1e4 * estimate.quantity * estimate.mid
