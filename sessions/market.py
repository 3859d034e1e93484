"""Name the market that a session watches: a venue's symbol at an address, or a recording of it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from feeds import VENUES, Feed, FeedError
from network.http_client import NetworkError, fetch
from network.logs import loggable_reason
from recording.server import serve
from recording.simulated import simulated

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Market:
    """A venue's symbol, at the venue's own address, at a typed address, or in a recording.

    replayed: a replay server answers at the typed address, not an exchange. max_bytes: what a recording may
    unpack to at most, None for no bound. Raises ValueError for a symbol the venue cannot price.
    """

    venue: str
    symbol: str
    address: str = ""
    replayed: bool = False
    recording: Path | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        VENUES[self.venue].make_feed(self.symbol)

    @property
    def has_envelope(self) -> bool:
        """Whether the frames come in the envelope of a recording, which brings its own clock."""
        return self.recording is not None or self.replayed or (self.is_simulated and not self.address)

    @property
    def is_simulated(self) -> bool:
        """Whether the venue's market is made on this machine."""
        return VENUES[self.venue].is_simulated

    @property
    def contract_size(self) -> float | None:
        """Base units of one contract; None where the market has no contracts of a fixed size."""
        return VENUES[self.venue].fixed_contract_size(self.symbol)

    def make_feed(self) -> Feed:
        """Return a new feed that reads the venue's own frames."""
        return VENUES[self.venue].make_feed(self.symbol)

    def open(self) -> AbstractContextManager[str]:
        """Return a context with the market's address; a simulated market is served for as long as it lasts."""
        if self.address:
            return nullcontext(self.address)
        if self.is_simulated:
            return serve(simulated(self.symbol))
        return nullcontext(VENUES[self.venue].url(self.symbol))


def learn_contract(name: str, symbol: str, timeout_s: float = 3.0) -> str | None:
    """Ask a venue for the contract size of this symbol, for all feeds made from now on.

    Return None on success and where nothing has to be asked, else the sentence for the user that says why it failed;
    the sizes known offline stay in use. Raises ValueError if this is no symbol of a venue that can be asked.
    """
    venue = VENUES[name]
    url = venue.instruments_url(symbol)
    if url is None:
        return None
    try:
        venue.learn(asyncio.run(fetch(url, timeout_s)))
    except (NetworkError, FeedError) as error:
        logger.warning("no contract size from %s: %s", name, loggable_reason(error, name))
        return f"{venue.title} could not be asked for its contract size, so the value known here is used: {error}"
    return None
