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

from estimation.fit_worker import WORKER
from numerics.compile_beside import compile_beside
from sessions.backtest_job import BacktestJobs
from sessions.comparison import Comparison
from sessions.session import Session
from websocket_client import FeedHub

TabResource = Session | Comparison | BacktestJobs
TABS_AT_FULL_RATE = 4
LAST_SCRIPT_RUN_S = 3.0
"""A script run that was going on when its tab closed has ended by then."""


@st.cache_resource(show_spinner=False)
def shared_hub() -> FeedHub:
    """Return the process's one hub; the first call also loads scikit-learn and machine code, beside the page."""
    _freeze_modules()
    threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()
    return FeedHub()


def _warm_up() -> None:
    WORKER.pause()
    try:
        compile_beside("sessions.warm_up")
    finally:
        WORKER.resume()
    _freeze_modules()


def _freeze_modules() -> None:
    """Exempt all modules from garbage collection, which Streamlit runs after every script run."""
    gc.collect()
    gc.freeze()


@st.cache_resource(show_spinner=False)
def tab_sessions() -> WeakSet[Session]:
    """Return the sessions of all tabs that this process draws."""
    return WeakSet()


def slowdown() -> int:
    """Return how many times slower than alone a tab is redrawn, since one process draws for all of them."""
    n_connected = sum(session.is_connected for session in list(tab_sessions()))
    return 1 + max(0, n_connected - 1) // TABS_AT_FULL_RATE


def rerun_if_slowdown_changed() -> None:
    """Set this tab's timers anew once there are so many more, or fewer, tabs that the slowdown differs."""
    if slowdown() != st.session_state.get("pace", slowdown()):
        st.rerun()


class TabBinding(NamedTuple):
    """A resource that belongs to a browser tab, and the tab's Streamlit session id."""

    resource: TabResource
    tab_id: str


def _release_on_close(binding: TabBinding) -> None:
    """Release the resource of a closed tab.

    A script run that was still going on may take the resource again, so check once more after it has ended.
    """
    binding.resource.release()
    if runtime.exists():
        asyncio.get_running_loop().call_later(LAST_SCRIPT_RUN_S, _release_if_closed, binding)


def _release_if_closed(binding: TabBinding) -> None:
    if not runtime.get_instance().is_active_session(binding.tab_id):
        binding.resource.release()


@st.cache_resource(scope="session", on_release=_release_on_close, show_spinner=False)
def bind_to_tab(_resource: TabResource, key: int) -> TabBinding:  # noqa: ARG001 - the cache uses it
    """Bind a resource to the browser tab: release it when the tab closes, resume it when the tab comes back.

    Streamlit caches the binding by `key` for as long as the tab is open.
    """
    _resource.resume()
    context = get_script_run_ctx()
    return TabBinding(_resource, context.session_id if context else "")
