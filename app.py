"""The page: what to trade on the left, what it would cost on the right; the only file that talks to Streamlit."""

from __future__ import annotations

import gc
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pandas as pd
import streamlit as st

import charts
from calculations import Estimate, Order, OrderError, Style, Unit
from comparison import Comparison, rivals
from export_file import safe_stem
from export_manager import ExportError, performance_report
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
from profiling import SystemProfiler
from session import Market, Session, Shown, learn_contract, learned_for
from websocket_client import FeedHub, Status
from words import (
    EXPORT_WORDS,
    HELP,
    LATENCY_WORDS,
    ORDER_TYPES,
    PARAMETER_WORDS,
    SOURCE_WORDS,
    SPEED_WORDS,
    STALE_S,
    STYLE_WORDS,
    UNIT_WORDS,
    VENUE_WORDS,
    bps,
    coins,
    connection_words,
    fee_table_words,
    fee_words,
    impact_words,
    live_words,
    maker_words,
    milliseconds,
    moment_words,
    money,
    offers_table,
    price,
    score_words,
    size,
    slippage_words,
    system_words,
)

RECORDINGS = Path("recordings")
FIRST_QUANTITY = {"quote": 100_000.0, "base": 1.0, "contracts": 100.0}
NUMBERS_S, CHARTS_S = 0.2, 0.5


@st.cache_resource(show_spinner=False)
def hub() -> FeedHub:
    """The process's one hub, made when everything is imported.

    Streamlit collects garbage after every run; what is frozen here, all modules, need not be looked at again.
    """
    gc.collect()
    gc.freeze()
    return FeedHub()


@st.cache_resource(scope="session", on_release=lambda session: session.release(), show_spinner=False)
def lifeline(_session: Session | Comparison, key: int) -> Session | Comparison:  # noqa: ARG001 - the cache uses it
    """Tied to the browser tab by its key: when it goes, the feed is let go of; when it comes back, the feed goes on."""
    _session.resume()
    return _session


def main() -> None:
    st.set_page_config(page_title="Trade Simulator", layout="wide")
    session = st.session_state.get("session")
    if session is None:
        session = st.session_state.session = Session(hub(), Order(Side.BUY, FIRST_QUANTITY["quote"], "quote"))
        st.session_state.connect = True
    left, right = st.columns([1, 3], gap="medium")
    with left, st.container(border=True, key="inputs"):
        market = market_inputs(session)
        order = order_inputs(session, market)
        st.toggle("Compare exchanges", key="compare", help=HELP["compare"])
    if order is not None:
        session.order = order
    steer(session, market)
    with right:
        numbers(session)
        if st.session_state.compare and session.market is not None:
            comparison(session)
        elif "comparison" in st.session_state:
            st.session_state.pop("comparison").watch((), session.order)
        pictures(session)
        exports(session)
        learning(session)


def steer(session: Session, market: Market | None) -> None:
    """Connect to what the inputs say, or let go of it; a problem becomes a sentence."""
    if market is None or not st.session_state.connect:
        session.disconnect()
        return
    if market == session.market:
        return
    try:
        session.connect(market)
    except (ValueError, OSError) as error:
        st.session_state.connect = False
        st.error(f"That market can't be opened: {error}")


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


def source_inputs() -> dict[str, Any]:
    """Where the prices come from, as Market takes it: the exchange itself, a recording, or a typed address."""
    kind = st.selectbox("Prices from", list(SOURCE_WORDS), format_func=SOURCE_WORDS.__getitem__, key="source")
    if kind == "recording":
        found = sorted(path for path in RECORDINGS.glob("*") if path.suffix in (".jsonl", ".csv", ".gz"))
        if not found:
            st.info(f"There is no recording in the folder {RECORDINGS} yet: put one there.")
        path = st.selectbox("Recording", found, format_func=lambda each: each.name, key="recording")
        speed = st.selectbox("Speed", list(SPEED_WORDS), index=1, format_func=SPEED_WORDS.__getitem__, key="speed")
        return {"recording": path, "speed": speed}
    if kind == "address":
        address = st.text_input(
            "Address",
            key="address",
            placeholder="ws://127.0.0.1:8765",
            help="It must speak the language of the exchange chosen above.",
        ).strip()
        replayed = st.checkbox("A replay server answers there", key="replayed")
        if address.startswith("ws://") and urlsplit(address).hostname not in ("127.0.0.1", "localhost", "::1"):
            st.warning("ws:// is not encrypted: others on the way can read and change what you see.")
        return {"address": address, "replayed": replayed}
    return {}


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


