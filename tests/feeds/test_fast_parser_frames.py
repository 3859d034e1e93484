"""Check that compiled code and the typed decoder read any frame as the same doubles, or both refuse it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from feeds import VENUES, gomarket, market_simulator
from feeds.base import timestamp_ns
from feeds.fast_parser import read_frame
from orderbook import BookError
from recording.reader import read

SYMBOL = "BTC-USDT-SWAP"
TIME = "2025-05-04T10:39:13Z"
HEAD = f'"timestamp":"{TIME}","exchange":"OKX","symbol":"{SYMBOL}"'
ASKS, BIDS = '[["95445.5","9.06"],["95448","2.05"]]', '[["95445.4","1104.23"],["95445.3","0.02"]]'
SIDES_LAST, SIDES_FIRST = f"{{{HEAD},%s}}", f"{{%s,{HEAD}}}"
"""The two places where the sides stand in the gateway's frames."""

digits = st.text("0123456789", min_size=1, max_size=15)
whole_numbers = digits.map(lambda text: text.lstrip("0") or "0")


@st.composite
def numbers(draw: st.DrawFn) -> str:
    """Draw a positive number of up to 15 digits, written as a venue does."""
    before = draw(whole_numbers)
    after = draw(st.text("0123456789", max_size=15 - len(before)))
    text = before + ("." + after if after else "")
    return text if float(text) > 0 else draw(st.sampled_from(["1", "0.00000001", "999999999999999"]))


def format_sides(asks: str, bids: str) -> str:
    """Return the two members of a frame that hold its sides."""
    return f'"asks":{asks},"bids":{bids}'


SIDES = format_sides(ASKS, BIDS)


@st.composite
def books(draw: st.DrawFn) -> str:
    """Draw both sides of a book: distinct prices, sorted; the lower ones are bids, the higher ones asks."""
    prices = draw(st.lists(numbers(), min_size=2, max_size=12, unique_by=float))
    prices.sort(key=float)
    best = draw(st.integers(1, len(prices) - 1))
    rows = [f'["{price}","{draw(numbers())}"]' for price in prices]
    return format_sides(f"[{','.join(rows[best:])}]", f"[{','.join(rows[:best][::-1])}]")


@settings(deadline=None, max_examples=300)
@given(
    text=books(), size_unit=st.sampled_from([1.0, 0.01, 0.1, 0.001]), form=st.sampled_from([SIDES_LAST, SIDES_FIRST])
)
def test_numbers_are_the_doubles_nearest_to_their_decimals(text: str, size_unit: float, form: str) -> None:
    """Each number is the written fraction, rounded once; a size is then multiplied by its unit."""
    levels, asks, time_ns = read_frame((form % text).encode(), SYMBOL.encode(), size_unit)
    written = [float(Fraction(number)) for number in re.findall(r'"([0-9.]+)"', text)]
    assert levels.ravel().tolist() == (np.array(written).reshape(-1, 2) * [1.0, size_unit]).ravel().tolist()
    assert asks == text[: text.index("bids")].count('["')
    assert time_ns == timestamp_ns(TIME)


times = st.one_of(
    st.datetimes().map(lambda time: time.isoformat()),
    st.from_regex(r"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]", fullmatch=True),
    st.dates().map(lambda day: f"{day}T00:00:00"),
)
fractions = st.one_of(st.just(""), st.from_regex(r"[.][0-9]{0,10}", fullmatch=True))
zones = st.sampled_from(["Z", "+00:00", "", "+02:00", "-00:00", "z", "+00:000"])


@settings(deadline=None, max_examples=1000)
@given(time=times, fraction=fractions, zone=zones)
@example(time="2024-02-29T23:59:59", fraction=".999999999", zone="Z")
@example(time="2100-02-29T00:00:00", fraction="", zone="Z")
@example(time="2000-02-29T00:00:00", fraction="", zone="Z")
@example(time="2025-02-29T00:00:00", fraction="", zone="Z")
@example(time="1971-01-01T00:00:00", fraction="", zone="Z")
@example(time="2261-12-31T23:59:59", fraction=".999999999", zone="Z")
@example(time="2262-12-31T23:59:59", fraction="", zone="Z")
@example(time="2025-05-04T24:00:00", fraction="", zone="Z")
@example(time="2025-05-04 10:39:13", fraction="", zone="Z")
@example(time="2025-05-04x10:39:13", fraction="", zone="Z")
@example(time="2025-05-0:T10:39:13", fraction="", zone="Z")
@example(time="19:1-05-04T10:39:13", fraction="", zone="Z")
@example(time="2025x05-04T10:39:13", fraction="", zone="Z")
@example(time="2025-05x04T10:39:13", fraction="", zone="Z")
@example(time="2025-05-04T10x39:13", fraction="", zone="Z")
@example(time="2025-05-04T10:39x13", fraction="", zone="Z")
def test_time_is_that_of_the_calendar_or_left_to_the_typed_decoder(time: str, fraction: str, zone: str) -> None:
    """The compiled code reads the times from 1971 to 2261 in UTC, to the nanosecond, and no other or impossible one."""
    written = time + fraction + zone
    frame = (SIDES_LAST % SIDES).replace(TIME, written)
    levels, asks, time_ns = read_frame(frame.encode(), SYMBOL.encode(), 1.0)
    if asks:
        assert time_ns == timestamp_ns(written)
    else:
        assert (len(levels), asks, time_ns) == (0, 0, 0)
        has_known_form = re.fullmatch(
            r"(19[7-9]|2[01]|22[0-5])[0-9]+-[0-9-]+T[0-9:]+([.][0-9]{1,9})?(Z|[+]00:00)", written
        )
        if has_known_form and not written.startswith("1970"):
            with pytest.raises(BookError):
                timestamp_ns(written)


