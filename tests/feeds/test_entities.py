"""The doors to a venue: the hosts of each entity belong together, and what is not an entity is refused."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from feeds import VENUES, Feed

HOSTS = """
okx           global  ws.okx.com                  openapi.okx.com
okx           eea     wseea.okx.com               eea.okx.com
okx           us      wsus.okx.com                us.okx.com
binance       global  stream.binance.com          api.binance.com
binance       mirror  data-stream.binance.vision  data-api.binance.vision
binance       us      stream.binance.us:9443      api.binance.us
binance-usdm  global  fstream.binance.com         fapi.binance.com
"""
"""Typed from the venues' documentation: the entity, its WebSocket host and its REST host."""

ROWS = [line.split() for line in HOSTS.strip().splitlines()]
CHANGE = '{{"e":"depthUpdate","E":1723161255308,"s":"{symbol}","U":11,"u":12,"pu":10,"b":[],"a":[]}}'


def rest_address(venue: str, entity: str, symbol: str) -> str | None:
    """Return the REST address that the venue's feed, or the venue itself, asks for."""
    reached = VENUES[venue].reached_through(entity)
    feed: Feed = reached.make_feed(symbol)
    feed.parse(CHANGE.format(symbol=symbol), 0)
    return feed.snapshot_url or reached.instruments_url(symbol)


def test_every_entity_is_in_the_table() -> None:
    """None is added, or renamed, without its hosts being typed a second time."""
    assert [row[:2] for row in ROWS] == [
        [name, entity.name] for name in ("okx", "binance", "binance-usdm") for entity in VENUES[name].entities
    ]
    assert {name for name, venue in VENUES.items() if venue.entities} == {row[0] for row in ROWS}


@pytest.mark.parametrize(("venue", "entity", "socket_host", "rest_host"), ROWS)
def test_socket_and_rest_belong_to_the_same_entity(venue: str, entity: str, socket_host: str, rest_host: str) -> None:
    """Whoever cannot reach the one host cannot reach its REST either, so both change together."""
    symbol = VENUES[venue].symbols[0]
    reached = VENUES[venue].reached_through(entity)
    socket = urlsplit(reached.url(symbol))
    assert (socket.scheme, socket.netloc) == ("wss", socket_host)
    rest = urlsplit(rest_address(venue, entity, symbol) or "")
    assert (rest.scheme, rest.netloc) == ("https", rest_host)
    assert reached.entity.name == entity
    assert socket.path == urlsplit(VENUES[venue].url(symbol)).path


def test_default_is_the_first_entity_and_is_left_as_it_is() -> None:
    """To reach a venue another way changes nothing for those who reach it as before."""
    okx = VENUES["okx"]
    assert okx.reached_through("eea").url("BTC-USDT") != okx.url("BTC-USDT")
    assert okx.reached_through("eea").reached_through("").url("BTC-USDT") == okx.url("BTC-USDT")
    assert okx.url("BTC-USDT") == okx.reached_through(okx.entities[0].name).url("BTC-USDT")


@pytest.mark.parametrize(
    ("venue", "words"),
    [
        ("okx", "OKX has no entity 'mars': it is reached through global or eea or us"),
        ("kraken", "Kraken has no entity 'mars': it has only one door"),
    ],
)
def test_entity_that_the_venue_does_not_have_is_refused_by_name(venue: str, words: str) -> None:
    """The sentence names the value and the choices."""
    with pytest.raises(ValueError, match=words):
        VENUES[venue].reached_through("mars")