@st.fragment(run_every=NUMBERS_S, key="numbers")
def numbers(session: Session) -> None:
    """The answer and its parts, several times a second."""
    began = time.perf_counter()
    lifeline(session, id(session))
    shown, status = session.latest, session.status
    header(session, shown, status)
    if shown is None:
        with st.container(border=True):
            st.markdown(f"**Waiting for the first prices.** {connection_words(status)}")
        return
    answer(session, shown)
    facts(shown)
    session.profiler.shown(shown.estimate.stamps.received_ns, (time.perf_counter() - began) * 1e3)
    estimate = shown.estimate
    st.html(
        f'<span id="tick" hidden data-ns="{estimate.market_ns}" data-quantity="{estimate.order.quantity}" '
        f'data-slippage="{estimate.slippage_bps}" data-net="{estimate.net_cost_bps}"></span>'
    )


def header(session: Session, shown: Shown | None, status: Status | None) -> None:
    """What is looked at, and whether it is alive."""
    with st.container(horizontal=True, vertical_alignment="center", key="header"):
        st.subheader("Trade Simulator", anchor=False, width="content")
        market = session.market
        if market is None or status is None:
            st.badge("Not connected", icon=":material/power_off:", color="gray")
        elif session.ended:
            st.badge("The recording has ended", icon=":material/stop_circle:", color="gray")
        elif status.state == "live" and (status.age_s or 0.0) < STALE_S:
            words, icon, color = live_words(market)
            st.badge(words, icon=icon, color=color)
        elif status.state in ("live", "stale"):
            st.badge(f"Old: no new prices for {status.age_s or 0:.0f} s", icon=":material/hourglass:", color="orange")
        else:
            st.badge(status.state.capitalize(), icon=":material/sync_problem:", color="orange")
        if shown is not None and market is not None:
            book = shown.book
            st.markdown(
                f"{VENUE_WORDS[book.venue]} · {book.symbol} · mid **{price(book.mid)}** · spread "
                f"**{book.spread_bps:.3f} bps** · {moment_words(book.market_ns)}",
                width="content",
            )


def answer(session: Session, shown: Shown) -> None:
    """Net cost and the three parts it is the sum of."""
    estimate = shown.estimate
    scorecard = session.calculator.scorecard() if session.calculator else None
    if scorecard is None:
        return
    coin, currency = coins(VENUES[shown.book.venue].instrument(shown.book.symbol))
    notional = estimate.quantity * estimate.mid
    per_bps = notional / 1e4

    def cell(label: str, value: float | None, help_key: str, words: str) -> None:
        with st.container(border=True, height="stretch", key=f"cell {help_key}"):
            amount = None if value is None else value * per_bps
            st.metric(
                label, bps(value), money(amount, currency), delta_color="off", delta_arrow="off", help=HELP[help_key]
            )
            st.caption(words)

    net, slippage, fees, impact = st.columns([1.25, 1, 1, 1])
    with net:
        if estimate.net_cost_bps is None:
            words = "Part of it can't be known, so there is no total."
        else:
            style = STYLE_WORDS[estimate.order.style]
            words = f"{style}, on {money(notional, currency)} ({size(estimate.quantity, coin)})."
        cell("Net cost", estimate.net_cost_bps, "net", words.replace("$", r"\$"))
    with slippage:
        cell("Slippage", estimate.slippage_bps, "slippage", slippage_words(estimate, scorecard, coin))
    with fees:
        tier = estimate.order.tier
        cell(
            "Fees",
            estimate.fee_bps,
            "fees",
            f"{tier.name}: taker {tier.taker * 1e4:g} bps, maker {tier.maker * 1e4:g} bps.",
        )
    with impact:
        cell("Market impact", estimate.impact_bps, "impact", impact_words(estimate))


