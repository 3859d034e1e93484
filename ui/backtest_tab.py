"""Draw the backtest: what the order would have cost at every moment of a recording."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import streamlit as st

from backtesting.book_cache import RecordingSource
from feeds import VENUES
from recording.opening import NOTHING_SAID, AmountsError, Opening
from recording.recorder import RECORDINGS
from sessions.backtest_job import BacktestJob, BacktestJobs
from sessions.session import Session
from ui.backtest_results import backtest_results
from ui.data_source import MAX_UNPACKED_BYTES, Upload, amounts_input, recorded_market, recording_files
from ui.fragments import isolated_fragment
from ui.input_guards import run_once
from ui.tab_lifecycle import bind_to_tab
from ui.text.backtest import other_sizes_words, parse_other_sizes, progress_words
from ui.text.captions import order_words
from ui.text.formatting import plain, split_instrument, unit_words
from ui.text.size_input import SizeError, SizeUnits
from ui.text.vocabulary import HELP
from ui.view_context import order_problem

PROGRESS_S = 0.5


class RecordingChoice(NamedTuple):
    """A recording to choose, and its name on the page; max_bytes bounds what an upload may unpack to."""

    path: Path
    name: str
    max_bytes: int | None = None


def backtest_tab(session: Session) -> None:
    """Draw the recording, the sizes and the button, then the progress, or the results of the last job."""
    jobs: BacktestJobs = st.session_state.setdefault("backtests", BacktestJobs())
    with st.container(border=True, key="backtest setup"):
        setup_form(session, jobs)
    job = jobs.job
    if job is not None and job.state == "done":
        backtest_results(job)


def setup_form(session: Session, jobs: BacktestJobs) -> None:
    """Draw the choice of the recording and the sizes, the button, and the progress."""
    st.markdown("**Backtest** · what would this order have cost at every moment of a recording?", help=HELP["backtest"])
    choices = recording_choices(session)
    if not choices:
        st.caption(
            f"There is no recording yet. Press Record on the left, put a file into the folder {RECORDINGS}, "
            "or choose there to take the prices from a recording and upload one."
        )
        return
    recording_column, sizes_column, button_column = st.columns([4, 4, 2], vertical_alignment="bottom")
    choice = recording_column.selectbox("Recording", choices, format_func=choice_label, key="backtest recording")
    opening = opening_inputs(session, choice)
    units = recording_units(session, choice, opening or NOTHING_SAID)
    unit = unit_words(session.order.unit, units.currency)
    sizes_text = sizes_column.text_input(
        f"Other sizes, {plain(unit)}",
        key=sizes_key(session),
        placeholder="none",
        help=HELP["other sizes"],
    )
    sizes_problem = ""
    understood = ""
    try:
        understood = other_sizes_words(parse_other_sizes(sizes_text, session.order, units), units)
    except SizeError as error:
        sizes_problem = f"Other sizes: {error}"
    is_running = jobs.job is not None and jobs.job.state == "running"
    st.session_state["backtest drawn"] = _tab_state(session, jobs)
    button_column.button(
        "Stop" if is_running else "Run",
        icon=":material/stop_circle:" if is_running else ":material/play_arrow:",
        key="backtest run",
        on_click=run_once(jobs.stop if is_running else partial(start_job, session, jobs, choice, opening)),
        disabled=(bool(sizes_problem) or opening is None) and not is_running,
        width="stretch",
    )
    failed_choice, start_problem = st.session_state.get("backtest problem", (None, ""))
    problem = sizes_problem or (start_problem if failed_choice == choice else "")
    if problem:
        st.error(plain(problem))
    elif understood:
        st.caption(plain(f"Other sizes: {understood}"))
    job_progress(session, jobs)


def recording_choices(session: Session) -> list[RecordingChoice]:
    """Return the recordings to choose from, each once: the one that plays now, the upload, and those of the folder."""
    choices = {path: RecordingChoice(path, path.name) for path in recording_files() if path.is_file()}
    upload: Upload | None = st.session_state.get("upload")
    if upload is not None:
        choices = {upload.path: RecordingChoice(upload.path, upload.name, MAX_UNPACKED_BYTES)} | choices
    playing = None if session.market is None else session.market.recording
    return sorted(choices.values(), key=lambda choice: choice.path != playing)


def choice_label(choice: RecordingChoice) -> str:
    """Return the recording's name, marked if it is the upload, which may be called like a file of the folder."""
    return choice.name if choice.max_bytes is None else f"{choice.name} (uploaded)"


