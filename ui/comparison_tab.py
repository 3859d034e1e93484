"""Compare the same order on every exchange that trades the same instrument."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from feeds import VENUES
from sessions.comparison import Comparison, comparable_markets
from sessions.session import Session
from ui.fragments import auto_refresh
from ui.tab_lifecycle import bind_to_tab, shared_hub
from ui.text.captions import comparison_table
from ui.text.formatting import plain
from ui.text.vocabulary import HELP

COMPARISON_S = 1.0


@auto_refresh(COMPARISON_S, "comparison")
def comparison_tab(session: Session) -> None:
    """Draw the comparison; it stays connected to all its exchanges until `release_comparison`."""
    market = session.market
    newest = session.latest
    if market is None or newest is None:
        return
    comparison = st.session_state.setdefault("comparison", Comparison(shared_hub()))
    bind_to_tab(comparison, id(comparison))
    order = replace(session.order, quantity=newest.estimate.quantity, unit="base")
    comparison.watch(comparable_markets(market), order)
    with st.container(border=True):
        instrument = VENUES[market.venue].instrument(market.symbol)
        st.markdown(
            f"**{plain(instrument)} on every exchange**: the same order, each with its own first fee tier",
            help=HELP["compare"],
        )
        st.markdown(comparison_table(comparison.venue_costs()))


def release_comparison() -> None:
    """Disconnect from every exchange of the comparison."""
    comparison: Comparison | None = st.session_state.pop("comparison", None)
    if comparison is not None:
        comparison.release()
