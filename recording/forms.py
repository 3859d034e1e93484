"""Tell the form of a file by its content. This is the only place that does; no form is told by a file's name."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Protocol

from recording import history_lines, tardis_changes, tardis_csv
from recording.format import ACCEPTED, RecordedFrame, RecordingError, decode
from recording.opening import Opening
from recording.raw_log import RawLog, is_raw_log
from recording.table_columns import TableForm, find_layout, header_names
from recording.unpacking import Lines

_FOREIGN = {
    b"timestamp,percentage,": "Binance's bookDepth has sums within percentages of the price, and no order book",
    b"update_id,best_bid_price,": "Binance's bookTicker has the best prices alone, and no order book",
    b"\x89HDF": "this is an HDF5 file",
    b"SQLite format 3": "this is an SQLite database",
    b"BZh": "this is packed with bzip2",
    b"\xfd7zXZ": "this is packed with xz",
    b"7z\xbc\xaf": "this is packed with 7-Zip",
    b"PK\x03\x04": "this is a zip file inside another",
    b"\x89PNG": "this is a picture",
    b"<": "this is a web page or XML",
}
"""What files begin with that are no recordings, and what they are."""
_TARDIS_HEADER = b"exchange,symbol,"
_SAMPLE_LINES = 500
_SAMPLE_BYTES = 16 * 1024 * 1024
"""Three whole books of Coinbase."""
_HEAD_LINES = 10
"""A program may print so many lines before the first message."""


class Form(Protocol):
    """A reader of one file's lines."""

    may_tear: tuple[bytes, ...]
    """What a line begins with that may be cut off; any other last line that cannot be read is an error."""

    def meta(self) -> str | None:
        """Return the text of a meta line, once a line has been converted; None if the file has its own."""

    def convert(self, line: bytes, is_first: bool) -> Iterable[RecordedFrame]:
        """Return the frames that are complete with this line. is_first: of the file, or of a member of a zip file.

        Raises ValueError with the offending value.
        """

    def check_whole(self, line: bytes, is_truncated: bool) -> None:
        """Raise ValueError if this line, which has no newline, lacks its end.

        is_truncated: so does the compressed file.
        """

    def finish(self) -> Iterable[RecordedFrame]:
        """Return the frames that waited for the end of the file."""


class OwnRecording:
    """Our own envelope lines."""

    may_tear: tuple[bytes, ...] = (b"{",)

    def __init__(self, opening: Opening) -> None:
        self._opening = opening

    def meta(self) -> str | None:
        """Return None: the file has its own line."""
        return None

    def convert(self, line: bytes, is_first: bool) -> Iterable[RecordedFrame]:  # noqa: ARG002 - the seam's signature
        """Return the frame of the line. Raises ValueError, also where a meta line contradicts the user."""
        frame = decode(line)
        if frame.kind == "meta":
            about = json.loads(frame.message)
            venue, symbol = about.get("venue"), about.get("symbol")
            if isinstance(venue, str) and isinstance(symbol, str):
                self._opening.refuse_contradiction(venue, symbol)
        return (frame,)

    def check_whole(self, line: bytes, is_truncated: bool) -> None:
        """Accept the line: what lacks its end cannot be decoded."""

    def finish(self) -> Iterable[RecordedFrame]:
        """Return nothing: no line waits for the next one."""
        return ()


def find_form(path: Path, max_bytes: int | None, opening: Opening) -> Form:
    """Return the form of a file by its first lines. opening is what the user says of it.

    Raises OSError, and RecordingError as Lines does and for a log whose market is not known. A file of no form at all
    is taken for a recording, whose first line then cannot be read.
    """
    head = _read_head(Lines(path, max_bytes))
    if not head or _is_envelope(head[0]):
        return OwnRecording(opening)
    try:
        form = _find_table(head[0], opening)
        if form is None and is_raw_log(islice(head, _HEAD_LINES)):
            form = RawLog(head, opening)
    except RecordingError:
        raise
    except ValueError as error:
        raise RecordingError(f"line 1: {error}") from None
    if form is None:
        raise RecordingError(f"line 1: {_describe_foreign(head[0])}; {ACCEPTED}")
    return form


def _read_head(lines: Lines) -> list[bytes]:
    """Return the first lines: as many as tell the form, and for a log of raw messages the market. Raises as Lines."""
    head: list[bytes] = []
    n_bytes = 0
    for line in lines:
        head.append(line)
        n_bytes += len(line)
        if len(head) == 1 and (header_names(line) or _is_envelope(line) or history_lines.fits(line)):
            break
        if len(head) == _HEAD_LINES and not is_raw_log(head):
            break
        if len(head) == _SAMPLE_LINES or n_bytes > _SAMPLE_BYTES:
            break
    return head


def _find_table(first: bytes, opening: Opening) -> Form | None:
    """Return the form of a file with this first line; None if that is no header and no line of a book.

    Raises ValueError for a header with a hole.
    """
    if first.strip() == tardis_changes.COLUMNS:
        return tardis_changes.TardisChanges(opening)
    is_tardis = first.startswith(_TARDIS_HEADER)
    if not (is_tardis and b"].amount" in first) and find_layout(header_names(first), opening) is not None:
        return TableForm(first, opening)
    if is_tardis:
        return tardis_csv.TardisSnapshots(opening)
    return history_lines.HistoryLines(opening) if history_lines.fits(first) else None


def _describe_foreign(first: bytes) -> str:
    """Return what a file is that no reader here takes, as far as its first line tells.

    >>> _describe_foreign(b"timestamp,percentage,depth,notional")
    "Binance's bookDepth has sums within percentages of the price, and no order book"
    """
    for start, name in _FOREIGN.items():
        if first.startswith(start):
            return name
    return f"this is no form that is known here: {first[:40]!r}"


def _is_envelope(line: bytes) -> bool:
    """Return whether a line is one of our own, be it a broken one."""
    if line.startswith(b'{"t":"'):
        return True
    try:
        decode(line)
    except RecordingError:
        return False
    return True
