"""Run the page's script as Streamlit does, without a browser: numbers follow the inputs, errors are sentences."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from websockets.asyncio.server import ServerConnection

from fee_calculator import SCHEDULES
from feeds import VENUES
from orderbook import Side
from replay import serve
from sessions.market import Market
from tests.support.loopback import Server, make_refusal, make_talk, stay_silent
from tests.support.paths import PROJECT
from ui.estimate_component import CELLS
from ui.text.size_input import parse_size
from ui.text.vocabulary import JOINER

APP = PROJECT / "app.py"


async def close_at_once(web_socket: ServerConnection, _number: int) -> None:
    """Accept the connection and close it at once."""
    await web_socket.close()


@pytest.fixture
def app() -> Iterator[AppTest]:
    yield AppTest.from_file(str(APP), default_timeout=20)
    st.cache_resource.clear()  # releases the feeds, as a closed tab would


def run_until(app: AppTest, condition: Callable[[], Any], timeout_s: float = 15) -> None:
    """Run the script again and again, as the page's timers do, until a condition holds."""
    deadline = time.monotonic() + timeout_s
    while True:
        app.run()
        assert not app.exception, app.exception
        if condition():
            return
        assert time.monotonic() < deadline, page_text(app)
        time.sleep(0.05)


def view(app: AppTest) -> dict[str, Any]:
    """Return the view that the answer last received."""
    (view_data,) = (
        json.loads(each.proto.json) for each in app.get("bidi_component") if each.proto.component_name == "answer"
    )
    shown_view: dict[str, Any] = view_data
    return shown_view


