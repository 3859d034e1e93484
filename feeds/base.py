"""What every venue's feed is: text in, order books out, no I/O; and what a venue says of itself."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Literal, NamedTuple, Protocol, TypeVar

import msgspec
import numpy as np

from orderbook import BookBuilder, BookError, Levels, OrderBook

Product = Literal["spot", "swap"]
Millis = Annotated[int, msgspec.Meta(gt=0, lt=2**63 // 1_000_000)]
"""Milliseconds since the epoch that stay a 64-bit number as nanoseconds."""

T = TypeVar("T")


class FeedError(Exception):
    """A broken protocol: a gap, a wrong checksum, a refused subscription. The feed must be built anew."""


class Feed(Protocol):
    """One symbol of one venue; built anew for every connection and every resynchronisation."""

    @property
    def snapshot_url(self) -> str | None:
        """The REST snapshot it waits for now, else None."""

    @property
    def keepalive(self) -> tuple[str, float] | None:
        """A text to send after so many quiet seconds, else None."""

    @property
    def closing(self) -> bool:
        """True once the venue has announced that it will close this connection."""

    @property
    def has_whole_books(self) -> bool:
        """Whether every message is a whole book, so that none before it is needed."""

    def subscribe(self) -> list[str]:
        """The texts to send on connect."""

    def parse(self, message: str | bytes, received_ns: int, market_ns: int | None = None) -> OrderBook | None:
        """The book after this message; None if it carries none (acknowledgement, heartbeat, trade,
        another symbol). market_ns None means the venue's own clock. Raises BookError for one refused
        book, FeedError when this feed cannot go on, nothing else."""

    def apply_snapshot(self, body: str | bytes, received_ns: int, market_ns: int | None = None) -> OrderBook | None:
        """The book once the REST snapshot has been spliced in. Raises as parse does."""


class BaseFeed:
    """What a feed is unless it says otherwise: nothing to send, nothing to fetch, no close announced."""

    keepalive: tuple[str, float] | None = None
    closing = False
    has_whole_books = False

    @property
    def snapshot_url(self) -> str | None:
        return None

    def subscribe(self) -> list[str]:
        return []

    def apply_snapshot(
        self,
        body: str | bytes,
        received_ns: int,  # noqa: ARG002 - the seam's signature
        market_ns: int | None = None,  # noqa: ARG002
    ) -> OrderBook | None:
        raise FeedError(f"a REST snapshot of {len(body)} characters came to a feed that takes none")


class DeltaFeed(BaseFeed, ABC):
    """A feed that builds its book from changes. Once broken it stays broken: the next book could be
    wrong without a sign, so only a new feed starts again."""

    def __init__(self, venue: str, symbol: str, builder: BookBuilder) -> None:
        self._venue = venue
        self._symbol = symbol
        self._builder = builder
        self._broken: str | None = None

    @abstractmethod
    def _read(self, message: str | bytes) -> int | None:
        """Brings the builder up to this message: the venue's clock (ns since the epoch), or None if
        there is no new book. May raise BookError or FeedError: either breaks the feed."""

    def parse(self, message: str | bytes, received_ns: int, market_ns: int | None = None) -> OrderBook | None:
        return self._book(self._read, message, received_ns, market_ns)

    def _book(
        self, read: Callable[[str | bytes], int | None], message: str | bytes, received_ns: int, market_ns: int | None
    ) -> OrderBook | None:
        if self._broken is not None:
            raise FeedError(f"broken before: {self._broken}")
        try:
            exchange_ns = read(message)
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
        self._broken = str(error)
        return FeedError(self._broken)


class TardisName(NamedTuple):
    """An exchange as Tardis names it in its CSV files, and whether its amounts are contracts or base units."""

    exchange: str
    in_contracts: bool = False


class Venue(ABC):
    """Everything that is known of a venue; nothing outside its own file names it.

    Attributes:
        name: what recordings and commands call it.
        title: what the page calls it.
        rank: its place among the venues, the lowest first; venues of one rank are sorted by name.
        symbols: those that the page offers; a user may type others.
        fees: whose fees its markets pay, a name in fees.tables.TITLES.
        tardis: what Tardis calls it, a name for each kind of market; empty where Tardis has no books of it.
        min_reconnect_s: seconds that must lie between two connections.
        is_simulated: its market is made on this machine and served there, so `url` only names it.
    """

    name: str
    title: str
    rank: int = 10
    symbols: tuple[str, ...]
    fees: str
    tardis: tuple[TardisName, ...] = ()
    min_reconnect_s: float = 1.0
    is_simulated: bool = False

    @abstractmethod
    def url(self, symbol: str) -> str:
        """The WebSocket address for this symbol."""

    @abstractmethod
    def make_feed(self, symbol: str, depth: int | None = None) -> Feed:
        """A fresh feed. depth None: the feed's own choice of published levels."""

    @abstractmethod
    def product(self, symbol: str) -> Product:
        """Which fee schedule the symbol falls under."""

    @abstractmethod
    def contract_size(self, symbol: str) -> float:
        """Base units a contract; 1.0 where sizes are base units already."""

    @abstractmethod
    def instrument(self, symbol: str) -> str:
        """What is traded, named alike on every venue: "BTC/USD spot", "BTC/USDT swap"."""

    def instruments_url(self, symbol: str) -> str | None:  # noqa: ARG002 - nothing to ask, unless a venue says so
        """Return where the venue publishes what a contract of this symbol is; None where nothing needs to be asked.

        Raises ValueError for what is no symbol of a venue that can be asked.
        """
        return None

    def learn(self, body: str | bytes) -> None:
        """Take over what a reply from `instruments_url` says, for all feeds made from now on. Raises FeedError."""
        raise FeedError(f"{len(body)} characters about instruments came to {self.title}, which asks for none")

    def fixed_contract_size(self, symbol: str) -> float | None:
        """Return base units a contract; None where nothing is counted in contracts of a fixed size."""
        try:
            size = self.contract_size(symbol)
        except ValueError:  # an inverse contract, whose base units follow the price
            return None
        return None if size == 1.0 and self.product(symbol) == "spot" else size


