"""What a backtest of the page found: a table, sentences, pictures, and the rows to take away."""

from __future__ import annotations

from typing import get_args

import streamlit as st

from backtest import format_arguments
from exporting.files import ExportError, safe_stem
from exporting.table import Format
from feeds import VENUES
from sessions.backtest_job import MOST_BYTES, BacktestJob
from ui.charts.backtest import histogram_chart, hours_chart, over_time_chart, sizes_chart
from ui.commands import command
from ui.export_tab import Prepared, offer
from ui.text.backtest import found_words, model_words, sizes_table, summary_table
from ui.text.captions import order_words
from ui.text.formatting import plain
from ui.text.vocabulary import HELP, UNIT_WORDS
from ui.view_context import theme

TALL, HEIGHT = 260, 220


def results(run: BacktestJob) -> None:
    """What was found, in a table, in sentences and in pictures; and the rows to take away."""
    summary, look = run.summaries[0], theme()
    market = f"{VENUES[summary.venue].title} {plain(summary.symbol)}"
    spread = summary.components["net_cost_bps"]
    if not summary.books:
        st.error(
            f"There is no order book of {market} in {plain(run.name)}. "
            "Choose on the left the exchange and the symbol that it was made of."
        )
        return
    with st.container(border=True, key="backtest found"):
        st.markdown(
            f"**{summary.books:,} order books** of {market} in {plain(run.name)}: {plain(order_words(run.orders[0]))}"
        )
        table, picture = st.columns([2, 3])
        with table:
            st.markdown(summary_table(summary), help=HELP["backtest table"])
            st.markdown(found_words(summary))
            st.caption(model_words(summary))
        with picture:
            st.markdown("**Net cost over time** · bps, UTC")
            st.echarts_chart(
                over_time_chart(summary, look),
                key="backtest time chart",
                height=TALL,
                alt="The least and the most net cost in each stretch of the recording",
            )
    spreading, hourly, *more = st.columns(3 if len(run.orders) > 1 else 2)
    with spreading.container(border=True, height="stretch"):
        st.markdown("**How the cost is spread** · % of books, by bps")
        if spread is None:
            st.caption("No book had a number for it.")
        else:
            st.echarts_chart(
                histogram_chart(summary.histogram, spread, look),
                key="backtest histogram",
                height=HEIGHT,
                alt="How many order books gave each net cost",
            )
            st.caption("What is further out than 99 % of all books is counted at the two ends.")
    with hourly.container(border=True, height="stretch"):
        st.markdown("**By hour of the day** (UTC) · average, bps")
        st.echarts_chart(
            hours_chart(summary.by_hour, look),
            key="backtest hours",
            height=HEIGHT,
            alt="The average net cost in each hour of the day",
        )
        st.caption(f"The recording has books in {len(summary.by_hour)} of 24 hours.")
    for column in more:
        with column.container(border=True, height="stretch"):
            unit = UNIT_WORDS[summary.order.unit]
            st.markdown(f"**By size** · net cost, bps, by {unit}")
            st.echarts_chart(
                sizes_chart(run.summaries, look),
                key="backtest sizes chart",
                height=HEIGHT,
                alt="The net cost that half and that 95 % of the books stay below, by the order's size",
            )
            st.caption("Sizes that over 5 % of the books have no number for are left out.")
    if more:
        with st.container(border=True):
            st.markdown("**Net cost of each size**, bps")
            st.markdown(sizes_table(run.summaries))
    with st.container(border=True):
        download(run)


def download(run: BacktestJob) -> None:
    """The rows as a file, made when asked for."""
    st.markdown("**Export** · a row for every order book and size, columns as in the live export")
    if not run.kept:
        too_large("These rows", run)
        return
    kind_column, name_column, button = st.columns([2, 4, 2], vertical_alignment="bottom")
    kind: Format = kind_column.selectbox("Format", get_args(Format), format_func=str.upper, key="backtest format")
    name = name_column.text_input("File name", value="backtest", key="backtest name")
    if button.button("Prepare the file", key="backtest prepare", width="stretch"):
        st.session_state.pop("backtest file", None)
        try:
            file = f"{safe_stem(name, kind)}.{kind}"
        except ExportError as error:
            st.error(plain(f"That name can't be used: {error}"))
            return
        data = run.rows(kind)
        if data is None:
            too_large(f"As {kind.upper()} they", run)
            return
        rows = sum(summary.books for summary in run.summaries)
        st.session_state["backtest file"] = run, Prepared(file, data, run.about_json(), run.preview(), rows, 0)
    of, prepared = st.session_state.get("backtest file", (None, None))
    if of is not run:
        st.session_state.pop("backtest file", None)
    elif prepared is not None:
        offer(prepared, "backtest download")


def too_large(what: str, run: BacktestJob) -> None:
    """Say where the rows are to be had instead."""
    st.caption(
        f"{what} are more than {MOST_BYTES / 1e6:.0f} MB, too large to download from here. Another format may be "
        "smaller; this command writes them to a file of any size:"
    )
    file = run.source.path if run.source.max_bytes is None else run.name  # an upload's own path ends with the tab
    rows = ["--out", "rows.parquet"]
    st.code(
        command("backtest.py", [str(file), *format_arguments(run.source, run.orders), *rows]), "bash", wrap_lines=True
    )
