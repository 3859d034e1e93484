"""Check a user's own rates: one schedule from both forms, a line and a reason for each error, hostile files."""

from __future__ import annotations

import json
import re
import time
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fee_calculator import FeeCalculator, FeeSchedule, FeeTier, edition_words, tier_for_volume, warning
from fees.custom_schedule import OWN_EXAMPLE, FeeFileError, own_schedule
from fees.tables import TITLES

OWN_SCHEDULE = {
    "venue": "okx",
    "product": "swap",
    "as_of": "2026-05-03",
    "source": "our agreement with the venue",
    "tiers": [
        {"name": "Desk", "maker_percent": -0.002, "taker_percent": 0.025},
        {"name": "Desk, above 500 million", "maker_percent": -0.004, "taker_percent": 0.021, "min_volume": 500000000},
    ],
}


def test_toml_and_json_give_the_same_schedule() -> None:
    """The example and its JSON twin give one schedule, exact, from text, from bytes and after a byte order mark."""
    toml = own_schedule(OWN_EXAMPLE, "toml")
    assert toml == FeeSchedule(
        "okx",
        "swap",
        "our agreement with the venue",
        date(2026, 5, 3),
        (FeeTier("Desk", -0.00002, 0.00025), FeeTier("Desk, above 500 million", -0.00004, 0.00021, 5e8)),
    )
    assert own_schedule(json.dumps(OWN_SCHEDULE), "json") == toml
    assert own_schedule("\ufeff" + json.dumps(OWN_SCHEDULE, indent=1), "json") == toml
    assert own_schedule(OWN_EXAMPLE.replace("\n", "\r\n").encode("utf-8-sig"), "toml") == toml


@given(st.decimals(-5, 5, places=8), st.sampled_from(["toml", "json"]))
def test_rate_is_the_float_nearest_to_the_written_percent(percent: Decimal, form: Any) -> None:
    """The percent is divided by 100 exactly and rounded once, in either form."""
    text = (
        json.dumps(OWN_SCHEDULE).replace("0.025", f"{percent:f}")
        if form == "json"
        else OWN_EXAMPLE.replace("0.025", f"{percent:f}")
    )
    assert own_schedule(text, form).tiers[0].taker == float(Fraction(percent) / 100)


def test_schedule_without_optional_keys_gets_defaults() -> None:
    """Source, currency and volume have defaults; a user's schedule works wherever a published one does."""
    tier = {"name": "A", "maker_percent": 0, "taker_percent": 0.1}
    text = json.dumps({"venue": "kraken", "product": "spot", "as_of": "2026-01-02", "tiers": [tier]})
    own = own_schedule(text, "json")
    assert (own.edition, own.currency, own.source) == ("own", "USD", "the user's own file")
    assert FeeCalculator(own, tier_for_volume(own, 1e9)).fee_bps(0.0) == 10.0
    assert warning(own, "kraken", "spot") is None
    assert warning(own, "okx", "swap") is not None


MALFORMED_TOML = [
    ('venue = "okx"', "venue = okx", 1, "Invalid value"),
    ('venue = "okx"', 'venue = "bitmex"', 1, f"venue must be one of {', '.join(TITLES)}, not 'bitmex'"),
    ('venue = "okx"', "", 1, "the file needs a value for venue"),
    ('product = "swap"', 'product = ["swap"]', 2, "product must be one of spot, swap, not a list"),
    ("as_of = 2026-05-03", 'as_of = "May"', 3, "as_of must be a day such as 2026-05-03, not 'May'"),
    ("as_of = 2026-05-03", "as_of = 2026-05-03T10:00:00", 3, "as_of must be a day"),
    ("as_of = 2026-05-03", "as_of = 2026-02-30", 3, "Invalid date"),
    ("as_of = 2026-05-03", "as_of = 2026-05-03\nas_of = 2026-05-04", 4, "Cannot overwrite"),
    ("as_of = 2026-05-03", "asof = 2026-05-03", 3, "unknown key 'asof'; the file may have venue, product, as_of"),
    ("our agreement with the venue", "a\\u0007b", 4, "source must be 1 to 200 printable"),
    ("our agreement with the venue", "x" * 201, 4, "source must be 1 to 200 printable"),
    ("our agreement with the venue", "x" * 600, 4, "longer than 500 characters"),
    ("maker_percent = -0.002", 'maker_percent = "-0.002"', 8, "maker_percent must be a number, not '-0.002'"),
    ("maker_percent = -0.002", "maker_percent = true", 8, "maker_percent must be a number, not True"),
    ("maker_percent = -0.002", "maker = -0.00002", 8, "unknown key 'maker'; tier 1 may have name, maker_percent"),
    ("maker_percent = -0.002", "maker_percent = nan", 8, "maker_percent must be between -5 and 5, not NaN"),
    ("taker_percent = 0.021", "taker_percent = 20", 14, "taker_percent must be between -5 and 5, not 20"),
    ("taker_percent = 0.021", "", 12, "tier 2 needs a value for taker_percent"),
    ("taker_percent = 0.021", "taker_percent = 0.021 # maker_percent = 1\ntaker = 1", 15, "unknown key 'taker'"),
    (
        "min_volume = 500_000_000",
        "min_volume = -1",
        15,
        "min_volume must be between 0 and 1,000,000,000,000,000, not -1",
    ),
    ("min_volume = 500_000_000", "min_volume = inf", 15, "min_volume must be between"),
    ("min_volume = 500_000_000", "min_volume = 1e99999999999999999999", 15, "min_volume must be between"),
    ("min_volume = 500_000_000", "min_volume = 0", 12, "its 30-day volume must be above 0"),
    ('name = "Desk, above 500 million"', 'name = "Desk"', 12, "two tiers are named 'Desk'"),
    ('name = "Desk, above 500 million"', 'name = " "', 12, "name must be 1 to 60 printable"),
    ('name = "Desk, above 500 million"', 'name = "\\u202egnp"', 12, "name must be 1 to 60 printable"),
]


