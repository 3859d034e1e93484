"""Record one market to one file."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path

from recording.feeder import DOWN, LOOK_S, UP, Feeder, FeederStatus, Retry
from recording.outages import Outages
from recording.recorder import Recorder


def record_file(
    recorder: Recorder,
    make_feeder: Callable[[Recorder], Feeder],
    path: Path,
    seconds: float | None,
    stop: threading.Event,
    report: Callable[[str], None],
    report_s: float,
    outages: Outages | None,
) -> None:
    """Record until the time is over, stop is set or Ctrl-C is pressed; the recorder is closed then.

    Its error says why the recording ended early, or why there is no order book in it. Raises OSError where no file can
    be made, ValueError where no client can.

    Args:
        recorder: Writes the file.
        make_feeder: Makes a client that hands its frames to the recorder.
        path: A new file.
        seconds: How long; None for no limit.
        stop: Ends the recording once it is set.
        report: Gets a line at the start, now and then, and at the end if something is to be said.
        report_s: How long between two reports.
        outages: Gets what was missed; then the recording goes on after the client of a market that brought books has
            given up. None ends it there.
    """
    session = _Session(recorder, make_feeder, report, outages)
    try:
        recorder.start(path)
        report(f"recording to {path}")
        session.feeder.start()
        session.run(math.inf if seconds is None else time.monotonic() + seconds, stop, report_s)
    except KeyboardInterrupt:
        report("stopped")
    finally:
        last_state = session.feeder.status.state  # which stop() overwrites
        session.feeder.stop()
        recorder.close()
        if outages is not None:
            outages.close(time.time_ns())
    if recorder.error is None:
        recorder.error = session.explain(last_state)


class _Session:
    """The clients of one recording, one after the other."""

    def __init__(
        self,
        recorder: Recorder,
        make_feeder: Callable[[Recorder], Feeder],
        report: Callable[[str], None],
        outages: Outages | None,
    ) -> None:
        self._recorder = recorder
        self._make_feeder = make_feeder
        self._report = report
        self._outages = outages
        self._n_books = 0  # of clients that gave up
        self._reason = ""
        self._retry = Retry()
        self.feeder = make_feeder(recorder)

    def run(self, ends_s: float, stop: threading.Event, report_s: float) -> None:
        """Look after the client until the recording ends."""
        next_report_s = 0.0
        while self._recorder.recording:
            status = self.feeder.status
            if self._outages is not None:
                self._outages.update(status.state in UP, status.books, time.time_ns())
            if status.state in UP:
                self._retry.succeed()
            left_s = ends_s - time.monotonic()
            if left_s <= 0:
                return
            if status.state == "given up":
                if self._outages is None or not self._n_books + status.books or self._replace(status, left_s, stop):
                    return
                continue
            if time.monotonic() >= next_report_s:
                self._report(_progress_line(self._recorder, status))
                next_report_s = time.monotonic() + report_s
            if stop.wait(min(left_s, LOOK_S)):
                return

    def _replace(self, status: FeederStatus, left_s: float, stop: threading.Event) -> bool:
        """Start another client after a while. Return True if the recording ended meanwhile."""
        self._n_books += status.books
        self._reason = status.last_error or self._reason
        self.feeder.stop()
        self.feeder = self._make_feeder(self._recorder)
        wait_s = self._retry.fail(time.monotonic())
        self._report(f"the connection is lost, next tries in {wait_s:g} s: {self._reason}")
        if stop.wait(min(left_s, wait_s)) or left_s <= wait_s:
            return True
        self.feeder.start()
        return False

    def explain(self, last_state: str) -> str | None:
        """Return why the recording failed; None if it did not."""
        status = self.feeder.status
        address = self.feeder.address
        reason = status.last_error or self._reason or f"it was still {last_state}"
        if not self._recorder.received:
            return f"nothing arrived from {address}, so there is no file: {reason}"
        if not self._n_books + status.books:
            return f"no order book arrived from {address}: {reason}"
        if last_state == "given up" and self._outages is None:
            return reason
        if last_state in DOWN or last_state in ("idle", "given up"):
            self._report(f"the connection was down at the end: {reason}")
        return None


def _progress_line(recorder: Recorder, status: FeederStatus) -> str:
    line = f"{recorder.frames} frames, {recorder.bytes:,} bytes, {status.books} books, {status.state}"
    return f"{line}: {status.last_error}" if status.state in DOWN and status.last_error else line
