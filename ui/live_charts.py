"""Draw the charts beside the answer: the book, the cost by size, and the cost of the last minutes."""

from __future__ import annotations

import streamlit as st

from estimation.estimate import Estimate
from feeds import VENUES
from sessions.session import Session
from ui.charts.cost import cost_history_chart, curve_axis, curve_chart, curve_orders, visible_quote
from ui.charts.depth import depth_chart
from ui.fragments import CHARTS, auto_refresh
from ui.text.formatting import currency_sign, plain, split_instrument
from ui.view_context import current_theme, price_current_order, sticky_axes

CHARTS_S = 0.5
DEPTH_HEIGHT_PX = 200
LOWER_HEIGHT_PX = 190


@auto_refresh(CHARTS_S, CHARTS)
def live_charts(session: Session) -> None:
    """Draw the book's depth with what the order takes, and the cost of other sizes."""
    priced = price_current_order(session)
    calculator = session.calculator
    if priced is None or calculator is None:
        return
    book, estimate = priced
    theme = current_theme()
    axes = sticky_axes()
    _, currency = split_instrument(VENUES[book.venue].instrument(book.symbol))
    sign = currency_sign(currency)
    money = "money" if sign else plain(currency)
    with st.container(border=True, key="depth-card"):
        beyond = ": it needs **more than the visible book**" if estimate.unfilled else ""
        st.markdown(f"**Order book depth** · {money} waiting on each side, and what your order takes{beyond}")
        st.echarts_chart(
            depth_chart(book, estimate, axes, theme, sign),
            key="depth chart",
            height=DEPTH_HEIGHT_PX,
            alt="Money waiting on both sides of the book by distance from the mid price",
        )
    with st.container(border=True, key="curve-card"):
        by_size = "" if sign else f" by {money}"
        st.markdown(f"**Cost by size** · bps{by_size}, in the colours above")
        visible = visible_quote(book, estimate.order)
        size_axis = curve_axis(estimate, visible, axes)
        estimates = calculator.what_if(curve_orders(estimate, visible, size_axis))
        st.echarts_chart(
            curve_chart(estimates, estimate, visible, size_axis, axes, theme, sign),
            key="curve chart",
            height=LOWER_HEIGHT_PX,
            alt="The net cost of this order in other sizes, split into fees, slippage and market impact",
        )


def draw_cost_history(session: Session, estimate: Estimate) -> None:
    """Draw the cost of the last minutes up to the estimate shown as the answer, in the same run as the answer."""
    points = session.cost_history.points_until(estimate.market_ns, estimate.net_cost_bps, estimate.order)
    with st.container(border=True, key="trail-card"):
        st.markdown("**Net cost, last 5 minutes** · bps")
        st.echarts_chart(
            cost_history_chart(points, sticky_axes(), current_theme()),
            key="trail chart",
            height=LOWER_HEIGHT_PX,
            alt="The net cost of this order over the last five minutes",
        )
