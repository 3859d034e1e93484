"""Which market is looked at, and whether its prices are alive: a badge, a line and a sentence."""

from __future__ import annotations

from typing import NamedTuple

from feeds import VENUES
from sessions.session import Session, Shown
from ui.fragments import paused
from ui.text.captions import order_words
from ui.text.formatting import moment_words, price
from ui.text.status import live_words, state_words
from ui.view_context import order_problem


class State(NamedTuple):
    """What a market's state looks like: words by their place, the badge's colour, whether the prices are to be
    trusted, and the state's name."""

    text: dict[str, str]
    tone: str
    fresh: bool
    name: str


def state(session: Session, shown: Shown | None) -> State:
    """The state of the prices as icon and word, the market, and a sentence on what goes on."""
    words, icon, tone, fresh = _badge(session)
    status = session.status
    text = {"badge": words, "icon": icon, "sentence": _sentence(session)}
    if shown is not None:
        book = shown.book
        text |= {
            "market": f"{VENUES[book.venue].title} · {book.symbol}",
            "mid": price(book.mid),
            "spread": f"{book.spread_bps:.3f} bps",
            "time": moment_words(book.market_ns),
        }
    return State(text, tone, fresh, "off" if status is None else status.state)


def _sentence(session: Session) -> str:
    """What goes on, or what is in the way of showing what was asked for."""
    if (problem := order_problem()) and session.market is not None:
        return f"These are still the numbers of another order: {order_words(session.order)}. {problem}"
    if session.player is not None and not session.player.playing and not session.ended:
        return "Press Play or Step to go on."
    return state_words(session.status, paused(), session.ended, None if session.is_fresh else session.age_s)


def _badge(session: Session) -> tuple[str, str, str, bool]:
    """Words, icon and colour, and whether the numbers are to be trusted."""
    status, market = session.status, session.market
    if market is None or status is None:
        return "Not connected", "power_off", "gray", False
    if order_problem():
        return "Not your order", "warning", "orange", False
    if paused():
        return "Paused", "pause_circle", "blue", True
    if session.ended:
        return "The recording has ended", "stop_circle", "gray", True
    if session.player is not None and not session.player.playing:
        return "Recording paused", "pause_circle", "blue", True
    if session.is_fresh:
        return *live_words(market), True
    if status.state in ("live", "stale") and session.age_s is not None:
        return f"Old: no new prices for {session.age_s:.0f} s", "hourglass", "orange", False
    return status.state.capitalize(), "sync_problem", "orange", False
