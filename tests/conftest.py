"""Share fixtures: real recordings, a compiled product, and a check that no test leaves a thread behind."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backtesting.cache_folder import FOLDER_VARIABLE
from estimation.warm_up import warm_up
from feeds import fast_parser
from tests.support.loopback import eventually
from tests.support.paths import RECORDINGS

OURS = ("backtest", "daily volume", "feed", "recorder", "replay")
"""Beginnings of the names of the project's threads, except those that serve the whole process: warm-up and fits."""


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Return the folder of real recordings; skip where it is absent, and fail where CI has mounted it wrongly."""
    if RECORDINGS.is_dir():
        return RECORDINGS
    if os.environ.get("CI") and RECORDINGS.parent.is_dir():
        pytest.fail(f"{RECORDINGS} is missing although {RECORDINGS.parent} is present")
    pytest.skip(f"real recordings are not here: {RECORDINGS}")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests' parsed books, and those of the processes that they start, out of the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    """Compile what a feed's first books would, so that no test that waits for a book waits for the compiler."""
    fast_parser.warm_up()
    warm_up()


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
