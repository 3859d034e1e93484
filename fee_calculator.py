"""Calculate the fees of an order: the expected fee for a maker share, and the tier that a volume reaches."""

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
    "default_schedule",
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
    """Return the published schedule. Raises FeeError if there is none; the specification has spot fees only.

    >>> schedule("okx", "swap", "current").tiers[0]
    FeeTier(name='Regular', maker=0.0002, taker=0.0005, min_volume=0.0, condition='', disputed='')
    """
    if published := SCHEDULES.get((venue, product, edition)):
        return published
    if venue not in TITLES:
        raise FeeError(f"unknown fee venue {venue!r}; known are {', '.join(TITLES)}")
    if product not in _PRODUCTS:
        raise FeeError(f"unknown product {product!r}; known are {', '.join(_PRODUCTS)}")
    if edition not in ("specification", "current"):
        raise FeeError(f"unknown edition {edition!r}; published are specification, current")
    other_editions = editions(venue, product)
    if other_editions:
        raise FeeError(
            f"the {edition} lists spot fees only, and a {_PRODUCTS[product]} never pays those; "
            f"take the {other_editions[0]} fees of {TITLES[venue]}"
        )
    raise FeeError(f"no {_PRODUCTS[product]} fees are published here for {TITLES[venue]}; load your own")


def editions(venue: str, product: str) -> list[Edition]:
    """Return the editions published for this venue and product, today's first; empty if there are none.

    >>> editions("okx", "spot"), editions("okx", "swap"), editions("coinbase", "swap")
    (['current', 'specification'], ['current'], [])
    """
    published: tuple[Edition, ...] = ("current", "specification")
    return [edition for edition in published if (venue, product, edition) in SCHEDULES]


def default_schedule(venue: str, product: str) -> FeeSchedule:
    """Return the schedule that applies unless the user chooses another: today's, if that is published.

    Raises FeeError if no schedule is published.

    >>> default_schedule("okx", "swap").tiers[0].name
    'Regular'
    """
    return schedule(venue, product, next(iter(editions(venue, product)), "current"))


def fee_bps(maker_share: float, tier: FeeTier) -> float:
    """Return the expected fee, bps of the executed notional; negative is a rebate.

    It is linear in the maker share, from the taker's rate at 0 to the maker's at 1. Raises FeeError for a share
    outside 0 to 1.

    >>> desk = FeeTier("Desk", maker=-0.00002, taker=0.0005)
    >>> fee_bps(0.0, desk), fee_bps(0.25, desk), fee_bps(1.0, desk)
    (5.0, 3.7, -0.2)
    """
    return float(_fee_fraction(maker_share, tier) * 10_000)


def _fee_fraction(maker_share: float, tier: FeeTier) -> Decimal:
    """Return the fee as a fraction of the notional, in decimals as the rates are written: nothing is rounded."""
    if not 0 <= maker_share <= 1:
        raise FeeError(f"the maker share must be between 0 and 1: {maker_share}")
    share = _to_decimal(maker_share)
    return share * _to_decimal(tier.maker) + (1 - share) * _to_decimal(tier.taker)


def _to_decimal(value: float) -> Decimal:
    """Return the number as it is written, not as it is stored in binary."""
    return Decimal(repr(float(value)))


def tier_for_volume(schedule: FeeSchedule, volume: float) -> FeeTier:
    """Return the best tier that this 30-day volume reaches, as if the tier's other conditions were met.

    The volume is in the schedule's currency. Raises FeeError unless it is zero or more and finite.

    >>> tier_for_volume(schedule("kraken", "spot", "specification"), 60_000).name
    '50,000+ USD'
    """
    if not 0 <= volume < math.inf:
        raise FeeError(f"the 30-day volume must be zero or more and finite: {volume}")
    return next(tier for tier in reversed(schedule.tiers) if tier.min_volume is not None and tier.min_volume <= volume)


class NextTier(NamedTuple):
    """The tier after an order's: its conditions in words, and how much lower the order's fee would be there."""

    tier: FeeTier
    needs: str
    saving_bps: float


