"""The published fees: every row typed again from the venues' pages, and schedules that cannot be true."""

from __future__ import annotations

import re
from datetime import date
from fractions import Fraction

import pytest

from fee_calculator import FeeError, FeeSchedule, FeeTier, edition_words, schedule, tier_words
from fees.schedules import SCHEDULES

# maker/taker in percent and the 30-day volume that reaches the tier, typed from the venues' pages; ! marks a
# figure that sources dispute, - a tier that volume alone never reaches.
PUBLISHED = {
    "okx spot specification": """
        Lv1 .080/.100 0 | Lv3 .070/.090 - | VIP1 .060/.080 10M | VIP2 .050/.070 20M | VIP3 .030/.060 50M
        VIP4 .020/.050 100M""",
    "binance spot specification": """
        General .100/.100 0 | VIP1 .090/.100 100 | VIP2 .080/.100 500 | VIP4 .060/.080 10000""",
    "coinbase spot specification": "0-10K USD .40/.60 0 | 10K-50K USD .25/.40 10K",
    "kraken spot specification": "0+ USD .16/.26 0 | 50,000+ USD .14/.24 50K | 100,000+ USD .12/.22 100K",
    "okx spot current": """
        Regular .080/.100 0 | VIP1 .0675/.080 1M | VIP2 .060/.070 5M | VIP3 .055/.065 10M | VIP4 .030/.045 20M
        VIP5 .025/.035 100M | VIP6 0/.030 200M | VIP7 -.002/.025 500M | VIP8 -.005/.020 1000M
        VIP9 -.0075/.0175 5000M""",
    "okx swap current": """
        Regular .020/.050 0 | VIP1 .018/.040 5M ! | VIP2 .013/.035 10M ! | VIP3 .010/.028 50M | VIP4 .008/.027 200M
        VIP5 .005/.026 600M | VIP6 0/.025 1000M | VIP7 -.002/.020 1500M | VIP8 -.005/.020 2000M
        VIP9 -.005/.015 20000M""",
    "binance spot current": """
        Regular .100/.100 0 | VIP1 .090/.100 1M | VIP2 .080/.100 5M | VIP3 .040/.060 20M | VIP4 .040/.052 75M
        VIP5 .025/.031 150M | VIP6 .020/.029 400M | VIP7 .019/.028 800M | VIP8 .016/.025 2000M
        VIP9 .011/.023 4000M""",
    "binance swap current": """
        Regular .020/.050 0 | VIP1 .016/.040 5M ! | VIP2 .014/.035 25M ! | VIP3 .012/.032 100M !
        VIP4 .010/.030 375M ! | VIP5 .008/.027 750M ! | VIP6 .006/.025 2000M ! | VIP7 .004/.022 4000M !
        VIP8 .002/.020 10000M ! | VIP9 0/.017 20000M !""",
    "coinbase spot current": """
        0-10K USD .40/.60 0 ! | 10K-50K USD .25/.40 10K | 50K-100K USD .15/.25 50K | 100K-1M USD .10/.20 100K
        1M-15M USD .08/.18 1M | 15M-75M USD .06/.16 15M | 75M-250M USD .03/.10 75M | 250M-400M USD 0/.06 250M
        400M+ USD 0/.04 400M""",
    "kraken spot current": """
        Tier 1 .40/.80 0 | Tier 2 .30/.60 2.5K | Tier 3 .22/.38 10K | Tier 4 .20/.35 25K | Tier 5 .15/.30 50K
        Tier 6 .12/.25 100K | Tier 7 .10/.22 250K | Tier 8 .08/.20 500K | Tier 9 .06/.18 1M | Tier 10 .04/.15 2.5M
        Tier 11 .02/.12 5M | Tier 12 0/.10 10M | Pro 1 0/.09 50M | Pro 2 0/.08 100M | Pro 3 0/.07 250M
        Pro 4 0/.06 400M | Pro 5 0/.05 500M""",
    "kraken swap current": """
        Tier 1 .02/.05 0 | Tier 2 .0175/.045 5M | Tier 3 .015/.04 10M | Tier 4 .0125/.035 15M | Tier 5 .01/.03 25M
        Tier 6 .0075/.0275 40M | Tier 7 .005/.025 50M | Tier 8 .005/.0225 75M | Tier 9 0/.02 100M
        Tier 10 0/.018 150M | Tier 11 -.003/.0175 250M | Tier 12 -.003/.017 300M | Pro 1 -.003/.016 400M
        Pro 2 -.005/.015 500M | Pro 3 -.006/.0135 1000M | Pro 4 -.006/.013 2000M | Pro 5 -.006/.0125 5000M""",
}
UNITS = {"": 1, "K": 1_000, "M": 1_000_000}


