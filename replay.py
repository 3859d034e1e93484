"""Record a venue's feed, play and inspect recordings, from Python or from the command line."""

from __future__ import annotations

import argparse
import math
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path

from backtesting.cache_folder import BookCache
from feeds import VENUES
from network.logs import configure_logging
from network.status import Status
from network.venue_facts import ask_venue
from recording import convert
from recording.arguments import opening_of, opening_parser, parse_hours, parse_port, parse_speed
from recording.format import RecordedFrame, RecordingError, decode, encode
from recording.info import describe
from recording.reader import read
from recording.recorder import RECORDINGS, Recorder, new_path
from recording.replay_engine import ReplayEngine
from recording.replay_feed import ReplayFeed, books, meta
from recording.server import Server, serve
from recording.simulated import simulated
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
IS_DOWN = frozenset({"connecting", "reconnecting"})
"""The states of a client without a connection, or whose connection has not brought a book yet."""


def _print_at_once(line: str) -> None:
    """Print a line and flush, so that a pipe or a file has it at once too."""
    print(line, flush=True)


def record(
    venue: str,
    symbol: str,
    path: str | PathLike[str],
    seconds: float | None = None,
    stop: threading.Event | None = None,
    url: str | None = None,
    report: Callable[[str], None] = _print_at_once,
    entity: str = "",
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
    """
    market = VENUES[venue].reached_through(entity)
    _refuse_needless_address(venue, url)
    if url is None and (problem := ask_venue(market, symbol)):
        report(problem)
    market.make_feed(symbol)
    stop = stop or threading.Event()
    through = {"entity": market.entity.name} if market.entities and url is None else {}
    recorder = Recorder(venue, symbol, through | market.recorded_facts(symbol))
    with serve(simulated(symbol)) if market.is_simulated else nullcontext(url or market.url(symbol)) as address:
        client = WebSocketClient(
            address,
            lambda: ReplayFeed(market.make_feed(symbol)) if market.is_simulated else market.make_feed(symbol),
            lambda _book: None,
            on_frame=recorder.on_served_frame if market.is_simulated else recorder.on_frame,
        )
        recorder.start(path)
        ends_s = math.inf if seconds is None else time.monotonic() + seconds
        next_report_s = 0.0
        try:
            report(f"recording to {path}")
            client.start()
            while recorder.recording and client.status.state != "given up":
                left_s = ends_s - time.monotonic()
                if left_s <= 0:
                    break
                if time.monotonic() >= next_report_s:
                    report(_progress_line(recorder, client.status))
                    next_report_s = time.monotonic() + REPORT_S
                if stop.wait(min(left_s, 1.0)):
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


def _refuse_needless_address(venue: str, url: str | None) -> None:
    """Raise ValueError for an address that would not be used."""
    if VENUES[venue].is_simulated and url:
        raise ValueError("the simulated market is made on this machine and has no address: leave out --url")


def _progress_line(recorder: Recorder, status: Status) -> str:
    line = f"{recorder.frames} frames, {recorder.bytes:,} bytes, {status.books} books, {status.state}"
    return f"{line}: {status.last_error}" if status.state in IS_DOWN and status.last_error else line


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
    command.add_argument("--venue", required=True, choices=sorted(VENUES))
    command.add_argument("--symbol", required=True, help=f"as the venue writes it: {_example_symbols()}")
    command.add_argument("--hours", type=parse_hours, help="how long; until Ctrl-C if not given")
    command.add_argument(
        "--out",
        type=Path,
        help=f"a new file, compressed if its name ends in .gz; if not given, one in the folder {RECORDINGS}",
    )
    command.add_argument("--entity", default="", help=f"the company or mirror to ask: {_entity_choices()}")
    command.add_argument("--url", help="another address than the venue's own")
    command.set_defaults(run=_record_command)

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


def _example_symbols() -> str:
    """Return the first symbol of every venue, each once, in the order of the venues."""
    return ", ".join(dict.fromkeys(venue.symbols[0] for venue in VENUES.values()))


def _entity_choices() -> str:
    """Return the entities of every venue that has several, each venue's default first."""
    several = [venue for venue in VENUES.values() if len(venue.entities) > 1]
    return "; ".join(f"{venue.name}: {', '.join(each.name for each in venue.entities)}" for venue in several)


def _record_command(options: argparse.Namespace) -> int:
    _refuse_needless_address(options.venue, options.url)
    path = options.out
    if path is None:
        RECORDINGS.mkdir(parents=True, exist_ok=True)
        path = new_path(RECORDINGS, options.venue, options.symbol, datetime.now(UTC))
    seconds = None if options.hours is None else options.hours * 3600
    try:
        recorder = record(options.venue, options.symbol, path, seconds, url=options.url, entity=options.entity)
    except ValueError:  # an unknown entity or symbol leaves no folder behind
        if options.out is None:
            with suppress(OSError):  # it has files of before
                RECORDINGS.rmdir()
        raise
    if recorder.received:
        print(f"{path}: {recorder.frames} frames, {recorder.bytes:,} bytes")
    if recorder.error:
        print(recorder.error, file=sys.stderr)
    return 1 if recorder.error else 0


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
