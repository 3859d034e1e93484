"""The benchmarks' commands, as far as they can be tried in a moment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import PROJECT


@pytest.mark.parametrize("name", ["feeds", "fills", "models"])
def test_a_benchmark_without_its_recordings_says_so(name: str, tmp_path: Path) -> None:
    """Whoever has no recordings beside the project reads one sentence and no traceback."""
    command = [sys.executable, "-m", f"benchmarks.{name}", tmp_path / "none"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert f"error: there is no folder {tmp_path / 'none'}: name the one that has the recordings" in done.stderr
    assert "Traceback" not in done.stderr
