"""Measure a fast stream from sent to estimated: `.venv/bin/python -m benchmarks.stream [--seconds 60]`.

Another process of this machine sends frames of 50 levels over loopback at a steady rate, each with the time at which
it was sent; a viewer reads what a page shows, five times a second. The command prints the time from sending to the
finished estimate, on the same clock, with and without a refit of the models at the same time, the number of skipped
frames, and how many messages waited at most.
"""

from __future__ import annotations

import argparse
import gc
import socket
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Iterator
from itertools import cycle, islice
from typing import NamedTuple

import numpy as np

from calculations import Order, TradingCalculator
from estimation.fit_worker import WORKER
from estimation.warm_up import warm_up
from export_manager import ExportManager, to_row
from feeds import VENUES, fast_parser
from feeds.market_simulator import frames
from network.status import Status
from numerics.arrays import Flags, Floats, Ints
from orderbook import OrderBook, Side
from profiling import SystemProfiler
from tests.support.loopback import encode_frame, shake_hands
from websocket_client import WebSocketClient

SYMBOL = "BTC-USDT-SWAP"
DIFFERENT_FRAMES = 2000
P99_PROMISED_MS = 10.0
REFIT_PROMISED = 2.0
VIEW_EVERY_S = 0.2
SHOWN_ROWS = 600


class Measured(NamedTuple):
    """Columns with a row for each book: when it was sent, received and priced (ns, wall clock), and if a refit ran."""

    sent_ns: Ints
    received_ns: Ints
    priced_ns: Ints
    refit: Flags


def make_frames(levels: int) -> list[tuple[bytes, bytes]]:
    """Make frames, each split around its time; they go forth and back, so that the market never jumps."""
    frame_texts = (
        text.encode() for _, text in islice(frames(SYMBOL, levels=levels, per_second=1000.0), DIFFERENT_FRAMES)
    )
    parts = []
    for text in frame_texts:
        start = text.index(b'"timestamp":"') + len(b'"timestamp":"')
        parts.append((text[:start], text[text.index(b'"', start) :]))
    return parts + parts[::-1]


