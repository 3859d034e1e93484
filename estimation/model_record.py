"""Predict from a model state held as one record of numbers, which compiled functions read."""

from __future__ import annotations

import math

import numpy as np

from numerics.arrays import Floats, Record
from numerics.jit import jit

STRATA = 6
"""Size classes of orders, log-uniform from SMALLEST to LARGEST."""

SMALLEST, LARGEST = 0.02, 2.0
"""Range of the sizes learned from, as multiples of the typical depth of the top 10 levels."""

CURVE_SIZES = np.geomspace(0.01, 1000.0, 21)
"""Order sizes for which the crossed share is tabulated, as multiples of the typical size at the touch."""
CURVE_START = math.log(CURVE_SIZES[0])
CURVE_STEP = math.log(CURVE_SIZES[1] / CURVE_SIZES[0])
SLIPPAGE_WIDTH, FILL_WIDTH = 8, 5

MODEL = np.dtype(
    [
        *((name, "f8") for name in ("depth_1", "depth_10", "slope", "volatility_bps")),
        *((name, "f8") for name in ("half_spread", "book_slope", "variance", "gamma", "resilience")),
        ("speaks", "?"),
        *((name, "f8") for name in ("shrinkage", "slippage_bias", "slippage_limit")),
        *((name, "f8", (SLIPPAGE_WIDTH,)) for name in ("slippage_low", "slippage_high", "slippage_weights")),
        *((name, "f8", (STRATA,)) for name in ("band_low", "band_high")),
        *((name, "f8") for name in ("fill_bias", "fill_shrinkage", "base_rate", "touch_rate", "late_rate")),
        *((name, "f8", (FILL_WIDTH,)) for name in ("fill_low", "fill_high", "fill_weights")),
        *((name, "f8") for name in ("clean_up_bps", "clean_up_low", "clean_up_high")),
        ("has_curve", "?"),
        *((name, "f8", (len(CURVE_SIZES),)) for name in ("crossed_share", "whole_share", "rest_move_bps")),
        ("maker_source", "i1"),
    ],
    align=True,
)

CURVE_LAST = len(CURVE_SIZES) - 2


@jit
def residual_bps(model: Record, columns: tuple[float, ...]) -> float:
    """Return what the slippage model expects beyond the walk, shrunk and clipped; bps."""
    total = model.slippage_bias
    for column in range(SLIPPAGE_WIDTH):
        value = columns[column]
        low = model.slippage_low[column]
        high = model.slippage_high[column]
        total += model.slippage_weights[column] * (low if value < low else high if value > high else value)
    residual: float = model.shrinkage * min(max(total, -model.slippage_limit), model.slippage_limit)
    return residual


@jit
def fill_probability(model: Record, columns: tuple[float, ...]) -> float:
    """Return the chance that a quote at the touch is crossed in time."""
    total = model.fill_bias
    for column in range(FILL_WIDTH):
        value = columns[column]
        low = model.fill_low[column]
        high = model.fill_high[column]
        total += model.fill_weights[column] * (low if value < low else high if value > high else value)
    chance: float = model.base_rate + model.fill_shrinkage * (1 / (1 + math.exp(-total)) - model.base_rate)
    return chance


@jit
def size_stratum(model: Record, quantity: float) -> int:
    """Return the size class of an order of `quantity` base units."""
    position = math.log(quantity / (SMALLEST * model.depth_10)) / math.log(LARGEST / SMALLEST)
    return int(min(max(position * STRATA, 0.0), STRATA - 1.0))


@jit
def on_curve(curve: Floats, size: float) -> float:
    """Return a curve over CURVE_SIZES at a size in usual touch sizes, interpolated in the logarithm."""
    position = (math.log(size) - CURVE_START) / CURVE_STEP
    below = int(min(max(position, 0.0), float(CURVE_LAST)))
    part = min(max(position - below, 0.0), 1.0)
    value: float = (1 - part) * curve[below] + part * curve[below + 1]
    return value


@jit
def crossing_at(model: Record, quantity: float, clean_up_bps: float) -> tuple[float, float, float]:
    """Return what a crossed quote of `quantity` base units meets: the CrossingCurves at its size.

    Until a quote was seen crossed, what usually waits at the touch is taken for what would be offered, and the mid
    for moving clean_up_bps towards the quote.
    """
    size: float = quantity / model.depth_1
    if not model.has_curve:
        share = min(1.0, 1 / size)
        return share, 1.0 if share == 1 else 0.0, -(1 - share) * clean_up_bps
    return on_curve(model.crossed_share, size), on_curve(model.whole_share, size), on_curve(model.rest_move_bps, size)
