"""What an order would have cost at every book of a recording, block by block, in memory that does not grow."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from backtesting.book_cache import BookArrays, OnRead, RecordingSource, open_books
from estimation.batch.estimates import Columns, Known, price
from estimation.batch.features import BatchFeatureExtractor
from estimation.batch.realised import realised
from estimation.features import BookState
from estimation.model_state import ModelState, initial_state
from estimation.online_learner import OnlineLearner, SampleBlocks
from estimation.order import Order, OrderError
from estimation.scorecard import Scorecard
from estimation.training_schedule import GAP_NS, PlannedFit, merge_fits, plan_fits
from numerics.arrays import Ints
from orderbook import Side
from orderbook.batch import BookBatch, SideBatch

BLOCK_ROWS = 4096
"""Books priced together: few enough for their numbers to stay in the processor's cache."""


class Step(NamedTuple):
    """How far a backtest is: books read, of a total nobody knows (None), or priced; and the estimates just made."""

    stage: Literal["reading", "pricing"]
    done: int
    total: int | None
    priced: PricedBlock | None


class PricedBlock(NamedTuple):
    """One order's estimates on consecutive books, and what became of them.

    order: which of the orders. first: which book of the recording is the first. columns: as export_rows keeps
    them, (n,) each. scorecard: of what was known at the last of them.
    """

    order: int
    first: int
    columns: Columns
    scorecard: Scorecard


def run_steps(
    source: RecordingSource, orders: Sequence[Order], cache: Path | None = None, on_read: OnRead = lambda _bytes: None
) -> Generator[Step, None, None]:
    """A backtest of the orders, as `price_blocks` makes it, to be iterated on any thread and closed at any time.

    cache: the folder where the parsed books are kept; None is beside the recording. Raises OSError,
    RecordingError, OrderError, ModelError, and what on_read raises.
    """
    with closing(open_books(source, cache, on_read)) as opened:
        for books in opened:
            if isinstance(books, int):
                yield Step("reading", books, None, None)
                continue
            for block in price_blocks(books, orders, source.contract_size):
                yield Step("pricing", block.first + len(block.columns["mid"]), len(books), block)


def price_blocks(
    books: BookArrays, orders: Sequence[Order], contract_size: float | None, known: ModelState | None = None
) -> Iterator[PricedBlock]:
    """Every order priced on every book, block by block, the orders taking turns.

    The numbers of TradingCalculator.estimate and realised on the same books, learning included. The orders
    must share latency_s and passive_s, by which what is learned differs; their sizes may not. known: what is known
    throughout, and nothing is learned; None is the rule. Raises OrderError, ModelError.
    """
    if len({(order.latency_s, order.passive_s) for order in orders}) != 1:
        raise OrderError("orders priced together must share their latency and their waiting time")
    if contract_size is None and any(order.unit == "contracts" for order in orders):
        raise OrderError("nothing is counted in contracts of a fixed size here; give the size in base or quote units")
    start = 0
    while start < len(books):
        stop = _steps_back(books.clock, start)
        yield from _Segment(books, start, stop, orders[0], known).priced(orders, contract_size or 1.0)
        start = stop


def _steps_back(clock: Ints, start: int) -> int:
    """The first book after `start` that is earlier than the one before it."""
    for first in range(start, len(clock), 2**16):
        back = np.diff(clock[first : first + 2**16 + 1, 0]) < 0
        if back.any():
            return first + 1 + int(back.argmax())
    return len(clock)


class _MappedWindow:
    """Books first to last (excluded) of a recording, mapped while they are needed."""

    def __init__(self, books: BookArrays, first: int, last: int) -> None:
        self.first = first
        sides = [books.side(side, first, last) for side in (Side.BUY, Side.SELL)]
        self.sides = sides
        self.market_ns = np.array(books.clock[first:last, 0])
        touch = np.stack([side.best_levels() for side in sides])
        # Nothing here refers back to the window: it is unmapped the moment that it is let go.
        self.books = BookBatch(self.market_ns, touch, lambda side, rows: sides[side].take(rows))

    def side(self, side: Side) -> SideBatch:
        return self.sides[0 if side is Side.BUY else 1]


