"""The same order on every venue that trades the same instrument, each with its own fees."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

from estimation.estimate import Estimate
from estimation.order import Order
from fee_calculator import editions, schedule
from feeds import VENUES
from fees.schedules import FeeTier
from network.status import Status
from sessions.market import Market
from sessions.session import Session
from websocket_client import FeedHub


class Offer(NamedTuple):
    """One venue's side of the comparison.

    age_s: how long ago its newest book was received, None before the first. estimate: None unless that
    book is fresh. all_in_price is what a coin costs, or brings, after every cost: the mid plus or minus the net
    cost; None where that is unknown. Mids differ from venue to venue, so it, not the cost in bps,
    decides who is cheapest.
    """

    market: Market
    status: Status | None
    age_s: float | None
    estimate: Estimate | None
    all_in_price: float | None
    cheapest: bool


class Comparison:
    """Holds one session a venue; the same connections serve whoever else looks at those markets."""

    def __init__(self, hub: FeedHub) -> None:
        self._hub = hub
        self._sessions: dict[Market, Session] = {}

    def watch(self, markets: tuple[Market, ...], order: Order) -> None:
        """Price this order on these markets from now on; its quantity must not be in contracts."""
        for market in set(self._sessions) - set(markets):
            self._sessions.pop(market).disconnect()
        for market in markets:
            own = replace(order, tier=first_tier(market))
            if market in self._sessions:
                self._sessions[market].order = own
            else:
                self._sessions[market] = Session(self._hub, own)
                self._sessions[market].connect(market)

    def offers(self) -> list[Offer]:
        """Every venue, the cheapest one marked; only prices that the page would call live take part."""
        offers = []
        for market, session in self._sessions.items():
            shown, age_s = session.latest, session.age_s
            estimate = shown.estimate if shown is not None and session.is_fresh else None
            price = None if estimate is None else all_in_price(estimate)
            offers.append(Offer(market, session.status, age_s, estimate, price, cheapest=False))
        priced = [offer for offer in offers if offer.all_in_price is not None]
        if len(priced) < 2:
            return offers
        best = min(priced, key=_cost_of_side)
        return [offer._replace(cheapest=offer is best) for offer in offers]

    def release(self) -> None:
        """Let go of every feed because the page is gone; joins nothing. `resume` undoes it."""
        for session in self._sessions.values():
            session.release()

    def resume(self) -> None:
        """Connect again after a release."""
        for session in self._sessions.values():
            session.resume()


def _cost_of_side(offer: Offer) -> float:
    """The price after all costs, the lower the better: as it is for a buyer, negative for a seller."""
    if offer.estimate is None or offer.all_in_price is None:
        return math.inf
    return offer.estimate.order.side.value * offer.all_in_price


def all_in_price(estimate: Estimate) -> float | None:
    """What a coin costs a buyer, or brings a seller, after slippage, fees and counted impact."""
    if estimate.net_cost_bps is None:
        return None
    return estimate.mid * (1 + estimate.order.side.value * estimate.net_cost_bps / 1e4)


def rivals(market: Market) -> tuple[Market, ...]:
    """This market, unless its prices are made up, and every real venue's of the same instrument.

    >>> Market("coinbase", "BTC-USD") in rivals(Market("kraken", "BTC/USD"))
    True
    """
    instrument = VENUES[market.venue].instrument(market.symbol)
    others = [
        Market(name, symbol)
        for name, venue in VENUES.items()
        for symbol in venue.symbols
        if not venue.is_simulated and name != market.venue and venue.instrument(symbol) == instrument
    ]
    return tuple(others) if market.is_simulated else (market, *others)


def first_tier(market: Market) -> FeeTier:
    """The tier everybody begins at, of today's fees."""
    venue = VENUES[market.venue]
    product = venue.product(market.symbol)
    return schedule(venue.fees, product, editions(venue.fees, product)[0]).tiers[0]
