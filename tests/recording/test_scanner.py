"""What is found out about a recording in the background: its length, its mid price, and where it breaks."""

from __future__ import annotations

import threading
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds import VENUES
from recording.scanner import Overview, PriceCurve, RecordingScanner
from replay import books, encode, read
from tests.support.loopback import eventually
from tests.support.synthetic_recordings import BEGIN_NS, STEP_NS, okx_feed, okx_frames, write_recording
from ui.charts.timeline import timeline_chart


def scan(scanner: RecordingScanner) -> Overview:
    """Start the scanner; return what it has found once it is done."""
    scanner.start()
    eventually(lambda: scanner.overview.done, 30)
    return scanner.overview


@given(st.lists(st.tuples(st.integers(0, 2**63 - 1), st.floats(1, 1e6)), min_size=1), st.integers(1, 9))
def test_price_curve_loses_no_low_and_no_high(samples: list[tuple[int, float]], points: int) -> None:
    """Whatever the times, in whatever order: few enough points, sorted, and the extremes of all mids among them."""
    curve = PriceCurve(points)
    for market_ns, mid in samples:
        curve.add(market_ns, mid)
    found = curve.points()
    assert len(found) <= points
    assert list(found) == sorted(found)
    assert min(low for _, low, _ in found) == min(mid for _, mid in samples)
    assert max(high for _, _, high in found) == max(mid for _, mid in samples)


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=60))
def test_price_curve_has_extremes_of_each_bucket(mids: list[float]) -> None:
    """One mid a second: every point's low and high are those of the mids around it, found by brute force."""
    curve = PriceCurve(7)
    for second, mid in enumerate(mids):
        curve.add(second * 10**9, mid)
    found = curve.points()
    half = found[0][0] if len(found) == 1 else (found[1][0] - found[0][0]) / 2
    left = list(enumerate(mids))
    for middle_ns, low, high in found:
        inside = [(second, mid) for second, mid in left if second * 10**9 < middle_ns + half]
        left = left[len(inside) :]
        assert (low, high) == (min(mid for _, mid in inside), max(mid for _, mid in inside))
    assert not left


@pytest.mark.parametrize(
    ("name", "venue", "symbol"),
    [
        ("binance-spot_BTCUSDT_20240808", "binance", "BTCUSDT"),
        ("kraken_MINA-GBP_depth25_20260816", "kraken", "MINA/GBP"),
        ("gomarket-okx_BTC-USDT-SWAP_20250515", "gomarket-okx", "BTC-USDT-SWAP"),
    ],
)
def test_scanner_agrees_with_reading_line_by_line_on_real_recordings(
    recordings: Path, name: str, venue: str, symbol: str
) -> None:
    """As many frames and books as reading line by line gives, from the first time to the last, and every extreme."""
    path = recordings / f"{name}.jsonl.gz"
    times = [frame.market_ns for frame in read(path) if frame.market_ns is not None]
    mids = [book.mid for book in books(path, lambda: VENUES[venue].make_feed(symbol))]
    overview = scan(RecordingScanner(path, lambda: VENUES[venue].make_feed(symbol)))
    assert (overview.share, overview.error, overview.note) == (1.0, "", "")
    assert (overview.frames, overview.books) == (sum(1 for _ in read(path)), len(mids))
    assert overview.span == (min(times), max(times))
    assert min(low for _, low, _ in overview.curve) == min(mids)
    assert max(high for _, _, high in overview.curve) == max(mids)


def test_scanner_reports_broken_and_cut_off_recordings(tmp_path: Path) -> None:
    """A bad line ends the scan with its number, an unfinished one is a note, a missing file an error.

    No frame of another symbol is a book.
    """
    path = write_recording(tmp_path / "r", okx_frames(5))
    whole = path.read_bytes()
    path.write_bytes(whole + b"nonsense\n" + whole)
    overview = scan(RecordingScanner(path, okx_feed))
    assert (overview.books, overview.error[:8]) == (5, "line 6: ")
    path.write_bytes(whole[:-5])
    overview = scan(RecordingScanner(path, okx_feed))
    assert (overview.books, overview.error) == (4, "")
    assert overview.note.startswith("cut off in line 5")
    assert scan(RecordingScanner(path, lambda: VENUES["okx"].make_feed("ETH-USDT"))).books == 0
    assert "none" in scan(RecordingScanner(path.with_name("none"), okx_feed)).error
    assert "over 100 bytes" in scan(RecordingScanner(path, okx_feed, max_bytes=100)).error


def test_scanner_reads_large_recording_in_bounded_memory_until_stopped(tmp_path: Path) -> None:
    """A file of 60 MB takes a few at a time; meanwhile the share grows, and a stop ends the thread."""
    path = tmp_path / "r"
    lines = b"".join(encode(frame) + b"\n" for frame in okx_frames(1000))
    path.write_bytes(lines * (60_000_000 // len(lines)))
    scanner = RecordingScanner(path, okx_feed)
    tracemalloc.start()
    try:
        scanner.start()
        eventually(lambda: 0 < scanner.overview.share < 1, 20)
        scanner.start()
        assert sum(thread.name == "replay survey" for thread in threading.enumerate()) == 1
        scanner.stop()
        eventually(lambda: all(thread.name != "replay survey" for thread in threading.enumerate()))
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert not scanner.overview.done
    path.write_bytes(lines)
    assert scan(scanner).books == 1000


def test_timeline_chart_is_plain_data_with_mark_at_position() -> None:
    """Milliseconds since 1970 on a UTC axis as long as the recording, lows and highs in turn, a mark at the place."""
    curve = ((BEGIN_NS, 5.0, 5.0), (BEGIN_NS + STEP_NS, 4.0, 6.0))
    chart = timeline_chart(curve, (BEGIN_NS, BEGIN_NS + 2 * STEP_NS), BEGIN_NS + STEP_NS, "dark")
    begin_ms = BEGIN_NS / 1e6
    assert (chart["useUTC"], chart["animation"]) == (True, False)
    assert (chart["xAxis"]["min"], chart["xAxis"]["max"]) == (begin_ms, begin_ms + 200)
    assert chart["series"][0]["data"] == [[begin_ms, 5.0], [begin_ms + 100, 4.0], [begin_ms + 100, 6.0]]
    assert chart["series"][0]["markLine"]["data"] == [{"xAxis": begin_ms + 100}]
    assert timeline_chart(curve, (0, 0), None, "light")["series"][0]["markLine"]["data"] == []
