"""Run a server on 127.0.0.1 that does, by a seeded plan, everything a venue should never do."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from random import Random
from typing import NamedTuple

from tests.support.loopback import encode_frame, gateway_frame, raw_server, shake_hands

BOOK, IGNORED = "a book", "ignored"
"""Outcomes of a message. Any other outcome is a pattern of the reason for which the message is refused."""

DEEP = 10_000
LAST_BID = 10_000.0
"""The best bid of the last visit's only book; the connection stays open after it."""


class SentMessage(NamedTuple):
    """One message of a visit.

    kind: the fault, or "good".
    outcome: BOOK, IGNORED, or a pattern of the reason for which it is refused.
    bid: the best bid it carries if it is a book.
    pieces: its bytes on the wire, in the pieces in which they are written.
    """

    kind: str
    outcome: str
    bid: float
    pieces: list[bytes]


class Visit(NamedTuple):
    """One connection's messages and ending, or a handshake that fails.

    kind: the ending or the failed handshake.
    reason_pattern: a pattern of the reason that the client gives.
    """

    kind: str
    reason_pattern: str
    messages: list[SentMessage]


def frame_with_levels(bid: float, levels: int) -> str:
    """Make a frame of so many levels a side, 0.1 apart."""
    asks = [[f"{bid + 0.1 * (level + 1):.1f}", "2.5"] for level in range(levels)]
    return gateway_frame(bid, asks=asks, bids=[[f"{bid - 0.1 * level:.1f}", "1.5"] for level in range(levels)])


def frame_with_changed_level(rng: Random, bid: float, price: str | None = None, size: str = "1") -> str:
    """Make a frame with one random level replaced; None keeps its price."""
    tree = json.loads(gateway_frame(bid))
    level = rng.choice(rng.choice([tree["asks"], tree["bids"]]))
    level[:] = [price or level[0], size]
    return json.dumps(tree)


def _types(rng: Random, bid: float) -> str:
    wrong = {"symbol": 7, "timestamp": 1.5, "asks": 5, "bids": {"price": 1}}
    name, value = rng.choice([*wrong.items(), ("asks", [["1", "2", "3"]]), ("bids", [[["1"], "2"]]), ("asks", "none")])
    return gateway_frame(bid, **{name: value})


def _nulls(rng: Random, bid: float) -> str:
    name, value = rng.choice([("symbol", None), ("timestamp", None), ("asks", None), ("bids", [None])])
    return rng.choice(["null", gateway_frame(bid, **{name: value}), gateway_frame(bid, bids=[["1", None]])])


def _unsorted(_rng: Random, bid: float) -> str:
    return gateway_frame(bid, asks=[[f"{bid + 2}", "1"], [f"{bid + 1}", "1"]])


def _doubled(_rng: Random, bid: float) -> str:
    return gateway_frame(bid, bids=[[f"{bid}", "1"], [f"{bid}", "2"]])


def _empty(rng: Random, bid: float) -> str:
    return gateway_frame(bid, **{rng.choice(["asks", "bids"]): []})


