"""Schedule the learning: take samples from the books, wait for their outcomes, and hand them to the learner."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from estimation.features import BOOK_STATE, SECOND_NS
from estimation.fit_worker import WORKER, PendingFit
from estimation.model_state import ModelState
from estimation.online_learner import OnlineLearner, SampleBlocks
from numerics.arrays import Ints, Records, join_records
from orderbook import OrderBook
from orderbook.batch import BookBatch

GAP_NS = 5 * SECOND_NS
"""A gap longer than this resets what is remembered: earlier books no longer predict later ones."""

SAMPLE_EVERY_NS = 100_000_000
"""The first book of every 100 ms becomes a sample."""

KEEP_EVERY_NS = 10_000_000
"""The first book of every 10 ms is kept for the outcomes; faster ones are not."""

FIRST_FIT_SAMPLES = 10
BLOCK_SAMPLES = 50
LONGER_BLOCKS_FROM_SAMPLES = 500
"""Blocks are twice as long from this many samples on. It is reached within the first minute: books are held until
their block is complete, so a page that has been open for a minute needs no more memory later."""

FIT_DELAY_SAMPLES = 50
"""A fit takes effect this many samples after its last one."""


def next_fit_samples(samples: int) -> int:
    """Return how many samples the fit after a fit on `samples` of them is made on.

    >>> fits = [0]
    >>> while fits[-1] < 1200:
    ...     fits.append(next_fit_samples(fits[-1]))
    >>> fits[:5], fits[-4:]
    ([0, 10, 50, 100, 150], [900, 1000, 1100, 1200])
    """
    if samples < FIRST_FIT_SAMPLES:
        return FIRST_FIT_SAMPLES
    n_blocks = 1 if samples < LONGER_BLOCKS_FROM_SAMPLES else 2
    return (samples // BLOCK_SAMPLES + n_blocks) * BLOCK_SAMPLES


def label_delay_ns(latency_s: float, passive_s: float) -> int:
    """Return how long after a decision its outcome is known."""
    return round(latency_s * SECOND_NS) + round(passive_s * SECOND_NS)


class Sample(NamedTuple):
    """One decision: the book state and the model state at which an order was priced."""

    book_state: Records
    market_ns: int
    model_state: ModelState


def make_block(samples: Sequence[Sample], books: Sequence[OrderBook]) -> SampleBlocks:
    """Make one block of these samples and of every book from the first of them to the last outcome."""
    book_states, _, states = zip(*samples, strict=True)
    # Few states stand behind many samples: compare them by identity, in order of their first use.
    distinct = {id(state): state for state in states}
    index_by_id = {state_id: index for index, state_id in enumerate(distinct)}
    state_index = np.array([index_by_id[id(state)] for state in states])
    rows = join_records(book_states, BOOK_STATE).view(np.recarray)
    return SampleBlocks(rows, [0], list(distinct.values()), state_index, BookBatch.from_books(books))


class TrainingSchedule:
    """Takes one sample in every 100 ms of market time and hands blocks of samples to the learner.

    A fit on the first n samples takes effect at sample n + 50, however long it took to compute: the same books lead
    to the same model states, live and in a backtest. Fits run on the worker's thread; the fit that is due is waited
    for, unless the worker is paused: while machine code is made at the very first start, models take effect later.

    state: the model state in use. learner: must not learn anything else.
    """

    def __init__(self, state: ModelState, learner: OnlineLearner, latency_s: float, passive_s: float) -> None:
        self.state = state
        self.learner = learner
        self._label_delay_ns = label_delay_ns(latency_s, passive_s)
        # With each fit the number of resolved samples at which it takes effect.
        self._fits: deque[tuple[int, PendingFit[ModelState]]] = deque()
        self._planned_samples = self._resolved_samples = state.samples
        self._block_samples = next_fit_samples(self._planned_samples) - self._planned_samples
        self._sampled_slot = self._kept_slot = -1
        self._restart_block()

    def _restart_block(self) -> None:
        self._books: deque[OrderBook] = deque()
        self._waiting: deque[Sample] = deque()
        self._block: list[Sample] = []

    @property
    def resolved_samples(self) -> int:
        """Number of samples whose outcome is known."""
        return self._resolved_samples

    def discard(self) -> None:
        """Forget every sample that is not learned from yet, after a gap."""
        self._resolved_samples -= len(self._block)
        self._restart_block()

    def add(self, book: OrderBook) -> bool:
        """Add the next book. Return whether it becomes a sample. Raises what a fit raised, when it is due."""
        market_ns = book.market_ns
        slot = market_ns // KEEP_EVERY_NS
        if slot == self._kept_slot:
            return False
        self._kept_slot = slot
        self._books.append(book)
        waiting = self._waiting
        known_ns = market_ns - self._label_delay_ns
        while waiting and waiting[0].market_ns <= known_ns:
            self._block.append(waiting.popleft())
            self._resolved_samples += 1
            if len(self._block) == self._block_samples:
                self._start_fit()
            if self._fits and self._fits[0][0] <= self._resolved_samples and self._may_wait():
                self.state = self._fits.popleft()[1].result()
        slot = market_ns // SAMPLE_EVERY_NS
        if slot == self._sampled_slot:
            return False
        self._sampled_slot = slot
        return True

    def sample(self, book_states: Records, market_ns: int) -> None:
        """Take the book that was added last as a sample; book_states: its state, (1,) of BOOK_STATE."""
        self._waiting.append(Sample(book_states, market_ns, self.state))

    def _may_wait(self) -> bool:
        """Return whether the fit that is due is done, or will be soon: no feed waits for a compiler."""
        return not WORKER.is_paused or self._fits[0][1].is_done

    def _start_fit(self) -> None:
        """Start a fit on the complete block, and begin the next block."""
        books = self._books
        previous = self._fits[-1][1] if self._fits else None
        samples, block_books = self._block, list(books)
        learn = self.learner.learn
        fit = WORKER.submit(lambda: learn(make_block(samples, block_books))[0], previous)
        self._fits.append((self._resolved_samples + FIT_DELAY_SAMPLES, fit))
        self._block = []
        self._planned_samples += self._block_samples
        self._block_samples = next_fit_samples(self._planned_samples) - self._planned_samples
        # The next block begins with the sample that has waited longest, or else with the newest book.
        first_ns = (self._waiting[0] if self._waiting else books[-1]).market_ns
        while books[0].market_ns < first_ns:
            books.popleft()


class PlannedFit(NamedTuple):
    """Rows of a recording's clock that one fit learns from.

    samples: rows of its samples. books: rows of the books from the first sample to the last outcome. from_row: the
    row from which on the fit is in use; None if the clock ends before.
    """

    samples: Ints
    books: Ints
    from_row: int | None


def plan_fits(market_ns: Ints, latency_s: float, passive_s: float, n_learned: int = 0) -> list[PlannedFit]:
    """Return the fits that a TrainingSchedule makes while books of these times (m,) are added, oldest first.

    market_ns must not step back; a gap of more than GAP_NS discards the samples that span it. n_learned: samples
    learned from before.
    """
    kept = _first_in_slots(market_ns, KEEP_EVERY_NS)
    sampled = _first_in_slots(market_ns, SAMPLE_EVERY_NS)
    outcome_at = np.searchsorted(market_ns[kept], market_ns[sampled] + label_delay_ns(latency_s, passive_s))
    # Times between two gaps share a number; the row behind the last book has one of its own.
    stretch = np.append(np.cumsum(np.diff(market_ns, prepend=market_ns[:1]) > GAP_NS), -1)
    outcome_at = np.append(kept, len(market_ns))[outcome_at]
    has_outcome = stretch[outcome_at] == stretch[sampled]
    sampled, outcome_at = sampled[has_outcome], outcome_at[has_outcome]
    fits: list[PlannedFit] = []
    due_samples: list[int] = []
    n_in_use = 0
    for start, stop in _iter_stretches(stretch[sampled]):
        # Sample number n of the schedule is at start + n - learned_before; a gap drops an unfinished block.
        learned_before = n_learned
        while start + (next_fit_samples(n_learned) - learned_before) <= stop:
            end = start + next_fit_samples(n_learned) - learned_before
            samples = sampled[start + n_learned - learned_before : end]
            first_book = np.searchsorted(kept, samples[0])
            last_book = np.searchsorted(kept, outcome_at[end - 1], "right")
            fits.append(PlannedFit(samples, kept[first_book:last_book], None))
            n_learned = next_fit_samples(n_learned)
            due_samples.append(n_learned + FIT_DELAY_SAMPLES)
        while n_in_use < len(fits) and start + due_samples[n_in_use] - learned_before <= stop:
            due_at = outcome_at[start + due_samples[n_in_use] - learned_before - 1]
            fits[n_in_use] = fits[n_in_use]._replace(from_row=int(due_at))
            n_in_use += 1
    return fits


def merge_fits(fits: Sequence[PlannedFit]) -> tuple[Ints, list[int], Ints]:
    """Merge consecutive fits, to learn from them together.

    Return the rows of their samples, where each fit's samples begin among them, and the rows of the books that
    show their outcomes.
    """
    starts = np.cumsum([0, *(len(fit.samples) for fit in fits[:-1])]).tolist()
    rows = np.concatenate([fit.books for fit in fits])
    first = int(rows.min())
    is_needed = np.zeros(int(rows.max()) + 1 - first, dtype=bool)
    is_needed[rows - first] = True
    return np.concatenate([fit.samples for fit in fits]), starts, np.flatnonzero(is_needed) + first


def _first_in_slots(market_ns: Ints, length_ns: int) -> Ints:
    """Return the rows that are the first in their slot of time.

    >>> _first_in_slots(np.array([3, 4, 10, 19, 35]), 10).tolist()
    [0, 2, 4]
    """
    return np.flatnonzero(np.diff(market_ns // length_ns, prepend=-1))


def _iter_stretches(numbers: Ints) -> Iterator[tuple[int, int]]:
    """Yield where each stretch of equal numbers starts and stops."""
    edges = [*np.flatnonzero(np.diff(numbers, prepend=-1)).tolist(), len(numbers)]
    yield from pairwise(edges)
