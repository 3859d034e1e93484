"""Check the volume of 24 h that is read from each venue's ticker, against bodies in the documented form.

The numbers of each body differ from field to field, so that a wrong one is seen; docs/venues.md names the sources.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds import VENUES, FeedError


class Ticker(NamedTuple):
    """A market, the address and the body of its ticker, what stands in the body's volume, and the base units."""

    venue: str
    symbol: str
    url: str
    body: str
    written: str
    volume: float


TICKERS = (
    Ticker(
        "okx", "BTC-USDT", "https://openapi.okx.com/api/v5/market/ticker?instId=BTC-USDT",
        '{"code":"0","msg":"","data":[{"instType":"SPOT","instId":"BTC-USDT","last":"28587.4","lastSz":"3",'
        '"askPx":"28587.5","askSz":"102.61","bidPx":"28587.4","bidSz":"104.75","open24h":"29250.6","high24h":"29963.1",'
        '"low24h":"28283","volCcy24h":"174348873.77","vol24h":"5973.30277732","ts":"1682933882503"}]}',
        '"5973.30277732"', 5973.30277732,
    ),
    Ticker(
        "okx", "BTC-USDT-SWAP", "https://openapi.okx.com/api/v5/market/ticker?instId=BTC-USDT-SWAP",
        '{"code":"0","msg":"","data":[{"instType":"SWAP","instId":"BTC-USDT-SWAP","last":"56956.1","lastSz":"3",'
        '"askPx":"56959.1","askSz":"10582","bidPx":"56959","bidSz":"4552","open24h":"55926","high24h":"57641.1",'
        '"low24h":"54570.1","volCcy24h":"81137.755","vol24h":"8113775.5","ts":"1620289117764"}]}',
        '"81137.755"', 81137.755,
    ),
    Ticker(
        "okx", "BTC-USD-SWAP", "https://openapi.okx.com/api/v5/market/ticker?instId=BTC-USD-SWAP",
        '{"code":"0","msg":"","data":[{"instType":"SWAP","instId":"BTC-USD-SWAP","last":"56956.1",'
        '"volCcy24h":"81137.755","vol24h":"46258703","ts":"1620289117764"}]}',
        '"81137.755"', 81137.755,
    ),
    Ticker(
        "binance", "BNBBTC", "https://api.binance.com/api/v3/ticker/24hr?symbol=BNBBTC",
        '{"symbol":"BNBBTC","priceChange":"-94.99999800","priceChangePercent":"-95.960","weightedAvgPrice":"0.29628482",'
        '"prevClosePrice":"0.10002000","lastPrice":"4.00000200","lastQty":"200.00000000","bidPrice":"4.00000000",'
        '"bidQty":"100.00000000","askPrice":"4.00000200","askQty":"100.00000000","openPrice":"99.00000000",'
        '"highPrice":"100.00000000","lowPrice":"0.10000000","volume":"8913.30000000","quoteVolume":"15.30000000",'
        '"openTime":1499783499040,"closeTime":1499869899040,"firstId":28385,"lastId":28460,"count":76}',
        '"8913.30000000"', 8913.3,
    ),
    Ticker(
        "binance-usdm", "BTCUSDT", "https://fapi.binance.com/fapi/v1/ticker/24hr?symbol=BTCUSDT",
        '{"symbol":"BTCUSDT","priceChange":"-94.99999800","priceChangePercent":"-95.960","lastPrice":"4.00000200",'
        '"lastQty":"200.00000000","volume":"8913.30000000","quoteVolume":"15.30000000","openTime":1499783499040,'
        '"closeTime":1499869899040,"firstId":28385,"lastId":28460,"count":76}',
        '"8913.30000000"', 8913.3,
    ),
    Ticker(
        "coinbase", "BTC-USD", "https://api.coinbase.com/api/v3/brokerage/market/products/BTC-USD",
        '{"product_id":"BTC-USD","price":"140.21","price_percentage_change_24h":"9.43%","volume_24h":"1908432",'
        '"volume_percentage_change_24h":"9.43%","base_increment":"0.00000001","quote_increment":"0.01",'
        '"base_name":"Bitcoin","quote_name":"US Dollar","status":"online","product_type":"SPOT",'
        '"approximate_quote_24h_volume":"267581250.7"}',
        '"1908432"', 1908432.0,
    ),
    Ticker(
        "kraken", "BTC/USD", "https://api.kraken.com/0/public/Ticker?pair=XBTUSD",
        '{"error":[],"result":{"XXBTZUSD":{"a":["30300.10000","1","1.000"],"b":["30300.00000","1","1.000"],'
        '"c":["30303.20000","0.00067643"],"v":["4083.67001100","4412.73601799"],"p":["30706.77771","30689.13205"],'
        '"t":[34619,38907],"l":["29868.30000","29868.30000"],"h":["31631.00000","31631.00000"],"o":"30502.80000"}}}',
        '"4412.73601799"', 4412.73601799,
    ),
    Ticker(
        "kraken-futures", "PF_XBTUSD", "https://futures.kraken.com/derivatives/api/v3/tickers/PF_XBTUSD",
        '{"result":"success","serverTime":"2022-06-17T11:00:31.335Z","ticker":{"symbol":"PF_XBTUSD","last":21088.5,'
        '"lastTime":"2022-06-17T10:46:35.705Z","tag":"perpetual","pair":"XBT:USD","markPrice":20049.7,"bid":20800,'
        '"bidSize":0.01,"ask":21140,"askSize":0.5,"vol24h":150.1234,"volumeQuote":3165000.5,"openInterest":149655,'
        '"open24h":20000,"indexPrice":21087.8,"suspended":false}}',
        "150.1234", 150.1234,
    ),
    Ticker(
        "kraken-futures", "PI_XBTUSD", "https://futures.kraken.com/derivatives/api/v3/tickers/PI_XBTUSD",
        '{"result":"success","serverTime":"2021-02-02T15:00:00.000Z","ticker":{"symbol":"PI_XBTUSD","last":34852,'
        '"tag":"perpetual","pair":"XBT:USD","markPrice":34844.25,"bid":34832.5,"bidSize":42864,"ask":34847.5,'
        '"askSize":2300,"vol24h":262306237,"volumeQuote":262306237,"openInterest":107706940,"suspended":false}}',
        "262306237", 7527.963,
    ),
    Ticker(
        "bybit-spot", "BTCUSDT", "https://api.bybit.com/v5/market/tickers?category=spot&symbol=BTCUSDT",
        '{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[{"symbol":"BTCUSDT","bid1Price":"20517.96",'
        '"bid1Size":"2","ask1Price":"20527.77","ask1Size":"1.862172","lastPrice":"20533.13","prevPrice24h":"20393.48",'
        '"price24hPcnt":"0.0068","highPrice24h":"21128.12","lowPrice24h":"20318.89","turnover24h":"243765620.65899866",'
        '"volume24h":"11801.27771","usdIndexPrice":"20784.12009279"}]},"retExtInfo":{},"time":1673859087947}',
        '"11801.27771"', 11801.27771,
    ),
    Ticker(
        "bybit-linear", "BTCUSDT", "https://api.bybit.com/v5/market/tickers?category=linear&symbol=BTCUSDT",
        '{"retCode":0,"retMsg":"OK","result":{"category":"linear","list":[{"symbol":"BTCUSDT","lastPrice":"17216.00",'
        '"openInterest":"60998.5","turnover24h":"1570383121.94","volume24h":"91705.276"}]},"time":1672376496682}',
        '"91705.276"', 91705.276,
    ),
    Ticker(
        "bybit-inverse", "BTCUSD", "https://api.bybit.com/v5/market/tickers?category=inverse&symbol=BTCUSD",
        '{"retCode":0,"retMsg":"OK","result":{"category":"inverse","list":[{"symbol":"BTCUSD","lastPrice":"16597.00",'
        '"indexPrice":"16598.54","markPrice":"16596.00","prevPrice24h":"16464.50","price24hPcnt":"0.008047",'
        '"highPrice24h":"30912.50","lowPrice24h":"15700.00","prevPrice1h":"16595.50","openInterest":"373504107",'
        '"openInterestValue":"22505.67","turnover24h":"2352.94950046","volume24h":"49337318","fundingRate":"-0.001034"}'
        ']},"retExtInfo":{},"time":1672376496682}',
        '"2352.94950046"', 2352.94950046,
    ),
    Ticker(
        "bitget-futures", "BTCUSDT",
        "https://api.bitget.com/api/v2/mix/market/ticker?productType=USDT-FUTURES&symbol=BTCUSDT",
        '{"code":"00000","msg":"success","requestTime":1695794269124,"data":[{"symbol":"BTCUSDT","lastPr":"29904.5",'
        '"askPr":"29904.5","bidPr":"29903.5","bidSz":"0.5091","askSz":"2.2694","high24h":"30100","low24h":"29000",'
        '"ts":"1695794271400","change24h":"0","baseVolume":"5552.91","quoteVolume":"166056597.1",'
        '"usdtVolume":"166056597.2","openUtc":"0","indexPrice":"29132.353333","fundingRate":"-0.0007",'
        '"holdingAmount":"125.6844","deliveryStartTime":null,"open24h":"0","markPrice":"12345"}]}',
        '"5552.91"', 5552.91,
    ),
    Ticker(
        "bitget-futures", "BTCPERP",
        "https://api.bitget.com/api/v2/mix/market/ticker?productType=USDC-FUTURES&symbol=BTCPERP",
        '{"code":"00000","msg":"success","requestTime":1,"data":[{"symbol":"BTCPERP","baseVolume":"52.5",'
        '"quoteVolume":"1570000","usdtVolume":"1570001"}]}',
        '"52.5"', 52.5,
    ),
    Ticker(
        "gate-futures", "BTC_USDT", "https://api.gateio.ws/api/v4/futures/usdt/tickers?contract=BTC_USDT",
        '[{"contract":"BTC_USDT","last":"6432","low_24h":"6278","high_24h":"6790","change_percentage":"4.43",'
        '"total_size":"32323904","volume_24h":"184040233284","volume_24h_btc":"28613220","volume_24h_usd":"1840402332",'
        '"volume_24h_base":"28613221","volume_24h_quote":"184040233","volume_24h_settle":"28613222",'
        '"mark_price":"6534","funding_rate":"0.0001","index_price":"6531"}]',
        '"28613221"', 28613221.0,
    ),
    Ticker(
        "deribit", "BTC-PERPETUAL", "https://www.deribit.com/api/v2/public/ticker?instrument_name=BTC-PERPETUAL",
        '{"jsonrpc":"2.0","id":8106,"result":{"best_ask_amount":53040,"best_ask_price":36443,"best_bid_amount":2530,'
        '"best_bid_price":36442.5,"current_funding":0,"estimated_delivery_price":36441.64,"funding_8h":0.0000211,'
        '"index_price":36441.64,"instrument_name":"BTC-PERPETUAL","last_price":36457.5,"mark_price":36446.51,'
        '"open_interest":502097590,"settlement_price":36169.49,"state":"open","stats":{"high":36824.5,"low":35213.5,'
        '"price_change":0.7229,"volume":7871.02139035,"volume_usd":284061480},"timestamp":1623060194301}}',
        "7871.02139035", 7871.02139035,
    ),
)  # fmt: skip

