"""Begin new files of a long recording by hour, day or size, and remove the oldest."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from recording.recorder import market_stem

logger = logging.getLogger(__name__)

ROTATION_FORMS = "hour, day or a size such as 500MB or 2GiB"
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_SIZE = re.compile(r"([0-9]+(?:[.][0-9]+)?) ?([KMG]i?B)", re.IGNORECASE)
MIN_BYTES = 1_000_000
_BEGUN = re.compile(r"-[0-9]{8}T[0-9]{6}Z(?:-[0-9]+)?[.]jsonl[.](?:gz|zst)")
_DAY_S = 86_400.0


class Rotation(NamedTuple):
    """When a new file begins. Nothing given: never. by: "hour" or "day", in UTC."""

    by: str = ""
    max_bytes: int | None = None

    def is_due(self, begun: datetime, now: datetime, n_bytes: int) -> bool:
        """Return whether a file that was begun then, and has so many bytes, is to be followed by another.

        >>> from datetime import UTC
        >>> begun, now = datetime(2026, 3, 1, 10, 59, tzinfo=UTC), datetime(2026, 3, 1, 11, 0, tzinfo=UTC)
        >>> [Rotation(by).is_due(begun, now, 0) for by in ("", "hour", "day")]
        [False, True, False]
        """
        if self.max_bytes is not None and n_bytes >= self.max_bytes:
            return True
        form = {"hour": "%Y%m%d%H", "day": "%Y%m%d"}.get(self.by, "")
        return f"{begun:{form}}" != f"{now:{form}}" if form else False


NEVER = Rotation()


def parse_rotation(text: str) -> Rotation:
    """Return the rule that an argument names. Raises ValueError with a sentence for the user.

    >>> parse_rotation("day"), parse_rotation("1.5GiB")
    (Rotation(by='day', max_bytes=None), Rotation(by='', max_bytes=1610612736))
    """
    if text in ("hour", "day"):
        return Rotation(text)
    match = _SIZE.fullmatch(text)
    n_bytes = int(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    if n_bytes < MIN_BYTES:
        raise ValueError(f"{text[:40]!r} is no rule for new files: it must be {ROTATION_FORMS}, 1MB or more")
    return Rotation("", n_bytes)


def files_of(folder: Path, venue: str, symbol: str) -> Iterator[Path]:
    """Yield the files of a folder that are named as recordings of this market, sorted by their beginning."""
    stem = market_stem(venue, symbol)
    for path in sorted(folder.glob(f"{stem}-*")):
        if _BEGUN.fullmatch(path.name[len(stem) :]) and path.is_file() and not path.is_symlink():
            yield path


def remove_old(folder: Path, venue: str, symbol: str, keep_days: float, in_use: set[Path]) -> int:
    """Remove the files of a market that were written last more than so many days ago. Return their number."""
    oldest_s = time.time() - keep_days * _DAY_S
    count = 0
    for path in files_of(folder, venue, symbol):
        with suppress(OSError):  # removed meanwhile, or not ours to remove
            if path not in in_use and path.stat().st_mtime < oldest_s:
                path.unlink()
                logger.info("removed %s, which is older than %g days", path, keep_days)
                count += 1
    return count
