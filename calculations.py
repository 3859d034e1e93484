"""From a book and an order to an estimate: what the order would cost, and how far to trust the number."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Any, NamedTuple, Self

from estimation.estimate import Estimate
from estimation.features import BookState, FeatureExtractor, Features
from estimation.market_parameters import YEAR_S, Parameter, market_parameters
from estimation.model_state import MakerSource, ModelState, initial_state
from estimation.online_learner import LearnedError, OnlineLearner
from estimation.order import Order, OrderError, Style, Unit, base_quantity
from estimation.realised import RealisedCosts, RealisedOutcome
from estimation.scorecard import Scorecard
from estimation.slippage import SlippageEstimator, one_sided_move_bps
from estimation.training_schedule import GAP_NS, TrainingSchedule
from fee_calculator import fee_bps
from models import AlmgrenChrissModel, Costs
from orderbook import OrderBook, Side, walk
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
    """What an estimate takes from its order, the mid and what is known alone; on most books all three are as before.

    sign: of the aggressor. quantity: base. per_quote: bps of this order a unit of quote. offered: the
    share of the order that a crossed quote would fill. crossed: half the spread for the whole order,
    quote. trades: base, empty unless a schedule.
    """

    order: Order
    mid: float
    known: ModelState
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
    def from_order(cls, order: Order, mid: float, known: ModelState, contract_size: float) -> Self:
        """The terms of this order at this mid."""
        quantity = base_quantity(order, mid, contract_size)
        parameters = market_parameters(
            known.calibration, mid, quantity, order.horizon_s, order.steps, order.volatility, order.daily_volume
        )
        volatility = parameters["volatility"].value / math.sqrt(YEAR_S)
        model = impact_model(parameters, mid, order.risk_aversion)
        costs = model.costs(quantity, order.horizon_s, order.steps)
        per_quote = 1e4 / (quantity * mid)
        trades: tuple[float, ...] = ()
        at_risk_s = order.latency_s + (order.passive_s if order.style == "passive" else 0.0)
        timing_risk_bps = volatility * 1e4 * math.sqrt(at_risk_s)
        if order.style == "schedule" and order.steps > 1:
            trades = tuple(model.trades(quantity, order.horizon_s, order.steps).tolist())
            timing_risk_bps = math.sqrt(costs.variance) * per_quote
        clean_up_bps = known.clean_up_bps
        if clean_up_bps is None:
            clean_up_bps = one_sided_move_bps(volatility * 1e4, order.passive_s)
        return cls(
            order=order,
            mid=mid,
            known=known,
            sign=1.0 if order.side is Side.BUY else -1.0,
            quantity=quantity,
            bps_per_quote=per_quote,
            share_offered=known.share_offered(quantity),
            parameters=parameters,
            costs=costs,
            permanent_bps=costs.permanent * per_quote,
            temporary_bps=costs.temporary * per_quote,
            timing_risk_bps=timing_risk_bps,
            clean_up_bps=clean_up_bps,
            taker_bps=fee_bps(0.0, order.tier),
            half_spread_quote=model.epsilon * quantity,
            trades=trades,
        )


class TradingCalculator:
    """Prices one order on every book it is given, and learns from what the next books show.

    `order` may be rebound at any time; it is read once a book. Books of another market start the
    learning anew.
    """

    def __init__(self, order: Order, contract_size: float = 1.0) -> None:
        self.order = order
        self._contract_size = contract_size
        self._observer = FeatureExtractor()
        self._hindsight = RealisedCosts()
        self._outcomes: TrainingSchedule | None = None
        self._learned_for = (order.latency_s, order.passive_s)
        self._last_ns = 0
        self._market: tuple[str, str] | None = None
        self._terms: OrderTerms | None = None
        # The newest book, what it said and what was known at it, rebound as one: read from any thread.
        self._seen: tuple[OrderBook, BookState, ModelState] | None = None

    @property
    def resolved_samples(self) -> int:
        """How many decision times have shown their outcome so far. Safe from any thread."""
        outcomes = self._outcomes
        return 0 if outcomes is None else outcomes.resolved_samples

    def scorecard(self) -> Scorecard | None:
        """The scores so far; None before the first book. Safe from any thread."""
        outcomes = self._outcomes
        return None if outcomes is None else outcomes.state.scorecard

    def learned(self) -> dict[str, Any] | None:
        """What was learned of this market, as plain JSON values for `resume`; None before the first fit.

        Safe from any thread; it may wait some milliseconds.
        """
        outcomes = self._outcomes
        market = self._market
        if outcomes is None or market is None or outcomes.state.samples == 0:
            return None
        return {"format": LEARNED_FORMAT, "venue": market[0], "symbol": market[1]} | outcomes.learner.state()

    def resume(self, learned: Any) -> None:
        """Go on from what was learned in another session; to be called before the first book.

        Raises LearnedError if it is damaged, or was learned for another latency or waiting time. Of
        another market, it is refused at the first book, which raises LearnedError once.
        """
        learner, known = OnlineLearner.from_state(learned)
        if learned.get("format") != LEARNED_FORMAT:
            raise LearnedError(f"this is not in the format {LEARNED_FORMAT!r}: {learned.get('format')!r}")
        learned_for = (learned["latency_s"], learned["passive_s"])
        if learned_for != self._learned_for:
            raise LearnedError(
                f"learned for a latency of {learned_for[0]} s and a wait of {learned_for[1]} s, "
                f"not for {self._learned_for[0]} s and {self._learned_for[1]} s"
            )
        self._market = (str(learned.get("venue")), str(learned.get("symbol")))
        self._outcomes = TrainingSchedule(known, learner, *learned_for)

    def realised(self) -> list[RealisedOutcome]:
        """What became of past estimates, oldest first: those whose outcome became known since the last call.

        An outcome is known latency_s + passive_s after its estimate; a gap takes it away. To be called
        between two estimates: the last book is looked at here, or else by the next estimate.
        """
        self._hindsight.process_pending()
        return self._hindsight.drain_outcomes()

    def recent(self) -> list[RealisedOutcome]:
        """The last 500 outcomes, oldest first. Safe from any thread."""
        return list(self._hindsight.recent.copy())

    def estimate(self, book: OrderBook) -> Estimate:
        """What the order would cost on this book; books must come in the order of their market_ns.

        A step back in market time, a new latency or a new waiting time starts the learning anew; a
        gap of more than 5 s discards what spans it. What a fit raised is raised here, once.
        """
        parsed_ns = time.perf_counter_ns()
        order = self.order
        moment, known = self._observe(book, order)
        terms = self._terms
        if terms is None or terms.mid != moment.mid or terms.order is not order or terms.known is not known:
            terms = self._terms = OrderTerms.from_order(order, moment.mid, known, self._contract_size)
        self._seen = book, moment, known
        estimate = _price(book, moment, known, terms, parsed_ns)
        self._hindsight.record_estimate(book, order, terms.quantity, estimate.slippage_bps, estimate.maker_probability)
        return estimate

    def what_if(self, orders: Iterable[Order]) -> list[Estimate]:
        """What other orders would cost on the newest book, all on the same one; empty before the first.

        Nothing is learned from them and nobody waits for their outcome. Safe from any thread.
        """
        if self._seen is None:
            return []
        book, moment, known = self._seen
        return [
            _price(
                book,
                moment,
                known,
                OrderTerms.from_order(order, moment.mid, known, self._contract_size),
                time.perf_counter_ns(),
            )
            for order in orders
        ]

    def _observe(self, book: OrderBook, order: Order) -> tuple[BookState, ModelState]:
        """This book's moment and what is known at it; the book joins what is learned from."""
        self._hindsight.process_pending()
        learned_for = (order.latency_s, order.passive_s)
        market = (book.venue, book.symbol)
        if market != self._market:
            resumed, self._market = self._market if self._last_ns == 0 else None, market
            self._start_anew()
            if resumed is not None:
                raise LearnedError(f"what was learned of {' '.join(resumed)} says nothing of {' '.join(market)}")
        if book.market_ns < self._last_ns or learned_for != self._learned_for:
            self._start_anew()
        elif book.market_ns - self._last_ns > GAP_NS:
            self._hindsight.reset()
            self._observer.reset()
            if self._outcomes is not None:
                self._outcomes.discard()
        self._learned_for = learned_for
        self._last_ns = book.market_ns
        moment = self._observer.extract(book)
        if self._outcomes is None:
            self._outcomes = TrainingSchedule(
                initial_state(moment, *learned_for), OnlineLearner(*learned_for), *learned_for
            )
        try:
            self._outcomes.add(book, moment)
        except BaseException:
            self._start_anew()
            raise
        return moment, self._outcomes.state

    def _start_anew(self) -> None:
        self._outcomes = None
        self._hindsight.reset()
        self._observer.reset()


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
    """The Almgren-Chriss model made of an estimate's parameters."""
    return AlmgrenChrissModel(
        sigma=parameters["volatility"].value / math.sqrt(YEAR_S) * mid,
        eta=parameters["eta"].value,
        gamma=parameters["gamma"].value,
        epsilon=parameters["half_spread"].value,
        risk_aversion=risk_aversion,
    )