MESSAGES: dict[str, tuple[str, Callable[[Random, float], str | bytes]]] = {
    "cut short": ("unreadable", lambda rng, bid: gateway_frame(bid)[: rng.randrange(150)]),
    "wrong types": ("unreadable", _types),
    "nulls": ("unreadable", _nulls),
    "NaN bare": ("unreadable", lambda _, bid: gateway_frame(bid, bids=[[float("nan"), 1]])),
    "NaN": ("not positive and below|unreadable", lambda rng, bid: frame_with_changed_level(rng, bid, size="NaN")),
    "Infinity": ("not positive and below|unreadable", lambda rng, bid: frame_with_changed_level(rng, bid, "Infinity")),
    "1e400": ("not positive and below|unreadable", lambda rng, bid: frame_with_changed_level(rng, bid, size="1e400")),
    "a bid of 1e308": ("price 1e.308 is not", lambda _, bid: gateway_frame(bid, bids=[["1e308", "1"]])),
    "a size of 1e308": ("size 1e.30. is not", lambda rng, bid: frame_with_changed_level(rng, bid, size="1e308")),
    "an ask of 1e308": (
        "price 1e.308 is not",
        lambda _, bid: gateway_frame(bid, asks=[[f"{bid + 0.1}", "1"], ["1e308", "1"]]),
    ),
    "minus zero": ("size -?0.0 is not positive", lambda rng, bid: frame_with_changed_level(rng, bid, size="-0")),
    "zero": ("size 0.0 is not positive", lambda rng, bid: frame_with_changed_level(rng, bid, size="0")),
    "a negative size": ("size -.* is not positive", lambda rng, bid: frame_with_changed_level(rng, bid, size="-3")),
    "a negative price": ("price -.* is not positive", lambda rng, bid: frame_with_changed_level(rng, bid, "-3")),
    "an empty side": ("are empty", _empty),
    "crossed": ("crossed: bid .* >= ask", lambda _, bid: gateway_frame(bid, asks=[[f"{bid - 1}", "1"]])),
    "locked": ("locked: bid .* = ask", lambda _, bid: gateway_frame(bid, asks=[[f"{bid}", "1"]])),
    "unsorted": ("asks unsorted", _unsorted),
    "a price twice": ("bids unsorted", _doubled),
    "one level": (BOOK, lambda _, bid: frame_with_levels(bid, 1)),
    "10,000 levels": (BOOK, lambda _, bid: frame_with_levels(bid, DEEP)),
    "an earlier time": (BOOK, lambda _, bid: gateway_frame(bid, timestamp="1970-01-01T00:00:01Z")),
    "the year 9999": ("outside 1970 to 2262", lambda _, bid: gateway_frame(bid, timestamp="9999-12-31T23:59:59Z")),
    "no time": ("is not a time", lambda _, bid: gateway_frame(bid, timestamp="yesterday")),
    "an impossible time": ("timestamp", lambda _, bid: gateway_frame(bid, timestamp="2025-02-30T00:00:00Z")),
    "an unknown symbol": (IGNORED, lambda _, bid: gateway_frame(bid, symbol="NO-SUCH-THING")),
    "binary": (BOOK, lambda _, bid: gateway_frame(bid).encode()),
    "binary nonsense": ("unreadable", lambda rng, _: rng.randbytes(300)),
    "nested": ("unreadable", lambda _, __: '{"asks":' + "[" * 50_000),
    "a web page": ("unreadable", lambda _, __: "<html><body>503 Service Unavailable</body></html>"),
    "nothing": ("unreadable", lambda _, __: ""),
    "in fragments": (BOOK, lambda _, bid: gateway_frame(bid)),
    "dripping": (BOOK, lambda _, bid: gateway_frame(bid)),
    "after a ping": (BOOK, lambda _, bid: gateway_frame(bid)),
}
"""Each fault of a message: its outcome, and a function that makes it for a best bid."""

CODES = (*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4999)
WRONG_CODES = (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000)

BROKEN = "broke the WebSocket protocol"
SILENT = "has been silent for"
DROPPED = "dropped the connection without a word"
NO_TLS = "no TLS where there should be"


def _close(code: int) -> bytes:
    return encode_frame(struct.pack("!H", code) + b"so be it", 8)


ENDINGS: dict[str, tuple[str, bytes]] = {
    **{f"close {code}": (rf"closed the connection \(code {code}, 'so be it'\)", _close(code)) for code in CODES},
    **{f"close {code}": (BROKEN, _close(code)) for code in WRONG_CODES},
    "close without a code": (r"closed the connection \(code 1005\)", encode_frame(b"", 8)),
    "close with half a code": (BROKEN, encode_frame(b"\x03", 8)),
    "dropped": (DROPPED, b""),
    "reset": (DROPPED, b""),
    "dropped in a frame": (DROPPED, encode_frame(b"x" * 1000)[:500]),
    "a frame of 30 MB": ("above 16 MiB", encode_frame(b"x" * 30_000_000)),
    "fragments of 30 MB": ("above 16 MiB", encode_frame(b"x" * 15_000_000, fin=False) * 2),
    "a frame said to hold 2 ** 62 bytes": ("above 16 MiB", b"\x81\x7f" + struct.pack("!Q", 2**62)),
    "half a frame, then silence": (SILENT, encode_frame(b"x" * 1000)[:500]),
    "dripping for ever": (SILENT, encode_frame(b"x" * 60_000)),
    "not UTF-8": (f"{BROKEN}|{DROPPED}", encode_frame(b"\xff\xfe")),
    "masked": (BROKEN, b"\x81\x81\x00\x00\x00\x00x"),
    "reserved bits": (BROKEN, b"\xf1\x01x"),
    "an unknown opcode": (BROKEN, encode_frame(b"x", 5)),
    "a continuation of nothing": (BROKEN, encode_frame(b"x", 0)),
    "a ping too long": (BROKEN, encode_frame(b"x" * 126, 9)),
}
"""Each way a connection ends: the pattern of the reason, and the bytes that are sent last."""


