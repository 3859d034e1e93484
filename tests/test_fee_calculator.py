"""Fees: exact arithmetic against fractions, tiers by volume, the next tier's saving, and the warnings in words."""

from __future__ import annotations

import dataclasses
import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fee_calculator import (
    OWN_EXAMPLE,
    SCHEDULES,
    FeeCalculator,
    FeeError,
    FeeTier,
    edition_words,
    editions,
    fee_bps,
    own_schedule,
    schedule,
    tier_for_volume,
    tier_words,
    warning,
)
from feeds import VENUES, Venue
from fees.tables import TITLES


def exact(value: float) -> Fraction:
    """Return the number as it is written, not as it is stored."""
    return Fraction(repr(float(value)))


shares = st.floats(0, 1)
rates = st.floats(-0.01, 0.02)
tiers = st.builds(FeeTier, st.just("any"), rates, rates)
published_tiers = st.sampled_from([tier for each in SCHEDULES.values() for tier in each.tiers])


@given(shares, st.one_of(published_tiers, tiers))
def test_fee_is_exact(share: float, tier: FeeTier) -> None:
    """The fee is the float nearest to the exact sum of both rates' shares, in bps: no rounding on the way."""
    maker_share = exact(share)
    fee = (maker_share * exact(tier.maker) + (1 - maker_share) * exact(tier.taker)) * 10_000
    decimals = (Decimal(repr(share)) * Decimal(repr(tier.maker))) + (1 - Decimal(repr(share))) * Decimal(
        repr(tier.taker)
    )
    assert fee_bps(share, tier) == pytest.approx(float(fee), rel=1e-15, abs=1e-22)
    assert fee_bps(share, tier) == pytest.approx(float(decimals * 10_000), rel=1e-15, abs=1e-22)


@given(st.integers(0, 1000), published_tiers)
def test_fee_of_published_rates_is_the_nearest_float(thousandths: int, tier: FeeTier) -> None:
    """For a share as a person types it, the published rates give the very float nearest to the exact fee."""
    share = Fraction(thousandths, 1000)
    fee = (share * exact(tier.maker) + (1 - share) * exact(tier.taker)) * 10_000
    assert fee_bps(thousandths / 1000, tier) == float(fee)


@given(shares, st.one_of(published_tiers, tiers))
def test_fee_lies_between_the_rates(share: float, tier: FeeTier) -> None:
    """Never below the lower of the two rates, never above the higher, not by the last digit; the ends are the rates."""
    taker, maker = fee_bps(0.0, tier), fee_bps(1.0, tier)
    assert (taker, maker) == (float(exact(tier.taker) * 10_000), float(exact(tier.maker) * 10_000))
    assert min(taker, maker) <= fee_bps(share, tier) <= max(taker, maker)


@given(shares, shares, shares, tiers)
def test_fee_is_linear_in_the_share(one: float, other: float, weight: float, tier: FeeTier) -> None:
    """The fee of a mixture of shares is the same mixture of their fees."""
    mixed = weight * one + (1 - weight) * other
    mixture = weight * fee_bps(one, tier) + (1 - weight) * fee_bps(other, tier)
    assert fee_bps(min(mixed, 1.0), tier) == pytest.approx(mixture, abs=1e-12)


@given(
    st.one_of(st.floats(max_value=0, exclude_max=True), st.floats(min_value=1, exclude_min=True), st.just(float("nan")))
)
def test_a_share_outside_0_to_1_is_refused(share: float) -> None:
    """A maker share that is no share is an error that shows it, never a fee."""
    with pytest.raises(FeeError, match=re.escape(str(share))):
        fee_bps(share, FeeTier("any", 0.0, 0.0))


def test_a_rebate_is_negative() -> None:
    """OKX pays its VIP9 makers 0.5 bps on swaps; half of it as maker still costs."""
    vip9 = schedule("okx", "swap", "current").tiers[-1]
    assert [fee_bps(share, vip9) for share in (1.0, 0.5, 0.0)] == [-0.5, 0.5, 1.5]


def test_a_numpy_share_is_a_share() -> None:
    """The maker models answer in numpy floats; these give the same fee as plain ones."""
    numpy = pytest.importorskip("numpy")
    tier = FeeTier("any", 0.0002, 0.0005)
    assert fee_bps(numpy.float64(0.3), tier) == fee_bps(0.3, tier) == 4.1


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("okx", "swap", "specification"), "lists spot fees only.*take the current fees of OKX"),
        (("kraken", "swap", "specification"), "lists spot fees only.*take the current fees of Kraken"),
        (("coinbase", "swap", "current"), "no perpetual swap fees.*Coinbase; load your own"),
        (("coinbase", "swap", "specification"), "no perpetual swap fees.*Coinbase; load your own"),
        (("ftx", "spot", "current"), "unknown fee venue 'ftx'; known are okx, binance, coinbase, kraken"),
        (("okx", "margin", "current"), "unknown product 'margin'"),
        (("okx", "spot", "own"), "unknown edition 'own'"),
    ],
)
def test_what_is_not_published_is_said_to_be_missing(asked: tuple[str, str, str], says: str) -> None:
    """Where there is no schedule, a sentence says why and what to do instead."""
    with pytest.raises(FeeError, match=says):
        schedule(*asked)


