"""Read a volume out of a venue's ticker, and refuse one that cannot be."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from feeds.base import FeedError, decode

LEAST, LARGEST = 1e-9, 1e15
"""Base units a day between which a volume is believed, as those that a user may type."""

T = TypeVar("T")


def checked_volume(text: str | float, what: str) -> float:
    """Return a positive number. Raises FeedError that names the value and what it was of.

    >>> checked_volume("28613220", "BTC_USDT")
    28613220.0
    """
    try:
        volume = float(text)
    except ValueError:
        volume = 0.0
    if not LEAST <= volume <= LARGEST:
        raise FeedError(f"no volume in {str(text)[:40]!r} of {what[:40]}")
    return volume


def decode_ticker(decoder: msgspec.json.Decoder[T], body: str | bytes) -> T:
    """Decode a ticker. Raises FeedError with the beginning of the body if it cannot be read."""
    try:
        return decode(decoder, body)
    except FeedError as error:
        text = body if isinstance(body, str) else body.decode(errors="replace")
        raise FeedError(f"no ticker in {text[:80]!r}: {error}") from None


def only_row(rows: list[T], what: str, refusal: str) -> T:
    """Return the one ticker of a reply. Raises FeedError, with the venue's words, for none and for several."""
    if len(rows) != 1:
        raise FeedError(f"not one ticker but {len(rows)} of {what[:40]} {refusal}".rstrip())
    return rows[0]
