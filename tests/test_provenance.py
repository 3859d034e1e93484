"""Where each number comes from, said as it is while a model warms up, is tried, and is used."""

from __future__ import annotations

import pytest

from calculations import Order, TradingCalculator
from fee_calculator import FeeTier
from orderbook import Side
from provenance import (
    impact_caption,
    maker_caption,
    net_band,
    net_caption,
    slippage_caption,
    warm_up_words,
)
from tests.made_markets import book, queues

BOOK = book([(99.9, 5.0), (99.0, 20.0)], [(100.1, 5.0), (101.0, 30.0)])


def test_the_captions_follow_the_model_from_nothing_to_use() -> None:
    """Book by book: warming up counts to ten, the trial to sixty, then samples and a score stand there."""
    calculator, seen = TradingCalculator(Order(Side.BUY, 3.0)), []
    for each in queues(500, 3):
        estimate = calculator.estimate(each)
        card = calculator.scorecard()
        assert card is not None
        caption = slippage_caption(estimate, card, calculator.moments)
        if not seen or seen[-1] != caption:
            seen.append(caption)
        assert (card.samples == 0) == bool(warm_up_words(calculator.moments, card.samples))
    words = [behind for _, behind in seen]
    assert words[:10] == [f"Model warming up ({n} of 10)" for n in range(10)]
    assert words[10:60] == [f"Model in trial ({n} of 60)" for n in range(10, 60)]
    assert "10 samples" in words[60]
    assert seen[-1][0] in ("Model", "Book walk")


def test_the_band_is_the_slippages_moved_by_what_is_sure() -> None:
    """Until outcomes were seen there is none; then it is as wide as the slippage's and holds the net cost."""
    calculator = TradingCalculator(Order(Side.BUY, 3.0))
    first = calculator.estimate(BOOK)
    assert net_band(first) is None
    assert net_caption(first, 0, 0) == ("95 % band not known yet", "Model warming up (0 of 10)")
    calculator = TradingCalculator(Order(Side.BUY, 3.0))
    for each in queues(500, 3):
        last = calculator.estimate(each)
    band = net_band(last)
    assert band is not None
    assert last.slippage_low_bps is not None
    assert last.slippage_high_bps is not None
    assert last.net_cost_bps is not None
    assert band[1] - band[0] == pytest.approx(last.slippage_high_bps - last.slippage_low_bps)
    assert band[0] <= last.net_cost_bps <= band[1]


def test_a_thin_book_says_how_thin() -> None:
    """Beyond the visible book the share it holds is named, and no total is claimed beyond five times it."""
    for quantity, source in ((70.0, "Partly guessed"), (700.0, "Too thin")):
        calculator = TradingCalculator(Order(Side.BUY, quantity))
        estimate = calculator.estimate(BOOK)
        card = calculator.scorecard()
        assert card is not None
        assert slippage_caption(estimate, card, 0) == (source, f"The book holds {3500 / quantity:.0f} % of it")
    assert net_caption(estimate, 0, 0)[0] == "No total"


def test_impact_and_maker_name_their_source() -> None:
    """Nothing is counted for an order sent at once; a schedule names the model; a first maker share is a prior."""
    free = FeeTier("free", 0.0, 0.0)
    calculator = TradingCalculator(Order(Side.BUY, 3.0, tier=free))
    now = calculator.estimate(BOOK)
    card = calculator.scorecard()
    assert card is not None
    assert impact_caption(now)[0] == "None counted"
    assert maker_caption(now, card)[0] == "Prior"
    spread = TradingCalculator(Order(Side.BUY, 3.0, style="schedule")).estimate(BOOK)
    assert impact_caption(spread) == ("Almgren–Chriss", "η default, γ default")
