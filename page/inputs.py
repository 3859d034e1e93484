"""The left panel: which market, which order, at which fees."""

from __future__ import annotations

import streamlit as st

from calculations import Order, OrderError, Style, Unit
from fee_calculator import (
    OWN_EXAMPLE,
    SCHEDULES,
    FeeCalculator,
    FeeError,
    FeeSchedule,
    FeeTier,
    fee_venue,
    own_schedule,
    tier_for_volume,
    tier_words,
    warning,
)
from feeds import VENUES, FeedError
from orderbook import Side
from page.lifeline import lifeline
from page.source import source_inputs
from session import Market, Session, learn_contract
from words import (
    HELP,
    ORDER_TYPES,
    STYLE_WORDS,
    UNIT_WORDS,
    VENUE_WORDS,
    connection_words,
    fee_table_words,
    fee_words,
)

FIRST_QUANTITY = {"quote": 100_000.0, "base": 1.0, "contracts": 100.0}


def market_inputs(session: Session) -> Market | None:
    """The market to look at; None, and a sentence, if there is no such market."""
    st.subheader("Market", anchor=False)
    venue = st.selectbox("Exchange", list(VENUES), format_func=VENUE_WORDS.__getitem__, key="venue")
    symbol = st.selectbox(
        "Symbol",
        VENUES[venue].symbols,
        accept_new_options=True,
        key=f"symbol {venue}",
        help="Pick one, or type the exchange's own name for another.",
    )
    source = source_inputs()
    if source.get("recording", True) is None or source.get("address", True) == "":
        return None
    note = None
    try:
        if venue == "okx" and not source:
            note = ask_contract(symbol or "")
        market = Market(venue, symbol or "", **source)
    except (ValueError, FeedError) as error:
        st.error(f"{VENUE_WORDS[venue]} can't show {symbol!r}: {error}")
        return None
    st.button(
        "Disconnect" if st.session_state.connect else "Connect",
        key="connection",
        width="stretch",
        on_click=_turn_connection,
        args=(session,),
    )
    connection(session)
    if note:
        st.caption(note)
    return market


@st.cache_data(ttl=300, show_spinner="Asking OKX what a contract is")
def ask_contract(symbol: str) -> str | None:
    """Learn from OKX what a contract of this symbol is, at most every five minutes; why not, if that failed."""
    return learn_contract(symbol)


def _turn_connection(session: Session) -> None:
    session.disconnect()
    st.session_state.connect = not st.session_state.connect


@st.fragment(run_every=1.0, key="connection words")
def connection(session: Session) -> None:
    """The connection's state in words."""
    lifeline(session, id(session))
    st.caption(connection_words(session.status))


