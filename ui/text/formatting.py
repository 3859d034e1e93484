"""Format numbers, times and texts from elsewhere for the page."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from estimation.order import Unit
from ui.text.vocabulary import JOINER, UNIT_WORDS


def format_bps(value: float | None) -> str:
    """Format basis points with three decimals, fewer from a hundred on.

    Half the spread of a large market is only a few thousandths.

    >>> format_bps(0.0049), format_bps(-0.0001), format_bps(123.4567), format_bps(1234.567), format_bps(None)
    ('0.005 bps', '0.000 bps', '123.46 bps', '1,234.6 bps', 'unknown')
    """
    if value is None:
        return "unknown"
    decimals = 3 if abs(value) < 99.9995 else 2 if abs(value) < 999.995 else 1
    return f"{round(value, decimals) + 0.0:,.{decimals}f} bps"


MAX_DECIMALS = 18
DOLLARS = frozenset(
    ["USD", "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDP", "PAX", "USD1", "USDS", "USDG", "PYUSD", "RLUSD", "DAI"]
)
"""US dollars, and the coins that stand for one each."""


def format_money(value: float | None, currency: str) -> str:
    """Format an amount of money: whole units from a thousand on, cents below, and three digits of less than one.

    Less than one is cents for dollars, down to one cent.

    >>> format_money(50.0245, "USD"), format_money(-1234567.8, "USDT"), format_money(12.5, "GBP")
    ('$50.02', '-$1,234,568', '12.50 GBP')
    >>> format_money(0.0000402, "BTC"), format_money(8_420_000, "IDR"), format_money(0.0021, "USDC")
    ('0.0000402 BTC', '8,420,000 IDR', '$0.0021')
    """
    if value is None:
        return "unknown"
    amount = abs(value)
    smallest_cents = 0.01 if currency in DOLLARS else 1.0
    digits = f"{amount:,.0f}" if amount >= 1000 else f"{amount:,.2f}"
    if 1e-12 < amount < smallest_cents:
        digits = format_digits(amount, 3)
        digits = digits.rstrip("0") if currency in DOLLARS else digits
    minus = "-" if value < 0 else ""
    return f"{minus}${digits}" if currency in DOLLARS else f"{minus}{digits} {currency}"


def format_digits(value: float, n_digits: int) -> str:
    """Format a positive number with this many digits that matter, and never with an exponent.

    >>> format_digits(0.0000085, 6), format_digits(0.056234, 6), format_digits(0.9999, 3)
    ('0.00000850000', '0.0562340', '1.000')
    """
    n_decimals = n_digits - 1 - math.floor(math.log10(value))
    return f"{value:,.{min(max(n_decimals, 0), MAX_DECIMALS)}f}"


def currency_sign(currency: str) -> str:
    """Return the sign before amounts of a currency on an axis; empty for a currency without one.

    >>> currency_sign("USDT"), currency_sign("GBP")
    ('$', '')
    """
    return "$" if currency in DOLLARS else ""


def unit_words(unit: Unit, currency: str) -> str:
    """Return the name of the unit that an order's size is in; currency: of the market, "" if it is not known.

    >>> unit_words("quote", "BTC"), unit_words("base", "BTC"), unit_words("quote", "")
    ('BTC', 'coins', 'money')
    """
    return currency if unit == "quote" and currency else UNIT_WORDS[unit]


def format_milliseconds(value: float | None) -> str:
    """Format a duration in milliseconds; empty if nothing was measured."""
    return "" if value is None else f"{value:.2f}"


def format_price(value: float) -> str:
    """Format a price with the digits that matter.

    >>> format_price(95539.35), format_price(0.056234), format_price(0.0000085)
    ('95,539.35', '0.0562340', '0.00000850000')
    """
    return f"{value:,.2f}" if value >= 100 else format_digits(value, 6)


def format_size(value: float, coin: str) -> str:
    """Format an amount of coins with four decimals, or eight below 0.01, whatever its last digits.

    >>> format_size(21.30412, "BTC"), format_size(0.99999, "BTC"), format_size(0.0004, "BTC")
    ('21.3041 BTC', '1.0000 BTC', '0.00040000 BTC')
    """
    return f"{value:,.4f} {coin}" if value >= 0.01 else f"{value:.8f} {coin}"


def split_instrument(instrument: str) -> tuple[str, str]:
    """Return the coin and the currency of a venue's instrument.

    >>> split_instrument("BTC/USDT swap")
    ('BTC', 'USDT')
    """
    base, _, quote = instrument.split(" ", maxsplit=1)[0].partition("/")
    return base, quote


def format_time(market_ns: int) -> str:
    """Format a market's time to the second.

    >>> format_time(1_723_161_253_937_085_768)
    '2024-08-08 23:54:13 UTC'
    """
    return f"{datetime.fromtimestamp(market_ns // 10**9, UTC):%Y-%m-%d %H:%M:%S} UTC"


def plain(words: str) -> str:
    """Escape text from elsewhere (a server, a file, a link) so that Streamlit's Markdown shows it as it is.

    Every punctuation mark is escaped. Streamlit recognises addresses, `:icons:` and arrows such as `->` after the
    escapes are gone, so an invisible word joiner splits them. Line breaks become spaces.

    >>> plain("no ![x](y)"), plain("12:30").replace(JOINER, "|"), plain("a www.b.example").replace(JOINER, "|")
    ('no \\\\!\\\\[x\\\\]\\\\(y\\\\)', '12\\\\:|30', 'a www|\\\\.b\\\\.example')
    """
    split_points = r"(?i)(?<=:)(?=\S)|(?<=www)(?=\.)|(?=@)|(?<=[-<>=~!])(?=[-<>=~])"
    words = re.sub(split_points, JOINER, " ".join(words.split()))
    return re.sub(r"[!-/:-@\[-`{-~]", r"\\\g<0>", words)
