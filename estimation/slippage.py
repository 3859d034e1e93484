"""What crossing the spread costs on one book, given what has been learned of the market so far."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

from estimation.features import BookState, Features, order_features
from estimation.model_state import ModelState
from orderbook import Fill, Levels, Side, walk

SlippageSource = Literal["book walk", "model", "extrapolated", "too thin"]

EXTRAPOLATED_DEPTHS = 5.0
"""Up to how many times the visible depth an order's slippage is extrapolated."""


class Slippage(NamedTuple):
    """The expected cost of getting executed against the mid, its 95 % band, and where it comes from."""

    bps: float | None
    low_bps: float | None
    high_bps: float | None
    source: SlippageSource

    def after_waiting(
        self, maker_share: float, half_spread_bps: float, clean_up_bps: float, clean_up_band: tuple[float, float] | None
    ) -> Slippage:
        """The cost if maker_share fills at the own touch, and the rest crosses after the market moved away.

        The band runs from all of it filled at the touch to all of it crossing after 95 % of such moves.
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
    """One side of one book, ready to be crossed by orders of any size."""

    known: ModelState
    moment: BookState
    side: Side
    passive_s: float

    def cost_beyond_best(self, fill: Fill) -> float:
        """The average price paid beyond the best; the book's price goes on at the usual slope where it ends."""
        buying = self.side is Side.BUY
        best, sign = (self.moment.ask, 1.0) if buying else (self.moment.bid, -1.0)
        average = sign * (fill.vwap - best)
        if not fill.unfilled:
            return average
        beyond = sign * (fill.worst_price - best) + self.known.slope * fill.unfilled / 2
        return (fill.quantity * average + fill.unfilled * beyond) / (fill.quantity + fill.unfilled)

    def features(self, fill: Fill) -> Features:
        """What the models know of an order that fills like this."""
        known, moment = self.known, self.moment
        buying = self.side is Side.BUY
        return order_features(
            math.log,
            1.0 if buying else -1.0,
            moment,
            moment.ask_depth if buying else moment.bid_depth,
            moment.bid_size if buying else moment.ask_size,
            fill.quantity + fill.unfilled,
            self.cost_beyond_best(fill) / moment.mid * 1e4,
            known.depth_1,
            known.depth_10,
            known.volatility_bps,
            self.passive_s,
        )

    def slippage(self, fill: Fill, features: Features) -> Slippage:
        """Half the spread, the walk, and what the model has learned the walk misses."""
        known = self.known
        bps = features.half_spread_bps + features.excess_walk_bps
        source: SlippageSource = "book walk"
        widen = 1.0
        if fill.unfilled:
            depths = features.quantity / fill.quantity
            if depths > EXTRAPOLATED_DEPTHS:
                return TOO_THIN
            source, widen = "extrapolated", depths
        elif known.slippage is not None and known.shrinkage > 0:
            bps += known.shrinkage * known.slippage.predict_one(features.slippage_columns())
            source = "model"
        if known.band is None:
            return Slippage(bps, None, None, source)
        low, high = known.band[known.stratum(features.quantity)]
        return Slippage(bps, bps + widen * low, bps + widen * high, source)

    def child_orders(self, levels: Levels, trades: Iterable[float]) -> tuple[Slippage, float]:
        """The average slippage of child orders that each meet a book like this one, and the sum of
        size x price paid beyond the best, quote.

        The model speaks once, of the average child; the band is one child's.
        """
        sizes = [size for size in trades if size > 0]
        total, paid, worst = sum(sizes), 0.0, 0.0
        for size in sizes:
            fill = walk(levels, size)
            paid += size * self.cost_beyond_best(fill)
            worst = max(worst, size / fill.quantity)
        typical = walk(levels, total / len(sizes))
        features = self.features(typical)
        slippage = self.slippage(typical, features)
        if worst > EXTRAPOLATED_DEPTHS or slippage.bps is None:
            return TOO_THIN, paid
        shift = paid / total / self.moment.mid * 1e4 - features.excess_walk_bps
        low, high = slippage.low_bps, slippage.high_bps
        return (
            Slippage(
                slippage.bps + shift,
                None if low is None else low + shift,
                None if high is None else high + shift,
                "extrapolated" if worst > 1 else slippage.source,
            ),
            paid,
        )


def one_sided_move_bps(volatility_bps: float, seconds: float) -> float:
    """How far a price that moved away has moved on average: sigma sqrt(t) sqrt(2 / pi), bps.

    >>> round(one_sided_move_bps(1.0, 4.0), 6)
    1.595769
    """
    return volatility_bps * math.sqrt(seconds * 2 / math.pi)
