"""Which market is looked at, and whether its prices are alive: a badge, a line and a sentence."""

from __future__ import annotations

from typing import NamedTuple

from page.lifeline import paused
from session import Session, Shown
from words import STALE_S, VENUE_WORDS, live_words, moment_words, price, state_words


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
    waiting = session.player is not None and not session.player.playing and not session.ended
    status = session.status
    text = {
        "badge": words,
        "icon": icon,
        "sentence": "Press Play or Step to go on." if waiting else state_words(status, paused(), session.ended),
    }
    if shown is not None:
        book = shown.book
        text |= {
            "market": f"{VENUE_WORDS[book.venue]} · {book.symbol}",
            "mid": price(book.mid),
            "spread": f"{book.spread_bps:.3f} bps",
            "time": moment_words(book.market_ns),
        }
    return State(text, tone, fresh, "off" if status is None else status.state)


def _badge(session: Session) -> tuple[str, str, str, bool]:
    """Words, icon and colour, and whether the numbers are to be trusted."""
    status, market = session.status, session.market
    if market is None or status is None:
        return "Not connected", "power_off", "gray", False
    if paused():
        return "Paused", "pause_circle", "blue", True
    if session.ended:
        return "The recording has ended", "stop_circle", "gray", True
    if session.player is not None and not session.player.playing:
        return "Recording paused", "pause_circle", "blue", True
    if status.state == "live" and (status.age_s or 0.0) < STALE_S:
        return *live_words(market), True
    if status.state in ("live", "stale"):
        return f"Old: no new prices for {status.age_s or 0:.0f} s", "hourglass", "orange", False
    return status.state.capitalize(), "sync_problem", "orange", False