def format_time(now_ns: int) -> bytes:
    """Write the time as the gateway does, to the nanosecond."""
    second, fraction = divmod(now_ns, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode() + b".%09dZ" % fraction


def send(rate: int, seconds: float, levels: int) -> None:
    """Print a port, send to the first client, and print the longest delay of a frame, ms: the other process's work."""
    parts = cycle(make_frames(levels))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        peer, _ = listener.accept()
    with peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        shake_hands(peer)
        began = time.monotonic()
        most_late_s = 0.0
        for number, (head, tail) in enumerate(islice(parts, round(rate * seconds))):
            ahead_s = began + number / rate - time.monotonic()
            if ahead_s > 0:
                time.sleep(ahead_s)
            most_late_s = max(most_late_s, -ahead_s)
            peer.sendall(encode_frame(head + format_time(time.time_ns()) + tail))
        print(f"{most_late_s * 1e3:.1f}", flush=True)
        while peer.recv(65536):
            pass


def measure(rate: int, seconds: float, levels: int) -> tuple[Measured, Status, float]:
    """Return every priced book's times, the client's last status, and how many ms the sender was late at most."""
    calculator = TradingCalculator(Order(Side.BUY, 5.0), VENUES["simulated"].contract_size(SYMBOL))
    profiler, history = SystemProfiler(), ExportManager()
    rows = array("q")  # it has no objects that the collector must examine
    wall_ns = time.time_ns() - time.perf_counter_ns()
    done = threading.Event()
    count = round(rate * seconds)

    def price(book: OrderBook) -> None:
        was_fitting = is_fitting()
        estimate = calculator.estimate(book)
        rows.extend((book.exchange_ns, wall_ns + book.received_ns, time.time_ns(), was_fitting or is_fitting()))
        profiler.record(estimate.stamps)
        history.append(estimate)
        history.realise(calculator.realised())
        if client.status.frames == count:
            done.set()

    def view() -> None:
        while not done.wait(VIEW_EVERY_S):
            began = time.perf_counter_ns()
            if history.latest is not None:
                to_row(history.latest), history.frame(SHOWN_ROWS), calculator.scorecard(), calculator.recent()
                profiler.latencies(), profiler.system()
                profiler.shown(history.latest.stamps.received_ns, (time.perf_counter_ns() - began) / 1e6)

    options = ["--send", "--rate", str(rate), "--seconds", str(seconds), "--levels", str(levels)]
    command = [sys.executable, "-m", "benchmarks.stream", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sender:
        assert sender.stdout is not None
        url = f"ws://127.0.0.1:{int(sender.stdout.readline())}/"
        client = WebSocketClient(url, lambda: VENUES["simulated"].make_feed(SYMBOL), price)
        fast_parser.warm_up()
        warm_up()
        gc.collect()
        gc.freeze()  # as the application does
        threading.Thread(target=view, name="viewer", daemon=True).start()
        client.start()
        done.wait(seconds * 2 + 30)
        status = client.status
        late_ms = float(sender.stdout.readline()) if done.is_set() else float("nan")
        client.stop()
        done.set()  # ends the viewer, whatever happened
        sender.terminate()
    sent, received, priced, refit = np.array(rows).reshape(-1, 4).T
    return Measured(sent, received, priced, refit.astype(bool)), status, late_ms


def is_fitting() -> bool:
    """Check whether a fit is running now."""
    return not WORKER.is_idle


def most_waiting(timed: Measured) -> int:
    """Return the largest number of messages that were received and not yet priced at one time."""
    arrived = np.searchsorted(timed.received_ns, timed.priced_ns, "right")
    return int((arrived - np.arange(len(arrived)) - 1).max())


def percentiles(milliseconds: Floats) -> str:
    """Format percentiles of these times."""
    if not len(milliseconds):
        return "none"
    p50, p99, p999 = np.percentile(milliseconds, [50, 99, 99.9])
    return (
        f"p50 {p50:7.2f}  p99 {p99:7.2f}  p99.9 {p999:7.2f}  max {milliseconds.max():7.2f} ms  of {len(milliseconds)}"
    )


def report(timed: Measured, status: Status, late_ms: float, count: int) -> Iterator[str]:
    """Yield the lines of the report."""
    sent_to_priced_ms = (timed.priced_ns - timed.sent_ns) / 1e6
    during, without = sent_to_priced_ms[timed.refit], sent_to_priced_ms[~timed.refit]
    p99 = float(np.percentile(sent_to_priced_ms, 99))
    yield f"sent {count}, the sender at most {late_ms:.1f} ms late"
    yield f"books {status.books}, refused {status.refused}, passed over {status.conflated}"
    yield f"sent -> estimated      {percentiles(sent_to_priced_ms)}"
    yield f"received -> estimated  {percentiles((timed.priced_ns - timed.received_ns) / 1e6)}"
    yield f"without a refit        {percentiles(without)}"
    yield f"during a refit         {percentiles(during)}"
    yield f"most waiting at once   {most_waiting(timed)} messages"
    yield verdict("nothing skipped", len(sent_to_priced_ms) == status.books == count and not status.callback_errors)
    yield verdict(f"p99 {p99:.2f} <= {P99_PROMISED_MS:g} ms", p99 <= P99_PROMISED_MS)
    if len(during):
        ratio = float(np.percentile(during, 99) / np.percentile(without, 99))
        yield verdict(
            f"p99 during refits {ratio:.2f} <= {REFIT_PROMISED:g} times the p99 without", ratio <= REFIT_PROMISED
        )


def verdict(claim: str, is_kept: bool) -> str:
    """Say whether a claim was kept."""
    return f"{'kept' if is_kept else 'MISSED'}: {claim}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=int, default=2000, help="messages a second")
    parser.add_argument("--levels", type=int, default=50)
    parser.add_argument("--send", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.send:
        send(options.rate, options.seconds, options.levels)
        return
    timed, status, late_ms = measure(options.rate, options.seconds, options.levels)
    for line in report(timed, status, late_ms, round(options.rate * options.seconds)):
        print(line)


if __name__ == "__main__":
    main()
