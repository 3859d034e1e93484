"""The order book as a value: two sides of sorted levels in base units."""

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
"""No price and no size is as large; the learning squares them, and the square must be a number too."""


class BookError(ValueError):
    """One book that cannot be true; the message carries the offending value."""


class Fill(NamedTuple):
    """What walking one side of a book would execute, in base units and quote prices."""

    quantity: float
    vwap: float
    worst_price: float
    levels: int
    unfilled: float


@dataclass(frozen=True, slots=True, eq=False)
class OrderBook:
    """One moment of one market. Raises BookError if a side is empty, unsorted, not positive and
    below LARGEST, or if the sides touch or cross. The level arrays are read-only.

    exchange_ns is the venue's clock (ns since epoch, whole seconds only on some venues), market_ns
    the clock the models live on (ns since epoch), received_ns a monotonic stamp for latency alone.
    """

    venue: str
    symbol: str
    bids: Levels
    asks: Levels
    exchange_ns: int
    market_ns: int
    received_ns: int

    def __post_init__(self) -> None:
        bids, asks = _levels("bids", self.bids), _levels("asks", self.asks)
        # From the worst bid to the worst ask all prices rise: both sides are sorted, and do not touch.
        levels = np.concatenate((bids[::-1], asks))
        prices = levels[:, 0]
        rises = prices[1:] > prices[:-1]
        # The position of an extreme is found in half the time of its value; that of what is not a number comes first.
        if not (
            rises.item(rises.argmin()) and levels.item(levels.argmin()) > 0 and levels.item(levels.argmax()) < LARGEST
        ):
            raise BookError(_why_refused(bids, asks))
        if bids is not self.bids:
            object.__setattr__(self, "bids", bids)
        if asks is not self.asks:
            object.__setattr__(self, "asks", asks)

    @property
    def mid(self) -> float:
        return (self.bids.item(0) + self.asks.item(0)) / 2

    @property
    def spread_bps(self) -> float:
        bid, ask = self.bids.item(0), self.asks.item(0)
        return (ask - bid) / ((bid + ask) / 2) * 1e4

    @property
    def microprice(self) -> float:
        """The mid weighted by the size waiting on the other side (Stoikov 2018, first order)."""
        bid, bid_size, ask, ask_size = self.bids.item(0), self.bids.item(1), self.asks.item(0), self.asks.item(1)
        return (bid * ask_size + ask * bid_size) / (bid_size + ask_size)

    def taken_by(self, side: Side) -> Levels:
        """The levels an aggressor of this side walks through."""
        return self.asks if side is Side.BUY else self.bids


def _levels(name: str, levels: Levels) -> Levels:
    """The levels as a read-only (n, 2) float array, a copy if they could be written to. Raises BookError."""
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


def _why_refused(bids: Levels, asks: Levels) -> str:
    for name, levels, sign in (("bids", bids, -1), ("asks", asks, 1)):
        for what, column in (("price", levels[:, 0]), ("size", levels[:, 1])):
            bad = ~((column > 0) & (column < LARGEST))
            if bad.any():
                row = int(bad.argmax())
                return f"{name} level {row}: {what} {column[row]} is not positive and below {LARGEST:g}"
        unsorted = np.diff(sign * levels[:, 0]) <= 0
        if unsorted.any():
            row = int(unsorted.argmax())
            return f"{name} unsorted: level {row} at {levels[row, 0]}, level {row + 1} at {levels[row + 1, 0]}"
    return _why_crossed(bids, asks)


def _why_crossed(bids: Levels, asks: Levels) -> str:
    bid, ask = bids.item(0), asks.item(0)
    return f"crossed: bid {bid} >= ask {ask}" if bid > ask else f"locked: bid {bid} = ask {ask}"


def walk(levels: Levels, quantity: float) -> Fill:
    """What an order of `quantity` base units executes against `levels`, best first.

    `vwap` is of what was filled; `unfilled` says what the visible levels could not take.
    Raises ValueError unless the quantity is positive and finite.

    >>> walk(np.array([[60000.1, 1.0], [60000.5, 2.0], [60001.0, 3.0]]), 4.0)
    Fill(quantity=4.0, vwap=60000.525, worst_price=60001.0, levels=3, unfilled=0.0)
    """
    if not 0 < quantity < math.inf:
        raise ValueError(f"quantity must be positive and finite: {quantity}")
    best = levels.item(0)
    # Summing distances from the best price, not prices, keeps the last digits of a tiny slippage.
    filled, excess, price, used, start, step = 0.0, 0.0, best, 0, 0, 8
    while filled < quantity:
        rows = levels[start : start + step].tolist()
        if not rows:
            break
        for price, size in rows:
            used += 1
            total = filled + size
            if total >= quantity:
                excess += (price - best) * (quantity - filled)
                filled = quantity
                break
            excess += (price - best) * size
            filled = total
        start, step = start + step, step * 4
    return Fill(filled, best + excess / filled, price, used, quantity - filled)


class SortedBook(OrderBook):
    """A book of read-only sides that are known to be sorted, positive and below LARGEST, as they were built or read;
    only whether one is empty, or they touch or cross, is looked at."""

    __slots__ = ()

    def __post_init__(self) -> None:
        if not len(self.bids) or not len(self.asks):
            raise BookError(f"{'asks' if len(self.bids) else 'bids'} are empty")
        if self.bids.item(0) >= self.asks.item(0):
            raise BookError(_why_crossed(self.bids, self.asks))
