"""The examples, as a reader runs them: from any folder, with and without a recording."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from feeds import VENUES
from replay import books
from tests.support.paths import PROJECT

EXAMPLES = sorted(path.name for path in (PROJECT / "examples").glob("*.py"))


def run_example(name: str, folder: Path, *arguments: object) -> str:
    """Run an example in this folder and return what it prints; it must end well and without a warning."""
    command = [sys.executable, str(PROJECT / "examples" / name), *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_readme_names_every_example() -> None:
    """A script that nobody is told of is not found."""
    readme = (PROJECT / "README.md").read_text()
    assert [name for name in EXAMPLES if f"examples/{name}" not in readme] == []


def test_example_without_recording_makes_its_own(tmp_path: Path) -> None:
    """It runs without network and files, prints a result for every book, and leaves nothing behind."""
    printed = run_example("backtest_recording.py", tmp_path)
    assert printed.startswith("Sell for 1,000,000 on simulated BTC-USDT-SWAP, on each of 600 books")
    assert "nan" not in printed.lower()
    assert list(tmp_path.iterdir()) == []


def test_examples_read_what_one_of_them_recorded(tmp_path: Path) -> None:
    """A recording that one example makes is counted alike by the two others and by the reader itself."""
    printed = run_example("price_order.py", tmp_path)
    assert printed.startswith("Buy for 1,000,000 on simulated BTC-USDT-SWAP, on the last of 600 books")
    assert "too thin" not in printed
    assert list(tmp_path.iterdir()) == []

    path = tmp_path / "market.jsonl.gz"
    recorded = run_example("record_market.py", tmp_path, path)
    count = sum(1 for _ in books(path, lambda: VENUES["simulated"].make_feed("BTC-USDT-SWAP")))
    assert count > 1
    assert f"\n{count} books of simulated BTC-USDT-SWAP:\n" in recorded
    assert f"on the last of {count} books" in run_example("price_order.py", tmp_path, path)
    assert f"on each of {count} books" in run_example("backtest_recording.py", tmp_path, path)
