"""Write command lines of the project's scripts that a user of the page can paste into a terminal."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def command_line(script: str, arguments: Sequence[str]) -> str:
    """Return the command line that runs this script of the project with the Python that runs the page.

    Paths inside the folder in which the page was started are relative to it, as the folder of recordings is.
    """
    words = [_relative_to_cwd(Path(sys.executable)), _relative_to_cwd(PROJECT / script), *arguments]
    if os.name == "nt":
        return " ".join(f'"{word}"' if " " in word else word for word in words)
    return shlex.join(words)


def _relative_to_cwd(path: Path) -> str:
    folder = Path.cwd()
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)
