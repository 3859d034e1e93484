"""Read Bybit's own feed, v5 `orderbook`: a snapshot and numbered changes; spot, linear and inverse on a socket each.

{"topic":"orderbook.200.BTCUSDT","type":"delta","ts":1786310818130,"data":{"s":"BTCUSDT",
  "b":[["65095.30","0.005"]],"a":[["65116.60","0"],["65116.80","0.002"]],"u":15076953,"seq":753843913870},
 "cts":1786310818129}
"""

from __future__ import annotations

import re
from abc import abstractmethod
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from feeds.base import DeltaFeed, FeedError, Millis, Product, TardisName, Venue, decode
from feeds.binance_symbols import COINS, candidate_pairs
from feeds.contracts import INVERSE_USD, SPOT, Contract
from feeds.daily_volume import checked_volume, decode_ticker, only_row
from orderbook import BookBuilder

SPOT_QUOTES = ("USDT", "USDC", "USDE", "DAI", "EUR", "BRL", "PLN", "TRY", "BTC", "ETH", "MNT")
"""Quote currencies of spot markets. The venue is asked about a name that ends in none of them, or in two."""

_TOPIC = re.compile(r"orderbook\.([0-9]{1,4})\.([A-Z0-9-]+)")

_LINEAR = r"([A-Z0-9]+?)(?:(?:USDT|PERP)|(?:USDT)?-[0-9]{1,2}[A-Z]{3}[0-9]{2})"
_INVERSE = r"[A-Z0-9]+USD(?:[HMUZ][0-9]{2})?"
"""No symbol has both forms."""

_LINEAR_PARTS = re.compile(r"([A-Z0-9]+?)(USDT|PERP)?(?:-([0-9]{1,2}[A-Z]{3}[0-9]{2}))?")
_INVERSE_PARTS = re.compile(r"([A-Z0-9]+)(USD)([HMUZ][0-9]{2})?")


class _Change(msgspec.Struct, gc=False):
    """A snapshot or a change of the book, and its number."""

    b: msgspec.Raw
    a: msgspec.Raw
    u: int


class _Head(msgspec.Struct, gc=False):
    """The fields of every message, whatever its data are."""

    topic: str = ""
    type: Literal["snapshot", "delta"] = "snapshot"
    ts: Millis = 0
    cts: Millis = 0
    success: bool = True
    ret_msg: str = ""


class _Message(_Head, gc=False, kw_only=True):
    """A message with a book."""

    data: _Change


class _AnyTopic(msgspec.Struct, gc=False):
    """The fields by which a message of another topic is told from one that cannot be read."""

    topic: str = ""
    success: bool = True
    ret_msg: str = ""


class _Pair(msgspec.Struct, gc=False):
    """The two currencies of a market."""

    symbol: str
    baseCoin: str  # noqa: N815 - the venue's spelling
    quoteCoin: str  # noqa: N815


class _Pairs(msgspec.Struct, gc=False):
    """The markets that were asked for."""

    rows: list[_Pair] = msgspec.field(default_factory=list, name="list")


class _Instruments(msgspec.Struct, gc=False):
    """The reply to a question for markets, or a refusal."""

    retCode: int  # noqa: N815
    retMsg: str = ""  # noqa: N815
    result: _Pairs = msgspec.field(default_factory=_Pairs)


class _Ticker(msgspec.Struct, gc=False):
    """The size of 24 h as sizes are counted, and its worth in the other currency: dollars and coins if inverse."""

    symbol: str
    volume24h: str = ""
    turnover24h: str = ""


class _TickerRows(msgspec.Struct, gc=False):
    """The tickers that were asked for."""

    rows: list[_Ticker] = msgspec.field(default_factory=list, name="list")


class _Tickers(msgspec.Struct, gc=False):
    """The reply to a question for tickers, or a refusal."""

    retCode: int  # noqa: N815
    retMsg: str = ""  # noqa: N815
    result: _TickerRows = msgspec.field(default_factory=_TickerRows)


_MESSAGE = msgspec.json.Decoder(_Message)
_TICKERS = msgspec.json.Decoder(_Tickers)
_ANY_TOPIC = msgspec.json.Decoder(_AnyTopic)
_INSTRUMENTS = msgspec.json.Decoder(_Instruments)


