"""Keep account of the times in which a feed brought nothing, so that a recording can say what it lacks."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import NamedTuple

logger = logging.getLogger(__name__)

_LISTED = 20
"""The most outages that are named at the end; the log has named each."""


class Outage(NamedTuple):
    """A time without a connection, in nanoseconds since 1970."""

    begin_ns: int
    end_ns: int

    def __str__(self) -> str:
        begin, end = (datetime.fromtimestamp(ns / 1e9, UTC) for ns in self)
        seconds = (self.end_ns - self.begin_ns) / 1e9
        return f"{seconds:,.1f} s from {begin:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S} UTC"


class Outages:
    """Watches whether a market's feed is up, as often as it is told. name: of the market, for the log."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._last_up_ns: int | None = None
        self._is_down = False
        self._n_books = 0
        self.missed: list[Outage] = []

    def update(self, is_up: bool, n_books: int, now_ns: int) -> None:
        """Note whether the feed is up now. Before it was up for the first time, nothing is missed.

        n_books: how many its client has brought; more than at the last look show that it was up since then.
        """
        was_up = is_up or n_books > self._n_books
        if was_up:
            if self._is_down and self._last_up_ns is not None:
                self._add(Outage(self._last_up_ns, now_ns))
            self._last_up_ns = now_ns
        self._n_books = n_books
        # A client counts its first book a moment before it calls itself up: that is no second outage.
        self._is_down = not was_up

    def close(self, now_ns: int) -> None:
        """Note that the recording ends: an outage that lasts until then counts too."""
        if self._is_down and self._last_up_ns is not None:
            self._add(Outage(self._last_up_ns, now_ns))
        self._is_down = False

    def _add(self, outage: Outage) -> None:
        self.missed.append(outage)
        logger.warning("%s: nothing was recorded for %s", self._name, outage)

    def describe(self) -> list[str]:
        """Return lines about what was missed; none if nothing was."""
        if not self.missed:
            return []
        seconds = sum(outage.end_ns - outage.begin_ns for outage in self.missed) / 1e9
        times = "once" if len(self.missed) == 1 else f"{len(self.missed)} times"
        lines = [f"{self._name}: missed {seconds:,.1f} s in all, {times}:"]
        lines += [f"  {outage}" for outage in self.missed[:_LISTED]]
        return lines + ([f"  and {len(self.missed) - _LISTED} more, see the log"] if len(self.missed) > _LISTED else [])
