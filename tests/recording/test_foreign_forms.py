"""Files of other programs, made here in their documented form: the same books, bit for bit, as in our own recording."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeds import VENUES
from orderbook import OrderBook
from recording.format import RecordingError, encode
from recording.opening import Amounts, AmountsError, Opening
from recording.reader import read
from recording.replay_feed import books, meta
from replay import RecordedFrame
from tests.support.synthetic_recordings import BEGIN_NS

SYMBOL = "BTC-USDT"
STEP_NS = 123_000_000
N_BOOKS = 60
SPOT = Opening("okx", SYMBOL)


def levels_of(number: int, depth: int = 20) -> tuple[list[list[str]], list[list[str]]]:
    """Return the bids and asks of a whole book, which has other prices and sizes each time; sizes with many digits."""
    bids = [
        [f"{100 - 0.1 * n - number % 3 * 0.01:.2f}", f"{(number * 7 + n * 13) % 97 + 0.12345678:.8f}"]
        for n in range(depth)
    ]
    asks = [
        [f"{101 + 0.1 * n + number % 5 * 0.01:.2f}", f"{(number * 3 + n * 11) % 89 + 0.00000001:.8f}"]
        for n in range(depth)
    ]
    return bids, asks


WHOLE = [levels_of(number) for number in range(N_BOOKS)]
TIMES_NS = [BEGIN_NS + number * STEP_NS for number in range(N_BOOKS)]


def changes(side: int, number: int) -> list[list[str]]:
    """Return what changed of a side before this book; all of it for the first one."""
    new = dict(WHOLE[number][side])
    old = dict(WHOLE[number - 1][side]) if number else {}
    gone = [[price, "0"] for price in old if price not in new]
    return gone + [[price, size] for price, size in new.items() if old.get(price) != size]


def our_recording(path: Path) -> Path:
    """Write the books as frames of the venue in our envelope."""
    lines = []
    for number, ns in enumerate(TIMES_NS):
        data = {
            "bids": [[*level, "0", "1"] for level in changes(0, number)],
            "asks": [[*level, "0", "1"] for level in changes(1, number)],
        }
        data |= {"ts": str(ns // 10**6), "checksum": 0, "prevSeqId": number - 1, "seqId": number}  # type: ignore[dict-item]
        message = {
            "arg": {"channel": "books", "instId": SYMBOL},
            "action": "update" if number else "snapshot",
            "data": [data],
        }
        lines.append(encode(RecordedFrame("recv", ns, json.dumps(message))))
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def okx_history() -> bytes:
    rows = [
        {
            "instId": SYMBOL, "action": "update" if number else "snapshot", "ts": str(ns // 10**6),
            "asks": [[*level, "1"] for level in changes(1, number)],
            "bids": [[*level, "1"] for level in changes(0, number)],
        }
        for number, ns in enumerate(TIMES_NS)
    ]  # fmt: skip
    return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows).encode()


def bybit_history(symbol: str = "BTCUSDT") -> bytes:
    rows = [
        {
            "topic": f"orderbook.500.{symbol}", "type": "delta" if number else "snapshot", "ts": ns // 10**6,
            "data": {"s": symbol, "b": changes(0, number), "a": changes(1, number), "u": number + 1, "seq": number + 9},
            "cts": ns // 10**6 - 2,
        }
        for number, ns in enumerate(TIMES_NS)
    ]  # fmt: skip
    return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows).encode()


EVENT_DTYPE = np.dtype(
    [
        (name, kind)
        for name, kind in zip(
            ("ev", "exch_ts", "local_ts", "px", "qty", "order_id", "ival", "fval"),
            ["u8", "i8", "i8", "f8", "f8", "u8", "i8", "f8"],
            strict=True,
        )
    ],
    align=True,
)


def events() -> bytes:
    """Make trades, each tenth book as clear and snapshot events, the others as changes, and events at the exchange."""
    both, bid, ask = (1 << 31) | (1 << 30), 1 << 29, 1 << 28
    rows: list[tuple[Any, ...]] = []
    for number, ns in enumerate(TIMES_NS):
        is_snapshot = number % 10 == 0
        rows.append((2 | both | bid, ns, ns, 100.0, 1.0, 0, 0, 0.0))
        rows.append((1 | (1 << 31) | bid, ns, ns, 55.0, 1.0, 0, 0, 0.0))
        for side, flag in ((0, bid), (1, ask)):
            levels = WHOLE[number][side] if is_snapshot else changes(side, number)
            if is_snapshot:
                rows.append((3 | both | flag, ns, ns, 1.0 if side == 0 else 1e6, 0.0, 0, 0, 0.0))
            rows += [
                ((4 if is_snapshot else 1) | both | flag, ns, ns, float(price), float(size), 0, 0, 0.0)
                for price, size in levels
            ]
    file = io.BytesIO()
    np.savez_compressed(file, data=np.array(rows, EVENT_DTYPE))
    return file.getvalue()


def collector_log() -> bytes:
    """Make a log of hftbacktest's collector: its clock in nanoseconds and the message."""
    lines = [json.loads(line) for line in our_recording_bytes().splitlines()]
    return "".join(f"{line['ts_ns']} {line['data']}\n" for line in lines).encode()


