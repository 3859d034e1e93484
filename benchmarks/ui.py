"""Measure the page in a real browser: `.venv/bin/python -m benchmarks.ui [--minutes 5] [--levels 400]`.

Another process serves a simulated market at 10 and at 100 messages a second, Streamlit serves the page, and
Chromium shows it with the source "Another address". For each rate the command prints how long the server draws the
numbers, how old a price is when it is painted, how long an input waits for its result, how busy the server and the
browser's main thread are, how many chart nodes were replaced, how many updates came, how busy a paused page is, and
how the memory of both grows after the first minute. Server, feed and browser share the machine: compare within one
run.
"""

from __future__ import annotations

import argparse
import csv
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
from playwright.sync_api import CDPSession, Page, sync_playwright
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from feeds import VENUES
from replay import encode, simulated
from tests.support.paths import PROJECT
from tests.support.served_page import choose, launched_browser, served_page, type_in, wait_for

SYMBOL = "BTC-USDT-SWAP"
RATES = (10, 100)
UPDATES_S = 5.0
INPUTS = 20
PAUSED_S = 10.0
SETTLED_S = 60.0

WATCH = """() => {
  window.delays = []; window.rebuilt = 0; window.answers = []; window.asked = null;
  let last = null;
  new MutationObserver(changes => {
    for (const change of changes)
      for (const node of change.removedNodes)
        if (node.querySelector && (node.tagName === 'CANVAS' || node.querySelector('canvas'))) window.rebuilt += 1;
    const tick = document.querySelector('#tick');
    if (!tick) return;
    const {ns, quantity} = tick.dataset;
    const answered = window.asked && Number(quantity) === window.asked.quantity ? window.asked : null;
    if (answered) window.asked = null;
    if (ns === last && !answered) return;
    const fresh = ns !== last;
    last = ns;
    requestAnimationFrame(() => {
      if (fresh) window.delays.push(Date.now() - Number(ns) / 1e6);
      if (answered) window.answers.push(performance.now() - answered.since);
    });
  }).observe(document.body, {subtree: true, childList: true, attributes: true, attributeFilter: ['data-ns']});
  document.addEventListener('keydown', event => {
    if (event.key === 'Enter') window.asked = {since: performance.now(), quantity: Number(event.target.value)};
  }, true);
}"""


class Load(NamedTuple):
    """Seconds used so far of the server's CPU and of the browser's main thread, at time_s of the monotonic clock."""

    time_s: float
    server_s: float
    main_s: float


class Memory(NamedTuple):
    """Memory in use, MiB, of the server and, after a collection, of the page's scripts; and the page's nodes."""

    time_s: float
    server: float
    heap: float
    nodes: int


def read_metrics(browser: CDPSession) -> dict[str, float]:
    """Read the browser's own metrics of the page."""
    return {metric["name"]: metric["value"] for metric in browser.send("Performance.getMetrics")["metrics"]}


def measure_load(server: psutil.Process, browser: CDPSession) -> Load:
    """Measure the processor time used so far."""
    used = server.cpu_times()
    return Load(time.monotonic(), used.user + used.system, read_metrics(browser)["TaskDuration"])


def measure_memory(server: psutil.Process, browser: CDPSession) -> Memory:
    """Collect the page's garbage and measure the memory in use."""
    browser.send("HeapProfiler.collectGarbage")
    metrics = read_metrics(browser)
    return Memory(
        time.monotonic(), server.memory_info().rss / 2**20, metrics["JSHeapUsedSize"] / 2**20, int(metrics["Nodes"])
    )


@contextmanager
def remote_market(rate: int, levels: int) -> Iterator[str]:
    """Have another process serve a simulated market; yield its address."""
    command = [sys.executable, "-m", "benchmarks.ui", "--serve", "--rate", str(rate), "--levels", str(levels)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, cwd=PROJECT) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def serve_market(rate: int, levels: int) -> None:
    """Print an address and serve a market until the input ends: the work of the other process.

    A frame's time is when it is sent: the market's own clock would be behind by every delay of making and sending.
    """

    def talk(connection: ServerConnection) -> None:
        due = time.monotonic()
        # Otherwise the last piece of a frame waits 40 ms for the acknowledgement of the frame before.
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(ConnectionClosed):
            for tick in simulated(SYMBOL, per_second=rate, levels=levels):
                due = max(due + 1 / rate, time.monotonic())
                time.sleep(max(0.0, due - time.monotonic()))
                connection.send(encode(tick._replace(market_ns=time.time_ns())), text=True)

    with serve(talk, "127.0.0.1", 0, compression=None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"ws://127.0.0.1:{server.socket.getsockname()[1]}", flush=True)
        sys.stdin.read()
        server.shutdown()


def watch_market(page: Page, address: str) -> None:
    """Have the page show this market."""
    page.get_by_role("button", name="Got it").click()
    choose(
        page, "Exchange", VENUES["gomarket-okx"].title
    )  # with the simulated exchange the page would use the simulation's own clock
    choose(page, "Prices from", "Another address")
    page.get_by_text("A replay server answers there").click()
    type_in(page, "Address", address)
    wait_for(page, "Math.abs(Date.now() - Number(d.ns) / 1e6) < 5000", timeout_s=30)
    page.wait_for_selector("canvas")


