"""Estimate what an order costs on each of many books: calculations.TradingCalculator.estimate for all at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from estimation.batch.almgren_chriss import Measured, Parameters, batch_parameters, schedule_costs, unit_trades
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


class StateBatch:
    """The model state in use at each of n books, from consecutive states and the number of books for each."""

    def __init__(self, state_counts: Sequence[tuple[ModelState, int]]) -> None:
        counts = [count for _, count in state_counts]
        ends = np.cumsum(counts).tolist()
        self._states = [state for state, _ in state_counts]
        self._state_of_book: Ints = np.repeat(np.arange(len(counts)), counts)
        self._state_rows = [
            (state, slice(end - count, end)) for (state, count), end in zip(state_counts, ends, strict=True)
        ]

    def per_book(self, read: Callable[[ModelState], Any]) -> NDArray[Any]:
        """Return a number of each book's state, (n,), or (1,) if there is one state; NaN for None."""
        return self.columns_per_book(lambda state: (read(state),))[0]

    def columns_per_book(self, read: Callable[[ModelState], Sequence[Any]]) -> list[NDArray[Any]]:
        """Return several numbers of each book's state, as `per_book` returns one."""
        rows = [[np.nan if number is None else number for number in read(state)] for state in self._states]
        columns = [np.array(column) for column in zip(*rows, strict=True)]
        return columns if len(rows) == 1 else [column[self._state_of_book] for column in columns]

    def pick(self, read: Callable[[ModelState], Sequence[Any] | None], width: int, column: Ints) -> Floats:
        """Return read(state)[column] of each book's state, (n,); NaN where read(state) is None."""
        rows = [read(state) for state in self._states]
        table = np.array([np.full(width, np.nan) if row is None else row for row in rows], dtype=np.float64)
        picked: Floats = table.ravel().take(self._state_of_book * width + column)
        return picked

    def residual(self, features: Features, wanted: Flags) -> Floats:
        """Return the shrunk predictions of what the walk misses, bps, (n,); 0 where not wanted."""
        predicted = np.zeros(len(self._state_of_book))
        if not any(state.slippage is not None and state.shrinkage > 0 for state in self._states):
            return predicted
        x = np.stack(np.broadcast_arrays(*features.slippage_columns())).T
        for state, rows in self._state_rows:
            if state.slippage is not None and state.shrinkage > 0:
                predicted[rows] = state.shrinkage * state.slippage.predict(x[rows])
        return np.where(wanted, predicted, 0.0)

    def fill_probability(self, features: Features) -> Floats:
        """Return ModelState.fill_probability of each book's state, (n,)."""
        x = np.stack(np.broadcast_arrays(*features.maker_columns())).T
        probability = np.empty(len(x))
        for state, rows in self._state_rows:
            beyond = state.fill.chances(x[rows]) - state.base_rate
            probability[rows] = state.base_rate + state.fill_shrinkage * beyond
        return probability


class _Slippage(NamedTuple):
    """estimation.slippage.Slippage as columns; NaN for None, source as a code."""

    bps: Floats
    low_bps: Floats
    high_bps: Floats
    source: Ints


