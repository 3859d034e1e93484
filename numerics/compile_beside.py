"""Compile beside a running program, which answers in plain Python until machine code is ready."""

from __future__ import annotations

import importlib
import subprocess
import sys

from numerics.jit import CACHE_FOLDER, LIVE_FUNCTIONS, ROOT


def compile_beside(module: str) -> None:
    """Have plain Python answer, compile in a process of its own, load what it compiled, and have machine code answer.

    module: its warm_up() calls every function that live code needs, and so does the module run as a script. A compiling
    thread would hold up the feeds of this process. Where nothing can be kept on disk, this process compiles itself.
    """
    for function in LIVE_FUNCTIONS:
        function.answer_interpreted()
    try:
        if CACHE_FOLDER is not None:
            command = [sys.executable, "-m", module]
            subprocess.run(command, cwd=ROOT, check=False, stdin=subprocess.DEVNULL, capture_output=True)  # noqa: S603
        importlib.import_module(module).warm_up()
    finally:
        for function in LIVE_FUNCTIONS:
            function.answer_compiled()
