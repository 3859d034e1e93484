"""Files packed by others: gzip, Zstandard and zip with any members, told by content, in bounded memory."""

from __future__ import annotations

import bz2
import gzip
import io
import tracemalloc
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recording import unpacking
from recording.format import RecordedFrame, RecordingError, encode
from recording.reader import read
from recording.unpacking import Lines
from tests.recording.test_tardis_csv import header, row

FRAMES = [RecordedFrame("recv", n, f"{n} {n**99}") for n in range(300)]
PLAIN = b"".join(encode(frame) + b"\n" for frame in FRAMES)
CSV = "\n".join([header(5), *(row(5, n) for n in range(20)), ""]).encode()


def zst(content: bytes) -> bytes:
    packed: bytes = pa.Codec("zstd").compress(content, asbytes=True)
    return packed


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


PACKED = {
    "plain": PLAIN,
    "gzip": gzip.compress(PLAIN),
    "zstd": zst(PLAIN),
    "two zstd frames": zst(PLAIN[:1000]) + zst(PLAIN[1000:]),
    "zip": zipped({"a.jsonl": PLAIN}),
    "stored zip": zipped({"a.jsonl": PLAIN}, zipfile.ZIP_STORED),
    "zip with lzma": zipped({"a.jsonl": PLAIN}, zipfile.ZIP_LZMA),
    "zip with gzip inside": zipped({"a.gz": gzip.compress(PLAIN)}),
    "zip with zstd inside": zipped({"a": zst(PLAIN)}),
    "zip behind other bytes": b"PK\x03\x04" + zipped({"a.jsonl": PLAIN}),
    "members in the order of their names": zipped(
        {
            "day/2.jsonl": b"".join(encode(frame) + b"\n" for frame in FRAMES[100:]),
            "__MACOSX/day/._1.jsonl": b"no recording",
            ".DS_Store": b"no recording",
            "day/1.jsonl": b"".join(encode(frame) + b"\n" for frame in FRAMES[:100]).rstrip(),
            "day/": b"",
        }
    ),
}


@pytest.mark.parametrize("content", PACKED.values(), ids=PACKED.keys())
@pytest.mark.parametrize("name", ["file", "file.jsonl", "file.gz", "file.zip", "file.csv"])
def test_packing_is_told_by_content(tmp_path: Path, content: bytes, name: str) -> None:
    """However it is packed and whatever its name: the frames are the same."""
    assert list(read(write(tmp_path / name, content))) == FRAMES


def test_header_of_every_member_is_left_out(tmp_path: Path) -> None:
    """Days of one market in one zip, each with the same header, read as one table."""
    rows = CSV.split(b"\n")
    days = {f"{n}.csv": b"\n".join([rows[0], *rows[1 + 5 * n : 6 + 5 * n], b""]) for n in range(4)}
    frames = list(read(write(tmp_path / "days.zip", zipped(days))))
    assert frames == list(read(write(tmp_path / "plain.csv", CSV)))
    assert len(frames) == 21


def test_progress_is_of_the_packed_file(tmp_path: Path) -> None:
    """What was read never exceeds the file, whose end is reached or nearly so."""
    for name, content in PACKED.items():
        seen: list[int] = []
        path = write(tmp_path / "file", content)
        assert list(read(path, on_read=seen.append))
        assert seen, name
        assert max(seen) <= len(content), name


@pytest.mark.parametrize("pack", [zst, gzip.compress])
def test_packed_file_cut_at_any_byte_gives_whole_lines(tmp_path: Path, pack: object) -> None:
    """A run of whole lines from the first on, then a torn frame."""
    assert callable(pack)
    lines = [RecordedFrame("recv", n, f"{n} {n**99}") for n in range(3000)]
    packed = pack(b"".join(encode(line) + b"\n" for line in lines))
    for cut in range(len(packed) // 2, len(packed), len(packed) // 40):
        *frames, torn = read(write(tmp_path / "r", packed[:cut]))
        assert torn.kind == "torn"
        assert frames == lines[: len(frames)]
        assert len(frames) > 0.9 * 3000 * cut / len(packed) - 400


DAMAGED = {
    "a zip without its directory": zipped({"a": PLAIN})[:-40],
    "an empty zip": zipped({}),
    "only folders": zipped({"a/": b""}),
    "half an end record": b"PK\x05\x06\x00\x00",
    "a damaged member": zipped({"a": PLAIN}).replace(PLAIN[:1], b"", 1)[:60]
    + b"\xff" * 40
    + zipped({"a": PLAIN})[100:],
    "a zip in a zip": zipped({"a": zipped({"b": PLAIN})}),
    "damaged zstd": zst(PLAIN)[:30] + b"\xff" * 30 + zst(PLAIN)[60:],
    "half a zstd header": b"\x28\xb5\x2f\xfd",
    "bzip2": bz2.compress(PLAIN),
    "a picture in a zip": zipped({"a.png": b"\x89PNG\r\n\x1a\n" + bytes(range(256))}),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_package_is_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    """Named by the line that could not be read."""
    with pytest.raises(RecordingError, match=r"^line \d+: .{10,300}$"):
        list(read(write(tmp_path / "r", content)))


def test_encrypted_member_is_refused(tmp_path: Path) -> None:
    """Nobody is asked for a password."""
    content = bytearray(zipped({"a": PLAIN}))
    content[6] |= 1  # the flag in the member's own header
    content[content.rfind(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(RecordingError, match=r"^line 1: .*encrypted"):
        list(read(write(tmp_path / "r", bytes(content))))


@pytest.mark.parametrize(
    "pack", [zst, lambda content: zipped({"a": content}), lambda c: zipped({"a": gzip.compress(c)})]
)
def test_bomb_is_given_up_in_bounded_memory(tmp_path: Path, pack: object) -> None:
    """A small file that unpacks to 300 MB is given up at the bound, and memory stays small."""
    assert callable(pack)
    line = encode(RecordedFrame("recv", 1, "x" * 100_000)) + b"\n"
    path = write(tmp_path / "bomb", pack(line * 3000))
    assert path.stat().st_size < 2**20
    tracemalloc.start()
    try:
        with pytest.raises(RecordingError, match="unpacks to over 80,000,000 bytes"):
            for _ in read(path, max_bytes=80_000_000):
                pass
        assert tracemalloc.get_traced_memory()[1] < 30 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("is_zip64", [False, True])
def test_zip_with_too_many_members_is_refused_before_they_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_zip64: bool
) -> None:
    """The directory is not read into memory, in the old form and in that of large files."""
    if is_zip64:
        monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 100)
    content = zipped({f"{n}.csv": b"" for n in range(1000)})
    assert (b"PK\x06\x07" in content) is is_zip64
    monkeypatch.setattr(unpacking, "MAX_ZIP_DIRECTORY_BYTES", 10_000)
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(RecordingError, match="directory takes up"):
        list(read(write(tmp_path / "r", content)))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(PACKED)), st.data())
def test_mutated_package_gives_named_errors_only(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    """Bytes changed anywhere: lines, or a sentence with the line's number."""
    content = bytearray(PACKED[name])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    path = write(tmp_path_factory.mktemp("mutated") / "r", bytes(content))
    n_bytes = 0
    refusal = "line"
    try:
        for line in Lines(path, 10_000_000):
            n_bytes += len(line)
    except RecordingError as error:
        refusal = str(error)
    assert refusal.startswith("line")
    assert n_bytes <= 10_000_000
