"""Price the same order on every venue that trades the same instrument, each with its own fees."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

from estimation.estimate import Estimate
from estimation.order import Order
from fee_calculator import default_schedule
from feeds import VENUES
from fees.schedules import FeeTier
from network.status import Status
from sessions.market import Market
from sessions.session import Session
from websocket_client import FeedHub


class VenueCost(NamedTuple):
    """One venue's row of the comparison.

    age_s: how long ago its newest book was received, None before the first. estimate: None unless that
    book is fresh. all_in_price: what a coin costs, or brings, after every cost, which is the mid plus or
    minus the net cost; None where that is unknown. Mids differ from venue to venue, so this price, and not
    the cost in bps, decides which venue is cheapest.
    """

    market: Market
    status: Status | None
    age_s: float | None
    estimate: Estimate | None
    all_in_price: float | None
    is_cheapest: bool


class Comparison:
    """One session a venue. Other viewers of the same markets share their connections."""

    def __init__(self, hub: FeedHub) -> None:
        self._hub = hub
        self._sessions: dict[Market, Session] = {}

    def watch(self, markets: tuple[Market, ...], order: Order) -> None:
        """Price this order on these markets from now on; its quantity must not be in contracts."""
        for market in set(self._sessions) - set(markets):
            self._sessions.pop(market).disconnect()
        for market in markets:
            venue_order = replace(order, tier=first_tier(market))
            if market in self._sessions:
                self._sessions[market].order = venue_order
            else:
                self._sessions[market] = Session(self._hub, venue_order)
                self._sessions[market].connect(market)

    def venue_costs(self) -> list[VenueCost]:
        """Return a row for every venue, the cheapest marked; only prices that the page calls live can win."""
        rows = []
        for market, session in self._sessions.items():
            newest = session.latest
            age_s = session.age_s
            estimate = newest.estimate if newest is not None and session.is_fresh else None
            price = None if estimate is None else all_in_price(estimate)
            rows.append(VenueCost(market, session.status, age_s, estimate, price, is_cheapest=False))
        priced_rows = [row for row in rows if row.all_in_price is not None]
        if len(priced_rows) < 2:
            return rows
        cheapest = min(priced_rows, key=_comparable_price)
        return [row._replace(is_cheapest=row is cheapest) for row in rows]

    def release(self) -> None:
        """Release every feed because the tab is closed, without joining threads; `resume` undoes it."""
        for session in self._sessions.values():
            session.release()

    def resume(self) -> None:
        """Connect again after a release."""
        for session in self._sessions.values():
            session.resume()


def _comparable_price(row: VenueCost) -> float:
    """Return the price after all costs, the lower the better: as it is for a buyer, negative for a seller."""
    if row.estimate is None or row.all_in_price is None:
        return math.inf
    return row.estimate.order.side.value * row.all_in_price


def all_in_price(estimate: Estimate) -> float | None:
    """Return what a coin costs a buyer, or brings a seller, after slippage, fees and counted impact.

    Return None where the net cost is unknown.
    """
    if estimate.net_cost_bps is None:
        return None
    return estimate.mid * (1 + estimate.order.side.value * estimate.net_cost_bps / 1e4)


def comparable_markets(market: Market) -> tuple[Market, ...]:
    """Return this market, unless it is simulated, and those of all real venues that trade the same instrument.

    >>> Market("coinbase", "BTC-USD") in comparable_markets(Market("kraken", "BTC/USD"))
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
    """Return the tier that every new customer of the venue has, from today's fees."""
    venue = VENUES[market.venue]
    return default_schedule(venue.fees, venue.product(market.symbol)).tiers[0]
