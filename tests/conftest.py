"""What several tests share: where the real recordings are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

RECORDINGS = Path(__file__).resolve().parents[2] / "shared" / "recordings"


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real recordings; tests skip where it is absent, and fail where CI has it mounted wrongly."""
    if RECORDINGS.is_dir():
        return RECORDINGS
    if os.environ.get("CI") and RECORDINGS.parent.is_dir():
        pytest.fail(f"{RECORDINGS} is missing although {RECORDINGS.parent} is present")
    pytest.skip(f"real recordings are not here: {RECORDINGS}")
