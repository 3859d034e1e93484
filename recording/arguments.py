"""Read the arguments that the commands share: what the user says of a file, and numbers with their bounds."""

from __future__ import annotations

import argparse
import math

from feeds import VENUES
from recording.opening import AMOUNTS_FORMS, Amounts, Opening, parse_amounts
from recording.playback import checked_speed


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
