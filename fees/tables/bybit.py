"""List the fees of Bybit."""

from __future__ import annotations

from datetime import date

from fees.schedules import FeeSchedule, FeeTable, FeeTier, other_ways

# name, assets, spot volume, maker, taker, derivatives volume, maker, taker; the best of the three decides both
_ROWS = (
    ("VIP 0", 0, 0.0, 0.001, 0.001, 0.0, 0.0002, 0.00055),
    ("VIP 1", 100_000, 1e6, 0.000675, 0.0008, 10e6, 0.00018, 0.0004),
    ("VIP 2", 250_000, 5e6, 0.00065, 0.000775, 25e6, 0.00016, 0.000375),
    ("VIP 3", 500_000, 10e6, 0.000625, 0.00075, 50e6, 0.00014, 0.00035),
    ("VIP 4", 1_000_000, 25e6, 0.0005, 0.0006, 100e6, 0.00012, 0.00032),
    ("VIP 5", 2_000_000, 50e6, 0.0004, 0.0005, 250e6, 0.0001, 0.00032),
    ("Supreme VIP", 0, 100e6, 0.0003, 0.00045, 500e6, 0.0, 0.0003),
)
_SOURCE = "bybit.com help page on trading fees, as read by a third party on 23 July 2026"

_SPOT = FeeSchedule(
    "bybit",
    "spot",
    _SOURCE,
    date(2026, 7, 23),
    tuple(
        FeeTier(
            name,
            maker,
            taker,
            volume,
            other_ways((derivatives, "USD of derivatives volume"), (assets, "USD of assets")),
        )
        for name, assets, volume, maker, taker, derivatives, _, _ in _ROWS
    ),
    "current",
)

_SWAP = FeeSchedule(
    "bybit",
    "swap",
    f"{_SOURCE}; the first tier confirmed on 16 October 2026",
    date(2026, 7, 23),
    tuple(
        FeeTier(name, maker, taker, volume, other_ways((spot, "USD of spot volume"), (assets, "USD of assets")))
        for name, assets, spot, _, _, volume, maker, taker in _ROWS
    ),
    "current",
)

TABLE = FeeTable("bybit", "Bybit", (_SPOT, _SWAP))
