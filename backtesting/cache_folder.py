"""Keep folders of parsed books in one place: bounded, whole or absent, and free of what killed runs left behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import platformdirs

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

FOLDER_VARIABLE = "TRADE_SIMULATOR_CACHE"
"""The environment variable that names another folder than the user's own."""
DEFAULT_MAX_BYTES = 10 * 2**30
ABOUT = "about.json"
"""The file of an entry that says what its books are of; its modification time is when they were last used."""
_ENTRY = re.compile(r".+[.][0-9a-f]{16}[.]books")
_DRAFT_PREFIX = ".draft-"
_YOUNG_S = 60.0
"""A draft this young may not be locked yet."""
_ABANDONED_S = 86_400.0
"""Without locks, a draft that nothing was written to for so long is of a run that was killed."""


class Entry(NamedTuple):
    """One folder of parsed books: its size on the disk, and when it was last used, seconds since 1970."""

    path: Path
    n_bytes: int
    used_s: float


class BookCache(NamedTuple):
    """Where parsed books are kept. folder: None keeps nothing. max_bytes: how much all of them may take up."""

    folder: Path | None
    max_bytes: int = DEFAULT_MAX_BYTES

    @classmethod
    def from_user(cls, folder: str | os.PathLike[str] | None = None) -> BookCache:
        """Return the cache in this folder; None is the user's cache folder."""
        return cls(user_folder() if folder is None else Path(folder))

    def entries(self) -> list[Entry]:
        """Return what is kept, the longest unused first."""
        found = []
        for path in [] if self.folder is None or not self.folder.is_dir() else self.folder.iterdir():
            if _ENTRY.fullmatch(path.name):
                with suppress(OSError):  # removed meanwhile
                    n_bytes = sum(file.stat().st_size for file in path.iterdir())
                    about = path / ABOUT
                    found.append(Entry(path, n_bytes, (about if about.exists() else path).stat().st_mtime))
        return sorted(found, key=lambda entry: entry.used_s)

    def clean(self) -> tuple[int, int]:
        """Remove all parsed books that no run is writing now. Return their number and the bytes freed."""
        self.remove_leftovers()
        entries = self.entries()
        for entry in entries:
            self.remove(entry.path)
        return len(entries), sum(entry.n_bytes for entry in entries)

    def remove(self, entry: Path) -> None:
        """Remove an entry, if there is one: all of it under its name at once, since others may be looking for it."""
        if not entry.exists():
            return
        try:
            doomed = Path(tempfile.mkdtemp(prefix=_DRAFT_PREFIX, dir=entry.parent))
        except OSError:  # the folder cannot be written to
            return
        with suppress(OSError):  # another process was quicker
            entry.replace(doomed / "books")
        shutil.rmtree(doomed, ignore_errors=True)

    def make_room(self, n_bytes: int) -> bool:
        """Remove the longest unused books until so many bytes fit. Return False, and remove none, if they never do."""
        if n_bytes > self.max_bytes:
            return False
        entries = self.entries()
        excess = sum(entry.n_bytes for entry in entries) + n_bytes - self.max_bytes
        for entry in entries:
            if excess <= 0:
                break
            self.remove(entry.path)
            excess -= entry.n_bytes
        return True

    def remove_leftovers(self) -> None:
        """Remove the drafts of runs that were killed; those of living runs are locked."""
        if self.folder is None:
            return
        for draft in self.folder.glob(f"{_DRAFT_PREFIX}*"):
            with suppress(OSError):
                if _is_abandoned(draft):
                    shutil.rmtree(draft, ignore_errors=True)

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """Make a new folder to write in; delete it at the end unless it was published.

        It lies in the cache if that can be written to, and else where temporary files do.
        """
        path = None
        if self.folder is not None:
            with suppress(OSError):
                self.folder.mkdir(parents=True, exist_ok=True)
                self.remove_leftovers()
                path = Path(tempfile.mkdtemp(prefix=_DRAFT_PREFIX, dir=self.folder))
        if path is None:
            path = Path(tempfile.mkdtemp(prefix="books."))
        lock = _lock(path)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            if lock is not None:
                os.close(lock)

    def publish(self, draft: Path, name: str) -> Path:
        """Move a finished draft into the cache under this name, if there is room; return where the books are now."""
        n_bytes = sum(file.stat().st_size for file in draft.iterdir())
        if draft.parent != self.folder or not self.make_room(n_bytes):
            return draft
        place = self.folder / name
        _flush_folder(draft)
        if _has_same_about(place, draft):  # another process was quicker, and may be reading it
            return draft
        self.remove(place)  # a folder can only take the place of an empty one
        try:
            draft.replace(place)
        except OSError:  # another process was quicker
            return draft
        _flush_folder(self.folder)
        return place


def user_folder() -> Path:
    """Return the folder of parsed books in the user's cache folder, or the one that the environment names."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else Path(platformdirs.user_cache_dir("trade-simulator", appauthor=False)) / "books"


def write_about(folder: Path, about: dict[str, Any]) -> None:
    """Write what the books of a folder are of; a reader sees the old file or the new one, never half of it."""
    draft = folder / f".about.{os.getpid()}"
    with draft.open("w") as file:
        file.write(json.dumps(about, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / ABOUT)


def _has_same_about(entry: Path, draft: Path) -> bool:
    """Return whether an entry is there already that says the same of its books as a draft does."""
    try:
        return (entry / ABOUT).read_bytes() == (draft / ABOUT).read_bytes()
    except OSError:
        return False


def mark_used(folder: Path) -> None:
    """Note that the books of a folder are used now, so that others go before them."""
    with suppress(OSError):
        os.utime(folder / ABOUT)


def _lock(folder: Path) -> int | None:
    """Lock a folder for as long as this process lives or the descriptor is open; return it, None without locks."""
    if fcntl is None:
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    with suppress(OSError):  # a file system without locks
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def _is_abandoned(draft: Path) -> bool:
    """Return whether no living process writes to this draft. Raises OSError if it is gone."""
    age_s = time.time() - max(path.stat().st_mtime for path in (draft, *draft.iterdir()))
    if fcntl is None:
        return age_s > _ABANDONED_S
    if age_s < _YOUNG_S and not any(draft.iterdir()):
        return False
    descriptor = os.open(draft, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return age_s > _ABANDONED_S
    finally:
        os.close(descriptor)
    return True


def _flush_folder(folder: Path) -> None:
    """Have the names in a folder reach the disk, where the system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
