"""The model state: an immutable snapshot of all that was learned of one market, and the state before any learning."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal, NamedTuple, TypeVar, get_args

import numpy as np

from estimation.market_parameters import Calibration
from estimation.model_record import MODEL, STRATA
from estimation.scorecard import RunningScores, Scorecard, Scores
from models import MakerTakerModel, SlippageModel
from numerics.arrays import Record, Records, make_records
from numerics.linear import Prior

MakerSource = Literal["model", "prior", "average"]
"""Where a fill probability comes from; "average" is the running base rate alone."""
MAKER_SOURCES: tuple[MakerSource, ...] = get_args(MakerSource)
"""What the codes of a record and of a row stand for."""

Model = TypeVar("Model")


def fill_prior(latency_s: float, passive_s: float) -> Prior:
    """Return the prior logit of "crossed in time", pooled over many markets; columns as in features.MAKER_COLUMNS.

    What the book shows now fades while the quote travels. The longer it travels, the likelier it arrives too late:
    with the square root of time, as a price diffuses. A long queue of the quote's own side is less likely to be gone
    by then, so its weight changes sign.
    """
    fade = math.exp(-latency_s)
    imbalance, flow, return_bps, log_reach = (fade * weight for weight in (-0.49, -0.18, 0.11, 0.26))
    weights = (imbalance, flow, return_bps, -0.10 + 0.2 * latency_s, log_reach)
    intercept = -1.05 - 0.85 * math.sqrt(latency_s) + 0.72 * math.log(passive_s)
    return Prior(weights, (0.0, 0.0, 0.0, -0.5, 4.5), (0.65, 2.5, 0.9, 1.3, 1.5), intercept)


def prior_weight(latency_s: float) -> float:
    """Return the share of the prior's opinion to use before it is checked: the longer the latency, the less."""
    return 0.75 * math.exp(-latency_s)