class BybitFeed(DeltaFeed):
    """A feed in which each change has the number of the last one plus one, and any snapshot begins a new book.

    It follows the deepest topic that it receives, since each topic has numbers of its own.
    """

    keepalive = ('{"op":"ping"}', 20.0)
    is_keepalive_periodic = True

    def __init__(self, venue: str, symbol: str, contract: Contract, levels: int, depth: int | None = None) -> None:
        """Make a feed without a book.

        Args:
            venue: The name of the venue in its books.
            symbol: As the venue writes it.
            contract: What a size counts.
            levels: The levels a side of the topic that is subscribed to; a recording may have another.
            depth: The most levels a side of a book; None is 400.
        """
        super().__init__(venue, symbol, BookBuilder(depth or 400))
        self._contract = contract
        self._subscribed_topic = f"orderbook.{levels}.{symbol}"
        self._topic = ""
        """The topic that the book is of; empty before the first snapshot."""
        self._levels = 0
        self._last_update = 0

    def subscribe(self) -> list[str]:
        return [msgspec.json.encode({"op": "subscribe", "args": [self._subscribed_topic]}).decode()]

    def _apply_message(self, message: str | bytes) -> int | None:
        try:
            frame = _MESSAGE.decode(message)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            other = decode(_ANY_TOPIC, message)
            if not other.success:
                raise FeedError(f"Bybit refused: {other.ret_msg}") from None
            if not self._is_ours(other.topic):
                return None
            frame = decode(_MESSAGE, message)  # fails again, with an error that says what is wrong
        if frame.topic != self._topic and not (frame.type == "snapshot" and self._is_ours(frame.topic)):
            return None
        change = frame.data
        time_ms = frame.cts or frame.ts
        if not time_ms:
            raise FeedError("a book without a time")
        bids, asks = self._contract.read_sides(change.b, change.a)
        if frame.type == "snapshot":
            self._builder.load(bids, asks)
            self._topic = frame.topic
            self._levels = int(frame.topic.split(".")[1])
        else:
            if change.u != self._last_update + 1:
                raise FeedError(f"gap: u {change.u} after {self._last_update}")
            self._builder.apply(bids, asks)
        self._last_update = change.u
        return time_ms * 1_000_000

    def _is_ours(self, topic: str) -> bool:
        """Return whether a topic is this symbol's book, and at least as deep as the one that is followed."""
        match = _TOPIC.fullmatch(topic)
        return match is not None and match[2] == self._symbol and int(match[1]) >= self._levels


class Bybit(Venue):
    """What Bybit's three kinds of markets have in common. Each kind has a socket of its own, with the same topics.

    Attributes:
        category: The kind, as addresses have it.
        contract: What sizes count.
        levels: The levels a side of the topic that is subscribed to.
    """

    fees = "bybit"
    category: str
    contract = SPOT
    levels = 1000

    def url(self, symbol: str) -> str:  # noqa: ARG002 - the subscription names the symbol
        return f"wss://stream.bybit.com/v5/public/{self.category}"

    def make_feed(self, symbol: str, depth: int | None = None) -> BybitFeed:
        self._split_symbol(symbol)
        return BybitFeed(self.name, symbol, self.contract, self.levels, depth)

    def product(self, symbol: str) -> Product:
        self._split_symbol(symbol)
        return "swap"

    def contract_size(self, symbol: str) -> float:
        self._split_symbol(symbol)
        return self.contract.base_units(symbol)

    def volume_url(self, symbol: str) -> str | None:
        self._split_symbol(symbol)
        return f"https://api.bybit.com/v5/market/tickers?category={self.category}&symbol={quote(symbol)}"

    def read_daily_volume(self, body: str | bytes, symbol: str) -> float:
        reply = decode_ticker(_TICKERS, body)
        row = only_row(reply.result.rows, symbol, f"{reply.retCode} {reply.retMsg}")
        return checked_volume(row.turnover24h if self.contract.is_inverse else row.volume24h, row.symbol)

    def find_symbol(self, message: dict[str, Any]) -> str | None:
        topic = message.get("topic")
        match = _TOPIC.fullmatch(topic) if isinstance(topic, str) else None
        if match is None or not isinstance(message.get("data"), dict):
            return None
        try:
            self._split_symbol(match[2])
        except ValueError:
            return None
        return match[2]

    @abstractmethod
    def _split_symbol(self, symbol: str) -> tuple[str, str, str]:
        """Return base, quote, and a delivery or "". Raises ValueError for a text that is no symbol."""

    def _refusal(self, symbol: str) -> ValueError:
        return ValueError(f"not a {self.title} symbol: {symbol!r}; they look like {self.symbols[0]}")


