"""Test the results in a real browser: all in sight, in place, and consistent while the market moves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.support.served_page import find_chromium, served_page

pytestmark = pytest.mark.browser

UPDATES = 60

WATCH = """() => {
  document.querySelectorAll('canvas').forEach((each, row) => { each.dataset.tagged = row; });
  window.shown = new Set();
  setInterval(() => window.shown.add(document.querySelector('#tick').dataset.ns), 20);
}"""

PLACES = """() => [
  ...document.querySelectorAll('.cell, .facts > div, [class*="-card"]')
].map(each => {
  const box = each.getBoundingClientRect();
  return [box.left, box.top, box.width, box.height, box.bottom].map(Math.round);
})"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    path = find_chromium()
    with served_page(tmp_path_factory.mktemp("page") / "log") as (address, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="dark")
        opened.goto(address)
        opened.wait_for_function("() => document.querySelectorAll('canvas').length >= 5", timeout=30_000)
        yield opened
        browser.close()


def test_all_numbers_and_live_charts_are_above_the_fold(page: Page) -> None:
    """At 1440 x 900 every number, the three pictures, and the way to more are in sight without scrolling,
    once the first steps were put away.
    """
    page.get_by_role("button", name="Got it").click()
    expect(page.get_by_text("Pick a market.")).to_be_hidden()
    bottoms = [place[4] for place in page.evaluate(PLACES)]
    assert len(bottoms) == 5 + 8 + 3
    assert max(bottoms) <= 900
    chooser = page.locator(".st-key-closer").bounding_box()
    assert chooser is not None
    assert chooser["y"] + chooser["height"] <= 900


def test_charts_are_updated_in_place(page: Page) -> None:
    """Over 60 updates, with the size changed among them, no canvas is made anew and nothing moves."""
    page.evaluate(WATCH)
    tagged = page.locator("canvas[data-tagged]").count()
    places: list[Any] = page.evaluate(PLACES)
    page.wait_for_function(f"() => window.shown.size >= {UPDATES // 2}", timeout=30_000)
    field = page.get_by_label("Quantity", exact=True)
    field.fill("250000")
    field.press("Enter")
    page.wait_for_function(f"() => window.shown.size >= {UPDATES}", timeout=30_000)
    assert page.locator("canvas[data-tagged]").count() == page.locator("canvas").count() == tagged >= 5
    assert page.evaluate(PLACES) == places
    assert page.locator("#tick").get_attribute("data-quantity") == "250000.0"


def test_question_mark_explains_every_number(page: Page) -> None:
    """A question mark says what its number means: by pointing, by the keyboard, by a click; Escape puts it away."""
    for name in ("Net cost", "Slippage", "Fees", "Market impact", "Maker / taker", "what else could be done"):
        mark = page.get_by_role("button", name=f"About: {name}", exact=True)
        words = mark.locator("xpath=following-sibling::span")
        expect(words).to_be_hidden()
        mark.hover()
        expect(words).to_be_visible()
        assert len(words.inner_text()) > 40
        page.mouse.move(0, 0)
        expect(words).to_be_hidden()
        mark.click()
        expect(words).to_be_visible()
        mark.press("Escape")
        page.mouse.move(0, 0)
        expect(words).to_be_hidden()
    page.get_by_role("button", name="About: Slippage", exact=True).focus()
    page.keyboard.press("Tab")
    expect(page.locator("#about-fees")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#about-fees")).to_be_hidden()


@pytest.mark.parametrize(("width", "height"), [(1024, 768), (390, 844)])
def test_narrow_screens_do_not_scroll_sideways(page: Page, width: int, height: int) -> None:
    """On a tablet and on a phone nothing sticks out to the side, and no number is cut off."""
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_function(f"() => window.innerWidth === {width}")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.cell, [class*=\"-card\"]')]"
        ".every(each => each.getBoundingClientRect().right <= window.innerWidth)"
    )
    cut = page.evaluate(
        "() => [...document.querySelectorAll('.number b, .facts b')]"
        ".filter(each => each.scrollWidth > each.clientWidth + 1).map(each => each.textContent)"
    )
    assert cut == []
