"""The page in a real browser: alive in seconds, true to its inputs, and gone without a trace."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.served_page import PROJECT, chromium, served_page

pytestmark = pytest.mark.browser

SCREENSHOTS = PROJECT / "screenshots"
MOST_VISITS = 12


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    with served_page(tmp_path_factory.mktemp("page") / "log") as running:
        yield running


@pytest.fixture
def page(browser: Browser, server: tuple[str, int]) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="dark")
    opened = context.new_page()
    opened.goto(server[0])
    yield opened
    context.close()


def tick(page: Page, name: str) -> float:
    """A number of the tick on screen."""
    return float(page.locator("#tick").get_attribute(f"data-{name}") or "nan")


def wait_for(page: Page, condition: str, timeout_s: float = 15) -> None:
    """Wait until a condition on the shown tick's data holds."""
    page.wait_for_function(
        f"() => {{ const tick = document.querySelector('#tick'); if (!tick) return false; "
        f"const d = tick.dataset; return {condition}; }}",
        timeout=timeout_s * 1000,
    )


def test_live_without_a_click(page: Page) -> None:
    """A fresh page shows a cost with no account and no network, and says that the market is simulated."""
    wait_for(page, "Number(d.net) > 0", timeout_s=30)
    expect(page.get_by_text("Simulated market, not real prices")).to_be_visible()


def test_numbers_follow_the_market_and_the_quantity(page: Page) -> None:
    """The numbers change as the market does, and jump when the quantity does; what was typed stays typed."""
    wait_for(page, "Number(d.quantity) === 100000")
    first = tick(page, "ns")
    wait_for(page, f"Number(d.ns) > {first} + 1e9")
    small = tick(page, "slippage")
    field = page.get_by_label("Quantity", exact=True)
    field.fill("3000000")
    field.press("Enter")
    wait_for(page, "Number(d.quantity) === 3000000")
    assert tick(page, "slippage") > small
    expect(field).to_have_value("3000000.00")
    SCREENSHOTS.mkdir(exist_ok=True)
    page.wait_for_selector("canvas")
    page.screenshot(path=SCREENSHOTS / "page-dark.png")


def test_a_bad_quantity_is_answered_in_a_sentence(page: Page) -> None:
    """Zero and negative quantities get a sentence; the numbers of the last good order stay alive."""
    wait_for(page, "Number(d.quantity) === 100000")
    field = page.get_by_label("Quantity", exact=True)
    for bad in ("0", "-5"):
        field.fill(bad)
        field.press("Enter")
        expect(page.get_by_text("This order can't be priced")).to_be_visible()
        now = tick(page, "ns")
        wait_for(page, f"Number(d.ns) > {now} && Number(d.quantity) === 100000")


def test_closed_tabs_leave_nothing(browser: Browser, tmp_path: Path) -> None:
    """After the last tab closed, the market's server is gone within 5 seconds; visits leave no thread each."""
    with served_page(tmp_path / "log") as (address, number):
        process = psutil.Process(number)

        def visit() -> None:
            context = browser.new_context()
            opened = context.new_page()
            opened.goto(address)
            wait_for(opened, "Number(d.net) > 0", timeout_s=30)
            context.close()
            deadline = time.monotonic() + 5
            while sockets(process) > 1 and time.monotonic() < deadline:
                time.sleep(0.05)
            assert sockets(process) == 1  # the page's own

        # The web server's own pool grows for some visits; one thread left by each would grow for ever.
        counts: list[int] = []
        while len(counts) < MOST_VISITS:
            visit()
            counts.append(process.num_threads())
            if len(counts) > 1 and counts[-1] <= max(counts[:-1]):
                return
        pytest.fail(f"a thread more after every visit: {counts}")


def sockets(process: psutil.Process) -> int:
    """All network sockets a process holds, listening or connected."""
    return len(process.net_connections())
