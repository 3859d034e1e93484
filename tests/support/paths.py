"""Find the project, its files and the real recordings beside it: the only file that counts folders upwards."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
RECORDINGS = PROJECT.parent / "shared" / "recordings"
NOT_PRODUCT = {"tests", "benchmarks", "examples", "docs"}


def product_files() -> list[Path]:
    """Return every Python file of the product, root modules first."""
    rooms = [
        path
        for path in PROJECT.iterdir()
        if path.is_dir() and not path.name.startswith(".") and path.name not in NOT_PRODUCT and any(path.glob("*.py"))
    ]
    return sorted(PROJECT.glob("*.py")) + sorted(path for room in rooms for path in room.rglob("*.py"))
