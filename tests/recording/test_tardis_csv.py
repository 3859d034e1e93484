"""Bought order books: Tardis CSV files read, refused, and replayed like any recording."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeds import VENUES
from orderbook import BookError
from recording.foreign_feeds import foreign_feed
from recording.opening import Amounts, AmountsError, Opening, parse_amounts
from recording.tardis_csv import SnapshotTable
from replay import RecordedFrame, RecordingError, ReplayFeed, books, decode, encode, meta, read


def header(depth: int) -> str:
    levels = [f"{side}[{n}].{what}" for n in range(depth) for side in ("asks", "bids") for what in ("price", "amount")]
    return ",".join(["exchange,symbol,timestamp,local_timestamp", *levels])


def row(depth: int, index: int, exchange: str = "binance-futures", symbol: str = "BTCUSDT", missing: int = 0) -> str:
    cells = [exchange, symbol, str(1598918403696000 + index), str(1598918403720123 + index)]
    for n in range(depth):
        empty = n >= depth - missing
        cells += ["", "", "", ""] if empty else [f"{100 + n}.5", f"{n + 1}.25", f"{100 - n}", f"0.0{n + 1}"]
    return ",".join(cells)


def table(path: Path, depth: int, *rows: str) -> Path:
    content = "\n".join([header(depth), *rows, ""]).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize(("name", "depth"), [("book.csv", 5), ("book.csv.gz", 25)])
def test_every_csv_row_is_a_book(tmp_path: Path, name: str, depth: int) -> None:
    """Each row is a book: every level, sizes as they are, the exchange's clock and the recorder's, in ns."""
    path = table(tmp_path / name, depth, row(depth, 0), row(depth, 7, missing=2))
    first, second = books(path, lambda: VENUES["binance-usdm"].make_feed("BTCUSDT"))
    assert (first.venue, first.symbol) == ("binance-futures", "BTCUSDT")
    assert (first.exchange_ns, first.market_ns) == (1598918403696000000, 1598918403720123000)
    assert (second.exchange_ns, second.market_ns) == (1598918403696007000, 1598918403720130000)
    assert first.asks.tolist() == [[100.5 + n, n + 1.25] for n in range(depth)]
    assert first.bids.tolist() == [[100.0 - n, float(f"0.0{n + 1}")] for n in range(depth)]
    assert len(second.asks) == len(second.bids) == depth - 2


def test_csv_meta_names_venue_and_symbol(tmp_path: Path) -> None:
    """The venue whose fees apply and the symbol come from the rows; an unknown exchange keeps its own name."""
    about = meta(table(tmp_path / "a.csv", 5, row(5, 0)))
    assert (about["venue"], about["symbol"]) == ("binance-usdm", "BTCUSDT")
    assert about["venue"] in VENUES
    path = table(tmp_path / "b.csv", 5, row(5, 0, "bitstamp", "btcusd"))
    about = meta(path, Opening(amounts=Amounts("base")))
    assert (about["venue"], about["symbol"]) == ("bitstamp", "btcusd")


@pytest.mark.parametrize("exchange", ["bitmex", "bitstamp", ""])
def test_amounts_of_unknown_exchange_are_refused_by_name(tmp_path: Path, exchange: str) -> None:
    """Contracts, dollars or coins: nobody knows, so nothing is guessed, and the sentence says what would be taken."""
    path = table(tmp_path / "a.csv", 5, row(5, 0, exchange, "XBTUSD"))
    with pytest.raises(AmountsError, match=rf"{exchange} XBTUSD .*--amounts base, quote or contracts:SIZE"):
        list(read(path))
    with pytest.raises(BookError, match="--amounts"):
        foreign_feed("book", f'{{"exchange":"{exchange}","symbol":"XBTUSD"}}')


@pytest.mark.parametrize(
    ("exchange", "symbol", "venue", "amount"),
    [
        ("bybit", "BTCUSDT", "bybit-linear", 1.25),
        ("bybit", "BTCUSDT-26DEC25", "bybit-linear", 1.25),
        ("bybit", "BTCPERP", "bybit-linear", 1.25),
        ("bybit", "BTCUSD", "bybit-inverse", 1.25 / 100.5),
        ("bybit", "BTCUSDZ25", "bybit-inverse", 1.25 / 100.5),
        ("deribit", "BTC-PERPETUAL", "deribit", 1.25 / 100.5),
        ("deribit", "BTC_USDC-PERPETUAL", "deribit", 1.25),
        ("cryptofacilities", "PF_XBTUSD", "kraken-futures", 1.25),
        ("cryptofacilities", "PI_XBTUSD", "kraken-futures", 1.25 / 100.5),
    ],
)
def test_unit_of_amounts_follows_from_exchange_and_symbol(
    tmp_path: Path, exchange: str, symbol: str, venue: str, amount: float
) -> None:
    """Tardis has linear and inverse contracts under one name: coins in the one, dollars in the other."""
    path = table(tmp_path / "a.csv", 5, row(5, 0, exchange, symbol))
    assert (meta(path)["venue"], meta(path)["symbol"]) == (venue, symbol)
    (book,) = books(path, lambda: VENUES[venue].make_feed(symbol))
    assert book.asks[0].tolist() == [100.5, amount]


@pytest.mark.parametrize(
    ("exchange", "symbol"), [("bybit", "BTCEUR"), ("deribit", "BTC-27MAR26-50000-C"), ("cryptofacilities", "FI_X")]
)
def test_symbol_that_fits_no_form_of_its_exchange_is_refused(tmp_path: Path, exchange: str, symbol: str) -> None:
    """What the name does not tell is asked, and not taken for coins."""
    path = table(tmp_path / "a.csv", 5, row(5, 0, exchange, symbol))
    with pytest.raises(AmountsError, match=f"the amounts of {exchange} {symbol} are in a unit that is not known here"):
        list(read(path))


@settings(deadline=None)
@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e9), st.floats(1e-6, 1e3))
def test_stated_amounts_become_base_units(price: float, amount: float, size: float) -> None:
    """Base units stay as they were written, dollars are divided by the price, contracts multiplied by their size."""
    header_line = b"exchange,symbol,timestamp,local_timestamp,asks[0].price,asks[0].amount,bids[0].price,bids[0].amount"
    line = f"bitmex,X,1598918403696000,1598918403720123,{price!r},{amount!r},{price / 2!r},{amount!r}"
    wanted = {"base": amount, "quote": amount / price, f"contracts:{size!r}": amount * size}
    for text, base in wanted.items():
        table_of_x = SnapshotTable(header_line, Opening(amounts=parse_amounts(text)))
        message = json.loads(table_of_x.row(line.encode())[1])
        assert [[float(cell) for cell in level] for level in message["asks"]] == [[price, base]]
        assert text.partition(":")[0] in table_of_x.meta()


@pytest.mark.parametrize(
    "text", ["", "coins", "contracts", "contracts:", "contracts:0", "contracts:-1", "base:2", "contracts:nan", "quote "]
)
def test_unit_that_is_none_is_refused(text: str) -> None:
    """The sentence has the value and the accepted forms."""
    with pytest.raises(ValueError, match=r"must be base, quote or contracts:SIZE"):
        parse_amounts(text)


@pytest.mark.parametrize(
    ("old", "new"), [("XBT/USD", "BTC/USD"), ("XDG/USD", "DOGE/USD"), ("ETH/XBT", "ETH/BTC"), ("MINA/GBP", "MINA/GBP")]
)
def test_symbol_that_the_venue_renamed_is_known_by_its_new_name(tmp_path: Path, old: str, new: str) -> None:
    """Tardis has Kraken's old names until 10 July 2026; they are the same markets, and no contradiction."""
    path = table(tmp_path / "a.csv", 5, row(5, 0, "kraken", old))
    assert meta(path, Opening("kraken", new))["symbol"] == new
    assert old in str(meta(path)["opened_as"])
    (book,) = books(path, lambda: VENUES["kraken"].make_feed(new))
    assert book.symbol == new
    with pytest.raises(RecordingError, match=f"of kraken {new}, not of LTC/USD"):
        meta(path, Opening(symbol="LTC/USD"))


