"""Check that machine code is compiled beside once, then only loaded, and that plain Python answers meanwhile."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from numerics import compile_beside as beside
from numerics.jit import LIVE_FUNCTIONS


class Counted:
    """A module that is warmed up, and the processes that compile it, counted."""

    def __init__(self) -> None:
        self.processes = self.loads = 0
        self.returncode = 0
        self.answered_compiled: list[bool] = []

    def run(self, *_: Any, **__: Any) -> SimpleNamespace:
        self.processes += 1
        return SimpleNamespace(returncode=self.returncode)

    def warm_up(self) -> None:
        self.loads += 1
        self.answered_compiled += [function.call is function._compiled for function in LIVE_FUNCTIONS]


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Keep machine code in a folder of the test's own, and count."""
    counted = Counted()
    module = ModuleType("warmed")
    module.warm_up = counted.warm_up  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "warmed", module)
    monkeypatch.setattr(subprocess, "run", counted.run)
    monkeypatch.setattr(beside, "CACHE_FOLDER", tmp_path)
    monkeypatch.setattr(beside, "READY", set())
    return counted


def compile_in_new_process() -> None:
    beside.READY.clear()
    beside.compile_beside("warmed")


def test_one_process_compiles_and_later_ones_only_load(counted: Counted) -> None:
    """The same process does nothing the second time; machine code answers afterwards, and plain Python meanwhile."""
    compile_in_new_process()
    beside.compile_beside("warmed")
    assert (counted.processes, counted.loads) == (1, 1)
    assert counted.answered_compiled
    assert not any(counted.answered_compiled)
    assert all(function.call is function._compiled for function in LIVE_FUNCTIONS)
    compile_in_new_process()
    assert (counted.processes, counted.loads) == (1, 2)


def test_code_of_another_machine_or_version_is_compiled_again(counted: Counted, tmp_path: Path) -> None:
    """The mark names who compiled."""
    compile_in_new_process()
    (tmp_path / "warmed.compiled").write_text("Python 2.7")
    compile_in_new_process()
    assert counted.processes == 2
    compile_in_new_process()
    assert counted.processes == 2


def test_compiler_that_fails_is_tried_again_by_the_next_process(counted: Counted) -> None:
    """A killed compiler leaves no mark, and this process goes on by itself."""
    counted.returncode = -9
    compile_in_new_process()
    compile_in_new_process()
    assert (counted.processes, counted.loads) == (2, 2)


def test_where_nothing_can_be_kept_no_process_is_started(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another process compiled would be lost."""
    monkeypatch.setattr(beside, "CACHE_FOLDER", None)
    compile_in_new_process()
    assert (counted.processes, counted.loads) == (0, 1)
