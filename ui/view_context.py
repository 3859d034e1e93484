"""State that all views of one tab share: the order's current price, the theme, and the charts' sticky axes."""

from __future__ import annotations

import streamlit as st

from sessions.session import PricedBook, Session
from ui.charts.base import StickyAxes, Theme


def price_current_order(session: Session) -> PricedBook | None:
    """Return the newest book with what the order costs on it; None before the first book.

    If the order was changed after that book came, price it again now: the next book of a quiet market may take
    long, and that of an ended recording never comes.
    """
    newest = session.latest
    calculator = session.calculator
    if newest is None or calculator is None or newest.estimate.order == session.order:
        return newest
    for estimate in calculator.what_if([session.order]):
        if estimate.market_ns == newest.estimate.market_ns:
            return PricedBook(newest.book, estimate)
    # A newer book came meanwhile, and its estimate may already be of the changed order.
    return session.latest


def order_problem() -> str:
    """Return which inputs cannot be used, so that the page shows their last valid values; empty if all can."""
    problem: str = st.session_state.get("order problem", "")
    return problem


def current_theme() -> Theme:
    """Return the theme that the user sees."""
    return "light" if st.context.theme.type == "light" else "dark"


def sticky_axes() -> StickyAxes:
    """Return the axes that this tab's charts share."""
    axes: StickyAxes = st.session_state.setdefault("axes", StickyAxes())
    return axes
