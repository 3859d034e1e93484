"""Unpack a file in bounded memory. How it is packed is told by its content: gzip, Zstandard, zip, tar, or plain."""

from __future__ import annotations

import codecs
import gzip
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import BufferedReader
from pathlib import Path
from typing import IO, Protocol

from recording.format import RecordingError
from recording.tar_members import is_content, split_tar

MAX_LINE_BYTES = 64 * 1024 * 1024
"""A whole Coinbase book is one frame of 5 MB, and 6 MB in its envelope."""
MAX_ZIP_DIRECTORY_BYTES = 4 * 1024 * 1024
"""The most that the directory of a zip file may take up: some 50,000 members, which need 30 MB of memory."""
_CHUNK_BYTES = 256 * 1024
_ZSTD_READ_BYTES = 4096
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
_ZIP_TAIL_BYTES = 22 + 2**16
"""The end record of a zip file and the longest comment after it."""
_ZIP_ERRORS = (zipfile.BadZipFile, NotImplementedError, RuntimeError, lzma.LZMAError, zlib.error)
"""What reading a zip file raises where it is damaged, packed in an unknown way or encrypted."""


UNPACKING_ERRORS = (gzip.BadGzipFile, *_ZIP_ERRORS)
"""What reading a stream raises where the compressed data is damaged; EOFError where its end is missing."""


class Stream(Protocol):
    """The one method of a file that is needed here."""

    def read(self, n_bytes: int, /) -> bytes:
        """Return at most so many bytes; none at the end."""


