"""Where each number comes from and how right such numbers were, in a few words and in a sentence."""

from __future__ import annotations

from calculations import Estimate
from outcomes import EFFECT, FIRST_FIT
from pricing import EXTRAPOLATED_DEPTHS
from scorecard import Scorecard
from words import bps, size


def net_band(estimate: Estimate) -> tuple[float, float] | None:
    """The net cost's 95 % band, bps; None until enough outcomes were seen. Fees and impact shift it."""
    low, high = estimate.slippage_low_bps, estimate.slippage_high_bps
    if low is None or high is None:
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


def net_caption(estimate: Estimate, moments: int, samples: int) -> Caption:
    """The band, or why there is none."""
    if estimate.net_cost_bps is None:
        return "No total", "The visible book is too thin"
    band = net_band(estimate)
    if band is None:
        return "95 % band not known yet", warm_up_words(moments, samples) or "Needs more outcomes"
    return f"95 %: {band[0]:,.2f} to {band[1]:,.2f} bps", f"Slippage from: {estimate.slippage_source}"


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
    """Model or prior, the outcomes behind it, and its score."""
    if estimate.maker_source == "prior":
        return "Prior", "Average of real books"
    skill = scorecard.fill.skill
    return "Model", f"{scorecard.fill.samples:,} outcomes" + (
        "" if skill is None else f", skill {round(100 * skill)} %"
    )


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
        lines.append(f"{100 * slippage.coverage:.0f} % of outcomes fell inside the 95 % band.")
    if fill.skill is not None:
        better = "better" if fill.skill > 0 else "worse"
        lines.append(f"Waiting guesses were {100 * abs(fill.skill):.1f} % {better} than the plain average.")
    return " ".join(lines) or "No guess has been checked against what happened yet."
