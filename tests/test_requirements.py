"""What the project asks of its dependencies: each has a lowest version and a version that is too new."""

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
def test_dependency_is_bounded_on_both_sides_and_the_installed_one_lies_between(line: str) -> None:
    """A line without an upper bound would let a release of next year break a fresh setup."""
    bounds = re.fullmatch(r"([a-z-]+)>=([\d.]+),<([\d.]+)", line)
    assert bounds is not None
    name, lowest, too_new = bounds.groups()
    assert numbers(lowest) <= numbers(version(name)) < numbers(too_new)
