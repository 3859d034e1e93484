"""Files to take away and to bring back."""

from __future__ import annotations

import json
from typing import NamedTuple

import pandas as pd
import streamlit as st

from export_manager import performance_report
from exporting.files import ExportError, safe_stem
from sessions.session import Session, learned_for
from ui.text.formatting import plain
from ui.text.vocabulary import EXPORT_WORDS, HELP


class Prepared(NamedTuple):
    """One export, made once: what the buttons give is what was counted and previewed."""

    name: str
    data: bytes
    about: bytes
    preview: pd.DataFrame
    rows: int
    missing: int


def files(session: Session) -> None:
    """Results and reports to take away, and what was learned."""
    with st.container(border=True):
        exports(session)
    with st.container(border=True):
        learning(session)


def exports(session: Session) -> None:
    """Files to take away; made when asked for, outside everything that is drawn again and again."""
    st.markdown("**Export**")
    what_column, kind_column, name_column = st.columns(3)
    what = what_column.selectbox("What", list(EXPORT_WORDS), format_func=EXPORT_WORDS.__getitem__, key="export what")
    kind = kind_column.selectbox("Format", ["csv", "json", "parquet"], format_func=str.upper, key="export format")
    name = name_column.text_input("File name", value="trade-simulator", key="export name")
    history, with_system = session.history, False
    if what == "results":
        limit = st.number_input("Rows to keep at most", 1, 5_000_000, history.limit, 10_000, key="export limit")
        if limit != history.limit:
            history.resize(limit)
    else:
        with_system = st.checkbox("With memory and threads", value=True, key="export system")
    if st.button("Prepare the file", key="prepare"):
        table = history.table() if what == "results" else performance_report(session.profiler, with_system)
        try:
            file = f"{safe_stem(name, kind)}.{kind}"
        except ExportError as error:
            st.session_state.pop("prepared", None)
            st.error(plain(f"That name can't be used: {error}"))
            return
        data = {"csv": table.csv, "json": table.json, "parquet": table.parquet}[kind]()
        preview = table.rows.slice(max(0, len(table.rows) - 20)).to_pandas()
        missing = history.dropped if what == "results" else 0
        st.session_state.prepared = Prepared(file, data, table.about_json(), preview, len(table.rows), missing)
    prepared: Prepared | None = st.session_state.get("prepared")
    if prepared is not None:
        offer(prepared, "download")


def offer(prepared: Prepared, key: str) -> None:
    """What was prepared, and the buttons that give it."""
    words = (
        f"{plain(prepared.name)}: {prepared.rows:,} rows, {len(prepared.data) / 1e6:,.2f} MB. Below: its last 20 rows."
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


def learning(session: Session) -> None:
    """What was learned, to keep and to bring back."""
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
    upload = st.file_uploader("Go on from", type=["json"], key="learned", max_upload_size=4)
    if upload is None or session.market is None or upload.file_id == st.session_state.get("resumed"):
        return
    market = session.market
    st.session_state.resumed = upload.file_id
    try:
        session.connect(market, learned_for(upload.getvalue(), market))
    except (ValueError, RecursionError) as error:
        st.error(plain(f"{upload.name} can't be used: {error}"))
        session.connect(market)
