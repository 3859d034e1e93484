"""Check that every command in the documents can be pasted."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.support.paths import PROJECT, product_files

BARE = re.compile(r"(?<![\\/\w.-])python3?(?= +(?:-m +(?!venv)|\w+\.py))")
"""A Python without its folder, before something to run. Making the environment needs the system's own Python."""
BESIDE = [path for folder in ("benchmarks", "docs", "tests") for path in sorted((PROJECT / folder).rglob("*.*"))]
READ = [*product_files(), *sorted(PROJECT.glob("*.md")), *(path for path in BESIDE if path.suffix in (".md", ".py"))]


@pytest.mark.parametrize("path", READ, ids=lambda path: str(path.relative_to(PROJECT)))
def test_documented_command_names_the_python_of_the_project(path: Path) -> None:
    """A bare `python` is missing on some systems, or lacks the packages: README's environment has its own."""
    assert BARE.findall(path.read_text()) == []


@pytest.mark.parametrize(
    ("line", "is_bare"),
    [
        ("`python " + "replay.py record`", True),
        ("python3 " + "-m pytest", True),
        ("python3 -m venv .venv", False),
        (".venv/bin/python replay.py info", False),
        (r".venv\Scripts\python -m pytest", False),
        ("axe-playwright-python in", False),
    ],
)
def test_pattern_finds_bare_python_only(line: str, is_bare: bool) -> None:
    """The pattern finds a bare Python, and no Python in a folder."""
    assert bool(BARE.search(line)) == is_bare


def test_readme_names_the_address_to_open() -> None:
    """The server opens no browser by itself; the address is the one of the settings, on Streamlit's own port."""
    server = tomllib.loads((PROJECT / ".streamlit" / "config.toml").read_text())["server"]
    assert server["headless"] is True
    readme = (PROJECT / "README.md").read_text()
    assert f"open http://{server['address']}:{server.get('port', 8501)} in a browser" in readme
    assert "opens the page" not in readme
