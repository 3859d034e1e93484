"""Compute the training rows of both models, and the outcomes of orders and quotes, from blocks of samples."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from estimation.features import MAKER_COLUMNS, SLIPPAGE_COLUMNS, order_features
from estimation.labels import Labels
from estimation.model_record import LARGEST, SMALLEST, STRATA
from numerics.arrays import Floats, Ints, Records
from numerics.jit import jit
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
            book_states: (n,) of BOOK_STATE as a recarray, one row a sample.
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
        # Orders beyond the visible book must not be learned from: as zeros they count for nothing.
        orders[-1] = residual * inside
        self._quotes: Floats = np.empty((len(MAKER_COLUMNS), n, 2))
        states = book_states.view(np.ndarray)
        set_columns(states, *typical, self._passive_s, quantity, walk_then, orders, self._quotes)
        self._orders: Floats = orders.reshape(-1, n, SIZES)
        self._residual: Floats = residual.reshape(n, SIZES)

    def _compute_quotes(self, labels: Labels) -> None:
        """Compute the rows and sums of a quote at each side's touch. All arrays are (samples, sides)."""
        book_states, typical, starts = self._book_states, self._typical, self._starts
        crossed = labels.crossed
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


@jit
def set_columns(
    states: Records,
    depth_1: Floats,
    depth_10: Floats,
    slope: Floats,  # noqa: ARG001 - one of the columns of what is typical
    volatility_bps: Floats,
    passive_s: float,
    quantity: Floats,
    excess_walk_bps: Floats,
    orders: Floats,
    quotes: Floats,
) -> None:
    """Fill the columns of X of both models for n samples.

    Args:
        states: (n,) of BOOK_STATE.
        depth_1: (n,), the typical size at the touch by each sample's model state, base units.
        depth_10: (n,), the typical depth of the top 10 levels, base units.
        slope: (n,), not used; it stands between its neighbours in TypicalAtSamples.
        volatility_bps: (n,), standard deviation of one second's return.
        passive_s: how long a quote waits.
        quantity: (n, 2, STRATA), of orders that buy, then sell, base units.
        excess_walk_bps: of the same shape, the average price paid beyond the best.
        orders: (k + 2, n, 2, STRATA), whose first row says whether the visible book holds the order.
        quotes: (columns of MakerTakerModel, n, 2).
    """
    for sample in range(len(states)):
        for side in range(2):
            for size in range(quantity.shape[2]):
                features = order_features(
                    1.0 - 2.0 * side,
                    states[sample],
                    depth_1[sample],
                    depth_10[sample],
                    volatility_bps[sample],
                    passive_s,
                    quantity[sample, side, size],
                    excess_walk_bps[sample, side, size],
                )
                inside = orders[0, sample, side, size]
                for column in range(len(SLIPPAGE_COLUMNS)):
                    orders[1 + column, sample, side, size] = features[column] * inside
            quotes[0, sample, side] = features[2]
            quotes[1, sample, side] = features[3]
            quotes[2, sample, side] = features[4]
            quotes[3, sample, side] = features[8]
            quotes[4, sample, side] = features[9]
