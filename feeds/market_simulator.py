"""A market made here: seeded order flow on a two-sided book, told in the gateway's messages.

Limit orders, cancellations and market orders arrive as Poisson processes, and the flow away from the
touch falls with a power of the distance from the opposite best price (Cont, Stoikov and Talreja 2010,
"A stochastic model for order book dynamics", section 2). Three things are added because real books
show them: the flow at the touch leans towards the side that already holds more; a queue that gives
way takes a heavy-tailed number of ticks behind it along; and every such break excites more market
orders for a moment, so that moves come in bursts.

The events lie on a continuous clock and a message is a view of the book at one moment, so a seed is
the same market at 10 messages a second and at 100.
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
"""Where the market's clock starts unless told otherwise: 2025-10-09 08:53:20 UTC."""


@dataclass(frozen=True, slots=True)
class _Instrument:
    """What sets a symbol apart. Prices have `digits` decimals; sizes are medians, in contracts."""

    price: float
    digits: int
    jump_ticks: float  # median reach of a break
    touch_size: float  # an order that joins the best price
    deep_size: float  # an order anywhere else
    market_size: float
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
_CALM = 0.35  # the share of them that comes in any case
_BREAK_EXCITES, _BREAK_FADES_S = 0.25, 0.1  # what a break adds to that share, and how fast it is forgotten
_JOIN_LEAN, _PULL_LEAN, _MARKET_LEAN = 0.2, 0.6, 0.9  # how far an imbalance of 1 turns each flow to one side
_CHASE = 0.85  # how often an open spread is closed by the side that chases the price
_BRING = 0.6  # the most of the old best queue that is moved along then
_ANCHOR = 0.065  # pull towards the first price: the price stays within some per cent of it, for ever
_JOIN_SD, _DEEP_SD, _MARKET_SD, _JUMP_SD = 1.0, 2.0, 1.5, 0.9  # of the logarithm
_LARGEST_SD = 2.5  # no size and no jump is rarer than this
_WARM_UP_S = 20.0
_BLOCK = 4096

_LIMIT, _CANCEL, _JOIN, _PULL, _MARKET = range(5)
_Event = tuple[float, int, int, int, int, float, float]
"""Time in s, kind, distance from the opposite best in ticks, lots, reach of a break in ticks, two uniform draws."""


