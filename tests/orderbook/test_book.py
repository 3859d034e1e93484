"""Check the book as a value, the walk through it, and the builder against exact or brute-force arithmetic."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from decimal import Decimal, getcontext
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from feeds import VENUES
from orderbook import BookBuilder, BookError, OrderBook, Side, packed_sides, walk
from orderbook.book import LARGEST
from tests.support.reference_book import Change, DictionaryBook, read_envelopes

BIDS = [[100.0, 1.0], [99.5, 2.0], [99.0, 3.0]]
ASKS = [[100.5, 1.5], [101.0, 2.5], [102.0, 3.5]]

prices = st.floats(0.01, 1e6)
sizes = st.floats(1e-8, 1e6)
ladders = st.lists(st.tuples(prices, sizes), min_size=1, max_size=60, unique_by=lambda row: row[0])


def book(bids: Any = BIDS, asks: Any = ASKS) -> OrderBook:
    return OrderBook("okx", "BTC-USDT", np.array(bids, dtype=object), np.array(asks, dtype=object), 1, 2, 3)


def rows(*changes: tuple[float, float]) -> NDArray[np.float64]:
    return np.array(changes, dtype=np.float64).reshape(-1, 2)


def exact_walk(rows: list[list[float]], quantity: float) -> tuple[Fraction, Fraction, float, int, Fraction]:
    left, paid, used, worst = Fraction(quantity), Fraction(0), 0, rows[0][0]
    for price, size in rows:
        if left == 0:
            break
        taken = min(left, Fraction(size))
        paid, left, used, worst = paid + taken * Fraction(price), left - taken, used + 1, price
    filled = Fraction(quantity) - left
    return filled, paid / filled, worst, used, left


@settings(deadline=None)
@given(ladder=ladders, quantity=st.floats(1e-8, 1e8), side=st.sampled_from(Side))
def test_walk_equals_exact_fractions(ladder: list[tuple[float, float]], quantity: float, side: Side) -> None:
    """For any ladder and size the fill equals the one of exact arithmetic."""
    rows = sorted((list(row) for row in ladder), reverse=side is Side.SELL)
    fill = walk(np.array(rows), quantity)
    filled, vwap, worst, _, left = exact_walk(rows, quantity)
    assert fill.quantity == pytest.approx(float(filled), rel=1e-12)
    assert fill.vwap == pytest.approx(float(vwap), rel=1e-12, abs=1e-14 * max(rows)[0])
    assert fill.unfilled == pytest.approx(float(left), rel=1e-12, abs=1e-12 * quantity)
    best = rows[0][0]
    assert min(best, worst) * (1 - 1e-15) <= fill.vwap <= max(best, worst) * (1 + 1e-15)


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        (1.5, (1.5, 100.5, 100.5, 1, 0.0)),
        (4.0, (4.0, (1.5 * 100.5 + 2.5 * 101) / 4, 101.0, 2, 0.0)),
        (7.5, (7.5, (1.5 * 100.5 + 2.5 * 101 + 3.5 * 102) / 7.5, 102.0, 3, 0.0)),
        (10.0, (7.5, (1.5 * 100.5 + 2.5 * 101 + 3.5 * 102) / 7.5, 102.0, 3, 2.5)),
    ],
)
def test_walk_at_level_boundary_does_not_open_next_level(quantity: float, expected: tuple[float, ...]) -> None:
    """A level taken whole does not open the next one, and the size beyond all levels stays unfilled."""
    assert walk(np.array(ASKS), quantity) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("quantity", [0.0, -1.0, math.inf, math.nan])
def test_walk_refuses_impossible_quantity(quantity: float) -> None:
    """Zero, a negative quantity, NaN and infinity are refused by name."""
    with pytest.raises(ValueError, match="quantity must be positive and finite"):
        walk(np.array(ASKS), quantity)


@pytest.mark.parametrize("dollars", [10_000, 100_000, 1_000_000, 5_000_000])
def test_slippage_on_real_frames_equals_exact_decimals(recordings: Path, dollars: int) -> None:
    """On all 158 real frames the cost of a buy equals exact decimals to 1e-9 bps, and the same books are too thin."""
    getcontext().prec = 50
    feed = VENUES["gomarket-okx"].make_feed("BTC-USDT-SWAP")
    frames = [record["data"] for record in read_envelopes(recordings / "gomarket-okx_BTC-USDT-SWAP_20250515.jsonl.gz")]
    assert len(frames) == 158
    thin = 0
    for frame in frames:
        built = feed.parse(frame, 0)
        assert built is not None
        fill = walk(built.asks, dollars / built.mid)
        sent = json.loads(frame)
        mid = (Decimal(sent["bids"][0][0]) + Decimal(sent["asks"][0][0])) / 2
        left, paid = Decimal(dollars) / mid, Decimal(0)
        for price, contracts in sent["asks"]:
            taken = min(left, Decimal(contracts) * Decimal("0.01"))
            paid, left = paid + taken * Decimal(price), left - taken
        assert (fill.unfilled > 0) is (left > 0)
        thin += left > 0
        vwap = paid / (Decimal(dollars) / mid - left)
        exact = (vwap - mid) / mid * 10_000
        assert abs(Decimal((fill.vwap - built.mid) / built.mid * 1e4) - exact) < Decimal("1e-9")
    assert thin == 0 if dollars <= 100_000 else thin < 158
    assert dollars < 5_000_000 or thin == 157


def test_book_prices_come_from_best_levels() -> None:
    """Mid, spread and microprice are those of the best levels."""
    a_book = book()
    assert a_book.mid == 100.25
    assert a_book.spread_bps == pytest.approx(0.5 / 100.25 * 1e4)
    assert a_book.microprice == pytest.approx((100 * 1.5 + 100.5 * 1) / 2.5)
    assert a_book.taken_by(Side.BUY) is a_book.asks
    assert a_book.taken_by(Side.SELL) is a_book.bids


@pytest.mark.parametrize(
    ("bids", "asks", "words"),
    [
        ([], ASKS, "bids are empty"),
        (BIDS, np.empty((0, 2)), "asks are empty"),
        ([[100.0, 1.0, 1.0]], ASKS, r"bids are not \(n, 2\)"),
        ([["x", 1.0]], ASKS, "bids are not numbers"),
        ([[99.0, 1.0], [100.0, 1.0]], ASKS, "bids unsorted: level 0 at 99.0, level 1 at 100.0"),
        (BIDS, [[101.0, 1.0], [101.0, 1.0]], "asks unsorted: level 0 at 101.0"),
        ([[100.0, 0.0]], ASKS, "bids level 0: size 0.0"),
        (BIDS, [[101.0, 1.0], [102.0, -1.0]], "asks level 1: size -1.0"),
        (BIDS, [[101.0, math.nan]], "asks level 0: size nan"),
        (BIDS, [[101.0, math.inf]], "asks level 0: size inf"),
        ([[math.nan, 1.0]], ASKS, "bids level 0: price nan"),
        ([[100.0, 1.0], [math.nan, 1.0], [99.0, 1.0]], ASKS, "bids level 1: price nan"),
        ([[100.0, 1.0], [-1.0, 1.0]], ASKS, "bids level 1: price -1.0"),
        (BIDS, [[101.0, 1.0], [math.inf, 1.0]], "asks level 1: price inf"),
        ([[100.5, 1.0]], ASKS, "locked: bid 100.5 = ask 100.5"),
        ([[101.0, 1.0]], ASKS, "crossed: bid 101.0 >= ask 100.5"),
    ],
)
def test_impossible_book_is_refused_with_side_level_and_value(bids: Any, asks: Any, words: str) -> None:
    """Each refusal names the side, the level and the value."""
    with pytest.raises(BookError, match=words):
        book(bids, asks)


@settings(deadline=None)
@given(
    bids=st.lists(st.tuples(st.floats(), st.floats()), max_size=4),
    asks=st.lists(st.tuples(st.floats(), st.floats()), max_size=4),
)
def test_book_is_accepted_exactly_when_rules_allow_it(
    bids: list[tuple[float, float]], asks: list[tuple[float, float]]
) -> None:
    """The constructor accepts a book exactly when a plain reading of the rules does."""
    rows = bids + asks
    allowed = (
        bool(bids and asks)
        and all(0 < number < LARGEST for row in rows for number in row)
        and all(a[0] > b[0] for a, b in pairwise(bids))
        and all(a[0] < b[0] for a, b in pairwise(asks))
        and bids[0][0] < asks[0][0]
    )
    try:
        book(bids, asks)
    except BookError:
        assert not allowed
    else:
        assert allowed


def test_book_is_read_only_and_independent_of_its_source() -> None:
    """Neither the book's arrays nor the array it was made of can change it."""
    source = np.array(BIDS)
    a_book = OrderBook("okx", "BTC-USDT", source, np.array(ASKS), 1, 2, 3)
    source[0, 0] = 1.0
    assert a_book.bids.tolist() == BIDS
    with pytest.raises(ValueError, match="read-only"):
        a_book.bids[0, 0] = 1.0


