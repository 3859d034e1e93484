"""`profiling.py` beside the standard library's package of the same name, which Python has from 3.15 on (PEP 799)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import PROJECT

IMITATE = """
import sys, sysconfig
library, real = sys.argv[1], sysconfig.get_path
sysconfig.get_path = lambda name, *rest, **more: library if name == "stdlib" else real(name, *rest, **more)
sys.path.insert(1, library)
"""
"""Put a folder in the standard library's place: behind the project on the path, before the real library."""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Return a folder with the parts of Python 3.15's standard library that matter here."""
    tracing = tmp_path / "profiling" / "tracing"
    tracing.mkdir(parents=True)
    (tmp_path / "profiling" / "__init__.py").write_text('"""Profilers."""\n')
    (tracing / "__init__.py").write_text("from ._helpers import NAME\n\nclass Profile:\n    name = NAME\n")
    (tracing / "_helpers.py").write_text("NAME = 'standard'\n")
    (tmp_path / "cProfile.py").write_text("from profiling.tracing import Profile\n")
    return tmp_path


def run_in_project(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run code with the project's folder first on the path, as `streamlit run app.py` has it."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "code",
    [
        "import cProfile; print(cProfile.Profile.name)",
        "import profiling.tracing; print(profiling.tracing.Profile.name)",
        "from profiling import SystemProfiler; from profiling.tracing import Profile; print(Profile.name)",
        "import cProfile; from profiling import SystemProfiler; print(cProfile.Profile.name)",
    ],
)
def test_standard_profilers_are_found_beside_ours(library: Path, code: str) -> None:
    """The standard package's submodules and our own names are imported in any order."""
    done = run_in_project(IMITATE + code, library)
    assert (done.stdout, done.stderr) == ("standard\n", "")


def test_module_is_no_package_where_the_library_has_none(tmp_path: Path) -> None:
    """An older Python knows no submodule of profiling, and says so as before."""
    done = run_in_project(IMITATE + "import profiling; print(hasattr(profiling, '__path__'))", tmp_path)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_this_python_profiles_from_the_project_folder() -> None:
    """With no imitation: cProfile and our own names work together on the Python that runs the tests."""
    done = run_in_project(
        "import cProfile; from profiling import SystemProfiler; print(cProfile.Profile().runcall(len, 'four'))"
    )
    assert (done.stdout, done.stderr) == ("4\n", "")
