"""Run the live calculation over whole recordings: what an order would have cost on every book; and the command line."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from contextlib import closing, suppress
from dataclasses import fields, replace
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import get_args

import pandas as pd
import pyarrow as pa

from backtesting.book_cache import CacheError, RecordingSource
from backtesting.cache_folder import DEFAULT_MAX_BYTES, FOLDER_VARIABLE, BookCache
from backtesting.engine import Step, run_steps
from backtesting.runner import run, to_export_table
from backtesting.summary import Summary
from estimation.order import Order, Style, Unit
from exporting.rows import COLUMNS
from fee_calculator import editions, schedule, tier_words
from feeds import VENUES
from fees.schedules import FeeError, FeeSchedule, FeeTier
from fees.tables import TITLES
from network.logs import configure_logging
from orderbook import Side
from recording.opening import AMOUNTS_FORMS, NOTHING_SAID, Amounts, Opening, parse_amounts
from recording.replay_feed import meta

__all__ = ["backtest", "format_arguments", "main"]

logger = logging.getLogger(__name__)

_PRINTED_COMPONENTS = {
    "slippage": "slippage_bps",
    "fees": "fee_bps",
    "market impact": "impact_bps",
    "net cost": "net_cost_bps",
    "timing risk": "timing_risk_bps",
    "walk of the book": "walk_bps",
    "realised slippage": "realised_slippage_bps",
}


def backtest(
    path: str | PathLike[str],
    venue: str,
    symbol: str,
    order: Order,
    cache: str | PathLike[str] | None = None,
    opening: Opening = NOTHING_SAID,
) -> pd.DataFrame:
    """Price the order on every book of the recording; return one row a book, with the columns of the export.

    The numbers are those that the live calculation gives on the same frames, the realised costs included.
    processing_ms is unknown. Raises OSError, RecordingError, CacheError, OrderError, ModelError.

    Args:
        path: the recording, or a foreign file that `recording.forms` knows.
        venue: a key of feeds.VENUES, or the name in a foreign file of a venue that is not known here.
        symbol: as the venue writes it.
        order: the order.
        cache: a folder to keep the parsed books in; None is the user's cache folder.
        opening: what the user says of a foreign file.
    """
    source = RecordingSource.from_path(path, venue, symbol, opening=opening)
    with closing(run_steps(source, [order], BookCache.from_user(cache))) as steps:
        tables = [to_export_table(source, order, step.block) for step in steps if step.block is not None]
    if not tables:
        return pd.DataFrame(columns=list(COLUMNS))
    return pa.concat_tables(tables).to_pandas()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; None reads the process's own arguments.

    Return the exit code: 0; 2 after a sentence about what went wrong, or if a recording has no book of the market; 130
    after Ctrl-C.
    """
    options = _make_parser().parse_args(arguments)
    configure_logging(options.verbose)
    is_terminal = sys.stderr.isatty()
    has_empty = False
    try:
        opening = Opening(options.venue, options.symbol, options.amounts)
        sources = [_choose_source(path, opening) for path in dict.fromkeys(options.files)]
        for summary in run(
            [(source, _make_orders(options, source)) for source in sources],
            out=options.out,
            cache=_choose_cache(options),
            workers=options.workers,
            scheduler=options.scheduler,
            on_step=_show_progress if is_terminal else None,
        ):
            # Erase the line that shows the progress.
            print("\r\x1b[K" if is_terminal else "", end="", file=sys.stderr, flush=True)
            logger.info("%s: priced %d books", summary.recording, summary.books)
            has_empty = has_empty or not summary.books
            print(_format_summary(summary), file=sys.stdout if summary.books else sys.stderr)
    except (BrokenExecutor, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 2 if has_empty else 0


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="backtest.py", description="What an order would have cost at every moment of recordings."
    )
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="a recording, or a file of another program (docs/recordings.md lists them); packed or not",
    )
    parser.add_argument("--venue", choices=sorted(VENUES), help="whose feed reads it; the recording's own if not given")
    parser.add_argument("--symbol", help="as the venue writes it; the recording's own if not given")
    parser.add_argument(
        "--amounts",
        type=_parse_amounts,
        help=f"the unit of the amounts, where the file leaves it open: {AMOUNTS_FORMS}",
    )
    parser.add_argument("--out", type=Path, help="a new .parquet or .csv file for a row a book")
    cache = parser.add_mutually_exclusive_group()
    cache.add_argument(
        "--cache", type=Path, help=f"where parsed books are kept; ${FOLDER_VARIABLE} or the user's cache if not given"
    )
    cache.add_argument("--no-cache", action="store_true", help="keep no parsed books")
    parser.add_argument(
        "--cache-gib",
        type=_parse_number,
        default=DEFAULT_MAX_BYTES / 2**30,
        metavar="GIB",
        help="what all parsed books may take up (%(default)g); those unused for the longest go first",
    )
    parser.add_argument("--workers", type=_parse_whole_number, default=1, help="processes of this machine")
    parser.add_argument("--scheduler", help="tcp://host:8786 of a Dask cluster that sees the same folders")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="log every order's end too, not only what goes wrong"
    )
    order = parser.add_argument_group("the order")
    order.add_argument("--side", choices=("buy", "sell"), default="buy")
    size = order.add_mutually_exclusive_group(required=True)
    size.add_argument("--quantity", dest="sizes", type=_parse_quantity, metavar="Q")
    size.add_argument(
        "--sizes", type=_parse_quantities, metavar="Q,Q,...", help="many quantities, each an order of its own"
    )
    order.add_argument("--unit", choices=get_args(Unit))
    order.add_argument("--style", choices=get_args(Style))
    order.add_argument(
        "--latency-ms", dest="latency_s", type=_parse_milliseconds, metavar="MS", help="until the order is at the venue"
    )
    order.add_argument("--passive-s", type=_parse_number, help="how long a quote waits")
    order.add_argument("--horizon-s", type=_parse_number, help="how long a schedule takes")
    order.add_argument("--steps", type=_parse_whole_number, help="child orders of a schedule")
    order.add_argument("--risk-aversion", type=_parse_number, help="1 / quote")
    order.add_argument("--volatility", type=_parse_number, help="a year, as a fraction; measured if not given")
    order.add_argument("--daily-volume", type=_parse_number, help="base units")
    fees = parser.add_argument_group("fees")
    fees.add_argument("--fees", choices=("current", "specification"), default="current", help="which published edition")
    fees.add_argument("--fee-tier", help="its name; the venue's first if not given")
    fees.add_argument(
        "--fees-of",
        type=_parse_fees_of,
        metavar="VENUE[:PRODUCT]",
        help="price with another venue's fees for spot or swap, such as those of a file whose venue has none here",
    )
    fees.add_argument("--maker-bps", type=_parse_number, help="your own rate; needs --taker-bps")
    fees.add_argument("--taker-bps", type=_parse_number)
    return parser