def frames(
    symbol: str = "BTC-USDT-SWAP",
    *,
    seed: int = 0,
    levels: int = 50,
    per_second: float = 10.0,
    start_ns: int = START_NS,
) -> Iterator[tuple[int, str]]:
    """An endless run of (market_ns, message), the first at start_ns cut to whole microseconds.

    Sizes are contracts. Raises ValueError for an unknown symbol, for levels outside 1 to 400 and for
    per_second outside 1 to 1000.

    >>> market_ns, message = next(frames())
    >>> market_ns, message[:63]
    (1760000000000000000, '{"timestamp":"2025-10-09T08:53:20.000000+00:00","exchange":"SIM')
    """
    if not 1 <= per_second <= MAX_PER_SECOND:
        raise ValueError(f"messages per second must be 1 to {MAX_PER_SECOND:.0f}: {per_second}")
    return _messages(SimulatedMarket(symbol, seed=seed, levels=levels), per_second, start_ns // 1000)


def _messages(market: SimulatedMarket, per_second: float, start_us: int) -> Iterator[tuple[int, str]]:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    for index in count():
        elapsed_us = round(index * 1e6 / per_second)
        market.advance(elapsed_us / 1e6)
        stamp = epoch + timedelta(microseconds=start_us + elapsed_us)
        yield (
            (start_us + elapsed_us) * 1000,
            f'{{"timestamp":"{stamp.isoformat(timespec="microseconds")}","exchange":"SIM","symbol":"{market.symbol}",'
            f'"asks":[{market.asks.text(market.levels)}],"bids":[{market.bids.text(market.levels)}]}}',
        )


class _Ladder:
    """The resting orders of one side, best first: three lists in step.

    A key is a price in ticks, negated for bids, so that smaller is better on both sides and an order
    `d` ticks from the opposite best price has the key `d - opposite.keys[0]`. Lots are hundredths of
    a contract. A row is the level as it stands in a message, made when it changes, so that a message
    is one join however many levels it has.
    """

    __slots__ = ("_hundredths", "_sign", "_tails", "_unit", "keys", "lots", "rows")

    def __init__(self, sign: int, digits: int) -> None:
        self._sign, self._unit, self._tails = sign, 10**digits, _tails(digits)
        self._hundredths = _tails(2)
        self.keys: list[int] = []
        self.lots: list[int] = []
        self.rows: list[str] = []

    def text(self, levels: int) -> str:
        return ",".join(self.rows[:levels])

    def add(self, key: int, lots: int) -> None:
        at = bisect_left(self.keys, key)
        if at < len(self.keys) and self.keys[at] == key:
            self._resize(at, self.lots[at] + lots)
        else:
            self.keys.insert(at, key)
            self.lots.insert(at, lots)
            self.rows.insert(at, self._row(key, lots))

    def cancel(self, key: int) -> None:
        """Empty a price that is not the best one; nothing where no order rests."""
        at = bisect_left(self.keys, key)
        if 0 < at < len(self.keys) and self.keys[at] == key:
            self.cut(at, at + 1)

    def shrink_best(self, lots: int) -> None:
        """Take fewer lots than the best price holds."""
        self._resize(0, self.lots[0] - lots)

    def cut(self, start: int, stop: int) -> None:
        del self.keys[start:stop], self.lots[start:stop], self.rows[start:stop]

    def _resize(self, at: int, lots: int) -> None:
        self.lots[at] = lots
        self.rows[at] = self._row(self.keys[at], lots)

    def _row(self, key: int, lots: int) -> str:
        price, rest = divmod(key * self._sign, self._unit)
        return f'["{price}{self._tails[rest]}","{lots // 100}{self._hundredths[lots % 100]}"]'


class SimulatedMarket:
    """One symbol's book and what happens to it. Raises ValueError for an unknown symbol or levels outside 1 to 400."""

    def __init__(self, symbol: str, *, seed: int = 0, levels: int = 50) -> None:
        if symbol not in _INSTRUMENTS:
            raise ValueError(f"no simulated market for {symbol!r}; there are {', '.join(_INSTRUMENTS)}")
        if not 1 <= levels <= MAX_LEVELS:
            raise ValueError(f"levels must be 1 to {MAX_LEVELS}: {levels}")
        self.symbol, self.levels = symbol, levels
        self._instrument = instrument = _INSTRUMENTS[symbol]
        self._rng = np.random.default_rng(seed)
        self._anchor = round(instrument.price * 10**instrument.digits)
        # Levels held a side: all that is shown, and about as many behind it to come into view.
        self._fewest = max(levels, 50)
        self._usual, self._most = 2 * self._fewest, 3 * self._fewest
        self.asks, self.bids = _Ladder(1, instrument.digits), _Ladder(-1, instrument.digits)
        self.asks.add(self._anchor, round(100 * instrument.touch_size))
        self.bids.add(1 - self._anchor, round(100 * instrument.touch_size))
        self._chaser, self._chased = self.bids, self.asks  # matters from the first break on
        self._excitement, self._excited_at = 0.0, 0.0
        self._events = self._arrivals()
        self._next = next(self._events)
        self._keep_depth()
        self.advance(0.0)

    def advance(self, elapsed_s: float) -> None:
        """Let everything happen that happens up to this many seconds after the opening; time never runs back."""
        until = elapsed_s + _WARM_UP_S
        while self._next[0] <= until:
            self._apply(self._next)
            self._next = next(self._events)

    def _arrivals(self) -> Iterator[_Event]:
        """All that may ever happen, in order, drawn a block at a time."""
        instrument, rng = self._instrument, self._rng
        distances = np.arange(1, 1 + round(2 * self._usual / instrument.occupied))
        by_distance = _DEEP_RATE * distances**-_DEEP_POWER
        limit = 2 * by_distance.sum()
        cancel = limit * (1 / instrument.occupied - 1)
        by_kind = np.array([limit, cancel, 2 * _JOIN_RATE, 2 * _PULL_RATE, _MARKET_RATE])
        # A cancellation of either kind takes a share of what rests, so it has no size of its own.
        medians = 100 * np.array([instrument.deep_size, 0, instrument.touch_size, 0, instrument.market_size])
        deviations = np.array([_DEEP_SD, 0, _JOIN_SD, 0, _MARKET_SD])
        time = 0.0
        while True:
            times = time + np.cumsum(rng.exponential(1 / by_kind.sum(), _BLOCK))
            time = times.item(-1)
            kinds = _pick(rng, by_kind)
            lots = _positive(medians[kinds] * self._scatter(deviations[kinds], _BLOCK))
            jumps = _positive(instrument.jump_ticks * self._scatter(_JUMP_SD, _BLOCK))
            columns = (times, kinds, 1 + _pick(rng, by_distance), lots, jumps, rng.random(_BLOCK), rng.random(_BLOCK))
            yield from zip(*(column.tolist() for column in columns), strict=True)

    def _apply(self, event: _Event) -> None:
        time, kind, distance, lots, jump, draw, share = event
        asks, bids = self.asks, self.bids
        if asks.keys[0] + bids.keys[0] > 1:
            # Makers are far quicker than all else: whatever was to come, an open spread is closed first.
            self._close(lots, draw, share)
        elif kind in (_LIMIT, _CANCEL):
            side, other = (asks, bids) if draw < 0.5 else (bids, asks)
            if kind == _LIMIT:
                side.add(distance - other.keys[0], lots)
            elif len(side.keys) > self._fewest:
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
                excitement = self._excitement * math.exp((self._excited_at - time) / _BREAK_FADES_S)
                if share < _CALM + excitement:
                    astray = asks.keys[0] / self._anchor - 1
                    buys = draw < 0.5 + 0.5 * _MARKET_LEAN * imbalance - _ANCHOR * astray
                    if self._take(asks if buys else bids, lots, jump):
                        self._excitement, self._excited_at = excitement + _BREAK_EXCITES, time

    def _take(self, side: _Ladder, lots: int, jump: int) -> bool:
        """A market order; True if the best queue gives way, and with it everything within `jump` ticks."""
        if lots < side.lots[0]:
            side.shrink_best(lots)
            return False
        side.cut(0, bisect_left(side.keys, side.keys[0] + jump, 1, len(side.keys) - 1))
        self._chased, self._chaser = side, self.bids if side is self.asks else self.asks
        self._keep_depth()
        return True

    def _close(self, lots: int, draw: float, share: float) -> None:
        """An order that makes the spread one tick again, and part of the queue behind it moves along."""
        side, other = (self._chaser, self._chased) if draw < _CHASE else (self._chased, self._chaser)
        moved = int(side.lots[0] * _BRING * share)
        side.shrink_best(moved)
        side.add(1 - other.keys[0], lots + moved)

    def _keep_depth(self) -> None:
        """Forget what the price has left far behind, and uncover more where it has eaten into the book."""
        for side in (self.asks, self.bids):
            held = len(side.keys)
            if held > self._most:
                side.cut(self._usual, held)
            elif held < self._usual / 2 + 10:
                gaps = self._rng.geometric(self._instrument.occupied, self._usual - held)
                lots = _positive(100 * self._instrument.deep_size * self._scatter(_DEEP_SD, len(gaps)))
                for key, size in zip((side.keys[-1] + gaps.cumsum()).tolist(), lots.tolist(), strict=True):
                    side.add(key, size)

    def _scatter(self, deviation: float | Floats, size: int) -> Floats:
        """Factors around 1, lognormal, without the far tails."""
        return np.exp(deviation * self._rng.standard_normal(size).clip(-_LARGEST_SD, _LARGEST_SD))


def _pick(rng: np.random.Generator, weights: NDArray[np.floating]) -> Ints:
    """A block of row numbers, each as frequent as its weight."""
    edges = weights.cumsum()
    rows: Ints = np.searchsorted(edges, rng.random(_BLOCK) * edges[-1], side="right")
    return rows


def _positive(amounts: Floats) -> Ints:
    return amounts.round().clip(min=1).astype(np.int64)


def _tails(digits: int) -> tuple[str, ...]:
    """What follows the whole part of a number, for every rest there can be: the gateway writes no needless zeros.

    >>> _tails(1)[:3], _tails(2)[5], _tails(2)[50]
    (('', '.1', '.2'), '.05', '.5')
    """
    return tuple(f".{rest:0{digits}d}".rstrip("0").rstrip(".") for rest in range(10**digits))
