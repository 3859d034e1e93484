"""Estimate what an order would cost on each book, and learn from the next books how far to trust the number."""

from __future__ import annotations

import math
from collections.abc import Iterable
from time import perf_counter_ns
from typing import Any

import numpy as np

from estimation.book_loop import FOLLOW_BOOK, PRICE_BOOK
from estimation.estimate import ROW, Estimate
from estimation.features import BOOK_STATE, FeatureExtractor, Features
from estimation.market_parameters import YEAR_S, Parameter
from estimation.model_state import MakerSource, ModelState, initial_state
from estimation.online_learner import OnlineLearner
from estimation.order import Order, OrderError, Style, Unit, base_quantity
from estimation.order_terms import make_terms
from estimation.realised import NO_QUOTES, RealisedCosts, RealisedOutcome
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

BLOCK_BOOKS = 32
"""Books whose states and rows share memory."""


class TradingCalculator:
    """Estimates one order's cost on every book, and learns from what the next books show.

    `order` and `daily_volume` may be rebound at any time; they are read once a book. Books of another market restart
    the learning. contract_size: base units of one contract.
    """

    def __init__(self, order: Order, contract_size: float = 1.0) -> None:
        self.order = order
        self.daily_volume: float | None = None
        """Base units that the market was measured to trade a day; an order's own counts more. None means unknown."""
        self._contract_size = contract_size
        self._extractor = FeatureExtractor()
        self._realised_costs = RealisedCosts()
        self._schedule: TrainingSchedule | None = None
        # What is learned depends on latency_s and passive_s, and on the market.
        self._times_s = (order.latency_s, order.passive_s)
        self._last_ns = 0
        self._market: tuple[str, str] | None = None
        self._priced_order: Order | None = None
        self._priced_volume: float | None = None
        self._priced_state: ModelState | None = None
        self._terms: Records
        self._take_block()
        # The newest book with its state and the model's record, rebound as one: read from any thread.
        self._latest: tuple[OrderBook, Records, Records] | None = None

    def _take_block(self) -> None:
        """Take memory for the next books, once for many of them: it costs as much as for one."""
        self._states = make_records(BOOK_STATE, BLOCK_BOOKS)
        self._rows = make_records(ROW, BLOCK_BOOKS + 1)
        self._place = 0

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

        An outcome is known latency_s + passive_s after its estimate; a gap in between drops it. Safe from any thread.
        """
        return self._realised_costs.drain_outcomes()

    def recent(self) -> list[RealisedOutcome]:
        """Return the last 500 outcomes, oldest first. Safe from any thread."""
        return list(self._realised_costs.recent.copy())

    def estimate(self, book: OrderBook) -> Estimate:
        """Return what the order would cost on this book. Books must come in the order of their market_ns.

        A step back in market time, a new latency or a new waiting time restarts the learning. A gap of more than 5 s
        discards the samples and orders that span it. What a fit raised is raised here, once.
        """
        parsed_ns = perf_counter_ns()
        order, daily_volume = self.order, self.daily_volume
        if self._place == BLOCK_BOOKS:
            self._take_block()
        # Taken at once: what this book leaves in its place stays, also where it cannot be priced.
        states, rows, place = self._states, self._rows, self._place
        self._place = place + 1
        state = self._follow(book, order, place)
        features_ns = perf_counter_ns()
        if (
            order is not self._priced_order
            or state is not self._priced_state
            or daily_volume is not self._priced_volume
        ):
            self._terms = make_terms(order, self._contract_size, daily_volume)
            self._priced_order, self._priced_state, self._priced_volume = order, state, daily_volume
        realised = self._realised_costs
        if not PRICE_BOOK.call(
            book.bids,
            book.asks,
            book.exchange_ns,
            states,
            place,
            state.record,
            self._terms,
            rows,
            place,
            realised.trackers,
            realised.quotes,
        ):
            raise _beyond_numbers(self._terms, order)
        row = rows[place]
        models_ns = perf_counter_ns()
        self._latest = (book, states[place : place + 1], state.record)
        stamps = Stamps(book.received_ns, parsed_ns, features_ns, models_ns, perf_counter_ns())
        return Estimate(row, order, stamps, book.market_ns)

    def what_if(self, orders: Iterable[Order]) -> list[Estimate]:
        """Return what other orders would cost on the newest book, all on the same one; empty before the first.

        Nothing is learned from them and their outcomes are not tracked. Safe from any thread.
        """
        if self._latest is None:
            return []
        book, book_states, models = self._latest
        daily_volume = self.daily_volume
        estimates = []
        for order in orders:
            now_ns = perf_counter_ns()
            terms, rows = make_terms(order, self._contract_size, daily_volume), make_records(ROW, 2)
            if not PRICE_BOOK.call(
                book.bids, book.asks, book.exchange_ns, book_states, 0, models, terms, rows, 0, *NO_QUOTES
            ):
                raise _beyond_numbers(terms, order)
            estimates.append(Estimate(rows[0], order, Stamps(now_ns, now_ns, now_ns, now_ns, now_ns), book.market_ns))
        return estimates

    def _follow(self, book: OrderBook, order: Order, place: int) -> ModelState:
        """Add the book to what is remembered and learned from; return the model state at it.

        Its own state is written to self._states[place].
        """
        market_ns = book.market_ns
        market = self._market
        if market is None or book.symbol != market[1] or book.venue != market[0]:
            # Before the first book, a market can only come from `resume`.
            resumed = market if self._last_ns == 0 else None
            self._market = (book.venue, book.symbol)
            self._restart()
            if resumed is not None:
                raise LearnedError(
                    f"what was learned of {' '.join(resumed)} says nothing of {book.venue} {book.symbol}"
                )
        has_other_times = order is not self._priced_order and self._has_other_times(order)
        if market_ns < self._last_ns or has_other_times:
            self._restart()
        elif market_ns - self._last_ns > GAP_NS:
            self._forget_books()
            if self._schedule is not None:
                self._schedule.discard()
        self._last_ns = market_ns
        schedule = self._schedule
        if schedule is None:
            first = FeatureExtractor().observe(book).view(np.recarray)[0]
            state = initial_state(first, *self._times_s)
            schedule = self._schedule = TrainingSchedule(state, OnlineLearner(*self._times_s), *self._times_s)
        try:
            is_sample = schedule.add(book)
        except BaseException:
            self._restart()
            raise
        extractor, realised = self._extractor, self._realised_costs
        states = self._states
        bids, asks = book.bids, book.asks
        while True:
            n_closed = FOLLOW_BOOK.call(
                bids,
                asks,
                market_ns,
                extractor.market,
                extractor.last_second,
                states,
                place,
                realised.trackers,
                realised.quotes,
            )
            if n_closed >= 0:
                break
            extractor.make_room()
            realised.make_room()
        if n_closed:
            realised.publish(n_closed)
        if is_sample:
            schedule.sample(states[place : place + 1], market_ns)
        return schedule.state

    def _has_other_times(self, order: Order) -> bool:
        """Return whether the order has another latency or waiting time than the orders before; remember its own."""
        times_s = (order.latency_s, order.passive_s)
        is_other = times_s != self._times_s
        self._times_s = times_s
        return is_other

    def _restart(self) -> None:
        """Forget everything learned and remembered."""
        self._schedule = None
        self._forget_books()

    def _forget_books(self) -> None:
        """Forget the books before: what came before a gap says nothing of what comes after."""
        self._realised_costs.reset()
        self._extractor.reset()


def filled_or_not_bps(waiting: Estimate, at_once: Estimate) -> tuple[float, float] | None:
    """Return the net cost of a passive order if all of it fills at the touch, and if none of it does; bps.

    waiting, at_once: the order's estimates in these two styles on one book. None if the book is too thin.
    """
    if at_once.slippage_bps is None or at_once.fee_bps is None:
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


def _beyond_numbers(terms: Records, order: Order) -> ModelError:
    """Return the error of an order whose cost no number can hold."""
    quantity = terms[0]["quantity"].item()
    return ModelError(f"the cost is beyond the largest number: quantity {quantity}, horizon {order.horizon_s}")
