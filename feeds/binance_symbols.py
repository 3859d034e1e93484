"""Split the name of a Binance market, which has no mark between its currencies: ETHBTC is ETH in BTC."""

from __future__ import annotations

import re
from collections.abc import Sequence

SYMBOL = re.compile(r"([^\W_]+)(?:_([0-9]{6}))?")
"""Letters and digits of any script, and a delivery date: a coin may have a Chinese name."""

# fmt: off
QUOTES = (
    "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USD1", "USDP", "DAI", "EURI", "AEUR", "EUR", "GBP",
    "AUD", "TRY", "BRL", "ARS", "COP", "MXN", "CZK", "PLN", "RON", "UAH", "ZAR", "NGN", "RUB",
    "JPY", "IDRT", "BIDR", "IDR", "BVND", "VAI", "UST", "PAX", "USDS", "BKRW", "BTC", "ETH", "BNB",
    "XRP", "TRX", "DOGE", "DOT", "SOL",
)
# fmt: on
"""The quote currencies of Binance: public lists of its markets to September 2025."""

US_QUOTES = ("USDT", "USDC", "USD", "BTC", "ETH", "BNB")
"""The quote currencies of Binance.US."""

COINS = {*QUOTES, "ADA", "APT", "ARB", "BAT", "BTT", "GALA", "GRT", "HBAR", "LUNA", "MANA", "ROSE", "SHIB", "VET"}
"""Coins that decide where a name can be split twice: ADAEUR is ADA in EUR, not AD in AEUR."""


def match_symbol(symbol: str) -> tuple[str, str]:
    """Return the pair and the delivery date of a symbol, "" without one. Raises ValueError for other texts."""
    match = SYMBOL.fullmatch(symbol)
    if match is None or symbol != symbol.upper():
        raise ValueError(f"not a Binance symbol: {symbol!r}; they look like BTCUSDT")
    pair, delivery = match.groups("")
    return pair, delivery


def candidate_pairs(pair: str, quotes: Sequence[str]) -> list[tuple[str, str]]:
    """Return every base and quote that a name can be made of.

    >>> candidate_pairs("ADAEUR", QUOTES)
    [('AD', 'AEUR'), ('ADA', 'EUR')]
    """
    return [(pair.removesuffix(each), each) for each in quotes if pair.endswith(each) and pair != each]


def likeliest_pair(pair: str, quotes: Sequence[str]) -> tuple[str, str]:
    """Return the base and the quote that a name is most likely made of: a coin that is known here decides.

    Raises ValueError for a name that ends in no quote currency.
    """
    candidates = candidate_pairs(pair, quotes)
    if not candidates:
        raise ValueError(f"not a Binance symbol: {pair!r}; they look like BTCUSDT and end in a quote currency")
    return max(candidates, key=lambda names: (names[0] in COINS, len(names[1])))
