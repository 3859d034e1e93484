"""Share fixtures: the folder of real recordings, and a check that no test leaves a thread behind."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.loopback import eventually
from tests.support.paths import RECORDINGS

OURS = ("backtest", "feed", "learning", "recorder", "replay")
"""Beginnings of the names of the project's threads, except the one that warms up once for the whole process."""


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Return the folder of real recordings; skip where it is absent, and fail where CI has mounted it wrongly."""
    if RECORDINGS.is_dir():
        return RECORDINGS
    if os.environ.get("CI") and RECORDINGS.parent.is_dir():
        pytest.fail(f"{RECORDINGS} is missing although {RECORDINGS.parent} is present")
    pytest.skip(f"real recordings are not here: {RECORDINGS}")


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Wait until all threads that the project started in a test have ended, so that the next test finds none."""
    before = set(threading.enumerate())
    yield
    eventually(
        lambda: (
            not [thread for thread in threading.enumerate() if thread.name.startswith(OURS) and thread not in before]
        )
    )
