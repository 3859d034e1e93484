"""Offer the simulated market as a venue: the gateway's messages, made on this machine, on their own clock."""

from __future__ import annotations

from feeds.gomarket import GomarketFeed, GomarketOkx
from feeds.okx import OKX
from orderbook import OrderBook


class SimulatedFeed(GomarketFeed):
    """A feed whose market clock is the simulation's own, at whatever speed it is played."""

    def parse(
        self,
        message: str | bytes,
        received_ns: int,
        market_ns: int | None = None,  # noqa: ARG002 - the seam's signature
    ) -> OrderBook | None:
        return super().parse(message, received_ns, None)


class Simulated(GomarketOkx):
    """A market made on this machine. replay.serve gives it an address; `url` only names it."""

    name = "simulated"
    title = "Simulated market"
    rank = 0
    is_simulated = True
    exchange = "SIM"

    def url(self, symbol: str) -> str:
        return f"ws://127.0.0.1/simulated/{symbol}"

    def make_feed(self, symbol: str, depth: int | None = None) -> SimulatedFeed:
        return SimulatedFeed(self.name, symbol, self.contract_size(symbol), depth)


VENUES = (Simulated(OKX),)
