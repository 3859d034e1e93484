"""Draw the exports, and the saving and loading of what the models have learned."""

from __future__ import annotations

import json
from typing import NamedTuple

import pandas as pd
import streamlit as st

from export_manager import performance_report
from exporting.files import ExportError, safe_stem
from sessions.backtest_job import PREVIEW_ROWS
from sessions.session import Session, parse_learned
from ui.text.formatting import plain
from ui.text.vocabulary import EXPORT_WORDS, HELP


class PreparedExport(NamedTuple):
    """One export, made once, so that the download is exactly what was counted and previewed.

    about: the metadata that explains the rows, JSON. missing: older rows that the history no longer has.
    """

    name: str
    data: bytes
    about: bytes
    preview: pd.DataFrame
    rows: int
    missing: int


def export_tab(session: Session) -> None:
    """Draw the exports, and below them what the models have learned."""
    with st.container(border=True):
        export_form(session)
    with st.container(border=True):
        learning_form(session)


def export_form(session: Session) -> None:
    """Draw the choice of an export, prepare it when asked for, and offer it outside every timer's fragment."""
    st.markdown("**Export**")
    what_column, kind_column, name_column = st.columns(3)
    what = what_column.selectbox("What", list(EXPORT_WORDS), format_func=EXPORT_WORDS.__getitem__, key="export what")
    kind = kind_column.selectbox("Format", ["csv", "json", "parquet"], format_func=str.upper, key="export format")
    name = name_column.text_input("File name", value="trade-simulator", key="export name")
    history = session.history
    with_system = False
    if what == "results":
        limit = st.number_input("Rows to keep at most", 1, 5_000_000, history.limit, 10_000, key="export limit")
        if limit != history.limit:
            history.resize(limit)
    else:
        with_system = st.checkbox("With memory and threads", value=True, key="export system")
    if st.button("Prepare the file", key="prepare"):
        table = history.table() if what == "results" else performance_report(session.profiler, with_system)
        try:
            file_name = f"{safe_stem(name, kind)}.{kind}"
        except ExportError as error:
            st.session_state.pop("prepared", None)
            st.error(plain(f"That name can't be used: {error}"))
            return
        data = {"csv": table.csv, "json": table.json, "parquet": table.parquet}[kind]()
        preview = table.rows.slice(max(0, len(table.rows) - PREVIEW_ROWS)).to_pandas()
        missing = history.dropped if what == "results" else 0
        st.session_state.prepared = PreparedExport(
            file_name, data, table.about_json(), preview, len(table.rows), missing
        )
    prepared: PreparedExport | None = st.session_state.get("prepared")
    if prepared is not None:
        offer_download(prepared, "download")


def offer_download(prepared: PreparedExport, key: str) -> None:
    """Draw a summary and a preview of the export, and its two download buttons."""
    words = (
        f"{plain(prepared.name)}: {prepared.rows:,} rows, {len(prepared.data) / 1e6:,.2f} MB. "
        f"Below: its last {PREVIEW_ROWS} rows."
    )
    if prepared.missing:
        words += f" The {prepared.missing:,} oldest rows had to give way to newer ones."
    st.caption(words)
    st.dataframe(prepared.preview, height=240, hide_index=True)
    data_column, about_column = st.columns(2)
    data_column.download_button("Download", prepared.data, prepared.name, key=key, on_click="ignore", width="stretch")
    about_column.download_button(
        "Download what it means",
        prepared.about,
        f"{prepared.name}.meta.json",
        key=f"{key} about",
        on_click="ignore",
        width="stretch",
        help="Market, order, fees, units and how right the models were, as JSON.",
    )


def learning_form(session: Session) -> None:
    """Draw the download of what was learned on this market, and the upload that continues from it."""
    st.markdown("**What was learned**")
    st.caption(HELP["learned"])
    st.download_button(
        "Download it",
        lambda: json.dumps(session.calculator.learned() if session.calculator else None),
        "learned.json",
        key="download learned",
        on_click="ignore",
        disabled=session.market is None,
    )
    upload = st.file_uploader("Load", type=["json"], key="learned", max_upload_size=4)
    if upload is None or session.market is None or upload.file_id == st.session_state.get("resumed"):
        return
    market = session.market
    st.session_state.resumed = upload.file_id
    try:
        session.connect(market, parse_learned(upload.getvalue(), market))
    except (ValueError, RecursionError) as error:
        st.error(plain(f"{upload.name} can't be used: {error}"))
        session.connect(market)