def unescape_markdown(markdown: str) -> str:
    """Return what a reader sees of a text that may hold escaped words from elsewhere."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", markdown.replace(JOINER, ""))


def sentences(elements: Iterable[Any]) -> list[str]:
    """Return what a reader sees of errors, captions and the like."""
    return [unescape_markdown(each.value) for each in elements]


def page_text(app: AppTest) -> str:
    """Return all words of the answer, and all sentences around it."""
    around = (*app.error, *app.warning, *app.caption, *app.markdown, *app.info)
    return "\n".join([*view(app)["text"].values(), *sentences(around)])


def metrics(app: AppTest) -> dict[str, str]:
    """Return the large numbers by their label; empty while the page waits for prices."""
    view_data = view(app)
    return {label: view_data["text"][name] for name, label in CELLS.items()} if view_data["has"]["answer"] else {}


def typed_quantity(app: AppTest) -> float:
    """Return the number in the field of the quantity."""
    return parse_size(app.text_input(key="quantity").value).quantity


def metric_bps(app: AppTest, name: str) -> float:
    """Return one of the large numbers in basis points."""
    return float(metrics(app)[name].removesuffix(" bps"))


def test_first_visit_shows_all_four_costs_of_a_simulated_market(app: AppTest) -> None:
    """Without a click, net cost and its three parts appear, the parts adding up to the whole."""
    run_until(app, lambda: "Net cost" in metrics(app))
    assert set(metrics(app)) == {"Net cost", "Slippage", "Fees", "Market impact", "Maker / taker"}
    parts = sum(metric_bps(app, name) for name in ("Slippage", "Fees", "Market impact"))
    assert metric_bps(app, "Net cost") == pytest.approx(parts, abs=0.0021)
    assert metric_bps(app, "Fees") == pytest.approx(5.0, abs=0.01)  # OKX swaps, Regular: 0.05 % taker


def test_larger_order_shows_more_slippage(app: AppTest) -> None:
    """The slippage on screen follows the quantity."""
    run_until(app, lambda: "Slippage" in metrics(app))
    small = metric_bps(app, "Slippage")
    app.text_input(key="quantity").set_value("4000000")
    run_until(app, lambda: metrics(app)["Slippage"] != "unknown" and metric_bps(app, "Slippage") > small + 0.1)


def test_stale_quantity_from_a_request_on_its_way_does_not_undo_a_new_unit(app: AppTest) -> None:
    """The size converted to coins stays, although an earlier request still carries the number of dollars."""
    run_until(app, lambda: "Slippage" in metrics(app))
    app.selectbox(key="unit").set_value("base")
    app.run()
    coins = typed_quantity(app)
    assert 0.5 < coins < 2
    app.text_input(key="quantity").set_value("100,000")
    app.run()
    assert typed_quantity(app) == coins
    app.text_input(key="quantity").set_value("3")
    app.run()
    assert typed_quantity(app) == 3.0


def test_order_far_beyond_the_book_shows_unknown_costs(app: AppTest) -> None:
    """A hundred times the visible book: the page says too thin, and shows no slippage and no total."""
    app.session_state["quantity"] = "500000000"
    run_until(app, lambda: metrics(app).get("Slippage") == "unknown")
    assert metrics(app)["Net cost"] == "unknown"
    assert re.match("Too thin: .*the visible book holds", view(app)["text"]["advice"])


def form_input(app: AppTest, key: str) -> Any:
    """Return the input of the quantity, or one of the number inputs."""
    return app.text_input(key=key) if key == "quantity" else app.number_input(key=key)


@pytest.mark.parametrize(
    ("field", "wrong", "words"),
    [
        ("quantity", "0", "Quantity must be more than 0."),
        ("volatility", -1.0, "'Volatility' must be between 0.01 % and 10,000 % a year."),
        ("latency", -5.0, "'Latency' must be between 0 and 10,000 ms."),
        ("wait", 100.0, "'Wait at the best price' must be between 0.1 and 60 seconds."),
        ("minutes", 1e5, "'Spread over' must be between 1 second and 7 days."),
        ("parts", 999.0, "'In how many parts' must be a whole number from 1 to 200."),
        ("parts", 2.5, "'In how many parts' must be a whole number from 1 to 200."),
        ("risk", -1.0, "'Risk aversion' must be between 0 and 1,000,000,000."),
        ("daily", -1.0, "'Daily volume' must be more than 0."),
    ],
)
def test_wrong_input_greys_the_answer_and_the_others_go_on(app: AppTest, field: str, wrong: Any, words: str) -> None:
    """One wrong input and a valid change beside it: the change counts, the wrong input with its last valid value; the
    message stands at its input, and the answer is grey and says which order it is of.
    """
    run_until(app, lambda: "Slippage" in metrics(app) and view(app)["fresh"])
    right = form_input(app, field).value
    form_input(app, field).set_value(wrong)
    app.session_state["side"] = Side.SELL
    run_until(app, lambda: not view(app)["fresh"])
    shown = view(app)
    assert shown["text"]["badge"] == "Not your order"
    assert shown["text"]["sentence"].startswith(f"{words} These are the numbers of another order: sell 100,000 USDT, ")
    assert shown["text"]["advice"].startswith("Selling $100,000")
    assert words in sentences(app.error)
    form_input(app, field).set_value(right)
    run_until(app, lambda: view(app)["fresh"])
    assert not app.error
    assert view(app)["text"]["advice"].startswith("Selling $100,000")


def test_wrong_quantity_counts_as_the_last_valid_one_of_its_unit(app: AppTest) -> None:
    """A link with a unit and no usable quantity begins with that unit's own; later, the last valid one counts."""
    app.query_params["unit"] = ["coins"]
    app.query_params["quantity"] = ["x"]
    app.run()
    assert app.session_state["session"].order.quantity == 1.0
    app.text_input(key="quantity").set_value("3").run()
    app.text_input(key="quantity").set_value("0").run()
    app.number_input(key="latency").set_value(250.0).run()
    order = app.session_state["session"].order
    assert (order.quantity, order.unit, order.latency_s) == (3.0, "base", 0.25)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("0", "Quantity must be more than 0."),
        ("-1", "Quantity must be more than 0."),
        ("1e300", "Quantity must be at most 1,000,000,000,000."),
        ("0,5", "Quantity: '0,5' is not clear: type 0.5 for a decimal point."),
        ("5 ETH", "Quantity: '5 ETH' is not a size here: the unit can be USDT, BTC or contracts."),
        ("", "Quantity: Type a size, for example 100k, 1.5m or 250,000."),
    ],
)
def test_invalid_quantity_is_refused_in_a_sentence_and_numbers_go_on(app: AppTest, typed: str, words: str) -> None:
    """The sentence names the problem, and the numbers of the last valid order go on."""
    run_until(app, lambda: "Slippage" in metrics(app))
    app.text_input(key="quantity").set_value(typed)
    app.run()
    assert words in sentences(app.error)
    assert "Net cost" in metrics(app)
    assert app.button(key="quantity more").disabled


