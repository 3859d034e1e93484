"""Record frames to a file that stays readable whatever happens to the process."""

from __future__ import annotations

import atexit
import logging
import os
import re
import threading
import zlib
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from time import monotonic

from recording.format import ENCODER, FRAMES, RECEIVED, VERSION, RecordedFrame, decode, encode

logger = logging.getLogger(__name__)

RECORDINGS = Path("recordings")
"""The folder of recordings, below the folder that the page or the command is started in: both write to it, and the page
lists it."""
_FLUSH_S = 0.25
_MAX_PENDING = 256 * 1024 * 1024


def new_path(folder: Path, venue: str, symbol: str, moment: datetime) -> Path:
    """A name that says what a recording holds and when it began, and that no file in the folder has.

    >>> new_path(RECORDINGS, "kraken", "BTC/USD", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)).as_posix()
    'recordings/kraken-BTC-USD-20260102T030405Z.jsonl.gz'
    """
    what = re.sub(r"[^A-Za-z0-9]+", "-", f"{venue}-{symbol}").strip("-")[:80]
    stem = f"{what}-{moment:%Y%m%dT%H%M%SZ}"
    names = (f"{stem}{again}.jsonl.gz" for again in chain([""], (f"-{number}" for number in count(2))))
    return next(path for name in names if not os.path.lexists(path := folder / name))


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
        self._pending: list[RecordedFrame] = []
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
            self._put(ENCODER.encode({"t": "meta", **about, "version": VERSION, "created": created}) + b"\n")
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
        logger.info("recording to %s", self.path)

    def write(self, tick: RecordedFrame) -> None:
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
        self.write(
            RecordedFrame(kind, market_ns, text if isinstance(text, str) else text.decode(errors="replace"), url)
        )

    def on_served_frame(self, kind: str, _market_ns: int, text: str | bytes, _url: str | None = None) -> None:
        """The client's on_frame for a loopback market: the frames come in the envelope, with their own clock.

        Where the player begins again, so does a connection, unless it is the recording's own beginning.
        """
        if kind == "recv":
            for line in (text if isinstance(text, str) else text.decode()).rstrip("\n").split("\n"):
                tick = decode(line)
                self.write(RecordedFrame("connect", None) if tick.kind == "again" and self._begun else tick)

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
