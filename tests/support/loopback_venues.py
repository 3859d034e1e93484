"""Speak each venue's protocol about a market of our own: pure, one session for each connection."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from tests.support.reference_book import Change, DictionaryBook, Row, kraken_checksum

START_MS = 1_763_800_000_000
"""The market's clock begins here and advances by 100 ms for each update id."""


HISTORY_DEPTH = 10

Levels = list[tuple[float, float]]


class Market:
    """The true book of one symbol, with prices and sizes as the venue writes them, and its update ids.

    unit: the base units of a size; quote units if `is_inverse`.
    history: the best ten levels after every change, in base units.
    """

    def __init__(self, symbol: str, levels: int = 60, unit: float = 1.0, is_inverse: bool = False) -> None:
        self.symbol = symbol
        self.unit = unit
        self.is_inverse = is_inverse
        self.update_id = 1000
        self.previous_update_id = 0
        self.book = DictionaryBook(Decimal)
        bids = [(f"{100 - level * 0.5:.1f}", f"{1 + level}.50000000") for level in range(levels)]
        asks = [(f"{100.5 + level * 0.5:.1f}", f"{2 + level}.25000000") for level in range(levels)]
        self.book.apply(Change(True, bids, asks))
        self.history = [self.top(HISTORY_DEPTH)]

    def apply(self, bids: Sequence[Row], asks: Sequence[Row]) -> None:
        """Change the book and advance the update id."""
        self.previous_update_id = self.update_id
        self.update_id += 3
        self.book.apply(Change(False, list(bids), list(asks)))
        self.history.append(self.top(HISTORY_DEPTH))

    def top(self, count: int) -> tuple[Levels, Levels]:
        """Return the best `count` levels of bids and asks as numbers, sizes in base units."""
        bids, asks = self.book.top(count)
        return [self._in_base_units(*row) for row in bids], [self._in_base_units(*row) for row in asks]

    def _in_base_units(self, price: Decimal, size: Decimal) -> tuple[float, float]:
        units = float(size) * self.unit
        return float(price), units / float(price) if self.is_inverse else units

    @property
    def time_ms(self) -> int:
        """The market's clock, ms since epoch."""
        return START_MS + self.update_id * 100

    @property
    def iso_time(self) -> str:
        """The market's clock in ISO 8601; tenths of a second are all its digits."""
        seconds, tenths = divmod(self.update_id, 10)
        return f"2025-11-22T08:{seconds // 60 % 60:02}:{seconds % 60:02}.{tenths}00000Z"


def format_rows(rows: Sequence[Row]) -> list[list[str]]:
    """Write prices and sizes without an exponent, as venues do."""
    return [[f"{Decimal(price):f}", f"{Decimal(size):f}"] for price, size in rows]


class Session:
    """One connection at its venue. `refusal` has the words with which the venue refuses a subscription, or is empty."""

    refusal = ""
    subscribed = False

    def __init__(self, market: Market) -> None:
        self.market = market

    def greet(self) -> list[str]:
        """Return the texts that the venue sends on connect."""
        return []

    def answer(self, text: str) -> list[str]:
        """Return the texts that the venue sends in answer to a client's text."""
        raise NotImplementedError

    @staticmethod
    def split(bids: Sequence[Row], asks: Sequence[Row]) -> list[tuple[Sequence[Row], Sequence[Row]]]:
        """Return the changes of the market that the venue would tell one by one: (bids, asks) of each."""
        return [(bids, asks)]

    def change(self, bids: Sequence[Row], asks: Sequence[Row], wrong_checksum: bool = False) -> str:
        """Return the text of the market's last change, with a wrong checksum if asked for and the venue sends one."""
        raise NotImplementedError

    def heartbeat(self) -> str | None:
        """Return the text of a heartbeat, or None if the venue sends none."""
        return None

    def notice(self) -> str | None:
        """Return the venue's notice that it will close the connection, or None if it sends none."""
        return None


class GatewaySession(Session):
    subscribed = True

    def greet(self) -> list[str]:
        return [self.change((), ())]

    def change(self, bids: Sequence[Row], asks: Sequence[Row], wrong_checksum: bool = False) -> str:  # noqa: ARG002
        best_bids, best_asks = self.market.book.top(50)
        stamp = self.market.iso_time[:19] + "Z"
        frame = {"timestamp": stamp, "exchange": "OKX", "symbol": self.market.symbol}
        return to_json(frame | {"asks": format_rows(best_asks), "bids": format_rows(best_bids)})