def order_inputs(session: Session, market: Market | None) -> Order | None:
    """The order the inputs describe; None, and a sentence, if it cannot be priced."""
    st.subheader("Order", anchor=False)
    side: Side = st.segmented_control(
        "Side",
        list(Side),
        format_func=lambda each: each.name.title(),
        required=True,
        default=Side.BUY,
        key="side",
        width="stretch",
    )
    unit: Unit = st.segmented_control(
        "Quantity in",
        [unit for unit in UNIT_WORDS if unit != "contracts" or (market and market.contract_size)],
        format_func=UNIT_WORDS.__getitem__,
        required=True,
        default="quote",
        key="unit",
        width="stretch",
    )
    quantity = st.number_input(
        "Quantity",
        value=FIRST_QUANTITY[unit],
        step=None,
        format="%.2f" if unit == "quote" else "%.6f",
        key=f"quantity {unit}",
    )
    kind_column, style_column = st.columns(2)
    kind = kind_column.selectbox("Order type", list(ORDER_TYPES), key="order type")
    styles = ORDER_TYPES[kind]
    style: Style = style_column.selectbox("How", styles, format_func=STYLE_WORDS.__getitem__, key=f"style {kind}")
    tier = fee_inputs(session, market)
    st.subheader("Model", anchor=False)
    typed = st.segmented_control(
        "Volatility", ["Measured", "Typed"], default="Measured", required=True, key="volatility", width="stretch"
    )
    volatility = None
    if typed == "Typed":
        volatility = st.number_input("Volatility, % a year", value=50.0, format="%.1f", key="volatility %") / 100
    with st.expander("Timing and risk"):
        latency_ms = st.number_input("Latency, ms", value=100.0, format="%.0f", key="latency", help=HELP["latency"])
        passive_s = st.number_input("Wait at the best price, s", value=2.0, format="%.1f", key="passive")
        horizon_min = st.number_input("Spread over, minutes", value=5.0, format="%.1f", key="horizon")
        steps = st.number_input("In how many parts", value=10, step=1, key="steps")
        risk = st.number_input(
            "Risk aversion, per million USD", value=1.0, format="%.3f", key="risk", help=HELP["risk"]
        )
        volume = st.number_input(
            "Daily volume, coins",
            value=None,
            format="%.0f",
            key="daily volume",
            placeholder="unknown",
            help="With it, impact follows the square-root law.",
        )
    try:
        return Order(
            side=side,
            quantity=quantity,
            unit=unit,
            style=style,
            latency_s=latency_ms / 1e3,
            passive_s=passive_s,
            horizon_s=horizon_min * 60,
            steps=int(steps),
            risk_aversion=risk / 1e6,
            volatility=volatility,
            daily_volume=volume,
            tier=tier,
        )
    except OrderError as error:
        st.error(f"This order can't be priced: {error}. The numbers are still those of the order before.")
        return None


def fee_inputs(session: Session, market: Market | None) -> FeeTier:
    """The fee tier: of the product that the symbol is, unless the user wants another table and is warned."""
    if market is None:
        return session.order.tier
    venue, product = fee_venue(market.venue), VENUES[market.venue].product(market.symbol)
    tables = sorted(
        (fees for fees in SCHEDULES.values() if fees.venue == venue),
        key=lambda fees: (fees.product != product, fees.edition != "current"),
    )
    fees = st.selectbox(
        "Fee table", [*tables, None], format_func=fee_table_words, key=f"fees {venue} {product}", help=HELP["fees"]
    )
    if fees is None:
        fees = own_fees()
    if fees is None:
        return session.order.tier
    volume = st.number_input(
        f"Traded in the last 30 days, {fees.currency}",
        value=None,
        min_value=0.0,
        format="%.0f",
        placeholder="unknown",
        key=f"30 days {fees.currency}",
        help="With it, the tier is looked up for you.",
    )
    if volume is None:
        key = f"tier {fees.venue} {fees.product} {fees.edition} {fees.as_of}"
        tier: FeeTier = st.selectbox("Fee tier", fees.tiers, format_func=tier_words, key=key)
    else:
        tier = tier_for_volume(fees, volume)
        st.caption(f"Your tier: {tier_words(tier)}")
    if problem := warning(fees, venue, product):
        st.warning(problem)
    st.caption(fee_words(FeeCalculator(fees, tier), session.latest.estimate if session.latest else None))
    session.history.schedule = fees
    return tier


def own_fees() -> FeeSchedule | None:
    """The user's own fee table; None, and a sentence, until there is a readable one."""
    upload = st.file_uploader("Your own fees (TOML or JSON)", type=["toml", "json"], key="own fees", max_upload_size=1)
    st.download_button("An example to change", OWN_EXAMPLE, "my-fees.toml", key="fee example", on_click="ignore")
    if upload is None:
        st.info("Until a file is loaded, the fees are those chosen before.")
        return None
    try:
        return own_schedule(upload.getvalue(), "json" if upload.name.lower().endswith(".json") else "toml")
    except FeeError as error:
        st.error(f"{upload.name} can't be used: {error}")
        return None
