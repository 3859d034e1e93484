"""Draw the results of a backtest: a table, sentences, charts, and the download of the rows."""

from __future__ import annotations

from typing import get_args

import streamlit as st

from backtest import format_arguments
from exporting.files import ExportError, safe_stem
from exporting.table import Format
from feeds import VENUES
from sessions.backtest_job import MAX_DOWNLOAD_BYTES, BacktestJob
from ui.charts.backtest import histogram_chart, hours_chart, over_time_chart, sizes_chart
from ui.commands import command_line
from ui.export_tab import PreparedExport, offer_download
from ui.text.backtest import model_words, result_words, sizes_table, summary_table
from ui.text.captions import order_words
from ui.text.formatting import plain, split_instrument, unit_words
from ui.text.vocabulary import HELP
from ui.view_context import current_theme

OVER_TIME_HEIGHT_PX = 260
CHART_HEIGHT_PX = 220


def backtest_results(job: BacktestJob) -> None:
    """Draw the results of a job that is done; a sentence if the recording had no book of its market."""
    summary = job.summaries[0]
    theme = current_theme()
    market = f"{VENUES[summary.venue].title} {plain(summary.symbol)}"
    net_cost = summary.components["net_cost_bps"]
    if not summary.books:
        st.error(
            f"There is no order book of {market} in {plain(job.name)}. "
            "Choose on the left the exchange and the symbol that it was made of."
        )
        return
    _, currency = split_instrument(VENUES[summary.venue].instrument(summary.symbol))
    words = plain(order_words(job.orders[0], currency))
    with st.container(border=True, key="backtest found"):
        st.markdown(f"**{summary.books:,} order books** of {market} in {plain(job.name)}: {words}")
        table_column, chart_column = st.columns([2, 3])
        with table_column:
            st.markdown(summary_table(summary), help=HELP["backtest table"])
            st.markdown(result_words(summary))
            st.caption(model_words(summary))
        with chart_column:
            st.markdown("**Net cost over time** · bps, UTC")
            st.echarts_chart(
                over_time_chart(summary, theme),
                key="backtest time chart",
                height=OVER_TIME_HEIGHT_PX,
                alt="The least and the most net cost in each stretch of the recording",
            )
    histogram_column, hours_column, *sizes_columns = st.columns(3 if len(job.orders) > 1 else 2)
    with histogram_column.container(border=True, height="stretch"):
        st.markdown("**How the cost is spread** · % of books, by bps")
        if net_cost is None:
            st.caption("No book had a number for it.")
        else:
            st.echarts_chart(
                histogram_chart(summary.histogram, net_cost, theme),
                key="backtest histogram",
                height=CHART_HEIGHT_PX,
                alt="How many order books gave each net cost",
            )
            st.caption("Costs further out than those of 99 % of the books are counted at the two ends.")
    with hours_column.container(border=True, height="stretch"):
        st.markdown("**By hour of the day** (UTC) · average, bps")
        st.echarts_chart(
            hours_chart(summary.by_hour, theme),
            key="backtest hours",
            height=CHART_HEIGHT_PX,
            alt="The average net cost in each hour of the day",
        )
        st.caption(f"The recording has books in {len(summary.by_hour)} of 24 hours.")
    for column in sizes_columns:
        with column.container(border=True, height="stretch"):
            unit = plain(unit_words(summary.order.unit, currency))
            st.markdown(f"**By size** · net cost, bps, by {unit}")
            st.echarts_chart(
                sizes_chart(job.summaries, theme),
                key="backtest sizes chart",
                height=CHART_HEIGHT_PX,
                alt="The net cost that half and that 95 % of the books stay below, by the order's size",
            )
            st.caption("Sizes without a cost for more than 5 % of the books are left out.")
    if sizes_columns:
        with st.container(border=True):
            st.markdown("**Net cost of each size**, bps")
            st.markdown(sizes_table(job.summaries, currency))
    with st.container(border=True):
        rows_download(job)


def rows_download(job: BacktestJob) -> None:
    """Draw the choice of a file for the rows, and offer it once it is prepared."""
    st.markdown("**Export** · a row for every order book and size, columns as in the live export")
    if not job.has_rows:
        explain_too_large("These rows", job)
        return
    kind_column, name_column, button_column = st.columns([2, 4, 2], vertical_alignment="bottom")
    kind: Format = kind_column.selectbox("Format", get_args(Format), format_func=str.upper, key="backtest format")
    name = name_column.text_input("File name", value="backtest", key="backtest name")
    if button_column.button("Prepare the file", key="backtest prepare", width="stretch"):
        st.session_state.pop("backtest file", None)
        try:
            file_name = f"{safe_stem(name, kind)}.{kind}"
        except ExportError as error:
            st.error(plain(f"That name can't be used: {error}"))
            return
        data = job.export_rows(kind)
        if data is None:
            explain_too_large(f"As {kind.upper()} they", job)
            return
        n_rows = sum(summary.books for summary in job.summaries)
        prepared = PreparedExport(file_name, data, job.about_json(), job.preview_rows(), n_rows, 0)
        st.session_state["backtest file"] = job, prepared
    prepared_job, prepared = st.session_state.get("backtest file", (None, None))
    if prepared_job is not job:
        st.session_state.pop("backtest file", None)
    elif prepared is not None:
        offer_download(prepared, "backtest download")


def explain_too_large(what: str, job: BacktestJob) -> None:
    """Say that the rows are too large to download, and name the command that writes them to a file."""
    st.caption(
        f"{what} are more than {MAX_DOWNLOAD_BYTES / 1e6:.0f} MB, too large to download from here. Another format may "
        "be smaller; this command writes them to a file of any size:"
    )
    # An upload's own path is deleted with the tab, so the command names the file as the user knows it.
    recording = job.source.path if job.source.max_bytes is None else job.name
    arguments = [str(recording), *format_arguments(job.source, job.orders), "--out", "rows.parquet"]
    st.code(command_line("backtest.py", arguments), "bash", wrap_lines=True)