@pytest.mark.parametrize(
    ("typed", "quantity", "unit", "words"),
    [
        ("100k", 1e5, "quote", "= $100,000"),
        ("1.5m", 1.5e6, "quote", "= $1,500,000"),
        ("1 500 000", 1.5e6, "quote", "= $1,500,000"),
        ("250 USDT", 250.0, "quote", "= $250"),
        ("5 BTC", 5.0, "base", "= 5 BTC"),
        ("100 contracts", 100.0, "contracts", "= 100 contracts"),
    ],
)
@pytest.mark.parametrize("by_link", [False, True], ids=["typed", "link"])
def test_size_is_read_as_a_trader_types_it(
    app: AppTest, typed: str, quantity: float, unit: str, words: str, by_link: bool
) -> None:
    """Typed or in a link: the page says what it understood, and a unit in the text becomes the chosen unit."""
    if by_link:
        app.query_params["quantity"] = [typed]
        app.run()
    else:
        app.run()
        app.text_input(key="quantity").set_value(typed).run()
    assert not app.exception
    order = app.session_state["session"].order
    assert (order.quantity, order.unit) == (quantity, unit)
    assert app.selectbox(key="unit").value == unit
    assert words in sentences(app.caption)


def test_old_link_names_its_quantity_as_a_plain_number(app: AppTest) -> None:
    """Links made before sizes were texts hold numbers such as 12.5, and name the unit beside them."""
    app.query_params["quantity"] = ["12.5"]
    app.query_params["unit"] = ["coins"]
    app.run()
    order = app.session_state["session"].order
    assert (order.quantity, order.unit) == (12.5, "base")


def test_buttons_step_the_quantity_by_a_tenth_of_its_power_of_ten(app: AppTest) -> None:
    """More than 100,000 is 110,000, and less than that 100,000 again, then 90,000."""
    app.run()
    for key, quantity in (("more", 110_000.0), ("less", 100_000.0), ("less", 90_000.0)):
        app.button(key=f"quantity {key}").click().run()
        assert app.session_state["session"].order.quantity == quantity
        assert typed_quantity(app) == quantity


def test_unreachable_address_is_given_up_with_a_reason(app: AppTest) -> None:
    """A port where nobody listens: the page names it and stays usable."""
    app.session_state["source"] = "address"
    app.session_state["address"] = "ws://127.0.0.1:9"
    run_until(app, lambda: re.match("Reconnecting|Can't reach that address", view(app)["text"]["sentence"]))
    assert "127.0.0.1:9" in view(app)["text"]["sentence"]


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (Server(make_talk("not a book", every_s=0.05)), "unreadable"),
        (Server(stay_silent, make_refusal(200, "<html>hello</html>")), "WebSocket"),
        (Server(make_talk("x" * 30_000_000)), "above 16 MiB"),
        (Server(make_talk()), "no new data"),
        (Server(close_at_once), "closed"),
    ],
    ids=["garbage", "html", "30 MB", "silence", "drops"],
)
def test_server_that_is_not_an_exchange_is_explained_in_a_sentence(app: AppTest, server: Server, words: str) -> None:
    """Garbage, a web page, a frame of 30 MB, silence, and hanging up at once: the page says what is wrong and lives."""
    with server:
        app.session_state["venue"] = "gomarket-okx"
        app.session_state["source"] = "address"
        app.session_state["address"] = server.url
        run_until(app, lambda: words in view(app)["text"]["sentence"], timeout_s=20)
        assert "Net cost" not in metrics(app)