# Few prices, so that changes meet.
grid = st.lists(st.tuples(st.integers(1, 260), st.sampled_from([0, 0, 1, 2.5])), max_size=400)


@settings(deadline=None)
@given(
    messages=st.lists(st.tuples(st.booleans(), grid, grid), min_size=1, max_size=12),
    publish=st.sampled_from([1, 3, 60]),
    keep=st.sampled_from([None, 1, 10, 70]),
    room=st.sampled_from([1, 7, 40, packed_sides.SPARE_LEVELS]),
)
def test_builder_equals_dictionaries(
    messages: list[tuple[bool, list[tuple[int, float]], list[tuple[int, float]]]],
    publish: int,
    keep: int | None,
    room: int,
) -> None:
    """Snapshots, changes, repeats and unknown deletes in any order leave what plain dictionaries hold.

    Levels published before stay as they were, also where the arrays get full or too many changes come at once.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_sides, "SPARE_LEVELS", room)
        assert_equals_dictionaries(messages, publish, keep)


def assert_equals_dictionaries(
    messages: Sequence[tuple[bool, list[tuple[float, float]], list[tuple[float, float]]]],
    publish: int,
    keep: int | None,
) -> None:
    builder, rebuilt = BookBuilder(publish, keep), DictionaryBook(float, keep)
    published = []
    for snapshot, bids, asks in messages:
        higher = [(price + 100_000, size) for price, size in asks]
        rebuilt.apply(Change(snapshot, bids, higher))
        (builder.load if snapshot else builder.apply)(rows(*bids), rows(*higher))
        for side, expected in zip((builder.bids, builder.asks), rebuilt.top(publish), strict=True):
            assert [tuple(row) for row in side.tolist()] == expected
            assert not side.flags.writeable
            published.append((side, expected))
        assert len(builder) == len(rebuilt.bids) + len(rebuilt.asks)
        best = min(50, keep or 50)
        assert builder.best_prices(best) == tuple([price for price, _ in rows] for rows in rebuilt.top(best))
    for side, expected in published:
        assert [tuple(row) for row in side.tolist()] == expected


def test_builder_of_deep_book_equals_dictionaries() -> None:
    """The test changes a deep snapshot all over, at the best level, in bulk and one by one, until little is left."""
    rng = np.random.default_rng(7)

    def random_changes(count: int, deletes: float, deepest: int) -> list[tuple[float, float]]:
        depths = np.minimum(rng.geometric(3 / deepest, count), deepest)
        is_deleted = rng.random(count) < deletes
        return [
            (float(price), 0.0 if zero else float(price % 7 + 1))
            for price, zero in zip(depths, is_deleted, strict=True)
        ]

    messages = [(True, [(30_001.0 - price, 2.0) for price in range(1, 30_001)], random_changes(30_000, 0.1, 20_000))]
    for count, deletes in ((5000, 0.5), *((30, 0.5),) * 60, (25_000, 0.9), *((300, 0.8),) * 20):
        bids = [(30_001 - price, size) for price, size in random_changes(count, deletes, 30_000)]
        messages.append((False, bids, random_changes(count, deletes, 20_000)))
    assert_equals_dictionaries(messages, 50, None)
    assert_equals_dictionaries(messages, 400, 1000)


def test_builder_publishes_new_array_only_when_published_levels_change() -> None:
    """A change beyond the published levels keeps the published array; a change within them makes another."""
    builder = BookBuilder(publish=2)
    builder.load(rows((99.0, 1.0), (98.0, 1.0), (97.0, 1.0)), rows((101.0, 1.0), (102.0, 1.0), (103.0, 1.0)))
    bids, asks = builder.bids, builder.asks
    builder.apply(rows((97.0, 5.0), (96.0, 1.0), (98.5, 0.0)), rows((103.0, 0.0)))
    assert builder.bids is bids
    assert builder.asks is asks
    builder.apply(rows((97.0, 0.0)), rows((102.0, 4.0)))
    assert builder.bids is bids
    assert builder.asks.tolist() == [[101.0, 1.0], [102.0, 4.0]]
    assert asks.tolist() == [[101.0, 1.0], [102.0, 1.0]]


def test_deleting_best_levels_uncovers_the_next() -> None:
    """One after the other, every level becomes the best, in order."""
    builder = BookBuilder(publish=2)
    builder.load(rows(*((price, 1.0) for price in range(1, 2001))), rows((3000.0, 1.0)))
    for best in range(2000, 1, -1):
        assert builder.bids[:, 0].tolist() == [best, best - 1]
        builder.apply(rows((best, 0.0)), rows())
    assert builder.bids.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize(
    "change", [(math.nan, 1.0), (math.inf, 1.0), (0.0, 1.0), (-1.0, 1.0), (1.0, math.nan), (1.0, math.inf), (1.0, -1.0)]
)
@pytest.mark.parametrize("loaded", [0, 500, 2000])
def test_builder_refuses_impossible_level(change: tuple[float, float], loaded: int) -> None:
    """No number that is impossible in a book gets into one, neither by a change alone nor by one among many."""
    good = [(1000.0 + row, 1.0) for row in range(loaded)]
    price, size = change
    for bids, asks in (((change,), ()), ((), (change,)), ((*good, change), good), (good, (change, *good))):
        builder = BookBuilder(publish=1)
        builder.load(rows(*good), rows())
        with pytest.raises(BookError, match=re.escape(f"change to size {size} at price {price}")):
            builder.apply(rows(*bids), rows(*asks))


@pytest.mark.parametrize("size", [-1.0, math.nan, math.inf, LARGEST])
@pytest.mark.parametrize("price", [1000.0, 1499.0], ids=["near the best price", "far from it"])
def test_builder_refuses_impossible_size_of_held_level(price: float, size: float) -> None:
    """A held level is not changed to an impossible size."""
    builder = BookBuilder(publish=1)
    builder.load(rows(), rows(*((1000.0 + row, 1.0) for row in range(500))))
    with pytest.raises(BookError, match=re.escape(f"change to size {size} at price {price}")):
        builder.apply(rows(), rows((price, size)))


@pytest.mark.parametrize("price", [math.inf, -math.inf, math.nan, 0.0, -1.0])
@pytest.mark.parametrize("loaded", [1, 500])
def test_delete_at_impossible_price_changes_nothing(price: float, loaded: int) -> None:
    """A delete at an impossible price changes neither the levels held nor the effect of later changes."""
    builder = BookBuilder(publish=1)
    builder.load(
        rows(*((1000.0 - row, 1.0) for row in range(loaded))), rows(*((2000.0 + row, 1.0) for row in range(loaded)))
    )
    builder.apply(rows((price, 0.0)), rows((price, 0.0)))
    assert len(builder) == 2 * loaded
    builder.apply(rows((1001.0, 3.0)), rows((1999.0, 4.0)))
    assert (builder.bids.tolist(), builder.asks.tolist()) == ([[1001.0, 3.0]], [[1999.0, 4.0]])


def test_built_book_refuses_empty_and_crossed_sides() -> None:
    """Empty and crossed sides are refused in the same words as in any other book."""
    builder = BookBuilder()
    builder.load(rows(), rows((101.0, 1.0)))
    with pytest.raises(BookError, match="bids are empty"):
        builder.book("okx", "BTC-USDT", 1, 2, 3)
    builder.load(rows((101.5, 1.0)), rows((101.0, 1.0)))
    with pytest.raises(BookError, match=r"crossed: bid 101.5 >= ask 101.0"):
        builder.book("okx", "BTC-USDT", 1, 2, 3)
    builder.load(rows((100.0, 1.0)), rows((101.0, 2.0)))
    a_book = builder.book("okx", "BTC-USDT", 1, 2, 3)
    assert (a_book.venue, a_book.symbol, a_book.exchange_ns, a_book.market_ns, a_book.received_ns) == (
        "okx",
        "BTC-USDT",
        1,
        2,
        3,
    )
    assert OrderBook("okx", "BTC-USDT", a_book.bids, a_book.asks, 1, 2, 3).mid == a_book.mid


@pytest.mark.parametrize(("publish", "keep"), [(0, None), (-1, None), (1, 0)])
def test_builder_refuses_depth_below_one(publish: int, keep: int | None) -> None:
    """A depth below one is an error of the caller."""
    with pytest.raises(ValueError, match="a book needs a level"):
        BookBuilder(publish, keep)


@pytest.mark.parametrize("wrong", [LARGEST, 1e308])
def test_book_and_builder_refuse_numbers_too_large_to_square(wrong: float) -> None:
    """A price or size that no market has, and whose square would overflow in the learning, is refused."""
    good = np.array([[99.0, 1.0]])
    with pytest.raises(BookError, match="below 1e\\+30"):
        OrderBook("x", "y", good, np.array([[wrong, 1.0]]), 1, 1, 1)
    with pytest.raises(BookError, match="below 1e\\+30"):
        OrderBook("x", "y", np.array([[99.0, wrong]]), np.array([[101.0, 1.0]]), 1, 1, 1)
    for change in ((wrong, 1.0), (100.0, wrong)):
        with pytest.raises(BookError, match="below 1e\\+30"):
            BookBuilder().apply(rows(), rows(change))
