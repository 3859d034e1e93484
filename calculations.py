"""Estimate what an order would cost on each book, and learn from the next books how far to trust the number."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from estimation.estimate import ROW, Estimate
from estimation.features import FeatureExtractor, Features
from estimation.market_parameters import YEAR_S, Parameter
from estimation.model_state import MakerSource, ModelState, initial_state
from estimation.online_learner import OnlineLearner
from estimation.order import Order, OrderError, Style, Unit, base_quantity
from estimation.order_terms import make_terms
from estimation.pricing import LIVE_PRICE_ORDER
from estimation.realised import RealisedCosts, RealisedOutcome
from estimation.saved_learner import LearnedError
from estimation.scorecard import Scorecard
from estimation.training_schedule import GAP_NS, TrainingSchedule
from fee_calculator import fee_bps
from models import AlmgrenChrissModel, ModelError
from numerics.arrays import Records, make_records
from orderbook import OrderBook
from profiling import Stamps

__all__ = [
    "Estimate",
    "Features",
    "MakerSource",
    "Order",
    "OrderError",
    "Stamps",
    "Style",
    "TradingCalculator",
    "Unit",
    "base_quantity",
    "filled_or_not_bps",
    "impact_model",
]

LEARNED_FORMAT = "trade-simulator learned 1"


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
        self._terms: Records
        self._working = make_records(ROW, 1)
        self._terms_order: Order | None = None
        self._terms_state: ModelState | None = None
        # The newest book with its state and the model's record, rebound as one: read from any thread.
        self._latest: tuple[OrderBook, Records, Records] | None = None

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
        book_states, model_state = self._update(book, order)
        features_ns = time.perf_counter_ns()
        if order is not self._terms_order or model_state is not self._terms_state:
            self._terms = make_terms(order, self._contract_size)
            self._terms_order, self._terms_state = order, model_state
        rows = make_records(ROW, 1)
        row = _price(book, book_states, model_state.record, self._terms, order, rows, self._working)
        models_ns = time.perf_counter_ns()
        self._latest = (book, book_states, model_state.record)
        self._realised_costs.record_estimate(book, rows, self._terms)
        fees_ns = time.perf_counter_ns()
        stamps = Stamps(book.received_ns, parsed_ns, features_ns, models_ns, fees_ns)
        return Estimate(row, order, stamps, book.market_ns)

    def what_if(self, orders: Iterable[Order]) -> list[Estimate]:
        """Return what other orders would cost on the newest book, all on the same one; empty before the first.

        Nothing is learned from them and their outcomes are not tracked. Safe from any thread.
        """
        if self._latest is None:
            return []
        book, book_states, models = self._latest
        estimates = []
        for order in orders:
            now_ns = time.perf_counter_ns()
            terms = make_terms(order, self._contract_size)
            row = _price(book, book_states, models, terms, order, make_records(ROW, 1), make_records(ROW, 1))
            estimates.append(Estimate(row, order, Stamps(now_ns, now_ns, now_ns, now_ns, now_ns), book.market_ns))
        return estimates

    def _update(self, book: OrderBook, order: Order) -> tuple[Records, ModelState]:
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
        book_states = self._extractor.observe(book)
        if self._schedule is None:
            state = initial_state(book_states.view(np.recarray)[0], *times_s)
            self._schedule = TrainingSchedule(state, OnlineLearner(*times_s), *times_s)
        try:
            self._schedule.add(book, book_states)
        except BaseException:
            self._restart()
            raise
        return book_states, self._schedule.state

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
    book: OrderBook,
    book_states: Records,
    models: Records,
    terms: Records,
    order: Order,
    rows: Records,
    working: Records,
) -> np.void:
    """Fill and return rows[0], what the order costs on this book; change nothing else. Raises ModelError.

    Args:
        book: the book.
        book_states: its state, (1,) of BOOK_STATE.
        models: the model state in use, (1,) of MODEL.
        terms: of the order, (1,) of TERMS.
        order: the order.
        rows: (1,) of ROW.
        working: (1,) of ROW, overwritten.
    """
    levels = book.taken_by(order.side)
    if not LIVE_PRICE_ORDER.call(
        levels, 0, len(levels), book.exchange_ns, book_states, 0, models, 0, terms, rows, 0, working
    ):
        quantity = terms[0]["quantity"].item()
        raise ModelError(f"the cost is beyond the largest number: quantity {quantity}, horizon {order.horizon_s}")
    row: np.void = rows[0]
    return row
