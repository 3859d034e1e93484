"""Where each number comes from, said as it is while a model warms up, is tried, and is used."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from calculations import Estimate, Order, Style, TradingCalculator, filled_or_not_bps
from estimation.model_record import fill_probability
from fee_calculator import FeeTier
from network.status import Status
from numerics.jit import interpreted
from orderbook import Side
from sessions.market import Market
from tests.support.synthetic_markets import book, queue_market
from ui.text.captions import (
    impact_caption,
    maker_caption,
    maker_words,
    net_band,
    net_caption,
    slippage_caption,
    warm_up_words,
)
from ui.text.status import connection_words

BOOK = book([(99.9, 5.0), (99.0, 20.0)], [(100.1, 5.0), (101.0, 30.0)])


def test_captions_follow_the_model_from_warm_up_over_trial_to_use() -> None:
    """Book by book: warming up counts to ten, learning to sixty, then samples and a score stand there."""
    calculator, seen = TradingCalculator(Order(Side.BUY, 3.0)), []
    for each in queue_market(500, 3):
        estimate = calculator.estimate(each)
        card = calculator.scorecard()
        assert card is not None
        caption = slippage_caption(estimate, card, calculator.resolved_samples)
        if not seen or seen[-1] != caption:
            seen.append(caption)
        assert (card.samples == 0) == bool(warm_up_words(calculator.resolved_samples, card.samples))
    words = [behind for _, behind in seen]
    assert words[:10] == [f"Model warming up ({n} of 10)" for n in range(10)]
    assert words[10:60] == [f"Learning, {n} of 60" for n in range(10, 60)]
    assert "10 samples" in words[60]
    assert seen[-1][0] in ("Model", "Book walk")


def test_net_band_is_the_slippage_band_shifted_by_fees_and_impact() -> None:
    """Until outcomes were seen there is none; then it is as wide as the slippage's and holds the net cost."""
    calculator = TradingCalculator(Order(Side.BUY, 3.0))
    first = calculator.estimate(BOOK)
    assert net_band(first) is None
    assert net_caption(first, first, 0, 0) == ("95 % band not known yet", "Model warming up (0 of 10)")
    calculator = TradingCalculator(Order(Side.BUY, 3.0))
    for each in queue_market(500, 3):
        last = calculator.estimate(each)
    band = net_band(last)
    assert band is not None
    assert last.slippage_low_bps is not None
    assert last.slippage_high_bps is not None
    assert last.net_cost_bps is not None
    assert band[1] - band[0] == pytest.approx(last.slippage_high_bps - last.slippage_low_bps)
    assert band[0] <= last.net_cost_bps <= band[1]


def styled(calculator: TradingCalculator, style: Style) -> tuple[Estimate, Estimate]:
    """Price the calculator's order in this style, and sent at once, on its newest book."""
    order = replace(calculator.order, style=style)
    estimate, at_once = calculator.what_if([order, replace(order, style="now")])
    return estimate, at_once


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("style", ["passive", "schedule"])
def test_caption_claims_no_percentage_for_styles_whose_band_was_not_measured(side: Side, style: Style) -> None:
    """Beside a waiting order stand its two ends, beside a schedule its risk, and beside neither a percentage."""
    calculator = TradingCalculator(Order(side, 3.0, tier=FeeTier("any", 0.0002, 0.0005)))
    for each in queue_market(500, 3):
        calculator.estimate(each)
    estimate, at_once = styled(calculator, style)
    assert estimate.slippage_low_bps is not None
    assert net_band(estimate) is None
    words = " ".join(net_caption(estimate, at_once, 500, 500))
    assert "%" not in words
    if style == "schedule":
        assert words.startswith(f"± {estimate.timing_risk_bps:.3f} bps while trading")
    else:
        filled, missed = re.findall(r"-?[0-9.]+", words)
        assert float(filled) < estimate.net_cost_bps < float(missed)  # type: ignore[operator]


@pytest.mark.parametrize(("side", "crossing"), [(Side.BUY, Fraction(201, 2)), (Side.SELL, Fraction(99, 1))])
def test_both_ends_of_a_waiting_order_are_exact(side: Side, crossing: Fraction) -> None:
    """Filled: the own touch and the maker fee. Not filled: the usual move away, then the walk and the taker fee."""
    tier = FeeTier("any", 0.0002, 0.0005)
    calculator = TradingCalculator(Order(side, 10.0, tier=tier))
    calculator.estimate(book([(99.5, 5.0), (98.5, 5.0)], [(100.5, 10.0)]))
    waiting, at_once = styled(calculator, "passive")
    mid, sign = Fraction(100), side.value
    touch = mid - sign * Fraction(1, 2)

    def cost_bps(price: Fraction, rate: Fraction) -> Fraction:
        return (sign * (price - mid) / mid + rate * price / mid) * 10_000

    filled, missed = filled_or_not_bps(waiting, at_once) or (None, None)
    assert filled == pytest.approx(float(cost_bps(touch, Fraction(2, 10_000))), abs=1e-9)
    clean_up = Fraction(waiting.clean_up_bps)
    assert missed == pytest.approx(float(cost_bps(crossing, Fraction(5, 10_000)) + clean_up), abs=1e-9)
    assert clean_up > 0


