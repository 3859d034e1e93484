"""List the fees of Binance."""

from __future__ import annotations

from datetime import date

from fees.schedules import FeeSchedule, FeeTable, FeeTier

_SPOT_2018 = FeeSchedule(
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

# name, BNB, spot volume, maker, taker, USD-M maker, taker; USD-M asks for five times the spot volume
_ROWS = (
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
_SWAP_DISPUTED = "a long-standing value that no second source confirms; its volume is inferred"

_SPOT = FeeSchedule(
    "binance",
    "spot",
    "binance.com/en/fee/trading, as transcribed by a third party on 26 July 2026",
    date(2026, 7, 26),
    tuple(
        FeeTier(name, maker, taker, volume, f"and {bnb:,} BNB held" if bnb else "")
        for name, bnb, volume, maker, taker, _, _ in _ROWS
    ),
    "current",
    note="Fees paid in BNB are 25 % lower; not counted here.",
)

_SWAP = FeeSchedule(
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
            _SWAP_DISPUTED if bnb else "",
        )
        for name, bnb, spot, _, _, maker, taker in _ROWS
    ),
    "current",
    note="Fees paid in BNB are 10 % lower; not counted here.",
)

TABLE = FeeTable("binance", "Binance", (_SPOT_2018, _SPOT, _SWAP))
