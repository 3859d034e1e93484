"""Show a first visitor three steps, until the visitor dismisses them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

HTML = """
<section aria-label="First steps" hidden>
  <ol>
    <li><b>Pick a market.</b> The simulated one needs no network; its prices are made up.</li>
    <li><b>Say what you want to trade.</b> Side, quantity and order type are in the panel.</li>
    <li><b>Read what it costs.</b> The numbers follow the market. Every question mark explains one of them.</li>
  </ol>
  <button type="button">Got it</button>
</section>
"""

CSS = """
section { display: flex; flex-wrap: wrap; gap: 0.5rem 1rem; align-items: center; justify-content: space-between;
  padding: 0.75rem 1rem; border: 1px solid var(--st-border-color); border-radius: 6px;
  background: var(--st-secondary-background-color); color: var(--st-text-color); font: 400 0.95rem/1.5 var(--st-font); }
section[hidden] { display: none; }
ol { flex: 1 1 16rem; margin: 0; padding-left: 1.25rem; }
button { flex: none; padding: 0.35rem 0.9rem; border: 1px solid var(--st-border-color); border-radius: 6px;
  background: var(--st-background-color); color: var(--st-text-color); font: inherit; cursor: pointer; }
button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; }
"""

JS = """
const STORAGE_KEY = "trade-simulator first steps"

function isDismissed() {
  try { return window.localStorage.getItem(STORAGE_KEY) === "seen" } catch { return false }
}

export default function ({ parentElement }) {
  const steps = parentElement.querySelector("section")
  steps.hidden = isDismissed()
  parentElement.querySelector("button").onclick = () => {
    steps.hidden = true
    try { window.localStorage.setItem(STORAGE_KEY, "seen") } catch { /* they show again next time */ }
  }
}
"""


@cache
def _component() -> ComponentRenderer:
    return st.components.v2.component("first_steps", html=HTML, css=CSS, js=JS)


def welcome() -> None:
    """Draw three steps and a button that dismisses them for good; only the browser remembers that."""
    _component()(key="hint")
