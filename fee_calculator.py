"""What an order pays its venue: the expected fee for a maker share, the tier a volume reaches, what to warn of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from fees.custom_schedule import OWN_EXAMPLE, FeeFileError, own_schedule
from fees.schedules import Edition, FeeError, FeeSchedule, FeeTier, Product
from fees.tables import SCHEDULES, TITLES

__all__ = [
    "OWN_EXAMPLE",
    "SCHEDULES",
    "Edition",
    "FeeCalculator",
    "FeeError",
    "FeeFileError",
    "FeeSchedule",
    "FeeTier",
    "NextTier",
    "Product",
    "edition_words",
    "editions",
    "fee_bps",
    "own_schedule",
    "schedule",
    "tier_for_volume",
    "tier_words",
    "warning",
]

_PRODUCTS = {"spot": "spot", "swap": "perpetual swap"}


def schedule(venue: str, product: str, edition: str) -> FeeSchedule:
    """The published schedule. Raises FeeError where there is none; the specification has spot fees only.

    >>> schedule("okx", "swap", "current").tiers[0]
    FeeTier(name='Regular', maker=0.0002, taker=0.0005, min_volume=0.0, condition='', disputed='')
    """
    if found := SCHEDULES.get((venue, product, edition)):
        return found
    if venue not in TITLES:
        raise FeeError(f"unknown fee venue {venue!r}; known are {', '.join(TITLES)}")
    if product not in _PRODUCTS:
        raise FeeError(f"unknown product {product!r}; known are {', '.join(_PRODUCTS)}")
    if edition not in ("specification", "current"):
        raise FeeError(f"unknown edition {edition!r}; published are specification, current")
    there = editions(venue, product)
    if there:
        raise FeeError(
            f"the {edition} lists spot fees only, and a {_PRODUCTS[product]} never pays those; "
            f"take the {there[0]} fees of {TITLES[venue]}"
        )
    raise FeeError(f"no {_PRODUCTS[product]} fees are published here for {TITLES[venue]}; load your own")


def editions(venue: str, product: str) -> list[Edition]:
    """The editions published for this venue and product, today's first; empty where there are none.

    >>> editions("okx", "spot"), editions("okx", "swap"), editions("coinbase", "swap")
    (['current', 'specification'], ['current'], [])
    """
    published: tuple[Edition, ...] = ("current", "specification")
    return [edition for edition in published if (venue, product, edition) in SCHEDULES]


def fee_bps(maker_share: float, tier: FeeTier) -> float:
    """The expected fee in bps of the executed notional; negative is a rebate. Linear in the maker share,
    from the taker's rate at 0 to the maker's at 1. Raises FeeError for a share outside 0 to 1.

    >>> desk = FeeTier("Desk", maker=-0.00002, taker=0.0005)
    >>> fee_bps(0.0, desk), fee_bps(0.25, desk), fee_bps(1.0, desk)
    (5.0, 3.7, -0.2)
    """
    return float(_fee(maker_share, tier) * 10_000)


def _fee(maker_share: float, tier: FeeTier) -> Decimal:
    """The fee as a fraction of the notional, in the decimals the rates are written in: no binary rounding."""
    if not 0 <= maker_share <= 1:
        raise FeeError(f"the maker share must be between 0 and 1: {maker_share}")
    share, maker, taker = _decimal(maker_share), _decimal(tier.maker), _decimal(tier.taker)
    return share * maker + (1 - share) * taker


def _decimal(value: float) -> Decimal:
    return Decimal(repr(float(value)))


def tier_for_volume(schedule: FeeSchedule, volume: float) -> FeeTier:
    """The best tier that this 30-day volume reaches, any other condition of the tier taken as met. The
    volume is in the schedule's currency. Raises FeeError unless it is zero or more and finite.

    >>> tier_for_volume(schedule("kraken", "spot", "specification"), 60_000).name
    '50,000+ USD'
    """
    if not 0 <= volume < math.inf:
        raise FeeError(f"the 30-day volume must be zero or more and finite: {volume}")
    return next(tier for tier in reversed(schedule.tiers) if tier.min_volume is not None and tier.min_volume <= volume)


class NextTier(NamedTuple):
    """The tier after this one: what it asks for, in words, and what it would take off this order's fee."""

    tier: FeeTier
    needs: str
    saving_bps: float


