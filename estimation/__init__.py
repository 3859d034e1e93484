"""What an order costs: order, features, slippage, parameters, learning and scores."""
