"""Connect and pause: the buttons that stop and start the whole page."""

from __future__ import annotations

import streamlit as st

from sessions.session import Session
from ui.fragments import is_paused
from ui.text.vocabulary import HELP


def toolbar(session: Session) -> None:
    """Draw the two buttons side by side, outside every fragment, because the whole page depends on them.

    The first one follows the connection itself. Draw it after the inputs, which connect; later, the numbers' timer
    calls `rerun_if_connection_changed`.

    Streamlit may deliver one click twice when it meets a timer's request. Therefore "on" and "off" are two buttons
    with two keys: a second click on either changes nothing.
    """
    connect_column, pause_column = st.columns(2, gap="small")
    with connect_column:
        has_feed = st.session_state["toolbar has feed"] = session.has_feed
        if has_feed:
            label, icon = "Disconnect", ":material/link_off:"
        else:
            label, icon = "Connect", ":material/link:"
        st.button(
            label,
            icon=icon,
            key=label,
            width="stretch",
            on_click=_set_connected,
            args=(session, not has_feed),
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


def rerun_if_connection_changed(session: Session) -> None:
    """Draw the whole page anew if the connection came or went since the button was drawn."""
    if session.has_feed != st.session_state.get("toolbar has feed", session.has_feed):
        st.rerun()


def _set_connected(session: Session, is_wanted: bool) -> None:
    st.session_state.connect = is_wanted
    if is_wanted and session.is_connected:  # to a market that was given up: keep what was learned there
        session.release()
        session.resume()
    else:
        session.disconnect()


def _set_paused(is_wanted: bool) -> None:
    st.session_state.paused = is_wanted
