"""CONTRIBUTING.md, "Add a venue", followed to the letter in a copy of the project."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import PROJECT

GUIDE = (PROJECT / "CONTRIBUTING.md").read_text()
WRITTEN = dict(re.findall(r"^Write `([^`]+)`:\n\n```\w+\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL))
ADDED = re.findall(r"^Add to `(\w+)` in `([^`]+)`:\n\n```\w+\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
LEFT_OUT = shutil.ignore_patterns(".*", "recordings", "exports", "docs", "*.books")
"""Compiled files are copied, too: machine code that is there need not be made."""


def follow(project: Path) -> None:
    """Do in this copy what the guide says, also where its reader has just done the same in the project."""
    for file, content in WRITTEN.items():
        (project / file).write_text(content)
    for table, file, line in ADDED:
        path = project / file
        before, opening, after = path.read_text().replace(line, "").partition(f"\n{table} = {{\n")
        assert opening, f"there is no {table} in {file}"
        path.write_text(before + opening + line + after)


def run_pytest(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "-q", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project in which the guide was followed."""
    copy = tmp_path_factory.mktemp("stranger") / "project"
    shutil.copytree(PROJECT, copy, ignore=LEFT_OUT)
    follow(copy)
    return copy


def test_guide_asks_for_new_files_and_one_line() -> None:
    """The venue, its fees, the same typed again, and its messages are files of its own; one fixture line is added."""
    assert list(WRITTEN) == [
        "feeds/toy.py",
        "fees/tables/toy.py",
        "tests/fees/published/toy.txt",
        "tests/feeds/test_toy.py",
    ]
    ((table, file, line),) = ADDED
    assert (table, file) == ("IMITATIONS", "tests/support/loopback_venues.py")
    assert line.count("\n") == 1


def test_followed_guide_adds_a_venue_that_is_offered_compared_charged_and_priced(project: Path) -> None:
    """Its own tests pass, and for it every test that runs for every venue."""
    done = run_pytest(project, "tests/feeds", "tests/fees", "tests/system/test_every_venue.py", "-k", "toy or every")
    assert done.returncode == 0, done.stdout[-3000:]
    passed = set(re.findall(r"^PASSED tests/\S+::(\S+)", done.stdout, re.MULTILINE))
    assert passed >= {
        "test_message_becomes_a_book_in_coins",
        "test_tiers_equal_every_published_row[toy",
        "test_every_schedule_is_typed_a_second_time",
        "test_lost_doubled_or_late_message_gives_no_wrong_book[toy]",
        "test_page_offers_venue_with_its_symbols_and_its_fees[toy]",
        "test_comparison_has_venue_wherever_it_trades_the_same[toy]",
        "test_command_takes_every_venue[backtest]",
        "test_tardis_file_is_of_the_venue_and_in_its_units[toy-exchange-toy]",
        "test_live_order_is_priced_at_venue[toy]",
        "test_recorded_order_is_priced_at_venue[toy]",
    }


def test_files_of_the_guide_are_clean(project: Path) -> None:
    """What is copied from the guide needs no tidying up."""
    ruff = Path(sys.executable).with_name("ruff")
    for arguments in (["check"], ["format", "--check"]):
        command = [str(ruff), *arguments, "--no-cache", *(file for file in WRITTEN if file.endswith(".py"))]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout


def test_second_table_of_venues_is_refused_with_its_place(project: Path) -> None:
    """Had another file to name the new venue, a test would say which file and line."""
    path = project / "recording" / "format.py"
    before = path.read_text()
    path.write_text(before + 'LABELS = {"toy": "Toy"}\n')
    try:
        done = run_pytest(project, "tests/system/test_every_venue.py", "-k", "no_other_file")
    finally:
        path.write_text(before)
    assert done.returncode == 1
    assert f"recording/format.py:{before.count(chr(10)) + 1} names 'toy'" in done.stdout


def test_venue_without_its_line_is_missed(project: Path) -> None:
    """Had the line been forgotten, a test would say so, instead of leaving the venue out."""
    (_, file, line), path = ADDED[0], project / ADDED[0][1]
    with_line = path.read_text()
    path.write_text(with_line.replace(line, ""))
    try:
        done = run_pytest(project, "tests/system/test_every_venue.py", "-k", "imitated")
    finally:
        path.write_text(with_line)
    assert done.returncode == 1, file
    assert "toy" in done.stdout
