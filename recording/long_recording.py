"""Record a market for months: a new file now and then, and on after every outage."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from recording.feeder import GONE, LOOK_S, UP, Feeder, Retry
from recording.outages import Outages
from recording.recorder import Recorder, new_path
from recording.repacking import Repacker
from recording.rotation import Rotation, remove_old

logger = logging.getLogger(__name__)


class Plan(NamedTuple):
    """Where and how a market is recorded. keep_days: None keeps every file. repacker: None leaves files as they are."""

    folder: Path
    rotation: Rotation
    keep_days: float | None
    repacker: Repacker | None


class _Part:
    """One file, and the client that fills it."""

    def __init__(self, recorder: Recorder, feeder: Feeder, begun: datetime) -> None:
        self.recorder = recorder
        self.feeder = feeder
        self.begun = begun

    def close(self) -> None:
        self.feeder.stop()
        self.recorder.close()


class LongRecording:
    """The recording of one market, in files that follow each other. `step` is to be called about once a second.

    Each file begins with a connection of its own, since a book is whole only after a snapshot: the next one is begun
    while the last one is still written, and takes over with its first book. So nothing is missed between them.

    Args:
        venue: A key of VENUES.
        symbol: As the venue writes it.
        plan: Where to write, and for how long.
        make_recorder: Makes a recorder for a new file.
        make_feeder: Makes a client that hands its frames to this recorder.
        report: Gets a line when a file begins or ends.
    """

    def __init__(
        self,
        venue: str,
        symbol: str,
        plan: Plan,
        make_recorder: Callable[[], Recorder],
        make_feeder: Callable[[Recorder], Feeder],
        report: Callable[[str], None],
    ) -> None:
        self.name = f"{venue} {symbol}"
        self._market = (venue, symbol)
        self._plan = plan
        self._make_recorder = make_recorder
        self._make_feeder = make_feeder
        self._report = report
        self._part: _Part | None = None
        self._next: _Part | None = None
        self._retry = Retry()
        self._rotation_retry = Retry()
        self.outages = Outages(self.name)
        self.n_frames = 0
        self.n_bytes = 0
        self.last_error = ""

    def step(self) -> None:
        """Look after the recording: begin and end files, try again what failed, and note what is missed."""
        now_s = time.monotonic()
        if self._part is None and now_s >= self._retry.at_s:
            self._part = self._begin(self._retry)
        part = self._part
        if part is None:
            self.outages.update(False, 0, time.time_ns())
            return
        status = part.feeder.status
        self.outages.update(status.state in UP, status.books, time.time_ns())
        if status.state in UP:
            self._retry.succeed()
        self.last_error = status.last_error or self.last_error
        if part.recorder.error is not None:
            self._report(f"{self.name}: {part.recorder.error}")
            self._finish(part)
            self._part = None
            self._retry.fail(now_s)
        elif status.state in GONE:
            self._restart(part, now_s)
        else:
            self._rotate(part, now_s)

    def close(self) -> None:
        """End the file, and wait until it is whole."""
        self.outages.close(time.time_ns())
        for part in (self._next, self._part):
            if part is not None:
                self._finish(part)
        self._next = self._part = None

    def progress(self) -> str:
        """Return a line about what has been recorded so far, and how the feed is."""
        part = self._part
        frames, n_bytes = self.n_frames, self.n_bytes
        state = "waiting"
        if part is not None:
            frames, n_bytes = frames + part.recorder.frames, n_bytes + part.recorder.bytes
            state = part.feeder.status.state
        line = f"{self.name}: {frames} frames, {n_bytes:,} bytes, {state}"
        return line if state in UP or not self.last_error else f"{line}: {self.last_error}"

    @property
    def files(self) -> set[Path]:
        """The files that are being written."""
        return {part.recorder.path for part in (self._part, self._next) if part is not None}

    def _begin(self, retry: Retry) -> _Part | None:
        """Begin a file; None where none can be made, which is tried again later."""
        begun = datetime.now(UTC)
        recorder = self._make_recorder()
        try:
            self._plan.folder.mkdir(parents=True, exist_ok=True)
            recorder.start(new_path(self._plan.folder, *self._market, begun))
        except OSError as error:
            wait_s = retry.fail(time.monotonic())
            self.last_error = str(error)
            logger.error("%s: no file can be made, next try in %g s: %s", self.name, wait_s, error)
            return None
        feeder = self._make_feeder(recorder)
        feeder.start()
        self._report(f"{self.name}: recording to {recorder.path}")
        return _Part(recorder, feeder, begun)

    def _restart(self, part: _Part, now_s: float) -> None:
        """Replace a client that has given up, once it is time; the file goes on."""
        if self._retry.at_s <= now_s:
            if self._retry.at_s:
                part.feeder = self._make_feeder(part.recorder)
                part.feeder.start()
                self._retry.at_s = 0.0
            else:
                part.feeder.stop()
                wait_s = self._retry.fail(now_s)
                logger.warning("%s: the connection is lost, next tries in %g s", self.name, wait_s)

    def _rotate(self, part: _Part, now_s: float) -> None:
        """Begin the next file when it is due, and end this one once the next has a book."""
        following = self._next
        if following is None:
            is_due = self._plan.rotation.is_due(part.begun, datetime.now(UTC), part.recorder.bytes)
            if is_due and now_s >= self._rotation_retry.at_s:
                self._next = self._begin(self._rotation_retry)
            return
        status = following.feeder.status
        if status.books:
            self._finish(part)
            self._part, self._next = following, None
            self._rotation_retry.succeed()
        elif status.state in GONE or following.recorder.error is not None:
            self._finish(following)
            self._next = None
            wait_s = self._rotation_retry.fail(now_s)
            logger.warning("%s: the next file got no book, this one goes on; next try in %g s", self.name, wait_s)

    def _finish(self, part: _Part) -> None:
        """End a file, and look after those of before."""
        part.close()
        self.n_frames += part.recorder.frames
        self.n_bytes += part.recorder.bytes
        path = part.recorder.path
        if part.recorder.received:
            self._report(f"{path}: {part.recorder.frames} frames, {part.recorder.bytes:,} bytes")
            if self._plan.repacker is not None and part.recorder.error is None:
                self._plan.repacker.add(path)
        if self._plan.keep_days is not None:
            in_use = self.files | (self._plan.repacker.pending if self._plan.repacker else set())
            with suppress(OSError):
                remove_old(self._plan.folder, *self._market, self._plan.keep_days, in_use)


def run_recordings(
    recordings: Sequence[LongRecording], seconds: float | None, report: Callable[[str], None], report_s: float
) -> None:
    """Record until the time is over or Ctrl-C is pressed, and end every file. seconds: None for no limit.

    report: gets a line about each market every report_s seconds.
    """
    ends_s = math.inf if seconds is None else time.monotonic() + seconds
    next_report_s = time.monotonic() + report_s
    try:
        while time.monotonic() < ends_s:
            for recording in recordings:
                recording.step()
            if time.monotonic() >= next_report_s:
                for recording in recordings:
                    report(recording.progress())
                next_report_s = time.monotonic() + report_s
            time.sleep(LOOK_S)
    except KeyboardInterrupt:
        report("stopped")
    finally:
        for recording in recordings:
            recording.close()
