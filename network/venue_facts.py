"""Ask a venue what its feeds must know of a market before they can read it."""

from __future__ import annotations

import asyncio
import logging

from feeds import FeedError, Venue
from network.http_client import NetworkError, fetch
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
