"""Check that both readers of a message's sides, compiled code and msgspec, give the numbers of json and float."""

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


def read_as_lists(bids: str, asks: str, unit: float = 1.0) -> tuple[list[list[float]], list[list[float]]]:
    """Read both sides and return them as lists of [price, size]."""
    levels = read_sides(msgspec.Raw(bids.encode()), msgspec.Raw(asks.encode()), unit)
    for side in levels:
        assert side.dtype == np.float64
        assert side.shape == (len(side), 2)
    return levels[0].tolist(), levels[1].tolist()


def is_read_fast(bids: str, asks: str) -> bool:
    """Return whether the compiled code reads both sides, without msgspec."""
    n_bids, n_levels = _read_both(bids.encode(), asks.encode(), 1.0, np.empty((len(bids + asks), 2)))
    assert n_bids >= 0 or n_levels < 0
    return n_levels >= 0


def to_number(value: Any) -> float:
    """Return a JSON number, bare or in quotes; msgspec also takes the texts NaN and infinity."""
    if isinstance(value, str) and JSON_NUMBER.fullmatch(value) is None:
        assert value.lower().lstrip("+-") in {"nan", "inf", "infinity"}
        return float(value)
    assert isinstance(value, str | int | float)
    assert not isinstance(value, bool)
    return float(value)


def read_with_json(text: str) -> list[list[float]]:
    """Read a side with json and float. Raises AssertionError or ValueError if a row does not begin with two numbers."""

    def refuse_constant(name: str) -> None:
        raise ValueError(name)

    rows = json.loads(text, parse_constant=refuse_constant)
    assert isinstance(rows, list)
    assert all(isinstance(row, list) and len(row) >= 2 for row in rows)
    return [[to_number(row[0]), to_number(row[1])] for row in rows]


plain_numbers = st.one_of(
    st.decimals(0, 10**9, places=8).map(lambda decimal: f"{decimal:f}"),
    st.from_regex(r"(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?", fullmatch=True),
)
any_numbers = st.one_of(
    plain_numbers, st.from_regex(r"[-+]?[0-9.]{0,24}(e-?[0-9]{1,2})?", fullmatch=True), st.just("NaN")
)


def side_texts(numbers: st.SearchStrategy[str], min_size: int = 2) -> st.SearchStrategy[str]:
    """Return a strategy for a side of up to five rows, each of `min_size` to four quoted numbers."""
    rows = st.lists(numbers.map(lambda text: f'"{text}"'), min_size=min_size, max_size=4)
    return st.lists(rows.map(lambda row: f"[{','.join(row)}]"), max_size=5).map(lambda texts: f"[{','.join(texts)}]")


@settings(deadline=None)
@given(bids=side_texts(plain_numbers), asks=side_texts(plain_numbers), unit=st.sampled_from([1.0, 0.01, 100.0]))
@example(bids='[["9007199254740992","9007199254740993"]]', asks='[["0.1","900719925474099.3"]]', unit=1.0)
@example(bids='[["123456789012345678","0.12345678901234567"]]', asks='[["18446744073709551617","1"]]', unit=1.0)
def test_plain_numbers_equal_those_that_float_reads(bids: str, asks: str, unit: float) -> None:
    """Quoted numbers of any length are equal to the last bit; a size is multiplied by its unit once."""
    expected = [[[price, size * unit] for price, size in read_with_json(text)] for text in (bids, asks)]
    assert list(read_as_lists(bids, asks, unit)) == expected


@settings(deadline=None, max_examples=300)
@given(
    text=st.one_of(side_texts(plain_numbers), side_texts(any_numbers, min_size=1)),
    start=st.integers(0, 100),
    n_removed=st.integers(0, 2),
    inserted=st.text('0123456789.",[]-e {}n', max_size=2),
)
def test_altered_text_is_read_as_json_reads_it_or_refused(text: str, start: int, n_removed: int, inserted: str) -> None:
    """A side with a few characters more or fewer is read as json and float read it, or refused; bids and asks alike."""
    altered = text[:start] + inserted + text[start + n_removed :]
    valid_side = '[["1","2"]]'
    for bids, asks in ((altered, valid_side), (valid_side, altered)):
        try:
            levels = read_as_lists(bids, asks)
        except FeedError:
            assert not is_read_fast(bids, asks)
            with pytest.raises((ValueError, AssertionError)):
                # msgspec refuses some of the largest numbers that a float holds; no book has them.
                assert not np.any(np.abs(read_with_json(altered)) > 1e300)
            continue
        for side, expected in zip(levels, (read_with_json(bids), read_with_json(asks)), strict=True):
            assert np.array_equal(side, expected, equal_nan=True)


@settings(deadline=None)
@given(bids=st.binary(max_size=40), asks=st.binary(max_size=40))
def test_arbitrary_bytes_are_read_or_refused_within_bounds(bids: bytes, asks: bytes) -> None:
    """Whatever the texts are, only FeedError is raised, and the reader stays within the texts and its array."""
    with suppress(FeedError):
        read_sides(msgspec.Raw(bids), msgspec.Raw(asks))
    levels = np.full((len(bids + asks) // 10 + 2, 2), math.pi)
    _read_both(bids, asks, 1.0, levels)
    assert levels[-1].tolist() == [math.pi, math.pi]


@pytest.mark.parametrize(
    ("text", "expected"),
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
def test_only_plain_exact_numbers_are_read_fast(text: str, expected: bool) -> None:
    """The compiled code reads plain quoted numbers that a float holds exactly; msgspec reads the others."""
    assert is_read_fast(text, "[]") is expected
    assert is_read_fast("[]", text) is expected
    assert read_as_lists(text, "[]") == (read_with_json(text), [])
    assert read_as_lists("[]", text) == ([], read_with_json(text))


@pytest.mark.parametrize(
    ("bids", "asks", "words"),
    [
        ("null", "[]", "bids: unreadable message: Expected `array`, got `null`"),
        ("[]", '[["1"]]', "asks: unreadable message: Expected `array` of at least length 2"),
        ("", "[]", "bids: unreadable message: Input data was truncated"),
        ("[]", '[["1","x"]]', "asks: unreadable message: Expected `float`, got `str`"),
    ],
)
def test_unreadable_side_is_named_in_the_error(bids: str, asks: str, words: str) -> None:
    """The error says which side could not be read, and why."""
    with pytest.raises(FeedError, match=words):
        read_as_lists(bids, asks)


def find_sides(tree: Any) -> Iterator[list[list[str]]]:
    """Yield the sides of all books in a JSON tree."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key in {"b", "a", "bids", "asks"} and isinstance(value, list):
                yield value
            else:
                yield from find_sides(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from find_sides(value)


@pytest.mark.parametrize(
    ("file", "count"), [("binance-spot_BTCUSDT_20240808", 6904), ("okx_3-instruments_20220513_crc", 580)]
)
def test_sides_of_real_recordings_are_read_fast(recordings: Path, file: str, count: int) -> None:
    """The compiled code reads all sides of the real recordings, and each number is the float nearest to its decimal."""
    n_sides = 0
    for record in read_envelopes(recordings / f"{file}.jsonl.gz"):
        for side in find_sides(json.loads(record["data"])) if record["t"] in {"recv", "http"} else ():
            text = json.dumps(side, separators=(",", ":"))
            assert text in record["data"]
            assert is_read_fast(text, "[]")
            assert read_as_lists(text, "[]")[0] == [
                [float(Decimal(price)), float(Decimal(size))] for price, size, *_ in side
            ]
            n_sides += 1
    assert n_sides == count
