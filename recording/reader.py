"""Read a recording line by line, in bounded memory."""

from __future__ import annotations

import codecs
import gzip
import json
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from recording.format import RecordedFrame, RecordingError, decode
from recording.opening import NOTHING_SAID, AmountsError, Opening
from recording.tardis_csv import HEADER, SnapshotTable

MAX_LINE_BYTES = 64 * 1024 * 1024
"""A whole Coinbase book is one frame of 5 MB, and 6 MB in its envelope."""
_CHUNK_BYTES = 256 * 1024


def read(
    path: str | os.PathLike[str],
    max_bytes: int | None = None,
    on_read: Callable[[int], None] = lambda _bytes: None,
    opening: Opening = NOTHING_SAID,
) -> Iterator[RecordedFrame]:
    """Yield every line of a recording, gzipped or plain, or every row of a Tardis book_snapshot CSV.

    on_read gets now and then how much of the file itself has been read, in bytes. opening is what the user says of the
    file; a file that says otherwise of itself is refused. A recording that was cut off (by a killed recorder or a full
    disk) gives all its whole lines, then one frame of kind "torn".

    Raises OSError, and RecordingError with the line's number: for what is no recording, for a line above 64 MiB, and
    for more than max_bytes once unpacked.
    """
    lines = _Lines(Path(path), max_bytes, on_read)
    convert: Callable[[bytes], RecordedFrame] = decode
    table: SnapshotTable | None = None
    n_yielded = 0
    for line in lines:
        try:
            if lines.number == 1 and line.startswith(HEADER):
                table = SnapshotTable(line, opening)
                convert = _row_converter(table)
                continue
            if table and lines.is_unfinished and lines.is_truncated:
                raise RecordingError("a row without its end, whose last number may lack digits")
            frame = convert(line)
            if frame.kind == "meta":
                _refuse_contradiction(frame, opening)
        except AmountsError:
            raise
        except ValueError as error:
            # Only the last line may be cut off, and only behind at least one whole line of the same kind.
            if not lines.is_unfinished or not n_yielded or (table is None and not line.startswith(b"{")):
                raise RecordingError(f"line {lines.number}: {error}") from None
            yield RecordedFrame("torn", None, f"cut off in line {lines.number}, of which {len(line)} bytes are there")
            return
        if table and not n_yielded:
            yield RecordedFrame("meta", None, table.meta())
        n_yielded += 1
        yield frame
    if not n_yielded:
        raise RecordingError("line 1: there is no recording in this file, not one whole line")
    if lines.is_truncated:
        yield RecordedFrame("torn", None, f"cut off after line {lines.number}")


def _refuse_contradiction(frame: RecordedFrame, opening: Opening) -> None:
    """Raise RecordingError if the meta line names another market than the user."""
    about = json.loads(frame.message)
    venue, symbol = about.get("venue"), about.get("symbol")
    if isinstance(venue, str) and isinstance(symbol, str):
        opening.refuse_contradiction(venue, symbol)


def _row_converter(table: SnapshotTable) -> Callable[[bytes], RecordedFrame]:
    """Return the function that makes a frame of a row, as decode() does of a line."""

    def convert(line: bytes) -> RecordedFrame:
        market_ns, message = table.row(line)
        return RecordedFrame("book", market_ns, message)

    return convert


class _Lines:
    """A file's lines, unpacked in bounded memory. It knows how the file ended."""

    def __init__(self, path: Path, max_bytes: int | None, on_read: Callable[[int], None]) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._on_read = on_read
        self.number = 0
        """The number of the line yielded last, from 1."""
        self.is_truncated = False
        """Whether the compressed data ended before its end mark."""
        self.is_unfinished = False
        """Whether the line yielded last had no newline."""

    def __iter__(self) -> Iterator[bytes]:
        pieces: list[bytes] = []  # of the line that the chunks so far have not ended
        n_bytes = 0
        for chunk in self._chunks():
            head, *rest = chunk.split(b"\n")
            pieces.append(head)
            n_bytes += len(head)
            if n_bytes > MAX_LINE_BYTES:
                raise RecordingError(f"line {self.number + 1}: longer than {MAX_LINE_BYTES:,} bytes")
            for piece in rest:
                self.number += 1
                yield b"".join(pieces)
                pieces = [piece]
                n_bytes = len(piece)
        if n_bytes:
            self.number += 1
            self.is_unfinished = True
            yield b"".join(pieces)

    def _chunks(self) -> Iterator[bytes]:
        n_unpacked = 0
        with self._path.open("rb") as raw:
            is_gzip = raw.peek(2)[:2] == b"\x1f\x8b"
            stream = gzip.GzipFile(fileobj=raw) if is_gzip else raw
            while True:
                try:
                    chunk = stream.read1(_CHUNK_BYTES)
                except EOFError:
                    self.is_truncated = True
                    return
                except (gzip.BadGzipFile, zlib.error) as error:
                    raise RecordingError(f"line {self.number + 1}: the compressed data is damaged: {error}") from None
                if not chunk:
                    return
                if not n_unpacked:
                    chunk = chunk.removeprefix(codecs.BOM_UTF8)
                n_unpacked += len(chunk)
                if self._max_bytes is not None and n_unpacked > self._max_bytes:
                    raise RecordingError(f"line {self.number + 1}: the file unpacks to over {self._max_bytes:,} bytes")
                self._on_read(raw.tell())
                yield chunk
