"""Test the page in a real browser: live within seconds, true to its inputs, and gone without a trace."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from tests.support.headless_tab import watch_tabs
from tests.support.loopback import Server, eventually, gateway_frame, make_refusal
from tests.support.paths import PROJECT
from tests.support.served_page import choose, focused_name, launched_browser, read_tick, served_page, type_in, wait_for
from ui.text.vocabulary import JOINER

pytestmark = pytest.mark.browser

SCREENSHOTS = PROJECT / "screenshots"
SIZES = {"desktop": (1440, 900), "laptop": (1024, 768), "phone": (390, 844)}
MOST_VISITS = 12
VIEWERS = 10


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, launched_browser(playwright) as browser:
        yield browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    with served_page(tmp_path_factory.mktemp("page") / "log") as running:
        yield running


@pytest.fixture
def visit(browser: Browser, server: tuple[str, int]) -> Iterator[Callable[..., Page]]:
    """Open the page as a new visitor, with a link's query and in a theme."""
    contexts = []

    def opened(query: str = "", theme: Any = "dark") -> Page:
        width, height = SIZES["desktop"]
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.goto(f"{server[0]}/{query}")
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def page(visit: Callable[..., Page]) -> Page:
    """Return a fresh visit that shows its first numbers."""
    opened = visit()
    wait_for(opened, "Number(d.quantity) === 100000", timeout_s=30)
    return opened


def query_parameters(page: Page) -> dict[str, str]:
    """Return the inputs that the page's address carries."""
    return {name: values[-1] for name, values in parse_qs(urlsplit(page.url).query).items()}


def test_first_visit_shows_a_cost_without_a_click_or_network(visit: Callable[..., Page]) -> None:
    """A fresh page shows a cost with no account and no network, says that the market is simulated, and talks to
    nobody but its own server.
    """
    page = visit("?unknown=1")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).hostname or "in the page itself"))
    page.reload()
    wait_for(page, "Number(d.net) > 0", timeout_s=30)
    expect(page.get_by_text("Simulated market, not real prices")).to_be_visible()
    assert set(asked) <= {"127.0.0.1", "in the page itself"}


def test_numbers_follow_the_market_and_the_quantity(page: Page) -> None:
    """The numbers change as the market does, and jump when the quantity does. The panel and the pictures are the
    same nodes all the while, and what was typed and not yet entered stays typed.
    """
    page.wait_for_function("document.querySelectorAll('canvas').length >= 5")
    page.evaluate("document.querySelectorAll('canvas, .st-key-inputs input').forEach(node => node.marked = true)")
    first = float(read_tick(page, "ns"))
    type_in(page, "Volatility, % a year", "12", enter=False)
    wait_for(page, f"Number(d.ns) > {first} + 2e9")
    expect(page.get_by_label("Volatility, % a year", exact=True)).to_have_value("12")
    small = float(read_tick(page, "slippage"))
    type_in(page, "Quantity", "3000000")
    wait_for(page, "Number(d.quantity) === 3000000")
    assert float(read_tick(page, "slippage")) > small
    expect(page.get_by_label("Quantity", exact=True)).to_have_value("3000000")
    unmarked = "[...document.querySelectorAll('canvas, .st-key-inputs input')].filter(node => !node.marked).length"
    assert page.evaluate(unmarked) == 0


def test_invalid_quantity_is_answered_in_a_sentence(page: Page) -> None:
    """Zero, negative and unclear quantities get a sentence; the numbers go on with the last good quantity, in grey, and
    another input still counts.
    """
    for bad, words in (("0", "must be more than 0"), ("-5", "must be more than 0"), ("0,5", "type 0.5 for a decimal")):
        type_in(page, "Quantity", bad)
        expect(page.locator(".st-key-inputs").get_by_text(words)).to_be_visible()
        now = float(read_tick(page, "ns"))
        wait_for(page, f"Number(d.ns) > {now} && Number(d.quantity) === 100000")
    expect(page.get_by_text("Not your order")).to_be_visible()
    page.get_by_role("radio", name="Sell").click()
    expect(page.get_by_text("Selling $100,000 of BTC now")).to_be_visible()
    expect(page.get_by_text("Not your order")).to_be_visible()


