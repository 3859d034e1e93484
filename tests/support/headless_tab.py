"""Imitate a browser tab without a browser: speak the page's protocol, keep its timers, read the numbers it shows."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

TICK = re.compile(rb'"ns": ?"(\d+)"')


async def watch_tabs(
    address: str, viewers: int, updates: int, on_update: Callable[[list[int]], None]
) -> list[list[int]]:
    """Open tabs at once until each has shown enough different ticks; return the ticks that each has shown.

    Raise TimeoutError after a minute.

    Args:
        address: the page's, http.
        viewers: how many tabs to open.
        updates: how many different ticks each must show.
        on_update: called after every tick with the number of ticks that each tab has shown so far.
    """
    ticks_by_tab: list[list[int]] = [[] for _ in range(viewers)]
    all_updated = asyncio.Event()

    def report() -> None:
        on_update([len(ticks) for ticks in ticks_by_tab])
        if all(len(set(ticks)) >= updates for ticks in ticks_by_tab):
            all_updated.set()

    tabs = [asyncio.create_task(_run_tab(address, ticks, report)) for ticks in ticks_by_tab]
    finished = asyncio.create_task(all_updated.wait())
    try:
        async with asyncio.timeout(60):
            await asyncio.wait([finished, *tabs], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (finished, *tabs):
            task.cancel()
        for tab in tabs:
            with suppress(asyncio.CancelledError):
                await tab
    return ticks_by_tab


async def _run_tab(address: str, ticks: list[int], report: Callable[[], None]) -> None:
    """Show the page, rerun its fragments at their intervals, and append the time of every tick shown to `ticks`."""
    timers: dict[str, tuple[float, asyncio.Task[None]]] = {}
    stream = f"{address.replace('http', 'ws', 1)}/_stcore/stream"
    async with connect(stream, subprotocols=["streamlit"], proxy=None, max_size=None, origin=address) as socket:
        await _request_run(socket, "")
        try:
            async for data in socket:
                message = ForwardMsg.FromString(data)
                if message.WhichOneof("type") == "auto_rerun":
                    fragment, every_s = message.auto_rerun.fragment_id, message.auto_rerun.interval
                    if fragment not in timers:
                        timers[fragment] = every_s, asyncio.create_task(_rerun(socket, fragment, every_s))
                for time_ns in TICK.findall(data):
                    ticks.append(int(time_ns))
                    report()
        finally:
            for _, timer in timers.values():
                timer.cancel()


async def _rerun(socket: ClientConnection, fragment: str, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        await _request_run(socket, fragment)


async def _request_run(socket: ClientConnection, fragment: str) -> None:
    request = BackMsg()
    request.rerun_script.query_string = ""
    request.rerun_script.fragment_id = fragment
    request.rerun_script.is_auto_rerun = bool(fragment)
    await socket.send(request.SerializeToString())
