"""Machine code, windows and linear algebra, without any knowledge of markets."""