@pytest.mark.parametrize(("valid", "malformed", "line", "words"), MALFORMED_TOML)
def test_malformed_toml_is_refused_with_line_and_reason(valid: str, malformed: str, line: int, words: str) -> None:
    """With one error in the example, the refusal says where it is and what is wrong."""
    assert valid in OWN_EXAMPLE
    with pytest.raises(FeeFileError) as refused:
        own_schedule(OWN_EXAMPLE.replace(valid, malformed), "toml")
    assert refused.value.line == line
    assert words in refused.value.reason
    assert str(refused.value) == f"line {line}: {refused.value.reason}"


@pytest.mark.parametrize(
    ("valid", "malformed", "line", "words"),
    [
        ('"okx",', '"okx"', 3, "Expecting ',' delimiter"),
        ('"okx"', '"okx", "venue": "kraken"', 2, "'venue' is given twice"),
        (
            '"taker_percent": 0.021',
            '"taker_percent": 0.021,\n "taker_percent": 0.02',
            16,
            "'taker_percent' is given twice",
        ),
        ('"taker_percent": 0.021', '"taker_percent": NaN', 15, "taker_percent must be between"),
        ('"taker_percent": 0.021', '"taker_percent": null', 15, "tier 2 needs a value for taker_percent"),
        ('"taker_percent": 0.021', '"taker_percent": ' + "9" * 5000, 15, "taker_percent must be between"),
        ('"taker_percent": 0.021', '"taker_percent": 1e999999999999999999', 15, "taker_percent must be between"),
        ('"2026-05-03"', "20260503", 4, "as_of must be a day"),
        ('"Desk"', '"De\\ud800sk"', 8, "name must be 1 to 60 printable"),
        ('"tiers"', '"t\\u0069ers"', 8, None),
    ],
)
def test_malformed_json_is_refused_with_line_and_reason(
    valid: str, malformed: str, line: int, words: str | None
) -> None:
    """JSON has the same rules, repeated keys included, with the line of the error; an escaped key is still a key."""
    text = json.dumps(OWN_SCHEDULE, indent=1)
    assert valid in text
    if words is None:
        assert own_schedule(text.replace(valid, malformed, 1), "json").tiers
        return
    with pytest.raises(FeeFileError) as refused:
        own_schedule(text.replace(valid, malformed, 1), "json")
    assert (refused.value.line, words in refused.value.reason) == (line, True), refused.value


@pytest.mark.parametrize(
    ("content", "form", "words"),
    [
        ("", "json", "line 1: Expecting value"),
        ("", "toml", "line 1: the file needs a value for venue"),
        ("[]", "json", "line 1: the file must hold one table"),
        (b"\n\xff", "toml", "line 2: byte 0xff is not UTF-8"),
        ("[" * 60_000, "json", "line 1: nested too deeply"),
        ("a = [\n" + "[\n" * 20_000, "toml", "nested too deeply"),
        (" " * 65_537, "json", "line 1: the file is longer than 65,536"),
        (b" " * 65_537, "toml", "line 1: the file is longer than 65,536"),
        (
            '{"venue": "okx", "product": "spot", "as_of": "2026-01-01",\n"tiers": []}',
            "json",
            "line 2: tiers must be a list of 1",
        ),
        (
            '{"venue": "okx", "product": "spot", "as_of": "2026-01-01",\n"tiers": [1]}',
            "json",
            "line 2: tier 1 must be a table",
        ),
        ('venue="okx"\nproduct="spot"\nas_of=2026-01-01\n[tiers]\nname="A"', "toml", "line 4: tiers must be a list"),
        ('venue="okx"\nproduct="spot"\nas_of=2026-01-01\n\n[[tiers]]', "toml", "line 5: tier 1 needs a value for name"),
        (
            'venue="okx"\nproduct="spot"\nas_of=2026-01-01\n' + "[[tiers]]\n" * 101,
            "toml",
            "line 4: tiers must be a list of 1 to 100",
        ),
        ('venue="okx"\nx = """\nunended', "toml", "line 3: "),
    ],
)
def test_file_without_a_schedule_is_refused(content: Any, form: Any, words: str) -> None:
    """An empty, broken, binary, too deep, too long or otherwise wrong file raises the named error and no other."""
    with pytest.raises(FeeFileError, match=re.escape(words)):
        own_schedule(content, form)


