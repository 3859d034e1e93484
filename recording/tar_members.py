"""Split a tar file into its members as it is read, without a directory and without seeking."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from recording.format import RecordingError

_BLOCK = 512
_FILE_TYPES = (b"0", b"\0", b"7")
_CHUNK_BYTES = 256 * 1024


class _Readable(Protocol):
    def read(self, n_bytes: int, /) -> bytes:
        """Return at most so many bytes; none at the end."""


def split_tar(stream: _Readable) -> Iterator[_Readable]:
    """Yield the files in a tar stream, each to be read before the next; or the stream itself if it is no tar.

    Raises RecordingError for a damaged header, and what reading the stream raises.
    """
    pushed_back = _PushedBack(stream)
    head = pushed_back.peek(_BLOCK)
    if head[257:262] != b"ustar" or len(head) < _BLOCK:
        yield pushed_back
        return
    while True:
        header = _read_exactly(pushed_back, _BLOCK)
        if not header.strip(b"\0"):
            return
        n_bytes = _read_size(header)
        member = _Member(pushed_back, n_bytes)
        name = header[:100].split(b"\0", 1)[0].decode(errors="replace")
        if header[156:157] in _FILE_TYPES and is_content(name):
            yield member
        while member.read(_CHUNK_BYTES):
            pass
        _read_exactly(pushed_back, -n_bytes % _BLOCK)


def is_content(name: str) -> bool:
    """Return whether a member of a zip or tar file is what somebody packed.

    >>> [is_content(name) for name in ("a.csv", "day/a.csv", "day/", "__MACOSX/a.csv", ".DS_Store", "day/._a.csv")]
    [True, True, False, False, False, False]
    """
    folder, _, file = name.rpartition("/")
    return bool(file) and not file.startswith(".") and not folder.startswith("__MACOSX")


def _read_size(header: bytes) -> int:
    """Return the number of bytes of a member. Raises RecordingError."""
    field = header[124:136]
    try:
        if field[0] & 0x80:  # a size of 8 GiB and more, in binary
            return int.from_bytes(field[1:], "big")
        return int(field.strip(b" \0") or b"0", 8)
    except ValueError:
        raise RecordingError("line 1: the tar file is damaged: a member has no size") from None


def _read_exactly(stream: _Readable, n_bytes: int) -> bytes:
    """Return so many bytes. Raises EOFError where the stream ends before."""
    pieces = []
    while n_bytes:
        piece = stream.read(n_bytes)
        if not piece:
            raise EOFError
        pieces.append(piece)
        n_bytes -= len(piece)
    return b"".join(pieces)


class _PushedBack:
    """A stream whose first bytes can be looked at before they are read."""

    def __init__(self, stream: _Readable) -> None:
        self._stream = stream
        self._head = b""
        self._error: Exception | None = None

    def peek(self, n_bytes: int) -> bytes:
        """Return the first bytes, fewer where the stream ends or fails before; what it raises comes when it is read."""
        try:
            while len(self._head) < n_bytes and (piece := self._stream.read(n_bytes - len(self._head))):
                self._head += piece
        except Exception as error:  # noqa: BLE001 - raised again by read()
            self._error = error
        return self._head

    def read(self, n_bytes: int, /) -> bytes:
        """Return at most so many bytes; none at the end."""
        if self._head:
            piece, self._head = self._head[:n_bytes], self._head[n_bytes:]
            return piece
        if self._error is not None:
            raise self._error
        return self._stream.read(n_bytes)


class _Member:
    """One file of a tar stream."""

    def __init__(self, stream: _Readable, n_bytes: int) -> None:
        self._stream = stream
        self._n_left = n_bytes

    def read(self, n_bytes: int, /) -> bytes:
        """Return at most so many bytes; none at the member's end. Raises EOFError where the tar file ends inside it."""
        wanted = min(n_bytes, self._n_left)
        piece = self._stream.read(wanted) if wanted else b""
        if wanted and not piece:
            self._n_left = 0
            raise EOFError
        self._n_left -= len(piece)
        return piece
