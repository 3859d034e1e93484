"""Backtest an order over a recording: `.venv/bin/python examples/backtest_recording.py [RECORDING]`.

RECORDING is a file that `replay.py record` made. Without one, a minute of the simulated market is used.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the project is run from its folder, not installed

from price_order import make_recording

from backtest import backtest
from calculations import Order
from orderbook import Side
from replay import meta

COLUMNS = ["slippage_bps", "fee_bps", "impact_bps", "net_cost_bps"]


def main(path: Path, cache: Path) -> None:
    """Print how the cost of a market order was distributed over all books."""
    venue, symbol = str(meta(path)["venue"]), str(meta(path)["symbol"])
    rows = backtest(path, venue, symbol, Order(Side.SELL, 1_000_000, unit="quote"), cache)
    print(f"Sell for 1,000,000 on {venue} {symbol}, on each of {len(rows)} books, in bps of the mid price:")
    print(rows[COLUMNS].describe(percentiles=[0.5, 0.95]).round(3))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(sys.argv[1]) if len(sys.argv) > 1 else make_recording(Path(folder) / "simulated.jsonl.gz")
        main(recording, cache=Path(folder) / "books")
