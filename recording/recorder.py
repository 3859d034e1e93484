"""Record frames to a file that stays readable whatever happens to the process."""

from __future__ import annotations

import atexit
import logging
import os
import re
import threading
import zlib
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from time import monotonic, time_ns

from recording.format import ENCODER, FRAME_KINDS, RECEIVED_KINDS, VERSION, RecordedFrame, decode, encode

logger = logging.getLogger(__name__)

RECORDINGS = Path("recordings")
"""The folder of recordings, in the folder where the page or the command is started: both write to it, and the page
lists it."""
_FLUSH_S = 0.25
_MAX_PENDING = 256 * 1024 * 1024  # characters


def market_stem(venue: str, symbol: str) -> str:
    """Return what the names of a market's recordings begin with.

    >>> market_stem("kraken", "BTC/USD")
    'kraken-BTC-USD'
    """
    return re.sub(r"[^A-Za-z0-9]+", "-", f"{venue}-{symbol}").strip("-")[:80]


def new_path(folder: Path, venue: str, symbol: str, begun: datetime) -> Path:
    """Return a path that no file in the folder has; its name says what the recording holds and when it began.

    >>> new_path(RECORDINGS, "kraken", "BTC/USD", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)).as_posix()
    'recordings/kraken-BTC-USD-20260102T030405Z.jsonl.gz'
    """
    stem = f"{market_stem(venue, symbol)}-{begun:%Y%m%dT%H%M%SZ}"
    names = (f"{stem}{suffix}.jsonl.gz" for suffix in chain([""], (f"-{number}" for number in count(2))))
    return next(path for name in names if not os.path.lexists(path := folder / name))


class Recorder:
    """Writes frames to a file that stays readable up to the last flush, whatever happens to the process or the disk.

    `write` only queues, and may be called from any thread; a thread of its own writes several times a second. frames,
    received and bytes count what has reached the file. error says why recording stopped early, else it is None. A
    process that ends in order ends the file too. A file into which nothing was received is removed at the end: the
    page would list it, and could not play it.
    """

    path: Path

    def __init__(
        self, venue: str | None = None, symbol: str | None = None, facts: Mapping[str, object] | None = None
    ) -> None:
        """Make a recorder; its files begin with a meta line that names the market, and these facts of it."""
        self._about = {"venue": venue, "symbol": symbol, **(facts or {})}
        self._lock = threading.Lock()
        self._pending: list[RecordedFrame] = []
        self._pending_size = 0
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self.frames = 0
        self.received = 0
        """How many of the frames came from the venue."""
        self.bytes = 0
        self.error: str | None = None
        self._has_frame = False
        self._began_s = 0.0
        self._ended_s = 0.0

    @property
    def recording(self) -> bool:
        """Whether frames are being taken."""
        return self._thread is not None and self.error is None and not self._closing.is_set()

    @property
    def finished(self) -> bool:
        """Whether nothing more will be written."""
        return self._thread is None or not self._thread.is_alive()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start, until close() or the error that stopped it."""
        return (self._ended_s or monotonic()) - self._began_s

    def start(self, path: str | os.PathLike[str]) -> None:
        """Begin a new file, compressed if its name ends in .gz.

        Raises OSError, FileExistsError instead of overwriting, and RuntimeError while another file is being written.
        """
        if self._thread is not None:
            raise RuntimeError(f"still recording: close() before a new file: {path}")
        self.path = Path(path)
        self._file = self.path.open("xb", buffering=0)
        self._packer = zlib.compressobj(6, zlib.DEFLATED, 31) if self.path.suffix == ".gz" else None
        self.frames = 0
        self.received = 0
        self.bytes = 0
        self.error = None
        about = {key: value for key, value in self._about.items() if value is not None}
        created = datetime.now(UTC).isoformat(timespec="seconds")
        # Its time is there for other programs: a column that lacks one number is read as floats.
        head = {"t": "meta", "ts_ns": time_ns(), **about, "version": VERSION, "created": created}
        try:
            self._put(ENCODER.encode(head) + b"\n")
        except OSError:
            self._file.close()
            raise
        self._pending = []
        self._pending_size = 0
        self._closing.clear()
        self._has_frame = False
        self._began_s = monotonic()
        self._ended_s = 0.0
        atexit.register(self.close)
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()
        logger.info("recording to %s", self.path)

    def write(self, frame: RecordedFrame) -> None:
        """Queue a frame. Leave out marks (meta, torn and the like), and all that comes while nothing is recorded."""
        if frame.kind not in FRAME_KINDS or not self.recording:
            return
        self._has_frame = True
        with self._lock:
            self._pending.append(frame)
            self._pending_size += len(frame.message)
            if self._pending_size > _MAX_PENDING:
                self.error = f"the disk is too slow: over {_MAX_PENDING:,} characters wait to be written"
                self._pending = []

    def on_frame(self, kind: str, market_ns: int, text: str | bytes, url: str | None = None) -> None:
        """Record what a venue's client passes on. Bytes that are no UTF-8 are kept as U+FFFD."""
        if kind == "connect":
            text = ""  # its url says it already
        self.write(
            RecordedFrame(kind, market_ns, text if isinstance(text, str) else text.decode(errors="replace"), url)
        )

    def on_served_frame(self, kind: str, _market_ns: int, text: str | bytes, _url: str | None = None) -> None:
        """Record what the client of a loopback market passes on: frames in the envelope, with their own clock.

        Where playback begins again, the recording gets a "connect", unless it has no frame yet.
        """
        if kind == "recv":
            for line in (text if isinstance(text, str) else text.decode()).rstrip("\n").split("\n"):
                frame = decode(line)
                self.write(RecordedFrame("connect", None) if frame.kind == "again" and self._has_frame else frame)

    def close(self, wait_s: float | None = None) -> None:
        """Write what is queued and end the file; wait for that at most wait_s, None for as long as it takes.

        It may be called again.
        """
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
            self._ended_s = monotonic()
            self._file.close()
            if self.error is not None:
                logger.error("the recording ends early: %s", self.error)
            elif self.received:
                logger.info("finished %s: %d frames, %d bytes", self.path, self.frames, self.bytes)
            else:
                with suppress(OSError):
                    self.path.unlink()
                logger.info("removed %s, since nothing was received", self.path)

    def _flush(self) -> None:
        with self._lock:
            frames = self._pending
            self._pending = []
            self._pending_size = 0
        if frames:
            self._put(b"".join([encode(frame) + b"\n" for frame in frames]))
            self.frames += len(frames)
            self.received += sum(frame.kind in RECEIVED_KINDS for frame in frames)

    def _put(self, lines: bytes) -> None:
        """Write these lines so that they can be read at once: a sync flush ends on a whole byte."""
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
