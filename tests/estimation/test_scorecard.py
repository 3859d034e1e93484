"""Scores against their definitions, on rows added in blocks of any size, two a sample."""

from __future__ import annotations

import math

import numpy as np
import pytest

from estimation.scorecard import RECENT_NS, FillSums, RunningScores, SlippageSums

RNG = np.random.default_rng(3)
BAND = ((-1.0, 1.5), (-2.0, 2.0))


def random_blocks(count: int) -> list[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    blocks = []
    for row in range(count):
        n = 2 * int(RNG.integers(1, 15))
        error, walk_error = RNG.normal(size=(2, n, 2)) * np.array([1.0, 1.1])[:, None, None]
        chance, base = RNG.uniform(0.01, 0.99, (2, n))
        blocks.append((row * 40 * 10**9, error, walk_error, chance, base, (RNG.random(n) < chance).astype(float)))
    return blocks


def score_blocks(rows: list[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]) -> RunningScores:
    scores = RunningScores(2)
    for ns, error, walk_error, chance, base, filled in rows:
        slippage, fill = SlippageSums(2), FillSums()
        for part in (slice(0, 2), slice(2, None)):
            slippage.count(len(error[part]) // 2, error[part], walk_error[part], *np.array(BAND).T.copy())
            fill.count(chance[part], base[part], filled[part], 0.25)
        scores.add(ns, slippage, fill)
    return scores


def test_scores_match_their_definitions() -> None:
    """Check skill, bias, coverage and pinball loss of slippage; Brier, skill, log loss and reliability of fills."""
    rows = random_blocks(20)
    card = score_blocks(rows).scores().scorecard(123, 0.4)
    error, walk_error = (np.concatenate([row[at] for row in rows]) for at in (1, 2))
    chance, base, filled = (np.concatenate([row[at] for row in rows]) for at in (3, 4, 5))
    slippage, fill = card.slippage, card.fill
    assert (card.samples, card.shrinkage, slippage.samples, slippage.rows) == (123, 0.4, len(error) // 2, error.size)
    assert slippage.skill == pytest.approx(1 - (error**2).sum() / (walk_error**2).sum())
    assert (slippage.bias, slippage.walk_bias) == pytest.approx((error.mean(), walk_error.mean()))
    assert slippage.rmse == pytest.approx(math.sqrt((error**2).mean()))
    low, high = np.array(BAND).T
    assert slippage.coverage == pytest.approx(((low <= error) & (error <= high)).mean())
    assert slippage.coverage_by_size == pytest.approx(((low <= error) & (error <= high)).mean(axis=0))
    losses = [
        np.where(error > end, q * (error - end), (q - 1) * (error - end)) for q, end in ((0.025, low), (0.975, high))
    ]
    assert slippage.pinball == pytest.approx(np.mean(losses))
    assert fill.brier == pytest.approx(((filled - chance) ** 2).mean())
    assert fill.skill == pytest.approx(1 - ((filled - chance) ** 2).sum() / ((filled - base) ** 2).sum())
    assert fill.log_loss == pytest.approx(-np.log(np.where(filled == 1, chance, 1 - chance)).mean())
    assert fill.n_eff == pytest.approx(0.25 * len(chance))
    for predicted, observed, count in fill.reliability:
        in_bin = (chance * 10).astype(int) == int(predicted * 10)
        wanted = (chance[in_bin].mean(), filled[in_bin].mean(), in_bin.sum())
        assert (predicted, observed, count) == pytest.approx(wanted)


def test_recent_scores_count_last_five_minutes_only() -> None:
    """Blocks older than five minutes count for the session, and no longer for the recent score."""
    rows = random_blocks(20)
    newest = rows[-1][0]
    recent = score_blocks(rows).scores().scorecard(0, 0.0)
    wanted = score_blocks([row for row in rows if row[0] >= newest - RECENT_NS]).scores().scorecard(0, 0.0)
    assert recent.slippage_recent.samples == wanted.slippage.samples < recent.slippage.samples
    assert recent.slippage_recent.skill == pytest.approx(wanted.slippage.skill)
    assert recent.slippage_recent.coverage_by_size == pytest.approx(wanted.slippage.coverage_by_size)
    assert recent.fill_recent.brier == pytest.approx(wanted.fill.brier)
    assert recent.fill_recent.n_eff == pytest.approx(wanted.fill.n_eff)


def test_scores_are_none_before_any_prediction() -> None:
    """Without rows every score is None, not zero; a shrinkage weight of zero says so in words."""
    card = RunningScores(2).scores().scorecard(0, 0.0)
    assert card.slippage.skill is card.slippage.coverage is card.fill.brier is card.fill.skill is None
    assert card.verdict == "still learning: the book walk is shown"
    assert score_blocks(random_blocks(2)).scores().scorecard(100, 0.0).verdict == "no better than the book walk so far"
    assert "better than the book walk by" in score_blocks(random_blocks(2)).scores().scorecard(100, 0.5).verdict


def test_certain_but_wrong_prediction_has_finite_log_loss() -> None:
    """A predicted probability of exactly 0 or 1 that fails costs much, but not infinity."""
    rows = (np.array(column) for column in ([1.0, 0.0], [0.5, 0.5], [0.0, 1.0]))
    fill = FillSums()
    fill.count(*rows, 1.0)
    loss = fill.score().log_loss
    assert loss is not None
    assert 20 < loss < math.inf
