"""Describe a backtest: its progress and its results; parse the other sizes that it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from backtesting.summary import Distribution, Summary
from estimation.order import Order
from sessions.backtest_job import Progress
from ui.text.captions import score_words, size_words
from ui.text.formatting import format_bps, format_time
from ui.text.size_input import (
    NO_NAMES,
    SizeError,
    SizeUnits,
    parse_size,
    quantity_problem,
    split_sizes,
    understood_words,
)

MAX_OTHER_SIZES = 20
COMPONENT_WORDS = {
    "slippage_bps": "Slippage",
    "fee_bps": "Fees",
    "impact_bps": "Market impact",
    "net_cost_bps": "**Net cost**",
    "timing_risk_bps": "Risk while trading",
    "walk_bps": "Book walk alone",
    "realised_slippage_bps": "Actual slippage",
}


def parse_other_sizes(text: str, order: Order, units: SizeUnits = NO_NAMES) -> tuple[Order, ...]:
    """Return the order, and the same order in each size of a text such as "100k; 1.5m".

    Sizes are in the order's unit; one that stands twice counts once. units: the names of the recording's market.
    Raises SizeError.

    >>> from orderbook import Side
    >>> [each.quantity for each in parse_other_sizes("2, 0.5 1e3", Order(Side.BUY, 2.0))]
    [2.0, 0.5, 1000.0]
    """
    words = split_sizes(text)
    if len(words) > MAX_OTHER_SIZES:
        raise SizeError(f"{MAX_OTHER_SIZES} other sizes are enough, and these are {len(words)}.")
    orders = {order.quantity: order}
    for word in words:
        size = parse_size(word, units)
        if size.unit not in (None, order.unit):
            raise SizeError(f"{word!r} is in another unit than the order, which is in {units.name_of(order.unit)}.")
        if problem := quantity_problem(size.quantity, "A size"):
            raise SizeError(problem)
        orders.setdefault(size.quantity, replace(order, quantity=size.quantity))
    return tuple(orders.values())


def other_sizes_words(orders: Sequence[Order], units: SizeUnits) -> str:
    """Say which other sizes were understood; empty without any. orders: as `parse_other_sizes` returns them."""
    return " · ".join(understood_words(order.quantity, order.unit, units) for order in orders[1:])


def progress_words(progress: Progress) -> str:
    """Describe the progress in a sentence."""
    if progress.stage == "pricing" and progress.total:
        return f"Working out the cost: {progress.books:,} of {progress.total:,} order books."
    return f"Reading the recording: {progress.books:,} order books in {100 * progress.share:.0f} % of it."


def summary_table(summary: Summary) -> str:
    """Return a Markdown table of each part of the cost over all books."""
    lines = ["| bps | Average | P50 | P95 | P99 |", "|---|---:|---:|---:|---:|"]
    for column, words in COMPONENT_WORDS.items():
        distribution = summary.components[column]
        bold = "**" if column == "net_cost_bps" else ""
        cells = _cells(distribution, bold)
        lines.append(f"| {words} | {' | '.join(cells)} |")
    return "\n".join(lines)


def sizes_table(summaries: Sequence[Summary], currency: str) -> str:
    """Return a Markdown table of the net cost of every size, smallest first, and how often it is unknown.

    currency: of the market's prices.
    """
    lines = ["| Size | Average | P50 | P95 | P99 | Too thin | No number |", "|---:|---:|---:|---:|---:|---:|---:|"]
    for summary in sorted(summaries, key=lambda summary: summary.order.quantity):
        cells = _cells(summary.components["net_cost_bps"])
        cells += [_percent(n_books, summary.books) for n_books in (summary.thin, summary.unpriced)]
        lines.append(f"| {size_words(summary.order, currency)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def result_words(summary: Summary) -> str:
    """Say when the order was cheapest and most expensive, and how often the book was too thin."""
    lines = []
    if summary.cheapest is not None and summary.dearest is not None:
        for label, extreme in (("Cheapest", summary.cheapest), ("Most expensive", summary.dearest)):
            lines.append(f"{label}: **{format_bps(extreme.net_cost_bps)}** at {format_time(extreme.market_ns)}.")
    thin = f"The visible book did not hold the whole order in {_percent(summary.thin, summary.books)} of the books"
    unpriced = f", and gave no number at all in {_percent(summary.unpriced, summary.books)}" if summary.unpriced else ""
    lines.append(f"{thin}{unpriced}." if summary.thin else "Every visible book held the whole order.")
    return "  \n".join(lines)


def model_words(summary: Summary) -> str:
    """Say how right the models were by the end of the recording; empty if nothing was priced."""
    if summary.scorecard is None:
        return ""
    return f"The slippage model was {summary.scorecard.verdict}. {score_words(summary.scorecard)}"


def _cells(distribution: Distribution | None, mark: str = "") -> list[str]:
    """Return the average, P50, P95 and P99 for a table, bps without the unit, each between two marks."""
    if distribution is None:
        return ["no number", "", "", ""]
    values = (distribution.mean, distribution.p50, distribution.p95, distribution.p99)
    return [f"{mark}{format_bps(value).removesuffix(' bps')}{mark}" for value in values]


def _percent(count: int, total: int) -> str:
    """Format a share in percent; never 0 or 100 % if it is only nearly so.

    >>> _percent(0, 9), _percent(1, 90_000), _percent(89_999, 90_000), _percent(1, 8)
    ('0 %', 'under 0.1 %', 'over 99.9 %', '12.5 %')
    """
    share = 100 * count / total
    if 0 < share < 0.1:
        return "under 0.1 %"
    if 99.9 < share < 100:
        return "over 99.9 %"
    return f"{share:.1f} %" if share % 1 else f"{share:.0f} %"
