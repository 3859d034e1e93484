"""A recording on a loopback address, with the controls of a player."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import partial
from types import TracebackType

from recording.format import RecordedFrame
from recording.playback import Playback
from recording.reader import read
from recording.server import Server


class ReplayEngine(Playback):
    """A recording, or an endless market, served on a loopback address; paused until play() or step().

    It reads a file through first, so that it raises RecordingError here for a broken file, and OSError for one that
    cannot be read. An endless market has every control but seek. A connection that comes after another goes on where
    that one was.

    Args:
        path_or_frames: A file, or frames to play once.
        speed: Times the recorder's clock; 0 is as fast as the listener takes it.
        max_bytes: The most that the file may unpack to; None for no bound.
        survey: False to look at the first line only. Then span, frames and note stay unknown, and the listener is
            told at the end what is broken further on.
        ahead: How many messages may be on their way to a listener that calls acknowledge() for each; None if it does
            not.
    """

    def __init__(
        self,
        path_or_frames: str | os.PathLike[str] | Iterable[RecordedFrame],
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
        """Where the file was cut off; empty if it is whole."""
        if isinstance(path_or_frames, str | os.PathLike):
            reopen = partial(read, path_or_frames, max_bytes)
            super().__init__(reopen(), reopen, speed, ahead=ahead)
            if survey:
                self._survey(reopen())
                self._is_seekable = self.span is not None
            else:
                next(reopen())
        else:
            super().__init__(iter(path_or_frames), None, speed, ahead=ahead)
        self._server = Server(self.stream_to)
        self.url = self._server.start()

    def close(self) -> None:
        """Ask the server to end; returns at once."""
        self._server.close()

    def __enter__(self) -> ReplayEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        self._close_file()

    def _survey(self, frames: Iterator[RecordedFrame]) -> None:
        """Find the span, the number of frames and the note."""
        for frame in frames:
            if frame.kind == "torn":
                self.note = frame.message
            elif frame.kind != "meta":
                self.frames += 1
            if frame.market_ns is not None:
                first_ns, last_ns = self.span or (frame.market_ns, frame.market_ns)
                self.span = (min(first_ns, frame.market_ns), max(last_ns, frame.market_ns))
