"""Every venue is offered, charged, compared, replayed and priced by what its own file says; no other file names it."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Callable
from importlib import import_module
from itertools import count
from pathlib import Path
from pkgutil import iter_modules

import pytest
from streamlit.testing.v1 import AppTest

import feeds
from backtest import backtest
from backtest import main as backtest_command
from calculations import Estimate, Order, TradingCalculator
from fee_calculator import default_schedule, schedule
from feeds import VENUES, Venue
from feeds.base import TardisName
from fees.tables import TITLES
from orderbook import Side
from recording.foreign_feeds import foreign_feed
from recording.format import RecordedFrame
from replay import main as replay_command
from replay import meta, read
from sessions.comparison import VenueCost, comparable_markets, first_tier
from sessions.market import Market
from tests.recording.test_tardis_csv import row, table
from tests.support.loopback import eventually
from tests.support.loopback_exchange import LoopbackExchange
from tests.support.loopback_venues import IMITATIONS, binance_body
from tests.support.paths import PROJECT, product_files
from tests.support.synthetic_recordings import BEGIN_NS, STEP_NS, write_recording
from tests.test_app import app
from ui.text.captions import comparison_table
from ui.text.formatting import plain
from websocket_client import WebSocketClient

__all__ = ["app"]  # the fixture

REAL = [name for name, venue in VENUES.items() if not venue.is_simulated]
TARDIS = [(venue, name) for venue in VENUES.values() for name in venue.tardis]
KNOWN_NAMES = {
    *VENUES,
    *(venue.title for venue in VENUES.values()),
    *(name.exchange for _, name in TARDIS),
    *TITLES.keys(),
    *TITLES.values(),
}
MAY_NAME = {("estimation/order.py", "okx"): "an order that nobody gave a tier pays what the default market does"}
"""The places outside feeds/ and fees/ that name a venue, each with its reason."""


def test_every_declared_venue_is_there_under_a_name_of_its_own() -> None:
    """No two venues share a name, a title or a symbol at Tardis, so none hides another."""
    modules = [import_module(f"feeds.{found.name}") for found in iter_modules(feeds.__path__)]
    declared: list[Venue] = [venue for module in modules for venue in getattr(module, "VENUES", ())]
    assert sorted(venue.name for venue in declared) == sorted(VENUES)
    titles = [venue.title for venue in declared]
    assert sorted(titles) == sorted(set(titles))
    for venue, name in TARDIS:
        for symbol in filter(name.has_symbol, venue.symbols):
            sharers = [other for _, other in TARDIS if other.exchange == name.exchange and other.has_symbol(symbol)]
            assert sharers == [name]


def test_every_real_venue_is_imitated() -> None:
    """The tests that run for every venue leave none out."""
    assert sorted(IMITATIONS) == sorted(REAL)


def names_in(source: str) -> list[tuple[int, str]]:
    """Return the lines of a file in which a venue's name stands as a text of its own, outside `__all__`."""
    tree = ast.parse(source)
    exported = {
        id(each)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        for each in ast.walk(node.value)
    }
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in KNOWN_NAMES and id(node) not in exported
    ]


def test_no_other_file_names_a_venue() -> None:
    """Whoever needs to know something of a venue asks the venue; a name in another file would be a second table."""
    files = {path.relative_to(PROJECT).as_posix(): path for path in product_files()}
    named = [
        f"{file}:{line} names {name!r}"
        for file, path in files.items()
        if not file.startswith(("feeds/", "fees/"))
        for line, name in names_in(path.read_text())
        if (file, name) not in MAY_NAME
    ]
    assert named == []


def test_name_of_a_venue_is_found_wherever_it_stands() -> None:
    """A comparison, a table's key, a default and a title are found; a longer text and an export are not."""
    source = """
        __all__ = ["simulated"]
        HELP = "as okx writes it"
        if venue == "kraken":
            WORDS = {"okex-swap": 1}
        def seen(venue="coinbase"):
            return f"{venue}" or "OKX"
    """
    found = names_in(textwrap.dedent(source))
    assert found == [(4, "kraken"), (6, "coinbase"), (5, "okex-swap"), (7, "OKX")]


@pytest.mark.parametrize("name", VENUES)
def test_page_offers_venue_with_its_symbols_and_its_fees(app: AppTest, name: str) -> None:
    """The pickers have its title, its symbols, and the tiers that it publishes for its first symbol."""
    venue = VENUES[name]
    app.session_state["venue"] = name
    app.session_state["source"] = "address"
    app.session_state["address"] = "ws://127.0.0.1:9"
    app.run()
    assert not app.exception
    assert app.selectbox(key="venue").options == [each.title for each in VENUES.values()]
    assert app.selectbox(key="symbol").options == list(venue.symbols)
    fees = default_schedule(venue.fees, venue.product(venue.symbols[0]))
    assert app.selectbox(key="tier").options == [tier.name for tier in fees.tiers]