def our_recording_bytes() -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return our_recording(Path(folder) / "own").read_bytes()


def seconds(ns: int) -> float:
    return float(f"{ns // 10**9}.{ns % 10**9:09d}")


def long_rows() -> dict[str, list[Any]]:
    """Rows of cryptofeed's storage: a level each; `delta` is false in the rows of a whole book."""
    rows: list[tuple[Any, ...]] = []
    for number, ns in enumerate(TIMES_NS):
        is_change = number % 10 != 0
        for side, name in ((0, "bid"), (1, "ask")):
            levels = changes(side, number) if is_change else WHOLE[number][side]
            rows += [(name, float(price), float(size), seconds(ns), is_change) for price, size in levels]
    return dict(zip(("side", "price", "size", "timestamp", "delta"), map(list, zip(*rows, strict=True)), strict=True))


def to_csv(columns: dict[str, list[Any]]) -> bytes:
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    return ("\n".join(lines) + "\n").encode()


def to_parquet(columns: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, row_group_size=17)
    return file.getvalue()


def wide(name: Callable[[str, str, int], str], first: int, size: str, kind: type = float) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for side, place in (("bid", 0), ("ask", 1)):
        for n in range(20):
            for column, what in ((0, "price"), (1, size)):
                columns[name(side, what, n + first)] = [kind(book[place][n][column]) for book in WHOLE]
    return columns


def lake() -> bytes:
    """Crypto Lake's book: nanosecond timestamps, names, 20 levels from 0."""
    times = pa.array(TIMES_NS, pa.timestamp("ns"))
    columns: dict[str, Any] = {"origin_time": times, "received_time": times, "sequence_number": list(range(N_BOOKS))}
    columns |= {"exchange": ["OKX"] * N_BOOKS, "symbol": ["BTC-USDT"] * N_BOOKS}
    return to_parquet(columns | wide(lambda side, what, n: f"{side}_{n}_{what}", 0, "size"))


def ccxt(indent: int | None = None, symbol: str = "BTC/USDT") -> bytes:
    values = [
        {
            "symbol": symbol, "bids": [[float(x) for x in level] for level in bids],
            "asks": [[float(x) for x in level] for level in asks],
            "timestamp": ns // 10**6, "datetime": "2023-11-14T22:13:20.000Z", "nonce": None,
        }
        for ns, (bids, asks) in zip(TIMES_NS, WHOLE, strict=True)
    ]  # fmt: skip
    return json.dumps(values, indent=indent).encode()


