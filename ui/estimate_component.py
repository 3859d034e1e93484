"""The place where the answer stands: HTML drawn once, whose words ui/estimate_component.js replaces as they change."""

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
"""The five large numbers, by the word that their places in `View.text` begin with."""

FACTS = 8
SCRIPT = Path(__file__).parent / "estimate_component.js"


class Piece(NamedTuple):
    """A part of the bar: its class, where it begins and how wide it is in percent, its colour and its name."""

    kind: str
    left: float
    width: float
    shade: str
    name: str


class Bar(NamedTuple):
    """The parts end to end; net: where their sum is, in percent, None without a mark. No pieces: no total."""

    pieces: tuple[Piece, ...]
    net: float | None
    words: str


class Tick(NamedTuple):
    """What is shown, for who looks after the page: tests and probes."""

    ns: str
    quantity: str
    slippage: str
    net: str


class View(NamedTuple):
    """All that is written: words by their place; the colour of the badge; whether prices are fresh, or old and grey.

    has: whether there is a "market", an "answer", or only words that one "waits" for it.
    """

    text: dict[str, str]
    has: dict[str, bool]
    tone: str
    fresh: bool
    bar: Bar | None = None
    tick: Tick | None = None


def show(view: View) -> None:
    """Write it into the page."""
    data = view._asdict()
    if view.bar is not None:
        data["bar"] = view.bar._asdict() | {"pieces": [piece._asdict() for piece in view.bar.pieces]}
    if view.tick is not None:
        data["tick"] = view.tick._asdict()
    _component()(data=data, key="answer")


def _place(name: str, tag: str = "span") -> str:
    return f'<{tag} data-slot="{name}"></{tag}>'


def _about(name: str, what: str) -> str:
    """A question mark, and the explanation that it opens."""
    return (
        f'<button type="button" class="about" aria-label="About: {what}" aria-describedby="about-{name}">?</button>'
        f'<span popover="manual" id="about-{name}" data-slot="{name} about"></span>'
    )


def _cell(name: str, label: str) -> str:
    return (
        f'<div class="cell {name}"><div class="label"><h2>{label}</h2>{_about(name, label)}</div>'
        f'<div class="number">{_place(name, "b")} {_place(f"{name} pill")}</div>'
        f"{_place(f'{name} from', 'p')}{_place(f'{name} score', 'p')}</div>"
    )


def _html() -> str:
    cells = "".join(_cell(name, label) for name, label in CELLS.items())
    facts = "".join(
        f"<div>{_place(f'fact {number}')}{_place(f'fact {number} value', 'b')}</div>" for number in range(FACTS)
    )
    return f"""
<div class="answer">
  <header>
    <h1>Trade Simulator</h1>
    <p class="badge" role="status"><i aria-hidden="true" data-slot="icon"></i>{_place("badge")}</p>
    <p data-when="market">{_place("market")} · mid {_place("mid", "b")} · spread {_place("spread", "b")} ·
      {_place("time")}</p>
  </header>
  {_place("sentence", "p")}
  <p class="waits" data-when="waits">{_place("waiting", "b")} {_place("connection")}</p>
  <div data-when="answer">
    <div class="cells">{cells}</div>
    <div class="stack" role="img"></div>
    <p class="advice">{_place("advice")} {_about("advice", "what else could be done")}</p>
    <div class="facts">{facts}</div>
    <div class="summary" aria-hidden="true">Net cost {_place("net", "b")}</div>
    <span id="tick" hidden></span>
  </div>
</div>
"""


@cache
def _component() -> ComponentRenderer:
    # Without a style sheet of its own, so that the page's holds for it.
    return st.components.v2.component("answer", html=_html(), js=SCRIPT.read_text(), isolate_styles=False)
