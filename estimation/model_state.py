"""What has been learned of one market up to one moment, and what is believed before anything was."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from estimation.features import BookState, Features
from estimation.market_parameters import Calibration
from estimation.scorecard import RunningScores, Scorecard, Scores
from models import MakerTakerModel, SlippageModel
from numerics.linear import Prior

MakerSource = Literal["model", "prior", "average"]

STRATA = 6
SMALLEST, LARGEST = 0.02, 2.0
"""Sizes learned from, as multiples of the usual depth of the top 10 levels."""

CURVE_SIZES = np.geomspace(0.01, 1000.0, 21)
"""Order sizes, as multiples of the usual size at the touch, for which the crossed share is tabulated."""
_CURVE_START = math.log(CURVE_SIZES[0])
_CURVE_STEP = math.log(CURVE_SIZES[1] / CURVE_SIZES[0])


def fill_prior(latency_s: float, passive_s: float) -> Prior:
    """The logit of "crossed in time" pooled over many markets, in estimation.features.MAKER_COLUMNS.

    What is seen now fades while the quote travels; the longer it travels the likelier it is to
    arrive too late, with the square root of time as a price diffuses. A long queue of one's own
    is less likely to be gone by then, so its sign turns.
    """
    fade = math.exp(-latency_s)
    imbalance, flow, return_bps, log_reach = (fade * weight for weight in (-0.49, -0.18, 0.11, 0.26))
    weights = (imbalance, flow, return_bps, -0.10 + 0.2 * latency_s, log_reach)
    intercept = -1.05 - 0.85 * math.sqrt(latency_s) + 0.72 * math.log(passive_s)
    return Prior(weights, (0.0, 0.0, 0.0, -0.5, 4.5), (0.65, 2.5, 0.9, 1.3, 1.5), intercept)


def prior_weight(latency_s: float) -> float:
    """The share of the prior's opinion in use before it is checked: the later, the less it told."""
    return 0.75 * math.exp(-latency_s)


@dataclass(frozen=True, slots=True, eq=False)
class ModelState:
    """All that was learned up to one fit. Nothing in it changes afterwards.

    depth_1, depth_10: usual size at the touch and in the top 10 levels, base units. slope: price per
    base unit beyond the visible book. volatility_bps: of one second's return. slippage is None until
    the first fit; gate is the share of its predictions in use. band: for each of the STRATA, bps around
    the prediction, None until enough outcomes were seen. fill_trust: how far to follow what the
    fill model says beyond base_rate, the running share of quotes that were crossed; fill_is_better: whether
    followed that far it beat base_rate so far, or was not checked yet. touch_rate: of those that
    were not, the share whose queue shrank at the best price: the first in it may have been filled.
    clean_up_bps: how far the mid moved away from quotes that were not crossed, None until one was;
    clean_up_band: 95 % of those moves, None until enough were seen.
    crossed_share: of an order as large as CURVE_SIZES x depth_1, the share that was on offer when its
    price was crossed.
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
    clean_up_bps: float | None
    clean_up_band: tuple[float, float] | None
    crossed_share: tuple[float, ...] | None
    scores: Scores

    @property
    def scorecard(self) -> Scorecard:
        """How right the estimates were, worked out when asked for."""
        return self.scores.scorecard(self.samples, self.shrinkage)

    @property
    def fill_shrinkage(self) -> float:
        """The share in use of what the fill model says beyond base_rate: none unless it is better."""
        return self.fill_weight if self.fill_is_better else 0.0

    @property
    def maker_source(self) -> MakerSource:
        """Where `chance` comes from."""
        if not self.fill.samples:
            return "prior"
        return "model" if self.fill_shrinkage > 0 else "average"

    def stratum(self, quantity: float) -> int:
        """The size class of an order of `quantity` base units."""
        position = math.log(quantity / (SMALLEST * self.depth_10)) / math.log(LARGEST / SMALLEST)
        return min(max(int(position * STRATA), 0), STRATA - 1)

    def fill_probability(self, features: Features) -> float:
        """The chance that a quote at the touch is crossed in time."""
        return self.base_rate + self.fill_shrinkage * (self.fill.predict_one(features.maker_columns()) - self.base_rate)

    def share_offered(self, quantity: float) -> float:
        """The share of an order of `quantity` base units that a crossed quote would have filled.

        Until a quote was seen crossed, what usually waits at the touch is taken for what would be offered.
        """
        size = quantity / self.depth_1
        if self.crossed_share is None:
            return min(1.0, 1 / size)
        position = (math.log(size) - _CURVE_START) / _CURVE_STEP
        below = min(max(int(position), 0), len(self.crossed_share) - 2)
        part = min(max(position - below, 0.0), 1.0)
        return (1 - part) * self.crossed_share[below] + part * self.crossed_share[below + 1]


def initial_state(moment: BookState, latency_s: float, passive_s: float) -> ModelState:
    """What is known on the first book: its own depth, and priors."""
    depth_10 = (moment.bid_depth + moment.ask_depth) / 2
    calibration = Calibration(moment.half_spread_bps * moment.mid / 1e4, moment.reach / depth_10)
    prior = fill_prior(latency_s, passive_s)
    return ModelState(
        samples=0,
        depth_1=(moment.bid_size + moment.ask_size) / 2,
        depth_10=depth_10,
        slope=moment.reach / depth_10,
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
        clean_up_bps=None,
        clean_up_band=None,
        crossed_share=None,
        scores=RunningScores(STRATA).scores(),
    )
