"""The scores against their definitions, on rows added in blocks of any size, two a sample."""

from __future__ import annotations

import math

import numpy as np
import pytest

from estimation.scorecard import RECENT_NS, FillSums, RunningScores, SlippageSums

RNG = np.random.default_rng(3)
BAND = ((-1.0, 1.5), (-2.0, 2.0))


def blocks(count: int) -> list[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    made = []
    for row in range(count):
        n = 2 * int(RNG.integers(1, 15))
        error, walk_error = RNG.normal(size=(2, n, 2)) * np.array([1.0, 1.1])[:, None, None]
        chance, base = RNG.uniform(0.01, 0.99, (2, n))
        made.append((row * 40 * 10**9, error, walk_error, chance, base, (RNG.random(n) < chance).astype(float)))
    return made


def told(rows: list[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]) -> RunningScores:
    tally = RunningScores(2)
    for ns, error, walk_error, chance, base, filled in rows:
        slippage, fill = SlippageSums(2), FillSums()
        for part in (slice(0, 2), slice(2, None)):
            slippage.count(len(error[part]) // 2, error[part], walk_error[part], *np.array(BAND).T.copy())
            fill.count(chance[part], base[part], filled[part], 0.25)
        tally.add(ns, slippage, fill)
    return tally


def test_scores_are_as_defined() -> None:
    """Skill, bias, coverage and pinball loss of the slippage; Brier, skill, log loss and reliability of the fills."""
    rows = blocks(20)
    card = told(rows).scores().scorecard(123, 0.4)
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
    for said, happened, count in fill.reliability:
        inside = (chance * 10).astype(int) == int(said * 10)
        assert (said, happened, count) == pytest.approx((chance[inside].mean(), filled[inside].mean(), inside.sum()))


def test_recent_scores_are_of_the_last_minutes() -> None:
    """Blocks older than five minutes count for the session and no longer for the recent score."""
    rows = blocks(20)
    newest = rows[-1][0]
    recent = told(rows).scores().scorecard(0, 0.0)
    wanted = told([row for row in rows if row[0] >= newest - RECENT_NS]).scores().scorecard(0, 0.0)
    assert recent.slippage_recent.samples == wanted.slippage.samples < recent.slippage.samples
    assert recent.slippage_recent.skill == pytest.approx(wanted.slippage.skill)
    assert recent.slippage_recent.coverage_by_size == pytest.approx(wanted.slippage.coverage_by_size)
    assert recent.fill_recent.brier == pytest.approx(wanted.fill.brier)
    assert recent.fill_recent.n_eff == pytest.approx(wanted.fill.n_eff)


def test_nothing_scored_is_none() -> None:
    """No row, no score: None and not zero; a closed gate says so in words."""
    card = RunningScores(2).scores().scorecard(0, 0.0)
    assert card.slippage.skill is card.slippage.coverage is card.fill.brier is card.fill.skill is None
    assert card.verdict == "still learning: the book walk is shown"
    assert told(blocks(2)).scores().scorecard(100, 0.0).verdict == "no better than the book walk so far"
    assert "better than the book walk by" in told(blocks(2)).scores().scorecard(100, 0.5).verdict


def test_certain_and_wrong_is_a_finite_loss() -> None:
    """A chance of exactly 0 or 1 that fails costs much, and not infinity."""
    rows = (np.array(column) for column in ([1.0, 0.0], [0.5, 0.5], [0.0, 1.0]))
    fill = FillSums()
    fill.count(*rows, 1.0)
    loss = fill.score().log_loss
    assert loss is not None
    assert 20 < loss < math.inf
