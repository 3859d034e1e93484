"""The order book: a value, its builder, and many books as arrays."""

from orderbook.book import BookError, Fill, Levels, OrderBook, Side, walk
from orderbook.builder import BookBuilder

__all__ = ["BookBuilder", "BookError", "Fill", "Levels", "OrderBook", "Side", "walk"]