def parse_outcome(frame: str | bytes, depth: int | None = None) -> tuple[object, ...] | str:
    """Return all that the frame's book holds, or why there is no book: "refused" or "of another symbol"."""
    try:
        book = VENUES["gomarket-okx"].make_feed("BTC-USDT-SWAP", depth).parse(frame, 1, 2)
    except BookError:
        return "refused"
    if book is None:
        return "of another symbol"
    assert not book.asks.flags.writeable
    assert not book.bids.flags.writeable
    return book.asks.tolist(), book.bids.tolist(), book.exchange_ns, book.market_ns, book.received_ns


edits = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.integers(0, 3),
        st.one_of(st.text('0123456789.",[]{}:-+eE \\n', max_size=2), st.sampled_from(["swap", "twice", "0000000000"])),
    ),
    max_size=3,
)


def apply_edits(frame: str, edits: list[tuple[int, int, str]]) -> str:
    """Apply edits of (place, removed characters, new text); "swap" reverses the characters, "twice" repeats them."""
    for place, n_removed, inserted in edits:
        start = place % len(frame)
        piece = frame[start : start + n_removed + 1]
        new = {"swap": piece[::-1], "twice": piece * 2}.get(inserted, inserted)
        frame = frame[:start] + new + frame[start + n_removed :]
    return frame


@settings(deadline=None, max_examples=1000)
@given(text=books(), form=st.sampled_from([SIDES_LAST, SIDES_FIRST]), edits=edits, depth=st.sampled_from([None, 1, 3]))
@example(text=format_sides(BIDS, ASKS), form=SIDES_LAST, edits=[], depth=None)
@example(text=format_sides(ASKS, ASKS), form=SIDES_LAST, edits=[], depth=None)
@example(text=SIDES.replace("95448", "95445.5"), form=SIDES_LAST, edits=[], depth=None)
@example(text=SIDES.replace("95448", "95445.5"), form=SIDES_LAST, edits=[], depth=1)
@example(text=SIDES.replace("95445.3", "95445.4"), form=SIDES_LAST, edits=[], depth=None)
@example(text=SIDES.replace("95445.3", "95445.4"), form=SIDES_LAST, edits=[], depth=1)
@example(text=SIDES.replace("9.06", "0"), form=SIDES_LAST, edits=[], depth=None)
@example(text=SIDES.replace("9.06", "9." + "6" * 17), form=SIDES_LAST, edits=[], depth=None)
@example(text=SIDES.replace("9.06", "9" * 25), form=SIDES_LAST, edits=[], depth=None)
@example(text=SIDES + ',"asks":[]', form=SIDES_FIRST, edits=[], depth=None)
@example(text=SIDES + ',"\\u0061sks":[["95446","1"]]', form=SIDES_FIRST, edits=[], depth=None)
@example(text='"asks":[],' + SIDES, form=SIDES_LAST, edits=[], depth=None)
@example(text='"asks":[["1","2"]],' + SIDES, form=SIDES_LAST, edits=[], depth=None)
def test_fast_and_typed_reading_agree_on_altered_frames(
    text: str, form: str, edits: list[tuple[int, int, str]], depth: int | None
) -> None:
    """A space after a frame sends it to the typed decoder, which gives the same book to the last bit or refuses too."""
    frame = apply_edits(form % text, edits)
    assert parse_outcome(frame, depth) == parse_outcome(frame + " ", depth)
    assert parse_outcome(frame.encode(), depth) == parse_outcome(frame, depth)