REFUSALS = {
    "okx": '{"code":"51001","msg":"Instrument ID does not exist","data":[]}',
    "binance": '{"code":-1121,"msg":"Invalid symbol."}',
    "binance-usdm": '{"code":-1121,"msg":"Invalid symbol."}',
    "coinbase": '{"error":"NOT_FOUND","error_details":"valid product_id is required"}',
    "kraken": '{"error":["EQuery:Unknown asset pair"]}',
    "kraken-futures": '{"result":"error","error":"notFound","serverTime":"2026-11-30T12:00:00.000Z"}',
    "bybit-spot": '{"retCode":10001,"retMsg":"Not supported symbols","result":{},"time":1672376496682}',
    "bybit-linear": '{"retCode":10001,"retMsg":"Not supported symbols","result":{"list":[]}}',
    "bybit-inverse": '{"retCode":10001,"retMsg":"Not supported symbols","result":{}}',
    "bitget-futures": '{"code":"40034","msg":"Parameter does not exist","requestTime":1,"data":null}',
    "gate-futures": '{"label":"CONTRACT_NOT_FOUND","message":"contract not found"}',
    "deribit": '{"jsonrpc":"2.0","error":{"message":"Invalid params","code":-32602},"testnet":false}',
}
SILENT = {"gomarket-okx", "hyperliquid", "simulated"}
"""The gateway and the simulated market publish no ticker, and Hyperliquid wants a POST."""

