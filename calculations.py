"""From a book and an order to an estimate: what the order would cost, and how far to trust the number."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from calibration import DAY_S, YEAR_S, Parameter, market_parameters
from features import SECOND_NS, Features, Moment, Observer
from fee_calculator import FeeTier, fee_bps, schedule
from hindsight import Hindsight, Realised
from knowledge import Knowledge, beginner
from learning import LearnedError, Learner
from models import AlmgrenChrissModel
from orderbook import Fill, OrderBook, Side, walk
from outcomes import FIRST_FIT, Outcomes
from pricing import Crossing, SlippageSource, one_sided_move_bps
from scorecard import Scorecard

Unit = Literal["base", "quote", "contracts"]
Style = Literal["now", "passive", "schedule"]
MakerSource = Literal["model", "prior"]

GAP_NS = 5 * SECOND_NS
"""A silence after which nothing seen before says anything of what comes."""

MAX_STEPS = 200

LEARNED_FORMAT = "trade-simulator learned 1"

DEFAULT_TIER = schedule("okx", "swap", "current").tiers[0]


class OrderError(ValueError):
    """An order that cannot be priced; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the user wants to trade and how. Raises OrderError.

    quantity is in `unit` and turned into base units at each book's mid. style: "now" crosses the
    spread at once; "passive" posts at the touch and crosses after passive_s; "schedule" is an
    Almgren-Chriss schedule over horizon_s in steps. volatility: annualised, None means measured.
    daily_volume: base units, None means unknown. risk_aversion: 1/quote.
    """

    side: Side
    quantity: float
    unit: Unit = "base"
    style: Style = "now"
    latency_s: float = 0.1
    passive_s: float = 2.0
    horizon_s: float = 300.0
    steps: int = 10
    risk_aversion: float = 1e-6
    volatility: float | None = None
    daily_volume: float | None = None
    tier: FeeTier = DEFAULT_TIER

    def __post_init__(self) -> None:
        if self.unit not in ("base", "quote", "contracts"):
            raise OrderError(f"the unit must be base, quote or contracts, not {self.unit!r}")
        if self.style not in ("now", "passive", "schedule"):
            raise OrderError(f"the style must be now, passive or schedule, not {self.style!r}")
        for name, least, most in (
            ("quantity", 1e-9, 1e12),
            ("latency_s", 0.0, 10.0),
            ("passive_s", 0.1, 60.0),
            ("horizon_s", 1.0, 7 * DAY_S),
            ("risk_aversion", 0.0, 1e3),
            ("volatility", 1e-4, 100.0),
            ("daily_volume", 1e-9, 1e15),
        ):
            value = getattr(self, name)
            if value is None and name in ("volatility", "daily_volume"):
                continue
            if value is None or not least <= value <= most:
                raise OrderError(f"{name.replace('_', ' ')} must be between {least:g} and {most:g}, not {value}")
        if not (isinstance(self.steps, int) and 1 <= self.steps <= MAX_STEPS):
            raise OrderError(f"steps must be a whole number from 1 to {MAX_STEPS}, not {self.steps}")


class Stamps(NamedTuple):
    """When each stage of one tick ended, perf_counter_ns; `received` is the client's."""

    received_ns: int
    parsed_ns: int
    features_ns: int
    models_ns: int
    fees_ns: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an order would cost on one book; bps of its mid, positive costs, None where nobody can say.

    slippage + fee + impact = net. walk_bps is of the whole order against this book at once, None
    where something stays unfilled; `unfilled` (base) says how much. maker_probability is the share
    of the order that a quote at the touch would fill in passive_s, counting only prices that were
    crossed; maker_probability_high counts every quote whose queue shrank as filled, too: the truth for
    one far ahead in its queue lies between. clean_up_bps: how far the mid moves away from a quote
    that stays unfilled. maker_share: what the chosen style counts on. impact_permanent_bps and
    impact_temporary_bps are Almgren-Chriss for this size over horizon_s whatever the style; impact_bps
    is the part that is counted. timing_risk_bps is one standard deviation, beside the cost and never in it.
    """

    market_ns: int
    exchange_ns: int
    order: Order
    quantity: float
    mid: float
    features: Features
    fill: Fill
    walk_bps: float | None
    slippage_bps: float | None
    slippage_low_bps: float | None
    slippage_high_bps: float | None
    slippage_source: SlippageSource
    fee_bps: float
    impact_bps: float
    impact_permanent_bps: float
    impact_temporary_bps: float
    timing_risk_bps: float
    net_cost_bps: float | None
    maker_probability: float
    maker_probability_high: float
    clean_up_bps: float
    maker_share: float
    maker_source: MakerSource
    unfilled: float
    parameters: dict[str, Parameter]
    stamps: Stamps


class TradingCalculator:
    """Prices one order on every book it is given, and learns from what the next books show.

    `order` may be rebound at any time; it is read once a book. Books of another market start the
    learning anew.
    """

    def __init__(self, order: Order, contract_size: float = 1.0) -> None:
        self.order = order
        self._contract_size = contract_size
        self._observer = Observer()
        self._hindsight = Hindsight()
        self._outcomes: Outcomes | None = None
        self._learned_for = (order.latency_s, order.passive_s)
        self._last_ns = 0
        self._market: tuple[str, str] | None = None
        self._seen: tuple[OrderBook, Moment, Knowledge] | None = None

    def scorecard(self) -> Scorecard | None:
        """The scores so far; None before the first book. Safe from any thread."""
        outcomes = self._outcomes
        return None if outcomes is None else outcomes.known.scorecard

    def warmed_up(self) -> int:
        """How many outcomes were seen of the FIRST_FIT that the first fit is made from. Safe from any thread."""
        outcomes = self._outcomes
        return 0 if outcomes is None else min(FIRST_FIT, outcomes.resolved)

    def learned(self) -> dict[str, Any] | None:
        """What was learned of this market, as plain JSON values for `resume`; None before the first fit.

        Safe from any thread; it may wait some milliseconds.
        """
        outcomes = self._outcomes
        market = self._market
        if outcomes is None or market is None or outcomes.known.samples == 0:
            return None
        return {"format": LEARNED_FORMAT, "venue": market[0], "symbol": market[1]} | outcomes.learner.state()

    def resume(self, learned: Any) -> None:
        """Go on from what was learned in another session; to be called before the first book.

        Raises LearnedError if it is damaged, or was learned for another latency or waiting time. Of
        another market, it is refused at the first book, which raises LearnedError once.
        """
        learner, known = Learner.resumed(learned)
        if learned.get("format") != LEARNED_FORMAT:
            raise LearnedError(f"this is not in the format {LEARNED_FORMAT!r}: {learned.get('format')!r}")
        learned_for = (learned["latency_s"], learned["passive_s"])
        if learned_for != self._learned_for:
            raise LearnedError(
                f"learned for a latency of {learned_for[0]} s and a wait of {learned_for[1]} s, "
                f"not for {self._learned_for[0]} s and {self._learned_for[1]} s"
            )
        self._market = (str(learned.get("venue")), str(learned.get("symbol")))
        self._outcomes = Outcomes(known, learner, *learned_for)

    def realised(self) -> list[Realised]:
        """What became of past estimates, oldest first: those whose outcome became known since the last call.

        An outcome is known latency_s + passive_s after its estimate; a gap takes it away. Safe from any thread.
        """
        return self._hindsight.read()

    def recent(self) -> list[Realised]:
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
        self._seen = book, moment, known
        estimate = self._price(order, book, moment, known, parsed_ns)
        said = Realised(book.market_ns, estimate.slippage_bps, None, estimate.maker_probability, 0.0)
        self._hindsight.add(book, order.side, estimate.quantity, order.style, order.latency_s, order.passive_s, said)
        return estimate

    def estimate_again(self) -> tuple[OrderBook, Estimate] | None:
        """The last book, and what the order as it is now would cost on it; nothing is learned from it twice.

        None before the first book. Safe from any thread.
        """
        seen = self._seen
        return None if seen is None else (seen[0], self._price(self.order, *seen, time.perf_counter_ns()))

    def _price(self, order: Order, book: OrderBook, moment: Moment, known: Knowledge, parsed_ns: int) -> Estimate:
        sign, mid = (1.0 if order.side is Side.BUY else -1.0), moment.mid
        quantity = base_quantity(order, mid, self._contract_size)
        levels = book.taken_by(order.side)
        fill = walk(levels, quantity)
        crossing = Crossing(known, moment, order.side, order.passive_s)
        features = crossing.features(fill)
        features_ns = time.perf_counter_ns()

        slippage = crossing.slippage(fill, features)
        chance, offered = known.chance(features), known.share_offered(quantity)
        maker_probability = chance * offered
        parameters = market_parameters(
            known.calibration, mid, quantity, order.horizon_s, order.steps, order.volatility, order.daily_volume
        )
        volatility = parameters["volatility"].value / math.sqrt(YEAR_S)
        model = AlmgrenChrissModel(
            sigma=volatility * mid,
            eta=parameters["eta"].value,
            gamma=parameters["gamma"].value,
            epsilon=parameters["half_spread"].value,
            risk_aversion=order.risk_aversion,
        )
        costs = model.costs(quantity, order.horizon_s, order.steps)
        per_quote = 1e4 / (quantity * mid)
        walked_bps = sign * (fill.vwap - mid) / mid * 1e4
        executed_bps, impact_bps, maker_share = walked_bps, 0.0, 0.0
        risk_bps = volatility * 1e4 * math.sqrt(order.latency_s)
        clean_up_bps = known.clean_up_bps
        if clean_up_bps is None:
            clean_up_bps = one_sided_move_bps(volatility * 1e4, order.passive_s)
        if order.style == "passive":
            maker_share = maker_probability
            half_bps = moment.half_spread_bps
            slippage = slippage.after_waiting(maker_share, half_bps, clean_up_bps, known.clean_up_band)
            executed_bps = (1 - maker_share) * walked_bps - maker_share * half_bps
            risk_bps = volatility * 1e4 * math.sqrt(order.latency_s + order.passive_s)
        elif order.style == "schedule" and order.steps > 1:
            trades = model.trades(quantity, order.horizon_s, order.steps).tolist()
            slippage, paid = crossing.children(levels, trades)
            executed_bps = moment.half_spread_bps + paid * per_quote
            # What the children's own walks already paid is not charged again as temporary impact.
            transient = max(0.0, costs.temporary_paid - model.epsilon * quantity - paid)
            impact_bps = (costs.permanent_paid + transient) * per_quote
            risk_bps = math.sqrt(costs.variance) * per_quote
        models_ns = time.perf_counter_ns()

        fee = fee_bps(maker_share, order.tier) * (1 + sign * executed_bps / 1e4)
        return Estimate(
            market_ns=book.market_ns,
            exchange_ns=book.exchange_ns,
            order=order,
            quantity=quantity,
            mid=mid,
            features=features,
            fill=fill,
            walk_bps=None if fill.unfilled else walked_bps,
            slippage_bps=slippage.bps,
            slippage_low_bps=slippage.low_bps,
            slippage_high_bps=slippage.high_bps,
            slippage_source=slippage.source,
            fee_bps=fee,
            impact_bps=impact_bps,
            impact_permanent_bps=costs.permanent * per_quote,
            impact_temporary_bps=costs.temporary * per_quote,
            timing_risk_bps=risk_bps,
            net_cost_bps=None if slippage.bps is None else slippage.bps + fee + impact_bps,
            maker_probability=maker_probability,
            maker_probability_high=offered * (chance + (1 - chance) * known.touch_rate),
            clean_up_bps=clean_up_bps,
            maker_share=maker_share,
            maker_source="model" if known.fill.samples else "prior",
            unfilled=fill.unfilled,
            parameters=parameters,
            stamps=Stamps(book.received_ns, parsed_ns, features_ns, models_ns, time.perf_counter_ns()),
        )

    def _observe(self, book: OrderBook, order: Order) -> tuple[Moment, Knowledge]:
        """This book's moment and what is known at it; the book joins what is learned from."""
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
            self._hindsight.forget()
            self._observer.reset()
            if self._outcomes is not None:
                self._outcomes.discard()
        self._learned_for = learned_for
        self._last_ns = book.market_ns
        self._hindsight.look(book)
        moment = self._observer.observe(book)
        if self._outcomes is None:
            self._outcomes = Outcomes(beginner(moment, *learned_for), Learner(*learned_for), *learned_for)
        try:
            self._outcomes.add(book, moment)
        except BaseException:
            self._start_anew()
            raise
        return moment, self._outcomes.known

    def _start_anew(self) -> None:
        self._outcomes = None
        self._hindsight.forget()
        self._observer.reset()


def base_quantity(order: Order, mid: float, contract_size: float) -> float:
    """The order's quantity in base units at this mid."""
    if order.unit == "base":
        return order.quantity
    if order.unit == "quote":
        return order.quantity / mid
    return order.quantity * contract_size