def format_arguments(source: RecordingSource, orders: Sequence[Order]) -> list[str]:
    """Return the arguments with which the command line prices these orders, which differ in size alone."""
    order = orders[0]
    # A venue that is not known here is named by the file alone.
    arguments = ["--venue", source.venue] if source.venue in VENUES else []
    arguments += ["--symbol", source.symbol, "--side", order.side.name.lower()]
    if source.opening.amounts is not None:
        arguments += ["--amounts", source.opening.amounts.argument]
    arguments += ["--sizes", ",".join(repr(sized.quantity) for sized in orders)]
    for name in ("unit", "style", "passive_s", "horizon_s", "steps", "risk_aversion", "volatility", "daily_volume"):
        if (value := getattr(order, name)) is not None:
            arguments += [f"--{name.replace('_', '-')}", str(value)]
    arguments += ["--latency-ms", repr(order.latency_s * 1e3)]
    return arguments + _format_tier(order.tier, source)


def _format_tier(tier: FeeTier, source: RecordingSource) -> list[str]:
    """Return the arguments that name this tier, or its rates if it is not in the venue's schedules."""
    for edition in ("current", "specification"):
        with suppress(FeeError):  # not every venue has both
            if tier in _schedule(source, edition).tiers:
                return ["--fees", edition, "--fee-tier", tier.name]
    return ["--maker-bps", repr(tier.maker * 1e4), "--taker-bps", repr(tier.taker * 1e4)]


