"""Simulate a market: seeded order flow on a two-sided book, sent in the messages of the gateway.

Limit orders, cancellations and market orders arrive as Poisson processes, and the flow away from the touch falls with a
power of the distance from the opposite best price (Cont, Stoikov and Talreja 2010, "A stochastic model for order book
dynamics", section 2). Three things are added because real books show them. The flow at the touch leans towards the side
that already holds more. A queue that gives way (a break) takes a heavy-tailed number of price steps behind it along.
Every break excites more market orders for a moment, so that moves come in bursts.

The events lie on a continuous clock, and a message is a view of the book at one time, so a seed gives the same market
at 10 messages a second and at 100.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count

import numpy as np
from numpy.typing import NDArray

from numerics.arrays import Floats, Ints

MAX_LEVELS = 400
MAX_PER_SECOND = 1000.0
START_NS = 1_760_000_000_000_000_000
"""The default start of the market's clock: 2025-10-09 08:53:20 UTC."""


@dataclass(frozen=True, slots=True)
class _Instrument:
    """The properties of one symbol. Prices have `digits` decimals; sizes are medians, in contracts."""

    price: float
    digits: int
    jump_ticks: float  # median reach of a break
    touch_size: float  # of a limit order at the best price
    deep_size: float  # of a limit order anywhere else
    market_size: float  # of a market order
    occupied: float  # share of the prices away from the touch where orders rest


_INSTRUMENTS = {
    "BTC-USDT-SWAP": _Instrument(100_000.0, 1, 28.0, 60.0, 3.6, 8.0, 0.4),
    "ETH-USDT-SWAP": _Instrument(3_000.0, 2, 12.0, 120.0, 10.0, 20.0, 0.5),
    "SOL-USDT-SWAP": _Instrument(150.0, 2, 0.8, 300.0, 15.0, 60.0, 0.8),
}

# Fitted to recordings of BTC-USDT-SWAP (2025-05-15) and of BTCUSDT spot (2024-08-08). Rates are per second.
_DEEP_RATE, _DEEP_POWER = 2.7, 0.6  # limit orders a side at distance i: rate * i ** -power
_JOIN_RATE = 1.8  # limit orders a side at the best price
_PULL_RATE = 0.8  # partial cancellations a side at the best price
_MARKET_RATE = 15.0  # market orders at the height of a burst, both sides
_CALM = 0.35  # the share of them that comes without any burst
_BREAK_EXCITES, _BREAK_FADES_S = 0.25, 0.1  # what a break adds to that share, and its decay time
_JOIN_LEAN, _PULL_LEAN, _MARKET_LEAN = (
    0.2,
    0.6,
    0.9,
)  # how far an imbalance of 1 turns each flow to one side; 1 is entirely
_CHASE = 0.85  # how often an open spread is closed by the side that chases the price
_BRING = 0.6  # the largest share of the old best queue that moves along then
_ANCHOR = 0.065  # pull towards the first price, which keeps the price within some per cent of it, for ever
_JOIN_SD, _DEEP_SD, _MARKET_SD, _JUMP_SD = 1.0, 2.0, 1.5, 0.9  # standard deviations of the logarithm
_LARGEST_SD = 2.5  # in standard deviations: sizes and jumps are cut off here
_WARM_UP_S = 20.0
_BLOCK_EVENTS = 4096
"""Events drawn at a time."""

_LIMIT, _CANCEL, _JOIN, _PULL, _MARKET = range(5)
_Event = tuple[float, int, int, int, int, float, float]
"""Time in s, kind, distance from the opposite best in ticks, lots, reach of a break in ticks, two uniform draws.

A tick is the smallest price step, a lot a hundredth of a contract.
"""


