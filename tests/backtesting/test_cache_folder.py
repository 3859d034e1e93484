"""Check that the cache of parsed books stays bounded, whole, and free of what killed runs leave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backtest import backtest
from backtest import main as backtest_command
from backtesting.book_arrays import BookArrays
from backtesting.book_cache import RecordingSource, open_books
from backtesting.cache_folder import ABOUT, FOLDER_VARIABLE, BookCache, user_folder
from estimation.order import Order
from orderbook import Side
from replay import main as replay_command
from tests.support.paths import PROJECT
from tests.support.synthetic_recordings import okx_frames, write_recording

ORDER = Order(Side.BUY, 1.0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the cache folder that the environment names."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def source(path: Path, n_books: int = 30) -> RecordingSource:
    return RecordingSource.from_path(write_recording(path, okx_frames(n_books)), "okx", "BTC-USDT")


def keep(recording: RecordingSource, cache: BookCache) -> bool:
    """Open the books of a recording. Return whether it had to be parsed."""
    steps = list(open_books(recording, cache))
    assert isinstance(steps[-1], BookArrays)
    return len(steps) > 1


def test_backtest_keeps_books_in_the_users_cache_and_nothing_beside_the_recording(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without another word it is the folder that the system has for such files."""
    (tmp_path / "data").mkdir()
    path = source(tmp_path / "data" / "made.jsonl").path
    assert len(backtest(path, "okx", "BTC-USDT", ORDER)) == 30
    assert list(path.parent.iterdir()) == [path]
    assert [path.name[:11] for path in folder.iterdir()] == ["made.jsonl."]
    monkeypatch.delenv(FOLDER_VARIABLE)
    assert user_folder().parts[-2:] == ("trade-simulator", "books")


def test_command_without_cache_keeps_nothing(tmp_path: Path, folder: Path) -> None:
    """--no-cache leaves no file, and --cache names another folder."""
    path = source(tmp_path / "made.jsonl").path
    arguments = [str(path), "--venue", "okx", "--symbol", "BTC-USDT", "--quantity", "1"]
    assert backtest_command([*arguments, "--no-cache"]) == 0
    assert not folder.exists()
    assert backtest_command([*arguments, "--cache", str(tmp_path / "other")]) == 0
    assert not folder.exists()
    assert len(list((tmp_path / "other").iterdir())) == 1


@pytest.mark.parametrize("size", ["0", "-1", "nan", "inf"])
def test_command_refuses_a_bound_that_is_no_size(tmp_path: Path, size: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence names the argument."""
    path = source(tmp_path / "made.jsonl").path
    assert (
        backtest_command([str(path), "--venue", "okx", "--symbol", "BTC-USDT", "--quantity", "1", "--cache-gib", size])
        == 2
    )
    assert "--cache-gib must be above 0" in capsys.readouterr().err


def test_full_cache_drops_what_was_unused_for_the_longest(tmp_path: Path) -> None:
    """Of three recordings for which there is room, the one that was opened last long ago goes when a fourth comes."""
    sources = [source(tmp_path / f"{number}.jsonl") for number in range(4)]
    cache = BookCache(tmp_path / "cache")
    for number, each in enumerate(sources[:3]):
        assert keep(each, cache)
        (entry,) = (tmp_path / "cache").glob(f"{number}.jsonl.*")
        os.utime(entry / ABOUT, (1000 + number, 1000 + number))
    assert not keep(sources[0], cache), "which makes it the last one used"
    n_bytes = cache.entries()[0].n_bytes
    bounded = BookCache(cache.folder, 3 * n_bytes + n_bytes // 2)
    assert keep(sources[3], bounded)
    assert sorted(entry.path.name[0] for entry in cache.entries()) == ["0", "2", "3"]


def test_books_larger_than_the_bound_are_used_but_not_kept(tmp_path: Path) -> None:
    """Nothing else is dropped for them."""
    cache = BookCache(tmp_path / "cache")
    small = source(tmp_path / "small.jsonl")
    keep(small, cache)
    bounded = BookCache(cache.folder, 2 * cache.entries()[0].n_bytes)
    large = source(tmp_path / "large.jsonl", 900)
    assert keep(large, bounded)
    assert keep(large, bounded)
    assert not keep(small, bounded)


def test_next_run_removes_what_a_killed_run_left(tmp_path: Path) -> None:
    """A process that is killed while it writes leaves a draft; the next run removes it, but not that of a live run."""
    recording = source(tmp_path / "made.jsonl", 3000)
    code = (
        "import sys\nfrom pathlib import Path\nfrom backtesting.book_cache import *\n"
        "from backtesting.cache_folder import BookCache\n"
        "source = RecordingSource.from_path(sys.argv[1], 'okx', 'BTC-USDT')\n"
        "steps = open_books(source, BookCache(Path(sys.argv[2])))\n"
        "next(steps)\nnext(steps)\nprint('writing', flush=True)\nsys.stdin.read()\n"
    )
    cache = BookCache(tmp_path / "cache")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(recording.path), str(cache.folder)],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        (draft,) = (tmp_path / "cache").iterdir()
        cache.remove_leftovers()
        assert draft.exists()
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    assert draft.exists()
    assert keep(source(tmp_path / "other.jsonl"), cache)
    assert not draft.exists()


def test_draft_without_locks_is_left_for_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no locks, only time tells that a run was killed."""
    monkeypatch.setattr("backtesting.cache_folder.fcntl", None)
    cache = BookCache(tmp_path)
    draft = tmp_path / ".draft-abc"
    draft.mkdir()
    (draft / "bids.npy").write_bytes(b"half")
    cache.remove_leftovers()
    assert draft.exists()
    for path in (draft / "bids.npy", draft):
        os.utime(path, (1, 1))
    cache.remove_leftovers()
    assert not draft.exists()


def test_clean_command_removes_books_and_no_file_of_others(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says how much it freed; what it did not write stays."""
    keep(source(tmp_path / "made.jsonl"), BookCache(folder))
    (folder / "mine.books").mkdir()
    (folder / "notes.txt").write_text("mine")
    assert replay_command(["clean"]) == 0
    assert "removed the parsed books of 1 recording, " in capsys.readouterr().out
    assert sorted(path.name for path in folder.iterdir()) == ["mine.books", "notes.txt"]
    assert replay_command(["clean", "--cache", str(tmp_path / "nowhere")]) == 0
    assert "removed the parsed books of 0 recordings" in capsys.readouterr().out
