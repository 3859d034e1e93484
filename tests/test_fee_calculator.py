"""Check fees against exact fractions, tiers by volume, the saving of the next tier, and the sentences of warnings."""

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


def to_fraction(value: float) -> Fraction:
    """Return the exact fraction of the number as it is written, not as it is stored."""
    return Fraction(repr(float(value)))


shares = st.floats(0, 1)
rates = st.floats(-0.01, 0.02)
tiers = st.builds(FeeTier, st.just("any"), rates, rates)
published_tiers = st.sampled_from([tier for fee_schedule in SCHEDULES.values() for tier in fee_schedule.tiers])


@given(shares, st.one_of(published_tiers, tiers))
def test_fee_equals_exact_fractions_and_decimals(share: float, tier: FeeTier) -> None:
    """The fee is the float nearest to the exact sum of both rates' shares, in bps, without rounding on the way."""
    maker_share = to_fraction(share)
    fee = (maker_share * to_fraction(tier.maker) + (1 - maker_share) * to_fraction(tier.taker)) * 10_000
    decimals = (Decimal(repr(share)) * Decimal(repr(tier.maker))) + (1 - Decimal(repr(share))) * Decimal(
        repr(tier.taker)
    )
    assert fee_bps(share, tier) == pytest.approx(float(fee), rel=1e-15, abs=1e-22)
    assert fee_bps(share, tier) == pytest.approx(float(decimals * 10_000), rel=1e-15, abs=1e-22)


@given(st.integers(0, 1000), published_tiers)
def test_fee_of_published_rates_is_the_nearest_float(thousandths: int, tier: FeeTier) -> None:
    """For a share as a person types it, the published rates give exactly the float nearest to the exact fee."""
    share = Fraction(thousandths, 1000)
    fee = (share * to_fraction(tier.maker) + (1 - share) * to_fraction(tier.taker)) * 10_000
    assert fee_bps(thousandths / 1000, tier) == float(fee)


@given(shares, st.one_of(published_tiers, tiers))
def test_fee_lies_between_the_rates(share: float, tier: FeeTier) -> None:
    """Not even the last digit is below the lower rate or above the higher one; shares of 0 and 1 give the rates."""
    taker, maker = fee_bps(0.0, tier), fee_bps(1.0, tier)
    assert (taker, maker) == (float(to_fraction(tier.taker) * 10_000), float(to_fraction(tier.maker) * 10_000))
    assert min(taker, maker) <= fee_bps(share, tier) <= max(taker, maker)


@given(shares, shares, shares, tiers)
def test_fee_is_linear_in_the_share(first: float, second: float, weight: float, tier: FeeTier) -> None:
    """The fee of a mixture of shares is the same mixture of their fees."""
    mixed_share = weight * first + (1 - weight) * second
    mixed_fee = weight * fee_bps(first, tier) + (1 - weight) * fee_bps(second, tier)
    assert fee_bps(min(mixed_share, 1.0), tier) == pytest.approx(mixed_fee, abs=1e-12)


@given(
    st.one_of(st.floats(max_value=0, exclude_max=True), st.floats(min_value=1, exclude_min=True), st.just(float("nan")))
)
def test_share_outside_0_to_1_is_refused(share: float) -> None:
    """An impossible maker share is an error that shows it, never a fee."""
    with pytest.raises(FeeError, match=re.escape(str(share))):
        fee_bps(share, FeeTier("any", 0.0, 0.0))


def test_maker_rebate_is_a_negative_fee() -> None:
    """OKX pays its VIP9 makers 0.5 bps on swaps; an order that is half maker still costs."""
    vip9 = schedule("okx", "swap", "current").tiers[-1]
    assert [fee_bps(share, vip9) for share in (1.0, 0.5, 0.0)] == [-0.5, 0.5, 1.5]