class Lines:
    """A file's lines, unpacked in bounded memory. It knows how the file ended.

    The members of a zip file follow each other in the order of their names, those of a tar file in the order in which
    they were packed. Folders, hidden files and what macOS adds are left out. Iterating raises OSError, and
    RecordingError for damaged data, for a line above 64 MiB and for more than max_bytes once unpacked.

    Args:
        path: The file.
        max_bytes: The most that it may unpack to; None is no limit.
        on_read: Gets now and then how much of the file itself has been read, in bytes.
    """

    def __init__(
        self, path: Path, max_bytes: int | None = None, on_read: Callable[[int], None] = lambda _bytes: None
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._on_read = on_read
        self._n_unpacked = 0
        self.number = 0
        """The number of the line yielded last, from 1."""
        self.is_truncated = False
        """Whether the compressed data ended before its end mark."""
        self.is_unfinished = False
        """Whether the line yielded last had no newline, and nothing comes after it."""
        self.is_first_of_member = False
        """Whether the line yielded last is the first of a file, or of a member of a zip or tar file."""

    def __iter__(self) -> Iterator[bytes]:
        with self._path.open("rb") as raw:
            for stream in self._open_members(raw):
                if self.number and self.is_unfinished:
                    self.is_unfinished = False  # the next member began a line of its own
                yield from self._split(self._chunks(stream, raw))

    def _open_members(self, raw: BufferedReader) -> Iterator[Stream]:
        """Yield the members, as open_members does; where a tar file ends between two of them, it is truncated."""
        members = open_members(raw)
        while True:
            try:
                stream = next(members)
            except StopIteration:
                return
            except EOFError:
                self.is_truncated = True
                return
            except UNPACKING_ERRORS as error:
                raise RecordingError(f"line {self.number + 1}: the compressed data is damaged: {error}") from None
            yield stream

    def _split(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the lines of one member."""
        pieces: list[bytes] = []  # of the line that the chunks so far have not ended
        n_bytes = 0
        self.is_first_of_member = True
        for chunk in chunks:
            head, *rest = chunk.split(b"\n")
            pieces.append(head)
            n_bytes += len(head)
            if n_bytes > MAX_LINE_BYTES:
                raise RecordingError(f"line {self.number + 1}: longer than {MAX_LINE_BYTES:,} bytes")
            for piece in rest:
                self.number += 1
                yield b"".join(pieces)
                self.is_first_of_member = False
                pieces = [piece]
                n_bytes = len(piece)
        if n_bytes:
            self.number += 1
            self.is_unfinished = True
            yield b"".join(pieces)

    def _chunks(self, stream: Stream, raw: IO[bytes]) -> Iterator[bytes]:
        """Yield the unpacked bytes of one member, without a byte order mark."""
        is_first = True
        while True:
            try:
                chunk = stream.read(_CHUNK_BYTES)
            except EOFError:
                self.is_truncated = True
                return
            except UNPACKING_ERRORS as error:
                raise RecordingError(f"line {self.number + 1}: the compressed data is damaged: {error}") from None
            if not chunk:
                return
            if is_first:
                chunk = chunk.removeprefix(codecs.BOM_UTF8)
                is_first = False
            self._n_unpacked += len(chunk)
            if self._max_bytes is not None and self._n_unpacked > self._max_bytes:
                raise RecordingError(f"line {self.number + 1}: the file unpacks to over {self._max_bytes:,} bytes")
            self._on_read(raw.tell())
            yield chunk


def open_members(raw: BufferedReader) -> Iterator[Stream]:
    """Yield the unpacked content of a file, or of each member of a zip or tar file, as a stream.

    A stream raises EOFError for a missing end, and UNPACKING_ERRORS. Raises RecordingError.
    """
    if not raw.peek(4).startswith(_ZIP_MAGICS):
        yield from split_tar(_unpack(raw))
        return
    try:
        _refuse_large_directory(raw)
        with ExitStack() as stack:
            archive = stack.enter_context(zipfile.ZipFile(raw))
            members = sorted(name for name in archive.namelist() if is_content(name))
            for name in members:
                with archive.open(name) as member:
                    yield from split_tar(_unpack(BufferedReader(member)))  # type: ignore[arg-type]  # it has readinto
    except RecordingError:
        raise
    except (struct.error, OSError, ValueError, *_ZIP_ERRORS) as error:  # OSError: a place before the file's beginning
        raise RecordingError(f"line 1: the zip file cannot be opened: {error}") from None
    if not members:
        raise RecordingError("line 1: the zip file has no member")


def _refuse_large_directory(raw: BufferedReader) -> None:
    """Raise RecordingError for a zip directory that would not fit in memory. Raises struct.error for half of one."""
    raw.seek(0, 2)
    n_bytes = raw.tell()
    raw.seek(max(n_bytes - _ZIP_TAIL_BYTES - 20, 0))
    tail = raw.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0:
        raise RecordingError("line 1: the zip file has no directory: it was cut off")
    (directory_bytes,) = struct.unpack_from("<L", tail, at + 12)
    if tail[max(at - 20, 0) : at].startswith(b"PK\x06\x07"):
        (record_at,) = struct.unpack_from("<Q", tail, at - 12)
        raw.seek(min(record_at, n_bytes))
        (directory_bytes,) = struct.unpack_from("<Q", raw.read(56), 40)
    raw.seek(0)
    if directory_bytes > MAX_ZIP_DIRECTORY_BYTES:
        raise RecordingError(f"line 1: the zip file's directory takes up {directory_bytes:,} bytes")


def _unpack(stream: BufferedReader) -> Stream:
    """Return what the stream holds, unpacked if it is gzip or Zstandard."""
    head = stream.peek(4)[:4]
    if head.startswith(_GZIP_MAGIC):
        return _Gzip(gzip.GzipFile(fileobj=stream))
    if head == _ZSTD_MAGIC:
        return _Zstd(stream)
    return stream


class _Gzip:
    """A gzip file that gives what it has before it raises EOFError for its missing end."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self.read = file.read1


class _Zstd:
    """A Zstandard file that gives what it has before it raises EOFError for its missing end.

    Raises gzip.BadGzipFile where it is damaged.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        import pyarrow as pa  # noqa: PLC0415 - it takes a tenth of a second, and few files need it

        self._file = pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd")
        self._error: Exception | None = None

    def read(self, n_bytes: int, /) -> bytes:
        """Return at most so many unpacked bytes; none at the end."""
        if self._error is not None:
            raise self._error
        pieces = []
        try:
            # A read that fails loses what it has unpacked, so each is small.
            at_once = min(n_bytes, _ZSTD_READ_BYTES)
            for _ in range(n_bytes // at_once):
                piece = self._file.read(at_once)
                if not piece:
                    break
                pieces.append(piece)
        except OSError as error:
            self._error = EOFError() if "Truncated" in str(error) else gzip.BadGzipFile(str(error))
            if not pieces:
                raise self._error from None
        return b"".join(pieces)