@pytest.mark.parametrize(
    "hostile",
    [
        "\n".join(".".join(f"k{n}{m}" for m in range(80)) + " = 1" for n in range(120)),
        "\n".join(".".join(["a"] * 245) + f".b{n}=1" for n in range(128)),
        "'" * 65_000,
        '"' * 65_000,
        "# " + "x" * 400 + "\n" + '"""\n' * 16_000,
        '{"a":' * 10_000,
        '"\\' * 32_000,
    ],
)
@pytest.mark.parametrize("form", ["toml", "json"])
def test_hostile_file_is_refused_within_five_seconds(hostile: str, form: Any) -> None:
    """The slowest files that fit the size limit must not keep the page waiting."""
    started_s = time.perf_counter()
    with pytest.raises(FeeFileError):
        own_schedule(hostile[:65_536], form)
    assert time.perf_counter() - started_s < 5


MARKS = ['"', "'", '"""', "'''", "[[tiers]]", "[tiers]", "=", "#", "{", "}", "[", "]", ",", ".", "\n", "\\u0000"]
VALUES = ["1e9", "nan", "2026-05-03", "12:00:00", "true", "name", "tiers", "maker_percent", "venue", "0x" + "f" * 90]
pieces = st.sampled_from(MARKS + VALUES)


@given(st.one_of(st.text(max_size=300), st.lists(pieces, max_size=40).map(" ".join), st.binary(max_size=300)))
@settings(max_examples=300)
def test_arbitrary_text_raises_the_named_error_with_a_line_of_the_text(content: str | bytes) -> None:
    """Whatever is loaded, only the named error comes out, with a line that the text has."""
    for form in ("toml", "json"):
        with pytest.raises(FeeFileError) as refused:
            own_schedule(content, form)
        newline: Any = b"\n" if isinstance(content, bytes) else "\n"
        assert 1 <= refused.value.line <= content.count(newline) + 1


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.integers(-(10**40), 10**40), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from([*OWN_SCHEDULE, *OWN_SCHEDULE["tiers"][1], "x"]), inner, max_size=5),
    ),
    max_leaves=20,
)


@given(st.sampled_from([*OWN_SCHEDULE, "name", "maker_percent", "taker_percent", "min_volume", "x"]), json_values)
@settings(max_examples=300)
def test_arbitrary_value_gives_a_schedule_or_the_named_error(key: str, value: Any) -> None:
    """A complete file with one value of any kind gives a schedule that can be used, or the named error."""
    changed = json.loads(json.dumps(OWN_SCHEDULE))
    (changed if key in OWN_SCHEDULE or key == "x" else changed["tiers"][1])[key] = value
    assert_loads_or_is_refused(json.dumps(changed, indent=1), "json")


@given(st.data())
@settings(max_examples=200)
def test_damaged_example_gives_a_schedule_or_the_named_error(data: Any) -> None:
    """A piece is removed or inserted anywhere in the example, in both forms."""
    for form, text in (("toml", OWN_EXAMPLE), ("json", json.dumps(OWN_SCHEDULE, indent=1))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 40)))
        inserted = data.draw(st.one_of(st.just(""), pieces, st.text(max_size=3)))
        assert_loads_or_is_refused(text[:start] + inserted + text[end:], form)


def assert_loads_or_is_refused(text: str, form: Any) -> None:
    """Check that the text gives a schedule with possible fees, or the named error on a line that the text has."""
    try:
        own = own_schedule(text, form)
    except FeeFileError as refused:
        lines = text.count("\n") + 1
        if not 1 <= refused.line <= lines:
            pytest.fail(f"line {refused.line} of {lines}: {refused.reason}")
    else:
        assert edition_words(own)
        for tier in own.tiers:
            assert -500 <= FeeCalculator(own, tier).fee_bps(0.5) <= 500
