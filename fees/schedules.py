"""The published fee schedules as dated data: what each venue charges makers and takers, tier by tier."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Literal

Product = Literal["spot", "swap"]
Edition = Literal["specification", "current", "own"]
TITLES = {"okx": "OKX", "binance": "Binance", "coinbase": "Coinbase", "kraken": "Kraken"}
"""The venues whose fees are kept here, and how they write their names."""


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


_OKX_SPOT_2021 = FeeSchedule(
    "okx",
    "spot",
    "okx.com/fees, schedule of 25 December 2021 (okx.com/vi/help/4417269816845)",
    date(2021, 12, 25),
    (
        FeeTier("Lv1", 0.0008, 0.001),
        FeeTier("Lv3", 0.0007, 0.0009, None, "1,000 OKB held"),
        FeeTier("VIP1", 0.0006, 0.0008, 10e6, "or assets of 100,000 USD"),
        FeeTier("VIP2", 0.0005, 0.0007, 20e6, "or assets of 500,000 USD"),
        FeeTier("VIP3", 0.0003, 0.0006, 50e6, "or assets of 2,000,000 USD"),
        FeeTier("VIP4", 0.0002, 0.0005, 100e6, "or assets of 5,000,000 USD"),
    ),
    "specification",
)
_BINANCE_SPOT_2018 = FeeSchedule(
    "binance",
    "spot",
    "Binance announcement 360007480472 of 19 July 2018",
    date(2018, 7, 21),
    (
        FeeTier("General", 0.001, 0.001),
        FeeTier("VIP1", 0.0009, 0.001, 100.0, "and 50 BNB held"),
        FeeTier("VIP2", 0.0008, 0.001, 500.0, "and 200 BNB held"),
        FeeTier("VIP4", 0.0006, 0.0008, 10_000.0, "and 2,000 BNB held"),
    ),
    "specification",
    "BTC",
    "Fees paid in BNB were 25 % lower; not counted here.",
)
_COINBASE_SPOT_TWO = FeeSchedule(
    "coinbase",
    "spot",
    "help.coinbase.com, Exchange fees: its first two rows",
    date(2026, 7, 26),
    (FeeTier("0-10K USD", 0.004, 0.006), FeeTier("10K-50K USD", 0.0025, 0.004, 10e3)),
    "specification",
)
_KRAKEN_SPOT_2015 = FeeSchedule(
    "kraken",
    "spot",
    "Kraken's schedule from 1 August 2015 (blog.kraken.com, reduced trade fees), its first three rows as kept in ccxt",
    date(2015, 8, 1),
    (
        FeeTier("0+ USD", 0.0016, 0.0026),
        FeeTier("50,000+ USD", 0.0014, 0.0024, 50e3),
        FeeTier("100,000+ USD", 0.0012, 0.0022, 100e3),
    ),
    "specification",
)

# name, assets, spot volume, maker, taker, futures volume, maker, taker: pairs and contracts of group 1
_OKX = (
    ("Regular", 0, 0.0, 0.0008, 0.001, 0.0, 0.0002, 0.0005),
    ("VIP1", 100_000, 1e6, 0.000675, 0.0008, 5e6, 0.00018, 0.0004),
    ("VIP2", 200_000, 5e6, 0.0006, 0.0007, 10e6, 0.00013, 0.00035),
    ("VIP3", 2_000_000, 10e6, 0.00055, 0.00065, 50e6, 0.0001, 0.00028),
    ("VIP4", 5_000_000, 20e6, 0.0003, 0.00045, 200e6, 0.00008, 0.00027),
    ("VIP5", 20_000_000, 100e6, 0.00025, 0.00035, 600e6, 0.00005, 0.00026),
    ("VIP6", 50_000_000, 200e6, 0.0, 0.0003, 1e9, 0.0, 0.00025),
    ("VIP7", 100_000_000, 500e6, -0.00002, 0.00025, 1.5e9, -0.00002, 0.0002),
    ("VIP8", 250_000_000, 1e9, -0.00005, 0.0002, 2e9, -0.00005, 0.0002),
    ("VIP9", 500_000_000, 5e9, -0.000075, 0.000175, 20e9, -0.00005, 0.00015),
)
_OKX_SWAP_DISPUTED = {
    "VIP1": "another source gives maker 0.016 %, taker 0.045 %",
    "VIP2": "another source gives maker 0.015 %, taker 0.036 %",
}
_OKX_SOURCE = "okx.com/vip/fees, global accounts, group 1, as transcribed by a third party on 26 July 2026"

# name, BNB, spot volume, maker, taker, USD-M maker, taker; USD-M asks for five times the spot volume
_BINANCE = (
    ("Regular", 0, 0.0, 0.001, 0.001, 0.0002, 0.0005),
    ("VIP1", 5, 1e6, 0.0009, 0.001, 0.00016, 0.0004),
    ("VIP2", 25, 5e6, 0.0008, 0.001, 0.00014, 0.00035),
    ("VIP3", 100, 20e6, 0.0004, 0.0006, 0.00012, 0.00032),
    ("VIP4", 500, 75e6, 0.0004, 0.00052, 0.0001, 0.0003),
    ("VIP5", 1_000, 150e6, 0.00025, 0.00031, 0.00008, 0.00027),
    ("VIP6", 1_750, 400e6, 0.0002, 0.00029, 0.00006, 0.00025),
    ("VIP7", 3_000, 800e6, 0.00019, 0.00028, 0.00004, 0.00022),
    ("VIP8", 4_500, 2e9, 0.00016, 0.00025, 0.00002, 0.0002),
    ("VIP9", 5_500, 4e9, 0.00011, 0.00023, 0.0, 0.00017),
)
_BINANCE_SWAP_DISPUTED = "a long-standing value that no second source confirms; its volume is inferred"

_COINBASE_SPOT = FeeSchedule(
    "coinbase",
    "spot",
    "help.coinbase.com, Exchange fees, as transcribed by a third party on 26 July 2026",
    date(2026, 7, 26),
    (
        FeeTier(
            "0-10K USD",
            0.004,
            0.006,
            disputed="for Coinbase Advanced one source gives maker 0.6 %, taker 1.2 % under 1,000 USD of volume "
            "and maker 0.35 %, taker 0.75 % from there",
        ),
        FeeTier("10K-50K USD", 0.0025, 0.004, 10e3),
        FeeTier("50K-100K USD", 0.0015, 0.0025, 50e3),
        FeeTier("100K-1M USD", 0.001, 0.002, 100e3),
        FeeTier("1M-15M USD", 0.0008, 0.0018, 1e6),
        FeeTier("15M-75M USD", 0.0006, 0.0016, 15e6),
        FeeTier("75M-250M USD", 0.0003, 0.001, 75e6),
        FeeTier("250M-400M USD", 0.0, 0.0006, 250e6),
        FeeTier("400M+ USD", 0.0, 0.0004, 400e6),
    ),
    "current",
    note="These are the rates of Coinbase Exchange. Coinbase Advanced shows its own only after sign-in.",
)

# name, assets, spot volume, maker, taker, futures volume, maker, taker; the best of the three decides both
_KRAKEN = (
    ("Tier 1", 0, 0.0, 0.004, 0.008, 0.0, 0.0002, 0.0005),
    ("Tier 2", 0, 2_500.0, 0.003, 0.006, 5e6, 0.000175, 0.00045),
    ("Tier 3", 20_000, 10e3, 0.0022, 0.0038, 10e6, 0.00015, 0.0004),
    ("Tier 4", 50_000, 25e3, 0.002, 0.0035, 15e6, 0.000125, 0.00035),
    ("Tier 5", 100_000, 50e3, 0.0015, 0.003, 25e6, 0.0001, 0.0003),
    ("Tier 6", 200_000, 100e3, 0.0012, 0.0025, 40e6, 0.000075, 0.000275),
    ("Tier 7", 400_000, 250e3, 0.001, 0.0022, 50e6, 0.00005, 0.00025),
    ("Tier 8", 600_000, 500e3, 0.0008, 0.002, 75e6, 0.00005, 0.000225),
    ("Tier 9", 1_000_000, 1e6, 0.0006, 0.0018, 100e6, 0.0, 0.0002),
    ("Tier 10", 2_500_000, 2.5e6, 0.0004, 0.0015, 150e6, 0.0, 0.00018),
    ("Tier 11", 5_000_000, 5e6, 0.0002, 0.0012, 250e6, -0.00003, 0.000175),
    ("Tier 12", 10_000_000, 10e6, 0.0, 0.001, 300e6, -0.00003, 0.00017),
    ("Pro 1", 20_000_000, 50e6, 0.0, 0.0009, 400e6, -0.00003, 0.00016),
    ("Pro 2", 25_000_000, 100e6, 0.0, 0.0008, 500e6, -0.00005, 0.00015),
    ("Pro 3", 50_000_000, 250e6, 0.0, 0.0007, 1e9, -0.00006, 0.000135),
    ("Pro 4", 80_000_000, 400e6, 0.0, 0.0006, 2e9, -0.00006, 0.00013),
    ("Pro 5", 100_000_000, 500e6, 0.0, 0.0005, 5e9, -0.00006, 0.000125),
)
_KRAKEN_SOURCE = "kraken.com fee schedule of July 2026, as transcribed by a third party on 26 July 2026"


def _or(*ways: tuple[float, str]) -> str:
    """Other ways to reach a tier, in words: `or 1,000 USD of futures volume`; ways that ask for 0 are left out."""
    return ", ".join(f"or {amount:,.0f} {what}" for amount, what in ways if amount)


_ALL = (
    _OKX_SPOT_2021,
    _BINANCE_SPOT_2018,
    _COINBASE_SPOT_TWO,
    _KRAKEN_SPOT_2015,
    FeeSchedule(
        "okx",
        "spot",
        _OKX_SOURCE,
        date(2026, 7, 26),
        tuple(
            FeeTier(name, maker, taker, volume, _or((assets, "USD of assets"), (futures, "USD of futures volume")))
            for name, assets, volume, maker, taker, futures, _, _ in _OKX
        ),
        "current",
        note="Large pairs, BTC-USDT and ETH-USDT among them; smaller pairs differ from VIP4 on.",
    ),
    FeeSchedule(
        "okx",
        "swap",
        _OKX_SOURCE,
        date(2026, 7, 26),
        tuple(
            FeeTier(
                name,
                maker,
                taker,
                volume,
                _or((assets, "USD of assets"), (spot, "USD of spot volume")),
                _OKX_SWAP_DISPUTED.get(name, ""),
            )
            for name, assets, spot, _, _, volume, maker, taker in _OKX
        ),
        "current",
        note="Large contracts, BTC-USDT-SWAP and ETH-USDT-SWAP among them; smaller ones differ from VIP7 on.",
    ),
    FeeSchedule(
        "binance",
        "spot",
        "binance.com/en/fee/trading, as transcribed by a third party on 26 July 2026",
        date(2026, 7, 26),
        tuple(
            FeeTier(name, maker, taker, volume, f"and {bnb:,} BNB held" if bnb else "")
            for name, bnb, volume, maker, taker, _, _ in _BINANCE
        ),
        "current",
        note="Fees paid in BNB are 25 % lower; not counted here.",
    ),
    FeeSchedule(
        "binance",
        "swap",
        "USD-M rates of binance.com/en/fee/futureFee as kept by third parties; the first tier checked 12 October 2026",
        date(2026, 10, 12),
        tuple(
            FeeTier(
                name,
                maker,
                taker,
                5 * spot,
                f"and {bnb:,} BNB held" if bnb else "",
                _BINANCE_SWAP_DISPUTED if bnb else "",
            )
            for name, bnb, spot, _, _, maker, taker in _BINANCE
        ),
        "current",
        note="Fees paid in BNB are 10 % lower; not counted here.",
    ),
    _COINBASE_SPOT,
    FeeSchedule(
        "kraken",
        "spot",
        _KRAKEN_SOURCE,
        date(2026, 7, 26),
        tuple(
            FeeTier(name, maker, taker, volume, _or((futures, "USD of futures volume"), (assets, "USD of assets")))
            for name, assets, volume, maker, taker, futures, _, _ in _KRAKEN
        ),
        "current",
        note="Some named pairs pay makers 0.02 % less; stablecoin and currency pairs have their own rates.",
    ),
    FeeSchedule(
        "kraken",
        "swap",
        _KRAKEN_SOURCE,
        date(2026, 7, 26),
        tuple(
            FeeTier(name, maker, taker, volume, _or((spot, "USD of spot volume"), (assets, "USD of assets")))
            for name, assets, spot, _, _, volume, maker, taker in _KRAKEN
        ),
        "current",
        note="International accounts; accounts in Europe and the United States have their own rates.",
    ),
)
SCHEDULES: Mapping[tuple[str, str, str], FeeSchedule] = MappingProxyType(
    {(each.venue, each.product, each.edition): each for each in _ALL}
)
"""Every published schedule by venue, product and edition."""