FILES: dict[str, tuple[Callable[[], bytes], Opening]] = {
    "OKX history": (okx_history, Opening()),
    "Bybit history": (bybit_history, Opening()),
    "hftbacktest events": (events, SPOT),
    "hftbacktest collector": (collector_log, Opening()),
    "cryptofeed CSV": (lambda: to_csv(long_rows()), SPOT),
    "cryptofeed Parquet": (lambda: to_parquet(long_rows()), SPOT),
    "Crypto Lake": (lake, SPOT),
    "wide CSV": (
        lambda: to_csv({"ts": [ns // 10**6 for ns in TIMES_NS], **wide(lambda s, w, n: f"{s}_{w}_{n}", 1, "qty", str)}),
        SPOT,
    ),
    "wide CSV of cryptostore": (
        lambda: to_csv(
            {"timestamp": [seconds(ns) for ns in TIMES_NS], **wide(lambda s, w, n: f"{s}s[{n}].{w}", 0, "size", str)}
        ),
        SPOT,
    ),
    "wide Parquet": (
        lambda: to_parquet({"timestamp": TIMES_NS, **wide(lambda s, w, n: f"{s}_{w}_{n}", 1, "size")}),
        Opening("okx", SYMBOL, Amounts("base")),
    ),
    "ccxt list": (ccxt, SPOT),
    "ccxt list over many lines": (lambda: ccxt(indent=1), SPOT),
}


def plain(parsed: list[OrderBook]) -> list[tuple[int, list[list[float]], list[list[float]]]]:
    return [(book.market_ns, book.bids.tolist(), book.asks.tolist()) for book in parsed]


def books_of(path: Path, opening: Opening = Opening()) -> list[OrderBook]:  # noqa: B008 - immutable
    return list(books(path, lambda: VENUES["okx"].make_feed(SYMBOL), opening=opening))


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("day/book", content)
        archive.writestr("day/.DS_Store", b"x")
    return file.getvalue()


def tarred(content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("BTC-USDT-L2orderbook-400lv-2023-11-14.data")
        member.size = len(content)
        member.pax_headers = {"comment": "é" * 300}
        archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gz": gzip.compress,
    "zst": lambda content: pa.Codec("zstd").compress(content, asbytes=True),
    "zip": zipped,
    "tar.gz": tarred,
}


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, list[list[float]], list[list[float]]]]:
    """Return the books of our own recording."""
    found = plain(books_of(our_recording(tmp_path_factory.mktemp("own") / "own.jsonl")))
    assert len(found) == N_BOOKS
    return found


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("form", FILES)
def test_form_gives_books_of_our_envelope(tmp_path: Path, wanted: Any, form: str, packing: str) -> None:
    """Times, prices and sizes are equal to the last bit, whatever the file is called and however it is packed."""
    make, opening = FILES[form]
    path = tmp_path / "file"
    content = make()
    if content.startswith(b"PK") and packing != "plain":
        pytest.skip("an .npz file is a zip file already")
    path.write_bytes(PACKINGS[packing](content))
    assert plain(books_of(path, opening)) == wanted
    if form not in ("hftbacktest collector",):
        assert "opened_as" in meta(path, opening)


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("OKX history", "amounts are base units, times are the venue's, in milliseconds since 1970"),
        ("wide CSV", "amounts are base units, ts is milliseconds since 1970"),
        ("cryptofeed CSV", "timestamp is seconds since 1970"),
        ("Crypto Lake", "of OKX BTC-USDT: amounts are base units, received_time is nanoseconds since 1970"),
        ("ccxt list", "of BTC/USDT: amounts are base units, timestamp is milliseconds since 1970"),
        ("hftbacktest events", "times are nanoseconds since 1970"),
    ],
)
def test_sentence_says_what_was_assumed(tmp_path: Path, form: str, words: str) -> None:
    """The unit of the amounts and that of the clock are in it."""
    make, opening = FILES[form]
    path = tmp_path / "file"
    path.write_bytes(make())
    about = meta(path, opening)
    assert words in str(about["opened_as"])
    assert (about["venue"], about["symbol"]) == ("okx", SYMBOL)


@pytest.mark.parametrize(
    ("make", "opening"),
    [
        (events, Opening()),
        (lambda: to_csv(long_rows()), Opening("okx", "BTC-USDT-SWAP")),
        (lambda: ccxt(symbol="BTC/USDT:USDT"), Opening("okx", "BTC-USDT-SWAP")),
        (lake, Opening()),
        (lambda: bybit_history("BTCUSD"), Opening()),
    ],
)
def test_amounts_of_open_unit_are_refused_until_the_user_names_it(
    tmp_path: Path, make: Callable[[], bytes], opening: Opening
) -> None:
    """Nothing is guessed of a contract; --amounts opens the file."""
    path = tmp_path / "file"
    path.write_bytes(make())
    with pytest.raises(AmountsError, match="--amounts base, quote or contracts:SIZE"):
        next(read(path, opening=opening))
    (half, *_) = books_of(path, opening._replace(amounts=Amounts("contracts", 0.5)))
    (whole, *_) = books_of(path, opening._replace(amounts=Amounts("base")))
    assert half.bids[:, 1].tolist() == (0.5 * whole.bids[:, 1]).tolist()


def test_contracts_of_a_known_swap_become_base_units(tmp_path: Path) -> None:
    """The venue's own files count its contracts, whose size is known."""
    path = tmp_path / "file"
    path.write_bytes(okx_history().replace(b'"BTC-USDT"', b'"BTC-USDT-SWAP"'))
    (book, *_) = books_of(path)
    assert book.symbol == "BTC-USDT-SWAP"
    assert book.bids[:, 1].tolist() == [float(size) * 0.01 for _, size in WHOLE[0][0]]


@pytest.mark.parametrize("form", [name for name in FILES if name != "hftbacktest collector"])
def test_file_of_another_market_is_refused(tmp_path: Path, form: str) -> None:
    """A symbol, or a venue, that contradicts the file's own names is not taken; where it has none, the user counts."""
    make, _ = FILES[form]
    path = tmp_path / "file"
    path.write_bytes(make())
    opening = Opening("kraken", "ETH/EUR", Amounts("base"))
    if form in ("OKX history", "Crypto Lake", "Bybit history") or "ccxt" in form:
        with pytest.raises(RecordingError, match="the file says that it is of"):
            next(read(path, opening=opening))
    else:
        assert meta(path, opening)["venue"] == "kraken"


ONE_LEVEL = b"ts,bid_price_1,bid_qty_1,ask_price_1,ask_qty_1\n"


