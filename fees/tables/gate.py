"""List the fees of Gate."""

from __future__ import annotations

from datetime import date

from fees.schedules import FeeSchedule, FeeTable, FeeTier

# name, maker, taker
_ROWS = (
    ("VIP 0", 0.0002, 0.0005),
    ("VIP 1", 0.0002, 0.0005),
    ("VIP 2", 0.0002, 0.0005),
    ("VIP 3", 0.00018, 0.00048),
    ("VIP 4", 0.00018, 0.00048),
    ("VIP 5", 0.00018, 0.00045),
    ("VIP 6", 0.00015, 0.00042),
    ("VIP 7", 0.00015, 0.000375),
    ("VIP 8", 0.00015, 0.00035),
    ("VIP 9", 0.00015, 0.00032),
    ("VIP 10", 0.0001, 0.0003),
)
_DISPUTED = "its maker rate is that of 2024, and no second source confirms it"

_SWAP = FeeSchedule(
    "gate",
    "swap",
    "Gate announcement 50390 on fees from 9 April 2026 (takers); makers as kept by third parties",
    date(2026, 4, 9),
    tuple(
        FeeTier(
            name,
            maker,
            taker,
            None if number else 0.0,
            "reached by spot and futures volume, assets or GT, as Gate counts them" if number else "",
            _DISPUTED if number else "",
        )
        for number, (name, maker, taker) in enumerate(_ROWS)
    ),
    "current",
    note="The levels from VIP 11 on are left out. Fees paid in points are counted in another way.",
)

TABLE = FeeTable("gate", "Gate", (_SWAP,))
