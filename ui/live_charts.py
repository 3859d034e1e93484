"""The pictures beside the answer: the book and the cost by size, twice a second, and the last minutes."""

from __future__ import annotations

import streamlit as st

from estimation.estimate import Estimate
from feeds import VENUES
from sessions.session import Session
from ui.charts.cost import curve_axis, curve_chart, curve_orders, trail_chart, visible_quote
from ui.charts.depth import depth_chart
from ui.fragments import CHARTS, live
from ui.text.formatting import coins, sign
from ui.view_context import axes, current, theme

CHARTS_S = 0.5
DEPTH_HEIGHT, LOWER_HEIGHT = 200, 190


@live(CHARTS_S, CHARTS)
def charts(session: Session) -> None:
    """The book's depth with the order's reach, and the cost of other sizes."""
    shown, calculator = current(session), session.calculator
    if shown is None or calculator is None:
        return
    book, estimate = shown
    look, kept = theme(), axes()
    dollar = sign(coins(VENUES[book.venue].instrument(book.symbol))[1])
    with st.container(border=True, key="depth-card"):
        beyond = ": it needs **more than the visible book**" if estimate.unfilled else ""
        st.markdown(f"**Order book depth** · money waiting on each side, and what your order takes{beyond}")
        st.echarts_chart(
            depth_chart(book, estimate, kept, look, dollar),
            key="depth chart",
            height=DEPTH_HEIGHT,
            alt="Money waiting on both sides of the book by distance from the mid price",
        )
    with st.container(border=True, key="curve-card"):
        st.markdown("**Cost by size** · bps, in the colours above")
        visible = visible_quote(book, estimate.order)
        sizes = curve_axis(estimate, visible, kept)
        st.echarts_chart(
            curve_chart(
                calculator.what_if(curve_orders(estimate, visible, sizes)), estimate, visible, sizes, kept, look, dollar
            ),
            key="curve chart",
            height=LOWER_HEIGHT,
            alt="The net cost of this order in other sizes, split into fees, slippage and market impact",
        )


def trail(session: Session, estimate: Estimate) -> None:
    """The cost of the last minutes up to the estimate that is shown as the answer, drawn whenever that is."""
    points = session.trail.until(estimate.market_ns, estimate.net_cost_bps, estimate.order)
    with st.container(border=True, key="trail-card"):
        st.markdown("**Net cost, last 5 minutes** · bps")
        st.echarts_chart(
            trail_chart(points, axes(), theme()),
            key="trail chart",
            height=LOWER_HEIGHT,
            alt="The net cost of this order over the last five minutes",
        )
