"""The status of a client: its state, its counters, and the errors of its callbacks."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Literal, NamedTuple

logger = logging.getLogger(__name__)

ConnectionState = Literal["idle", "connecting", "live", "stale", "reconnecting", "given up", "stopped"]


@dataclass(frozen=True, slots=True)
class Status:
    """What a client does now and has done so far.

    frames = books + refused + ignored; REST snapshots count too.
    """

    state: ConnectionState
    frames: int  # handed to a feed
    books: int  # valid ones, including those passed over
    refused: int
    ignored: int  # acknowledgements, heartbeats, trades, other symbols
    conflated: int  # books passed over because a newer book, or a newer frame, was already there
    reconnects: int  # connections made after the first
    attempt: int  # tries that failed in a row
    next_try_s: float | None  # None unless a try is being waited for
    age_s: float | None  # since the last book was received; None before the first
    last_error: str | None
    callback_errors: int
    callback_error: str | None  # the last one


class FrameCounts(NamedTuple):
    """What became of a client's frames, at one moment; the fields are those of Status."""

    frames: int
    books: int
    refused: int
    ignored: int
    conflated: int
    age_s: float | None


class FrameCounters:
    """Counts what became of a client's frames. The client's thread counts; any thread reads a consistent set."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_books = 0
        self._n_delivered = 0
        self._n_refused = 0
        self._n_ignored = 0
        self._book_received_ns: int | None = None

    def add_book(self, received_ns: int, is_delivered: bool) -> None:
        """Count a valid book, and whether it goes to the callback at once."""
        with self._lock:
            self._n_books += 1
            if is_delivered:
                self._n_delivered += 1
            self._book_received_ns = received_ns

    def add_late_delivery(self) -> None:
        """Count a book that was passed over and goes to the callback after all."""
        with self._lock:
            self._n_delivered += 1

    def add_refused(self) -> None:
        """Count a frame that the feed refused."""
        with self._lock:
            self._n_refused += 1

    def add_ignored(self) -> None:
        """Count a frame without a book."""
        with self._lock:
            self._n_ignored += 1

    def snapshot(self) -> FrameCounts:
        """Return all counts at one moment."""
        with self._lock:
            age_s = None if self._book_received_ns is None else (perf_counter_ns() - self._book_received_ns) / 1e9
            return FrameCounts(
                frames=self._n_books + self._n_refused + self._n_ignored,
                books=self._n_books,
                refused=self._n_refused,
                ignored=self._n_ignored,
                conflated=self._n_books - self._n_delivered,
                age_s=age_s,
            )


class CallbackGuard:
    """Calls callbacks that may raise anything: errors are counted, and the feed goes on.

    The first error is logged with its traceback, the last one is kept.
    """

    def __init__(self) -> None:
        self.n_errors = 0
        self.last_error: str | None = None

    def call(self, callback: Callable[..., None], *arguments: object) -> None:
        """Call the callback, and keep what it raises."""
        try:
            callback(*arguments)
        except Exception as error:  # noqa: BLE001 - counted and shown
            self.last_error = f"{type(error).__name__}: {error}"
            self.n_errors += 1
            if self.n_errors == 1:
                # Without the error's message, which may repeat what a frame said.
                logger.error(
                    "%s failed with %s; further errors are only counted\n%s",
                    getattr(callback, "__qualname__", "a callback"),
                    type(error).__name__,
                    "".join(traceback.format_tb(error.__traceback__)).rstrip(),
                )