@pytest.mark.parametrize(
    ("address", "words"), [("http://127.0.0.1:9", "ws://"), ("ws://[127.0.0.1:9", "the address cannot be read")]
)
def test_unreadable_address_is_refused_in_a_sentence(app: AppTest, address: str, words: str) -> None:
    """http:// is no WebSocket address, half a bracket is no address at all, and the page says so."""
    app.session_state["source"] = "address"
    app.session_state["address"] = address
    app.run()
    assert not app.exception
    assert any("can't be opened" in error and words in error for error in sentences(app.error))


def test_right_address_after_a_bad_one_connects_at_once(app: AppTest, recordings: Path) -> None:
    """The button says what the connection is: Connect after an address that cannot be opened, and Disconnect as soon
    as a right one is typed, without a click between.
    """
    run_until(app, lambda: "Net cost" in metrics(app))
    assert [button.label for button in app.button][:2] == ["Disconnect", "Pause"]
    app.session_state["venue"] = "gomarket-okx"
    app.session_state["source"] = "address"
    app.session_state["address"] = "http://127.0.0.1:9"
    run_until(app, lambda: any("can't be opened" in error for error in sentences(app.error)))
    assert view(app)["text"]["badge"] == "Not connected"
    assert app.button(key="Connect").label == "Connect"
    app.run()
    assert any("can't be opened" in error for error in sentences(app.error)), "it is said for as long as it is true"
    with serve(recordings / "gomarket-okx_BTC-USDT-SWAP_20250515.jsonl.gz") as address:
        app.session_state["address"] = address
        app.session_state["replayed"] = True
        run_until(app, lambda: "Net cost" in metrics(app))
        assert app.button(key="Disconnect").label == "Disconnect"
        app.button(key="Disconnect").click().run()
        assert view(app)["text"]["badge"] == "Not connected"
        app.run()
        app.button(key="Connect").click().run()
        run_until(app, lambda: "Net cost" in metrics(app))
        assert app.button(key="Disconnect").label == "Disconnect"


def test_market_that_was_given_up_is_tried_again_with_connect(app: AppTest) -> None:
    """After the last try the button says Connect; pressed, it tries again and keeps the market's calculator."""
    app.session_state["source"] = "address"
    app.session_state["address"] = "ws://127.0.0.1:9"
    app.run()
    session = app.session_state["session"]
    assert app.button(key="Disconnect")
    run_until(app, lambda: session.status.state == "given up", timeout_s=60)
    app.run()
    calculator = session.calculator
    app.button(key="Connect").click().run()
    assert session.has_feed
    assert session.calculator is calculator


@pytest.mark.parametrize(
    ("address", "is_warned"),
    [("ws://127.0.0.2:9", False), ("ws://[::1]:9", False), ("ws://localhost:9", False), ("ws://192.0.2.1:9", True)],
)
def test_unencrypted_address_is_warned_about_unless_it_is_this_machine(
    app: AppTest, address: str, is_warned: bool
) -> None:
    """Nobody else is on the way to a loopback address, whichever it is."""
    app.session_state["source"] = "address"
    app.session_state["address"] = address
    app.run()
    assert not app.exception
    assert any("not encrypted" in warning for warning in sentences(app.warning)) == is_warned


