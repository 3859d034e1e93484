"""The button that records what the page is fed with, its counters, and the file to take away."""

from __future__ import annotations

from functools import partial

import streamlit as st

from feeds import VENUES
from recording.recorder import RECORDINGS
from sessions.session import Session
from ui.commands import command
from ui.fragments import part
from ui.input_guards import once
from ui.tab_lifecycle import lifeline
from ui.text.formatting import plain

COUNT_S = 1.0
MOST_DOWNLOADED = 50_000_000
"""Bytes: a download goes through this process's memory, and is looked at whenever the page is drawn anew."""


def recorder(session: Session) -> None:
    """Record, stop, and what came of it."""
    with st.container(horizontal=True, vertical_alignment="center", key="recorder"):
        running = session.recorder is not None and session.recorder.recording
        st.session_state["recording drawn"] = running
        st.button(
            "Stop recording" if running else "Record",
            icon=":material/stop_circle:" if running else ":material/radio_button_checked:",
            key="record",
            on_click=once(session.stop_recording if running else partial(_record, session)),
            disabled=session.status is None,
            help=f"Keeps all that the exchange sends in a file in the folder {RECORDINGS}, to be played again "
            "later. A replay is recorded from its beginning. It ends when this page is closed."
            + _without_a_page(session),
        )
        if running:
            part("recording", COUNT_S)(count)(session)
        else:
            with st.container():
                count(session)
            download(session)


def _without_a_page(session: Session) -> str:
    """Name the command that records this market and needs no page; nothing before there is a market."""
    market = session.market
    if market is None:
        return ""
    line = command("replay.py", ["record", "--venue", market.venue, "--symbol", market.symbol])
    return f" This command records {VENUES[market.venue].title} without a page: `{line}`"


def _record(session: Session) -> None:
    try:
        session.record(RECORDINGS)
    except (OSError, RuntimeError) as error:
        st.session_state["record problem"] = str(error)


def count(session: Session) -> None:
    """How much has been recorded so far, or what went wrong."""
    lifeline(session, id(session))
    made = session.recorder
    running = made is not None and made.recording
    if running != st.session_state.get("recording drawn"):
        st.rerun()
    if problem := st.session_state.pop("record problem", None):
        st.error(f"Nothing can be recorded: {plain(problem)}")
    if made is None:
        return
    minutes, seconds = divmod(int(made.elapsed_s), 60)
    words = f"{made.frames:,} frames, {made.bytes / 1e6:,.2f} MB in {minutes}:{seconds:02d}."
    if made.error:
        st.error(f"The recording stopped: {plain(made.error)}")
    elif running:
        st.caption(f"**Recording** {plain(made.path.name)}: {words}")
    elif made.finished and not made.received:
        st.caption("Nothing arrived while it recorded, so there is no file.")
    else:
        st.caption(f"Recorded {plain(str(made.path))}: {words}")


def download(session: Session) -> None:
    """The last recording, once it is whole; where it lies, if it is too large to pass through a browser."""
    made = session.recorder
    if made is None or not made.finished or not made.received:
        return
    if made.bytes > MOST_DOWNLOADED:
        st.caption("It is too large to download from here: take it from that folder.")
        return
    try:
        # Read here: a file made when the button is pressed may be swept away, by one of the page's timers, before
        # the browser has fetched it.
        content = made.path.read_bytes()
    except OSError as error:
        st.caption(f"It can't be downloaded: {plain(str(error))}")
        return
    st.download_button(
        "Download",
        content,
        made.path.name,
        mime="application/gzip",
        icon=":material/download:",
        key="download recording",
        on_click="ignore",
    )
