"""What every picture of one tab shares: the theme the user sees, and axes that stand still."""

from __future__ import annotations

import streamlit as st

from charts import Axes, Theme


def theme() -> Theme:
    """The theme the user sees."""
    return "light" if st.context.theme.type == "light" else "dark"


def axes() -> Axes:
    """The axes of this tab's pictures."""
    kept: Axes = st.session_state.setdefault("axes", Axes())
    return kept
