"""The recording format: one JSON line for each frame that a feed sent or received."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

VERSION = 1
ACCEPTED = "recordings, logs of raw messages and tables of order books open, see docs/recordings.md"
"""The end of a sentence that refuses a file."""
FRAME_KINDS = frozenset({"recv", "send", "connect", "http", "http_row", "book", "change"})
"""The kinds of lines that a recording is made of. "book" and "change" are of a CSV: a whole book, or changes of it."""
RECEIVED_KINDS = frozenset({"recv", "http", "http_row", "book", "change"})
"""The kinds that came from the venue. Without one of them there is nothing to play."""
_KINDS = FRAME_KINDS | {"meta", "torn", "idle", "end", "again"}


class RecordingError(ValueError):
    """A file, or a line of it, is no recording; the message says which line and why."""


class RecordedFrame(NamedTuple):
    """One line of a recording.

    kind is the envelope's "t". market_ns is the recorder's clock, None where the line has no time. message is the raw
    text: "" where there is none, and a meta line's own JSON text. A last frame of kind "torn" says that the file ends
    in the middle of a line, and where.
    """

    kind: str
    market_ns: int | None
    message: str = ""
    url: str | None = None


class _Line(msgspec.Struct, gc=False):
    t: str
    ts_ns: int | None = None
    url: str | None = None
    data: str = ""


_LINE = msgspec.json.Decoder(_Line)
ENCODER = msgspec.json.Encoder()


def decode(line: str | bytes) -> RecordedFrame:
    """Return the frame of one envelope line. Raises RecordingError.

    >>> decode('{"t":"recv","ts_ns":1747307617714000000,"data":"pong"}')
    RecordedFrame(kind='recv', market_ns=1747307617714000000, message='pong', url=None)
    """
    try:
        fields = _LINE.decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise RecordingError(f"no line of a recording ({error}): {line[:40]!r}") from None
    kind, ts_ns, data = fields.t, fields.ts_ns, fields.data
    if kind not in _KINDS:
        raise RecordingError(f"unknown kind of line: {kind[:40]!r}")
    if ts_ns is not None and not 0 <= ts_ns < 2**63:
        raise RecordingError(f"ts_ns {ts_ns} is no time in nanoseconds")
    if kind == "meta":
        # Its time is when the file was begun, which is no time of the market.
        ts_ns = None
        data = line if isinstance(line, str) else line.decode()
    return RecordedFrame(kind, ts_ns, data, fields.url)


def encode(frame: RecordedFrame) -> bytes:
    """Return the envelope line of a frame, without its newline.

    >>> encode(RecordedFrame("send", None, "ping"))
    b'{"t":"send","ts_ns":null,"data":"ping"}'
    """
    if frame.kind == "meta":
        return frame.message.strip().encode()
    line: dict[str, str | int | None] = {"t": frame.kind, "ts_ns": frame.market_ns}
    if frame.url is not None:
        line["url"] = frame.url
    if frame.message or frame.kind != "connect":
        line["data"] = frame.message
    return ENCODER.encode(line)
