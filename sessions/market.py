"""The market that a session looks at: a venue's symbol, its address or its recording."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from feeds import VENUES, Feed, FeedError
from network.http_client import NetworkError, fetch
from recording.server import serve
from recording.simulated import simulated


@dataclass(frozen=True, slots=True)
class Market:
    """What to look at: a venue's symbol, at the venue's own address, at a typed one, or in a recording.

    replayed: a replay server answers at the typed address, not an exchange. max_bytes bounds what a
    recording may unpack to. Raises ValueError for a symbol the venue cannot price.
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
    def in_envelope(self) -> bool:
        """Whether the frames come in the envelope of a recording, with their own clock."""
        return self.recording is not None or self.replayed or (self.is_simulated and not self.address)

    @property
    def is_simulated(self) -> bool:
        """Whether the venue's market is made on this machine."""
        return VENUES[self.venue].is_simulated

    @property
    def contract_size(self) -> float | None:
        """Base units a contract; None where nothing is counted in contracts of a fixed size."""
        return VENUES[self.venue].fixed_contract_size(self.symbol)

    def make_feed(self) -> Feed:
        """A fresh feed of the venue's own frames."""
        return VENUES[self.venue].make_feed(self.symbol)

    def open(self) -> AbstractContextManager[str]:
        """The market's address, served for as long as the context lasts where it is made here."""
        if self.address:
            return nullcontext(self.address)
        if self.is_simulated:
            return serve(simulated(self.symbol))
        return nullcontext(VENUES[self.venue].url(self.symbol))


def learn_contract(name: str, symbol: str, timeout_s: float = 3.0) -> str | None:
    """Ask a venue what a contract of this symbol is, for all feeds made from now on; return why not, if that failed.

    The contracts known offline go on as they are known, and a venue that need not be asked is not. Raises ValueError
    if this is no symbol of a venue that can be asked.
    """
    venue = VENUES[name]
    url = venue.instruments_url(symbol)
    if url is None:
        return None
    try:
        venue.learn(asyncio.run(fetch(url, timeout_s)))
    except (NetworkError, FeedError) as error:
        return f"{venue.title} could not be asked what a contract is, so the value known here is used: {error}"
    return None
