"""Test the comparison: each venue has its own fees, and the best price after all costs is marked."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from calculations import Order
from network.status import Status
from orderbook import Side
from sessions.comparison import Comparison, VenueCost, all_in_price, comparable_markets, first_tier
from sessions.market import Market
from sessions.session import STALE_S
from tests.support.loopback import eventually
from tests.support.loopback_exchange import LoopbackExchange
from ui.text.captions import comparison_table
from ui.text.formatting import plain
from websocket_client import FeedHub


@pytest.fixture
def exchanges() -> Iterator[dict[str, LoopbackExchange]]:
    """Two exchanges on loopback, each with its own protocol."""
    with ExitStack() as stack:
        venues = {"okx": "BTC-USDT", "kraken": "BTC/USDT"}
        yield {venue: stack.enter_context(LoopbackExchange(venue, symbol)) for venue, symbol in venues.items()}


@pytest.fixture
def markets(exchanges: dict[str, LoopbackExchange]) -> tuple[Market, ...]:
    """Return the market of each exchange."""
    return tuple(Market(venue, each.market.symbol, address=each.url) for venue, each in exchanges.items())


@pytest.fixture
def comparison() -> Iterator[Comparison]:
    """Yield a comparison; afterwards all its feeds and their threads must be gone."""
    watching = Comparison(FeedHub())
    yield watching
    watching.watch((), Order(Side.BUY, 1.0))
    eventually(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("feed")])


@pytest.mark.parametrize("side", list(Side))
def test_best_price_after_all_costs_is_marked_cheapest(
    comparison: Comparison, markets: tuple[Market, ...], side: Side
) -> None:
    """Both venues price the order with their own tier, and exactly the better all-in price is the cheapest."""
    comparison.watch(markets, Order(side, 0.5))
    eventually(lambda: all(row.all_in_price for row in comparison.venue_costs()))
    rows = comparison.venue_costs()
    for row in rows:
        assert row.estimate is not None
        assert row.estimate.order.tier == first_tier(row.market)
        assert row.all_in_price == all_in_price(row.estimate)
    prices = [row.all_in_price or 0.0 for row in rows]
    best = min(prices) if side is Side.BUY else max(prices)
    assert [row.is_cheapest for row in rows] == [price == best for price in prices]


def test_frozen_book_is_neither_priced_nor_cheapest_whatever_heartbeats_come(
    comparison: Comparison, exchanges: dict[str, LoopbackExchange], markets: tuple[Market, ...]
) -> None:
    """Kraken stops but for heartbeats while OKX goes on: its row shows an age and no price until a book comes."""
    comparison.watch(markets, Order(Side.BUY, 0.5))
    eventually(lambda: all(row.all_in_price for row in comparison.venue_costs()))

    def pulse() -> VenueCost:
        exchanges["okx"].change(asks=[("101.0", "4.00000000")])
        exchanges["kraken"].heartbeat()
        kraken = comparison.venue_costs()[1]
        assert kraken.status is not None
        assert kraken.status.state == "live"
        return kraken

    eventually(lambda: pulse().estimate is None)
    frozen = pulse()
    assert frozen.age_s is not None
    assert frozen.age_s >= STALE_S
    assert not any(row.is_cheapest for row in comparison.venue_costs())
    row = next(line for line in comparison_table([frozen]).splitlines() if "Kraken" in line)
    assert f"| {frozen.age_s:.1f} | Connected" in row
    assert "no new prices for" in row
    exchanges["kraken"].change(asks=[("101.0", "4.00000000")])
    eventually(lambda: pulse().estimate is not None)
    eventually(lambda: any(row.is_cheapest for row in comparison.venue_costs()))


def test_slow_venue_takes_part_until_its_next_book_is_late(comparison: Comparison) -> None:
    """Hyperliquid sends its 20 levels every 5.4 s: between two of them the price stands, and then it is old."""
    with LoopbackExchange("hyperliquid") as exchange:
        market = Market("hyperliquid", "BTC", address=exchange.url)
        comparison.watch((market,), Order(Side.BUY, 0.5))
        eventually(lambda: comparison.venue_costs()[0].estimate is not None)
        eventually(lambda: (comparison.venue_costs()[0].age_s or 0.0) > STALE_S + 0.2)
        (row,) = comparison.venue_costs()
        assert row.all_in_price is not None
        assert row.status is not None
        assert row.status.state == "live"
        eventually(lambda: comparison.venue_costs()[0].estimate is None, 10)
        assert 8.0 < (comparison.venue_costs()[0].age_s or 0.0) < 9.5
        comparison.watch((), Order(Side.BUY, 0.5))


def test_only_markets_of_the_same_instrument_are_comparable() -> None:
    """A swap is lined up with swaps, dollars with dollars, and simulated prices with nobody else's."""
    swap = {each.venue for each in comparable_markets(Market("okx", "BTC-USDT-SWAP"))}
    assert swap >= {"okx", "gomarket-okx", "binance-usdm"}
    assert not swap & {"simulated", "binance", "coinbase", "kraken"}
    dollars = {each.venue for each in comparable_markets(Market("coinbase", "BTC-USD"))}
    assert dollars >= {"coinbase", "kraken"}
    assert not dollars & {"simulated", "okx", "gomarket-okx", "binance", "binance-usdm"}


def test_venue_without_prices_takes_no_part(comparison: Comparison) -> None:
    """Where nobody answers there is no estimate, no price and no winner."""
    comparison.watch((Market("okx", "BTC-USDT", address="ws://127.0.0.1:9"),), Order(Side.BUY, 1.0))
    (row,) = comparison.venue_costs()
    assert (row.estimate, row.all_in_price, row.is_cheapest) == (None, None, False)


def test_error_text_of_a_venue_is_escaped_in_the_table() -> None:
    """A server's reason for refusing appears letter by letter in its row: no image, no link, no other cell."""
    said = "![x](http://a.example) | www.a.example | :smile:"
    status = Status("given up", 0, 0, 0, 0, 0, 0, 5, None, None, said, 0, None)
    row = VenueCost(Market("okx", "BTC-USDT"), status, None, None, None, is_cheapest=False)
    row = comparison_table([row]).splitlines()[-1]
    assert plain(said) in row
    assert re.sub(r"\\.", "", row).count("|") == 9
