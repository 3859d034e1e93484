"""What a market asks its venue before the first order book."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from feeds import VENUES, FeedError, Venue
from network.http_client import NetworkError
from sessions.market import Market, learn_contract
from tests.support.paths import PROJECT

REPLY = '{"code":"0","data":[{"instId":"BTC-USDT-SWAP","ctType":"linear","ctVal":"0.01","ctMult":"1"}]}'


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Yield the addresses that were fetched; each is answered as the venue would."""
    addresses: list[str] = []

    async def fetch(url: str, _timeout_s: float) -> str:
        addresses.append(url)
        return REPLY

    monkeypatch.setattr("network.venue_facts.fetch", fetch)
    st.cache_data.clear()
    yield addresses
    st.cache_data.clear()


@pytest.mark.parametrize("venue", VENUES)
def test_contract_is_asked_for_where_the_venue_publishes_it(venue: str, asked: list[str]) -> None:
    """A venue is asked at its own address about every symbol that has one, and nobody else is."""
    symbols = VENUES[venue].symbols
    expected = [url for symbol in symbols if (url := VENUES[venue].instruments_url(symbol))]
    for symbol in symbols:
        learn_contract(venue, symbol)
    assert asked == expected


def test_contract_is_asked_for_through_the_entity(asked: list[str]) -> None:
    """Who cannot reach the venue's own host asks the host that was chosen."""
    assert learn_contract("okx", "BTC-USDT-SWAP", "eea") is None
    assert asked == ["https://eea.okx.com/api/v5/public/instruments?instType=SWAP&instId=BTC-USDT-SWAP"]


@pytest.mark.parametrize(
    ("market", "facts"),
    [
        (Market("okx", "BTC-USDT"), {"entity": "global"}),
        (Market("binance", "BTCUSDT", entity="us"), {"entity": "us"}),
        (Market("binance", "BTCUSDT", entity="us", address="ws://127.0.0.1:9"), {}),
        (Market("kraken", "BTC/USD"), {}),
        (Market("simulated", "BTC-USDT-SWAP"), {"contract": {"value": 0.01, "inverse": False}}),
        (Market("okx", "BTC-USD-SWAP"), {"entity": "global", "contract": {"value": 100.0, "inverse": True}}),
    ],
)
def test_recording_names_the_entity_that_it_was_made_through(market: Market, facts: dict[str, object]) -> None:
    """A typed address is nobody's, and a venue with one door has no entity to name."""
    assert market.recorded_facts() == facts


def test_market_has_a_feed_of_its_own_for_each_entity() -> None:
    """Two tabs that reach a venue through different doors do not share a connection."""
    doors = [Market("okx", "BTC-USDT", entity=name) for name in ("", "eea", "us")]
    assert len({market.key for market in doors}) == 3
    with doors[1].open() as address:
        assert address == "wss://wseea.okx.com/ws/v5/public"
    with pytest.raises(ValueError, match="no entity 'mirror'"):
        Market("okx", "BTC-USDT", entity="mirror")


def test_contract_that_cannot_be_asked_for_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the network the value known offline is used, and the venue that is silent is named."""

    async def fetch(_url: str, _timeout_s: float) -> str:
        raise NetworkError("nobody answers")

    monkeypatch.setattr("network.venue_facts.fetch", fetch)
    note = "OKX could not be asked about BTC-USDT-SWAP, so what is known here of it is used: nobody answers"
    assert learn_contract("okx", "BTC-USDT-SWAP") == note


@pytest.mark.parametrize("venue", [name for name, venue in VENUES.items() if type(venue).learn is Venue.learn])
def test_reply_that_nobody_asked_for_is_refused(venue: str) -> None:
    """A venue whose sizes are known takes no values from elsewhere."""
    with pytest.raises(FeedError, match="asks for none"):
        VENUES[venue].learn(REPLY)


def test_page_asks_once_whatever_is_drawn(asked: list[str]) -> None:
    """Each contract is asked for once in five minutes, and spot is not asked for at all."""
    app = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=20)
    app.session_state["venue"] = "okx"
    try:
        for _ in range(3):
            app.run()
        app.selectbox(key="symbol").set_value("ETH-USDT-SWAP").run()
        app.selectbox(key="symbol").set_value("BTC-USDT").run()
        assert not app.exception
    finally:
        st.cache_resource.clear()  # releases the feeds, as a closed tab would
    instruments = [url for url in asked if "instruments" in url]
    assert instruments == [VENUES["okx"].instruments_url(symbol) for symbol in ("BTC-USDT-SWAP", "ETH-USDT-SWAP")]