def test_market_that_never_moved_gets_no_band_of_width_zero() -> None:
    """Every outcome so far was the guess itself: no band is claimed, and the reason is given."""
    calculator = TradingCalculator(Order(Side.BUY, 3.0))
    for row in range(200):
        estimate = calculator.estimate(replace(BOOK, market_ns=row * 100_000_000))
    band = net_band(estimate)
    assert band is not None
    assert band[0] == band[1]
    assert net_caption(estimate, estimate, 200, 100) == ("No band yet", "The price has not moved so far")


def test_thin_book_names_the_share_it_holds() -> None:
    """Beyond the visible book the share it holds is named, and no total is claimed beyond five times it."""
    for quantity, source in ((70.0, "Partly guessed"), (700.0, "Too thin")):
        calculator = TradingCalculator(Order(Side.BUY, quantity))
        estimate = calculator.estimate(BOOK)
        card = calculator.scorecard()
        assert card is not None
        assert slippage_caption(estimate, card, 0) == (source, f"The book holds {3500 / quantity:.0f} % of it")
        assert "%" not in net_caption(estimate, estimate, 500, 500)[0]
    assert net_caption(estimate, estimate, 0, 0)[0] == "No total"


def test_impact_and_maker_captions_name_their_source() -> None:
    """Nothing is counted for an order sent at once; a schedule names the model; a first maker share is a prior."""
    free = FeeTier("free", 0.0, 0.0)
    calculator = TradingCalculator(Order(Side.BUY, 3.0, tier=free))
    now = calculator.estimate(BOOK)
    card = calculator.scorecard()
    assert card is not None
    assert impact_caption(now)[0] == "Nothing extra"
    assert maker_caption(now, card) == ("Starting guess", "From past markets")
    spread = TradingCalculator(Order(Side.BUY, 3.0, style="schedule")).estimate(BOOK)
    assert impact_caption(spread) == ("Almgren–Chriss", "η default, γ default")


def test_fill_model_that_is_no_better_is_not_used_and_the_page_says_so() -> None:
    """While the model's own predictions score no better than the average so far, the chance is that average."""
    seen: dict[str, int] = {}
    for seed in range(8):
        calculator = TradingCalculator(Order(Side.BUY, 0.5))
        for each in queue_market(400, seed):
            estimate = calculator.estimate(each)
            card = calculator.scorecard()
            assert card is not None
            assert calculator._schedule is not None
            known = calculator._schedule.state
            if not card.fill.samples:
                continue
            better = card.fill.skill is None or card.fill.skill > 0
            seen[estimate.maker_source] = seen.get(estimate.maker_source, 0) + 1
            source, score = maker_caption(estimate, card)
            if better and known.fill_weight > 0:
                assert source == "Model"
                assert "-" not in score
            else:
                assert (source, score) == ("Average so far", f"Model no better, {card.fill.samples:,} outcomes")
                chance = interpreted(fill_probability)(
                    known.record.view(np.recarray)[0], estimate.features.maker_columns()
                )
                assert chance == known.base_rate
                assert "as their average" in maker_words(estimate, card)
    assert set(seen) == {"model", "average"}


@pytest.mark.parametrize(
    ("market", "name"),
    [
        (Market("kraken", "BTC/USD"), "Kraken"),
        (Market("kraken", "BTC/USD", address="ws://127.0.0.1:9"), "that address"),
    ],
)
def test_market_out_of_reach_is_named_and_says_what_to_do(market: Market, name: str) -> None:
    """The sentence names what can't be reached, says what to press, and gives the reason last."""
    status = Status("given up", 0, 0, 0, 0, 0, 0, 5, None, None, "gave up after 5 failed tries", 0, None)
    assert connection_words(status, market) == (
        f"Can't reach {name}. Press Connect to try again. Gave up after 5 failed tries."
    )
    assert connection_words(status, market, can_retry=False) == f"Can't reach {name}. Gave up after 5 failed tries."


def test_model_that_takes_effect_late_is_being_prepared() -> None:
    """No count goes beyond its end."""
    assert warm_up_words(60, 0) == "Learning, 60 of 60"
    assert warm_up_words(61, 0) == "The model is being prepared"
