"""Read the arguments that the commands share: what the user says of a file, and numbers with their bounds."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from feeds import VENUES
from recording.opening import AMOUNTS_FORMS, Amounts, Opening, parse_amounts
from recording.playback import checked_speed
from recording.recorder import RECORDINGS
from recording.rotation import ROTATION_FORMS, Rotation, parse_rotation


def opening_parser() -> argparse.ArgumentParser:
    """Return a parser of what the user says of a file, to be the parent of a command's own."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--venue", choices=sorted(VENUES), help="whose feed reads it; needed if the file does not say")
    parser.add_argument("--symbol", help="as the venue writes it; needed if the file does not say")
    parser.add_argument(
        "--amounts",
        type=parse_amounts_argument,
        help=f"the unit of the amounts, where the file leaves it open: {AMOUNTS_FORMS}",
    )
    return parser


def opening_of(options: argparse.Namespace) -> Opening:
    """Return what the user says of a file by the arguments of `opening_parser`."""
    return Opening(options.venue, options.symbol, options.amounts)


def _parse_number(text: str) -> float:
    """Return the number that an argument is. Raises argparse.ArgumentTypeError with a sentence for the user."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def parse_hours(text: str) -> float:
    """Return the hours. Raises argparse.ArgumentTypeError unless they are positive and finite."""
    hours = _parse_number(text)
    if not 0 < hours < math.inf:
        raise argparse.ArgumentTypeError(f"hours must be above 0, and finite: {text}")
    return hours


def parse_speed(text: str) -> float:
    """Return the speed. Raises argparse.ArgumentTypeError unless it is 0 or more, and finite."""
    try:
        return checked_speed(_parse_number(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parse_port(text: str) -> int:
    """Return the port. Raises argparse.ArgumentTypeError unless it is a whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: it must be a whole number") from None


def parse_amounts_argument(text: str) -> Amounts:
    """Return the unit of amounts. Raises argparse.ArgumentTypeError with a sentence for the user."""
    try:
        return parse_amounts(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parse_market(text: str) -> tuple[str, str]:
    """Return the venue and the symbol. Raises argparse.ArgumentTypeError with a sentence for the user."""
    venue, _, symbol = text.partition(":")
    if venue not in VENUES or not symbol:
        raise argparse.ArgumentTypeError(f"{text!r} is no VENUE:SYMBOL; the venues are {', '.join(sorted(VENUES))}")
    return venue, symbol


def parse_days(text: str) -> float:
    """Return the days. Raises argparse.ArgumentTypeError unless they are positive and finite."""
    days = _parse_number(text)
    if not 0 < days < math.inf:
        raise argparse.ArgumentTypeError(f"days must be above 0, and finite: {text}")
    return days


def parse_rotation_argument(text: str) -> Rotation:
    """Return when new files begin. Raises argparse.ArgumentTypeError with a sentence for the user."""
    try:
        return parse_rotation(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_record_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments that say what to record, where, and for how long."""
    command.add_argument("--venue", choices=sorted(VENUES))
    command.add_argument("--symbol", help=f"as the venue writes it: {_example_symbols()}")
    command.add_argument("--hours", type=parse_hours, help="how long; until Ctrl-C if not given")
    command.add_argument(
        "--out",
        type=Path,
        help=f"a new file, compressed if its name ends in .gz; if not given, one in the folder {RECORDINGS}. "
        "With the options for long recordings, a folder",
    )
    command.add_argument("--entity", default="", help=f"the company or mirror to ask: {_entity_choices()}")
    command.add_argument("--url", help="another address than the venue's own")
    long = command.add_argument_group("long recordings")
    long.add_argument(
        "--market",
        dest="markets",
        action="append",
        type=parse_market,
        metavar="VENUE:SYMBOL",
        help="a market, instead of --venue and --symbol; may be given many times",
    )
    long.add_argument("--rotate", type=parse_rotation_argument, help=f"when to begin new files: {ROTATION_FORMS}")
    long.add_argument(
        "--keep", type=parse_days, metavar="DAYS", help="remove the files of these markets that are older"
    )
    long.add_argument("--no-repack", action="store_true", help="leave finished files as gzip, where zstd is smaller")


def _example_symbols() -> str:
    """Return the first symbol of every venue, each once, in the order of the venues."""
    return ", ".join(dict.fromkeys(venue.symbols[0] for venue in VENUES.values()))


def _entity_choices() -> str:
    """Return the entities of every venue that has several, each venue's default first."""
    several = [venue for venue in VENUES.values() if len(venue.entities) > 1]
    return "; ".join(f"{venue.name}: {', '.join(each.name for each in venue.entities)}" for venue in several)
