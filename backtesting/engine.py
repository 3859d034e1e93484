"""Price orders on every book of a recording, block by block, in memory that does not grow."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Literal, NamedTuple

import numpy as np

from backtesting.book_arrays import BookArrays
from backtesting.book_cache import OnRead, RecordingSource, open_books
from backtesting.cache_folder import BookCache
from estimation.book_loop import observe_books, price_books
from estimation.estimate import ROW
from estimation.features import BOOK_STATE, LAST_SECOND, MARKET, make_room
from estimation.model_record import MODEL
from estimation.model_state import ModelState, initial_state
from estimation.online_learner import OnlineLearner, SampleBlocks
from estimation.order import Order, OrderError, base_quantity
from estimation.order_terms import make_terms
from estimation.realised import QUOTE, TRACKER
from estimation.scorecard import Scorecard
from estimation.training_schedule import GAP_NS, PlannedFit, merge_fits, plan_fits
from models import ModelError
from numerics.arrays import Ints, Records, join_records
from orderbook import Levels, Side
from orderbook.batch import BookBatch, SideBatch

BLOCK_ROWS = 4096
"""Books priced together: few enough for their numbers to stay in the processor's cache."""

_CLOCK_ROWS = 2**16
"""Times compared at once in the search for a clock that steps back: few enough to bound its memory."""


class Step(NamedTuple):
    """The progress of a backtest after one step of work.

    stage: whether books are parsed ("reading") or priced. done: books read or priced so far. total: books of the
    recording; None while they are read, because it is not known yet. block: the estimates that this step made;
    None while books are read.
    """

    stage: Literal["reading", "pricing"]
    done: int
    total: int | None
    block: PricedBlock | None


class PricedBlock(NamedTuple):
    """The estimates of one order on n consecutive books, with their outcomes.

    order_index: the order's place among the orders of the backtest. first_book: the place of the first book in the
    recording. rows: (n,) of estimation.estimate.ROW. scorecard: of the model state at the
    last book.
    """

    order_index: int
    first_book: int
    rows: Records
    scorecard: Scorecard


def run_steps(
    source: RecordingSource, orders: Sequence[Order], cache: BookCache, on_read: OnRead = lambda _bytes: None
) -> Generator[Step, None, None]:
    """Run a backtest of the orders and yield its progress and its blocks, as `price_blocks` makes them.

    The generator may be iterated on any thread and closed at any time. cache: where the parsed books are kept.
    Raises OSError, RecordingError, OrderError, ModelError, and what on_read raises.
    """
    with closing(open_books(source, cache, on_read)) as opened:
        for books in opened:
            if isinstance(books, int):
                yield Step("reading", books, None, None)
                continue
            for block in price_blocks(books, orders, source.contract_size, daily_volume=source.daily_volume):
                yield Step("pricing", block.first_book + len(block.rows), len(books), block)


def price_blocks(
    books: BookArrays,
    orders: Sequence[Order],
    contract_size: float | None,
    fixed_state: ModelState | None = None,
    daily_volume: float | None = None,
) -> Iterator[PricedBlock]:
    """Price every order on every book; yield each block of books once for each order, in the orders' sequence.

    The numbers are those of TradingCalculator.estimate and realised on the same books, learning included. The orders
    must share latency_s and passive_s, because what the models learn depends on both; their sizes may differ.
    contract_size: base units a contract; None where nothing is counted in contracts of a fixed size. fixed_state:
    the model state to use on every book, without any learning; None means to learn. daily_volume: as the calculator's.
    Raises OrderError, ModelError.
    """
    if len({(order.latency_s, order.passive_s) for order in orders}) != 1:
        raise OrderError("orders priced together must share their latency and their waiting time")
    if contract_size is None and any(order.unit == "contracts" for order in orders):
        raise OrderError("nothing is counted in contracts of a fixed size here; give the size in base or quote units")
    start = 0
    while start < len(books):
        stop = _find_step_back(books.clock, start)
        segment = _Segment(books, start, stop, orders[0], fixed_state)
        yield from segment.price_blocks(orders, contract_size or 1.0, daily_volume)
        start = stop


