"""Name the array types that the whole product uses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
"""Real numbers."""
Ints = NDArray[np.int64]
"""Whole numbers: row numbers, or times in nanoseconds."""
Flags = NDArray[np.bool_]
"""True or False."""
