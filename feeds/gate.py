"""Read Gate's futures, `futures.obu`: a whole book at times, and numbered changes between; sizes in contracts.

{"time":1789455580,"time_ms":1789455580280,"channel":"futures.obu","event":"update","result":{
  "t":1789455580280,"s":"ob.BTC_USDT.50","U":125033675975,"u":125033676003,
  "b":[["77222.9","648"]],"a":[["77235","50"],["77235.2","0"]]}}
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any, Self

import msgspec

from feeds.base import DeltaFeed, FeedError, Millis, Product, TardisName, Venue, decode
from feeds.contracts import Contract, contract_from_facts
from feeds.daily_volume import checked_volume, decode_ticker, only_row
from orderbook import BookBuilder

DEPTHS = (50, 400)
"""The depths that Gate offers, in levels a side: 50 come every 20 ms, 400 every 100 ms."""

CONTRACTS = {"BTC_USDT": Contract(0.0001), "ETH_USDT": Contract(0.01), "CHR_USDT": Contract(10.0)}
"""Contracts by symbol: Gate's public contracts (quanto_multiplier), 2026-09-15.
They are used offline, for contracts that `GateFutures.learn` has not learned."""

_SYMBOL = re.compile(r"([A-Z0-9]+)_(USDT)")
_STREAM = re.compile(r"ob\.([A-Z0-9]+_[A-Z0-9]+)\.([0-9]{1,4})")


class _Change(msgspec.Struct, gc=False):
    """A whole book, or a change from one number to another. A change may have no levels at all."""

    s: str
    u: int
    t: Millis = 0
    full: bool = False
    U: int = 0
    b: msgspec.Raw = msgspec.Raw(b"[]")
    a: msgspec.Raw = msgspec.Raw(b"[]")


class _Error(msgspec.Struct, gc=False):
    """Why the venue refused a request."""

    code: int = 0
    message: str = ""


class _Message(msgspec.Struct, gc=False):
    """A message of any channel, or the answer to a request; its result is read later."""

    channel: str = ""
    event: str = ""
    time_ms: Millis | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: _Error | None = None


class _Stream(msgspec.Struct, gc=False):
    """The stream that a result is of."""

    s: str = ""


class _ContractRow(msgspec.Struct, gc=False):
    """A contract and its worth in base units, or a refusal."""

    name: str = ""
    quanto_multiplier: str = ""
    label: str = ""
    message: str = ""


class _Ticker(msgspec.Struct, gc=False):
    """The volume of 24 h in base units, beside volume_24h, which counts contracts; or a refusal."""

    contract: str = ""
    volume_24h_base: str = ""
    label: str = ""
    message: str = ""


_MESSAGE = msgspec.json.Decoder(_Message)
_TICKERS = msgspec.json.Decoder(_Ticker | list[_Ticker])
_ANY_STREAM = msgspec.json.Decoder(_Stream)
_CHANGE = msgspec.json.Decoder(_Change)
_CONTRACT_ROWS = msgspec.json.Decoder(_ContractRow | list[_ContractRow])


def parse_contracts(body: str | bytes) -> dict[str, Contract]:
    """Return the contracts by symbol from the body of GET /api/v4/futures/usdt/contracts, or of one of them.

    Raises FeedError, with the venue's words where it refused.

    >>> parse_contracts('{"name":"BTC_USDT","type":"direct","quanto_multiplier":"0.0001"}')
    {'BTC_USDT': Contract(value=0.0001, is_inverse=False)}
    """
    reply = decode(_CONTRACT_ROWS, body)
    contracts = {}
    for row in reply if isinstance(reply, list) else [reply]:
        if not row.name:
            raise FeedError(f"Gate refused the contracts: {row.label} {row.message}")
        try:
            value = float(row.quanto_multiplier)
        except ValueError:
            value = 0.0
        if not 0 < value < float("inf"):
            raise FeedError(f"{row.name[:40]}: no contract value in {row.quanto_multiplier[:40]!r}")
        contracts[row.name] = Contract(value)
    return contracts


class GateFeed(DeltaFeed):
    """A feed in which each change begins with the number after the last one, and any whole book begins anew.

    It follows the deepest stream that it receives.
    """

    keepalive = ('{"time":123456,"channel":"futures.ping"}', 15.0)  # the time is not read, as in the documentation
    is_keepalive_periodic = True

    def __init__(self, symbol: str, contract: Contract, depth: int | None = None) -> None:
        super().__init__("gate-futures", symbol, BookBuilder(depth or 400))
        self._contract = contract
        wanted = depth or 400
        self._subscribed_levels = next((offered for offered in DEPTHS if offered >= wanted), DEPTHS[-1])
        self._stream = ""
        """The stream that the book is of; empty before the first whole book."""
        self._levels = 0
        self._last_update = 0

    def subscribe(self) -> list[str]:
        stream = f"ob.{self._symbol}.{self._subscribed_levels}"
        request = {"time": 123456, "channel": "futures.obu", "event": "subscribe", "payload": [stream]}
        return [msgspec.json.encode(request).decode()]

    def _apply_message(self, message: str | bytes) -> int | None:
        frame = decode(_MESSAGE, message)
        if frame.error is not None:
            raise FeedError(f"Gate refused: {frame.error.code} {frame.error.message}")
        if frame.channel != "futures.obu" or frame.event == "subscribe" or not self._is_ours(frame.result):
            return None
        change = decode(_CHANGE, frame.result)
        if change.s != self._stream and not change.full:
            return None
        # A quiet market's whole book has the old time of its last change in t.
        time_ms = frame.time_ms or change.t
        if not time_ms:
            raise FeedError("a book without a time")
        bids, asks = self._contract.read_sides(change.b, change.a)
        if change.full:
            self._builder.load(bids, asks)
            self._stream = change.s
            self._levels = int(change.s.rpartition(".")[2])
        else:
            if self._last_update + 1 != change.U:
                raise FeedError(f"gap: U {change.U} after u {self._last_update}")
            self._builder.apply(bids, asks)
        self._last_update = change.u
        return time_ms * 1_000_000

    def _is_ours(self, result: msgspec.Raw) -> bool:
        """Return whether a result is of this symbol's book, and at least as deep as the one that is followed."""
        try:
            match = _STREAM.fullmatch(_ANY_STREAM.decode(result).s)
        except msgspec.MsgspecError:
            return False
        return match is not None and match[1] == self._symbol and int(match[2]) >= self._levels


