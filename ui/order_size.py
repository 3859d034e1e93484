"""Draw the quantity, choose the one to begin with, and keep its size when unit, market or currency change."""

from __future__ import annotations

from functools import partial

import streamlit as st

from estimation.order import Order, Unit
from sessions.market import Market
from sessions.session import Session
from ui.fragments import is_paused, redraw
from ui.input_guards import run_once, set_widgets
from ui.text.formatting import DOLLARS, plain, split_instrument
from ui.text.size_input import (
    SizeError,
    SizeUnits,
    TypedSize,
    parse_size,
    quantity_problem,
    stepped_size,
    understood_words,
    write_size,
)
from ui.text.vocabulary import HELP

DEFAULT_QUANTITY: dict[Unit, float] = {"quote": 100_000.0, "base": 1.0, "contracts": 100.0}
DEFAULT_MONEY = {
    "BTC": 1.0,
    "ETH": 30.0,
    "BNB": 100.0,
    "SOL": 500.0,
    "DOT": 20_000.0,
    "TRY": 4_000_000.0,
    "BRL": 500_000.0,
    "MXN": 2_000_000.0,
    "ZAR": 2_000_000.0,
    "CZK": 2_000_000.0,
    "UAH": 4_000_000.0,
    "RUB": 10_000_000.0,
    "JPY": 15_000_000.0,
    "ARS": 150_000_000.0,
    "NGN": 150_000_000.0,
    "KRW": 150_000_000.0,
    "COP": 400_000_000.0,
    "IDR": 1_600_000_000.0,
    "IDRT": 1_600_000_000.0,
    "BIDR": 1_600_000_000.0,
    "VND": 2_500_000_000.0,
    "BVND": 2_500_000_000.0,
}
"""Round amounts of the order of 100,000 dollars, where a unit is worth far more or far less than a dollar."""
DEAR_MONEY = 1000.0
"""Money whose usual amounts are smaller than this has more decimals than cents."""


def default_quantity(unit: Unit, currency: str) -> float:
    """Return the quantity that an order of this unit begins with; currency: of the market's prices.

    >>> default_quantity("quote", "EUR"), default_quantity("quote", "BTC"), default_quantity("base", "BTC")
    (100000.0, 1.0, 1.0)
    """
    return DEFAULT_MONEY.get(currency, DEFAULT_QUANTITY["quote"]) if unit == "quote" else DEFAULT_QUANTITY[unit]


def quantity_in(session: Session, unit: Unit) -> float:
    """Return the size of the order last priced, in this unit; the unit's default if none was priced."""
    priced = session.latest
    market = session.market
    if priced is None or market is None:
        return default_quantity(unit, "" if market is None else market.currency)
    quantity_base = priced.estimate.quantity
    if unit == "quote":
        decimals = 8 if default_quantity("quote", market.currency) < DEAR_MONEY else 2
        return round(quantity_base * priced.estimate.mid, decimals)
    return round(quantity_base if unit == "base" else quantity_base / (market.contract_size or 1.0), 6)


def follow_currency(market: Market, unit: Unit) -> None:
    """Begin with another quantity if the market's money is no longer that of the market before, and say so.

    A hundred thousand dollars are not a hundred thousand bitcoin. A dollar and the coins that stand for one are taken
    for the same here. Call it before the inputs of unit and quantity are drawn.
    """
    currency = market.currency
    before = st.session_state.get("quantity currency", currency)
    st.session_state["quantity currency"] = currency
    if before == currency:
        return
    set_widgets(unit=unit)  # its words have changed with the currency
    if unit == "quote" and not {before, currency} <= DOLLARS:
        quantity = default_quantity(unit, currency)
        set_widgets(quantity=write_size(quantity))
        st.session_state["quantity note"] = (quantity, f"The quantity was in {before}: it begins anew, in {currency}.")


def quantity_note(quantity: float | None) -> None:
    """Say why the quantity began anew, until it is changed."""
    noted, words = st.session_state.get("quantity note", (None, ""))
    if quantity is not None and quantity == noted:
        st.caption(plain(words))
    else:
        st.session_state.pop("quantity note", None)


def size_units(market: Market | None) -> SizeUnits:
    """Return the names that sizes of this market's orders may be typed in."""
    if market is None:
        return SizeUnits()
    coin, currency = split_instrument(market.source.instrument(market.symbol))
    return SizeUnits(coin, currency, market.contract_size is not None)


def take_typed_unit(units: SizeUnits) -> None:
    """Move a unit that was typed with the quantity, as in "5 BTC", to the choice of the unit.

    Call it before the inputs of unit and quantity are drawn.
    """
    typed = _typed_size(st.session_state.get("quantity"), units)
    if typed is not None and typed.unit is not None:
        set_widgets(unit=typed.unit, quantity=write_size(typed.quantity))


def quantity_input(unit: Unit, units: SizeUnits) -> tuple[float | None, str]:
    """Draw the quantity, and below it how it was understood.

    Return it with ""; None with what is wrong, for the caller to draw below the row, where there is more room.
    """
    text = st.text_input(
        "Quantity",
        value=write_size(default_quantity(unit, units.currency)),
        key="quantity",
        help=HELP["quantity"],
        bind="query-params",
        on_change=redraw,
    )
    try:
        typed = parse_size(text, units)
    except SizeError as error:
        problem = f"Quantity: {error}"
    else:
        problem = quantity_problem(typed.quantity, "Quantity")
        if not problem and typed.unit is not None:  # of a link, which is known only once the input is drawn
            st.rerun()
    if problem:
        return None, problem
    st.caption(plain(f"= {understood_words(typed.quantity, unit, units)}"))
    return typed.quantity, ""


def last_valid_quantity(last: Order, unit: Unit, units: SizeUnits) -> float:
    """Return the quantity that counts while the input's own cannot be used. last: the last valid order."""
    return last.quantity if last.unit == unit else default_quantity(unit, units.currency)


def quantity_steps(quantity: float | None) -> None:
    """Draw the buttons that step the quantity down and up; they do nothing while it is not known.

    Their callback does not redraw the page: Streamlit would take the button for pressed ever after. The timers of the
    numbers show the new order; a paused page has none.
    """
    with st.container(horizontal=True, key="quantity steps", gap="small"):
        for label, direction in (("Less", -1), ("More", 1)):
            st.button(
                label,
                key=f"quantity {label.lower()}",
                type="tertiary",
                disabled=quantity is None,
                on_click=run_once(partial(_step_quantity, quantity or 1.0, direction)),
            )
    if st.session_state.pop("quantity stepped", False) and is_paused():
        st.rerun()


def _step_quantity(quantity: float, direction: int) -> None:
    set_widgets(quantity=write_size(stepped_size(quantity, direction)))
    st.session_state["quantity stepped"] = True


def _typed_size(text: str | None, units: SizeUnits) -> TypedSize | None:
    """Return the size of a text, None for a text that is no quantity of an order."""
    if text is None:
        return None
    try:
        typed = parse_size(text, units)
    except SizeError:
        return None
    return None if quantity_problem(typed.quantity, "Quantity") else typed
