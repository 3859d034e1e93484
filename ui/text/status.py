"""Describe the connection, the market and the process in sentences."""

from __future__ import annotations

from typing import Literal

from feeds import VENUES
from network.status import Status
from profiling import System
from sessions.market import Market

Colour = Literal["green", "blue", "violet"]


def reached_name(market: Market | None) -> str:
    """Return the name of what the page tries to reach, as a part of a sentence."""
    if market is None or market.address:
        return "that address"
    return VENUES[market.venue].title


def connection_words(status: Status | None, market: Market | None, can_retry: bool = True) -> str:
    """Describe the connection to a market in a sentence. can_retry: whether Connect tries again."""
    if status is None:
        return "Not connected."
    problem = f" {status.last_error}" if status.last_error else ""
    match status.state:
        case "live":
            refused = f", {status.refused:,} refused" if status.refused else ""
            skipped = f", {status.conflated:,} skipped to keep up" if status.conflated else ""
            return f"Connected: {status.books:,} order books{refused}{skipped}."
        case "stale":
            return f"Connected, but no new data for {status.age_s or 0:.0f} s."
        case "reconnecting":
            wait = f", next in {status.next_try_s:.0f} s" if status.next_try_s else ""
            return f"Reconnecting: try {status.attempt} of 5{wait}.{problem}"
        case "given up":
            advice = " Press Connect to try again." if can_retry else ""
            reason = "" if status.last_error is None else f" {status.last_error.replace('gave up', 'Gave up', 1)}."
            return f"Can't reach {reached_name(market)}.{advice}{reason}"
        case "stopped":
            return "Not connected."
    return f"Connecting.{problem}"


def live_words(market: Market) -> tuple[str, str, Colour]:
    """Return what kind of prices these are, with the badge's icon and colour."""
    if market.recording is not None or market.replayed:
        return "Recording, not now", "history", "blue"
    if market.is_simulated:
        return "Simulated market, not real prices", "science", "violet"
    return "Live", "sensors", "green"


def system_words(system: System) -> str:
    """Describe the memory, processor and threads of the process in a sentence."""
    cpu = "" if system.cpu_percent is None else f", {system.cpu_percent:.0f} % of a core"
    return f"Memory {system.rss_bytes / 2**20:,.0f} MB{cpu}, {len(system.threads)} threads."


def state_words(
    status: Status | None, market: Market | None, is_paused: bool, has_ended: bool, old_s: float | None
) -> str:
    """Describe in a sentence what happens between the market and the page.

    old_s: the age of the prices, seconds, if they are too old to be live; None if they are live.
    """
    if is_paused and status is not None:
        return "The page is paused. Prices are still received and learned from: press Continue to see them."
    if has_ended:
        return "Every price of this recording has been shown."
    return old_words(status, old_s) or connection_words(status, market)


def old_words(status: Status | None, old_s: float | None) -> str:
    """Say how old the prices of a live connection are; empty if they are not old, or the connection is not live."""
    if status is None or status.state != "live" or old_s is None:
        return ""
    return f"Connected, but no new prices for {old_s:.0f} s: they are old."
