"""Record a venue's feed, play and inspect recordings, from Python or from the command line."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext, suppress
from datetime import UTC, datetime
from functools import partial
from os import PathLike
from pathlib import Path

from backtesting.cache_folder import BookCache
from feeds import VENUES, Venue
from network.logs import configure_logging
from network.status import Status
from network.venue_facts import ask_daily_volume, ask_venue
from recording import convert
from recording.arguments import add_record_arguments, opening_of, opening_parser, parse_port, parse_speed
from recording.format import RecordedFrame, RecordingError, decode, encode
from recording.info import describe
from recording.listing import HEADER, list_recordings
from recording.long_recording import LongRecording, Plan, run_recordings
from recording.outages import Outages
from recording.reader import read
from recording.recorder import RECORDINGS, Recorder, new_path
from recording.repacking import Repacker
from recording.replay_engine import ReplayEngine
from recording.replay_feed import ReplayFeed, books, meta
from recording.rotation import NEVER
from recording.server import Server, serve
from recording.simulated import simulated
from recording.single_recording import record_file
from websocket_client import WebSocketClient

__all__ = [
    "RecordedFrame",
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

Tick = RecordedFrame
"""The name that scripts written for earlier versions import."""

REPORT_S = 10.0
MISSED = 3
"""The exit code of a recording that lacks something."""


def _print_at_once(line: str) -> None:
    """Print a line and flush, so that a pipe or a file has it at once too."""
    print(line, flush=True)


class Feeder:
    """The client of one market, which hands its frames to one recorder. A simulated market is served meanwhile.

    Raises ValueError for a symbol or an address that cannot be one.
    """

    def __init__(self, market: Venue, symbol: str, recorder: Recorder, url: str | None = None) -> None:
        market.make_feed(symbol)
        self._context = ExitStack()
        is_simulated = market.is_simulated
        context = serve(simulated(symbol)) if is_simulated else nullcontext(url or market.url(symbol))
        self.address = self._context.enter_context(context)
        self._client = WebSocketClient(
            self.address,
            lambda: ReplayFeed(market.make_feed(symbol)) if is_simulated else market.make_feed(symbol),
            lambda _book: None,
            on_frame=recorder.on_served_frame if is_simulated else recorder.on_frame,
        )

    @property
    def status(self) -> Status:
        return self._client.status

    def start(self) -> None:
        """Connect, on a thread."""
        self._client.start()

    def stop(self) -> None:
        """End the connection, and what is served."""
        self._client.stop()
        self._context.close()


def make_recorder(market: Venue, symbol: str, url: str | None = None) -> Recorder:
    """Return a recorder whose files say what the venue knows of the market, and through whom it was reached.

    A venue at its own address is asked for the daily volume, too.
    """
    through = {"entity": market.entity.name} if market.entities and url is None else {}
    volume = None if url is not None else ask_daily_volume(market, symbol)
    traded = {} if volume is None else {"daily_volume": volume}
    return Recorder(market.name, symbol, through | market.recorded_facts(symbol) | traded)


def record(
    venue: str,
    symbol: str,
    path: str | PathLike[str],
    seconds: float | None = None,
    stop: threading.Event | None = None,
    url: str | None = None,
    report: Callable[[str], None] = _print_at_once,
    entity: str = "",
    outages: Outages | None = None,
) -> Recorder:
    """Record a venue's feed until its time is over, stop is set or Ctrl-C is pressed; return the closed recorder.

    The recorder's error says why the recording ended early, or why there is no order book in it; it is None if all
    went well. No file is left if nothing was received. Raises OSError where no file can be made, ValueError for an
    unknown symbol or entity, an address that cannot be one, or an address of the simulated market, which has none.

    Args:
        venue: A key of VENUES.
        symbol: As the venue writes it.
        path: A new file, compressed if its name ends in .gz.
        seconds: How long; None for no limit.
        stop: Ends the recording once it is set.
        url: Another address than the venue's own.
        report: Gets a line at the start, every REPORT_S seconds, and at the end if something is to be said.
        entity: The name of the entity through which the venue is reached; "" for its default.
        outages: Gets what was missed. With it, the recording of a market that brought books goes on after five failed
            tries in a row; None ends it then.
    """
    market = VENUES[venue].reached_through(entity)
    _refuse_needless_address(venue, url)
    if url is None and (problem := ask_venue(market, symbol)):
        report(problem)
    recorder = make_recorder(market, symbol, url)
    make_feeder = partial(_make_feeder, market, symbol, url)
    record_file(recorder, make_feeder, Path(path), seconds, stop or threading.Event(), report, REPORT_S, outages)
    return recorder


def _refuse_needless_address(venue: str, url: str | None) -> None:
    """Raise ValueError for an address that would not be used."""
    if VENUES[venue].is_simulated and url:
        raise ValueError("the simulated market is made on this machine and has no address: leave out --url")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return 0, or 1 after a sentence about what went wrong."""
    options = _parser().parse_args(arguments)
    configure_logging(options.verbose)
    try:
        return int(options.run(options))
    except (OSError, OverflowError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="replay.py", description="Record, play and inspect recordings of order books."
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "-v", "--verbose", action="store_true", help="log what is opened and closed too, not only what goes wrong"
    )
    opening = opening_parser()
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("record", parents=[common], help="record a venue's feed")
    add_record_arguments(command)
    command.set_defaults(run=_record_command)

    command = commands.add_parser("list", parents=[common], help="list recordings: market, time, books, gaps, size")
    command.add_argument("folder", type=Path, nargs="?", default=RECORDINGS, help=f"{RECORDINGS} if not given")
    command.set_defaults(run=_list_command)

    command = commands.add_parser("serve", parents=[common, opening], help="play a recording on a loopback WebSocket")
    command.add_argument("file", type=Path)
    command.add_argument(
        "--speed", type=parse_speed, default=1.0, help="times the recorder's clock; 0: as fast as it is taken"
    )
    command.add_argument("--port", type=parse_port, default=0, help="0: any free one")
    command.set_defaults(run=_serve_command)

    command = commands.add_parser("info", parents=[common, opening], help="say what a recording holds")
    command.add_argument("file", type=Path)
    command.set_defaults(run=_info_command)

    command = commands.add_parser(
        "convert", parents=[common, opening], help="write a recording in the form of another program"
    )
    command.add_argument("file", type=Path)
    command.add_argument("--to", dest="target", required=True, choices=convert.NAMES)
    command.add_argument(
        "--out", type=Path, help="a new file, packed if its name ends in .gz; beside FILE if not given"
    )
    command.set_defaults(run=_convert_command)

    command = commands.add_parser("clean", parents=[common], help="remove the parsed books that backtests keep")
    command.add_argument("--cache", type=Path, help="the folder; the user's cache if not given")
    command.set_defaults(run=_clean_command)
    return parser


