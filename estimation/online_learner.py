"""How the models learn: blocks of decision times, scored by what was known before, then learned from."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np

from estimation.features import MAKER_COLUMNS, SLIPPAGE_COLUMNS
from estimation.market_statistics import MarketStatistics, TypicalMarket
from estimation.model_state import CURVE_SIZES, STRATA, ModelState, fill_prior, prior_weight
from estimation.scorecard import FillSums, RunningScores, SlippageSums
from estimation.training_data import SIZES, TrainingBlock, TrainingData, TypicalAtSamples
from models import MakerTakerModel, SlippageModel
from numerics.arrays import Floats, Ints
from numerics.jit import jit
from numerics.linear import RegressionSums
from numerics.windows import RollingWindow, SortedRollingWindow, mean_filled_shares, symmetric_quantiles
from orderbook.batch import BookBatch

Model = TypeVar("Model")

SLIPPAGE_MEMORY_S = 300.0
FILL_MEMORY_S = 900.0
GATE_MEMORY_S = 900.0
"""What was seen so long ago counts 1 / e."""

FILL_ROWS = 2000
BAND_ROWS = 2000
BAND_LEAST_ROWS = 40
GATE_CAUTION = 2.0
PRIOR_WINDOWS = 0.5
LONGEST_FIT = 500
"""The slippage model is fitted anew when a tenth of the samples is new, at least every 500."""

FILL_FIT, LONGEST_FILL_FIT = 0.35, 1500
"""The fill model, whose rows last longer and whose fit takes longer, when as large a part as this is new."""

_NUMBERS = {"_samples": 1e15, "_worth": 1e15, "_overlap": 1e6}


class LearnedError(ValueError):
    """A saved state that cannot be what was learned; the message says which part."""


class SampleBlocks(NamedTuple):
    """n samples whose outcomes are known, in blocks to be learned from one after the other, and every book from the
    first sample to the last outcome.

    now: a Moment of (n,) columns, market_ns int64. starts: where each block begins, the first at 0. numbers (n,): what
    was known when each sample was priced, as a place in `known`; places beyond it stand for what is learned
    from these blocks, in their order.
    """

    now: Any
    starts: Sequence[int]
    states: Sequence[ModelState]
    state_index: Ints
    books: BookBatch


_Group = tuple[ModelState, slice]
"""Consecutive samples of a block at which the same was known."""


class OnlineLearner:
    """Scores and learns blocks in order; the same blocks give the same knowledge, live or not."""

    def __init__(self, latency_s: float, passive_s: float) -> None:
        self._latency_s, self._passive_s = latency_s, passive_s
        self._prior = fill_prior(latency_s, passive_s)
        self._lock = threading.Lock()
        self._tally = RunningScores(STRATA)
        self._market = MarketStatistics()
        self._samples = 0
        # Slippage: the regression's sums and how many independent samples they are worth; how well
        # past predictions agreed with outcomes; recent errors by size.
        self._slippage: SlippageModel | None = None
        self._slippage_fitted_at = self._fill_fitted_at = 0
        self._moments = RegressionSums(len(SLIPPAGE_COLUMNS))
        self._overlap = 1.0
        self._worth = 0.0
        self._agreement = np.zeros(3)
        self._errors = SortedRollingWindow(BAND_ROWS, STRATA)
        # Fills: recent rows, and the model made of them; crossed and all quotes, touched and
        # all of those not crossed; how far the mid moved from how many; what was offered at crossed prices.
        self._fills = RollingWindow(FILL_ROWS, len(MAKER_COLUMNS) + 2)
        self._fill = MakerTakerModel(self._prior)
        self._fill_agreement = np.zeros(2)
        self._crossed = np.zeros(2)
        self._touched = np.zeros(2)
        self._away = np.zeros(2)
        self._moved = SortedRollingWindow(BAND_ROWS)
        self._offered = RollingWindow(BAND_ROWS)

    def state(self) -> dict[str, Any]:
        """All that was learned, as plain JSON values; waits for a block that is being learned."""
        with self._lock:
            sums = {name: sums.tolist() for name, sums in self._sums()}
            rows = {name: recent.values.T.tolist() for name, recent in self._recent()}
            numbers = {name.removeprefix("_"): getattr(self, name) for name in _NUMBERS}
            return {"latency_s": self._latency_s, "passive_s": self._passive_s, **numbers, **sums, **rows}

    @classmethod
    def from_state(cls, state: Any) -> tuple[Self, ModelState]:
        """A learner that goes on from a saved state, and what it knows. Raises LearnedError."""
        if not isinstance(state, dict):
            raise LearnedError(f"what was learned is not an object but {type(state).__name__}")
        learner = cls(_number(state, "latency_s", 0, 10), _number(state, "passive_s", 0.1, 60))
        for name, most in _NUMBERS.items():
            kind = type(getattr(learner, name))
            setattr(learner, name, kind(_number(state, name.removeprefix("_"), 0, most)))
        for name, sums in learner._sums():
            sums[...] = _array(state, name, sums.shape)
        for name, recent in learner._recent():
            recent.add(_array(state, name, (None, *recent.values.shape[:-1])).T)
        if learner._samples < 1 or not learner._fills.values.size:
            raise LearnedError("nothing was learned yet")
        try:
            with np.errstate(all="raise"):
                learner._fit_slippage()
                learner._fit_fill()
                return learner, learner._knowledge(learner._market.typical())
        except (ArithmeticError, ValueError) as error:  # LinAlgError is a ValueError
            raise LearnedError(f"the parts do not fit together: {error}") from None

    def _sums(self) -> Iterator[tuple[str, Floats]]:
        """Every sum of the state, by its name there."""
        for name in ("agreement", "fill_agreement", "crossed", "touched", "away"):
            yield name, getattr(self, f"_{name}")
        slippage, fill = self._tally.session
        yield from (
            ("usual", self._market.typical_sums),
            ("moments", self._moments.sums),
            ("market", self._market.sums),
            ("slippage_score", slippage.sums),
            ("slippage_inside", slippage.inside),
            ("fill_score", fill.sums),
            ("fill_bins", fill.bins),
        )

    def _recent(self) -> Iterator[tuple[str, RollingWindow]]:
        """Everything of the state of which the last is kept; there its columns are rows."""
        for name in ("errors", "fills", "moved", "offered"):
            yield name, getattr(self, f"_{name}")

    def learn(self, blocks: SampleBlocks) -> list[ModelState]:
        """Score each block by what was known at its samples, then learn from it; what was known after each."""
        with self._lock:
            now, known = blocks.now, list(blocks.states)
            cuts = [*blocks.starts, len(now.mid)]
            counts = np.diff(cuts).tolist()
            spacings_s = _spacings_s(now.market_ns, cuts)
            spans_s = [spacing_s * count for spacing_s, count in zip(spacings_s, counts, strict=True)]
            starts = np.array(blocks.starts)
            usual = self._market.add(now, starts, spans_s)
            at = _usual_at(known, usual, blocks.state_index)
            lessons = TrainingData(now, starts, at, blocks.books, self._samples, self._latency_s, self._passive_s)
            for lesson, spacing_s, usual_now, (start, end) in zip(
                lessons, spacings_s, usual, pairwise(cuts), strict=True
            ):
                groups = [(known[number], rows) for number, rows in _runs(blocks.state_index[start:end])]
                orders = self._learn_slippage(groups, lesson, spacing_s)
                quotes = self._learn_fills(groups, lesson, spacing_s)
                self._samples += end - start
                self._tally.add(int(now.market_ns[end - 1]), orders, quotes)
                known.append(self._knowledge(usual_now))
            return known[len(blocks.states) :]

    def _learn_slippage(self, groups: Sequence[_Group], lesson: TrainingBlock, spacing_s: float) -> SlippageSums:
        orders, residual = lesson.orders, lesson.residual
        n = len(residual)
        predicted, gates, tally = np.zeros(residual.shape), np.empty(n), SlippageSums(STRATA)
        for model, rows in _spans(groups, lambda known: known.slippage):
            if model is not None:
                x = orders[1:-1, rows]
                predicted[rows] = model.predict(x.reshape(len(x), -1).T).reshape(-1, SIZES)
        for known, rows in groups:
            gates[rows] = known.shrinkage
        error, agreed, squares = _judged_orders(orders[0], residual, predicted, gates)
        for known, rows in groups:
            low, high = np.full((2, STRATA), np.nan) if known.band is None else np.array(known.band).T.copy()
            by_size = error[rows].reshape(-1, STRATA), residual[rows].reshape(-1, STRATA)
            tally.count(rows.stop - rows.start, *by_size, low, high)
        self._errors.add(error.reshape(-1, STRATA).T)
        span_s = spacing_s * n
        self._overlap = max(1.0, self._latency_s / spacing_s)
        # Overlapping outcomes agree together: only sums over several of their lengths are independent.
        apart = np.add.reduceat(agreed, np.arange(0, n, max(10, round(5 * self._overlap))))
        fade = math.exp(-span_s / GATE_MEMORY_S)
        self._agreement *= (fade, fade, fade * fade)
        self._agreement += (agreed.sum(), squares, (apart**2).sum())
        fade = math.exp(-span_s / SLIPPAGE_MEMORY_S)
        self._worth = fade * self._worth + n / math.sqrt(self._overlap)
        self._moments.add_rows(orders.reshape(len(orders), -1), fade)
        return tally

    def _learn_fills(self, groups: Sequence[_Group], lesson: TrainingBlock, spacing_s: float) -> FillSums:
        quotes, filled, tally = lesson.quotes, lesson.crossed, FillSums()
        weight = self._quote_weight(spacing_s)
        fade = math.exp(-spacing_s * len(filled) / FILL_MEMORY_S)
        chance, (base_rate, gates) = np.empty(filled.shape), np.empty((2, len(filled)))
        for model, rows in _spans(groups, lambda known: known.fill):
            x = quotes[:, rows]
            chance[rows] = model.chances(x.reshape(len(x), -1).T).reshape(-1, 2)
        for known, rows in groups:
            base_rate[rows], gates[rows] = known.base_rate, known.fill_weight
        agreed, squares = _judge_quotes(chance, filled, base_rate, gates)
        tally.count(chance.ravel(), base_rate.repeat(2), filled.ravel(), weight)
        self._fill_agreement *= fade
        self._fill_agreement += (weight * agreed, weight * squares)
        crossed, touched, waited, away, uncrossed = lesson.sums
        self._crossed[:] = fade * self._crossed + (weight * crossed, weight * filled.size)
        self._touched[:] = fade * self._touched + (weight * touched, weight * waited)
        self._away[:] = fade * self._away + (away, uncrossed)
        was_crossed = filled > 0
        self._offered.add(lesson.offered[was_crossed])
        self._moved.add(lesson.moved[~was_crossed])
        # Windows a quarter as far apart as they are long hold nearly all there is to learn.
        stride = max(1, int(self._passive_s / 4 / spacing_s))
        made = filled[::stride].ravel()
        added = np.empty((len(quotes) + 2, len(made)))
        added[:-2] = quotes[:, ::stride].reshape(len(quotes), -1)
        added[-2], added[-1] = made, min(1.0, weight * stride)
        self._fills.add(added)
        return tally

    def _quote_weight(self, spacing_s: float) -> float:
        """How many independent windows a quote counts for."""
        return min(1.0, spacing_s / (2 * self._passive_s))

    def _fit_slippage(self) -> None:
        self._slippage = SlippageModel().fit_sums(self._moments, self._worth)
        self._slippage_fitted_at = self._samples

    def _fit_fill(self) -> None:
        rows = self._fills.values
        self._fill = MakerTakerModel(self._prior).fit(rows[:-2].T, rows[-2], rows[-1])
        self._fill_fitted_at = self._samples

    def _knowledge(self, usual: TypicalMarket) -> ModelState:
        calibration = usual.calibration
        gate = _cautious(*self._agreement.tolist())
        if self._samples >= self._slippage_fitted_at + min(self._slippage_fitted_at / 10, LONGEST_FIT):
            self._fit_slippage()
        if self._samples >= self._fill_fitted_at + min(FILL_FIT * self._fill_fitted_at, LONGEST_FILL_FIT):
            self._fit_fill()
        band, clean_up_band, share = None, None, None
        errors, moved, offered = self._errors.sorted_values, self._moved.sorted_values, self._offered.values
        if errors.shape[1] >= BAND_LEAST_ROWS:
            # Of n independent outcomes the next one exceeds the k-th smallest with chance 1 - k / (n + 1).
            level = min(1.0, 0.975 * (1 + 2 * math.sqrt(self._overlap) / errors.shape[1]))
            band = tuple(symmetric_quantiles(of_size, level) for of_size in errors)
        if len(moved) >= BAND_LEAST_ROWS:
            clean_up_band = symmetric_quantiles(moved, 0.975)
        if len(offered):
            share = tuple(mean_filled_shares(offered, CURVE_SIZES).tolist())
        crossed, quotes = self._crossed.tolist()
        touched, waited = self._touched.tolist()
        away, uncrossed = self._away.tolist()
        agreed, squares = self._fill_agreement.tolist()
        trust = prior_weight(self._latency_s)
        prior_rate = 1 / (1 + math.exp(-self._prior.intercept))
        fill_skill = self._tally.session[1].score().skill
        return ModelState(
            samples=self._samples,
            depth_1=usual.depth_1,
            depth_10=usual.depth_10,
            slope=calibration.slope,
            volatility_bps=calibration.volatility_bps,
            calibration=calibration,
            slippage=self._slippage,
            shrinkage=gate,
            band=band,
            fill=self._fill,
            fill_weight=min(max((agreed + PRIOR_WINDOWS * trust) / (squares + PRIOR_WINDOWS), 0.0), 1.0),
            fill_is_better=fill_skill is None or fill_skill > 0,
            base_rate=(crossed + prior_rate) / (quotes + 1),
            touch_rate=(touched + 0.5) / (waited + 1),
            clean_up_bps=away / uncrossed if uncrossed else None,
            clean_up_band=clean_up_band,
            crossed_share=share,
            scores=self._tally.scores(),
        )


@jit
def _judged_orders(inside: Floats, residual: Floats, predicted: Floats, gates: Floats) -> tuple[Floats, Floats, float]:
    """How far what was said of n samples' orders, as in Lesson, missed their residuals, with the share `gates` (n,) of
    the predictions (n, SIZES) in use; by sample what outcomes and predictions agree; the predictions' squares."""
    error, agreed, squares = np.empty(predicted.shape), np.zeros(len(predicted)), 0.0
    for row in range(len(predicted)):
        for size in range(predicted.shape[1]):
            expected = inside[row, size] * predicted[row, size]
            error[row, size] = residual[row, size] - gates[row] * expected
            agreed[row] += residual[row, size] * expected
            squares += expected**2
    return error, agreed, squares


