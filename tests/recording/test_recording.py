"""Recordings as files: whole, cut off, hostile, and written by a process that dies."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recording import format
from recording import recorder as recorder_module
from recording.format import RecordedFrame, RecordingError, decode, encode
from recording.reader import read
from recording.recorder import Recorder
from tests.support.paths import PROJECT

FRAMES = [
    RecordedFrame("connect", 1_000, "", "wss://venue.example/ws"),
    RecordedFrame("send", 1_001, '{"op":"subscribe"}'),
    RecordedFrame("recv", 2_000, 'text with "quotes", \\ , a newline \n and ü'),
    RecordedFrame("http", 2_500, '{"lastUpdateId":1}', "https://venue.example/depth?symbol=X"),
    RecordedFrame("recv", None, ""),
    RecordedFrame("recv", 3_000, "last"),
]
KILL_TIMES = Random()  # noqa: S311 - when to kill a process
PLAIN = b"".join(encode(frame) + b"\n" for frame in FRAMES)


def write_file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def read_frames(path: Path) -> list[RecordedFrame]:
    return [frame for frame in read(path) if frame.kind not in ("meta", "torn")]


@pytest.mark.parametrize(
    "content", [PLAIN, gzip.compress(PLAIN, mtime=0), PLAIN.rstrip(b"\n"), b"\xef\xbb\xbf" + PLAIN]
)
def test_reader_yields_what_was_encoded(tmp_path: Path, content: bytes) -> None:
    """Plain, gzipped, without its last newline or behind a byte order mark: the frames are the same, texts exact."""
    assert list(read(write_file(tmp_path / "r", content))) == FRAMES


def test_reader_and_encoder_agree_with_standard_library_on_real_files(recordings: Path) -> None:
    """Every line of every real recording is read as the standard library reads it, and encodes to the same values."""
    files = sorted(recordings.glob("*.jsonl.gz"))
    assert files
    for file in files:
        with gzip.open(file, "rt", encoding="utf-8", newline="\n") as lines:
            for line, frame in zip(lines, read(file), strict=True):
                fields = json.loads(line)
                text = line.removesuffix("\n") if fields["t"] == "meta" else fields.get("data", "")
                assert frame == (fields["t"], fields.get("ts_ns"), text, fields.get("url")), file.name
                assert json.loads(encode(frame)) == fields, file.name


def test_reader_reads_appended_gzip_members_as_one(tmp_path: Path) -> None:
    """Compressed recordings that were appended to one another read as one."""
    assert list(read(write_file(tmp_path / "r", gzip.compress(PLAIN) * 2))) == FRAMES * 2


def test_reader_yields_whole_lines_of_plain_file_cut_at_any_byte(tmp_path: Path) -> None:
    """A plain recording cut at any byte gives every whole line, and says so when a line is torn."""
    ends = [index + 1 for index, byte in enumerate(PLAIN) if byte == ord("\n")]
    for cut in range(ends[0], len(PLAIN)):
        frames = list(read(write_file(tmp_path / "r", PLAIN[:cut])))
        whole = sum(end - 1 <= cut for end in ends)
        assert frames[:whole] == FRAMES[:whole]
        torn = PLAIN[:cut][ends[whole - 1] :]
        assert [frame.kind for frame in frames[whole:]] == (["torn"] if torn else [])
        if torn:
            assert frames[-1].message == f"cut off in line {whole + 1}, of which {len(torn)} bytes are there"


def test_reader_yields_whole_lines_of_gzip_file_cut_at_any_byte(tmp_path: Path) -> None:
    """A gzipped recording cut at any byte gives a run of whole lines from the first on, then a torn frame."""
    lines = [RecordedFrame("recv", n, f"{n} {n**99}") for n in range(200)]
    packed = gzip.compress(b"".join(encode(line) + b"\n" for line in lines))
    most = 0
    for cut in range(400, len(packed), 89):
        *frames, torn = read(write_file(tmp_path / "r.gz", packed[:cut]))
        assert torn.kind == "torn"
        assert frames == lines[: len(frames)]
        assert len(frames) >= most
        most = len(frames)
    assert most > 190


HOSTILE = {
    "nothing": b"",
    "one torn line": b'{"t":"recv","ts_',
    "a web page": b"<!DOCTYPE html><html></html>",
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40,
    "other JSON": b'{"price":1}\n',
    "a list": b"[1,2,3]\n",
    "an unknown kind": b'{"t":"exec","ts_ns":1,"data":""}\n',
    "1e308": b'{"t":"recv","ts_ns":1e308,"data":""}\n',
    "a huge time": b'{"t":"recv","ts_ns":99999999999999999999,"data":""}\n',
    "a negative time": b'{"t":"recv","ts_ns":-1,"data":""}\n',
    "NaN": b'{"t":"recv","ts_ns":NaN,"data":""}\n',
    "data of another type": b'{"t":"recv","ts_ns":1,"data":{"a":1}}\n',
    "deep nesting": b'{"t":"recv","x":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}\n",
    "UTF-16": PLAIN.decode().encode("utf-16"),
    "Latin-1": '{"t":"recv","ts_ns":1,"data":"ü"}\n'.encode("latin-1"),
    "a lone surrogate": b'{"t":"recv","ts_ns":1,"data":"\\ud800"}\n',
    "10 million characters": b'{"t":"recv","ts_ns":1,"data":' + b"1" * 10_000_000 + b"}\n",
    "a blank line": b"\n",
    "damaged gzip": gzip.compress(b"")[:-8] + b"\x00" * 8 + b"garbage",
    "half a gzip header": b"\x1f\x8b\x08",
    "another CSV": b"exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_reader_refuses_hostile_file_by_line_number(tmp_path: Path, content: bytes) -> None:
    """What is no recording is refused at once, by the number of the line and a short sentence."""
    begun = time.process_time()
    with pytest.raises(RecordingError, match=r"^line 1: .{10,300}$"):
        list(read(write_file(tmp_path / "r", content)))
    assert time.process_time() - begun < 2


def test_reader_names_bad_line_after_yielding_those_before(tmp_path: Path) -> None:
    """A bad line in the middle is named by its number, after every line before it was given."""
    frames = read(write_file(tmp_path / "r", PLAIN[: PLAIN.index(b"\n") + 1] * 3 + b"nonsense\n"))
    assert [next(frames) for _ in range(3)] == FRAMES[:1] * 3
    with pytest.raises(RecordingError, match=r"^line 4: .*nonsense"):
        next(frames)


@pytest.mark.parametrize("filler", [b"\0", b"\n", b" ", encode(RecordedFrame("recv", 1, "x" * 100_000)) + b"\n"])
def test_reader_gives_up_gzip_bomb_in_bounded_time_and_memory(tmp_path: Path, filler: bytes) -> None:
    """A small file that unpacks to a gigabyte is given up in bounded time and memory."""
    bomb = gzip.compress(filler * (2**20 // len(filler)), 1) * 1024
    tracemalloc.start()
    begun = time.process_time()
    try:
        with pytest.raises(
            RecordingError, match=r"longer than|unpacks to over|no line of a recording|no form that is known"
        ):
            for _ in read(write_file(tmp_path / "r.gz", bomb), max_bytes=80 * 2**20):
                pass
        assert tracemalloc.get_traced_memory()[1] < 200 * 2**20
    finally:
        tracemalloc.stop()
    assert time.process_time() - begun < 5


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, len(PLAIN)), st.integers(0, 40), st.booleans())
@example(b"\n", 0, 0, False)
def test_reader_raises_only_recording_errors_on_any_junk(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, place: int, gone: int, packed: bool
) -> None:
    """Junk put anywhere into a recording, before or after packing, gives frames or a RecordingError, nothing else."""
    content = gzip.compress(PLAIN) if packed else PLAIN
    place %= len(content) + 1
    file = write_file(tmp_path_factory.getbasetemp() / "fuzz", content[:place] + junk + content[place + gone :])
    with suppress(RecordingError):
        assert all(isinstance(frame, RecordedFrame) for frame in read(file))


@settings(deadline=None)
@given(st.text(), st.none() | st.integers(0, 2**63 - 1), st.sampled_from(sorted(format.FRAME_KINDS)))
def test_decode_returns_any_encoded_text(text: str, market_ns: int | None, kind: str) -> None:
    """Any text survives the envelope, in one line."""
    text = text.encode("utf-8", "replace").decode()
    line = encode(RecordedFrame(kind, market_ns, text, text))
    assert b"\n" not in line
    assert decode(line) == (kind, market_ns, text, text)


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz"])
def test_recorder_writes_what_it_was_given(tmp_path: Path, name: str) -> None:
    """A closed recording has a meta line and every frame; marks of the player are left out; nothing is overwritten."""
    path = tmp_path / name
    recorder = Recorder("okx", "BTC-USDT-SWAP", {"entity": "eea"})
    recorder.start(path)
    for frame in [
        *FRAMES,
        RecordedFrame("idle", None),
        RecordedFrame("end", None),
        RecordedFrame("torn", None, "x"),
        RecordedFrame("meta", None, "{}"),
    ]:
        recorder.write(frame)
    recorder.close()
    recorder.close()
    first, *rest = read(path)
    about = json.loads(first.message)
    assert (first.kind, about["venue"], about["symbol"], about["version"]) == ("meta", "okx", "BTC-USDT-SWAP", 1)
    assert about["entity"] == "eea"
    assert "created" in about
    assert rest == FRAMES
    assert (recorder.frames, recorder.bytes, recorder.error) == (len(FRAMES), path.stat().st_size, None)
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        recorder.start(path)
    recorder.write(FRAMES[0])
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("frames", "is_kept"),
    [
        ([], False),
        (FRAMES[:2], False),
        (FRAMES[2:3], True),
        (FRAMES[3:4], True),
        ([RecordedFrame("book", 1, "1,2")], True),
    ],
    ids=["nothing", "only what was sent", "a message", "a REST body", "a whole book"],
)
@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz"])
def test_recorder_keeps_no_file_into_which_nothing_was_received(
    tmp_path: Path, name: str, frames: list[RecordedFrame], is_kept: bool
) -> None:
    """While it is recorded there is a file. At the end it is removed unless the venue sent something."""
    path = tmp_path / name
    recorder = Recorder("okx", "BTC-USDT-SWAP")
    for _ in range(1 if is_kept else 2):
        recorder.start(path)
        assert path.exists()
        for frame in frames:
            recorder.write(frame)
        recorder.close()
        assert (recorder.frames, recorder.received, recorder.error) == (len(frames), int(is_kept), None)
        assert path.exists() == is_kept
        assert list(tmp_path.iterdir()) == [path] * is_kept


def test_recorder_keeps_order_of_each_of_many_threads(tmp_path: Path) -> None:
    """Frames written by several threads at once are all there, each thread's in its order."""
    path = tmp_path / "r.jsonl.gz"
    recorder = Recorder()
    recorder.start(path)

    def write(name: str) -> None:
        for number in range(2000):
            recorder.write(RecordedFrame("recv", number, name))

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.close()
    frames = read_frames(path)
    assert len(frames) == 8000
    for name in "abcd":
        assert [frame.market_ns for frame in frames if frame.message == name] == list(range(2000))


