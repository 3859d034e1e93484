"""What a backtest says in a few numbers: how much each part of the cost was, when it was least, how it was spread."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from estimation.batch.estimates import Columns
from estimation.order import Order
from estimation.scorecard import Scorecard
from numerics.arrays import Floats, Ints

COMPONENTS = (
    "slippage_bps", "fee_bps", "impact_bps", "net_cost_bps", "timing_risk_bps", "impact_permanent_bps",
    "impact_temporary_bps", "walk_bps", "realised_slippage_bps",
)  # fmt: skip
BUCKETS = 500
BINS = 50
HOURS = 24
_HOUR_NS = 3_600_000_000_000
_KEPT = np.dtype([("market_ns", np.int64), *((name, np.float64) for name in COMPONENTS)])


class Distribution(NamedTuple):
    """One part of the cost over all books that have a number for it, bps."""

    books: int
    mean: float
    p50: float
    p95: float
    p99: float

    @classmethod
    def from_values(cls, values: Floats) -> Self | None:
        """NaN does not count; None if nothing else is there."""
        known = values[~np.isnan(values)]
        if not len(known):
            return None
        quantiles = np.quantile(known, (0.5, 0.95, 0.99), overwrite_input=True).tolist()
        return cls(len(known), float(known.mean()), *quantiles)


class Extreme(NamedTuple):
    """A book on which the net cost was least or most."""

    market_ns: int
    net_cost_bps: float


class OverTime(NamedTuple):
    """The least and the most net cost in up to BUCKETS stretches of equal length, each from its market_ns on;
    stretches without a number are left out."""

    market_ns: Ints
    low_bps: Floats
    high_bps: Floats


class Histogram(NamedTuple):
    """How many books had a net cost between each two edges, bps; all that is beyond the ends is in the end bins."""

    edges_bps: Floats
    books: Ints


class Hour(NamedTuple):
    """One hour of the day in UTC: the mean net cost and the books behind it."""

    hour: int
    net_cost_bps: float
    books: int


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """One order on all books of one recording.

    thin: books that do not hold the whole order, and unpriced: those of them where nobody can say what it costs.
    components: by the names of COMPONENTS, None where no book has a number. by_hour: the hours that occur.
    """

    recording: str
    venue: str
    symbol: str
    order: Order
    books: int
    first_ns: int
    last_ns: int
    thin: int
    unpriced: int
    components: dict[str, Distribution | None]
    cheapest: Extreme | None
    dearest: Extreme | None
    over_time: OverTime
    histogram: Histogram
    by_hour: tuple[Hour, ...]
    scorecard: Scorecard | None


class SummaryBuilder:
    """Gathers the blocks of one backtest in a temporary file; `summary` may be asked at any time, from its thread."""

    def __init__(self, recording: str, venue: str, symbol: str, order: Order) -> None:
        self._of = (recording, venue, symbol, order)
        self._books = 0
        self._scorecard: Scorecard | None = None
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the tally

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, columns: Columns, scorecard: Scorecard) -> None:
        """Count in the next block."""
        rows = np.empty(len(columns["market_ns"]), _KEPT)
        for name in _KEPT.names or ():
            rows[name] = columns[name]
        self._file.write(rows.data)
        self._books += len(rows)
        self._scorecard = scorecard

    def summary(self) -> Summary:
        """What was added so far."""
        self._file.flush()
        rows: Any = np.memmap(self._file, _KEPT, "r") if self._books else np.zeros(0, _KEPT)
        clock, net = np.array(rows["market_ns"]), np.array(rows["net_cost_bps"])
        priced = np.flatnonzero(~np.isnan(net))
        first, last = (int(clock.min()), int(clock.max())) if len(clock) else (0, 0)
        return Summary(
            *self._of,
            books=len(clock),
            first_ns=first,
            last_ns=last,
            thin=int(np.isnan(rows["walk_bps"]).sum()),
            unpriced=len(net) - len(priced),
            components={name: Distribution.from_values(np.array(rows[name])) for name in COMPONENTS},
            cheapest=_extreme(clock, net, priced, np.argmin),
            dearest=_extreme(clock, net, priced, np.argmax),
            over_time=_over_time(clock[priced], net[priced], first, last),
            histogram=_histogram(net[priced]),
            by_hour=_by_hour(clock[priced], net[priced]),
            scorecard=self._scorecard,
        )


def _extreme(clock: Ints, net: Floats, priced: Ints, best: Any) -> Extreme | None:
    if not len(priced):
        return None
    row = priced[best(net[priced])]
    return Extreme(int(clock[row]), float(net[row]))


def _over_time(clock: Ints, net: Floats, first: int, last: int) -> OverTime:
    length = (last - first) // BUCKETS + 1
    bucket = (clock - first) // length
    low, high = np.full(BUCKETS, np.inf), np.full(BUCKETS, -np.inf)
    np.minimum.at(low, bucket, net)
    np.maximum.at(high, bucket, net)
    some = np.flatnonzero(low <= high)
    return OverTime(first + some * length, low[some], high[some])


def _histogram(net: Floats) -> Histogram:
    """Between the 0.5th and the 99.5th percentile, for a few wild books would hide all others."""
    if not len(net):
        return Histogram(np.zeros(0), np.zeros(0, dtype=np.int64))
    low, high = np.quantile(net, (0.005, 0.995)).tolist()
    counts, edges = np.histogram(np.clip(net, low, high), BINS, (low, high))
    return Histogram(edges, counts.astype(np.int64))


def _by_hour(clock: Ints, net: Floats) -> tuple[Hour, ...]:
    hour = clock // _HOUR_NS % HOURS
    books, total = np.bincount(hour, minlength=HOURS), np.bincount(hour, net, HOURS)
    return tuple(
        Hour(each, float(total[each] / books[each]), int(books[each])) for each in np.flatnonzero(books).tolist()
    )
