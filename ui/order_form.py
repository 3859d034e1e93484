"""The left panel: which market, which order, at which fees. What a link may say lives in its query parameters."""

from __future__ import annotations

import streamlit as st

from estimation.order import Order, OrderError, Style, Unit
from feeds import VENUES, FeedError
from fees.schedules import FeeTier
from orderbook import Side
from sessions.market import Market, learn_contract
from sessions.session import Session
from ui.data_source import source_inputs
from ui.fee_form import fee_inputs, tables
from ui.fragments import INPUTS, part, redraw
from ui.input_guards import give, hold, put_back
from ui.tab_lifecycle import lifeline
from ui.text.formatting import plain
from ui.text.vocabulary import HELP, ORDER_TYPES, STYLE_WORDS, UNIT_WORDS

FIRST_QUANTITY: dict[Unit, float] = {"quote": 100_000.0, "base": 1.0, "contracts": 100.0}
LONGEST_SYMBOL = 40


@part(INPUTS)
def inputs(session: Session) -> None:
    """Everything the user decides; what is drawn by itself never draws this panel again."""
    hold()
    market = market_inputs(session)
    order = order_inputs(session, market)
    if order is not None:
        session.order = order
    steer(session, market)


def market_inputs(session: Session) -> Market | None:
    """The market to look at; None, and a sentence, if there is no such market."""
    venue = st.selectbox(
        "Exchange",
        list(VENUES),
        format_func=lambda name: VENUES[name].title,
        filter_mode=None,
        key="venue",
        bind="query-params",
        on_change=_another_venue,
        args=(session,),
    )
    symbol = st.selectbox(
        "Symbol",
        VENUES[venue].symbols,
        accept_new_options=True,
        key="symbol",
        help="Pick one, or type the exchange's own name for another.",
        bind="query-params",
        on_change=redraw,
    )
    source = source_inputs(venue, symbol or "")
    if source.get("recording", True) is None or source.get("address", True) == "":
        return None
    venue, symbol = source.pop("venue", venue), source.pop("symbol", symbol)
    note = None
    try:
        if len(symbol) > LONGEST_SYMBOL:
            raise ValueError(f"no symbol has more than {LONGEST_SYMBOL} characters")
        if not source and VENUES[venue].instruments_url(symbol):
            note = ask_contract(venue, symbol)
        market = Market(venue, symbol, **source)
    except (ValueError, FeedError) as error:
        st.error(plain(f"{VENUES[venue].title} can't show {symbol[:LONGEST_SYMBOL]!r}: {error}"))
        return None
    if note:
        st.caption(plain(note))
    return market


def ask_contract(venue: str, symbol: str) -> str | None:
    """Ask the venue what a contract of this symbol is, at most every five minutes; return why not, if that failed."""
    spinner = f"Asking {VENUES[venue].title} what a contract is"
    return st.cache_data(ttl=300, show_spinner=spinner)(learn_contract)(venue, symbol)


def _another_venue(session: Session) -> None:
    """The same coin, currency and product on the new venue, as far as it has them; fees and unit follow."""
    venue, before = VENUES[st.session_state.venue], session.market
    wanted = "" if before is None else VENUES[before.venue].instrument(before.symbol)

    def alike(symbol: str) -> list[bool]:
        there = venue.instrument(symbol).replace("/", " ").split()
        return [ours == theirs for ours, theirs in zip(wanted.replace("/", " ").split(), there, strict=False)]

    symbol = max(venue.symbols, key=alike)
    market = Market(venue.name, symbol)
    name, fees = next(iter(tables(market).items()))
    give(symbol=symbol, fees=name)
    if fees is not None:
        give(tier=fees.tiers[0].name)
    if st.session_state.unit == "contracts" and market.contract_size is None:
        give(unit="quote", quantity=_in_unit(session, "quote"))
    redraw()


