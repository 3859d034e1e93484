"""Describe the market and the state of its prices: a badge, a line and a sentence."""

from __future__ import annotations

from typing import NamedTuple

from feeds import VENUES
from sessions.session import PricedBook, Session
from ui.fragments import is_paused
from ui.text.captions import order_words
from ui.text.formatting import format_price, format_time
from ui.text.status import live_words, reached_name, state_words
from ui.view_context import order_problem


class Badge(NamedTuple):
    """How the state of the prices looks.

    text: words by their slot of the page. tone: the badge's colour. is_fresh: whether the prices are to be trusted.
    """

    text: dict[str, str]
    tone: str
    is_fresh: bool


def status_badge(session: Session, priced: PricedBook | None) -> Badge:
    """Return the badge, the market's line if there is a book, and a sentence on what happens."""
    words, icon, tone, is_fresh = _badge_look(session)
    text = {"badge": words, "icon": icon, "sentence": _sentence(session)}
    if priced is not None:
        book = priced.book
        text |= {
            "market": f"{VENUES[book.venue].title} · {book.symbol}",
            "mid": format_price(book.mid),
            "spread": f"{book.spread_bps:.3f} bps",
            "time": format_time(book.market_ns),
        }
    return Badge(text, tone, is_fresh)


def _sentence(session: Session) -> str:
    """Say what happens, or why the page cannot show what was asked for."""
    if (problem := order_problem()) and session.market is not None:
        words = order_words(session.order, session.market.currency)
        return f"{problem} These are the numbers of another order: {words}."
    if session.player is not None and not session.player.playing and not session.ended:
        return "Press Play or Step to go on."
    return state_words(
        session.status, session.market, is_paused(), session.ended, None if session.is_fresh else session.age_s
    )


def _badge_look(session: Session) -> tuple[str, str, str, bool]:
    """Return the badge's words, icon and colour, and whether the prices are to be trusted."""
    status = session.status
    market = session.market
    if market is None or status is None:
        return "Not connected", "power_off", "gray", False
    if order_problem():
        return "Not your order", "warning", "orange", False
    if is_paused():
        return "Paused", "pause_circle", "blue", True
    if session.ended:
        return "The recording has ended", "stop_circle", "gray", True
    if session.player is not None and not session.player.playing:
        return "Recording paused", "pause_circle", "blue", True
    if session.is_fresh:
        return *live_words(market), True
    if status.state in ("live", "stale") and session.age_s is not None:
        return f"Old: no new prices for {session.age_s:.0f} s", "hourglass", "orange", False
    if status.state == "given up":
        return f"Can't reach {reached_name(market)}", "sync_problem", "orange", False
    return status.state.capitalize(), "sync_problem", "orange", False