def test_recorded_gateway_frames_slip_by_hundredths_of_a_basis_point(app: AppTest, recordings: Path) -> None:
    """A buy of 100,000 USD on the gateway's real frames slips by hundredths of a basis point, not by 125."""
    with serve(recordings / "gomarket-okx_BTC-USDT-SWAP_20250515.jsonl.gz") as address:
        app.session_state["venue"] = "gomarket-okx"
        app.session_state["source"] = "address"
        app.session_state["address"] = address
        app.session_state["replayed"] = True
        run_until(app, lambda: "Slippage" in metrics(app))
        assert 0.0 < metric_bps(app, "Slippage") < 0.5
        assert metric_bps(app, "Fees") == pytest.approx(5.0, abs=0.01)
        page = page_text(app)
        assert "Recording, not now" in page
        assert "2025-05-15 11:13" in page


def test_exchange_picker_offers_every_venue(app: AppTest) -> None:
    """The pickers offer what each venue has."""
    app.run()
    assert app.selectbox(key="venue").options == [app.selectbox(key="venue").format_func(name) for name in VENUES]


def test_unknown_symbol_is_refused_by_name_in_a_sentence(app: AppTest) -> None:
    """A typed symbol that cannot be one of this exchange's is refused by name, and the page lives on."""
    app.session_state["venue"] = "okx"
    app.session_state["symbol"] = "BITCOIN"
    app.run()
    assert not app.exception
    assert any("BITCOIN" in error for error in sentences(app.error))


def test_comparison_lists_every_exchange_of_the_instrument(app: AppTest) -> None:
    """The comparison names each real exchange with the same swap, and says why one has no price."""
    app.run()
    app.segmented_control(key="closer").set_value("All exchanges")
    run_until(app, lambda: any("on every exchange" in each.value for each in app.markdown))
    table = next(each for each in sentences(app.markdown) if each.startswith("| Exchange"))
    assert "Binance futures BTCUSDT" in table
    assert "OKX BTC-USDT-SWAP" in table
    assert "Simulated" not in table


def test_prepared_export_has_the_rows_that_the_page_counts(app: AppTest) -> None:
    """The prepared file holds the rows that are counted beside it, byte for byte what the button gives."""
    run_until(app, lambda: "Net cost" in metrics(app))
    app.segmented_control(key="closer").set_value("Files").run()
    app.button(key="prepare").click().run()
    prepared = app.session_state["prepared"]
    frame = pd.read_csv(io.BytesIO(prepared.data))
    assert len(frame) == prepared.rows > 0
    assert set(frame["symbol"]) == {"BTC-USDT-SWAP"}
    assert any(f"{prepared.rows:,} rows" in each for each in sentences(app.caption))


def test_unsafe_file_name_is_refused_in_a_sentence(app: AppTest) -> None:
    """A name that would leave the folder is refused in words and nothing is prepared."""
    run_until(app, lambda: "Net cost" in metrics(app))
    app.segmented_control(key="closer").set_value("Files").run()
    app.text_input(key="export name").set_value("../../etc/passwd")
    app.button(key="prepare").click().run()
    assert any("can't be used" in error for error in sentences(app.error))
    assert "prepared" not in app.session_state


def test_spot_fees_on_a_swap_are_charged_with_a_warning(app: AppTest) -> None:
    """A perpetual never pays spot fees: choosing them works, and the page says what is wrong with it."""
    run_until(app, lambda: "Fees" in metrics(app))
    assert not app.warning
    app.selectbox(key="fees").set_value("Today, spot")
    run_until(app, lambda: metric_bps(app, "Fees") > 9)
    assert any("never pays spot fees" in each for each in sentences(app.warning))


def test_thirty_day_volume_selects_its_fee_tier(app: AppTest) -> None:
    """Typing what was traded picks the tier, and the fee on screen follows."""
    run_until(app, lambda: "Fees" in metrics(app))
    app.number_input(key="traded").set_value(10_000_000.0)
    run_until(app, lambda: metric_bps(app, "Fees") < 4.9)
    assert any(each.startswith("Your fee tier: **VIP") for each in sentences(app.markdown))


