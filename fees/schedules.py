"""Define fee schedules: the rates that a venue charges makers and takers, tier by tier, from a day on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import Literal

Product = Literal["spot", "swap"]
Edition = Literal["specification", "current", "own"]


class FeeError(ValueError):
    """A request for fees that cannot be answered, or a schedule that cannot be true; the message names the value."""


@dataclass(frozen=True, slots=True)
class FeeTier:
    """One tier of a schedule. Raises FeeError for a rate or a volume that cannot be one.

    Attributes:
        name: The name of the tier, as the venue writes it.
        maker: The maker's rate, a fraction of the executed notional: 0.0002 is 0.02 %. Negative is a rebate.
        taker: The taker's rate, of the same unit and sign.
        min_volume: The 30-day volume that reaches the tier, in the schedule's currency; None where volume alone never
            reaches it.
        condition: A further condition in words. It begins with "and" or "or" where the tier has a volume, too.
        disputed: Why the row is in doubt: its sources differ, or there is only one; empty where sources agree.
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
    """The tiers of one venue for one product. Raises FeeError if tiers are missing, share a name or are out of order.

    Attributes:
        venue: The key of the venue that charges these fees.
        product: The product that pays them.
        source: The page or the agreement that the rates are taken from.
        as_of: The date of the rates.
        tiers: The tiers by rising volume. Every customer has the first.
        edition: Whether the rates are the specification's, today's or the user's own.
        currency: The currency in which 30-day volumes are counted.
        note: A sentence about discounts that the rates leave out.
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
        last_volume = -1.0
        for tier in self.tiers:
            if tier.name in names:
                raise FeeError(f"two tiers are named {tier.name!r}")
            names.add(tier.name)
            if tier.min_volume is not None:
                if tier.min_volume <= last_volume:
                    raise FeeError(f"tier {tier.name!r}: its 30-day volume must be above {last_volume:,}")
                last_volume = tier.min_volume


@dataclass(frozen=True, slots=True)
class FeeTable:
    """All published schedules of one venue. Raises FeeError if one is another venue's.

    Attributes:
        venue: The key by which its schedules, and the venues that charge these fees, name it.
        title: The venue's name, as it writes it.
        schedules: The schedules, in the order in which the page offers them.
        rank: Its place among the tables, the lowest first; tables of one rank are sorted by key.
    """

    venue: str
    title: str
    schedules: tuple[FeeSchedule, ...]
    rank: int = 10

    def __post_init__(self) -> None:
        for schedule in self.schedules:
            if schedule.venue != self.venue:
                raise FeeError(f"a schedule of {schedule.venue!r} in the fee table of {self.venue!r}")


def other_ways(*ways: tuple[float, str]) -> str:
    """Return the other ways to reach a tier as a condition in words; a way that asks for 0 is left out.

    >>> other_ways((0, "USD of assets"), (1_000, "USD of futures volume"))
    'or 1,000 USD of futures volume'
    """
    return ", ".join(f"or {amount:,.0f} {unit}" for amount, unit in ways if amount)
