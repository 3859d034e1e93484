"""Read Binance's own feeds, spot and USD-M futures: a REST snapshot, and a message of changes every 100 ms.

{"e":"depthUpdate","E":1723161255308,"s":"BTCUSDT","U":50093239203,"u":50093239207,
 "b":[["55653.87000000","0.00000000"]],"a":[["61838.04000000","0.32332000"]]}
"""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from feeds.base import DeltaFeed, Entity, FeedError, Millis, Product, TardisName, Venue, decode
from feeds.binance_symbols import QUOTES, SYMBOL, US_QUOTES, candidate_pairs, likeliest_pair, match_symbol
from feeds.daily_volume import checked_volume, decode_ticker
from feeds.fast_parser import read_sides
from orderbook import BookBuilder, Levels, OrderBook

MAX_HELD_CHANGES = 3000
"""Messages of changes that are held while the snapshot is fetched: five minutes of them."""


class _Head(msgspec.Struct, gc=False):
    """The fields that tell events and symbols apart."""

    e: str = ""
    s: str = ""


class _Event(_Head, gc=False):
    """The fields of a change; other events use the same letters for other things."""

    E: Millis = 0
    U: int = 0
    u: int = 0
    pu: int | None = None
    b: msgspec.Raw = msgspec.Raw()
    a: msgspec.Raw = msgspec.Raw()


class _Refusal(msgspec.Struct, gc=False):
    """The code and the words with which the venue refuses a request."""

    code: int = 0
    msg: str = ""


class _Message(_Event, gc=False):
    """A change, bare or in the envelope of a combined stream, or a refusal."""

    stream: str = ""
    data: _Event | None = None
    error: _Refusal | None = None


class _OtherMessage(_Head, gc=False):
    """Any message; of its data only the head is read."""

    data: _Head | None = None
    error: msgspec.Raw = msgspec.Raw()


class _InstrumentRow(msgspec.Struct, gc=False):
    """The two currencies of a market."""

    symbol: str
    baseAsset: str  # noqa: N815 - the venue's spelling
    quoteAsset: str  # noqa: N815


class _Instruments(_Refusal, gc=False):
    """The reply to a question for markets, or a refusal."""

    symbols: list[_InstrumentRow] = []


class _Ticker(_Refusal, gc=False):
    """The volume of 24 h in base units, or a refusal."""

    symbol: str = ""
    volume: str = ""


class _SnapshotBody(_Refusal, gc=False):
    """The body of the REST snapshot, or a refusal."""

    lastUpdateId: int | None = None  # noqa: N815 - the venue's spelling
    bids: msgspec.Raw = msgspec.Raw(b"[]")
    asks: msgspec.Raw = msgspec.Raw(b"[]")


class _LoggedSnapshot(msgspec.Struct, gc=False):
    """A snapshot in a log: the body itself, or as Tardis has it, like a message of a stream that the venue lacks."""

    lastUpdateId: int | None = None  # noqa: N815
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()


class _Change(NamedTuple):
    """A change of the book from one update number to another, at a time in milliseconds since the epoch."""

    previous_update: int
    last_update: int
    time_ms: int
    bids: Levels
    asks: Levels


class _Snapshot(NamedTuple):
    """A whole book, and the number of the last update in it."""

    last_update: int
    bids: Levels
    asks: Levels


_MESSAGE = msgspec.json.Decoder(_Message, strict=False)
_OTHER_MESSAGE = msgspec.json.Decoder(_OtherMessage)
_SNAPSHOT = msgspec.json.Decoder(_SnapshotBody, strict=False)
_INSTRUMENTS = msgspec.json.Decoder(_Instruments)
_TICKER = msgspec.json.Decoder(_Ticker)
_LOGGED_SNAPSHOT = msgspec.json.Decoder(_LoggedSnapshot)


