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
from recording.playback import Playback, checked_speed
from recording.reader import read

logger = logging.getLogger(__name__)

_CLOSE_S = 0.3


class Server:
    """A loopback WebSocket server in a thread of its own; a context manager whose value is its address.

    close() only signals, from any thread; leaving the context also waits for the thread, a second at most.
    """

    def __init__(self, play: Callable[[ServerConnection], Awaitable[None]], port: int = 0) -> None:
        self._play = play
        self._port = port
        self._url: Future[str] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._connections: set[ServerConnection] = set()
        self._thread = threading.Thread(target=self._run, name="replay server", daemon=True)

    def start(self) -> str:
        """The address, once it can be connected to. Raises OSError or OverflowError if the port cannot be had."""
        self._thread.start()
        return self._url.result()

    def close(self) -> None:
        """Ask the server to end; returns at once."""
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
            for connection in self._connections:  # that do not read, so no goodbye reaches them
                connection.transport.abort()

    async def _listen(self, connection: ServerConnection) -> None:
        self._connections.add(connection)
        playing = asyncio.ensure_future(self._play(connection))
        gone = asyncio.ensure_future(connection.wait_closed())
        try:
            await asyncio.wait((playing, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._connections.discard(connection)
            gone.cancel()
            playing.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
                await playing


def serve(path_or_ticks: str | os.PathLike[str] | Iterable[RecordedFrame], speed: float = 1.0, port: int = 0) -> Server:
    """`with serve(...) as url:` plays a recording, or any run of ticks, on a ws://127.0.0.1 address.

    Every connection gets a recording from its first line; a run of ticks has one listener, the newest
    connection, and goes on where it is. speed 2 is twice as fast as the recorder's clock; 0 is as fast
    as it is taken, and then nothing is skipped. A line without a time follows the one before it at once.
    Raises OSError, RecordingError for a file that does not begin as a recording, ValueError for the speed.
    """
    checked_speed(speed)
    if not isinstance(path_or_ticks, str | os.PathLike):
        return Server(Playback(iter(path_or_ticks), None, speed, True).stream_to, port)
    open_ticks = partial(read, path_or_ticks)
    next(open_ticks())

    async def play(connection: ServerConnection) -> None:
        await Playback(open_ticks(), None, speed, True).stream_to(connection)

    return Server(play, port)