class BatchSlippageEstimator:
    """estimation.slippage.SlippageEstimator for one side of n books."""

    def __init__(self, states: StateBatch, book_states: Any, order: Order, side: SideBatch) -> None:
        self._states, self._book_states, self._passive_s = states, book_states, order.passive_s
        self._is_buy = order.side is Side.BUY
        self._sign = order.side.value
        self._side = side
        self._depth_1 = states.per_book(lambda state: state.depth_1)
        self._depth_10 = states.per_book(lambda state: state.depth_10)
        self._slope = states.per_book(lambda state: state.slope)
        self._volatility_bps = states.per_book(lambda state: state.volatility_bps)
        self._trusted = states.per_book(lambda state: state.slippage is not None and state.shrinkage > 0).astype(bool)

    def walk(self, quantity: Floats) -> FillBatch:
        """Walk one quantity a book."""
        return walk_batch(self._side, quantity)

    def cost_beyond_best(self, fill: FillBatch, rows: Any = slice(None)) -> Floats:
        """Return estimation.slippage.SlippageEstimator.cost_beyond_best of each book."""
        best = (self._book_states.ask if self._is_buy else self._book_states.bid)[rows]
        average: Floats = self._sign * (fill.vwap - best)
        if not fill.unfilled.any():
            return average
        slope = self._slope if len(self._slope) == 1 else self._slope[rows]
        beyond = self._sign * (fill.worst_price - best) + slope * fill.unfilled / 2
        whole: Floats = (fill.quantity * average + fill.unfilled * beyond) / (fill.quantity + fill.unfilled)
        return np.where(fill.unfilled > 0, whole, average)

    def features(self, fill: FillBatch) -> Features:
        """Return estimation.slippage.SlippageEstimator.features of each book, (n,) or (1,) for all."""
        book_states = self._book_states
        return order_features(
            np.log,
            self._sign,
            book_states,
            book_states.ask_depth if self._is_buy else book_states.bid_depth,
            book_states.bid_size if self._is_buy else book_states.ask_size,
            fill.quantity + fill.unfilled,
            self.cost_beyond_best(fill) / book_states.mid * 1e4,
            self._depth_1,
            self._depth_10,
            self._volatility_bps,
            self._passive_s,
        )

    def slippage(self, fill: FillBatch, features: Features) -> _Slippage:
        """Return estimation.slippage.SlippageEstimator.slippage of each book."""
        states = self._states
        bps: Floats = np.asarray(features.half_spread_bps + features.excess_walk_bps)
        short = fill.unfilled > 0
        depths = np.asarray(features.quantity) / fill.quantity
        bps = bps + states.residual(features, ~short)
        source = np.where(short, EXTRAPOLATED, np.where(self._trusted, MODEL, BOOK_WALK))
        widen = np.where(short, depths, 1.0)
        position = np.log(features.quantity / (SMALLEST * self._depth_10)) / np.log(LARGEST / SMALLEST)
        stratum = np.clip((position * STRATA).astype(np.int64), 0, STRATA - 1)
        low = states.pick(lambda state: state.band and [low for low, _ in state.band], STRATA, stratum)
        high = states.pick(lambda state: state.band and [high for _, high in state.band], STRATA, stratum)
        return _refused(_Slippage(bps, bps + widen * low, bps + widen * high, source), short, depths)

    def child_orders(self, trades: Floats) -> tuple[_Slippage, Floats]:
        """Return estimation.slippage.SlippageEstimator.child_orders of each book, for trades (n, steps)."""
        count = len(trades)
        total = trades.sum(axis=1)
        paid, depths = np.zeros((2, count))
        for sizes in trades.T:
            rows = np.flatnonzero(sizes > 0)
            traded = sizes[rows]
            fill = walk_batch(self._side.take(rows), traded)
            paid[rows] += traded * self.cost_beyond_best(fill, rows)
            depths[rows] = np.maximum(depths[rows], traded / fill.quantity)
        typical = self.walk(total / (trades > 0).sum(axis=1))
        features = self.features(typical)
        slippage = self.slippage(typical, features)
        shift = paid / total / self._book_states.mid * 1e4 - features.excess_walk_bps
        source = np.where((depths > 1) & (slippage.source != TOO_THIN), EXTRAPOLATED, slippage.source)
        shifted = _Slippage(slippage.bps + shift, slippage.low_bps + shift, slippage.high_bps + shift, source)
        return _refused(shifted, depths > 1, depths), paid


def _refused(slippage: _Slippage, short: Flags, depths: Floats) -> _Slippage:
    """Blank the slippage where more is wanted than may be extrapolated."""
    thin = short & (depths > EXTRAPOLATED_DEPTHS)
    if not thin.any():
        return slippage
    bps, low, high = (np.where(thin, np.nan, column) for column in slippage[:3])
    return _Slippage(bps, low, high, np.where(thin, TOO_THIN, slippage.source))


def share_offered(states: StateBatch, quantity: Floats) -> Floats:
    """Return ModelState.share_offered of each book's state, (n,)."""
    size = quantity / states.per_book(lambda state: state.depth_1)
    position = (np.log(size) - _CURVE_START) / _CURVE_STEP
    below = np.clip(position.astype(np.int64), 0, len(CURVE_SIZES) - 2)
    fraction = np.clip(position - below, 0.0, 1.0)
    first, second = (states.pick(lambda state: state.crossed_share, len(CURVE_SIZES), below + step) for step in (0, 1))
    share: Floats = np.where(np.isnan(first), np.minimum(1.0, 1 / size), (1 - fraction) * first + fraction * second)
    return share


