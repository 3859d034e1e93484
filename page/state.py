"""Which market is looked at, and whether its prices are alive: a badge, a line and a sentence."""

from __future__ import annotations

import streamlit as st

from page.lifeline import paused
from session import Session, Shown
from words import STALE_S, VENUE_WORDS, live_words, moment_words, plain, price, state_words


def header(session: Session, shown: Shown | None) -> None:
    """The state of the prices as icon and word, the market, and a sentence on what goes on.

    The hidden #state says whether the numbers below are to be trusted; the style sheet greys those that are old.
    """
    status, market = session.status, session.market
    fresh = False
    with st.container(horizontal=True, vertical_alignment="center", key="header"):
        st.title("Trade Simulator", anchor=False, width="content")
        if market is None or status is None:
            st.badge("Not connected", icon=":material/power_off:", color="gray")
        elif paused():
            fresh = True
            st.badge("Paused", icon=":material/pause_circle:", color="blue")
        elif session.ended:
            fresh = True
            st.badge("The recording has ended", icon=":material/stop_circle:", color="gray")
        elif session.player is not None and not session.player.playing:
            fresh = True
            st.badge("Recording paused", icon=":material/pause_circle:", color="blue")
        elif status.state == "live" and (status.age_s or 0.0) < STALE_S:
            fresh = True
            words, icon, color = live_words(market)
            st.badge(words, icon=icon, color=color)
        elif status.state in ("live", "stale"):
            st.badge(f"Old: no new prices for {status.age_s or 0:.0f} s", icon=":material/hourglass:", color="orange")
        else:
            st.badge(status.state.capitalize(), icon=":material/sync_problem:", color="orange")
        if shown is not None and market is not None:
            book = shown.book
            st.markdown(
                f"{VENUE_WORDS[book.venue]} · {book.symbol} · mid **{price(book.mid)}** · spread "
                f"**{book.spread_bps:.3f} bps** · {moment_words(book.market_ns)}",
                width="content",
            )
    waiting = session.player is not None and not session.player.playing and not session.ended
    sentence = "Press Play or Step to go on." if waiting else state_words(status, paused(), session.ended)
    with st.container(horizontal=True, vertical_alignment="center", key="sentence"):
        st.caption(plain(sentence), width="content")
        if status is not None and status.state == "given up":
            st.button("Connect again", key="again", on_click=_again, args=(session,))
    name = "off" if status is None else status.state
    st.html(f'<span id="state" hidden data-state="{name}" data-fresh="{str(fresh).lower()}"></span>')


def _again(session: Session) -> None:
    session.release()
    session.resume()


def summary(net: str) -> None:
    """The answer in one line at the foot of a phone's screen, where the inputs fill the page; elsewhere unseen."""
    st.html(f'<div class="summary" aria-hidden="true">Net cost <b>{net}</b></div>')