class OkxSession(Session):
    def answer(self, text: str) -> list[str]:
        if text == "ping":
            return ["pong"]
        request = json.loads(text)
        if self.refusal:
            return [to_json({"event": "error", "code": "60018", "msg": self.refusal, "connId": "a4d3ae55"})]
        self.subscribed = True
        (arg,) = request["args"]
        bids, asks = self.market.book.top(400)
        ack = {"event": "subscribe", "arg": arg, "connId": "a4d3ae55"}
        return [to_json(ack), self._books("snapshot", bids, asks, -1)]

    def change(self, bids: Sequence[Row], asks: Sequence[Row], wrong_checksum: bool = False) -> str:  # noqa: ARG002
        return self._books("update", bids, asks, self.market.previous_update_id)

    def heartbeat(self) -> str | None:
        return self._books("update", (), (), self.market.update_id)

    def notice(self) -> str | None:
        words = "The connection will soon be closed for a service upgrade. Please reconnect."
        return to_json({"event": "notice", "code": "64008", "msg": words, "connId": "a4d3ae55"})

    def _books(self, action: str, bids: Sequence[Row], asks: Sequence[Row], previous: int) -> str:
        sides = {
            "asks": [[*row, "0", "1"] for row in format_rows(asks)],
            "bids": [[*row, "0", "1"] for row in format_rows(bids)],
        }
        count = {"ts": str(self.market.time_ms), "checksum": 0, "seqId": self.market.update_id, "prevSeqId": previous}
        arg = {"channel": "books", "instId": self.market.symbol}
        return to_json({"arg": arg, "action": action, "data": [sides | count]})


class BinanceSession(Session):
    """A session of Binance: the address names the stream, so there is nothing to subscribe to."""

    subscribed = True
    futures = False

    def answer(self, text: str) -> list[str]:
        return [to_json({"error": {"code": 2, "msg": f"Invalid request: {text[:20]}"}, "id": 1})]

    def change(self, bids: Sequence[Row], asks: Sequence[Row], wrong_checksum: bool = False) -> str:  # noqa: ARG002
        event: dict[str, Any] = {"e": "depthUpdate", "E": self.market.time_ms, "s": self.market.symbol}
        if self.futures:
            # Futures count all symbols together, so a change's first number is not the last one's plus one.
            event |= {"T": self.market.time_ms - 1, "U": self.market.previous_update_id + 2, "u": self.market.update_id}
            event |= {"pu": self.market.previous_update_id}
        else:
            event |= {"U": self.market.previous_update_id + 1, "u": self.market.update_id}
        return to_json(event | {"b": format_rows(bids), "a": format_rows(asks)})

    def notice(self) -> str | None:
        return to_json({"e": "serverShutdown", "E": self.market.time_ms})


class BinanceUsdmSession(BinanceSession):
    futures = True


def binance_body(market: Market) -> str:
    """Return the body of the REST snapshot."""
    bids, asks = market.book.top(1000)
    return to_json({"lastUpdateId": market.update_id, "bids": format_rows(bids), "asks": format_rows(asks)})


class CoinbaseSession(Session):
    def __init__(self, market: Market) -> None:
        super().__init__(market)
        self.sequence = -1

    def answer(self, text: str) -> list[str]:
        request = json.loads(text)
        if self.refusal:
            return [to_json({"type": "error", "message": self.refusal})]
        texts = []
        if request["channel"] == "level2":
            self.subscribed = True
            bids, asks = self.market.book.top(100_000)
            texts.append(self._l2("snapshot", bids, asks))
        texts.append(self._message("subscriptions", [{"subscriptions": {request["channel"]: [self.market.symbol]}}]))
        return texts

    def change(self, bids: Sequence[Row], asks: Sequence[Row], wrong_checksum: bool = False) -> str:  # noqa: ARG002
        return self._l2("update", bids, asks)

    def heartbeat(self) -> str | None:
        return self._message("heartbeats", [{"current_time": self.market.iso_time, "heartbeat_counter": 41691}])

    def _l2(self, kind: str, bids: Sequence[Row], asks: Sequence[Row]) -> str:
        updates = [
            {"side": side, "event_time": "1970-01-01T00:00:00Z", "price_level": price, "new_quantity": size}
            for side, rows in (("bid", bids), ("offer", asks))
            for price, size in format_rows(rows)
        ]
        return self._message("l2_data", [{"type": kind, "product_id": self.market.symbol, "updates": updates}])

    def _message(self, channel: str, events: list[Any]) -> str:
        self.sequence += 1
        frame = {"channel": channel, "timestamp": self.market.iso_time, "sequence_num": self.sequence}
        return to_json(frame | {"events": events})


