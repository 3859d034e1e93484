"""Test the backtest in a real browser: run it while the numbers go on, look at it, download it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from backtest import backtest
from calculations import Order
from fee_calculator import FeeTier
from orderbook import Side
from replay import simulated
from tests.support.live_rows import assert_same_rows
from tests.support.paths import PROJECT
from tests.support.served_page import find_chromium, launched_browser, served_page, type_in
from tests.support.synthetic_recordings import BEGIN_NS, write_recording

pytestmark = pytest.mark.browser

BOOKS = 8000
BTC = "BTC-USDT-SWAP"
WATCH = """() => {
  window.during = new Set();
  new MutationObserver(() => {
    if (document.querySelector('[role=progressbar]')) window.during.add(document.querySelector('#tick').dataset.ns);
  }).observe(document.body, {subtree: true, childList: true, attributes: true});
}"""
"""Keeps the times of the books that were on screen while a backtest said how far it is."""
CARDS = ".st-key-closer-view [data-testid=stVerticalBlock], .st-key-closer-view [data-testid=stMarkdown]"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the page's settings and one recording of some minutes, which says what it is of."""
    shutil.copytree(PROJECT / ".streamlit", tmp_path / ".streamlit")
    (tmp_path / "recordings").mkdir()
    path = write_recording(
        tmp_path / "recordings" / "minutes.jsonl", list(islice(simulated(BTC, seed=1, start_ns=BEGIN_NS), BOOKS))
    )
    about = {"t": "meta", "venue": "simulated", "symbol": BTC}
    path.write_bytes(json.dumps(about).encode() + b"\n" + path.read_bytes())
    return tmp_path


@pytest.fixture
def page(folder: Path) -> Iterator[Page]:
    find_chromium()
    with (
        served_page(folder / "log", folder) as (url, _),
        sync_playwright() as playwright,
        launched_browser(playwright) as browser,
    ):
        opened = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="dark")
        opened.goto(url)
        opened.wait_for_function("() => Number(document.querySelector('#tick')?.dataset.net) > 0", timeout=30_000)
        yield opened


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def test_backtest_runs_shows_results_and_downloads_its_rows(page: Page, folder: Path, tmp_path: Path) -> None:
    """Run, see how far it is while the live numbers go on, see table and pictures, and take away the very rows that
    backtest() gives; nothing sticks out to the side, on a phone neither.
    """
    page.get_by_role("radio", name="Backtest").click()
    expect(page.get_by_text("The order is the one on the left: buy 100,000 USDT")).to_be_visible(timeout=15_000)
    type_in(page, "Other sizes, USDT", "500000")
    expect(page.get_by_label("Other sizes, USDT", exact=True)).to_have_value("500000")
    page.evaluate(WATCH)
    press(page, "Run")
    expect(page.get_by_text(f"{BOOKS:,} order books of Simulated market {BTC} in minutes.jsonl")).to_be_visible(
        timeout=30_000
    )
    assert len(page.evaluate("() => [...window.during]")) >= 3
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_visible()
    page.wait_for_function("() => document.querySelectorAll('.st-key-closer-view canvas').length >= 4")
    press(page, "Prepare the file")
    with page.expect_download() as download:
        press(page, "Download")
    assert download.value.suggested_filename == "backtest.csv"
    download.value.save_as(tmp_path / "taken.csv")
    rows = pd.read_csv(tmp_path / "taken.csv")
    order = Order(Side.BUY, 100_000.0, "quote", tier=FeeTier("Regular", 0.0002, 0.0005))
    assert len(rows) == 2 * BOOKS
    assert_same_rows(
        rows[rows["order_quantity"] == 100_000.0].reset_index(drop=True),
        backtest(folder / "recordings" / "minutes.jsonl", "simulated", BTC, order),
    )
    with page.expect_download() as download:
        press(page, "Download what it means")
    download.value.save_as(tmp_path / "about.json")
    about = json.loads((tmp_path / "about.json").read_text())
    assert [each["order"]["quantity"] for each in about["backtests"]] == [100_000.0, 500_000.0]
    for width in (1024, 390):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_function(
            "() => innerWidth === " + str(width) + " && [...document.querySelectorAll('" + CARDS + "')]"
            ".every(each => each.getBoundingClientRect().right <= innerWidth)"
        )
