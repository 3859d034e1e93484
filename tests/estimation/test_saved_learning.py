"""What was learned, saved as plain JSON: it goes on where it stopped, and is refused by name if damaged."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest

from calculations import Order, TradingCalculator
from estimation.features import FeatureExtractor
from estimation.model_state import initial_state
from estimation.online_learner import OnlineLearner
from estimation.saved_learner import LearnedError
from estimation.training_schedule import Sample, make_block
from orderbook import Side
from tests.support.synthetic_markets import count_learned_samples, queue_market


def learned_state(count: int = 700) -> tuple[dict[str, Any], TradingCalculator]:
    calculator = TradingCalculator(Order(Side.BUY, 1.0))
    for each in queue_market(count, 1):
        calculator.estimate(each)
    state = calculator.learned()
    assert state is not None
    return json.loads(json.dumps(state, allow_nan=False)), calculator


def test_learning_resumes_from_plain_json() -> None:
    """A new calculator that is given the state goes on with the same knowledge, and learns on from there."""
    state, calculator = learned_state()
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


def test_a_resumed_learner_goes_on_as_one_that_never_stopped() -> None:
    """Given the same next block, it knows the same, to the last digit, after both have fitted anew."""
    observer = FeatureExtractor()
    books = list(queue_market(330, 1))
    moments = [observer.extract(each) for each in books]
    known = initial_state(moments[0], 0.1, 0.5)
    never = OnlineLearner(0.1, 0.5)
    for start in (0, 100, 200):
        samples = [Sample(moment, known) for moment in moments[start : start + 100]]
        block = make_block(samples, books[start : start + 120])
        if start == 200:
            stopped, _ = OnlineLearner.from_json(json.loads(json.dumps(never.to_json())))
            (again,) = stopped.learn(block)
        (known_next,) = never.learn(block)
    assert again.depth_10 == known_next.depth_10
    assert (again.shrinkage, again.band, again.crossed_share) == (
        known_next.shrinkage,
        known_next.band,
        known_next.crossed_share,
    )
    assert again.scorecard.slippage == known_next.scorecard.slippage
    assert again.slippage is not None
    assert known_next.slippage is not None
    x = np.random.default_rng(7).normal(size=(20, 8))
    assert again.slippage.predict(x) == pytest.approx(known_next.slippage.predict(x), rel=1e-12)
    assert again.fill.predict_proba(x[:, :5]) == pytest.approx(known_next.fill.predict_proba(x[:, :5]), rel=1e-9)


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
def test_a_damaged_state_is_refused_by_name(damage: dict[str, Any], named: str) -> None:
    """What cannot be what was learned is refused, the message says which part, and nothing changes."""
    state, _ = learned_state(200)
    calculator = TradingCalculator(Order(Side.BUY, 1.0))
    with pytest.raises(LearnedError, match=named):
        calculator.resume(state | damage)
    assert calculator.scorecard() is None
    for wrong in (None, [], "text", {}):
        with pytest.raises(LearnedError):
            calculator.resume(wrong)


def test_a_state_of_another_market_is_refused_once() -> None:
    """The first book tells; the next ones are priced from the beginning."""
    state, _ = learned_state(200)
    calculator, other = TradingCalculator(Order(Side.BUY, 1.0)), replace(next(queue_market(1, 1)), symbol="OTHER")
    calculator.resume(state)
    with pytest.raises(LearnedError, match="made MADE says nothing of made OTHER"):
        calculator.estimate(other)
    assert calculator.estimate(other).slippage_source == "book walk"
    assert count_learned_samples(calculator) == 0
