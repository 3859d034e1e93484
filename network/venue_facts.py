"""Ask a venue what its feeds must know of a market before they can read it."""

from __future__ import annotations

import asyncio
import logging

from feeds import FeedError, Venue
from network.http_client import HelperThreads, NetworkError, fetch
from network.logs import loggable_reason

logger = logging.getLogger(__name__)


def ask_venue(venue: Venue, symbol: str, timeout_s: float = 3.0) -> str | None:
    """Ask a venue what contract or currencies a symbol has, for all feeds made from now on.

    Return None on success and where nothing has to be asked, else the sentence for the user that says why it failed;
    what is known offline stays in use. Raises ValueError if this is no symbol of a venue that can be asked.
    """
    url = venue.instruments_url(symbol)
    if url is None:
        return None
    try:
        venue.learn(asyncio.run(fetch(url, timeout_s)))
    except (NetworkError, FeedError) as error:
        logger.warning("no facts of a market from %s: %s", venue.name, loggable_reason(error, venue.name))
        return f"{venue.title} could not be asked about {symbol}, so what is known here of it is used: {error}"
    return None


def ask_daily_volume(venue: Venue, symbol: str, timeout_s: float = 3.0) -> float | None:
    """Ask a venue for the base units of a symbol that it traded in 24 h.

    Return None where it cannot be asked, and where it gave no number; only the log says why.
    Raises ValueError if this is no symbol of a venue that can be asked.
    """
    url = venue.volume_url(symbol)
    if url is None:
        return None
    try:
        return venue.read_daily_volume(asyncio.run(_fetch_without_waiting(url, timeout_s)), symbol)
    except (NetworkError, FeedError) as error:
        logger.info("no daily volume of a market from %s: %s", venue.name, loggable_reason(error, venue.name))
        return None


async def _fetch_without_waiting(url: str, timeout_s: float) -> str:
    """Fetch a body; a name server that hangs holds up nobody, not even the end of the loop."""
    asyncio.get_running_loop().set_default_executor(HelperThreads())
    return await fetch(url, timeout_s)
