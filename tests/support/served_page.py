"""The page as a user starts it: a real Streamlit server on a free port, and a real browser looking at it."""

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
    """A port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextlib.contextmanager
def served_page(log: Path, folder: Path = PROJECT) -> Iterator[tuple[str, int]]:
    """README's command on a free port: the page's address and the server's process number."""
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
    # Streamlit's own server may trip over a tab that vanished; what passes through our code is our fault.
    assert not OURS.search(text), text


def _healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1) as answer:  # noqa: S310 - our own server
            return bool(answer.status == 200)
    except OSError:
        return False


def chromium() -> str:
    """The browser's path; skips with what to do where there is none, fails where one is required."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if found:
        return found
    reason = "no Chromium found: apt-get install chromium, or set CHROMIUM to its path"
    if os.environ.get("REQUIRE_BROWSER"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def launched(playwright: Playwright) -> Iterator[Browser]:
    """Chromium without a window; skips where there is none."""
    browser = playwright.chromium.launch(
        executable_path=chromium(),
        args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
    )
    yield browser
    browser.close()


def shown(page: Page, name: str) -> str:
    """What the tick on screen says of itself: ns, quantity, slippage or net."""
    return page.locator("#tick").get_attribute(f"data-{name}") or ""


def wait_for(page: Page, condition: str, timeout_s: float = 15) -> None:
    """Wait until a condition on the shown tick's data, `d`, holds."""
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
    """Fill in a field, as a user does."""
    field = page.get_by_label(label, exact=True)
    field.fill(text)
    if enter:
        field.press("Enter")


def focused(page: Page) -> str:
    """The name of what has the focus, as a screen reader says it; empty where it has none."""
    name: str = page.evaluate(
        """() => { const node = document.activeElement;
        const labelled = [...(node.labels || [])].map(label => label.textContent).join(' ');
        const said = ['A', 'BUTTON', 'SUMMARY'].includes(node.tagName) ? node.textContent : '';
        return node.getAttribute('aria-label') || labelled || said; }"""
    )
    return name