@jit
def _judge_quotes(chance: Floats, filled: Floats, base_rate: Floats, gates: Floats) -> tuple[float, float]:
    """Take of what the model says beyond the base rate (n,) its share `gates` (n,), in `chance` (n, 2) itself; how much
    outcomes and model agree beyond that rate, and the squares of what the model says beyond it."""
    agreed, squares = 0.0, 0.0
    for row in range(len(chance)):
        for side in range(2):
            beyond = chance[row, side] - base_rate[row]
            agreed += (filled[row, side] - base_rate[row]) * beyond
            squares += beyond**2
            chance[row, side] = base_rate[row] + gates[row] * beyond
    return agreed, squares


def _spacings_s(market_ns: Ints, cuts: Sequence[int]) -> list[float]:
    """How far apart the samples of each block are, on average."""
    return [
        max((last - first) / max(end - start - 1, 1) / 1e9, 1e-3)
        for start, end in pairwise(cuts)
        for first, last in [market_ns[[start, end - 1]].tolist()]
    ]


def _usual_at(known: Sequence[ModelState], learned: Sequence[TypicalMarket], numbers: Ints) -> TypicalAtSamples:
    """What is usual by what was known at each sample."""
    rows = [(each.depth_1, each.depth_10, each.slope, each.volatility_bps) for each in known]
    for depth_1, depth_10, calibration in learned:
        rows.append((depth_1, depth_10, calibration.slope, calibration.volatility_bps))
    return TypicalAtSamples(*np.array(rows)[numbers].T)


