"""Where the prices come from: the exchange itself, a recording, or a typed address."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import streamlit as st

from words import SOURCE_WORDS, SPEED_WORDS

RECORDINGS = Path("recordings")


def source_inputs() -> dict[str, Any]:
    """Where the prices come from, as Market takes it: the exchange itself, a recording, or a typed address."""
    kind = st.selectbox("Prices from", list(SOURCE_WORDS), format_func=SOURCE_WORDS.__getitem__, key="source")
    if kind == "recording":
        found = sorted(path for path in RECORDINGS.glob("*") if path.suffix in (".jsonl", ".csv", ".gz"))
        if not found:
            st.info(f"There is no recording in the folder {RECORDINGS} yet: put one there.")
        path = st.selectbox("Recording", found, format_func=lambda each: each.name, key="recording")
        speed = st.selectbox("Speed", list(SPEED_WORDS), index=1, format_func=SPEED_WORDS.__getitem__, key="speed")
        return {"recording": path, "speed": speed}
    if kind == "address":
        address = st.text_input(
            "Address",
            key="address",
            placeholder="ws://127.0.0.1:8765",
            help="It must speak the language of the exchange chosen above.",
        ).strip()
        replayed = st.checkbox("A replay server answers there", key="replayed")
        if address.startswith("ws://") and urlsplit(address).hostname not in ("127.0.0.1", "localhost", "::1"):
            st.warning("ws:// is not encrypted: others on the way can read and change what you see.")
        return {"address": address, "replayed": replayed}
    return {}
