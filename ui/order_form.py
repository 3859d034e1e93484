"""Draw the left panel: which market, which order, at which fees. A link carries these inputs as query parameters."""

from __future__ import annotations

import streamlit as st

from estimation.order import Order, Style, Unit
from feeds import VENUES, FeedError, Venue
from orderbook import Side
from sessions.market import Market, learn_contract
from sessions.session import Session
from ui.data_source import source_inputs
from ui.fee_form import fee_inputs, fee_tables
from ui.fragments import INPUTS, isolated_fragment, redraw
from ui.input_guards import restore_if_stale, restore_stale_widgets, set_widgets
from ui.number_fields import TIMING_FIELDS, VOLATILITY, CheckedNumber
from ui.order_size import (
    follow_currency,
    last_valid_quantity,
    quantity_in,
    quantity_input,
    quantity_note,
    quantity_steps,
    size_units,
    take_typed_unit,
)
from ui.tab_lifecycle import bind_to_tab
from ui.text.formatting import plain, unit_words
from ui.text.size_input import write_size
from ui.text.vocabulary import HELP, ORDER_TYPES, STYLE_WORDS, UNIT_WORDS

MAX_SYMBOL_CHARACTERS = 40


@isolated_fragment(INPUTS)
def order_form(session: Session) -> None:
    """Draw all that the user decides; the timers of other fragments never redraw this panel."""
    restore_stale_widgets()
    market = market_inputs(session)
    session.order = order_inputs(session, market)
    connect_to_selection(session, market)


def market_inputs(session: Session) -> Market | None:
    """Draw the choice of the market and return it; None, and a sentence, if there is no such market."""
    venue = st.selectbox(
        "Exchange",
        list(VENUES),
        format_func=lambda name: VENUES[name].title,
        filter_mode=None,
        key="venue",
        bind="query-params",
        on_change=_switch_venue,
        args=(session,),
    )
    entity = entity_input(VENUES[venue])
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
    # A recording that names its market overrides the choice.
    venue = source.pop("venue", venue)
    symbol = source.pop("symbol", symbol)
    problem = None
    try:
        if len(symbol) > MAX_SYMBOL_CHARACTERS:
            raise ValueError(f"no symbol has more than {MAX_SYMBOL_CHARACTERS} characters")
        if source.get("recording") is None:
            source["entity"] = entity
        if not source.keys() - {"entity"} and VENUES[venue].instruments_url(symbol):
            problem = ask_contract(venue, symbol, entity)
        market = Market(venue, symbol, **source)
    except (ValueError, FeedError) as error:
        st.error(plain(f"{VENUES[venue].title} can't show {symbol[:MAX_SYMBOL_CHARACTERS]!r}: {error}"))
        if problem:
            st.caption(plain(problem))
        return None
    if problem:
        st.caption(plain(problem))
    return market


def entity_input(venue: Venue) -> str:
    """Draw the choice of the entity through which the venue is reached, if it has several. Return its name.

    Return "" for the venue's default, so that a market has one name.
    """
    if len(venue.entities) < 2:
        return ""
    titles = {entity.name: entity.title for entity in venue.entities}
    name = st.selectbox(
        "Reached through",
        list(titles),
        format_func=titles.__getitem__,
        filter_mode=None,
        key="entity",
        help=HELP["entity"],
        bind="query-params",
        on_change=redraw,
    )
    if note := venue.reached_through(name).entity.note:
        st.caption(note)
    return "" if name == venue.entities[0].name else name


def ask_contract(venue: str, symbol: str, entity: str) -> str | None:
    """Ask the venue about this market's contract or currencies, at most every five minutes.

    Return why it failed, else None.
    """
    spinner = f"Asking {VENUES[venue].title} about {plain(symbol)}"
    return st.cache_data(ttl=300, show_spinner=spinner)(learn_contract)(venue, symbol, entity)


def _switch_venue(session: Session) -> None:
    """Select the new venue's symbol that is most like the one before.

    It has the same coin, currency and product as far as the venue has them. Fees and unit follow.
    """
    venue = VENUES[st.session_state.venue]
    before = session.market
    wanted = "" if before is None else VENUES[before.venue].instrument(before.symbol)

    def matches(symbol: str) -> list[bool]:
        """Compare coin, currency and product with the wanted ones; lists order by the first that differs."""
        offered = venue.instrument(symbol).replace("/", " ").split()
        return [ours == theirs for ours, theirs in zip(wanted.replace("/", " ").split(), offered, strict=False)]

    symbol = max(venue.symbols, key=matches)
    market = Market(venue.name, symbol)
    table_name, fees = next(iter(fee_tables(market).items()))
    set_widgets(symbol=symbol, fees=table_name)
    names = [entity.name for entity in venue.entities]
    if len(names) > 1:  # a user in the US stays there
        set_widgets(entity=before.entity if before is not None and before.entity in names else names[0])
    if fees is not None:
        set_widgets(tier=fees.tiers[0].name)
    if st.session_state.unit == "contracts" and market.contract_size is None:
        set_widgets(unit="quote", quantity=write_size(quantity_in(session, "quote")))
    redraw()


