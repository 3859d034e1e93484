"""The venues: one file each, all reached through VENUES."""

from feeds.base import Feed, FeedError, Product, Venue
from feeds.binance import Binance, BinanceUsdm
from feeds.coinbase import Coinbase
from feeds.gomarket import GomarketOkx
from feeds.kraken import Kraken
from feeds.okx import Okx
from feeds.simulated import Simulated

OKX = Okx()
"""VENUES["okx"] by its own type: it alone can learn contract values."""

_ALL: tuple[Venue, ...] = (Simulated(OKX), GomarketOkx(OKX), OKX, Binance(), BinanceUsdm(), Coinbase(), Kraken())

VENUES: dict[str, Venue] = {venue.name: venue for venue in _ALL}

__all__ = ["OKX", "VENUES", "Feed", "FeedError", "Product", "Venue"]
