"""Check that kept machine code is that of today's sources, in processes of their own with sources of their own."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from numba.core.errors import TypingError

from estimation.realised import crossing_bps
from numerics import jit
from tests.support.paths import PROJECT

LENT = """
from numerics.jit import jit

SCALE = 2.0

@jit
def scaled(value: float) -> float:
    return value * SCALE
"""
USER = """
from numerics.jit import jit
from orderbook.lent import SCALE, scaled

@jit
def total(value: float) -> float:
    return scaled(value) + SCALE
"""
PRINT_TOTAL = "from orderbook.user import total; print(total(3.0))"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Make a project of numerics/ and two files: a compiled function, and the constant and the callee that it uses."""
    shutil.copytree(PROJECT / "numerics", tmp_path / "numerics", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "orderbook").mkdir()
    (tmp_path / "orderbook/__init__.py").touch()
    (tmp_path / "orderbook/lent.py").write_text(LENT)
    (tmp_path / "orderbook/user.py").write_text(USER)
    return tmp_path


def start(copy: Path, **settings: str) -> subprocess.Popen[str]:
    """Start a process that prints the total."""
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"} | settings
    command = [sys.executable, "-c", PRINT_TOTAL]
    return subprocess.Popen(command, cwd=copy, env=environment, stdout=subprocess.PIPE, text=True)


def run(copy: Path, **settings: str) -> float:
    """Return the total that a new process computes."""
    with start(copy, **settings) as process:
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return float(printed)


def kept_code(copy: Path) -> dict[Path, int]:
    """Return the files of machine code, each with the time it was written."""
    return {path: path.stat().st_mtime_ns for path in copy.rglob("*.nbc")}


@pytest.mark.parametrize(
    ("old", "new", "changed_total"),
    [("SCALE = 2.0", "SCALE = 5.0", 20.0), ("value * SCALE", "value - SCALE", 3.0)],
    ids=["constant", "callee"],
)
def test_change_in_the_other_file_is_seen_by_the_next_process(
    copy: Path, old: str, new: str, changed_total: float
) -> None:
    """A constant or a callee of another file changes the result at once, and going back brings the kept code back."""
    assert run(copy) == 8.0
    before = kept_code(copy)
    (copy / "orderbook/lent.py").write_text(LENT.replace(old, new))
    assert run(copy) == changed_total
    (copy / "orderbook/lent.py").write_text(LENT)
    after_change = kept_code(copy)
    assert run(copy) == 8.0
    assert kept_code(copy) == after_change
    assert before.items() <= after_change.items()
    assert len(after_change) == 2 * len(before)


def test_same_sources_compile_nothing_again(copy: Path) -> None:
    """The second process finds the code of both functions, and writes none."""
    assert run(copy) == 8.0
    before = kept_code(copy)
    assert len(before) == 2
    assert run(copy) == 8.0
    assert kept_code(copy) == before


def test_copy_of_the_project_compiles_nothing_again(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Kept code goes along to another folder."""
    assert run(copy) == 8.0
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(copy, elsewhere)
    before = kept_code(elsewhere)
    assert len(before) == 2
    assert run(elsewhere) == 8.0
    assert kept_code(elsewhere) == before


def test_three_processes_that_start_at_once_agree(copy: Path) -> None:
    """With nothing compiled yet they compile side by side; each gets the right total, and so does the next."""
    processes = [start(copy) for _ in range(3)]
    totals = [float(process.communicate(timeout=120)[0]) for process in processes]
    assert totals == [8.0] * 3
    assert [process.returncode for process in processes] == [0] * 3
    before = kept_code(copy)
    assert run(copy) == 8.0
    assert kept_code(copy) == before


def test_folder_that_cannot_be_written_to_means_no_kept_code(copy: Path) -> None:
    """A file stands in the folder's place, beside the sources or where the setting points: results are right anyway."""
    (copy / "numerics/__pycache__").touch()
    (copy / "taken").touch()
    for settings in ({}, {"NUMBA_CACHE_DIR": str(copy / "taken")}, {"NUMBA_CACHE_DIR": "/proc/none"}):
        assert run(copy, **settings) == 8.0
        assert not kept_code(copy)


def test_folder_for_code_lies_where_the_setting_says(copy: Path) -> None:
    """NUMBA_CACHE_DIR holds the folder instead of numerics/__pycache__."""
    assert run(copy, NUMBA_CACHE_DIR=str(copy / "elsewhere")) == 8.0
    assert {path.relative_to(copy).parts[0] for path in kept_code(copy)} == {"elsewhere"}


def test_folders_of_earlier_sources_are_pruned_to_a_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ten changes of the sources, the newest folder and KEPT_FOLDERS before it stay; other files are left alone."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    (tmp_path / "other").mkdir()
    for number in range(10):
        folder = jit.open_cache_folder(str(number))
        assert folder == tmp_path / f"jit-{number}"
        os.utime(folder, (number, number))
        kept = sorted(path.name for path in tmp_path.glob("jit-*"))
        assert kept == [f"jit-{n}" for n in range(max(0, number - jit.KEPT_FOLDERS), number + 1)]
    assert (tmp_path / "other").is_dir()


def test_digest_changes_with_every_source_of_every_room(copy: Path) -> None:
    """A change, a new name and a new file each make another digest; a file outside the rooms does not."""
    digests = [jit.sources_digest(copy)]
    (copy / "feeds").mkdir()
    (copy / "feeds/fast_parser.py").write_text("A = 1")
    digests.append(jit.sources_digest(copy))
    for room in (source for source in jit.COMPILED_SOURCES if not source.endswith(".py")):
        (copy / room / "deep").mkdir(parents=True, exist_ok=True)
        (copy / room / "deep/new.py").write_text("A = 1")
        digests.append(jit.sources_digest(copy))
        (copy / room / "deep/new.py").write_text("A = 2")
        digests.append(jit.sources_digest(copy))
        (copy / room / "deep/new.py").rename(copy / room / "deep/renamed.py")
        digests.append(jit.sources_digest(copy))
    assert len(set(digests)) == len(digests)
    (copy / "app.py").write_text("A = 1")
    assert jit.sources_digest(copy) == digests[-1]


def test_interpreted_function_calls_its_callees_as_plain_python_too() -> None:
    """Levels in a dictionary and a quote that is any object are nothing that compiled code takes, at any depth."""
    levels: Any = {(0, 0): 100.0, (0, 1): 1.0, (1, 0): 101.0, (1, 1): 2.0}
    quote = SimpleNamespace(sign=1.0, mid=100.0)
    assert jit.interpreted(crossing_bps)(levels, 0, 2, quote, 2.0) == 50.0
    assert math.isnan(jit.interpreted(crossing_bps)(levels, 0, 2, quote, 4.0))
    with pytest.raises(TypingError):
        crossing_bps(levels, 0, 2, quote, 2.0)
