"""The sides of a message as numbers: the same numbers that json and float give, whichever way they are read."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from feeds import FeedError
from feeds.fast_parser import _read_both, read_sides
from tests.support.reference_book import read_envelopes

JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")


def sides(bids: str, asks: str, unit: float = 1.0) -> tuple[list[list[float]], list[list[float]]]:
    levels = read_sides(msgspec.Raw(bids.encode()), msgspec.Raw(asks.encode()), unit)
    for side in levels:
        assert side.dtype == np.float64
        assert side.shape == (len(side), 2)
    return levels[0].tolist(), levels[1].tolist()


def fast(bids: str, asks: str) -> bool:
    """Whether the machine code reads it, without msgspec."""
    begins, ends = _read_both(bids.encode(), asks.encode(), 1.0, np.empty((len(bids + asks), 2)))
    assert begins >= 0 or ends < 0
    return ends >= 0


def number(value: Any) -> float:
    """A JSON number, bare or as the text of one; msgspec also takes the texts of what is no number."""
    if isinstance(value, str) and JSON_NUMBER.fullmatch(value) is None:
        assert value.lower().lstrip("+-") in {"nan", "inf", "infinity"}
        return float(value)
    assert isinstance(value, str | int | float)
    assert not isinstance(value, bool)
    return float(value)


def oracle(text: str) -> list[list[float]]:
    """json and float; an assertion or a ValueError where it is no list of rows that begin with two numbers."""

    def no_constant(name: str) -> None:
        raise ValueError(name)

    rows = json.loads(text, parse_constant=no_constant)
    assert isinstance(rows, list)
    assert all(isinstance(row, list) and len(row) >= 2 for row in rows)
    return [[number(row[0]), number(row[1])] for row in rows]


plain = st.one_of(
    st.decimals(0, 10**9, places=8).map(lambda one: f"{one:f}"),
    st.from_regex(r"(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?", fullmatch=True),
)
written = st.one_of(plain, st.from_regex(r"[-+]?[0-9.]{0,24}(e-?[0-9]{1,2})?", fullmatch=True), st.just("NaN"))


def side_of(one: st.SearchStrategy[str], least: int = 2) -> st.SearchStrategy[str]:
    rows = st.lists(one.map(lambda text: f'"{text}"'), min_size=least, max_size=4)
    return st.lists(rows.map(lambda row: f"[{','.join(row)}]"), max_size=5).map(lambda all_: f"[{','.join(all_)}]")


@settings(deadline=None)
@given(bids=side_of(plain), asks=side_of(plain), unit=st.sampled_from([1.0, 0.01, 100.0]))
@example(bids='[["9007199254740992","9007199254740993"]]', asks='[["0.1","900719925474099.3"]]', unit=1.0)
@example(bids='[["123456789012345678","0.12345678901234567"]]', asks='[["18446744073709551617","1"]]', unit=1.0)
def test_plain_numbers_are_those_that_float_reads(bids: str, asks: str, unit: float) -> None:
    """To the last bit, of any length, in quotes; sizes are multiplied once."""
    expected = [[[price, size * unit] for price, size in oracle(text)] for text in (bids, asks)]
    assert list(sides(bids, asks, unit)) == expected


@settings(deadline=None, max_examples=300)
@given(
    text=st.one_of(side_of(plain), side_of(written, least=1)),
    at=st.integers(0, 100),
    cut=st.integers(0, 2),
    put=st.text('0123456789.",[]-e {}n', max_size=2),
)
def test_a_slip_is_read_as_json_reads_it_or_refused(text: str, at: int, cut: int, put: str) -> None:
    """A few characters more or fewer are either what JSON and float make of them, or refused, on either side."""
    slip = text[:at] + put + text[at + cut :]
    good = '[["1","2"]]'
    for bids, asks in ((slip, good), (good, slip)):
        try:
            read = sides(bids, asks)
        except FeedError:
            assert not fast(bids, asks)
            with pytest.raises((ValueError, AssertionError)):
                # msgspec refuses some of the largest numbers that a float holds; no book has them.
                assert not np.any(np.abs(oracle(slip)) > 1e300)
            continue
        for found, expected in zip(read, (oracle(bids), oracle(asks)), strict=True):
            assert np.array_equal(found, expected, equal_nan=True)


@settings(deadline=None)
@given(one=st.binary(max_size=40), other=st.binary(max_size=40))
def test_bytes_of_any_kind_raise_nothing_else(one: bytes, other: bytes) -> None:
    """The reader stays within its texts and its array, whatever they are."""
    with suppress(FeedError):
        read_sides(msgspec.Raw(one), msgspec.Raw(other))
    levels = np.full((len(one + other) // 10 + 2, 2), math.pi)
    _read_both(one, other, 1.0, levels)
    assert levels[-1].tolist() == [math.pi, math.pi]


@pytest.mark.parametrize(
    ("text", "is_fast"),
    [
        ("[]", True),
        ('[["95445.5","9.06"]]', True),
        ('[["95445.5","9.06","0","4"],["95448","2.05"]]', True),
        ('[["0","0.00000000"]]', True),
        ('[["9007199254740992","1"]]', True),
        ('[["9007199254740993","1"]]', False),
        ('[["1.000000000000000000","1"]]', False),
        ("[[95445.5,9.06]]", False),
        ('[["1", "2"]]', False),
        ('[["1e3","2"]]', False),
        ('[["-1","2"]]', False),
        ('[["1","2",{"since":[3]}]]', False),
    ],
)
def test_which_way_a_side_is_read(text: str, is_fast: bool) -> None:
    """Plain quoted numbers that a float can hold exactly go the fast way; the rest the slow way, with their meaning."""
    assert fast(text, "[]") is is_fast
    assert fast("[]", text) is is_fast
    assert sides(text, "[]") == (oracle(text), [])
    assert sides("[]", text) == ([], oracle(text))


@pytest.mark.parametrize(
    ("bids", "asks", "words"),
    [
        ("null", "[]", "bids: unreadable message: Expected `array`, got `null`"),
        ("[]", '[["1"]]', "asks: unreadable message: Expected `array` of at least length 2"),
        ("", "[]", "bids: unreadable message: Input data was truncated"),
        ("[]", '[["1","x"]]', "asks: unreadable message: Expected `float`, got `str`"),
    ],
)
def test_what_is_no_side_is_told_by_name(bids: str, asks: str, words: str) -> None:
    """Which side could not be read, and why."""
    with pytest.raises(FeedError, match=words):
        sides(bids, asks)


def sides_within(tree: Any) -> Iterator[list[list[str]]]:
    """The sides of whatever books are in a JSON tree."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key in {"b", "a", "bids", "asks"} and isinstance(value, list):
                yield value
            else:
                yield from sides_within(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from sides_within(value)


@pytest.mark.parametrize(
    ("file", "count"), [("binance-spot_BTCUSDT_20240808", 6904), ("okx_3-instruments_20220513_crc", 580)]
)
def test_the_venues_own_texts_go_the_fast_way(recordings: Path, file: str, count: int) -> None:
    """Every side of the real recordings is read by the machine code, to the last bit as decimals say."""
    seen = 0
    for record in read_envelopes(recordings / f"{file}.jsonl.gz"):
        for side in sides_within(json.loads(record["data"])) if record["t"] in {"recv", "http"} else ():
            text = json.dumps(side, separators=(",", ":"))
            assert text in record["data"]
            assert fast(text, "[]")
            assert sides(text, "[]")[0] == [[float(Decimal(price)), float(Decimal(size))] for price, size, *_ in side]
            seen += 1
    assert seen == count
