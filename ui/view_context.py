"""What all that is drawn in one tab shares: the order's cost now, the theme, and axes that stand still."""

from __future__ import annotations

import streamlit as st

from sessions.session import Session, Shown
from ui.charts.base import StickyAxes, Theme


def current(session: Session) -> Shown | None:
    """The newest book and what the order costs on it, priced now if it was changed since that book came.

    The next book of a quiet market may be long in coming, and that of an ended recording never comes.
    """
    shown, calculator = session.latest, session.calculator
    if shown is None or calculator is None or shown.estimate.order == session.order:
        return shown
    for estimate in calculator.what_if([session.order]):
        if estimate.market_ns == shown.estimate.market_ns:
            return Shown(shown.book, estimate)
    return session.latest


def order_problem() -> str:
    """Why the inputs are no order, so that what is shown is of the order before; empty if they are one."""
    problem: str = st.session_state.get("order problem", "")
    return problem


def theme() -> Theme:
    """The theme the user sees."""
    return "light" if st.context.theme.type == "light" else "dark"


def axes() -> StickyAxes:
    """The axes of this tab's pictures."""
    kept: StickyAxes = st.session_state.setdefault("axes", StickyAxes())
    return kept
