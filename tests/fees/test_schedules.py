"""The published fees: every row typed again from the venues' pages, and schedules that cannot be true."""

from __future__ import annotations

import re
from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest

from fee_calculator import FeeError, FeeSchedule, FeeTier, edition_words, schedule, tier_words
from fees.tables import SCHEDULES

# One file a venue, typed from its pages: maker/taker in percent and the 30-day volume that reaches the tier.
# ! marks a figure that sources dispute, - a tier that volume alone never reaches.
PUBLISHED = {
    f"{file.stem} {kind}": table
    for file in sorted((Path(__file__).parent / "published").glob("*.txt"))
    for kind, table in re.findall(r"^(\w+ \w+)\n((?: .+\n?)+)", file.read_text(), re.MULTILINE)
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
    """Return the number as it is written, not as it is stored."""
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
