"""Start the page as a user does: a real Streamlit server on a free port, and a real browser that shows it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect

from tests.support.paths import PROJECT

OURS = re.compile(rf'File "{re.escape(str(PROJECT))}/(?!\.venv/)')
"""A line of a traceback in one of the project's own files."""


def free_port() -> int:
    """Return a port on which no program listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextlib.contextmanager
def served_page(log: Path, folder: Path = PROJECT) -> Iterator[tuple[str, int]]:
    """Run README's command on a free port; yield the page's address and the server's process number."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(PROJECT / "app.py"), "--server.port", str(port)]
    with log.open("wb") as output:
        server = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 30
        while not _healthy(address):
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the page did not start:\n{log.read_text()}")
            time.sleep(0.05)
        yield address, server.pid
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
            raise
    text = log.read_text()
    # Streamlit's own server may fail on a tab that vanished; a traceback through our code is our fault.
    assert not OURS.search(text), text


def _healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1) as answer:  # noqa: S310 - our own server
            return bool(answer.status == 200)
    except OSError:
        return False


def find_chromium() -> str:
    """Return the browser's path. Where there is none, skip with advice, or fail if one is required."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if path:
        return path
    reason = "no Chromium found: apt-get install chromium, or set CHROMIUM to its path"
    if os.environ.get("REQUIRE_BROWSER"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def launched_browser(playwright: Playwright) -> Iterator[Browser]:
    """Run Chromium without a window; skip where there is none."""
    browser = playwright.chromium.launch(
        executable_path=find_chromium(),
        args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
    )
    yield browser
    browser.close()


def read_tick(page: Page, name: str) -> str:
    """Read a value of the tick on screen: ns, quantity, slippage or net; empty if it has none."""
    return page.locator("#tick").get_attribute(f"data-{name}") or ""


def wait_for(page: Page, condition: str, timeout_s: float = 15) -> None:
    """Wait until a JavaScript condition on `d`, the data of the shown tick, holds."""
    page.wait_for_function(
        f"() => {{ const tick = document.querySelector('#tick'); if (!tick) return false; "
        f"const d = tick.dataset; return {condition}; }}",
        timeout=timeout_s * 1000,
    )


def choose(page: Page, label: str, option: str) -> None:
    """Pick an option of a select box, as a user does."""
    field = page.get_by_label(label, exact=True)
    field.evaluate("node => node.scrollIntoView({block: 'center'})")  # a list closes when the page is scrolled
    field.click()
    page.get_by_role("option", name=option, exact=True).click()
    expect(field).to_have_value(option)


def type_in(page: Page, label: str, text: str, enter: bool = True) -> None:
    """Fill in a field as a user does, with Enter or without."""
    field = page.get_by_label(label, exact=True)
    field.fill(text)
    if enter:
        field.press("Enter")


def focused_name(page: Page) -> str:
    """Return the name of the focused element as a screen reader says it; empty if it has none."""
    name: str = page.evaluate(
        """() => { const node = document.activeElement;
        const labelled = [...(node.labels || [])].map(label => label.textContent).join(' ');
        const said = ['A', 'BUTTON', 'SUMMARY'].includes(node.tagName) ? node.textContent : '';
        return node.getAttribute('aria-label') || labelled || said; }"""
    )
    return name
