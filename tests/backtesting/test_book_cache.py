"""Check that parsed books are kept, and used only while they are whole and still those of the recording."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from backtesting.book_arrays import BookArrays
from backtesting.book_cache import CacheError, RecordingSource, open_books
from backtesting.cache_folder import BookCache
from orderbook import Side
from recording.format import RecordingError
from replay import RecordedFrame
from tests.support.paths import PROJECT
from tests.support.synthetic_recordings import BEGIN_NS, okx_frames, okx_message, write_recording

Books = list[tuple[int, list[list[float]], list[list[float]]]]


def okx_source(path: Path) -> RecordingSource:
    return RecordingSource.from_path(path, "okx", "BTC-USDT")


def read_cached(source: RecordingSource, cache: BookCache | None = None) -> tuple[Books, bool]:
    """Return every book as it is read back, and whether the recording had to be parsed for it.

    The cache is a folder beside the recording, unless another one is given.
    """
    books: Books = []
    was_parsed = False
    for step in open_books(source, cache or BookCache(source.path.parent / "cache")):
        if isinstance(step, int):
            was_parsed = True
            continue
        for row, (market_ns, _) in enumerate(step.clock.tolist()):
            asks, bids = (step.read_side(side, row, row + 1).levels for side in (Side.BUY, Side.SELL))
            books.append((market_ns, bids.tolist(), asks.tolist()))
    return books, was_parsed


def parse(source: RecordingSource) -> Books:
    """Return every book as the feed makes it, without the cache."""
    return [(book.market_ns, book.bids.tolist(), book.asks.tolist()) for book in source.read_books()]


def test_cache_returns_the_parsed_books_to_the_last_digit(tmp_path: Path) -> None:
    """1,500 books of 2 to 50 levels come back as the feed made them. That is more than are held at a time. The second
    time nothing is parsed.
    """
    source = okx_source(write_recording(tmp_path / "made.jsonl", okx_frames(1500)))
    assert read_cached(source) == (parse(source), True)
    assert read_cached(source) == (parse(source), False)


def test_cache_is_plain_arrays_in_a_folder_of_its_own(tmp_path: Path) -> None:
    """numpy alone can read the arrays, without pickle; nothing else is left in the folder."""
    source = okx_source(write_recording(tmp_path / "made.jsonl", okx_frames(30)))
    read_cached(source)
    (kept,) = (tmp_path / "cache").iterdir()
    assert kept.name.startswith("made.jsonl.")
    assert kept.name.endswith(".books")
    assert sorted(path.name for path in kept.iterdir()) == [
        "about.json", "asks.npy", "bids.npy", "clock.npy", "starts.npy",
    ]  # fmt: skip
    bids, starts = (np.load(kept / f"{name}.npy", allow_pickle=False) for name in ("bids", "starts"))
    assert bids[starts[7, 0] : starts[8, 0]].tolist() == parse(source)[7][1]


def test_changed_recording_is_parsed_again(tmp_path: Path) -> None:
    """It either grew, or has other content of the same length and the same modification time."""
    source = okx_source(write_recording(tmp_path / "made.jsonl", okx_frames(30)))
    read_cached(source)
    write_recording(source.path, okx_frames(31))
    assert read_cached(source) == (parse(source), True)
    before = source.path.stat()
    text = source.path.read_bytes().replace(b'\\"101\\"', b'\\"102\\"')
    source.path.write_bytes(text)
    os.utime(source.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert source.path.stat().st_size == before.st_size
    assert read_cached(source) == (parse(source), True)
    assert parse(source)[0][2][0][0] == 102


def test_touched_recording_is_not_parsed_again(tmp_path: Path) -> None:
    """With the same content at another time the cache stays valid, and its metadata keep the new time."""
    source = okx_source(write_recording(tmp_path / "made.jsonl", okx_frames(30)))
    read_cached(source)
    os.utime(source.path, (1, 1))
    assert not read_cached(source)[1]
    (about,) = tmp_path.glob("cache/*.books/about.json")
    assert '"mtime_ns": 1000000000' in about.read_text()


def test_each_market_of_a_recording_has_its_own_cache(tmp_path: Path) -> None:
    """The same file read as another symbol is parsed anew."""
    path = write_recording(tmp_path / "made.jsonl", okx_frames(5))
    assert len(read_cached(okx_source(path))[0]) == 5
    assert read_cached(RecordingSource.from_path(path, "okx", "ETH-USDT")) == ([], False), (
        "without a single book, no progress is reported"
    )
    assert len(list(tmp_path.glob("cache/*.books"))) == 2


@pytest.mark.parametrize(
    "harm", ["cut", "missing", "not json", "other format", "empty bids", "empty clock", "clock", "one bit", "no digest"]
)
def test_damaged_cache_is_made_anew(tmp_path: Path, harm: str) -> None:
    """Whatever happened to the files of the cache, the books are those of the recording."""
    source = okx_source(write_recording(tmp_path / "made.jsonl", okx_frames(30)))
    read_cached(source)
    (kept,) = tmp_path.glob("cache/*.books")
    if harm == "cut":
        (kept / "asks.npy").write_bytes((kept / "asks.npy").read_bytes()[:-16])
    elif harm == "missing":
        (kept / "starts.npy").unlink()
    elif harm == "clock":
        np.save(kept / "clock.npy", np.zeros((29, 2), np.int64))
    elif harm.startswith("empty"):
        (kept / f"{harm.removeprefix('empty ')}.npy").write_bytes(b"")
    elif harm == "one bit":
        data = bytearray((kept / "asks.npy").read_bytes())
        data[-1] ^= 1
        (kept / "asks.npy").write_bytes(data)
    elif harm == "no digest":
        (kept / "about.json").write_text((kept / "about.json").read_text().replace('"asks"', '"other"'))
    else:
        text = (kept / "about.json").read_text()
        (kept / "about.json").write_text("{" if harm == "not json" else text.replace("books 2", "books 0"))
    assert read_cached(source) == (parse(source), True)
    assert read_cached(source) == (parse(source), False)


def test_books_come_without_a_cache_where_nothing_can_be_written(tmp_path: Path) -> None:
    """The folder cannot be made, because a file has its name: the books come, and nothing is kept."""
    source = okx_source(write_recording(tmp_path / "made.jsonl", okx_frames(30)))
    (tmp_path / "taken").write_text("a file")
    for _ in range(2):
        assert read_cached(source, BookCache(tmp_path / "taken" / "cache")) == (parse(source), True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.jsonl", "taken"]


def test_books_of_a_growing_recording_are_not_kept(tmp_path: Path) -> None:
    """A recorder may still be writing: the parsed books are used now, and parsed again next time."""
    source = okx_source(write_recording(tmp_path / "made.jsonl", okx_frames(1500)))
    steps = open_books(source, BookCache(tmp_path / "cache"))
    next(steps)
    with source.path.open("ab") as file:
        file.write(b'{"t":"recv","ts_ns":null,"data":"pong"}\n')
    (books,) = [step for step in steps if isinstance(step, BookArrays)]
    assert len(books) == 1500
    assert list((tmp_path / "cache").iterdir()) == []


def test_broken_recording_leaves_no_file(tmp_path: Path) -> None:
    """The error is the sentence of the reader, and the folder is clean."""
    ticks = okx_frames(3)
    path = write_recording(tmp_path / "made.jsonl", ticks)
    path.write_bytes(path.read_bytes() + b"not json\n{}\n")
    with pytest.raises(RecordingError, match="line 4"):
        read_cached(okx_source(path))
    assert list((tmp_path / "cache").iterdir()) == []


def test_source_refuses_unknown_venue_and_symbol(tmp_path: Path) -> None:
    """An unknown venue or symbol is refused before anything is read."""
    with pytest.raises(CacheError, match="unknown venue 'nowhere'"):
        RecordingSource.from_path(tmp_path / "absent", "nowhere", "BTC-USDT")
    with pytest.raises(CacheError, match="BTC"):
        RecordingSource.from_path(tmp_path / "absent", "okx", "BTC")


def test_cache_survives_two_concurrent_writers(tmp_path: Path) -> None:
    """Whichever process is first, both have all the books, and one cache is left."""
    source = okx_source(write_recording(tmp_path / "made.jsonl", okx_frames(1100)))
    code = "import sys\nfrom pathlib import Path\nfrom backtesting.book_cache import *\n"
    code += "from backtesting.cache_folder import BookCache\n"
    code += "source = RecordingSource.from_path(sys.argv[1], 'okx', 'BTC-USDT')\n"
    code += "*_, books = open_books(source, BookCache(Path(sys.argv[1]).parent / 'cache'))\nprint(len(books))"
    processes = [
        subprocess.Popen([sys.executable, "-c", code, source.path], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=60)[0].strip() for process in processes] == ["1100", "1100"]
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert read_cached(source) == (parse(source), False)


def test_books_that_vanish_from_the_cache_are_parsed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may need their room at that very moment."""
    source = okx_source(write_recording(tmp_path / "made.jsonl", okx_frames(30)))
    publish = BookCache.publish

    def publish_and_lose(self: BookCache, draft: Path, name: str) -> Path:
        place = publish(self, draft, name)
        if self.folder is not None:
            shutil.rmtree(place)
        return place

    monkeypatch.setattr(BookCache, "publish", publish_and_lose)
    assert read_cached(source) == (parse(source), True)


def test_slower_process_leaves_the_entry_of_the_quicker_one(tmp_path: Path) -> None:
    """Both have all books; the entry that the first may be reading stays where it is."""
    source = okx_source(write_recording(tmp_path / "made.jsonl", okx_frames(300)))
    cache = BookCache(tmp_path / "cache")
    slower = open_books(source, cache)
    next(slower)
    quicker = [step for step in open_books(source, cache) if isinstance(step, BookArrays)]
    (entry,) = [path for path in (tmp_path / "cache").iterdir() if path.suffix == ".books"]
    inode = entry.stat().st_ino
    (books,) = [step for step in slower if isinstance(step, BookArrays)]
    assert len(quicker[0]) == len(books) == 300
    assert entry.stat().st_ino == inode


def test_cache_holds_a_recording_of_one_book(tmp_path: Path) -> None:
    """One book is the least that a recording can hold."""
    source = okx_source(write_recording(tmp_path / "one.jsonl", [RecordedFrame("recv", BEGIN_NS, okx_message(1, -1))]))
    assert len(read_cached(source)[0]) == 1
