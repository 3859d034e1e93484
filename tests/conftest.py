"""What the tests share: where the real recordings are, and that none leaves a thread behind."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.loopback import eventually
from tests.support.paths import RECORDINGS

OURS = ("backtest", "feed", "learning", "recorder", "replay")
"""What the names of the project's threads begin with, but the one that warms up once for all of the process."""


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real recordings; tests skip where it is absent, and fail where CI has it mounted wrongly."""
    if RECORDINGS.is_dir():
        return RECORDINGS
    if os.environ.get("CI") and RECORDINGS.parent.is_dir():
        pytest.fail(f"{RECORDINGS} is missing although {RECORDINGS.parent} is present")
    pytest.skip(f"real recordings are not here: {RECORDINGS}")


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """All threads that a test has the project start end soon after it; so the next one finds none that is ending."""
    before = set(threading.enumerate())
    yield
    eventually(
        lambda: not [each for each in threading.enumerate() if each.name.startswith(OURS) and each not in before]
    )
