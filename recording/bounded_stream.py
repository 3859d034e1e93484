"""The unpacked bytes of one member of a file, counted and with named errors."""

from __future__ import annotations

from collections.abc import Callable

from recording.format import RecordingError
from recording.unpacking import UNPACKING_ERRORS, Stream


class BoundedStream:
    """The unpacked bytes of a member, counted over all members of the file. Raises RecordingError where damaged.

    Args:
        stream: The unpacked member.
        head: What was read of it already.
        count: Gets the number of bytes read each time.
    """

    def __init__(self, stream: Stream, head: bytes, count: Callable[[int], None]) -> None:
        self._stream = stream
        self.head = head
        self._count = count
        self.is_truncated = False

    def read(self, n_bytes: int) -> bytes:
        """Return so many bytes, fewer at the end only."""
        piece, self.head = self.head[:n_bytes], self.head[n_bytes:]
        pieces = [piece]
        n_left = n_bytes - len(piece)
        while n_left:
            try:
                piece = self._stream.read(n_left)
            except EOFError:
                self.is_truncated = True
                break
            except UNPACKING_ERRORS as error:
                raise RecordingError(f"the compressed data is damaged: {error}") from None
            if not piece:
                break
            self._count(len(piece))
            pieces.append(piece)
            n_left -= len(piece)
        return b"".join(pieces)
