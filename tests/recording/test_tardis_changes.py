"""Tardis incremental_book_L2 CSV files: read as changes of a book, refused, and replayed like any recording."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeds import VENUES
from orderbook import BookError
from recording import tardis_changes
from recording.format import RecordedFrame, RecordingError, decode, encode
from recording.opening import Amounts, AmountsError, Opening
from recording.reader import read
from recording.replay_feed import ReplayFeed, books, meta

HEADER = tardis_changes.COLUMNS.decode()
BEGIN_US = 1_598_918_403_696_000


class Row(NamedTuple):
    """A row: the moment it arrived at, in microseconds after the beginning, and a level."""

    moment: int
    is_snapshot: bool
    side: str
    price: str
    amount: str


SNAPSHOT = [
    *(Row(0, True, "bid", str(100 - n), f"{n + 1}.5") for n in range(5)),
    *(Row(0, True, "ask", f"{101 + n}", f"0.0{n + 1}") for n in range(5)),
]


def line_of(row: Row, exchange: str = "binance", symbol: str = "BTCUSDT") -> str:
    local_us = BEGIN_US + row.moment
    word = "true" if row.is_snapshot else "false"
    return f"{exchange},{symbol},{local_us - 7},{local_us},{word},{row.side},{row.price},{row.amount}"


def table(path: Path, rows: Sequence[Row], exchange: str = "binance", symbol: str = "BTCUSDT") -> Path:
    path.write_text("\n".join([HEADER, *(line_of(row, exchange, symbol) for row in rows), ""]))
    return path


def make_feed():  # type: ignore[no-untyped-def]
    return VENUES["binance"].make_feed("BTCUSDT")


Side = dict[Fraction, Fraction]
Levels = list[list[float]]


def rebuild(rows: Sequence[Row]) -> list[tuple[int, Levels, Levels]]:
    """Return the time and the levels after every moment, by the rules of Tardis's documentation, in exact fractions.

    Moments before the first snapshot have no book; one with an empty side has none either, and one whose sides cross
    has none until the next snapshot.
    """
    found = []
    sides: dict[str, Side] | None = None
    was_snapshot = False
    for (moment, is_snapshot), group in groupby(rows, lambda row: (row.moment, row.is_snapshot)):
        if is_snapshot and not was_snapshot:
            sides = {"bid": {}, "ask": {}}
        was_snapshot = is_snapshot
        if sides is None:
            continue
        for row in group:
            sides[row.side][Fraction(row.price)] = Fraction(row.amount)
        bids, asks = ({p: a for p, a in sides[side].items() if a} for side in ("bid", "ask"))
        if bids and asks and max(bids) >= min(asks):
            sides = None
        elif bids and asks:
            found.append(
                (
                    (BEGIN_US + moment) * 1000,
                    [[float(p), float(a)] for p, a in sorted(bids.items(), reverse=True)],
                    [[float(p), float(a)] for p, a in sorted(asks.items())],
                )
            )
    return found


def test_moments_become_books(tmp_path: Path) -> None:
    """All rows of one moment make one book, with both clocks; a delete of an unknown level changes nothing."""
    changes = [Row(5, False, "bid", "100", "0"), Row(5, False, "ask", "101", "9"), Row(9, False, "bid", "50", "0")]
    first, second, third = books(table(tmp_path / "a.csv", SNAPSHOT + changes), make_feed)
    assert (first.venue, first.symbol) == ("binance", "BTCUSDT")
    assert (first.market_ns, first.exchange_ns) == (BEGIN_US * 1000, (BEGIN_US - 7) * 1000)
    assert first.bids.tolist() == [[100.0 - n, n + 1.5] for n in range(5)]
    assert second.bids[0].tolist() == [99.0, 2.5]
    assert second.asks[0].tolist() == [101.0, 9.0]
    assert third.bids.tolist() == second.bids.tolist()
    assert "Tardis incremental_book_L2 CSV of binance BTCUSDT" in str(meta(tmp_path / "a.csv")["opened_as"])


level_rows = st.builds(
    Row,
    st.integers(0, 8),
    st.booleans(),
    st.sampled_from(["bid", "ask"]),
    st.integers(95, 106).map(str),
    st.sampled_from(["0", "0.0", "1", "2.5", "0.001"]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(level_rows, max_size=40))
def test_any_rows_give_the_books_of_exact_arithmetic(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> None:
    """Snapshots in several moments, resets, crossed and one-sided books: book for book what the documentation says."""
    rows = SNAPSHOT[:1] + SNAPSHOT[5:6] + sorted(rows, key=lambda row: row.moment)
    path = table(tmp_path_factory.mktemp("rows") / "a.csv", rows)
    found = [(book.market_ns, book.bids.tolist(), book.asks.tolist()) for book in books(path, make_feed)]
    assert found == rebuild(rows)


def test_rows_before_the_first_snapshot_give_no_book(tmp_path: Path) -> None:
    """A file that was cut at its beginning starts where it has a whole book."""
    path = table(tmp_path / "a.csv", [Row(-5, False, "bid", "100", "1"), Row(-5, False, "ask", "101", "1"), *SNAPSHOT])
    assert len(list(books(path, make_feed))) == 1


def test_crossed_book_ends_at_the_next_snapshot(tmp_path: Path) -> None:
    """Nothing is repaired: books go on with the next snapshot."""
    crossed = [Row(5, False, "bid", "103", "1"), Row(6, False, "bid", "103", "0")]
    later = [row._replace(moment=9) for row in SNAPSHOT]
    found = list(books(table(tmp_path / "a.csv", SNAPSHOT + crossed + later), make_feed))
    assert [book.market_ns // 1000 - BEGIN_US for book in found] == [0, 9]


def test_amounts_become_base_units(tmp_path: Path) -> None:
    """Contracts of known size and dollars are converted level by level; what is open is refused by name."""
    path = table(tmp_path / "swap.csv", SNAPSHOT, "okex-swap", "BTC-USDT-SWAP")
    (book,) = books(path, make_feed)
    assert book.bids[:2].tolist() == [[100.0, 1.5 * 0.01], [99.0, 2.5 * 0.01]]
    path = table(tmp_path / "dollars.csv", SNAPSHOT, "bitmex", "XBTUSD")
    with pytest.raises(AmountsError, match="bitmex XBTUSD"):
        list(read(path))
    (book,) = books(path, make_feed, opening=Opening(amounts=Amounts("quote")))
    assert book.bids[1].tolist() == [99.0, 2.5 / 99]
    with pytest.raises(BookError, match="--amounts"):
        ReplayFeed(make_feed()).apply(RecordedFrame("change", 1, '{"exchange":"bitmex","symbol":"X"}'), 0)


def test_market_that_contradicts_the_file_is_refused(tmp_path: Path) -> None:
    """Both markets are in the sentence."""
    with pytest.raises(RecordingError, match="it is of binance BTCUSDT, not of kraken"):
        meta(table(tmp_path / "a.csv", SNAPSHOT), Opening("kraken"))


@pytest.mark.parametrize("at", [0, 10])
def test_seek_brings_the_feed_up_to_date(tmp_path: Path, at: int) -> None:
    """Lines on the way to a place are applied, whatever feed the venue itself has."""
    changes = [Row(5 + n, False, "bid", "100", f"{n + 1}") for n in range(20)]
    frames = list(read(table(tmp_path / "a.csv", SNAPSHOT + changes)))
    wanted = list(books(tmp_path / "a.csv", make_feed))
    assert all(decode(encode(frame)) == frame for frame in frames)
    for inner in (make_feed(), VENUES["gomarket-okx"].make_feed("BTC-USDT-SWAP")):
        feed = ReplayFeed(inner)
        assert feed.parse(b"".join(encode(frame) + b"\n" for frame in frames[: at + 2]), 0) is None
        book = feed.parse(encode(frames[at + 2]), 0)
        assert book is not None
        assert book.bids.tolist() == wanted[at + 1].bids.tolist()


BAD = {
    "another symbol": (line_of(SNAPSHOT[0], symbol="ETHUSDT"), "one market a file"),
    "too few cells": ("binance,BTCUSDT,1,2", "4 cells where the header has 8"),
    "milliseconds": (f"binance,BTCUSDT,{BEGIN_US},{BEGIN_US // 1000},false,bid,1,1", "looks like milliseconds"),
    "nanoseconds": (f"binance,BTCUSDT,{BEGIN_US}000,{BEGIN_US},false,bid,1,1", "looks like nanoseconds"),
    "a side that is none": (line_of(SNAPSHOT[0]._replace(side="buy")), "side 'buy'"),
    "a word that is no truth": (line_of(SNAPSHOT[0]).replace("true", "1"), "is_snapshot '1'"),
    "a price that is none": (line_of(SNAPSHOT[0]._replace(price="nan")), "price nan"),
    "a negative amount": (line_of(SNAPSHOT[0]._replace(amount="-1")), "amount -1"),
    "an amount that is none": (line_of(SNAPSHOT[0]._replace(amount="many")), "many"),
}


@pytest.mark.parametrize(("bad", "why"), BAD.values(), ids=BAD.keys())
def test_reader_names_broken_row_by_line(tmp_path: Path, bad: str, why: str) -> None:
    """A row that is none ends the file, because every later book would lack it."""
    path = tmp_path / "a.csv"
    path.write_text("\n".join([HEADER, *(line_of(row) for row in SNAPSHOT), bad, ""]))
    with pytest.raises(RecordingError, match=f"^line 12: .*{why}"):
        list(read(path))


def test_moment_without_its_end_is_left_out(tmp_path: Path) -> None:
    """A compressed file that was cut off may lack rows of its last moment, so that one gives no book."""
    changes = [Row(5, False, "bid", "100", "7"), Row(6, False, "bid", "99", "0")]
    packed = gzip.compress(table(tmp_path / "a.csv", SNAPSHOT + changes).read_bytes())
    path = tmp_path / "a.csv.gz"
    path.write_bytes(packed[:-8])
    assert [frame.kind for frame in read(path)] == ["meta", "change", "change", "torn"]
    path.write_bytes(packed)
    assert [frame.kind for frame in read(path)] == ["meta", "change", "change", "change"]


def test_rows_of_one_moment_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of one endless moment is given up before it fills the memory."""
    monkeypatch.setattr(tardis_changes, "MAX_ROWS", 100)
    with pytest.raises(RecordingError, match=r"^line 102: over 100 rows"):
        list(read(table(tmp_path / "a.csv", SNAPSHOT[:1] * 101)))


def test_days_in_one_zip_are_one_table(tmp_path: Path) -> None:
    """Each day's file has the header and begins with a snapshot."""
    days = [SNAPSHOT, [row._replace(moment=10**6, amount="8") for row in SNAPSHOT]]
    with zipfile.ZipFile(tmp_path / "days.zip", "w") as archive:
        for number, rows in enumerate(days):
            archive.write(table(tmp_path / f"{number}.csv", rows), f"{number}.csv")
    _, second = books(tmp_path / "days.zip", make_feed)
    assert second.bids[:, 1].tolist() == [8.0] * 5


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutated_table_gives_named_errors_only(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Bytes cut, changed and put in anywhere: books, or a sentence with the line's number or the open unit."""
    content = bytearray(("\n".join([HEADER, *(line_of(row) for row in SNAPSHOT), ""])).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 12))] = data.draw(st.binary(max_size=8))
    path = tmp_path_factory.mktemp("mutated") / "a.csv"
    path.write_bytes(content)
    refusal = "line"
    try:
        list(books(path, make_feed))
    except AmountsError:
        refusal = "line"
    except RecordingError as error:
        refusal = str(error)
    assert refusal.startswith("line")
