"""Machine code out of plain functions: numba makes it at their first call, and keeps it beside the source."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def jit(function: Function) -> Function:
    """The same function as machine code, with the interpreter's lock let go while it runs.

    It may use numbers, arrays, bytes, and the compiled functions and constants of its own file: the code is made
    anew when that file has changed, and no other file is watched. Where nothing can be kept, it is made by every
    process.
    """
    return _compile(function, nogil=True)


def jit_holding_gil(function: Function) -> Function:
    """The same for what takes some microseconds on a feed's thread: the lock is kept, because a busy thread that gets
    it gives it back after 5 ms."""
    return _compile(function, nogil=False)


def _compile(function: Function, nogil: bool) -> Function:
    try:
        made: Function = numba.njit(function, cache=True, nogil=nogil)
    except RuntimeError:  # numba found no folder that it can write to
        made = numba.njit(function, cache=False, nogil=nogil)
    return made
