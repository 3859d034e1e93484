"""Represent order books as values, build them from changes, and hold many of them as arrays."""

from orderbook.book import BookError, Fill, Levels, OrderBook, Side, walk
from orderbook.builder import BookBuilder

__all__ = ["BookBuilder", "BookError", "Fill", "Levels", "OrderBook", "Side", "walk"]
