"""Check a file name that a user typed, and write files whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

MAX_STEM_CHARACTERS = 100
_STEM = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 _-]*[A-Za-z0-9_-])?")
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])", re.IGNORECASE)


class ExportError(ValueError):
    """An export that was refused before it changed anything; the message says what to change."""


def safe_stem(name: str, extension: str) -> str:
    """Check the name and return it without its extension.

    Raises ExportError unless it is a plain base name: ASCII letters, digits, spaces, - and _, beginning with a letter
    or a digit, at most MAX_STEM_CHARACTERS long, no Windows device, and no other extension.

    >>> safe_stem("BTC 100k.CSV", "csv"), safe_stem("BTC 100k", "csv")
    ('BTC 100k', 'BTC 100k')
    >>> safe_stem("../BTC", "csv")
    Traceback (most recent call last):
    exporting.files.ExportError: the file name '../BTC' may hold only letters a to z, digits, spaces, - and _,
    begins with a letter or a digit, and ends in .csv or nothing
    """
    shown = repr(name if len(name) <= 60 else name[:60] + "...")
    stem = name[: -len(extension) - 1] if name.lower().endswith("." + extension) else name
    if len(stem) > MAX_STEM_CHARACTERS:
        raise ExportError(f"the file name {shown} has {len(name)} characters; {MAX_STEM_CHARACTERS} are enough")
    if not _STEM.fullmatch(stem):
        raise ExportError(
            f"the file name {shown} may hold only letters a to z, digits, spaces, - and _, "
            f"begins with a letter or a digit, and ends in .{extension} or nothing"
        )
    if _DEVICES.fullmatch(stem):
        raise ExportError(f"the file name {shown} is the name of a device on Windows")
    return stem


def write_files(folder: Path, files: Mapping[str, bytes], overwrite: bool) -> None:
    """Write all files into the folder, or none of them; a reader never sees half a file.

    The folder is made if it is missing. A link in the place of a file is never followed: it is refused, or replaced
    if `overwrite` is True. files: the content of each file by its name. Raises ExportError if the folder is a link,
    or if a file exists and may not be overwritten; OSError if the disk refuses.
    """
    if folder.is_symlink():
        raise ExportError(f"the folder {folder} is a link; give the folder itself: {folder.resolve()}")
    folder.mkdir(parents=True, exist_ok=True)
    targets: dict[Path, Path] = {}  # by the draft that will take each one's place
    reserved: list[Path] = []
    try:
        for name, content in files.items():
            target = folder / name
            if not overwrite:
                # An empty file reserves the name, so that of two writers only one gets it.
                _create_file(target, b"")
                reserved.append(target)
            draft = folder / f".{secrets.token_hex(8)}.part"
            targets[draft] = target
            _create_file(draft, content)
        for draft, target in targets.items():
            draft.replace(target)
    except BaseException:
        for path in (*targets, *reserved):
            with suppress(FileNotFoundError):
                path.unlink()
        raise


def _create_file(path: Path, content: bytes) -> None:
    """Create a new file and wait until it is on the disk. Raises ExportError if anything has its name."""
    try:
        with path.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise ExportError(f"{path.name} is in the folder {path.parent} already; choose another name") from None
