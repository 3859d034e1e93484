"""Connect again and again: when to try next, which connection serves, and when to give up."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from time import monotonic

import numpy as np

from feeds import FeedError
from network.connection import Connection, RecordingEvent, Timings
from network.http_client import NetworkError, RefusedError
from network.logs import loggable_reason
from orderbook import OrderBook

logger = logging.getLogger(__name__)

MAX_RETRY_AFTER_S = 300.0
"""A venue that asks for a longer wait is not tried again."""

MAX_QUIET_DOUBLINGS = 4
"""A quiet market is asked for anew after its feed's quiet_s, then after twice that, up to 16 times."""

CATCH_UP_S = 1.0
"""A successor may take over with older books than those shown, by the venue's clock, only after this long."""


class RetryPolicy:
    """Counts failed tries in a row and says how long to wait; only a valid book starts the count again.

    A connection that brought a book and was then lost has not failed. One that ended in FeedError has failed, book or
    no book: otherwise a protocol that breaks after every snapshot would be retried for ever. After a FeedError a book
    proves recovery only if its connection is settled_s old.
    """

    def __init__(self, max_tries: int, timings: Timings) -> None:
        self.n_failures = 0
        self._max_tries = max_tries
        self._timings = timings
        self._is_protocol_broken = False

    def record_book(self, age_s: float) -> None:
        """Note a valid book that came age_s after its connection was opened."""
        if self.n_failures and (not self._is_protocol_broken or age_s >= self._timings.settled_s):
            self.n_failures = 0
            self._is_protocol_broken = False

    def record_loss(self, error: NetworkError | FeedError, had_book: bool) -> float | None:
        """Return the seconds to wait before the next try, or None if there should be none."""
        self._is_protocol_broken = self._is_protocol_broken or isinstance(error, FeedError)
        if isinstance(error, FeedError) or not had_book:
            self.n_failures += 1
        asked_s = error.retry_after_s if isinstance(error, NetworkError) else 0.0
        if self.n_failures >= self._max_tries or asked_s > MAX_RETRY_AFTER_S:
            return None
        longest_s = min(self._timings.backoff_cap_s, self._timings.backoff_s * 2**self.n_failures)
        return max(asked_s, random.uniform(longest_s / 2, longest_s))  # noqa: S311 - jitter is no secret


