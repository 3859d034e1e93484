"""Check the performance report against the profiler it is made from."""

from __future__ import annotations

import io
import json
import threading
from dataclasses import fields
from pathlib import Path

import pandas as pd

from calculations import Stamps
from export_manager import performance_report
from profiling import SystemProfiler


def test_performance_report_has_the_profilers_figures() -> None:
    """The report has one row for each stage with the profiler's own figures, and none where nothing was measured."""
    profiler = SystemProfiler()
    for at in range(7):
        profiler.record(Stamps(0, 1_000_000, 2_000_000, 3_000_000, 4_000_000 + at * 500_000))
    report = performance_report(profiler)
    read = pd.read_csv(io.BytesIO(report.csv()))
    assert list(read.columns) == ["stage", "count", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms"]
    latencies = profiler.latencies()
    assert read["stage"].tolist() == list(latencies)
    for row in json.loads(report.json()):
        latency = latencies[row.pop("stage")]
        assert row == {field.name: getattr(latency, field.name) for field in fields(latency)}
    assert (read["count"].tolist(), read["max_ms"].tolist()[4]) == ([7, 7, 7, 7, 7, 0, 0], 7.0)
    assert read["mean_ms"].isna().tolist() == [False] * 5 + [True] * 2


def test_performance_report_with_system_has_memory_cpu_and_threads(tmp_path: Path) -> None:
    """Memory, CPU and threads stand beside each stage if they are asked for."""
    profiler = SystemProfiler()
    release = threading.Event()
    thread = threading.Thread(target=release.wait, name="a feed", daemon=True)
    thread.start()
    path = performance_report(profiler, with_system=True).save(tmp_path, "speed", "json")
    release.set()
    thread.join()
    system = profiler.system()
    for row in json.loads(path.read_bytes()):
        assert (row["rss_bytes"], row["vms_bytes"]) == (system.rss_bytes, system.vms_bytes)
        assert (row["available_bytes"], row["cpu_percent"]) == (system.available_bytes, system.cpu_percent)
        assert row["threads"] == len(system.threads)
        assert "a feed (daemon)" in row["thread_names"].split("; ")
        assert "MainThread" in row["thread_names"].split("; ")
