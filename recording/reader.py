"""Read a recording line by line, in bounded memory."""

from __future__ import annotations

import codecs
import gzip
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from recording.format import RecordedFrame, RecordingError, decode
from recording.tardis_csv import HEADER, SnapshotTable

MAX_LINE = 64 * 1024 * 1024
"""Bytes: a whole Coinbase book is one frame of 5 MB, and its envelope 6 MB."""
_CHUNK = 256 * 1024


def read(
    path: str | os.PathLike[str], max_bytes: int | None = None, on_read: Callable[[int], None] = lambda _bytes: None
) -> Iterator[RecordedFrame]:
    """Every line of a recording, gzipped or plain, or every row of a Tardis book_snapshot CSV.

    on_read is told now and then how much of the file itself has been read, in bytes.
    A recording that was cut off (a killed recorder, a full disk) gives all its whole lines, then one
    tick of kind "torn". Raises OSError, or RecordingError with the line's number: for what is no
    recording, for a line above 64 MiB, and for more than max_bytes once unpacked.
    """
    lines = _Lines(Path(path), max_bytes, on_read)
    convert: Callable[[bytes], RecordedFrame] = decode
    table: SnapshotTable | None = None
    good = 0
    for line in lines:
        try:
            if lines.number == 1 and line.startswith(HEADER):
                table = SnapshotTable(line)
                convert = _row_converter(table)
                continue
            if table and lines.unfinished and lines.truncated:
                raise RecordingError("a row without its end, whose last number may lack digits")
            tick = convert(line)
        except ValueError as error:
            if not lines.unfinished or not good or (table is None and not line.startswith(b"{")):
                raise RecordingError(f"line {lines.number}: {error}") from None
            yield RecordedFrame("torn", None, f"cut off in line {lines.number}, of which {len(line)} bytes are there")
            return
        if table and not good:
            yield RecordedFrame("meta", None, table.meta())
        good += 1
        yield tick
    if not good:
        raise RecordingError("line 1: there is no recording in this file, not one whole line")
    if lines.truncated:
        yield RecordedFrame("torn", None, f"cut off after line {lines.number}")


def _row_converter(table: SnapshotTable) -> Callable[[bytes], RecordedFrame]:
    def convert(line: bytes) -> RecordedFrame:
        market_ns, message = table.row(line)
        if not 0 <= market_ns < 2**63:
            raise RecordingError(f"local_timestamp {market_ns // 1000} is no time in microseconds")
        return RecordedFrame("book", market_ns, message)

    return convert


class _Lines:
    """A file's lines in bounded memory, unpacked on the way; knows how the file ended."""

    def __init__(self, path: Path, max_bytes: int | None, on_read: Callable[[int], None]) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._on_read = on_read
        self.number = 0
        """Of the line given last, from 1."""
        self.truncated = False
        """The compressed data ended before its end mark."""
        self.unfinished = False
        """The line given last had no newline."""

    def __iter__(self) -> Iterator[bytes]:
        parts: list[bytes] = []
        length = 0
        for chunk in self._chunks():
            head, *rest = chunk.split(b"\n")
            parts.append(head)
            length += len(head)
            if length > MAX_LINE:
                raise RecordingError(f"line {self.number + 1}: longer than {MAX_LINE:,} bytes")
            for part in rest:
                self.number += 1
                yield b"".join(parts)
                parts, length = [part], len(part)
        if length:
            self.number += 1
            self.unfinished = True
            yield b"".join(parts)

    def _chunks(self) -> Iterator[bytes]:
        total = 0
        with self._path.open("rb") as raw:
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            stream = gzip.GzipFile(fileobj=raw) if packed else raw
            while True:
                try:
                    chunk = stream.read1(_CHUNK)
                except EOFError:
                    self.truncated = True
                    return
                except (gzip.BadGzipFile, zlib.error) as error:
                    raise RecordingError(f"line {self.number + 1}: the compressed data is damaged: {error}") from None
                if not chunk:
                    return
                if not total:
                    chunk = chunk.removeprefix(codecs.BOM_UTF8)
                total += len(chunk)
                if self._max_bytes is not None and total > self._max_bytes:
                    raise RecordingError(f"line {self.number + 1}: the file unpacks to over {self._max_bytes:,} bytes")
                self._on_read(raw.tell())
                yield chunk