def test_editions_are_those_that_can_be_had() -> None:
    """Every edition on offer opens, today's first, and no other does."""
    for venue in TITLES:
        for product in ("spot", "swap"):
            offered = editions(venue, product)
            assert offered == [
                edition for edition in ("current", "specification") if (venue, product, edition) in SCHEDULES
            ]
            for edition in offered:
                assert schedule(venue, product, edition).edition == edition


@pytest.mark.parametrize("venue", VENUES.values(), ids=VENUES)
def test_every_market_pays_published_fees(venue: Venue) -> None:
    """Each venue of market data pays somebody's fees, and those are published for its products."""
    for symbol in venue.symbols:
        assert schedule(venue.fees, venue.product(symbol), "current").product == venue.product(symbol)


def test_markets_relayed_or_made_here_pay_the_fees_of_whom_they_stand_for() -> None:
    """The gateway relays OKX, the simulated market imitates it, and both Binance venues have one fee page."""
    assert VENUES["gomarket-okx"].fees == VENUES["simulated"].fees == "okx"
    assert VENUES["binance-usdm"].fees == VENUES["binance"].fees == "binance"


@given(st.sampled_from(sorted(SCHEDULES)), st.floats(0, 1e12))
def test_the_tier_of_a_volume(key: tuple[str, str, str], volume: float) -> None:
    """The volume reaches the tier, and reaches none after it."""
    each = SCHEDULES[key]
    tier = tier_for_volume(each, volume)
    assert tier.min_volume is not None
    assert tier.min_volume <= volume
    for later in each.tiers[each.tiers.index(tier) + 1 :]:
        assert later.min_volume is None or later.min_volume > volume


@pytest.mark.parametrize(
    ("key", "volume", "name"),
    [
        ("okx swap current", 4_999_999.99, "Regular"),
        ("okx swap current", 5_000_000, "VIP1"),
        ("okx spot specification", 9_999_999, "Lv1"),
        ("okx spot specification", 10_000_000, "VIP1"),
        ("kraken spot current", 0, "Tier 1"),
        ("kraken spot current", 2_500, "Tier 2"),
        ("coinbase spot current", 1e15, "400M+ USD"),
        ("binance spot specification", 9_999, "VIP2"),
    ],
)
def test_the_edges_of_a_tier(key: str, volume: float, name: str) -> None:
    """A tier begins at its volume and not below; a tier that volume does not reach is passed over."""
    assert tier_for_volume(schedule(*key.split()), volume).name == name


@pytest.mark.parametrize("volume", [-1.0, float("nan"), float("inf")])
def test_a_volume_that_is_none_is_refused(volume: float) -> None:
    """A negative or endless volume belongs to no tier."""
    with pytest.raises(FeeError, match=str(volume)):
        tier_for_volume(schedule("okx", "spot", "current"), volume)


@given(st.sampled_from(sorted(SCHEDULES)), shares, st.data())
def test_the_next_tier_saves_the_difference(key: tuple[str, str, str], share: float, data: Any) -> None:
    """The saving is this tier's fee less the next one's, exactly, and the last tier has none after it."""
    each = SCHEDULES[key]
    n = data.draw(st.integers(0, len(each.tiers) - 1))
    step = FeeCalculator(each, each.tiers[n]).next_tier(share)
    if n == len(each.tiers) - 1:
        assert step is None
        return
    assert step is not None
    here, after, maker_share = each.tiers[n], each.tiers[n + 1], exact(share)
    saving = maker_share * (exact(here.maker) - exact(after.maker)) + (1 - maker_share) * (
        exact(here.taker) - exact(after.taker)
    )
    assert step.tier is after
    assert step.saving_bps == pytest.approx(float(saving * 10_000), rel=1e-15, abs=1e-22)
    assert step.needs


