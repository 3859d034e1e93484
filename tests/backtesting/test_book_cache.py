"""Parsed books are kept beside a recording, and trusted only as long as they are its."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from backtesting.book_cache import BookArrays, CacheError, RecordingSource, open_books
from orderbook import Side
from recording.format import RecordingError
from replay import RecordedFrame
from tests.support.paths import PROJECT
from tests.support.synthetic_recordings import BEGIN_NS, okx_frames, okx_message, write_recording

Seen = list[tuple[int, list[list[float]], list[list[float]]]]


def of(path: Path) -> RecordingSource:
    return RecordingSource.from_path(path, "okx", "BTC-USDT")


def seen(source: RecordingSource, folder: Path | None = None) -> tuple[Seen, bool]:
    """Every book as it is read back, and whether it had to be parsed for that."""
    found: Seen = []
    parsed = False
    for step in open_books(source, folder):
        if isinstance(step, int):
            parsed = True
            continue
        for row, (market_ns, _) in enumerate(step.clock.tolist()):
            asks, bids = (step.side(side, row, row + 1).levels for side in (Side.BUY, Side.SELL))
            found.append((market_ns, bids.tolist(), asks.tolist()))
    return found, parsed


def parsed(source: RecordingSource) -> Seen:
    return [(book.market_ns, book.bids.tolist(), book.asks.tolist()) for book in source.books()]


def test_the_books_of_the_recording_to_the_last_digit(tmp_path: Path) -> None:
    """1,500 books of 2 to 50 levels, more than are held at a time, come back as the feed made them; the second time
    nothing is parsed."""
    source = of(write_recording(tmp_path / "made.jsonl", okx_frames(1500)))
    assert seen(source) == (parsed(source), True)
    assert seen(source) == (parsed(source), False)


def test_kept_as_plain_arrays_beside_the_recording(tmp_path: Path) -> None:
    """Arrays that numpy alone can read, without pickle, and nothing else is left in the folder."""
    source = of(write_recording(tmp_path / "made.jsonl", okx_frames(30)))
    seen(source)
    (kept,) = [path for path in tmp_path.iterdir() if path != source.path]
    assert kept.name.startswith("made.jsonl.")
    assert kept.name.endswith(".books")
    assert sorted(path.name for path in kept.iterdir()) == [
        "about.json", "asks.npy", "bids.npy", "clock.npy", "starts.npy",
    ]  # fmt: skip
    bids, starts = (np.load(kept / f"{name}.npy", allow_pickle=False) for name in ("bids", "starts"))
    assert bids[starts[7, 0] : starts[8, 0]].tolist() == parsed(source)[7][1]


def test_a_changed_recording_is_parsed_again(tmp_path: Path) -> None:
    """Whether it grew, or has other content of the same length and the same time of change."""
    source = of(write_recording(tmp_path / "made.jsonl", okx_frames(30)))
    seen(source)
    write_recording(source.path, okx_frames(31))
    assert seen(source) == (parsed(source), True)
    before = source.path.stat()
    text = source.path.read_bytes().replace(b'\\"101\\"', b'\\"102\\"')
    source.path.write_bytes(text)
    os.utime(source.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert source.path.stat().st_size == before.st_size
    assert seen(source) == (parsed(source), True)
    assert parsed(source)[0][2][0][0] == 102


def test_a_touched_or_copied_recording_is_not(tmp_path: Path) -> None:
    """Same content, another time: what was parsed is good, and is known to be good from then on."""
    source = of(write_recording(tmp_path / "made.jsonl", okx_frames(30)))
    seen(source)
    os.utime(source.path, (1, 1))
    assert not seen(source)[1]
    (about,) = tmp_path.glob("*.books/about.json")
    assert '"mtime_ns": 1000000000' in about.read_text()


def test_each_market_of_a_recording_has_its_own(tmp_path: Path) -> None:
    """The same file read as another symbol is parsed for itself."""
    path = write_recording(tmp_path / "made.jsonl", okx_frames(5))
    assert len(seen(of(path))[0]) == 5
    assert seen(RecordingSource.from_path(path, "okx", "ETH-USDT")) == ([], False), (
        "not one book, so nothing to tell on the way"
    )
    assert len(list(tmp_path.glob("*.books"))) == 2


@pytest.mark.parametrize("harm", ["cut", "missing", "not json", "other format", "empty header", "clock"])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, harm: str) -> None:
    """Whatever happened to its files, the books are the recording's."""
    source = of(write_recording(tmp_path / "made.jsonl", okx_frames(30)))
    seen(source)
    (kept,) = tmp_path.glob("*.books")
    if harm == "cut":
        (kept / "asks.npy").write_bytes((kept / "asks.npy").read_bytes()[:-16])
    elif harm == "missing":
        (kept / "starts.npy").unlink()
    elif harm == "clock":
        np.save(kept / "clock.npy", np.zeros((29, 2), np.int64))
    elif harm == "empty header":
        (kept / "bids.npy").write_bytes(b"")
    else:
        text = (kept / "about.json").read_text()
        (kept / "about.json").write_text("{" if harm == "not json" else text.replace("books 1", "books 0"))
    assert seen(source) == (parsed(source), True)
    assert seen(source) == (parsed(source), False)