class BinanceFeed(DeltaFeed):
    """A feed that holds changes until it has the snapshot that they continue; then each change must follow the last.

    Every change names the update that it goes up to (`u`), and the update that it continues: `pu` on futures, U - 1 on
    spot. A snapshot fits if the first held change continues the snapshot's last update or an earlier one. It is wanted
    at once, since a quiet market may bring no change for minutes; it is a book even before the first change. On spot, a
    change that is not newer than the book is left out, and one that overlaps it is applied: sizes are absolute.
    """

    def __init__(self, venue: str, symbol: str, snapshot_url: str, is_futures: bool, depth: int | None = None) -> None:
        """Make a feed without a book.

        Args:
            venue: The name of the venue in its books.
            symbol: As the venue writes it.
            snapshot_url: The address of the REST snapshot.
            is_futures: Whether its changes are of futures, which name in `pu` the update that they continue.
            depth: The most levels a side of a book; None is 400.
        """
        super().__init__(venue, symbol, BookBuilder(depth or 400))
        self._snapshot_url = snapshot_url
        self._is_futures = is_futures
        self._stream = f"{symbol.lower()}@depth"
        self._held_changes: list[_Change] = []
        self._snapshot: _Snapshot | None = None
        self._last_update: int | None = None
        """The update that the book is at; None until a change has been applied to the snapshot."""

    @property
    def snapshot_url(self) -> str | None:
        is_needed = self._snapshot is None and self._break_reason is None
        return self._snapshot_url if is_needed else None

    def apply_snapshot(self, body: str | bytes, received_ns: int, market_ns: int | None = None) -> OrderBook | None:
        return self._build_book(lambda text: self._read_snapshot(text, market_ns), body, received_ns, market_ns)

    def _apply_message(self, message: str | bytes) -> int | None:
        try:
            frame = _MESSAGE.decode(message)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            other = decode(_OTHER_MESSAGE, message)
            head = other.data or other
            if not bytes(other.error) and (head.e, head.s) != ("depthUpdate", self._symbol):
                return None
            frame = decode(_MESSAGE, message)  # fails again, with an error that says what is wrong
        if frame.error is not None:
            raise FeedError(f"Binance refused: {frame.error.code} {frame.error.msg}")
        event = frame.data or frame
        if event.e == "serverShutdown":
            self.closing = True
        if event.e != "depthUpdate" or event.s != self._symbol:
            return None
        # A combined stream may also carry partial books, such as btcusdt@depth20, which are no changes.
        if frame.stream and not (frame.stream == self._stream or frame.stream.startswith(f"{self._stream}@")):
            return None
        if not (event.E and 0 < event.U <= event.u):
            raise FeedError(f"a change from U {event.U} to u {event.u} at E {event.E}")
        change = self._read_change(event)
        if not self._is_next(change):
            return None
        if self._last_update is not None:
            return self._apply(change)
        if len(self._held_changes) == MAX_HELD_CHANGES:
            raise FeedError(f"no snapshot after {MAX_HELD_CHANGES} changes")
        self._held_changes.append(change)
        return self._join_snapshot()

    def _is_next(self, change: _Change) -> bool:
        """Return whether a change brings updates after the last one. Raises FeedError if updates are missing between.

        A futures change names the last one, so that it can neither be repeated nor overlap it.
        """
        previous = self._last_update
        if previous is None:
            previous = self._held_changes[-1].last_update if self._held_changes else change.previous_update
        if change.previous_update > previous or (self._is_futures and change.previous_update != previous):
            raise FeedError(f"gap: from {change.previous_update} after {previous}")
        return self._is_futures or change.last_update > previous

    def _read_snapshot(self, body: str | bytes, market_ns: int | None) -> int | None:
        """Read the REST snapshot and join it to the held changes; return the book's time in ns, or None without one.

        A snapshot has no time of its own on spot. While no change has come, its book has the time of its reception.
        """
        if self._snapshot is not None:
            return None
        snapshot = decode(_SNAPSHOT, body)
        if snapshot.lastUpdateId is None:
            raise FeedError(f"Binance refused the snapshot: {snapshot.code} {snapshot.msg}")
        self._snapshot = _Snapshot(snapshot.lastUpdateId, *read_sides(snapshot.bids, snapshot.asks))
        if self._held_changes or market_ns is None:
            return self._join_snapshot()
        self._builder.load(self._snapshot.bids, self._snapshot.asks)
        return market_ns

    def _join_snapshot(self) -> int | None:
        """Apply the held changes to the snapshot, if both are here; return the new book's time in ns, or None.

        A snapshot that the held changes do not continue is dropped, so that a newer one is fetched.
        """
        if self._snapshot is None or not self._held_changes:
            return None
        snapshot_update = self._snapshot.last_update
        if snapshot_update < self._held_changes[0].previous_update:
            self._snapshot = None  # the updates between the snapshot and the first held change are missing
            self._builder.load([], [])
            return None
        is_first_book = not len(self._builder)
        if is_first_book:
            self._builder.load(self._snapshot.bids, self._snapshot.asks)
        latest = self._held_changes[-1]
        newer = [change for change in self._held_changes if change.last_update > snapshot_update]
        for change in newer:
            self._apply(change)
        # The snapshot contains the older changes. The latest of them is kept: the next change must continue it.
        self._held_changes = [] if newer else [latest]
        return latest.time_ms * 1_000_000 if is_first_book or newer else None

    def _apply(self, change: _Change) -> int:
        """Apply a change to the builder and return its time, ns since the epoch."""
        self._builder.apply(change.bids, change.asks)
        self._last_update = change.last_update
        return change.time_ms * 1_000_000

    def _read_change(self, event: _Event) -> _Change:
        """Return the change that an event describes. Raises FeedError if it does not say which update it continues."""
        previous = event.pu if self._is_futures else event.U - 1
        if previous is None:
            raise FeedError("a futures change without pu")
        return _Change(previous, event.u, event.E, *read_sides(event.b, event.a))


