"""Saved learning: plain JSON that continues where it stopped, and that is refused by field name if damaged."""

from __future__ import annotations

import gzip
import json
import math
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calculations import Order, TradingCalculator
from estimation.online_learner import OnlineLearner
from estimation.saved_learner import LearnedError, SavedLearner
from estimation.training_schedule import Sample, make_block
from orderbook import Side
from tests.support.synthetic_markets import begin_at, count_learned_samples, observe_all, queue_market


def train_and_save(count: int = 700) -> tuple[dict[str, Any], TradingCalculator]:
    calculator = TradingCalculator(Order(Side.BUY, 1.0))
    for each in queue_market(count, 1):
        calculator.estimate(each)
    state = calculator.learned()
    assert state is not None
    return json.loads(json.dumps(state, allow_nan=False)), calculator


def test_calculator_resumes_learning_from_plain_json() -> None:
    """A new calculator that resumes the state has the same model, and learns on from there."""
    state, calculator = train_and_save()
    resumed = TradingCalculator(Order(Side.BUY, 1.0))
    resumed.resume(state)
    later = [
        replace(each, market_ns=each.market_ns + 3600 * 10**9) for each in islice(queue_market(1000, 1), 700, None)
    ]
    first = resumed.estimate(later[0])
    assert first.slippage_source == "model"
    assert count_learned_samples(resumed) == state["samples"] >= count_learned_samples(calculator)
    assert first.slippage_bps == pytest.approx(calculator.estimate(later[0]).slippage_bps, abs=0.02)
    assert first.maker_probability == pytest.approx(calculator.estimate(later[0]).maker_probability, abs=0.1)
    for each in later[1:]:
        resumed.estimate(each)
    assert count_learned_samples(resumed) >= state["samples"] + 100
    assert TradingCalculator(Order(Side.BUY, 1.0)).learned() is None


def test_resumed_learner_matches_one_that_never_stopped() -> None:
    """Given the same next block, both reach the same model state, to the last digit, after both have fitted anew."""
    books = list(queue_market(330, 1))
    book_states = observe_all(books)
    state = begin_at(book_states[0], 0.1, 0.5)
    uninterrupted = OnlineLearner(0.1, 0.5)
    for start in (0, 100, 200):
        samples = [Sample(each, each["market_ns"].item(), state) for each in book_states[start : start + 100]]
        block = make_block(samples, books[start : start + 120])
        if start == 200:
            resumed, _ = OnlineLearner.from_json(json.loads(json.dumps(uninterrupted.to_json())))
            (resumed_state,) = resumed.learn(block)
        (next_state,) = uninterrupted.learn(block)
    assert resumed_state.depth_10 == next_state.depth_10
    assert (resumed_state.shrinkage, resumed_state.band, resumed_state.crossings) == (
        next_state.shrinkage,
        next_state.band,
        next_state.crossings,
    )
    assert resumed_state.scorecard.slippage == next_state.scorecard.slippage
    assert resumed_state.slippage is not None
    assert next_state.slippage is not None
    x = np.random.default_rng(7).normal(size=(20, 8))
    assert resumed_state.slippage.predict(x) == pytest.approx(next_state.slippage.predict(x), rel=1e-12)
    x = x[:, :5]
    assert resumed_state.fill.predict_proba(x) == pytest.approx(next_state.fill.predict_proba(x), rel=1e-9)