def test_name_with_control_characters_is_refused(tmp_path: Path) -> None:
    """The names are printed to terminals, which would obey them."""
    with pytest.raises(RecordingError, match=r"^line 2: .*a name has no control characters"):
        list(read(table(tmp_path / "a.csv", 5, row(5, 0, symbol="BTC\x1b[2J"))))


def test_stated_amounts_count_before_what_is_known(tmp_path: Path) -> None:
    """A swap's file whose contracts somebody has converted already is opened as it is said to be."""
    path = table(tmp_path / "a.csv", 5, row(5, 0, "okex-swap", "BTC-USDT-SWAP"))
    feed = VENUES["okx"].make_feed
    (book,) = books(path, lambda: feed("BTC-USDT-SWAP"), opening=Opening(amounts=Amounts("base")))
    assert book.asks[:2, 1].tolist() == [1.25, 2.25]


@pytest.mark.parametrize(
    ("venue", "symbol"), [("kraken", "ETH/EUR"), ("binance-usdm", "ETHUSDT"), ("binance", None), (None, "BTCUSDC")]
)
def test_market_that_contradicts_the_file_is_refused(tmp_path: Path, venue: str | None, symbol: str | None) -> None:
    """A file says what it is of; another market is refused with both names, in our own recordings too."""
    path = table(tmp_path / "a.csv", 5, row(5, 0))
    own = tmp_path / "own.jsonl"
    own.write_bytes(b"".join(encode(frame) + b"\n" for frame in read(path)))
    for file in (path, own):
        with pytest.raises(RecordingError, match=r"^line \d: the file says that it is of binance-usdm BTCUSDT, not of"):
            meta(file, Opening(venue, symbol))
        assert meta(file, Opening("binance-usdm", "btcusdt"))["symbol"] == "BTCUSDT"


