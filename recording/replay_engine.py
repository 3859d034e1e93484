"""A recording on a loopback address with the buttons of a player."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import partial
from types import TracebackType

from recording.format import RecordedFrame
from recording.playback import Playback, checked_speed
from recording.reader import read
from recording.server import Server


class ReplayEngine:
    """A recording on a loopback address, with the buttons of a player; paused until play() or step().

    Reads a file through first, so that a broken one raises RecordingError here (OSError if it cannot be
    read), and max_bytes bounds what it may unpack to. With survey=False only its first line is looked at:
    span, frames and note stay unknown, and what is broken further on is told to the listener at the end.
    ahead is how many messages may be on their way to a listener that tells of every one it has `handled`.
    An endless run of ticks has every button but seek. All methods may be called from any thread. A
    connection that comes after another goes on where that was.
    """

    def __init__(
        self,
        path_or_ticks: str | os.PathLike[str] | Iterable[RecordedFrame],
        speed: float = 1.0,
        max_bytes: int | None = None,
        *,
        survey: bool = True,
        ahead: int | None = None,
    ) -> None:
        self.span: tuple[int, int] | None = None
        """market_ns of the earliest and the latest line; None where no line has a time."""
        self.frames = 0
        self.note = ""
        self._seekable = isinstance(path_or_ticks, str | os.PathLike)
        if isinstance(path_or_ticks, str | os.PathLike):
            open_ticks = partial(read, path_or_ticks, max_bytes)
            if survey:
                self._survey(open_ticks())
                self._seekable = self.span is not None
            else:
                next(open_ticks())
            self._playback = Playback(open_ticks(), open_ticks, speed, False, ahead)
        else:
            self._playback = Playback(iter(path_or_ticks), None, speed, False, ahead)
        self._server = Server(self._playback.play)
        self.url = self._server.start()

    def _survey(self, ticks: Iterator[RecordedFrame]) -> None:
        for tick in ticks:
            if tick.kind == "torn":
                self.note = tick.message
            elif tick.kind != "meta":
                self.frames += 1
            if tick.market_ns is not None:
                first, last = self.span or (tick.market_ns, tick.market_ns)
                self.span = (min(first, tick.market_ns), max(last, tick.market_ns))

    @property
    def playing(self) -> bool:
        return self._playback.playing

    @property
    def ended(self) -> bool:
        """Whether the last line has been sent."""
        return self._playback.ended

    @property
    def position(self) -> int | None:
        """market_ns of the last line sent; None before the first."""
        return self._playback.position

    @property
    def seek_target(self) -> int | None:
        """market_ns of the place that a jump is on its way to; None if there is none."""
        return self._playback.target

    @property
    def speed(self) -> float:
        """Times the recorder's clock; 0 is as fast as it is taken."""
        return self._playback.speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self._playback.speed = checked_speed(speed)
        self._playback.change()

    def play(self) -> None:
        """Goes on; from the beginning again, once the recording has ended."""
        self._playback.playing = True
        if self._playback.ended:
            self._playback.restart()
        self._playback.change()

    def pause(self) -> None:
        self._playback.playing = False
        self._playback.change()

    def step(self) -> None:
        """One more frame, then pause."""
        self._playback.playing = False
        self._playback.change(steps=1)

    def seek(self, market_ns: int) -> None:
        """Goes to the first line at or after that time; if paused, that line is shown. Raises ValueError
        for a recording without times."""
        if not self._seekable:
            raise ValueError("this recording has no times to go to")
        self._playback.target = market_ns
        self._playback.change()

    def acknowledge(self) -> None:
        """The listener has handled a frame, or a message of several lines. On one thread only."""
        self._playback.handled += 1

    def resume_from(self, before: ReplayEngine) -> None:
        """Takes over the place, the speed and the state of another player of this recording, before anyone listens."""
        mine, other = self._playback, before._playback
        mine.speed, mine.playing = other.speed, other.playing
        mine.position, mine.target, mine.resume_at = other.position, other.target, other.place

    def close(self) -> None:
        """Ends the server; only signals."""
        self._server.close()

    def __enter__(self) -> ReplayEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)
        self._playback.close()
