"""Show the answer as HTML that is drawn once; ui/estimate_component.js replaces only the words that change."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import streamlit as st

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

CELLS = {
    "net": "Net cost",
    "slippage": "Slippage",
    "fees": "Fees",
    "impact": "Market impact",
    "maker": "Maker / taker",
}
"""The labels of the five large numbers, by the prefix of their slots in `EstimateView.text`."""

N_FACTS = 8
SCRIPT = Path(__file__).parent / "estimate_component.js"


class BarPiece(NamedTuple):
    """One piece of the bar: kind is its CSS class; left and width are percent of the bar; shade is its colour."""

    kind: str
    left: float
    width: float
    shade: str
    name: str


class CostBar(NamedTuple):
    """The parts of the net cost end to end; no pieces if the total is unknown.

    net: where the mark of their sum stands, percent of the bar; None for no mark. words: for a screen reader.
    """

    pieces: tuple[BarPiece, ...]
    net: float | None
    words: str


class Probe(NamedTuple):
    """The shown numbers at full precision, as data attributes of the hidden #tick: for tests and measurements."""

    ns: str
    quantity: str
    slippage: str
    net: str


class EstimateView(NamedTuple):
    """All that the component shows, as ui/estimate_component.js receives it.

    text: words by their slot. has: which blocks are visible: "market", "answer", or "waits" while there are no
    prices. tone: the badge's colour. fresh: False greys the prices.
    """

    text: dict[str, str]
    has: dict[str, bool]
    tone: str
    fresh: bool
    bar: CostBar | None = None
    probe: Probe | None = None


def show_estimate(view: EstimateView) -> None:
    """Write the view into the page."""
    data = view._asdict()
    if view.bar is not None:
        data["bar"] = view.bar._asdict() | {"pieces": [piece._asdict() for piece in view.bar.pieces]}
    if view.probe is not None:
        data["probe"] = view.probe._asdict()
    _component()(data=data, key="answer")


def _slot(name: str, tag: str = "span") -> str:
    return f'<{tag} data-slot="{name}"></{tag}>'


def _explanation(name: str, subject: str) -> str:
    """Return the HTML of a question mark and of the explanation that it opens."""
    return (
        f'<button type="button" class="about" aria-label="About: {subject}" aria-describedby="about-{name}">?</button>'
        f'<span popover="manual" id="about-{name}" data-slot="{name} about"></span>'
    )


def _cell(name: str, label: str) -> str:
    return (
        f'<div class="cell {name}"><div class="label"><h2>{label}</h2>{_explanation(name, label)}</div>'
        f'<div class="number">{_slot(name, "b")} {_slot(f"{name} pill")}</div>'
        f"{_slot(f'{name} from', 'p')}{_slot(f'{name} score', 'p')}</div>"
    )


def _html() -> str:
    cells = "".join(_cell(name, label) for name, label in CELLS.items())
    facts = "".join(
        f"<div>{_slot(f'fact {number}')}{_slot(f'fact {number} value', 'b')}</div>" for number in range(N_FACTS)
    )
    return f"""
<div class="answer">
  <header>
    <h1>Trade Simulator</h1>
    <p class="badge" role="status"><i aria-hidden="true" data-slot="icon"></i>{_slot("badge")}</p>
    <p data-when="market">{_slot("market")} · mid {_slot("mid", "b")} · spread {_slot("spread", "b")} ·
      {_slot("time")}</p>
  </header>
  {_slot("sentence", "p")}
  <p class="waits" data-when="waits">{_slot("waiting", "b")} {_slot("connection")}</p>
  <div data-when="answer">
    <div class="cells">{cells}</div>
    <div class="stack" role="img"></div>
    <p class="advice">{_slot("advice")} {_explanation("advice", "what else could be done")}</p>
    <div class="facts">{facts}</div>
    <div class="summary" aria-hidden="true">Net cost {_slot("net", "b")}</div>
    <span id="tick" hidden></span>
  </div>
</div>
"""


@cache
def _component() -> ComponentRenderer:
    # Styles are not isolated, so that the page's own style sheet applies.
    return st.components.v2.component("answer", html=_html(), js=SCRIPT.read_text(), isolate_styles=False)
