"""Compile plain functions to machine code with numba, and keep the code between runs.

A compiled function may use numbers, arrays, bytes, records, and constants and compiled functions of any file. numba
itself notices a change of the function's own file only, so the code is kept in a folder that is named by a digest of
all sources that may hold compiled functions or their constants: changed sources never meet old code. A copy of the
project that brings the folder along compiles nothing again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any, Generic, TypeVar

import numba
import numpy as np
from numba.core import config

Function = TypeVar("Function", bound=Callable[..., Any])

ROOT = Path(__file__).resolve().parent.parent
COMPILED_SOURCES = ("numerics", "orderbook", "feeds/fast_parser.py", "estimation")
"""Folders and files where compiled functions and the constants they use may stand."""

KEPT_FOLDERS = 3
"""Folders of earlier sources that stay beside the one in use, for a checkout that goes back and forth."""


def sources_digest(root: Path = ROOT) -> str:
    """Return a digest of every source that may hold a compiled function or a constant of one."""
    digest = hashlib.sha256()
    for source in COMPILED_SOURCES:
        for path in (root / source, *sorted((root / source).rglob("*.py"))):
            if path.is_file():
                digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:20]


def open_cache_folder(digest: str) -> Path | None:
    """Make the folder for machine code of these sources; None where none can be written to.

    It lies beside this file, or in NUMBA_CACHE_DIR where that is set.
    """
    home = Path(os.environ.get("NUMBA_CACHE_DIR") or Path(__file__).parent / "__pycache__")
    folder = home / f"jit-{digest}"
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            earlier = sorted(home.glob("jit-*"), key=lambda path: path.stat().st_mtime, reverse=True)
            for old in earlier[1 + KEPT_FOLDERS :]:
                shutil.rmtree(old, ignore_errors=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None


CACHE_FOLDER = open_cache_folder(sources_digest())
if CACHE_FOLDER is not None:
    config.CACHE_LOCATOR_CLASSES = f"{__name__}.CodeLocator"  # type: ignore[attr-defined] # read by numba.njit


class CodeLocator:
    """Tells numba where a function's machine code is kept: by the place of its file in the project."""

    def __init__(self, function: FunctionType, file: str) -> None:
        self._line = function.__code__.co_firstlineno
        self._file = Path(file)
        place = os.path.relpath(self._file.with_suffix(""), ROOT).replace(os.sep, "-")
        self._folder = Path(CACHE_FOLDER or "") / place

    @classmethod
    def from_function(cls, function: FunctionType, file: str) -> CodeLocator | None:
        """Return the locator of a function; None where its folder cannot be made."""
        locator = cls(function, file)
        try:
            locator.ensure_cache_path()
        except OSError:
            return None
        return locator

    def ensure_cache_path(self) -> None:
        """Make the folder. Raises OSError."""
        self._folder.mkdir(exist_ok=True)

    def get_cache_path(self) -> str:
        """Return the folder."""
        return str(self._folder)

    def get_source_stamp(self) -> bytes:
        """Return a digest of the file: code of another one is not used."""
        return hashlib.sha256(self._file.read_bytes()).digest()

    def get_disambiguator(self) -> str:
        """Return what tells functions of one name apart."""
        return str(self._line)


def jit(function: Function) -> Function:
    """Return the function as machine code that releases the interpreter's lock while it runs.

    Where nothing can be kept on disk, every process compiles it anew.
    """
    return _compile(function, nogil=True)


def jit_holding_gil(function: Function) -> Function:
    """Return the function as machine code that keeps the interpreter's lock.

    For functions that take microseconds on a feed's thread: a busy thread that gets the lock gives it back after 5 ms.
    """
    return _compile(function, nogil=False)


def _compile(function: Function, nogil: bool) -> Function:
    compiled: Function = numba.njit(function, cache=CACHE_FOLDER is not None, nogil=nogil, error_model="numpy")
    return compiled


_INTERPRETED: dict[int, FunctionType] = {}


def interpreted(function: Function) -> Function:
    """Return a compiled function as plain Python, which calls its compiled callees as plain Python, too."""
    compiled: Any = function
    plain = _INTERPRETED.get(id(compiled))
    if plain is None:
        source = compiled.py_func
        names: dict[str, Any] = dict(source.__globals__)
        plain = FunctionType(source.__code__, names, source.__name__, source.__defaults__)
        _INTERPRETED[id(compiled)] = plain
        for name in source.__code__.co_names:
            if hasattr(names.get(name), "py_func"):
                names[name] = interpreted(names[name])
    return plain  # type: ignore[return-value]


class LiveFunction(Generic[Function]):
    """A compiled function of which live code uses `call`; plain Python answers there until machine code is ready.

    Compiling takes seconds at the very first start, which no running feed should wait for.
    """

    __slots__ = ("_compiled", "_stand_in", "call")

    def __init__(self, compiled: Function, stand_in: Function | None = None) -> None:
        self._compiled = compiled
        self._stand_in = stand_in
        self.call = compiled
        LIVE_FUNCTIONS.append(self)

    def answer_compiled(self) -> None:
        """Let machine code answer, which is the rule."""
        self.call = self._compiled

    def answer_interpreted(self) -> None:
        """Let the stand-in answer, or the same function as plain Python."""
        if self._stand_in is not None:
            self.call = self._stand_in
            return
        plain: Any = interpreted(self._compiled)

        def answer(*arguments: Any) -> Any:
            return plain(*[_with_attributes(argument) for argument in arguments])

        self.call = answer  # type: ignore[assignment]


LIVE_FUNCTIONS: list[LiveFunction[Any]] = []
"""Every one that was made."""


def _with_attributes(argument: Any) -> Any:
    """Return an array of records as one whose records have attributes in plain Python, too; anything else as it is."""
    is_records = isinstance(argument, np.ndarray) and argument.dtype.names is not None
    return argument.view(np.recarray) if is_records else argument


def live(function: Function, stand_in: Function | None = None) -> LiveFunction[Function]:
    """Return a compiled function for live code. stand_in: a faster plain function that may answer instead."""
    return LiveFunction(function, stand_in)
