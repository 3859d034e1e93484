"""Where the prices come from: the exchange itself, a recording, or a typed address."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from feeds import VENUES
from network.http_client import is_loopback
from recording.recorder import RECORDINGS
from recording.replay_feed import meta
from ui.fragments import redraw
from ui.text.formatting import plain
from ui.text.vocabulary import SOURCE_WORDS

MOST_UPLOADED_MB = 64
MOST_UNPACKED = 2**30
"""Bytes that an uploaded recording may unpack to."""


def source_inputs(venue: str, symbol: str) -> dict[str, Any]:
    """Where the prices come from, as Market takes it: the exchange itself, a recording, or a typed address.

    A recording that says what it was made of brings its own venue and symbol. It is None until there is one.
    """
    kind = st.selectbox(
        "Prices from", list(SOURCE_WORDS), format_func=SOURCE_WORDS.__getitem__, key="source", on_change=redraw
    )
    if kind == "recording":
        return recording_inputs(venue, symbol)
    if kind == "address":
        address = st.text_input(
            "Address",
            key="address",
            placeholder="ws://127.0.0.1:8765",
            on_change=redraw,
            help="It must speak the language of the exchange chosen above.",
        ).strip()
        replayed = st.checkbox("A replay server answers there", key="replayed", on_change=redraw)
        if is_readable_on_the_way(address):
            st.warning("ws:// is not encrypted: others on the way can read and change what you see.")
        return {"address": address, "replayed": replayed}
    return {}


def is_readable_on_the_way(address: str) -> bool:
    """Return whether others can read what this address sends: it is not encrypted, and leaves this machine."""
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:  # no address; whoever opens it is told so
        return False
    return address.startswith("ws://") and not is_loopback(host)


def recording_inputs(venue: str, symbol: str) -> dict[str, Any]:
    """A recording of the folder, or one that is uploaded; and what it says it is of."""
    found = sorted(path for path in RECORDINGS.glob("*") if path.suffix in (".jsonl", ".csv", ".gz"))
    path: Path | None = st.selectbox(
        "Recording",
        [*found, None],
        format_func=lambda each: each.name if each else "Upload a file",
        key="recording",
        on_change=redraw,
        help=f"The files in the folder {RECORDINGS}, where Record puts them too. Or upload one.",
    )
    name, limit = path.name if path else "The file", None
    try:
        if path is None:
            upload = uploaded()
            if upload is None:
                return {"recording": None}
            path, name, limit = upload.path, upload.name, MOST_UNPACKED
        status = path.stat()
        said = said_of(path, status.st_mtime_ns, status.st_size)
    except (OSError, ValueError, RecursionError) as error:
        st.error(f"{plain(name)} can't be played: {plain(str(error))}")
        return {"recording": None}
    source = {"recording": path, "max_bytes": limit}
    if said is None:
        return source
    if said[0] not in VENUES:
        st.caption(f"It says it is of {plain(' '.join(said))}, which is not known here, so the choice above counts.")
        return source
    if said != (venue, symbol):
        st.caption(f"It is of {VENUES[said[0]].title}, {plain(said[1])}: that counts, not the choice above.")
    return {**source, "venue": said[0], "symbol": said[1]}


@st.cache_data(show_spinner=False, max_entries=100)
def said_of(path: Path, changed_ns: int, size: int) -> tuple[str, str] | None:  # noqa: ARG001 - the cache uses them
    """The venue and the symbol that a recording says it is of; None if it does not.

    Raises OSError, RecordingError for what does not begin as a recording.
    """
    said = meta(path)
    venue, symbol = said.get("venue"), said.get("symbol")
    return (venue[:50], symbol[:50]) if isinstance(venue, str) and isinstance(symbol, str) else None


class Upload:
    """An uploaded file in a folder that only this user can read, and that is gone once nobody holds this."""

    def __init__(self, file: UploadedFile) -> None:
        self.name, self.id = file.name, file.file_id
        folder = tempfile.mkdtemp(prefix="trade-simulator-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.path = Path(folder, "recording")
        self.path.write_bytes(file.getbuffer())


def uploaded() -> Upload | None:
    """The recording that this tab has uploaded, None while there is none. Raises OSError if it cannot be kept."""
    file = st.file_uploader(
        "A recording",
        type=["jsonl", "jsonl.gz", "csv", "csv.gz"],
        key="recording file",
        on_change=redraw,
        max_upload_size=MOST_UPLOADED_MB,
        help="As Record and replay.py make them, or a book_snapshot CSV of Tardis.",
    )
    if file is None:
        st.session_state.pop("upload", None)
        return None
    kept: Upload | None = st.session_state.get("upload")
    if kept is None or kept.id != file.file_id:
        kept = st.session_state.upload = Upload(file)
    return kept
