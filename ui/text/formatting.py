"""Format numbers, times and foreign words for the page."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from ui.text.vocabulary import JOINER


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


def moment_words(market_ns: int) -> str:
    """A market's time, to the second.

    >>> moment_words(1_723_161_253_937_085_768)
    '2024-08-08 23:54:13 UTC'
    """
    return f"{datetime.fromtimestamp(market_ns // 10**9, UTC):%Y-%m-%d %H:%M:%S} UTC"


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
