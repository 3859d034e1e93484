"""The status of a client: its state, its counters, and the errors of its callbacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

ConnectionState = Literal["idle", "connecting", "live", "stale", "reconnecting", "given up", "stopped"]


@dataclass(frozen=True, slots=True)
class Status:
    """What a client does and has done. frames = books + refused + ignored, REST snapshots included."""

    state: ConnectionState
    frames: int  # handed to a feed
    books: int  # valid ones, those passed over included
    refused: int
    ignored: int  # acknowledgements, heartbeats, trades, other symbols
    conflated: int  # books passed over because a newer one, or a newer frame, was already there
    reconnects: int  # connections made after the first
    attempt: int  # tries that failed in a row
    next_try_s: float | None  # None unless a try is being waited for
    age_s: float | None  # since the last book was received; None before the first
    last_error: str | None
    callback_errors: int
    callback_error: str | None  # the last one


class CallbackGuard:
    """Calls that may raise whatever they like: counted, the last one kept, and the feed goes on."""

    def __init__(self) -> None:
        self.errors = 0
        self.last: str | None = None

    def call(self, callback: Callable[..., None], *arguments: object) -> None:
        try:
            callback(*arguments)
        except Exception as error:  # noqa: BLE001 - counted and shown, see above
            self.last = f"{type(error).__name__}: {error}"
            self.errors += 1
