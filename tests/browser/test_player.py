"""Test recordings in a real browser: play, pause, step, jump, speed, upload, refuse and record."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from replay import read
from tests.support.paths import PROJECT
from tests.support.served_page import choose, launched_browser, read_tick, served_page, wait_for
from tests.support.synthetic_recordings import BEGIN_NS, STEP_NS, okx_frames, write_recording

pytestmark = pytest.mark.browser

COUNT = 600


def frame_ns(index: int) -> int:
    """Return market_ns of the frame whose best bid holds this size."""
    return BEGIN_NS + index * STEP_NS


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, launched_browser(playwright) as browser:
        yield browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the page's settings and one recording of a minute, which says what it is of."""
    found = tmp_path_factory.mktemp("player")
    shutil.copytree(PROJECT / ".streamlit", found / ".streamlit")
    (found / "recordings").mkdir()
    path = write_recording(found / "recordings" / "minute.jsonl", okx_frames(COUNT))
    path.write_bytes(b'{"t":"meta","venue":"okx","symbol":"BTC-USDT"}\n' + path.read_bytes())
    return found


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with served_page(folder / "log", folder) as (url, _):
        yield url


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="dark")
    opened = context.new_page()
    opened.goto(address)
    wait_for(opened, "Number(d.net) > 0", 30)
    yield opened
    context.close()


def wait_until_still(page: Page) -> int:
    """Wait until the same book has been on screen for a second of looks; its market_ns."""
    page.evaluate("window.looks = 0")
    page.wait_for_function(
        "() => { const ns = document.querySelector('#tick')?.dataset.ns;"
        "window.looks = window.seen === ns ? window.looks + 1 : 0; window.seen = ns;"
        "return window.looks >= 10; }",
        polling=100,
        timeout=15_000,
    )
    return int(read_tick(page, "ns"))


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def wait_until_shown(page: Page, market_ns: int) -> None:
    """Wait until the book of this time is on screen, to the last digit."""
    page.wait_for_function(f"() => document.querySelector('#tick')?.dataset.ns === '{market_ns}'", timeout=15_000)


def test_play_pause_step_jump_and_speed_work(page: Page) -> None:
    """Every control of the player does what it says, by what the page then shows."""
    choose(page, "Prices from", "A recording")
    slider = page.get_by_role("slider", name="Jump to (UTC)")
    expect(slider).to_be_visible(timeout=15_000)
    wait_for(page, f"Number(d.ns) > {frame_ns(0)} && Number(d.ns) < {frame_ns(COUNT)}")
    expect(page.get_by_text("Recording, not now")).to_be_visible()
    expect(page.locator(".st-key-timeline canvas").first).to_be_visible()

    press(page, "Pause")
    expect(page.get_by_text("Paused")).to_be_visible()
    here = wait_until_still(page)
    for steps in (1, 2, 3):
        press(page, "Step")
        wait_until_shown(page, here + steps * STEP_NS)
        assert wait_until_still(page) == here + steps * STEP_NS

    slider.focus()
    slider.press("End")
    wait_until_shown(page, frame_ns(COUNT))
    slider.press("Home")
    wait_until_shown(page, frame_ns(1))
    expect(page.get_by_text("It went back in time, so the models learn anew.")).to_be_visible()
    slider.press("ArrowRight")
    page.wait_for_function(f"() => Number(document.querySelector('#tick')?.dataset.ns) > {frame_ns(1)}", timeout=15_000)

    press(page, "Play")
    choose(page, "Speed", "50x")
    expect(page.get_by_text("The recording has ended")).to_be_visible(timeout=15_000)
    wait_until_shown(page, frame_ns(COUNT))
    choose(page, "Speed", "1x")  # or it would have ended again before anyone looked
    press(page, "Play again")
    wait_for(page, f"Number(d.ns) < {frame_ns(COUNT)}")


def test_broken_upload_is_refused_in_a_sentence_and_a_good_one_plays(page: Page, tmp_path: Path) -> None:
    """A web page with a recording's name is refused in words; the right file after it plays; the name is only text."""
    choose(page, "Prices from", "A recording")
    choose(page, "Recording", "Upload a file")
    chooser = page.locator(".st-key-recording-file input[type=file]")
    broken = tmp_path / "broken.jsonl"
    broken.write_text("<html>![picture](http://127.0.0.1:9/x.png)</html>")
    chooser.set_input_files(broken)
    expect(page.get_by_text("broken.jsonl can't be played: line 1")).to_be_visible()
    assert page.locator("img[src*='x.png']").count() == 0
    chooser.set_input_files(write_recording(tmp_path / "mine.jsonl", okx_frames(COUNT, first=5000)))
    choose(page, "Exchange", "OKX")
    choose(page, "Symbol", "BTC-USDT")
    wait_for(page, f"Number(d.ns) >= {frame_ns(5000)} && Number(d.ns) < {frame_ns(5000 + COUNT)}")


def test_recording_is_made_and_downloaded(page: Page, folder: Path, tmp_path: Path) -> None:
    """Record counts, Stop ends one whole file, and the download is that file, byte for byte."""
    press(page, "Record")
    expect(page.get_by_text("Recording simulated-BTC-USDT-SWAP-")).to_be_visible()
    page.wait_for_function("() => /[1-9][0-9]* frames/.test(document.querySelector('.st-key-recorder').innerText)")
    press(page, "Stop recording")
    with page.expect_download() as download:
        press(page, "Download")
    (recorded,) = (folder / "recordings").glob("simulated-*")
    assert download.value.suggested_filename == recorded.name
    download.value.save_as(tmp_path / "taken")
    assert (tmp_path / "taken").read_bytes() == recorded.read_bytes()
    assert {tick.kind for tick in read(recorded)} == {"meta", "recv"}
