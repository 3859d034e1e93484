"""Connect and pause: the buttons that stop and start the whole page."""

from __future__ import annotations

import streamlit as st

from sessions.session import Session
from ui.fragments import is_paused
from ui.text.vocabulary import HELP


def toolbar(session: Session) -> None:
    """Draw the two buttons side by side, outside every fragment, because the whole page depends on them.

    Streamlit may deliver one click twice when it meets a timer's request. Therefore "on" and "off" are two buttons
    with two keys: a second click on either changes nothing.
    """
    connect_column, pause_column = st.columns(2, gap="small")
    with connect_column:
        if st.session_state.connect:
            label, icon = "Disconnect", ":material/link_off:"
        else:
            label, icon = "Connect", ":material/link:"
        st.button(
            label,
            icon=icon,
            key=label,
            width="stretch",
            on_click=_set_connected,
            args=(session, not st.session_state.connect),
        )
    with pause_column:
        if is_paused():
            label, icon, explanation = "Continue", ":material/play_arrow:", HELP["continue"]
        else:
            label, icon, explanation = "Pause", ":material/pause:", HELP["pause"]
        st.button(
            label,
            icon=icon,
            key=label,
            shortcut="P",
            width="stretch",
            help=explanation,
            on_click=_set_paused,
            args=(not is_paused(),),
        )


def _set_connected(session: Session, is_wanted: bool) -> None:
    session.disconnect()
    st.session_state.connect = is_wanted


def _set_paused(is_wanted: bool) -> None:
    st.session_state.paused = is_wanted
