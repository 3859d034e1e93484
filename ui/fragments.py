"""Redraw fragments of the page independently of each other."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import NoReturn, ParamSpec

import streamlit as st

from sessions.session import Session

Draw = Callable[[Session], None]
P = ParamSpec("P")
INPUTS, NUMBERS, CHARTS = "inputs", "numbers", "charts"
SEND_S = 0.01
"""Streamlit has handed a drawn fragment to the browser's connection by then."""


def isolated_fragment(key: str, every_s: float | None = None) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Make a function a fragment that can be redrawn alone, in a container of the page's own.

    every_s: redraw it this often; None for only when one of its inputs is used.

    Streamlit drops what a run of the whole page drew of a fragment if that fragment is redrawn before it was sent,
    and then removes what the browser had of it. Without the container, what follows would move up into its place.
    Streamlit also drops what a run drew if it ends just as the next request comes, so each run ends SEND_S later.
    """

    def decorate(draw: Callable[P, None]) -> Callable[P, None]:
        @wraps(draw)
        def draw_and_send(*args: P.args, **kwargs: P.kwargs) -> None:
            draw(*args, **kwargs)
            time.sleep(SEND_S)

        @wraps(draw)
        def draw_in_container(*args: P.args, **kwargs: P.kwargs) -> None:
            with st.container():
                st.fragment(draw_and_send, run_every=every_s, key=key)(*args, **kwargs)

        return draw_in_container

    return decorate


def auto_refresh(every_s: float, key: str) -> Callable[[Draw], Draw]:
    """Make a function a fragment that is redrawn this often, slower while many tabs are open.

    A paused page draws it once, without a fragment, because a timer only ends with its fragment.
    """

    def decorate(draw: Draw) -> Draw:
        @wraps(draw)
        def draw_live_or_paused(session: Session) -> None:
            if is_paused():
                with st.container(), st.container():  # as deep as the container and the fragment of a live page
                    draw(session)
            else:
                isolated_fragment(key, every_s * st.session_state.get("pace", 1))(draw)(session)

        return draw_live_or_paused

    return decorate


def is_paused() -> bool:
    """Whether the user has paused the page. The market and the learning go on."""
    return bool(st.session_state.get("paused", False))


def redraw() -> NoReturn:
    """Redraw what depends on the inputs and nothing else; the callback of the inputs."""
    st.rerun("app" if is_paused() else [INPUTS, NUMBERS, CHARTS])
