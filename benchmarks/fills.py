"""What can be known of a quote's fate at all, at each latency: `.venv/bin/python -m benchmarks.fills [FOLDER]`.

Skill is 1 - squared error / squared error of the rate, each forecast by a fit to nine tenths of the session on
the tenth left out, with the outcomes that overlap it left out too. So it learns from nearly all of the session, much
of it after the event: more than a model that is still learning can know. "late": executed on arrival.
"on time": crossed, of those that were not late. "crossed": the maker/taker label, 0 where late.
"corr": of the imbalance with being late, with being crossed when on time, with being crossed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.models import RECORDINGS
from estimation.features import MAKER_COLUMNS, BookState, FeatureExtractor, order_features
from estimation.labels import Labels
from numerics.arrays import Flags, Floats
from orderbook import OrderBook
from orderbook.batch import AGGRESSOR_SIGNS, BookBatch
from tests.support.synthetic_markets import SPOT, STEP_NS, read_recorded_books, resample_to_grid

BLOCKS = 10
WARM_UP = 100
"""Decision times before the first that counts: the columns remember a second, the volatility more."""


def columns(now: Any) -> Floats:
    """The maker columns of every decision time, buying and selling: (2, n, k)."""
    upright = BookState(*(column[:, None] for column in now))
    queue = np.stack((now.bid_size, now.ask_size))[:, :, None]
    moves = np.log(now.mid[50:] / now.mid[:-50]) * 1e4
    volatility = float(np.sqrt(np.mean(moves**2) / 5))
    features = order_features(
        np.log, AGGRESSOR_SIGNS[:, None, None], upright, 1.0, queue, 1.0, 0.0, queue.mean(), 1.0, volatility, 1.0
    )
    x = np.stack(np.broadcast_arrays(*features.maker_columns()), axis=3)[:, :, 0]
    return np.asarray((x - x.mean(axis=(0, 1))) / np.maximum(x.std(axis=(0, 1)), 1e-9)).clip(-3, 3)


def skill(model: Any, x: Floats, y: Floats, counted: Flags, overlap: int) -> float:
    """Of forecasts for y (2, n) from x (2, n, k), where counted, each block by a fit to the others."""
    n = y.shape[1]
    row = np.arange(n)
    squares = base_squares = 0.0
    for start, stop in zip(n * np.arange(BLOCKS) // BLOCKS, n * np.arange(1, BLOCKS + 1) // BLOCKS, strict=True):
        learn = counted & ((row < start - overlap) | (row >= stop + overlap))
        judge = counted & (row >= start) & (row < stop)
        rate = y[learn].mean()
        chance = model.fit(x[learn], y[learn]).predict_proba(x[judge])[:, 1]
        squares += ((y[judge] - chance) ** 2).sum()
        base_squares += ((y[judge] - rate) ** 2).sum()
    return float(1 - squares / base_squares)


def limits(name: str, market: Sequence[OrderBook]) -> None:
    observer = FeatureExtractor()
    every = [np.array(column) for column in zip(*(observer.extract(book) for book in market), strict=True)]
    everything = columns(BookState(*every))
    for latency_s in (0.1, 0.5, 1.0):
        for passive_s in (1.0, 2.0):
            until = round((latency_s + passive_s) * 1e9) // STEP_NS
            rows = slice(WARM_UP, len(market) - until)
            now: Any = BookState(*(column[rows] for column in every))
            labels = Labels.from_books(now, BookBatch.from_books(market), latency_s, passive_s)
            late, crossed = labels.marketable_on_arrival.T.astype(np.float64), labels.crossed.T.astype(np.float64)
            on_time = ~labels.marketable_on_arrival.T
            x, everyone = everything[:, rows], np.ones(late.shape, dtype=bool)
            logit = LogisticRegression(C=0.01)
            found = (
                skill(logit, x, late, everyone, until),
                skill(logit, x, crossed, on_time, until),
                skill(logit, x, crossed, everyone, until),
            )
            imbalance = x[..., MAKER_COLUMNS.index("imbalance")]
            correlations = (
                np.corrcoef(imbalance[counted], y[counted])[0, 1]
                for y, counted in ((late, everyone), (crossed, on_time), (crossed, everyone))
            )
            numbers = " ".join(f"{each:8.3f}" for each in (*found, *correlations))
            print(
                f"{name:10} {latency_s:4} {passive_s:4} {late.mean():6.3f} {crossed.mean():6.3f} {numbers}", flush=True
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", nargs="?", type=Path, default=RECORDINGS)
    folder = parser.parse_args().recordings
    if not folder.is_dir():
        parser.error(f"there is no folder {folder}: name the one that has the recordings")
    print(
        f"{'market':10} {'L s':>4} {'H s':>4} {'late':>6} {'rate':>6} {'late':>8} {'on time':>8} {'crossed':>8} "
        f"{'corr':>8} {'on time':>8} {'crossed':>8}"
    )
    for symbol, file in SPOT.items():
        limits(symbol, resample_to_grid(read_recorded_books(folder, file, "binance", symbol)))


if __name__ == "__main__":
    main()