class KrakenSession(Session):
    """A session of Kraken: it sends levels that enter the client's depth, and deletes none that leave it.

    client: the levels of the client's book, bids and asks.
    """

    depth = 10

    def greet(self) -> list[str]:
        return ['{"channel":"status","type":"update","data":[{"system":"online","api_version":"v2"}]}']

    def answer(self, text: str) -> list[str]:
        request = json.loads(text)
        if request["method"] == "ping":
            return [to_json({"method": "pong", "time_in": self.market.iso_time, "time_out": self.market.iso_time})]
        (symbol,) = request["params"]["symbol"]
        if self.refusal:
            refused = {"error": self.refusal, "method": "subscribe", "success": False, "symbol": symbol}
            return [to_json(refused)]
        self.subscribed = True
        self.depth = request["params"]["depth"]
        result = {"channel": "book", "depth": self.depth, "snapshot": True, "symbol": symbol}
        self.client = self._window()
        return [
            to_json({"method": "subscribe", "result": result, "success": True}),
            self._book("snapshot", list(self.client[0].items()), list(self.client[1].items()), False),
        ]

    def change(self, bids: Sequence[Row], asks: Sequence[Row], wrong_checksum: bool = False) -> str:  # noqa: ARG002
        before, self.client = self.client, self._window()
        sent = []
        for old, new, market in zip(before, self.client, (self.market.book.bids, self.market.book.asks), strict=True):
            deleted = [(price, Decimal("0.00000000")) for price in old if price not in market]
            sent.append(deleted + [(price, size) for price, size in new.items() if old.get(price) != size])
        return self._book("update", sent[0], sent[1], wrong_checksum)

    def heartbeat(self) -> str | None:
        return '{"channel":"heartbeat"}'

    def _window(self) -> tuple[dict[Any, Any], dict[Any, Any]]:
        bids, asks = self.market.book.top(self.depth)
        return dict(bids), dict(asks)

    def _book(self, kind: str, bids: Sequence[Row], asks: Sequence[Row], wrong_checksum: bool) -> str:
        sides = [
            ",".join(f'{{"price":{price},"qty":{size}}}' for price, size in format_rows(rows)) for rows in (bids, asks)
        ]
        checksum = kraken_checksum(self.market.book) ^ wrong_checksum
        return (
            f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{self.market.symbol}","bids":[{sides[0]}],'
            f'"asks":[{sides[1]}],"checksum":{checksum},"timestamp":"{self.market.iso_time}"}}]}}'
        )


def to_json(frame: Any) -> str:
    """Encode a frame as JSON without spaces."""
    return json.dumps(frame, separators=(",", ":"))


class BybitSession(Session):
    """A session of Bybit: each change has a number, the last one's plus one."""

    update = 15_076_952
    topic = ""

    def answer(self, text: str) -> list[str]:
        request = json.loads(text)
        reply = {"success": True, "ret_msg": "", "conn_id": "d8bu1olkndm7crnfs1e0-j6akw", "req_id": ""}
        if request["op"] == "ping":
            return [to_json(reply | {"ret_msg": "pong", "op": "ping"})]
        if self.refusal:
            return [to_json(reply | {"success": False, "ret_msg": f"error:{self.refusal}", "op": "subscribe"})]
        self.subscribed = True
        (self.topic,) = request["args"]
        bids, asks = self.market.book.top(int(self.topic.split(".")[1]))
        return [to_json(reply | {"op": "subscribe"}), self._book("snapshot", bids, asks)]

    def change(self, bids: Sequence[Row], asks: Sequence[Row], wrong_checksum: bool = False) -> str:  # noqa: ARG002
        self.update += 1
        return self._book("delta", bids, asks)

    def _book(self, kind: str, bids: Sequence[Row], asks: Sequence[Row]) -> str:
        data = {"s": self.market.symbol, "b": format_rows(bids), "a": format_rows(asks), "u": self.update, "seq": 7}
        times = {"ts": self.market.time_ms + 1, "cts": self.market.time_ms}
        return to_json({"topic": self.topic, "type": kind, "ts": times["ts"], "data": data, "cts": times["cts"]})


