"""How the models learn: blocks of decision times, scored by what was known before, then learned from."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from calibration import MarketTally
from estimators import MakerTakerModel, Moments, SlippageModel
from features import MAKER_COLUMNS, SLIPPAGE_COLUMNS, order_features
from knowledge import CURVE_SIZES, LARGEST, SMALLEST, STRATA, Knowledge, fill_prior, prior_trust, volatility_bps
from labels import Labels
from ladder import SIGNS, Books, Ladder
from scorecard import FillTally, SlippageTally, Tally

Floats = NDArray[np.float64]

SLIPPAGE_MEMORY_S = 300.0
FILL_MEMORY_S = 900.0
GATE_MEMORY_S = 900.0
DEPTH_MEMORY_S = 60.0
"""What was seen so long ago counts 1 / e."""

FILL_ROWS = 2000
BAND_ROWS = 2000
BAND_LEAST_ROWS = 40
GATE_CAUTION = 2.0
PRIOR_WINDOWS = 0.5
LONGEST_FIT = 500
"""The slippage model is fitted anew when a tenth of the samples is new, at least every 500."""

FILL_FIT, LONGEST_FILL_FIT = 0.25, 1000
"""The fill model, whose rows last longer and whose fit takes longer, when so large a part of the samples is new."""

_NUMBERS = {"_samples": 1e15, "_worth": 1e15, "_overlap": 1e6}

_ROOTS = np.sqrt([2.0, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37]).reshape(2, STRATA).T[:, :, None]
_LOG_STEP = math.log(LARGEST / SMALLEST) / STRATA


class LearnedError(ValueError):
    """A saved state that cannot be what was learned; the message says which part."""


class Block(NamedTuple):
    """n samples whose outcomes are known, and every book from the first sample to the last outcome.

    now: a Moment of (n,) columns, market_ns int64. known: what was known when the samples were priced, each
    with how many samples in a row that was.
    """

    now: Any
    known: Sequence[tuple[Knowledge, int]]
    books: Books


class _Group(NamedTuple):
    """Consecutive samples of a block at which the same was known."""

    knowledge: Knowledge
    rows: slice


class _Usual(NamedTuple):
    """What was known at each sample, (n,) columns."""

    depth_1: Floats
    depth_10: Floats
    slope: Floats
    volatility_bps: Floats


class Learner:
    """Scores and learns blocks in order; the same blocks give the same knowledge, live or not."""

    def __init__(self, latency_s: float, passive_s: float) -> None:
        self._latency_s, self._passive_s = latency_s, passive_s
        self._prior = fill_prior(latency_s, passive_s)
        self._lock = threading.Lock()
        self._tally = Tally(STRATA)
        self._market = MarketTally()
        self._samples = 0
        self._usual = np.zeros(5)
        # Slippage: the regression's sums and how many independent samples they are worth; how well
        # past predictions agreed with outcomes; recent errors by size.
        self._slippage: SlippageModel | None = None
        self._slippage_fitted_at = self._fill_fitted_at = 0
        self._moments = Moments(len(SLIPPAGE_COLUMNS))
        self._overlap = 1.0
        self._worth = 0.0
        self._agreement = np.zeros(3)
        self._errors: Floats = np.zeros((0, STRATA))
        # Fills: recent rows, and the model made of them; crossed and all quotes, touched and
        # all of those not crossed; how far the mid moved from how many; what was offered at crossed prices.
        self._fills: Floats = np.zeros((0, len(MAKER_COLUMNS) + 2))
        self._fill = MakerTakerModel(self._prior)
        self._fill_agreement = np.zeros(2)
        self._crossed = np.zeros(2)
        self._touched = np.zeros(2)
        self._away = np.zeros(2)
        self._moved: Floats = np.zeros(0)
        self._offered: Floats = np.zeros(0)

    def state(self) -> dict[str, Any]:
        """All that was learned, as plain JSON values; waits for a block that is being learned."""
        with self._lock:
            arrays = {name: getattr(owner, attribute).tolist() for name, owner, attribute, _ in self._arrays()}
            numbers = {name.removeprefix("_"): getattr(self, name) for name in _NUMBERS}
            return {"latency_s": self._latency_s, "passive_s": self._passive_s, **numbers, **arrays}

    @classmethod
    def resumed(cls, state: Any) -> tuple[Self, Knowledge]:
        """A learner that goes on from a saved state, and what it knows. Raises LearnedError."""
        if not isinstance(state, dict):
            raise LearnedError(f"what was learned is not an object but {type(state).__name__}")
        learner = cls(_number(state, "latency_s", 0, 10), _number(state, "passive_s", 0.1, 60))
        for name, most in _NUMBERS.items():
            kind = type(getattr(learner, name))
            setattr(learner, name, kind(_number(state, name.removeprefix("_"), 0, most)))
        for name, owner, attribute, shape in learner._arrays():
            setattr(owner, attribute, _array(state, name, shape))
        if learner._samples < 1 or not len(learner._fills):
            raise LearnedError("nothing was learned yet")
        try:
            with np.errstate(all="raise"):
                learner._fit_slippage()
                learner._fit_fill()
                return learner, learner._knowledge()
        except (ArithmeticError, ValueError) as error:  # LinAlgError is a ValueError
            raise LearnedError(f"the parts do not fit together: {error}") from None

    def _arrays(self) -> Iterator[tuple[str, object, str, tuple[int | None, ...]]]:
        """Every array of the state: its name, who holds it as what, and its shape; None is any length."""
        for name in ("usual", "agreement", "fill_agreement", "crossed", "touched", "away"):
            yield name, self, f"_{name}", getattr(self, f"_{name}").shape
        for name in ("errors", "fills", "moved", "offered"):
            yield name, self, f"_{name}", (None, *getattr(self, f"_{name}").shape[1:])
        slippage, fill = self._tally.session
        for name, owner, attribute in (
            ("moments", self._moments, "sums"),
            ("market", self._market, "sums"),
            ("slippage_score", slippage, "sums"),
            ("slippage_inside", slippage, "inside"),
            ("fill_score", fill, "sums"),
            ("fill_bins", fill, "bins"),
        ):
            yield name, owner, attribute, getattr(owner, attribute).shape

    def learn(self, block: Block) -> Knowledge:
        """Score the block by what was known at each sample, then learn from it."""
        with self._lock:
            now = block.now
            n = len(now.mid)
            spacing_s = max((now.market_ns[-1] - now.market_ns[0]) / max(n - 1, 1) / 1e9, 1e-3)
            span_s = spacing_s * n
            outcomes = Labels(now, block.books, self._latency_s, self._passive_s)
            ends = np.cumsum([count for _, count in block.known]).tolist()
            groups = [
                _Group(known, slice(end - count, end)) for (known, count), end in zip(block.known, ends, strict=True)
            ]
            levels = [[getattr(known, name) for name in _Usual._fields] for known, _ in block.known]
            usual = _Usual(*np.repeat(levels, [count for _, count in block.known], axis=0).T)
            slippage = self._learn_slippage(groups, block, usual, outcomes, spacing_s)
            fill = self._learn_fills(groups, now, usual, outcomes, spacing_s)
            self._samples += n
            self._tally.add(int(now.market_ns[-1]), slippage, fill)
            sums = (
                n,
                ((now.bid_size + now.ask_size) / 2).sum(),
                ((now.bid_depth + now.ask_depth) / 2).sum(),
                now.reach.sum(),
                (now.half_spread_bps * now.mid).sum() / 1e4,
            )
            self._usual = math.exp(-span_s / DEPTH_MEMORY_S) * self._usual + sums
            self._market.add(now, span_s)
            return self._knowledge()

    def _learn_slippage(
        self, groups: Sequence[_Group], block: Block, usual: _Usual, outcomes: Labels, spacing_s: float
    ) -> SlippageTally:
        """All arrays are (sizes, sides, samples)."""
        now, n = block.now, len(block.now.mid)
        position = np.arange(self._samples, self._samples + n) * _ROOTS
        position += np.arange(STRATA)[:, None, None] - np.floor(position)
        quantity = usual.depth_10 * SMALLEST * np.exp(_LOG_STEP * position)
        walked = np.zeros(len(block.books.market_ns), dtype=bool)
        walked[outcomes.seen] = walked[outcomes.met] = True
        place = np.cumsum(walked) - 1
        ladder = Ladder(block.books, np.flatnonzero(walked), quantity.max())
        seen, met = place[outcomes.seen], place[outcomes.met]
        to_bps = 1e4 / now.mid
        excess = ladder.excess(seen, quantity, usual.slope) * to_bps
        drift = SIGNS[:, None] * (ladder.best[:, met] - ladder.best[:, seen]) * to_bps
        residual = ladder.excess(met, quantity, usual.slope) * to_bps + drift - excess
        features = order_features(
            np.log,
            SIGNS[:, None],
            now,
            np.stack((now.ask_depth, now.bid_depth)),
            1.0,
            quantity,
            excess,
            usual.depth_1,
            usual.depth_10,
            usual.volatility_bps,
            self._passive_s,
        )
        x = _table(features.slippage_columns(), quantity.shape)
        inside = quantity <= ladder.visible[:, seen]
        expected = np.zeros_like(residual)
        error = residual.copy()
        tally = SlippageTally(STRATA)
        for known, rows in groups:
            if known.slippage is not None:
                predicted = known.slippage.predict(x[..., rows].reshape(len(x), -1).T)
                expected[..., rows] = inside[..., rows] * predicted.reshape(STRATA, 2, -1)
                error[..., rows] -= known.gate * expected[..., rows]
            of_model, of_walk = (each[..., rows].reshape(STRATA, -1).T for each in (error, residual))
            tally.add(rows.stop - rows.start, of_model, of_walk, known.band)
        span_s = spacing_s * n
        self._overlap = max(1.0, self._latency_s / spacing_s)
        agreed = (residual * expected).sum(axis=(0, 1))
        # Overlapping outcomes agree together: only sums over several of their lengths are independent.
        apart = np.add.reduceat(agreed, np.arange(0, n, max(10, round(5 * self._overlap))))
        sums = np.array((agreed.sum(), np.vdot(expected, expected), np.vdot(apart, apart)))
        fade = math.exp(-span_s / GATE_MEMORY_S)
        self._agreement = np.array((fade, fade, fade * fade)) * self._agreement + sums
        self._errors = np.concatenate((self._errors, error.T.reshape(-1, STRATA)))[-BAND_ROWS:]
        fade = math.exp(-span_s / SLIPPAGE_MEMORY_S)
        self._worth = fade * self._worth + n / math.sqrt(self._overlap)
        table, target = x.reshape(len(x), -1), residual.ravel()
        if not inside.all():
            table, target = table[:, inside.ravel()], target[inside.ravel()]
        self._moments.add(table.T, target, fade)
        return tally

    def _learn_fills(
        self, groups: Sequence[_Group], now: Any, usual: _Usual, outcomes: Labels, spacing_s: float
    ) -> FillTally:
        """All arrays are (sides, samples)."""
        features = order_features(
            np.log,
            SIGNS[:, None],
            now,
            1.0,
            np.stack((now.bid_size, now.ask_size)),
            1.0,
            0.0,
            usual.depth_1,
            usual.depth_10,
            usual.volatility_bps,
            self._passive_s,
        )
        y = outcomes.crossed.astype(np.float64)
        x = _table(features.maker_columns(), y.shape)
        weight = min(1.0, spacing_s / (2 * self._passive_s))
        tally = FillTally()
        agreement = np.zeros(2)
        for known, rows in groups:
            chance = known.fill.predict_proba(x[..., rows].reshape(len(x), -1).T)[:, 1]
            beyond, filled = chance - known.base_rate, y[:, rows].ravel()
            tally.add(known.base_rate + known.fill_gate * beyond, np.full(len(filled), known.base_rate), filled, weight)
            agreement += weight * np.array((np.vdot(filled - known.base_rate, beyond), np.vdot(beyond, beyond)))
        fade = math.exp(-spacing_s * len(now.mid) / FILL_MEMORY_S)
        self._fill_agreement = fade * self._fill_agreement + agreement
        self._crossed = fade * self._crossed + weight * np.array((y.sum(), y.size))
        waited = ~outcomes.crossed & ~outcomes.late
        self._touched = fade * self._touched + weight * np.array(((waited & outcomes.touched).sum(), waited.sum()))
        moved = (SIGNS[:, None] * (outcomes.mid_after / now.mid - 1) * 1e4)[~outcomes.crossed]
        self._away = fade * self._away + (moved.sum(), len(moved))
        self._moved = np.append(self._moved, moved)[-BAND_ROWS:]
        self._offered = np.append(self._offered, outcomes.offered() / np.mean(usual.depth_1))[-BAND_ROWS:]
        # Windows a quarter as far apart as they are long hold nearly all there is to learn.
        stride = max(1, int(self._passive_s / 4 / spacing_s))
        kept = x[..., ::stride].T.reshape(-1, len(x))
        made = y[:, ::stride].T.ravel()
        added = np.column_stack((kept, made, np.full(len(made), min(1.0, weight * stride))))
        self._fills = np.concatenate((self._fills, added))[-FILL_ROWS:]
        return tally

    def _fit_slippage(self) -> None:
        self._slippage = SlippageModel().fit_moments(self._moments, self._worth)
        self._slippage_fitted_at = self._samples

    def _fit_fill(self) -> None:
        self._fill = MakerTakerModel(self._prior).fit(self._fills[:, :-2], self._fills[:, -2], self._fills[:, -1])
        self._fill_fitted_at = self._samples

    def _knowledge(self) -> Knowledge:
        count, depth_1, depth_10, reach, half_spread = self._usual.tolist()
        calibration = self._market.calibration(half_spread / count, reach / depth_10)
        gate = _cautious(*self._agreement.tolist())
        if self._samples >= self._slippage_fitted_at + min(self._slippage_fitted_at / 10, LONGEST_FIT):
            self._fit_slippage()
        if self._samples >= self._fill_fitted_at + min(FILL_FIT * self._fill_fitted_at, LONGEST_FILL_FIT):
            self._fit_fill()
        band, share = None, None
        if len(self._errors) >= BAND_LEAST_ROWS:
            # Of n independent outcomes the next one exceeds the k-th smallest with chance 1 - k / (n + 1).
            level = min(1.0, 0.975 * (1 + 2 * math.sqrt(self._overlap) / len(self._errors)))
            band = tuple(_ends(errors, level) for errors in self._errors.T)
        if len(self._offered):
            share = tuple(np.minimum(1.0, self._offered / CURVE_SIZES[:, None]).mean(axis=1).tolist())
        clean_up_band = None
        if len(self._moved) >= BAND_LEAST_ROWS:
            clean_up_band = _ends(self._moved, 0.975)
        crossed, quotes = self._crossed.tolist()
        touched, waited = self._touched.tolist()
        away, uncrossed = self._away.tolist()
        agreed, squares = self._fill_agreement.tolist()
        trust = prior_trust(self._latency_s)
        prior_rate = 1 / (1 + math.exp(-self._prior.intercept))
        return Knowledge(
            samples=self._samples,
            depth_1=depth_1 / count,
            depth_10=depth_10 / count,
            slope=reach / depth_10,
            volatility_bps=volatility_bps(calibration),
            calibration=calibration,
            slippage=self._slippage,
            gate=gate,
            band=band,
            fill=self._fill,
            fill_gate=min(max((agreed + PRIOR_WINDOWS * trust) / (squares + PRIOR_WINDOWS), 0.0), 1.0),
            base_rate=(crossed + prior_rate) / (quotes + 1),
            touch_rate=(touched + 0.5) / (waited + 1),
            clean_up_bps=away / uncrossed if uncrossed else None,
            clean_up_band=clean_up_band,
            crossed_share=share,
            scorecard=self._tally.scorecard(self._samples, gate),
        )


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


def _table(columns: Sequence[Any], shape: tuple[int, ...]) -> Floats:
    """Columns that broadcast to `shape` as one array, a column after the other."""
    table = np.empty((len(columns), *shape))
    for row, column in zip(table, columns, strict=True):
        row[...] = column
    return table


def _ends(values: Floats, level: float) -> tuple[float, float]:
    """The quantiles 1 - level and level of values (n,), interpolated.

    >>> _ends(np.array([3.0, 1.0, 0.0, 2.0, 4.0]), 0.875)
    (0.5, 3.5)
    """
    last = len(values) - 1
    place = level * last
    below = min(int(place), last - 1)
    ranks = (last - below - 1, last - below, below, below + 1)
    ordered = np.partition(values, ranks)
    (low, lower, upper, high), part = ordered[list(ranks)].tolist(), place - below
    return lower + part * (low - lower), upper + part * (high - upper)
