"""Draw the net cost and its parts, and the line of the last minutes that ends at it, several times a second."""

from __future__ import annotations

import time

import streamlit as st

from feeds import VENUES
from sessions.session import PricedBook, Session
from ui.charts.base import PALETTES
from ui.charts.cost import component_colours, stack_components
from ui.estimate_component import BarPiece, CostBar, EstimateView, Probe, show_estimate
from ui.fragments import NUMBERS, auto_refresh
from ui.live_charts import draw_cost_history
from ui.status_badge import Badge, status_badge
from ui.tab_lifecycle import bind_to_tab, rerun_if_slowdown_changed
from ui.text.advice import advice, alternative_orders
from ui.text.captions import (
    impact_caption,
    impact_words,
    maker_caption,
    maker_words,
    net_caption,
    slippage_caption,
    slippage_words,
)
from ui.text.formatting import format_bps, format_money, format_price, format_size, split_instrument
from ui.text.status import connection_words
from ui.text.vocabulary import BAND_WORDS, HELP
from ui.toolbar import rerun_if_connection_changed
from ui.view_context import price_current_order

NUMBERS_S = 0.2
MIN_NAMED_PERCENT = 9.0
"""Pieces of the bar shorter than this percentage of it have no room for their name."""


@auto_refresh(NUMBERS_S, NUMBERS)
def estimate_panel(session: Session) -> None:
    """Draw the net cost and its parts, or why there are no prices yet."""
    bind_to_tab(session, id(session))
    rerun_if_slowdown_changed()
    rerun_if_connection_changed(session)
    if st.session_state.get("drawn") == session.order:  # a changed order is drawn at once, on the last book
        session.wait_for_due_book()
    st.session_state.drawn = session.order
    began_s = time.perf_counter()
    priced = price_current_order(session)
    badge = status_badge(session, priced)
    show_estimate(waiting_view(session, badge) if priced is None else estimate_view(session, badge, priced))
    if priced is not None:
        draw_cost_history(session, priced.estimate)
        drawing_ms = (time.perf_counter() - began_s) * 1e3
        session.profiler.shown(priced.estimate.stamps.received_ns, drawing_ms)


def waiting_view(session: Session, badge: Badge) -> EstimateView:
    """Return the view that says why there are no prices yet."""
    words = "Waiting for the first prices."
    if session.ended:
        words = "This recording brought no prices."
    elif session.player is not None and not session.player.playing:
        words = "Paused before the first prices: press Play."
    text = badge.text | {"waiting": words, "connection": connection_words(session.status, session.market)}
    has = {"market": False, "answer": False, "waits": True}
    return EstimateView(text, has, badge.tone, badge.is_fresh)


def estimate_view(session: Session, badge: Badge, priced: PricedBook) -> EstimateView:
    """Return the view of the net cost, its parts, the maker share, the advice and the smaller numbers."""
    estimate = priced.estimate
    order = estimate.order
    calculator = session.calculator
    scorecard = calculator.scorecard() if calculator else None
    if calculator is None or scorecard is None:
        return waiting_view(session, badge)
    n_resolved = calculator.resolved_samples
    coin, currency = split_instrument(VENUES[priced.book.venue].instrument(priced.book.symbol))
    by_style = {alternative.order.style: alternative for alternative in calculator.what_if(alternative_orders(order))}
    if not by_style:
        return waiting_view(session, badge)
    # The shown estimate itself: what_if may already be on a newer book.
    by_style[order.style] = estimate
    quote_per_bps = estimate.quantity * estimate.mid / 1e4
    maker_share = estimate.maker_share
    if order.style == "passive":
        maker_pill = f"up to {100 * estimate.maker_probability_high:.0f} %"
    else:
        maker_pill = f"{100 * estimate.maker_probability:.0f} % if you waited"
    captions = {
        "net": net_caption(estimate, by_style["now"], n_resolved, scorecard.samples),
        "slippage": slippage_caption(estimate, scorecard, n_resolved),
        "fees": (order.tier.name, f"Taker {order.tier.taker * 1e4:g}, maker {order.tier.maker * 1e4:g} bps"),
        "impact": impact_caption(estimate),
        "maker": maker_caption(estimate, scorecard),
    }
    explanations = {
        "net": BAND_WORDS[order.style],
        "slippage": slippage_words(estimate, scorecard, coin),
        "fees": "",
        "impact": impact_words(estimate),
        "maker": maker_words(estimate, scorecard),
    }
    text = badge.text | {
        "advice": advice(by_style["now"], by_style["passive"], by_style["schedule"], coin, currency),
        "advice about": HELP["advice"],
        "maker": f"{100 * maker_share:.0f} / {100 * (1 - maker_share):.0f} %",
        "maker pill": maker_pill,
    }
    for name, (source, score) in captions.items():
        text |= {f"{name} from": source, f"{name} score": score, f"{name} about": f"{HELP[name]} {explanations[name]}"}
    costs_bps = {
        "net": estimate.net_cost_bps,
        "slippage": estimate.slippage_bps,
        "fees": estimate.fee_bps,
        "impact": estimate.impact_bps,
    }
    for name, cost_bps in costs_bps.items():
        pill = "too thin" if cost_bps is None else format_money(cost_bps * quote_per_bps, currency)
        text |= {name: format_bps(cost_bps), f"{name} pill": pill}
    for number, (label, value) in enumerate(estimate_facts(priced).items()):
        text |= {f"fact {number}": label, f"fact {number} value": value}
    has = {"market": True, "answer": True, "waits": False}
    return EstimateView(text, has, badge.tone, badge.is_fresh, cost_bar(priced), estimate_probe(priced))


