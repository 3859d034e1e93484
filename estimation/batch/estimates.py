"""What an order costs on each of many books: calculations.TradingCalculator.estimate, for all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from estimation.batch.almgren_chriss import Measured, Parameters, parameters, schedules, unit_trades
from estimation.features import Features, order_features
from estimation.market_parameters import YEAR_S, Origin
from estimation.model_state import CURVE_SIZES, LARGEST, SMALLEST, STRATA, MakerSource, ModelState
from estimation.order import Order, base_quantity
from estimation.slippage import EXTRAPOLATED_DEPTHS, SlippageSource, one_sided_move_bps
from numerics.arrays import Flags, Floats, Ints
from orderbook import Side
from orderbook.batch import FillBatch, SideBatch, walk_batch

Columns = dict[str, NDArray[Any]]

BOOK_WALK, MODEL, EXTRAPOLATED, TOO_THIN = range(4)
_SOURCES: tuple[SlippageSource, ...] = ("book walk", "model", "extrapolated", "too thin")
_MAKER_CODES = {source: code for code, source in enumerate(get_args(MakerSource))}
_MEASURED, _TYPED, _DEFAULT = (get_args(Origin).index(origin) for origin in ("measured", "typed", "default"))
_CURVE_START = np.log(CURVE_SIZES[0])
_CURVE_STEP = np.log(CURVE_SIZES[1] / CURVE_SIZES[0])
_CODES = np.array([get_args(SlippageSource).index(source) for source in _SOURCES], dtype=np.int8)


class Known:
    """What was known at each of n books; `runs` says at how many books in a row each piece of knowledge was."""

    def __init__(self, runs: Sequence[tuple[ModelState, int]]) -> None:
        self._all = [known for known, _ in runs]
        self._of: Ints = np.repeat(np.arange(len(runs)), [count for _, count in runs])
        ends = np.cumsum([count for _, count in runs]).tolist()
        self._runs = [(known, slice(end - count, end)) for (known, count), end in zip(runs, ends, strict=True)]

    def at(self, read: Callable[[ModelState], Any]) -> NDArray[Any]:
        """A number of it, (n,); or (1,) where one piece of knowledge was all there was. NaN for None."""
        return self.each(lambda known: (read(known),))[0]

    def each(self, read: Callable[[ModelState], Sequence[Any]]) -> list[NDArray[Any]]:
        """Some of its numbers, as `at` gives one."""
        rows = [[np.nan if number is None else number for number in read(known)] for known in self._all]
        columns = [np.array(column) for column in zip(*rows, strict=True)]
        return columns if len(rows) == 1 else [column[self._of] for column in columns]

    def table(self, read: Callable[[ModelState], Sequence[Any] | None], width: int, column: Ints) -> Floats:
        """Of a row of numbers the one in this column, (n,). NaN for None."""
        rows = [read(known) for known in self._all]
        table = np.array([np.full(width, np.nan) if row is None else row for row in rows], dtype=np.float64)
        picked: Floats = table.ravel().take(self._of * width + column)
        return picked

    def residual(self, features: Features, wanted: Flags) -> Floats:
        """What the models say that the walk misses, as far as they are trusted; 0 where not wanted."""
        said = np.zeros(len(self._of))
        if not any(known.slippage is not None and known.shrinkage > 0 for known in self._all):
            return said
        x = np.stack(np.broadcast_arrays(*features.slippage_columns())).T
        for known, rows in self._runs:
            if known.slippage is not None and known.shrinkage > 0:
                said[rows] = known.shrinkage * known.slippage.predict(x[rows])
        return np.where(wanted, said, 0.0)

    def chance(self, features: Features) -> Floats:
        """Knowledge.chance, (n,)."""
        x = np.stack(np.broadcast_arrays(*features.maker_columns())).T
        chances = np.empty(len(x))
        for known, rows in self._runs:
            beyond = known.fill.chances(x[rows]) - known.base_rate
            chances[rows] = known.base_rate + known.fill_shrinkage * beyond
        return chances


class _Slippage(NamedTuple):
    """estimation.slippage.Slippage as columns; NaN for None, source as a code."""

    bps: Floats
    low_bps: Floats
    high_bps: Floats
    source: Ints


class BatchSlippageEstimator:
    """One side of n books, ready to be crossed by orders of any size: estimation.slippage.Crossing for all of them."""

    def __init__(self, known: Known, moment: Any, order: Order, side: SideBatch) -> None:
        self._known, self._moment, self._passive_s = known, moment, order.passive_s
        self._buying = order.side is Side.BUY
        self._sign = 1.0 if self._buying else -1.0
        self._side = side
        self._depth_1, self._depth_10 = known.at(lambda k: k.depth_1), known.at(lambda k: k.depth_10)
        self._slope = known.at(lambda k: k.slope)
        self._volatility_bps = known.at(lambda k: k.volatility_bps)
        self._trusted = known.at(lambda k: k.slippage is not None and k.shrinkage > 0).astype(bool)

    def walk(self, quantity: Floats) -> FillBatch:
        return walk_batch(self._side, quantity)

    def cost_beyond_best(self, fill: FillBatch, rows: Any = slice(None)) -> Floats:
        """estimation.slippage.SlippageEstimator.excess"""
        best = (self._moment.ask if self._buying else self._moment.bid)[rows]
        average: Floats = self._sign * (fill.vwap - best)
        if not fill.unfilled.any():
            return average
        slope = self._slope if len(self._slope) == 1 else self._slope[rows]
        beyond = self._sign * (fill.worst_price - best) + slope * fill.unfilled / 2
        whole: Floats = (fill.quantity * average + fill.unfilled * beyond) / (fill.quantity + fill.unfilled)
        return np.where(fill.unfilled > 0, whole, average)

    def features(self, fill: FillBatch) -> Features:
        """estimation.slippage.SlippageEstimator.features, as columns of n rows, or of one that stands for all."""
        moment = self._moment
        return order_features(
            np.log,
            self._sign,
            moment,
            moment.ask_depth if self._buying else moment.bid_depth,
            moment.bid_size if self._buying else moment.ask_size,
            fill.quantity + fill.unfilled,
            self.cost_beyond_best(fill) / moment.mid * 1e4,
            self._depth_1,
            self._depth_10,
            self._volatility_bps,
            self._passive_s,
        )

    def slippage(self, fill: FillBatch, features: Features) -> _Slippage:
        """estimation.slippage.SlippageEstimator.slippage"""
        known = self._known
        bps: Floats = np.asarray(features.half_spread_bps + features.excess_walk_bps)
        short = fill.unfilled > 0
        depths = np.asarray(features.quantity) / fill.quantity
        bps = bps + known.residual(features, ~short)
        source = np.where(short, EXTRAPOLATED, np.where(self._trusted, MODEL, BOOK_WALK))
        widen = np.where(short, depths, 1.0)
        position = np.log(features.quantity / (SMALLEST * self._depth_10)) / np.log(LARGEST / SMALLEST)
        stratum = np.clip((position * STRATA).astype(np.int64), 0, STRATA - 1)
        low = known.table(lambda k: k.band and [low for low, _ in k.band], STRATA, stratum)
        high = known.table(lambda k: k.band and [high for _, high in k.band], STRATA, stratum)
        return _refused(_Slippage(bps, bps + widen * low, bps + widen * high, source), short, depths)

    def child_orders(self, trades: Floats) -> tuple[_Slippage, Floats]:
        """estimation.slippage.SlippageEstimator.children, of trades (n, steps)."""
        count = len(trades)
        total = trades.sum(axis=1)
        paid, worst = np.zeros((2, count))
        for sizes in trades.T:
            some = np.flatnonzero(sizes > 0)
            traded = sizes[some]
            fill = walk_batch(self._side.take(some), traded)
            paid[some] += traded * self.cost_beyond_best(fill, some)
            worst[some] = np.maximum(worst[some], traded / fill.quantity)
        typical = self.walk(total / (trades > 0).sum(axis=1))
        features = self.features(typical)
        slippage = self.slippage(typical, features)
        shift = paid / total / self._moment.mid * 1e4 - features.excess_walk_bps
        source = np.where((worst > 1) & (slippage.source != TOO_THIN), EXTRAPOLATED, slippage.source)
        shifted = _Slippage(slippage.bps + shift, slippage.low_bps + shift, slippage.high_bps + shift, source)
        return _refused(shifted, worst > 1, worst), paid


def _refused(slippage: _Slippage, short: Flags, depths: Floats) -> _Slippage:
    """None where more is wanted than may be extrapolated."""
    thin = short & (depths > EXTRAPOLATED_DEPTHS)
    if not thin.any():
        return slippage
    bps, low, high = (np.where(thin, np.nan, column) for column in slippage[:3])
    return _Slippage(bps, low, high, np.where(thin, TOO_THIN, slippage.source))


def share_offered(known: Known, quantity: Floats) -> Floats:
    """Knowledge.share_offered, (n,)."""
    size = quantity / known.at(lambda k: k.depth_1)
    position = (np.log(size) - _CURVE_START) / _CURVE_STEP
    below = np.clip(position.astype(np.int64), 0, len(CURVE_SIZES) - 2)
    part = np.clip(position - below, 0.0, 1.0)
    first, second = (known.table(lambda k: k.crossed_share, len(CURVE_SIZES), below + step) for step in (0, 1))
    share: Floats = np.where(np.isnan(first), np.minimum(1.0, 1 / size), (1 - part) * first + part * second)
    return share


def price(
    order: Order, contract_size: float, market_ns: Ints, exchange_ns: Ints, moment: Any, known: Known, side: SideBatch
) -> Columns:  # fmt: skip
    """The estimates of the order on these books, of which it takes this side, as the columns export_rows keeps.

    moment: a Moment of (n,) columns, n the number of rows. What became of them is not among them.
    """
    count = len(market_ns)
    sign, mid = (1.0 if order.side is Side.BUY else -1.0), moment.mid
    quantity = np.broadcast_to(np.asarray(base_quantity(order, mid, contract_size), dtype=np.float64), (count,))
    crossing = BatchSlippageEstimator(known, moment, order, side)
    fill = crossing.walk(quantity)
    features = crossing.features(fill)
    slippage = crossing.slippage(fill, features)
    chance, offered = known.chance(features), share_offered(known, quantity)
    maker_probability = chance * offered
    measured = Measured(*known.each(lambda k: [getattr(k.calibration, name) for name in Measured._fields]))
    given = parameters(measured, mid, quantity, order.horizon_s, order.steps, order.volatility, order.daily_volume)
    volatility = given.volatility / YEAR_S**0.5
    costs = schedules(volatility * mid, given, order.risk_aversion, quantity, order.horizon_s, order.steps)
    per_quote = 1e4 / (quantity * mid)
    walked_bps = sign * (fill.vwap - mid) / mid * 1e4
    executed_bps, impact_bps, maker_share = walked_bps, np.zeros(1), np.zeros(1)
    risk_bps = volatility * 1e4 * order.latency_s**0.5
    seen_bps = known.at(lambda k: k.clean_up_bps)
    clean_up_bps = np.where(np.isnan(seen_bps), one_sided_move_bps(1.0, order.passive_s) * volatility * 1e4, seen_bps)
    if order.style == "passive":
        maker_share = maker_probability
        half_bps = moment.half_spread_bps
        slippage = _after_waiting(slippage, maker_share, half_bps, clean_up_bps, known)
        executed_bps = (1 - maker_share) * walked_bps - maker_share * half_bps
        risk_bps = volatility * 1e4 * (order.latency_s + order.passive_s) ** 0.5
    elif order.style == "schedule" and order.steps > 1:
        slippage, paid = crossing.child_orders(quantity[:, None] * unit_trades(costs.w, order.steps))
        executed_bps = moment.half_spread_bps + paid * per_quote
        transient = np.maximum(0.0, costs.temporary_paid - given.half_spread * quantity - paid)
        impact_bps = (costs.permanent_paid + transient) * per_quote
        risk_bps = np.sqrt(costs.variance) * per_quote
    rate = maker_share * order.tier.maker + (1 - maker_share) * order.tier.taker
    fee_bps = 1e4 * rate * (1 + sign * executed_bps / 1e4)
    touch_rate = known.at(lambda k: k.touch_rate)
    columns = {
        "market_ns": market_ns,
        "exchange_ns": exchange_ns,
        "levels": fill.levels,
        "quantity_base": quantity,
        "unfilled_base": fill.unfilled,
        "mid": mid,
        "vwap": fill.vwap,
        "worst_price": fill.worst_price,
        "maker_probability": maker_probability,
        "maker_probability_high": offered * (chance + (1 - chance) * touch_rate),
        "maker_share": maker_share,
        "clean_up_bps": clean_up_bps,
        "fee_bps": fee_bps,
        "impact_bps": impact_bps,
        "impact_permanent_bps": costs.permanent * per_quote,
        "impact_temporary_bps": costs.temporary * per_quote,
        "timing_risk_bps": risk_bps,
        "walk_bps": np.where(fill.unfilled > 0, np.nan, walked_bps),
        "slippage_bps": slippage.bps,
        "slippage_low_bps": slippage.low_bps,
        "slippage_high_bps": slippage.high_bps,
        "net_cost_bps": slippage.bps + fee_bps + impact_bps,
        **{f"feature_{name}": column for name, column in zip(Features._fields[1:], features[1:], strict=True)},
        **_parameter_columns(order, given),
        "slippage_source": _CODES[slippage.source],
        "maker_source": known.at(lambda k: _MAKER_CODES[k.maker_source]),
    }
    return {name: np.broadcast_to(column, (count,)) for name, column in columns.items()}


def _after_waiting(
    slippage: _Slippage, maker_share: Floats, half_spread_bps: Floats, clean_up_bps: Floats, known: Known
) -> _Slippage:
    """estimation.slippage.Slippage.after_waiting"""
    low, high = known.each(lambda k: k.clean_up_band or (None, None))
    bps = (1 - maker_share) * (slippage.bps + clean_up_bps) - maker_share * half_spread_bps
    least = np.minimum(np.minimum(bps, slippage.bps + low), -half_spread_bps)
    return _Slippage(bps, least + 0 * slippage.bps, np.maximum(bps, slippage.bps + high), slippage.source)


def _parameter_columns(order: Order, given: Parameters) -> Columns:
    """Every parameter under the name of its column, and where it comes from."""
    gamma = np.where(given.gamma_measured, _MEASURED, _DEFAULT)
    resilience = np.where(given.resilience_measured, _MEASURED, _DEFAULT)
    eta = np.where(given.gamma_measured & given.resilience_measured, _MEASURED, _DEFAULT)
    volatility = np.where(given.volatility_measured, _MEASURED, _DEFAULT if order.volatility is None else _TYPED)
    unknown, none, typed = np.full(1, np.nan), np.full(1, -1), np.full(1, _TYPED)
    columns = {
        "volatility_annual": given.volatility,
        "half_spread_price": given.half_spread,
        "slope_price_per_base": given.slope,
        "gamma_price_per_base": given.gamma,
        "resilience_per_s": given.resilience,
        "eta_book_price_s_per_base": given.eta_book,
        "eta_volume_price_s_per_base": unknown,
        "eta_price_s_per_base": given.eta,
        "daily_volume_base": unknown,
        "volatility_origin": volatility,
        "half_spread_origin": np.full(1, _MEASURED),
        "slope_origin": np.full(1, _MEASURED),
        "gamma_origin": gamma,
        "resilience_origin": resilience,
        "eta_book_origin": eta,
        "eta_volume_origin": none,
        "eta_origin": eta,
        "daily_volume_origin": none,
    }
    if given.eta_volume is not None:
        columns |= {
            "eta_volume_price_s_per_base": given.eta_volume,
            "eta_volume_origin": typed,
            "eta_origin": np.where(given.eta_volume > given.eta_book, _TYPED, eta),
            "daily_volume_base": np.full(1, float(order.daily_volume or 0.0)),
            "daily_volume_origin": typed,
        }
    return columns
