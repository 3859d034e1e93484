"""List the fees of Bitget."""

from __future__ import annotations

from datetime import date

from fees.schedules import FeeSchedule, FeeTable, FeeTier

_SWAP = FeeSchedule(
    "bitget",
    "swap",
    "bitget.com, futures fees, as read by a third party in September 2026",
    date(2026, 9, 15),
    (
        FeeTier("VIP 0", 0.0002, 0.0006),
        FeeTier("VIP 1", 0.00019, 0.0006, 5e6),
        FeeTier("VIP 2", 0.00016, 0.0004, 10e6),
        FeeTier("VIP 3", 0.00014, 0.000375, 20e6),
        FeeTier("VIP 4", 0.00012, 0.00035, 50e6),
        FeeTier("VIP 5", 0.0001, 0.00032, 100e6),
        FeeTier("VIP 6", 0.00008, 0.0003, 300e6),
        FeeTier("VIP 7", 0.0, 0.0002, 1e9),
    ),
    "current",
)

TABLE = FeeTable("bitget", "Bitget", (_SWAP,))
