"""What each venue would say: its protocol over a market of our own, one session a connection, pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from tests.support.reference_book import Change, DictionaryBook, Row, kraken_checksum

START_MS = 1_763_800_000_000
"""The market's clock begins here and goes on by 100 ms a change."""


HISTORY_DEPTH = 10

Levels = list[tuple[float, float]]


class Market:
    """The true book of one symbol, prices and sizes as the venue writes them, and its count of changes.

    `history` has its best ten levels after every change.
    """

    def __init__(self, symbol: str, levels: int = 60) -> None:
        self.symbol = symbol
        self.updates = 1000
        self.previous = 0
        self.book = DictionaryBook(Decimal)
        bids = [(f"{100 - level * 0.5:.1f}", f"{1 + level}.50000000") for level in range(levels)]
        asks = [(f"{100.5 + level * 0.5:.1f}", f"{2 + level}.25000000") for level in range(levels)]
        self.book.apply(Change(True, bids, asks))
        self.history = [self.top(HISTORY_DEPTH)]

    def apply(self, bids: Sequence[Row], asks: Sequence[Row]) -> None:
        self.previous, self.updates = self.updates, self.updates + 3
        self.book.apply(Change(False, list(bids), list(asks)))
        self.history.append(self.top(HISTORY_DEPTH))

    def top(self, count: int) -> tuple[Levels, Levels]:
        """The best `count` levels of bids and asks as numbers."""
        bids, asks = self.book.top(count)
        return [(float(p), float(q)) for p, q in bids], [(float(p), float(q)) for p, q in asks]

    @property
    def ms(self) -> int:
        return START_MS + self.updates * 100

    @property
    def iso(self) -> str:
        return f"2025-11-22T08:{self.updates // 600 % 60:02}:{self.updates // 10 % 60:02}.{self.updates % 10}00000Z"


def pairs(rows: Sequence[Row]) -> list[list[str]]:
    return [[f"{Decimal(price):f}", f"{Decimal(size):f}"] for price, size in rows]


class Session:
    """One connection as its venue keeps it. `refusal` holds the words a subscription is refused with."""

    refusal = ""
    subscribed = False

    def __init__(self, market: Market) -> None:
        self.market = market

    def greet(self) -> list[str]:
        """What is said on connect."""
        return []

    def answer(self, text: str) -> list[str]:
        """What is said to a client's text."""
        raise NotImplementedError

    def change(self, bids: Sequence[Row], asks: Sequence[Row], spoiled: bool = False) -> str:
        """A change the market has just made; spoiled: with a wrong checksum, where the venue sends one."""
        raise NotImplementedError

    def heartbeat(self) -> str | None:
        return None

    def notice(self) -> str | None:
        """The venue's word that it will close the connection."""
        return None


class GatewaySession(Session):
    subscribed = True

    def greet(self) -> list[str]:
        return [self.change((), ())]

    def change(self, bids: Sequence[Row], asks: Sequence[Row], spoiled: bool = False) -> str:  # noqa: ARG002
        best_bids, best_asks = self.market.book.top(50)
        stamp = self.market.iso[:19] + "Z"
        frame = {"timestamp": stamp, "exchange": "OKX", "symbol": self.market.symbol}
        return compact(frame | {"asks": pairs(best_asks), "bids": pairs(best_bids)})


class OkxSession(Session):
    def answer(self, text: str) -> list[str]:
        if text == "ping":
            return ["pong"]
        request = json.loads(text)
        if self.refusal:
            return [compact({"event": "error", "code": "60018", "msg": self.refusal, "connId": "a4d3ae55"})]
        self.subscribed = True
        (arg,) = request["args"]
        bids, asks = self.market.book.top(400)
        ack = {"event": "subscribe", "arg": arg, "connId": "a4d3ae55"}
        return [compact(ack), self._books("snapshot", bids, asks, -1)]

    def change(self, bids: Sequence[Row], asks: Sequence[Row], spoiled: bool = False) -> str:  # noqa: ARG002
        return self._books("update", bids, asks, self.market.previous)

    def heartbeat(self) -> str | None:
        return self._books("update", (), (), self.market.updates)

    def notice(self) -> str | None:
        words = "The connection will soon be closed for a service upgrade. Please reconnect."
        return compact({"event": "notice", "code": "64008", "msg": words, "connId": "a4d3ae55"})

    def _books(self, action: str, bids: Sequence[Row], asks: Sequence[Row], previous: int) -> str:
        sides = {"asks": [[*row, "0", "1"] for row in pairs(asks)], "bids": [[*row, "0", "1"] for row in pairs(bids)]}
        count = {"ts": str(self.market.ms), "checksum": 0, "seqId": self.market.updates, "prevSeqId": previous}
        arg = {"channel": "books", "instId": self.market.symbol}
        return compact({"arg": arg, "action": action, "data": [sides | count]})


class BinanceSession(Session):
    """The stream is named in the address, so there is nothing to subscribe to."""

    subscribed = True
    futures = False

    def answer(self, text: str) -> list[str]:
        return [compact({"error": {"code": 2, "msg": f"Invalid request: {text[:20]}"}, "id": 1})]

    def change(self, bids: Sequence[Row], asks: Sequence[Row], spoiled: bool = False) -> str:  # noqa: ARG002
        event: dict[str, Any] = {"e": "depthUpdate", "E": self.market.ms, "s": self.market.symbol}
        if self.futures:
            # Futures count all symbols together, so a change's first number is not the last one's plus one.
            event |= {"T": self.market.ms - 1, "U": self.market.previous + 2, "u": self.market.updates}
            event |= {"pu": self.market.previous}
        else:
            event |= {"U": self.market.previous + 1, "u": self.market.updates}
        return compact(event | {"b": pairs(bids), "a": pairs(asks)})

    def notice(self) -> str | None:
        return compact({"e": "serverShutdown", "E": self.market.ms})


