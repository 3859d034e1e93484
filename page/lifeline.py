"""What ties feeds and drawings to the browser tabs that look at them."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import NamedTuple, NoReturn, ParamSpec
from weakref import WeakSet

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from backtest_job import Backtests
from comparison import Comparison
from feeds import level_text
from outcomes import warm_up
from session import Session
from websocket_client import FeedHub

Kept = Session | Comparison | Backtests
Draw = Callable[[Session], None]
P = ParamSpec("P")
INPUTS, NUMBERS, CHARTS = "inputs", "numbers", "charts"
PAGES_AT_FULL_PACE = 4
SENT_S = 0.01
"""So long after it was drawn, a part has been handed to the browser's connection."""
LAST_RUN_S = 3.0
"""A run that was going on when its tab was closed has ended by then."""


@st.cache_resource(show_spinner=False)
def hub() -> FeedHub:
    """The process's one hub, made when all is imported but scikit-learn and machine code: they load beside the page."""
    _freeze()
    threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()
    return FeedHub()


def _warm_up() -> None:
    level_text.warm_up()
    warm_up()
    _freeze()


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


class Tie(NamedTuple):
    """What a browser tab holds on to."""

    held: Kept
    tab: str


def _let_go(tie: Tie) -> None:
    """Release what a closed tab held; and once more, should its last run, stopped too late, have taken it again."""
    tie.held.release()
    if runtime.exists():
        asyncio.get_running_loop().call_later(LAST_RUN_S, _make_sure, tie)


def _make_sure(tie: Tie) -> None:
    if not runtime.get_instance().is_active_session(tie.tab):
        tie.held.release()


@st.cache_resource(scope="session", on_release=_let_go, show_spinner=False)
def lifeline(_held: Kept, key: int) -> Tie:  # noqa: ARG001 - the cache uses it
    """Tied to the browser tab by its key: when it goes, the feed is let go of; when it comes back, the feed goes on."""
    _held.resume()
    context = get_script_run_ctx()
    return Tie(_held, context.session_id if context else "")


def part(key: str, every_s: float | None = None) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """A part of the page that can be drawn again alone, in a container that is the page's own.

    Streamlit drops what a run of the whole page drew of a fragment, if that fragment is drawn again before it was
    sent, and then takes away what the browser had of it: without the container, what follows moves up into its place.
    It also drops what a run drew that ends just as the next request comes; so a part's run ends a moment later.
    """

    def decorate(draw: Callable[P, None]) -> Callable[P, None]:
        @wraps(draw)
        def drawn_and_sent(*args: P.args, **kwargs: P.kwargs) -> None:
            draw(*args, **kwargs)
            time.sleep(SENT_S)

        @wraps(draw)
        def drawn(*args: P.args, **kwargs: P.kwargs) -> None:
            with st.container():
                st.fragment(drawn_and_sent, run_every=every_s, key=key)(*args, **kwargs)

        return drawn

    return decorate


def live(every_s: float, key: str) -> Callable[[Draw], Draw]:
    """Draw this part of the page again and again by itself, so often while few look; a paused page draws it once.

    A timer ends with its fragment, so a paused page has none.
    """

    def decorate(draw: Draw) -> Draw:
        @wraps(draw)
        def drawn(session: Session) -> None:
            if paused():
                with st.container(), st.container():  # where a fragment and its part would be
                    draw(session)
            else:
                part(key, every_s * st.session_state.get("pace", 1))(draw)(session)

        return drawn

    return decorate


def paused() -> bool:
    """Whether the user has stopped the picture. The market goes on, and so does what is learned from it."""
    return bool(st.session_state.get("paused", False))


def redraw() -> NoReturn:
    """What follows from a changed input, and nothing else: for the callbacks of the inputs."""
    st.rerun("app" if paused() else [INPUTS, NUMBERS, CHARTS])
