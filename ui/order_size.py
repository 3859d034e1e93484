"""Choose the quantity that an order begins with, and keep its size when the unit or the market's currency changes."""

from __future__ import annotations

import streamlit as st

from estimation.order import Unit
from sessions.market import Market
from sessions.session import Session
from ui.input_guards import set_widgets
from ui.text.formatting import DOLLARS, plain

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
QUANTITY_FORMAT = "%.10g"
"""One format for every unit and currency: a browser stops its timers where an input's format changes with its value."""


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
        set_widgets(quantity=quantity)
        st.session_state["quantity note"] = (quantity, f"The quantity was in {before}: it begins anew, in {currency}.")


def quantity_note(quantity: float | None) -> None:
    """Say why the quantity began anew, until it is changed."""
    noted, words = st.session_state.get("quantity note", (None, ""))
    if quantity is not None and quantity == noted:
        st.caption(plain(words))
    else:
        st.session_state.pop("quantity note", None)
