"""Serve recordings and endless markets on a loopback WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from functools import partial
from types import TracebackType

from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_web_socket
from websockets.exceptions import ConnectionClosed

from recording.format import RecordedFrame
from recording.opening import NOTHING_SAID, Opening
from recording.playback import Playback, checked_speed
from recording.reader import read

logger = logging.getLogger(__name__)

_CLOSE_S = 0.3


class Server:
    """A loopback WebSocket server on a thread of its own; a context manager whose value is its address.

    stream_to is awaited for every connection and cancelled once that has closed. port 0 takes any free one.
    """

    def __init__(self, stream_to: Callable[[ServerConnection], Awaitable[None]], port: int = 0) -> None:
        self._stream_to = stream_to
        self._port = port
        self._url: Future[str] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._connections: set[ServerConnection] = set()
        self._thread = threading.Thread(target=self._run, name="replay server", daemon=True)

    def start(self) -> str:
        """Start the thread; return the address once it can be connected to.

        Raises OSError or OverflowError if the port cannot be had.
        """
        self._thread.start()
        return self._url.result()

    def close(self) -> None:
        """Ask the server to end, from any thread; return at once."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # closed already
                self._loop.call_soon_threadsafe(self._stop.set)

    def stop(self) -> None:
        """End the server and wait for its thread, a second at most."""
        self.close()
        self._thread.join(1.0)

    def __enter__(self) -> str:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except (OSError, OverflowError) as error:
            if self._url.done():
                raise
            self._url.set_exception(error)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with serve_web_socket(
            self._listen,
            "127.0.0.1",
            self._port,
            origins=[None],  # a web page that guesses the port gets nothing
            compression=None,
            ping_interval=None,
            close_timeout=1.0,
            logger=logger,  # not the library's own, which Streamlit prints
        ) as server:
            _, port = server.sockets[0].getsockname()
            self._url.set_result(f"ws://127.0.0.1:{port}")
            await self._stop.wait()
            server.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await server.wait_closed()
            for connection in self._connections:  # they do not read, so no close frame reaches them
                connection.transport.abort()

    async def _listen(self, connection: ServerConnection) -> None:
        self._connections.add(connection)
        streaming = asyncio.ensure_future(self._stream_to(connection))
        closed = asyncio.ensure_future(connection.wait_closed())
        try:
            await asyncio.wait((streaming, closed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._connections.discard(connection)
            closed.cancel()
            streaming.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
                await streaming


def serve(
    path_or_frames: str | os.PathLike[str] | Iterable[RecordedFrame],
    speed: float = 1.0,
    port: int = 0,
    opening: Opening = NOTHING_SAID,
) -> Server:
    """Play a recording, or any frames, on a ws://127.0.0.1 address, which is the context's value.

    Every connection gets a recording from its first line. Frames that are not in a file have one listener, the newest
    connection, and go on where they are. speed 2 is twice as fast as the recorder's clock; 0 is as fast as the
    listener takes it, and skips nothing. A line without a time follows the one before it at once. opening is what the
    user says of a file.

    Raises OSError, RecordingError for a file that does not begin as a recording, and ValueError for the speed.
    """
    checked_speed(speed)
    if not isinstance(path_or_frames, str | os.PathLike):
        return Server(Playback(iter(path_or_frames), None, speed, playing=True).stream_to, port)
    open_file = partial(read, path_or_frames, opening=opening)
    next(open_file())  # raises here what would else be raised for every connection

    async def stream_from_start(connection: ServerConnection) -> None:
        await Playback(open_file(), None, speed, playing=True).stream_to(connection)

    return Server(stream_from_start, port)
