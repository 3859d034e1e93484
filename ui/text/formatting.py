"""Format numbers, times and texts from elsewhere for the page."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from ui.text.vocabulary import JOINER


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


def format_money(value: float | None, currency: str) -> str:
    """Format an amount of money: cents below a thousand, whole units above.

    >>> format_money(50.0245, "USD"), format_money(-1234567.8, "USD"), format_money(12.5, "GBP")
    ('$50.02', '-$1,234,568', '12.50 GBP')
    """
    if value is None:
        return "unknown"
    digits = f"{abs(value):,.2f}" if abs(value) < 1000 else f"{abs(value):,.0f}"
    minus = "-" if value < 0 else ""
    return f"{minus}${digits}" if currency.startswith("USD") else f"{minus}{digits} {currency}"


def currency_sign(currency: str) -> str:
    """Return the sign before amounts of a currency on an axis; empty for a currency without one.

    >>> currency_sign("USDT"), currency_sign("GBP")
    ('$', '')
    """
    return "$" if currency.startswith("USD") else ""


def format_milliseconds(value: float | None) -> str:
    """Format a duration in milliseconds; empty if nothing was measured."""
    return "" if value is None else f"{value:.2f}"


def format_price(value: float) -> str:
    """Format a price with the digits that matter.

    >>> format_price(95539.35), format_price(0.056234)
    ('95,539.35', '0.0562340')
    """
    return f"{value:,.2f}" if value >= 100 else f"{value:#.6g}"


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