class HyperliquidSession(Session):
    """A session of Hyperliquid: every message is the best 20 levels, or 5 in the fast kind."""

    levels = 20

    def answer(self, text: str) -> list[str]:
        request = json.loads(text)
        if request["method"] == "ping":
            return ['{"channel":"pong"}']
        if self.refusal:
            return [to_json({"channel": "error", "data": self.refusal})]
        self.subscribed = True
        subscription = {"nSigFigs": None, "mantissa": None, "fast": False} | request["subscription"]
        self.levels = 5 if subscription["fast"] else 20
        ack = {"channel": "subscriptionResponse", "data": {"method": "subscribe", "subscription": subscription}}
        return [to_json(ack), self.change((), ())]

    def change(self, bids: Sequence[Row], asks: Sequence[Row], wrong_checksum: bool = False) -> str:  # noqa: ARG002
        levels = [
            [{"px": price, "sz": size, "n": 1} for price, size in format_rows(rows)]
            for rows in self.market.book.top(self.levels)
        ]
        data = {"coin": self.market.symbol, "time": self.market.time_ms, "levels": levels}
        return to_json({"channel": "l2Book", "data": data})


class DeribitSession(Session):
    """A session of Deribit: each change names the last one; heartbeats come once they are asked for."""

    change_id = 136_069_961_946
    has_heartbeats = False

    def answer(self, text: str) -> list[str]:
        request = json.loads(text)
        reply = {"jsonrpc": "2.0", "id": request["id"]}
        match request["method"]:
            case "public/set_heartbeat":
                self.has_heartbeats = True
                return [to_json(reply | {"result": "ok"})]
            case "public/test":
                return [to_json(reply | {"result": {"version": "1.2.26"}})]
        if self.refusal:
            return [to_json(reply | {"error": {"code": 11050, "message": self.refusal}})]
        self.subscribed = True
        bids, asks = self.market.book.top(100_000)
        snapshot = self._book("snapshot", [("new", *row) for row in bids], [("new", *row) for row in asks])
        return [to_json(reply | {"result": request["params"]["channels"]}), snapshot]

    def change(self, bids: Sequence[Row], asks: Sequence[Row], wrong_checksum: bool = False) -> str:  # noqa: ARG002
        previous, self.change_id = self.change_id, self.change_id + 17
        sides = [
            [("change" if Decimal(size) else "delete", price, size) for price, size in rows] for rows in (bids, asks)
        ]
        return self._book("change", *sides, prev_change_id=previous)

    def heartbeat(self) -> str | None:
        return to_json({"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "test_request"}})

    def _book(self, kind: str, bids: Sequence[Any], asks: Sequence[Any], **link: int) -> str:
        sides = {
            name: [[action, float(price), float(size)] for action, price, size in rows]
            for name, rows in (("bids", bids), ("asks", asks))
        }
        data = {"timestamp": self.market.time_ms, "type": kind, "change_id": self.change_id, **sides, **link}
        channel = f"book.{self.market.symbol}.100ms"
        params = {"channel": channel, "data": data | {"instrument_name": self.market.symbol}}
        return to_json({"jsonrpc": "2.0", "method": "subscription", "params": params})


class BitgetSession(Session):
    """A session of Bitget, v3: each change names the last one."""

    seq = 427_583_461_144

    def answer(self, text: str) -> list[str]:
        if text == "ping":
            return ["pong"]
        (arg,) = json.loads(text)["args"]
        if self.refusal:
            return [to_json({"event": "error", "arg": arg, "code": 30001, "msg": self.refusal})]
        self.subscribed = True
        self.arg = arg
        bids, asks = self.market.book.top(1000)
        return [to_json({"event": "subscribe", "arg": arg}), self._books("snapshot", bids, asks, 0)]

    def change(self, bids: Sequence[Row], asks: Sequence[Row], wrong_checksum: bool = False) -> str:  # noqa: ARG002
        previous, self.seq = self.seq, self.seq + 19_415
        return self._books("update", bids, asks, previous)

    def _books(self, action: str, bids: Sequence[Row], asks: Sequence[Row], previous: int) -> str:
        links = {"seq": self.seq, "pseq": previous, "ts": str(self.market.time_ms), "maxdepth": "1000"}
        data = [{"a": format_rows(asks), "b": format_rows(bids)} | links]
        return to_json({"action": action, "arg": self.arg, "data": data, "ts": self.market.time_ms + 2})


class GateSession(Session):
    """A session of Gate: each change begins with the number after the last one's."""

    update = 108_552_472_643
    stream = ""

    def answer(self, text: str) -> list[str]:
        request = json.loads(text)
        head = {"time": self.market.time_ms // 1000, "time_ms": self.market.time_ms}
        if request["channel"] == "futures.ping":
            return [to_json(head | {"channel": "futures.pong", "event": "", "result": None})]
        ack = head | {"channel": "futures.obu", "event": "subscribe", "payload": request["payload"]}
        if self.refusal:
            return [to_json(ack | {"error": {"code": 2, "message": self.refusal}})]
        self.subscribed = True
        (self.stream,) = request["payload"]
        bids, asks = self.market.book.top(int(self.stream.split(".")[2]))
        return [to_json(ack | {"result": {"status": "success"}}), self._book(bids, asks, full=True)]

    def change(self, bids: Sequence[Row], asks: Sequence[Row], wrong_checksum: bool = False) -> str:  # noqa: ARG002
        first = self.update + 1
        self.update += 29
        return self._book(bids, asks, U=first)

    def _book(self, bids: Sequence[Row], asks: Sequence[Row], **more: Any) -> str:
        result = {"t": self.market.time_ms - 7, "s": self.stream, "u": self.update, **more}
        sides = {"b": format_rows(bids), "a": format_rows(asks)}
        head = {"time": self.market.time_ms // 1000, "time_ms": self.market.time_ms, "channel": "futures.obu"}
        return to_json(head | {"event": "update", "result": result | sides})


class KrakenFuturesSession(Session):
    """A session of Kraken's futures: each message has one level, and the number of the last one plus one."""

    seq = 326_072_249

    @staticmethod
    def split(bids: Sequence[Row], asks: Sequence[Row]) -> list[tuple[Sequence[Row], Sequence[Row]]]:
        changes: list[tuple[Sequence[Row], Sequence[Row]]] = [((row,), ()) for row in bids]
        return changes + [((), (row,)) for row in asks]

    def greet(self) -> list[str]:
        return ['{"event":"info","version":1}']

    def answer(self, text: str) -> list[str]:
        request = json.loads(text)
        if self.refusal:
            return [to_json({"event": "error", "message": self.refusal})]
        ack = to_json(request | {"event": "subscribed"})
        if request["feed"] == "heartbeat":
            return [ack]
        self.subscribed = True
        sides = {
            name: [{"price": float(price), "qty": float(size)} for price, size in rows]
            for name, rows in zip(("bids", "asks"), self.market.book.top(100_000), strict=True)
        }
        return [ack, self._message("book_snapshot", tickSize=None, **sides)]

    def change(self, bids: Sequence[Row], asks: Sequence[Row], wrong_checksum: bool = False) -> str:  # noqa: ARG002
        ((price, size),) = (*bids, *asks)
        self.seq += 1
        return self._message("book", side="buy" if bids else "sell", price=float(price), qty=float(size))

    def heartbeat(self) -> str | None:
        return to_json({"feed": "heartbeat", "time": self.market.time_ms})

    def _message(self, feed: str, **fields: Any) -> str:
        head = {"feed": feed, "product_id": self.market.symbol, "timestamp": self.market.time_ms, "seq": self.seq}
        return to_json(head | fields)


class Imitation(NamedTuple):
    """How a venue is imitated: its protocol, one of its symbols, and the base units of a size as it is sent.

    Of an inverse contract these are quote units.
    """

    session: type[Session]
    symbol: str
    unit: float = 1.0
    is_inverse: bool = False

    def make_market(self, symbol: str = "", levels: int = 60) -> Market:
        """Make the true book of this symbol; of the imitation's own symbol if none is given."""
        return Market(symbol or self.symbol, levels, self.unit, self.is_inverse)


IMITATIONS = {
    "gomarket-okx": Imitation(GatewaySession, "SOL-USDT-SWAP"),
    "okx": Imitation(OkxSession, "BTC-USDT"),
    "binance": Imitation(BinanceSession, "BTCUSDT"),
    "binance-usdm": Imitation(BinanceUsdmSession, "BTCUSDT"),
    "coinbase": Imitation(CoinbaseSession, "BTC-USD"),
    "kraken": Imitation(KrakenSession, "BTC/USD"),
    "bybit-spot": Imitation(BybitSession, "BTCUSDT"),
    "bybit-linear": Imitation(BybitSession, "BTCUSDT"),
    "bybit-inverse": Imitation(BybitSession, "BTCUSD", is_inverse=True),
    "hyperliquid": Imitation(HyperliquidSession, "BTC"),
    "bitget-futures": Imitation(BitgetSession, "BTCUSDT"),
    "gate-futures": Imitation(GateSession, "ETH_USDT", unit=0.01),
    "kraken-futures": Imitation(KrakenFuturesSession, "PF_XBTUSD"),
    "deribit": Imitation(DeribitSession, "BTC_USDC-PERPETUAL"),
}
"""One line a venue, and all that a new one needs for its share of the tests that run for every venue."""

SESSIONS = {venue: imitation.session for venue, imitation in IMITATIONS.items()}
SYMBOLS = {venue: imitation.symbol for venue, imitation in IMITATIONS.items()}