class ConnectionFailover:
    """The connections of one client, oldest first; more than one only until the newer one takes over.

    A successor takes over with its first valid book that is not behind those shown already, and only then is the
    older connection dropped. So the books go on without a gap and never go back in time. What a recording needs of a
    successor is held until it takes over, so that a recording never mixes two connections.

    A connection that lives but brings no book may be of a quiet market, or have lost its subscription. A successor's
    first book tells which: if it equals the book that is shown, the market is quiet, and is asked for less often.

    Args:
        make_connection: Makes a connection with a fresh feed.
        on_event: Gets what a recording needs, in its order.
        on_loss: Gets the reason, in words, why a connection ended, and at last why nothing more is tried.
        max_tries: Give up after this many failures in a row.
        timings: The time limits.
    """

    def __init__(
        self,
        make_connection: Callable[[], Connection],
        on_event: Callable[[RecordingEvent], None],
        on_loss: Callable[[str], None],
        max_tries: int,
        timings: Timings,
    ) -> None:
        self.n_tries = 0
        self.n_connected = 0
        self.next_try_at_s: float | None = None
        """On the monotonic clock; None unless a try is being waited for."""
        self.retry_policy = RetryPolicy(max_tries, timings)
        self._make_connection = make_connection
        self._on_event = on_event
        self._on_loss = on_loss
        self._timings = timings
        self._connections: tuple[Connection, ...] = ()
        self._lost_at_s: float | None = None  # no book has come since then
        self._n_confirmed = 0  # how often in a row a successor has confirmed the book that is shown

    @property
    def serving(self) -> Connection | None:
        """The oldest open connection."""
        return next((connection for connection in self._connections if connection.is_open), None)

    async def run(self) -> None:
        """Try again and again, each time with a fresh feed; return once it gives up."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self.n_tries += 1
                began_s = monotonic()
                newest = self._make_connection()
                is_renewal = any(older.is_silent for older in self._running())
                self._connections = (*self._running(), newest)
                tasks.create_task(newest.run())
                await newest.needs_successor.wait()
                # Should the venue announce the close of every connection, they follow each other slowly.
                apart_s = self._timings.settled_s if newest.feed.closing else self._timings.min_reconnect_s
                wait_s = self._wait_before_next_s(newest)
                if wait_s is None:
                    if is_renewal:  # what the older ones show is doubtful
                        await self._end_all()
                    if not self._running():
                        self._give_up(newest)
                        return
                    self._log_loss(newest, "an older connection still serves")
                    for older in self._running():  # nothing is given up while an older connection serves
                        await older.done.wait()
                    self.retry_policy.n_failures = 0
                    wait_s = 0.0
                elif newest.error is not None:
                    self._log_loss(newest, f"next try in {max(wait_s, began_s + apart_s - monotonic()):.1f} s")
                self.next_try_at_s = max(monotonic() + wait_s, began_s + apart_s)
                await asyncio.sleep(self.next_try_at_s - monotonic())
                self.next_try_at_s = None

    def replace_connection(self) -> None:
        """Have a fresh connection take over, unless one is under way."""
        if self._connections and self._connections[-1].is_open and not self._connections[-1].held_events:
            self._connections[-1].needs_successor.set()

    def record_event(self, connection: Connection, event: RecordingEvent) -> None:
        """Pass on what a recording needs: at once if this connection serves, else when it takes over."""
        self.n_connected += 1 if event.kind == "connect" else 0
        connection.held_events.append(event)
        if connection is self.serving:
            self._release_events(connection)

    def accept_book(self, connection: Connection, book: OrderBook) -> bool:
        """Note a valid book from this connection; return whether it is to be shown.

        A successor's book makes the successor take over, unless its venue time is behind that of the books shown.
        """
        exchange_ns = book.exchange_ns
        connection.has_book = True
        connection.book_s = monotonic()
        connection.renew_s = min(connection.renew_s, connection.feed.quiet_s)
        if self._lost_at_s is not None:
            logger.info("%s sends order books again after %.1f s", connection.host, monotonic() - self._lost_at_s)
            self._lost_at_s = None
        age_s = monotonic() - connection.opened_s
        if connection is self._connections[-1]:
            self.retry_policy.record_book(age_s)
        serving = self.serving or connection
        if exchange_ns < serving.exchange_ns and connection is not serving and age_s < CATCH_UP_S:
            return False
        self._note_quiet(serving, connection, book)
        connection.exchange_ns = exchange_ns
        connection.book = book
        if connection is not self._connections[0]:
            place = self._connections.index(connection)
            logger.info("a fresh connection to %s takes over", connection.host)
            for older in self._connections[:place]:
                older.retire()
            self._connections = self._connections[place:]
            self._release_events(connection)
        return True

    def _note_quiet(self, serving: Connection, connection: Connection, book: OrderBook) -> None:
        """Decide how long this connection may bring no other book before it is doubtful."""
        if connection is serving or not serving.is_silent or serving.book is None:
            self._n_confirmed = 0 if connection.book is not None else self._n_confirmed
        elif has_same_levels(serving.book, book):
            self._n_confirmed += 1
            logger.info("the market at %s is quiet: its book is still the same", connection.host)
        else:
            self._n_confirmed = 0
            logger.warning("%s had gone on without sending changes: its book is another one", connection.host)
        connection.renew_s = connection.feed.quiet_s * 2 ** min(self._n_confirmed, MAX_QUIET_DOUBLINGS)

    async def _end_all(self) -> None:
        """End the connections that still run."""
        for older in self._running():
            older.retire()
            await older.done.wait()

    def _wait_before_next_s(self, newest: Connection) -> float | None:
        if newest.error is None:
            return 0.0  # it works, but will soon be closed or was asked to be replaced
        self._on_loss(str(newest.error))
        return self.retry_policy.record_loss(newest.error, newest.has_book)

    def _log_loss(self, lost: Connection, outlook: str) -> None:
        """Log why a connection ended, and what comes next.

        Before anything was ever connected nothing is lost: whoever waits for that sees the status. So such a try is
        logged as INFO, unless the other side refused in words.
        """
        if lost.error is None:
            return
        if self._lost_at_s is None and not self._running():
            self._lost_at_s = monotonic()
        is_loss = self.n_connected > 0 or isinstance(lost.error, RefusedError)
        level = logging.WARNING if is_loss else logging.INFO
        logger.log(level, "%s; %s", loggable_reason(lost.error, lost.host), outlook)

    def _give_up(self, last: Connection) -> None:
        n_failures = self.retry_policy.n_failures
        if last.error is not None:
            logger.error("%s; gave up after %d failed tries", loggable_reason(last.error, last.host), n_failures)
        self._on_loss(
            f"gave up after {n_failures} failed tries. The last: {last.error}. "
            "Check the address and the network, then connect again"
        )

    def _running(self) -> list[Connection]:
        return [connection for connection in self._connections if not connection.done.is_set()]

    def _release_events(self, connection: Connection) -> None:
        for event in connection.held_events:
            self._on_event(event)
        connection.held_events.clear()


def has_same_levels(book: OrderBook, other: OrderBook) -> bool:
    """Return whether two books have the same prices and sizes on both sides."""
    return np.array_equal(book.bids, other.bids) and np.array_equal(book.asks, other.asks)


def first_error(error: BaseException) -> BaseException:
    """Return the first error inside nested groups, as a TaskGroup raises them; else the error itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
