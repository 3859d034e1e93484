"""Draw the choice of where prices come from: the exchange itself, a recording, or a typed address."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from feeds import VENUES
from network.http_client import is_loopback
from recording.opening import NOTHING_SAID, Amounts, AmountsError, AmountsUnit, Opening
from recording.recorder import RECORDINGS
from recording.replay_feed import facts_of, meta
from ui.fragments import redraw
from ui.text.formatting import plain
from ui.text.vocabulary import AMOUNTS_WORDS, SOURCE_WORDS

MAX_UPLOAD_MB = 64
MAX_UNPACKED_BYTES = 2**30
"""An uploaded recording may unpack to this much at most."""
RECORDING_SUFFIXES = (".jsonl", ".csv", ".gz")


def source_inputs(venue: str, symbol: str) -> dict[str, Any]:
    """Draw where the prices come from. Return the arguments that this choice adds to `Market`.

    A recording that names its market also brings "venue" and "symbol". "recording" is None until there is one.
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


def recording_files() -> list[Path]:
    """Return the paths in the folder of recordings that can be opened, or are named as if they could, sorted."""
    return sorted(path for path in RECORDINGS.glob("*") if path.suffix in RECORDING_SUFFIXES or is_openable(path))


def is_openable(path: Path) -> bool:
    """Return whether a file begins like one of the forms that are known here, whatever its name."""
    try:
        if path.name.startswith(".") or not path.is_file():
            return False
        status = path.stat()
        recorded_market(path, status.st_mtime_ns, status.st_size)
    except AmountsError:
        return True
    except (OSError, ValueError, RecursionError):
        return False
    return True


class RecordedMarket(NamedTuple):
    """What a file says of itself, 50 characters of each name at most; None where it says nothing.

    opened_as: the sentence about what was assumed of a foreign file; empty for a recording of ours. facts: what it
    knows of its market, as JSON for `Market`; empty for nothing.
    """

    venue: str | None
    symbol: str | None
    opened_as: str
    facts: str

    @property
    def named(self) -> tuple[str, str] | None:
        """The venue and the symbol, if the file names both."""
        return None if self.venue is None or self.symbol is None else (self.venue, self.symbol)


def recording_inputs(venue: str, symbol: str) -> dict[str, Any]:
    """Draw the choice of a recording from the folder or an upload. Return the arguments for `Market`, as above.

    venue, symbol: the choice above, which counts if the recording does not name a market known here.
    """
    path: Path | None = st.selectbox(
        "Recording",
        [*recording_files(), None],
        format_func=lambda path: path.name if path else "Upload a file",
        key="recording",
        on_change=redraw,
        help=f"The files in the folder {RECORDINGS}, where Record puts them too. Or upload one.",
    )
    name = path.name if path else "The file"
    max_bytes = None
    opening = NOTHING_SAID
    try:
        if path is None:
            upload = upload_input()
            if upload is None:
                return {"recording": None}
            path = upload.path
            name = upload.name
            max_bytes = MAX_UNPACKED_BYTES
        status = path.stat()
        try:
            market = recorded_market(path, status.st_mtime_ns, status.st_size)
        except AmountsError as error:
            amounts = amounts_input(error.reason)
            if amounts is None:
                return {"recording": None}
            opening = Opening(amounts=amounts)
            market = recorded_market(path, status.st_mtime_ns, status.st_size, opening)
    except (OSError, ValueError, RecursionError) as error:
        st.error(f"{plain(name)} can't be played: {plain(str(error))}")
        return {"recording": None}
    if market.opened_as:
        st.caption(f"Opened as {plain(market.opened_as)}.")
    source: dict[str, Any] = {"recording": path, "max_bytes": max_bytes, "opening": opening}
    named = market.named
    if named is None:
        if market.venue in VENUES and market.venue != venue:
            st.error(
                f"{plain(name)} is of several symbols of {VENUES[market.venue].title}: choose that exchange above."
            )
            return {"recording": None}
        return source
    if named[0] not in VENUES:
        st.caption(
            f"The recording names {plain(' '.join(named))}, which is not known here, so the choice above counts."
        )
        return source
    if named != (venue, symbol):
        st.caption(f"It is of {VENUES[named[0]].title}, {plain(named[1])}: that counts, not the choice above.")
    return {**source, "venue": named[0], "symbol": named[1], "facts": market.facts}


def amounts_input(reason: str, key: str = "amounts") -> Amounts | None:
    """Draw the choice of a unit for amounts that the file leaves open. Return it; None while there is none.

    key: of the widgets, one for each place where a file is chosen.
    """
    st.caption(f"{plain(reason[:1].upper() + reason[1:])}.")
    unit: AmountsUnit | None = st.selectbox(
        "The amounts are",
        list(AMOUNTS_WORDS),
        index=None,
        format_func=AMOUNTS_WORDS.__getitem__,
        key=key,
        on_change=redraw,
        help="The exchange's documentation says so. Nothing is guessed here.",
    )
    if unit is None:
        return None
    if unit != "contracts":
        return Amounts(unit)
    size = st.number_input(
        "One contract, in base units", min_value=0.0, value=None, format="%g", key=f"{key} size", on_change=redraw
    )
    return Amounts("contracts", size) if size else None


@st.cache_data(show_spinner=False, max_entries=1000)
def recorded_market(path: Path, changed_ns: int, n_bytes: int, opening: Opening = NOTHING_SAID) -> RecordedMarket:  # noqa: ARG001 - for the cache
    """Return the market that a recording names, and what was assumed of it.

    changed_ns, n_bytes: of the file, so that a changed file is read again. Raises OSError, and RecordingError if the
    file does not begin as a recording.
    """
    metadata = meta(path, opening)
    venue, symbol = (name[:50] if isinstance(name := metadata.get(key), str) else None for key in ("venue", "symbol"))
    opened_as = metadata.get("opened_as")
    facts = facts_of(metadata)
    return RecordedMarket(
        venue,
        symbol,
        opened_as if isinstance(opened_as, str) else "",
        msgspec.json.encode(facts).decode() if facts else "",
    )


class Upload:
    """An uploaded file in a folder that only this user can read, deleted once nothing refers to this object."""

    def __init__(self, file: UploadedFile) -> None:
        self.name = file.name
        self.id = file.file_id
        folder = tempfile.mkdtemp(prefix="trade-simulator-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.path = Path(folder, "recording")
        self.path.write_bytes(file.getbuffer())


def upload_input() -> Upload | None:
    """Draw the uploader and return this tab's upload; None while there is none. Raises OSError if it cannot be kept."""
    file = st.file_uploader(
        "A recording",
        key="recording file",
        on_change=redraw,
        max_upload_size=MAX_UPLOAD_MB,
        help="As Record and replay.py make them, a log of an exchange's raw messages, or order books of others "
        "(docs/recordings.md lists them); also packed. The file's content decides, not its name.",
    )
    if file is None:
        st.session_state.pop("upload", None)
        return None
    upload: Upload | None = st.session_state.get("upload")
    if upload is None or upload.id != file.file_id:
        upload = st.session_state.upload = Upload(file)
    return upload
