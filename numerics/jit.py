"""Compile plain functions to machine code with numba, at their first call, and cache the code beside the source."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def jit(function: Function) -> Function:
    """Compile a function to machine code that releases the interpreter's lock while it runs.

    The function may use numbers, arrays, bytes, and the compiled functions and constants of its own file: numba
    compiles again when that file has changed, and watches no other file. Where no folder can be written to for the
    cache, every process compiles for itself.
    """
    return _compile(function, nogil=True)


def jit_holding_gil(function: Function) -> Function:
    """Compile a function to machine code that keeps the interpreter's lock while it runs.

    Use it for what takes some microseconds on a feed's thread: a busy thread that got the lock would return it only
    after 5 ms.
    """
    return _compile(function, nogil=False)


def _compile(function: Function, nogil: bool) -> Function:
    """Compile with a cache on disk, or without one where numba finds no folder that it can write to."""
    try:
        compiled: Function = numba.njit(function, cache=True, nogil=nogil)
    except RuntimeError:  # numba found no folder that it can write to
        compiled = numba.njit(function, cache=False, nogil=nogil)
    return compiled
