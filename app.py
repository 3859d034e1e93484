"""The page: what to trade on the left, what it would cost on the right."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from estimation.order import Order
from orderbook import Side
from sessions.session import Session
from ui.detail_tabs import detail_tabs
from ui.estimate_panel import estimate_panel
from ui.live_charts import live_charts
from ui.order_form import order_form
from ui.order_size import DEFAULT_QUANTITY
from ui.player_panel import player_panel
from ui.recorder_panel import recorder_panel
from ui.tab_lifecycle import shared_hub, slowdown, tab_sessions
from ui.toolbar import toolbar
from ui.welcome import welcome

STYLE = Path(__file__).parent / "ui" / "style.css"


def main() -> None:
    st.set_page_config(page_title="Trade Simulator", layout="wide")
    st.html(STYLE)
    session = st.session_state.get("session")
    if session is None:
        session = Session(shared_hub(), Order(Side.BUY, DEFAULT_QUANTITY["quote"], "quote"))
        st.session_state.session = session
        st.session_state.connect = True
        tab_sessions().add(session)
    st.session_state.pace = slowdown()
    with st.container(horizontal=True, key="panels"):
        left, right = st.container(key="left"), st.container(key="right", width="stretch")
    with left, st.container(border=True, key="inputs"):
        buttons = st.container()
        order_form(session)
        with buttons:
            toolbar(session)
        recorder_panel(session)
    with right:
        # Streamlit identifies a fragment by its place. Each one keeps a container of its own, filled or empty, so that
        # a late drawing of an earlier page cannot land in another fragment.
        with st.container():
            welcome()
        with st.container():
            player_panel(session)
        with st.container(key="cockpit"):
            estimate_panel(session)
            live_charts(session)
        detail_tabs(session)


if __name__ == "__main__":
    main()
