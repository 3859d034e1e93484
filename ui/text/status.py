"""Describe the connection, the market and the process in a sentence."""

from __future__ import annotations

from typing import Literal

from network.status import Status
from profiling import System
from sessions.market import Market

Colour = Literal["green", "blue", "violet"]


def connection_words(status: Status | None) -> str:
    """What the connection does, in a sentence."""
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
            return f"{(status.last_error or 'gave up').replace('gave up', 'Given up', 1)}."
        case "stopped":
            return "Not connected."
    return f"Connecting.{problem}"


def live_words(market: Market) -> tuple[str, str, Colour]:
    """What kind of prices these are, with an icon and a colour of its own."""
    if market.recording is not None or market.replayed:
        return "Recording, not now", "history", "blue"
    if market.is_simulated:
        return "Simulated market, not real prices", "science", "violet"
    return "Live", "sensors", "green"


def system_words(system: System) -> str:
    """What the process uses, in a line."""
    cpu = "" if system.cpu_percent is None else f", {system.cpu_percent:.0f} % of a core"
    return f"Memory {system.rss_bytes / 2**20:,.0f} MB{cpu}, {len(system.threads)} threads."


def state_words(status: Status | None, paused: bool, ended: bool, old_s: float | None) -> str:
    """What goes on between the market and this page, in a sentence; old_s: the age of prices too old to be live."""
    if paused and status is not None:
        return "The picture stands still. Prices are still received and learned from: press Continue to see them."
    if ended:
        return "Every price of this recording has been shown."
    if status is not None and status.state == "live" and old_s is not None:
        return f"Connected, but no new prices for {old_s:.0f} s: they are old."
    return connection_words(status)
