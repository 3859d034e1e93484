"""The answer and its parts, several times a second."""

from __future__ import annotations

import time
from html import escape

import streamlit as st

from advice import advice, alternatives
from charts import PALETTES
from charts_cost import cost_stack, part_colours
from feeds import VENUES
from page.drawing import current
from page.lifeline import NUMBERS, keep_pace, lifeline, live
from page.state import header, summary
from provenance import (
    Caption,
    impact_caption,
    impact_words,
    maker_caption,
    maker_words,
    net_caption,
    slippage_caption,
    slippage_words,
)
from session import Session, Shown
from words import HELP, bps, coins, connection_words, money, plain, price, size

NUMBERS_S = 0.2
NAMED_PERCENT = 9.0
"""Pieces of the bar shorter than this part of it have no room for their name."""


@live(NUMBERS_S, NUMBERS)
def numbers(session: Session) -> None:
    """The answer and its parts, several times a second."""
    began = time.perf_counter()
    lifeline(session, id(session))
    keep_pace()
    shown = current(session)
    header(session, shown)
    if shown is None:
        with st.container(border=True):
            st.markdown(f"**{waiting_words(session)}** {plain(connection_words(session.status))}")
        return
    with st.container(key="answer"):
        hero(session, shown)
        st.html(facts(shown) + tick(shown))
    summary(bps(shown.estimate.net_cost_bps))
    session.profiler.shown(shown.estimate.stamps.received_ns, (time.perf_counter() - began) * 1e3)


def waiting_words(session: Session) -> str:
    """Why there are no prices yet."""
    if session.ended:
        return "This recording brought no prices."
    if session.player is not None and not session.player.playing:
        return "Paused before the first prices: press Play."
    return "Waiting for the first prices."


def hero(session: Session, shown: Shown) -> None:
    """Net cost, the parts it is the sum of, what would be filled as maker, and what else could be done."""
    estimate, calculator = shown.estimate, session.calculator
    scorecard = calculator.scorecard() if calculator else None
    if calculator is None or scorecard is None:
        return
    moments = calculator.moments
    coin, currency = coins(VENUES[shown.book.venue].instrument(shown.book.symbol))
    per_bps = estimate.quantity * estimate.mid / 1e4
    # All is computed before the first cell is drawn, so that the browser gets one book's numbers together.
    ways = {each.order.style: each for each in calculator.what_if(alternatives(estimate.order))}
    if not ways:
        return
    ways[estimate.order.style] = estimate
    sentence = advice(ways["now"], ways["passive"], ways["schedule"], coin, currency)
    bar = stack_bar(shown)

    def cell(key: str, label: str, value: str, pill: str, caption: Caption, words: str) -> None:
        explained = f"{HELP[key]} {words}".replace("$", r"\$")
        with st.container(border=True, height="stretch", key=f"cell {key}"):
            st.metric(label, value, pill, delta_color="off", delta_arrow="off", help=explained)
            st.caption("  \n".join(caption).replace("$", r"\$"))

    def cost(key: str, label: str, value: float | None, caption: Caption, words: str) -> None:
        pill = "too thin" if value is None else money(value * per_bps, currency)
        cell(key, label, bps(value), pill, caption, words)

    with st.container(key="hero"):
        net, slippage, fees, impact, maker = st.columns([1.5, 1, 1, 1, 1])
        with net:
            caption = net_caption(estimate, moments, scorecard.samples)
            cost("net", "Net cost", estimate.net_cost_bps, caption, HELP["band"])
        with slippage:
            words = slippage_words(estimate, scorecard, coin)
            cost("slippage", "Slippage", estimate.slippage_bps, slippage_caption(estimate, scorecard, moments), words)
        with fees:
            tier = estimate.order.tier
            caption = tier.name, f"Taker {tier.taker * 1e4:g}, maker {tier.maker * 1e4:g} bps"
            cost("fees", "Fees", estimate.fee_bps, caption, "")
        with impact:
            cost("impact", "Market impact", estimate.impact_bps, impact_caption(estimate), impact_words(estimate))
        with maker:
            share = estimate.maker_share
            pill = f"{100 * estimate.maker_probability:.0f} % if you waited"
            if estimate.order.style == "passive":
                pill = f"up to {100 * estimate.maker_probability_high:.0f} %"
            value = f"{100 * share:.0f} / {100 * (1 - share):.0f} %"
            caption, words = maker_caption(estimate, scorecard), maker_words(estimate, scorecard)
            cell("maker", "Maker / taker", value, pill, caption, words)
        st.html(bar)
    with st.container(key="advice"):
        st.markdown(sentence.replace("$", r"\$"), help=HELP["advice"])


def stack_bar(shown: Shown) -> str:
    """The parts of the net cost end to end, as HTML: gains hatched, and a mark where their sum is."""
    parts = cost_stack(shown.estimate)
    if not parts:
        return '<div class="stack unknown" role="img" aria-label="No total: a part is unknown"></div>'
    low, high = min(part.start_bps for part in parts), max(part.end_bps for part in parts)
    scale = 100 / max(high - low, 1e-12)
    shades = part_colours(PALETTES["dark"])
    pieces = ""
    for part in parts:
        start, width = scale * (part.start_bps - low), scale * (part.end_bps - part.start_bps)
        name = f"{part.name} {part.bps:,.2f}" if width > NAMED_PERCENT else ""
        if part.bps:
            pieces += (
                f'<span class="{"gain" if part.bps < 0 else "cost"}" style="left:{start:.3f}%;width:{width:.3f}%;'
                f'background-color:{shades[part.name]}">{name}</span>'
            )
    words = escape(", ".join(f"{part.name} {bps(part.bps)}" for part in parts))
    net = shown.estimate.net_cost_bps or 0.0
    mark = f'<b style="left:calc({scale * (net - low):.3f}% - 1px)"></b>' if low < 0 else ""
    return f'<div class="stack" role="img" aria-label="{words}">{pieces}{mark}</div>'


def tick(shown: Shown) -> str:
    """What is shown, hidden in the page for who looks after it: tests and probes."""
    estimate = shown.estimate
    return (
        f'<span id="tick" hidden data-ns="{estimate.market_ns}" data-quantity="{estimate.order.quantity}" '
        f'data-slippage="{estimate.slippage_bps}" data-net="{estimate.net_cost_bps}"></span>'
    )


def facts(shown: Shown) -> str:
    """The smaller numbers as HTML, in one line of places that never move."""
    book, estimate = shown.book, shown.estimate
    coin, currency = coins(VENUES[book.venue].instrument(book.symbol))
    deep_bids, deep_asks = book.bids[:, 1].sum(), book.asks[:, 1].sum()
    # The book answers for its visible part and for this moment, whatever the style and the size.
    part = "visible part" if estimate.unfilled else "sent now"
    items = {
        "Order size": size(estimate.quantity, coin),
        "Order value": money(estimate.quantity * estimate.mid, currency),
        f"Average, {part}": price(estimate.fill.vwap),
        f"Worst, {part}": price(estimate.fill.worst_price),
        "Levels used": f"{estimate.fill.levels} of {len(book.taken_by(estimate.order.side))}",
        "Buyers hold": size(deep_bids, coin),
        "Sellers hold": size(deep_asks, coin),
        "Risk while trading": f"± {bps(estimate.timing_risk_bps)}",
    }
    places = "".join(f"<div><span>{escape(label)}</span><b>{escape(value)}</b></div>" for label, value in items.items())
    return f'<div class="facts">{places}</div>'
