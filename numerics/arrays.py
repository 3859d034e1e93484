"""Name the array types that the whole product uses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
"""Whole numbers: row numbers, or times in nanoseconds."""
Flags = NDArray[np.bool_]
Records = NDArray[Any]
"""An array of a structured dtype."""
Record = Any
"""One element of Records; compiled functions read and write its fields by attribute."""


def make_records(dtype: np.dtype[np.void], count: int) -> Records:
    """Return (count,) records of zeros. Several times faster than np.zeros, which looks at every field of the dtype."""
    return np.frombuffer(bytearray(count * dtype.itemsize), dtype)


def join_records(parts: Iterable[Records], dtype: np.dtype[np.void]) -> Records:
    """Return all records of these arrays, (n,), one after the other. Several times faster than np.concatenate."""
    return np.frombuffer(bytearray().join(part.tobytes() for part in parts), dtype)
