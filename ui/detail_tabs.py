"""What stands behind the numbers, one view at a time; only the chosen one is drawn."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from feeds import VENUES
from sessions.session import Session
from ui.backtest_tab import backtest
from ui.charts.models import (
    error_chart,
    frontier_chart,
    known_pairs,
    latency_chart,
    predicted_chart,
    reliability_chart,
    trajectory_chart,
)
from ui.comparison_tab import comparison, no_comparison
from ui.export_tab import files
from ui.fragments import live
from ui.text.captions import maker_words, score_words
from ui.text.formatting import bps, coins, milliseconds, plain
from ui.text.status import system_words
from ui.text.vocabulary import HELP, LATENCY_WORDS, PARAMETER_WORDS
from ui.view_context import axes, current, theme

CLOSER_S = 2.0
HEIGHT = 230


def closer(session: Session) -> None:
    """A choice of views, and the chosen one."""
    chosen = st.segmented_control(
        "Look closer",
        list(VIEWS),
        default=next(iter(VIEWS)),
        required=True,
        key="closer",
        label_visibility="collapsed",
    )
    if VIEWS[chosen] is not comparison:
        no_comparison()
    with st.container(key="closer view"):
        VIEWS[chosen](session)


@live(CLOSER_S, "closer impact")
def impact(session: Session) -> None:
    """The Almgren-Chriss schedule of this order, what its certainty costs, and what it is made from."""
    shown = current(session)
    if shown is None:
        return
    estimate, look, kept = shown.estimate, theme(), axes()
    order = estimate.order
    coin, _ = coins(VENUES[shown.book.venue].instrument(shown.book.symbol))
    path, risk, made = st.columns(3)
    with path.container(border=True, height="stretch"):
        st.markdown(f"**Still to trade** · {plain(coin)}", help=HELP["schedule"])
        st.echarts_chart(
            trajectory_chart(estimate, kept, look),
            key="trajectory chart",
            height=HEIGHT,
            alt="What is left of the order over time: the chosen schedule, an even one, and all at once",
        )
        counted = "It is counted" if order.style == "schedule" else "It is not what you chose, so it is not counted"
        st.caption(f"{order.steps} parts over {order.horizon_s / 60:g} minutes. {counted} in the net cost.")
    with risk.container(border=True, height="stretch"):
        st.markdown("**What certainty costs** · expected cost by risk, bps", help=HELP["risk"])
        st.echarts_chart(
            frontier_chart(estimate, kept, look),
            key="frontier chart",
            height=HEIGHT,
            alt="The expected cost of the best schedules by their risk, with the chosen one marked",
        )
        st.caption("Each point of the line is the cheapest schedule for its risk, by the Almgren–Chriss model.")
    with made.container(border=True, height="stretch"):
        st.markdown("**Market impact of this size**", help=HELP["impact"])
        st.markdown(
            f"Permanent **{bps(estimate.impact_permanent_bps)}**, temporary "
            f"**{bps(estimate.impact_temporary_bps)}**. In the net cost: **{bps(estimate.impact_bps)}**."
        )
        rows = "\n".join(
            f"| {PARAMETER_WORDS[name]} | {value:.4g} | {origin} |"
            for name, (value, origin) in estimate.parameters.items()
            if name in PARAMETER_WORDS
        )
        st.markdown(f"| Made from | Value | Source |\n|---|---:|---|\n{rows}")


@live(CLOSER_S, "closer right")
def right(session: Session) -> None:
    """How right the guesses were, in pictures and in words."""
    shown, calculator = current(session), session.calculator
    scorecard = calculator.scorecard() if calculator else None
    if shown is None or calculator is None or scorecard is None:
        return
    estimate, look, kept = shown.estimate, theme(), axes()
    met, errors, chances = st.columns(3)
    with met.container(border=True, height="stretch"):
        st.markdown("**Slippage: guessed and met** · your orders", help=HELP["right"])
        realised = calculator.recent()
        st.echarts_chart(
            predicted_chart(realised, kept, look),
            key="predicted chart",
            height=HEIGHT,
            alt="The slippage guessed against the slippage met, one dot for each of the last outcomes",
        )
        st.caption(f"{len(known_pairs(realised))} outcomes. On the line, the guess was right.")
    with errors.container(border=True, height="stretch"):
        st.markdown("**How far off** · bps, beside the book walk", help=HELP["slippage"])
        st.echarts_chart(
            error_chart(scorecard, kept, look),
            key="errors chart",
            height=HEIGHT,
            alt="The error of the slippage guesses beside that of the book walk alone",
        )
        st.caption(score_words(scorecard))
    with chances.container(border=True, height="stretch"):
        st.markdown("**Waiting: chance and outcome**", help=HELP["maker"])
        st.echarts_chart(
            reliability_chart(scorecard.fill, look),
            key="reliability chart",
            height=HEIGHT,
            alt="How often quotes were filled, by the chance they were given",
        )
        chance = (
            f"Filled within {estimate.order.passive_s:g} s: {100 * estimate.maker_probability:.0f} % of your order."
        )
        st.caption(f"{chance} {maker_words(estimate, scorecard)}")


@live(CLOSER_S, "closer speed")
def speed(session: Session) -> None:
    """How long each stage takes, and what the process uses."""
    profiler = session.profiler
    table, histogram = st.columns([1, 2])
    latencies = profiler.latencies()
    with table.container(border=True, height="stretch"):
        st.markdown("**Speed of this page**, last 100, in milliseconds", help=HELP["speed"])
        rows = "".join(
            f"| {words} | {milliseconds(row.p50_ms)} | {milliseconds(row.p95_ms)} | {milliseconds(row.p99_ms)} |\n"
            for words, row in ((words, latencies[name]) for name, words in LATENCY_WORDS.items())
        )
        st.markdown(f"| | P50 | P95 | P99 |\n|---|---:|---:|---:|\n{rows}")
        st.caption(system_words(profiler.system()))
    with histogram.container(border=True, height="stretch"):
        st.markdown("**How often each stage took how long** · of its last 100")
        st.echarts_chart(
            latency_chart(profiler.last_ms(), theme()),
            key="latency chart",
            height=HEIGHT,
            alt="A histogram of the time each stage of an order book's way took",
        )


VIEWS: dict[str, Callable[[Session], None]] = {
    "Impact and schedule": impact,
    "Was it right?": right,
    "All exchanges": comparison,
    "Speed": speed,
    "Backtest": backtest,
    "Files": files,
}
"""What can be looked at more closely, by the words it is chosen by."""
