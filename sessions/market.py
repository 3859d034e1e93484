"""Name the market that a session watches: a venue's symbol at an address, or a recording of it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import msgspec

from feeds import VENUES, Feed, Venue
from network.venue_facts import ask_venue
from recording.opening import NOTHING_SAID, Opening
from recording.replay_feed import daily_volume_of
from recording.server import serve
from recording.simulated import simulated


@dataclass(frozen=True, slots=True)
class Market:
    """A venue's symbol, at the venue's own address, at a typed address, or in a recording.

    replayed: a replay server answers at the typed address, not an exchange. max_bytes: what a recording may
    unpack to at most, None for no bound. entity: the door to the venue, "" for its default. facts: what the recording
    knows of the market, as `Venue.recorded_facts` gave it and in JSON; "" for nothing. opening: what the user says of
    a recording. Raises ValueError for a symbol that the venue cannot price, for an entity that it does not have, and
    for facts that cannot be.
    """

    venue: str
    symbol: str
    address: str = ""
    replayed: bool = False
    recording: Path | None = None
    max_bytes: int | None = None
    entity: str = ""
    facts: str = ""
    opening: Opening = NOTHING_SAID

    def __post_init__(self) -> None:
        self.make_feed()
        daily_volume_of(self._facts)

    @property
    def source(self) -> Venue:
        """The venue, reached through this market's entity, and with what the recording knows of this market."""
        venue = VENUES[self.venue].reached_through(self.entity)
        return venue.with_facts(self.symbol, self._facts) if self.facts else venue

    @property
    def _facts(self) -> dict[str, object]:
        """What the recording knows of the market."""
        facts: dict[str, object] = msgspec.json.decode(self.facts, type=dict) if self.facts else {}
        return facts

    @property
    def recorded_volume(self) -> float | None:
        """The base units that the market traded in 24 h when it was recorded; None if the recording does not say."""
        return daily_volume_of(self._facts)

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
    def is_at_venue(self) -> bool:
        """Whether it is watched live at its venue's own address."""
        return not (self.address or self.has_envelope)

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
        return self.source.fixed_contract_size(self.symbol)

    def make_feed(self) -> Feed:
        """Return a new feed that reads the venue's own frames."""
        return self.source.make_feed(self.symbol)

    def recorded_facts(self) -> dict[str, object]:
        """Return what a recording of this market says of it, beside venue and symbol.

        That is the entity that is recorded, and what the venue knows of the market.
        """
        venue = self.source
        through = {"entity": venue.entity.name} if self.is_at_venue and venue.entities else {}
        return through | venue.recorded_facts(self.symbol)

    def open(self) -> AbstractContextManager[str]:
        """Return a context with the market's address; a simulated market is served for as long as it lasts."""
        if self.address:
            return nullcontext(self.address)
        if self.is_simulated:
            return serve(simulated(self.symbol))
        return nullcontext(self.source.url(self.symbol))


def learn_contract(name: str, symbol: str, entity: str = "") -> str | None:
    """Ask a venue of this name, through one of its entities, as `network.venue_facts.ask_venue` does."""
    return ask_venue(VENUES[name].reached_through(entity), symbol)