def test_size_is_typed_as_traders_write_it_and_stepped(page: Page) -> None:
    """100k is understood and said; a unit in the text is chosen as the unit; the buttons step, and all timers go on."""
    type_in(page, "Quantity", "250k")
    wait_for(page, "Number(d.quantity) === 250000")
    expect(page.get_by_text("= $250,000")).to_be_visible()
    page.get_by_role("button", name="More", exact=True).click()
    wait_for(page, "Number(d.quantity) === 260000")
    expect(page.get_by_label("Quantity", exact=True)).to_have_value("260,000")
    type_in(page, "Quantity", "5 BTC")
    wait_for(page, "Number(d.quantity) === 5")
    expect(page.get_by_label("Quantity", exact=True)).to_have_value("5")
    expect(page.get_by_text("= 5 BTC")).to_be_visible()
    page.get_by_role("button", name="Less", exact=True).click()
    wait_for(page, "Number(d.quantity) === 4.9")
    asked = query_parameters(page)
    assert (asked["quantity"], asked["unit"]) == ("4.9", "coins")
    now = float(read_tick(page, "ns"))
    wait_for(page, f"Number(d.ns) > {now} + 2e9")


def test_every_input_changes_the_price_and_the_link_restores_it(page: Page, visit: Callable[..., Page]) -> None:
    """Each input of the panel changes what is priced and what the address says; a visitor with that address sees
    the same order. What equals the default is not in the address.
    """
    assert query_parameters(page) == {}
    page.get_by_role("radio", name="Sell").click()
    choose(page, "Symbol", "ETH-USDT-SWAP")
    expect(page.locator("[data-slot=market]")).to_contain_text("ETH-USDT-SWAP")
    choose(page, "Unit", "coins")
    wait_for(page, "Number(d.quantity) < 1000")  # the same size in coins, before another is typed
    type_in(page, "Quantity", "12.5")
    wait_for(page, "Number(d.quantity) === 12.5")
    choose(page, "Order type", "Limit")
    expect(page.locator(".cell.maker").get_by_text("up to")).to_be_visible()
    choose(page, "Fee tier", "VIP2")
    expect(page.locator(".cell.fees").get_by_text("VIP2")).to_be_visible()
    type_in(page, "Volatility, % a year", "80")
    page.get_by_text("Timing and risk").click()
    type_in(page, "Latency, ms", "250")
    type_in(page, "Wait at the best price, s", "3")
    choose(page, "Order type", "Market")
    expect(page.get_by_label("Way to trade", exact=True)).to_have_value(
        "All at once"
    )  # its list is drawn anew before it opens
    choose(page, "Way to trade", "Spread over time")
    type_in(page, "Spread over, minutes", "7")
    type_in(page, "In how many parts", "4")
    type_in(page, "Risk aversion, per million USDT", "2")
    type_in(page, "Daily volume, coins", "90000")
    expect(page.get_by_text("4 parts over 7 minutes")).to_be_visible()
    asked = query_parameters(page)
    assert {"side": "Sell", "symbol": "ETH-USDT-SWAP", "unit": "coins", "tier": "VIP2"}.items() <= asked.items()
    assert {name: float(asked[name]) for name in ("quantity", "volatility", "latency", "wait", "minutes")} == {
        "quantity": 12.5, "volatility": 80.0, "latency": 250.0, "wait": 3.0, "minutes": 7.0,
    }  # fmt: skip
    other = visit(f"?{urlsplit(page.url).query}")
    wait_for(other, "Number(d.quantity) === 12.5", timeout_s=30)
    expect(other.get_by_text("4 parts over 7 minutes")).to_be_visible()
    expect(other.locator(".cell.fees").get_by_text("VIP2")).to_be_visible()
    expect(other.get_by_role("radio", name="Sell")).to_be_checked()
    assert query_parameters(other) == asked


