"""Represent an order book as a value: two sides of sorted levels, sizes in base units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.float64]
"""(n, 2): price in quote units, size in base units; row 0 is the best level."""


class Side(Enum):
    """The side of the aggressor: BUY takes asks, SELL takes bids."""

    BUY = 1
    SELL = -1


LARGEST = 1e30
"""Every price and size is below this: the learning squares them, and the square must be a finite number too."""


class BookError(ValueError):
    """A book that no market can have; the message carries the offending value."""


class Fill(NamedTuple):
    """The execution of an order that walks one side of a book.

    quantity: what was filled, base units.
    vwap: the average price of what was filled, quote units.
    worst_price: the price of the last level used, quote units.
    levels: how many levels were used.
    unfilled: what the visible levels could not take, base units.
    """

    quantity: float
    vwap: float
    worst_price: float
    levels: int
    unfilled: float


@dataclass(frozen=True, slots=True, eq=False)
class OrderBook:
    """The order book of one market at one time, with read-only level arrays.

    exchange_ns: the venue's clock, ns since epoch; whole seconds only on some venues.
    market_ns: the clock the models live on, ns since epoch.
    received_ns: a monotonic stamp for latency alone, ns.

    The constructor raises BookError if a side is empty, unsorted, or not positive and below LARGEST, or if the sides
    touch or cross.
    """

    venue: str
    symbol: str
    bids: Levels
    asks: Levels
    exchange_ns: int
    market_ns: int
    received_ns: int

    def __post_init__(self) -> None:
        bids = _as_read_only("bids", self.bids)
        asks = _as_read_only("asks", self.asks)
        # If all prices rise from the worst bid to the worst ask, both sides are sorted and do not touch.
        levels = np.concatenate((bids[::-1], asks))
        prices = levels[:, 0]
        rises = prices[1:] > prices[:-1]
        # argmin and argmax take half the time of min and max. They return the position of a NaN if there is one, and
        # a NaN fails the comparison.
        if not (
            rises.item(rises.argmin()) and levels.item(levels.argmin()) > 0 and levels.item(levels.argmax()) < LARGEST
        ):
            raise BookError(_describe_fault(bids, asks))
        if bids is not self.bids:
            object.__setattr__(self, "bids", bids)
        if asks is not self.asks:
            object.__setattr__(self, "asks", asks)

    @property
    def mid(self) -> float:
        """The middle between best bid and best ask, quote units."""
        return (self.bids.item(0) + self.asks.item(0)) / 2

    @property
    def spread_bps(self) -> float:
        """The distance between best bid and best ask, bps of the mid."""
        bid, ask = self.bids.item(0), self.asks.item(0)
        return (ask - bid) / ((bid + ask) / 2) * 1e4

    @property
    def microprice(self) -> float:
        """The mid weighted by the size waiting on the other side (Stoikov 2018, first order)."""
        bid, bid_size, ask, ask_size = self.bids.item(0), self.bids.item(1), self.asks.item(0), self.asks.item(1)
        return (bid * ask_size + ask * bid_size) / (bid_size + ask_size)

    def taken_by(self, side: Side) -> Levels:
        """Return the levels that an aggressor of this side walks through."""
        return self.asks if side is Side.BUY else self.bids


def _as_read_only(name: str, levels: Levels) -> Levels:
    """Return the levels as a read-only (n, 2) float array: a copy if they could be written to.

    Raise BookError, with the name of the side, if they are empty, no numbers or of another shape.
    """
    try:
        array = np.ascontiguousarray(levels, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BookError(f"{name} are not numbers: {error}") from None
    if not array.size:
        raise BookError(f"{name} are empty")
    if array.ndim != 2 or array.shape[1] != 2:
        raise BookError(f"{name} are not (n, 2) but {array.shape}")
    if array.flags.writeable:
        if array is levels or array.base is not None:
            array = array.copy()
        array.flags.writeable = False
    return array


def _describe_fault(bids: Levels, asks: Levels) -> str:
    """Name the first rule that a refused book breaks, with its side, level and value."""
    for name, levels, sign in (("bids", bids, -1), ("asks", asks, 1)):
        for field, column in (("price", levels[:, 0]), ("size", levels[:, 1])):
            is_wrong = ~((column > 0) & (column < LARGEST))
            if is_wrong.any():
                row = int(is_wrong.argmax())
                return f"{name} level {row}: {field} {column[row]} is not positive and below {LARGEST:g}"
        is_unsorted = np.diff(sign * levels[:, 0]) <= 0
        if is_unsorted.any():
            row = int(is_unsorted.argmax())
            return f"{name} unsorted: level {row} at {levels[row, 0]}, level {row + 1} at {levels[row + 1, 0]}"
    return _describe_crossing(bids, asks)


def _describe_crossing(bids: Levels, asks: Levels) -> str:
    """Say that the best bid and the best ask cross, or touch."""
    bid, ask = bids.item(0), asks.item(0)
    return f"crossed: bid {bid} >= ask {ask}" if bid > ask else f"locked: bid {bid} = ask {ask}"


def walk(levels: Levels, quantity: float) -> Fill:
    """Execute an order of `quantity` base units against `levels`, best first.

    Raise ValueError unless the quantity is positive and finite.

    >>> walk(np.array([[60000.1, 1.0], [60000.5, 2.0], [60001.0, 3.0]]), 4.0)
    Fill(quantity=4.0, vwap=60000.525, worst_price=60001.0, levels=3, unfilled=0.0)
    """
    if not 0 < quantity < math.inf:
        raise ValueError(f"quantity must be positive and finite: {quantity}")
    best = levels.item(0)
    price = best
    filled = 0.0
    excess = 0.0  # what was paid beyond the best price: such sums keep the last digits of a tiny slippage
    n_levels = 0
    # Most orders end within the first levels: plain floats are made of 8 levels, then of 32, 128 and so on.
    start = 0
    step = 8
    while filled < quantity:
        rows = levels[start : start + step].tolist()
        if not rows:
            break
        for price, size in rows:
            n_levels += 1
            total = filled + size
            if total >= quantity:
                excess += (price - best) * (quantity - filled)
                filled = quantity
                break
            excess += (price - best) * size
            filled = total
        start += step
        step *= 4
    return Fill(filled, best + excess / filled, price, n_levels, quantity - filled)


class SortedBook(OrderBook):
    """A book whose sides are sorted, positive, below LARGEST and read-only because of how they were built or read.

    The constructor checks only the rest: it raises BookError if a side is empty, or if the sides touch or cross.
    """

    __slots__ = ()

    def __init__(
        self, venue: str, symbol: str, bids: Levels, asks: Levels, exchange_ns: int, market_ns: int, received_ns: int
    ) -> None:
        if not len(bids) or not len(asks):
            raise BookError(f"{'asks' if len(bids) else 'bids'} are empty")
        if bids.item(0) >= asks.item(0):
            raise BookError(_describe_crossing(bids, asks))
        # As the constructor of a frozen dataclass does, in half its time: the setters are not looked up by name.
        _set_venue(self, venue)
        _set_symbol(self, symbol)
        _set_bids(self, bids)
        _set_asks(self, asks)
        _set_exchange_ns(self, exchange_ns)
        _set_market_ns(self, market_ns)
        _set_received_ns(self, received_ns)


_set_venue, _set_symbol, _set_bids, _set_asks, _set_exchange_ns, _set_market_ns, _set_received_ns = (
    getattr(OrderBook, name).__set__ for name in OrderBook.__slots__
)
