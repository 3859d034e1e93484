"""What blocks of samples teach before any model is asked: rows for both models, and what came of orders and quotes."""

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

_ROOTS = np.sqrt([2.0, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37]).reshape(2, STRATA)
_LOG_STEP = math.log(LARGEST / SMALLEST) / STRATA


class TypicalAtSamples(NamedTuple):
    """What was known to be usual at each of n samples: estimation.model_state.Knowledge's numbers, as (n,) columns."""

    depth_1: Floats
    depth_10: Floats
    slope: Floats
    volatility_bps: Floats


class TrainingBlock(NamedTuple):
    """Of the n samples of one block, all that follows from the books and from what was usual.

    Of orders, buying in all size classes and then selling, (..., n, SIZES). orders: 1, the columns of SlippageModel's
    X, and outcome less book walk, bps; all zeros for those beyond the visible book. residual: outcome less book walk,
    of those, too. Of quotes, buying and selling,
    (..., n, 2). quotes: the columns of MakerTakerModel's X. crossed: 0 or 1. offered: to those that were crossed, in
    usual sizes at the touch. moved: how far the mid went from the others, bps. sums: how many were crossed; were
    touched, of those neither crossed nor late, and how many those are; all that the mid went from those not
    crossed, and how many those are.
    """

    orders: Floats
    residual: Floats
    quotes: Floats
    crossed: Floats
    offered: Floats
    moved: Floats
    sums: tuple[float, ...]


class TrainingData:
    """The lessons of blocks of samples that begin at `starts`, worked out together: the more samples at once, the fewer
    steps a sample. Each is the same as if it were alone.

    now: a Moment of (n,) columns. before: how many samples were learned from before these.
    """

    def __init__(
        self,
        now: Any,
        starts: Ints,
        usual: TypicalAtSamples,
        books: BookBatch,
        before: int,
        latency_s: float,
        passive_s: float,
    ) -> None:
        self._now, self._starts, self._usual, self._passive_s = now, starts, usual, passive_s
        outcomes = Labels.from_books(now, books, latency_s, passive_s)
        self._walk(books, before, outcomes)
        self._wait(outcomes)

    def __iter__(self) -> Iterator[TrainingBlock]:
        for (start, stop), sums in zip(pairwise([*self._starts.tolist(), None]), self._sums.tolist(), strict=True):
            rows = slice(start, stop)
            of_quotes = self._quotes[:, rows], self._crossed[rows], self._offered[rows], self._moved[rows]
            yield TrainingBlock(self._orders[:, rows], self._residual[rows], *of_quotes, tuple(sums))

    def _walk(self, books: BookBatch, before: int, outcomes: Labels) -> None:
        """All arrays are (samples, sides, sizes)."""
        now, usual, seen, met = self._now, self._usual, outcomes.decided_at, outcomes.arrived_at
        n = len(now.mid)
        position = np.arange(before, before + n)[:, None, None] * _ROOTS
        position += np.arange(STRATA) - np.floor(position)
        quantity = usual.depth_10[:, None, None] * SMALLEST * np.exp(_LOG_STEP * position)
        walked = np.zeros(len(books.market_ns), dtype=bool)
        walked[seen] = walked[met] = True
        chosen, place = np.flatnonzero(walked), np.cumsum(walked) - 1
        shape = (n, 2, STRATA)
        orders = np.empty((len(SLIPPAGE_COLUMNS) + 2, *shape))
        excess, later, inside = np.empty(shape), np.empty(shape), orders[0]
        for side in (0, 1):
            ladders, wanted = books.sides(side, chosen), quantity[:, side]
            excess[:, side], inside[:, side] = walk_sizes(*ladders, place[seen], wanted, usual.slope)
            later[:, side], _ = walk_sizes(*ladders, place[met], wanted, usual.slope)
        to_bps, best = (1e4 / now.mid)[:, None], books.touch[:, :, 0].T
        drift = AGGRESSOR_SIGNS * (best[met] - best[seen]) * to_bps
        excess *= to_bps[:, None]
        later *= to_bps[:, None]
        later += drift[:, :, None]
        later -= excess
        depth = np.column_stack((now.ask_depth, now.bid_depth))
        columns = self._columns((-1, 1, 1), depth[:, :, None], 1.0, quantity, excess).slippage_columns()
        for row, column in zip(orders[1:], (*columns, later), strict=True):
            row[...] = column
        orders[1:] *= inside
        self._orders: Floats = orders.reshape(-1, n, SIZES)
        self._residual: Floats = later.reshape(n, SIZES)

    def _wait(self, outcomes: Labels) -> None:
        """All arrays are (samples, sides)."""
        now, usual, starts = self._now, self._usual, self._starts
        crossed = outcomes.crossed
        queue = np.column_stack((now.bid_size, now.ask_size))
        self._quotes: Floats = np.empty((len(MAKER_COLUMNS), *queue.shape))
        columns = self._columns((-1, 1), 1.0, queue, 1.0, 0.0).maker_columns()
        for row, column in zip(self._quotes, columns, strict=True):
            row[...] = column
        lengths = np.diff(starts, append=len(now.mid))
        depth_1 = np.repeat(np.add.reduceat(usual.depth_1, starts) / lengths, lengths)
        self._crossed: Floats = crossed.astype(np.float64)
        self._offered: Floats = outcomes.quantity_offered / depth_1[:, None]
        self._moved: Floats = AGGRESSOR_SIGNS * (outcomes.mid_after / now.mid[:, None] - 1) * 1e4
        waited = ~(crossed | outcomes.marketable_on_arrival)
        each = (crossed, waited & outcomes.touched, waited, np.where(crossed, 0.0, self._moved), ~crossed)
        self._sums: Floats = np.add.reduceat([part.sum(axis=1, dtype=np.float64) for part in each], starts, axis=1).T

    def _columns(self, shape: tuple[int, ...], depth: Any, queue: Any, quantity: Any, excess: Any) -> Features:
        """What is known of samples, given this shape, beside what is known of orders or quotes."""
        depth_1, depth_10, _, volatility_bps = (column.reshape(shape) for column in self._usual)
        moment = BookState(*(column.reshape(shape) for column in self._now))
        sign = AGGRESSOR_SIGNS.reshape(-1, *shape[2:])
        return order_features(
            np.log, sign, moment, depth, queue, quantity, excess, depth_1, depth_10, volatility_bps, self._passive_s
        )