def _schedule(source: RecordingSource, edition: str) -> FeeSchedule:
    """Return the published fees of the source's market. Raises FeeError where there are none."""
    venue = source.known_venue
    if venue is None:
        raise FeeError(
            f"no fees of {source.venue} are known here; say --fees-of VENUE for those of another venue, "
            "or your own by --maker-bps and --taker-bps"
        )
    return schedule(venue.fees, venue.product(source.symbol), edition)


def _schedule_of_other(fees_of: tuple[str, str], source: RecordingSource, edition: str) -> FeeSchedule:
    """Return the published fees of the venue and the product that the user names instead of the source's market.

    The product is the source's own where the user names none. Raises FeeError where it is not known, too.
    """
    venue = VENUES[fees_of[0]]
    product = fees_of[1]
    if not product and source.known_venue is not None:
        product = source.known_venue.product(source.symbol)
    if not product:
        published = [each for each in ("spot", "swap") if editions(venue.fees, each)]
        if len(published) != 1:
            choices = " or ".join(f"--fees-of {venue.name}:{each}" for each in published)
            raise FeeError(f"{source.venue} {source.symbol} is not known here as spot or swap: say {choices}")
        (product,) = published
    return schedule(venue.fees, product, edition)


def fees_name(fees: FeeSchedule) -> str:
    """Return whose fees these are.

    >>> fees_name(schedule("okx", "swap", "current"))
    'OKX swap fees'
    """
    return f"{TITLES[fees.venue]} {fees.product} fees"


def _parse_number(text: str) -> float:
    """Return the number that an argument is. Raises argparse.ArgumentTypeError with a sentence for the user."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def _parse_whole_number(text: str) -> int:
    """Return the whole number that an argument is. Raises argparse.ArgumentTypeError with a sentence for the user."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _parse_quantity(text: str) -> list[float]:
    """Return a list of the one quantity, as --sizes gives it. Raises argparse.ArgumentTypeError."""
    return [_parse_number(text)]


def _parse_quantities(text: str) -> list[float]:
    """Return the quantities between the commas. Raises argparse.ArgumentTypeError."""
    return [_parse_number(quantity) for quantity in text.split(",")]


def _parse_milliseconds(text: str) -> float:
    """Return the time in seconds. Raises argparse.ArgumentTypeError."""
    return _parse_number(text) / 1e3


