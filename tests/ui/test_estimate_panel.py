"""Run the right panel as Streamlit does, without a browser: charts agree with numbers, states are shown."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from calculations import Order, TradingCalculator
from orderbook import Side
from sessions.session import PricedBook
from tests.support.loopback import Server, gateway_frame, make_talk
from tests.support.synthetic_markets import book
from tests.test_app import app, metrics, run_until, view
from ui.detail_tabs import TABS
from ui.estimate_component import CELLS
from ui.estimate_panel import cost_bar

__all__ = ["app"]  # the fixture


def charts(app: AppTest) -> dict[str, Any]:
    """Return the option of every chart by its key."""
    found: dict[str, Any] = {each.key: json.loads(each.proto.spec) for each in app.get("echarts_chart")}
    return found


def line(option: dict[str, Any], name: str) -> list[list[float | None]]:
    found: list[list[float | None]] = next(each["data"] for each in option["series"] if each["name"] == name)
    return found


def history_end(app: AppTest) -> float | None:
    """Return the cost at which the line of the last minutes ends, bps."""
    minutes, net = line(charts(app)["trail chart"], "Net cost")[-1]
    assert minutes == 0.0
    return net


def test_new_size_breaks_the_history_line_which_ends_at_the_shown_cost(app: AppTest) -> None:
    """Costs of the order before are another line; today's begins after a hole and ends at the newest cost."""
    run_until(app, lambda: "trail chart" in charts(app) and len(line(charts(app)["trail chart"], "Net cost")) > 1)
    assert line(charts(app)["trail chart"], "Other orders") == []
    app.text_input(key="quantity").set_value("900000")
    run_until(app, lambda: len(line(charts(app)["trail chart"], "Other orders")) > 0)
    picture = charts(app)["trail chart"]
    today, before = line(picture, "Net cost"), line(picture, "Other orders")
    assert today[0][1] is None
    assert today[-1] == [0.0, pytest.approx(float(view(app)["probe"]["net"]), abs=1e-5)]
    first = today[1][0]
    assert first is not None
    assert all(minutes is not None and minutes <= first for minutes, _ in before)


def test_history_line_ends_at_the_headline_in_every_drawing(app: AppTest) -> None:
    """In every drawing the line ends at the headline's number, also right after a new size."""
    seen: set[str] = set()

    def compared() -> bool:
        tick = view(app)["probe"]
        if tick and "trail chart" in charts(app):
            assert history_end(app) == pytest.approx(float(tick["net"]), abs=1e-5)
            seen.add(tick["ns"])
            if len(seen) == 5:
                app.text_input(key="quantity").set_value("300000")
        return len(seen) > 10

    run_until(app, compared)


def test_each_large_number_has_a_source_and_an_explanation(app: AppTest) -> None:
    """Each of the five numbers has a caption that says where it comes from, and an explanation."""
    run_until(app, lambda: view(app)["has"]["answer"])
    text = view(app)["text"]
    assert all(len(text[f"{name} about"]) > 40 and text[f"{name} from"] and text[f"{name} score"] for name in CELLS)
    assert re.fullmatch(r"Model warming up \(\d of 10\)", text["slippage score"])
    assert text["slippage from"] == "Book walk"


def test_chosen_tab_draws_its_charts_and_no_others(app: AppTest) -> None:
    """Choosing a tab draws its charts and none of the other tabs'."""
    run_until(app, lambda: "depth chart" in charts(app))
    always = {"depth chart", "curve chart", "trail chart"}
    pictures = {
        "Impact and schedule": {"trajectory chart", "frontier chart"},
        "Was it right?": {"predicted chart", "errors chart", "reliability chart"},
        "Speed": {"latency chart"},
    }
    for chosen in TABS:
        app.segmented_control(key="closer").set_value(chosen)
        wanted = always | pictures.get(chosen, set())
        run_until(app, lambda wanted=wanted: set(charts(app)) == wanted)  # type: ignore[misc]


def test_silent_feed_greys_the_numbers_and_shows_their_age(app: AppTest) -> None:
    """A feed that fell silent: its numbers are greyed by their mark, the badge counts the seconds, and a new size is
    priced on the last book.
    """
    with Server(make_talk(gateway_frame(95_000.0))) as server:
        app.session_state["venue"] = "gomarket-okx"
        app.session_state["source"] = "address"
        app.session_state["address"] = server.url
        run_until(app, lambda: view(app)["has"]["answer"] and view(app)["fresh"])
        run_until(app, lambda: not view(app)["fresh"])
        assert set(metrics(app)) == set(CELLS.values())
        app.text_input(key="quantity").set_value("3000")
        app.run()
        assert view(app)["probe"]["quantity"] == "3000.0"  # priced anew although no book came
        assert history_end(app) == pytest.approx(float(metrics(app)["Net cost"].removesuffix(" bps")), abs=1e-3)
        assert re.fullmatch(r"Old: no new prices for [2-4] s", view(app)["text"]["badge"])


def test_gain_is_drawn_hatched_left_of_zero() -> None:
    """A gain is hatched and left of zero; a mark stands where costs less gains end."""
    order = Order(Side.BUY, 1.0)
    seen = book([(99.9, 5.0)], [(100.1, 5.0)])
    estimate = TradingCalculator(order).estimate(seen)
    gain = estimate.with_values(slippage_bps=-1.0, fee_bps=4.0, impact_bps=0.0, net_cost_bps=3.0)
    drawn = cost_bar(PricedBook(seen, gain))
    assert [piece[:3] for piece in drawn.pieces] == [("gain", 0.0, 20.0), ("cost", 20.0, 80.0)]
    assert drawn.net == 80.0
    unknown = cost_bar(PricedBook(seen, estimate.with_values(slippage_bps=None, net_cost_bps=None)))
    assert (unknown.pieces, unknown.net) == ((), None)
