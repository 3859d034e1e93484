"""List the fees of Hyperliquid."""

from __future__ import annotations

from datetime import date

from fees.schedules import FeeSchedule, FeeTable, FeeTier

_SWAP = FeeSchedule(
    "hyperliquid",
    "swap",
    "hyperliquid.gitbook.io, page Fees, as read by a third party on 24 September 2026",
    date(2026, 9, 24),
    (
        FeeTier("Tier 0", 0.00015, 0.00045),
        FeeTier("Tier 1", 0.00012, 0.0004, 5e6),
        FeeTier("Tier 2", 0.00008, 0.00035, 25e6),
        FeeTier("Tier 3", 0.00004, 0.0003, 100e6),
        FeeTier("Tier 4", 0.0, 0.00028, 500e6),
        FeeTier("Tier 5", 0.0, 0.00026, 2e9),
        FeeTier("Tier 6", 0.0, 0.00024, 7e9),
    ),
    "current",
    note="Volumes are of 14 days, spot counted twice. Staked HYPE makes fees 5 to 40 % lower; not counted here.",
)

TABLE = FeeTable("hyperliquid", "Hyperliquid", (_SWAP,))
