"""What the order would have cost at every moment of a recording, worked out while the page lives on."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import streamlit as st

from backtesting.book_cache import RecordingSource
from estimation.order import OrderError
from feeds import VENUES
from recording.recorder import RECORDINGS
from sessions.backtest_job import BacktestJob, BacktestJobs
from sessions.session import Session
from ui.backtest_results import results
from ui.data_source import MOST_UNPACKED, Upload, said_of
from ui.fragments import part
from ui.input_guards import once
from ui.tab_lifecycle import lifeline
from ui.text.backtest import other_sizes, progress_words
from ui.text.captions import order_words
from ui.text.formatting import plain
from ui.text.vocabulary import HELP, UNIT_WORDS
from ui.view_context import order_problem

PROGRESS_S = 0.5
ENDINGS = (".jsonl", ".csv", ".gz")


class Choice(NamedTuple):
    """A recording to choose, by the name it is shown under."""

    path: Path
    name: str
    max_bytes: int | None = None


def backtest(session: Session) -> None:
    """The recording, the sizes, the button; then how far it is, or what it found."""
    tests: BacktestJobs = st.session_state.setdefault("backtests", BacktestJobs())
    with st.container(border=True, key="backtest setup"):
        setup(session, tests)
    run = tests.run
    if run is not None and run.state == "done":
        results(run)


def setup(session: Session, tests: BacktestJobs) -> None:
    """What to work out, and how far that is."""
    st.markdown("**Backtest** · what would this order have cost at every moment of a recording?", help=HELP["backtest"])
    found = choices(session)
    if not found:
        st.caption(
            f"There is no recording yet. Press Record on the left, put a file into the folder {RECORDINGS}, "
            "or choose there to take the prices from a recording and upload one."
        )
        return
    where, sizes, button = st.columns([4, 4, 2], vertical_alignment="bottom")
    choice = where.selectbox("Recording", found, format_func=shown_as, key="backtest recording")
    typed = sizes.text_input(
        f"Other sizes, {UNIT_WORDS[session.order.unit]}",
        key=sizes_key(session),
        placeholder="none",
        help="To see the cost by size: numbers with a space or a comma between them, at most 20.",
    )
    problem = ""
    try:
        other_sizes(typed, session.order)
    except OrderError as error:
        problem = f"These sizes can't be used: {error}"
    running = tests.run is not None and tests.run.state == "running"
    st.session_state["backtest drawn"] = state(session, tests)
    button.button(
        "Stop" if running else "Run",
        icon=":material/stop_circle:" if running else ":material/play_arrow:",
        key="backtest run",
        on_click=once(tests.stop if running else partial(begin, session, tests, choice)),
        disabled=bool(problem) and not running,
        width="stretch",
    )
    of, words = st.session_state.get("backtest problem", (None, ""))
    problem = problem or (words if of == choice else "")
    if problem:
        st.error(plain(problem))
    progress(session, tests)


def choices(session: Session) -> list[Choice]:
    """The recording that plays now, the one that was uploaded, and those of the folder; each once."""
    found = {
        path: Choice(path, path.name)
        for path in sorted(RECORDINGS.glob("*"))
        if path.suffix in ENDINGS and path.is_file()
    }
    upload: Upload | None = st.session_state.get("upload")
    if upload is not None:
        found = {upload.path: Choice(upload.path, upload.name, MOST_UNPACKED)} | found
    playing = None if session.market is None else session.market.recording
    return sorted(found.values(), key=lambda each: each.path != playing)


def shown_as(choice: Choice) -> str:
    """Its name; what was uploaded may be called like a file of the folder."""
    return choice.name if choice.max_bytes is None else f"{choice.name} (uploaded)"


def begin(session: Session, tests: BacktestJobs, choice: Choice) -> None:
    """Run it in place of the one before; a problem is kept for the page to say."""
    st.session_state.pop("backtest problem", None)
    try:
        orders = other_sizes(st.session_state.get(sizes_key(session), ""), session.order)
        tests.start(source(session, choice), orders, choice.name)
    except (OSError, ValueError, RecursionError) as error:
        st.session_state["backtest problem"] = choice, f"{choice.name} can't be used: {error}"


def source(session: Session, choice: Choice) -> RecordingSource:
    """The recording with the market it is of: the one it is played as, else what it says, else the one on the left.

    Raises OSError, RecordingError, CacheError.
    """
    market = session.market
    if market is not None and market.recording == choice.path:
        of = market.venue, market.symbol
    else:
        status = choice.path.stat()
        said = said_of(choice.path, status.st_mtime_ns, status.st_size)
        of = said if said and said[0] in VENUES else (st.session_state.venue, st.session_state.symbol or "")
    return RecordingSource.from_path(choice.path, *of, choice.max_bytes)


def sizes_key(session: Session) -> str:
    """Of the field for other sizes: sizes typed in one unit are none in another."""
    return f"backtest sizes {session.order.unit}"


def state(session: Session, tests: BacktestJobs) -> tuple[BacktestJob | None, str, str]:
    """What the field, the button and the results depend on."""
    return tests.run, "" if tests.run is None else tests.run.state, session.order.unit


@part("backtest progress", PROGRESS_S)
def progress(session: Session, tests: BacktestJobs) -> None:
    """The order that a run would take, and how far the run is that was begun."""
    lifeline(tests, id(tests))
    if state(session, tests) != st.session_state.get("backtest drawn"):
        st.rerun()
    run = tests.run
    if run is None or run.state != "running":
        which = (
            "the last one that could be priced, not the one on the left" if order_problem() else "the one on the left"
        )
        st.caption(plain(f"The order is {which}: {order_words(session.order)}."))
    if run is None:
        return
    if run.state == "running":
        st.progress(min(1.0, run.progress.share), progress_words(run.progress))
    elif run.state == "stopped":
        st.caption("Stopped before its end: there are no results.")
    elif run.state == "failed":
        st.error(plain(f"{run.name} can't be worked out: {run.error or 'an error that nobody foresaw'}"))
    elif run.orders[0] != session.order:
        st.caption("It was changed since the results below: press Run for new ones.")
