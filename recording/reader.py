"""Read a recording, or a file that someone else made, line by line and in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from recording.format import RecordedFrame, RecordingError
from recording.forms import find_form
from recording.opening import NOTHING_SAID, AmountsError, Opening
from recording.streams import read_stream
from recording.unpacking import Lines


def read(
    path: str | os.PathLike[str],
    max_bytes: int | None = None,
    on_read: Callable[[int], None] = lambda _bytes: None,
    opening: Opening = NOTHING_SAID,
) -> Iterator[RecordedFrame]:
    """Yield every line of a recording, or what a foreign file holds as lines of one, a meta line first.

    The file may be packed (gzip, Zstandard, zip). on_read gets now and then how much of the file itself has been read,
    in bytes. opening is what the user says of the file; a file that says otherwise of itself is refused. A recording
    that was cut off (by a killed recorder or a full disk) gives all its whole lines, then one frame of kind "torn".

    Raises OSError, and RecordingError with the line's number: for what is no recording, for a line above 64 MiB, and
    for more than max_bytes once unpacked.
    """
    stream = read_stream(Path(path), max_bytes, on_read, opening)
    if stream is not None:
        yield from stream
        return
    form = find_form(Path(path), max_bytes, opening)
    convert = form.convert
    lines = Lines(Path(path), max_bytes, on_read)
    n_yielded = 0
    for line in lines:
        try:
            if lines.is_unfinished:
                form.check_whole(line, lines.is_truncated)
            frames = convert(line, lines.is_first_of_member)
        except AmountsError:
            raise
        except ValueError as error:
            # Only the last line may be cut off, and only behind at least one whole line of the same kind.
            if not lines.is_unfinished or not n_yielded or not line.startswith(form.may_tear):
                raise RecordingError(f"line {lines.number}: {error}") from None
            yield RecordedFrame("torn", None, f"cut off in line {lines.number}, of which {len(line)} bytes are there")
            return
        for frame in frames:
            if not n_yielded and (text := form.meta()):
                yield RecordedFrame("meta", None, text)
            n_yielded += 1
            yield frame
    # What is waiting for its last row has not got it where the file was cut off.
    for frame in () if lines.is_truncated else form.finish():
        if not n_yielded and (text := form.meta()):
            yield RecordedFrame("meta", None, text)
        n_yielded += 1
        yield frame
    if not n_yielded:
        raise RecordingError("line 1: there is no recording in this file, not one whole line")
    if lines.is_truncated:
        yield RecordedFrame("torn", None, f"cut off after line {lines.number}")
