"""Define what every feed and every venue offers. A feed takes text and returns order books; it does no I/O."""

from __future__ import annotations

import copy
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple, Protocol, Self, TypeVar

import msgspec

from orderbook import BookBuilder, BookError, OrderBook

Product = Literal["spot", "swap"]
Millis = Annotated[int, msgspec.Meta(gt=0, lt=2**63 // 1_000_000)]
"""Milliseconds since the epoch, small enough that their nanoseconds fit in 64 bits."""

T = TypeVar("T")


class FeedError(Exception):
    """A broken protocol: a gap, a wrong checksum, a refused subscription. Only a new feed can go on."""


class Feed(Protocol):
    """A reader of one symbol's messages, built anew for every connection and every resynchronisation."""

    @property
    def snapshot_url(self) -> str | None:
        """The address of the REST snapshot that the feed waits for now; None if it waits for none."""

    @property
    def keepalive(self) -> tuple[str, float] | None:
        """A text, and the quiet seconds after which to send it; None if nothing needs to be sent."""

    @property
    def is_keepalive_periodic(self) -> bool:
        """Whether the text is sent every so many seconds, whatever comes, instead of after quiet ones."""

    @property
    def quiet_s(self) -> float:
        """The seconds without a book after which the subscription itself is to be checked, by a fresh connection."""

    @property
    def book_interval_s(self) -> float:
        """The seconds between two books, where the venue sends them so slowly that a live price can be that old."""

    @property
    def closing(self) -> bool:
        """Whether the venue has announced that it will close this connection."""

    @property
    def has_whole_books(self) -> bool:
        """Whether every message is a whole book, so that no earlier one is needed."""

    def subscribe(self) -> list[str]:
        """Return the texts to send on connect."""

    def answer(self, message: str | bytes) -> str | None:
        """Return the text that the venue wants to be sent in answer to this message; None if it wants none."""

    def parse(self, message: str | bytes, received_ns: int, market_ns: int | None = None) -> OrderBook | None:
        """Return the book after this message; None if the message carries no change of it.

        Acknowledgements, heartbeats, trades and other symbols carry none. Raises BookError for one refused book,
        FeedError when this feed cannot go on, and nothing else.

        Args:
            message: The text, as it was received.
            received_ns: When it was received, on the monotonic clock.
            market_ns: The clock that the models live on; None means the venue's own.
        """

    def apply_snapshot(self, body: str | bytes, received_ns: int, market_ns: int | None = None) -> OrderBook | None:
        """Return the book once the REST snapshot is joined to the changes, else None. Raises as parse does."""


class BaseFeed:
    """The defaults of a feed: nothing to send, nothing to fetch, no close announced."""

    keepalive: tuple[str, float] | None = None
    is_keepalive_periodic = False
    quiet_s = 60.0
    book_interval_s = 0.0
    closing = False
    has_whole_books = False

    @property
    def snapshot_url(self) -> str | None:
        return None

    def subscribe(self) -> list[str]:
        return []

    def answer(self, message: str | bytes) -> str | None:  # noqa: ARG002 - none, unless a venue wants one
        return None

    def apply_snapshot(
        self,
        body: str | bytes,
        received_ns: int,  # noqa: ARG002 - the seam's signature
        market_ns: int | None = None,  # noqa: ARG002
    ) -> OrderBook | None:
        raise FeedError(f"a REST snapshot of {len(body)} characters came to a feed that takes none")


class DeltaFeed(BaseFeed, ABC):
    """A feed that builds its book from changes.

    Once broken it stays broken: its next book could be wrong without a sign, so only a new feed starts again.
    """

    def __init__(self, venue: str, symbol: str, builder: BookBuilder) -> None:
        self._venue = venue
        self._symbol = symbol
        self._builder = builder
        self._break_reason: str | None = None
        """Why the feed is broken; None while it is whole."""

    @abstractmethod
    def _apply_message(self, message: str | bytes) -> int | None:
        """Bring the builder up to this message and return the venue's clock; None if there is no new book.

        The clock is in ns since the epoch. BookError and FeedError may be raised, and either breaks the feed.
        """

    def parse(self, message: str | bytes, received_ns: int, market_ns: int | None = None) -> OrderBook | None:
        return self._build_book(self._apply_message, message, received_ns, market_ns)

    def _build_book(
        self,
        apply_text: Callable[[str | bytes], int | None],
        text: str | bytes,
        received_ns: int,
        market_ns: int | None,
    ) -> OrderBook | None:
        """Apply a text to the builder and return the new book; None if there is none. Raises as parse does."""
        if self._break_reason is not None:
            raise FeedError(f"broken before: {self._break_reason}")
        try:
            exchange_ns = apply_text(text)
        except (BookError, FeedError) as error:
            raise self._break(error) from None
        if exchange_ns is None:
            return None
        market_ns = exchange_ns if market_ns is None else market_ns
        try:
            return self._builder.book(self._venue, self._symbol, exchange_ns, market_ns, received_ns)
        except BookError as error:
            # A market with one empty side is thin, not out of step: the next change may fill it.
            if not (len(self._builder.bids) and len(self._builder.asks)):
                raise
            raise self._break(error) from None

    def _break(self, error: Exception) -> FeedError:
        """Remember why the feed is broken and return the error to raise."""
        self._break_reason = str(error)
        return FeedError(self._break_reason)


class TardisName(NamedTuple):
    """The name of an exchange in Tardis's CSV files, and what its amounts are there.

    Attributes:
        exchange: The name. Venues may share one, if no symbol fits the forms of two of them.
        unit: Base units, contracts of the venue's contract size, or quote units.
        form: The pattern of the symbols that this holds for; all symbols if it is empty.
    """

    exchange: str
    unit: Literal["base", "contracts", "quote"] = "base"
    form: str = ""

    def has_symbol(self, symbol: str) -> bool:
        """Return whether this is the exchange's name, and its unit, for this symbol."""
        return not self.form or re.fullmatch(self.form, symbol) is not None


class Entity(NamedTuple):
    """One of the doors to a venue: its WebSocket host and its REST host, which belong together.

    A venue may have companies of its own for some regions, or a mirror that is open where the venue itself is not.

    Attributes:
        name: The name in links, commands and recordings.
        title: The name on the page.
        socket_url: The WebSocket address without a path.
        rest_url: The REST address without a path.
        note: What differs from the venue itself, a sentence for the user; empty if nothing does.
    """

    name: str
    title: str
    socket_url: str
    rest_url: str
    note: str = ""


class Venue(ABC):
    """All that the program knows of a venue. No file but the venue's own names it.

    Attributes:
        name: The name in recordings and commands.
        title: The name on the page.
        rank: Its place among the venues, the lowest first; venues of one rank are sorted by name.
        symbols: The symbols that the page offers; a user may type others.
        fees: The fee table that its markets pay by, a name in fees.tables.TITLES.
        tardis: Its names at Tardis, one for each kind of market; empty where Tardis has no books of it.
        min_reconnect_s: The seconds that must lie between two connections.
        entities: The doors to it, its default first; empty where its file names none.
        is_simulated: Whether its market is made and served on this machine, so that `url` only names it.
    """

    name: str
    title: str
    rank: int = 10
    symbols: tuple[str, ...]
    fees: str
    tardis: tuple[TardisName, ...] = ()
    min_reconnect_s: float = 1.0
    entities: tuple[Entity, ...] = ()
    is_simulated: bool = False
    _entity_place = 0

    @property
    def entity(self) -> Entity:
        """The entity whose addresses are used. Raises IndexError where the venue names none."""
        return self.entities[self._entity_place]

    def reached_through(self, name: str) -> Self:
        """Return this venue with the addresses of the entity of this name; with its default's for "".

        It shares what the venue has learned. Raises ValueError for an entity that the venue does not have.
        """
        names = [entity.name for entity in self.entities]
        if name and name not in names:
            choices = f"it is reached through {' or '.join(names)}" if names else "it has only one door"
            raise ValueError(f"{self.title} has no entity {name[:40]!r}: {choices}")
        venue = copy.copy(self)
        venue._entity_place = names.index(name) if name else 0
        return venue

    @abstractmethod
    def url(self, symbol: str) -> str:
        """Return the WebSocket address for this symbol."""

    @abstractmethod
    def make_feed(self, symbol: str, depth: int | None = None) -> Feed:
        """Return a new feed whose books have at most `depth` levels a side; None leaves the choice to the feed.

        Raises ValueError for a text that is no symbol, or a contract whose size is not known.
        """

    @abstractmethod
    def product(self, symbol: str) -> Product:
        """Return the product whose fees the symbol pays. Raises ValueError for a text that is no symbol."""

    @abstractmethod
    def contract_size(self, symbol: str) -> float:
        """Return the base units of one contract; 1.0 where sizes are base units already.

        Raises ValueError for an inverse contract, whose base units follow the price, and for a text that is no symbol.
        """

    @abstractmethod
    def instrument(self, symbol: str) -> str:
        """Return the name of what is traded, the same on every venue: "BTC/USD spot", "BTC/USDT swap"."""

    def instruments_url(self, symbol: str) -> str | None:  # noqa: ARG002 - nothing to ask, unless a venue says so
        """Return the address where the venue publishes this symbol's contract size; None if nothing needs to be asked.

        Raises ValueError if the venue can be asked and this text is no symbol of it.
        """
        return None

    def learn(self, body: str | bytes) -> None:
        """Learn contract sizes from a reply of `instruments_url`, for all feeds made from now on. Raises FeedError."""
        raise FeedError(f"{len(body)} characters about instruments came to {self.title}, which asks for none")

    def volume_url(self, symbol: str) -> str | None:  # noqa: ARG002 - nothing to ask, unless a venue says so
        """Return the address where the venue publishes this symbol's volume of 24 h; None if it cannot be asked."""
        return None

    def read_daily_volume(self, body: str | bytes, symbol: str) -> float:
        """Return the base units traded in 24 h, out of a reply of `volume_url`. Raises FeedError with the value."""
        raise FeedError(f"{len(body)} characters about {symbol}'s volume came to {self.title}, which asks for none")

    def recorded_facts(self, symbol: str) -> dict[str, object]:  # noqa: ARG002 - nothing, unless a venue says so
        """Return what a recording's meta line keeps of this market, so that it can be replayed anywhere, offline."""
        return {}

    def with_facts(self, symbol: str, facts: Mapping[str, object]) -> Self:  # noqa: ARG002
        """Return this venue as a recording with these facts knew it; they count for no other feed.

        Facts of other kinds are left out. Raises ValueError for facts that cannot be.
        """
        return self

    def find_symbol(self, message: dict[str, Any]) -> str | None:  # noqa: ARG002 - none, unless a venue says so
        """Return the symbol that a message of this venue's books names; None if it is none, or of another venue.

        Args:
            message: The fields of a message from a log that may be of any venue.
        """
        return None

    def symbol_in_messages(self, symbol: str) -> str:
        """Return the symbol as this venue's messages name it."""
        return symbol

    def current_symbol(self, symbol: str) -> str:
        """Return today's name of a symbol that files of earlier years may have under another name."""
        return symbol

    def find_snapshot(self, message: str) -> tuple[str, str] | None:  # noqa: ARG002 - none, unless a venue says so
        """Return the REST snapshot that a log has among its messages, and its symbol, "" if it says none.

        Return None if this is a message of the WebSocket.
        """
        return None

    def fixed_contract_size(self, symbol: str) -> float | None:
        """Return the base units of one contract; None where the market has no contracts of a fixed size."""
        try:
            size = self.contract_size(symbol)
        except ValueError:  # an inverse contract, whose base units follow the price
            return None
        return None if size == 1.0 and self.product(symbol) == "spot" else size


class SpotVenue(Venue):
    """A venue that trades only spot, in base units, and whose symbols name both coins."""

    form: re.Pattern[str]
    """The pattern of a symbol, with its two coins as groups."""

    def split_symbol(self, symbol: str) -> tuple[str, str]:
        """Return base and quote, such as BTC and USD. Raises ValueError for a text that is no symbol."""
        match = self.form.fullmatch(symbol)
        if match is None:
            raise ValueError(f"not a {self.title} symbol: {symbol!r}; they look like {self.symbols[0]}")
        return match[1], match[2]

    def product(self, symbol: str) -> Product:
        self.split_symbol(symbol)
        return "spot"

    def contract_size(self, symbol: str) -> float:
        self.split_symbol(symbol)
        return 1.0

    def instrument(self, symbol: str) -> str:
        return "{}/{} spot".format(*self.split_symbol(symbol))


def decode(decoder: msgspec.json.Decoder[T], message: str | bytes | msgspec.Raw) -> T:
    """Decode a message. Raises FeedError, and nothing else, whatever the bytes are."""
    try:
        return decoder.decode(message)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise FeedError(f"unreadable message: {error}") from None


_ISO_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:]{8})(?:[.]([0-9]{1,9})[0-9]*)?(Z|[+-][0-9]{2}:[0-9]{2})")


def timestamp_ns(text: str) -> int:
    """Return an ISO 8601 time as nanoseconds since the epoch.

    Raises BookError for a text that is no time, a time without its zone, and one outside 1970 to 2262.

    >>> timestamp_ns("2025-05-04T10:39:13Z"), timestamp_ns("2025-12-03T04:09:08.823824+00:00")
    (1746355153000000000, 1764734948823824000)
    """
    match = _ISO_TIME.fullmatch(text)
    if match is None:
        raise BookError(f"timestamp {text[:40]!r} is not a time with its zone")
    second, fraction, zone = match.groups("")
    ns = _second_ns(second + zone) + int(fraction.ljust(9, "0"))
    if not 0 < ns < 2**63:
        raise BookError(f"timestamp {text[:40]!r} is outside 1970 to 2262")
    return ns


@lru_cache(maxsize=16)
def _second_ns(text: str) -> int:
    """Return the time of a whole second as nanoseconds since the epoch; cached, as many messages share one second."""
    try:
        return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * 1_000_000_000
    except (ValueError, OverflowError) as error:
        raise BookError(f"timestamp {text!r}: {error}") from None