def test_hostile_link_is_answered_with_defaults_or_a_sentence(visit: Callable[..., Page]) -> None:
    """Nonsense in a link never reaches the market, another server or the script: the page shows its defaults, or
    says in a sentence what it can't show.
    """

    async def stay(_socket: ServerConnection, _number: int) -> None:
        await asyncio.sleep(0)

    with Server(stay) as elsewhere:
        asked: list[str] = []
        page = visit("?unknown")
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
        nonsense = "&".join(
            f"{name}={value}"
            for name in ("volatility", "latency", "wait", "minutes", "parts", "risk", "daily", "traded")
            for value in ("x", "1e999")
        )
        origin = page.url.split("?")[0]
        page.goto(
            f"{origin}?venue=Nowhere&side=<script>alert(1)</script>&unit=%00&type=%22&style=;&fees=..%2F&tier=&{nonsense}"
            f"&source=address&address=ws://127.0.0.1:{elsewhere.port}&recording=/etc/passwd&session=1&connect=0&paused=1"
        )
        wait_for(page, "Number(d.quantity) === 100000", timeout_s=30)
        expect(page.get_by_text("Simulated market, not real prices")).to_be_visible()
        assert not {"venue", "side", "unit", "parts"} & query_parameters(page).keys()
        page.goto(f"{origin}?symbol=![x](http://127.0.0.1:{elsewhere.port}/x.png)<img src=x onerror=alert(1)>")
        expect(page.get_by_text("Simulated market can't show")).to_be_visible(timeout=30_000)
        for quantity, words in (("1e300", "must be at most"), ("1e999", "is too large"), ("<b>x</b>", "is not a size")):
            page.goto(f"{origin}?quantity={quantity}&parts=nan&minutes=-1e-300")
            expect(page.locator(".st-key-inputs").get_by_text(words)).to_be_visible(timeout=30_000)
        expect(page.locator("[data-testid=stException]")).to_have_count(0)
        assert not elsewhere.connection_times
        assert {urlsplit(url).port for url in asked} <= {urlsplit(origin).port, None}


ELSEWHERE = "![x](//a.io/p) [c](//b.io) www.a.io a@b.io :smile: $x$ &lt;"
"""Text that Markdown would turn into a picture, links, an emoji, a formula and another sign."""


SENTENCES = "[data-testid=stMarkdownContainer], [data-testid=stCaptionContainer]"


def markup_in_sentences(page: Page) -> list[str]:
    """Return the images, links and icons within the page's sentences; icons of buttons do not count."""
    made: list[str] = page.eval_on_selector_all(
        f":is({SENTENCES}):not(button *) :is(img, a, [role=img], .katex)", "found => found.map(each => each.outerHTML)"
    )
    return made


def page_text(page: Page) -> str:
    """Return all sentences of the page as a reader sees them."""
    texts: list[str] = page.locator(SENTENCES).all_inner_texts()
    return "\n".join(texts).replace(JOINER, "")


def upload(page: Page, key: str, name: str, content: Any) -> None:
    """Give a JSON file to the uploader of this key."""
    file: Any = {"name": name, "mimeType": "application/json", "buffer": json.dumps(content).encode()}
    page.locator(f".st-key-{key} input[type=file]").set_input_files(file)


def test_text_from_elsewhere_is_shown_as_text(visit: Callable[..., Page]) -> None:
    """A link, a fee file and saved learning full of Markdown: the page shows it letter by letter, and asks nobody."""
    asked: list[str] = []
    page = visit()
    page.on("request", lambda request: asked.append(request.url))
    wait_for(page, "Number(d.net) > 0", timeout_s=30)
    origin = page.url.split("?")[0]
    for symbol in ("www.evil.example", ":smile:", ":material/delete:"):
        page.goto(f"{origin}?symbol={symbol}")
        expect(page.get_by_text("Simulated market can't show")).to_be_visible(timeout=30_000)
        assert f"'{symbol}'" in page_text(page)
        assert not markup_in_sentences(page)
    page.goto(f"{origin}?fees=My own file")
    wait_for(page, "Number(d.net) > 0", timeout_s=30)
    page.get_by_text("Fee table and 30-day volume").click()
    tier = {"name": ELSEWHERE, "maker_percent": 0.01, "taker_percent": 0.03}
    fees = {"venue": "okx", "product": "swap", "as_of": "2026-05-03", "source": ELSEWHERE, "currency": ":smile:"}
    good, bad = fees | {"tiers": [tier]}, fees | {ELSEWHERE: 1}
    for content, expected in ((good, f"{ELSEWHERE}: maker 0.01 %"), (bad, f"{ELSEWHERE[:3]}.json can't be used")):
        upload(page, "own-fees", f"{ELSEWHERE[:3]}.json", content)
        eventually(lambda wanted=expected: wanted in page_text(page))
        assert not markup_in_sentences(page)
    page.get_by_role("radio", name="Files").click()
    learned = {"venue": ELSEWHERE, "symbol": ":smile:"}
    upload(page, "learned", "![x](y).json", learned)
    eventually(lambda: f"it was learned on {ELSEWHERE} :smile:" in page_text(page))
    assert not markup_in_sentences(page)
    assert {urlsplit(url).port for url in asked} <= {urlsplit(origin).port, None}