def test_numpy_share_gives_the_same_fee_as_a_float() -> None:
    """The maker models return numpy floats; these give the same fee as plain ones."""
    numpy = pytest.importorskip("numpy")
    tier = FeeTier("any", 0.0002, 0.0005)
    assert fee_bps(numpy.float64(0.3), tier) == fee_bps(0.3, tier) == 4.1


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (("okx", "swap", "specification"), "lists spot fees only.*take the current fees of OKX"),
        (("kraken", "swap", "specification"), "lists spot fees only.*take the current fees of Kraken"),
        (("coinbase", "swap", "current"), "no perpetual swap fees.*Coinbase; load your own"),
        (("coinbase", "swap", "specification"), "no perpetual swap fees.*Coinbase; load your own"),
        (("ftx", "spot", "current"), "unknown fee venue 'ftx'; known are okx, binance, .*coinbase, .*kraken"),
        (("okx", "margin", "current"), "unknown product 'margin'"),
        (("okx", "spot", "own"), "unknown edition 'own'"),
    ],
)
def test_missing_schedule_is_refused_with_what_to_do_instead(key: tuple[str, str, str], words: str) -> None:
    """Where there is no schedule, a sentence says why and what to do instead."""
    with pytest.raises(FeeError, match=words):
        schedule(*key)


def test_offered_editions_are_those_that_exist() -> None:
    """Each edition on offer opens, the current one is first, and no other edition exists."""
    for venue in TITLES:
        for product in ("spot", "swap"):
            offered = editions(venue, product)
            assert offered == [
                edition for edition in ("current", "specification") if (venue, product, edition) in SCHEDULES
            ]
            for edition in offered:
                assert schedule(venue, product, edition).edition == edition


@pytest.mark.parametrize("venue", VENUES.values(), ids=VENUES)
def test_venue_pays_published_fees_for_its_products(venue: Venue) -> None:
    """Each venue of market data names a fee table, and that table has current fees for the venue's products."""
    for symbol in venue.symbols:
        assert schedule(venue.fees, venue.product(symbol), "current").product == venue.product(symbol)


def test_relayed_and_simulated_markets_pay_the_fees_of_the_venue_behind_them() -> None:
    """The gateway relays OKX, the simulated market imitates it, and both Binance venues have one fee page."""
    assert VENUES["gomarket-okx"].fees == VENUES["simulated"].fees == "okx"
    assert VENUES["binance-usdm"].fees == VENUES["binance"].fees == "binance"


@given(st.sampled_from(sorted(SCHEDULES)), st.floats(0, 1e12))
def test_tier_is_the_last_one_that_the_volume_reaches(key: tuple[str, str, str], volume: float) -> None:
    """The volume reaches the tier and none of the later ones."""
    fee_schedule = SCHEDULES[key]
    tier = tier_for_volume(fee_schedule, volume)
    assert tier.min_volume is not None
    assert tier.min_volume <= volume
    for later in fee_schedule.tiers[fee_schedule.tiers.index(tier) + 1 :]:
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
def test_tier_begins_exactly_at_its_volume(key: str, volume: float, name: str) -> None:
    """A tier begins at its volume and not below; a tier that volume alone does not reach is skipped."""
    assert tier_for_volume(schedule(*key.split()), volume).name == name


@pytest.mark.parametrize("volume", [-1.0, float("nan"), float("inf")])
def test_negative_or_infinite_volume_is_refused(volume: float) -> None:
    """A volume that is negative, infinite or no number belongs to no tier."""
    with pytest.raises(FeeError, match=str(volume)):
        tier_for_volume(schedule("okx", "spot", "current"), volume)


@given(st.sampled_from(sorted(SCHEDULES)), shares, st.data())
def test_next_tier_saves_the_difference_of_the_fees(key: tuple[str, str, str], share: float, data: Any) -> None:
    """The saving is exactly this tier's fee less the next one's; the last tier has no next one."""
    fee_schedule = SCHEDULES[key]
    n = data.draw(st.integers(0, len(fee_schedule.tiers) - 1))
    step = FeeCalculator(fee_schedule, fee_schedule.tiers[n]).next_tier(share)
    if n == len(fee_schedule.tiers) - 1:
        assert step is None
        return
    assert step is not None
    tier = fee_schedule.tiers[n]
    next_tier = fee_schedule.tiers[n + 1]
    maker_share = to_fraction(share)
    saving = maker_share * (to_fraction(tier.maker) - to_fraction(next_tier.maker)) + (1 - maker_share) * (
        to_fraction(tier.taker) - to_fraction(next_tier.taker)
    )
    assert step.tier is next_tier
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
def test_next_tier_names_what_the_venue_asks_for(key: str, n: int, needs: str) -> None:
    """Volume, assets and coins held are named as the venue asks for them."""
    fee_schedule = schedule(*key.split())
    step = FeeCalculator(fee_schedule, fee_schedule.tiers[n]).next_tier(0.5)
    assert step is not None
    assert step.needs == needs


