"""Say what one contract is worth, and turn the contracts of a message into base units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple

import msgspec
import numpy as np

from feeds.base import FeedError
from feeds.fast_parser import read_sides
from orderbook import Levels
from orderbook.book import LARGEST


class Contract(NamedTuple):
    """The worth of one contract: base units, or quote units if it is inverse."""

    value: float
    is_inverse: bool = False

    def read_sides(self, bids: msgspec.Raw, asks: msgspec.Raw) -> tuple[Levels, Levels]:
        """Return bids and asks in base units; an inverse contract is worth more of them at a lower price.

        Raises FeedError for a text that is no side, and for an inverse contract at price 0.
        """
        bid_levels, ask_levels = read_sides(bids, asks, self.value)
        if self.is_inverse:
            self.divide_by_price(bid_levels)
            self.divide_by_price(ask_levels)
        return bid_levels, ask_levels

    @staticmethod
    def divide_by_price(levels: Levels) -> None:
        """Turn sizes in quote units into base units, in place. Raises FeedError for a level at price 0."""
        if not levels[:, 0].all():
            raise FeedError("a level at price 0")
        with np.errstate(all="ignore"):  # the builder refuses NaN and infinity
            levels[:, 1] /= levels[:, 0]

    def base_units(self, symbol: str) -> float:
        """Return the base units of one contract. Raises ValueError if it is inverse."""
        if self.is_inverse:
            raise ValueError(f"{symbol} is inverse: a contract is {self.value:g} USD, its base units follow the price")
        return self.value

    def facts(self) -> dict[str, object]:
        """Return what the meta line of a recording keeps of this contract."""
        return {"contract": {"value": self.value, "inverse": self.is_inverse}}


SPOT = Contract(1.0)
"""What sizes in base units count."""

INVERSE_USD = Contract(1.0, is_inverse=True)
"""A contract of one dollar."""


class _RecordedContract(msgspec.Struct, gc=False):
    """A contract as a recording's meta line has it: base units, or quote units if it is inverse."""

    value: Annotated[float, msgspec.Meta(gt=0, lt=LARGEST)]
    inverse: bool


def contract_from_facts(symbol: str, facts: Mapping[str, object]) -> Contract | None:
    """Return the contract that a recording's meta line keeps; None if it keeps none. Raises ValueError."""
    if "contract" not in facts:
        return None
    try:
        recorded = msgspec.convert(facts["contract"], _RecordedContract)
    except msgspec.ValidationError as error:
        raise ValueError(f"the recording's contract of {symbol} cannot be read: {error}") from None
    return Contract(recorded.value, recorded.inverse)
