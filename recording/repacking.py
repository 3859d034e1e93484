"""Pack finished recordings with Zstandard where that makes them smaller: by a quarter where books are deep."""

from __future__ import annotations

import gzip
import hashlib
import logging
import os
import queue
import secrets
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from recording.unpacking import Stream, open_members

logger = logging.getLogger(__name__)

_LEVEL = 9
_FRAME_BYTES = 8 * 1024 * 1024
"""What one frame holds: enough to find what repeats, and not too much to pack at once."""


def repack(path: Path) -> Path:
    """Pack a .gz file with Zstandard, and remove it if the new file is smaller. Return which of both is there.

    The new file is read back and compared before the old one goes. Raises OSError, EOFError.
    """
    import pyarrow as pa  # noqa: PLC0415 - it takes a tenth of a second

    packed = path.with_name(path.name.removesuffix(".gz") + ".zst")
    draft = path.with_name(f".{packed.name}.{secrets.token_hex(4)}")
    codec = pa.Codec("zstd", _LEVEL)
    digest = hashlib.sha256()
    status = path.stat()
    try:
        with gzip.open(path) as source, draft.open("xb") as file:
            while piece := source.read(_FRAME_BYTES):
                digest.update(piece)
                file.write(codec.compress(piece, asbytes=True))
            file.flush()
            os.fsync(file.fileno())
        is_whole = _digest(draft) == digest.hexdigest()
        if not is_whole or draft.stat().st_size >= status.st_size or packed.exists():
            return path
        os.utime(draft, ns=(status.st_atime_ns, status.st_mtime_ns))
        draft.rename(packed)
        path.unlink()
        return packed
    finally:
        with suppress(OSError):
            draft.unlink()


def _digest(path: Path) -> str:
    """Return the SHA-256 of what a packed file holds."""
    digest = hashlib.sha256()
    with path.open("rb") as raw:
        for member in open_members(raw):
            for piece in _pieces(member):
                digest.update(piece)
    return digest.hexdigest()


def _pieces(member: Stream) -> Iterator[bytes]:
    while piece := member.read(2**20):
        yield piece


class Repacker:
    """Repacks finished files one after the other on a thread of its own, so that recording is not held up."""

    def __init__(self) -> None:
        self._paths: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._pending: set[Path] = set()

    @property
    def pending(self) -> set[Path]:
        """The files that wait or are being repacked."""
        with self._lock:
            return set(self._pending)

    def add(self, path: Path) -> None:
        """Repack this file when its turn comes. A name without .gz is left as it is."""
        if path.suffix != ".gz":
            return
        with self._lock:
            self._pending.add(path)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="recorder repacking", daemon=True)
            self._thread.start()
        self._paths.put(path)

    def close(self) -> None:
        """Wait until all files are repacked."""
        if self._thread is not None:
            self._paths.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while (path := self._paths.get()) is not None:
            try:
                packed = repack(path)
                logger.info("packed %s", packed)
            except (OSError, EOFError, ValueError) as error:
                logger.warning("%s stays as it is: %s", path, error)
            with self._lock:
                self._pending.discard(path)
