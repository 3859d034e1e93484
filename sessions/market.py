"""Name the market that a session watches: a venue's symbol at an address, or a recording of it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from feeds import VENUES, Feed, FeedError, Venue
from network.http_client import NetworkError, fetch
from network.logs import loggable_reason
from recording.server import serve
from recording.simulated import simulated

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Market:
    """A venue's symbol, at the venue's own address, at a typed address, or in a recording.

    replayed: a replay server answers at the typed address, not an exchange. max_bytes: what a recording may
    unpack to at most, None for no bound. entity: the door to the venue, "" for its default. Raises ValueError for a
    symbol that the venue cannot price, and for an entity that it does not have.
    """

    venue: str
    symbol: str
    address: str = ""
    replayed: bool = False
    recording: Path | None = None
    max_bytes: int | None = None
    entity: str = ""

    def __post_init__(self) -> None:
        self.make_feed()

    @property
    def source(self) -> Venue:
        """The venue, reached through this market's entity."""
        return VENUES[self.venue].reached_through(self.entity)

    @property
    def key(self) -> tuple[str, str]:
        """What tells its feed from those of other markets: the venue, and the symbol with the entity, if one is named.

        >>> Market("okx", "BTC-USDT").key, Market("okx", "BTC-USDT", entity="eea").key
        (('okx', 'BTC-USDT'), ('okx', 'BTC-USDT through eea'))
        """
        return self.venue, f"{self.symbol} through {self.entity}" if self.entity else self.symbol

    @property
    def has_envelope(self) -> bool:
        """Whether the frames come in the envelope of a recording, which brings its own clock."""
        return self.recording is not None or self.replayed or (self.is_simulated and not self.address)

    @property
    def is_simulated(self) -> bool:
        """Whether the venue's market is made on this machine."""
        return VENUES[self.venue].is_simulated

    @property
    def currency(self) -> str:
        """The currency that its prices, and so its costs, are in.

        >>> Market("binance", "ETHBTC").currency
        'BTC'
        """
        return self.source.instrument(self.symbol).split(" ", maxsplit=1)[0].partition("/")[2]

    @property
    def contract_size(self) -> float | None:
        """Base units of one contract; None where the market has no contracts of a fixed size."""
        return VENUES[self.venue].fixed_contract_size(self.symbol)

    def make_feed(self) -> Feed:
        """Return a new feed that reads the venue's own frames."""
        return self.source.make_feed(self.symbol)

    def recorded_facts(self) -> dict[str, object]:
        """Return what a recording of this market says of it, beside venue and symbol: the entity that is recorded."""
        is_own_address = not (self.address or self.has_envelope)
        return {"entity": self.source.entity.name} if is_own_address and self.source.entities else {}

    def open(self) -> AbstractContextManager[str]:
        """Return a context with the market's address; a simulated market is served for as long as it lasts."""
        if self.address:
            return nullcontext(self.address)
        if self.is_simulated:
            return serve(simulated(self.symbol))
        return nullcontext(self.source.url(self.symbol))


def learn_contract(name: str, symbol: str, entity: str = "", timeout_s: float = 3.0) -> str | None:
    """Ask a venue, through one of its entities, what contract or currencies a symbol has, for all feeds from now on.

    Return None on success and where nothing has to be asked, else the sentence for the user that says why it failed;
    what is known offline stays in use. Raises ValueError if this is no symbol of a venue that can be asked.
    """
    venue = VENUES[name].reached_through(entity)
    url = venue.instruments_url(symbol)
    if url is None:
        return None
    try:
        venue.learn(asyncio.run(fetch(url, timeout_s)))
    except (NetworkError, FeedError) as error:
        logger.warning("no facts of a market from %s: %s", name, loggable_reason(error, name))
        return f"{venue.title} could not be asked about {symbol}, so what is known here of it is used: {error}"
    return None
