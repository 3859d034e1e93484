"""Where the project and its files lie, and the real recordings beside it: the only file that counts folders upwards."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
RECORDINGS = PROJECT.parent / "shared" / "recordings"
NOT_PRODUCT = {"tests", "benchmarks", "examples", "docs"}


def product() -> list[Path]:
    """Every Python file of the product, root modules first."""
    rooms = [
        each
        for each in PROJECT.iterdir()
        if each.is_dir() and not each.name.startswith(".") and each.name not in NOT_PRODUCT and any(each.glob("*.py"))
    ]
    return sorted(PROJECT.glob("*.py")) + sorted(path for room in rooms for path in room.rglob("*.py"))
