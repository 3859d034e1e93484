"""Guard inputs against stale values and repeated clicks that a timer's request carries to the server."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, NamedTuple

import streamlit as st

STALE_EVENT_S = 2.0
"""An input that still reports a replaced value within this time is stale; later, the user has chosen it again."""


class PageValue(NamedTuple):
    """A value that the page put into an input, and the (value, monotonic seconds) pairs that it replaced."""

    value: Any
    replaced: tuple[tuple[Any, float], ...]


def set_widgets(**values: Any) -> None:
    """Set the inputs of these keys to these values, before they are drawn.

    A timer's request that is already on its way still carries the old values, and Streamlit would take them for
    the user's choice; `restore_if_stale` and `restore_stale_widgets` undo that.
    """
    page_values: dict[str, PageValue] = st.session_state.setdefault("given", {})
    now_s = monotonic()
    for key, value in values.items():
        replaced = page_values[key].replaced if key in page_values else ()
        recent = tuple(entry for entry in replaced if now_s - entry[1] < STALE_EVENT_S)
        page_values[key] = PageValue(value, (*recent, (st.session_state.get(key), now_s)))
        st.session_state[key] = value


def restore_if_stale(key: str) -> bool:
    """Restore the value that the page set if the input reports the one before it. Return True if restored.

    Any other value is the user's choice and ends the guard. A callback that does more than redraw calls this first.
    """
    page_values: dict[str, PageValue] = st.session_state.get("given", {})
    if key not in page_values:
        return False
    value, replaced = page_values[key]
    reported = st.session_state.get(key)
    if reported == value:
        return False
    if any(reported == old_value and monotonic() - set_s < STALE_EVENT_S for old_value, set_s in replaced):
        st.session_state[key] = value
        return True
    del page_values[key]  # the user has chosen anew
    return False


def restore_stale_widgets() -> None:
    """Restore every input that reports a value which the page has just replaced. Call before drawing the inputs."""
    for key in list(st.session_state.get("given", {})):
        restore_if_stale(key)


def run_once(action: Callable[[], object]) -> Callable[[], None]:
    """Wrap a button's action so that it runs only once until the button is drawn again.

    A click that meets one of the page's timers reaches the server twice: with the timer's run, and as itself.

    >>> step = run_once(lambda: print("a step"))
    >>> step(); step()
    a step
    """
    pending = [action]

    def act() -> None:
        if pending:
            pending.pop()()

    return act