each_ticker = pytest.mark.parametrize("ticker", TICKERS, ids=lambda ticker: f"{ticker.venue} {ticker.symbol}")


@each_ticker
def test_documented_ticker_gives_base_units(ticker: Ticker) -> None:
    """The field with base units is read, and not the one that counts contracts, quote units or another span."""
    venue = VENUES[ticker.venue]
    assert venue.volume_url(ticker.symbol) == ticker.url
    assert venue.read_daily_volume(ticker.body, ticker.symbol) == pytest.approx(ticker.volume, rel=1e-6)
    assert venue.read_daily_volume(ticker.body.encode(), ticker.symbol) == pytest.approx(ticker.volume, rel=1e-6)


def test_every_venue_is_asked_or_known_to_be_silent() -> None:
    """A venue that is added is either asked, with a body above, or asked for nothing."""
    asked = {ticker.venue for ticker in TICKERS}
    silent = {name for name, venue in VENUES.items() if venue.volume_url(venue.symbols[0]) is None}
    assert asked | silent == set(VENUES)
    assert silent >= SILENT
    assert asked == set(REFUSALS)


@pytest.mark.parametrize("venue", sorted(SILENT))
def test_volume_that_nobody_asked_for_is_refused(venue: str) -> None:
    """A venue without a ticker takes no volume from elsewhere."""
    with pytest.raises(FeedError, match="asks for none"):
        VENUES[venue].read_daily_volume(TICKERS[0].body, VENUES[venue].symbols[0])


