"""Write a recording in the form of another program, so that reading it back gives the same books."""

from __future__ import annotations

import gzip
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple, cast

from feeds import Feed
from orderbook import OrderBook
from recording.convert_events import write_events
from recording.convert_raw import write_raw
from recording.convert_tables import Market, write_changes, write_table
from recording.format import RecordingError
from recording.info import feed_of
from recording.opening import Opening
from recording.replay_feed import books, meta


class ConvertError(ValueError):
    """A recording that cannot be written in another form; the message says why."""


class Target(NamedTuple):
    """A form to convert to. suffix: how the file's name ends unless the user names it.

    write: writes books to an open file, and returns a sentence for the user about what a reader must know.
    """

    suffix: str
    write: Callable[[Iterator[OrderBook], Market, IO[bytes]], str]


TARGETS = {
    "tardis": Target(".csv.gz", write_changes),
    "hftbacktest": Target(".npz", write_events),
    "parquet": Target(".parquet", write_table),
}
RAW = "raw"
RAW_SUFFIX = ".log.gz"
NAMES = (*TARGETS, RAW)


def convert(path: Path, target: str, out: Path | None, opening: Opening) -> list[str]:
    """Write the books of a file, or its raw messages, in the form that target names. Return lines for a terminal.

    out: a new file, packed if its name ends in .gz; None is one beside the recording. Raises OSError, FileExistsError
    instead of overwriting, and ValueError where the file or its market cannot be read or written.
    """
    suffix = TARGETS[target].suffix if target in TARGETS else RAW_SUFFIX
    if out is None:
        out = path.with_name(path.name.removesuffix(".gz").removesuffix(".jsonl") + suffix)
    if out.exists():
        raise FileExistsError(f"{out} is there already; choose another name by --out")
    about = meta(path, opening)
    market = Market(str(opening.venue or about.get("venue", "")), str(opening.symbol or about.get("symbol", "")))
    inner = feed_of(*market, about)
    if inner is None:
        raise ConvertError(f"{path.name} does not say what it is of; say --venue and --symbol")
    feed: Feed = inner
    with _new_file(out) as file:
        if target == RAW:
            note = write_raw(path, opening, file)
        else:
            counted = _Counted(books(path, lambda: feed, opening=opening))
            note = TARGETS[target].write(counted, market, file)
            if not counted.count:
                raise RecordingError(f"there is no book of {market.venue} {market.symbol} in {path.name}")
            note = f"{counted.count} books; {note}"
    return [f"{out}: {note}"]


class _Counted:
    """An iterator of books that counts them."""

    def __init__(self, parsed: Iterator[OrderBook]) -> None:
        self._parsed = parsed
        self.count = 0

    def __iter__(self) -> Iterator[OrderBook]:
        return self

    def __next__(self) -> OrderBook:
        book = next(self._parsed)
        self.count += 1
        return book


@contextmanager
def _new_file(out: Path) -> Iterator[IO[bytes]]:
    """Open a new file, which gets its name once it is whole; packed if that ends in .gz."""
    draft = out.absolute().with_name(f".{out.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("xb") as file:
            if out.suffix == ".gz":
                with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6) as packed:
                    yield cast(IO[bytes], packed)
            else:
                yield file
        draft.rename(out)
    finally:
        with suppress(OSError):
            draft.unlink()