def cost_bar(priced: PricedBook) -> CostBar:
    """Return the parts of the net cost end to end, gains hatched, and a mark where their sum is."""
    segments = stack_components(priced.estimate)
    if not segments:
        return CostBar((), None, "No total: a part is unknown")
    low_bps = min(segment.start_bps for segment in segments)
    high_bps = max(segment.end_bps for segment in segments)
    percent_per_bps = 100 / max(high_bps - low_bps, 1e-12)
    shades = component_colours(PALETTES["dark"])
    pieces = []
    for segment in segments:
        if segment.bps:
            left = percent_per_bps * (segment.start_bps - low_bps)
            width = percent_per_bps * (segment.end_bps - segment.start_bps)
            name = f"{segment.name} {segment.bps:,.2f}" if width > MIN_NAMED_PERCENT else ""
            kind = "gain" if segment.bps < 0 else "cost"
            pieces.append(BarPiece(kind, round(left, 3), round(width, 3), shades[segment.name], name))
    net = percent_per_bps * ((priced.estimate.net_cost_bps or 0.0) - low_bps)
    words = ", ".join(f"{segment.name} {format_bps(segment.bps)}" for segment in segments)
    return CostBar(tuple(pieces), round(net, 3) if low_bps < 0 else None, words)


def estimate_probe(priced: PricedBook) -> Probe:
    """Return the shown numbers as texts, because a browser's numbers cannot hold nanoseconds exactly."""
    estimate = priced.estimate
    return Probe(
        ns=str(estimate.market_ns),
        quantity=str(estimate.order.quantity),
        slippage=str(estimate.slippage_bps),
        net=str(estimate.net_cost_bps),
    )


def estimate_facts(priced: PricedBook) -> dict[str, str]:
    """Return the smaller numbers by their label."""
    book = priced.book
    estimate = priced.estimate
    coin, currency = split_instrument(VENUES[book.venue].instrument(book.symbol))
    # The book says only what its visible part costs now, whatever the order's style and size.
    average, last = ("Average, visible part", "Last price paid, visible part")
    if not estimate.unfilled:
        average, last = ("Average, sent now", "Last price paid if sent now")
    return {
        "Order size": format_size(estimate.quantity, coin),
        "Order value": format_money(estimate.quantity * estimate.mid, currency),
        average: format_price(estimate.fill.vwap),
        last: format_price(estimate.fill.worst_price),
        "Levels used": f"{estimate.fill.levels} of {len(book.taken_by(estimate.order.side))}",
        "Visible bids": format_size(book.bids[:, 1].sum(), coin),
        "Visible asks": format_size(book.asks[:, 1].sum(), coin),
        "Risk while trading": f"± {format_bps(estimate.timing_risk_bps)}",
    }
