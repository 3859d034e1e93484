"""List the fees of Kraken."""

from __future__ import annotations

from datetime import date

from fees.schedules import FeeSchedule, FeeTable, FeeTier, other_ways

_SPOT_2015 = FeeSchedule(
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

# name, assets, spot volume, maker, taker, futures volume, maker, taker; the best of the three decides both
_ROWS = (
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
_SOURCE = "kraken.com fee schedule of July 2026, as transcribed by a third party on 26 July 2026"

_SPOT = FeeSchedule(
    "kraken",
    "spot",
    _SOURCE,
    date(2026, 7, 26),
    tuple(
        FeeTier(
            name,
            maker,
            taker,
            volume,
            other_ways((futures, "USD of futures volume"), (assets, "USD of assets")),
        )
        for name, assets, volume, maker, taker, futures, _, _ in _ROWS
    ),
    "current",
    note="Some named pairs pay makers 0.02 % less; stablecoin and currency pairs have their own rates.",
)

_SWAP = FeeSchedule(
    "kraken",
    "swap",
    _SOURCE,
    date(2026, 7, 26),
    tuple(
        FeeTier(name, maker, taker, volume, other_ways((spot, "USD of spot volume"), (assets, "USD of assets")))
        for name, assets, spot, _, _, volume, maker, taker in _ROWS
    ),
    "current",
    note="International accounts; accounts in Europe and the United States have their own rates.",
)

TABLE = FeeTable("kraken", "Kraken", (_SPOT_2015, _SPOT, _SWAP))
