"""Say what a file holds: its market, its lines, its time and its books."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from feeds import VENUES, Feed
from feeds.gomarket import GomarketFeed
from orderbook import BookError
from recording.format import RecordingError
from recording.opening import Opening
from recording.reader import read
from recording.replay_feed import FEED_KINDS, ReplayFeed, facts_of, meta


def feed_of(venue: str, symbol: str, about: Mapping[str, object]) -> Feed | None:
    """Return a feed for a recording of this market; None if the market is not known here. Raises ValueError.

    about: what the recording says of itself.
    """
    if venue in VENUES and symbol:
        return VENUES[venue].with_facts(symbol, facts_of(about)).make_feed(symbol)
    # The rows of a foreign file are whole books or changes, which need no venue's feed.
    return GomarketFeed(venue, symbol, 1.0) if "opened_as" in about else None


def describe(path: Path, opening: Opening) -> tuple[list[str], bool]:
    """Return what the file holds, as lines for a terminal, and whether it is broken somewhere.

    Raises OSError, and ValueError where nothing of it can be read.
    """
    about = meta(path, opening)
    venue = str(opening.venue or about.get("venue", ""))
    symbol = str(opening.symbol or about.get("symbol", ""))
    inner = feed_of(venue, symbol, about)
    feed = None if inner is None else ReplayFeed(inner)
    kinds: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    first_ns = 2**63
    last_ns = -1
    end = "whole"
    try:
        for frame in read(path, opening=opening):
            if frame.kind == "torn":
                end = frame.message
                break
            kinds[frame.kind] += 1
            if frame.market_ns is not None:
                first_ns = min(first_ns, frame.market_ns)
                last_ns = max(last_ns, frame.market_ns)
            if feed is None:
                continue
            try:
                outcome = "ignored" if feed.apply(frame, 0) is None else "books"
            except BookError as error:
                outcome = "refused"
                reasons[str(error)[:100]] += 1
            if frame.kind in FEED_KINDS:
                outcomes[outcome] += 1
    except RecordingError as error:
        end = f"broken: {error}"
    said = [f"{key} {value}" for key, value in about.items() if key not in ("t", "opened_as")]
    lines = [f"says of itself: {', '.join(said) or 'nothing'}"]
    if "opened_as" in about:
        lines.append(f"opened as: {about['opened_as']}")
    lines.append(f"lines: {', '.join(f'{kind} {count}' for kind, count in kinds.items())}")
    lines.append(f"time: {time_span(first_ns, last_ns) if last_ns >= 0 else 'not noted'}")
    if feed is None:
        lines.append("books: not counted; say --venue and --symbol")
    else:
        counts = ", ".join(f"{name} {outcomes[name]}" for name in ("books", "refused", "ignored"))
        lines.append(f"read as {venue} {symbol}: {counts}")
    lines += [f"  refused {count} times: {reason}" for reason, count in reasons.most_common(5)]
    lines.append(f"end: {end}")
    return lines, end.startswith("broken")


def time_span(first_ns: int, last_ns: int) -> str:
    """Return the span in words; without a date where the clock began with the machine.

    >>> time_span(1747307617714000000, 1747307633413000000)
    '15.7 s from 2025-05-15 11:13:37 UTC'
    """
    begin = datetime.fromtimestamp(first_ns / 1e9, UTC)
    return f"{(last_ns - first_ns) / 1e9:.1f} s" + (f" from {begin:%Y-%m-%d %H:%M:%S} UTC" if begin.year > 2000 else "")
