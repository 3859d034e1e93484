"""Recordings and endless markets played on a loopback WebSocket, in the envelope, at any pace.

Beside a recording's own lines, a listener gets: {"t":"idle"} after a quiet second, so that a pause or a
thin market is not taken for a dead line; {"t":"end"} once after the last line (its "data" says what was
wrong with a broken recording), after which the connection stays open; and, on the way to another place,
messages of several lines: those bring a feed up to date and are not shown, and {"t":"again"} in them
says that the run begins from its first line.
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
"""A listener hears something at least so often."""
LONGEST_WAIT_S = 30.0
"""A longer silence between two lines is cut to this."""
CATCH_UP_LIMIT_S = 1.0
"""Who falls further behind than this goes on from here instead of catching up."""
_MOMENT_S = 0.002
_BATCH = 256 * 1024
_SHOWN = frozenset({"recv", "http", "book"})


class Playback:
    """One way through a run of ticks: where it is, how fast it goes, and what the listener still has to get.

    Belongs to the server's loop; only `change` may be called from elsewhere. The newest connection is the
    listener, and an older one ends. open_ticks begins the run again; None if that cannot be done. ahead is
    how many messages may be on their way to a listener that counts what it has `handled`.
    """

    def __init__(
        self,
        ticks: Iterator[RecordedFrame],
        open_ticks: Callable[[], Iterator[RecordedFrame]] | None,
        speed: float,
        playing: bool,
        ahead: int | None = None,
    ) -> None:
        self._ticks = ticks
        self._open_ticks = open_ticks
        self._ahead: RecordedFrame | None = None
        self._listener: ServerConnection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._again = False  # the next jump starts at the beginning
        self.lines = 0
        """Ticks passed since the beginning."""
        self.resume_at: int | None = None
        """So many of them bring a new listener's feed up to date, before the next is shown."""
        self._anchor: tuple[float, int] | None = None  # when the last line was due, and its market_ns
        self._said = 0.0
        self._most_ahead = math.inf if ahead is None else ahead
        self._sent = 0  # frames, and messages of several lines
        self._on_their_way: deque[tuple[int, int]] = deque()  # frames: how many were sent before, and lines
        self.handled = 0
        """How many of those sent the listener has handled; written by the listener alone."""
        self.speed = checked_speed(speed)
        self.playing = playing
        self.steps = 0
        self.target: int | None = None
        self.position: int | None = None
        self.ended = False
        self.error = ""

    @property
    def place(self) -> int | None:
        """Ticks up to the first frame that the listener has not handled, where the next one goes on; all, if it
        does not count. None before the first."""
        if self.resume_at is not None or not self.lines:
            return self.resume_at
        not_handled = (lines for sent, lines in self._on_their_way.copy() if sent >= self.handled)
        return next(not_handled, self.lines)

    def close(self) -> None:
        """Lets go of the recording's file, once nobody is played to any more."""
        if isinstance(self._ticks, Generator):
            with contextlib.suppress(ValueError):  # a listener that does not end is still being read for
                self._ticks.close()

    def change(self, steps: int = 0) -> None:
        """Has the listener's loop look again at speed, playing and target, and go so many steps more."""
        if self._loop is None:
            self.steps += steps
            return
        with contextlib.suppress(RuntimeError):  # a loop that has closed has no listener
            self._loop.call_soon_threadsafe(self._look_again, steps)

    def restart(self) -> None:
        """Begins the run again, if that can be done."""
        if self._open_ticks is not None:
            self._again, self.target = True, 0
            self.change()

    def _look_again(self, steps: int = 0) -> None:
        self.steps += steps
        self._anchor = None
        self._changed.set()

    async def play(self, connection: ServerConnection) -> None:
        """Plays to this connection until it closes or a newer one comes."""
        self._loop = asyncio.get_running_loop()
        self._listener = connection
        self._look_again()
        if self._open_ticks:
            # The last listener has heard this much, and the new one's feed knows nothing of it.
            self.resume_at = self.place
            self._again = self._again or self.lines > 0
        self.ended = False
        self._said = monotonic()
        self._sent = self.handled
        self._on_their_way.clear()
        turns = 0
        while self._listener is connection:
            if self.target is not None or self.resume_at is not None:
                await self._jump(connection, self.target)
                continue
            tick = self._next()
            if tick is None and not self.ended:
                self.ended = True
                await self._say(connection, encode(RecordedFrame("end", None, self.error)))
            wait_s = math.inf if tick is None else self._wait_s(tick)
            if tick is None or wait_s > 0:
                await self._rest(connection, wait_s)
                continue
            if not await self._heard(connection):
                continue
            if tick.kind in _SHOWN:
                self.steps = max(0, self.steps - 1)
                self._note_on_its_way()
                self._sent += 1
            self._passed(tick)
            await self._say(connection, encode(tick))
            turns += 1
            if turns % 64 == 0:
                await asyncio.sleep(0)

    def _next(self) -> RecordedFrame | None:
        """The tick that comes next, which stays next until it has passed; None at the end."""
        if self._ahead is None:
            try:
                self._ahead = next(self._ticks, None)
            except (RecordingError, OSError) as error:
                self.error = str(error)
        return self._ahead

    def _passed(self, tick: RecordedFrame) -> None:
        self._ahead = None
        self.lines += 1
        if tick.market_ns is not None and self.resume_at is None:
            self.position = tick.market_ns

    def _note_on_its_way(self) -> None:
        """Remembers where the next frame stands, until it is handled."""
        if self._most_ahead == math.inf:
            return
        while self._on_their_way and self._on_their_way[0][0] < self.handled:
            self._on_their_way.popleft()
        self._on_their_way.append((self._sent, self.lines))

    def _wait_s(self, tick: RecordedFrame) -> float:
        """Seconds until this tick is due; infinite while paused. A tick without a time follows at once."""
        if not self.playing and not self.steps:
            return math.inf
        if self.steps or self.speed == 0 or tick.market_ns is None:
            return 0.0
        now = monotonic()
        if self._anchor is None:
            self._anchor = (now, tick.market_ns)
        due, since = self._anchor
        due += min(max(tick.market_ns - since, 0) / 1e9 / self.speed, LONGEST_WAIT_S)
        if due > now:
            return due - now
        self._anchor = (due if now - due < CATCH_UP_LIMIT_S else now, tick.market_ns)
        return 0.0

    async def _heard(self, connection: ServerConnection) -> bool:
        """Whether the listener has handled enough of what it was sent; if not, it had a moment more."""
        if self._sent - self.handled < self._most_ahead:
            return True
        await asyncio.sleep(_MOMENT_S)
        if monotonic() - self._said >= IDLE_EVERY_S:
            await self._say(connection, encode(RecordedFrame("idle", None)))
            return True
        return False

    async def _rest(self, connection: ServerConnection, wait_s: float) -> None:
        """Waits so long, or until something changes; says that the line is alive."""
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(wait_s, max(self._said + IDLE_EVERY_S - monotonic(), 0.0))):
                await self._changed.wait()
        if monotonic() - self._said >= IDLE_EVERY_S:
            await self._say(connection, encode(RecordedFrame("idle", None)))

    async def _jump(self, connection: ServerConnection, target: int | None) -> None:
        """Takes the listener's feed to the first tick at or after target, unless another target is set. 0 is the
        very beginning, which a recording without times has too; None is the place where the last listener was."""
        batch: list[bytes] = []
        size = 0
        back = False
        if target is not None:
            back = self.position is not None and target <= self.position
            self.resume_at = None
        if self._open_ticks and (self._again or back):
            self._ticks, self._ahead, self.lines, self._again = self._open_ticks(), None, 0, False
            batch.append(encode(RecordedFrame("again", None)))
        self._on_their_way.clear()  # what was on its way before a jump is no place to come back to
        self.ended, self.error, self.steps = False, "", 0
        while (tick := self._next()) and self._is_before(tick, target):
            self._passed(tick)
            batch.append(encode(tick))
            size += len(batch[-1])
            if size > _BATCH:
                await self._say_several(connection, batch)
                batch, size = [], 0
                await asyncio.sleep(0)
                while not await self._heard(connection):
                    pass
                if self.target != target or self._listener is not connection:
                    return
        if batch:
            await self._say_several(connection, batch)
        if self.target == target:
            self.target = self.resume_at = None
        self._anchor = None
        if not self.playing:
            self.steps = 1

    def _is_before(self, tick: RecordedFrame, target: int | None) -> bool:
        if target is None:
            return self.resume_at is not None and self.lines < self.resume_at
        return target > 0 and (tick.market_ns is None or tick.market_ns < target)

    async def _say_several(self, connection: ServerConnection, lines: list[bytes]) -> None:
        self._sent += 1
        await self._say(connection, b"\n".join(lines) + b"\n")

    async def _say(self, connection: ServerConnection, line: bytes) -> None:
        await connection.send(line, text=True)
        self._said = monotonic()


def checked_speed(speed: float) -> float:
    """The speed, if it is one: 0 or positive and finite. Raises ValueError."""
    if not 0 <= speed < math.inf:
        raise ValueError(f"speed must be 0 or more, and finite: {speed}")
    return speed
