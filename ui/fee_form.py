"""The fee tier of the order: of today's table for this market, unless the user wants another and is warned."""

from __future__ import annotations

import streamlit as st

from fee_calculator import FeeCalculator, editions, schedule, tier_for_volume, tier_words, warning
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


def tables(market: Market) -> dict[str, FeeSchedule | None]:
    """The fee tables to choose from by name, this market's own first; None is the user's file."""
    venue = VENUES[market.venue]
    product = venue.product(market.symbol)
    own = schedule(venue.fees, product, editions(venue.fees, product)[0])
    others = {
        FEE_TABLE_WORDS[fees.product, fees.edition]: fees
        for fees in SCHEDULES.values()
        if fees.venue == venue.fees and fees is not own
    }
    return {FEE_TABLE_WORDS["this market", "current"]: own, **others, FEE_TABLE_WORDS["own", "own"]: None}


def fee_inputs(session: Session, market: Market) -> FeeTier:
    """The tier to charge; that of the order before until there is one."""
    found = tables(market)
    place, more = st.container(), st.expander("Fee table and 30-day volume")
    with more:
        name = st.selectbox(
            "Fee table", list(found), key="fees", help=HELP["fees"], bind="query-params", on_change=redraw
        )
        fees = found[name]
        if fees is None:
            fees = own_fees()
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
    with place:
        if volume is None:
            names = [tier.name for tier in fees.tiers]
            tier = fees.tiers[
                names.index(st.selectbox("Fee tier", names, key="tier", bind="query-params", on_change=redraw))
            ]
        else:
            tier = tier_for_volume(fees, volume)
            st.markdown(f"Your fee tier: **{plain(tier.name)}**")
    with more:
        st.caption(plain(tier_words(tier)))
        venue = VENUES[market.venue]
        if problem := warning(fees, venue.fees, venue.product(market.symbol)):
            st.warning(plain(problem))
        shown = session.latest
        st.caption(plain(fee_words(FeeCalculator(fees, tier), None if shown is None else shown.estimate)))
    session.history.schedule = fees
    return tier


def own_fees() -> FeeSchedule | None:
    """The user's own fee table; None, and a sentence, until there is a readable one."""
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
