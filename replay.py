"""Recordings put to use: replayed through a venue's feed, made from a live one, and the command line for both."""

from __future__ import annotations

import argparse
import copy
import math
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from time import perf_counter_ns
from urllib.parse import parse_qs, urlsplit

import msgspec

import simulated_market
from engine import ReplayEngine
from feeds import VENUES, Feed, FeedError
from feeds.gomarket import GomarketFeed
from feeds.protocol import QuietFeed
from orderbook import BookError, OrderBook
from playback import Server, checked_speed, serve
from recording import RECORDINGS, Recorder, RecordingError, Tick, decode, encode, new_path, read
from tardis import feed_of
from websocket_client import Status, WebSocketClient

__all__ = [
    "Recorder",
    "RecordingError",
    "ReplayEngine",
    "ReplayFeed",
    "Server",
    "Tick",
    "books",
    "decode",
    "encode",
    "meta",
    "read",
    "record",
    "serve",
    "simulated",
]


HANDED_ON = frozenset({"recv", "http", "book"})
"""The lines that a feed is given."""

REPORT_S = 10.0
IS_DOWN = frozenset({"connecting", "reconnecting"})
"""The states of a client whose connection, if it has one, has not brought a book yet."""


class ReplayFeed(QuietFeed):
    """A feed that takes recorded lines out of their envelope and hands them to a venue's own feed.

    The models' clock is the recorder's. A line without a time has that of the line before; in a recording
    without any, the venue's own clock counts. Nothing is asked of the network: REST bodies come from the
    recording, and one that the feed does not wait for yet is kept until it does.

    A "connect" line begins a new connection, and "again" the run itself, so the inner feed is made anew (as
    a copy of `inner`, which itself is never fed). So it is when it finds a gap: a recording cannot be asked
    again, and whatever resynchronised the recorder comes later in it. The gap is told as a BookError, on which the
    client goes on reading, and not as a FeedError, on which it would hang up and lose what is on its way.

    on_read is told of every message with frames: whether a single one gave a book, None for several at once.
    """

    def __init__(self, inner: Feed, on_read: Callable[[bool | None], None] = lambda _gave_book: None) -> None:
        self._pristine = inner
        self._on_read = on_read
        self._last_ns: int | None = None
        self._whole: GomarketFeed | None = None
        self.ended = False
        """Whether the player has said that the last line was sent."""
        self._begin()

    def _begin(self) -> None:
        self._inner = copy.deepcopy(self._pristine)
        self._inner.subscribe()
        self._bodies: deque[Tick] = deque(maxlen=16)

    def parse(
        self,
        message: str | bytes,
        received_ns: int,
        market_ns: int | None = None,  # noqa: ARG002 - the line has its own
    ) -> OrderBook | None:
        """The book after an envelope line. A message of several lines leads to a place that was jumped
        to: they are applied, and give no book."""
        text = message if isinstance(message, str) else message.decode(errors="replace")
        if not text.endswith("\n"):
            tick = _decode(text)
            book = None
            try:
                book = self.apply(tick, received_ns)
            finally:
                if tick.kind in HANDED_ON:
                    self._on_read(book is not None)
            return book
        self.ended = False
        if not isinstance(self._pristine, GomarketFeed):  # whose books need none before them
            for line in text.rstrip("\n").split("\n"):
                with suppress(BookError):
                    self.apply(_decode(line), received_ns)
        self._on_read(None)
        return None

    def apply(self, tick: Tick, received_ns: int) -> OrderBook | None:
        """The book after one line of a recording, if it brings one. Raises BookError and nothing else."""
        if tick.market_ns is not None:
            self._last_ns = tick.market_ns
        try:
            match tick.kind:
                case "recv":
                    book = self._inner.parse(tick.message, received_ns, self._last_ns)
                    return self._splice(received_ns) or book
                case "http":
                    self._bodies.append(tick)
                    return self._splice(received_ns)
                case "book":
                    self._whole = self._whole or feed_of(tick.message)
                    return self._whole.parse(tick.message, received_ns, self._last_ns)
                case "connect" | "again":
                    self._begin()
                case "end":
                    self.ended = True
                    if tick.message:
                        raise BookError(tick.message)
        except FeedError as error:
            self._begin()
            raise BookError(f"resynchronising: {error}") from error
        return None

    def _splice(self, received_ns: int) -> OrderBook | None:
        """Gives the feed the kept REST body it waits for, if there is one."""
        wanted = self._inner.snapshot_url
        if wanted is None:
            return None
        for tick in reversed(self._bodies):
            if _same_symbol(tick.url, wanted):
                self._bodies.remove(tick)
                return self._inner.apply_snapshot(tick.message, received_ns, self._last_ns)
        return None


