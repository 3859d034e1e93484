"""Compute the training rows of both models, and the outcomes of orders and quotes, from blocks of samples."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from estimation.features import MAKER_COLUMNS, SLIPPAGE_COLUMNS, BookState, Features, order_features
from estimation.labels import Labels
from estimation.model_state import LARGEST, SMALLEST, STRATA
from numerics.arrays import Floats, Ints
from orderbook.batch import AGGRESSOR_SIGNS, BookBatch, walk_sizes

SIZES = 2 * STRATA
"""Orders learned from at each sample: one of each size class on both sides."""

# Multiples of an irrational number, modulo 1, fill the unit interval evenly; each side and class has its own.
_ROOTS = np.sqrt([2.0, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37]).reshape(2, STRATA)
_LOG_STEP = math.log(LARGEST / SMALLEST) / STRATA


class TypicalAtSamples(NamedTuple):
    """What was typical by the model state of each of n samples: numbers of a ModelState as (n,) columns."""

    depth_1: Floats
    depth_10: Floats
    slope: Floats
    volatility_bps: Floats


class QuoteSums(NamedTuple):
    """Counts and sums over the quotes of one block.

    crossed: quotes that were crossed. touched: those of `waited` whose queue shrank. waited: quotes that were neither
    crossed nor marketable on arrival. moved: sum of the mid's moves away from quotes that were not crossed, bps, and
    uncrossed: how many those are.
    """

    crossed: float
    touched: float
    waited: float
    moved: float
    uncrossed: float


class TrainingBlock(NamedTuple):
    """Training rows of one block of n samples, before any model is asked.

    Arrays of orders are (..., n, SIZES): all size classes buying, then all selling. Arrays of quotes are (..., n, 2):
    buying and selling.

    orders (k + 2, n, SIZES): 1, the k columns of SlippageModel's X, and the residual; zeros beyond the visible book.
    residual (n, SIZES): outcome less book walk, bps, also beyond the visible book.
    quotes (k, n, 2): the columns of MakerTakerModel's X.
    crossed (n, 2): 0 or 1.
    offered (n, 2): quantity offered to crossed quotes, in typical sizes at the touch; 0 for the others.
    moved (n, 2): how far the mid moved away from the quote, bps.
    sums: over the block's quotes.
    """

    orders: Floats
    residual: Floats
    quotes: Floats
    crossed: Floats
    offered: Floats
    moved: Floats
    sums: QuoteSums


class TrainingData:
    """The training blocks of consecutive samples, computed together: more samples at once cost less a sample.

    Each block is the same as if it were computed alone. Iterate to get them in order.
    """

    def __init__(
        self,
        book_states: Any,
        starts: Ints,
        typical: TypicalAtSamples,
        books: BookBatch,
        n_learned: int,
        latency_s: float,
        passive_s: float,
    ) -> None:
        """Compute all blocks.

        Args:
            book_states: a BookState of (n,) columns, one row a sample.
            starts: where each block begins, the first at 0.
            typical: what was typical by each sample's model state.
            books: every book from the first sample to the last outcome.
            n_learned: samples learned from before these; the orders' sizes continue from there.
            latency_s: time until an order arrives.
            passive_s: time that a quote waits after its arrival.
        """
        self._book_states = book_states
        self._starts = starts
        self._typical = typical
        self._passive_s = passive_s
        labels = Labels.from_books(book_states, books, latency_s, passive_s)
        self._compute_orders(books, n_learned, labels)
        self._compute_quotes(labels)

    def __iter__(self) -> Iterator[TrainingBlock]:
        for (start, stop), sums in zip(pairwise([*self._starts.tolist(), None]), self._sums.tolist(), strict=True):
            rows = slice(start, stop)
            yield TrainingBlock(
                orders=self._orders[:, rows],
                residual=self._residual[rows],
                quotes=self._quotes[:, rows],
                crossed=self._crossed[rows],
                offered=self._offered[rows],
                moved=self._moved[rows],
                sums=QuoteSums(*sums),
            )

    def _compute_orders(self, books: BookBatch, n_learned: int, labels: Labels) -> None:
        """Walk an order of each size class and side through the book decided on and the book met.

        All arrays are (samples, sides, sizes).
        """
        book_states, typical = self._book_states, self._typical
        decided_at, arrived_at = labels.decided_at, labels.arrived_at
        n = len(book_states.mid)
        # One size within each class, spread evenly over the class from sample to sample.
        position = np.arange(n_learned, n_learned + n)[:, None, None] * _ROOTS
        position += np.arange(STRATA) - np.floor(position)
        quantity = typical.depth_10[:, None, None] * SMALLEST * np.exp(_LOG_STEP * position)
        # Only the books that are walked are copied, each of them once.
        is_walked = np.zeros(len(books.market_ns), dtype=bool)
        is_walked[decided_at] = is_walked[arrived_at] = True
        walked = np.flatnonzero(is_walked)
        place = np.cumsum(is_walked) - 1
        shape = (n, 2, STRATA)
        orders = np.empty((len(SLIPPAGE_COLUMNS) + 2, *shape))
        walk_then, walk_later, inside = np.empty(shape), np.empty(shape), orders[0]
        for side in (0, 1):
            levels = books.sides(side, walked)
            sizes = quantity[:, side]
            walk_then[:, side], inside[:, side] = walk_sizes(*levels, place[decided_at], sizes, typical.slope)
            walk_later[:, side], _ = walk_sizes(*levels, place[arrived_at], sizes, typical.slope)
        to_bps = (1e4 / book_states.mid)[:, None]
        best = books.touch[:, :, 0].T
        drift_bps = AGGRESSOR_SIGNS * (best[arrived_at] - best[decided_at]) * to_bps
        # In place: fresh memory costs as much as the work done in it.
        walk_then *= to_bps[:, None]
        walk_later *= to_bps[:, None]
        walk_later += drift_bps[:, :, None]
        residual = walk_later
        residual -= walk_then
        depth = np.column_stack((book_states.ask_depth, book_states.bid_depth))
        features = self._features((-1, 1, 1), depth[:, :, None], 1.0, quantity, walk_then)
        for row, column in zip(orders[1:], (*features.slippage_columns(), residual), strict=True):
            row[...] = column
        # Orders beyond the visible book must not be learned from: as zeros they count for nothing.
        orders[1:] *= inside
        self._orders: Floats = orders.reshape(-1, n, SIZES)
        self._residual: Floats = residual.reshape(n, SIZES)

    def _compute_quotes(self, labels: Labels) -> None:
        """Compute the rows and sums of a quote at each side's touch. All arrays are (samples, sides)."""
        book_states, typical, starts = self._book_states, self._typical, self._starts
        crossed = labels.crossed
        queue = np.column_stack((book_states.bid_size, book_states.ask_size))
        self._quotes: Floats = np.empty((len(MAKER_COLUMNS), *queue.shape))
        features = self._features((-1, 1), 1.0, queue, 1.0, 0.0)
        for row, column in zip(self._quotes, features.maker_columns(), strict=True):
            row[...] = column
        lengths = np.diff(starts, append=len(book_states.mid))
        depth_1 = np.repeat(np.add.reduceat(typical.depth_1, starts) / lengths, lengths)
        self._crossed: Floats = crossed.astype(np.float64)
        self._offered: Floats = labels.quantity_offered / depth_1[:, None]
        self._moved: Floats = AGGRESSOR_SIGNS * (labels.mid_after / book_states.mid[:, None] - 1) * 1e4
        waited = ~(crossed | labels.marketable_on_arrival)
        # In the order of QuoteSums.
        summed = (crossed, waited & labels.touched, waited, np.where(crossed, 0.0, self._moved), ~crossed)
        per_sample = [values.sum(axis=1, dtype=np.float64) for values in summed]
        self._sums: Floats = np.add.reduceat(per_sample, starts, axis=1).T

    def _features(
        self, shape: tuple[int, ...], depth: Any, queue: Any, quantity: Any, excess_walk_bps: Any
    ) -> Features:
        """Return the features of the samples' orders or quotes, broadcast over sides and sizes.

        Args:
            shape: the shape of a column of samples among these arrays: (-1, 1) or (-1, 1, 1).
            depth: of the top 10 levels that the order takes from, base units.
            queue: size at the touch that the quote joins, base units.
            quantity: of the order, base units.
            excess_walk_bps: the walk's average price beyond the best.
        """
        depth_1, depth_10, _, volatility_bps = (column.reshape(shape) for column in self._typical)
        book_states = BookState(*(column.reshape(shape) for column in self._book_states))
        signs = AGGRESSOR_SIGNS.reshape(-1, *shape[2:])
        return order_features(
            np.log,
            signs,
            book_states,
            depth,
            queue,
            quantity,
            excess_walk_bps,
            depth_1,
            depth_10,
            volatility_bps,
            self._passive_s,
        )
