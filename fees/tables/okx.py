"""List the fees of OKX."""

from __future__ import annotations

from datetime import date

from fees.schedules import FeeSchedule, FeeTable, FeeTier, other_ways

_SPOT_2021 = FeeSchedule(
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

# name, assets, spot volume, maker, taker, futures volume, maker, taker: pairs and contracts of group 1
_ROWS = (
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
_SWAP_DISPUTED = {
    "VIP1": "another source gives maker 0.016 %, taker 0.045 %",
    "VIP2": "another source gives maker 0.015 %, taker 0.036 %",
}
_SOURCE = "okx.com/vip/fees, global accounts, group 1, as transcribed by a third party on 26 July 2026"

_SPOT = FeeSchedule(
    "okx",
    "spot",
    _SOURCE,
    date(2026, 7, 26),
    tuple(
        FeeTier(
            name,
            maker,
            taker,
            volume,
            other_ways((assets, "USD of assets"), (futures, "USD of futures volume")),
        )
        for name, assets, volume, maker, taker, futures, _, _ in _ROWS
    ),
    "current",
    note="Large pairs, BTC-USDT and ETH-USDT among them; smaller pairs differ from VIP4 on.",
)

_SWAP = FeeSchedule(
    "okx",
    "swap",
    _SOURCE,
    date(2026, 7, 26),
    tuple(
        FeeTier(
            name,
            maker,
            taker,
            volume,
            other_ways((assets, "USD of assets"), (spot, "USD of spot volume")),
            _SWAP_DISPUTED.get(name, ""),
        )
        for name, assets, spot, _, _, volume, maker, taker in _ROWS
    ),
    "current",
    note="Large contracts, BTC-USDT-SWAP and ETH-USDT-SWAP among them; smaller ones differ from VIP7 on.",
)

TABLE = FeeTable("okx", "OKX", (_SPOT_2021, _SPOT, _SWAP), rank=0)
