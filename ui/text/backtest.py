"""What is said of a backtest: its order, how far it is, what it found, and which other sizes it was asked for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from backtesting.summary import Summary
from estimation.order import Order, OrderError
from sessions.backtest_job import Progress
from ui.text.captions import score_words, size_words
from ui.text.formatting import bps, moment_words

MOST_SIZES = 20
COMPONENT_WORDS = {
    "slippage_bps": "Slippage",
    "fee_bps": "Fees",
    "impact_bps": "Market impact",
    "net_cost_bps": "**Net cost**",
    "timing_risk_bps": "Risk while trading",
    "walk_bps": "Book walk alone",
    "realised_slippage_bps": "Slippage met",
}


def other_sizes(text: str, order: Order) -> tuple[Order, ...]:
    """The order, and the same order in each of the sizes typed, which commas or spaces part. Raises OrderError.

    >>> from orderbook import Side
    >>> [each.quantity for each in other_sizes("2, 0.5 1e3", Order(Side.BUY, 2.0))]
    [2.0, 0.5, 1000.0]
    """
    typed = [word for word in re.split(r"[\s,;]+", text) if word]
    if len(typed) > MOST_SIZES:
        raise OrderError(f"{MOST_SIZES} other sizes are enough, and these are {len(typed)}")
    sizes = {order.quantity: order}
    for word in typed:
        try:
            size = float(word)
        except ValueError:
            raise OrderError(f"{word[:20]!r} is no number") from None
        sizes.setdefault(size, replace(order, quantity=size))
    return tuple(sizes.values())


def progress_words(progress: Progress) -> str:
    """How far it is, in a sentence."""
    if progress.stage == "pricing" and progress.total:
        return f"Working out the cost: {progress.books:,} of {progress.total:,} order books."
    return f"Reading the recording: {progress.books:,} order books in {100 * progress.share:.0f} % of it."


def summary_table(summary: Summary) -> str:
    """Each part of the cost over all books, as a Markdown table."""
    lines = ["| bps | Average | P50 | P95 | P99 |", "|---|---:|---:|---:|---:|"]
    for column, words in COMPONENT_WORDS.items():
        spread = summary.components[column]
        bold = "**" if column == "net_cost_bps" else ""
        cells = ["no number", "", "", ""] if spread is None else [f"{bold}{_number(x)}{bold}" for x in spread[1:]]
        lines.append(f"| {words} | {' | '.join(cells)} |")
    return "\n".join(lines)


def sizes_table(summaries: Sequence[Summary]) -> str:
    """The net cost of every size, and how often there is none, smallest first, as a Markdown table."""
    lines = ["| Size | Average | P50 | P95 | P99 | Too thin | No number |", "|---:|---:|---:|---:|---:|---:|---:|"]
    for summary in sorted(summaries, key=lambda each: each.order.quantity):
        spread = summary.components["net_cost_bps"]
        cells = ["no number", "", "", ""] if spread is None else [_number(each) for each in spread[1:]]
        cells += [_percent(part, summary.books) for part in (summary.thin, summary.unpriced)]
        lines.append(f"| {size_words(summary.order)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def found_words(summary: Summary) -> str:
    """When it was cheapest and dearest, and how often the book was too thin, in sentences."""
    lines = []
    if summary.cheapest is not None and summary.dearest is not None:
        lines.append(
            f"Cheapest: **{bps(summary.cheapest.net_cost_bps)}** at {moment_words(summary.cheapest.market_ns)}."
        )
        lines.append(f"Dearest: **{bps(summary.dearest.net_cost_bps)}** at {moment_words(summary.dearest.market_ns)}.")
    thin = f"The visible book did not hold the whole order in {_percent(summary.thin, summary.books)} of the books"
    unpriced = f", and gave no number at all in {_percent(summary.unpriced, summary.books)}" if summary.unpriced else ""
    lines.append(f"{thin}{unpriced}." if summary.thin else "Every visible book held the whole order.")
    return "  \n".join(lines)


def model_words(summary: Summary) -> str:
    """How right the models were by the end of the recording."""
    if summary.scorecard is None:
        return ""
    return f"The slippage model was {summary.scorecard.verdict}. {score_words(summary.scorecard)}"


def _number(value: float) -> str:
    return bps(value).removesuffix(" bps")


def _percent(part: int, whole: int) -> str:
    """Never 0 or 100 % for what is only nearly so.

    >>> _percent(0, 9), _percent(1, 90_000), _percent(89_999, 90_000), _percent(1, 8)
    ('0 %', 'under 0.1 %', 'over 99.9 %', '12.5 %')
    """
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "under 0.1 %"
    if 99.9 < share < 100:
        return "over 99.9 %"
    return f"{share:.1f} %" if share % 1 else f"{share:.0f} %"