def test_file_saved_by_an_earlier_version_opens_with_the_same_state() -> None:
    """A file of format 1 is read without loss and gives the model state that its writer had, but for the volatility.

    That is shrunk by now; of the file's 100 samples half have one 5 s before them, which is a return's worth of time.

    The file was saved before SavedLearner existed, by an order that waits 0.5 s, after 120 books of
    queue_market(seed=1).
    """
    learned = json.loads(gzip.decompress(Path(__file__).with_name("learned_1.json.gz").read_bytes()))
    learner, state = OnlineLearner.from_json(learned)
    added = {"moved_crossed": [0.0] * len(learned["offered"]), "observed_s": pytest.approx(0.1 * learned["market"][2])}
    added |= {"crossed_recently": [0.0, 0.0], "likelihoods": [0.0, 0.0]}
    assert learner.to_json() == {name: learned[name] for name in SavedLearner._fields if name not in added} | added
    assert (state.samples, state.depth_1, state.depth_10) == (100, 6.2718205680914165, 44.69838925746623)
    assert (state.base_rate, state.touch_rate) == (0.23515698394382095, 0.22467209175391728)
    assert (state.clean_up_bps, state.fill_is_better) == (0.020290269681083536, True)
    assert state.slope == pytest.approx(0.02013495374109237, rel=1e-12)
    returns = 0.1 * learned["market"][2] / 5
    default = 12 * math.exp(-returns / 24)
    variance = (returns * 0.11506345628694495**2 + default * 0.5**2 / 31_536_000 * 1e8) / (returns + default)
    assert state.volatility_bps == pytest.approx(math.sqrt(variance), rel=1e-12)
    assert (state.shrinkage, state.fill_weight) == pytest.approx((0.23951647401352794, 0.8767961648974913), rel=1e-12)
    assert state.band is not None
    assert state.band[0] == pytest.approx((-0.016667485185788804, 0.017936023661012643), rel=1e-12)
    assert state.clean_up_band == pytest.approx((-0.01666745836953476, 0.08333631955181886), rel=1e-12)
    assert state.slippage is not None
    assert state.slippage.predict_one((0.1,) * 8) == pytest.approx(0.0012473271088304287, rel=1e-9)
    assert state.fill.predict_one((0.1,) * 5) == pytest.approx(0.11012766894569619, rel=1e-9)
    assert state.scorecard.slippage.rmse == pytest.approx(0.013682967918745305, rel=1e-12)
    assert state.scorecard.fill.brier == pytest.approx(0.16977057559517789, rel=1e-12)
    calculator = TradingCalculator(Order(Side.BUY, 1.0, passive_s=0.5))
    calculator.resume(learned)
    assert calculator.learned() == learned | added


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"worth": "many"}, "worth must be a number from 0 to 1e+15, not 'many'"),
        ({"samples": True}, "samples must be a number from 0 to 1e+15, not True"),
        ({"passive_s": 61}, "passive_s must be a number from 0.1 to 60, not 61"),
        ({"errors": [["a"]]}, "errors is not a table of numbers: [['a']]"),
        ({"fills": [[1.0, 2.0]]}, "fills must have the shape ('any', 7), not (1, 2)"),
        ({"away": [1.0, math.inf]}, "away holds a number that is not finite: inf"),
    ],
)
def test_error_of_damaged_state_names_field_and_value(damage: dict[str, Any], message: str) -> None:
    """The message says which field is wrong, what it must be, and what it is."""
    state, _ = train_and_save(200)
    with pytest.raises(LearnedError) as raised:
        OnlineLearner.from_json(state | damage)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ({"moments": [[1.0]]}, "moments"),
        ({"errors": [["a"]]}, "errors"),
        ({"fills": [[1.0, 2.0]]}, "fills"),
        ({"samples": -1}, "samples"),
        ({"worth": "many"}, "worth"),
        ({"usual": [math.nan] * 5}, "usual"),
        ({"latency_s": None}, "latency_s"),
        ({"latency_s": 0.7}, "latency"),
        ({"format": "other"}, "format"),
        ({"fills": []}, "nothing was learned"),
        ({"worth": 0}, "fit together"),
        ({"usual": [0.0] * 5}, "fit together"),
        ({"fills": [[0.0] * 5 + [0.5, 1.0]] * 20}, "fit together"),
        ({"moments": [[0.0] * 10] * 10}, "fit together"),
        ({"market": [-1.0] + [1.0] * 11}, "fit together"),
    ],
)
def test_damaged_state_is_refused_by_field_name(damage: dict[str, Any], named: str) -> None:
    """An impossible state is refused, the message names the field, and nothing changes."""
    state, _ = train_and_save(200)
    calculator = TradingCalculator(Order(Side.BUY, 1.0))
    with pytest.raises(LearnedError, match=named):
        calculator.resume(state | damage)
    assert calculator.scorecard() is None
    for wrong in (None, [], "text", {}):
        with pytest.raises(LearnedError):
            calculator.resume(wrong)


def test_state_of_another_market_is_refused_at_first_book_only() -> None:
    """The first book raises; the next ones are priced by a fresh calculator."""
    state, _ = train_and_save(200)
    calculator, other = TradingCalculator(Order(Side.BUY, 1.0)), replace(next(queue_market(1, 1)), symbol="OTHER")
    calculator.resume(state)
    with pytest.raises(LearnedError, match="made MADE says nothing of made OTHER"):
        calculator.estimate(other)
    assert calculator.estimate(other).slippage_source == "book walk"
    assert count_learned_samples(calculator) == 0
