"""Record a market and read it back with pandas: `.venv/bin/python examples/record_market.py [NEW_FILE]`.

The market is the simulated one; every other venue of `feeds.VENUES` is recorded the same way. Without a name for the
file, the recording goes to a temporary folder.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the project is run from its folder, not installed

import pandas as pd

from feeds import VENUES
from replay import books, record, simulated

VENUE, SYMBOL = "simulated", "BTC-USDT-SWAP"


def main(path: Path) -> None:
    """Record for five seconds, then print the last best bid and ask of every second."""
    # At the very first start, one frame has the parser compiled: seconds that would be missing in the recording.
    VENUES[VENUE].make_feed(SYMBOL).parse(next(simulated(SYMBOL)).message, received_ns=0)
    recorder = record(VENUE, SYMBOL, path, seconds=5)
    if recorder.error:
        sys.exit(recorder.error)
    rows = [
        (book.market_ns, book.bids[0, 0], book.asks[0, 0])
        for book in books(path, lambda: VENUES[VENUE].make_feed(SYMBOL))
    ]
    table = pd.DataFrame(rows, columns=["time", "best_bid", "best_ask"])
    table["time"] = pd.to_datetime(table["time"], utc=True)
    print(f"{len(table)} books of {VENUE} {SYMBOL}:")
    print(table.resample("1s", on="time").last())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "simulated.jsonl.gz")
