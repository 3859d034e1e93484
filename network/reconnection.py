"""Connection after connection: when the next is tried, which one serves, and when to give up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from time import monotonic

from feeds import FeedError
from network.connection import Connection, Note, Timings
from network.http_client import NetworkError

MAX_RETRY_AFTER_S = 300.0
"""A venue that asks to be left alone for longer is not tried again."""

CATCH_UP_S = 1.0
"""A successor whose books are older than those shown, by the venue's clock, waits so long before it takes over."""


class RetryPolicy:
    """Counts the tries that failed in a row; nothing but a valid book starts the count again.

    A connection that brought a book and was then lost has not failed. One that ended in FeedError
    has, book or no book: a protocol that breaks after every snapshot would be retried for ever. From
    then on a book proves recovery only if its connection is settled_s old.
    """

    def __init__(self, max_tries: int, timings: Timings) -> None:
        self.failures = 0
        self._max_tries = max_tries
        self._timings = timings
        self._broken = False

    def record_book(self, age_s: float) -> None:
        """A valid book came, age_s after its connection was opened."""
        if self.failures and (not self._broken or age_s >= self._timings.settled_s):
            self.failures, self._broken = 0, False

    def record_loss(self, error: NetworkError | FeedError, booked: bool) -> float | None:
        """Seconds to wait before the next try, or None if there should be none."""
        self._broken = self._broken or isinstance(error, FeedError)
        if isinstance(error, FeedError) or not booked:
            self.failures += 1
        asked_s = error.retry_after_s if isinstance(error, NetworkError) else 0.0
        if self.failures >= self._max_tries or asked_s > MAX_RETRY_AFTER_S:
            return None
        longest_s = min(self._timings.backoff_cap_s, self._timings.backoff_s * 2**self.failures)
        return max(asked_s, random.uniform(longest_s / 2, longest_s))  # noqa: S311 - jitter is no secret


class ConnectionFailover:
    """The connections of one client, oldest first; more than one only while a newer has yet to take over.

    A successor takes over with its first valid book that is not behind those shown already, and only
    then is the older one dropped: the books go on without a gap, and never back in time. What a
    successor's recording needs is held until then, so that two connections are never mixed in it.
    """

    def __init__(
        self,
        make: Callable[[], Connection],
        pass_on: Callable[[Note], None],
        complain: Callable[[str], None],
        max_tries: int,
        timings: Timings,
    ) -> None:
        self.tries = 0
        self.connected = 0
        self.next_try: float | None = None
        self.retries = RetryPolicy(max_tries, timings)
        self._make = make
        self._pass_on = pass_on
        self._complain = complain
        self._timings = timings
        self._line: tuple[Connection, ...] = ()

    @property
    def serving(self) -> Connection | None:
        """The oldest open connection."""
        return next((connection for connection in self._line if connection.open), None)

    async def run(self) -> None:
        """Try after try, each with a fresh feed; returns once it gives up."""
        async with asyncio.TaskGroup() as connections:
            while True:
                self.tries += 1
                began = monotonic()
                newest = self._make()
                self._line = (*self._left(), newest)
                connections.create_task(newest.run())
                await newest.leaving.wait()
                wait_s = self._wait_s(newest)
                if wait_s is None:
                    if not self._left():
                        return
                    for older in self._left():  # nothing is given up while an older connection serves
                        await older.done.wait()
                    self.retries.failures, wait_s = 0, 0.0
                # Should every connection be told that it will be closed, they follow each other slowly.
                apart_s = self._timings.settled_s if newest.feed.closing else self._timings.min_reconnect_s
                self.next_try = max(monotonic() + wait_s, began + apart_s)
                await asyncio.sleep(self.next_try - monotonic())
                self.next_try = None

    def replace_connection(self) -> None:
        """Have a fresh connection take over, unless one is under way."""
        if self._line and self._line[-1].open and not self._line[-1].held:
            self._line[-1].leaving.set()

    def record_note(self, connection: Connection, note: Note) -> None:
        """Passes on what a recording needs, in its turn."""
        self.connected += note.kind == "connect"
        connection.held.append(note)
        if connection is self.serving:
            self._release(connection)

    def accept_book(self, connection: Connection, exchange_ns: int) -> bool:
        """A valid book came from this connection; whether it is to be shown."""
        connection.booked = True
        age_s = monotonic() - connection.opened
        if connection is self._line[-1]:
            self.retries.record_book(age_s)
        serving = self.serving or connection
        if exchange_ns < serving.exchange_ns and connection is not serving and age_s < CATCH_UP_S:
            return False
        connection.exchange_ns = exchange_ns
        if connection is not self._line[0]:
            place = self._line.index(connection)
            for older in self._line[:place]:
                older.retire()
            self._line = self._line[place:]
            self._release(connection)
        return True

    def _wait_s(self, newest: Connection) -> float | None:
        if newest.ended is None:
            return 0.0  # it is only outdated
        self._complain(str(newest.ended))
        return self.retries.record_loss(newest.ended, newest.booked)

    def _left(self) -> list[Connection]:
        return [connection for connection in self._line if not connection.done.is_set()]

    def _release(self, connection: Connection) -> None:
        for note in connection.held:
            self._pass_on(note)
        connection.held.clear()
