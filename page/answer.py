"""The answer and its parts, several times a second."""

from __future__ import annotations

import time

import streamlit as st

from feeds import VENUES
from page.lifeline import NUMBERS, lifeline, live
from page.state import header, summary
from session import Session, Shown
from words import (
    HELP,
    STYLE_WORDS,
    as_text,
    bps,
    coins,
    connection_words,
    impact_words,
    money,
    price,
    size,
    slippage_words,
)

NUMBERS_S = 0.2


@live(NUMBERS_S, NUMBERS)
def numbers(session: Session) -> None:
    """The answer and its parts, several times a second."""
    began = time.perf_counter()
    lifeline(session, id(session))
    shown = session.latest
    header(session, shown)
    if shown is None:
        with st.container(border=True):
            st.markdown(f"**Waiting for the first prices.** {as_text(connection_words(session.status))}")
        return
    with st.container(key="answer"):
        answer(session, shown)
        facts(shown)
    summary(bps(shown.estimate.net_cost_bps))
    session.profiler.shown(shown.estimate.stamps.received_ns, (time.perf_counter() - began) * 1e3)
    estimate = shown.estimate
    st.html(
        f'<span id="tick" hidden data-ns="{estimate.market_ns}" data-quantity="{estimate.order.quantity}" '
        f'data-slippage="{estimate.slippage_bps}" data-net="{estimate.net_cost_bps}"></span>'
    )


def answer(session: Session, shown: Shown) -> None:
    """Net cost and the three parts it is the sum of."""
    estimate = shown.estimate
    scorecard = session.calculator.scorecard() if session.calculator else None
    if scorecard is None:
        return
    coin, currency = coins(VENUES[shown.book.venue].instrument(shown.book.symbol))
    notional = estimate.quantity * estimate.mid
    per_bps = notional / 1e4

    def cell(label: str, value: float | None, help_key: str, words: str) -> None:
        with st.container(border=True, height="stretch", key=f"cell {help_key}"):
            amount = None if value is None else value * per_bps
            st.metric(
                label, bps(value), money(amount, currency), delta_color="off", delta_arrow="off", help=HELP[help_key]
            )
            st.caption(words)

    net, slippage, fees, impact = st.columns([1.25, 1, 1, 1])
    with net:
        if estimate.net_cost_bps is None:
            words = "Part of it can't be known, so there is no total."
        else:
            style = STYLE_WORDS[estimate.order.style]
            words = f"{style}, on {money(notional, currency)} ({size(estimate.quantity, coin)})."
        cell("Net cost", estimate.net_cost_bps, "net", words.replace("$", r"\$"))
    with slippage:
        cell("Slippage", estimate.slippage_bps, "slippage", slippage_words(estimate, scorecard, coin))
    with fees:
        tier = estimate.order.tier
        cell(
            "Fees",
            estimate.fee_bps,
            "fees",
            f"{tier.name}: taker {tier.taker * 1e4:g} bps, maker {tier.maker * 1e4:g} bps.",
        )
    with impact:
        cell("Market impact", estimate.impact_bps, "impact", impact_words(estimate))


def facts(shown: Shown) -> None:
    """The smaller numbers, in one line."""
    book, estimate = shown.book, shown.estimate
    coin, _ = coins(VENUES[book.venue].instrument(book.symbol))
    deep_bids, deep_asks = book.bids[:, 1].sum(), book.asks[:, 1].sum()
    maker = estimate.maker_share
    # The book answers for its visible part and for this moment, whatever the style and the size.
    part = ", visible part" if estimate.unfilled else ", sent now"
    items = {
        f"Average price{part}": price(estimate.fill.vwap),
        f"Worst price{part}": price(estimate.fill.worst_price),
        "Levels used": f"{estimate.fill.levels} of {len(book.taken_by(estimate.order.side))}",
        "Maker / taker": f"{100 * maker:.0f} % / {100 * (1 - maker):.0f} %",
        "Depth, buyers": size(deep_bids, coin),
        "Depth, sellers": size(deep_asks, coin),
        "Risk while trading": f"± {bps(estimate.timing_risk_bps)}",
    }
    with st.container(horizontal=True, key="facts"):
        for label, value in items.items():
            st.markdown(f"{label}  \n**{value}**".replace("$", r"\$"), width="content")
