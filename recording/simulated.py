"""The simulated market as an endless recording."""

from __future__ import annotations

import time
from collections.abc import Iterator

from feeds import market_simulator
from recording.format import RecordedFrame


def simulated(
    symbol: str,
    *,
    seed: int | None = None,
    levels: int = 50,
    per_second: float = 10.0,
    start_ns: int | None = None,
) -> Iterator[RecordedFrame]:
    """Yield the simulated market's frames without end.

    Args:
        symbol: One of the simulated venue's symbols.
        seed: The same seed gives the same market; None takes one from the clock.
        levels: Levels a side in every frame.
        per_second: Frames a second of market time.
        start_ns: market_ns of the first frame; None is now.
    """
    start_ns = time.time_ns() if start_ns is None else start_ns
    seed = time.time_ns() % 2**32 if seed is None else seed
    frames = market_simulator.frames(symbol, seed=seed, levels=levels, per_second=per_second, start_ns=start_ns)
    for market_ns, message in frames:
        yield RecordedFrame("recv", market_ns, message)