@each_ticker
@pytest.mark.parametrize("number", ["0", "-5", "1e400", "1e16", "1e-10"])
def test_volume_that_cannot_be_is_refused_with_its_value(ticker: Ticker, number: str) -> None:
    """A market without trades says 0: that is no volume for a square root to divide by."""
    written = f'"{number}"' if ticker.written.startswith('"') else number
    body = ticker.body.replace(ticker.written, written)
    assert body != ticker.body
    shown = number if written.startswith('"') else repr(float(number))
    with pytest.raises(FeedError, match=rf"no volume in '{re.escape(shown)}'|no ticker in"):
        VENUES[ticker.venue].read_daily_volume(body, ticker.symbol)


@pytest.mark.parametrize("text", ['"nan"', '"many"', '""', "null", "{}"])
@each_ticker
def test_volume_that_is_no_number_is_refused(ticker: Ticker, text: str) -> None:
    """NaN, words, nothing and other kinds of values are refused like a number that cannot be."""
    body = ticker.body.replace(ticker.written, text)
    with pytest.raises(FeedError, match=r"no volume in|no ticker in"):
        VENUES[ticker.venue].read_daily_volume(body, ticker.symbol)


@pytest.mark.parametrize("venue", sorted(REFUSALS))
def test_documented_refusal_is_a_feed_error(venue: str) -> None:
    """What a venue answers to a symbol that it does not have is no volume."""
    with pytest.raises(FeedError):
        VENUES[venue].read_daily_volume(REFUSALS[venue], VENUES[venue].symbols[0])


@pytest.mark.parametrize("price", ["0", "-3", '"x"'])
def test_inverse_volume_without_a_price_is_refused(price: str) -> None:
    """Dollars become coins at the price of now; without one they are not guessed."""
    (ticker,) = (each for each in TICKERS if each.symbol == "PI_XBTUSD")
    body = ticker.body.replace("34844.25", price)
    with pytest.raises(FeedError, match=r"no price in|no ticker in"):
        VENUES["kraken-futures"].read_daily_volume(body, "PI_XBTUSD")


@pytest.mark.parametrize("venue", sorted(REFUSALS))
@given(body=st.text(max_size=60) | st.binary(max_size=60) | st.recursive(
    st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["data", "result", "list", "ticker", "stats", "v"]), inner, max_size=3),
).map(json.dumps))  # fmt: skip
def test_any_body_is_a_volume_or_a_feed_error(venue: str, body: str | bytes) -> None:
    """Nothing but FeedError leaves the reader, whatever a server sends."""
    with suppress(FeedError):
        assert VENUES[venue].read_daily_volume(body, VENUES[venue].symbols[0]) > 0


@pytest.mark.parametrize(("entity", "host"), [("eea", "https://eea.okx.com"), ("us", "https://us.okx.com")])
def test_volume_is_asked_for_through_the_entity(entity: str, host: str) -> None:
    """Who cannot reach the venue's own host asks the host that was chosen."""
    url = VENUES["okx"].reached_through(entity).volume_url("BTC-USDT")
    assert url == f"{host}/api/v5/market/ticker?instId=BTC-USDT"


@pytest.mark.parametrize(("symbol", "pair"), [("ETH/BTC", "ETHXBT"), ("DOGE/USD", "XDGUSD"), ("AAPLx/USD", "AAPLxUSD")])
def test_kraken_is_asked_by_the_names_of_its_first_api(symbol: str, pair: str) -> None:
    """Its ticker knows Bitcoin as XBT and Dogecoin as XDG."""
    assert VENUES["kraken"].volume_url(symbol) == f"https://api.kraken.com/0/public/Ticker?pair={pair}"


@pytest.mark.parametrize("venue", sorted(REFUSALS))
def test_text_that_is_no_symbol_is_not_asked_for(venue: str) -> None:
    """No address is made of a text that the venue cannot have sent."""
    with pytest.raises(ValueError, match="not a"):
        VENUES[venue].volume_url("x&y=../z")