@pytest.mark.parametrize(
    ("factor", "unit"), [(1e-6, "seconds"), (1e-3, "milliseconds"), (1e3, "nanoseconds"), (1e-9, "")]
)
@pytest.mark.parametrize("column", [2, 3])
def test_time_in_another_unit_is_refused_by_name(tmp_path: Path, factor: float, unit: str, column: int) -> None:
    """Milliseconds where microseconds are meant would be January 1970: the column, the value and the unit are named."""
    cells = row(5, 0).split(",")
    cells[column] = str(int(int(cells[column]) * factor))
    words = f"timestamp {cells[column]} is no time in microseconds" + (f"; it looks like {unit}" if unit else "")
    with pytest.raises(RecordingError, match=f"^line 2: .*{words}$"):
        list(read(table(tmp_path / "a.csv", 5, ",".join(cells))))


def test_okx_swap_amounts_become_base_units(tmp_path: Path) -> None:
    """An OKX swap's amounts are contracts of 0.01 BTC and become BTC; one of unknown size is refused."""
    path = table(tmp_path / "a.csv", 5, row(5, 0, "okex-swap", "BTC-USDT-SWAP"))
    (book,) = books(path, lambda: VENUES["okx"].make_feed("BTC-USDT-SWAP"))
    np.testing.assert_allclose(book.asks[:, 1], [0.0125, 0.0225, 0.0325, 0.0425, 0.0525])
    with pytest.raises(BookError, match="NOSUCH"):
        foreign_feed("book", '{"exchange":"okex-swap","symbol":"NOSUCH-USDT-SWAP"}')


def test_csv_row_gives_same_book_through_the_envelope(tmp_path: Path) -> None:
    """A row sent over a socket and unwrapped there gives the book that the file gives."""
    path = table(tmp_path / "a.csv", 5, row(5, 0))
    feed = ReplayFeed(VENUES["okx"].make_feed("BTC-USDT-SWAP"))
    wired = [feed.parse(encode(frame).decode(), 0) for frame in read(path)]
    (direct,) = books(path, lambda: VENUES["okx"].make_feed("BTC-USDT-SWAP"))
    assert wired[0] is None
    assert wired[1] is not None
    assert wired[1].asks.tolist() == direct.asks.tolist()
    assert all(decode(encode(frame)) == frame for frame in read(path))


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (row(5, 1, symbol="ETHUSDT"), "one market a file"),
        ("binance-futures,BTCUSDT,1,2,3", "5 cells"),
        (row(5, 1).replace("1598918403696001", "99999999999999999999"), "no time in microseconds"),
        (row(5, 1).replace("1598918403720124", "99999999999999999999"), "no time in microseconds"),
        (row(5, 1).replace("1598918403696001", "soon"), "soon"),
        (row(5, 1).replace("100.5", "1é"), "ascii"),
    ],
)
def test_reader_names_broken_csv_row_by_line(tmp_path: Path, bad: str, why: str) -> None:
    """A row that is none is named by its line, after the rows before it were given."""
    frames = read(table(tmp_path / "a.csv", 5, row(5, 0), bad, row(5, 2)))
    assert [next(frames).kind, next(frames).kind] == ["meta", "book"]
    with pytest.raises(ValueError, match=f"^line 3: .*{why}"):
        next(frames)


def test_bad_number_costs_one_book_and_not_the_file(tmp_path: Path) -> None:
    """A price that is no number, or would break out of its quotes, costs one book and not the file."""
    bad = [row(5, n).replace("101.5", text) for n, text in enumerate(("nan", "1e308", '1"', "-5", "{}"))]
    path = table(tmp_path / "a.csv", 5, *bad, row(5, 9))
    survivors = list(books(path, lambda: VENUES["binance"].make_feed("BTCUSDT")))
    assert survivors[-1].asks[1].tolist() == [101.5, 2.25]
    assert all(np.isfinite(book.asks).all() for book in survivors)
    assert len(survivors) == 1


def test_reader_yields_torn_frame_for_row_without_newline(tmp_path: Path) -> None:
    """A file cut inside a row gives the rows before; a last number that may lack digits is not believed."""
    path = table(tmp_path / "a.csv", 5, row(5, 0), row(5, 1))
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    assert [frame.kind for frame in read(path)] == ["meta", "book", "torn"]
    packed = gzip.compress(whole[:-1])
    path.write_bytes(packed[:-8])
    assert [frame.kind for frame in read(path)] == ["meta", "book", "torn"]


def test_csv_without_book_columns_is_refused() -> None:
    """A CSV without book levels is refused with its columns."""
    with pytest.raises(ValueError, match="id,side,price"):
        SnapshotTable(b"exchange,symbol,timestamp,local_timestamp,id,side,price,amount")
    with pytest.raises(ValueError, match="amount"):
        SnapshotTable(b"exchange,symbol,timestamp,local_timestamp,asks[0].price,bids[0].price")


def test_csv_message_quotes_names() -> None:
    """Names with quotes in them stay names."""
    snapshots = SnapshotTable(header(1).encode())
    _, message = snapshots.row(row(1, 0, symbol='A"B').encode())
    assert json.loads(message)["symbol"] == 'A"B'
    assert RecordedFrame("book", 0, message) == decode(encode(RecordedFrame("book", 0, message)))