def _parse_amounts(text: str) -> Amounts:
    """Return the unit of amounts. Raises argparse.ArgumentTypeError with a sentence for the user."""
    try:
        return parse_amounts(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parse_fees_of(text: str) -> tuple[str, str]:
    """Return the venue and the product, "" if none is named. Raises argparse.ArgumentTypeError."""
    venue, _, product = text.partition(":")
    if venue not in VENUES:
        raise argparse.ArgumentTypeError(f"unknown venue {venue!r}; known are {', '.join(sorted(VENUES))}")
    if text != venue and product not in ("spot", "swap"):
        raise argparse.ArgumentTypeError(f"unknown product {product!r}; it is spot or swap")
    return venue, product


def _choose_cache(options: argparse.Namespace) -> BookCache:
    """Return where the parsed books are to be kept. Raises ValueError unless their bound is a size."""
    if not 0 < options.cache_gib < 2**33:
        raise ValueError(f"--cache-gib must be above 0, and finite: {options.cache_gib}")
    if options.no_cache:
        return BookCache(None)
    return BookCache.from_user(options.cache)._replace(max_bytes=int(options.cache_gib * 2**30))


def _choose_source(path: Path, opening: Opening) -> RecordingSource:
    """Return the recording with this market; None takes that part from the recording's meta line.

    Raises RecordingError if it names another market than given, CacheError if neither names the market.
    """
    metadata = {}
    with suppress(FileNotFoundError):  # whoever reads the file says so
        metadata = meta(path, opening)
    if "opened_as" in metadata:
        print(f"{path.name}: opened as {metadata['opened_as']}", file=sys.stderr)
    venue = opening.venue or str(metadata.get("venue") or "")
    symbol = opening.symbol or str(metadata.get("symbol") or "")
    if not (venue and symbol):
        raise CacheError(f"{path.name} does not say what it is of; give --venue and --symbol")
    return RecordingSource.from_path(path, venue, symbol, opening=opening)


def _make_orders(options: argparse.Namespace, source: RecordingSource) -> list[Order]:
    """Return one order for each size; options that were not given keep the order's defaults."""
    names = {field.name for field in fields(Order)} & vars(options).keys()
    values = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    values |= {"side": Side[options.side.upper()], "tier": _choose_tier(options, source)}
    return [Order(**values, quantity=quantity) for quantity in options.sizes]


def _choose_tier(options: argparse.Namespace, source: RecordingSource) -> FeeTier:
    """Return the user's own rates, or the named tier, or the venue's first. Raises FeeError."""
    if options.maker_bps is not None or options.taker_bps is not None:
        if options.maker_bps is None or options.taker_bps is None:
            raise FeeError("own fees need both --maker-bps and --taker-bps")
        return FeeTier("own", options.maker_bps / 1e4, options.taker_bps / 1e4)
    if options.fees_of is None:
        fees = _schedule(source, options.fees)
    else:
        fees = _schedule_of_other(options.fees_of, source, options.fees)
    tiers = fees.tiers
    for tier in tiers:
        if options.fee_tier is None or tier.name.lower() == options.fee_tier.lower():
            # The result must name both venues.
            return tier if options.fees_of is None else replace(tier, name=f"{tier.name} ({fees_name(fees)})")
    raise FeeError(f"there is no fee tier {options.fee_tier!r}; there are {', '.join(tier.name for tier in tiers)}")


def _show_progress(source: RecordingSource, step: Step) -> None:
    """Replace the line on the terminal that shows how far the backtest is."""
    if step.total is None:
        line = f"reading, {step.done:,} books"
    else:
        share = step.done / step.total
        line = f"[{'=' * round(30 * share):30}] {share:4.0%} of {step.total:,} books"
    print(f"\r\x1b[K{source.path.name}: {line}", end="", file=sys.stderr, flush=True)


def _format_summary(summary: Summary) -> str:
    """Return the summary as lines of text; one sentence if it is of no book."""
    if not summary.books:
        return f"{summary.recording}: there is no book of {summary.venue} {summary.symbol} in it"
    order = summary.order
    head = f"{summary.recording}: {order.side.name.lower()} {order.quantity:g} {order.unit}, {order.style}"
    lines = [f"{head}, on {summary.venue} {summary.symbol}, {summary.books:,} books"]
    lines.append(f"rates: {tier_words(order.tier)}")
    lines.append(f"{'bps of the mid':20}{'mean':>10}{'P50':>10}{'P95':>10}{'P99':>10}")
    for name, column in _PRINTED_COMPONENTS.items():
        distribution = summary.components[column]
        numbers = "".join(f"{number:10.4f}" for number in distribution[1:]) if distribution else f"{'no number':>10}"
        lines.append(f"{name:20}{numbers}")
    if summary.cheapest is not None and summary.dearest is not None:
        for label, extreme in (("cheapest", summary.cheapest), ("dearest", summary.dearest)):
            lines.append(f"{label}: {extreme.net_cost_bps:.4f} bps at {_format_utc(extreme.market_ns)}")
    thin = f"too thin: {summary.thin:,} of {summary.books:,} books ({summary.thin / summary.books:.1%})"
    lines.append(f"{thin}, {summary.unpriced:,} of them by too much for a number")
    scorecard = summary.scorecard
    if scorecard is not None:
        lines.append(f"slippage model: {scorecard.verdict}")
        if scorecard.slippage.coverage is not None:
            lines.append(f"  of what followed, {scorecard.slippage.coverage:.1%} was inside the 95 % band")
        if scorecard.fill.skill is not None:
            skill = scorecard.fill.skill
            word = "less" if skill >= 0 else "more"
            lines.append(f"fill model: {100 * abs(skill):.1f} % {word} squared error than the usual rate")
    return "\n".join(lines) + "\n"


def _format_utc(market_ns: int) -> str:
    return f"{datetime.fromtimestamp(market_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S.%f} UTC"


if __name__ == "__main__":
    sys.exit(main())
