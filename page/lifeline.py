"""What ties feeds and drawings to the browser tabs that look at them."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import wraps
from typing import NoReturn

import streamlit as st

from backtest_job import Backtests
from comparison import Comparison
from session import Session
from websocket_client import FeedHub

Kept = Session | Comparison | Backtests
INPUTS, NUMBERS, CHARTS = "inputs", "numbers", "charts"


@st.cache_resource(show_spinner=False)
def hub() -> FeedHub:
    """The process's one hub, made when everything is imported.

    Streamlit collects garbage after every run; what is frozen here, all modules, need not be looked at again.
    """
    gc.collect()
    gc.freeze()
    return FeedHub()


@st.cache_resource(scope="session", on_release=lambda session: session.release(), show_spinner=False)
def lifeline(_session: Kept, key: int) -> Kept:  # noqa: ARG001 - the cache uses it
    """Tied to the browser tab by its key: when it goes, the feed is let go of; when it comes back, the feed goes on."""
    _session.resume()
    return _session


def live(every_s: float, key: str) -> Callable[[Callable[[Session], None]], Callable[[Session], None]]:
    """Draw this part of the page again and again by itself, at this pace; a paused page draws it once.

    A timer ends with its fragment, so a paused page has none.
    """

    def decorate(draw: Callable[[Session], None]) -> Callable[[Session], None]:
        @wraps(draw)
        def drawn(session: Session) -> None:
            if paused():
                with st.container():
                    draw(session)
            else:
                st.fragment(draw, run_every=every_s, key=key)(session)

        return drawn

    return decorate


def paused() -> bool:
    """Whether the user has stopped the picture. The market goes on, and so does what is learned from it."""
    return bool(st.session_state.get("paused", False))


def redraw() -> NoReturn:
    """What follows from a changed input, and nothing else: for the callbacks of the inputs."""
    st.rerun("app" if paused() else [INPUTS, NUMBERS, CHARTS])