def order_inputs(session: Session, market: Market | None) -> Order:
    """Draw the inputs of the order and return it.

    An input that cannot be used says so, and counts with its last valid value; the answer then says which order it
    is of.
    """
    side: Side = st.segmented_control(
        "Side",
        list(Side),
        format_func=lambda side: side.name.title(),
        required=True,
        default=Side.BUY,
        key="side",
        width="stretch",
        label_visibility="collapsed",
        bind="query-params",
        on_change=redraw,
    )
    units = size_units(market)
    if market is not None:
        follow_currency(market, _chosen_unit())
    take_typed_unit(units)
    quantity_column, unit_column = st.columns([3, 2], gap="small")
    with unit_column:
        unit: Unit = st.selectbox(
            "Unit",
            [unit for unit in UNIT_WORDS if unit != "contracts" or units.has_contracts],
            format_func=lambda unit: unit_words(unit, units.currency),
            filter_mode=None,
            key="unit",
            bind="query-params",
            on_change=_convert_quantity,
            args=(session,),
        )
    with quantity_column:
        quantity, quantity_problem = quantity_input(unit, units)
    with unit_column:
        quantity_steps(quantity)
    if quantity_problem:
        st.error(plain(quantity_problem))
    quantity_note(quantity)
    kind_column, style_column = st.columns([2, 3], gap="small")
    kind = kind_column.selectbox(
        "Order type", list(ORDER_TYPES), filter_mode=None, key="type", bind="query-params", on_change=redraw
    )
    style: Style = style_column.selectbox(
        "Way to trade",
        ORDER_TYPES[kind],
        format_func=STYLE_WORDS.__getitem__,
        filter_mode=None,
        key="style",
        bind="query-params",
        on_change=redraw,
    )
    tier = session.order.tier if market is None else fee_inputs(session, market)
    volatility = VOLATILITY.draw(session.order)
    timing = timing_inputs(session.order, units.currency)
    problems = [quantity_problem, volatility.problem, *(number.problem for number in timing.values())]
    st.session_state["order problem"] = " ".join(filter(None, problems))
    return Order(
        side=side,
        quantity=last_valid_quantity(session.order, unit, units) if quantity is None else quantity,
        unit=unit,
        style=style,
        tier=tier,
        volatility=volatility.value,
        **{name: number.value for name, number in timing.items()},
    )


def timing_inputs(last: Order, currency: str) -> dict[str, CheckedNumber]:
    """Draw the inputs of timing and risk. Return their numbers by the field of Order. last: the last valid order."""
    money = plain(unit_words("quote", currency))
    with st.expander("Timing and risk"):
        return {field.name: field._replace(label=field.label.format(money=money)).draw(last) for field in TIMING_FIELDS}


def _convert_quantity(session: Session) -> None:
    """Convert the quantity to the unit just chosen, so that the order keeps its size."""
    unit = _chosen_unit()
    if not restore_if_stale("unit") and unit != session.order.unit:
        set_widgets(quantity=write_size(quantity_in(session, unit)))
    redraw()


def _chosen_unit() -> Unit:
    """Return the unit that is chosen; a name of money that the market had before is still money."""
    unit: Unit = st.session_state.get("unit", "quote")
    return unit if unit in UNIT_WORDS else "quote"


def connect_to_selection(session: Session, market: Market | None) -> None:
    """Connect to the selected market, or disconnect if there is none; tell the user in a sentence if it fails.

    The user's wish to be connected outlives a failure: the next market is connected to at once.
    """
    if market is None or not st.session_state.connect:
        session.disconnect()
        return
    bind_to_tab(session, id(session))
    if market == session.market:
        return
    had_player = session.player is not None
    try:
        session.connect(market)
    except (ValueError, OSError) as error:
        session.disconnect()
        st.error(plain(f"That market can't be opened: {error}"))
    if had_player != (session.player is not None):  # the playback controls stand outside this fragment
        st.rerun()
