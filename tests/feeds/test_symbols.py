"""The names of markets: split at the right place, in whatever currency they trade, and refused with a reason."""

from __future__ import annotations

import json
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds import VENUES, FeedError
from feeds.binance import Binance
from feeds.binance_symbols import COINS, QUOTES
from feeds.okx import Okx

REST_QUERY = "https://api.binance.com/api/v3/exchangeInfo?symbol="


@pytest.mark.parametrize(
    ("venue", "symbol", "pair"),
    [
        ("binance", "币安人生USDT", "币安人生/USDT"),
        ("binance", "BTCGBP", "BTC/GBP"),
        ("binance", "BTCARS", "BTC/ARS"),
        ("binance", "SOLUSD1", "SOL/USD1"),
        ("binance", "BTCBUSD", "BTC/BUSD"),
        ("binance", "XRPAUD", "XRP/AUD"),
        ("binance", "ETHBTC", "ETH/BTC"),
        ("binance", "USDTTRY", "USDT/TRY"),
        ("binance", "USDTUSD1", "USDT/USD1"),
        ("binance", "BTCIDRT", "BTC/IDRT"),
        ("binance", "BTCIDR", "BTC/IDR"),
        ("binance", "BNBIDR", "BNB/IDR"),
        ("binance", "BNBBIDR", "BNB/BIDR"),
        ("binance", "ADAEUR", "ADA/EUR"),
        ("binance", "BTCAEUR", "BTC/AEUR"),
        ("binance", "BATTUSD", "BAT/TUSD"),
        ("binance-usdm", "1000PEPEUSDT", "1000PEPE/USDT"),
        ("binance-usdm", "BTCUSDC", "BTC/USDC"),
        ("coinbase", "BTC-EUR", "BTC/EUR"),
        ("kraken", "AAPLx/USD", "AAPLx/USD"),
        ("okx", "USDT-TRY", "USDT/TRY"),
        ("okx", "SHIB-USDT", "SHIB/USDT"),
    ],
)
def test_symbol_is_split_at_the_right_place(venue: str, symbol: str, pair: str) -> None:
    """Base and quote of names that can be read in more than one way, and of currencies other than dollars."""
    assert VENUES[venue].instrument(symbol).split()[0] == pair
    assert VENUES[venue].make_feed(symbol).subscribe() is not None


@pytest.mark.parametrize(("symbol", "pair"), [("BATUSD", "BAT/USD"), ("BNBUSD", "BNB/USD"), ("BTCUSDT", "BTC/USDT")])
def test_symbol_of_an_entity_is_split_by_its_own_currencies(symbol: str, pair: str) -> None:
    """Binance.US trades in dollars, and has neither BUSD nor TUSD, which end in the same letters."""
    assert VENUES["binance"].reached_through("us").instrument(symbol) == f"{pair} spot"


@given(st.sampled_from(sorted(COINS)), st.sampled_from(QUOTES))
def test_every_known_coin_in_every_quote_currency_is_split_rightly(coin: str, currency: str) -> None:
    """A known coin is recognised before any quote currency, unless the name has two readings with known coins."""
    readings = {(each, coin_and[len(each) :]) for coin_and in [coin + currency] for each in COINS}
    if sum(quote in QUOTES for _, quote in readings if quote) == 1:
        assert VENUES["binance"].instrument(coin + currency) == f"{coin}/{currency} spot"


def test_name_in_another_script_is_encoded_in_addresses() -> None:
    """A WebSocket address and a REST address carry ASCII only."""
    url = VENUES["binance"].url("币安人生USDT")
    assert url.isascii()
    assert unquote(url).endswith("/ws/币安人生usdt@depth@100ms")
    message = {"e": "depthUpdate", "E": 1723161255308, "s": "币安人生USDT", "U": 11, "u": 12, "b": [], "a": []}
    feed = VENUES["binance"].make_feed("币安人生USDT")
    assert feed.parse(json.dumps(message), 0) is None
    assert str(feed.snapshot_url).isascii()
    assert "symbol=币安人生USDT&" in unquote(str(feed.snapshot_url))


