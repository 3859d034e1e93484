"""How far the slippage model is trusted, and how fast what it learned is forgotten: literal numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from estimation.features import MAKER_COLUMNS
from estimation.model_record import STRATA
from estimation.model_state import StateRows
from estimation.slippage_learner import SlippageLearner
from estimation.training_data import SIZES, QuoteSums, TrainingBlock
from tests.support.synthetic_markets import begin_at, book, observe_all

FIRST = begin_at(observe_all([book([(99.0, 1.0)], [(101.0, 1.0)])])[0])


def one_block(count: int, residual_bps: float) -> TrainingBlock:
    """Return a block of `count` samples whose orders all hold, with every feature 1, and this residual."""
    orders = np.ones((10, count, SIZES))
    orders[-1] = residual_bps
    quotes = np.zeros((len(MAKER_COLUMNS), count, 2))
    sums, none = QuoteSums(0.0, 0.0, 0.0, 0.0, 0.0), np.zeros((count, 2))
    return TrainingBlock(orders, np.full((count, SIZES), residual_bps), quotes, none, none, none, sums)


def test_old_rows_weigh_one_e_th_after_five_minutes() -> None:
    """50 samples 6 s apart last 300 s: rows learned before them weigh 1 / e in the regression."""
    learner, rows = SlippageLearner(0.1), [StateRows(FIRST, slice(0, 50))]
    learner.learn(one_block(50, 1.0), rows, 6.0)
    learner.learn(one_block(50, 4.0), rows, 6.0)
    assert learner.independent_samples == pytest.approx(50 / math.e + 50)
    n = 50 * SIZES
    assert learner.sums.sums[0, 0] == pytest.approx(n / math.e + n)
    assert learner.sums.sums[0, -1] == pytest.approx(n * 1 / math.e + n * 4)
    assert learner.sums.sums[-1, -1] == pytest.approx(n * 1 / math.e + n * 16)


def test_old_agreement_weighs_one_e_th_after_fifteen_minutes() -> None:
    """50 samples 18 s apart last 900 s; squares of sums, whose own weight is squared, weigh 1 / e^2."""
    learner, rows = SlippageLearner(0.1), [StateRows(FIRST, slice(0, 50))]
    learner.agreement[:] = (3.0, 5.0, 7.0)
    learner.learn(one_block(50, 1.0), rows, 18.0)
    assert learner.agreement == pytest.approx([3 / math.e, 5 / math.e, 7 / math.e**2])


def test_overlapping_outcomes_count_less() -> None:
    """At 100 ms a sample and a latency of 0.4 s four outcomes overlap: 50 samples are worth 25 independent ones."""
    learner = SlippageLearner(0.4)
    learner.learn(one_block(50, 1.0), [StateRows(FIRST, slice(0, 50))], 0.1)
    assert (learner.overlap, learner.independent_samples) == pytest.approx((4.0, 25.0))


@pytest.mark.parametrize(
    ("agreement", "wanted"),
    [
        ((4.0, 5.0, 3.0), 0.5),  # 4/5 x (1 - 2 x 3/16)
        ((9.0, 5.0, 0.0), 1.0),
        ((4.0, 5.0, 8.0), 0.0),
        ((-4.0, 5.0, 0.0), 0.0),
        ((0.0, 0.0, 0.0), 0.0),
    ],
)
def test_shrinkage_has_literal_values(agreement: tuple[float, ...], wanted: float) -> None:
    """The share is sum r p / sum p^2, at most 1, reduced by twice the share that chance alone could give."""
    learner = SlippageLearner(0.1)
    learner.agreement[:] = agreement
    assert learner.shrinkage() == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("overlap", "low", "high"),
    [(1.0, 0.51969697, 97.48030303), (0.0, 2.45, 95.55), (4.0, 0.0, 98.0)],
)
def test_band_widens_with_dependence_of_outcomes(overlap: float, low: float, high: float) -> None:
    """Of 99 errors the band holds 97.5 % x (1 + 2 sqrt(overlap) / 99) from each end, and all where that is beyond 1."""
    learner = SlippageLearner(0.1)
    learner.errors.add(np.tile(np.arange(99.0), (STRATA, 1)) * np.arange(1, STRATA + 1)[:, None])
    learner.overlap = overlap
    band = learner.band()
    assert band is not None
    for stratum, ends in enumerate(band, 1):
        assert ends == pytest.approx((low * stratum, high * stratum))


def test_band_begins_with_its_fortieth_error() -> None:
    """There is no band of 39 errors."""
    learner = SlippageLearner(0.1)
    learner.errors.add(np.zeros((STRATA, 39)))
    assert learner.band() is None
    learner.errors.add(np.zeros((STRATA, 1)))
    assert learner.band() == ((0.0, 0.0),) * STRATA