class _Segment:
    """Books start to stop of a recording, among which time does not step back: learned from as one."""

    def __init__(self, books: BookArrays, start: int, stop: int, like: Order, known: ModelState | None) -> None:
        self._books, self._start, self._stop, self._like = books, start, stop, like
        self._observer = BatchFeatureExtractor()
        self._learner = OnlineLearner(like.latency_s, like.passive_s)
        market_ns = np.array(books.clock[start:stop, 0])
        self._turns: list[PlannedFit] = (
            [] if known is not None else plan_fits(market_ns, like.latency_s, like.passive_s)
        )
        used = [turn.from_row for turn in self._turns if turn.from_row is not None]
        self._from_rows = np.array(used, dtype=np.int64) + start
        self._samples = np.concatenate([turn.samples for turn in self._turns] or [self._from_rows]) + start
        # By how many fits were in use before it; those that no waiting sample was priced by are forgotten.
        self._knowledge: dict[int, ModelState] = {} if known is None else {0: known}
        self._learned = 0
        self._waiting: list[Any] = []  # the samples' moments, of blocks of books

    def priced(self, orders: Sequence[Order], contract_size: float) -> Iterator[PricedBlock]:
        for first in range(self._start, self._stop, BLOCK_ROWS):
            last = min(first + BLOCK_ROWS, self._stop)
            window = _MappedWindow(self._books, min(first, self._needed()), self._outlook(last))
            offset = first - window.first
            rows = slice(offset, last - window.first)
            market_ns = window.market_ns[rows]
            breaks = np.flatnonzero(np.diff(window.market_ns) > GAP_NS) + 1
            fresh = np.isin(np.arange(rows.start, rows.stop), breaks)
            if first > self._start and offset == 0:
                fresh[0] = market_ns[0] - self._books.clock[first - 1, 0] > GAP_NS
            asks, bids = window.sides
            moment = self._observer.extract(market_ns, fresh, bids.take(rows), asks.take(rows))
            self._learn(first, last, moment, window)
            known = Known(self._known_at(np.arange(first, last)))
            scorecard = self._knowledge[int(np.searchsorted(self._from_rows, last - 1, side="right"))].scorecard
            ends = np.append(breaks, len(window.market_ns))[
                np.searchsorted(breaks, np.arange(rows.start, rows.stop), side="right")
            ]
            exchange_ns = np.array(self._books.clock[first:last, 1])
            for number, order in enumerate(orders):
                side = window.side(order.side)
                columns = price(order, contract_size, market_ns, exchange_ns, moment, known, side.take(rows))
                slippage, maker = realised(order, columns["quantity_base"], window.books, side, offset, ends)
                columns |= {"realised_slippage_bps": slippage, "realised_maker": maker}
                yield PricedBlock(number, first, columns, scorecard)

    def _outlook(self, last: int) -> int:
        """As far as the books before `last` must be followed to see what becomes of them."""
        clock = self._books.clock[:, 0]
        until = clock[last - 1] + round(self._like.latency_s * 1e9) + round(self._like.passive_s * 1e9)
        for first in range(last, self._stop, BLOCK_ROWS):
            later = clock[first : min(first + BLOCK_ROWS, self._stop)] > until
            if later.any():
                return first + int(later.argmax()) + 1
        return self._stop

    def _needed(self) -> int:
        """The first book that the next fit learns from."""
        if self._learned == len(self._turns):
            return self._stop
        return int(self._turns[self._learned].books[0]) + self._start

    def _learn(self, first: int, last: int, moment: Any, window: _MappedWindow) -> None:
        """Learn what these books allow to be learned."""
        if not self._knowledge:
            like = self._like
            self._knowledge[0] = initial_state(
                BookState(*(column[0].item() for column in moment)), like.latency_s, like.passive_s
            )
        begin, end = np.searchsorted(self._samples, (first, last))
        chosen = self._samples[begin:end] - first
        self._waiting.append([column[chosen] for column in moment])
        ready = self._learned
        while ready < len(self._turns) and self._turns[ready].books[-1] + self._start < last:
            ready += 1
        if ready == self._learned:
            return
        waiting = [np.concatenate(columns) for columns in zip(*self._waiting, strict=True)]
        samples, starts, shown = merge_fits(self._turns[self._learned : ready])
        now: list[Any] = [column[: len(samples)] for column in waiting]
        numbers = np.searchsorted(self._from_rows, samples + self._start, side="right")
        known = [self._knowledge[number] for number in range(int(numbers[0]), self._learned + 1)]
        seen = window.books.take(shown + self._start - window.first)
        learned = self._learner.learn(SampleBlocks(BookState(*now), starts, known, numbers - numbers[0], seen))
        self._knowledge.update(enumerate(learned, self._learned + 1))
        self._waiting = [[column[len(samples) :] for column in waiting]]
        self._learned = ready
        oldest = int(np.searchsorted(self._from_rows, min(first, self._needed()), side="right"))
        for number in [number for number in self._knowledge if number < oldest]:
            del self._knowledge[number]

    def _known_at(self, rows: Ints) -> list[tuple[ModelState, int]]:
        """What is known at these books, each piece of knowledge with how many of them in a row."""
        numbers, counts = np.unique(np.searchsorted(self._from_rows, rows, side="right"), return_counts=True)
        return [
            (self._knowledge[number], count) for number, count in zip(numbers.tolist(), counts.tolist(), strict=True)
        ]
