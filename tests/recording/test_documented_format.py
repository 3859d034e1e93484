"""docs/recordings.md: its examples run as they stand and lose no digit of a time, and its tables name what there is."""

from __future__ import annotations

import gzip
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from recording.format import FRAME_KINDS, RecordedFrame, decode
from recording.reader import read
from recording.recorder import Recorder
from tests.support.paths import PROJECT
from tests.support.synthetic_recordings import okx_frames

TEXT = (PROJECT / "docs" / "recordings.md").read_text()
BLOCKS: list[str] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
LIBRARIES = ("pandas", "duckdb", "polars")
FRAMES = [frame._replace(market_ns=frame.market_ns + 7) for frame in okx_frames(30) if frame.market_ns is not None]
"""Times that no float holds."""


@pytest.fixture(params=["recording.jsonl", "recording.jsonl.gz"])
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a recording as the recorder writes it."""
    recorder = Recorder("okx", "BTC-USDT")
    path = tmp_path / request.param
    recorder.start(path)
    recorder.write(RecordedFrame("connect", FRAMES[0].market_ns, "", "wss://venue.example"))
    for frame in FRAMES:
        recorder.write(frame)
    recorder.close()
    assert recorder.error is None
    return path


def without_meta_time(path: Path) -> Path:
    """Return the recording as earlier versions wrote it: its meta line has no time."""
    content = path.read_bytes()
    lines = gzip.decompress(content) if path.suffix == ".gz" else content
    older = re.sub(rb'"ts_ns":[0-9]+,', b"", lines, count=1)
    assert len(older) < len(lines)
    new = path.with_name(f"older-{path.name}")
    new.write_bytes(gzip.compress(older) if path.suffix == ".gz" else older)
    return new


def run_example(words: str, path: Path) -> dict[str, Any]:
    """Run the one example that has these words and return its names."""
    (block,) = (block for block in BLOCKS if words in block)
    names: dict[str, Any] = {"FILE": str(path)}
    exec(compile(block, f"docs/recordings.md, {words}", "exec"), names)  # noqa: S102 - our own document
    return names


@pytest.mark.parametrize("library", LIBRARIES)
def test_example_reads_whole_number_times(recording: Path, library: str) -> None:
    """The number of frames and the first and last time are exact, in recordings of earlier versions too."""
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    received = [frame.market_ns for frame in read(recording) if frame.kind == "recv"]
    wanted = (len(FRAMES), FRAMES[0].market_ns, FRAMES[-1].market_ns)
    assert (len(received), received[0], received[-1]) == wanted
    for path in (recording, without_meta_time(recording)):
        names = run_example(f"import {library}", path)
        assert names["result"] == wanted
        if library == "pandas":
            assert names["times"].astype("int64").tolist() == received


def test_example_reads_books(recording: Path) -> None:
    """The example with the venue's own rules gives a book a frame, on the recorder's clock."""
    best = run_example("from replay import", recording)["best"]
    assert [market_ns for market_ns, _, _ in best] == [frame.market_ns for frame in FRAMES]


def test_plain_pandas_reads_whole_number_times(recording: Path) -> None:
    """Every line of the recorder has a time, the meta line too, so that even a bare read_json makes no floats."""
    import pandas as pd

    times = pd.read_json(recording, lines=True)["ts_ns"]
    assert times.dtype == "int64"
    assert times.tolist()[2:] == [frame.market_ns for frame in FRAMES]


def test_time_of_meta_line_is_no_time_of_the_market(recording: Path) -> None:
    """When the file was begun says nothing of a market that may be of another year."""
    first = next(read(recording))
    assert (first.kind, first.market_ns) == ("meta", None)
    assert decode('{"t":"meta","ts_ns":1}').market_ns is None


def test_table_names_every_kind() -> None:
    """An outsider's reader meets no kind of line that the document lacks."""
    table = TEXT[TEXT.index("| `t` | what it is |") :]
    kinds = set(re.findall(r"^\| `(\w+)` \| (?!what)", table[: table.index("\n\n")], re.MULTILINE))
    assert kinds == FRAME_KINDS | {"meta"}


@pytest.mark.parametrize("block", BLOCKS)
def test_example_is_python(block: str) -> None:
    """The example of a library that is not installed here is read by the compiler, at least."""
    compile(block, "docs/recordings.md", "exec")
