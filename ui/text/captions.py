"""Say where each number comes from and how right such numbers were, in a few words and in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from calculations import filled_or_not_bps
from estimation.estimate import Estimate
from estimation.order import Order
from estimation.pricing import EXTRAPOLATED_DEPTHS
from estimation.scorecard import Scorecard
from estimation.training_schedule import FIRST_FIT_SAMPLES, FIT_DELAY_SAMPLES
from fee_calculator import FeeCalculator, edition_words
from feeds import VENUES
from fees.schedules import FeeTier
from sessions.comparison import VenueCost
from ui.text.formatting import format_bps, format_money, format_price, format_size, plain, unit_words
from ui.text.status import connection_words, old_words
from ui.text.vocabulary import STYLE_WORDS


def net_band(estimate: Estimate) -> tuple[float, float] | None:
    """Return the 95 % band of the net cost, bps: the band of the slippage, shifted by fees and impact.

    Return None until enough outcomes were seen, and wherever the band was not measured against outcomes: for
    orders that wait or are spread over time, and for orders larger than the visible book.
    """
    low, high = estimate.slippage_low_bps, estimate.slippage_high_bps
    if low is None or high is None or estimate.order.style != "now" or estimate.unfilled:
        return None
    if estimate.fee_bps is None or estimate.impact_bps is None:
        return None
    shift = estimate.fee_bps + estimate.impact_bps
    return low + shift, high + shift


def warm_up_words(n_resolved: int, n_fitted: int) -> str:
    """Say how far the model is from being used; empty once it is.

    n_resolved: samples whose outcome was seen. n_fitted: samples that the model in use was fitted on.
    """
    if n_fitted:
        return ""
    if n_resolved < FIRST_FIT_SAMPLES:
        return f"Model warming up ({n_resolved} of {FIRST_FIT_SAMPLES})"
    needed = FIRST_FIT_SAMPLES + FIT_DELAY_SAMPLES
    if n_resolved > needed:  # at the very first start: the fit waits for its machine code
        return "The model is being prepared"
    return f"Learning, {n_resolved} of {needed}"


Caption = tuple[str, str]
"""Where a number comes from, and the samples and the score behind it: the two small lines below the number."""


def net_caption(estimate: Estimate, at_once: Estimate, n_resolved: int, n_fitted: int) -> Caption:
    """Return how far the net cost may be off, as far as that is known for the order's style.

    at_once: the same order sent at once, on the same book. n_resolved, n_fitted: as in warm_up_words.
    """
    if estimate.net_cost_bps is None:
        return "No total", "The visible book is too thin"
    if estimate.order.style == "schedule":
        return f"± {format_bps(estimate.timing_risk_bps)} while trading", "Usual price move, one standard deviation"
    if estimate.order.style == "passive":
        filled, missed = filled_or_not_bps(estimate, at_once) or (None, None)
        return f"{format_bps(filled)} if filled, {format_bps(missed)} if not", "Filled at your price, or crossing later"
    if estimate.unfilled:
        return "No band: partly guessed", "Never checked at this size"
    band = net_band(estimate)
    if band is None:
        return "95 % band not known yet", warm_up_words(n_resolved, n_fitted) or "Needs more outcomes"
    low, high = band_words(*band)
    if low == high:
        return "No band yet", "The price has not moved so far"
    return f"95 %: {low} to {high} bps", f"Slippage from: {estimate.slippage_source}"


def band_words(low: float, high: float) -> tuple[str, str]:
    """Write both ends of a band with two decimals, or with the three of every cost where two would hide its width.

    >>> band_words(4.912, 5.104), band_words(5.0012, 5.0031)
    (('4.91', '5.10'), ('5.001', '5.003'))
    """
    decimals = 2 if high - low >= 0.1 else 3
    return f"{round(low, decimals) + 0.0:,.{decimals}f}", f"{round(high, decimals) + 0.0:,.{decimals}f}"


def slippage_caption(estimate: Estimate, scorecard: Scorecard, n_resolved: int) -> Caption:
    """Return model or book walk, whichever is used, and the samples and the score behind it."""
    source = estimate.slippage_source
    skill = scorecard.slippage.skill
    if source in ("too thin", "extrapolated"):
        holds = f"The book holds {100 * estimate.fill.quantity / estimate.quantity:.0f} % of it"
        return ("Too thin" if source == "too thin" else "Partly guessed"), holds
    if source == "model" and skill is not None:
        return "Model", f"{scorecard.samples:,} samples, skill {round(100 * skill)} %"
    return "Book walk", warm_up_words(
        n_resolved, scorecard.samples
    ) or f"Model no better, {scorecard.samples:,} samples"


def impact_caption(estimate: Estimate) -> Caption:
    """Return which model of market impact is counted, if any, and where its parameters come from."""
    if estimate.order.style != "schedule":
        return "Nothing extra", "Slippage already has it"
    return "Almgren–Chriss", f"η {estimate.parameters['eta'].origin}, γ {estimate.parameters['gamma'].origin}"


def maker_caption(estimate: Estimate, scorecard: Scorecard) -> Caption:
    """Return the model, the average or the prior, whichever is used, and the outcomes and the score behind it."""
    fill = scorecard.fill
    if estimate.maker_source == "prior":
        return "Starting guess", "From past markets"
    if estimate.maker_source == "average":
        return "Average so far", f"Model no better, {fill.samples:,} outcomes"
    skill = "" if fill.skill is None else f", skill {round(100 * fill.skill)} %"
    return "Model", f"{fill.samples:,} outcomes{skill}"


def slippage_words(estimate: Estimate, scorecard: Scorecard, coin: str) -> str:
    """Say where the slippage comes from, and what the visible book lacks."""
    filled = estimate.fill.quantity
    if estimate.unfilled:
        holds = (
            f"the visible book holds {format_size(filled, coin)}; your order is {format_size(estimate.quantity, coin)}"
        )
        if estimate.slippage_bps is None:
            return f"Too thin: {holds}, more than {EXTRAPOLATED_DEPTHS:.0f} times as much."
        if estimate.order.style != "schedule" or estimate.slippage_source == "extrapolated":
            return f"Partly guessed: {holds}. Beyond it, the price is assumed to go on as it does inside."
    if estimate.slippage_source == "model":
        return f"Learned from {scorecard.samples:,} samples: {scorecard.verdict}."
    if scorecard.samples == 0:
        return "Book walk: the orders waiting now. The model is still learning."
    return f"Book walk: the orders waiting now. The model is {scorecard.verdict}."


def impact_words(estimate: Estimate) -> str:
    """Say how much of the market impact is counted, and why."""
    if estimate.order.style == "schedule":
        return "Counted: what the parts of your order do to each other."
    return "Nothing extra: sent at once, the order pays its impact in its slippage."


def maker_words(estimate: Estimate, scorecard: Scorecard) -> str:
    """Say where the maker share was learned from, and whether it counts for this order."""
    source = "an average of real books" if estimate.maker_source == "prior" else f"{scorecard.fill.samples:,} outcomes"
    if estimate.maker_source == "average":
        source += ", as their average, since the model is no better"
    if estimate.order.style == "passive":
        return f"Learned from {source}."
    return f"If you waited at the best price; learned from {source}. Your order does not wait, so all of it takes."


def score_words(scorecard: Scorecard) -> str:
    """Say how right the predictions were so far, each scored before it was learned from."""
    lines = []
    slippage, fill = scorecard.slippage, scorecard.fill
    if slippage.rmse is not None:
        lines.append(
            f"Slippage predictions were off by {format_bps(slippage.rmse)} (root mean square; the book walk by "
            f"{format_bps(slippage.walk_rmse)})."
        )
    if slippage.coverage is not None:
        covered = f"{100 * slippage.coverage:.0f} % of outcomes fell inside the 95 % band"
        lines.append(f"{covered} (orders sent at once).")
    if fill.skill is not None:
        better = "better" if fill.skill > 0 else "worse"
        used = "" if fill.skill > 0 else ", so the average is used"
        lines.append(f"Fill predictions were {100 * abs(fill.skill):.1f} % {better} than the plain average{used}.")
    return " ".join(lines) or "No prediction has been checked against its outcome yet."


def fee_words(fees: FeeCalculator, estimate: Estimate | None, currency: str) -> str:
    """Say which fees are in use, and what the next tier would save this order.

    estimate: None before the first. currency: of the market's prices.
    """
    words = edition_words(fees.schedule)
    if fees.tier.disputed:
        words += f" This tier is doubtful: {fees.tier.disputed}."
    maker_share = 0.0 if estimate is None else estimate.maker_share
    if better := fees.next_tier(maker_share):
        saving = ""
        if estimate is not None:
            saving = f", {format_money(better.saving_bps / 1e4 * estimate.quantity * estimate.mid, currency)}"
        words += f" {better.tier.name} would save {better.saving_bps:.3f} bps{saving} here; it asks for {better.needs}."
    return words


def size_words(order: Order, currency: str) -> str:
    """Return the order's size with its unit; currency: of the market's prices, "" if it is not known.

    >>> from orderbook import Side
    >>> size_words(Order(Side.BUY, 100_000.0, "quote"), "EUR"), size_words(Order(Side.BUY, 0.25), "EUR")
    ('100,000 EUR', '0.25 coins')
    """
    return f"{order.quantity:,.10g} {unit_words(order.unit, currency)}"


def order_words(order: Order, currency: str) -> str:
    """Describe the order in the words of the left panel; currency: of the market's prices, "" if it is not known."""
    timing = {
        "now": "",
        "passive": f" ({order.passive_s:g} s)",
        "schedule": f" ({order.horizon_s / 60:g} minutes, {order.steps} parts)",
    }[order.style]
    return (
        f"{order.side.name.lower()} {size_words(order, currency)}, {STYLE_WORDS[order.style].lower()}{timing}, "
        f"arriving after {1e3 * order.latency_s:g} ms, {_fee_words(order.tier)}"
    )


