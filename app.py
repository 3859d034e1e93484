"""The page: what to trade on the left, what it would cost on the right."""

from __future__ import annotations

import streamlit as st

from calculations import Order
from orderbook import Side
from page.answer import numbers
from page.compare import comparison
from page.files import exports, learning
from page.inputs import FIRST_QUANTITY, market_inputs, order_inputs
from page.lifeline import hub
from page.pictures import pictures
from session import Market, Session
from words import (
    HELP,
)


def main() -> None:
    st.set_page_config(page_title="Trade Simulator", layout="wide")
    session = st.session_state.get("session")
    if session is None:
        session = st.session_state.session = Session(hub(), Order(Side.BUY, FIRST_QUANTITY["quote"], "quote"))
        st.session_state.connect = True
    left, right = st.columns([1, 3], gap="medium")
    with left, st.container(border=True, key="inputs"):
        market = market_inputs(session)
        order = order_inputs(session, market)
        st.toggle("Compare exchanges", key="compare", help=HELP["compare"])
    if order is not None:
        session.order = order
    steer(session, market)
    with right:
        numbers(session)
        if st.session_state.compare and session.market is not None:
            comparison(session)
        elif "comparison" in st.session_state:
            st.session_state.pop("comparison").watch((), session.order)
        pictures(session)
        exports(session)
        learning(session)


def steer(session: Session, market: Market | None) -> None:
    """Connect to what the inputs say, or let go of it; a problem becomes a sentence."""
    if market is None or not st.session_state.connect:
        session.disconnect()
        return
    if market == session.market:
        return
    try:
        session.connect(market)
    except (ValueError, OSError) as error:
        st.session_state.connect = False
        st.error(f"That market can't be opened: {error}")


if __name__ == "__main__":
    main()
