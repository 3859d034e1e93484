"""Draw the details behind the numbers, one tab at a time; only the chosen tab is drawn."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from feeds import VENUES
from sessions.session import Session
from ui.backtest_tab import backtest_tab
from ui.charts.models import (
    error_chart,
    frontier_chart,
    latency_chart,
    outcome_pairs,
    predicted_chart,
    reliability_chart,
    trajectory_chart,
)
from ui.comparison_tab import comparison_tab, release_comparison
from ui.export_tab import export_tab
from ui.fragments import auto_refresh
from ui.text.captions import maker_words, score_words
from ui.text.formatting import format_bps, format_milliseconds, plain, split_instrument
from ui.text.status import system_words
from ui.text.vocabulary import HELP, LATENCY_WORDS, PARAMETER_WORDS
from ui.view_context import current_theme, price_current_order, sticky_axes

DETAILS_S = 2.0
CHART_HEIGHT_PX = 230


def detail_tabs(session: Session) -> None:
    """Draw the choice of a tab, and the chosen one."""
    chosen = st.segmented_control(
        "Look closer",
        list(TABS),
        default=next(iter(TABS)),
        required=True,
        key="closer",
        label_visibility="collapsed",
    )
    if TABS[chosen] is not comparison_tab:
        release_comparison()
    with st.container(key="closer view"):
        TABS[chosen](session)


@auto_refresh(DETAILS_S, "closer impact")
def impact_tab(session: Session) -> None:
    """Draw the Almgren-Chriss schedule of this order, the price of trading it faster, and its parameters."""
    priced = price_current_order(session)
    if priced is None:
        return
    estimate = priced.estimate
    order = estimate.order
    theme = current_theme()
    axes = sticky_axes()
    coin, _ = split_instrument(VENUES[priced.book.venue].instrument(priced.book.symbol))
    schedule_column, risk_column, parameters_column = st.columns(3)
    with schedule_column.container(border=True, height="stretch"):
        st.markdown(f"**Left to trade** · {plain(coin)}", help=HELP["schedule"])
        st.echarts_chart(
            trajectory_chart(estimate, axes, theme),
            key="trajectory chart",
            height=CHART_HEIGHT_PX,
            alt="What is left of the order over time: the chosen schedule, an even one, and all at once",
        )
        counted = "In the net cost" if order.style == "schedule" else "Shown for comparison, not in the net cost"
        st.caption(f"{order.steps} parts over {order.horizon_s / 60:g} minutes. {counted}.")
    with risk_column.container(border=True, height="stretch"):
        st.markdown("**Price of trading faster** · expected cost by risk, bps", help=HELP["risk"])
        st.echarts_chart(
            frontier_chart(estimate, axes, theme),
            key="frontier chart",
            height=CHART_HEIGHT_PX,
            alt="The expected cost of the best schedules by their risk, with the chosen one marked",
        )
        st.caption("Each point of the line is the cheapest schedule for its risk, by the Almgren–Chriss model.")
    with parameters_column.container(border=True, height="stretch"):
        st.markdown("**Market impact of this size**", help=HELP["impact"])
        st.markdown(
            f"Permanent **{format_bps(estimate.impact_permanent_bps)}**, temporary "
            f"**{format_bps(estimate.impact_temporary_bps)}**. In the net cost: **{format_bps(estimate.impact_bps)}**."
        )
        rows = "\n".join(
            f"| {PARAMETER_WORDS[name]} | {value:.4g} | {origin} |"
            for name, (value, origin) in estimate.parameters.items()
            if name in PARAMETER_WORDS
        )
        st.markdown(f"| Made from | Value | Source |\n|---|---:|---|\n{rows}")


@auto_refresh(DETAILS_S, "closer right")
def accuracy_tab(session: Session) -> None:
    """Draw how accurate the predictions were, in charts and in words."""
    priced = price_current_order(session)
    calculator = session.calculator
    scorecard = calculator.scorecard() if calculator else None
    if priced is None or calculator is None or scorecard is None:
        return
    estimate = priced.estimate
    theme = current_theme()
    axes = sticky_axes()
    outcomes_column, errors_column, fills_column = st.columns(3)
    with outcomes_column.container(border=True, height="stretch"):
        st.markdown("**Slippage: predicted and actual** · no order was sent", help=HELP["right"])
        outcomes = calculator.recent()
        st.echarts_chart(
            predicted_chart(outcomes, axes, theme),
            key="predicted chart",
            height=CHART_HEIGHT_PX,
            alt="The predicted against the actual slippage, one dot for each of the last outcomes",
        )
        st.caption(f"{len(outcome_pairs(outcomes))} outcomes. On the line, the prediction was right.")
    with errors_column.container(border=True, height="stretch"):
        st.markdown("**How far off** · bps, beside the book walk", help=HELP["slippage"])
        st.echarts_chart(
            error_chart(scorecard, axes, theme),
            key="errors chart",
            height=CHART_HEIGHT_PX,
            alt="The error of the predicted slippage beside that of the book walk alone",
        )
        st.caption(score_words(scorecard))
    with fills_column.container(border=True, height="stretch"):
        st.markdown("**Waiting: chance and outcome**", help=HELP["maker"])
        st.echarts_chart(
            reliability_chart(scorecard.fill, theme),
            key="reliability chart",
            height=CHART_HEIGHT_PX,
            alt="How often quotes were filled, by the chance they were given",
        )
        chance = (
            f"Filled within {estimate.order.passive_s:g} s: {100 * estimate.maker_probability:.0f} % of your order."
        )
        st.caption(f"{chance} {maker_words(estimate, scorecard)}")


@auto_refresh(DETAILS_S, "closer speed")
def speed_tab(session: Session) -> None:
    """Draw how long each stage takes, and what the process uses."""
    profiler = session.profiler
    table_column, histogram_column = st.columns([1, 2])
    latencies = profiler.latencies()
    with table_column.container(border=True, height="stretch"):
        st.markdown("**Speed of this page**, last 100, in milliseconds", help=HELP["speed"])
        lines = ["| | P50 | P95 | P99 |", "|---|---:|---:|---:|"]
        for name, words in LATENCY_WORDS.items():
            latency = latencies[name]
            cells = " | ".join(format_milliseconds(ms) for ms in (latency.p50_ms, latency.p95_ms, latency.p99_ms))
            lines.append(f"| {words} | {cells} |")
        st.markdown("\n".join(lines))
        st.caption(system_words(profiler.system()))
    with histogram_column.container(border=True, height="stretch"):
        st.markdown("**How long each stage took** · how many of its last 100")
        st.echarts_chart(
            latency_chart(profiler.last_ms(), current_theme()),
            key="latency chart",
            height=CHART_HEIGHT_PX,
            alt="A histogram of the time that each stage took for an order book",
        )


TABS: dict[str, Callable[[Session], None]] = {
    "Impact and schedule": impact_tab,
    "Was it right?": accuracy_tab,
    "All exchanges": comparison_tab,
    "Speed": speed_tab,
    "Backtest": backtest_tab,
    "Files": export_tab,
}
"""The tabs by their label."""
