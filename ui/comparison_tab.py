"""The same order on every exchange that trades the same thing."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from feeds import VENUES
from sessions.comparison import Comparison, rivals
from sessions.session import Session
from ui.fragments import live
from ui.tab_lifecycle import hub, lifeline
from ui.text.captions import offers_table
from ui.text.formatting import plain
from ui.text.vocabulary import HELP

COMPARISON_S = 1.0


@live(COMPARISON_S, "comparison")
def comparison(session: Session) -> None:
    """The same order on every exchange that trades the same thing; `no_comparison` lets go of them again."""
    market, shown = session.market, session.latest
    if market is None or shown is None:
        return
    compared = st.session_state.setdefault("comparison", Comparison(hub()))
    lifeline(compared, id(compared))
    compared.watch(rivals(market), replace(session.order, quantity=shown.estimate.quantity, unit="base"))
    with st.container(border=True):
        instrument = VENUES[market.venue].instrument(market.symbol)
        st.markdown(
            f"**{plain(instrument)} on every exchange**: the same order, each with its own first fee tier",
            help=HELP["compare"],
        )
        st.markdown(offers_table(compared.offers()))


def no_comparison() -> None:
    """Let go of every exchange that was compared."""
    compared: Comparison | None = st.session_state.pop("comparison", None)
    if compared is not None:
        compared.release()