@pytest.mark.parametrize("name", REAL)
def test_comparison_has_venue_wherever_it_trades_the_same(name: str) -> None:
    """Each of its symbols is lined up with every other venue of the instrument, at its own fees and by its title."""
    for symbol in VENUES[name].symbols:
        market = Market(name, symbol)
        own, *others = comparable_markets(market)
        assert own == market
        assert all(market in comparable_markets(other) for other in others)
        instrument = VENUES[name].instrument(symbol)
        assert {other.venue for other in others} == {
            other
            for other in REAL
            if other != name and instrument in map(VENUES[other].instrument, VENUES[other].symbols)
        }
        assert first_tier(market) in schedule(VENUES[name].fees, VENUES[name].product(symbol), "current").tiers
        line = comparison_table([VenueCost(market, None, None, None, None, is_cheapest=False)]).splitlines()[-1]
        assert line.startswith(f"| {VENUES[name].title} {plain(symbol)} |")


@pytest.mark.parametrize(
    ("command", "arguments"),
    [(replay_command, ["record"]), (replay_command, ["info"]), (backtest_command, [])],
    ids=["replay record", "replay info", "backtest"],
)
def test_command_takes_every_venue(
    command: Callable[[list[str]], int], arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The choices of --venue are the venues."""
    with pytest.raises(SystemExit):
        command([*arguments, "--help"])
    words = re.sub(r"\s", "", capsys.readouterr().out)
    assert f"--venue{{{','.join(sorted(VENUES))}}}" in words


@pytest.mark.parametrize(("venue", "tardis"), TARDIS, ids=[f"{name.exchange}-{venue.name}" for venue, name in TARDIS])
def test_tardis_file_is_of_the_venue_and_in_its_units(tmp_path: Path, venue: Venue, tardis: TardisName) -> None:
    """The rows' exchange names the venue; amounts become base units where the venue says that they are contracts."""
    kind = "swap" if tardis.unit == "contracts" else venue.product(venue.symbols[0])
    symbol = next(each for each in venue.symbols if venue.product(each) == kind and tardis.has_symbol(each))
    path = table(tmp_path / "book.csv", 1, row(1, 0, tardis.exchange, symbol))
    about = meta(path)
    assert (about["venue"], about["symbol"]) == (venue.name, symbol)
    (message,) = (tick.message for tick in read(path) if tick.kind == "book")
    book = foreign_feed("book", message).parse(message, 1)
    assert book is not None
    units = {"base": 1.25, "quote": 1.25 / 100.5}.get(tardis.unit) or 1.25 * venue.contract_size(symbol)
    assert book.asks.tolist() == [[100.5, units]]


@pytest.mark.parametrize("venue", IMITATIONS)
def test_live_order_is_priced_at_venue(venue: str) -> None:
    """Served as the venue would serve it, every book costs the order something, fees of its first tier included."""
    estimates: list[Estimate] = []
    with LoopbackExchange(venue) as exchange:
        tier = first_tier(Market(venue, exchange.market.symbol))
        calculator = TradingCalculator(Order(Side.BUY, 0.01, tier=tier))
        client = WebSocketClient(
            exchange.url, exchange.make_feed, lambda book: estimates.append(calculator.estimate(book))
        )
        client.start()
        try:
            eventually(lambda: exchange.n_subscribers)
            numbers = count()

            def moved_and_priced() -> list[Estimate]:
                exchange.change(bids=[("99.0", f"{1 + next(numbers)}.00000000")])
                return estimates

            eventually(moved_and_priced)
        finally:
            client.stop()
            assert client.join(10)
    assert client.status.callback_errors == 0
    priced = estimates[-1]
    assert priced.net_cost_bps is not None
    assert priced.fee_bps == pytest.approx(tier.taker * 1e4, rel=0.01)  # of what was paid, not of the mid


@pytest.mark.parametrize("venue", IMITATIONS)
def test_recorded_order_is_priced_at_venue(tmp_path: Path, venue: str) -> None:
    """What the venue said, written down, is a backtest's row for each of its changes."""
    imitation = IMITATIONS[venue]
    symbol = imitation.symbol
    session = imitation.session(imitation.make_market())
    texts = session.greet()
    for request in VENUES[venue].make_feed(symbol).subscribe():
        texts += session.answer(request)
    for number in range(5):
        session.market.apply([("99.0", f"{1 + number}.00000000")], [])
        texts.append(session.change([("99.0", f"{1 + number}.00000000")], []))
    ticks = [RecordedFrame("recv", BEGIN_NS + place * STEP_NS, text) for place, text in enumerate(texts)]
    ticks.append(
        RecordedFrame("http", ticks[-1].market_ns, binance_body(session.market))
    )  # only who waits for it takes it
    frame = backtest(write_recording(tmp_path / "made.jsonl", ticks), venue, symbol, Order(Side.BUY, 0.01))
    assert len(frame) > 0
    assert set(frame["venue"]) == {venue}
    assert frame["net_cost_bps"].notna().all()