def test_where_nothing_can_be_written_it_works_without(tmp_path: Path) -> None:
    """A folder that cannot be made (a file has its name): the books come, and nothing is kept."""
    source = of(write_recording(tmp_path / "made.jsonl", okx_frames(30)))
    (tmp_path / "taken").write_text("a file")
    for _ in range(2):
        assert seen(source, tmp_path / "taken" / "cache") == (parsed(source), True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.jsonl", "taken"]


def test_a_recording_that_grows_meanwhile_is_not_kept(tmp_path: Path) -> None:
    """A recorder may still be writing: what was parsed is used, and parsed again next time."""
    source = of(write_recording(tmp_path / "made.jsonl", okx_frames(1500)))
    made = open_books(source)
    next(made)
    with source.path.open("ab") as file:
        file.write(b'{"t":"recv","ts_ns":null,"data":"pong"}\n')
    (books,) = [step for step in made if isinstance(step, BookArrays)]
    assert len(books) == 1500
    assert list(tmp_path.iterdir()) == [source.path]


def test_a_broken_recording_leaves_nothing(tmp_path: Path) -> None:
    """The sentence of the reader, and a clean folder."""
    ticks = okx_frames(3)
    path = write_recording(tmp_path / "made.jsonl", ticks)
    path.write_bytes(path.read_bytes() + b"not json\n{}\n")
    with pytest.raises(RecordingError, match="line 4"):
        seen(of(path))
    assert list(tmp_path.iterdir()) == [path]


def test_markets_that_cannot_be(tmp_path: Path) -> None:
    """An unknown venue or symbol is refused before anything is read."""
    with pytest.raises(CacheError, match="unknown venue 'nowhere'"):
        RecordingSource.from_path(tmp_path / "absent", "nowhere", "BTC-USDT")
    with pytest.raises(CacheError, match="BTC"):
        RecordingSource.from_path(tmp_path / "absent", "okx", "BTC")


def test_two_processes_at_once(tmp_path: Path) -> None:
    """Whoever is first, both have all the books, and one cache is left."""
    source = of(write_recording(tmp_path / "made.jsonl", okx_frames(1100)))
    code = "import sys\nfrom backtesting.book_cache import *\n"
    code += "*_, books = open_books(RecordingSource.from_path(sys.argv[1], 'okx', 'BTC-USDT'))\nprint(len(books))"
    both = [
        subprocess.Popen([sys.executable, "-c", code, source.path], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=60)[0].strip() for process in both] == ["1100", "1100"]
    assert len(list(tmp_path.iterdir())) == 2
    assert seen(source) == (parsed(source), False)


def test_one_book(tmp_path: Path) -> None:
    """The least there can be."""
    source = of(write_recording(tmp_path / "one.jsonl", [RecordedFrame("recv", BEGIN_NS, okx_message(1, -1))]))
    assert len(seen(source)[0]) == 1
