"""Write the raw messages of a recording, one a line, as wscat and collectors do."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from recording.format import RecordingError
from recording.opening import Opening
from recording.raw_log import split_line
from recording.reader import read

_SIGNS = {"recv": "<", "http": "<", "send": ">"}


def write_raw(path: Path, opening: Opening, file: IO[bytes]) -> str:
    """Write a line for each message: the recorder's clock in nanoseconds, "<" received or ">" sent, the message.

    REST snapshots stand among the received messages. Return a sentence about what was left out. Raises OSError, and
    RecordingError for a file without messages of a venue.
    """
    n_written = n_left_out = 0
    last_ns: int | None = None
    for frame in read(path, opening=opening):
        if frame.kind in ("book", "change"):
            raise RecordingError("these are rows of books, and no messages of a venue: raw messages are not in them")
        sign = _SIGNS.get(frame.kind)
        if sign is None:
            n_left_out += frame.kind not in ("meta", "torn")
            continue
        last_ns = last_ns if frame.market_ns is None else frame.market_ns
        # A line break inside a JSON text is a blank between two of its words.
        message = frame.message.replace("\r", " ").replace("\n", " ").strip()
        clock = "" if last_ns is None else f"{last_ns} "
        line = f"{clock}{sign} {message}".encode(errors="replace")
        if not split_line(line).is_message:
            n_left_out += 1
            continue
        file.write(line + b"\n")
        n_written += 1
    if not n_written:
        raise RecordingError("there is no message in it")
    left_out = f"; {n_left_out} other lines, such as new connections, have no place in it" if n_left_out else ""
    return f"{n_written} raw messages{left_out}"
