"""What ties feeds to the browser tabs that look at them."""

from __future__ import annotations

import gc

import streamlit as st

from comparison import Comparison
from session import Session
from websocket_client import FeedHub


@st.cache_resource(show_spinner=False)
def hub() -> FeedHub:
    """The process's one hub, made when everything is imported.

    Streamlit collects garbage after every run; what is frozen here, all modules, need not be looked at again.
    """
    gc.collect()
    gc.freeze()
    return FeedHub()


@st.cache_resource(scope="session", on_release=lambda session: session.release(), show_spinner=False)
def lifeline(_session: Session | Comparison, key: int) -> Session | Comparison:  # noqa: ARG001 - the cache uses it
    """Tied to the browser tab by its key: when it goes, the feed is let go of; when it comes back, the feed goes on."""
    _session.resume()
    return _session
