"""Check the benchmarks' commands as far as a quick test can."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import PROJECT


@pytest.mark.parametrize("name", ["feeds", "fills", "models"])
def test_benchmark_without_recordings_ends_with_one_sentence(name: str, tmp_path: Path) -> None:
    """Without recordings beside the project the command prints one sentence and no traceback."""
    command = [sys.executable, "-m", f"benchmarks.{name}", tmp_path / "none"]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert f"error: there is no folder {tmp_path / 'none'}: name the one that has the recordings" in result.stderr
    assert "Traceback" not in result.stderr
