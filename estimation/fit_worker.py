"""Run fits one after the other on one long-lived thread, so that a feed's thread never computes or starts one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

Result = TypeVar("Result")


class PendingFit(Generic[Result]):
    """A fit that is queued, under way or done; `before`, its session's fit before it, must have succeeded."""

    __slots__ = ("_before", "_done", "_error", "_learn", "_result")

    def __init__(self, learn: Callable[[], Result], before: PendingFit[Result] | None) -> None:
        self._learn: Callable[[], Result] | None = learn
        self._before = before
        self._done = threading.Event()
        self._error: BaseException | None = None
        self._result: Result | None = None

    def run(self) -> None:
        """Compute the result, or keep what was raised. On the worker's thread."""
        learn, before, self._learn, self._before = self._learn, self._before, None, None
        try:
            if before is not None and before._error is not None:
                raise before._error
            if learn is not None:
                self._result = learn()
        except BaseException as error:  # noqa: BLE001 - raised on the feed's thread, by result()
            self._error = error
        finally:
            self._done.set()

    @property
    def is_done(self) -> bool:
        """Whether `result` returns or raises at once."""
        return self._done.is_set()

    def result(self) -> Result:
        """Wait for the result. Raises what the fit raised."""
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]


class FitWorker:
    """One daemon thread, started at the first fit, that serves every session of the process.

    Fits of many sessions share the processor anyway: one by one, each is done sooner.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[PendingFit[object]] = SimpleQueue()
        self._start = threading.Lock()
        self._thread: threading.Thread | None = None
        self._queued = self._done = 0
        self._may_run = threading.Event()
        self._may_run.set()

    @property
    def is_idle(self) -> bool:
        """Whether no fit is queued or under way."""
        return self._done == self._queued

    def start(self) -> None:
        """Start the thread, unless it runs."""
        with self._start:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="fits", daemon=True)
                self._thread.start()

    def submit(self, learn: Callable[[], Result], before: PendingFit[Result] | None = None) -> PendingFit[Result]:
        """Queue a fit; returns at once."""
        if self._thread is None:
            self.start()
        fit = PendingFit(learn, before)
        with self._start:
            self._queued += 1
        self._queue.put(fit)  # type: ignore[arg-type]
        return fit

    def wait_until_idle(self) -> None:
        """Wait until every fit that was queued before is done."""
        self.submit(lambda: None).result()

    @property
    def is_paused(self) -> bool:
        """Whether no fit begins until `resume`."""
        return not self._may_run.is_set()

    def pause(self) -> None:
        """Begin no fit from now on: machine code that fits need is being compiled elsewhere."""
        self._may_run.clear()

    def resume(self) -> None:
        """Go on."""
        self._may_run.set()

    def _serve(self) -> None:
        while True:
            fit = self._queue.get()
            self._may_run.wait()
            fit.run()
            self._done += 1


WORKER = FitWorker()
"""The process's own."""
