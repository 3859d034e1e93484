"""Command lines of the project's scripts, which a reader of the page can paste into a terminal."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def command(script: str, arguments: Sequence[str]) -> str:
    """Return the line that runs this script of the project with the Python that runs the page.

    Paths inside the folder in which the page was started are relative to it, as the folder of recordings is.
    """
    parts = [_seen_from_here(Path(sys.executable)), _seen_from_here(PROJECT / script), *arguments]
    if os.name == "nt":
        return " ".join(f'"{part}"' if " " in part else part for part in parts)
    return shlex.join(parts)


def _seen_from_here(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
