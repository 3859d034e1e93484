"""Compile, or load from the cache, all that pricing and learning need, before the first book comes."""

from __future__ import annotations

import numpy as np

from estimation.estimate import ROW
from estimation.features import FeatureExtractor
from estimation.fit_worker import WORKER
from estimation.model_state import initial_state
from estimation.online_learner import OnlineLearner
from estimation.order import Order
from estimation.order_terms import make_terms
from estimation.pricing import price_order
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

    terms = make_terms(Order(Side.BUY, 1.0, latency_s=0.1, passive_s=1.0), 1.0)
    rows, working = make_records(ROW, 1), make_records(ROW, 1)
    asks = books[0].asks
    price_order(asks, 0, len(asks), 0, book_states[0], 0, state.record, 0, terms, rows, 0, working)
    realised = RealisedCosts()
    realised.record_estimate(books[0], rows, terms)
    realised.process_pending()

    samples = [Sample(*pair, state) for pair in zip(book_states, (book.market_ns for book in books), strict=True)]
    OnlineLearner(0.1, 1.0).learn(make_block(samples[:20], books))
    WORKER.start()
