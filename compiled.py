"""Machine code out of plain functions: numba makes it at their first call, and keeps it beside the source."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """The same function as machine code, with the interpreter's lock let go while it runs.

    It may use numbers, arrays, bytes, and the compiled functions and constants of its own file: the code is made
    anew when that file has changed, and no other file is watched. Where nothing can be kept, it is made by every
    process.
    """
    try:
        return _jit(function, cache=True)
    except RuntimeError:  # numba found no folder that it can write to
        return _jit(function, cache=False)


def _jit(function: Function, cache: bool) -> Function:
    made: Function = numba.njit(function, cache=cache, nogil=True)
    return made