@dataclass(frozen=True, slots=True)
class FeeCalculator:
    """A schedule and one of its tiers. Raises FeeError if the tier is not the schedule's."""

    schedule: FeeSchedule
    tier: FeeTier

    def __post_init__(self) -> None:
        if self.tier not in self.schedule.tiers:
            raise FeeError(
                f"{self.tier.name!r} is not a tier of the {self.schedule.venue} {self.schedule.product} schedule"
            )

    def fee_bps(self, maker_share: float) -> float:
        """Return the expected fee, bps of the executed notional, as the function fee_bps does."""
        return fee_bps(maker_share, self.tier)

    def next_tier(self, maker_share: float) -> NextTier | None:
        """Return the tier after this one, its saving in bps of the executed notional; None for the last tier.

        >>> okx = schedule("okx", "swap", "current")
        >>> tier, needs, saving_bps = FeeCalculator(okx, okx.tiers[0]).next_tier(0.5)
        >>> print(f"{tier.name} saves {saving_bps} bps; it asks for {needs}")
        VIP1 saves 0.6 bps; it asks for a 30-day volume of 5,000,000 USD
        or 100,000 USD of assets, or 1,000,000 USD of spot volume
        """
        position = self.schedule.tiers.index(self.tier) + 1
        if position == len(self.schedule.tiers):
            return None
        better = self.schedule.tiers[position]
        needs = better.condition
        if better.min_volume is not None:
            volume = _format_decimal(_to_decimal(better.min_volume))
            needs = f"a 30-day volume of {volume} {self.schedule.currency} {needs}".rstrip()
        saving = _fee_fraction(maker_share, self.tier) - _fee_fraction(maker_share, better)
        return NextTier(better, needs, float(saving * 10_000))


def tier_words(tier: FeeTier) -> str:
    """Return a tier as one line of words, its rates exact; a disputed tier is marked.

    >>> tier_words(schedule("okx", "swap", "current").tiers[1])
    'VIP1: maker 0.018 %, taker 0.04 % (disputed)'
    """
    mark = " (disputed)" if tier.disputed else ""
    return f"{tier.name}: maker {_format_percent(tier.maker)}, taker {_format_percent(tier.taker)}{mark}"


def _format_percent(rate: float) -> str:
    """Return a fraction as an exact percentage."""
    return f"{_format_decimal(_to_decimal(rate) * 100)} %"


def _format_decimal(value: Decimal) -> str:
    """Return a number with all its digits, without an exponent or trailing zeros."""
    return f"{value.normalize() + 0:,f}"


def edition_words(schedule: FeeSchedule) -> str:
    """Return a sentence about which fees these are, from which day, and how many tiers are disputed.

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
    n_disputed = sum(bool(tier.disputed) for tier in schedule.tiers)
    if n_disputed:
        words += f" Disputed or unconfirmed: {n_disputed} of its {len(schedule.tiers)} tiers."
    return f"{words} {schedule.note}".rstrip()


def warning(schedule: FeeSchedule, venue: str, product: str) -> str | None:
    """Return why this schedule does not fit a market that pays `venue`'s `product` fees; None if it fits.

    >>> print(warning(schedule("okx", "spot", "current"), "okx", "swap"))
    This is a perpetual swap, and a perpetual swap never pays spot fees. The chosen OKX spot fees begin
    at maker 0.08 %, taker 0.1 %; for a perpetual swap OKX begins at maker 0.02 %, taker 0.05 %.
    """
    if schedule.product == product and schedule.venue == venue:
        return None
    market = TITLES.get(venue, venue)
    chosen = TITLES.get(schedule.venue, schedule.venue)
    kind = {"spot": "a spot market", "swap": "a perpetual swap"}.get(product, product)
    if schedule.product != product:
        words = f"This is {kind}, and {kind} never pays {_PRODUCTS[schedule.product]} fees."
    else:
        words = f"This market pays the fees of {market}, not of {chosen}."
    words += f" The chosen {chosen} {_PRODUCTS[schedule.product]} fees begin at {_first_rates(schedule)}"
    fitting = SCHEDULES.get((venue, product, "current"))
    return f"{words}; for {kind} {market} begins at {_first_rates(fitting)}." if fitting else f"{words}."


def _first_rates(schedule: FeeSchedule) -> str:
    """Return the rates of the first tier in words."""
    first = schedule.tiers[0]
    return f"maker {_format_percent(first.maker)}, taker {_format_percent(first.taker)}"
