"""Keep the volumes of 24 h that venues publish, for all sessions of this process."""

from __future__ import annotations

import math
import threading
import time
from typing import NamedTuple

from network.venue_facts import ask_daily_volume
from sessions.market import Market

REFRESH_S = 300.0
"""A volume of 24 h changes little in five minutes."""
RETRY_S = 60.0
"""How long a venue that gave no volume is left in peace. It is longer than a question can take."""
KEPT_S = 3600.0
"""An older volume counts for nothing, if the venue gives no newer one."""


class _Known(NamedTuple):
    """A volume and its times on the monotonic clock: when to ask again, and when it has become too old."""

    volume: float | None
    ask_at_s: float
    ends_s: float = math.inf


class DailyVolumes:
    """The volumes of the markets that somebody watches: whoever prices a book looks here. Safe from any thread.

    A venue is asked on a thread that ends with its answer, at the first look and then every REFRESH_S as long as
    somebody looks. Nothing has to be closed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], _Known] = {}

    def find(self, market: Market) -> float | None:
        """Return the base units that this market traded in 24 h; None if that is not known now. Never waits.

        Only a market at its venue's own address is asked for: a recording or a typed address may be of any day.
        """
        if not market.is_at_venue:
            return None
        now_s = time.monotonic()
        known = self._known.get(market.key)
        if known is None or now_s >= known.ask_at_s:
            known = self._ask_if_due(market, now_s)
        return known.volume if now_s < known.ends_s else None

    def _ask_if_due(self, market: Market, now_s: float) -> _Known:
        """Start a question unless another thread has just started it; return what is known meanwhile."""
        with self._lock:
            known = self._known.get(market.key, _Known(None, -math.inf))
            if now_s < known.ask_at_s:
                return known
            can_ask = market.source.volume_url(market.symbol) is not None
            known = self._known[market.key] = known._replace(ask_at_s=now_s + RETRY_S if can_ask else math.inf)
        if can_ask:
            name = f"daily volume {' '.join(market.key)}"
            threading.Thread(target=self._ask, args=(market,), name=name, daemon=True).start()
        return known

    def _ask(self, market: Market) -> None:
        volume = ask_daily_volume(market.source, market.symbol)
        if volume is not None:
            now_s = time.monotonic()
            with self._lock:
                self._known[market.key] = _Known(volume, now_s + REFRESH_S, now_s + KEPT_S)


DAILY_VOLUMES = DailyVolumes()
"""The volumes that all sessions of this process share."""