def test_history_keeps_the_chosen_number_of_rows_and_counts_the_dropped_ones(app: AppTest) -> None:
    """With room for five rows the file has the five newest, and the page says how many had to go."""
    run_until(app, lambda: "Net cost" in metrics(app))
    app.segmented_control(key="closer").set_value("Files").run()
    app.number_input(key="export limit").set_value(5)
    run_until(app, lambda: app.session_state["session"].history.dropped > 0)
    app.button(key="prepare").click().run()
    assert app.session_state["prepared"].rows == 5
    assert any("had to give way" in each for each in sentences(app.caption))


def test_speed_report_has_one_row_per_stage(app: AppTest) -> None:
    """The performance report names the three latencies of the page, with or without memory and threads."""
    run_until(app, lambda: "Net cost" in metrics(app))
    app.segmented_control(key="closer").set_value("Files").run()
    app.selectbox(key="export what").set_value("speed").run()
    app.checkbox(key="export system").uncheck()
    app.button(key="prepare").click().run()
    frame = pd.read_csv(io.BytesIO(app.session_state["prepared"].data))
    assert {"processing time", "UI update time", "end to end"} <= set(frame["stage"])
    assert "rss_bytes" not in frame


def test_order_in_contracts_becomes_money_on_a_spot_market(app: AppTest) -> None:
    """Moving from a swap to a spot market, an order in contracts becomes one in money again, never a wrong size."""
    app.run()
    app.selectbox(key="unit").set_value("contracts").run()
    assert app.session_state["session"].order.unit == "contracts"
    app.selectbox(key="venue").set_value("kraken").run()
    assert not app.exception
    assert app.session_state["session"].order.unit == "quote"


def test_switching_the_exchange_keeps_coin_and_size_and_takes_its_fees(app: AppTest) -> None:
    """The same coin is looked for there; contracts that it does not have become the money they were; the fees and
    the tier are those of the new exchange, whatever was chosen for the old one.
    """
    run_until(app, lambda: "Net cost" in metrics(app))
    app.selectbox(key="symbol").set_value("ETH-USDT-SWAP").run()
    run_until(app, lambda: "Net cost" in metrics(app))
    app.selectbox(key="unit").set_value("contracts").run()
    app.text_input(key="quantity").set_value("500").run()
    app.selectbox(key="fees").set_value("Today, spot").run()
    app.selectbox(key="tier").set_value("VIP2").run()
    run_until(app, lambda: app.session_state["session"].latest.estimate.order.quantity == 500.0)
    estimate = app.session_state["session"].latest.estimate
    app.selectbox(key="venue").set_value("kraken").run()
    assert not app.exception
    order = app.session_state["session"].order
    assert app.session_state["symbol"] == "ETH/USDT"
    assert order.unit == "quote"
    assert order.quantity == pytest.approx(estimate.quantity * estimate.mid, rel=0.01)
    assert app.session_state["fees"] == "Today, this market"
    assert order.tier == SCHEDULES["kraken", "spot", "current"].tiers[0]
    assert not app.warning
    app.selectbox(key="venue").set_value("coinbase").run()
    assert app.session_state["symbol"] == "ETH-USDT"
    app.selectbox(key="symbol").set_value("ETH-USD").run()
    app.selectbox(key="venue").set_value("binance-usdm").run()
    assert app.session_state["symbol"] == "ETHUSDT"