def _fee_words(tier: FeeTier) -> str:
    return f"fees {tier.name} (maker {1e4 * tier.maker:g}, taker {1e4 * tier.taker:g} bps)"


def comparison_table(rows: Sequence[VenueCost]) -> str:
    """Return the comparison as a Markdown table; the row of an exchange without live prices says why."""
    lines = [
        "| Exchange | Net cost, bps | Slippage | Fees | Impact | Price after all costs | Age, s | Note |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for market, status, age_s, estimate, all_in_price, is_cheapest in rows:
        name = f"{VENUES[market.venue].title} {plain(market.symbol)}"
        age = "" if age_s is None else f"{age_s:.1f}"
        if estimate is None:
            note = old_words(status, age_s) or connection_words(status, market, can_retry=False)
            lines.append(f"| {name} | | | | | | {age} | {plain(note)} |")
            continue
        costs = (estimate.net_cost_bps, estimate.slippage_bps, estimate.fee_bps, estimate.impact_bps)
        cells = " | ".join(format_bps(cost).removesuffix(" bps") for cost in costs)
        after = "unknown" if all_in_price is None else format_price(all_in_price)
        mark = "**cheapest**" if is_cheapest else "too thin" if estimate.slippage_bps is None else ""
        lines.append(f"| {name} | {cells} | {after} | {age} | {mark} |")
    return "\n".join(lines)