def test_recording_is_readable_within_a_second(tmp_path: Path) -> None:
    """What was written is in the file a second later, while the recorder goes on."""
    path = tmp_path / "r.jsonl.gz"
    recorder = Recorder()
    recorder.start(path)
    for frame in FRAMES[:3]:
        recorder.write(frame)
        begun = time.monotonic()
        while read_frames(path)[-1:] != [frame]:
            assert time.monotonic() - begun < 1
            time.sleep(0.01)
    assert [frame.kind for frame in read(path)][-1] == "torn"
    recorder.close()


def test_recorder_stops_with_error_when_disk_is_too_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When more waits than may, recording stops with an error instead of eating the memory."""
    monkeypatch.setattr(recorder_module, "_MAX_PENDING", 1000)
    monkeypatch.setattr(recorder_module, "_FLUSH_S", 60)
    recorder = Recorder()
    recorder.start(tmp_path / "r.jsonl")
    for _ in range(3):
        recorder.write(RecordedFrame("recv", 1, "x" * 400))
    assert recorder.error == "the disk is too slow: over 1,000 characters wait to be written"
    assert not recorder.recording
    recorder.close()


def start_process(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_recorder_stops_with_error_when_disk_is_full(tmp_path: Path) -> None:
    """When the disk takes no more, the recorder says so, and every frame before that is readable."""
    path = tmp_path / "r.jsonl"
    process = start_process(
        """
        import resource, sys, time
        from recording.recorder import Recorder
        from recording.format import RecordedFrame
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        recorder = Recorder()
        recorder.start(sys.argv[1])
        number = 0
        while recorder.recording:
            recorder.write(RecordedFrame("recv", number, "x" * 500))
            number += 1
            time.sleep(0.005)
        recorder.close()
        print(recorder.frames, recorder.error)
        """,
        path,
    )
    with process:
        output, _ = process.communicate(timeout=30)
    count, error = output.split(" ", 1)
    assert "File too large" in error
    assert str(path) in error
    *frames, torn = read(path)
    assert torn.kind == "torn"
    assert [frame.market_ns for frame in frames[1:]] == list(range(len(frames) - 1))
    assert path.stat().st_size == 100_000
    assert len(frames) - 1 >= int(count) > 20


def check_killed_recorders(folder: Path, name: str, times: list[float]) -> None:
    """Start one recorder for each time, kill it so many seconds after its first frame, and check what is left."""
    script = """
        import os, struct, sys, time
        from recording.recorder import Recorder
        from recording.format import RecordedFrame
        recorder = Recorder("okx", "BTC-USDT")
        recorder.start(sys.argv[1])
        seen = os.open(sys.argv[2], os.O_CREAT | os.O_RDWR)
        number = 0
        while True:
            now = time.monotonic_ns()
            recorder.write(RecordedFrame("recv", now, f"{number} {os.urandom(100).hex()}"))
            first = now if not number else first
            os.pwrite(seen, struct.pack("4q", number, first, now, recorder.frames), 0)
            if not number:
                print("begun", flush=True)
            number += 1
            time.sleep(0.0005)
        """
    paths = [(folder / f"{index}{name}", folder / f"{index}.seen") for index in range(len(times))]
    processes = [start_process(script, path, seen) for path, seen in paths]
    try:
        for process in processes:
            assert process.stdout
            assert process.stdout.readline() == "begun\n"
        begun = time.monotonic()
        for seconds, process in sorted(zip(times, processes, strict=True), key=lambda pair: pair[0]):
            time.sleep(max(0.0, begun + seconds - time.monotonic()))
            process.send_signal(signal.SIGKILL)
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    for path, seen in paths:
        last, first_ns, last_ns, flushed = memoryview(seen.read_bytes()).cast("q")
        about, *frames = read(path)
        assert about.kind == "meta"
        if frames and frames[-1].kind == "torn":
            frames.pop()
        assert [int(frame.message.split()[0]) for frame in frames] == list(range(len(frames)))
        assert flushed <= len(frames) <= last + 2
        on_disk_ns = frames[-1].market_ns if frames else first_ns
        assert on_disk_ns is not None
        assert last_ns - on_disk_ns < 1e9


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
@pytest.mark.parametrize("name", [".jsonl", ".jsonl.gz"])
def test_recording_survives_kill_9(tmp_path: Path, name: str) -> None:
    """A recorder killed at a random moment leaves every line up to a second before, in order and readable."""
    check_killed_recorders(tmp_path, name, [KILL_TIMES.uniform(0, 1.5) for _ in range(2)])


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
def test_recording_survives_kill_9_fifty_times(tmp_path: Path) -> None:
    """The same at fifty random moments."""
    for batch in range(25):
        folder = tmp_path / str(batch)
        folder.mkdir()
        check_killed_recorders(folder, ".jsonl.gz", [KILL_TIMES.uniform(0, 3) for _ in range(2)])


def test_recorder_unwraps_served_frames(tmp_path: Path) -> None:
    """A recorder on a loopback market keeps the frames inside the envelope, and its own connection not at all."""
    recorder = Recorder()
    recorder.start(tmp_path / "r.jsonl")
    recorder.on_served_frame("connect", 9, "ws://127.0.0.1:1", "ws://127.0.0.1:1")
    recorder.on_served_frame("recv", 9, encode(FRAMES[0]).decode())
    recorder.on_served_frame("recv", 9, b"\n".join(encode(frame) for frame in FRAMES[1:3]) + b"\n")
    recorder.on_served_frame("recv", 9, '{"t":"idle","ts_ns":null}')
    recorder.close()
    assert read_frames(tmp_path / "r.jsonl") == FRAMES[:3]


def test_recorder_keeps_frames_of_venue_client(tmp_path: Path) -> None:
    """A recorder on a venue's client keeps what was sent and received; a connection has an address and no text."""
    recorder = Recorder()
    recorder.start(tmp_path / "r.jsonl")
    recorder.on_frame("connect", 1, "wss://v.example", "wss://v.example")
    recorder.on_frame("send", 2, "ping", None)
    recorder.on_frame("recv", 3, b"\xffbroken", None)
    recorder.close()
    frames = read_frames(tmp_path / "r.jsonl")
    assert frames == [
        RecordedFrame("connect", 1, "", "wss://v.example"),
        RecordedFrame("send", 2, "ping"),
        RecordedFrame("recv", 3, "\ufffdbroken"),
    ]
    assert all((a.market_ns or 0) < (b.market_ns or 0) for a, b in pairwise(frames))
