"""A recording as one viewer plays it: served while the page is there, its place kept while it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from feeds import Feed
from recording.replay_engine import ReplayEngine
from recording.scanner import RecordingScanner

_AHEAD = 16
"""Frames on their way at once, so that what is seen is where the player is."""


class Player:
    """The buttons of a recording. `open` gives it an address; before that there is nothing to press.

    It begins playing. Its listener tells what was `read` and `shown`: so a pause takes effect at once; a step, or a
    jump while paused, goes on until a frame brings an order book; and who comes back is shown each book once.
    max_bytes bounds what the file may unpack to.
    """

    _engine: ReplayEngine

    def __init__(self, path: Path, make_feed: Callable[[], Feed], max_bytes: int | None = None) -> None:
        self.path = path
        self.survey = RecordingScanner(path, make_feed, max_bytes)
        self.went_back = False
        """Whether the last jump led back, where the models have to start anew."""
        self._max_bytes = max_bytes
        self._opened = False
        self._seeking_book = False
        self._to_show = False  # the last frame gave a book, which may yet be shown

    @contextmanager
    def open(self) -> Iterator[str]:
        """The address where it is played, for as long as the context lasts; the next one goes on in this one's place.

        Raises OSError, RecordingError for a file that does not begin as a recording.
        """
        with ReplayEngine(self.path, max_bytes=self._max_bytes, survey=False, ahead=_AHEAD) as engine:
            if self._opened:
                engine.resume_from(self._engine)
                self._seeking_book = not engine.playing
            else:
                engine.play()
            self._engine, self._opened, self._to_show = engine, True, False
            yield engine.url

    @property
    def playing(self) -> bool:
        return self._engine.playing

    @property
    def ended(self) -> bool:
        """Whether the last line has been sent."""
        return self._engine.ended

    @property
    def position(self) -> int | None:
        """market_ns of the last line sent; None before the first."""
        return self._engine.position

    @property
    def seek_target(self) -> int | None:
        """market_ns of the place that a jump is on its way to; None if there is none."""
        return self._engine.seek_target

    @property
    def speed(self) -> float:
        """Times the recorder's clock; 0 is as fast as it is taken."""
        return self._engine.speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self._engine.speed = speed

    def play(self) -> None:
        """Goes on; from the beginning again, once the recording has ended."""
        self.went_back = self.ended
        self._seeking_book = False
        self._engine.play()

    def pause(self) -> None:
        self._seeking_book = False
        self._engine.pause()

    def step(self) -> None:
        """Goes on to the next order book, and pauses there."""
        self._seeking_book = True
        self._engine.step()

    def seek(self, market_ns: int) -> None:
        """Goes to that time, and goes on playing if it played."""
        self.went_back = self.position is not None and market_ns <= self.position
        self._seeking_book = not self.playing
        self._engine.seek(market_ns)

    def read(self, gave_book: bool | None) -> None:
        """The listener has read a frame, and it gave a book or not; None: several at once. On the feed's thread."""
        self.shown()  # or will never be: it was no newer than the one before
        if gave_book:
            self._to_show, self._seeking_book = True, False
        else:
            self._engine.acknowledge()
        # What is handled before a jump has arrived was on its way before it.
        if gave_book is False and self._seeking_book and self.seek_target is None:
            self._engine.step()

    def shown(self) -> None:
        """The book of the frame read last has been shown. On the feed's thread."""
        if self._to_show:
            self._to_show = False
            self._engine.acknowledge()
