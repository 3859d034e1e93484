"""Check the dependencies: each has a lowest version and an upper bound."""

from __future__ import annotations

import re
from importlib.metadata import version

import pytest

from tests.support.paths import PROJECT

LINES = [
    line
    for path in sorted(PROJECT.glob("requirements*.txt"))
    for line in path.read_text().splitlines()
    if not line.startswith("-r ")
]


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


@pytest.mark.parametrize("line", LINES)
def test_installed_version_lies_between_both_bounds_of_requirement(line: str) -> None:
    """Each line has two bounds: without the upper one a release of next year could break a fresh setup."""
    bounds = re.fullmatch(r"([a-z-]+)>=([\d.]+),<([\d.]+)", line)
    assert bounds is not None
    name, lowest, too_new = bounds.groups()
    assert numbers(lowest) <= numbers(version(name)) < numbers(too_new)
