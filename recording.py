"""The recording format: what a feed sent and received, one JSON line a frame, read and written."""

from __future__ import annotations

import atexit
import codecs
import gzip
import os
import re
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import msgspec

from tardis import HEADER, SnapshotTable

VERSION = 1
RECORDINGS = Path("recordings")
"""The folder of recordings, below the folder that the page or the command is started in: both write to it, and the page
lists it."""
MAX_LINE = 64 * 1024 * 1024
"""Bytes: a whole Coinbase book is one frame of 5 MB, and its envelope 6 MB."""
FRAMES = frozenset({"recv", "send", "connect", "http", "http_row", "book"})
"""What a recording is made of. "book" is a whole book in base units, from a CSV."""
RECEIVED = frozenset({"recv", "http", "http_row", "book"})
"""The frames that came from the venue: without one of them there is nothing to play."""
_KINDS = FRAMES | {"meta", "torn", "idle", "end", "again"}
_CHUNK = 256 * 1024
_FLUSH_S = 0.25
_MAX_PENDING = 256 * 1024 * 1024


class RecordingError(ValueError):
    """A file, or a line of it, that is no recording; the message says which line and why."""


class Tick(NamedTuple):
    """One line of a recording. kind is the envelope's "t"; market_ns the recorder's clock, None where
    it noted none; message the raw text ("" where there is none; a meta line's own JSON text).

    A last tick of kind "torn" says that the file ends in the middle of a line, and where.
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
_ENCODER = msgspec.json.Encoder()


def decode(line: str | bytes) -> Tick:
    """The tick of one envelope line. Raises RecordingError.

    >>> decode('{"t":"recv","ts_ns":1747307617714000000,"data":"pong"}')
    Tick(kind='recv', market_ns=1747307617714000000, message='pong', url=None)
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
        data = line if isinstance(line, str) else line.decode()
    return Tick(kind, ts_ns, data, fields.url)


def encode(tick: Tick) -> bytes:
    """The envelope line of a tick, without its newline.

    >>> encode(Tick("send", None, "ping"))
    b'{"t":"send","ts_ns":null,"data":"ping"}'
    """
    if tick.kind == "meta":
        return tick.message.strip().encode()
    line: dict[str, str | int | None] = {"t": tick.kind, "ts_ns": tick.market_ns}
    if tick.url is not None:
        line["url"] = tick.url
    if tick.message or tick.kind != "connect":
        line["data"] = tick.message
    return _ENCODER.encode(line)


def read(
    path: str | os.PathLike[str], max_bytes: int | None = None, on_read: Callable[[int], None] = lambda _bytes: None
) -> Iterator[Tick]:
    """Every line of a recording, gzipped or plain, or every row of a Tardis book_snapshot CSV.

    on_read is told now and then how much of the file itself has been read, in bytes.
    A recording that was cut off (a killed recorder, a full disk) gives all its whole lines, then one
    tick of kind "torn". Raises OSError, or RecordingError with the line's number: for what is no
    recording, for a line above 64 MiB, and for more than max_bytes once unpacked.
    """
    lines = _Lines(Path(path), max_bytes, on_read)
    convert: Callable[[bytes], Tick] = decode
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
            yield Tick("torn", None, f"cut off in line {lines.number}, of which {len(line)} bytes are there")
            return
        if table and not good:
            yield Tick("meta", None, table.meta())
        good += 1
        yield tick
    if not good:
        raise RecordingError("line 1: there is no recording in this file, not one whole line")
    if lines.truncated:
        yield Tick("torn", None, f"cut off after line {lines.number}")


def _row_converter(table: SnapshotTable) -> Callable[[bytes], Tick]:
    def convert(line: bytes) -> Tick:
        market_ns, message = table.row(line)
        if not 0 <= market_ns < 2**63:
            raise RecordingError(f"local_timestamp {market_ns // 1000} is no time in microseconds")
        return Tick("book", market_ns, message)

    return convert


def new_path(folder: Path, venue: str, symbol: str, moment: datetime) -> Path:
    """A name that says what a recording holds and when it began, and that no file in the folder has.

    >>> new_path(RECORDINGS, "kraken", "BTC/USD", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)).as_posix()
    'recordings/kraken-BTC-USD-20260102T030405Z.jsonl.gz'
    """
    what = re.sub(r"[^A-Za-z0-9]+", "-", f"{venue}-{symbol}").strip("-")[:80]
    stem = f"{what}-{moment:%Y%m%dT%H%M%SZ}"
    names = (f"{stem}{again}.jsonl.gz" for again in chain([""], (f"-{number}" for number in count(2))))
    return next(path for name in names if not os.path.lexists(path := folder / name))


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


