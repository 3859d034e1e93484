"""Check that file names cannot leave their folder, and that files are written whole or not at all."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporting.files import ExportError, safe_stem, write_files

SLASHES = "/ \\ \u2044 \u2215 \u29f8 \uff0f \u29f5 \ufe68 \uff3c"
SLASHES += " \u2571 \u2572 \u27cb \u27cd \u3033 \u30ce \u4e36 \u2e3f \u1735"
DEVICES = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"]
DEVICES += [f"{port}{number}" for port in ("COM", "LPT") for number in "0123456789\u00b9\u00b2\u00b3"]


def hostile_names() -> list[str]:
    """List the names that must be refused, each once."""
    names = []
    for slash in SLASHES.split():
        up = f"..{slash}"
        names += [f"{up}x.csv", f"{up * 8}etc{slash}passwd.csv", f"a{slash}{up}{up}x.csv", f"{slash}tmp{slash}x.csv"]
    for path in ("../x", "..\\x", "../../etc/passwd", "/etc/passwd", "..", "a/../b"):
        once = quote(path, safe="").replace(".", "%2e")
        names += [once, quote(once, safe=""), path.replace("/", "%c0%af").replace(".", "%c0%ae")]
        names += [path.replace("/", "%u2215"), path.replace(".", "&#46;"), path.replace("/", "\\x2f") + "%00.csv"]
        names += ["".join(f"\\u{ord(letter):04x}" for letter in path), path.encode("utf-16-le").decode("latin-1")]
    for device in DEVICES:
        names += [device, f"{device.lower()}.csv", f"{device}.CSV", f"{device}.txt.csv", f"{device} .csv", f"{device}:"]
    names += [f"a{chr(code)}b.csv" for code in (*range(32), *range(127, 160))]
    names += [f"a{mark}b.csv" for mark in "<>:\"|?*$`&;!{}[]()#~^'%@=,"]
    names += [f"{mark}x.csv" for mark in "-=+@~._ $%|&"]
    marks = "\u200b\u200e\u202a\u202e\u2066\u2069\u00a0\u2028\u2029\ufeff\u00ad\ufff9\ufffe\U000e0041\u0301\ud800"
    names += [f"a{mark}b.csv" for mark in marks]
    names += [f"x{dot}csv" for dot in "\u2024\u3002\uff0e\ufe52\u00b7"]
    names += [f"x.csv.{other}" for other in ("exe", "php", "lnk", "bat", "csv", "json", "", " ", "csv.")]
    names += [f"x.{other}.csv" for other in ("exe", "php", "meta", "tar", "csv", "", ".", " ")]
    names += [
        f"x.{other}" for other in ("exe", "json", "parquet", "CSVX", "cs", "c sv", "csv ", "csv.", "csv\n", "csv\0")
    ]
    names += [
        "",
        " ",
        ".",
        "..",
        "...",
        ".csv",
        "..csv",
        ". .csv",
        " .csv",
        "~",
        "~root",
        "~/x",
        "$HOME/x",
        "%TEMP%\\x",
    ]
    names += [
        "C:",
        "C:x.csv",
        "c:\\x.csv",
        "\\\\server\\share\\x",
        "\\\\?\\C:\\x",
        "\\\\.\\PhysicalDrive0",
        "//server/x",
    ]
    names += [
        "x.csv:stream",
        "x.csv::$DATA",
        "file:///etc/passwd",
        "http://a.example/x.csv",
        "/dev/stdin",
        "/proc/self/mem",
    ]
    names += [
        "a" * 101,
        "a" * 10_000,
        "a" * 10_000 + ".csv",
        "../" * 3_000 + "x.csv",
        "\U0001f4a3" * 80,
        ("a" * 300) + "/b",
    ]
    names += [
        "x.csv; rm -rf .",
        "$(id).csv",
        "`id`.csv",
        "x.csv\r\nSet-Cookie: a",
        "<script>.csv",
        "x\x1b[2J.csv",
        "x \n.csv",
    ]
    return list(dict.fromkeys(names))


HOSTILE = hostile_names()
GOOD = ["a", "A.csv", "BTC-USDT_100k", "2025-05-15 buy 5M.CSV", "x" * 100, "0", "console.csv", "com10.csv", "nul-1"]


def test_hostile_names_are_many_and_distinct() -> None:
    """There are over two hundred, and each is different."""
    assert len(HOSTILE) == len(set(HOSTILE)) >= 200


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_name_is_refused(name: str) -> None:
    """The error stays short, whatever the name is."""
    with pytest.raises(ExportError) as refused:
        safe_stem(name, "csv")
    assert len(str(refused.value)) < 800


@pytest.mark.parametrize("name", GOOD)
def test_plain_name_is_accepted(name: str) -> None:
    """It may have its extension, in upper or lower case. Only a name that is exactly a device's is a device."""
    stem = name[:-4] if name.lower().endswith(".csv") else name
    assert safe_stem(name, "csv") == stem


