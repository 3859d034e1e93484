"""The same order on several venues: each pays its own fees, and the best price after all costs is marked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from calculations import Order
from comparison import Comparison, all_in_price, first_tier, rivals
from orderbook import Side
from session import Market
from tests.loopback import eventually
from tests.loopback_exchange import LoopbackExchange
from websocket_client import FeedHub


@pytest.fixture
def markets() -> Iterator[tuple[Market, ...]]:
    """Two exchanges on loopback, each with its own protocol."""
    with ExitStack() as stack:
        venues = {"okx": "BTC-USDT", "kraken": "BTC/USDT"}
        running = {venue: stack.enter_context(LoopbackExchange(venue, symbol)) for venue, symbol in venues.items()}
        yield tuple(Market(venue, symbol, address=running[venue].url) for venue, symbol in venues.items())


@pytest.fixture
def comparison() -> Iterator[Comparison]:
    """A comparison whose feeds are gone, threads and all, once nothing is watched any more."""
    watching = Comparison(FeedHub())
    yield watching
    watching.watch((), Order(Side.BUY, 1.0))
    eventually(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("feed")])


@pytest.mark.parametrize("side", list(Side))
def test_the_best_price_after_all_costs_is_marked(
    comparison: Comparison, markets: tuple[Market, ...], side: Side
) -> None:
    """Both venues price the order with their own tier, and exactly the better all-in price is the cheapest."""
    comparison.watch(markets, Order(side, 0.5))
    eventually(lambda: all(offer.all_in_price for offer in comparison.offers()))
    offers = comparison.offers()
    for offer in offers:
        assert offer.estimate is not None
        assert offer.estimate.order.tier == first_tier(offer.market)
        assert offer.all_in_price == all_in_price(offer.estimate)
    prices = [offer.all_in_price or 0.0 for offer in offers]
    best = min(prices) if side is Side.BUY else max(prices)
    assert [offer.cheapest for offer in offers] == [price == best for price in prices]


def test_only_the_same_instrument_is_compared() -> None:
    """A swap is lined up with swaps, dollars with dollars, and simulated prices with nobody else's."""
    assert {each.venue for each in rivals(Market("okx", "BTC-USDT-SWAP"))} == {"okx", "gomarket-okx", "binance-usdm"}
    assert {each.venue for each in rivals(Market("coinbase", "BTC-USD"))} == {"coinbase", "kraken"}
    assert "simulated" not in {each.venue for each in rivals(Market("okx", "BTC-USDT-SWAP"))}


def test_a_venue_without_prices_takes_no_part(comparison: Comparison) -> None:
    """Where nobody answers there is no estimate, no price and no winner."""
    comparison.watch((Market("okx", "BTC-USDT", address="ws://127.0.0.1:9"),), Order(Side.BUY, 1.0))
    (offer,) = comparison.offers()
    assert (offer.estimate, offer.all_in_price, offer.cheapest) == (None, None, False)
