"""Keep a recording's parsed books as arrays on disk, so that a backtest parses each recording once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec

from backtesting.book_arrays import BookArrays, write_books
from backtesting.cache_folder import ABOUT, BookCache, mark_used, write_about
from feeds import VENUES, Feed, Venue
from feeds.gomarket import GomarketFeed
from orderbook import OrderBook
from recording.opening import NOTHING_SAID, Opening
from recording.replay_feed import books, daily_volume_of, facts_of, has_own_books, meta

FORMAT = "trade-simulator books 2"

OnRead = Callable[[int], None]
"""Called now and then with the number of bytes of the recording's file read so far. What it raises ends the reading."""


class CacheError(ValueError):
    """A market that cannot be read from a recording; the message says why."""


class RecordingSource(NamedTuple):
    """A recording, and the market whose books are read from it.

    venue: a key of feeds.VENUES, or the name that a foreign file has for a venue which is not known here.
    symbol: as the venue writes it. max_bytes: the most that the file may unpack to; None is no limit. opening: what
    the user says of the file. facts: what the recording knows of its market, in JSON; empty for nothing.
    """

    path: Path
    venue: str
    symbol: str
    max_bytes: int | None = None
    opening: Opening = NOTHING_SAID
    facts: str = ""

    @classmethod
    def from_path(
        cls,
        path: str | os.PathLike[str],
        venue: str,
        symbol: str,
        max_bytes: int | None = None,
        opening: Opening = NOTHING_SAID,
    ) -> Self:
        """Check the market and make the source.

        Raises CacheError for an unknown venue or symbol, OSError, and RecordingError for a file that cannot be opened
        as what the user says of it.
        """
        about: dict[str, object] = {}
        with suppress(FileNotFoundError):  # whoever reads the file says so
            about = meta(path, opening)
        is_own = (about.get("venue"), about.get("symbol")) == (venue, symbol)
        if venue not in VENUES and not (is_own and has_own_books(path, opening)):
            raise CacheError(f"unknown venue {venue!r}; known are {', '.join(VENUES)}")
        facts = facts_of(about) if is_own else {}
        source = cls(
            Path(path), venue, symbol, max_bytes, opening, msgspec.json.encode(facts).decode() if facts else ""
        )
        try:
            source.make_feed()
        except ValueError as error:
            raise CacheError(str(error)) from None
        return source

    @property
    def known_venue(self) -> Venue | None:
        """The venue, with what the recording knows of this market; None if the venue is not known here."""
        if self.venue not in VENUES:
            return None
        facts = msgspec.json.decode(self.facts, type=dict) if self.facts else {}
        return VENUES[self.venue].with_facts(self.symbol, facts)

    @property
    def contract_size(self) -> float | None:
        """Base units a contract; None where nothing is counted in contracts of a fixed size."""
        venue = self.known_venue
        return None if venue is None else venue.fixed_contract_size(self.symbol)

    def make_feed(self) -> Feed:
        """Return a new feed of the market. Raises ValueError for a symbol that the venue does not have."""
        venue = self.known_venue
        # The rows of a foreign file are whole books or changes, which need no venue's feed.
        return GomarketFeed(self.venue, self.symbol, 1.0) if venue is None else venue.make_feed(self.symbol)

    @property
    def daily_volume(self) -> float | None:
        """Base units that the market traded in 24 h when it was recorded; None if the file does not say.

        Raises RecordingError for a volume that cannot be.
        """
        return daily_volume_of(msgspec.json.decode(self.facts, type=dict)) if self.facts else None

    def read_books(self, on_read: OnRead = lambda _bytes: None) -> Iterator[OrderBook]:
        """Parse the recording and yield every book of the market, as replay.books does."""
        return books(self.path, self.make_feed, self.max_bytes, on_read, self.opening)


def open_books(
    source: RecordingSource, cache: BookCache, on_read: OnRead = lambda _bytes: None
) -> Generator[int | BookArrays, None, None]:
    """Yield the recording's books, parsed now unless an earlier parse is still valid.

    While the recording is parsed, the number of books parsed so far comes now and then. The last item is the books
    themselves, to be used until the generator is closed.

    cache: where the parsed books are kept. They are deleted afterwards where that cannot be written to or is too
    small, and where the recording grew meanwhile. Raises OSError, RecordingError.
    """
    name = _entry_name(source)
    stamp = _file_stamp(source.path)
    market = {
        "format": FORMAT,
        "path": str(source.path.resolve()),
        "venue": source.venue,
        "symbol": source.symbol,
        "contract_size": source.contract_size,
        "amounts": None if source.opening.amounts is None else source.opening.amounts.argument,
    }
    entry = None if cache.folder is None else cache.folder / name
    kept = None if entry is None else _open_kept(source, entry, market, stamp)
    if kept is not None:
        with kept:
            yield kept
        return
    if entry is not None:
        cache.remove(entry)  # stale or damaged; whatever is there later is another process's
    # The digest comes first: what is appended while the books are parsed must not pass as parsed.
    digest = _digest(source.path)
    with cache.draft() as draft:
        arrays: dict[str, str] = {}
        yield from write_books(source.read_books(on_read), draft, arrays)
        write_about(draft, {**market, **stamp, "digest": digest, "arrays": arrays})
        is_unchanged = _file_stamp(source.path) == stamp
        try:
            parsed = BookArrays(cache.publish(draft, name) if is_unchanged else draft)
        except FileNotFoundError:  # another process has just removed it, to make room or to put its own there
            parsed = None
        if parsed is not None:
            with parsed:
                yield parsed
            return
    yield from open_books(source, BookCache(None), on_read)


def _entry_name(source: RecordingSource) -> str:
    """Return the name of the folder for these books: one recording may hold several markets."""
    amounts = source.opening.amounts
    said = (str(source.path.resolve()), source.venue, source.symbol, "" if amounts is None else amounts.argument)
    return f"{source.path.name[:100]}.{hashlib.sha256(repr(said).encode()).hexdigest()[:16]}.books"


def _file_stamp(path: Path) -> dict[str, int]:
    """Return the facts that change when a file changes; the change time of its inode cannot be set back."""
    stat = path.stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "ctime_ns": stat.st_ctime_ns}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open_kept(
    source: RecordingSource, entry: Path, market: dict[str, Any], stamp: dict[str, int]
) -> BookArrays | None:
    """Return the books in this folder; None unless they are as they were written, and still of this recording."""
    try:
        about = json.loads((entry / ABOUT).read_bytes())
        if not isinstance(about, dict) or {name: about.get(name) for name in market} != market:
            return None
        is_untouched = {name: about.get(name) for name in stamp} == stamp
        # A file that was touched or copied still has its content; only reading all of it tells.
        if not is_untouched and (about.get("size") != stamp["size"] or about.get("digest") != _digest(source.path)):
            return None
        arrays = about["arrays"]
        if set(arrays) != {"clock", "starts", "bids", "asks"}:
            return None
        kept = BookArrays(entry, arrays)
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    if is_untouched:
        mark_used(entry)
    else:
        with suppress(OSError):
            write_about(entry, {**about, **stamp})
    return kept
