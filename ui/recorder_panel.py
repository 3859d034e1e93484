"""Draw the button that records what the page receives, its counters, and the download of the file."""

from __future__ import annotations

from functools import partial

import streamlit as st

from feeds import VENUES
from recording.recorder import RECORDINGS
from sessions.backtest_job import MAX_DOWNLOAD_BYTES
from sessions.session import Session
from ui.commands import command_line
from ui.fragments import isolated_fragment
from ui.input_guards import run_once
from ui.tab_lifecycle import bind_to_tab
from ui.text.formatting import plain

STATUS_S = 1.0


def recorder_panel(session: Session) -> None:
    """Draw the button that starts or stops a recording, and the state of the last one."""
    with st.container(horizontal=True, vertical_alignment="center", key="recorder"):
        is_recording = session.recorder is not None and session.recorder.recording
        st.session_state["recording drawn"] = is_recording
        st.button(
            "Stop recording" if is_recording else "Record",
            icon=":material/stop_circle:" if is_recording else ":material/radio_button_checked:",
            key="record",
            on_click=run_once(session.stop_recording if is_recording else partial(_start_recording, session)),
            disabled=session.status is None,
            help=f"Keeps all that the exchange sends in a file in the folder {RECORDINGS}, to be played again "
            "later. A replay is recorded from its beginning. It ends when this page is closed."
            + _command_help(session),
        )
        if is_recording:
            isolated_fragment("recording", STATUS_S)(recording_status)(session)
        else:
            with st.container():
                recording_status(session)
            recording_download(session)


def _command_help(session: Session) -> str:
    """Name the command that records this market without a page; empty before there is a market."""
    market = session.market
    if market is None:
        return ""
    through = ["--entity", market.entity] if market.entity else []
    line = command_line("replay.py", ["record", "--venue", market.venue, *through, "--symbol", market.symbol])
    return f" This command records {VENUES[market.venue].title} without a page: `{line}`"


def _start_recording(session: Session) -> None:
    try:
        session.start_recording(RECORDINGS)
    except (OSError, RuntimeError) as error:
        st.session_state["record problem"] = str(error)


def recording_status(session: Session) -> None:
    """Draw how much has been recorded so far, or what went wrong."""
    bind_to_tab(session, id(session))
    recorder = session.recorder
    is_recording = recorder is not None and recorder.recording
    if is_recording != st.session_state.get("recording drawn"):
        st.rerun()
    if problem := st.session_state.pop("record problem", None):
        st.error(f"Nothing can be recorded: {plain(problem)}")
    if recorder is None:
        return
    minutes, seconds = divmod(int(recorder.elapsed_s), 60)
    amount = f"{recorder.frames:,} frames, {recorder.bytes / 1e6:,.2f} MB in {minutes}:{seconds:02d}."
    if recorder.error:
        st.error(f"The recording stopped: {plain(recorder.error)}")
    elif is_recording:
        st.caption(f"**Recording** {plain(recorder.path.name)}: {amount}")
    elif recorder.finished and not recorder.received:
        st.caption("Nothing arrived while it recorded, so there is no file.")
    else:
        st.caption(f"Recorded {plain(str(recorder.path))}: {amount}")


def recording_download(session: Session) -> None:
    """Draw the download of the last recording once it is complete; if it is too large, say where it lies."""
    recorder = session.recorder
    if recorder is None or not recorder.finished or not recorder.received:
        return
    # The content is held in memory and compared whenever the page is drawn, so its size is bounded.
    if recorder.bytes > MAX_DOWNLOAD_BYTES:
        st.caption("It is too large to download from here: take it from that folder.")
        return
    try:
        # Read the file here. If it were made when the button is pressed, one of the page's timers could delete it
        # before the browser has fetched it.
        content = recorder.path.read_bytes()
    except OSError as error:
        st.caption(f"It can't be downloaded: {plain(str(error))}")
        return
    st.download_button(
        "Download",
        content,
        recorder.path.name,
        mime="application/gzip",
        icon=":material/download:",
        key="download recording",
        on_click="ignore",
    )
