"""Compile beside a running program, which answers in plain Python until machine code is ready."""

from __future__ import annotations

import importlib
import subprocess
import sys

import numba
from llvmlite import binding  # type: ignore[import-untyped]

from numerics.jit import CACHE_FOLDER, LIVE_FUNCTIONS, ROOT

READY: set[str] = set()
"""Modules whose machine code this process has loaded."""


def compile_beside(module: str) -> None:
    """Have plain Python answer, compile in a process of its own, load what it compiled, and have machine code answer.

    module: its warm_up() calls every function that live code needs, and so does the module run as a script. A compiling
    thread would hold up the feeds of this process. A later process finds a mark beside the kept code, and only loads
    it. Where nothing can be kept on disk, this process compiles itself. Safe to call more than once.
    """
    if module in READY:
        return
    for function in LIVE_FUNCTIONS:
        function.answer_interpreted()
    try:
        _compile_elsewhere(module)
        importlib.import_module(module).warm_up()
        READY.add(module)
    finally:
        for function in LIVE_FUNCTIONS:
            function.answer_compiled()


def _compile_elsewhere(module: str) -> None:
    """Run the module as a script, unless one like this has done so with these sources before."""
    if CACHE_FOLDER is None:
        return
    mark = CACHE_FOLDER / f"{module}.compiled"
    by = f"Python {sys.version}, numba {numba.__version__}, {binding.get_host_cpu_name()}"
    if mark.is_file() and mark.read_text() == by:
        return
    command = [sys.executable, "-m", module]
    done = subprocess.run(command, cwd=ROOT, check=False, stdin=subprocess.DEVNULL, capture_output=True)  # noqa: S603
    if done.returncode == 0:
        mark.write_text(by)
