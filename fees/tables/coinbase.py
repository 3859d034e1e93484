"""List the fees of Coinbase."""

from __future__ import annotations

from datetime import date

from fees.schedules import FeeSchedule, FeeTable, FeeTier

_SPOT_FIRST_TWO = FeeSchedule(
    "coinbase",
    "spot",
    "help.coinbase.com, Exchange fees: its first two rows",
    date(2026, 7, 26),
    (FeeTier("0-10K USD", 0.004, 0.006), FeeTier("10K-50K USD", 0.0025, 0.004, 10e3)),
    "specification",
)

_SPOT = FeeSchedule(
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

TABLE = FeeTable("coinbase", "Coinbase", (_SPOT_FIRST_TWO, _SPOT))
