"""List the fees of Deribit."""

from __future__ import annotations

from datetime import date

from fees.schedules import FeeSchedule, FeeTable, FeeTier

_SWAP = FeeSchedule(
    "deribit",
    "swap",
    "support.deribit.com, article Fees as edited on 22 September 2026, as read by a third party; levels from "
    "insights.deribit.com on volume discounts",
    date(2026, 9, 22),
    (
        FeeTier("Standard", 0.00015, 0.00035),
        FeeTier("VIP 1", 0.0, 0.0003, None, "100,000 USDC of equity", "its condition is that of November 2025"),
        FeeTier("VIP 2", 0.0, 0.00025, 100e6),
        FeeTier("VIP 3", 0.0, 0.0002, 500e6),
        FeeTier("VIP 4", -0.00002, 0.000185, 1e9),
        FeeTier("VIP 5", -0.00003, 0.000175, 1.5e9),
        FeeTier("VIP 6", -0.00004, 0.00017, 3e9),
    ),
    "current",
    note="The rates are those of perpetual contracts; some dated ones have their own.",
)

TABLE = FeeTable("deribit", "Deribit", (_SWAP,))
