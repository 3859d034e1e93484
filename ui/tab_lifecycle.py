"""Tie feeds and sessions to browser tabs, and release them when a tab closes."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import NamedTuple
from weakref import WeakSet

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from estimation.training_schedule import warm_up
from feeds import fast_parser
from sessions.backtest_job import BacktestJobs
from sessions.comparison import Comparison
from sessions.session import Session
from websocket_client import FeedHub

Kept = Session | Comparison | BacktestJobs
PAGES_AT_FULL_PACE = 4
LAST_RUN_S = 3.0
"""A run that was going on when its tab was closed has ended by then."""


@st.cache_resource(show_spinner=False)
def hub() -> FeedHub:
    """The process's one hub, made when all is imported but scikit-learn and machine code: they load beside the page."""
    _freeze()
    threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()
    return FeedHub()


def _warm_up() -> None:
    fast_parser.warm_up()
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