def _runs(numbers: Ints) -> Iterator[tuple[int, slice]]:
    """Every one of numbers that do not fall, and the rows that it stands for.

    >>> list(_runs(np.array([3, 3, 3, 5])))
    [(3, slice(0, 3, None)), (5, slice(3, 4, None))]
    """
    first, last = numbers[[0, -1]].tolist()
    edges = np.searchsorted(numbers, np.arange(first, last + 2)).tolist()
    for number, (start, end) in enumerate(pairwise(edges), first):
        if start < end:
            yield number, slice(start, end)


def _spans(groups: Sequence[_Group], read: Callable[[ModelState], Model]) -> Iterator[tuple[Model, slice]]:
    """The models in use, and the rows of each; one that outlives a block's bands and rates is asked once."""
    for _, same in groupby(groups, key=lambda group: id(read(group[0]))):
        used = list(same)
        yield read(used[0][0]), slice(used[0][1].start, used[-1][1].stop)


def _cautious(agreed: float, squares: float, agreed_squares: float) -> float:
    """The share of predictions to use: their regression on outcomes, shrunk towards none as James and
    Stein do, by how often chance alone would agree as well."""
    if agreed <= 0 or squares <= 0:
        return 0.0
    return min(agreed / squares, 1.0) * max(0.0, 1 - GATE_CAUTION * agreed_squares / agreed**2)


def _number(state: dict[str, Any], name: str, least: float, most: float) -> float:
    value = state.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise LearnedError(f"{name} must be a number from {least:g} to {most:g}, not {value!r}")
    return value


def _array(state: dict[str, Any], name: str, shape: tuple[int | None, ...]) -> Floats:
    wanted = tuple("any" if length is None else length for length in shape)
    try:
        array = np.array(state.get(name), dtype=np.float64)
    except (TypeError, ValueError):
        raise LearnedError(f"{name} is not a table of numbers") from None
    if array.size == 0 and shape[0] is None:
        array = array.reshape(0, *(length or 0 for length in shape[1:]))
    fits = array.ndim == len(shape) and all(want in (None, have) for want, have in zip(shape, array.shape, strict=True))
    if not fits:
        raise LearnedError(f"{name} must have the shape {wanted}, not {array.shape}")
    if not np.isfinite(array).all():
        raise LearnedError(f"{name} holds a number that is not finite")
    return array
