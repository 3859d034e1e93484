"""The answer and its parts, and the line of its last minutes that ends at it, several times a second."""

from __future__ import annotations

import time

import streamlit as st

from feeds import VENUES
from sessions.session import Session, Shown
from ui.charts.base import PALETTES
from ui.charts.cost import cost_stack, part_colours
from ui.estimate_component import Bar, Piece, Tick, View, show
from ui.fragments import NUMBERS, live
from ui.live_charts import trail
from ui.status_badge import State, state
from ui.tab_lifecycle import keep_pace, lifeline
from ui.text.advice import advice, alternatives
from ui.text.captions import (
    impact_caption,
    impact_words,
    maker_caption,
    maker_words,
    net_caption,
    slippage_caption,
    slippage_words,
)
from ui.text.formatting import bps, coins, money, price, size
from ui.text.status import connection_words
from ui.text.vocabulary import BAND_WORDS, HELP
from ui.view_context import current

NUMBERS_S = 0.2
NAMED_PERCENT = 9.0
"""Pieces of the bar shorter than this part of it have no room for their name."""


@live(NUMBERS_S, NUMBERS)
def numbers(session: Session) -> None:
    """The answer and its parts, several times a second."""
    lifeline(session, id(session))
    keep_pace()
    if st.session_state.get("drawn") == session.order:  # a new order is not kept waiting
        session.await_due()
    st.session_state.drawn = session.order
    began = time.perf_counter()
    shown = current(session)
    now = state(session, shown)
    show(waiting(session, now) if shown is None else answer(session, now, shown))
    if now.name == "given up":
        st.button("Connect again", key="again", on_click=_again, args=(session,))
    if shown is not None:
        trail(session, shown.estimate)
        session.profiler.shown(shown.estimate.stamps.received_ns, (time.perf_counter() - began) * 1e3)


def _again(session: Session) -> None:
    session.release()
    session.resume()


def waiting(session: Session, now: State) -> View:
    """Why there are no prices yet."""
    words = "Waiting for the first prices."
    if session.ended:
        words = "This recording brought no prices."
    elif session.player is not None and not session.player.playing:
        words = "Paused before the first prices: press Play."
    text = now.text | {"waiting": words, "connection": connection_words(session.status)}
    has = {"market": False, "answer": False, "waits": True}
    return View(text, has, now.tone, now.fresh)


def answer(session: Session, now: State, shown: Shown) -> View:
    """Net cost, the parts it is the sum of, what would be filled as maker, and what else could be done."""
    estimate, calculator = shown.estimate, session.calculator
    scorecard = calculator.scorecard() if calculator else None
    if calculator is None or scorecard is None:
        return waiting(session, now)
    moments = calculator.resolved_samples
    coin, currency = coins(VENUES[shown.book.venue].instrument(shown.book.symbol))
    ways = {each.order.style: each for each in calculator.what_if(alternatives(estimate.order))}
    if not ways:
        return waiting(session, now)
    ways[estimate.order.style] = estimate
    per_bps, order = estimate.quantity * estimate.mid / 1e4, estimate.order
    share, chance = estimate.maker_share, 100 * estimate.maker_probability
    high = f"up to {100 * estimate.maker_probability_high:.0f} %"
    captions = {
        "net": net_caption(estimate, ways["now"], moments, scorecard.samples),
        "slippage": slippage_caption(estimate, scorecard, moments),
        "fees": (order.tier.name, f"Taker {order.tier.taker * 1e4:g}, maker {order.tier.maker * 1e4:g} bps"),
        "impact": impact_caption(estimate),
        "maker": maker_caption(estimate, scorecard),
    }
    about = {
        "net": BAND_WORDS[order.style],
        "slippage": slippage_words(estimate, scorecard, coin),
        "fees": "",
        "impact": impact_words(estimate),
        "maker": maker_words(estimate, scorecard),
    }
    text = now.text | {
        "advice": advice(ways["now"], ways["passive"], ways["schedule"], coin, currency),
        "advice about": HELP["advice"],
        "maker": f"{100 * share:.0f} / {100 * (1 - share):.0f} %",
        "maker pill": high if order.style == "passive" else f"{chance:.0f} % if you waited",
    }
    for name, (source, score) in captions.items():
        text |= {f"{name} from": source, f"{name} score": score, f"{name} about": f"{HELP[name]} {about[name]}"}
    costs = {
        "net": estimate.net_cost_bps,
        "slippage": estimate.slippage_bps,
        "fees": estimate.fee_bps,
        "impact": estimate.impact_bps,
    }
    for name, cost in costs.items():
        text |= {name: bps(cost), f"{name} pill": "too thin" if cost is None else money(cost * per_bps, currency)}
    for number, (label, value) in enumerate(facts(shown).items()):
        text |= {f"fact {number}": label, f"fact {number} value": value}
    has = {"market": True, "answer": True, "waits": False}
    return View(text, has, now.tone, now.fresh, bar(shown), tick(shown))


def bar(shown: Shown) -> Bar:
    """The parts of the net cost end to end: gains hatched, and a mark where their sum is."""
    parts = cost_stack(shown.estimate)
    if not parts:
        return Bar((), None, "No total: a part is unknown")
    low, highest = min(part.start_bps for part in parts), max(part.end_bps for part in parts)
    scale = 100 / max(highest - low, 1e-12)
    shades = part_colours(PALETTES["dark"])
    pieces = []
    for part in parts:
        if part.bps:
            start, width = scale * (part.start_bps - low), scale * (part.end_bps - part.start_bps)
            name = f"{part.name} {part.bps:,.2f}" if width > NAMED_PERCENT else ""
            kind = "gain" if part.bps < 0 else "cost"
            pieces.append(Piece(kind, round(start, 3), round(width, 3), shades[part.name], name))
    net = scale * ((shown.estimate.net_cost_bps or 0.0) - low)
    words = ", ".join(f"{part.name} {bps(part.bps)}" for part in parts)
    return Bar(tuple(pieces), round(net, 3) if low < 0 else None, words)


def tick(shown: Shown) -> Tick:
    """What is shown, as texts: a browser's numbers have no room for nanoseconds."""
    estimate = shown.estimate
    return Tick(
        str(estimate.market_ns), str(estimate.order.quantity), str(estimate.slippage_bps), str(estimate.net_cost_bps)
    )


def facts(shown: Shown) -> dict[str, str]:
    """The smaller numbers by their label."""
    book, estimate = shown.book, shown.estimate
    coin, currency = coins(VENUES[book.venue].instrument(book.symbol))
    deep_bids, deep_asks = book.bids[:, 1].sum(), book.asks[:, 1].sum()
    # The book answers for its visible part and for this moment, whatever the style and the size.
    part = "visible part" if estimate.unfilled else "sent now"
    return {
        "Order size": size(estimate.quantity, coin),
        "Order value": money(estimate.quantity * estimate.mid, currency),
        f"Average, {part}": price(estimate.fill.vwap),
        f"Worst, {part}": price(estimate.fill.worst_price),
        "Levels used": f"{estimate.fill.levels} of {len(book.taken_by(estimate.order.side))}",
        "Buyers hold": size(deep_bids, coin),
        "Sellers hold": size(deep_asks, coin),
        "Risk while trading": f"± {bps(estimate.timing_risk_bps)}",
    }
