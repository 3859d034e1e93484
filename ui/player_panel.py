"""Draw the playback controls and the timeline of a recording, above the numbers."""

from __future__ import annotations

from datetime import datetime, timedelta

import streamlit as st

from feeds import VENUES
from recording.player import Player
from recording.scanner import Overview
from sessions.session import Session
from ui.charts.timeline import timeline_chart
from ui.fragments import isolated_fragment
from ui.input_guards import restore_if_stale, run_once, set_widgets
from ui.tab_lifecycle import bind_to_tab
from ui.text.formatting import format_time, plain
from ui.view_context import current_theme

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
MAX_SEEK_NS = 2**62
"""The year 2116: later times come from a broken clock, and times far beyond it do not fit a slider."""
MIN_SPAN_NS = 200_000_000
"""A shorter recording has no slider."""
SLIDER_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800)
LONGEST_SLIDER_STEP_S = 3600
MAX_SLIDER_STEPS = 400


def player_panel(session: Session) -> None:
    """Draw the controls and the position of a recording; nothing for any other market."""
    if session.player is None:
        return
    with st.container(border=True, key="player"):
        controls(session)
        position_view(session)


@isolated_fragment("controls")
def controls(session: Session) -> None:
    """Draw the buttons and the slider, again only when one is used or the playback changes what they depend on."""
    player = session.player
    if player is None:
        return
    st.session_state["controls drawn"] = _controls_state(player)
    with st.container(horizontal=True, vertical_alignment="bottom", key="buttons"):
        # One button for both, so that no stale button is left behind when the other one is drawn.
        if player.playing and not player.ended:
            label, icon, action = "Pause", ":material/pause:", player.pause
        else:
            label, icon, action = "Play again" if player.ended else "Play", ":material/play_arrow:", player.play
        st.button(label, icon=icon, key="play", on_click=run_once(action))
        st.button(
            "Step",
            icon=":material/skip_next:",
            key="step",
            on_click=run_once(player.step),
            disabled=player.ended,
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
        if player.speed != speed:
            player.speed = speed
        seek_slider(player)


def seek_slider(player: Player) -> None:
    """Draw the slider that jumps to a time; a sentence instead if the recording has no usable times."""
    overview = player.survey.overview
    if not overview.done:
        return
    span = overview.span
    if span is None or span[1] - span[0] < MIN_SPAN_NS or span[1] > MAX_SEEK_NS:
        st.caption("This recording has no times to jump to.")
        return
    begin, end = (_to_datetime(market_ns) for market_ns in span)
    length_s = (end - begin).total_seconds()
    step_s = next((step_s for step_s in SLIDER_STEPS_S if length_s / step_s <= MAX_SLIDER_STEPS), LONGEST_SLIDER_STEP_S)
    time_format = "MM-DD HH:mm" if end - begin > timedelta(days=1) else "HH:mm:ss" if step_s >= 1 else "HH:mm:ss.S"
    key = f"jump {id(player)}"
    place = min(max(_to_datetime(player.seek_target or player.position or span[0]), begin), end)
    if st.session_state.get(key) != place:
        set_widgets(**{key: place})

    def seek() -> None:
        if not restore_if_stale(key):
            chosen: datetime = st.session_state[key]
            player.seek((chosen - EPOCH) // timedelta(microseconds=1) * 1000)

    st.slider(
        "Jump to (UTC)",
        begin,
        end,
        step=timedelta(seconds=step_s),
        format=time_format,
        key=key,
        on_change=seek,
        help="Going back in time makes the models learn anew from there.",
    )


def _to_datetime(market_ns: int) -> datetime:
    return EPOCH + timedelta(microseconds=market_ns // 1000)


def _controls_state(player: Player) -> tuple[int, bool, bool, bool]:
    """Return all that the controls depend on; they are drawn again when it changes."""
    return id(player), player.playing, player.ended, player.survey.overview.done


@isolated_fragment("position", POSITION_S)
def position_view(session: Session) -> None:
    """Draw the position in the recording, in words and on its timeline."""
    bind_to_tab(session, id(session))
    player = session.player
    market = session.market
    if player is None or market is None:
        return
    if _controls_state(player) != st.session_state.get("controls drawn"):
        st.rerun()
    overview = player.survey.overview
    if overview.error:
        st.error(f"This recording is broken, and plays only up to there: {plain(overview.error)}")
    elif overview.done and not overview.books:
        st.error(
            f"There is no order book of {VENUES[market.venue].title} {plain(market.symbol)} in this recording. "
            "Choose the exchange and the symbol that it was made of."
        )
    if overview.span is not None and overview.curve:
        st.echarts_chart(
            timeline_chart(overview.curve, overview.span, player.position, current_theme()),
            key="timeline",
            height=64,
            alt="The mid price over the whole recording, with a mark where it is played",
        )
    st.caption(position_words(player, overview))


def position_words(player: Player, overview: Overview) -> str:
    """Describe the position and the length of the recording.

    A jump, the reading of the file and a cut-off end are mentioned only while they matter.
    """
    words = []
    if player.seek_target:
        words.append(f"Going to {format_time(player.seek_target)}.")
    elif player.position is not None:
        words.append(f"At {format_time(player.position)}.")
    if not overview.done:
        words.append(f"Reading the recording: {100 * overview.share:.0f} %.")
    elif overview.span is not None:
        minutes, seconds = divmod((overview.span[1] - overview.span[0]) / 1e9, 60)
        words.append(f"{overview.frames:,} frames in {minutes:.0f} min {seconds:.0f} s.")
    if player.rewound:
        words.append("It went back in time, so the models learn anew.")
    if overview.note:
        words.append(f"The file was {overview.note}; all before that plays.")
    return " ".join(words)
