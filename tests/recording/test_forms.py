"""The form of a file is told by its content: what opens under any name, and what is refused in which words."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recording.format import RecordingError, encode
from recording.forms import OwnRecording, find_form
from recording.opening import NOTHING_SAID
from recording.raw_log import RawLog
from recording.reader import read
from recording.tardis_changes import TardisChanges
from recording.tardis_csv import TardisSnapshots
from tests.recording.test_tardis_changes import HEADER, SNAPSHOT, line_of
from tests.recording.test_tardis_csv import header, row
from tests.support.synthetic_recordings import okx_frames

OWN = b"".join(encode(frame) + b"\n" for frame in okx_frames(20))
LOG = "".join(f"{frame.market_ns} {frame.message}\n" for frame in okx_frames(20)).encode()
FILES = {
    "own": (OWN, OwnRecording),
    "own with a meta line": (b'{"t":"meta","venue":"okx","symbol":"BTC-USDT"}\n' + OWN, OwnRecording),
    "own, keys in another order": (b'{"ts_ns":1,"t":"connect"}\n' + OWN, OwnRecording),
    "log": (LOG, RawLog),
    "log behind words": (b"Connected (press CTRL+C to quit)\n< " + LOG.replace(b"\n", b"\n< ")[:-2], RawLog),
    "snapshots": ("\n".join([header(5), row(5, 0), ""]).encode(), TardisSnapshots),
    "changes": ("\n".join([HEADER, *map(line_of, SNAPSHOT), ""]).encode(), TardisChanges),
    "changes with CRLF": ("\r\n".join([HEADER, *map(line_of, SNAPSHOT), ""]).encode(), TardisChanges),
}


@pytest.mark.parametrize(("content", "form"), FILES.values(), ids=FILES.keys())
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet", "a"])
def test_form_is_told_by_content(tmp_path: Path, content: bytes, form: type, name: str) -> None:
    """A name says nothing, and packing neither."""
    path = tmp_path / name
    for packed in (content, gzip.compress(content)):
        path.write_bytes(packed)
        assert type(find_form(path, None, NOTHING_SAID)) is form
        assert len(list(read(path))) >= 2


def parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"bid_price_1": [1.0]}), file)
    return file.getvalue()


def npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, data=np.zeros(3))
    return file.getvalue()


def zip_of(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("BTCUSDT-2026-03-01.csv", content)
    return file.getvalue()


REFUSED = {
    "Parquet": (parquet(), "a Parquet file without books: its columns are bid_price_1"),
    "NumPy": (npz(), "a NumPy array of <f8"),
    "bookDepth": (zip_of(b"timestamp,percentage,depth,notional\n2026-03-01,-5,1,1\n"), "sums within percentages"),
    "bookTicker": (
        zip_of(b"update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time\n"),
        "the best prices alone",
    ),
    "a web page": (b"<!DOCTYPE html>", "this is a web page"),
    "words": (b"a shopping list\n", "no form that is known here: b'a shopping list'"),
}


@pytest.mark.parametrize(("content", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_other_form_is_named_with_what_opens(tmp_path: Path, content: bytes, why: str) -> None:
    """The sentence says what the file is and what would be taken."""
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=rf"^line 1: .*{why}.*; recordings, logs of raw messages and tables"):
        list(read(path))


def mutate_and_read(path: Path, data: st.DataObject) -> None:
    """Change a file of any form in up to five places; reading it ends, or says in which line it cannot go on."""
    content = bytearray(FILES[data.draw(st.sampled_from(sorted(FILES)))][0])
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 100))] = data.draw(st.binary(max_size=30))
    path.write_bytes(content)
    refusal = "line"
    try:
        for _ in read(path, max_bytes=len(content) + 1):
            pass
    except RecordingError as error:
        refusal = str(error)
    assert refusal.startswith(("line", "the amounts of", "contract size of", "not a"))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutated_file_gives_named_errors_only(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """No file of any form ends the reader otherwise than with a sentence."""
    mutate_and_read(tmp_path_factory.mktemp("mutated") / "file", data)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(st.data())
def test_many_mutated_files_give_named_errors_only(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """The same, ten times as often."""
    mutate_and_read(tmp_path_factory.mktemp("mutated") / "file", data)