def _decode(line: str) -> Tick:
    """The tick of a line that a server sent. Raises BookError."""
    try:
        return decode(line)
    except RecordingError as error:
        raise BookError(str(error)) from None


def _same_symbol(recorded: str | None, wanted: str) -> bool:
    """Whether a recorded REST body can be what a feed waits for: hosts and limits differ, symbols must not.

    >>> _same_symbol("https://fapi.example/depth?symbol=BTCUSDT&limit=1000", "https://example/depth?symbol=ETHUSDT")
    False
    """
    if recorded is None:
        return True
    try:
        symbols = {parse_qs(urlsplit(url).query).get("symbol", [""])[0].upper() for url in (recorded, wanted)}
    except ValueError:  # no address, or thousands of fields
        return False
    return len(symbols) == 1


def books(
    path: str | PathLike[str],
    make_feed: Callable[[], Feed],
    max_bytes: int | None = None,
    on_read: Callable[[int], None] = lambda _bytes: None,
) -> Iterator[OrderBook]:
    """Every book the recording yields, through the venue's own feed, resynchronising as ReplayFeed does.

    Refused books are left out. max_bytes and on_read are those of `read`. Raises OSError, RecordingError.
    """
    feed = ReplayFeed(make_feed())
    for tick in read(path, max_bytes, on_read):
        try:
            book = feed.apply(tick, perf_counter_ns())
        except BookError:
            continue
        if book is not None:
            yield book


def meta(path: str | PathLike[str]) -> dict[str, object]:
    """What the recording says of itself ("venue", "symbol" and more); empty if it says nothing."""
    first = next(read(path))
    about: dict[str, object] = msgspec.json.decode(first.message, type=dict) if first.kind == "meta" else {}
    return about


def simulated(
    symbol: str,
    *,
    seed: int | None = None,
    levels: int = 50,
    per_second: float = 10.0,
    start_ns: int | None = None,
) -> Iterator[Tick]:
    """The simulated market as endless ticks, from now on unless start_ns says otherwise; seed None: one of its own."""
    start_ns = time.time_ns() if start_ns is None else start_ns
    seed = time.time_ns() % 2**32 if seed is None else seed
    frames = simulated_market.frames(symbol, seed=seed, levels=levels, per_second=per_second, start_ns=start_ns)
    for market_ns, message in frames:
        yield Tick("recv", market_ns, message)


def _print_at_once(line: str) -> None:
    """Print a line that also a pipe or a file has at once."""
    print(line, flush=True)


def record(
    venue: str,
    symbol: str,
    path: str | PathLike[str],
    seconds: float | None = None,
    stop: threading.Event | None = None,
    url: str | None = None,
    report: Callable[[str], None] = _print_at_once,
) -> Recorder:
    """Record a venue's feed for so many seconds, or until stop is set or Ctrl-C; return the closed recorder.

    Its error says why the recording ended early, or why there is no order book in it; no file is left if nothing was
    received. report gets a line now and then. Raises OSError where no file can be made, ValueError for an unknown
    symbol or an address that cannot be one.
    """
    market = VENUES[venue]
    market.make_feed(symbol)
    stop = stop or threading.Event()
    recorder = Recorder(venue, symbol)
    made_here = venue == "simulated"
    with serve(simulated(symbol)) if made_here else nullcontext(url or market.url(symbol)) as address:
        client = WebSocketClient(
            address,
            lambda: ReplayFeed(market.make_feed(symbol)) if made_here else market.make_feed(symbol),
            lambda _book: None,
            on_frame=recorder.on_served_frame if made_here else recorder.on_frame,
        )
        recorder.start(path)
        ends = math.inf if seconds is None else time.monotonic() + seconds
        next_report = 0.0
        try:
            report(f"recording to {path}")
            client.start()
            while recorder.recording and client.status.state != "given up" and (left := ends - time.monotonic()) > 0:
                if time.monotonic() >= next_report:
                    report(_progress(recorder, client.status))
                    next_report = time.monotonic() + REPORT_S
                if stop.wait(min(left, 1.0)):
                    break
        except KeyboardInterrupt:
            report("stopped")
        finally:
            last_state = client.status.state  # which stop() overwrites
            client.stop()
            recorder.close()
    if recorder.error is None:
        status = client.status
        reason = status.last_error or f"it was still {last_state}"
        if not recorder.received:
            recorder.error = f"nothing arrived from {address}, so there is no file: {reason}"
        elif not status.books:
            recorder.error = f"no order book arrived from {address}: {reason}"
        elif last_state == "given up":
            recorder.error = reason
        elif last_state in IS_DOWN:
            report(f"the connection was down at the end: {reason}")
    return recorder


