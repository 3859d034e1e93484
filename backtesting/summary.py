"""Summarise a backtest: each component of the cost, when it was lowest and highest, and its distribution."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from estimation.order import Order
from estimation.scorecard import Scorecard
from numerics.arrays import Floats, Ints, Records

COMPONENTS = (
    "slippage_bps", "fee_bps", "impact_bps", "net_cost_bps", "timing_risk_bps", "impact_permanent_bps",
    "impact_temporary_bps", "walk_bps", "realised_slippage_bps",
)  # fmt: skip
BUCKETS = 500
"""The most stretches of equal length that the cost over time is divided into."""
HISTOGRAM_BINS = 50
HOURS = 24
_HOUR_NS = 3_600_000_000_000
_ROW = np.dtype([("market_ns", np.int64), *((name, np.float64) for name in COMPONENTS)])


class Distribution(NamedTuple):
    """One component of the cost over all books that have a number for it, bps."""

    books: int
    mean: float
    p50: float
    p95: float
    p99: float

    @classmethod
    def from_values(cls, values: Floats) -> Self | None:
        """Describe the values, (n,); NaN is left out, and nothing but NaN gives None."""
        numbers = values[~np.isnan(values)]
        if not len(numbers):
            return None
        quantiles = np.quantile(numbers, (0.5, 0.95, 0.99), overwrite_input=True).tolist()
        return cls(len(numbers), float(numbers.mean()), *quantiles)


class Extreme(NamedTuple):
    """A book on which the net cost was lowest or highest."""

    market_ns: int
    net_cost_bps: float


class OverTime(NamedTuple):
    """The lowest and the highest net cost in each of up to BUCKETS stretches of equal length.

    market_ns: where each stretch begins. Stretches without a number are left out.
    """

    market_ns: Ints
    low_bps: Floats
    high_bps: Floats


class Histogram(NamedTuple):
    """The number of books whose net cost lies between each two edges; the end bins also count all beyond them.

    edges_bps: (n + 1,). books: (n,).
    """

    edges_bps: Floats
    books: Ints


class Hour(NamedTuple):
    """One hour of the day in UTC: the mean net cost and the number of books behind it."""

    hour: int
    net_cost_bps: float
    books: int


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """The results of one order on all books of one recording.

    books: how many there are. first_ns, last_ns: the earliest and the latest market_ns. thin: how many books do not
    hold the whole order. unpriced: how many of these hold too little even for an extrapolated cost. components: by the
    names of COMPONENTS, None where no book has a number. cheapest, dearest: None where no book has a net cost.
    by_hour: only the hours that occur. scorecard: of the model state at the last book.
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
    """Collects the blocks of one backtest in a temporary file, which its exit as a context manager deletes.

    `summary` may be called at any time, on the thread that adds the blocks.
    """

    def __init__(self, recording: str, venue: str, symbol: str, order: Order) -> None:
        self._subject = (recording, venue, symbol, order)
        self._n_books = 0
        self._scorecard: Scorecard | None = None
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, columns: Records, scorecard: Scorecard) -> None:
        """Add the next block."""
        rows = np.empty(len(columns), _ROW)
        for name in _ROW.names or ():
            rows[name] = columns[name]
        self._file.write(rows.data)
        self._n_books += len(rows)
        self._scorecard = scorecard

    def summary(self) -> Summary:
        """Summarise all blocks added so far."""
        self._file.flush()
        rows: Any = np.memmap(self._file, _ROW, "r") if self._n_books else np.zeros(0, _ROW)
        market_ns = np.array(rows["market_ns"])
        net_bps = np.array(rows["net_cost_bps"])
        priced = np.flatnonzero(~np.isnan(net_bps))
        first_ns, last_ns = (int(market_ns.min()), int(market_ns.max())) if len(market_ns) else (0, 0)
        return Summary(
            *self._subject,
            books=len(market_ns),
            first_ns=first_ns,
            last_ns=last_ns,
            thin=int(np.isnan(rows["walk_bps"]).sum()),
            unpriced=len(net_bps) - len(priced),
            components={name: Distribution.from_values(np.array(rows[name])) for name in COMPONENTS},
            cheapest=_find_extreme(market_ns, net_bps, priced, np.argmin),
            dearest=_find_extreme(market_ns, net_bps, priced, np.argmax),
            over_time=_measure_over_time(market_ns[priced], net_bps[priced], first_ns, last_ns),
            histogram=_count_bins(net_bps[priced]),
            by_hour=_average_by_hour(market_ns[priced], net_bps[priced]),
            scorecard=self._scorecard,
        )


def _find_extreme(
    market_ns: Ints, net_bps: Floats, priced: Ints, find_place: Callable[[Floats], Any]
) -> Extreme | None:
    """Return the first of the priced rows whose net cost is the extreme one; None if no row is priced."""
    if not len(priced):
        return None
    row = priced[find_place(net_bps[priced])]
    return Extreme(int(market_ns[row]), float(net_bps[row]))


def _measure_over_time(market_ns: Ints, net_bps: Floats, first_ns: int, last_ns: int) -> OverTime:
    """Find the lowest and the highest net cost (n,) of each stretch of the time from first_ns to last_ns."""
    # One more than the quotient, so that last_ns is still in the last bucket.
    length_ns = (last_ns - first_ns) // BUCKETS + 1
    bucket = (market_ns - first_ns) // length_ns
    low = np.full(BUCKETS, np.inf)
    high = np.full(BUCKETS, -np.inf)
    np.minimum.at(low, bucket, net_bps)
    np.maximum.at(high, bucket, net_bps)
    # A bucket without a number still has its infinities.
    occupied = np.flatnonzero(low <= high)
    return OverTime(first_ns + occupied * length_ns, low[occupied], high[occupied])


def _count_bins(net_bps: Floats) -> Histogram:
    """Count the books in bins from the 0.5th to the 99.5th percentile; a few wild books would hide all others."""
    if not len(net_bps):
        return Histogram(np.zeros(0), np.zeros(0, dtype=np.int64))
    low, high = np.quantile(net_bps, (0.005, 0.995)).tolist()
    counts, edges = np.histogram(np.clip(net_bps, low, high), HISTOGRAM_BINS, (low, high))
    return Histogram(edges, counts.astype(np.int64))


def _average_by_hour(market_ns: Ints, net_bps: Floats) -> tuple[Hour, ...]:
    """Return the mean net cost of every hour of the day that occurs."""
    hour_of_day = market_ns // _HOUR_NS % HOURS
    n_books = np.bincount(hour_of_day, minlength=HOURS)
    total_bps = np.bincount(hour_of_day, net_bps, HOURS)
    return tuple(
        Hour(hour, float(total_bps[hour] / n_books[hour]), int(n_books[hour]))
        for hour in np.flatnonzero(n_books).tolist()
    )