@pytest.mark.parametrize("symbol", ["USDT", "BTC", "btcusdt", "BTC_USDT", "BTCXYZ", "BTC USDT", "../BTCUSDT"])
def test_text_without_base_or_known_quote_is_refused_by_name(symbol: str) -> None:
    """Nothing is guessed: neither an empty base nor a currency that Binance does not have."""
    with pytest.raises(ValueError, match=r"not a Binance symbol: '.*'; they look like BTCUSDT"):
        VENUES["binance"].instrument(symbol)


@pytest.mark.parametrize(("symbol", "name"), [("XBT/USD", "BTC/USD"), ("ETH/XBT", "ETH/BTC")])
def test_kraken_says_the_name_that_a_market_has_now(symbol: str, name: str) -> None:
    """Names of the first API are still in many people's fingers."""
    with pytest.raises(ValueError, match=f"the name of this market is {name}"):
        VENUES["kraken"].make_feed(symbol)


@pytest.mark.parametrize(
    ("symbol", "instrument"),
    [
        ("BTC-USD-SWAP", "BTC/USD inverse swap"),
        ("BTC-USD-220527", "BTC/USD inverse future 220527"),
        ("BTC-USD_UM-SWAP", "BTC/USD swap"),
        ("BTC-USDT-SWAP", "BTC/USDT swap"),
    ],
)
def test_okx_contract_is_priced_in_the_currency_of_its_name(symbol: str, instrument: str) -> None:
    """A contract that is worth dollars is inverse, so it is compared with no linear one."""
    assert VENUES["okx"].instrument(symbol) == instrument


def test_okx_contract_with_its_margin_in_the_name_is_accepted_once_it_is_known() -> None:
    """Until the venue has said what it is worth, its size is refused by name."""
    okx = Okx()
    with pytest.raises(ValueError, match="contract size of BTC-USD_UM-SWAP is unknown"):
        okx.make_feed("BTC-USD_UM-SWAP")
    assert str(okx.instruments_url("BTC-USD_UM-SWAP")).endswith("?instType=SWAP&instId=BTC-USD_UM-SWAP")
    row = {"instId": "BTC-USD_UM-SWAP", "ctType": "linear", "ctVal": "0.0001", "ctMult": "1"}
    okx.learn(json.dumps({"code": "0", "data": [row]}))
    assert okx.contract_size("BTC-USD_UM-SWAP") == 0.0001


def instruments(symbol: str, base: str, quote: str) -> str:
    """Return the venue's reply to a question for one market."""
    row = {"symbol": symbol, "status": "TRADING", "baseAsset": base, "quoteAsset": quote, "filters": []}
    return json.dumps({"timezone": "UTC", "symbols": [row]})


def test_binance_is_asked_about_a_name_that_is_unknown_or_ambiguous() -> None:
    """What the venue says counts: for a currency that is new, and for a name with two readings."""
    binance = Binance()
    assert binance.instruments_url("BTCUSDT") is None
    assert binance.instruments_url("BTCNEW") == f"{REST_QUERY}BTCNEW"
    assert binance.instruments_url("XYZAEUR") == f"{REST_QUERY}XYZAEUR"
    binance.learn(instruments("BTCNEW", "BTC", "NEW"))
    binance.learn(instruments("XYZAEUR", "XYZA", "EUR"))
    assert binance.instrument("BTCNEW") == "BTC/NEW spot"
    assert binance.instrument("XYZAEUR") == "XYZA/EUR spot"
    assert binance.reached_through("mirror").instrument("BTCNEW") == "BTC/NEW spot"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"code":-1121,"msg":"Invalid symbol."}', "Binance refused the instruments: -1121 Invalid symbol."),
        (instruments("BTCNEW", "ETH", "NEW"), "'BTCNEW' is not 'ETH' in 'NEW'"),
        (instruments("BTCNEW", "", "BTCNEW"), "'BTCNEW' is not '' in 'BTCNEW'"),
        ("<html>", "unreadable message"),
    ],
)
def test_reply_that_names_no_market_is_refused(body: str, words: str) -> None:
    """A refusal is told in the venue's words, and a row that contradicts itself is not believed."""
    binance = Binance()
    with pytest.raises(FeedError, match=words):
        binance.learn(body)
    with pytest.raises(ValueError, match="not a Binance symbol"):
        binance.instrument("BTCNEW")
