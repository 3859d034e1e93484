"""What the same order would cost done otherwise, in sentences made of computed numbers alone."""

from __future__ import annotations

from dataclasses import replace

from estimation.estimate import Estimate
from estimation.order import Order
from orderbook import Side
from ui.text.formatting import money, size


def alternatives(order: Order) -> list[Order]:
    """The order sent at once, waiting at the best price first, and spread over time."""
    return [replace(order, style="now"), replace(order, style="passive"), replace(order, style="schedule")]


def advice(now: Estimate, waiting: Estimate, spread: Estimate, coin: str, currency: str) -> str:
    """What each way of doing the order costs, and what is given up for it."""
    words = [_now_words(now, coin, currency)]
    if spread.order.steps > 1:
        words.append(_spread_words(now, spread, currency))
    if waiting.net_cost_bps is not None:
        words.append(
            f"Waiting at the best price for {waiting.order.passive_s:g} s first: about {_cost(waiting, currency)}"
            f"{_guess_mark(waiting)} ({100 * waiting.maker_share:.0f} % filled there)."
        )
    return " ".join(words)


def about(value: float, currency: str) -> str:
    """An amount to whole units, or three digits: more would promise too much.

    >>> about(312.44, "USD"), about(1_234_567.0, "USDT"), about(0.2612, "USD"), about(45.67, "GBP")
    ('$312', '$1,230,000', '$0.26', '45.67 GBP')
    """
    if abs(value) < 100:
        return money(value, currency)
    return money(float(f"{value:.3g}"), currency).replace(".00", "")


def duration(seconds: float) -> str:
    """A span of time in its natural unit.

    >>> duration(300), duration(45), duration(60), duration(7200), duration(5400)
    ('5 minutes', '45 seconds', '1 minute', '2 hours', '90 minutes')
    """
    for unit, length in (("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length or seconds == length:
            count = seconds / length
            return f"{count:.3g} {unit}" + ("" if count == 1 else "s")
    return f"{seconds:.3g} seconds"


def _now_words(now: Estimate, coin: str, currency: str) -> str:
    verb = "Buying" if now.order.side is Side.BUY else "Selling"
    what = f"{verb} {_amount(now, coin, currency)} now"
    if now.net_cost_bps is None:
        holds = f"the visible book holds {size(now.fill.quantity, coin)}; your order is {size(now.quantity, coin)}"
        return f"Too thin: {what[0].lower()}{what[1:]} can't be priced, {holds}."
    return f"{what} costs about {_cost(now, currency)} ({now.net_cost_bps:,.1f} bps{_guess_mark(now)})."


def _spread_words(now: Estimate, spread: Estimate, currency: str) -> str:
    over = f"Spread over {duration(spread.order.horizon_s)}"
    cost, risk = _quote(spread, spread.net_cost_bps), _quote(spread, spread.timing_risk_bps)
    if cost is None or risk is None:
        return f"{over}: the book is too thin even for the {spread.order.steps} parts."
    words = f"{over}: about {about(cost, currency)} ± {about(risk, currency)}{_guess_mark(spread)}"
    at_once = _quote(now, now.net_cost_bps)
    if at_once is None:
        return f"{words}."
    saving = at_once - cost
    if saving <= 0 or about(cost, currency) == about(at_once, currency):  # what reads the same is no cheaper
        return f"{words}, no cheaper and less certain."
    if saving < risk:
        return f"{words}, cheaper on average but less certain."
    return f"{words}, cheaper by more than the usual price move."


def _guess_mark(estimate: Estimate) -> str:
    """Mark a cost for which the visible book is too small."""
    return ", partly guessed" if estimate.slippage_source == "extrapolated" else ""


def _amount(estimate: Estimate, coin: str, currency: str) -> str:
    order = estimate.order
    if order.unit == "quote":
        return f"{money(order.quantity, currency).removesuffix('.00')} of {coin}"
    if order.unit == "base":
        return f"{order.quantity:,.8g} {coin}"
    return f"{order.quantity:,.8g} contracts"


def _cost(estimate: Estimate, currency: str) -> str:
    cost = _quote(estimate, estimate.net_cost_bps)
    return "unknown" if cost is None else about(cost, currency)


def _quote(estimate: Estimate, bps: float | None) -> float | None:
    """What so many basis points of this order are in its currency."""
    return None if bps is None else bps / 1e4 * estimate.quantity * estimate.mid