class BinanceUsdmSession(BinanceSession):
    futures = True


def binance_body(market: Market) -> str:
    """The REST snapshot."""
    bids, asks = market.book.top(1000)
    return compact({"lastUpdateId": market.updates, "bids": pairs(bids), "asks": pairs(asks)})


class CoinbaseSession(Session):
    def __init__(self, market: Market) -> None:
        super().__init__(market)
        self.sequence = -1

    def answer(self, text: str) -> list[str]:
        request = json.loads(text)
        if self.refusal:
            return [compact({"type": "error", "message": self.refusal})]
        said = []
        if request["channel"] == "level2":
            self.subscribed = True
            bids, asks = self.market.book.top(100_000)
            said.append(self._l2("snapshot", bids, asks))
        said.append(self._message("subscriptions", [{"subscriptions": {request["channel"]: [self.market.symbol]}}]))
        return said

    def change(self, bids: Sequence[Row], asks: Sequence[Row], spoiled: bool = False) -> str:  # noqa: ARG002
        return self._l2("update", bids, asks)

    def heartbeat(self) -> str | None:
        return self._message("heartbeats", [{"current_time": self.market.iso, "heartbeat_counter": 41691}])

    def _l2(self, kind: str, bids: Sequence[Row], asks: Sequence[Row]) -> str:
        updates = [
            {"side": side, "event_time": "1970-01-01T00:00:00Z", "price_level": price, "new_quantity": size}
            for side, rows in (("bid", bids), ("offer", asks))
            for price, size in pairs(rows)
        ]
        return self._message("l2_data", [{"type": kind, "product_id": self.market.symbol, "updates": updates}])

    def _message(self, channel: str, events: list[Any]) -> str:
        self.sequence += 1
        frame = {"channel": channel, "timestamp": self.market.iso, "sequence_num": self.sequence}
        return compact(frame | {"events": events})


class KrakenSession(Session):
    """Keeps what the client holds: levels that come into its depth are sent, those that fall out are not deleted."""

    depth = 10

    def greet(self) -> list[str]:
        return ['{"channel":"status","type":"update","data":[{"system":"online","api_version":"v2"}]}']

    def answer(self, text: str) -> list[str]:
        request = json.loads(text)
        if request["method"] == "ping":
            return [compact({"method": "pong", "time_in": self.market.iso, "time_out": self.market.iso})]
        (symbol,) = request["params"]["symbol"]
        if self.refusal:
            refused = {"error": self.refusal, "method": "subscribe", "success": False, "symbol": symbol}
            return [compact(refused)]
        self.subscribed = True
        self.depth = request["params"]["depth"]
        result = {"channel": "book", "depth": self.depth, "snapshot": True, "symbol": symbol}
        self.client = self._window()
        return [
            compact({"method": "subscribe", "result": result, "success": True}),
            self._book("snapshot", list(self.client[0].items()), list(self.client[1].items()), False),
        ]

    def change(self, bids: Sequence[Row], asks: Sequence[Row], spoiled: bool = False) -> str:  # noqa: ARG002
        before, self.client = self.client, self._window()
        sent = []
        for old, new, market in zip(before, self.client, (self.market.book.bids, self.market.book.asks), strict=True):
            gone = [(price, Decimal("0.00000000")) for price in old if price not in market]
            sent.append(gone + [(price, size) for price, size in new.items() if old.get(price) != size])
        return self._book("update", sent[0], sent[1], spoiled)

    def heartbeat(self) -> str | None:
        return '{"channel":"heartbeat"}'

    def _window(self) -> tuple[dict[Any, Any], dict[Any, Any]]:
        bids, asks = self.market.book.top(self.depth)
        return dict(bids), dict(asks)

    def _book(self, kind: str, bids: Sequence[Row], asks: Sequence[Row], spoiled: bool) -> str:
        sides = [",".join(f'{{"price":{price},"qty":{size}}}' for price, size in pairs(rows)) for rows in (bids, asks)]
        checksum = kraken_checksum(self.market.book) ^ spoiled
        return (
            f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{self.market.symbol}","bids":[{sides[0]}],'
            f'"asks":[{sides[1]}],"checksum":{checksum},"timestamp":"{self.market.iso}"}}]}}'
        )


def compact(frame: Any) -> str:
    return json.dumps(frame, separators=(",", ":"))


class Imitation(NamedTuple):
    """How a venue is imitated: its protocol, and a symbol whose sizes are base units as they are sent."""

    session: type[Session]
    symbol: str


IMITATIONS = {
    "gomarket-okx": Imitation(GatewaySession, "SOL-USDT-SWAP"),
    "okx": Imitation(OkxSession, "BTC-USDT"),
    "binance": Imitation(BinanceSession, "BTCUSDT"),
    "binance-usdm": Imitation(BinanceUsdmSession, "BTCUSDT"),
    "coinbase": Imitation(CoinbaseSession, "BTC-USD"),
    "kraken": Imitation(KrakenSession, "BTC/USD"),
}
"""One line a venue, and all that a new one needs for its share of the tests that run for every venue."""

SESSIONS = {venue: imitation.session for venue, imitation in IMITATIONS.items()}
SYMBOLS = {venue: imitation.symbol for venue, imitation in IMITATIONS.items()}