class CrossingCurves(NamedTuple):
    """What crossed quotes met on average, for an order of each of CURVE_SIZES x depth_1.

    crossed_share: the share of the order on offer. whole_share: how often that is all of it. rest_move_bps: the share
    that is not on offer x how far the mid moves away until the time is up, which is mostly less than nothing.
    """

    crossed_share: tuple[float, ...]
    whole_share: tuple[float, ...]
    rest_move_bps: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ModelState:
    """All that was learned up to one fit; nothing in it changes afterwards.

    samples: samples learned from. depth_1, depth_10: typical size at the touch and depth of the top 10 levels, base
    units. slope: price per base unit beyond the visible book. volatility_bps: standard deviation of one second's
    return. slippage: None until the first fit; shrinkage: the share of its predictions in use. band: for each of the
    STRATA, (low, high) in bps around the prediction; None until enough outcomes are known. fill_weight: how far to
    follow the fill model beyond base_rate, the running share of quotes that are crossed. fill_is_better: whether the
    model, followed that far, has beaten base_rate so far; True before the first check. touch_rate: among quotes that
    wait and are not crossed, the share whose queue shrank at the best price; the first in that queue may have been
    filled. late_rate: the share of quotes that could be executed on arrival, and so never wait. clean_up_bps: how far
    the mid moves away from quotes that are not crossed; None until one was not.
    clean_up_band: 95 % of those moves; None until enough are known. crossings: None until one was crossed.
    """

    samples: int
    depth_1: float
    depth_10: float
    slope: float
    volatility_bps: float
    calibration: Calibration
    slippage: SlippageModel | None
    shrinkage: float
    band: tuple[tuple[float, float], ...] | None
    fill: MakerTakerModel
    fill_weight: float
    fill_is_better: bool
    base_rate: float
    touch_rate: float
    late_rate: float
    clean_up_bps: float | None
    clean_up_band: tuple[float, float] | None
    crossings: CrossingCurves | None
    scores: Scores
    record: Records = field(init=False, repr=False)
    """The numbers that compiled functions read, (1,) of model_record.MODEL."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "record", pack_model(self))

    @property
    def scorecard(self) -> Scorecard:
        """How accurate the estimates were; computed at each access."""
        return self.scores.scorecard(self.samples, self.shrinkage)

    @property
    def fill_shrinkage(self) -> float:
        """How far the fill model is followed beyond base_rate: 0 unless it is better."""
        return self.fill_weight if self.fill_is_better else 0.0

    @property
    def maker_source(self) -> MakerSource:
        """Where `fill_probability` comes from."""
        if not self.fill.samples:
            return "prior"
        return "model" if self.fill_shrinkage > 0 else "average"


def pack_model(state: ModelState) -> Records:
    """Return the state as (1,) of MODEL; NaN for None."""

    def number(value: float | None) -> float:
        return math.nan if value is None else value

    records = make_records(MODEL, 1)
    record = records[0]
    for name in ("depth_1", "depth_10", "slope", "volatility_bps", "shrinkage"):
        record[name] = getattr(state, name)
    for name in ("fill_shrinkage", "base_rate", "touch_rate", "late_rate"):
        record[name] = getattr(state, name)
    calibration = state.calibration
    record["half_spread"], record["book_slope"] = calibration.half_spread, calibration.slope
    for name in ("variance", "gamma", "resilience"):
        record[name] = number(getattr(calibration, name))
    if state.slippage is not None and state.shrinkage > 0:
        predictor = state.slippage.predictor
        record["speaks"] = True
        if predictor is not None:
            record["slippage_low"], record["slippage_high"] = predictor.low, predictor.high
            record["slippage_weights"], record["slippage_bias"] = predictor.weights, predictor.bias
            record["slippage_limit"] = state.slippage.limit_bps
    record["band_low"], record["band_high"] = np.transpose(state.band or [(math.nan, math.nan)] * STRATA)
    predictor = state.fill.predictor
    if predictor is not None:
        record["fill_low"], record["fill_high"] = predictor.low, predictor.high
        record["fill_weights"], record["fill_bias"] = predictor.weights, predictor.bias
    record["clean_up_bps"] = number(state.clean_up_bps)
    record["clean_up_low"], record["clean_up_high"] = state.clean_up_band or (math.nan, math.nan)
    record["has_curve"] = state.crossings is not None
    if state.crossings is not None:
        for name, curve in state.crossings._asdict().items():
            record[name] = curve
    record["maker_source"] = MAKER_SOURCES.index(state.maker_source)
    records.flags.writeable = False
    return records


class StateRows(NamedTuple):
    """The consecutive samples of a block that were priced with one model state."""

    state: ModelState
    rows: slice


def iter_models(state_rows: Sequence[StateRows], read: Callable[[ModelState], Model]) -> Iterator[tuple[Model, slice]]:
    """Yield each distinct model and its rows, so that a model shared by several states predicts once."""
    for _, group in groupby(state_rows, key=lambda each: id(read(each.state))):
        with_same_model = list(group)
        first, last = with_same_model[0], with_same_model[-1]
        yield read(first.state), slice(first.rows.start, last.rows.stop)


def initial_state(book_state: Record, latency_s: float, passive_s: float) -> ModelState:
    """Return the model state at the first book: its own depth and slope, and priors."""
    depth_10 = (book_state.bid_depth + book_state.ask_depth) / 2
    calibration = Calibration(book_state.half_spread_bps * book_state.mid / 1e4, book_state.reach / depth_10)
    prior = fill_prior(latency_s, passive_s)
    return ModelState(
        samples=0,
        depth_1=(book_state.bid_size + book_state.ask_size) / 2,
        depth_10=depth_10,
        slope=book_state.reach / depth_10,
        volatility_bps=calibration.volatility_bps,
        calibration=calibration,
        slippage=None,
        shrinkage=0.0,
        band=None,
        fill=MakerTakerModel(prior),
        fill_weight=prior_weight(latency_s),
        fill_is_better=True,
        base_rate=1 / (1 + math.exp(-prior.intercept)),
        touch_rate=0.5,
        late_rate=0.0,
        clean_up_bps=None,
        clean_up_band=None,
        crossings=None,
        scores=RunningScores(STRATA).scores(),
    )