def _progress(recorder: Recorder, status: Status) -> str:
    line = f"{recorder.frames} frames, {recorder.bytes:,} bytes, {status.books} books, {status.state}"
    return f"{line}: {status.last_error}" if status.state in IS_DOWN and status.last_error else line


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0, or 1 after a sentence about what went wrong."""
    parser = argparse.ArgumentParser(
        prog="replay.py", description="Record, play and inspect recordings of order books."
    )
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("record", help="record a venue's feed")
    command.add_argument("--venue", required=True, choices=sorted(VENUES))
    command.add_argument("--symbol", required=True, help="as the venue writes it: BTC-USDT-SWAP, BTCUSDT, BTC/USD")
    command.add_argument("--hours", type=_positive, help="how long; until Ctrl-C if not given")
    command.add_argument(
        "--out",
        type=Path,
        help=f"a new file, compressed if its name ends in .gz; if not given, one in the folder {RECORDINGS}",
    )
    command.add_argument("--url", help="another address than the venue's own")
    command.set_defaults(run=_record_command)

    command = commands.add_parser("serve", help="play a recording on a loopback WebSocket")
    command.add_argument("file", type=Path)
    command.add_argument(
        "--speed", type=_speed, default=1.0, help="times the recorder's clock; 0: as fast as it is taken"
    )
    command.add_argument("--port", type=int, default=0, help="0: any free one")
    command.set_defaults(run=_serve_command)

    command = commands.add_parser("info", help="say what a recording holds")
    command.add_argument("file", type=Path)
    command.add_argument(
        "--venue", choices=sorted(VENUES), help="whose feed reads it; the recording's own if not given"
    )
    command.add_argument("--symbol")
    command.set_defaults(run=_info_command)

    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except (OSError, OverflowError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise ValueError(text)
    return number


def _speed(text: str) -> float:
    return checked_speed(float(text))


def _record_command(options: argparse.Namespace) -> int:
    VENUES[options.venue].make_feed(options.symbol)  # an unknown symbol leaves no folder behind
    path = options.out
    if path is None:
        RECORDINGS.mkdir(parents=True, exist_ok=True)
        path = new_path(RECORDINGS, options.venue, options.symbol, datetime.now(UTC))
    recorder = record(
        options.venue, options.symbol, path, None if options.hours is None else options.hours * 3600, url=options.url
    )
    if recorder.received:
        print(f"{path}: {recorder.frames} frames, {recorder.bytes:,} bytes")
    if recorder.error:
        print(recorder.error, file=sys.stderr)
    return 1 if recorder.error else 0


def _serve_command(options: argparse.Namespace) -> int:
    with serve(options.file, options.speed, options.port) as url:
        print(url, flush=True)
        threading.Event().wait()
    return 0


def _info_command(options: argparse.Namespace) -> int:
    about = meta(options.file)
    venue, symbol = (
        str(given or about.get(key, "")) for key, given in (("venue", options.venue), ("symbol", options.symbol))
    )
    feed = ReplayFeed(VENUES[venue].make_feed(symbol)) if venue in VENUES and symbol else None
    kinds: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    first, last, end = 2**63, -1, "whole"
    try:
        for tick in read(options.file):
            if tick.kind == "torn":
                end = tick.message
                break
            kinds[tick.kind] += 1
            if tick.market_ns is not None:
                first, last = min(first, tick.market_ns), max(last, tick.market_ns)
            if feed is None:
                continue
            try:
                outcome = "ignored" if feed.apply(tick, 0) is None else "books"
            except BookError as error:
                outcome = "refused"
                reasons[str(error)[:100]] += 1
            if tick.kind in HANDED_ON:
                outcomes[outcome] += 1
    except RecordingError as error:
        end = f"broken: {error}"
    print("says of itself:", ", ".join(f"{key} {value}" for key, value in about.items() if key != "t") or "nothing")
    print("lines:", ", ".join(f"{kind} {count}" for kind, count in kinds.items()))
    print("time:", _time_span(first, last) if last >= 0 else "not noted")
    if feed is None:
        print("books: not counted; say --venue and --symbol")
    else:
        print(
            f"read as {venue} {symbol}:",
            ", ".join(f"{name} {outcomes[name]}" for name in ("books", "refused", "ignored")),
        )
    for reason, count in reasons.most_common(5):
        print(f"  refused {count} times: {reason}")
    print("end:", end)
    return 1 if end.startswith("broken") else 0


def _time_span(first: int, last: int) -> str:
    """In words; a clock that began with the machine tells no date.

    >>> _time_span(1747307617714000000, 1747307633413000000)
    '15.7 s from 2025-05-15 11:13:37 UTC'
    """
    began = datetime.fromtimestamp(first / 1e9, UTC)
    return f"{(last - first) / 1e9:.1f} s" + (f" from {began:%Y-%m-%d %H:%M:%S} UTC" if began.year > 2000 else "")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