def test_entity_is_chosen_under_the_exchange_and_kept_by_name(app: AppTest) -> None:
    """The hosts follow the choice, a note says what differs, and the same region is chosen at the next exchange."""
    app.run()
    assert "Reached through" not in [box.label for box in app.selectbox]
    app.selectbox(key="venue").set_value("binance").run()
    assert app.selectbox(key="entity").options == [entity.title for entity in VENUES["binance"].entities]
    assert app.session_state["session"].market == Market("binance", "BTCUSDT")
    app.selectbox(key="entity").set_value("us").run()
    assert app.session_state["session"].market == Market("binance", "BTCUSDT", entity="us")
    assert "fees are Binance's" in page_text(app)
    app.selectbox(key="venue").set_value("okx").run()
    assert not app.exception
    assert app.session_state["session"].market == Market("okx", "BTC-USDT", entity="us")
    app.selectbox(key="venue").set_value("kraken").run()
    assert not app.exception
    assert app.session_state["session"].market == Market("kraken", "BTC/USDT")


def test_link_names_the_entity(app: AppTest) -> None:
    """A link reopens the market as it was reached."""
    app.query_params["venue"] = ["Binance spot"]
    app.query_params["entity"] = ["Binance, mirror for market data"]
    app.run()
    assert not app.exception
    assert app.session_state["session"].market == Market("binance", "BTCUSDT", entity="mirror")


@pytest.fixture
def thin_market(tmp_path: Path) -> Callable[[str, str, float], Path]:
    """Return a function that records a few books of a market whose price is of this size."""

    def record_market(venue: str, symbol: str, price: float) -> Path:
        levels = [[f"{price * (1 + step / 1e4):.12f}", "2000000"] for step in (1, 2, -1, -2)]
        message = {"timestamp": "2026-03-01T10:00:00Z", "exchange": "X", "symbol": symbol, "amounts": "base"}
        message |= {"asks": levels[:2], "bids": levels[2:]}
        meta = json.dumps({"t": "meta", "venue": venue, "symbol": symbol, "version": 1})
        books = [
            json.dumps({"t": "book", "ts_ns": 1_772_359_200_000_000_000 + k * 10**8, "data": json.dumps(message)})
            for k in range(40)
        ]
        path = tmp_path / "market.jsonl"
        path.write_text("\n".join([meta, *books]) + "\n")
        return path

    return record_market


