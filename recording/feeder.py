"""What a recording needs of the client that brings its frames, and when to try again after that has given up."""

from __future__ import annotations

from typing import Protocol

LOOK_S = 0.25
"""How often a recording looks at its connection."""
UP = frozenset({"live", "stale"})
"""The states of a client whose connection brings books."""
DOWN = frozenset({"connecting", "reconnecting"})
"""The states of a client without a connection, or whose connection has not brought a book yet."""
GONE = frozenset({"given up", "stopped"})
"""The states of a client that tries no more."""
FIRST_RETRY_S = 5.0
LAST_RETRY_S = 60.0
"""How long to wait after a client has given up, or a file could not be made: twice as long each time, up to this."""


class FeederStatus(Protocol):
    """What is needed of a client's status."""

    @property
    def state(self) -> str: ...
    @property
    def books(self) -> int: ...
    @property
    def last_error(self) -> str | None: ...


class Feeder(Protocol):
    """A client that hands its frames to one recorder."""

    @property
    def address(self) -> str: ...
    @property
    def status(self) -> FeederStatus: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


class Retry:
    """When to try again: sooner at first, and later each time in a row that it fails."""

    def __init__(self) -> None:
        self._wait_s = FIRST_RETRY_S
        self.at_s = 0.0

    def fail(self, now_s: float) -> float:
        """Note a failure, and return the seconds until the next try."""
        wait_s = self._wait_s
        self.at_s = now_s + wait_s
        self._wait_s = min(2 * wait_s, LAST_RETRY_S)
        return wait_s

    def succeed(self) -> None:
        """Begin with a short wait again."""
        self._wait_s = FIRST_RETRY_S
