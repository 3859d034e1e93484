"""Draw the choice of the fee tier: from today's table for this market, unless the user chooses another one."""

from __future__ import annotations

import streamlit as st

from fee_calculator import FeeCalculator, default_schedule, tier_for_volume, tier_words, warning
from feeds import VENUES
from fees.custom_schedule import OWN_EXAMPLE, own_schedule
from fees.schedules import FeeError, FeeSchedule, FeeTier
from fees.tables import SCHEDULES
from sessions.market import Market
from sessions.session import Session
from ui.fragments import redraw
from ui.text.captions import fee_words
from ui.text.formatting import plain
from ui.text.vocabulary import FEE_TABLE_WORDS, HELP


def fee_tables(market: Market) -> dict[str, FeeSchedule | None]:
    """Return the fee tables to choose from by name, this market's own first; None stands for the user's file."""
    venue = VENUES[market.venue]
    own = default_schedule(venue.fees, venue.product(market.symbol))
    others = {
        FEE_TABLE_WORDS[fees.product, fees.edition]: fees
        for fees in SCHEDULES.values()
        if fees.venue == venue.fees and fees is not own
    }
    return {FEE_TABLE_WORDS["this market", "current"]: own, **others, FEE_TABLE_WORDS["own", "own"]: None}


def fee_inputs(session: Session, market: Market) -> FeeTier:
    """Draw the fee inputs and return the tier to charge; while none is chosen, that of the order before."""
    tables = fee_tables(market)
    tier_place = st.container()
    expander = st.expander("Fee table and 30-day volume")
    with expander:
        name = st.selectbox(
            "Fee table", list(tables), key="fees", help=HELP["fees"], bind="query-params", on_change=redraw
        )
        fees = tables[name]
        if fees is None:
            fees = custom_schedule_input()
        if fees is None:
            return session.order.tier
        volume = st.number_input(
            f"Traded in the last 30 days, {plain(fees.currency)}",
            value=None,
            min_value=0.0,
            step=1_000_000.0,
            format="%.0f",
            placeholder="unknown",
            key="traded",
            help="With it, the tier is looked up for you.",
            bind="query-params",
            on_change=redraw,
        )
    with tier_place:
        if volume is None:
            names = [tier.name for tier in fees.tiers]
            tier_name = st.selectbox("Fee tier", names, key="tier", bind="query-params", on_change=redraw)
            tier = fees.tiers[names.index(tier_name)]
        else:
            tier = tier_for_volume(fees, volume)
            st.markdown(f"Your fee tier: **{plain(tier.name)}**")
    with expander:
        st.caption(plain(tier_words(tier)))
        venue = VENUES[market.venue]
        if problem := warning(fees, venue.fees, venue.product(market.symbol)):
            st.warning(plain(problem))
        newest = session.latest
        st.caption(
            plain(fee_words(FeeCalculator(fees, tier), None if newest is None else newest.estimate, market.currency))
        )
    session.history.schedule = fees
    return tier


def custom_schedule_input() -> FeeSchedule | None:
    """Draw the upload of the user's own fees and return them; None, and a sentence, until a file can be read."""
    upload = st.file_uploader(
        "Your own fees (TOML or JSON)", type=["toml", "json"], key="own fees", max_upload_size=1, on_change=redraw
    )
    st.download_button("An example to change", OWN_EXAMPLE, "my-fees.toml", key="fee example", on_click="ignore")
    if upload is None:
        st.info("Until a file is loaded, the fees are those chosen before.")
        return None
    try:
        return own_schedule(upload.getvalue(), "json" if upload.name.lower().endswith(".json") else "toml")
    except FeeError as error:
        st.error(plain(f"{upload.name} can't be used: {error}"))
        return None
