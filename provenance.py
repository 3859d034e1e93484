"""Where each number comes from and how right such numbers were, in a few words and in a sentence."""

from __future__ import annotations

from calculations import Estimate, filled_or_not_bps
from outcomes import EFFECT, FIRST_FIT
from pricing import EXTRAPOLATED_DEPTHS
from scorecard import Scorecard
from words import bps, size


def net_band(estimate: Estimate) -> tuple[float, float] | None:
    """Return the 95 % band of the net cost, bps; fees and impact shift the slippage's.

    None until enough outcomes were seen, and wherever the band was not measured against outcomes: for
    orders that wait or are spread over time, and for those larger than the visible book.
    """
    low, high = estimate.slippage_low_bps, estimate.slippage_high_bps
    if low is None or high is None or estimate.order.style != "now" or estimate.unfilled:
        return None
    sure = estimate.fee_bps + estimate.impact_bps
    return low + sure, high + sure


def warm_up_words(moments: int, samples: int) -> str:
    """How far the model is from being used; empty once it was.

    moments: decision times whose outcome was seen. samples: those that the model in use was made of.
    """
    if samples:
        return ""
    if moments < FIRST_FIT:
        return f"Model warming up ({moments} of {FIRST_FIT})"
    return f"Model in trial ({moments} of {FIRST_FIT + EFFECT})"


Caption = tuple[str, str]
"""Where a number comes from; what is behind it and how right it was."""


def net_caption(estimate: Estimate, at_once: Estimate, moments: int, samples: int) -> Caption:
    """Return what is known of how far the net cost may be off, by the order's style.

    at_once: the same order sent at once, on the same book.
    """
    if estimate.net_cost_bps is None:
        return "No total", "The visible book is too thin"
    if estimate.order.style == "schedule":
        return f"± {bps(estimate.timing_risk_bps)} while trading", "Usual price move, one standard deviation"
    if estimate.order.style == "passive":
        ends = filled_or_not_bps(estimate, at_once)
        filled, missed = (None, None) if ends is None else ends
        return f"{bps(filled)} if filled, {bps(missed)} if not", "Filled at your price, or crossing later"
    if estimate.unfilled:
        return "No band: partly guessed", "Never checked at this size"
    band = net_band(estimate)
    if band is None:
        return "95 % band not known yet", warm_up_words(moments, samples) or "Needs more outcomes"
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


def slippage_caption(estimate: Estimate, scorecard: Scorecard, moments: int) -> Caption:
    """Model or book walk, the samples behind it, and its score."""
    source, skill = estimate.slippage_source, scorecard.slippage.skill
    if source in ("too thin", "extrapolated"):
        held = f"The book holds {100 * estimate.fill.quantity / estimate.quantity:.0f} % of it"
        return ("Too thin" if source == "too thin" else "Partly guessed"), held
    if source == "model" and skill is not None:
        return "Model", f"{scorecard.samples:,} samples, skill {round(100 * skill)} %"
    return "Book walk", warm_up_words(moments, scorecard.samples) or f"Model no better, {scorecard.samples:,} samples"


def impact_caption(estimate: Estimate) -> Caption:
    """Whether it is counted, and by which model."""
    if estimate.order.style != "schedule":
        return "None counted", "It is in the slippage"
    return "Almgren–Chriss", f"η {estimate.parameters['eta'].origin}, γ {estimate.parameters['gamma'].origin}"


def maker_caption(estimate: Estimate, scorecard: Scorecard) -> Caption:
    """Return the model, the average or the prior, whichever is used, and the outcomes and the score behind it."""
    fill = scorecard.fill
    if estimate.maker_source == "prior":
        return "Prior", "Average of real books"
    if estimate.maker_source == "average":
        return "Average so far", f"Model no better, {fill.samples:,} outcomes"
    skill = "" if fill.skill is None else f", skill {round(100 * fill.skill)} %"
    return "Model", f"{fill.samples:,} outcomes{skill}"


def slippage_words(estimate: Estimate, scorecard: Scorecard, coin: str) -> str:
    """Where the slippage comes from, and what is missing."""
    filled = estimate.fill.quantity
    if estimate.unfilled:
        holds = f"the visible book holds {size(filled, coin)}; your order is {size(estimate.quantity, coin)}"
        if estimate.slippage_bps is None:
            return f"Too thin: {holds}, more than {EXTRAPOLATED_DEPTHS:.0f} times as much."
        if estimate.order.style != "schedule" or estimate.slippage_source == "extrapolated":
            return f"Partly guessed: {holds}. Beyond it, the price is taken to go on as it does inside."
    if estimate.slippage_source == "model":
        return f"Learned from {scorecard.samples:,} moments: {scorecard.verdict}."
    if scorecard.samples == 0:
        return "Book walk: the orders waiting now. The model is still learning."
    return f"Book walk: the orders waiting now. The model is {scorecard.verdict}."


def impact_words(estimate: Estimate) -> str:
    """How much of the market impact is counted, and why."""
    if estimate.order.style == "schedule":
        return "Counted: what the parts of your order do to each other."
    return "None counted: sent at once, the order pays its impact in its slippage."


def maker_words(estimate: Estimate, scorecard: Scorecard) -> str:
    """How sure the maker share is, and whether it counts."""
    source = "an average of real books" if estimate.maker_source == "prior" else f"{scorecard.fill.samples:,} outcomes"
    if estimate.maker_source == "average":
        source += ", as their average, since the model is no better"
    if estimate.order.style == "passive":
        return f"Learned from {source}."
    return f"If you waited at the best price; learned from {source}. Your order does not wait, so all of it takes."


def score_words(scorecard: Scorecard) -> str:
    """How right the guesses were so far, each scored before it was learned from."""
    lines = []
    slippage, fill = scorecard.slippage, scorecard.fill
    if slippage.rmse is not None:
        lines.append(
            f"Slippage guesses were off by {bps(slippage.rmse)} (root mean square; the book walk by "
            f"{bps(slippage.walk_rmse)})."
        )
    if slippage.coverage is not None:
        covered = f"{100 * slippage.coverage:.0f} % of outcomes fell inside the 95 % band"
        lines.append(f"{covered} (orders sent at once).")
    if fill.skill is not None:
        better = "better" if fill.skill > 0 else "worse"
        used = "" if fill.skill > 0 else ", so the average is used"
        lines.append(f"Waiting guesses were {100 * abs(fill.skill):.1f} % {better} than the plain average{used}.")
    return " ".join(lines) or "No guess has been checked against what happened yet."