def _find_step_back(clock: Ints, start: int) -> int:
    """Return the first row after `start` whose market_ns is below that of the row before; len(clock) if none is."""
    for first in range(start, len(clock), _CLOCK_ROWS):
        # One row more than a chunk, so that no pair of neighbours falls between two chunks.
        is_back = np.diff(clock[first : first + _CLOCK_ROWS + 1, 0]) < 0
        if is_back.any():
            return first + 1 + int(is_back.argmax())
    return len(clock)


class _MappedWindow:
    """Books `first` to `stop` (excluded) of a recording, mapped into memory while they are needed."""

    def __init__(self, books: BookArrays, first: int, stop: int) -> None:
        self.first = first
        sides = [books.read_side(side, first, stop) for side in (Side.BUY, Side.SELL)]
        self.sides = sides
        self.market_ns = np.array(books.clock[first:stop, 0])
        touch = np.stack([side.best_levels() for side in sides])
        self.is_after_gap = np.diff(self.market_ns, prepend=self.market_ns[:1]) > GAP_NS
        asks, bids = sides
        self.arrays = (self.market_ns, *_starts(bids), *_starts(asks), self.is_after_gap)
        # Nothing here refers back to the window, so it is unmapped as soon as its last user drops it.
        self.books = BookBatch(self.market_ns, touch, lambda side, rows: sides[side].take(rows))


def _starts(side: SideBatch) -> tuple[Levels, Ints]:
    """Return the levels of consecutive books, and where each book's begin: one more, for the end."""
    return side.levels, np.append(side.begins, side.ends[-1:])


