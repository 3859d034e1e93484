"""Connect and pause: what stops and starts the page as a whole."""

from __future__ import annotations

import streamlit as st

from sessions.session import Session
from ui.fragments import paused
from ui.text.vocabulary import HELP


def buttons(session: Session) -> None:
    """Connect and pause, beside each other; outside every fragment, since all of the page follows them.

    Streamlit may answer one press twice when a timer's request meets it, so what turns something on and what
    turns it off again are two buttons: to press either twice is to press it once.
    """
    left, right = st.columns(2, gap="small")
    with left:
        if st.session_state.connect:
            off, icon = "Disconnect", ":material/link_off:"
            st.button(off, icon=icon, key=off, width="stretch", on_click=_connect, args=(session, False))
        else:
            on, icon = "Connect", ":material/link:"
            st.button(on, icon=icon, key=on, width="stretch", on_click=_connect, args=(session, True))
    with right:
        if paused():
            words, icon, explained = "Continue", ":material/play_arrow:", HELP["continue"]
        else:
            words, icon, explained = "Pause", ":material/pause:", HELP["pause"]
        st.button(
            words,
            icon=icon,
            key=words,
            shortcut="P",
            width="stretch",
            help=explained,
            on_click=_pause,
            args=(not paused(),),
        )


def _connect(session: Session, wanted: bool) -> None:
    session.disconnect()
    st.session_state.connect = wanted


def _pause(wanted: bool) -> None:
    st.session_state.paused = wanted