class SpotVenue(Venue):
    """A venue that trades spot alone, in base units; its symbols name both coins."""

    form: re.Pattern[str]
    """The two coins of a symbol, as groups."""

    def parts(self, symbol: str) -> tuple[str, str]:
        """BTC and USD. Raises ValueError."""
        parts = self.form.fullmatch(symbol)
        if parts is None:
            raise ValueError(f"not a {self.title} symbol: {symbol!r}; they look like {self.symbols[0]}")
        return parts[1], parts[2]

    def product(self, symbol: str) -> Product:
        self.parts(symbol)
        return "spot"

    def contract_size(self, symbol: str) -> float:
        self.parts(symbol)
        return 1.0

    def instrument(self, symbol: str) -> str:
        return "{}/{} spot".format(*self.parts(symbol))


def decode(decoder: msgspec.json.Decoder[T], message: str | bytes | msgspec.Raw) -> T:
    """What the decoder makes of the message. Raises FeedError whatever the bytes are."""
    try:
        return decoder.decode(message)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise FeedError(f"unreadable message: {error}") from None


_ISO_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:]{8})(?:[.]([0-9]{1,9})[0-9]*)?(Z|[+-][0-9]{2}:[0-9]{2})")


def timestamp_ns(text: str) -> int:
    """Nanoseconds since the epoch of an ISO 8601 time. Raises BookError.

    >>> timestamp_ns("2025-05-04T10:39:13Z"), timestamp_ns("2025-12-03T04:09:08.823824+00:00")
    (1746355153000000000, 1764734948823824000)
    """
    parts = _ISO_TIME.fullmatch(text)
    if parts is None:
        raise BookError(f"timestamp {text[:40]!r} is not a time with its zone")
    second, fraction, zone = parts.groups("")
    ns = _second_ns(second + zone) + int(fraction.ljust(9, "0"))
    if not 0 < ns < 2**63:
        raise BookError(f"timestamp {text[:40]!r} is outside 1970 to 2262")
    return ns


@lru_cache(maxsize=16)
def _second_ns(text: str) -> int:
    """Many messages share one second."""
    try:
        return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * 1_000_000_000
    except (ValueError, OverflowError) as error:
        raise BookError(f"timestamp {text!r}: {error}") from None


_PAIRS = msgspec.json.Decoder(list[tuple[float, float]], strict=False)


def decode_sides(one: msgspec.Raw, other: msgspec.Raw, size_unit: float) -> tuple[Levels, Levels]:
    """Two texts like `[["95445.5","9.06"],...]`, the numbers quoted or bare, as levels whose sizes are
    multiplied by size_unit. Raises BookError."""
    try:
        pairs, others = _PAIRS.decode(one), _PAIRS.decode(other)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BookError(f"levels unreadable: {error}") from None
    levels = np.array([*pairs, *others]).reshape(-1, 2) * (1.0, size_unit)
    levels.flags.writeable = False
    return levels[: len(pairs)], levels[len(pairs) :]
