"""What a fee schedule is: the rates that a venue charges makers and takers, tier by tier, from a day on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import Literal

Product = Literal["spot", "swap"]
Edition = Literal["specification", "current", "own"]


class FeeError(ValueError):
    """A fee question without an answer, or a schedule that cannot be true; the message names the value."""


@dataclass(frozen=True, slots=True)
class FeeTier:
    """One rung of a schedule. maker and taker are fractions of the executed notional (0.0002 is 0.02 %);
    negative is a rebate. Raises FeeError for a rate that is not a fraction.

    min_volume is the 30-day volume that reaches the tier, in the schedule's currency; None where volume
    alone never does. condition is what is asked for besides, beginning with "and" or "or" where a volume
    stands before it. disputed says why this row is in doubt: sources that differ, or only one; empty where they agree.
    """

    name: str
    maker: float
    taker: float
    min_volume: float | None = 0.0
    condition: str = ""
    disputed: str = ""

    def __post_init__(self) -> None:
        for role, rate in (("maker", self.maker), ("taker", self.taker)):
            if not -1 < rate < 1:
                raise FeeError(f"tier {self.name!r}: {role} {rate} is not a fraction between -1 and 1")
        if self.min_volume is not None and not 0 <= self.min_volume < math.inf:
            raise FeeError(f"tier {self.name!r}: 30-day volume {self.min_volume} is negative or not finite")


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """One venue's tiers for one product, the first tier being everyone's. Raises FeeError where tiers are
    missing, share a name or are out of order.

    currency is what 30-day volumes are counted in. note is what the rates leave out.
    """

    venue: str
    product: Product
    source: str
    as_of: date
    tiers: tuple[FeeTier, ...]
    edition: Edition = "own"
    currency: str = "USD"
    note: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "tiers", tuple(self.tiers))
        if not self.tiers:
            raise FeeError(f"the {self.venue} {self.product} schedule has no tiers")
        if self.tiers[0].min_volume != 0:
            raise FeeError(f"the first tier, {self.tiers[0].name!r}, must begin at a 30-day volume of 0")
        names: set[str] = set()
        volume = -1.0
        for tier in self.tiers:
            if tier.name in names:
                raise FeeError(f"two tiers are named {tier.name!r}")
            names.add(tier.name)
            if tier.min_volume is not None:
                if tier.min_volume <= volume:
                    raise FeeError(f"tier {tier.name!r}: its 30-day volume must be above {volume:,}")
                volume = tier.min_volume


@dataclass(frozen=True, slots=True)
class FeeTable:
    """All published schedules of one venue. Raises FeeError where one is another venue's.

    Attributes:
        venue: what its schedules, and the venues that charge these fees, call it.
        title: how the venue writes its name.
        schedules: in the order in which the page offers them.
        rank: its place among the tables, the lowest first; tables of one rank are sorted by name.
    """

    venue: str
    title: str
    schedules: tuple[FeeSchedule, ...]
    rank: int = 10

    def __post_init__(self) -> None:
        for each in self.schedules:
            if each.venue != self.venue:
                raise FeeError(f"a schedule of {each.venue!r} in the fee table of {self.venue!r}")


def other_ways(*ways: tuple[float, str]) -> str:
    """Return other ways to reach a tier, in words; ways that ask for 0 are left out.

    >>> other_ways((0, "USD of assets"), (1_000, "USD of futures volume"))
    'or 1,000 USD of futures volume'
    """
    return ", ".join(f"or {amount:,.0f} {what}" for amount, what in ways if amount)
