"""Name each choice and each number of the page."""

from __future__ import annotations

from estimation.order import Style, Unit
from recording.opening import AmountsUnit

EXPORT_WORDS = {"results": "Costs of every order book", "speed": "Speed of this page"}
SOURCE_WORDS = {
    "exchange": "The exchange",
    "recording": "A recording",
    "address": "Another address",
}
AMOUNTS_WORDS: dict[AmountsUnit, str] = {
    "base": "Coins",
    "quote": "Money, in the currency of the price",
    "contracts": "Contracts of a fixed number of coins",
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
UNIT_WORDS: dict[Unit, str] = {"quote": "money", "base": "coins", "contracts": "contracts"}
"""The units of an order's size; money is called by its name where the market is known."""

JOINER = "\u2060"
"""The Unicode word joiner: invisible, allows no line break, and ends an address."""

HELP = {
    "net": "What the whole order costs against the price you see now: slippage, fees and counted market impact, added.",
    "slippage": "How much worse than the middle price your order is filled: half the gap between buyers and sellers, "
    "plus eating into the book, plus the price moving before your order arrives.",
    "fees": "What the exchange charges. Orders that take pay more than orders that wait in the book.",
    "impact": "How your own trading moves the price. An order sent all at once has paid it in its slippage, so nothing "
    "is added; an order spread over time pays it between its parts.",
    "maker": "The part of your order that other traders would fill if you waited at the best price (maker). The rest "
    "crosses the gap (taker).",
    "quantity": "Type 250000, 250,000, 100k, 1.5m or 1e6, with a unit (5 BTC, 100 contracts) if you like. A point "
    "begins the decimals; commas and spaces stand between thousands.",
    "other sizes": "To see the cost by size: up to 20 sizes, each as in Quantity, with semicolons between them.",
    "latency": "How long after the decision your order reaches the exchange.",
    "entity": "The exchange's own addresses for some regions. Prices and their details come from the one chosen here.",
    "compare": "The same order on every exchange that trades the same thing. The cheapest one has the best price "
    "after all costs.",
    "learned": "The models start from nothing on every visit, and need some minutes. Download what they learned on "
    "this market and load it next time.",
    "advice": "± is one standard deviation of how the price moves meanwhile: two times in three it moves by less.",
    "schedule": "Almgren and Chriss, Optimal Execution of Portfolio Transactions (2000): trade slowly and you move the "
    "price less, but it has longer to move against you. The best schedule weighs one against the other.",
    "right": "Every prediction is kept until later order books show what it should have been.",
    "speed": "The time from receiving an order book to having priced your order, and to having drawn this page.",
    "pause": "Stops the page, not the market: prices are still received and learned from. Key: P.",
    "continue": "The page follows the market again. Key: P.",
    "volatility": "How much the price swings in a year. Leave it empty to use what is measured here.",
    "backtest": "Every order book of the recording is priced as if it came live, the learning included: each "
    "prediction uses only what was known by then. The parsed books are kept beside the recording, so the next time is "
    "quicker.",
    "backtest table": "P50: half of the order books cost no more than this. P95: 95 of 100 cost no more. P99: 99 of "
    "100.",
    "risk": "How much more you pay for certainty. 0 spreads the order evenly; larger trades faster.",
}

BAND_WORDS: dict[Style, str] = {
    "now": "In 95 of 100 past cases the outcome fell into such a band around the estimate.",
    "passive": "If the price comes to your order, all of it fills there. If the price moves away, all of it crosses "
    "the gap after the usual move. How often the cost lies between has not been measured well enough for a percentage.",
    "schedule": "± is how far the price usually moves while the parts are traded: two times in three it moves by "
    "less. It has not been measured well enough for a 95 % band.",
}
"""How far the net cost may be off, by the style of the order."""

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