class Binance(Venue):
    """Binance spot. Sizes are in base units."""

    name = "binance"
    title = "Binance spot"
    symbols = ("BTCUSDT", "ETHUSDT")
    fees = "binance"
    tardis = (TardisName("binance"),)
    entities: tuple[Entity, ...] = (
        Entity("global", "Binance", "wss://stream.binance.com", "https://api.binance.com"),
        Entity(
            "mirror",
            "Binance, mirror for market data",
            "wss://data-stream.binance.vision",
            "https://data-api.binance.vision",
            "The same order books, from hosts that send market data only and are open where the others are not.",
        ),
        Entity(
            "us",
            "Binance.US",
            "wss://stream.binance.us:9443",
            "https://api.binance.us",
            "Binance.US has markets and fees of its own: its order books are shown, but the fees are Binance's.",
        ),
    )
    snapshot_path = "/api/v3/depth?symbol={symbol}&limit=5000"
    ticker_path = "/api/v3/ticker/24hr?symbol={symbol}"
    is_futures = False

    def __init__(self, rest_url: str = "") -> None:
        """Make the venue; its snapshots come from rest_url if one is given, else from its entity's host."""
        self._rest_url = rest_url
        self._learned_pairs: dict[str, tuple[str, str]] = {}

    def url(self, symbol: str) -> str:
        self._split_symbol(symbol)
        return f"{self.entity.socket_url}/ws/{quote(symbol.lower())}@depth@100ms"

    def make_feed(self, symbol: str, depth: int | None = None) -> BinanceFeed:
        self._split_symbol(symbol)
        snapshot_url = (self._rest_url or self.entity.rest_url) + self.snapshot_path.format(symbol=quote(symbol))
        return BinanceFeed(self.name, symbol, snapshot_url, self.is_futures, depth)

    def volume_url(self, symbol: str) -> str | None:
        self._split_symbol(symbol)
        return (self._rest_url or self.entity.rest_url) + self.ticker_path.format(symbol=quote(symbol))

    def read_daily_volume(self, body: str | bytes, symbol: str) -> float:
        ticker = decode_ticker(_TICKER, body)
        return checked_volume(ticker.volume, f"{symbol} {ticker.msg}".rstrip())

    def product(self, symbol: str) -> Product:
        self._split_symbol(symbol)
        return "swap" if self.is_futures else "spot"

    def contract_size(self, symbol: str) -> float:
        self._split_symbol(symbol)
        return 1.0

    def find_symbol(self, message: dict[str, Any]) -> str | None:
        event = message.get("data", message)
        if not isinstance(event, dict) or event.get("e") != "depthUpdate" or ("pu" in event) != self.is_futures:
            return None
        symbol = event.get("s")
        return symbol if isinstance(symbol, str) and SYMBOL.fullmatch(symbol) else None

    def find_snapshot(self, message: str) -> tuple[str, str] | None:
        if '"lastUpdateId"' not in message[:200]:
            return None
        try:
            logged = _LOGGED_SNAPSHOT.decode(message)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return None
        if logged.lastUpdateId is not None:
            return message, ""
        name, _, channel = logged.stream.partition("@")
        return (bytes(logged.data).decode(), name.upper()) if channel == "depthSnapshot" else None

    def instrument(self, symbol: str) -> str:
        base, quote_currency, delivery = self._split_symbol(symbol)
        kind = f"future {delivery}" if delivery else self.product(symbol)
        return f"{base}/{quote_currency} {kind}"

    def instruments_url(self, symbol: str) -> str | None:
        """Return the address that says what a name is made of; None where it can be split in one way only.

        On futures, too: their list cannot be asked for one symbol, and is too long to be asked for here.
        """
        pair, _ = match_symbol(symbol)
        if self.is_futures or len(candidate_pairs(pair, self._quotes)) == 1:
            return None
        return f"{self._rest_url or self.entity.rest_url}/api/v3/exchangeInfo?symbol={quote(symbol)}"

    def learn(self, body: str | bytes) -> None:
        """Learn the currencies of the markets in a reply, for all feeds made from now on. Raises FeedError."""
        reply = decode(_INSTRUMENTS, body)
        if not reply.symbols:
            raise FeedError(f"Binance refused the instruments: {reply.code} {reply.msg}")
        for row in reply.symbols:
            if row.symbol != row.baseAsset + row.quoteAsset or not (row.baseAsset and row.quoteAsset):
                raise FeedError(f"{row.symbol[:40]!r} is not {row.baseAsset[:40]!r} in {row.quoteAsset[:40]!r}")
            self._learned_pairs[row.symbol] = row.baseAsset, row.quoteAsset

    def _split_symbol(self, symbol: str) -> tuple[str, str, str]:
        """Return base, quote, and a delivery date or "". Raises ValueError for a text that is no symbol."""
        pair, delivery = match_symbol(symbol)
        base, quote_currency = self._learned_pairs.get(pair) or likeliest_pair(pair, self._quotes)
        return base, quote_currency, delivery

    @property
    def _quotes(self) -> tuple[str, ...]:
        """The quote currencies of the entity."""
        return US_QUOTES if self.entity.name == "us" else QUOTES


class BinanceUsdm(Binance):
    """Binance USD-M futures. Sizes are in base units too; the depth streams moved to /public in 2026."""

    name = "binance-usdm"
    title = "Binance futures"
    tardis = (TardisName("binance-futures"),)
    entities: tuple[Entity, ...] = (
        Entity("global", "Binance futures", "wss://fstream.binance.com/public", "https://fapi.binance.com"),
    )
    snapshot_path = "/fapi/v1/depth?symbol={symbol}&limit=1000"
    ticker_path = "/fapi/v1/ticker/24hr?symbol={symbol}"
    is_futures = True


VENUES = (Binance(), BinanceUsdm())