def _answer(status: int, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} So", "Content-Length: 6", *headers, "", "<html>"]
    return "\r\n".join(lines).encode()


FAILED_HANDSHAKES: dict[str, tuple[str, bytes]] = {
    **{
        f"HTTP {status}": (rf"refuses this address or region \(HTTP {status}\)", _answer(status))
        for status in (403, 451)
    },
    **{f"HTTP {status}": (rf"too many requests .*\(HTTP {status}\)", _answer(status)) for status in (418, 429)},
    "HTTP 429 with a wait": ("it asks to wait", _answer(429, "Retry-After: 0.1")),
    **{f"HTTP {status}": (rf"out of service \(HTTP {status}\)", _answer(status)) for status in (502, 503, 504)},
    **{f"HTTP {status}": (rf"answered HTTP {status}", _answer(status)) for status in (400, 500, 599)},
    **{f"HTTP {status}": (rf"asks for a login \(HTTP {status}\)", _answer(status)) for status in (401, 407)},
    "HTTP 404": ("check the address and the symbol", _answer(404)),
    "HTTP 200": ("ordinary web page", _answer(200)),
    **{
        f"redirect {status}": (
            rf"redirects to wss?://127.0.0.1:1/ \(HTTP {status}\): not followed",
            _answer(status, "Location: ws://127.0.0.1:1/"),
        )
        for status in (301, 302, 307, 308)
    },
    "another upgrade": ("is no WebSocket", b"HTTP/1.1 101 So\r\nUpgrade: tea\r\nConnection: Upgrade\r\n\r\n"),
    "TLS that was not asked for": ("is no WebSocket", b"\x15\x03\x03\x00\x02\x02\x28\r\n\r\n"),
    "no HTTP": ("is no WebSocket", b"SSH-2.0-OpenSSH_9.6\r\n"),
    "a head without end": ("is no WebSocket", b"HTTP/1.1 101 So\r\n" + b"X: " + b"y" * 20_000),
    "hung up": ("is no WebSocket", b""),
    NO_TLS: ("does not speak TLS", b"HTTP/1.1 400 So\r\n\r\n"),
}
"""Each handshake that fails: the pattern of the reason, and the bytes of the answer."""


def _pieces(kind: str, payload: str | bytes, rng: Random) -> list[bytes]:
    """Encode a message as bytes for the wire, in the pieces in which they are written."""
    data = payload if isinstance(payload, bytes) else payload.encode()
    if kind == "in fragments":
        return [
            encode_frame(data[:70], fin=False),
            encode_frame(b"", 0, fin=False),
            encode_frame(b"?", 9),
            encode_frame(data[70:], 0),
        ]
    whole = encode_frame(data, 2 if isinstance(payload, bytes) else 1)
    if kind == "after a ping":
        return [encode_frame(b"?", 9) + encode_frame(b"unasked", 10) + whole]
    if kind == "dripping":
        cuts = [0, *sorted(rng.sample(range(1, len(whole)), 8)), len(whole)]
        return [whole[start:end] for start, end in pairwise(cuts)]
    return [whole]


