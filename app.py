"""The page: what to trade on the left, what it would cost on the right."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from estimation.order import Order
from orderbook import Side
from sessions.session import Session
from ui.detail_tabs import closer
from ui.estimate_panel import numbers
from ui.live_charts import charts
from ui.order_form import FIRST_QUANTITY, inputs
from ui.player_panel import player
from ui.recorder_panel import recorder
from ui.tab_lifecycle import hub, pace, pages
from ui.toolbar import buttons
from ui.welcome import hint

STYLE = Path(__file__).parent / "ui" / "style.css"


def main() -> None:
    st.set_page_config(page_title="Trade Simulator", layout="wide")
    st.html(STYLE)
    session = st.session_state.get("session")
    if session is None:
        session = st.session_state.session = Session(hub(), Order(Side.BUY, FIRST_QUANTITY["quote"], "quote"))
        st.session_state.connect = True
        pages().add(session)
    st.session_state.pace = pace()
    with st.container(horizontal=True, key="panels"):
        left, right = st.container(key="left"), st.container(key="right", width="stretch")
    with left, st.container(border=True, key="inputs"):
        buttons(session)
        inputs(session)
        recorder(session)
    with right:
        # Streamlit knows a part by its place: a place for each, filled or not, so that what a timer of the page before
        # still draws does not land in another part.
        with st.container():
            hint()
        with st.container():
            player(session)
        with st.container(key="cockpit"):
            numbers(session)
            charts(session)
        closer(session)


if __name__ == "__main__":
    main()
