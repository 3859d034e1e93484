"""Play recorded frames to one WebSocket listener, at any pace and from any place.

Beside the recording's own lines, the listener gets three marks:

- {"t":"idle"} after a quiet second, so that it does not take a pause or a thin market for a dead connection.
- {"t":"end"} once after the last line; its "data" says what was wrong with a broken recording. The connection stays
  open.
- {"t":"again"} where the recording begins again from its first line.

On the way to another place the listener gets messages of several lines. They bring its feed up to date and are not
shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Callable, Generator, Iterator
from time import monotonic

from websockets.asyncio.server import ServerConnection

from recording.format import RecordedFrame, RecordingError, encode

IDLE_EVERY_S = 1.0
"""A listener gets a message at least this often."""
LONGEST_WAIT_S = 30.0
"""A longer silence between two lines is cut to this."""
CATCH_UP_LIMIT_S = 1.0
"""If playback lags by more than this, resume from the current time instead of catching up."""
_POLL_S = 0.002
"""How often a listener that is behind is looked at again."""
_BATCH_BYTES = 256 * 1024
_YIELD_EVERY_FRAMES = 64
"""After this many frames that were all due, let the loop's other tasks work."""
_SHOWN_KINDS = frozenset({"recv", "http", "book", "change"})


class Playback:
    """The controls, the position and the pace of one recording that is played to one listener.

    Any thread may use the controls: they note what is wanted and wake the server's loop, which alone moves the
    position. The newest connection is the listener, and an older one ends. A new listener goes on where the last one
    was.

    Args:
        frames: What is played.
        reopen: Returns the frames from the first one on; None if they cannot be had again.
        speed: Times the recorder's clock; 0 is as fast as the listener takes it. Raises ValueError if it is no speed.
        playing: Whether it begins playing, or paused.
        ahead: How many messages may be on their way to a listener that acknowledges each; None if it does not.
    """

    def __init__(
        self,
        frames: Iterator[RecordedFrame],
        reopen: Callable[[], Iterator[RecordedFrame]] | None,
        speed: float = 1.0,
        playing: bool = False,
        ahead: int | None = None,
    ) -> None:
        self.playing = playing
        self.ended = False
        """Whether the last line has been sent."""
        self.position: int | None = None
        """market_ns of the last line sent; None before the first."""
        self.seek_target: int | None = None
        """market_ns of the place that a jump is on its way to; None if there is none, 0 for the very beginning."""
        self._speed = checked_speed(speed)
        self._is_seekable = reopen is not None
        self._frames = frames
        self._reopen = reopen
        self._must_reopen = False  # the next jump starts at the beginning
        self._next_frame: RecordedFrame | None = None
        self._n_passed = 0  # frames since the beginning
        self._resume_at: int | None = None  # a new listener's feed is brought up to date with this many frames
        self._steps = 0  # frames still to be shown while paused
        self._error = ""
        self._pace_anchor: tuple[float, int] | None = None  # when the last line was due, and its market_ns
        self._listener: ServerConnection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._last_sent_s = 0.0
        self._max_ahead = math.inf if ahead is None else ahead
        self._n_sent = 0  # shown frames, and messages of several lines
        self._n_acknowledged = 0  # of those sent; written by the listener's thread alone
        self._in_flight: deque[tuple[int, int]] = deque()  # of a shown frame: _n_sent and _n_passed before it

    @property
    def speed(self) -> float:
        """Times the recorder's clock; 0 is as fast as the listener takes it."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self._speed = checked_speed(speed)
        self._wake()

    def play(self) -> None:
        """Go on; from the beginning again once the recording has ended."""
        self.playing = True
        if self.ended and self._reopen is not None:
            self._must_reopen = True
            self.seek_target = 0
        self._wake()

    def pause(self) -> None:
        """Stop before the next line."""
        self.playing = False
        self._wake()

    def step(self) -> None:
        """Play one more frame, then pause."""
        self.playing = False
        self._wake(steps=1)

    def seek(self, market_ns: int) -> None:
        """Go to the first line at or after that time; if paused, show that line.

        Raises ValueError for a recording without times.
        """
        if not self._is_seekable:
            raise ValueError("this recording has no times to go to")
        self.seek_target = market_ns
        self._wake()

    def acknowledge(self) -> None:
        """Count one frame, or one message of several lines, as handled. The listener calls this, on one thread only."""
        self._n_acknowledged += 1

    async def stream_to(self, connection: ServerConnection) -> None:
        """Play to this connection until it closes or a newer one comes."""
        self._loop = asyncio.get_running_loop()
        self._listener = connection
        self._apply_change()
        if self._reopen is not None:
            # The last listener has had this much, and the new one's feed knows nothing of it.
            self._resume_at = self._place
            self._must_reopen = self._must_reopen or self._n_passed > 0
        self.ended = False
        self._last_sent_s = monotonic()
        self._n_sent = self._n_acknowledged
        self._in_flight.clear()
        n_streamed = 0
        while self._listener is connection:
            if self.seek_target is not None or self._resume_at is not None:
                await self._jump(connection, self.seek_target)
                continue
            frame = self._peek()
            if frame is None and not self.ended:
                self.ended = True
                await self._send(connection, encode(RecordedFrame("end", None, self._error)))
            wait_s = math.inf if frame is None else self._due_in_s(frame)
            if frame is None or wait_s > 0:
                await self._rest(connection, wait_s)
                continue
            if not await self._has_room(connection):
                continue
            if frame.kind in _SHOWN_KINDS:
                self._steps = max(0, self._steps - 1)
                self._record_in_flight()
                self._n_sent += 1
            self._pass(frame)
            await self._send(connection, encode(frame))
            n_streamed += 1
            if n_streamed % _YIELD_EVERY_FRAMES == 0:
                await asyncio.sleep(0)

    def _suspend(self) -> None:
        """Close the file and keep the place for the next listener. Call this once the server's loop has ended."""
        self._resume_at = self._place
        self._close_file()
        if self._reopen is not None:
            self._frames = self._reopen()
            self._next_frame = None
            self._n_passed = 0
            self._must_reopen = False
        self.ended = False
        self._error = ""
        self._steps = 0
        self._in_flight.clear()
        self._listener = None
        self._loop = None
        self._changed = asyncio.Event()  # the next server has a loop of its own

    def _close_file(self) -> None:
        if isinstance(self._frames, Generator):
            with contextlib.suppress(ValueError):  # it is still being read for a listener that does not end
                self._frames.close()

    @property
    def _place(self) -> int | None:
        """Frames up to the first one that the listener has not handled, where the next listener goes on.

        All that were sent if the listener does not acknowledge; None before the first.
        """
        if self._resume_at is not None or not self._n_passed:
            return self._resume_at
        unhandled = (n_passed for n_sent, n_passed in self._in_flight.copy() if n_sent >= self._n_acknowledged)
        return next(unhandled, self._n_passed)

    def _wake(self, steps: int = 0) -> None:
        """Have the listener's loop act on what was changed, and show this many frames more."""
        if self._loop is None:
            self._steps += steps
            return
        with contextlib.suppress(RuntimeError):  # a loop that has closed has no listener
            self._loop.call_soon_threadsafe(self._apply_change, steps)

    def _apply_change(self, steps: int = 0) -> None:
        self._steps += steps
        self._pace_anchor = None
        self._changed.set()

    def _peek(self) -> RecordedFrame | None:
        """Return the next frame, which stays the next one until it has passed; None at the end."""
        if self._next_frame is None:
            try:
                self._next_frame = next(self._frames, None)
            except (RecordingError, OSError) as error:
                self._error = str(error)
        return self._next_frame

    def _pass(self, frame: RecordedFrame) -> None:
        """Move the position behind this frame."""
        self._next_frame = None
        self._n_passed += 1
        # While a new listener is brought up to date, the position is still where the last one was.
        if frame.market_ns is not None and self._resume_at is None:
            self.position = frame.market_ns

    def _record_in_flight(self) -> None:
        """Remember where the next frame stands until it is acknowledged."""
        if self._max_ahead == math.inf:
            return
        while self._in_flight and self._in_flight[0][0] < self._n_acknowledged:
            self._in_flight.popleft()
        self._in_flight.append((self._n_sent, self._n_passed))

    def _due_in_s(self, frame: RecordedFrame) -> float:
        """Return the seconds until this frame is due; infinite while paused. A frame without a time is due at once."""
        if not self.playing and not self._steps:
            return math.inf
        if self._steps or self._speed == 0 or frame.market_ns is None:
            return 0.0
        now_s = monotonic()
        if self._pace_anchor is None:
            self._pace_anchor = (now_s, frame.market_ns)
        due_s, anchor_ns = self._pace_anchor
        due_s += min(max(frame.market_ns - anchor_ns, 0) / 1e9 / self._speed, LONGEST_WAIT_S)
        if due_s > now_s:
            return due_s - now_s
        self._pace_anchor = (due_s if now_s - due_s < CATCH_UP_LIMIT_S else now_s, frame.market_ns)
        return 0.0

    async def _has_room(self, connection: ServerConnection) -> bool:
        """Return whether the listener may be sent more; if it is behind, wait a moment first."""
        if self._n_sent - self._n_acknowledged < self._max_ahead:
            return True
        await asyncio.sleep(_POLL_S)
        if monotonic() - self._last_sent_s >= IDLE_EVERY_S:
            await self._send(connection, encode(RecordedFrame("idle", None)))
            return True
        return False

    async def _rest(self, connection: ServerConnection, wait_s: float) -> None:
        """Wait this long, or until a control is used; send a sign of life if one is due."""
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(wait_s, max(self._last_sent_s + IDLE_EVERY_S - monotonic(), 0.0))):
                await self._changed.wait()
        if monotonic() - self._last_sent_s >= IDLE_EVERY_S:
            await self._send(connection, encode(RecordedFrame("idle", None)))

    async def _jump(self, connection: ServerConnection, target: int | None) -> None:
        """Take the listener's feed to the first frame at or after target; stop early if another target is set.

        0 is the very beginning, which a recording without times has too. None is the place where the last listener was.
        """
        batch: list[bytes] = []
        n_bytes = 0
        goes_back = False
        if target is not None:
            goes_back = self.position is not None and target <= self.position
            self._resume_at = None
        if self._reopen is not None and (self._must_reopen or goes_back):
            self._frames = self._reopen()
            self._next_frame = None
            self._n_passed = 0
            self._must_reopen = False
            batch.append(encode(RecordedFrame("again", None)))
        self._in_flight.clear()  # what was on its way before a jump is no place to come back to
        self.ended = False
        self._error = ""
        self._steps = 0
        while (frame := self._peek()) and self._is_before(frame, target):
            self._pass(frame)
            batch.append(encode(frame))
            n_bytes += len(batch[-1])
            if n_bytes > _BATCH_BYTES:
                await self._send_batch(connection, batch)
                batch = []
                n_bytes = 0
                await asyncio.sleep(0)
                while not await self._has_room(connection):
                    pass
                if self.seek_target != target or self._listener is not connection:
                    return
        if batch:
            await self._send_batch(connection, batch)
        if self.seek_target == target:
            self.seek_target = None
            self._resume_at = None
        self._pace_anchor = None
        if not self.playing:
            self._steps = 1

    def _is_before(self, frame: RecordedFrame, target: int | None) -> bool:
        if target is None:
            return self._resume_at is not None and self._n_passed < self._resume_at
        return target > 0 and (frame.market_ns is None or frame.market_ns < target)

    async def _send_batch(self, connection: ServerConnection, lines: list[bytes]) -> None:
        self._n_sent += 1
        await self._send(connection, b"\n".join(lines) + b"\n")

    async def _send(self, connection: ServerConnection, line: bytes) -> None:
        await connection.send(line, text=True)
        self._last_sent_s = monotonic()


def checked_speed(speed: float) -> float:
    """Return the speed if it is 0 or positive, and finite. Raises ValueError."""
    if not 0 <= speed < math.inf:
        raise ValueError(f"speed must be 0 or more, and finite: {speed}")
    return speed