def _price(book: OrderBook, moment: BookState, known: ModelState, terms: OrderTerms, parsed_ns: int) -> Estimate:
    """What the order costs, given what the book says and what is known; changes nothing."""
    order, mid = terms.order, moment.mid
    levels = book.taken_by(order.side)
    fill = walk(levels, terms.quantity)
    crossing = SlippageEstimator(known, moment, order.side, order.passive_s)
    features = crossing.features(fill)
    features_ns = time.perf_counter_ns()

    slippage = crossing.slippage(fill, features)
    chance, costs = known.fill_probability(features), terms.costs
    maker_probability = chance * terms.share_offered
    walked_bps = terms.sign * (fill.vwap - mid) / mid * 1e4
    executed_bps, impact_bps, maker_share = walked_bps, 0.0, 0.0
    if order.style == "passive":
        maker_share = maker_probability
        half_bps = moment.half_spread_bps
        slippage = slippage.after_waiting(maker_share, half_bps, terms.clean_up_bps, known.clean_up_band)
        executed_bps = (1 - maker_share) * walked_bps - maker_share * half_bps
    elif terms.trades:
        slippage, paid = crossing.child_orders(levels, terms.trades)
        executed_bps = moment.half_spread_bps + paid * terms.bps_per_quote
        # What the children's own walks already paid is not charged again as temporary impact.
        transient = max(0.0, costs.temporary_paid - terms.half_spread_quote - paid)
        impact_bps = (costs.permanent_paid + transient) * terms.bps_per_quote
    models_ns = time.perf_counter_ns()

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
        terms.share_offered * (chance + (1 - chance) * known.touch_rate),
        terms.clean_up_bps,
        maker_share,
        known.maker_source,
        fill.unfilled,
        terms.parameters,
        Stamps(book.received_ns, parsed_ns, features_ns, models_ns, time.perf_counter_ns()),
    )
