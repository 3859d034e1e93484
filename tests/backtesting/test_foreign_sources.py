"""Check that a backtest takes what the user says of a file, and what a recording knows of its own market."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from backtest import backtest, format_arguments, main
from backtesting.book_cache import CacheError, RecordingSource
from estimation.order import Order
from feeds import VENUES
from orderbook import Side
from recording.opening import Amounts, AmountsError, Opening
from tests.support.synthetic_recordings import BEGIN_NS, okx_frames, write_recording

UNKNOWN = ("bitmex", "XBTUSD")
ODD_SWAP = "NEWCOIN-USDT-SWAP"
LEVELS = 3


def bought_file(path: Path, n_books: int = 40, exchange: str = UNKNOWN[0], symbol: str = UNKNOWN[1]) -> Path:
    """Write whole books of two sides, the amounts of which are 10 to 30 of some unit."""
    columns = [
        f"{side}[{n}].{what}" for n in range(LEVELS) for side in ("asks", "bids") for what in ("price", "amount")
    ]
    lines = [",".join(["exchange,symbol,timestamp,local_timestamp", *columns])]
    for book in range(n_books):
        time_us = BEGIN_NS // 1000 + 100_000 * book
        levels = [f"{101 + n + book % 3},{10 * (n + 1)},{100 - n},{10 * (n + 1)}" for n in range(LEVELS)]
        lines.append(",".join([exchange, symbol, str(time_us), str(time_us), *levels]))
    path.write_text("\n".join(lines) + "\n")
    return path


def run(capsys: pytest.CaptureFixture[str], path: Path, *arguments: str) -> tuple[int, str, str]:
    """Run the command for a purchase of 12; return its exit code, what it printed, and its errors."""
    code = main([str(path), "--quantity", "12", *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_backtest_counts_amounts_in_the_unit_that_the_user_names(tmp_path: Path) -> None:
    """12 base units need one level of 10 whole units and part of the next, or 2 levels of half units; each is kept."""
    path = bought_file(tmp_path / "book.csv")
    with pytest.raises(AmountsError, match="--amounts"):
        backtest(path, *UNKNOWN, Order(Side.BUY, 12.0), tmp_path / "cache")
    for amounts, size in ((Amounts("base"), 1.0), (Amounts("contracts", 0.5), 0.5), (Amounts("base"), 1.0)):
        rows = backtest(path, *UNKNOWN, Order(Side.BUY, 12.0), tmp_path / "cache", Opening(amounts=amounts))
        assert rows["venue"].unique().tolist() == [UNKNOWN[0]]
        first = rows.iloc[0]
        left = 12.0 - 10 * size
        cost = 101 * 10 * size + 102 * min(left, 20 * size)
        assert first["vwap"] == pytest.approx(cost / 12.0)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_command_prices_an_unknown_venue_with_named_fees_and_names_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The summary, and every row, have the file's own venue and whose fees were paid."""
    path = bought_file(tmp_path / "book.csv")
    out = tmp_path / "rows.parquet"
    code, printed, _ = run(capsys, path, "--amounts", "base", "--fees-of", "okx:swap", "--out", str(out))
    assert code == 0
    assert "on bitmex XBTUSD, 40 books" in printed
    assert "rates: Regular (OKX swap fees): maker 0.02 %, taker 0.05 %" in printed
    rows = pd.read_parquet(out)
    assert set(rows["fee_tier"]) == {"Regular (OKX swap fees)"}
    assert set(rows["venue"]) == {"bitmex"}
    assert set(rows["taker_rate"]) == {0.0005}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "no fees of bitmex are known here; say --fees-of VENUE"),
        (["--fees-of", "okx"], "say --fees-of okx:spot or --fees-of okx:swap"),
        (["--fees-of", "coinbase:swap"], "no perpetual swap fees are published here for Coinbase"),
        (["--fees-of", "okx:swap", "--fee-tier", "VIP99"], "there is no fee tier 'VIP99'"),
    ],
)
def test_command_asks_for_fees_that_it_does_not_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    """No venue's fees are guessed, and no product."""
    path = bought_file(tmp_path / "book.csv")
    code, _, errors = run(capsys, path, "--amounts", "base", *arguments)
    assert code == 2
    assert sentence in errors