def order_inputs(session: Session, market: Market | None) -> Order | None:
    """The order the inputs describe; None, and a sentence, if it cannot be priced."""
    side: Side = st.segmented_control(
        "Side",
        list(Side),
        format_func=lambda each: each.name.title(),
        required=True,
        default=Side.BUY,
        key="side",
        width="stretch",
        label_visibility="collapsed",
        bind="query-params",
        on_change=redraw,
    )
    quantity_column, unit_column = st.columns([3, 2], gap="small")
    unit: Unit = unit_column.selectbox(
        "In",
        [unit for unit in UNIT_WORDS if unit != "contracts" or (market and market.contract_size)],
        format_func=UNIT_WORDS.__getitem__,
        filter_mode=None,
        key="unit",
        bind="query-params",
        on_change=_another_unit,
        args=(session,),
    )
    quantity = quantity_column.number_input(
        "Quantity",
        value=FIRST_QUANTITY[unit],
        step=FIRST_QUANTITY[unit] / 10,
        format="%.2f" if unit == "quote" else "%.6f",
        key="quantity",
        bind="query-params",
        on_change=redraw,
    )
    kind_column, style_column = st.columns([2, 3], gap="small")
    kind = kind_column.selectbox(
        "Order type", list(ORDER_TYPES), filter_mode=None, key="type", bind="query-params", on_change=redraw
    )
    style: Style = style_column.selectbox(
        "How",
        ORDER_TYPES[kind],
        format_func=STYLE_WORDS.__getitem__,
        filter_mode=None,
        key="style",
        bind="query-params",
        on_change=redraw,
    )
    tier = session.order.tier if market is None else fee_inputs(session, market)
    volatility = st.number_input(
        "Volatility, % a year",
        value=None,
        step=5.0,
        format="%.1f",
        placeholder="measured",
        key="volatility",
        help=HELP["volatility"],
        bind="query-params",
        on_change=redraw,
    )
    try:
        order = timed(side, quantity, unit, style, tier, None if volatility is None else volatility / 100)
    except OrderError as error:
        st.session_state["order problem"] = f"The one on the left can't be priced: {error}."
        st.error(f"This order can't be priced: {error}. The numbers are still those of the order before.")
        return None
    st.session_state["order problem"] = ""
    return order


def timed(side: Side, quantity: float, unit: Unit, style: Style, tier: FeeTier, volatility: float | None) -> Order:
    """The order with what the user says of timing and risk. Raises OrderError."""
    with st.expander("Timing and risk"):
        latency_ms = st.number_input(
            "Latency, ms",
            value=100.0,
            step=10.0,
            format="%.0f",
            key="latency",
            help=HELP["latency"],
            bind="query-params",
            on_change=redraw,
        )
        passive_s = st.number_input(
            "Wait at the best price, s",
            value=2.0,
            step=1.0,
            format="%.1f",
            key="wait",
            bind="query-params",
            on_change=redraw,
        )
        horizon_min = st.number_input(
            "Spread over, minutes",
            value=5.0,
            step=1.0,
            format="%.1f",
            key="minutes",
            bind="query-params",
            on_change=redraw,
        )
        steps = st.number_input(
            "In how many parts",
            value=10.0,
            step=1.0,
            format="%.0f",
            key="parts",
            bind="query-params",
            on_change=redraw,
        )
        risk = st.number_input(
            "Risk aversion, per million USD",
            value=1.0,
            step=1.0,
            format="%.3f",
            key="risk",
            help=HELP["risk"],
            bind="query-params",
            on_change=redraw,
        )
        volume = st.number_input(
            "Daily volume, coins",
            value=None,
            step=1000.0,
            format="%.0f",
            key="daily",
            placeholder="unknown",
            help="With it, impact follows the square-root law.",
            bind="query-params",
            on_change=redraw,
        )
    return Order(
        side=side,
        quantity=quantity,
        unit=unit,
        style=style,
        latency_s=latency_ms / 1e3,
        passive_s=passive_s,
        horizon_s=horizon_min * 60,
        steps=round(steps),
        risk_aversion=risk / 1e6,
        volatility=volatility,
        daily_volume=volume,
        tier=tier,
    )


def _another_unit(session: Session) -> None:
    """The same size in the unit just chosen."""
    if not put_back("unit"):
        give(quantity=_in_unit(session, st.session_state.unit))
        redraw()


def _in_unit(session: Session, unit: Unit) -> float:
    """The size of the order last priced, in this unit; a first guess where none was priced."""
    shown, market = session.latest, session.market
    if shown is None or market is None:
        return FIRST_QUANTITY[unit]
    size, mid = shown.estimate.quantity, shown.estimate.mid
    if unit == "quote":
        return round(size * mid, 2)
    return round(size if unit == "base" else size / (market.contract_size or 1.0), 6)


def steer(session: Session, market: Market | None) -> None:
    """Connect to what the inputs say, or let go of it; a problem becomes a sentence."""
    if market is None or not st.session_state.connect:
        session.disconnect()
        return
    lifeline(session, id(session))
    if market == session.market:
        return
    had_player = session.player is not None
    try:
        session.connect(market)
    except (ValueError, OSError) as error:
        st.session_state.connect = False
        st.error(plain(f"That market can't be opened: {error}"))
    if had_player != (session.player is not None):  # its buttons stand outside this panel
        st.rerun()