def drawing_ms(page: Page) -> tuple[float, float]:
    """Read P50 and P95 of the server's drawing of the numbers from the page's own report of its speed."""
    page.get_by_role("radio", name="Files").click()
    choose(page, "What", "Speed of this page")
    page.get_by_role("button", name="Prepare the file").click()
    page.get_by_text("rows,").first.wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    rows = {row["stage"]: row for row in csv.DictReader(download.value.path().read_text().splitlines())}
    page.get_by_role("radio", name="Files").click()
    drawn = rows["UI update time"]
    return float(drawn["p50_ms"]), float(drawn["p95_ms"])


def percentiles(milliseconds: Sequence[float]) -> str:
    """Format percentiles of these times."""
    p50, p95 = np.percentile(milliseconds, [50, 95])
    return f"p50 {p50:7.1f}  p95 {p95:7.1f} ms  of {len(milliseconds)}"


def measure(page: Page, server: psutil.Process, rate: int, minutes: float) -> Iterator[str]:
    """Measure the page at one rate and yield the lines of the report."""
    browser = page.context.new_cdp_session(page)
    browser.send("Performance.enable", {"timeDomain": "threadTicks"})  # of the thread, not of the clock
    page.evaluate(WATCH)
    for number in range(INPUTS):
        quantity = 100_000 + 1000 * (number + 1)
        page.evaluate("window.asked = null")
        type_in(page, "Quantity", str(quantity))
        page.wait_for_function(f"window.answers.length === {number + 1}")
    answers: list[float] = page.evaluate("window.answers")
    began = measure_load(server, browser)
    page.evaluate("window.delays = []; window.rebuilt = 0")
    samples = [measure_memory(server, browser)]
    while samples[-1].time_s - began.time_s < minutes * 60:
        page.wait_for_timeout(min(10.0, minutes * 60 / 6) * 1e3)
        samples.append(measure_memory(server, browser))
    ended = measure_load(server, browser)
    seconds = ended.time_s - began.time_s
    seen: dict[str, Any] = json.loads(page.evaluate("JSON.stringify({delays: window.delays, rebuilt: window.rebuilt})"))
    p50, p95 = drawing_ms(page)
    page.get_by_role("button", name="Pause").click()
    page.get_by_text("The page is paused").wait_for()
    still = measure_load(server, browser)
    page.wait_for_timeout(PAUSED_S * 1e3)
    paused = measure_load(server, browser)
    page.get_by_role("button", name="Continue").click()

    def share(before: Load, after: Load) -> str:
        span = after.time_s - before.time_s
        server_share, main_share = (after.server_s - before.server_s) / span, (after.main_s - before.main_s) / span
        return f"server {100 * server_share:5.1f} % of a core, browser's main thread {100 * main_share:5.1f} %"

    yield f"{rate} messages a second, {seconds:.0f} s"
    yield f"  drawing the numbers on the server   p50 {p50:7.1f}  p95 {p95:7.1f} ms"
    yield f"  tick to screen                      {percentiles(seen['delays'])}"
    yield f"  input to screen                     {percentiles(answers)}"
    yield f"  busy                                {share(began, ended)}"
    yield f"  busy while paused                   {share(still, paused)}"
    yield f"  chart nodes made anew               {seen['rebuilt']}"
    yield f"  updates                             {len(seen['delays'])} of {seconds * UPDATES_S:.0f}"
    yield f"  nodes of the page                   {samples[0].nodes} -> {samples[-1].nodes}"
    settled = [sample for sample in samples if sample.time_s - samples[0].time_s >= min(SETTLED_S, minutes * 60 / 2)]
    span_min = (settled[-1].time_s - settled[0].time_s) / 60
    for name in ("server", "heap"):
        mib = [getattr(sample, name) for sample in settled]
        slope = np.polyfit([sample.time_s / 60 for sample in settled], mib, 1)[0] if span_min else float("nan")
        path = " ".join(f"{getattr(sample, name):.1f}" for sample in samples[:: max(1, len(samples) // 8)])
        yield f"  memory, {name:6}                      {slope:+.2f} MiB a minute after the first: {path}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long each rate is watched")
    parser.add_argument("--rate", type=int, nargs="*", default=list(RATES), help="messages a second")
    parser.add_argument("--levels", type=int, default=400, help="levels a side")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve_market(options.rate[0], options.levels)
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        launched_browser(playwright) as browser,
    ):
        for rate in options.rate:
            log = Path(folder) / f"{rate}.log"
            with remote_market(rate, options.levels) as address, served_page(log) as (page_address, number):
                page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="dark")
                page.goto(page_address)
                wait_for(page, "Number(d.net) > 0", timeout_s=30)
                watch_market(page, address)
                for line in measure(page, psutil.Process(number), rate, options.minutes):
                    print(line, flush=True)
                page.close()


if __name__ == "__main__":
    main()