@st.fragment(run_every=1.0, key="comparison")
def comparison(session: Session) -> None:
    """The same order on every exchange that trades the same thing."""
    market, shown = session.market, session.latest
    if market is None or shown is None:
        return
    compared = st.session_state.setdefault("comparison", Comparison(hub()))
    lifeline(compared, id(compared))
    compared.watch(rivals(market), replace(session.order, quantity=shown.estimate.quantity, unit="base"))
    with st.container(border=True):
        instrument = VENUES[market.venue].instrument(market.symbol)
        st.markdown(f"**{instrument} on every exchange**: the same order, each with its own first fee tier")
        st.markdown(offers_table(compared.offers()))


def facts(shown: Shown) -> None:
    """The smaller numbers, in one line."""
    book, estimate = shown.book, shown.estimate
    coin, _ = coins(VENUES[book.venue].instrument(book.symbol))
    deep_bids, deep_asks = book.bids[:, 1].sum(), book.asks[:, 1].sum()
    maker = estimate.maker_share
    # The book answers for its visible part and for this moment, whatever the style and the size.
    part = ", visible part" if estimate.unfilled else ", sent now"
    items = {
        f"Average price{part}": price(estimate.fill.vwap),
        f"Worst price{part}": price(estimate.fill.worst_price),
        "Levels used": f"{estimate.fill.levels} of {len(book.taken_by(estimate.order.side))}",
        "Maker / taker": f"{100 * maker:.0f} % / {100 * (1 - maker):.0f} %",
        "Depth, buyers": size(deep_bids, coin),
        "Depth, sellers": size(deep_asks, coin),
        "Risk while trading": f"± {bps(estimate.timing_risk_bps)}",
    }
    with st.container(horizontal=True, key="facts"):
        for label, value in items.items():
            st.markdown(f"{label}  \n**{value}**".replace("$", r"\$"), width="content")


@st.fragment(run_every=CHARTS_S, key="charts")
def pictures(session: Session) -> None:
    """The book's depth with the order's reach, and what stands behind the numbers."""
    shown = session.latest
    if shown is None:
        return
    book, estimate = shown
    frame = charts.depth_frame(book, st.session_state.get("depth frame"))
    st.session_state["depth frame"] = frame
    theme: charts.Theme = "light" if st.context.theme.type == "light" else "dark"
    with st.container(border=True):
        st.markdown("**Order book depth**: money waiting on each side, and the part your order would take")
        st.echarts_chart(
            charts.depth_chart(book, estimate, frame, theme),
            key="depth",
            height=300,
            alt="Money waiting on both sides of the book by distance from the mid price",
        )
    impact, maker, speed = st.columns([1.2, 1, 1])
    with impact.container(border=True, height="stretch"):
        impact_details(estimate)
    with maker.container(border=True, height="stretch"):
        maker_details(session, estimate)
    with speed.container(border=True, height="stretch"):
        speed_details(session.profiler)


def impact_details(estimate: Estimate) -> None:
    """Almgren-Chriss for this size, whatever is counted, and what it is made from."""
    order = estimate.order
    st.markdown("**Market impact of this size**", help=HELP["impact"])
    st.markdown(
        f"Over {order.horizon_s / 60:g} minutes in {order.steps} parts: permanent "
        f"**{bps(estimate.impact_permanent_bps)}**, temporary **{bps(estimate.impact_temporary_bps)}**. "
        f"In the net cost: **{bps(estimate.impact_bps)}**."
    )
    rows = "\n".join(
        f"| {PARAMETER_WORDS[name]} | {value:.4g} | {origin} |"
        for name, (value, origin) in estimate.parameters.items()
        if name in PARAMETER_WORDS
    )
    st.markdown(f"| Made from | Value | Source |\n|---|---:|---|\n{rows}")


def maker_details(session: Session, estimate: Estimate) -> None:
    """What waiting at the best price would bring, and how right such guesses were."""
    scorecard = session.calculator.scorecard() if session.calculator else None
    st.markdown("**If you waited at the best price**", help=HELP["maker"])
    st.markdown(
        f"Filled within {estimate.order.passive_s:g} s: **{100 * estimate.maker_probability:.0f} %** of your order."
    )
    if scorecard is not None:
        st.caption(maker_words(estimate, scorecard))
        st.markdown(score_words(scorecard))