class BybitSpot(Bybit):
    """Bybit spot. Sizes are in base units."""

    name = "bybit-spot"
    title = "Bybit spot"
    symbols = ("BTCUSDT", "ETHUSDT")
    tardis = (TardisName("bybit-spot"),)
    category = "spot"
    levels = 200

    def __init__(self) -> None:
        self._learned_pairs: dict[str, tuple[str, str]] = {}

    def product(self, symbol: str) -> Product:
        self._split_symbol(symbol)
        return "spot"

    def instrument(self, symbol: str) -> str:
        base, quote_currency, _ = self._split_symbol(symbol)
        return f"{base}/{quote_currency} spot"

    def instruments_url(self, symbol: str) -> str | None:
        """Return the address that says what a name is made of; None where it can be split in one way only."""
        if re.fullmatch("[A-Z0-9]+", symbol) is None:
            raise self._refusal(symbol)
        if len(candidate_pairs(symbol, SPOT_QUOTES)) == 1:
            return None
        return f"https://api.bybit.com/v5/market/instruments-info?category=spot&symbol={quote(symbol)}"

    def learn(self, body: str | bytes) -> None:
        """Learn the currencies of the markets in a reply, for all feeds made from now on. Raises FeedError."""
        reply = decode(_INSTRUMENTS, body)
        if reply.retCode or not reply.result.rows:
            raise FeedError(f"Bybit refused the instruments: {reply.retCode} {reply.retMsg}")
        for row in reply.result.rows:
            if row.symbol != row.baseCoin + row.quoteCoin or not (row.baseCoin and row.quoteCoin):
                raise FeedError(f"{row.symbol[:40]!r} is not {row.baseCoin[:40]!r} in {row.quoteCoin[:40]!r}")
            self._learned_pairs[row.symbol] = row.baseCoin, row.quoteCoin

    def _split_symbol(self, symbol: str) -> tuple[str, str, str]:
        pairs = candidate_pairs(symbol, SPOT_QUOTES)
        if symbol in self._learned_pairs:
            pairs = [self._learned_pairs[symbol]]
        if not pairs or re.fullmatch("[A-Z0-9]+", symbol) is None:
            raise self._refusal(symbol)
        return *max(pairs, key=lambda names: (names[0] in COINS, len(names[1]))), ""


class BybitLinear(Bybit):
    """Bybit's contracts in USDT and USDC, perpetual and dated. Sizes are in base units.

    A name such as 1000PEPEUSDT is of a thousand coins: price and size both count thousands, so that the base is
    1000PEPE.
    """

    name = "bybit-linear"
    title = "Bybit futures"
    symbols = ("BTCUSDT", "ETHUSDT")
    tardis = (TardisName("bybit", "base", _LINEAR),)
    category = "linear"

    def instrument(self, symbol: str) -> str:
        base, quote_currency, delivery = self._split_symbol(symbol)
        return f"{base}/{quote_currency} " + (f"future {delivery}" if delivery else "swap")

    def _split_symbol(self, symbol: str) -> tuple[str, str, str]:
        match = _LINEAR_PARTS.fullmatch(symbol)
        if match is None or re.fullmatch(_LINEAR, symbol) is None:
            raise self._refusal(symbol)
        base, ending, delivery = match.groups("")
        if not delivery:
            return base, "USDT" if ending == "USDT" else "USDC", ""
        try:
            day = datetime.strptime(delivery, "%d%b%y")  # noqa: DTZ007 - a day has no zone
        except ValueError:
            raise self._refusal(symbol) from None
        return base, ending or "USDC", day.strftime("%y%m%d")


class BybitInverse(Bybit):
    """Bybit's contracts of one dollar each, paid in the coin."""

    name = "bybit-inverse"
    title = "Bybit inverse"
    symbols = ("BTCUSD", "ETHUSD")
    tardis = (TardisName("bybit", "quote", _INVERSE),)
    category = "inverse"
    contract = INVERSE_USD

    def instrument(self, symbol: str) -> str:
        base, quote_currency, delivery = self._split_symbol(symbol)
        return f"{base}/{quote_currency} inverse " + (f"future {delivery}" if delivery else "swap")

    def _split_symbol(self, symbol: str) -> tuple[str, str, str]:
        match = _INVERSE_PARTS.fullmatch(symbol)
        if match is None:
            raise self._refusal(symbol)
        base, quote_currency, delivery = match.groups("")
        return base, quote_currency, delivery


VENUES = (BybitSpot(), BybitLinear(), BybitInverse())