def frames(
    symbol: str = "BTC-USDT-SWAP",
    *,
    seed: int = 0,
    levels: int = 50,
    per_second: float = 10.0,
    start_ns: int = START_NS,
) -> Iterator[tuple[int, str]]:
    """Yield (market_ns, message) without end, the first at start_ns cut to whole microseconds.

    Sizes are contracts. Raises ValueError for an unknown symbol, for levels outside 1 to 400 and for per_second outside
    1 to 1000.

    Args:
        symbol: one of the simulated instruments.
        seed: of the random numbers; the same seed gives the same market.
        levels: price levels a side in a message.
        per_second: messages a second of the market's clock.
        start_ns: the start of the clock, ns since 1970 UTC.

    >>> market_ns, message = next(frames())
    >>> market_ns, message[:63]
    (1760000000000000000, '{"timestamp":"2025-10-09T08:53:20.000000+00:00","exchange":"SIM')
    """
    if not 1 <= per_second <= MAX_PER_SECOND:
        raise ValueError(f"messages per second must be 1 to {MAX_PER_SECOND:.0f}: {per_second}")
    return _view_messages(SimulatedMarket(symbol, seed=seed, levels=levels), per_second, start_ns // 1000)


def _view_messages(market: SimulatedMarket, per_second: float, start_us: int) -> Iterator[tuple[int, str]]:
    """Yield (market_ns, message) of the market at equal intervals."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    for index in count():
        # Counted from the start each time, so that rounding adds up to no drift.
        elapsed_us = round(index * 1e6 / per_second)
        market.advance(elapsed_us / 1e6)
        stamp = epoch + timedelta(microseconds=start_us + elapsed_us)
        yield (
            (start_us + elapsed_us) * 1000,
            f'{{"timestamp":"{stamp.isoformat(timespec="microseconds")}","exchange":"SIM","symbol":"{market.symbol}",'
            f'"asks":[{market.asks.format_rows(market.levels)}],"bids":[{market.bids.format_rows(market.levels)}]}}',
        )


class _Ladder:
    """The resting orders of one side, best first, as three lists of equal length: keys, lots and rows.

    A key is a price in ticks, negated for bids, so that smaller is better on both sides, and an order `d` ticks from
    the opposite best price has the key `d - opposite.keys[0]`. Lots are hundredths of a contract. A row is the text of
    the level in a message; it is made when the level changes, so that a message is one join however many levels it has.
    """

    __slots__ = ("_price_fractions", "_sign", "_size_fractions", "_ticks_per_one", "keys", "lots", "rows")

    def __init__(self, sign: int, digits: int) -> None:
        """Start without orders. sign: 1 for asks, -1 for bids. digits: the decimals of a price."""
        self._sign = sign
        self._ticks_per_one = 10**digits
        self._price_fractions = _format_fractions(digits)
        self._size_fractions = _format_fractions(2)
        self.keys: list[int] = []
        self.lots: list[int] = []
        self.rows: list[str] = []

    def format_rows(self, levels: int) -> str:
        """Return the best levels as a message writes them."""
        return ",".join(self.rows[:levels])

    def add(self, key: int, lots: int) -> None:
        """Add an order at this price."""
        at = bisect_left(self.keys, key)
        if at < len(self.keys) and self.keys[at] == key:
            self._resize(at, self.lots[at] + lots)
        else:
            self.keys.insert(at, key)
            self.lots.insert(at, lots)
            self.rows.insert(at, self._format_row(key, lots))

    def cancel(self, key: int) -> None:
        """Remove all orders at a price that is not the best one; do nothing where no order rests."""
        at = bisect_left(self.keys, key)
        if 0 < at < len(self.keys) and self.keys[at] == key:
            self.remove(at, at + 1)

    def shrink_best(self, lots: int) -> None:
        """Remove lots from the best price, fewer than it holds."""
        self._resize(0, self.lots[0] - lots)

    def remove(self, start: int, stop: int) -> None:
        """Remove the levels start to stop (excluded)."""
        del self.keys[start:stop], self.lots[start:stop], self.rows[start:stop]

    def _resize(self, at: int, lots: int) -> None:
        self.lots[at] = lots
        self.rows[at] = self._format_row(self.keys[at], lots)

    def _format_row(self, key: int, lots: int) -> str:
        price, ticks = divmod(key * self._sign, self._ticks_per_one)
        return f'["{price}{self._price_fractions[ticks]}","{lots // 100}{self._size_fractions[lots % 100]}"]'


class SimulatedMarket:
    """The book of one symbol, and the events that change it.

    Raises ValueError for an unknown symbol or levels outside 1 to 400.
    """

    def __init__(self, symbol: str, *, seed: int = 0, levels: int = 50) -> None:
        if symbol not in _INSTRUMENTS:
            raise ValueError(f"no simulated market for {symbol!r}; there are {', '.join(_INSTRUMENTS)}")
        if not 1 <= levels <= MAX_LEVELS:
            raise ValueError(f"levels must be 1 to {MAX_LEVELS}: {levels}")
        self.symbol = symbol
        self.levels = levels
        instrument = _INSTRUMENTS[symbol]
        self._instrument = instrument
        self._rng = np.random.default_rng(seed)
        self._anchor = round(instrument.price * 10**instrument.digits)
        # Levels held a side: all that are shown, and about as many behind them that may come into view.
        self._min_held = max(levels, 50)
        self._typical_held = 2 * self._min_held
        self._max_held = 3 * self._min_held
        self.asks = _Ladder(1, instrument.digits)
        self.bids = _Ladder(-1, instrument.digits)
        self.asks.add(self._anchor, round(100 * instrument.touch_size))
        self.bids.add(1 - self._anchor, round(100 * instrument.touch_size))
        self._chaser, self._chased = self.bids, self.asks  # the sides of the last break; read only after one
        self._excitement = 0.0
        self._excited_at_s = 0.0
        self._events = self._draw_events()
        self._next_event = next(self._events)
        self._keep_depth()
        self.advance(0.0)

    def advance(self, elapsed_s: float) -> None:
        """Apply all events up to this many seconds after the opening, which must not decrease from call to call."""
        until_s = elapsed_s + _WARM_UP_S
        while self._next_event[0] <= until_s:
            self._apply(self._next_event)
            self._next_event = next(self._events)

    def _draw_events(self) -> Iterator[_Event]:
        """Yield events in order of time, without end; they are drawn a block at a time."""
        instrument = self._instrument
        rng = self._rng
        distances = np.arange(1, 1 + round(2 * self._typical_held / instrument.occupied))
        rate_by_distance = _DEEP_RATE * distances**-_DEEP_POWER
        limit_rate = 2 * rate_by_distance.sum()
        # At this ratio orders rest at the share `occupied` of the prices in the long run.
        cancel_rate = limit_rate * (1 / instrument.occupied - 1)
        rate_by_kind = np.array([limit_rate, cancel_rate, 2 * _JOIN_RATE, 2 * _PULL_RATE, _MARKET_RATE])
        # A cancellation of either kind takes a share of what rests, so it has no size of its own.
        medians = 100 * np.array([instrument.deep_size, 0, instrument.touch_size, 0, instrument.market_size])
        deviations = np.array([_DEEP_SD, 0, _JOIN_SD, 0, _MARKET_SD])
        last_s = 0.0
        while True:
            # The order of the draws is part of what a seed means.
            times_s = last_s + np.cumsum(rng.exponential(1 / rate_by_kind.sum(), _BLOCK_EVENTS))
            last_s = times_s.item(-1)
            kinds = _draw_rows(rng, rate_by_kind)
            lots = _round_to_positive(medians[kinds] * self._draw_factors(deviations[kinds], _BLOCK_EVENTS))
            jumps = _round_to_positive(instrument.jump_ticks * self._draw_factors(_JUMP_SD, _BLOCK_EVENTS))
            columns = (
                times_s,
                kinds,
                1 + _draw_rows(rng, rate_by_distance),
                lots,
                jumps,
                rng.random(_BLOCK_EVENTS),
                rng.random(_BLOCK_EVENTS),
            )
            yield from zip(*(column.tolist() for column in columns), strict=True)

    def _apply(self, event: _Event) -> None:
        """Change the book by one event. `draw` decides the side, `share` how much of it or whether at all."""
        time_s, kind, distance, lots, jump, draw, share = event
        asks, bids = self.asks, self.bids
        # The sum of the best keys is the spread in ticks.
        if asks.keys[0] + bids.keys[0] > 1:
            # Makers are far quicker than all others: an event on an open spread becomes the order that closes it.
            self._close_spread(lots, draw, share)
        elif kind in (_LIMIT, _CANCEL):
            side, other = (asks, bids) if draw < 0.5 else (bids, asks)
            if kind == _LIMIT:
                side.add(distance - other.keys[0], lots)
            elif len(side.keys) > self._min_held:
                side.cancel(distance - other.keys[0])
        else:
            imbalance = (bids.lots[0] - asks.lots[0]) / (bids.lots[0] + asks.lots[0])
            if kind == _JOIN:
                side = asks if draw < 0.5 - 0.5 * _JOIN_LEAN * imbalance else bids
                side.add(side.keys[0], lots)
            elif kind == _PULL:
                side = asks if draw < 0.5 + 0.5 * _PULL_LEAN * imbalance else bids
                side.shrink_best(int(side.lots[0] * share))
            else:
                excitement = self._excitement * math.exp((self._excited_at_s - time_s) / _BREAK_FADES_S)
                if share < _CALM + excitement:
                    deviation = asks.keys[0] / self._anchor - 1
                    is_buy = draw < 0.5 + 0.5 * _MARKET_LEAN * imbalance - _ANCHOR * deviation
                    if self._execute(asks if is_buy else bids, lots, jump):
                        self._excitement = excitement + _BREAK_EXCITES
                        self._excited_at_s = time_s

    def _execute(self, side: _Ladder, lots: int, jump: int) -> bool:
        """Execute a market order against this side; return whether its best queue gave way.

        All orders within `jump` ticks of that queue go with it, except the last level.
        """
        if lots < side.lots[0]:
            side.shrink_best(lots)
            return False
        side.remove(0, bisect_left(side.keys, side.keys[0] + jump, 1, len(side.keys) - 1))
        self._chased, self._chaser = side, self.bids if side is self.asks else self.asks
        self._keep_depth()
        return True

    def _close_spread(self, lots: int, draw: float, share: float) -> None:
        """Add an order that makes the spread one tick again; part of the queue behind it moves along."""
        side, other = (self._chaser, self._chased) if draw < _CHASE else (self._chased, self._chaser)
        moved = int(side.lots[0] * _BRING * share)
        side.shrink_best(moved)
        side.add(1 - other.keys[0], lots + moved)

    def _keep_depth(self) -> None:
        """Drop levels that the price has left far behind, and add levels where it has eaten into the book."""
        for side in (self.asks, self.bids):
            n_held = len(side.keys)
            if n_held > self._max_held:
                side.remove(self._typical_held, n_held)
            elif n_held < self._typical_held / 2 + 10:
                gaps = self._rng.geometric(self._instrument.occupied, self._typical_held - n_held)
                lots = _round_to_positive(100 * self._instrument.deep_size * self._draw_factors(_DEEP_SD, len(gaps)))
                for key, size in zip((side.keys[-1] + gaps.cumsum()).tolist(), lots.tolist(), strict=True):
                    side.add(key, size)

    def _draw_factors(self, deviation: float | Floats, size: int) -> Floats:
        """Draw lognormal factors (size,) with median 1, cut off at _LARGEST_SD. deviation: of the logarithm."""
        return np.exp(deviation * self._rng.standard_normal(size).clip(-_LARGEST_SD, _LARGEST_SD))


def _draw_rows(rng: np.random.Generator, weights: NDArray[np.floating]) -> Ints:
    """Draw a block of row numbers, each as frequent as its weight (n,)."""
    edges = weights.cumsum()
    rows: Ints = np.searchsorted(edges, rng.random(_BLOCK_EVENTS) * edges[-1], side="right")
    return rows


def _round_to_positive(amounts: Floats) -> Ints:
    """Round to whole numbers, and up to 1 at least."""
    return amounts.round().clip(min=1).astype(np.int64)


def _format_fractions(digits: int) -> tuple[str, ...]:
    """Return the text after the whole part of a number for each fraction; the gateway writes no needless zeros.

    >>> _format_fractions(1)[:3], _format_fractions(2)[5], _format_fractions(2)[50]
    (('', '.1', '.2'), '.05', '.5')
    """
    return tuple(f".{rest:0{digits}d}".rstrip("0").rstrip(".") for rest in range(10**digits))