def test_own_rates_need_no_known_venue(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are the user's word, as the amounts are."""
    path = bought_file(tmp_path / "book.csv")
    code, printed, _ = run(capsys, path, "--amounts", "base", "--maker-bps", "1", "--taker-bps", "2")
    assert code == 0
    assert "rates: own: maker 0.01 %, taker 0.02 %" in printed


def test_file_of_a_known_venue_is_priced_with_anothers_fees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """That is no contradiction of the file. The product is the file's own."""
    path = write_recording(tmp_path / "made.jsonl", okx_frames(30))
    code, printed, _ = run(capsys, path, "--venue", "okx", "--symbol", "BTC-USDT", "--fees-of", "kraken")
    assert code == 0
    assert "on okx BTC-USDT, 30 books" in printed
    assert "(Kraken spot fees)" in printed


@pytest.mark.parametrize("value", ["nowhere", "okx:future", "okx:"])
def test_fees_of_no_venue_or_product_are_refused(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The command says what it takes."""
    with pytest.raises(SystemExit):
        main(["some.csv", "--quantity", "1", "--fees-of", value])
    assert "unknown" in capsys.readouterr().err


def test_swap_unknown_offline_is_backtested_from_its_recording(tmp_path: Path) -> None:
    """The size of its contract is in the meta line, and counts for that market alone."""
    with pytest.raises(ValueError, match=ODD_SWAP):
        VENUES["okx"].make_feed(ODD_SWAP)
    path = write_recording(tmp_path / "made.jsonl", okx_frames(30))
    frames = path.read_bytes().replace(b"BTC-USDT", ODD_SWAP.encode())
    about = {"t": "meta", "venue": "okx", "symbol": ODD_SWAP, "contract": {"value": 0.25, "inverse": False}}
    path.write_bytes(json.dumps(about).encode() + b"\n" + frames)
    rows = backtest(path, "okx", ODD_SWAP, Order(Side.BUY, 2.0, "contracts"), tmp_path / "cache")
    assert len(rows) == 30
    assert set(rows["quantity_base"]) == {0.5}
    with pytest.raises(CacheError, match="OTHER-USDT-SWAP"):
        RecordingSource.from_path(path, "okx", "OTHER-USDT-SWAP")


def test_unknown_venue_is_refused_unless_the_file_names_it(tmp_path: Path) -> None:
    """Whole books need no feed of a venue; messages do."""
    path = bought_file(tmp_path / "book.csv")
    opening = Opening(amounts=Amounts("base"))
    assert RecordingSource.from_path(path, *UNKNOWN, opening=opening).known_venue is None
    with pytest.raises(CacheError, match="unknown venue 'other'"):
        RecordingSource.from_path(path, "other", UNKNOWN[1], opening=opening)
    messages = write_recording(tmp_path / "made.jsonl", okx_frames(3))
    messages.write_bytes(b'{"t":"meta","venue":"nowhere","symbol":"BTC"}\n' + messages.read_bytes())
    with pytest.raises(CacheError, match="unknown venue 'nowhere'"):
        RecordingSource.from_path(messages, "nowhere", "BTC")


def test_formatted_arguments_price_the_same_file_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The unit of the amounts and the rates are among them."""
    path = bought_file(tmp_path / "book.csv")
    source = RecordingSource.from_path(path, *UNKNOWN, opening=Opening(amounts=Amounts("contracts", 0.1)))
    order = Order(Side.BUY, 2.5)
    assert main([str(path), *format_arguments(source, [order])]) == 0
    printed = capsys.readouterr().out
    rows = backtest(path, *UNKNOWN, order, opening=source.opening)
    assert f"{rows['net_cost_bps'].mean():10.4f}" in printed