def test_calculator_refuses_a_tier_of_another_schedule() -> None:
    """A calculator's fee is that of its tier, which must be one of its schedule's."""
    swap, spot = schedule("okx", "swap", "current"), schedule("okx", "spot", "current")
    assert FeeCalculator(swap, swap.tiers[0]).fee_bps(0.5) == fee_bps(0.5, swap.tiers[0]) == 3.5
    with pytest.raises(FeeError, match="'Regular' is not a tier of the okx swap schedule"):
        FeeCalculator(swap, spot.tiers[0])


def test_fee_values_are_frozen() -> None:
    """Tiers, schedules, calculators and the table of schedules cannot be changed."""
    fee_schedule = schedule("okx", "spot", "current")
    for value, field in (
        (fee_schedule, "tiers"),
        (fee_schedule.tiers[0], "maker"),
        (FeeCalculator(fee_schedule, fee_schedule.tiers[0]), "tier"),
    ):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field, None)
        assert not hasattr(value, "__dict__")
    with pytest.raises(TypeError):
        SCHEDULES["okx", "spot", "current"] = fee_schedule  # type: ignore[index]


def test_spot_schedule_on_a_swap_gives_a_warning_with_swap_rates() -> None:
    """A sentence names both products and the venue's swap rates, for each swap market and each spot schedule."""
    for venue, first in (("okx", "0.02 %, taker 0.05 %"), ("binance", "0.02 %, taker 0.05 %"), ("kraken", "0.02 %")):
        for edition in ("current", "specification"):
            words = warning(schedule(venue, "spot", edition), venue, "swap")
            assert words is not None
            assert "a perpetual swap never pays spot fees" in words
            assert f"begins at maker {first}" in words
    swap = warning(schedule("okx", "swap", "current"), "okx", "spot")
    assert swap is not None
    assert swap.startswith("This is a spot market, and a spot market never pays perpetual swap fees.")


def test_fees_of_another_venue_give_a_warning_and_fitting_ones_none() -> None:
    """A schedule that fits gives no warning, whatever its edition."""
    for key, fee_schedule in SCHEDULES.items():
        assert warning(fee_schedule, key[0], key[1]) is None
    words = warning(schedule("okx", "spot", "current"), "kraken", "spot")
    assert words is not None
    assert words.startswith("This market pays the fees of Kraken, not of OKX.")
    assert words.endswith("for a spot market Kraken begins at maker 0.4 %, taker 0.8 %.")
    missing = warning(schedule("okx", "spot", "current"), "coinbase", "swap")
    assert missing is not None
    assert missing.endswith("begin at maker 0.08 %, taker 0.1 %.")


def test_edition_words_name_edition_venue_product_and_date() -> None:
    """The words also say how many tiers have rates that sources dispute."""
    assert "as the specification has them" in edition_words(schedule("kraken", "spot", "specification"))
    assert edition_words(schedule("okx", "swap", "current")).startswith(
        "Current OKX perpetual swap fees, as of 2026-07-26. Disputed or unconfirmed: 2 of its 10 tiers."
    )
    assert "Disputed or unconfirmed: 9 of its 10 tiers" in edition_words(schedule("binance", "swap", "current"))
    assert "Disputed" not in edition_words(schedule("okx", "spot", "current"))
    assert "Coinbase Advanced" in edition_words(schedule("coinbase", "spot", "current"))
    assert edition_words(own_schedule(OWN_EXAMPLE, "toml")) == "Your own OKX perpetual swap fees, as of 2026-05-03."


@given(st.one_of(published_tiers, tiers))
def test_tier_words_have_the_exact_rates(tier: FeeTier) -> None:
    """The percents in the line are the rates, digit for digit, and only a disputed tier is marked."""
    maker, taker = re.findall(r"(-?[\d.]+) %", tier_words(tier))
    assert Fraction(maker) / 100 == to_fraction(tier.maker)
    assert Fraction(taker) / 100 == to_fraction(tier.taker)
    assert tier_words(tier).endswith("(disputed)") == bool(tier.disputed)