class GateFutures(Venue):
    """Gate's perpetual contracts in USDT, each worth an amount of coins.

    Left out are the contracts that are paid in bitcoin or in USD1.
    """

    name = "gate-futures"
    title = "Gate futures"
    symbols = ("BTC_USDT", "ETH_USDT")
    fees = "gate"
    tardis = (TardisName("gate-io-futures", "contracts", _SYMBOL.pattern),)

    def __init__(self) -> None:
        self._learned_contracts: dict[str, Contract] = {}

    def url(self, symbol: str) -> str:  # noqa: ARG002 - the subscription names the symbol
        return "wss://fx-ws.gateio.ws/v4/ws/usdt"

    def instruments_url(self, symbol: str) -> str | None:
        """Return the address where the worth of the contract is published."""
        _split_symbol(symbol)
        return f"https://api.gateio.ws/api/v4/futures/usdt/contracts/{symbol}"

    def learn(self, body: str | bytes) -> None:
        """Learn the worth of the contracts in a reply, for all feeds made from now on. Raises FeedError."""
        self._learned_contracts.update(parse_contracts(body))

    def volume_url(self, symbol: str) -> str | None:
        _split_symbol(symbol)
        return f"https://api.gateio.ws/api/v4/futures/usdt/tickers?contract={symbol}"

    def read_daily_volume(self, body: str | bytes, symbol: str) -> float:
        reply = decode_ticker(_TICKERS, body)
        if not isinstance(reply, list):
            raise FeedError(f"Gate refused the ticker: {reply.label} {reply.message}")
        row = only_row(reply, symbol, "")
        return checked_volume(row.volume_24h_base, row.contract)

    def make_feed(self, symbol: str, depth: int | None = None) -> GateFeed:
        return GateFeed(symbol, self._find_contract(symbol), depth)

    def recorded_facts(self, symbol: str) -> dict[str, object]:
        return self._find_contract(symbol).facts()

    def with_facts(self, symbol: str, facts: Mapping[str, object]) -> Self:
        contract = contract_from_facts(symbol, facts)
        if contract is None:
            return self
        venue = copy.copy(self)
        venue._learned_contracts = self._learned_contracts | {symbol: contract}
        return venue

    def product(self, symbol: str) -> Product:
        _split_symbol(symbol)
        return "swap"

    def contract_size(self, symbol: str) -> float:
        return self._find_contract(symbol).base_units(symbol)

    def instrument(self, symbol: str) -> str:
        return "{}/{} swap".format(*_split_symbol(symbol))

    def find_symbol(self, message: dict[str, Any]) -> str | None:
        result = message.get("result")
        if message.get("channel") != "futures.obu" or not isinstance(result, dict):
            return None
        stream = result.get("s")
        match = _STREAM.fullmatch(stream) if isinstance(stream, str) else None
        return match[1] if match is not None and _SYMBOL.fullmatch(match[1]) else None

    def _find_contract(self, symbol: str) -> Contract:
        """Return the contract of a symbol. Raises ValueError if its size is not known."""
        _split_symbol(symbol)
        contract = self._learned_contracts.get(symbol) or CONTRACTS.get(symbol)
        if contract is None:
            known = ", ".join(CONTRACTS)
            raise ValueError(f"contract size of {symbol} is unknown; without Gate's contracts only {known} are known")
        return contract


VENUES = (GateFutures(),)


def _split_symbol(symbol: str) -> tuple[str, str]:
    """Return base and quote. Raises ValueError for a text that is no symbol."""
    match = _SYMBOL.fullmatch(symbol)
    if match is None:
        raise ValueError(f"not a Gate contract: {symbol!r}; they look like BTC_USDT")
    return match[1], match[2]