def test_paused_page_stands_still_while_the_market_goes_on(page: Page) -> None:
    """Pause stops every timer of the page; the P key does, too, but not where something is typed. A changed input
    is priced on the current market, and the page stands still again.
    """
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("The page is paused")).to_be_visible()
    # What is drawn for the first time may still be on its way; a page that lives changes five times a second.
    page.evaluate("""() => { window.changed = performance.now();
        new MutationObserver(() => window.changed = performance.now()).observe(document.querySelector('.stMain'),
            {subtree: true, childList: true, characterData: true}); }""")
    page.wait_for_function("performance.now() - window.changed > 1500", timeout=10_000)
    then = float(read_tick(page, "ns"))
    type_in(page, "Quantity", "250000")
    wait_for(page, f"Number(d.quantity) === 250000 && Number(d.ns) > {then} + 1e9")
    expect(page.get_by_text("The page is paused")).to_be_visible()
    page.get_by_label("Quantity", exact=True).press("p")
    expect(page.get_by_text("The page is paused")).to_be_visible()
    page.get_by_role("heading", name="Trade Simulator").click()
    page.keyboard.press("p")
    wait_for(page, f"Number(d.ns) > {then} + 3e9")
    expect(page.get_by_text("The page is paused")).to_have_count(0)


class Stage:
    """A gateway that does as it is told: "speak", "be silent", "hang up", or "refuse" for a long time."""

    def __init__(self) -> None:
        self.cue = "speak"

    async def talk(self, socket: ServerConnection, _number: int) -> None:
        while self.cue != "hang up" and socket.close_code is None:
            if self.cue == "speak":
                await socket.send(gateway_frame(95_000.0))
            await asyncio.sleep(0.05)

    def answer(self, connection: ServerConnection, request: Request) -> Any:
        return make_refusal(503, "closed", Retry_After="999")(connection, request) if self.cue == "refuse" else None


def test_every_connection_state_is_shown_in_words(page: Page) -> None:
    """Live, too thin, old, stale, lost, given up and connected again: each is said in words and with an icon, and
    numbers that are old look old.
    """
    stage = Stage()
    with Server(stage.talk, stage.answer) as server:
        choose(page, "Prices from", "Another address")
        type_in(page, "Address", server.url)
        wait_for(page, "d.net === 'None'")  # three levels hold less than the order
        expect(page.get_by_text("Too thin").first).to_be_visible()
        alive = page.locator(".answer .number b").first
        colour = alive.evaluate("node => getComputedStyle(node).color")
        stage.cue = "be silent"
        expect(page.get_by_text("Old: no new prices for 2 s")).to_be_visible(timeout=10_000)
        assert alive.evaluate("node => getComputedStyle(node).color") != colour
        expect(page.get_by_text("Connected, but no new data for")).to_be_visible(timeout=10_000)
        SCREENSHOTS.mkdir(exist_ok=True)
        page.screenshot(path=SCREENSHOTS / "state-stale.png")
        stage.cue = "hang up"
        expect(page.get_by_text("Reconnecting: try").first).to_be_visible(timeout=10_000)
        stage.cue = "refuse"
        expect(
            page.get_by_text("Can't reach that address. Press Connect to try again. Gave up after").first
        ).to_be_visible(timeout=10_000)
        page.screenshot(path=SCREENSHOTS / "state-given-up.png")
        stage.cue = "speak"
        page.get_by_role("button", name="Connect", exact=True).click()
        expect(page.get_by_text("Connected:").first).to_be_visible(timeout=10_000)
        page.get_by_role("button", name="Disconnect").click()
        expect(page.get_by_text("Not connected").first).to_be_visible()
        eventually(lambda: server.n_open == 0)
        page.get_by_role("button", name="Connect", exact=True).click()
        expect(page.get_by_text("Connected:").first).to_be_visible(timeout=10_000)


