"""What the page itself puts into an input, held against the browser's word from before."""

from __future__ import annotations

from time import monotonic
from typing import Any, NamedTuple

import streamlit as st

ECHO_S = 2.0
"""For so long, what an input said before is not what someone has chosen anew."""


class Given(NamedTuple):
    """An input's value before and after, and when that was."""

    before: Any
    after: Any
    at: float


def give(**values: Any) -> None:
    """Put these values into the inputs of these keys: for their callbacks.

    A timer's request that was on its way meanwhile still carries the old ones, and Streamlit would take them for a
    choice: `hold` does not.
    """
    given = st.session_state.setdefault("given", {})
    for key, value in values.items():
        given[key] = Given(st.session_state.get(key), value, monotonic())
        st.session_state[key] = value


def hold() -> None:
    """Put back what was given a moment ago and is what it was before: to be called before the inputs are drawn."""
    for key, (before, after, at) in st.session_state.get("given", {}).items():
        if monotonic() - at < ECHO_S and before != after and st.session_state.get(key) == before:
            st.session_state[key] = after
