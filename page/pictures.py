"""The pictures beside the answer, drawn twice a second: the book, the cost by size, and the last minutes."""

from __future__ import annotations

import time

import streamlit as st

from charts import depth_chart
from charts_cost import curve_axis, curve_chart, curve_orders, trail_chart, visible_quote
from feeds import VENUES
from page.closer import closer
from page.drawing import axes, current, theme
from page.lifeline import CHARTS, live
from session import Session
from trail import point
from words import coins, sign

CHARTS_S = 0.5
DEPTH_HEIGHT, LOWER_HEIGHT = 200, 190


def pictures(session: Session) -> None:
    """The pictures, and what to look at more closely."""
    charts(session)
    closer(session)


@live(CHARTS_S, CHARTS)
def charts(session: Session) -> None:
    """The book's depth with the order's reach, the cost of other sizes, and the cost of the last minutes."""
    began = time.perf_counter()
    shown, points, calculator = current(session), session.trail.points(), session.calculator
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
    by_size, by_time = st.columns(2)
    with by_size.container(border=True, key="curve-card"):
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
    if not points or points[-1].order != estimate.order:  # changed since the newest book
        points.append(point(estimate.market_ns, estimate.net_cost_bps, estimate.order))
    with by_time.container(border=True, key="trail-card"):
        st.markdown("**Net cost, last 5 minutes** · bps")
        st.echarts_chart(
            trail_chart(points, kept, look),
            key="trail chart",
            height=LOWER_HEIGHT,
            alt="The net cost of this order over the last five minutes",
        )
    st.html(
        f'<span id="drawn" hidden data-ns="{points[-1].market_ns}" data-net="{points[-1].net_bps}" '
        f'data-ms="{(time.perf_counter() - began) * 1e3:.2f}"></span>'
    )
