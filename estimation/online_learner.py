"""Learn from blocks of samples in order: score each by the model states in use, then update both models."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np

from estimation.features import SECOND_NS
from estimation.fill_learner import FillLearner
from estimation.market_statistics import MarketStatistics, TypicalMarket
from estimation.model_record import STRATA
from estimation.model_state import ModelState, StateRows
from estimation.saved_learner import LearnedError, SavedLearner
from estimation.scorecard import RunningScores
from estimation.slippage_learner import SlippageLearner
from estimation.training_data import TrainingData, TypicalAtSamples
from numerics.arrays import Ints
from orderbook.batch import BookBatch

SAMPLE_S = 0.1
"""Samples of a market that changes fast enough are so far apart."""

MIN_SPACING_S = 1e-3
"""Samples count as at least this far apart, so that no rate is infinite."""


class SampleBlocks(NamedTuple):
    """Consecutive blocks of n samples whose outcomes are known.

    book_states: a BookState of (n,) columns, market_ns int64. starts: where each block begins, the first at 0.
    states: the model states in use before these blocks. state_index (n,): by which of them each sample was priced;
    numbers beyond them stand for the states that these blocks lead to, in their order. It must not fall. books: every
    book from the first sample to the last outcome.
    """

    book_states: Any
    starts: Sequence[int]
    states: Sequence[ModelState]
    state_index: Ints
    books: BookBatch


class OnlineLearner:
    """Scores and learns blocks in order. The same blocks lead to the same model states, live or in a backtest."""

    def __init__(self, latency_s: float, passive_s: float) -> None:
        self._latency_s = latency_s
        self._passive_s = passive_s
        self._lock = threading.Lock()
        self._samples = 0
        self._market = MarketStatistics()
        self._slippage = SlippageLearner(latency_s)
        self._fill = FillLearner(latency_s, passive_s)
        self._scores = RunningScores(STRATA)

    def learn(self, blocks: SampleBlocks) -> list[ModelState]:
        """Score each block by the model states its samples were priced with, then learn from it.

        Return the model state after each block.
        """
        with self._lock:
            book_states = blocks.book_states
            states = list(blocks.states)
            edges = [*blocks.starts, len(book_states.mid)]
            counts = np.diff(edges).tolist()
            spacings_s = _mean_spacings_s(book_states.market_ns, edges)
            spans_s = [spacing_s * count for spacing_s, count in zip(spacings_s, counts, strict=True)]
            starts = np.array(blocks.starts)
            typical_after = self._market.add(book_states, starts, spans_s)
            typical = _typical_at_samples(states, typical_after, blocks.state_index)
            training_data = TrainingData(
                book_states, starts, typical, blocks.books, self._samples, self._latency_s, self._passive_s
            )
            for block, spacing_s, typical_market, (start, end) in zip(
                training_data, spacings_s, typical_after, pairwise(edges), strict=True
            ):
                state_rows = [
                    StateRows(states[index], rows) for index, rows in _iter_equal(blocks.state_index[start:end])
                ]
                slippage_scores = self._slippage.learn(block, state_rows, spacing_s)
                fill_scores = self._fill.learn(block, state_rows, spacing_s)
                self._samples += end - start
                self._scores.add(int(book_states.market_ns[end - 1]), slippage_scores, fill_scores)
                states.append(self._make_state(typical_market))
            return states[len(blocks.states) :]

    def to_json(self) -> dict[str, Any]:
        """Return everything learned as plain JSON values; wait for a block that is being learned."""
        with self._lock:
            slippage, fill = self._slippage, self._fill
            slippage_score, fill_score = self._scores.session
            return SavedLearner(
                latency_s=self._latency_s,
                passive_s=self._passive_s,
                samples=self._samples,
                worth=slippage.independent_samples,
                overlap=slippage.overlap,
                agreement=slippage.agreement,
                fill_agreement=fill.agreement,
                crossed=fill.crossed,
                touched=fill.touched,
                away=fill.away,
                usual=self._market.typical_sums,
                moments=slippage.sums.sums,
                market=self._market.sums,
                slippage_score=slippage_score.sums,
                slippage_inside=slippage_score.inside,
                fill_score=fill_score.sums,
                fill_bins=fill_score.bins,
                errors=slippage.errors.values.T,
                fills=fill.quotes.values.T,
                moved=fill.moved.values,
                offered=fill.crossings.values[0],
                moved_crossed=fill.crossings.values[1],
                crossed_recently=fill.crossed_recently,
                likelihoods=fill.likelihoods,
                observed_s=self._market.observed_s,
            ).to_json()

    @classmethod
    def from_json(cls, value: Any) -> tuple[Self, ModelState]:
        """Return a learner that continues from what `to_json` returned, and its model state. Raises LearnedError."""
        saved = SavedLearner.from_json(value)
        if saved.samples < 1 or not saved.fills.size:
            raise LearnedError("nothing was learned yet")
        learner = cls(saved.latency_s, saved.passive_s)
        try:
            with np.errstate(all="raise"):
                return learner, learner._restore(saved)
        except (ArithmeticError, ValueError) as error:  # LinAlgError is a ValueError
            raise LearnedError(f"the parts do not fit together: {error}") from None

    def _restore(self, saved: SavedLearner) -> ModelState:
        self._samples = saved.samples
        self._market.typical_sums[:] = saved.usual
        self._market.sums[:] = saved.market
        self._market.observed_s = saved.observed_s or SAMPLE_S * saved.market.item(2)
        slippage_score, fill_score = self._scores.session
        slippage_score.sums[:] = saved.slippage_score
        slippage_score.inside[:] = saved.slippage_inside
        fill_score.sums[:] = saved.fill_score
        fill_score.bins[:] = saved.fill_bins
        self._slippage.restore(saved)
        self._fill.restore(saved)
        return self._make_state(self._market.typical())

    def _make_state(self, typical: TypicalMarket) -> ModelState:
        """Join what both learners and the market's statistics say now; fit the models that are due."""
        self._slippage.fit_if_due(self._samples)
        self._fill.fit_if_due(self._samples)
        calibration = typical.calibration
        fill_skill = self._scores.session[1].score().skill
        return ModelState(
            samples=self._samples,
            depth_1=typical.depth_1,
            depth_10=typical.depth_10,
            slope=calibration.slope,
            volatility_bps=calibration.volatility_bps,
            calibration=calibration,
            slippage=self._slippage.model,
            shrinkage=self._slippage.shrinkage(),
            band=self._slippage.band(),
            fill=self._fill.model,
            fill_weight=self._fill.weight(),
            fill_is_better=fill_skill is None or fill_skill > 0,
            base_rate=self._fill.base_rate(),
            touch_rate=self._fill.touch_rate(),
            late_rate=self._fill.late_rate(),
            clean_up_bps=self._fill.clean_up_bps(),
            clean_up_band=self._fill.clean_up_band(),
            crossings=self._fill.crossing_curves(),
            scores=self._scores.scores(),
        )


