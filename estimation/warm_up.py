"""Compile, or load from the cache, all that pricing and learning need, before the first book comes."""

from __future__ import annotations

import numpy as np

from estimation.book_loop import follow_book, price_book
from estimation.estimate import ROW
from estimation.features import FeatureExtractor
from estimation.fit_worker import WORKER
from estimation.model_state import initial_state
from estimation.online_learner import OnlineLearner
from estimation.order import Order
from estimation.order_terms import make_terms
from estimation.realised import RealisedCosts
from estimation.training_schedule import SAMPLE_EVERY_NS, Sample, make_block
from numerics.arrays import make_records
from orderbook import OrderBook, Side


def warm_up() -> None:
    """Price an order, and learn a small synthetic block; forget all of it.

    This takes seconds at the very first start. It is safe to call more than once, and never necessary.
    """
    away = np.arange(1.0, 4.0)
    books = []
    for row in range(40):
        mid = 1000.0 + row % 8 // 2
        bids, asks = (np.column_stack((mid + sign * away, np.full(3, 1.0 + row % 3))) for sign in (-1, 1))
        books.append(OrderBook("", "", bids, asks, 0, row * SAMPLE_EVERY_NS, 0))
    extractor = FeatureExtractor()
    book_states = [extractor.observe(book) for book in books]
    state = initial_state(book_states[0].view(np.recarray)[0], 0.1, 1.0)

    terms, rows = make_terms(Order(Side.BUY, 1.0, latency_s=0.1, passive_s=1.0), 1.0), make_records(ROW, 2)
    first, realised = books[0], RealisedCosts()
    open_quotes = realised.trackers, realised.quotes
    remembered = extractor.market, extractor.last_second
    follow_book(first.bids, first.asks, books[-1].market_ns, *remembered, book_states[-1], 0, *open_quotes)
    price_book(first.bids, first.asks, 0, book_states[0], 0, state.record, terms, rows, 0, *open_quotes)

    samples = [Sample(*pair, state) for pair in zip(book_states, (book.market_ns for book in books), strict=True)]
    OnlineLearner(0.1, 1.0).learn(make_block(samples[:20], books))
    WORKER.start()