class _Segment:
    """Consecutive books of a recording among which time never steps back; the models learn from them as one.

    Model state number k is the state after the first k fits took effect.
    """

    def __init__(self, books: BookArrays, start: int, stop: int, order: Order, fixed_state: ModelState | None) -> None:
        """Plan the fits of the segment.

        Args:
            books: all books of the recording.
            start: the first book of the segment.
            stop: the first book after it.
            order: any order that is to be priced; all share its latency_s and passive_s.
            fixed_state: the model state of every book, without any fit; None means to learn.
        """
        self._books, self._start, self._stop = books, start, stop
        self._latency_s, self._passive_s = order.latency_s, order.passive_s
        self._market: Records = np.zeros(1, MARKET)
        self._last_second: Records = np.zeros(BLOCK_ROWS, LAST_SECOND)
        self._learner = OnlineLearner(order.latency_s, order.passive_s)
        market_ns = np.array(books.clock[start:stop, 0])
        self._fits: list[PlannedFit] = (
            [] if fixed_state is not None else plan_fits(market_ns, order.latency_s, order.passive_s)
        )
        effect_rows = [fit.from_row for fit in self._fits if fit.from_row is not None]
        no_rows = np.zeros(0, dtype=np.int64)
        # Planned fits count rows from the start of the segment; these two count them from that of the recording.
        self._effect_rows = np.array(effect_rows, dtype=np.int64) + start
        self._sample_rows = np.concatenate([fit.samples for fit in self._fits] or [no_rows]) + start
        self._states: dict[int, ModelState] = {} if fixed_state is None else {0: fixed_state}
        self._n_fitted = 0
        self._pending: list[Records] = []  # the states of the samples that wait for their fit, an array a block

    def price_blocks(
        self, orders: Sequence[Order], contract_size: float, daily_volume: float | None = None
    ) -> Iterator[PricedBlock]:
        """Price the orders, each block of books once for each order. contract_size: base units a contract."""
        for first in range(self._start, self._stop, BLOCK_ROWS):
            stop = min(first + BLOCK_ROWS, self._stop)
            window = _MappedWindow(self._books, min(first, self._first_needed()), self._find_outcomes_end(stop))
            # The window does not hold the book before its first one.
            if window.first > self._start:
                window.is_after_gap[0] = window.market_ns[0] - self._books.clock[window.first - 1, 0] > GAP_NS
            begin, end = first - window.first, stop - window.first
            book_states = self._observe(window, begin, end)
            # Learning comes first, because fits may take effect within this block.
            self._learn(first, stop, book_states, window)
            numbers = self._state_numbers(np.arange(first, stop))
            states = (self._states[number] for number in range(int(numbers[0]), int(numbers[-1]) + 1))
            models = join_records((state.record for state in states), MODEL)
            scorecard = self._states[int(numbers[-1])].scorecard
            exchange_ns = np.array(self._books.clock[first:stop, 1])
            for index, order in enumerate(orders):
                rows = np.zeros(end - begin, ROW)
                n_priced = price_books(
                    *window.arrays,
                    begin,
                    end,
                    exchange_ns,
                    book_states,
                    models,
                    numbers - numbers[0],
                    make_terms(order, contract_size, daily_volume),
                    rows,
                    np.zeros(1, ROW),
                    np.zeros(1, TRACKER),
                    np.zeros(end - begin, QUOTE),
                )
                if n_priced < len(rows):
                    quantity = base_quantity(order, book_states[n_priced]["mid"].item(), contract_size)
                    raise ModelError(
                        f"the cost is beyond the largest number: quantity {quantity}, horizon {order.horizon_s}"
                    )
                yield PricedBlock(index, first, rows, scorecard)

    def _observe(self, window: _MappedWindow, begin: int, end: int) -> Records:
        """Return the states of the window's books begin to end (excluded)."""
        book_states = np.zeros(end - begin, BOOK_STATE)
        done = begin
        while done < end:
            done = observe_books(
                *window.arrays, done, end, self._market, self._last_second, book_states[done - begin :]
            )
            if done < end:
                self._last_second = make_room(self._market, self._last_second)
        return book_states

    def _find_outcomes_end(self, stop: int) -> int:
        """Return the end of the books that show the outcome of every order decided on before book `stop`."""
        market_ns = self._books.clock[:, 0]
        until_ns = market_ns[stop - 1] + round(self._latency_s * 1e9) + round(self._passive_s * 1e9)
        for first in range(stop, self._stop, BLOCK_ROWS):
            is_later = market_ns[first : min(first + BLOCK_ROWS, self._stop)] > until_ns
            if is_later.any():
                return first + int(is_later.argmax()) + 1
        return self._stop

    def _first_needed(self) -> int:
        """Return the first book that the next fit learns from; the end of the segment if no fit is left."""
        if self._n_fitted == len(self._fits):
            return self._stop
        return int(self._fits[self._n_fitted].books[0]) + self._start

    def _learn(self, first: int, stop: int, book_states: Records, window: _MappedWindow) -> None:
        """Make every fit whose outcomes are shown before book `stop`.

        Args:
            first: the first book of the block.
            stop: the first book after it.
            book_states: (stop - first,) of BOOK_STATE, of the block.
            window: the block's books, with all that the fits learn from.
        """
        if not self._states:
            self._states[0] = initial_state(book_states.view(np.recarray)[0], self._latency_s, self._passive_s)
        sample_begin, sample_end = np.searchsorted(self._sample_rows, (first, stop))
        samples_of_block = self._sample_rows[sample_begin:sample_end] - first
        self._pending.append(book_states[samples_of_block])
        n_ready = self._n_fitted
        while n_ready < len(self._fits) and self._fits[n_ready].books[-1] + self._start < stop:
            n_ready += 1
        if n_ready == self._n_fitted:
            return
        samples, starts, outcome_books = merge_fits(self._fits[self._n_fitted : n_ready])
        # The oldest pending samples are those of the fits that are ready; the others wait for a later block.
        pending = np.concatenate(self._pending)
        sampled = pending[: len(samples)].view(np.recarray)
        self._pending = [pending[len(samples) :]]
        numbers = self._state_numbers(samples + self._start)
        oldest = int(numbers[0])
        states = [self._states[number] for number in range(oldest, self._n_fitted + 1)]
        books = window.books.take(outcome_books + self._start - window.first)
        learned = self._learner.learn(SampleBlocks(sampled, starts, states, numbers - oldest, books))
        self._states.update(enumerate(learned, self._n_fitted + 1))
        self._n_fitted = n_ready
        # A state is dropped once neither this block nor a sample that waits for its fit was priced by it.
        oldest_used = int(self._state_numbers(np.array(min(first, self._first_needed()))))
        for number in [number for number in self._states if number < oldest_used]:
            del self._states[number]

    def _state_numbers(self, rows: Ints) -> Ints:
        """Return the number of the model state in effect at each of these books of the recording."""
        return np.searchsorted(self._effect_rows, rows, side="right")