def speed_details(profiler: SystemProfiler) -> None:
    """The three latencies of the page's own work, and what the process uses."""
    latencies, system = profiler.latencies(), profiler.system()
    st.markdown("**Speed of this page**, last 100, in milliseconds")
    rows = "".join(
        f"| {words} | {milliseconds(row.p50_ms)} | {milliseconds(row.p95_ms)} | {milliseconds(row.p99_ms)} |\n"
        for words, row in ((words, latencies[name]) for name, words in LATENCY_WORDS.items())
    )
    st.markdown(f"| | P50 | P95 | P99 |\n|---|---:|---:|---:|\n{rows}")
    st.caption(system_words(system))


class Prepared(NamedTuple):
    """One export, made once: what the buttons give is what was counted and previewed."""

    name: str
    data: bytes
    about: bytes
    preview: pd.DataFrame
    rows: int
    missing: int


def exports(session: Session) -> None:
    """Files to take away; made when asked for, outside everything that is drawn again and again."""
    with st.expander("Export"):
        what_column, kind_column, name_column = st.columns(3)
        what = what_column.selectbox(
            "What", list(EXPORT_WORDS), format_func=EXPORT_WORDS.__getitem__, key="export what"
        )
        kind = kind_column.selectbox("Format", ["csv", "json", "parquet"], format_func=str.upper, key="export format")
        name = name_column.text_input("File name", value="trade-simulator", key="export name")
        history, with_system = session.history, False
        if what == "results":
            limit = st.number_input("Rows to keep at most", 1, 5_000_000, history.limit, 10_000, key="export limit")
            if limit != history.limit:
                history.resize(limit)
        else:
            with_system = st.checkbox("With memory and threads", value=True, key="export system")
        if st.button("Prepare the file", key="prepare"):
            table = history.table() if what == "results" else performance_report(session.profiler, with_system)
            try:
                file = f"{safe_stem(name, kind)}.{kind}"
            except ExportError as error:
                st.session_state.pop("prepared", None)
                st.error(f"That name can't be used: {error}")
                return
            data = {"csv": table.csv, "json": table.json, "parquet": table.parquet}[kind]()
            preview = table.rows.slice(max(0, len(table.rows) - 20)).to_pandas()
            missing = history.dropped if what == "results" else 0
            st.session_state.prepared = Prepared(file, data, table.about_json(), preview, len(table.rows), missing)
        prepared: Prepared | None = st.session_state.get("prepared")
        if prepared is None:
            return
        words = f"{prepared.name}: {prepared.rows:,} rows, {len(prepared.data) / 1e6:,.2f} MB. Below: its last 20 rows."
        if prepared.missing:
            words += f" The {prepared.missing:,} oldest rows had to give way to newer ones."
        st.caption(words)
        st.dataframe(prepared.preview, height=240, hide_index=True)
        data_column, about_column = st.columns(2)
        data_column.download_button(
            "Download", prepared.data, prepared.name, key="download", on_click="ignore", width="stretch"
        )
        about_column.download_button(
            "Download what it means",
            prepared.about,
            f"{prepared.name}.meta.json",
            key="download about",
            on_click="ignore",
            width="stretch",
            help="Market, order, fees, units and how right the models were, as JSON.",
        )


def learning(session: Session) -> None:
    """What was learned, to keep and to bring back."""
    with st.expander("What was learned"):
        st.caption(HELP["learned"])
        st.download_button(
            "Download it",
            lambda: json.dumps(session.calculator.learned() if session.calculator else None),
            "learned.json",
            key="download learned",
            on_click="ignore",
            disabled=session.market is None,
        )
        upload = st.file_uploader("Go on from", type=["json"], key="learned", max_upload_size=4)
        if upload is None or session.market is None or upload.file_id == st.session_state.get("resumed"):
            return
        market = session.market
        st.session_state.resumed = upload.file_id
        try:
            session.connect(market, learned_for(upload.getvalue(), market))
        except (ValueError, RecursionError) as error:
            st.error(f"{upload.name} can't be used: {error}")
            session.connect(market)


if __name__ == "__main__":
    main()