class Recorder:
    """Writes frames to a file; whatever happens to the process or the disk, what was flushed stays readable.

    `write` only queues (call it from any thread); a thread of its own writes several times a second.
    frames, received and bytes count what has reached the file; error says why recording stopped early, else None.
    A process that ends in good order ends the file too. A file into which nothing was received is removed at the end:
    it would be listed, and could not be played.
    """

    path: Path

    def __init__(self, venue: str | None = None, symbol: str | None = None) -> None:
        self._about = {"venue": venue, "symbol": symbol}
        self._lock = threading.Lock()
        self._pending: list[Tick] = []
        self._pending_size = 0
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self.frames = 0
        self.received = 0
        """Of the frames, those that the venue sent."""
        self.bytes = 0
        self.error: str | None = None
        self._begun = False
        """Whether a frame was taken."""
        self._began = self._ended = 0.0

    @property
    def recording(self) -> bool:
        return self._thread is not None and self.error is None and not self._closing.is_set()

    @property
    def finished(self) -> bool:
        """Whether nothing more will be written."""
        return self._thread is None or not self._thread.is_alive()

    @property
    def elapsed_s(self) -> float:
        """Since the start, until close() or the error that stopped it."""
        return (self._ended or monotonic()) - self._began

    def start(self, path: str | os.PathLike[str]) -> None:
        """Begin a new file, compressed if its name ends in .gz. Raises OSError, FileExistsError rather
        than overwrite; RuntimeError while another file is being written."""
        if self._thread is not None:
            raise RuntimeError(f"still recording: close() before a new file: {path}")
        self.path = Path(path)
        self._file = self.path.open("xb", buffering=0)
        self._packer = zlib.compressobj(6, zlib.DEFLATED, 31) if self.path.suffix == ".gz" else None
        self.frames = self.received = self.bytes = 0
        self.error = None
        about = {key: value for key, value in self._about.items() if value is not None}
        created = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            self._put(_ENCODER.encode({"t": "meta", **about, "version": VERSION, "created": created}) + b"\n")
        except OSError:
            self._file.close()
            raise
        self._pending, self._pending_size = [], 0
        self._closing.clear()
        self._begun = False
        self._began, self._ended = monotonic(), 0.0
        atexit.register(self.close)
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def write(self, tick: Tick) -> None:
        """Queue a tick. What is no frame (meta, torn and the like), or comes when nothing is recorded, is left out."""
        if tick.kind not in FRAMES or not self.recording:
            return
        self._begun = True
        with self._lock:
            self._pending.append(tick)
            self._pending_size += len(tick.message)
            if self._pending_size > _MAX_PENDING:
                self.error = f"the disk is too slow: over {_MAX_PENDING:,} characters wait to be written"
                self._pending = []

    def on_frame(self, kind: str, market_ns: int, text: str | bytes, url: str | None = None) -> None:
        """The client's on_frame for a venue; bytes that are no UTF-8 keep their place as U+FFFD."""
        if kind == "connect":  # which has an address and no text
            text = ""
        self.write(Tick(kind, market_ns, text if isinstance(text, str) else text.decode(errors="replace"), url))

    def on_served_frame(self, kind: str, _market_ns: int, text: str | bytes, _url: str | None = None) -> None:
        """The client's on_frame for a loopback market: the frames come in the envelope, with their own clock.

        Where the player begins again, so does a connection, unless it is the recording's own beginning.
        """
        if kind == "recv":
            for line in (text if isinstance(text, str) else text.decode()).rstrip("\n").split("\n"):
                tick = decode(line)
                self.write(Tick("connect", None) if tick.kind == "again" and self._begun else tick)

    def close(self, wait_s: float | None = None) -> None:
        """Write what is queued and end the file, waiting so long for that, or for as long as it takes; idempotent."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(wait_s)
        if self.finished:
            self._thread = None
            atexit.unregister(self.close)

    def _run(self) -> None:
        try:
            while not self._closing.wait(_FLUSH_S) and self.error is None:
                self._flush()
            self._flush()
            if self._packer:
                self._write(self._packer.flush())
        except (OSError, ValueError) as error:
            self.error = f"{error} ({self.path} keeps at least its first {self.frames} frames)"
        finally:
            self._ended = monotonic()
            self._file.close()
            if self.error is None and not self.received:
                with suppress(OSError):
                    self.path.unlink()

    def _flush(self) -> None:
        with self._lock:
            ticks, self._pending, self._pending_size = self._pending, [], 0
        if ticks:
            self._put(b"".join([encode(tick) + b"\n" for tick in ticks]))
            self.frames += len(ticks)
            self.received += sum(tick.kind in RECEIVED for tick in ticks)

    def _put(self, lines: bytes) -> None:
        """All bytes on their way to the disk: a sync flush ends on a byte and can be read up to there."""
        if self._packer:
            self._write(self._packer.compress(lines) + self._packer.flush(zlib.Z_SYNC_FLUSH))
        else:
            self._write(lines)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = self._file.write(view)
            self.bytes += written
            view = view[written:]
