"""Price one order on every book of a recording: `.venv/bin/python examples/price_order.py [RECORDING]`.

RECORDING is a file that `replay.py record` made. Without one, a minute of the simulated market is used.
"""

import sys
import tempfile
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the project is run from its folder, not installed

from calculations import Order, TradingCalculator
from fee_calculator import FeeTier
from feeds import VENUES
from orderbook import Side
from replay import Recorder, books, meta, simulated


def main(path: Path) -> None:
    """Print what a market order would cost on the last book, part by part."""
    venue, symbol = str(meta(path)["venue"]), str(meta(path)["symbol"])
    order = Order(Side.BUY, 1_000_000, unit="quote", tier=FeeTier("my account", maker=0.0002, taker=0.0005))
    calculator = TradingCalculator(order)
    estimates = [calculator.estimate(book) for book in books(path, lambda: VENUES[venue].make_feed(symbol))]

    last = estimates[-1]
    print(f"Buy for 1,000,000 on {venue} {symbol}, on the last of {len(estimates)} books, in bps of the mid price:")
    parts = {"slippage": last.slippage_bps, "fees": last.fee_bps, "impact": last.impact_bps, "net": last.net_cost_bps}
    for name, cost in parts.items():
        print(f"{name:>8}: " + ("the book is too thin" if cost is None else f"{cost:.3f}"))


def make_recording(path: Path) -> Path:
    """Write a minute of the simulated market, ten books a second, without waiting for it."""
    recorder = Recorder("simulated", "BTC-USDT-SWAP")
    recorder.start(path)
    for tick in islice(simulated("BTC-USDT-SWAP"), 600):
        recorder.write(tick)
    recorder.close()
    return path


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else make_recording(Path(folder) / "simulated.jsonl.gz"))
