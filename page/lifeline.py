"""What ties feeds and drawings to the browser tabs that look at them."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from functools import wraps
from typing import NoReturn
from weakref import WeakSet

import streamlit as st

from comparison import Comparison
from estimators import warm_up
from session import Session
from websocket_client import FeedHub

INPUTS, NUMBERS, CHARTS = "inputs", "numbers", "charts"
PAGES_AT_FULL_PACE = 4


@st.cache_resource(show_spinner=False)
def hub() -> FeedHub:
    """The process's one hub, made when all but scikit-learn is imported: that takes a second or two, beside the page."""
    _freeze()
    threading.Thread(target=lambda: (warm_up(), _freeze()), name="warm-up", daemon=True).start()
    return FeedHub()


def _freeze() -> None:
    """Streamlit collects garbage after every run; what is frozen here, all modules, need not be looked at again."""
    gc.collect()
    gc.freeze()


@st.cache_resource(show_spinner=False)
def pages() -> WeakSet[Session]:
    """Every page that this process draws."""
    return WeakSet()


def pace() -> int:
    """How many times slower than alone a page is drawn: one process draws for all who look."""
    return 1 + max(0, sum(session.connected for session in list(pages())) - 1) // PAGES_AT_FULL_PACE


def keep_pace() -> None:
    """Set the timers anew if there are many more, or many fewer, pages than when they were set."""
    if pace() != st.session_state.get("pace", pace()):
        st.rerun()


@st.cache_resource(scope="session", on_release=lambda session: session.release(), show_spinner=False)
def lifeline(_session: Session | Comparison, key: int) -> Session | Comparison:  # noqa: ARG001 - the cache uses it
    """Tied to the browser tab by its key: when it goes, the feed is let go of; when it comes back, the feed goes on."""
    _session.resume()
    return _session


def live(every_s: float, key: str) -> Callable[[Callable[[Session], None]], Callable[[Session], None]]:
    """Draw this part of the page again and again by itself, so often while few look; a paused page draws it once.

    A timer ends with its fragment, so a paused page has none.
    """

    def decorate(draw: Callable[[Session], None]) -> Callable[[Session], None]:
        @wraps(draw)
        def drawn(session: Session) -> None:
            if paused():
                with st.container():
                    draw(session)
            else:
                st.fragment(draw, run_every=every_s * st.session_state.get("pace", 1), key=key)(session)

        return drawn

    return decorate


def paused() -> bool:
    """Whether the user has stopped the picture. The market goes on, and so does what is learned from it."""
    return bool(st.session_state.get("paused", False))


def redraw() -> NoReturn:
    """What follows from a changed input, and nothing else: for the callbacks of the inputs."""
    st.rerun("app" if paused() else [INPUTS, NUMBERS, CHARTS])
