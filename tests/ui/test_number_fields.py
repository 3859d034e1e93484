"""Test that the limits that the page names are those of the order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from estimation.order import Order, OrderError
from orderbook import Side
from ui.number_fields import TIMING_FIELDS, VOLATILITY, NumberField

ORDER = Order(Side.BUY, 1.0)
FIELDS = {field.key: field for field in (VOLATILITY, *TIMING_FIELDS)}
LIMITS = {
    "volatility": (0.01, 10_000.0),
    "latency": (0.0, 10_000.0),
    "wait": (0.1, 60.0),
    "minutes": (1 / 60, 7 * 24 * 60.0),
    "parts": (1.0, 200.0),
    "risk": (0.0, 1e9),
}


def is_valid(field: NumberField, typed: float) -> bool:
    """Return whether an order takes what is typed."""
    changed: dict[str, Any] = {field.name: field.to_order(typed)}
    try:
        replace(ORDER, **changed)
    except OrderError:
        return False
    return True


@pytest.mark.parametrize("key", LIMITS)
def test_named_limits_are_those_of_the_order(key: str) -> None:
    """Both limits are valid, and what is a little beyond either is not."""
    low, high = LIMITS[key]
    assert [is_valid(FIELDS[key], typed) for typed in (low, high)] == [True, True]
    assert [is_valid(FIELDS[key], typed) for typed in (low - 0.005 * (low or 1), 1.01 * high)] == [False, False]
    if key != "minutes":  # whose limits are written as a second and as days
        assert all(f"{limit:,.10g}" in FIELDS[key].limits for limit in (low, high))


def test_field_defaults_are_those_of_the_order() -> None:
    """Until an input has a valid value, the order's own counts, so both are the same."""
    for field in FIELDS.values():
        default = None if field.default is None else field.to_order(field.default)
        assert default == getattr(ORDER, field.name), field.key