def _mean_spacings_s(market_ns: Ints, edges: Sequence[int]) -> list[float]:
    """Return the mean time between two samples of each block, at least MIN_SPACING_S.

    edges: where each block begins, and the number of samples last.
    """
    spacings_s = []
    for start, end in pairwise(edges):
        first_ns, last_ns = market_ns[[start, end - 1]].tolist()
        spacings_s.append(max((last_ns - first_ns) / max(end - start - 1, 1) / SECOND_NS, MIN_SPACING_S))
    return spacings_s


def _typical_at_samples(
    states: Sequence[ModelState], typical_after: Sequence[TypicalMarket], state_index: Ints
) -> TypicalAtSamples:
    """Return what was typical by the model state of each sample.

    typical_after: what is typical after each block, of the states that do not exist yet.
    """
    rows = [(state.depth_1, state.depth_10, state.slope, state.volatility_bps) for state in states]
    for depth_1, depth_10, calibration in typical_after:
        rows.append((depth_1, depth_10, calibration.slope, calibration.volatility_bps))
    return TypicalAtSamples(*np.array(rows)[state_index].T)


def _iter_equal(numbers: Ints) -> Iterator[tuple[int, slice]]:
    """Yield each distinct number of a sequence that does not fall, and the slice of its rows.

    >>> list(_iter_equal(np.array([3, 3, 3, 5])))
    [(3, slice(0, 3, None)), (5, slice(3, 4, None))]
    """
    first, last = numbers[[0, -1]].tolist()
    edges = np.searchsorted(numbers, np.arange(first, last + 2)).tolist()
    for number, (start, end) in enumerate(pairwise(edges), first):
        if start < end:
            yield number, slice(start, end)