@pytest.mark.parametrize(
    ("key", "n", "needs"),
    [
        ("okx spot specification", 0, "1,000 OKB held"),
        ("okx spot specification", 1, "a 30-day volume of 10,000,000 USD or assets of 100,000 USD"),
        ("binance spot specification", 0, "a 30-day volume of 100 BTC and 50 BNB held"),
        ("binance swap current", 2, "a 30-day volume of 100,000,000 USD and 100 BNB held"),
        ("coinbase spot current", 0, "a 30-day volume of 10,000 USD"),
        ("kraken swap current", 0, "a 30-day volume of 5,000,000 USD or 2,500 USD of spot volume"),
        (
            "kraken spot current",
            11,
            "a 30-day volume of 50,000,000 USD or 400,000,000 USD of futures volume, or 20,000,000 USD of assets",
        ),
    ],
)
def test_what_the_next_tier_asks_for(key: str, n: int, needs: str) -> None:
    """Volume, assets and coins held are named as the venue asks for them."""
    each = schedule(*key.split())
    step = FeeCalculator(each, each.tiers[n]).next_tier(0.5)
    assert step is not None
    assert step.needs == needs


def test_a_calculator_holds_one_of_its_schedules_tiers() -> None:
    """Its fee is that of its tier, and a tier of another schedule is refused."""
    swap, spot = schedule("okx", "swap", "current"), schedule("okx", "spot", "current")
    assert FeeCalculator(swap, swap.tiers[0]).fee_bps(0.5) == fee_bps(0.5, swap.tiers[0]) == 3.5
    with pytest.raises(FeeError, match="'Regular' is not a tier of the okx swap schedule"):
        FeeCalculator(swap, spot.tiers[0])


def test_values_are_frozen() -> None:
    """Tiers, schedules, calculators and the table of schedules cannot be changed."""
    each = schedule("okx", "spot", "current")
    for value, field in ((each, "tiers"), (each.tiers[0], "maker"), (FeeCalculator(each, each.tiers[0]), "tier")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field, None)
        assert not hasattr(value, "__dict__")
    with pytest.raises(TypeError):
        SCHEDULES["okx", "spot", "current"] = each  # type: ignore[index]


def test_a_spot_schedule_on_a_swap_is_warned_about() -> None:
    """For every swap market and every spot schedule a sentence names both products and the venue's swap rates."""
    for venue, first in (("okx", "0.02 %, taker 0.05 %"), ("binance", "0.02 %, taker 0.05 %"), ("kraken", "0.02 %")):
        for edition in ("current", "specification"):
            words = warning(schedule(venue, "spot", edition), venue, "swap")
            assert words is not None
            assert "a perpetual swap never pays spot fees" in words
            assert f"begins at maker {first}" in words
    swap = warning(schedule("okx", "swap", "current"), "okx", "spot")
    assert swap is not None
    assert swap.startswith("This is a spot market, and a spot market never pays perpetual swap fees.")


def test_another_venues_fees_are_warned_about_and_the_right_ones_are_not() -> None:
    """Silence is kept for the schedule that fits, whatever its edition."""
    for key, each in SCHEDULES.items():
        assert warning(each, key[0], key[1]) is None
    words = warning(schedule("okx", "spot", "current"), "kraken", "spot")
    assert words is not None
    assert words.startswith("This market pays the fees of Kraken, not of OKX.")
    assert words.endswith("for a spot market Kraken begins at maker 0.4 %, taker 0.8 %.")
    missing = warning(schedule("okx", "spot", "current"), "coinbase", "swap")
    assert missing is not None
    assert missing.endswith("begin at maker 0.08 %, taker 0.1 %.")


def test_the_edition_in_words() -> None:
    """Which edition, which venue, which product, from when; and how many tiers sources dispute."""
    assert "as the specification has them" in edition_words(schedule("kraken", "spot", "specification"))
    assert edition_words(schedule("okx", "swap", "current")).startswith(
        "Current OKX perpetual swap fees, as of 2026-07-26. Disputed or unconfirmed: 2 of its 10 tiers."
    )
    assert "Disputed or unconfirmed: 9 of its 10 tiers" in edition_words(schedule("binance", "swap", "current"))
    assert "Disputed" not in edition_words(schedule("okx", "spot", "current"))
    assert "Coinbase Advanced" in edition_words(schedule("coinbase", "spot", "current"))
    assert edition_words(own_schedule(OWN_EXAMPLE, "toml")) == "Your own OKX perpetual swap fees, as of 2026-05-03."


@given(st.one_of(published_tiers, tiers))
def test_a_tier_in_words_is_exact(tier: FeeTier) -> None:
    """The percents in the line are the rates, digit for digit, and only a disputed tier is marked."""
    maker, taker = re.findall(r"(-?[\d.]+) %", tier_words(tier))
    assert Fraction(maker) / 100 == exact(tier.maker)
    assert Fraction(taker) / 100 == exact(tier.taker)
    assert tier_words(tier).endswith("(disputed)") == bool(tier.disputed)