def rows(text: str) -> list[tuple[str, Fraction, Fraction, Fraction | None, bool]]:
    """Name, maker, taker, volume, disputed of every row; the rates as exact fractions."""
    found = []
    for row in re.split(r"\s*[|\n]\s*", text.strip()):
        match = re.fullmatch(r"(.+) (-?[.\d]+)/([.\d]+) (?:([.\d]+)([KM]?)|-)( !)?", row)
        assert match, row
        name, maker, taker, volume, unit, mark = match.groups()
        reaches = Fraction(volume) * UNITS[unit] if volume else None
        found.append((name, Fraction(maker) / 100, Fraction(taker) / 100, reaches, bool(mark)))
    return found


def exact(value: float) -> Fraction:
    """The number as it is written, not as it is stored."""
    return Fraction(repr(float(value)))


@pytest.mark.parametrize("key", PUBLISHED)
def test_every_published_row(key: str) -> None:
    """Names, rates, volumes and disputed marks are those of the venues' pages, exact as they are written."""
    venue, product, edition = key.split()
    kept = [
        (
            tier.name,
            exact(tier.maker),
            exact(tier.taker),
            None if tier.min_volume is None else exact(tier.min_volume),
            bool(tier.disputed),
        )
        for tier in schedule(venue, product, edition).tiers
    ]
    assert kept == rows(PUBLISHED[key])


def test_no_schedule_is_left_untyped() -> None:
    """Each kept schedule is checked row by row above, answers to its key, and is dated and sourced."""
    assert {" ".join(key) for key in SCHEDULES} == set(PUBLISHED)
    for key, each in SCHEDULES.items():
        assert (each.venue, each.product, each.edition) == key
        assert each.source
        assert date(2015, 1, 1) < each.as_of < date(2027, 1, 1)


def test_the_specifications_ends() -> None:
    """The specification's four lines: how many tiers, and the rates at both ends."""
    ends = {
        key.split()[0]: (len(each), tier_words(each[0]).split(": ")[1], tier_words(each[-1]).split(": ")[1])
        for key in PUBLISHED
        if key.endswith("specification") and (each := schedule(*key.split()).tiers)
    }
    assert ends == {
        "okx": (6, "maker 0.08 %, taker 0.1 %", "maker 0.02 %, taker 0.05 %"),
        "binance": (4, "maker 0.1 %, taker 0.1 %", "maker 0.06 %, taker 0.08 %"),
        "coinbase": (2, "maker 0.4 %, taker 0.6 %", "maker 0.25 %, taker 0.4 %"),
        "kraken": (3, "maker 0.16 %, taker 0.26 %", "maker 0.12 %, taker 0.22 %"),
    }


@pytest.mark.parametrize("rate", [1.0, -1.0, 8.0, float("nan"), float("inf")])
def test_a_rate_that_is_no_fraction_is_refused(rate: float) -> None:
    """A rate of 8 was meant as percent or bps, and is not taken as 800 %."""
    for rates in ((rate, 0.0), (0.0, rate)):
        with pytest.raises(FeeError, match=re.escape(str(rate))):
            FeeTier("Desk", *rates)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ((), "no tiers"),
        ((FeeTier("A", 0, 0, 5.0),), "'A', must begin at a 30-day volume of 0"),
        ((FeeTier("A", 0, 0), FeeTier("A", 0, 0, 5.0)), "two tiers are named 'A'"),
        (
            (FeeTier("A", 0, 0), FeeTier("B", 0, 0, 5.0), FeeTier("C", 0, 0, 5.0)),
            "'C': its 30-day volume must be above 5",
        ),
    ],
)
def test_a_schedule_that_cannot_be_true_is_refused(broken: tuple[FeeTier, ...], says: str) -> None:
    """No tiers, a first tier not open to all, twins and disorder are errors with the tier's name."""
    with pytest.raises(FeeError, match=says):
        FeeSchedule("okx", "spot", "here", date(2026, 1, 1), broken)
    with pytest.raises(FeeError, match="volume -1"):
        FeeTier("A", 0, 0, -1.0)


def test_the_words_hold_no_dollar_sign() -> None:
    """Markdown would set what stands between two dollar signs as a formula."""
    for each in SCHEDULES.values():
        texts = [
            edition_words(each),
            each.source,
            *(tier_words(tier) + tier.condition + tier.disputed for tier in each.tiers),
        ]
        assert "$" not in "".join(texts)
