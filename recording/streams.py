"""Read files that are no lines: events of hftbacktest, Parquet tables and lists of ccxt. Packed or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Protocol

from recording.bounded_stream import BoundedStream
from recording.ccxt_list import CcxtList
from recording.event_array import EventArray
from recording.format import RecordedFrame, RecordingError
from recording.opening import AmountsError, Opening
from recording.parquet_table import ParquetTable
from recording.unpacking import UNPACKING_ERRORS, Stream, open_members

_HEAD_BYTES = 4096


class StreamForm(Protocol):
    """A reader of one file's members, each a stream of bytes."""

    def meta(self) -> str | None:
        """Return the text of a meta line, once a frame has been read; None if nothing is known."""

    def frames(self, member: BoundedStream) -> Iterator[RecordedFrame]:
        """Yield the frames of one member. Raises ValueError with the offending value."""


def read_stream(
    path: Path, max_bytes: int | None, on_read: Callable[[int], None], opening: Opening
) -> Iterator[RecordedFrame] | None:
    """Return the frames of a file that is no lines, a meta line first; None if it is one of lines.

    Raises OSError, and RecordingError where the file cannot be unpacked.
    """
    with path.open("rb") as raw:
        is_plain_table = ParquetTable.fits(raw.peek(4))
        members = open_members(raw)  # kept: a member is closed with its generator
        try:
            head = _read_head(next(members))
        except (RecordingError, StopIteration, EOFError, *UNPACKING_ERRORS):
            return None  # whoever reads its lines says so
    if EventArray.fits(head):
        return _read_members(path, EventArray(opening), max_bytes, on_read)
    if ParquetTable.fits(head):
        return _read_members(
            path, ParquetTable(opening, max_bytes, path if is_plain_table else None), max_bytes, on_read
        )
    if CcxtList.fits(head):
        return _read_members(path, CcxtList(opening), max_bytes, on_read)
    return None


def _read_head(stream: Stream) -> bytes:
    """Return the first bytes of a member, fewer where it ends or breaks before."""
    head = b""
    try:
        while len(head) < _HEAD_BYTES and (piece := stream.read(_HEAD_BYTES - len(head))):
            head += piece
    except (EOFError, *UNPACKING_ERRORS):
        pass
    return head


def _read_members(
    path: Path, form: StreamForm, max_bytes: int | None, on_read: Callable[[int], None]
) -> Iterator[RecordedFrame]:
    """Yield the frames of every member, a meta line first. Raises OSError, RecordingError."""
    n_yielded = n_unpacked = 0

    with path.open("rb") as raw:

        def count(n_bytes: int) -> None:
            nonlocal n_unpacked
            n_unpacked += n_bytes
            if max_bytes is not None and n_unpacked > max_bytes:
                raise RecordingError(f"the file unpacks to over {max_bytes:,} bytes")
            on_read(_tell(raw))

        is_truncated = False
        try:
            for stream in open_members(raw):
                member = BoundedStream(stream, b"", count)
                for frame in form.frames(member):
                    if not n_yielded and (text := form.meta()):
                        yield RecordedFrame("meta", None, text)
                    n_yielded += 1
                    yield frame
                is_truncated = is_truncated or member.is_truncated
        except AmountsError:
            raise
        except EOFError:
            is_truncated = True
        except (ValueError, *UNPACKING_ERRORS) as error:
            # Bytes of a file must not reach a terminal as they are.
            reason = "".join(each if each.isprintable() else "?" for each in str(error))
            raise RecordingError(f"line 1: {reason}") from None
    if not n_yielded:
        raise RecordingError("line 1: there is no book in this file")
    if is_truncated:
        yield RecordedFrame("torn", None, "cut off: the packed file lacks its end")


def _tell(raw: IO[bytes]) -> int:
    return raw.tell()