def test_first_steps_are_shown_until_they_are_dismissed(page: Page, visit: Callable[..., Page]) -> None:
    """A first visit shows three steps; dismissed, they stay hidden in this browser, and a link does not hide them."""
    expect(page.get_by_text("Pick a market.")).to_be_visible()
    page.get_by_role("button", name="Got it").click()
    expect(page.get_by_text("Pick a market.")).to_be_hidden()
    page.reload()
    wait_for(page, "Number(d.net) > 0", timeout_s=30)
    expect(page.get_by_text("Pick a market.")).to_be_hidden()
    other = visit(f"?{urlsplit(page.url).query}")
    expect(other.get_by_text("Pick a market.")).to_be_visible(timeout=30_000)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_page_fits_every_screen_and_is_accessible(visit: Callable[..., Page], theme: str) -> None:
    """In both themes and on three screens: nothing is wider than the screen, every essential input is in sight
    without scrolling, and axe finds nothing against WCAG 2.2 AA.
    """
    page = visit(theme=theme)
    wait_for(page, "Number(d.net) > 0", timeout_s=30)
    page.wait_for_selector("canvas")
    SCREENSHOTS.mkdir(exist_ok=True)
    for name, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_function(f"window.innerWidth === {width}")
        now = float(read_tick(page, "ns"))
        wait_for(page, f"Number(d.ns) > {now} + 1e9")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        panel = page.locator(".st-key-inputs").bounding_box()
        assert panel is not None
        assert panel["y"] + panel["height"] <= 900, name
        page.screenshot(path=SCREENSHOTS / f"page-{theme}-{name}.png")
    for closed in ("Fee table and 30-day volume", "Timing and risk"):
        page.get_by_text(closed).click()
    assert not accessibility_violations(page)
    width, height = SIZES["desktop"]
    page.set_viewport_size({"width": width, "height": height})
    page.get_by_label("Risk aversion, per million USDT", exact=True).wait_for()
    assert not accessibility_violations(page)


def accessibility_violations(page: Page) -> list[tuple[str, list[str]]]:
    """Return each rule of WCAG 2.2 A and AA that axe finds broken, with the elements that break it."""
    levels = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": levels}}).response["violations"]
    return [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]


def test_keyboard_reaches_every_input_in_reading_order(page: Page) -> None:
    """Tab goes through the panel from top to bottom, and each stop has a name."""
    named = []
    while "Way to trade" not in named and len(named) < 30:
        page.keyboard.press("Tab")
        named.append(focused_name(page))
    wanted = ["Disconnect", "Pause", "Exchange", "Symbol", "Prices from", "Buy", "Quantity", "Unit", "Order type"]
    wanted.append("Way to trade")
    places = [next((place for place, name in enumerate(named) if want in name), -1) for want in wanted]
    assert -1 not in places, named
    assert places == sorted(places), named


def test_export_is_downloaded_while_the_numbers_run(page: Page) -> None:
    """The file that arrives has as many rows as the page said, and the numbers ran on meanwhile."""
    page.get_by_role("radio", name="Files").click()
    page.get_by_role("button", name="Prepare the file").click()
    said = page.get_by_text("rows,").first.inner_text(timeout=15_000)
    before = float(read_tick(page, "ns"))
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    rows = download.value.path().read_text().count("\n") - 1
    assert f" {rows:,} rows" in said
    wait_for(page, f"Number(d.ns) > {before}")


def test_ten_viewers_of_one_feed_stay_live(server: tuple[str, int]) -> None:
    """Ten pages on one server watch one market: there is one connection to it, and every page advances."""
    process = psutil.Process(server[1])
    eventually(lambda: sockets(process) == 1)  # the page's own
    counted: list[int] = []

    def all_live(latest: list[int]) -> None:
        if all(latest):
            counted.append(len([c for c in process.net_connections() if c.laddr.port not in page_ports]))

    page_ports = {urlsplit(server[0]).port}
    with ThreadPoolExecutor(1) as apart:  # Playwright has this thread's event loop
        seen = apart.submit(asyncio.run, watch_tabs(server[0], VIEWERS, 15, all_live)).result()
    assert [len(set(stamps)) >= 15 for stamps in seen] == [True] * VIEWERS
    # The market's listening socket and both ends of the one connection to it.
    assert min(counted) == max(counted) == 3


def test_closed_tabs_leave_no_socket_and_no_thread(browser: Browser, server: tuple[str, int]) -> None:
    """After the last tab closed, the market's server is gone within 5 seconds; visits leave no thread each."""
    process = psutil.Process(server[1])
    eventually(lambda: sockets(process) == 1)

    def visit() -> None:
        context = browser.new_context()
        opened = context.new_page()
        opened.goto(server[0])
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
    """Count the network sockets of a process, listening or connected."""
    return len(process.net_connections())
