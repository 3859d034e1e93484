"""Decision times waiting for their outcome: priced now, learned from once the books have shown what happened."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from estimation.features import SECOND_NS, BookState, FeatureExtractor
from estimation.model_state import ModelState, initial_state
from estimation.online_learner import OnlineLearner, SampleBlocks
from numerics.arrays import Ints
from orderbook import OrderBook
from orderbook.batch import BookBatch

GAP_NS = 5 * SECOND_NS
"""A silence after which nothing seen before says anything of what comes."""

SAMPLE_EVERY_NS = 100_000_000
KEEP_EVERY_NS = 10_000_000
"""Of books that come faster, only the first in every 10 ms is kept for the outcomes."""

FIRST_FIT_SAMPLES = 10
BLOCK_SAMPLES = 50
LONGER_BLOCKS_FROM_SAMPLES = 500
"""From so many samples on a block is twice as long. It is reached within the first minute: books wait for their block
to be whole, so a page that has been open for a minute needs no more memory later."""

FIT_DELAY_SAMPLES = 50
"""How many decision times after a fit's last sample it takes effect."""


def next_fit(samples: int) -> int:
    """After a fit on the first `samples`, how many make the next one.

    >>> fits = [0]
    >>> while fits[-1] < 1200:
    ...     fits.append(next_fit(fits[-1]))
    >>> fits[:5], fits[-4:]
    ([0, 10, 50, 100, 150], [900, 1000, 1100, 1200])
    """
    if samples < FIRST_FIT_SAMPLES:
        return FIRST_FIT_SAMPLES
    return (samples // BLOCK_SAMPLES + (1 if samples < LONGER_BLOCKS_FROM_SAMPLES else 2)) * BLOCK_SAMPLES


def label_delay_ns(latency_s: float, passive_s: float) -> int:
    """How long after a decision its outcome is known."""
    return round(latency_s * 1e9) + round(passive_s * 1e9)


class Sample(NamedTuple):
    """One decision time: what was seen, and what was known, when an order was priced."""

    book_state: BookState
    model_state: ModelState


def make_block(samples: Sequence[Sample], books: Sequence[OrderBook]) -> SampleBlocks:
    """One block of these samples, and of all the books from the first of them to the last outcome."""
    moments, knowledge = zip(*samples, strict=True)
    known = {id(each): each for each in knowledge}
    places = {name: place for place, name in enumerate(known)}
    numbers = np.array([places[id(each)] for each in knowledge])
    return SampleBlocks(to_columns(moments), [0], list(known.values()), numbers, BookBatch.from_books(books))


def to_columns(moments: Sequence[BookState]) -> Any:
    """Moments as one Moment of (n,) columns; times stay whole numbers."""
    market_ns, *rest = zip(*moments, strict=True)
    made: list[Any] = [np.fromiter(market_ns, np.int64, len(moments))]
    made += [np.fromiter(column, np.float64, len(moments)) for column in rest]
    return BookState(*made)


def warm_up() -> None:
    """Import what the fits need and have the learner's machine code made, by learning a small block and forgetting it:
    seconds, at the very first start, that no running feed should share.

    Safe to call more than once, and never necessary.
    """
    away, observer, books = np.arange(1.0, 4.0), FeatureExtractor(), []
    for row in range(40):
        mid = 1000.0 + row % 8 // 2
        bids, asks = (np.column_stack((mid + sign * away, np.full(3, 1.0 + row % 3))) for sign in (-1, 1))
        books.append(OrderBook("", "", bids, asks, 0, row * SAMPLE_EVERY_NS, 0))
    moments = [observer.extract(book) for book in books]
    known = initial_state(moments[0], 0.1, 1.0)
    OnlineLearner(0.1, 1.0).learn(make_block([Sample(moment, known) for moment in moments[:20]], books))


class TrainingSchedule:
    """Takes one sample in every 100 ms of market time and hands blocks of them to the learner.

    A fit on the first n samples takes effect at sample n + 50, however long it took to compute: the
    same books give the same knowledge, live and in a backtest. Fits run on a thread of their own
    that ends by itself; the one that is due is waited for.
    """

    def __init__(self, known: ModelState, learner: OnlineLearner, latency_s: float, passive_s: float) -> None:
        self.state = known
        self.learner = learner
        self._until_known_ns = label_delay_ns(latency_s, passive_s)
        self._fits: deque[_PendingFit] = deque()
        self._fitted = self._resolved = known.samples
        self._wanted = next_fit(self._fitted) - self._fitted
        self._sampled_slot = self._kept_slot = -1
        self._restart_block()

    def _restart_block(self) -> None:
        self._books: deque[OrderBook] = deque()
        self._waiting: deque[Sample] = deque()
        self._seen: list[Sample] = []

    @property
    def resolved_samples(self) -> int:
        """How many decision times have shown their outcome."""
        return self._resolved

    def discard(self) -> None:
        """Forget every sample whose outcome is not learned yet: a gap lies between."""
        self._resolved -= len(self._seen)
        self._restart_block()

    def add(self, book: OrderBook, moment: BookState) -> None:
        """Show the next book. Raises what a fit raised, when it was due; nothing is to be added after that."""
        slot = book.market_ns // KEEP_EVERY_NS
        if slot == self._kept_slot:
            return
        self._kept_slot = slot
        self._books.append(book)
        waiting = self._waiting
        while waiting and waiting[0].book_state.market_ns + self._until_known_ns <= book.market_ns:
            self._seen.append(waiting.popleft())
            self._resolved += 1
            if len(self._seen) == self._wanted:
                self._hand_over()
            if self._fits and self._fits[0].due <= self._resolved:
                self.state = self._fits.popleft().result()
        slot = book.market_ns // SAMPLE_EVERY_NS
        if slot != self._sampled_slot:
            self._sampled_slot = slot
            waiting.append(Sample(moment, self.state))

    def _hand_over(self) -> None:
        books = self._books
        before = self._fits[-1] if self._fits else None
        samples, shown = self._seen, list(books)
        learn = self.learner.learn
        self._fits.append(
            _PendingFit(lambda: learn(make_block(samples, shown))[0], before, self._resolved + FIT_DELAY_SAMPLES)
        )
        self._seen = []
        self._fitted += self._wanted
        self._wanted = next_fit(self._fitted) - self._fitted
        # The next block begins with the sample that has waited longest, or else with the newest book.
        first = (self._waiting[0].book_state if self._waiting else books[-1]).market_ns
        while books[0].market_ns < first:
            books.popleft()


_ONE_FIT_AT_A_TIME = threading.Lock()
"""Held while a block is learned: fits of many sessions that share the processor are each done sooner one by one."""


class _PendingFit:
    """One block being learned, after the one before it."""

    def __init__(self, learn: Callable[[], ModelState], before: _PendingFit | None, due: int) -> None:
        self.due = due
        self._outcome: ModelState | BaseException
        self._thread = threading.Thread(target=self._run, args=(learn, before), name="learning", daemon=True)
        self._thread.start()

    def _run(self, learn: Callable[[], ModelState], before: _PendingFit | None) -> None:
        try:
            if before is not None:
                before.result()
            with _ONE_FIT_AT_A_TIME:
                self._outcome = learn()
        except BaseException as error:  # noqa: BLE001 - raised on the feed's thread, by result()
            self._outcome = error

    def result(self) -> ModelState:
        self._thread.join()
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome


class PlannedFit(NamedTuple):
    """What one fit learns from, as rows of the clock: its samples, and the books from the first of them to the
    last outcome. from_row: the row from which on it is used; None if the clock ends before."""

    samples: Ints
    books: Ints
    from_row: int | None


def plan_fits(market_ns: Ints, latency_s: float, passive_s: float, fitted: int = 0) -> list[PlannedFit]:
    """The fits that Outcomes makes while books of these times (m,) are shown, oldest first.

    market_ns must not step back; a gap of more than 5 s discards what spans it. fitted: how many samples were
    learned from before.
    """
    kept = _first_in_slots(market_ns, KEEP_EVERY_NS)
    sampled = _first_in_slots(market_ns, SAMPLE_EVERY_NS)
    known_at = np.searchsorted(market_ns[kept], market_ns[sampled] + label_delay_ns(latency_s, passive_s))
    stretch = np.append(np.cumsum(np.diff(market_ns, prepend=market_ns[:1]) > GAP_NS), -1)
    known_at = np.append(kept, len(market_ns))[known_at]
    seen = stretch[known_at] == stretch[sampled]
    sampled, known_at = sampled[seen], known_at[seen]
    made: list[PlannedFit] = []
    due: list[int] = []
    used = 0
    for start, stop in _runs(stretch[sampled]):
        at = fitted
        while start + (wanted := next_fit(fitted) - at) <= stop:
            rows = sampled[start + fitted - at : start + wanted]
            shown = kept[np.searchsorted(kept, rows[0]) : np.searchsorted(kept, known_at[start + wanted - 1], "right")]
            made.append(PlannedFit(rows, shown, None))
            fitted = next_fit(fitted)
            due.append(fitted + FIT_DELAY_SAMPLES)
        while used < len(made) and start + due[used] - at <= stop:
            made[used] = made[used]._replace(from_row=int(known_at[start + due[used] - at - 1]))
            used += 1
    return made


def merge_fits(turns: Sequence[PlannedFit]) -> tuple[Ints, list[int], Ints]:
    """The samples of consecutive fits, where each one's begin among them, and the books that show their outcomes."""
    starts = np.cumsum([0, *(len(turn.samples) for turn in turns[:-1])]).tolist()
    rows = np.concatenate([turn.books for turn in turns])
    first = int(rows.min())
    shown = np.zeros(int(rows.max()) + 1 - first, dtype=bool)
    shown[rows - first] = True
    return np.concatenate([turn.samples for turn in turns]), starts, np.flatnonzero(shown) + first


def _first_in_slots(market_ns: Ints, length_ns: int) -> Ints:
    """The rows that are the first in their slot of time.

    >>> _first_in_slots(np.array([3, 4, 10, 19, 35]), 10).tolist()
    [0, 2, 4]
    """
    return np.flatnonzero(np.diff(market_ns // length_ns, prepend=-1))


def _runs(values: Ints) -> Iterator[tuple[int, int]]:
    """Where stretches of equal values start and stop."""
    edges = [*np.flatnonzero(np.diff(values, prepend=-1)).tolist(), len(values)]
    yield from pairwise(edges)
