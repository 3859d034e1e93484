"""Playback for one viewer: served while the page is there, with its place kept while it is not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from feeds import Feed
from recording.opening import NOTHING_SAID, Opening
from recording.playback import Playback
from recording.reader import read
from recording.scanner import RecordingScanner
from recording.server import Server

_AHEAD = 16
"""Messages on their way at once: few, so that what is seen is where the player is."""


class Player(Playback):
    """Playback controls for one viewer. It begins playing, at the address that `open` gives.

    The viewer acknowledges every frame it has read, and every book it has shown. So a pause takes effect at once; a
    step, or a jump while paused, goes on until a frame brings an order book; and a viewer that comes back is shown
    each book once. max_bytes bounds what the file may unpack to; opening is what the user says of it.
    """

    def __init__(
        self,
        path: Path,
        make_feed: Callable[[], Feed],
        max_bytes: int | None = None,
        opening: Opening = NOTHING_SAID,
    ) -> None:
        self._open_file = partial(read, path, max_bytes, opening=opening)
        super().__init__(self._open_file(), self._open_file, playing=True, ahead=_AHEAD)
        self.path = path
        self.survey = RecordingScanner(path, make_feed, max_bytes, opening)
        self.rewound = False
        """Whether the last jump led back, where the models have to start anew."""
        self._is_seeking_book = False
        self._has_unshown_book = False  # the last frame gave a book, which may yet be shown
        self._server: Server | None = None
        self._switching = threading.Lock()  # over the server: a page may come back before its last feed has ended

    @contextmanager
    def open(self) -> Iterator[str]:
        """Serve the recording while the context lasts; yield the address. The next context goes on in the same place.

        Raises OSError, RecordingError for a file that does not begin as a recording.
        """
        if self._server is not None:
            self._stop(self._server)
        next(self._open_file())
        self._is_seeking_book = not self.playing
        self._has_unshown_book = False
        server = self._server = Server(self.stream_to)
        try:
            yield server.start()
        finally:
            self._stop(server)

    def play(self) -> None:
        """Go on; from the beginning again once the recording has ended."""
        self.rewound = self.ended
        self._is_seeking_book = False
        super().play()

    def pause(self) -> None:
        """Stop before the next line."""
        self._is_seeking_book = False
        super().pause()

    def step(self) -> None:
        """Go on to the next order book, and pause there."""
        self._is_seeking_book = True
        super().step()

    def seek(self, market_ns: int) -> None:
        """Go to that time; go on playing if it played, and to the next order book if it was paused."""
        self.rewound = self.position is not None and market_ns <= self.position
        self._is_seeking_book = not self.playing
        super().seek(market_ns)

    def acknowledge_read(self, gave_book: bool | None) -> None:
        """Count a message that was read and say whether it gave a book; None: it had several lines.

        Call this on the feed's thread.
        """
        self.acknowledge_shown()  # a book that is not shown by now never will be: it was no newer than the one before
        if gave_book:
            self._is_seeking_book = False
            self._has_unshown_book = True
        else:
            self.acknowledge()
        # A frame that is handled before a jump has arrived was on its way before the jump.
        if gave_book is False and self._is_seeking_book and self.seek_target is None:
            super().step()

    def acknowledge_shown(self) -> None:
        """Count the frame read last as handled, now that its book has been shown. Call this on the feed's thread."""
        if self._has_unshown_book:
            self._has_unshown_book = False
            self.acknowledge()

    def _stop(self, server: Server) -> None:
        """End this server, unless that is done, and keep the place for the next one."""
        with self._switching:
            if server is self._server:
                server.stop()
                self._suspend()
                self._server = None
