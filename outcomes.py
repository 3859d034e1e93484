"""Decision times waiting for their outcome: priced now, learned from once the books have shown what happened."""

from __future__ import annotations

import threading
from collections import deque

from features import Moment
from knowledge import Knowledge
from learning import Block, Learner, Sample
from orderbook import OrderBook

DECISION_NS = 100_000_000
KEPT_NS = 10_000_000
"""Of books that come faster, only the first in every 10 ms is kept for the outcomes."""

FIRST_FIT = 10
BLOCK = 50
EFFECT = 50
"""How many decision times after a fit's last sample it takes effect."""


def next_fit(samples: int) -> int:
    """After a fit on the first `samples`, how many make the next one.

    >>> fits = [0]
    >>> while fits[-1] < 1200:
    ...     fits.append(next_fit(fits[-1]))
    >>> fits[:5], fits[-4:]
    ([0, 10, 50, 100, 150], [950, 1000, 1100, 1200])
    """
    if samples < FIRST_FIT:
        return FIRST_FIT
    return (samples // BLOCK + (1 if samples < 1000 else 2)) * BLOCK


class Outcomes:
    """Takes one sample in every 100 ms of market time and hands blocks of them to the learner.

    A fit on the first n samples takes effect at sample n + 50, however long it took to compute: the
    same books give the same knowledge, live and in a backtest. Fits run on a thread of their own
    that ends by itself; the one that is due is waited for.
    """

    def __init__(self, known: Knowledge, learner: Learner, latency_s: float, passive_s: float) -> None:
        self.known = known
        self.learner = learner
        self._until_known_ns = round(latency_s * 1e9) + round(passive_s * 1e9)
        self._fits: deque[_Fit] = deque()
        self._fitted = self._resolved = known.samples
        self._wanted = next_fit(self._fitted) - self._fitted
        self._sampled_slot = self._kept_slot = -1
        self._restart_block()

    def _restart_block(self) -> None:
        self._books: deque[OrderBook] = deque()
        self._waiting: deque[Sample] = deque()
        self._seen: list[Sample] = []

    @property
    def resolved(self) -> int:
        """How many outcomes were ever seen."""
        return self._resolved

    def discard(self) -> None:
        """Forget every sample whose outcome is not learned yet: a gap lies between."""
        self._resolved -= len(self._seen)
        self._restart_block()

    def add(self, book: OrderBook, moment: Moment) -> None:
        """Show the next book. Raises what a fit raised, when it was due; nothing is to be added after that."""
        slot = book.market_ns // KEPT_NS
        if slot == self._kept_slot:
            return
        self._kept_slot = slot
        self._books.append(book)
        waiting = self._waiting
        while waiting and waiting[0].moment.market_ns + self._until_known_ns <= book.market_ns:
            self._seen.append(waiting.popleft())
            self._resolved += 1
            if len(self._seen) == self._wanted:
                self._hand_over()
            if self._fits and self._fits[0].due <= self._resolved:
                self.known = self._fits.popleft().result()
        slot = book.market_ns // DECISION_NS
        if slot != self._sampled_slot:
            self._sampled_slot = slot
            waiting.append(Sample(moment, book, self.known))

    def _hand_over(self) -> None:
        first = self._seen[0].moment.market_ns
        books = self._books
        while books[0].market_ns < first:
            books.popleft()
        before = self._fits[-1] if self._fits else None
        block = Block(self._seen, list(books))
        self._fits.append(_Fit(self.learner, block, before, self._resolved + EFFECT))
        self._seen = []
        self._fitted += self._wanted
        self._wanted = next_fit(self._fitted) - self._fitted


class _Fit:
    """One block being learned, after the one before it."""

    def __init__(self, learner: Learner, block: Block, before: _Fit | None, due: int) -> None:
        self.due = due
        self._outcome: Knowledge | BaseException
        self._thread = threading.Thread(target=self._run, args=(learner, block, before), name="learning", daemon=True)
        self._thread.start()

    def _run(self, learner: Learner, block: Block, before: _Fit | None) -> None:
        try:
            if before is not None:
                before.result()
            self._outcome = learner.learn(block)
        except BaseException as error:  # noqa: BLE001 - raised on the feed's thread, by result()
            self._outcome = error

    def result(self) -> Knowledge:
        self._thread.join()
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome
