"""What stands behind the numbers, drawn twice a second."""

from __future__ import annotations

import streamlit as st

import charts
from calculations import Estimate
from page.lifeline import CHARTS, live
from profiling import SystemProfiler
from session import Session
from words import (
    HELP,
    LATENCY_WORDS,
    PARAMETER_WORDS,
    bps,
    maker_words,
    milliseconds,
    score_words,
    system_words,
)

CHARTS_S = 0.5


@live(CHARTS_S, CHARTS)
def pictures(session: Session) -> None:
    """The book's depth with the order's reach, and what stands behind the numbers."""
    shown = session.latest
    if shown is None:
        return
    book, estimate = shown
    frame = charts.depth_frame(book, st.session_state.get("depth frame"))
    st.session_state["depth frame"] = frame
    theme: charts.Theme = "light" if st.context.theme.type == "light" else "dark"
    with st.container(border=True):
        st.markdown("**Order book depth**: money waiting on each side, and the part your order would take")
        st.echarts_chart(
            charts.depth_chart(book, estimate, frame, theme),
            key="depth",
            height=300,
            alt="Money waiting on both sides of the book by distance from the mid price",
        )
    impact, maker, speed = st.columns([1.2, 1, 1])
    with impact.container(border=True, height="stretch"):
        impact_details(estimate)
    with maker.container(border=True, height="stretch"):
        maker_details(session, estimate)
    with speed.container(border=True, height="stretch"):
        speed_details(session.profiler)


def impact_details(estimate: Estimate) -> None:
    """Almgren-Chriss for this size, whatever is counted, and what it is made from."""
    order = estimate.order
    st.markdown("**Market impact of this size**", help=HELP["impact"])
    st.markdown(
        f"Over {order.horizon_s / 60:g} minutes in {order.steps} parts: permanent "
        f"**{bps(estimate.impact_permanent_bps)}**, temporary **{bps(estimate.impact_temporary_bps)}**. "
        f"In the net cost: **{bps(estimate.impact_bps)}**."
    )
    rows = "\n".join(
        f"| {PARAMETER_WORDS[name]} | {value:.4g} | {origin} |"
        for name, (value, origin) in estimate.parameters.items()
        if name in PARAMETER_WORDS
    )
    st.markdown(f"| Made from | Value | Source |\n|---|---:|---|\n{rows}")


def maker_details(session: Session, estimate: Estimate) -> None:
    """What waiting at the best price would bring, and how right such guesses were."""
    scorecard = session.calculator.scorecard() if session.calculator else None
    st.markdown("**If you waited at the best price**", help=HELP["maker"])
    st.markdown(
        f"Filled within {estimate.order.passive_s:g} s: **{100 * estimate.maker_probability:.0f} %** of your order."
    )
    if scorecard is not None:
        st.caption(maker_words(estimate, scorecard))
        st.markdown(score_words(scorecard))


def speed_details(profiler: SystemProfiler) -> None:
    """The three latencies of the page's own work, and what the process uses."""
    latencies, system = profiler.latencies(), profiler.system()
    st.markdown("**Speed of this page**, last 100, in milliseconds")
    rows = "".join(
        f"| {words} | {milliseconds(row.p50_ms)} | {milliseconds(row.p95_ms)} | {milliseconds(row.p99_ms)} |\n"
        for words, row in ((words, latencies[name]) for name, words in LATENCY_WORDS.items())
    )
    st.markdown(f"| Stage | P50 | P95 | P99 |\n|---|---:|---:|---:|\n{rows}")
    st.caption(system_words(system))
