"""The buttons and the timeline of a recording, above the numbers."""

from __future__ import annotations

from datetime import datetime, timedelta

import streamlit as st

from feeds import VENUES
from recording.player import Player
from recording.scanner import Overview
from sessions.session import Session
from ui.charts.base import Theme
from ui.charts.timeline import timeline_chart
from ui.fragments import part
from ui.input_guards import give, once, put_back
from ui.tab_lifecycle import lifeline
from ui.text.formatting import moment_words, plain

POSITION_S = 0.5
SPEED_WORDS = {
    0.5: "0.5x",
    1.0: "1x",
    2.0: "2x",
    5.0: "5x",
    10.0: "10x",
    50.0: "50x",
    0.0: "As fast as it goes",
}
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a slider shows a time without a zone as it is, and this is UTC
LATEST_NS = 2**62
"""2116: what a clock says beyond it is no time to go to, and far beyond it none that a slider can show."""
SHORTEST_NS = 200_000_000
STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800)


def player(session: Session) -> None:
    """What a recording is played with; nothing for any other market."""
    if session.player is None:
        return
    with st.container(border=True, key="player"):
        controls(session)
        position(session)


@part("controls")
def controls(session: Session) -> None:
    """The buttons and the slider, drawn again only when one is used or the recording's state changes."""
    played = session.player
    if played is None:
        return
    st.session_state["controls drawn"] = state(played)
    with st.container(horizontal=True, vertical_alignment="bottom", key="buttons"):
        # One button, so that none is left behind where another is drawn.
        if played.playing and not played.ended:
            words, icon, act = "Pause", ":material/pause:", played.pause
        else:
            words, icon, act = "Play again" if played.ended else "Play", ":material/play_arrow:", played.play
        st.button(words, icon=icon, key="play", on_click=once(act))
        st.button(
            "Step",
            icon=":material/skip_next:",
            key="step",
            on_click=once(played.step),
            disabled=played.ended,
            help="On to the next order book, and wait there.",
        )
        speed = st.selectbox(
            "Speed",
            list(SPEED_WORDS),
            index=1,
            format_func=SPEED_WORDS.__getitem__,
            key="speed",
            label_visibility="collapsed",
            width=170,
        )
        if played.speed != speed:
            played.speed = speed
        jump_slider(played)


def jump_slider(played: Player) -> None:
    """Where to jump to, by mouse or by keys; a sentence where that can't be known."""
    overview = played.survey.overview
    if not overview.done:
        return
    span = overview.span
    if span is None or span[1] - span[0] < SHORTEST_NS or span[1] > LATEST_NS:
        st.caption("There are no times in it to jump to.")
        return
    begin, end = (_time(market_ns) for market_ns in span)
    step_s = next((step for step in STEPS_S if (end - begin).total_seconds() / step <= 400), 3600)
    style = "MM-DD HH:mm" if end - begin > timedelta(days=1) else "HH:mm:ss" if step_s >= 1 else "HH:mm:ss.S"
    key = f"jump {id(played)}"
    place = min(max(_time(played.seek_target or played.position or span[0]), begin), end)
    if st.session_state.get(key) != place:
        give(**{key: place})

    def jump() -> None:
        if not put_back(key):
            chosen: datetime = st.session_state[key]
            played.seek((chosen - EPOCH) // timedelta(microseconds=1) * 1000)

    st.slider(
        "Jump to (UTC)",
        begin,
        end,
        step=timedelta(seconds=step_s),
        format=style,
        key=key,
        on_change=jump,
        help="Going back in time makes the models learn anew from there.",
    )


def _time(market_ns: int) -> datetime:
    return EPOCH + timedelta(microseconds=market_ns // 1000)


def state(played: Player) -> tuple[int, bool, bool, bool]:
    """What the buttons depend on."""
    return id(played), played.playing, played.ended, played.survey.overview.done


@part("position", POSITION_S)
def position(session: Session) -> None:
    """Where the recording is played, in words and on its timeline."""
    lifeline(session, id(session))
    played, market = session.player, session.market
    if played is None or market is None:
        return
    if state(played) != st.session_state.get("controls drawn"):
        st.rerun()
    overview = played.survey.overview
    if overview.error:
        st.error(f"This recording is broken, and plays only up to there: {plain(overview.error)}")
    elif overview.done and not overview.books:
        st.error(
            f"There is no order book of {VENUES[market.venue].title} {plain(market.symbol)} in this recording. "
            "Choose the exchange and the symbol that it was made of."
        )
    if overview.span is not None and overview.curve:
        theme: Theme = "light" if st.context.theme.type == "light" else "dark"
        st.echarts_chart(
            timeline_chart(overview.curve, overview.span, played.position, theme),
            key="timeline",
            height=64,
            alt="The mid price over the whole recording, with a mark where it is played",
        )
    st.caption(position_words(played, overview))


def position_words(played: Player, overview: Overview) -> str:
    """Where it is, how much there is, and what is to be known of it.

    The state of a jump, of the survey and of a file that was cut off are told only while they matter.
    """
    words = []
    if played.seek_target:
        words.append(f"Going to {moment_words(played.seek_target)}.")
    elif played.position is not None:
        words.append(f"At {moment_words(played.position)}.")
    if not overview.done:
        words.append(f"Reading the recording: {100 * overview.share:.0f} %.")
    elif overview.span is not None:
        minutes, seconds = divmod((overview.span[1] - overview.span[0]) / 1e9, 60)
        words.append(f"{overview.frames:,} frames in {minutes:.0f} min {seconds:.0f} s.")
    if played.went_back:
        words.append("It went back in time, so the models learn anew.")
    if overview.note:
        words.append(f"The file was {overview.note}; all before that plays.")
    return " ".join(words)
