"""Remove one guard after the other from a copy of the project: `.venv/bin/python -m benchmarks.mutations [WORD]`.

With each guard removed, only the tests that should notice are run. The command prints the first test that fails, or
MISSED. WORD selects the guards whose name contains it. All of them take some minutes.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parents[1]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis")


class Mutation(NamedTuple):
    """A guard and how to remove it.

    old: the code with the guard, which stands once in the file.
    new: the code without it.
    tests: the test files that should notice.
    """

    guard: str
    file: str
    old: str
    new: str
    tests: str


MUTATIONS = [
    Mutation(
        "a crossed book is refused",
        *("orderbook/book.py", "if bids.item(0) >= asks.item(0):", "if False:"),
        "tests/orderbook/test_book.py",
    ),
    Mutation(
        "a size of zero or less is refused",
        *("orderbook/book.py", " and levels.item(levels.argmin()) > 0", ""),
        "tests/orderbook/test_book.py",
    ),
    Mutation(
        "a change to a negative size is refused",
        *(
            "orderbook/packed_sides.py",
            "(0 < size < largest and",
            "(size < largest and",
        ),
        "tests/orderbook/test_book.py",
    ),
    Mutation(
        "of many changes at one price the last counts",
        *("orderbook/packed_sides.py", "rows[is_last & (rows[:, 1] > 0)]", "rows[rows[:, 1] > 0]"),
        "tests/orderbook/test_book.py",
    ),
    Mutation(
        "a text that no float holds exactly is not divided",
        *("feeds/fast_parser.py", " or number > _LARGEST_EXACT:", ":"),
        "tests/feeds/test_fast_parser.py",
    ),
    Mutation(
        "OKX: each change follows the last",
        *("feeds/okx.py", "if change.prevSeqId != self._last_seq_id:", "if False:"),
        "tests/feeds/test_okx.py",
    ),
    Mutation(
        "OKX: the checksum where it is sent",
        *("feeds/okx.py", "if book_checksum != change.checksum:", "if False:"),
        "tests/feeds/test_okx.py",
    ),
    Mutation(
        "Bybit: each change follows the last",
        *("feeds/bybit.py", "if change.u != self._last_update + 1:", "if False:"),
        "tests/feeds/test_bybit.py tests/feeds/test_fuzz.py",
    ),
    Mutation(
        "Bybit: another depth of the same symbol is not followed",
        *("feeds/bybit.py", " and int(match[1]) >= self._levels", ""),
        "tests/feeds/test_bybit.py",
    ),
    Mutation(
        "a keepalive that the venue counts is sent while data flow",
        *("network/connection.py", "keepalive_sent_s if self.feed.is_keepalive_periodic else ", ""),
        "tests/test_websocket_client.py",
    ),
    Mutation(
        "a slow venue's price is old only once the next book is late",
        *("sessions/session.py", "LATE_BOOK_FACTOR * market.make_feed().book_interval_s", "0.0"),
        "tests/sessions/test_comparison.py",
    ),
    Mutation(
        "Deribit: each change follows the last",
        *("feeds/deribit.py", "if change.prev_change_id != self._last_change_id:", "if False:"),
        "tests/feeds/test_deribit.py tests/feeds/test_fuzz.py",
    ),
    Mutation(
        "a message that wants an answer gets it",
        *("network/connection.py", "await self._send(web_socket, answer)", "pass"),
        "tests/test_websocket_client.py",
    ),
    Mutation(
        "Bitget: each change follows the last",
        *("feeds/bitget.py", "change.pseq != self._last_seq", "False"),
        "tests/feeds/test_bitget.py tests/feeds/test_fuzz.py",
    ),
    Mutation(
        "Gate: each change follows the last",
        *("feeds/gate.py", "if self._last_update + 1 != change.U:", "if False:"),
        "tests/feeds/test_gate.py tests/feeds/test_fuzz.py",
    ),
    Mutation(
        "Gate: a contract that is worth nothing is not believed",
        *("feeds/gate.py", 'if not 0 < value < float("inf"):', "if False:"),
        "tests/feeds/test_gate.py",
    ),
    Mutation(
        "Kraken futures: each change follows the last",
        *("feeds/kraken_futures.py", "if change.seq != self._last_seq + 1:", "if False:"),
        "tests/feeds/test_kraken_futures.py tests/feeds/test_fuzz.py",
    ),
    Mutation(
        "Kraken: the checksum",
        *("feeds/kraken.py", "if book_checksum != change.checksum:", "if False:"),
        "tests/feeds/test_kraken.py",
    ),
    Mutation(
        "Coinbase: one sequence over all channels",
        *("feeds/coinbase.py", "frame.sequence_num != self._sequence + 1", "False"),
        "tests/feeds/test_coinbase.py",
    ),
    Mutation(
        "Binance: a snapshot older than the first change is fetched anew",
        *("feeds/binance.py", "if snapshot_update < self._held_changes[0].previous_update:", "if False:"),
        "tests/feeds/test_binance.py",
    ),
    Mutation(
        "Binance: what the snapshot has is not applied again",
        *("feeds/binance.py", "if change.last_update > snapshot_update]", "]"),
        "tests/feeds/test_binance.py",
    ),
    Mutation(
        "a feed that broke stays broken",
        *(
            "feeds/base.py",
            "        self._break_reason = str(error)\n        return FeedError(self._break_reason)",
            "        return FeedError(str(error))",
        ),
        "tests/feeds/test_feeds.py tests/feeds/test_fuzz.py",
    ),
    Mutation(
        "a level of one or three numbers is no level",
        *("feeds/fast_parser.py", "if _byte(text, at) != _CLOSE_BRACKET:", "if False:"),
        "tests/feeds/test_fast_parser_frames.py",
    ),
    Mutation(
        "a number of more digits than a double holds is read exactly",
        *("feeds/fast_parser.py", "digits + scale > _MAX_DIGITS or number > _LARGEST_EXACT", "digits > _MAX_DIGITS"),
        "tests/feeds/test_fast_parser_frames.py",
    ),
    Mutation(
        "of a member that a frame has twice, the last counts",
        *("feeds/fast_parser.py", "n_members == 4 and ", ""),
        "tests/feeds/test_fast_parser_frames.py",
    ),
    Mutation(
        "a callback that raises does not end the feed",
        *("network/status.py", "except Exception as error:  # noqa: BLE001", "except ZeroDivisionError as error:  #"),
        "tests/test_websocket_client.py",
    ),
    Mutation(
        "a proxy's address that cannot be read is not repeated",
        *("network/http_client.py", "            parse_proxy(proxy)\n", "            pass\n"),
        "tests/system/test_security.py",
    ),
    Mutation(
        "messages are bounded",
        *("network/connection.py", "max_size=MAX_MESSAGE_BYTES,", "max_size=None,"),
        "tests/test_websocket_client.py tests/system/test_hostile.py",
    ),
    Mutation(
        "amounts whose unit nobody knows are refused",
        *(
            "recording/tardis_market.py",
            'raise AmountsError(f"the amounts of',
            'return Amounts("base")  # (f"the amounts of',
        ),
        "tests/recording/test_tardis_csv.py",
    ),
    Mutation(
        "a market that contradicts the file is refused",
        *("recording/opening.py", "if is_other_venue or is_other_symbol:", "if False:"),
        "tests/recording/test_tardis_csv.py",
    ),
    Mutation(
        "a time in another unit is refused",
        *("recording/clock.py", "if not is_time(ns):", "if False:"),
        "tests/recording/test_tardis_csv.py",
    ),
    Mutation(
        "a log whose clock changes its unit is refused",
        *("recording/raw_log.py", "if unit != self._unit:", "if False:"),
        "tests/recording/test_raw_log.py",
    ),
    Mutation(
        "a REST snapshot of no known symbol is refused in a log of several",
        *("recording/raw_log.py", "if not symbol and len(self._symbols) > 1:", "if False:"),
        "tests/recording/test_raw_log.py",
    ),
    Mutation(
        "a new snapshot forgets the levels before it",
        *("recording/foreign_feeds.py", "self._builder.load(bids, asks)", "self._builder.apply(bids, asks)"),
        "tests/recording/test_tardis_changes.py",
    ),
    Mutation(
        "the last moment of a file that was cut off is left out",
        *("recording/reader.py", "() if lines.is_truncated else form.finish()", "form.finish()"),
        "tests/recording/test_tardis_changes.py",
    ),
    Mutation(
        "a zip's directory is measured before it is read",
        *("recording/unpacking.py", "if directory_bytes > MAX_ZIP_DIRECTORY_BYTES:", "if False:"),
        "tests/recording/test_unpacking.py",
    ),
    Mutation(
        "parsed books that are not as they were written are parsed again",
        *("backtesting/book_arrays.py", 'if _digest_rows(folder / f"{name}.npy") != digest:', "if False:"),
        "tests/backtesting/test_book_cache.py",
    ),
    Mutation(
        "the draft of a living run is left alone",
        *(
            "backtesting/cache_folder.py",
            "except BlockingIOError:\n        return False",
            "except BlockingIOError:\n        return True",
        ),
        "tests/backtesting/test_cache_folder.py",
    ),
    Mutation(
        "an array of other rows than events is refused",
        *("recording/event_array.py", "if not is_ours or not (", "if not ("),
        "tests/recording/test_foreign_forms.py",
    ),
    Mutation(
        "a table's amounts of no known unit are refused",
        *("recording/foreign_market.py", "if unit is None:\n            of_what", "if False:\n            of_what"),
        "tests/recording/test_foreign_forms.py",
    ),
    Mutation(
        "a table's time in another unit than the first is refused",
        *("recording/clock.py", "if self.unit and unit != self.unit:", "if False:"),
        "tests/recording/test_foreign_forms.py",
    ),
    Mutation(
        "the next file of a recording waits for its first book",
        *(
            "recording/long_recording.py",
            "if status.books:\n            self._finish(part)",
            "if True:\n            self._finish(part)",
        ),
        "tests/recording/test_long_recording.py",
    ),
    Mutation(
        "the replay's clock is the envelope's",
        *(
            "recording/replay_feed.py",
            "self._inner.parse(frame.message, received_ns, self._last_ns)",
            "self._inner.parse(frame.message, received_ns)",
        ),
        "tests/test_replay.py",
    ),
    Mutation(
        "of a recording no book is passed over, however fast",
        *("sessions/session.py", '"conflate": False', '"conflate": True'),
        "tests/recording/test_player.py",
    ),
    Mutation(
        "who comes back to a recording is shown what was on its way",
        *("recording/player.py", "self._has_unshown_book = True", "self.acknowledge()"),
        "tests/recording/test_player.py",
    ),
    Mutation(
        "what was recorded can be read before the recorder ends",
        *("recording/recorder.py", " + self._packer.flush(zlib.Z_SYNC_FLUSH)", ""),
        "tests/recording/test_recording.py",
    ),
    Mutation(
        "a web page gets nothing from the replay server",
        *("recording/server.py", "origins=[None],", "origins=None,"),
        "tests/test_replay.py tests/recording/test_replay_engine.py",
    ),
    Mutation(
        "an order meets the first book after its latency, not the one before",
        *("estimation/labels.py", "np.searchsorted(clock, arrives)\n", "np.searchsorted(clock, arrives) - 1\n"),
        "tests/estimation/test_online_learner.py",
    ),
    Mutation(
        "a quote that arrives too late takes",
        *(
            "estimation/realised.py",
            "quote.late = quote.sign * (levels[begin, 0] - quote.price) <= 0",
            "quote.late = False",
        ),
        "tests/test_calculations.py tests/estimation/test_online_learner.py tests/estimation/test_scorecard.py",
    ),
    Mutation(
        "books whose block is made are let go",
        *("estimation/training_schedule.py", "while books[0].market_ns < first_ns:", "while False:"),
        "tests/estimation/test_online_learner.py",
    ),
    Mutation(
        "the numbers wait for a book that is due",
        *("sessions/session.py", "if age_s is not None and age_s > NEW_BOOK_S:", "if False:"),
        "tests/sessions/test_session.py",
    ),
    Mutation(
        "the slider's old place is no jump",
        *("ui/player_panel.py", "        if not restore_if_stale(key):", "        if True:"),
        "tests/ui/test_player_panel.py",
    ),
    Mutation(
        "the model keeps silent where nothing can be known",
        *("estimation/slippage_learner.py", "SHRINKAGE_CAUTION = 2.0", "SHRINKAGE_CAUTION = 0.0"),
        "tests/estimation/test_learning_quality.py",
    ),
    Mutation(
        "beyond five times the visible book there is no number",
        *("estimation/pricing.py", "if widen > EXTRAPOLATED_DEPTHS:", "if False:"),
        "tests/test_calculations.py",
    ),
    Mutation(
        "a walk that leaves something unfilled is no walk",
        *("estimation/pricing.py", "math.nan if unfilled > 0 else walked_bps", "walked_bps"),
        "tests/test_calculations.py",
    ),
    Mutation(
        "net is the sum of its parts",
        *("estimation/pricing.py", "row.slippage_bps + row.fee_bps + row.impact_bps", "row.slippage_bps + row.fee_bps"),
        "tests/test_calculations.py",
    ),
    Mutation(
        "a schedule of one step is the order at once",
        *(
            "estimation/pricing.py",
            "elif terms.style == SCHEDULE and terms.steps > 1:",
            "elif terms.style == SCHEDULE:",
        ),
        "tests/test_calculations.py",
    ),
    Mutation(
        "one step of a schedule has no cost of waiting",
        *("numerics/unit_schedule.py", "    if steps == 1:\n        return 1.0, 0.0\n", ""),
        "tests/test_almgren_chriss.py",
    ),
    Mutation(
        "time that steps back starts the learning anew",
        *("calculations.py", "market_ns < self._last_ns or ", ""),
        "tests/test_calculations.py tests/estimation/test_online_learner.py",
    ),
    Mutation(
        "spot fees on a swap are warned of",
        *(
            "fee_calculator.py",
            "if schedule.product == product and schedule.venue == venue:",
            "if schedule.venue == venue:",
        ),
        "tests/test_fee_calculator.py",
    ),
    Mutation(
        "formulas in a CSV are neutralised",
        *("exporting/table.py", "_map_texts(column, neutralise_formulas) if", "column if"),
        "tests/exporting/test_table.py",
    ),
    Mutation(
        "a folder that is a link is not written to",
        *("exporting/files.py", "if folder.is_symlink():", "if False:"),
        "tests/exporting/test_files.py",
    ),
    Mutation(
        "a link in a file's place is not followed",
        *("exporting/files.py", 'path.open("xb")', 'path.open("wb")'),
        "tests/exporting/test_files.py",
    ),
    Mutation(
        "a file name is a plain name",
        *("exporting/files.py", "if not _STEM.fullmatch(stem):", "if False:"),
        "tests/exporting/test_files.py",
    ),
    Mutation(
        "the page is for this machine alone",
        *(".streamlit/config.toml", 'address = "127.0.0.1"', 'address = "0.0.0.0"'),
        "tests/system/test_security.py",
    ),
    Mutation(
        "cross-site requests are refused",
        *(".streamlit/config.toml", "enableXsrfProtection = true", "enableXsrfProtection = false"),
        "tests/system/test_security.py",
    ),
    Mutation(
        "uploads are bounded",
        *(".streamlit/config.toml", "maxUploadSize = 64", "maxUploadSize = 1000"),
        "tests/system/test_security.py",
    ),
    Mutation(
        "a session holds on to no book",
        *(
            "sessions/session.py",
            "self.latest = PricedBook(book, estimate)",
            'self.latest = PricedBook(book, estimate); self.__dict__.setdefault("all", []).append(book)',
        ),
        "tests/system/test_soak.py",
    ),
    Mutation(
        "the recorder loses nothing between two flushes",
        *(
            "recording/recorder.py",
            "frames = self._pending\n",
            "frames = self._pending[:20]\n",
        ),
        "tests/system/test_soak.py",
    ),
    Mutation(
        "a daily volume that cannot be is refused",
        *("feeds/daily_volume.py", "if not LEAST <= volume <= LARGEST:", "if False:"),
        "tests/feeds/test_daily_volume.py",
    ),
    Mutation(
        "dollars without a price are no volume in coins",
        *("feeds/kraken_futures.py", 'if not 0 < ticker.markPrice < float("inf"):', "if not ticker.markPrice:"),
        "tests/feeds/test_daily_volume.py",
    ),
    Mutation(
        "a typed daily volume counts more than a measured one",
        *(
            "estimation/order_terms.py",
            "if order.daily_volume is not None:",
            "if order.daily_volume is not None and daily_volume is None:",
        ),
        "tests/estimation/test_order_terms.py",
    ),
    Mutation(
        "a new daily volume counts from the next book",
        *("calculations.py", "or daily_volume is not self._priced_volume", "or False"),
        "tests/test_calculations.py",
    ),
    Mutation(
        "recordings and typed addresses ask for no daily volume",
        *("sessions/daily_volumes.py", "if not market.is_at_venue:", "if False:"),
        "tests/sessions/test_daily_volumes.py",
    ),
    Mutation(
        "a daily volume that is too old counts for nothing",
        *("sessions/daily_volumes.py", "return known.volume if now_s < known.ends_s else None", "return known.volume"),
        "tests/sessions/test_daily_volumes.py",
    ),
    Mutation(
        "the daily volume of another market's recording is not believed",
        *("backtesting/book_cache.py", "facts_of(about) if is_own else {}", "facts_of(about)"),
        "tests/test_backtest.py",
    ),
]


def find_failing_test(mutation: Mutation, folder: Path) -> str | None:
    """Remove the guard and return the first test that fails, or None if all pass.

    Raise ValueError if the guard does not stand once in its file, or if the tests did not run.
    """
    path = folder / mutation.file
    source = path.read_text()
    if source.count(mutation.old) != 1:
        raise ValueError(f"{mutation.file} has {source.count(mutation.old)} times {mutation.old!r}")
    path.write_text(source.replace(mutation.old, mutation.new))
    try:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "-rfE",
            "-p",
            "no:cacheprovider",
            *mutation.tests.split(),
        ]
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    finally:
        path.write_text(source)
    failed = re.search(r"^(?:FAILED|ERROR) (\S+::\w+)", result.stdout, re.MULTILINE)
    if failed is None and result.returncode:
        raise ValueError(f"the tests did not run: {result.stdout[-2000:]}{result.stderr[-2000:]}")
    return failed and failed[1]


def main() -> None:
    """Print the table of guards and the tests that notice them."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    n_missed = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "project")
        shutil.copytree(PROJECT, folder, ignore=LEFT_OUT)
        print("| guard | broken in | noticed by |\n|---|---|---|")
        for mutation in MUTATIONS:
            if word in mutation.guard:
                test = find_failing_test(mutation, folder)
                if test is None:
                    n_missed += 1
                print(f"| {mutation.guard} | {mutation.file} | {test or 'MISSED'} |", flush=True)
    sys.exit(1 if n_missed else 0)


if __name__ == "__main__":
    main()
