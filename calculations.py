"""Estimate what an order would cost on each book, and learn from the next books how far to trust the number."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Any, NamedTuple, Self

from estimation.estimate import Estimate
from estimation.features import BookState, FeatureExtractor, Features
from estimation.market_parameters import YEAR_S, Parameter, market_parameters
from estimation.model_state import MakerSource, ModelState, initial_state
from estimation.online_learner import OnlineLearner
from estimation.order import Order, OrderError, Style, Unit, base_quantity
from estimation.realised import RealisedCosts, RealisedOutcome
from estimation.saved_learner import LearnedError
from estimation.scorecard import Scorecard
from estimation.slippage import SlippageEstimator, one_sided_move_bps
from estimation.training_schedule import GAP_NS, TrainingSchedule
from fee_calculator import fee_bps
from models import AlmgrenChrissModel, Costs
from orderbook import OrderBook, walk
from profiling import Stamps

__all__ = [
    "Estimate",
    "Features",
    "MakerSource",
    "Order",
    "OrderError",
    "OrderTerms",
    "Stamps",
    "Style",
    "TradingCalculator",
    "Unit",
    "base_quantity",
    "filled_or_not_bps",
    "impact_model",
]

LEARNED_FORMAT = "trade-simulator learned 1"


class OrderTerms(NamedTuple):
    """The part of an estimate that follows from order, mid and model state alone; on most books all three repeat.

    sign: 1 buys, -1 sells. quantity: base units. bps_per_quote: bps of this order for one unit of quote.
    share_offered: the share of the order that a crossed quote would fill. permanent_bps, temporary_bps: impact of the
    schedule. timing_risk_bps: one standard deviation. clean_up_bps: how far the mid moves away from an unfilled
    quote. taker_bps: the taker's fee. half_spread_quote: half the bid-ask spread for the whole order, quote. trades:
    sizes of the child orders, base units; empty unless a schedule has several.
    """

    order: Order
    mid: float
    model_state: ModelState
    sign: float
    quantity: float
    bps_per_quote: float
    share_offered: float
    parameters: dict[str, Parameter]
    costs: Costs
    permanent_bps: float
    temporary_bps: float
    timing_risk_bps: float
    clean_up_bps: float
    taker_bps: float
    half_spread_quote: float
    trades: tuple[float, ...]

    @classmethod
    def from_order(cls, order: Order, mid: float, model_state: ModelState, contract_size: float) -> Self:
        """Compute the terms of this order at this mid. contract_size: base units of one contract."""
        quantity = base_quantity(order, mid, contract_size)
        parameters = market_parameters(
            model_state.calibration, mid, quantity, order.horizon_s, order.steps, order.volatility, order.daily_volume
        )
        # Of one second's return.
        volatility_bps = parameters["volatility"].value / math.sqrt(YEAR_S) * 1e4
        model = impact_model(parameters, mid, order.risk_aversion)
        costs = model.costs(quantity, order.horizon_s, order.steps)
        bps_per_quote = 1e4 / (quantity * mid)
        at_risk_s = order.latency_s + (order.passive_s if order.style == "passive" else 0.0)
        timing_risk_bps = volatility_bps * math.sqrt(at_risk_s)
        trades: tuple[float, ...] = ()
        if order.style == "schedule" and order.steps > 1:
            trades = tuple(model.trades(quantity, order.horizon_s, order.steps).tolist())
            timing_risk_bps = math.sqrt(costs.variance) * bps_per_quote
        clean_up_bps = model_state.clean_up_bps
        if clean_up_bps is None:
            clean_up_bps = one_sided_move_bps(volatility_bps, order.passive_s)
        return cls(
            order=order,
            mid=mid,
            model_state=model_state,
            sign=order.side.value,
            quantity=quantity,
            bps_per_quote=bps_per_quote,
            share_offered=model_state.share_offered(quantity),
            parameters=parameters,
            costs=costs,
            permanent_bps=costs.permanent * bps_per_quote,
            temporary_bps=costs.temporary * bps_per_quote,
            timing_risk_bps=timing_risk_bps,
            clean_up_bps=clean_up_bps,
            taker_bps=fee_bps(0.0, order.tier),
            half_spread_quote=model.epsilon * quantity,
            trades=trades,
        )


class TradingCalculator:
    """Estimates one order's cost on every book, and learns from what the next books show.

    `order` may be rebound at any time; it is read once a book. Books of another market restart the learning.
    contract_size: base units of one contract.
    """

    def __init__(self, order: Order, contract_size: float = 1.0) -> None:
        self.order = order
        self._contract_size = contract_size
        self._extractor = FeatureExtractor()
        self._realised_costs = RealisedCosts()
        self._schedule: TrainingSchedule | None = None
        # What is learned depends on latency_s and passive_s, and on the market.
        self._times_s = (order.latency_s, order.passive_s)
        self._last_ns = 0
        self._market: tuple[str, str] | None = None
        self._terms: OrderTerms | None = None
        # The newest book with its states, rebound as one: read from any thread.
        self._latest: tuple[OrderBook, BookState, ModelState] | None = None

    @property
    def resolved_samples(self) -> int:
        """Number of samples whose outcome is known so far. Safe from any thread."""
        schedule = self._schedule
        return 0 if schedule is None else schedule.resolved_samples

    def scorecard(self) -> Scorecard | None:
        """Return the scores so far; None before the first book. Safe from any thread."""
        schedule = self._schedule
        return None if schedule is None else schedule.state.scorecard

    def learned(self) -> dict[str, Any] | None:
        """Return what was learned of this market, as plain JSON values for `resume`; None before the first fit.

        Safe from any thread; it may wait some milliseconds.
        """
        schedule = self._schedule
        market = self._market
        if schedule is None or market is None or schedule.state.samples == 0:
            return None
        return {"format": LEARNED_FORMAT, "venue": market[0], "symbol": market[1]} | schedule.learner.to_json()

    def resume(self, learned: Any) -> None:
        """Continue from what `learned` returned in another session; call it before the first book.

        Raises LearnedError if it is damaged, or was learned for another latency or waiting time. If it was learned
        of another market, the first book raises LearnedError, once.
        """
        learner, state = OnlineLearner.from_json(learned)
        if learned.get("format") != LEARNED_FORMAT:
            raise LearnedError(f"this is not in the format {LEARNED_FORMAT!r}: {learned.get('format')!r}")
        latency_s, passive_s = times_s = (learned["latency_s"], learned["passive_s"])
        if times_s != self._times_s:
            raise LearnedError(
                f"learned for a latency of {latency_s} s and a wait of {passive_s} s, "
                f"not for {self._times_s[0]} s and {self._times_s[1]} s"
            )
        self._market = (str(learned.get("venue")), str(learned.get("symbol")))
        self._schedule = TrainingSchedule(state, learner, latency_s, passive_s)

    def realised(self) -> list[RealisedOutcome]:
        """Return the outcomes of past estimates that became known since the last call, oldest first.

        An outcome is known latency_s + passive_s after its estimate; a gap in between drops it. Call it between two
        estimates: it processes the last book, which the next estimate would do otherwise.
        """
        self._realised_costs.process_pending()
        return self._realised_costs.drain_outcomes()

    def recent(self) -> list[RealisedOutcome]:
        """Return the last 500 outcomes, oldest first. Safe from any thread."""
        return list(self._realised_costs.recent.copy())

    def estimate(self, book: OrderBook) -> Estimate:
        """Return what the order would cost on this book. Books must come in the order of their market_ns.

        A step back in market time, a new latency or a new waiting time restarts the learning. A gap of more than 5 s
        discards the samples and orders that span it. What a fit raised is raised here, once.
        """
        parsed_ns = time.perf_counter_ns()
        order = self.order
        book_state, model_state = self._update(book, order)
        mid = book_state.mid
        terms = self._terms
        if terms is None or terms.mid != mid or terms.order is not order or terms.model_state is not model_state:
            terms = self._terms = OrderTerms.from_order(order, mid, model_state, self._contract_size)
        self._latest = (book, book_state, model_state)
        estimate = _price(book, book_state, model_state, terms, parsed_ns)
        self._realised_costs.record_estimate(
            book, order, terms.quantity, estimate.slippage_bps, estimate.maker_probability
        )
        return estimate

    def what_if(self, orders: Iterable[Order]) -> list[Estimate]:
        """Return what other orders would cost on the newest book, all on the same one; empty before the first.

        Nothing is learned from them and their outcomes are not tracked. Safe from any thread.
        """
        if self._latest is None:
            return []
        book, book_state, model_state = self._latest
        return [
            _price(
                book,
                book_state,
                model_state,
                OrderTerms.from_order(order, book_state.mid, model_state, self._contract_size),
                time.perf_counter_ns(),
            )
            for order in orders
        ]

    def _update(self, book: OrderBook, order: Order) -> tuple[BookState, ModelState]:
        """Return the book's state and the model state at it; add the book to what is learned from."""
        self._realised_costs.process_pending()
        times_s = (order.latency_s, order.passive_s)
        market = (book.venue, book.symbol)
        if market != self._market:
            # Before the first book, a market can only come from `resume`.
            resumed = self._market if self._last_ns == 0 else None
            self._market = market
            self._restart()
            if resumed is not None:
                raise LearnedError(f"what was learned of {' '.join(resumed)} says nothing of {' '.join(market)}")
        if book.market_ns < self._last_ns or times_s != self._times_s:
            self._restart()
        elif book.market_ns - self._last_ns > GAP_NS:
            self._realised_costs.reset()
            self._extractor.reset()
            if self._schedule is not None:
                self._schedule.discard()
        self._times_s = times_s
        self._last_ns = book.market_ns
        book_state = self._extractor.extract(book)
        if self._schedule is None:
            self._schedule = TrainingSchedule(initial_state(book_state, *times_s), OnlineLearner(*times_s), *times_s)
        try:
            self._schedule.add(book, book_state)
        except BaseException:
            self._restart()
            raise
        return book_state, self._schedule.state

    def _restart(self) -> None:
        """Forget everything learned and remembered."""
        self._schedule = None
        self._realised_costs.reset()
        self._extractor.reset()