@settings(max_examples=300)
@given(st.one_of(st.text(), st.from_regex(r"[A-Za-z0-9 ._/\\-]{1,20}(\.csv)?", fullmatch=True)))
def test_any_name_stays_in_its_folder_or_is_refused(name: str) -> None:
    """An accepted name is one component of a path, within the folder, with the one extension."""
    try:
        stem = safe_stem(name, "csv")
    except ExportError:
        return
    folder = Path("/exports")
    path = folder / f"{stem}.csv"
    assert Path(os.path.normpath(path)).parent == folder
    assert path.suffixes == [".csv"]
    assert f"{stem}.csv".isascii()
    assert stem.upper() not in DEVICES


def test_files_are_written_whole_into_a_new_folder(tmp_path: Path) -> None:
    """The folder is made, the files hold these bytes, and nothing else is left in it."""
    folder = tmp_path / "new" / "exports"
    write_files(folder, {"a.csv": b"1", "a.meta.json": b"2"}, overwrite=False)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"a.csv": b"1", "a.meta.json": b"2"}


@pytest.mark.parametrize("taken", ["a.csv", "a.meta.json"])
def test_existing_file_keeps_all_files_from_being_written(tmp_path: Path, taken: str) -> None:
    """If one of the names is taken, no file is written."""
    (tmp_path / taken).write_bytes(b"old")
    with pytest.raises(ExportError, match=f"^{taken} is in the folder"):
        write_files(tmp_path, {"a.meta.json": b"new", "a.csv": b"new"}, overwrite=False)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(taken, b"old")]


def test_existing_file_is_replaced_when_overwriting_is_asked_for(tmp_path: Path) -> None:
    """The new bytes take the place of the old ones."""
    (tmp_path / "a.csv").write_bytes(b"old")
    write_files(tmp_path, {"a.csv": b"new"}, overwrite=True)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.csv", b"new")]


@pytest.mark.parametrize("has_target", [True, False], ids=["to a file", "to nothing"])
def test_link_in_a_files_place_is_not_followed(tmp_path: Path, has_target: bool) -> None:
    """It is refused, or replaced when overwriting is asked for; its target stays as it was."""
    target = tmp_path / "target"
    if has_target:
        target.write_bytes(b"precious")
    folder = tmp_path / "exports"
    folder.mkdir()
    (folder / "a.csv").symlink_to(target)
    with pytest.raises(ExportError, match=r"a\.csv is in the folder"):
        write_files(folder, {"a.csv": b"new"}, overwrite=False)
    assert (folder / "a.csv").is_symlink()
    write_files(folder, {"a.csv": b"new"}, overwrite=True)
    assert not (folder / "a.csv").is_symlink()
    assert (folder / "a.csv").read_bytes() == b"new"
    assert (target.read_bytes() == b"precious") if has_target else not target.exists()


def test_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """The message names where it leads."""
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real, target_is_directory=True)
    with pytest.raises(ExportError, match=f"give the folder itself: {real}"):
        write_files(tmp_path / "link", {"a.csv": b""}, overwrite=True)
    assert list(real.iterdir()) == []


def test_failed_write_leaves_no_file_behind(tmp_path: Path) -> None:
    """A folder in the place of a file makes the write fail after the drafts are written: no draft and no file stays."""
    (tmp_path / "b.csv").mkdir()
    with pytest.raises(OSError, match=r"b\.csv"):
        write_files(tmp_path, {"b.csv": b"1", "c.csv": b"2"}, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["b.csv"]


def test_one_of_eight_concurrent_writers_wins(tmp_path: Path) -> None:
    """Eight threads write the same new name at once: one succeeds, seven get an error, and the file is one writer's."""
    outcomes: list[bytes | None] = []
    start = threading.Barrier(8)

    def write(content: bytes) -> None:
        start.wait()
        try:
            write_files(tmp_path, {"a.csv": content}, overwrite=False)
        except ExportError:
            outcomes.append(None)
        else:
            outcomes.append(content)

    threads = [threading.Thread(target=write, args=(bytes([65 + number]) * 100_000,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [content for content in outcomes if content is not None]
    assert len(outcomes) == 8
    assert [path.read_bytes() for path in tmp_path.iterdir()] == winners
