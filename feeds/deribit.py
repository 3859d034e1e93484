"""Read Deribit's `book` notifications: the whole book once, then linked changes, in coins or in US dollars.

{"jsonrpc":"2.0","method":"subscription","params":{"channel":"book.ALGO_USDC-PERPETUAL.100ms","data":{
  "timestamp":1790133842703,"type":"change","change_id":193809634213,"prev_change_id":193809631160,
  "instrument_name":"ALGO_USDC-PERPETUAL",
  "bids":[["new",0.11374,1054.0],["delete",0.11344,0.0]],"asks":[["change",0.11396,1054.0]]}}}
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Literal

import msgspec

from feeds.base import DeltaFeed, FeedError, Millis, Product, TardisName, Venue, decode
from feeds.contracts import INVERSE_USD, SPOT, Contract
from feeds.daily_volume import checked_volume, decode_ticker
from feeds.fast_parser import to_levels
from orderbook import BookBuilder, Levels

HEARTBEAT_S = 30
"""The seconds between two heartbeats that the venue is asked for; every other one wants an answer."""

SUBSCRIBE_ID = 9001
"""The number of our subscription, by which its answer is known."""

_INVERSE = r"(BTC|ETH)-(PERPETUAL|[0-9]{1,2}[A-Z]{3}[0-9]{2})"
"""Contracts that are counted in dollars and paid in the coin."""
_LINEAR = r"([A-Z0-9]+)_(USDC)-(PERPETUAL|[0-9]{1,2}[A-Z]{3}[0-9]{2})"
"""Contracts that are counted in coins and paid in USDC. Nothing else is known here: no options, no spot."""

_CHANNEL = re.compile(r"book\.([A-Z0-9_-]+)\.(?:raw|agg2|100ms)")


class _Row(msgspec.Struct, array_like=True, gc=False):
    """A change of one level; the amount of a deleted one is not read."""

    action: Literal["new", "change", "delete"]
    price: float
    amount: float


class _Change(msgspec.Struct, gc=False):
    """A snapshot or a change of the book, and the links of the sequence."""

    timestamp: Millis
    type: Literal["snapshot", "change"]
    change_id: int
    bids: list[_Row]
    asks: list[_Row]
    prev_change_id: int | None = None


class _Notification(msgspec.Struct, gc=False):
    """The channel of a notification, and its data, which are read later. A heartbeat has neither."""

    channel: str = ""
    data: msgspec.Raw = msgspec.Raw()


class _Error(msgspec.Struct, gc=False):
    """Why the venue refused a request."""

    code: int = 0
    message: str = ""
    data: msgspec.Raw = msgspec.Raw()


class _Message(msgspec.Struct, gc=False):
    """A notification, or the answer to a request."""

    method: str = ""
    params: _Notification | None = None
    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: _Error | None = None


class _Stats(msgspec.Struct, gc=False):
    """The volume of 24 h in base units, of inverse contracts too."""

    volume: float


class _Ticker(msgspec.Struct, gc=False):
    """A ticker, of which only the statistics are read."""

    stats: _Stats


class _TickerReply(msgspec.Struct, gc=False):
    """The answer to a question for a ticker, or a refusal."""

    result: _Ticker


_MESSAGE = msgspec.json.Decoder(_Message)
_TICKER = msgspec.json.Decoder(_TickerReply)
_CHANGE = msgspec.json.Decoder(_Change)


def _request(number: int, method: str, **params: object) -> str:
    """Return the text of a JSON-RPC request."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).decode()


