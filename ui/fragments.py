"""Draw parts of the page again by themselves."""

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
SENT_S = 0.01
"""So long after it was drawn, a part has been handed to the browser's connection."""


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