def opening_inputs(session: Session, choice: RecordingChoice) -> Opening | None:
    """Draw the choice of a unit for amounts that the recording leaves open. Return what the user says of it.

    Return None while the unit is not chosen. What was said where the recording is played counts here too.
    """
    market = session.market
    if market is not None and market.recording == choice.path:
        return market.opening
    try:
        status = choice.path.stat()
        recorded_market(choice.path, status.st_mtime_ns, status.st_size)
    except AmountsError as error:
        amounts = amounts_input(error.reason, "backtest amounts")
        return None if amounts is None else Opening(amounts=amounts)
    except (OSError, ValueError, RecursionError):  # told when the backtest is started
        pass
    return NOTHING_SAID


def start_job(session: Session, jobs: BacktestJobs, choice: RecordingChoice, opening: Opening | None) -> None:
    """Start a backtest in place of the one before; keep a problem for the page to show."""
    st.session_state.pop("backtest problem", None)
    if opening is None:
        return
    try:
        text = st.session_state.get(sizes_key(session), "")
        orders = parse_other_sizes(text, session.order, recording_units(session, choice, opening))
        jobs.start(recording_source(session, choice, opening), orders, choice.name)
    except (OSError, ValueError, RecursionError) as error:
        st.session_state["backtest problem"] = choice, f"{choice.name} can't be used: {error}"


def recording_source(session: Session, choice: RecordingChoice, opening: Opening) -> RecordingSource:
    """Return the recording together with its market. Raises OSError, RecordingError, CacheError."""
    venue, symbol = market_of_choice(session, choice, opening)
    return RecordingSource.from_path(choice.path, venue, symbol, choice.max_bytes, opening)


def market_of_choice(session: Session, choice: RecordingChoice, opening: Opening) -> tuple[str, str]:
    """Return the venue and the symbol that a recording is priced as.

    That is the market it is being played as; else the one it names, if known here; else the one chosen on the left.
    Raises OSError, RecordingError.
    """
    market = session.market
    if market is not None and market.recording == choice.path:
        return market.venue, market.symbol
    status = choice.path.stat()
    named = recorded_market(choice.path, status.st_mtime_ns, status.st_size, opening).named
    selected = (st.session_state.venue, st.session_state.symbol or "")
    return named if named and named[0] in VENUES else selected


def recording_units(session: Session, choice: RecordingChoice, opening: Opening) -> SizeUnits:
    """Return the names of a recording's coin and currency; none where it has no market that is known here."""
    try:
        venue, symbol = market_of_choice(session, choice, opening)
        coin, currency = split_instrument(VENUES[venue].instrument(symbol))
    except (OSError, ValueError, RecursionError):  # told when the backtest is started
        return SizeUnits()
    return SizeUnits(coin, currency, session.order.unit == "contracts")


def sizes_key(session: Session) -> str:
    """Return the widget key of the other sizes: one for each unit, so that sizes never change their unit."""
    return f"backtest sizes {session.order.unit}"


def _tab_state(session: Session, jobs: BacktestJobs) -> tuple[BacktestJob | None, str, str]:
    """Return all that the field, the button and the results depend on; they are drawn again when it changes."""
    return jobs.job, "" if jobs.job is None else jobs.job.state, session.order.unit


@isolated_fragment("backtest progress", PROGRESS_S)
def job_progress(session: Session, jobs: BacktestJobs) -> None:
    """Draw which order the next job would price, and how far the current job is or how it ended."""
    bind_to_tab(jobs, id(jobs))
    if _tab_state(session, jobs) != st.session_state.get("backtest drawn"):
        st.rerun()
    job = jobs.job
    if job is None or job.state != "running":
        which = "the one on the left"
        if order_problem():
            which += ", but with the last valid value of what is wrong there"
        currency = "" if session.market is None else session.market.currency
        st.caption(plain(f"The order is {which}: {order_words(session.order, currency)}."))
    if job is None:
        return
    if job.state == "running":
        st.progress(min(1.0, job.progress.share), progress_words(job.progress))
    elif job.state == "stopped":
        st.caption("Stopped before its end: there are no results.")
    elif job.state == "failed":
        st.error(plain(f"{job.name} can't be worked out: {job.error or 'unexpected error; see the log'}"))
    elif job.orders[0] != session.order:
        st.caption("The order has changed. Press Run to update.")