def plan_visits(seed: int, frames: int, tls: bool = False) -> list[Visit]:
    """Plan visits with at least so many messages.

    Every ending is as frequent as the others, and so are the failed handshakes and the faults of messages among
    themselves. A good book follows soon after each fault, and never more than two handshakes in a row fail.
    """
    rng = Random(seed)  # noqa: S311 - a plan is to be repeatable
    endings, faults = _cycle_shuffled(rng, ENDINGS), _cycle_shuffled(rng, MESSAGES)
    failed_handshakes = _cycle_shuffled(rng, [kind for kind in FAILED_HANDSHAKES if tls or kind != NO_TLS])
    rounds = -(-frames // 1500)
    n_visits = len(ENDINGS) * rounds
    visits: list[Visit] = []
    number = 0
    for _ in range(n_visits):
        messages: list[SentMessage] = []
        while len(messages) < frames / n_visits:
            for kind in [*(next(faults) for _ in range(rng.choice([1, 1, 1, 3]))), "good"]:
                outcome, make = MESSAGES.get(kind, (BOOK, lambda _, bid: gateway_frame(bid)))
                number += 1
                bid = 20_000.0 + number
                messages.append(SentMessage(kind, outcome, bid, _pieces(kind, make(rng, bid), rng)))
        kind = next(endings)
        visits.append(Visit(kind, ENDINGS[kind][0], messages))
        failing = [next(failed_handshakes) for _ in range(rng.choice([0, 1, 1, 2]))]
        visits += [Visit(kind, FAILED_HANDSHAKES[kind][0], []) for kind in failing]
    visits.append(
        Visit("stays", "", [SentMessage("good", BOOK, LAST_BID, _pieces("good", gateway_frame(LAST_BID), rng))])
    )
    return visits


def _cycle_shuffled(rng: Random, kinds: Iterable[str]) -> Iterator[str]:
    """Yield the kinds over and over, in another order in each round."""
    while True:
        shuffled = list(kinds)
        rng.shuffle(shuffled)
        yield from shuffled


class HostileServer:
    """A server of the visits in their order, each for one connection.

    count_received: returns how many messages the client has received.
    n_connections: how many connections there were.
    sent_ns: the perf_counter_ns at which the last byte of a book was sent, by its best bid.
    """

    def __init__(
        self, visits: list[Visit], count_received: Callable[[], int], tls: ssl.SSLContext | None = None
    ) -> None:
        self.n_connections = 0
        self.sent_ns: dict[float, int] = {}
        self._visits = iter(visits)
        self._n_sent = 0
        self._count_received = count_received
        self._tls = tls

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve inside this context; yield the address."""
        with raw_server(self._talk) as port:
            yield f"{'wss' if self._tls else 'ws'}://127.0.0.1:{port}/"

    def _talk(self, peer: socket.socket) -> None:
        visit = next(self._visits, None)
        self.n_connections += 1
        if visit is None:
            return
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = None if visit.kind == NO_TLS else self._tls
        with peer if tls is None else tls.wrap_socket(peer, server_side=True) as connection:
            self._serve_visit(connection, visit)
            with suppress(TimeoutError):
                while connection.recv(65536):  # the other side hangs up first
                    pass

    def _serve_visit(self, peer: socket.socket, visit: Visit) -> None:
        if not visit.messages:
            peer.recv(4096)
            peer.sendall(FAILED_HANDSHAKES[visit.kind][1])
            peer.shutdown(socket.SHUT_WR)
            return
        shake_hands(peer)
        for message in visit.messages:
            for piece in message.pieces:
                peer.sendall(piece)
                if message.kind == "dripping":
                    time.sleep(0.001)
            self.sent_ns[message.bid] = time.perf_counter_ns()
        self._n_sent += len(visit.messages)
        if visit.kind == "stays":
            return
        last_bytes = ENDINGS[visit.kind][1]
        if visit.kind == "dripping for ever":
            for byte in last_bytes:
                peer.sendall(bytes([byte]))
                time.sleep(0.01)
        peer.sendall(last_bytes)
        if visit.kind == "reset":
            # A reset overtakes bytes on the way, which are then lost: wait until all messages have arrived.
            while self._count_received() < self._n_sent:
                time.sleep(0.001)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
        elif visit.reason_pattern != SILENT:
            peer.shutdown(socket.SHUT_WR)