def filled_or_not_bps(waiting: Estimate, at_once: Estimate) -> tuple[float, float] | None:
    """Return the net cost of a passive order if all of it fills at the touch, and if none of it does; bps.

    waiting, at_once: the order's estimates in these two styles on one book. None if the book is too thin.
    """
    if at_once.slippage_bps is None:
        return None
    half_bps, order = waiting.features.half_spread_bps, waiting.order
    filled = fee_bps(1.0, order.tier) * (1 - order.side.value * half_bps / 1e4) - half_bps
    return filled, at_once.slippage_bps + waiting.clean_up_bps + at_once.fee_bps


def impact_model(parameters: dict[str, Parameter], mid: float, risk_aversion: float) -> AlmgrenChrissModel:
    """Return the Almgren-Chriss model with an estimate's parameters. risk_aversion: 1/quote."""
    return AlmgrenChrissModel(
        sigma=parameters["volatility"].value / math.sqrt(YEAR_S) * mid,
        eta=parameters["eta"].value,
        gamma=parameters["gamma"].value,
        epsilon=parameters["half_spread"].value,
        risk_aversion=risk_aversion,
    )


def _price(
    book: OrderBook, book_state: BookState, model_state: ModelState, terms: OrderTerms, parsed_ns: int
) -> Estimate:
    """Return what the order costs on this book, without changing anything.

    Args:
        book: the book.
        book_state: of this book.
        model_state: in use at this book.
        terms: of the order, at this book's mid and this model state.
        parsed_ns: stamp of when the book reached the calculator.
    """
    order, mid = terms.order, book_state.mid
    levels = book.taken_by(order.side)
    fill = walk(levels, terms.quantity)
    estimator = SlippageEstimator(model_state, book_state, order.side, order.passive_s)
    features = estimator.features(fill)
    features_ns = time.perf_counter_ns()

    slippage = estimator.slippage(fill, features)
    fill_probability = model_state.fill_probability(features)
    maker_probability = fill_probability * terms.share_offered
    walked_bps = terms.sign * (fill.vwap - mid) / mid * 1e4
    executed_bps = walked_bps
    impact_bps = 0.0
    maker_share = 0.0
    if order.style == "passive":
        maker_share = maker_probability
        half_bps = book_state.half_spread_bps
        slippage = slippage.after_waiting(maker_share, half_bps, terms.clean_up_bps, model_state.clean_up_band)
        executed_bps = (1 - maker_share) * walked_bps - maker_share * half_bps
    elif terms.trades:
        costs = terms.costs
        slippage, paid = estimator.child_orders(levels, terms.trades)
        executed_bps = book_state.half_spread_bps + paid * terms.bps_per_quote
        # What the children's own walks already paid is not charged again as temporary impact.
        transient = max(0.0, costs.temporary_paid - terms.half_spread_quote - paid)
        impact_bps = (costs.permanent_paid + transient) * terms.bps_per_quote
    models_ns = time.perf_counter_ns()

    # The fee is on the executed notional, not on the mid's.
    rate_bps = fee_bps(maker_share, order.tier) if maker_share else terms.taker_bps
    fee = rate_bps * (1 + terms.sign * executed_bps / 1e4)
    return Estimate(
        book.market_ns,
        book.exchange_ns,
        order,
        terms.quantity,
        mid,
        features,
        fill,
        None if fill.unfilled else walked_bps,
        slippage.bps,
        slippage.low_bps,
        slippage.high_bps,
        slippage.source,
        fee,
        impact_bps,
        terms.permanent_bps,
        terms.temporary_bps,
        terms.timing_risk_bps,
        None if slippage.bps is None else slippage.bps + fee + impact_bps,
        maker_probability,
        terms.share_offered * (fill_probability + (1 - fill_probability) * model_state.touch_rate),
        terms.clean_up_bps,
        maker_share,
        model_state.maker_source,
        fill.unfilled,
        terms.parameters,
        Stamps(book.received_ns, parsed_ns, features_ns, models_ns, time.perf_counter_ns()),
    )