def test_real_frames_of_bybit_are_read_as_its_history(recordings: Path, tmp_path: Path) -> None:
    """Its files have the channel's messages: one snapshot and 413 changes, each an uncrossed book of 200 levels."""
    lines = [
        frame.message
        for frame in read(recordings / "bybit_linear_BTCUSDT_20260809.jsonl.gz")
        if frame.kind == "recv" and '"topic":"orderbook.200.' in frame.message[:60]
    ]
    path = tmp_path / "2026-08-09_BTCUSDT_ob200.data.zip"
    path.write_bytes(zipped("\n".join(lines).encode()))
    parsed = books_of(path)
    assert len(parsed) == len(lines) == 414
    assert {len(book.bids) for book in parsed} == {200}
    assert all(book.bids[0, 0] < book.asks[0, 0] for book in parsed)
    assert "linear unless --venue says otherwise" in str(meta(path)["opened_as"])


BAD = {
    "a hole in the levels": (ONE_LEVEL.replace(b"ask_", b"bid_price_3,bid_qty_3,ask_"), "not numbered from 0 or 1"),
    "a price without a size": (b"ts,bid_price_1,ask_price_1,ask_qty_1\n", "bid level 1 has no price or no size"),
    "no time": (b"bid_price_1,bid_qty_1,ask_price_1,ask_qty_1\n", "no time among the columns"),
    "a clock without a zone": (ONE_LEVEL + b"2026-03-01 10:00:00,1,1,2,1\n", "no|not a time"),
    "a clock that is none": (ONE_LEVEL + b"17,1,1,2,1\n", "ts '17' is no time from 2009"),
    "two units of time": (
        ONE_LEVEL + b"1772359200,1,1,2,1\n1772359200123,1,1,2,1\n",
        "is milliseconds, and the first one seconds",
    ),
    "two markets": (
        b"ts,symbol,bid_price_1,bid_qty_1,ask_price_1,ask_qty_1\n1772359200,BTC-USDT,1,1,2,1\n1772359201,X,1,1,2,1\n",
        "one market a file",
    ),
    "a row too short": (ONE_LEVEL + b"1772359200,1,1\n", "3 cells where the header has 5"),
    "another action": (okx_history().replace(b'"update"', b'"delete"'), "'delete' is neither snapshot nor update"),
    "two symbols": (okx_history() + okx_history().replace(b"BTC-USDT", b"ETH-USDT"), "ETH-USDT in a file of BTC-USDT"),
    "a list that breaks off": (ccxt()[:-30], "breaks off or is damaged"),
    "a list of numbers behind a book": (ccxt()[:-1] + b",1]", "is no order book of ccxt"),
    "half a Parquet file": (lake()[:-100], "the Parquet file is damaged"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "why"), BAD.values(), ids=BAD.keys())
def test_file_with_a_fault_is_refused_in_a_sentence(tmp_path: Path, content: bytes, why: str) -> None:
    """The sentence names the place and the value."""
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=why):
        list(read(path, opening=Opening("okx", amounts=Amounts("base"))))


def test_array_of_objects_is_not_unpickled(tmp_path: Path) -> None:
    """A pickle in an .npz file runs code when it is loaded; here its header alone is read."""

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    np.savez(tmp_path / "trap.npz", data=np.array([Trap()], object))
    with pytest.raises(RecordingError, match=r"a NumPy array of \|O"):
        list(read(tmp_path / "trap.npz", opening=Opening("okx", SYMBOL)))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("form", ["Crypto Lake", "hftbacktest events", "ccxt list", "OKX history"])
def test_upload_that_unpacks_to_more_than_allowed_is_given_up(tmp_path: Path, form: str) -> None:
    """The bound holds for what comes out of the package."""
    make, opening = FILES[form]
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(make()))
    with pytest.raises(RecordingError, match="unpacks to over 5,000 bytes"):
        list(read(path, 5000, opening=opening))


def mutate_and_read(path: Path, data: st.DataObject) -> None:
    """Change a file of any form in up to five places; reading it ends, or says why it cannot go on."""
    make, opening = FILES[data.draw(st.sampled_from(sorted(FILES)))]
    content = bytearray(PACKINGS[data.draw(st.sampled_from(sorted(PACKINGS)))](make()))
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 100))] = data.draw(st.binary(max_size=30))
    path.write_bytes(content)
    try:
        for _ in books(path, lambda: VENUES["okx"].make_feed(SYMBOL), 10_000_000, opening=opening):
            pass
    except RecordingError as error:
        assert str(error).isprintable()  # noqa: PT017


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutated_foreign_file_gives_named_errors_only(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """No file of any form ends the reader otherwise than with a sentence."""
    mutate_and_read(tmp_path_factory.mktemp("mutated") / "file", data)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(st.data())
def test_many_mutated_foreign_files_give_named_errors_only(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """The same, more often."""
    mutate_and_read(tmp_path_factory.mktemp("mutated") / "file", data)