class DeribitFeed(DeltaFeed):
    """A feed in which each change names the last one. Heartbeats are asked for, and those that want it are answered."""

    def __init__(self, symbol: str, contract: Contract, depth: int | None = None) -> None:
        super().__init__("deribit", symbol, BookBuilder(depth or 400))
        self._contract = contract
        self._channel = ""
        """The channel that the book is of; empty before the snapshot."""
        self._last_change_id = 0

    def subscribe(self) -> list[str]:
        return [
            _request(9000, "public/set_heartbeat", interval=HEARTBEAT_S),
            _request(SUBSCRIBE_ID, "public/subscribe", channels=[f"book.{self._symbol}.100ms"]),
        ]

    def answer(self, message: str | bytes) -> str | None:
        # The venue closes a connection that leaves this unanswered.
        wanted = "test_request" in message if isinstance(message, str) else b"test_request" in message
        return _request(9002, "public/test") if wanted else None

    def _apply_message(self, message: str | bytes) -> int | None:
        frame = decode(_MESSAGE, message)
        if frame.error is not None:
            reason = bytes(frame.error.data).decode()[:200]
            raise FeedError(f"Deribit refused: {frame.error.code} {frame.error.message} {reason}".rstrip())
        if frame.id == SUBSCRIBE_ID and bytes(frame.result) == b"[]":
            raise FeedError(f"Deribit refused: it has no order book of {self._symbol}")
        if frame.method != "subscription" or frame.params is None:
            return None
        channel = frame.params.channel
        if channel != self._channel and (self._channel or not self._is_ours(channel)):
            return None
        change = decode(_CHANGE, frame.params.data)
        if change.type == "change" and not self._channel:
            return None
        bids, asks = self._to_levels(change.bids), self._to_levels(change.asks)
        if change.type == "snapshot":
            self._builder.load(bids, asks)
            self._channel = channel
        else:
            if change.prev_change_id != self._last_change_id:
                raise FeedError(f"gap: prev_change_id {change.prev_change_id} after {self._last_change_id}")
            self._builder.apply(bids, asks)
        self._last_change_id = change.change_id
        return change.timestamp * 1_000_000

    def _is_ours(self, channel: str) -> bool:
        match = _CHANNEL.fullmatch(channel)
        return match is not None and match[1] == self._symbol

    def _to_levels(self, rows: list[_Row]) -> Levels:
        """Return a side's changes in base units, (n, 2)."""
        numbers: list[float] = []
        for row in rows:
            numbers += (row.price, 0.0 if row.action == "delete" else row.amount)
        levels = to_levels(numbers)
        if self._contract.is_inverse and len(levels):
            self._contract.divide_by_price(levels)
        return levels


class Deribit(Venue):
    """Deribit's perpetual and dated contracts, inverse ones of BTC and ETH and linear ones in USDC."""

    name = "deribit"
    title = "Deribit"
    symbols = ("BTC_USDC-PERPETUAL", "ETH_USDC-PERPETUAL", "BTC-PERPETUAL", "ETH-PERPETUAL")
    fees = "deribit"
    tardis = (TardisName("deribit", "quote", _INVERSE), TardisName("deribit", "base", _LINEAR))

    def url(self, symbol: str) -> str:  # noqa: ARG002 - the subscription names the symbol
        return "wss://www.deribit.com/ws/api/v2"

    def make_feed(self, symbol: str, depth: int | None = None) -> DeribitFeed:
        return DeribitFeed(symbol, self._find_contract(symbol), depth)

    def product(self, symbol: str) -> Product:
        self._split_symbol(symbol)
        return "swap"

    def contract_size(self, symbol: str) -> float:
        return self._find_contract(symbol).base_units(symbol)

    def instrument(self, symbol: str) -> str:
        base, quote, delivery = self._split_symbol(symbol)
        inverse = "" if quote else "inverse "
        return f"{base}/{quote or 'USD'} {inverse}" + (f"future {delivery}" if delivery else "swap")

    def volume_url(self, symbol: str) -> str | None:
        self._split_symbol(symbol)
        return f"https://www.deribit.com/api/v2/public/ticker?instrument_name={symbol}"

    def read_daily_volume(self, body: str | bytes, symbol: str) -> float:
        return checked_volume(decode_ticker(_TICKER, body).result.stats.volume, symbol)

    def find_symbol(self, message: dict[str, Any]) -> str | None:
        params = message.get("params")
        channel = params.get("channel") if isinstance(params, dict) else None
        match = _CHANNEL.fullmatch(channel) if isinstance(channel, str) else None
        if match is None:
            return None
        try:
            self._split_symbol(match[1])
        except ValueError:
            return None
        return match[1]

    def _find_contract(self, symbol: str) -> Contract:
        """Return what amounts count. Raises ValueError for a text that is no symbol."""
        return SPOT if self._split_symbol(symbol)[1] else INVERSE_USD

    def _split_symbol(self, symbol: str) -> tuple[str, str, str]:
        """Return base, "USDC" or "" if it is inverse, and a delivery or "". Raises ValueError for other texts."""
        inverse, linear = re.fullmatch(_INVERSE, symbol), re.fullmatch(_LINEAR, symbol)
        if linear is not None:
            base, quote, kind = linear.groups()
        elif inverse is not None:
            base, quote, kind = inverse[1], "", inverse[2]
        else:
            raise self._refusal(symbol)
        if kind == "PERPETUAL":
            return base, quote, ""
        try:
            return base, quote, datetime.strptime(kind, "%d%b%y").strftime("%y%m%d")  # noqa: DTZ007 - a day
        except ValueError:
            raise self._refusal(symbol) from None

    def _refusal(self, symbol: str) -> ValueError:
        return ValueError(f"not a Deribit contract: {symbol!r}; they look like BTC-PERPETUAL or BTC_USDC-PERPETUAL")


VENUES = (Deribit(),)
