"""Guard inputs against values and clicks that come late or twice."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, NamedTuple

import streamlit as st

ECHO_S = 2.0
"""For so long, what an input said before is not what someone has chosen anew."""


class Given(NamedTuple):
    """What the page put into an input; and what it replaced by that, and when."""

    value: Any
    replaced: tuple[tuple[Any, float], ...]


def give(**values: Any) -> None:
    """Put these values into the inputs of these keys, before they are drawn.

    A timer's request that was on its way meanwhile still carries the old ones, and Streamlit would take them for a
    choice: `hold` and `put_back` do not.
    """
    given: dict[str, Given] = st.session_state.setdefault("given", {})
    now = monotonic()
    for key, value in values.items():
        replaced = given[key].replaced if key in given else ()
        recent = tuple(each for each in replaced if now - each[1] < ECHO_S)
        given[key] = Given(value, (*recent, (st.session_state.get(key), now)))
        st.session_state[key] = value


def put_back(key: str) -> bool:
    """Put back what the page gave this input, if it says what that replaced a moment ago; whether it did.

    To be called first by a callback that does more than to have the inputs drawn.
    """
    given: dict[str, Given] = st.session_state.get("given", {})
    if key not in given:
        return False
    value, replaced = given[key]
    says = st.session_state.get(key)
    if says == value:
        return False
    if any(says == old and monotonic() - at < ECHO_S for old, at in replaced):
        st.session_state[key] = value
        return True
    del given[key]  # someone has chosen anew
    return False


def hold() -> None:
    """Put back what was given a moment ago and is what it was before: to be called before the inputs are drawn."""
    for key in list(st.session_state.get("given", {})):
        put_back(key)


def once(action: Callable[[], object]) -> Callable[[], None]:
    """What a button calls: the action, but only once until the button is drawn again.

    A click that meets one of the page's timers reaches the server twice: with the timer's run, and as itself.

    >>> step = once(lambda: print("a step"))
    >>> step(); step()
    a step
    """
    waiting = [action]

    def act() -> None:
        if waiting:
            waiting.pop()()

    return act