def estimate_books(
    order: Order,
    contract_size: float,
    market_ns: Ints,
    exchange_ns: Ints,
    book_states: Any,
    states: StateBatch,
    side: SideBatch,
) -> Columns:
    """Return the estimates of the order on n books, as columns (n,) under the names that the export uses.

    Outcomes are not among the columns.

    Args:
        order: the order, decided on at every book.
        contract_size: base units of one contract.
        market_ns: of the books.
        exchange_ns: of the books.
        book_states: a BookState of (n,) columns.
        states: the model state in use at each book.
        side: the side of the books that the order takes from.
    """
    count = len(market_ns)
    sign, mid = order.side.value, book_states.mid
    quantity = np.broadcast_to(np.asarray(base_quantity(order, mid, contract_size), dtype=np.float64), (count,))
    estimator = BatchSlippageEstimator(states, book_states, order, side)
    fill = estimator.walk(quantity)
    features = estimator.features(fill)
    slippage = estimator.slippage(fill, features)
    probability, offered = states.fill_probability(features), share_offered(states, quantity)
    maker_probability = probability * offered
    measured = Measured(
        *states.columns_per_book(lambda state: [getattr(state.calibration, name) for name in Measured._fields])
    )
    parameters = batch_parameters(
        measured, mid, quantity, order.horizon_s, order.steps, order.volatility, order.daily_volume
    )
    volatility = parameters.volatility / YEAR_S**0.5
    costs = schedule_costs(volatility * mid, parameters, order.risk_aversion, quantity, order.horizon_s, order.steps)
    bps_per_quote = 1e4 / (quantity * mid)
    walked_bps = sign * (fill.vwap - mid) / mid * 1e4
    executed_bps, impact_bps, maker_share = walked_bps, np.zeros(1), np.zeros(1)
    risk_bps = volatility * 1e4 * order.latency_s**0.5
    learned_bps = states.per_book(lambda state: state.clean_up_bps)
    clean_up_bps = np.where(
        np.isnan(learned_bps), one_sided_move_bps(1.0, order.passive_s) * volatility * 1e4, learned_bps
    )
    if order.style == "passive":
        maker_share = maker_probability
        half_bps = book_states.half_spread_bps
        slippage = _after_waiting(slippage, maker_share, half_bps, clean_up_bps, states)
        executed_bps = (1 - maker_share) * walked_bps - maker_share * half_bps
        risk_bps = volatility * 1e4 * (order.latency_s + order.passive_s) ** 0.5
    elif order.style == "schedule" and order.steps > 1:
        slippage, paid = estimator.child_orders(quantity[:, None] * unit_trades(costs.w, order.steps))
        executed_bps = book_states.half_spread_bps + paid * bps_per_quote
        transient = np.maximum(0.0, costs.temporary_paid - parameters.half_spread * quantity - paid)
        impact_bps = (costs.permanent_paid + transient) * bps_per_quote
        risk_bps = np.sqrt(costs.variance) * bps_per_quote
    rate = maker_share * order.tier.maker + (1 - maker_share) * order.tier.taker
    fee_bps = 1e4 * rate * (1 + sign * executed_bps / 1e4)
    touch_rate = states.per_book(lambda state: state.touch_rate)
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
        "maker_probability_high": offered * (probability + (1 - probability) * touch_rate),
        "maker_share": maker_share,
        "clean_up_bps": clean_up_bps,
        "fee_bps": fee_bps,
        "impact_bps": impact_bps,
        "impact_permanent_bps": costs.permanent * bps_per_quote,
        "impact_temporary_bps": costs.temporary * bps_per_quote,
        "timing_risk_bps": risk_bps,
        "walk_bps": np.where(fill.unfilled > 0, np.nan, walked_bps),
        "slippage_bps": slippage.bps,
        "slippage_low_bps": slippage.low_bps,
        "slippage_high_bps": slippage.high_bps,
        "net_cost_bps": slippage.bps + fee_bps + impact_bps,
        **{f"feature_{name}": column for name, column in zip(Features._fields[1:], features[1:], strict=True)},
        **_parameter_columns(order, parameters),
        "slippage_source": _CODES[slippage.source],
        "maker_source": states.per_book(lambda state: _MAKER_CODES[state.maker_source]),
    }
    return {name: np.broadcast_to(column, (count,)) for name, column in columns.items()}


def _after_waiting(
    slippage: _Slippage, maker_share: Floats, half_spread_bps: Floats, clean_up_bps: Floats, states: StateBatch
) -> _Slippage:
    """Return estimation.slippage.Slippage.after_waiting of each book."""
    low, high = states.columns_per_book(lambda state: state.clean_up_band or (None, None))
    bps = (1 - maker_share) * (slippage.bps + clean_up_bps) - maker_share * half_spread_bps
    least = np.minimum(np.minimum(bps, slippage.bps + low), -half_spread_bps)
    return _Slippage(bps, least + 0 * slippage.bps, np.maximum(bps, slippage.bps + high), slippage.source)


def _parameter_columns(order: Order, parameters: Parameters) -> Columns:
    """Return every parameter under the name of its column, and where it comes from."""
    gamma = np.where(parameters.gamma_measured, _MEASURED, _DEFAULT)
    resilience = np.where(parameters.resilience_measured, _MEASURED, _DEFAULT)
    eta = np.where(parameters.gamma_measured & parameters.resilience_measured, _MEASURED, _DEFAULT)
    volatility = np.where(parameters.volatility_measured, _MEASURED, _DEFAULT if order.volatility is None else _TYPED)
    unknown, none, typed = np.full(1, np.nan), np.full(1, -1), np.full(1, _TYPED)
    columns = {
        "volatility_annual": parameters.volatility,
        "half_spread_price": parameters.half_spread,
        "slope_price_per_base": parameters.slope,
        "gamma_price_per_base": parameters.gamma,
        "resilience_per_s": parameters.resilience,
        "eta_book_price_s_per_base": parameters.eta_book,
        "eta_volume_price_s_per_base": unknown,
        "eta_price_s_per_base": parameters.eta,
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
    if parameters.eta_volume is not None:
        columns |= {
            "eta_volume_price_s_per_base": parameters.eta_volume,
            "eta_volume_origin": typed,
            "eta_origin": np.where(parameters.eta_volume > parameters.eta_book, _TYPED, eta),
            "daily_volume_base": np.full(1, float(order.daily_volume or 0.0)),
            "daily_volume_origin": typed,
        }
    return columns
