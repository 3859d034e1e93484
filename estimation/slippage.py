"""Estimate what crossing the bid-ask spread costs on one book, by the model state of its market."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

from estimation.features import BookState, Features, order_features
from estimation.model_state import ModelState
from orderbook import Fill, Levels, Side, walk

SlippageSource = Literal["book walk", "model", "extrapolated", "too thin"]

EXTRAPOLATED_DEPTHS = 5.0
"""Slippage is extrapolated for orders of up to this many times the visible depth."""


class Slippage(NamedTuple):
    """Expected execution price against the mid, its 95 % band, bps, and where they come from; None where unknown."""

    bps: float | None
    low_bps: float | None
    high_bps: float | None
    source: SlippageSource

    def after_waiting(
        self, maker_share: float, half_spread_bps: float, clean_up_bps: float, clean_up_band: tuple[float, float] | None
    ) -> Slippage:
        """Return the cost if maker_share fills at the touch and the rest crosses after the mid moved away.

        The band spans from all of it filled at the touch to all of it crossing after 95 % of such moves.

        Args:
            maker_share: share of the order filled at its quote.
            half_spread_bps: what that share earns.
            clean_up_bps: how far the mid moves away meanwhile, on average.
            clean_up_band: 95 % of those moves; None gives no band.
        """
        if self.bps is None:
            return self
        bps = (1 - maker_share) * (self.bps + clean_up_bps) - maker_share * half_spread_bps
        if clean_up_band is None:
            return Slippage(bps, None, None, self.source)
        low, high = self.bps + clean_up_band[0], self.bps + clean_up_band[1]
        return Slippage(bps, min(bps, low, -half_spread_bps), max(bps, high), self.source)


TOO_THIN = Slippage(None, None, None, "too thin")


class SlippageEstimator(NamedTuple):
    """Estimates the slippage of orders of any size on one side of one book."""

    model_state: ModelState
    book_state: BookState
    side: Side
    passive_s: float

    def cost_beyond_best(self, fill: Fill) -> float:
        """Return the average price paid beyond the best price.

        Beyond the visible book the price continues at the typical slope.
        """
        best = self.book_state.ask if self.side is Side.BUY else self.book_state.bid
        sign = self.side.value
        average = sign * (fill.vwap - best)
        if not fill.unfilled:
            return average
        beyond = sign * (fill.worst_price - best) + self.model_state.slope * fill.unfilled / 2
        return (fill.quantity * average + fill.unfilled * beyond) / (fill.quantity + fill.unfilled)

    def features(self, fill: Fill) -> Features:
        """Return the features of an order that fills like this."""
        model_state, book_state = self.model_state, self.book_state
        is_buy = self.side is Side.BUY
        return order_features(
            math.log,
            self.side.value,
            book_state,
            book_state.ask_depth if is_buy else book_state.bid_depth,
            book_state.bid_size if is_buy else book_state.ask_size,
            fill.quantity + fill.unfilled,
            self.cost_beyond_best(fill) / book_state.mid * 1e4,
            model_state.depth_1,
            model_state.depth_10,
            model_state.volatility_bps,
            self.passive_s,
        )

    def slippage(self, fill: Fill, features: Features) -> Slippage:
        """Return half the bid-ask spread plus the walk plus what the model has learned that the walk misses."""
        model_state = self.model_state
        bps = features.half_spread_bps + features.excess_walk_bps
        source: SlippageSource = "book walk"
        band_factor = 1.0
        if fill.unfilled:
            depths = features.quantity / fill.quantity
            if depths > EXTRAPOLATED_DEPTHS:
                return TOO_THIN
            source = "extrapolated"
            band_factor = depths
        elif model_state.slippage is not None and model_state.shrinkage > 0:
            bps += model_state.shrinkage * model_state.slippage.predict_one(features.slippage_columns())
            source = "model"
        if model_state.band is None:
            return Slippage(bps, None, None, source)
        low, high = model_state.band[model_state.stratum(features.quantity)]
        return Slippage(bps, bps + band_factor * low, bps + band_factor * high, source)

    def child_orders(self, levels: Levels, trades: Iterable[float]) -> tuple[Slippage, float]:
        """Return the average slippage of child orders, and what they pay in all beyond the best price, quote.

        Each child order meets a book like this one. The model is asked once, for the average child order; the band is
        that of one child order.
        """
        sizes = [size for size in trades if size > 0]
        total = sum(sizes)
        paid = 0.0
        max_depths = 0.0
        for size in sizes:
            fill = walk(levels, size)
            paid += size * self.cost_beyond_best(fill)
            max_depths = max(max_depths, size / fill.quantity)
        typical = walk(levels, total / len(sizes))
        features = self.features(typical)
        slippage = self.slippage(typical, features)
        if max_depths > EXTRAPOLATED_DEPTHS or slippage.bps is None:
            return TOO_THIN, paid
        # The walks of all child orders take the place of the average child's walk.
        shift = paid / total / self.book_state.mid * 1e4 - features.excess_walk_bps
        low, high = slippage.low_bps, slippage.high_bps
        return (
            Slippage(
                slippage.bps + shift,
                None if low is None else low + shift,
                None if high is None else high + shift,
                "extrapolated" if max_depths > 1 else slippage.source,
            ),
            paid,
        )


def one_sided_move_bps(volatility_bps: float, seconds: float) -> float:
    """Return how far a price that moved away has moved on average: sigma sqrt(t) sqrt(2 / pi), bps.

    >>> round(one_sided_move_bps(1.0, 4.0), 6)
    1.595769
    """
    return volatility_bps * math.sqrt(seconds * 2 / math.pi)
