"""Check all published fees against rows typed again from the venues' pages, and that impossible ones are refused."""

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
MULTIPLES = {"": 1, "K": 1_000, "M": 1_000_000}


def parse_rows(text: str) -> list[tuple[str, Fraction, Fraction, Fraction | None, bool]]:
    """Return (name, maker, taker, volume, is_disputed) of each row; the rates and the volume as exact fractions."""
    rows = []
    for row in re.split(r"\s*[|\n]\s*", text.strip()):
        match = re.fullmatch(r"(.+) (-?[.\d]+)/([.\d]+) (?:([.\d]+)([KM]?)|-)( !)?", row)
        assert match, row
        name, maker, taker, volume, multiple, mark = match.groups()
        min_volume = Fraction(volume) * MULTIPLES[multiple] if volume else None
        rows.append((name, Fraction(maker) / 100, Fraction(taker) / 100, min_volume, bool(mark)))
    return rows


def to_fraction(value: float) -> Fraction:
    """Return the exact fraction of the number as it is written, not as it is stored."""
    return Fraction(repr(float(value)))


@pytest.mark.parametrize("key", PUBLISHED)
def test_tiers_equal_every_published_row(key: str) -> None:
    """Names, rates, volumes and disputed marks are those of the venues' pages, exactly as they are written there."""
    venue, product, edition = key.split()
    tiers = [
        (
            tier.name,
            to_fraction(tier.maker),
            to_fraction(tier.taker),
            None if tier.min_volume is None else to_fraction(tier.min_volume),
            bool(tier.disputed),
        )
        for tier in schedule(venue, product, edition).tiers
    ]
    assert tiers == parse_rows(PUBLISHED[key])


def test_every_schedule_is_typed_a_second_time() -> None:
    """Each schedule has a published table, so that its rows are checked above; it has its key, a source and a date."""
    assert {" ".join(key) for key in SCHEDULES} == set(PUBLISHED)
    for key, fee_schedule in SCHEDULES.items():
        assert (fee_schedule.venue, fee_schedule.product, fee_schedule.edition) == key
        assert fee_schedule.source
        assert date(2015, 1, 1) < fee_schedule.as_of < date(2027, 1, 1)


def test_specification_has_its_tier_counts_and_end_rates() -> None:
    """Of its four venues the specification says how many tiers there are, and the rates of the first and the last."""
    ends = {
        key.split()[0]: (len(tiers), tier_words(tiers[0]).split(": ")[1], tier_words(tiers[-1]).split(": ")[1])
        for key in PUBLISHED
        if key.endswith("specification") and (tiers := schedule(*key.split()).tiers)
    }
    assert ends == {
        "okx": (6, "maker 0.08 %, taker 0.1 %", "maker 0.02 %, taker 0.05 %"),
        "binance": (4, "maker 0.1 %, taker 0.1 %", "maker 0.06 %, taker 0.08 %"),
        "coinbase": (2, "maker 0.4 %, taker 0.6 %", "maker 0.25 %, taker 0.4 %"),
        "kraken": (3, "maker 0.16 %, taker 0.26 %", "maker 0.12 %, taker 0.22 %"),
    }


@pytest.mark.parametrize("rate", [1.0, -1.0, 8.0, float("nan"), float("inf")])
def test_rate_that_is_not_between_minus_1_and_1_is_refused(rate: float) -> None:
    """A rate of 8 is meant as percent or bps, and is not taken as 800 %."""
    for rates in ((rate, 0.0), (0.0, rate)):
        with pytest.raises(FeeError, match=re.escape(str(rate))):
            FeeTier("Desk", *rates)


@pytest.mark.parametrize(
    ("tiers", "words"),
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
def test_impossible_schedule_is_refused_with_the_name_of_its_tier(tiers: tuple[FeeTier, ...], words: str) -> None:
    """No tiers, a first tier that is not open to all, equal names and disorder are errors, with the tier's name."""
    with pytest.raises(FeeError, match=words):
        FeeSchedule("okx", "spot", "here", date(2026, 1, 1), tiers)
    with pytest.raises(FeeError, match="volume -1"):
        FeeTier("A", 0, 0, -1.0)


def test_texts_of_schedules_have_no_dollar_sign() -> None:
    """Markdown would typeset the text between two dollar signs as a formula."""
    for fee_schedule in SCHEDULES.values():
        texts = [
            edition_words(fee_schedule),
            fee_schedule.source,
            *(tier_words(tier) + tier.condition + tier.disputed for tier in fee_schedule.tiers),
        ]
        assert "$" not in "".join(texts)
