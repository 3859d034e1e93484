"""Estimate what an order costs: order, features, slippage, parameters, learning and scores."""