@pytest.mark.parametrize(
    ("venue", "symbol", "price", "currency", "quantity"),
    [
        ("coinbase", "BTC-EUR", 60_000.0, "EUR", 100_000.0),
        ("binance", "ETHBTC", 0.0402, "BTC", 1.0),
        ("okx", "SHIB-USDT", 0.0000085, "$", 100_000.0),
        ("okx", "USDT-TRY", 42.1, "TRY", 4_000_000.0),
        ("binance", "BTCIDR", 8.4e8, "IDR", 1.6e9),
    ],
)
def test_market_costs_its_own_money(
    app: AppTest,
    thin_market: Callable[[str, str, float], Path],
    venue: str,
    symbol: str,
    price: float,
    currency: str,
    quantity: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Unit, quantity, costs, order value, advice, other sizes and risk name the currency; no number has an exponent."""
    monkeypatch.setattr(type(VENUES[venue]), "symbols", (symbol,))
    app.session_state["venue"] = venue
    app.session_state["source"] = "address"
    app.session_state["replayed"] = True
    with serve(thin_market(venue, symbol, price), 0.5) as address:
        app.session_state["address"] = address
        run_until(app, lambda: "Net cost" in metrics(app))
    words = "USDT" if currency == "$" else currency
    assert app.selectbox(key="unit").options[0] == words
    assert typed_quantity(app) == quantity
    assert app.number_input(key="risk").label == f"Risk aversion, per million {words}"
    shown = view(app)["text"]
    facts = {shown[f"fact {number}"]: shown[f"fact {number} value"] for number in range(8)}
    amounts = [shown["net pill"], shown["slippage pill"], shown["fees pill"], facts["Order value"]]
    for amount in (*amounts, shown["advice"]):
        assert (currency in amount) or (amount == "too thin" and "Too thin" in shown["advice"]), amount
        assert currency == "$" or "$" not in amount, amount
    prices = [value for label, value in facts.items() if label.startswith(("Average", "Last price"))] + [shown["mid"]]
    assert all(float(value.replace(",", "")) == pytest.approx(price, rel=1e-2) for value in prices)
    assert not re.search(r"[0-9]e[-+]?[0-9]", " ".join([*amounts, *prices]))


def test_other_money_begins_with_another_quantity_and_dollars_stay(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred thousand dollars are not a hundred thousand bitcoin, but dollars in another coin stay as many."""
    monkeypatch.setattr(type(VENUES["coinbase"]), "symbols", ("BTC-USD", "BTC-USDT", "ETH-BTC", "BTC-EUR"))
    app.run()
    app.text_input(key="quantity").set_value("250000").run()
    app.selectbox(key="venue").set_value("coinbase").run()
    app.selectbox(key="symbol").set_value("BTC-USD").run()
    assert app.session_state["session"].order.quantity == 250_000.0
    app.selectbox(key="symbol").set_value("ETH-BTC").run()
    assert app.session_state["session"].order.quantity == 1.0
    assert "The quantity was in USD: it begins anew, in BTC." in page_text(app)
    app.text_input(key="quantity").set_value("2").run()
    assert "begins anew" not in page_text(app)
    app.selectbox(key="unit").set_value("base").run()
    app.selectbox(key="symbol").set_value("BTC-EUR").run()
    assert not app.exception
    assert app.session_state["session"].order.unit == "base"


def test_switching_the_unit_keeps_the_size(app: AppTest) -> None:
    """The quantity is turned into the unit just chosen, there and back again."""
    run_until(app, lambda: "Net cost" in metrics(app))
    app.selectbox(key="unit").set_value("base").run()
    estimate = app.session_state["session"].latest.estimate
    assert typed_quantity(app) == pytest.approx(100_000 / estimate.mid, rel=0.01)
    app.selectbox(key="unit").set_value("quote").run()
    assert typed_quantity(app) == pytest.approx(100_000, rel=0.01)
    app.selectbox(key="unit").set_value("contracts").run()
    assert typed_quantity(app) == pytest.approx(100 * 100_000 / estimate.mid, rel=0.01)


def test_number_inputs_set_the_order_in_its_own_units(app: AppTest) -> None:
    """Milliseconds, minutes, percent and "per million" become the seconds and plain numbers of the order."""
    app.run()
    typed = {"latency": 250.0, "wait": 3.0, "minutes": 7.0, "parts": 4.0, "risk": 2.0}
    for key, value in typed.items():
        app.number_input(key=key).set_value(value)
    app.run()
    order = app.session_state["session"].order
    assert (order.latency_s, order.passive_s, order.horizon_s, order.steps) == (0.25, 3.0, 420.0, 4)
    assert order.risk_aversion == 2e-6
    assert (order.volatility, order.daily_volume) == (None, None), "what is empty is measured, or unknown"
    app.number_input(key="volatility").set_value(80.0)
    app.number_input(key="daily").set_value(90_000.0)
    app.run()
    order = app.session_state["session"].order
    assert (order.volatility, order.daily_volume) == (0.8, 90_000.0)


@pytest.mark.parametrize("name", ["source", "address", "replayed", "recording", "speed", "connect", "paused", "closer"])
def test_link_cannot_set_the_price_source_or_the_connection(app: AppTest, name: str) -> None:
    """Where prices come from, and whether they come, is not for a link to say."""
    for value in ("address", "ws://127.0.0.1:9", "recordings/x.jsonl", "true", "false", "All exchanges"):
        app.query_params[name] = [value]
        app.run()
        assert not app.exception
        assert app.session_state["source"] == "exchange"
        assert app.session_state["connect"] is True
        assert app.session_state["closer"] != "All exchanges"
        assert app.session_state["session"].market == Market("simulated", "BTC-USDT-SWAP")