def _record_command(options: argparse.Namespace) -> int:
    markets = list(options.markets or [])
    if options.venue or options.symbol or not markets:
        if not (options.venue and options.symbol):
            raise ValueError("say what to record: --venue and --symbol, or --market VENUE:SYMBOL")
        markets.insert(0, (options.venue, options.symbol))
    if len(markets) > 1 or options.rotate or options.keep:
        return _record_long(options, list(dict.fromkeys(markets)))
    ((venue, symbol),) = markets
    _refuse_needless_address(venue, options.url)
    path = options.out
    if path is None:
        RECORDINGS.mkdir(parents=True, exist_ok=True)
        path = new_path(RECORDINGS, venue, symbol, datetime.now(UTC))
    seconds = None if options.hours is None else options.hours * 3600
    outages = Outages(f"{venue} {symbol}")
    try:
        recorder = record(venue, symbol, path, seconds, url=options.url, entity=options.entity, outages=outages)
    except ValueError:  # an unknown entity or symbol leaves no folder behind
        if options.out is None:
            with suppress(OSError):  # it has files of before
                RECORDINGS.rmdir()
        raise
    if recorder.received:
        print(f"{path}: {recorder.frames} frames, {recorder.bytes:,} bytes")
    if recorder.error:
        print(recorder.error, file=sys.stderr)
        return 1
    return _say_missed([outages])


def _say_missed(outages: Sequence[Outages]) -> int:
    """Print what was missed, and return the exit code."""
    lines = [line for each in outages for line in each.describe()]
    for line in lines:
        print(line, file=sys.stderr)
    return MISSED if lines else 0


def _record_long(options: argparse.Namespace, markets: list[tuple[str, str]]) -> int:
    """Record markets until the time is over or the process is told to end, each in files that follow each other."""
    if options.url and len(markets) > 1:
        raise ValueError("--url is an address of one market, and here are several")
    repacker = None if options.no_repack else Repacker()
    plan = Plan(options.out or RECORDINGS, options.rotate or NEVER, options.keep, repacker)
    recordings = []
    for name, symbol in markets:
        _refuse_needless_address(name, options.url)
        market = VENUES[name].reached_through(options.entity if VENUES[name].entities else "")
        if options.url is None and (problem := ask_venue(market, symbol)):
            _print_at_once(problem)
        market.make_feed(symbol)
        make_feeder = partial(_make_feeder, market, symbol, options.url)
        recordings.append(
            LongRecording(
                name, symbol, plan, partial(make_recorder, market, symbol, options.url), make_feeder, _print_at_once
            )
        )
    seconds = None if options.hours is None else options.hours * 3600
    try:
        run_recordings(recordings, seconds, _print_at_once, REPORT_S)
    finally:
        if repacker is not None:
            repacker.close()
    empty = [recording for recording in recordings if not recording.n_frames]
    for recording in empty:
        print(f"{recording.name}: nothing was recorded: {recording.last_error or 'nothing arrived'}", file=sys.stderr)
    return _say_missed([recording.outages for recording in recordings]) if not empty else 1


def _make_feeder(market: Venue, symbol: str, url: str | None, recorder: Recorder) -> Feeder:
    return Feeder(market, symbol, recorder, url)


def _list_command(options: argparse.Namespace) -> int:
    _print_at_once(HEADER)
    for listed in list_recordings(options.folder):
        _print_at_once(str(listed))
    return 0


def _serve_command(options: argparse.Namespace) -> int:
    opening = opening_of(options)
    about = meta(options.file, opening)
    if "opened_as" in about:
        print("opened as:", about["opened_as"], file=sys.stderr)
    with serve(options.file, options.speed, options.port, opening) as url:
        print(url, flush=True)
        threading.Event().wait()
    return 0


def _info_command(options: argparse.Namespace) -> int:
    lines, is_broken = describe(options.file, opening_of(options))
    print("\n".join(lines))
    return 1 if is_broken else 0


def _convert_command(options: argparse.Namespace) -> int:
    print("\n".join(convert.convert(options.file, options.target, options.out, opening_of(options))))
    return 0


def _clean_command(options: argparse.Namespace) -> int:
    cache = BookCache.from_user(options.cache)
    count, n_bytes = cache.clean()
    recordings = "1 recording" if count == 1 else f"{count} recordings"
    print(f"removed the parsed books of {recordings}, {n_bytes:,} bytes, from {cache.folder}")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