@pytest.mark.parametrize(
    "wrong",
    [
        "[]",
        "[[]]",
        '[["1"]]',
        '[["1","2","3"],["4"]]',
        '[["1"],["2","3","4"]]',
        '[["1","2"],]',
        '[["1","2"]',
        '[["1","2",]',
        '[["1","2"] ]',
        '[["1";"2"]]',
        '[["1","2"];["4","5"]]',
        '[["1", "2"]]',
        "[[1,2]]",
        '[["1","2"3]]',
        '[["1","2"]3,["4","5"]]',
        '[["1",2""]]',
        '[["1","2,3"],["4","5"]]',
        '[["1","2]"],["4","5"]]',
        *(
            f'[["{number}","2"]]'
            for number in (
                *("", ".", "1.", ".5", "01", "00", "1.2.3", "+1", "-1", "1e5", "0x1", "1_0", " 1", "0", "0.0", "NaN"),
                *("9007199254740993", "0.9007199254740993", "1" * 30, "\\u0031"),
            )
        ),
    ],
)
def test_side_of_unusual_form_is_left_to_the_typed_decoder(wrong: str) -> None:
    """The compiled code reads pairs of quoted digits with one point; the typed decoder reads or refuses all else."""
    for asks, bids in (('[["9","2"]]', wrong), (wrong, '[["0.1","2"]]')):
        levels, rows, time_ns = read_frame((SIDES_LAST % format_sides(asks, bids)).encode(), SYMBOL.encode(), 1.0)
        assert (len(levels), rows, time_ns) == (0, 0, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "{",
        "{}",
        "[]",
        f"{{{HEAD},{SIDES}",
        f"{{{HEAD},{SIDES}}}}}",
        f"{{{HEAD},{SIDES},}}",
        f"{{,{HEAD},{SIDES}}}",
        f"{{{HEAD};{SIDES}}}",
        f"[{HEAD},{SIDES}}}",
        f"{{{HEAD}, {SIDES}}}",
        f"{{{HEAD},{format_sides(BIDS, ASKS)}}}",
        f'{{{HEAD},"bids":{BIDS},"asks":{ASKS}}}',
        f'{{{HEAD},"asks":{ASKS}}}',
        f'{{{HEAD},"bids":{BIDS}}}',
        f'{{"timestamp":"{TIME}",{SIDES}}}',
        f'{{"timestamp":"{TIME}","timestamp":"{TIME}",{SIDES}}}',
        f'{{"symbol":"{SYMBOL}",{SIDES}}}',
        f'{{"symbol":"{SYMBOL}","symbol":"{SYMBOL}",{SIDES}}}',
        *(
            f"{{{HEAD},{SIDES},{more}}}"
            for more in (
                *(f'"asks":{ASKS}', f'"bids":{BIDS}', f'"timestamp":"{TIME}"', f'"symbol":"{SYMBOL}"'),
                *('"asks":""', '"seq":1', '"seq":null', '"seq":[]', '"seq":{}', '"seq":"\\n"', '"\\u0061sks":""'),
                *('"seq":"é"', '"seq":"\n"', '"seq"', '"seq":', 'seq:"1"', '"seq";"1"', '"seq":"1"x', '"seq":"1'),
            )
        ),
        f"{{{HEAD},{SIDES}}}".replace(SYMBOL, SYMBOL + "X"),
        f"{{{HEAD},{SIDES}}}".replace(SYMBOL, SYMBOL[:-1]),
        f"{{{HEAD},{SIDES}}}".replace(f'"{SYMBOL}"', f'",{SYMBOL}"'),
    ],
)
def test_frame_of_unusual_form_is_left_to_the_typed_decoder(wrong: str) -> None:
    """The compiled code reads no frame with a missing, repeated, misplaced or unusual member or of another symbol."""
    levels, rows, time_ns = read_frame(wrong.encode(), SYMBOL.encode(), 1.0)
    assert (len(levels), rows, time_ns) == (0, 0, 0)


@settings(deadline=None, max_examples=500)
@given(text=books(), form=st.sampled_from([SIDES_LAST, SIDES_FIRST]), edits=edits, end=st.integers(0, 400))
def test_fast_and_typed_reading_agree_on_truncated_frames(
    text: str, form: str, edits: list[tuple[int, int, str]], end: int
) -> None:
    """Wherever a frame ends, with or without a brace there, both readings give the same."""
    frame = apply_edits(form % text, edits)
    for truncated in (frame[: end % len(frame)], frame[: end % len(frame)] + "}"):
        assert parse_outcome(truncated) == parse_outcome(truncated + " ")


def iterate_frames(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (venue, frame) of both recordings of the gateway, then of simulated markets of 1, 50 and 400 levels."""
    for day in ("20250510_keyorder", "20250515"):
        path = folder / f"gomarket-okx_BTC-USDT-SWAP_{day}.jsonl.gz"
        yield from (("gomarket-okx", record.message) for record in read(path) if record.kind == "recv")
    for levels in (1, 50, 400):
        yield from (("simulated", text) for _, text in islice(market_simulator.frames(levels=levels), 50))


def test_real_and_simulated_frames_are_read_fast(recordings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the 159 real frames, which have two forms, and none of the simulated ones needs the typed decoder."""

    def fail(*_: object) -> None:
        raise AssertionError("read by the typed decoder")

    monkeypatch.setattr(gomarket, "decode_sides", fail)
    parsed = [VENUES[venue].make_feed("BTC-USDT-SWAP").parse(text, 1, 2) for venue, text in iterate_frames(recordings)]
    assert len(parsed) == 159 + 150
    assert None not in parsed
