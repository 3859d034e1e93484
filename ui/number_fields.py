"""Draw the number inputs of the order, and check each one at its own place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import streamlit as st

from estimation.order import MAX_STEPS, Order, OrderError
from ui.fragments import redraw
from ui.text.formatting import plain
from ui.text.vocabulary import HELP


class CheckedNumber(NamedTuple):
    """A number in the unit of the order: what was typed, or the last valid one and what is wrong with what was typed.

    value: None for an input that may stay empty. problem: a sentence; empty if what was typed is valid.
    """

    value: Any
    problem: str


class NumberField(NamedTuple):
    """One number input of the form.

    name: of the field of Order. key: of the widget, and of the query parameter in a link. limits: what the number
    must be, in the words and units of the label; the order itself knows them. default: None for an input that may
    stay empty. to_order: converts what is typed to the unit of the order.
    """

    name: str
    label: str
    key: str
    limits: str
    default: float | None
    step: float
    format: str
    to_order: Callable[[float], float] = float
    help: str | None = None
    placeholder: str | None = None

    def draw(self, last: Order) -> CheckedNumber:
        """Draw the input, and below it what is wrong with its number. last: the last valid order."""
        typed = st.number_input(
            self.label,
            value=self.default,
            step=self.step,
            format=self.format,
            key=self.key,
            help=self.help,
            placeholder=self.placeholder,
            bind="query-params",
            on_change=redraw,
        )
        value = None if typed is None else self.to_order(typed)
        changed: dict[str, Any] = {self.name: value}
        try:
            replace(last, **changed)
        except OrderError:
            problem = f"'{self.label.split(',')[0]}' must be {self.limits}."
            st.error(plain(problem))
            return CheckedNumber(getattr(last, self.name), problem)
        return CheckedNumber(value, "")


def _whole(number: float) -> float:
    """Return a whole number as an integer, and every other one as it is, for the order to refuse."""
    return int(number) if number.is_integer() else number


VOLATILITY = NumberField(
    "volatility",
    "Volatility, % a year",
    "volatility",
    limits="between 0.01 % and 10,000 % a year",
    default=None,
    step=5.0,
    format="%.1f",
    to_order=lambda percent: percent / 100,
    help=HELP["volatility"],
    placeholder="measured",
)
TIMING_FIELDS = (
    NumberField(
        "latency_s",
        "Latency, ms",
        "latency",
        limits="between 0 and 10,000 ms",
        default=100.0,
        step=10.0,
        format="%.0f",
        to_order=lambda ms: ms / 1e3,
        help=HELP["latency"],
    ),
    NumberField(
        "passive_s",
        "Wait at the best price, s",
        "wait",
        limits="between 0.1 and 60 seconds",
        default=2.0,
        step=1.0,
        format="%.1f",
    ),
    NumberField(
        "horizon_s",
        "Spread over, minutes",
        "minutes",
        limits="between 1 second and 7 days",
        default=5.0,
        step=1.0,
        format="%.1f",
        to_order=lambda minutes: minutes * 60,
    ),
    NumberField(
        "steps",
        "In how many parts",
        "parts",
        limits=f"a whole number from 1 to {MAX_STEPS}",
        default=10.0,
        step=1.0,
        format="%.0f",
        to_order=_whole,
    ),
    NumberField(
        "risk_aversion",
        "Risk aversion, per million {money}",
        "risk",
        limits="between 0 and 1,000,000,000",
        default=1.0,
        step=1.0,
        format="%.3f",
        to_order=lambda per_million: per_million / 1e6,
        help=HELP["risk"],
    ),
    NumberField(
        "daily_volume",
        "Daily volume, coins",
        "daily",
        limits="more than 0",
        default=None,
        step=1000.0,
        format="%.0f",
        help="With it, impact follows the square-root law. Leave it empty to use what the exchange says, if it does.",
        placeholder="measured, if known",
    ),
)
"""The inputs of timing and risk."""
