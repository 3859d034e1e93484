"""What one browser tab holds together: market, session, comparison and backtests."""
