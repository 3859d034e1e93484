"""The objects behind one browser tab: its market, session, venue comparison and backtests."""
