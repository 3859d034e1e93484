"""The page's words: numbers, states and sources in simple, everyday English."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from calculations import Estimate, Order, Style, Unit
from comparison import Offer
from fee_calculator import FeeCalculator, FeeTier, edition_words
from profiling import System
from session import Market
from websocket_client import Status

VENUE_WORDS = {
    "simulated": "Simulated market",
    "gomarket-okx": "OKX through the GoMarket gateway",
    "okx": "OKX",
    "binance": "Binance spot",
    "binance-usdm": "Binance futures",
    "coinbase": "Coinbase",
    "kraken": "Kraken",
}
EXPORT_WORDS = {"results": "Costs of every order book", "speed": "Speed of this page"}
SOURCE_WORDS = {
    "exchange": "The exchange",
    "recording": "A recording",
    "address": "Another address",
}
STYLE_WORDS: dict[Style, str] = {
    "now": "All at once",
    "passive": "Wait at the best price first",
    "schedule": "Spread over time",
}
ORDER_TYPES: dict[str, tuple[Style, ...]] = {"Market": ("now", "schedule"), "Limit": ("passive",)}
FEE_TABLE_WORDS = {
    ("this market", "current"): "Today, this market",
    ("spot", "current"): "Today, spot",
    ("swap", "current"): "Today, perpetual swap",
    ("spot", "specification"): "As specified, spot",
    ("own", "own"): "My own file",
}
UNIT_WORDS: dict[Unit, str] = {"quote": "USD", "base": "coins", "contracts": "contracts"}
Colour = Literal["green", "blue", "violet"]

JOINER = "\u2060"
"""The Unicode word joiner: takes no room, allows no line break, and is part of no address."""

HELP = {
    "net": "What the whole order costs against the price you see now: slippage, fees and counted market impact, added.",
    "slippage": "How much worse than the middle price your order is filled: half the gap between buyers and sellers, "
    "plus eating into the book, plus the price moving before your order arrives.",
    "fees": "What the exchange charges. Orders that take pay more than orders that wait in the book.",
    "impact": "How your own trading moves the price. An order sent all at once has paid it in its slippage, so nothing "
    "is added; an order spread over time pays it between its parts.",
    "maker": "The part of your order that other traders would fill if you waited at the best price (maker). The rest "
    "crosses the gap (taker).",
    "latency": "How long after the decision your order reaches the exchange.",
    "compare": "The same order on every exchange that trades the same thing. Cheapest is who gives the best price "
    "after all costs.",
    "learned": "The models start from nothing on every visit, and need some minutes. Keep what they learned of this "
    "market, and go on from there next time.",
    "advice": "± is one standard deviation of how the price moves meanwhile: two times in three it moves by less.",
    "schedule": "Almgren and Chriss, Optimal Execution of Portfolio Transactions (2000): trade slowly and you move the "
    "price less, but it has longer to move against you. The best schedule weighs one against the other.",
    "right": "Every guess is kept until the order books that came later show what it should have been.",
    "speed": "From receiving an order book to having priced your order, and to having drawn this page.",
    "pause": "Stops the picture, not the market: prices are still received and learned from. Key: P.",
    "continue": "The picture follows the market again. Key: P.",
    "volatility": "How much the price swings in a year. Leave it empty to use what is measured here.",
    "backtest": "Every order book of the recording is priced as if it came live, the learning included: each guess is "
    "made from what was known by then. The parsed books are kept beside the recording, so the next time is quicker.",
    "backtest table": "P50: half of the order books cost no more than this. P95: 95 of 100 cost no more. P99: 99 of "
    "100.",
    "risk": "How much more you pay for certainty. 0 spreads the order evenly; larger trades faster.",
}

BAND_WORDS: dict[Style, str] = {
    "now": "In 95 of 100 past cases the outcome fell into such a band around the guess.",
    "passive": "If the price comes to your order, all of it fills there. If the price moves away, all of it crosses "
    "the gap after the usual move. How often the cost lies between has not been measured well enough for a percentage.",
    "schedule": "± is how far the price usually moves while the parts are traded: two times in three it moves by "
    "less. It has not been measured well enough for a 95 % band.",
}
"""How far the net cost may be off, by the way the order is traded."""

LATENCY_WORDS = {
    "processing time": "Processing time",
    "UI update time": "UI update time",
    "end to end": "End to end",
}
PARAMETER_WORDS = {
    "volatility": "Volatility (a year)",
    "half_spread": "Half the spread (price)",
    "gamma": "Permanent impact γ (price per coin)",
    "eta": "Temporary impact η (price per coin a second)",
    "resilience": "Book refill speed (per second)",
    "daily_volume": "Daily volume (coins)",
}


def bps(value: float | None) -> str:
    """Three decimals, since half the spread of a large market is a few thousandths; fewer from a hundred on.

    >>> bps(0.0049), bps(-0.0001), bps(123.4567), bps(1234.567), bps(None)
    ('0.005 bps', '0.000 bps', '123.46 bps', '1,234.6 bps', 'unknown')
    """
    if value is None:
        return "unknown"
    decimals = 3 if abs(value) < 99.9995 else 2 if abs(value) < 999.995 else 1
    return f"{round(value, decimals) + 0.0:,.{decimals}f} bps"


def money(value: float | None, currency: str) -> str:
    """An amount: cents below a thousand, whole units above.

    >>> money(50.0245, "USD"), money(-1234567.8, "USD"), money(12.5, "GBP")
    ('$50.02', '-$1,234,568', '12.50 GBP')
    """
    if value is None:
        return "unknown"
    digits = f"{abs(value):,.2f}" if abs(value) < 1000 else f"{abs(value):,.0f}"
    minus = "-" if value < 0 else ""
    return f"{minus}${digits}" if currency.startswith("USD") else f"{minus}{digits} {currency}"


def sign(currency: str) -> str:
    """What stands before amounts of a currency on an axis; nothing where it has no sign here.

    >>> sign("USDT"), sign("GBP")
    ('$', '')
    """
    return "$" if currency.startswith("USD") else ""


def milliseconds(value: float | None) -> str:
    """A duration; empty where nothing was measured."""
    return "" if value is None else f"{value:.2f}"


def price(value: float) -> str:
    """A price with the digits that matter.

    >>> price(95539.35), price(0.056234)
    ('95,539.35', '0.0562340')
    """
    return f"{value:,.2f}" if value >= 100 else f"{value:#.6g}"


def size(value: float, coin: str) -> str:
    """An amount of coins, always as many digits on either side of one.

    >>> size(21.30412, "BTC"), size(0.99999, "BTC"), size(0.0004, "BTC")
    ('21.3041 BTC', '1.0000 BTC', '0.00040000 BTC')
    """
    return f"{value:,.4f} {coin}" if value >= 0.01 else f"{value:.8f} {coin}"


def coins(instrument: str) -> tuple[str, str]:
    """The coin and the currency of a venue's instrument.

    >>> coins("BTC/USDT swap")
    ('BTC', 'USDT')
    """
    base, _, quote = instrument.split(" ", maxsplit=1)[0].partition("/")
    return base, quote


def connection_words(status: Status | None) -> str:
    """What the connection does, in a sentence."""
    if status is None:
        return "Not connected."
    problem = f" {status.last_error}" if status.last_error else ""
    match status.state:
        case "live":
            refused = f", {status.refused:,} refused" if status.refused else ""
            skipped = f", {status.conflated:,} skipped to keep up" if status.conflated else ""
            return f"Connected: {status.books:,} order books{refused}{skipped}."
        case "stale":
            return f"Connected, but no new data for {status.age_s or 0:.0f} s."
        case "reconnecting":
            wait = f", next in {status.next_try_s:.0f} s" if status.next_try_s else ""
            return f"Reconnecting: try {status.attempt} of 5{wait}.{problem}"
        case "given up":
            return f"{(status.last_error or 'gave up').replace('gave up', 'Given up', 1)}."
        case "stopped":
            return "Not connected."
    return f"Connecting.{problem}"


def fee_words(fees: FeeCalculator, estimate: Estimate | None) -> str:
    """Which fees are in use, and what the next tier would save this order."""
    words = edition_words(fees.schedule)
    if fees.tier.disputed:
        words += f" This tier is doubtful: {fees.tier.disputed}."
    maker_share = 0.0 if estimate is None else estimate.maker_share
    if better := fees.next_tier(maker_share):
        saving = ""
        if estimate is not None:
            saving = f", {money(better.saving_bps / 1e4 * estimate.quantity * estimate.mid, 'USD')}"
        words += f" {better.tier.name} would save {better.saving_bps:.3f} bps{saving} here; it asks for {better.needs}."
    return words


def size_words(order: Order) -> str:
    """How large the order is.

    >>> from orderbook import Side
    >>> size_words(Order(Side.BUY, 100_000.0, "quote")), size_words(Order(Side.BUY, 0.25))
    ('100,000 USD', '0.25 coins')
    """
    return f"{order.quantity:,.10g} {UNIT_WORDS[order.unit]}"


def order_words(order: Order) -> str:
    """The order as it stands in the left panel."""
    timing = {
        "now": "",
        "passive": f" ({order.passive_s:g} s)",
        "schedule": f" ({order.horizon_s / 60:g} minutes, {order.steps} parts)",
    }[order.style]
    return (
        f"{order.side.name.lower()} {size_words(order)}, {STYLE_WORDS[order.style].lower()}{timing}, "
        f"arriving after {1e3 * order.latency_s:g} ms, {_fee_words(order.tier)}"
    )


def _fee_words(tier: FeeTier) -> str:
    return f"fees {tier.name} (maker {1e4 * tier.maker:g}, taker {1e4 * tier.taker:g} bps)"


def live_words(market: Market) -> tuple[str, str, Colour]:
    """What kind of prices these are, with an icon and a colour of its own."""
    if market.recording is not None or market.replayed:
        return "Recording, not now", "history", "blue"
    if market.venue == "simulated":
        return "Simulated market, not real prices", "science", "violet"
    return "Live", "sensors", "green"


def moment_words(market_ns: int) -> str:
    """A market's time, to the second.

    >>> moment_words(1_723_161_253_937_085_768)
    '2024-08-08 23:54:13 UTC'
    """
    return f"{datetime.fromtimestamp(market_ns // 10**9, UTC):%Y-%m-%d %H:%M:%S} UTC"


def system_words(system: System) -> str:
    """What the process uses, in a line."""
    cpu = "" if system.cpu_percent is None else f", {system.cpu_percent:.0f} % of a core"
    return f"Memory {system.rss_bytes / 2**20:,.0f} MB{cpu}, {len(system.threads)} threads."


def offers_table(offers: Sequence[Offer]) -> str:
    """The comparison as a Markdown table; exchanges without live prices say why."""
    lines = [
        "| Exchange | Net cost, bps | Slippage | Fees | Impact | Price after all costs | Age, s | Note |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for market, status, age_s, estimate, all_in_price, cheapest in offers:
        name = f"{VENUE_WORDS[market.venue]} {plain(market.symbol)}"
        age = "" if age_s is None else f"{age_s:.1f}"
        if estimate is None:
            note = state_words(status, paused=False, ended=False, old_s=age_s)
            lines.append(f"| {name} | | | | | | {age} | {plain(note)} |")
            continue
        costs = (estimate.net_cost_bps, estimate.slippage_bps, estimate.fee_bps, estimate.impact_bps)
        cells = " | ".join(bps(cost).removesuffix(" bps") for cost in costs)
        after = "unknown" if all_in_price is None else price(all_in_price)
        mark = "**cheapest**" if cheapest else "too thin" if estimate.slippage_bps is None else ""
        lines.append(f"| {name} | {cells} | {after} | {age} | {mark} |")
    return "\n".join(lines)


def plain(words: str) -> str:
    """Escape text from elsewhere (a server, a file, a link) so that Streamlit's Markdown shows it as it is.

    Every punctuation mark is escaped. Addresses, `:icons:` and arrows such as `->` are recognised after the
    escapes are gone, so an invisible word joiner takes them apart; line breaks become spaces.

    >>> plain("no ![x](y)"), plain("12:30").replace(JOINER, "|"), plain("a www.b.example").replace(JOINER, "|")
    ('no \\\\!\\\\[x\\\\]\\\\(y\\\\)', '12\\\\:|30', 'a www|\\\\.b\\\\.example')
    """
    apart = r"(?i)(?<=:)(?=\S)|(?<=www)(?=\.)|(?=@)|(?<=[-<>=~!])(?=[-<>=~])"
    words = re.sub(apart, JOINER, " ".join(words.split()))
    return re.sub(r"[!-/:-@\[-`{-~]", r"\\\g<0>", words)


def state_words(status: Status | None, paused: bool, ended: bool, old_s: float | None) -> str:
    """What goes on between the market and this page, in a sentence; old_s: the age of prices too old to be live."""
    if paused and status is not None:
        return "The picture stands still. Prices are still received and learned from: press Continue to see them."
    if ended:
        return "Every price of this recording has been shown."
    if status is not None and status.state == "live" and old_s is not None:
        return f"Connected, but no new prices for {old_s:.0f} s: they are old."
    return connection_words(status)
