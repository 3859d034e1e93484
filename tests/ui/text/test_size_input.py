"""Test how typed sizes are understood: each one clear text has one meaning, and every other text is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimation.order import Order, OrderError
from orderbook import Side
from ui.text.size_input import (
    MAX_QUANTITY,
    MIN_QUANTITY,
    MULTIPLIERS,
    SizeError,
    SizeUnits,
    parse_size,
    quantity_problem,
    split_sizes,
    stepped_size,
    write_size,
)

BTC = SizeUnits("BTC", "USDT", has_contracts=True)
quantities = st.floats(MIN_QUANTITY, MAX_QUANTITY)


@pytest.mark.parametrize(
    ("text", "quantity", "unit"),
    [
        ("100k", 1e5, None),
        ("1m", 1e6, None),
        ("1.5M", 1.5e6, None),
        ("2 bn", 2e9, None),
        ("1e6", 1e6, None),
        ("2E-3", 0.002, None),
        ("1,500,000", 1.5e6, None),
        ("1 500 000", 1.5e6, None),
        ("1\u00a0500\u202f000", 1.5e6, None),
        ("1_500_000", 1.5e6, None),
        ("1'500'000", 1.5e6, None),
        ("250,500", 250_500.0, None),
        ("1,234.5", 1234.5, None),
        ("1,500k", 1.5e6, None),
        (".5", 0.5, None),
        ("250000.0", 250_000.0, None),
        ("-5", -5.0, None),
        ("5 BTC", 5.0, "base"),
        ("5btc", 5.0, "base"),
        ("5 XBT", 5.0, "base"),
        ("2 coins", 2.0, "base"),
        ("5m BTC", 5e6, "base"),
        ("250 USDT", 250.0, "quote"),
        ("250 usd", 250.0, "quote"),
        ("$100k", 1e5, "quote"),
        ("100k$", 1e5, "quote"),
        ("$100 USDT", 100.0, "quote"),
        ("100 contracts", 100.0, "contracts"),
    ],
)
def test_clear_size_has_one_meaning(text: str, quantity: float, unit: str | None) -> None:
    """Letters multiply, commas and spaces stand between thousands, and a unit may follow."""
    assert parse_size(text, BTC) == (quantity, unit)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0,5", "type 0.5 for a decimal point"),
        ("1,50", "type 1.50 for a decimal point"),
        ("0,500", "type 0.500 for a decimal point"),
        ("1.500,25", "type 1500.25 for a decimal point"),
        ("1.500.000", "not one clear number"),
        ("1,500,00", "not one clear number"),
        ("12 34", "not one clear number"),
        ("5mBTC", "type 5m BTC for 1,000,000 times that"),
        ("5 mBTC", "or write the number out"),
        ("5 ETH", "the unit can be USDT, BTC or contracts"),
        ("5 USDC", "the unit can be USDT, BTC or contracts"),
        ("€5", "the unit can be USDT, BTC or contracts"),
        ("5%", "the unit can be USDT, BTC or contracts"),
        ("$5 BTC", "names two units"),
        ("USDT 100", "is not a size"),
        ("nan", "is not a size"),
        ("inf", "is not a size"),
        ("５", "is not a size"),
        ("1e999", "too large"),
        ("", "Type a size"),
        ("1" * 41, "at most 40 characters"),
    ],
)
def test_unclear_size_is_refused_and_says_what_to_type(text: str, words: str) -> None:
    """Nothing is guessed: a decimal comma, a stuck multiplier, another coin and nonsense are refused in a sentence."""
    with pytest.raises(SizeError) as refused:
        parse_size(text, BTC)
    assert words in str(refused.value)


def test_letter_that_is_a_coin_too_is_refused() -> None:
    """On the market of a coin that is called M, "5 M" may be five of them or five million."""
    with pytest.raises(SizeError, match="write the number out"):
        parse_size("5 M", SizeUnits("M", "USDT"))
    assert parse_size("5 1INCH", SizeUnits("1INCH", "USDT")) == (5.0, "base")


def test_contracts_are_a_unit_only_where_the_market_has_them() -> None:
    """A spot market refuses them by name."""
    with pytest.raises(SizeError, match="the unit can be EUR or BTC"):
        parse_size("5 contracts", SizeUnits("BTC", "EUR"))


@given(quantities)
def test_written_size_is_read_back_exactly(quantity: float) -> None:
    """With commas, with spaces, and with each of its market's units."""
    text = write_size(quantity)
    assert "e" not in text
    assert parse_size(text) == (quantity, None)
    assert parse_size(text.replace(",", " ")) == (quantity, None)
    if len(text) < 30:
        assert parse_size(f"{text} BTC", BTC) == (quantity, "base")
        assert parse_size(f"{text} contracts", BTC) == (quantity, "contracts")


@given(st.integers(1, 99_999), st.sampled_from(sorted(MULTIPLIERS)))
def test_multiplier_equals_the_number_written_out(number: int, letter: str) -> None:
    """100k is 100 and three zeros, in either case, attached or apart."""
    written_out = parse_size(f"{number}{'0' * MULTIPLIERS[letter]}")
    assert parse_size(f"{number}{letter}") == parse_size(f"{number} {letter.upper()}") == written_out


@given(st.text(alphabet="0123456789.,kmbeBTCUSD$+- ;'_", max_size=45) | st.text(max_size=45))
def test_any_text_is_a_number_or_a_sentence(text: str) -> None:
    """No text fails in another way, and no sentence is long; the same holds for lists."""
    try:
        quantity, unit = parse_size(text, BTC)
    except SizeError as refused:
        sentence = str(refused)
        assert sentence.endswith(".")
        assert len(sentence) < 250
    else:
        assert math.isfinite(quantity)
        assert unit in (None, "base", "quote", "contracts")
    try:
        sizes = split_sizes(text)
    except SizeError:
        return
    assert all(size.strip() for size in sizes)


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("", []),
        ("250,500", ["250,500"]),
        ("2, 0.5 1e3", ["2", "0.5", "1e3"]),
        ("100k 1m; 5 BTC", ["100k", "1m", "5 BTC"]),
        ("10 BTC 20 BTC,", ["10 BTC", "20 BTC"]),
        ("$5 $10", ["$5", "$10"]),
    ],
)
def test_list_is_split_between_sizes_and_never_inside_one(text: str, sizes: list[str]) -> None:
    """Semicolons, commas before a space, and spaces before a number separate; a comma between digits does not."""
    assert split_sizes(text) == sizes


def test_space_between_thousands_or_sizes_is_refused_in_a_list() -> None:
    """100 500 may be one size or two."""
    with pytest.raises(SizeError, match="type 100,500 for one size, or a semicolon between sizes"):
        split_sizes("100 500")


@given(quantities)
def test_step_is_a_tenth_of_the_power_of_ten(quantity: float) -> None:
    """A step up and one down are between a hundredth and a tenth of the size."""
    up, down = stepped_size(quantity, 1), stepped_size(quantity, -1)
    assert 0 < down < quantity < up
    assert 0.0099 < (up - quantity) / quantity <= 0.1001


@pytest.mark.parametrize("quantity", [-1.0, 0.0, MIN_QUANTITY / 2, MIN_QUANTITY, MAX_QUANTITY, 1.01 * MAX_QUANTITY])
def test_limits_are_those_of_an_order(quantity: float) -> None:
    """What the field refuses, an order refuses, and the other way round."""
    try:
        Order(Side.BUY, quantity)
    except OrderError:
        assert quantity_problem(quantity, "Quantity").startswith("Quantity must be")
    else:
        assert not quantity_problem(quantity, "Quantity")
