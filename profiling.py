"""Measure how long each stage of a tick takes, and what the process uses."""

from __future__ import annotations

import math
import sysconfig
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Generic, NamedTuple, TypeVar

import psutil

LAST = 100
"""How many measurements of each stage the statistics are made of: the newest ones."""

SYSTEM_EVERY_S = 1.0
"""Memory, CPU and threads are measured at most once in this time, seconds."""

UPDATE, END_TO_END = "UI update time", "end to end"
_STAGES = {
    "parse": ("received_ns", "parsed_ns"),
    "features": ("parsed_ns", "features_ns"),
    "models": ("features_ns", "models_ns"),
    "fees": ("models_ns", "fees_ns"),
    "processing time": ("received_ns", "fees_ns"),
}
"""The stages of a tick, each with the stamps at its beginning and its end."""

STAGES = (*_STAGES, UPDATE, END_TO_END)
"""All stages that are measured: the parts of a tick, their sum, drawing a page update, and received until shown."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Latency:
    """Statistics of one stage: how often it was ever measured, and its last 100 durations in milliseconds.

    A statistic is None if the stage was never measured. Percentiles lie on the line between the two nearest
    measurements, as numpy's do.
    """

    count: int
    mean_ms: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None


class Thread(NamedTuple):
    """A running thread; a daemon does not keep the process alive."""

    name: str
    daemon: bool


@dataclass(frozen=True, slots=True)
class System:
    """The memory, CPU and threads that the process uses.

    rss_bytes, vms_bytes: resident and virtual memory of the process.
    available_bytes: the memory that the machine has left.
    cpu_percent: of one core, since the measurement before; None until a second has passed.
    threads: all that run now.
    """

    rss_bytes: int
    vms_bytes: int
    available_bytes: int
    cpu_percent: float | None
    threads: tuple[Thread, ...]


class _Last(Generic[T]):
    """The last `LAST` measurements, and the count of all there ever were."""

    __slots__ = ("count", "values")

    def __init__(self) -> None:
        self.count = 0
        self.values: deque[T] = deque(maxlen=LAST)

    def add(self, value: T) -> None:
        self.count += 1
        self.values.append(value)


class SystemProfiler:
    """A collector of durations: of ticks on the feed's thread, of page updates on the page's. Any thread may read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Ticks come from the feed's thread alone, and a deque is copied in one step: they need no lock.
        self._ticks: deque[Stamps] = deque(maxlen=LAST)
        self._n_ticks = 0
        self._updates_ns = _Last[float]()
        self._ends_ns = _Last[float]()
        self._shown_ns: int | None = None
        self._process = psutil.Process()
        self._process.cpu_percent(interval=None)  # begins the span of the first sample
        self._cpu_since_s = time.monotonic()
        self._system: System | None = None

    def record(self, stamps: Stamps) -> None:
        """Add the stamps of one tick."""
        self._n_ticks += 1
        self._ticks.append(stamps)

    def shown(self, estimate_received_ns: int, update_ms: float) -> None:
        """Add one page update that ends now, took update_ms, and shows the estimate of the tick received at that time.

        An estimate that is shown again is not counted again from end to end: a quiet market is not a slow page.
        estimate_received_ns is of time.perf_counter_ns. Raise ValueError if update_ms is negative or not finite.
        """
        now_ns = time.perf_counter_ns()
        if not 0 <= update_ms < math.inf:
            raise ValueError(f"a page update cannot take {update_ms} ms")
        with self._lock:
            self._updates_ns.add(update_ms * 1e6)
            if estimate_received_ns != self._shown_ns:
                self._shown_ns = estimate_received_ns
                self._ends_ns.add(now_ns - estimate_received_ns)

    def latencies(self) -> dict[str, Latency]:
        """Return the statistics of every stage, in the order of STAGES."""
        return {stage: _latency(count, last_ns) for stage, (count, last_ns) in self._measured().items()}

    def last_ms(self) -> dict[str, list[float]]:
        """Return the last 100 measurements of every stage, ms, oldest first, in the order of STAGES."""
        return {stage: [ns / 1e6 for ns in last_ns] for stage, (_, last_ns) in self._measured().items()}

    def _measured(self) -> dict[str, tuple[int, Sequence[float]]]:
        """Return the count of every stage and its last durations, ns, copied under the lock."""
        with self._lock:
            count, ticks = self._n_ticks, self._ticks.copy()
            updates = self._updates_ns.count, list(self._updates_ns.values)
            ends = self._ends_ns.count, list(self._ends_ns.values)
        return {
            **{
                stage: (count, [getattr(tick, end) - getattr(tick, start) for tick in ticks])
                for stage, (start, end) in _STAGES.items()
            },
            UPDATE: updates,
            END_TO_END: ends,
        }

    def system(self) -> System:
        """Return what the process uses. It is measured at most once a second, so it may be a second old."""
        with self._lock:
            now = time.monotonic()
            due = now - self._cpu_since_s >= SYSTEM_EVERY_S
            if due or self._system is None:
                memory = self._process.memory_info()
                self._system = System(
                    memory.rss,
                    memory.vms,
                    psutil.virtual_memory().available,
                    self._process.cpu_percent(interval=None) if due else None,
                    tuple(Thread(thread.name, thread.daemon) for thread in threading.enumerate()),
                )
            if due:
                self._cpu_since_s = now
            return self._system


def _latency(count: int, last_ns: Sequence[float]) -> Latency:
    """Compute the statistics of one stage from its last durations, ns."""
    if not last_ns:
        return Latency(count)
    ms = sorted(ns / 1e6 for ns in last_ns)
    p50, p95, p99 = (percentile(ms, share) for share in (0.50, 0.95, 0.99))
    return Latency(count, fmean(ms), p50, p95, p99, ms[-1])


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of the ordered values lie, on the line between its neighbours.

    >>> percentile([10.0, 20.0, 40.0], 0.5), percentile([10.0, 20.0, 40.0], 0.75)
    (20.0, 30.0)
    """
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


class Stamps(NamedTuple):
    """The times at which each stage of one tick ended, perf_counter_ns; the client stamps received_ns."""

    received_ns: int
    parsed_ns: int
    features_ns: int
    models_ns: int
    fees_ns: int


# From Python 3.15 on the standard library has a package of this name (PEP 799), and cProfile imports
# profiling.tracing. This module hides that package, so it lends its submodules the package's folder.
_STANDARD_PACKAGE = Path(sysconfig.get_path("stdlib")) / "profiling"
if _STANDARD_PACKAGE.is_dir():
    __path__ = [str(_STANDARD_PACKAGE)]
