"""Measure how well a quote's outcome can be predicted at each latency: `.venv/bin/python -m benchmarks.fills [FOLDER]`.

Skill is 1 - squared error / squared error of the rate. Each forecast is by a fit to nine tenths of the session on the
tenth left out, with the outcomes that overlap it left out too. It learns from nearly all of the session, much of it
after the event: more than a model that is still learning can know. "late": executed on arrival.
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
from estimation.features import MAKER_COLUMNS, SLIPPAGE_COLUMNS, order_features
from estimation.labels import Labels
from numerics.arrays import Flags, Floats
from numerics.jit import interpreted
from orderbook import OrderBook
from orderbook.batch import AGGRESSOR_SIGNS, BookBatch
from tests.support.synthetic_markets import SPOT, STEP_NS, observe_all, read_recorded_books, resample_to_grid

BLOCKS = 10
WARM_UP = 100
"""Decision times before the first that counts: the columns remember a second, the volatility more."""


def maker_columns(states: Any) -> Floats:
    """Return the standardised maker columns of every decision time, buying and selling: (2, n, k).

    states: records of BOOK_STATE, (n,).
    """
    usual_queue = float(np.mean((states.bid_size, states.ask_size)))
    moves = np.log(states.mid[50:] / states.mid[:-50]) * 1e4
    volatility = float(np.sqrt(np.mean(moves**2) / 5))
    extract = interpreted(order_features)
    features = [
        [extract(sign, state, usual_queue, 1.0, volatility, 1.0, 1.0, 0.0) for state in states]
        for sign in AGGRESSOR_SIGNS.tolist()
    ]
    names = (*SLIPPAGE_COLUMNS, "log_queue", "log_reach")
    x = np.array(features)[:, :, [names.index(name) for name in MAKER_COLUMNS]]
    return np.asarray((x - x.mean(axis=(0, 1))) / np.maximum(x.std(axis=(0, 1)), 1e-9)).clip(-3, 3)


def skill(model: Any, x: Floats, y: Floats, counted: Flags, overlap: int) -> float:
    """Return the skill of forecasts for y (2, n) from x (2, n, k), each block forecast by a fit to the others.

    Args:
        model: a classifier of scikit-learn.
        x: the columns.
        y: the outcomes, 0 or 1.
        counted: (2, n), which outcomes count.
        overlap: outcomes so many rows before and after a block overlap it and are left out of its fit.
    """
    n = y.shape[1]
    row = np.arange(n)
    squares = base_squares = 0.0
    for start, stop in zip(n * np.arange(BLOCKS) // BLOCKS, n * np.arange(1, BLOCKS + 1) // BLOCKS, strict=True):
        is_training = counted & ((row < start - overlap) | (row >= stop + overlap))
        is_test = counted & (row >= start) & (row < stop)
        rate = y[is_training].mean()
        chance = model.fit(x[is_training], y[is_training]).predict_proba(x[is_test])[:, 1]
        squares += ((y[is_test] - chance) ** 2).sum()
        base_squares += ((y[is_test] - rate) ** 2).sum()
    return float(1 - squares / base_squares)


def print_skills(name: str, market: Sequence[OrderBook]) -> None:
    """Print skill and correlation of late and crossed quotes on one market at each latency."""
    all_states: Any = np.concatenate(observe_all(market)).view(np.recarray)
    all_x = maker_columns(all_states)
    for latency_s in (0.1, 0.5, 1.0):
        for passive_s in (1.0, 2.0):
            until = round((latency_s + passive_s) * 1e9) // STEP_NS
            rows = slice(WARM_UP, len(market) - until)
            states = all_states[rows]
            labels = Labels.from_books(states, BookBatch.from_books(market), latency_s, passive_s)
            late = labels.marketable_on_arrival.T.astype(np.float64)
            crossed = labels.crossed.T.astype(np.float64)
            on_time = ~labels.marketable_on_arrival.T
            x = all_x[:, rows]
            all_quotes = np.ones(late.shape, dtype=bool)
            logit = LogisticRegression(C=0.01)
            skills = (
                skill(logit, x, late, all_quotes, until),
                skill(logit, x, crossed, on_time, until),
                skill(logit, x, crossed, all_quotes, until),
            )
            imbalance = x[..., MAKER_COLUMNS.index("imbalance")]
            correlations = (
                np.corrcoef(imbalance[counted], y[counted])[0, 1]
                for y, counted in ((late, all_quotes), (crossed, on_time), (crossed, all_quotes))
            )
            numbers = " ".join(f"{number:8.3f}" for number in (*skills, *correlations))
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
        print_skills(symbol, resample_to_grid(read_recorded_books(folder, file, "binance", symbol)))


if __name__ == "__main__":
    main()