@dataclass(frozen=True, slots=True)
class FeeCalculator:
    """A schedule and one of its tiers, held together. Raises FeeError if the tier is not the schedule's."""

    schedule: FeeSchedule
    tier: FeeTier

    def __post_init__(self) -> None:
        if self.tier not in self.schedule.tiers:
            raise FeeError(
                f"{self.tier.name!r} is not a tier of the {self.schedule.venue} {self.schedule.product} schedule"
            )

    def fee_bps(self, maker_share: float) -> float:
        """The expected fee in bps of the executed notional, as fee_bps gives it."""
        return fee_bps(maker_share, self.tier)

    def next_tier(self, maker_share: float) -> NextTier | None:
        """The tier after this one, its saving in bps of the executed notional; None on the last tier.

        >>> okx = schedule("okx", "swap", "current")
        >>> tier, needs, saving_bps = FeeCalculator(okx, okx.tiers[0]).next_tier(0.5)
        >>> print(f"{tier.name} saves {saving_bps} bps; it asks for {needs}")
        VIP1 saves 0.6 bps; it asks for a 30-day volume of 5,000,000 USD
        or 100,000 USD of assets, or 1,000,000 USD of spot volume
        """
        after = self.schedule.tiers.index(self.tier) + 1
        if after == len(self.schedule.tiers):
            return None
        better = self.schedule.tiers[after]
        needs = better.condition
        if better.min_volume is not None:
            needs = (
                f"a 30-day volume of {_plain(_decimal(better.min_volume))} {self.schedule.currency} {needs}".rstrip()
            )
        saving = _fee(maker_share, self.tier) - _fee(maker_share, better)
        return NextTier(better, needs, float(saving * 10_000))


def tier_words(tier: FeeTier) -> str:
    """One tier in a line, its rates exact, a disputed one marked.

    >>> tier_words(schedule("okx", "swap", "current").tiers[1])
    'VIP1: maker 0.018 %, taker 0.04 % (disputed)'
    """
    mark = " (disputed)" if tier.disputed else ""
    return f"{tier.name}: maker {_percent(tier.maker)}, taker {_percent(tier.taker)}{mark}"


def _percent(rate: float) -> str:
    return f"{_plain(_decimal(rate) * 100)} %"


def _plain(value: Decimal) -> str:
    """All its digits, without an exponent or idle zeros."""
    return f"{value.normalize() + 0:,f}"


def edition_words(schedule: FeeSchedule) -> str:
    """Which fees are in use, from when, and how far they are agreed on.

    >>> print(edition_words(SCHEDULES["okx", "spot", "specification"]))
    OKX spot fees as the specification has them: real rates of 2021-12-25, not always today's.
    """
    name = f"{TITLES.get(schedule.venue, schedule.venue)} {_PRODUCTS[schedule.product]} fees"
    match schedule.edition:
        case "specification":
            words = f"{name} as the specification has them: real rates of {schedule.as_of}, not always today's."
        case "current":
            words = f"Current {name}, as of {schedule.as_of}."
        case "own":
            words = f"Your own {name}, as of {schedule.as_of}."
    disputed = sum(bool(tier.disputed) for tier in schedule.tiers)
    if disputed:
        words += f" Disputed or unconfirmed: {disputed} of its {len(schedule.tiers)} tiers."
    return f"{words} {schedule.note}".rstrip()


def warning(schedule: FeeSchedule, venue: str, product: str) -> str | None:
    """Why this schedule does not fit a market that pays `venue`'s `product` fees; None where it does.

    >>> print(warning(schedule("okx", "spot", "current"), "okx", "swap"))
    This is a perpetual swap, and a perpetual swap never pays spot fees. The chosen OKX spot fees begin
    at maker 0.08 %, taker 0.1 %; for a perpetual swap OKX begins at maker 0.02 %, taker 0.05 %.
    """
    if schedule.product == product and schedule.venue == venue:
        return None
    market, chosen = TITLES.get(venue, venue), TITLES.get(schedule.venue, schedule.venue)
    kind = {"spot": "a spot market", "swap": "a perpetual swap"}.get(product, product)
    if schedule.product != product:
        words = f"This is {kind}, and {kind} never pays {_PRODUCTS[schedule.product]} fees."
    else:
        words = f"This market pays the fees of {market}, not of {chosen}."
    words += f" The chosen {chosen} {_PRODUCTS[schedule.product]} fees begin at {_rates(schedule)}"
    right = SCHEDULES.get((venue, product, "current"))
    return f"{words}; for {kind} {market} begins at {_rates(right)}." if right else f"{words}."


def _rates(schedule: FeeSchedule) -> str:
    first = schedule.tiers[0]
    return f"maker {_percent(first.maker)}, taker {_percent(first.taker)}"
